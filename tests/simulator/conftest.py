"""An empty Finexio, a busy one, and a way to ask either."""

from collections.abc import Generator
from datetime import datetime

import pytest

from finexio_mcp.simulator import Quirks, Simulator

NOW = datetime.fromisoformat("2026-11-20T09:00:00")


@pytest.fixture
def sim() -> Simulator:
    """Empty books, on a Friday morning."""
    return Simulator(seed=1, now=NOW, populated=False)


@pytest.fixture
def busy() -> Simulator:
    """Sixty days of accounts payable."""
    return Simulator(seed=1, now=NOW)


@pytest.fixture(scope="session")
def _listener() -> Generator[Simulator]:
    """One server for all tests that need a socket: starting one takes longer than most of them."""
    sim = Simulator(seed=1, now=NOW, populated=False)
    with sim.listening():
        yield sim


@pytest.fixture
def served(_listener: Simulator) -> Generator[Simulator]:
    """Empty books behind a real port; `base_url` says where."""
    yield _listener
    _listener.reset()
    assert _listener.quirks == Quirks()
