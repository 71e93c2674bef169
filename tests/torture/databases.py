"""A real PostgreSQL for as long as it is needed, and ledgers in either database."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path
from urllib.parse import urlsplit

from tests.guards.ledger.conftest import KEEPER, new_schema

PATIENCE_SECONDS = 60


@contextlib.contextmanager
def postgresql() -> Generator[str]:
    """The address of a server that ends with this process, however it ends."""
    home = Path(tempfile.mkdtemp(prefix="pg-"))
    keeper: subprocess.Popen[str] = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", KEEPER, str(home)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
        env={**os.environ, "XDG_RUNTIME_DIR": str(home)},
        text=True,
    )
    try:
        assert keeper.stdout is not None
        given: str = keeper.stdout.readline().strip()
        parts = urlsplit(given)
        yield f"postgresql+psycopg://{parts.username}@{parts.path}?{parts.query}"
    finally:
        # What the keeper says is not waited for: closing its input ends it.
        with contextlib.suppress(subprocess.TimeoutExpired):
            keeper.communicate(timeout=PATIENCE_SECONDS)
        shutil.rmtree(home, ignore_errors=True)


def empty_ledger(kind: str, address: str | None, directory: Path) -> str:
    """Where a ledger can be made: a file that is not there yet, or a schema of its own."""
    if kind == "sqlite":
        return f"sqlite:///{directory}/ledger.db"
    assert address is not None
    return new_schema(address, f"torture_{directory.name.replace('-', '_').lower()}")
