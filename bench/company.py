"""The servers of a company: several accounts and callers, one PostgreSQL, and as many replicas as are asked for."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path

from bench.postgresql import Database
from bench.web import WebDriver
from bench.webservers import WebServer, must_refuse, new_token, running

ACCOUNTS = ("north", "south", "east", "west")
CALLERS = 8
STATE_KEY = "the same on every replica, and 32 characters long"


class Company:
    """What all its servers have in common.

    Args:
        base_url: The upstream.
        database: Where submissions, tokens and the audit are.
        state: A directory of this run, for accounts, and for what the servers log.
        further: Settings of the servers.
    """

    def __init__(self, base_url: str, database: Database, state: Path, further: Mapping[str, str]) -> None:
        self.database = database
        self._state = state
        accounts = state / "accounts.toml"
        accounts.write_text("".join(_account(name, state) for name in ACCOUNTS))
        self._settings = {
            "FINEXIO_ENVIRONMENT": "simulator",
            "FINEXIO_BASE_URL": base_url,
            "FINEXIO_MCP_ACCOUNTS_FILE": str(accounts),
            "FINEXIO_MCP_RATE": "0",
            "FINEXIO_MCP_LOG_FORMAT": "json",
            "FINEXIO_MCP_LEDGER_URL": database.url,
            "FINEXIO_MCP_STATE_KEY": STATE_KEY,
            "FINEXIO_MCP_HTTP_PORT": "0",
            "FINEXIO_MCP_REQUIRE_TOKEN": "1",
            **further,
        }
        self._tokens: list[str] = []

    @contextlib.asynccontextmanager
    async def servers(self, count: int) -> AsyncGenerator[list[WebServer]]:
        """So many replicas, each of which knows that there are so many."""
        settings = {**self._settings, "FINEXIO_MCP_REPLICAS": str(count)}
        async with contextlib.AsyncExitStack() as stack:
            found: list[WebServer] = []
            for number in range(1, count + 1):
                log = self._state / f"replica-{number}.log"
                started = running("finexio_mcp", settings, ("serve", "--http"), log)
                pid, address = await stack.enter_async_context(started)
                await must_refuse(address)
                found.append(WebServer(f"replica {number}", pid, WebDriver(address, None)))
            yield found

    async def tokens(self) -> list[str]:
        """One for each caller; the accounts take turns."""
        while len(self._tokens) < CALLERS:
            account = ACCOUNTS[len(self._tokens) % len(ACCOUNTS)]
            self._tokens.append(await new_token(self._settings, account=account))
        return self._tokens


def _account(name: str, state: Path) -> str:
    file = state / f"{name}.password"
    file.write_text(f"password of {name}")
    return f'[accounts.{name}]\nusername = "{name}"\npassword_file = "{file.name}"\n\n'
