"""What these tests share: two replicas that nobody kills, on a PostgreSQL that nobody stops."""

from __future__ import annotations

import sys
from collections.abc import Generator

import pytest

from tests.replicas.cluster import Cluster, cluster
from tests.replicas.companies import ACME, BIRCH

collect_ignore_glob = ["test_*.py"] if sys.platform == "win32" else []


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Generator[Cluster]:
    """Two replicas, for two accounts."""
    with cluster(tmp_path_factory.mktemp("pair"), (ACME, BIRCH)) as pair:
        yield pair
