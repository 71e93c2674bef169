"""What a failing ledger tells the operator: real failures, in our words only."""

from __future__ import annotations

import errno
import re
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
import sqlalchemy
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.exc import DBAPIError

from finexio_mcp import settings
from finexio_mcp.guards.ledger.trouble import ADVICE, KINDS, Kind, Unusable, explain

SECRET = "s3cr3t-Passw0rd"


def failure(act: Callable[[], object]) -> Exception:
    """The exception that an act really ends in."""
    with pytest.raises(Exception) as caught:  # noqa: PT011  (which one is what the test is about)
        act()
    return caught.value


def wrapped(url: str, statement: str = "SELECT 1") -> Exception:
    """What SQLAlchemy makes of a driver's failure."""

    def ask() -> None:
        with sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool).connect() as connection:
            connection.exec_driver_sql(statement)

    return failure(ask)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A small database of no particular purpose."""
    file = tmp_path / "some.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript("CREATE TABLE t (a INTEGER UNIQUE CHECK (a < 100)); INSERT INTO t VALUES (1);")
    return file


@pytest.fixture
def opened(database: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(database, timeout=0, isolation_level=None)) as connection:
        yield connection


# What is said ----------------------------------------------------------------------


def test_every_kind_comes_with_advice() -> None:
    """Ours: an operator is never left with a code alone."""
    assert set(ADVICE) == set(KINDS)
    assert all(str(Unusable(kind)) == Unusable(kind).advice == ADVICE[kind] for kind in KINDS)


def test_advice_may_be_more_precise_than_the_kind() -> None:
    """Ours: who knows the path may name it."""
    assert Unusable("full", "The disk under /data is full.").advice == "The disk under /data is full."


@pytest.mark.parametrize("kind", KINDS)
def test_advice_is_whole_sentences_that_name_only_settings_that_exist(kind: Kind) -> None:
    """Ours: what an operator is told to set has an effect."""
    named = set(re.findall(r"FINEXIO_[A-Z_]+", ADVICE[kind]))

    assert re.fullmatch(r"[A-Z].*[^.]\.", ADVICE[kind])
    assert named <= set(settings.NAMES.values())


def test_nobody_is_told_to_delete_a_ledger() -> None:
    """Ours: what a ledger knows would be paid twice without it."""
    told = [advice for advice in ADVICE.values() if re.search(r"\bdelete\b", advice)]

    assert told
    assert all("never delete" in advice for advice in told)


@given(st.text(min_size=8), st.sampled_from([sqlite3.OperationalError, psycopg.OperationalError, OSError, ValueError]))
def test_nothing_of_a_foreign_text_is_passed_on(text: str, kind: type[Exception]) -> None:
    """Ours: a driver's words may hold paths, statements, values and passwords."""
    trouble = explain(kind(text))

    assert trouble.advice == ADVICE[trouble.kind]
    assert trouble.args == (trouble.advice,)
    assert trouble.__cause__ is None


# SQLite ----------------------------------------------------------------------------


def test_a_write_to_what_is_opened_for_reading_is_read_only(database: Path) -> None:
    """Ours: as SQLite tells it."""
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        error = failure(lambda: connection.execute("INSERT INTO t VALUES (2)"))

    assert explain(error).kind == "read_only"


def test_a_lock_that_somebody_else_holds_is_locked(database: Path, opened: sqlite3.Connection) -> None:
    """Ours: the only trouble with a file that passes by itself."""
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")

        assert explain(failure(lambda: opened.execute("BEGIN IMMEDIATE"))).kind == "locked"


def test_no_room_is_full(opened: sqlite3.Connection) -> None:
    """Ours: SQLite's own bound on pages ends like a full disk."""
    opened.execute("PRAGMA max_page_count = 3")

    error = failure(lambda: opened.execute("CREATE TABLE wide AS SELECT randomblob(100000) AS b"))

    assert explain(error).kind == "full"


