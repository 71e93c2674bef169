"""Two real server processes on one real PostgreSQL, behind a proxy that sends every request to the next one."""

from __future__ import annotations

import contextlib
import itertools
import re
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from finexio_mcp.settings import Access
from tests.calls import EVERY_TOOL
from tests.replicas.databases import PostgreSQL, postgresql
from tests.replicas.firms import Firm, Watched, accounts_file
from tests.replicas.proxy import Proxy, proxying
from tests.replicas.watching import command
from tests.web.serving import COMMAND, PATIENCE_SECONDS, Child, Site, child, token

STATE_KEY = "the same on every replica, and 32 characters long"
SOON = [sys.executable, "-m", "tests.replicas.served", "serve", "--http", "--port", "0"]
"""The same server, but for leases of seconds."""


@dataclass
class Cluster:
    """What a test has at hand."""

    directory: Path
    database: PostgreSQL
    finexio: Watched
    proxy: Proxy
    settings: Mapping[str, str]
    command: Sequence[str]
    replicas: dict[str, Child] = field(default_factory=dict[str, Child])
    _sites: dict[str, Site] = field(default_factory=dict[str, Site])
    _names: Any = field(default_factory=lambda: (f"r{number}" for number in itertools.count(1)))
    _running: ExitStack = field(default_factory=ExitStack)

    def start(self, count: int = 1) -> list[str]:
        """Further replicas, at the same time; they get requests as soon as they answer."""
        names = [next(self._names) for _ in range(count)]
        for name in names:
            self.replicas[name] = self._running.enter_context(child(command=self.command, **self.settings))
        for name in names:
            self._sites[name] = _own_site(self.replicas[name])
            self.proxy.put_in(name, self._sites[name].address)
        return names

    def kill(self, name: str) -> None:
        """At once, in the middle of whatever it does; the proxy finds out by itself."""
        process = self.replicas.pop(name).process
        process.kill()
        process.wait(PATIENCE_SECONDS)

    def site(self, name: str | None = None) -> Site:
        """Where clients go; or one replica by itself."""
        if name is not None:
            return self._sites[name]
        return replace(next(iter(self._sites.values())), base_url=self.proxy.url)

    def token(self, access: Access, name: str, account: str) -> str:
        """One of ours, made beside the servers."""
        return token(self.site().settings, access, name=name, account=account)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """What an operator types."""
        return command(self.settings, *arguments)

    def assert_chains_are_whole(self) -> None:
        """By the operator's own commands."""
        for what in ("ledger", "audit"):
            done = self.run(what, "verify")
            assert done.returncode == 0, f"{what}: {done.stdout}{done.stderr}"

    def close(self) -> None:
        self._running.close()


def _own_site(replica: Child) -> Site:
    """Where a replica itself listens; the address that it tells clients is the proxy's."""
    told = replica.site
    found = re.search(r"port (\d+)", replica.said_line("It listens on"))
    assert found
    return replace(told, base_url=f"http://127.0.0.1:{found[1]}")


@contextlib.contextmanager
def cluster(
    directory: Path,
    firms: Iterable[Firm],
    *,
    replicas: int = 2,
    command: Sequence[str] = COMMAND,
    limits: Mapping[str, Mapping[str, Any]] | None = None,
    database: PostgreSQL | None = None,
    **settings: str,
) -> Generator[Cluster]:
    """Everything that it takes; nothing is left of it at the end."""
    firms = list(firms)
    file = accounts_file(directory, firms, limits=limits)
    finexio = Watched(firms)
    with ExitStack() as stack:
        database = database or stack.enter_context(postgresql())
        proxy = stack.enter_context(proxying())
        base_url = stack.enter_context(finexio.listening(day_seconds=86_400))
        usual = {
            "XDG_STATE_HOME": str(directory),
            "FINEXIO_ENVIRONMENT": "simulator",
            "FINEXIO_BASE_URL": base_url,
            "FINEXIO_MCP_ACCOUNTS_FILE": str(file),
            "FINEXIO_MCP_LEDGER_URL": database.url,
            "FINEXIO_MCP_STATE_KEY": STATE_KEY,
            "FINEXIO_MCP_REPLICAS": str(replicas),
            "FINEXIO_MCP_PUBLIC_URL": proxy.url,
            "FINEXIO_MCP_OAUTH_ISSUER": "builtin",
            "FINEXIO_MCP_LOG_FORMAT": "json",
            "FINEXIO_MCP_RATE": "0",
            "FINEXIO_MCP_BATCH_SECONDS": "3",
            "FINEXIO_MCP_WRITE_SECONDS": "3",
            "FINEXIO_MCP_ANSWER_SECONDS": "5",
            "FINEXIO_MCP_LOOK_SECONDS": ",".join(map(str, range(1, 61))),
            **EVERY_TOOL,
        }
        whole = Cluster(directory, database, finexio, proxy, {**usual, **settings}, command)
        stack.callback(whole.close)
        whole.start(replicas)
        yield whole


def eventually(so: Callable[[], Any], *, seconds: float = PATIENCE_SECONDS) -> Any:
    """What a question answers once that is true of something."""
    deadline = time.monotonic() + seconds
    while not (answer := so()):
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.02)
    return answer


OP_ID = re.compile(r"op_[a-z0-9]+")
