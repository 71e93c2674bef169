"""The simulator inside this process: what `FINEXIO_ENVIRONMENT=simulator` means."""

from __future__ import annotations

import contextlib
from collections.abc import Generator

from finexio_mcp.accounts.account import Login
from finexio_mcp.settings import Settings
from finexio_mcp.simulator import Simulator

DAY_SECONDS = 24.0
"""A day there passes in this time, so that a payment can be watched."""


@contextlib.contextmanager
def simulator(settings: Settings, login: Login) -> Generator[Settings]:
    """Settings that reach a simulator of our own, which listens on this machine so that check images open.

    Args:
        settings: What the operator decides.
        login: Whose books they are. One without credentials is not let in there either.
    """
    found = login.credentials()
    simulated = Simulator()
    if found is not None:
        simulated = Simulator(username=found.username, password=found.password.get_secret_value())
    with simulated.listening(day_seconds=DAY_SECONDS) as base_url:
        yield settings.model_copy(update={"base_url": base_url})
