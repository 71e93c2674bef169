"""What these tests share: one PostgreSQL, and a directory for each run."""

from __future__ import annotations

import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.torture.crew import Crew, open_crew
from tests.torture.databases import empty_ledger, postgresql


@pytest.fixture(scope="session")
def address() -> Generator[str]:
    """A PostgreSQL server."""
    with postgresql() as address:
        yield address


@pytest.fixture(scope="session")
def crew(tmp_path_factory: pytest.TempPathFactory) -> Generator[Crew]:
    """Workers, one set after the other."""
    with open_crew(tmp_path_factory.mktemp("crew") / "errors") as crew:
        yield crew


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A ledger that is not made yet, in either database."""
    server: str | None = request.getfixturevalue("address") if request.param == "postgresql" else None
    return empty_ledger(request.param, server, tmp_path)


collect_ignore_glob = ["test_*.py"] if sys.platform == "win32" else []