@pytest.mark.parametrize(
    "content", [b"no database " * 1000, b"SQLite format 3\0" + b"\xff" * 5000], ids=["text", "cut"]
)
def test_what_is_no_database_is_damaged(tmp_path: Path, content: bytes) -> None:
    """Ours: a file that holds something else is no reason to start another."""
    file = tmp_path / "ledger.db"
    file.write_bytes(content)

    assert explain(wrapped(f"sqlite:///{file}", "SELECT * FROM sqlite_master")).kind == "damaged"
    assert file.read_bytes() == content


def test_a_missing_table_is_damage(opened: sqlite3.Connection) -> None:
    """Ours: tables were checked when the ledger was opened."""
    assert explain(failure(lambda: opened.execute("SELECT * FROM nowhere"))).kind == "damaged"


@pytest.mark.parametrize("value", ["1", "100"], ids=["unique", "check"])
def test_a_broken_rule_is_inconsistent(database: Path, value: str) -> None:
    """Ours: the rules of the database stop a mistake of ours, or somebody else's hand."""
    error = wrapped(f"sqlite:///{database}", f"INSERT INTO t VALUES ({value})")

    assert explain(error).kind == "inconsistent"


def test_a_file_that_cannot_be_opened_is_told_from_one_that_is_gone(tmp_path: Path) -> None:
    """Ours: SQLite has one code for both, and advice differs."""
    here, gone = tmp_path / "directory.db", tmp_path / "gone.db"
    here.mkdir()

    def open_it(file: Path) -> Exception:
        return failure(lambda: sqlite3.connect(f"{file.as_uri()}?mode=rw", uri=True))

    assert explain(open_it(here), file=here).kind == "permission"
    assert explain(open_it(gone), file=gone).kind == "missing_file"
    assert not gone.exists()


def test_a_file_taken_away_while_it_is_open_is_replaced(database: Path) -> None:
    """Ours: a write to a file without a name would be lost with the process."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("SELECT * FROM t").fetchall()
        database.rename(database.with_name("elsewhere.db"))
        error = failure(lambda: connection.execute("INSERT INTO t VALUES (2)"))

    assert explain(error, file=database).kind == "replaced"


def test_text_that_is_no_text_is_damage(opened: sqlite3.Connection) -> None:
    """Ours: a page that was overwritten may still be a valid page."""
    error = failure(lambda: opened.execute("SELECT CAST(x'ff' AS TEXT)").fetchall())

    assert explain(error).kind == "damaged"


def _sqlite_error(code: int) -> sqlite3.Error:
    error = sqlite3.OperationalError(SECRET)
    error.sqlite_errorcode = code
    return error


@given(st.integers(min_value=1, max_value=2**31 - 1))
def test_every_code_of_sqlite_means_something(code: int) -> None:
    """Ours: what is unknown is an error too, never fine."""
    assert explain(_sqlite_error(code)).kind in KINDS


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("SQLITE_IOERR_WRITE", "io_error"),
        ("SQLITE_IOERR_FSYNC", "io_error"),
        ("SQLITE_IOERR_LOCK", "io_error"),
        ("SQLITE_BUSY_SNAPSHOT", "locked"),
        ("SQLITE_LOCKED_SHAREDCACHE", "locked"),
        ("SQLITE_CORRUPT_INDEX", "damaged"),
        ("SQLITE_READONLY_DIRECTORY", "read_only"),
        ("SQLITE_READONLY_DBMOVED", "replaced"),
        ("SQLITE_CONSTRAINT_TRIGGER", "inconsistent"),
        ("SQLITE_NOMEM", "io_error"),
        ("SQLITE_CANTOPEN_SYMLINK", "permission"),
    ],
)
def test_extended_codes_are_read_too(name: str, kind: Kind) -> None:
    """Ours: SQLite says more than its first eight bits."""
    assert explain(_sqlite_error(getattr(sqlite3, name))).kind == kind


# PostgreSQL ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("53100", "full"),
        ("53300", "unreachable"),
        ("25006", "read_only"),
        ("40001", "locked"),
        ("40P01", "locked"),
        ("55P03", "locked"),
        ("57014", "locked"),
        ("57P01", "unreachable"),
        ("57P03", "unreachable"),
        ("08006", "unreachable"),
        ("28P01", "auth"),
        ("28000", "auth"),
        ("3D000", "no_database"),
        ("42501", "permission"),
        ("42P01", "damaged"),
        ("XX001", "damaged"),
        ("58030", "io_error"),
        ("23001", "inconsistent"),
        ("23505", "inconsistent"),
        ("P0001", "inconsistent"),
        ("42601", "io_error"),
    ],
)
def test_codes_of_postgresql_are_read(state: str, kind: Kind) -> None:
    """Ours: by the code, which no language changes."""
    error = psycopg.errors.lookup(state)(SECRET)

    assert explain(error).kind == kind
    assert explain(DBAPIError("SELECT 1", {}, error)).kind == kind


def test_a_server_that_does_not_listen_is_unreachable() -> None:
    """Ours: and the password in the address is not repeated, though the driver's exception holds it."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        error = wrapped(f"postgresql+psycopg://ledger:{SECRET}@127.0.0.1:{port}/ledger?connect_timeout=2")

    trouble = explain(error)

    assert trouble.kind == "unreachable"
    assert SECRET not in repr(trouble) + trouble.advice


