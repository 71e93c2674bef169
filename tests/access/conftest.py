"""Books of grants to test with, beside a ledger in a file, in a real PostgreSQL, and for the simulator."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from finexio_mcp.access.book import AccessBook
from finexio_mcp.access.grants import Code, Terms
from finexio_mcp.guards.ledger.place import Place
from finexio_mcp.settings import Access, Settings, load
from tests.guards.ledger.conftest import new_schema
from tests.guards.ledger.conftest import postgresql as postgresql

START_MS = 1_800_000_000_000
MINUTE_MS = 60_000
HOUR_MS = 3_600_000
DAY_MS = 86_400_000
CLIENT = "https://client.example.test/metadata"
READ = Terms(access="read")


class World:
    """A database of grants, and the time."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.ms = START_MS

    def now(self) -> int:
        return self.ms

    @asynccontextmanager
    async def book(self) -> AsyncGenerator[AccessBook]:
        """One process, as it were. Closed by the test itself, which so waits for what is written behind its back."""
        book = AccessBook(self.settings, now=self.now)
        try:
            yield book
        finally:
            await book.aclose()

    @property
    def place(self) -> Place:
        """Where they are kept."""
        return AccessBook(self.settings).place

    @property
    def files(self) -> list[Path]:
        """All that lies where grants are kept, if that is a directory."""
        file = self.place.file
        return sorted(file.parent.iterdir()) if file is not None and file.parent.exists() else []


MakeWorld = Callable[..., World]


def file_world(tmp_path: Path, **more: Any) -> World:
    path = tmp_path / "ledger" / "ledger.db"
    usual = {"FINEXIO_MCP_LEDGER_URL": f"sqlite:///{path}", "FINEXIO_MCP_ALLOW_VOLATILE_LEDGER": True}
    return World(load(**{**usual, **more}))


@pytest.fixture(params=["sqlite", "postgresql", "simulator"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    """Every kind of place that grants are kept in."""
    if request.param == "sqlite":
        return file_world(tmp_path)
    if request.param == "simulator":
        return World(load(FINEXIO_ENVIRONMENT="simulator"))
    url = new_schema(request.getfixturevalue("postgresql"))
    return World(load(FINEXIO_MCP_LEDGER_URL=url, FINEXIO_MCP_STATE_KEY="k" * 32))


@pytest.fixture
def in_file(tmp_path: Path) -> World:
    """A ledger in a file."""
    return file_world(tmp_path)


def asked(access: Access = "pay", *, client_id: str = CLIENT, expires_at_ms: int = START_MS + 10 * MINUTE_MS) -> Code:
    """What a client asks for."""
    return Code(
        client_id=client_id,
        redirect_uri="https://client.example.test/callback",
        redirect_uri_explicit=True,
        code_challenge="c" * 43,
        access=access,
        resource="https://mcp.example.test/mcp",
        expires_at_ms=expires_at_ms,
    )
