"""The simulator inside this process: what `FINEXIO_ENVIRONMENT=simulator` means."""

from __future__ import annotations

import contextlib
from collections.abc import Generator

from finexio_mcp.settings import Settings
from finexio_mcp.simulator import Simulator

DAY_SECONDS = 24.0
"""A day there passes in this time, so that a payment can be watched."""


@contextlib.contextmanager
def simulator(settings: Settings) -> Generator[Settings]:
    """Settings that reach a simulator of our own, which listens on this machine so that check images open."""
    credentials = settings.credentials()
    assert credentials is not None, "the simulator has credentials of its own"  # noqa: S101
    simulated = Simulator(username=credentials.username, password=credentials.password.get_secret_value())
    with simulated.listening(day_seconds=DAY_SECONDS) as base_url:
        yield settings.model_copy(update={"base_url": base_url})