def test_a_server_that_speaks_no_tls_is_not_talked_to_without() -> None:
    """Ours: a real peer that answers the request for TLS with no."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def refuse() -> None:
            peer, _ = listening.accept()
            with peer:
                peer.recv(8)
                peer.sendall(b"N")

        answering = threading.Thread(target=refuse)
        answering.start()
        port = listening.getsockname()[1]
        error = failure(lambda: psycopg.connect(f"host=127.0.0.1 port={port} sslmode=require connect_timeout=5"))
        answering.join(timeout=5)

    assert explain(error).kind == "tls"


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ('FATAL:  password authentication failed for user "ledger"', "auth"),
        ("fe_sendauth: no password supplied", "auth"),
        ('FATAL:  no pg_hba.conf entry for host "10.0.0.1", user "x", database "y", no encryption', "auth"),
        ('FATAL:  role "ledger" does not exist', "auth"),
        ('FATAL:  database "ledger" does not exist', "no_database"),
        ("server does not support SSL, but SSL was required", "tls"),
        ("SSL error: certificate verify failed", "tls"),
        ('root certificate file "/root.crt" does not exist', "tls"),
        ('server certificate for "a" does not match host name "b"', "tls"),
        ("FATAL:  sorry, too many clients already", "unreachable"),
        ("FATAL:  the database system is starting up", "unreachable"),
        ('could not translate host name "ssl.example.com" to address', "unreachable"),
        ("connection timeout expired", "unreachable"),
        ("session is read-only", "read_only"),
        ('invalid connection option "sslmod"', "misconfigured"),
    ],
)
def test_what_is_said_while_connecting_is_understood(said: str, kind: Kind) -> None:
    """Ours: before there is a connection the driver hands on words, and no code."""
    assert explain(psycopg.OperationalError(f"connection failed: {said} {SECRET}")).kind == kind


@pytest.mark.parametrize(
    ("act", "kind"),
    [
        (("SELECT * FROM nowhere",), "damaged"),
        (("SET TRANSACTION READ ONLY", "CREATE TABLE here (id INTEGER)"), "read_only"),
        (("CREATE ROLE nobody_here", "SET ROLE nobody_here", "SELECT * FROM pg_authid"), "permission"),
        (("SET statement_timeout = 1", "SELECT pg_sleep(5)"), "locked"),
        (("SELECT pg_terminate_backend(pg_backend_pid())", "SELECT 1"), "unreachable"),
        (("SELECT 1 / 0",), "inconsistent"),
    ],
    ids=["table", "read_only", "permission", "timeout", "terminated", "data"],
)
def test_failures_of_a_real_server_are_read(act: tuple[str, ...], kind: Kind, postgresql: str) -> None:
    """Ours: as the driver hands them on, through SQLAlchemy."""
    engine = sqlalchemy.create_engine(postgresql, poolclass=sqlalchemy.NullPool)

    def ask() -> None:
        with engine.connect() as connection:
            for statement in act:
                connection.exec_driver_sql(statement)

    assert explain(failure(ask)).kind == kind


@pytest.mark.parametrize(
    ("part", "instead", "kind"), [("/postgres?", "/nosuch?", "no_database"), ("//postgres@", "//nosuch@", "auth")]
)
def test_what_a_real_server_says_while_connecting_is_understood(
    part: str, instead: str, kind: Kind, postgresql: str
) -> None:
    """Ours: the words are the server's."""
    assert part in postgresql

    assert explain(wrapped(postgresql.replace(part, instead))).kind == kind


