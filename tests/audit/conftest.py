"""Audits to test with: beside a ledger in a file, in a real PostgreSQL, and for the simulator."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection
from contextlib import asynccontextmanager, closing
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text

from finexio_mcp.audit.chain import Head
from finexio_mcp.audit.database import open_writer
from finexio_mcp.audit.log import AuditLog
from finexio_mcp.audit.reading import Filter, Verified, reading
from finexio_mcp.audit.store import Store
from finexio_mcp.callers import Caller
from finexio_mcp.calls import Ended
from finexio_mcp.guards.ledger.place import home
from finexio_mcp.settings import Access, Settings, load
from tests.guards.ledger.conftest import new_schema
from tests.guards.ledger.conftest import postgresql as postgresql

START_MS = 1_800_000_000_000
DAY_MS = 86_400_000
PAY, LIST = "finexio_invoices_bulk_create", "list_all_finexio_payments"
PATIENCE_SECONDS = 30

REQUESTS = count(1)


def call(
    tool: str = LIST,
    access: Access = "read",
    *,
    account: str = "default",
    at_ms: int = START_MS,
    name: str = "reports",
    client: str | None = "claude/1.0",
    arguments: dict[str, Any] | None = None,
    outcome: str = "ok",
    ids: tuple[str, ...] = (),
    request_id: str | None = None,
) -> Ended:
    """A call that was answered."""
    return Ended(
        request_id=request_id or f"req_{next(REQUESTS):016x}",
        at=at_ms / 1000,
        duration_seconds=0.012,
        caller=Caller(key=f"token {name}", name=name, origin="token", account=account),
        client=client,
        tool=tool,
        access=access,
        arguments=arguments,
        outcome=outcome,
        failed=outcome not in ("ok", "confirmed"),
        op_id="op_0123456789abcdef" if access != "read" else None,
        ids=ids,
        upstream=1,
        retries=0,
    )


def payment(**more: Any) -> Ended:
    """A batch that was answered."""
    more.setdefault("outcome", "confirmed")
    return call(PAY, "pay", **more)


class World:
    """A database, and the time."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.place = home(settings)
        self.ms = START_MS

    def now(self) -> int:
        return self.ms

    @asynccontextmanager
    async def log(self, *, secrets: Collection[str] = (), **changed: Any) -> AsyncGenerator[AuditLog]:
        """One process, as it were; what it was told is recorded when it is left."""
        log = AuditLog(self.settings.model_copy(update=changed), now=self.now, secrets=lambda: secrets)
        try:
            yield log
        finally:
            await log.aclose()

    async def record(self, *calls: Ended) -> None:
        async with self.log() as log:
            for each in calls:
                await log.ended(each)

    def store(self) -> Store:
        return Store(open_writer(self.place, self.settings), scope=self.place.scope)

    def rows(self, account: str | None = None) -> list[dict[str, Any]]:
        """What is recorded, chain by chain."""
        with reading(self.place) as reader:
            if reader is None:
                return []
            return [dict(row) for head in reader.heads(account) for row in reader.entries(head)]

    def newest(self, limit: int = 100, **chosen: Any) -> list[dict[str, Any]]:
        with reading(self.place) as reader:
            assert reader is not None
            return [dict(row) for row in reader.newest(Filter(**chosen), limit)]

    def heads(self) -> dict[str, Head]:
        with reading(self.place) as reader:
            return {head.account: head for head in reader.heads()} if reader is not None else {}

    def verified(self) -> list[Verified]:
        with reading(self.place) as reader:
            assert reader is not None
            return list(reader.verify())

    def problems(self) -> dict[str, tuple[str, ...]]:
        return {found.head.account: found.problems for found in self.verified()}

    def reader(self) -> Any:
        return reading(self.place)

    def execute(self, *statements: str) -> None:
        """Do something behind the program's back."""
        with closing(self.store()) as store, store._engine.begin() as connection:  # pyright: ignore[reportPrivateUsage]
            for statement in statements:
                connection.execute(text(statement))

    def tamper(self, *statements: str) -> None:
        """Change what is recorded, as somebody can who owns the database: without its guards, which then come back."""
        with closing(self.store()) as store, store._engine.begin() as connection:  # pyright: ignore[reportPrivateUsage]
            guards = _unguard(connection)
            for statement in statements:
                assert connection.execute(text(statement)).rowcount != 0, statement
            for guard in guards:
                connection.exec_driver_sql(guard)


def _unguard(connection: Connection) -> list[str]:
    """Take the guards away; what brings them back."""
    if connection.dialect.name == "sqlite":
        found = connection.exec_driver_sql(
            "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'audit%'"
        ).all()
        for name, _ in found:
            connection.exec_driver_sql(f"DROP TRIGGER {name}")
        return [sql for _, sql in found]
    tables = ("audit_about", "audit_heads", "audit_entries")
    for table in tables:
        connection.exec_driver_sql(f"ALTER TABLE {table} DISABLE TRIGGER USER")
    return [f"ALTER TABLE {table} ENABLE TRIGGER USER" for table in tables]


def file_settings(tmp_path: Path, **more: Any) -> Settings:
    path = tmp_path / "ledger" / "ledger.db"
    usual = {"FINEXIO_MCP_LEDGER_URL": f"sqlite:///{path}", "FINEXIO_MCP_ALLOW_VOLATILE_LEDGER": True}
    return load(**{**usual, **more})


def server_settings(address: str, **more: Any) -> Settings:
    usual = {"FINEXIO_MCP_LEDGER_URL": new_schema(address), "FINEXIO_MCP_STATE_KEY": "k" * 32}
    return load(**{**usual, **more})


@pytest.fixture(params=["sqlite", "postgresql", "simulator"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    """Every kind of place that an audit is kept in."""
    if request.param == "sqlite":
        return World(file_settings(tmp_path))
    if request.param == "simulator":
        return World(load(FINEXIO_ENVIRONMENT="simulator"))
    return World(server_settings(request.getfixturevalue("postgresql")))


@pytest.fixture(params=["sqlite", "postgresql"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    """Both kinds of database."""
    if request.param == "sqlite":
        return World(file_settings(tmp_path))
    return World(server_settings(request.getfixturevalue("postgresql")))


@pytest.fixture
def in_file(tmp_path: Path) -> World:
    """Beside a ledger in a file."""
    return World(file_settings(tmp_path))


@pytest.fixture
def in_server(postgresql: str) -> World:
    """In PostgreSQL."""
    return World(server_settings(postgresql))