def test_a_driver_that_is_not_installed_is_named() -> None:
    """Ours: PostgreSQL is an extra."""
    trouble = explain(ModuleNotFoundError("No module named 'psycopg'"))

    assert trouble.kind == "no_driver"
    assert "finexio-mcp[postgres]" in trouble.advice


def test_an_address_that_is_none_is_misconfigured() -> None:
    """Ours: SQLAlchemy refuses it before any driver sees it."""
    assert explain(wrapped(f"{SECRET} is no address")).kind == "misconfigured"
    assert explain(wrapped(f"nosuch://u:{SECRET}@h/d")).kind == "misconfigured"


def test_waiting_in_vain_for_a_connection_is_locked(postgresql: str) -> None:
    """Ours: the pool is SQLAlchemy's, and so is its error."""
    engine = sqlalchemy.create_engine(postgresql, pool_size=1, max_overflow=0, pool_timeout=0.01)
    with engine.connect():
        error = failure(engine.connect)
    engine.dispose()

    assert explain(error).kind == "locked"


# The operating system --------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (errno.ENOSPC, "full"),
        (errno.EDQUOT, "full"),
        (errno.EROFS, "read_only"),
        (errno.EACCES, "permission"),
        (errno.EPERM, "permission"),
        (errno.EIO, "io_error"),
        (errno.ENOENT, "missing_file"),
        (errno.ELOOP, "misconfigured"),
        (errno.ECONNREFUSED, "unreachable"),
        (errno.ETIMEDOUT, "unreachable"),
        (errno.EAGAIN, "locked"),
        (errno.EMFILE, "io_error"),
    ],
)
def test_errors_of_the_system_are_read(code: int, kind: Kind) -> None:
    """Ours: by number; their texts hold paths."""
    assert explain(OSError(code, SECRET, f"/home/{SECRET}")).kind == kind


@pytest.mark.parametrize("error", [Exception(SECRET), ValueError(SECRET), OSError(SECRET), sqlite3.Error(SECRET)])
def test_what_is_unknown_is_never_fine(error: Exception) -> None:
    """Ours: nothing is sent when nobody knows what the ledger meant."""
    assert explain(error).kind == "io_error"


def test_a_cause_is_found_under_what_wraps_it() -> None:
    """Ours: however deep, and even if the causes go round in a circle."""
    inner, outer = OSError(errno.ENOSPC, "no room"), ValueError("outer")
    outer.__cause__ = inner
    inner.__cause__ = outer
    circle = ValueError("circle")
    circle.__cause__ = circle
    known = Unusable("volatile")
    wrapping = ValueError("wrapping")
    wrapping.__cause__ = known

    assert explain(outer).kind == "full"
    assert explain(circle).kind == "io_error"
    assert explain(wrapping) is known
