"""What keeps the ledger from being used, and what an operator should then do, only ever in our words."""

from __future__ import annotations

import errno
import re
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal, get_args

Kind = Literal[
    "full",
    "read_only",
    "io_error",
    "locked",
    "damaged",
    "not_ours",
    "unknown_version",
    "inconsistent",
    "missing_key",
    "missing_file",
    "wrong_key",
    "replaced",
    "volatile",
    "permission",
    "misconfigured",
    "no_driver",
    "unreachable",
    "tls",
    "auth",
    "no_database",
    "not_synchronous",
]
KINDS: tuple[Kind, ...] = get_args(Kind)

ADVICE: Mapping[Kind, str] = {
    "full": "The file system of the ledger is full. Free space or raise the quota there; writes then work again.",
    "read_only": (
        "The ledger cannot be written, it can only be read. Make its directory writable for the server's user "
        "(mount it read-write, remove write protection); with PostgreSQL point FINEXIO_MCP_LEDGER_URL at the primary."
    ),
    "io_error": (
        "Reading or writing the ledger failed. Check the disk and the system's log; move the ledger only as a whole "
        "directory, with the server stopped."
    ),
    "locked": (
        "Another process holds the ledger and did not let go in time. Wait and repeat the call; if it stays, end the "
        "program that has the ledger open (a backup, a database browser, a hung server)."
    ),
    "damaged": (
        "The ledger is damaged. Keep the file as evidence, never delete it, stop the server and restore the newest "
        "backup; then compare what it lacks with Finexio before writes go on."
    ),
    "not_ours": (
        "What lies at the ledger's place is another program's database, and it was left as it is. Move it away, or "
        "point FINEXIO_MCP_LEDGER_URL to a place of the ledger's own."
    ),
    "unknown_version": (
        "A newer version of finexio-mcp wrote the ledger. Upgrade this server to that version; the ledger was left as "
        "it is."
    ),
    "inconsistent": (
        "The ledger refused an entry that breaks its own rules. Nothing was recorded. Run `finexio-mcp ledger verify`, "
        "keep the ledger as it is and report what it prints."
    ),
    "missing_key": (
        "The ledger is there, but its key `ledger.key` is not, so what was submitted cannot be recognised. Restore the "
        "key from the backup that the ledger belongs to; a new one would not fit."
    ),
    "missing_file": (
        "The ledger was removed: its key `ledger.key` is there, the ledger is not. Restore it from a backup. Only if "
        "it is certain that nothing sent through it is in doubt, and that no call is repeated, remove the key too: the "
        "next write starts afresh and knows nothing of what was paid."
    ),
    "wrong_key": (
        "The key is not the one that belongs to this ledger, or none that can be used. Restore the one that the ledger "
        "was started with (with PostgreSQL the same FINEXIO_MCP_STATE_KEY on every host); another one would not "
        "recognise what was submitted."
    ),
    "replaced": (
        "The ledger was moved, removed or replaced while this server used it. Put the right one back, then restart "
        "the server."
    ),
    "volatile": (
        "The ledger would lie on a file system that may lose it or cannot lock it. Set FINEXIO_MCP_LEDGER_URL to a "
        "local disk or to PostgreSQL; or, if losing it is acceptable, set FINEXIO_MCP_ALLOW_VOLATILE_LEDGER=1."
    ),
    "permission": (
        "The server's user may not use the ledger. Give that user the ledger's directory, readable and writable for it "
        "alone; with PostgreSQL grant its role what it needs."
    ),
    "misconfigured": (
        "FINEXIO_MCP_LEDGER_URL cannot be used. Allowed: postgresql://user:password@host/database, or "
        "sqlite:////absolute/path/ledger.db. Unset, the ledger is a file in the user's state directory."
    ),
    "no_driver": "What speaks to PostgreSQL is not installed. Install finexio-mcp[postgres].",
    "unreachable": (
        "The PostgreSQL server of the ledger cannot be reached. Check that it runs and accepts connections, the host "
        "and port in FINEXIO_MCP_LEDGER_URL, and the network between."
    ),
    "tls": (
        "No trusted TLS connection to the PostgreSQL server of the ledger. Check sslmode and sslrootcert in "
        "FINEXIO_MCP_LEDGER_URL, and the server's certificate."
    ),
    "auth": (
        "PostgreSQL does not let this user in. Check user and password in FINEXIO_MCP_LEDGER_URL, and the server's "
        "pg_hba.conf."
    ),
    "no_database": "PostgreSQL has no database of that name. Create it, or correct it in FINEXIO_MCP_LEDGER_URL.",
    "not_synchronous": (
        "PostgreSQL runs with synchronous_commit or fsync off, so it may forget what it confirmed. Set both to on; "
        "synchronous_commit can be set for this database or role alone."
    ),
}
"""What is so, and what to do. Each ends up before operators and models, so none holds a value."""

PASSING: frozenset[Kind] = frozenset({"full", "locked", "unreachable"})
"""Kinds that may be over by the next try without anybody touching the ledger."""


class Unusable(Exception):
    """The ledger cannot be used, so nothing may be sent.

    Args:
        kind: What is so, for programs.
        advice: What an operator should do; without it, what `ADVICE` says about the kind.
    """

    def __init__(self, kind: Kind, advice: str | None = None) -> None:
        self.kind: Kind = kind
        self.advice = advice or ADVICE[kind]
        super().__init__(self.advice)


FOREIGN = frozenset({"sqlalchemy", "sqlite3", "psycopg"})


def is_foreign(error: BaseException) -> bool:
    """Whether an exception speaks of the database or its driver, not of a mistake of ours."""
    return type(error).__module__.partition(".")[0] in FOREIGN or isinstance(error, OSError | ImportError)


def explain(error: BaseException, *, file: Path | None = None) -> Unusable:
    """What a failure of the ledger means.

    Raise the result `from None`: a driver's exception holds the connection, password included.

    Args:
        error: What was raised, SQLAlchemy's wrapping or not.
        file: The ledger's file, if it is one: some errors say only that it cannot be opened.
    """
    for cause in _causes(error):
        if isinstance(cause, Unusable):
            return cause
        kind = _kind_of(cause)
        if kind is not None:
            return Unusable(_seen_on_disk(kind, cause, file))
    return Unusable("io_error")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        inner = getattr(error, "orig", None)
        error = inner if isinstance(inner, BaseException) else error.__cause__


def _kind_of(error: BaseException) -> Kind | None:
    code, state = getattr(error, "sqlite_errorcode", None), getattr(error, "sqlstate", None)
    if isinstance(code, int):
        return _of_sqlite(code)
    if isinstance(state, str):
        return _of_postgres(state)
    if isinstance(error, OSError):
        return _of_system(error)
    if isinstance(error, ImportError):
        return "no_driver"
    return _of_class(error)


# SQLite --------------------------------------------------------------------------

SQLITE_EXTENDED: Mapping[int, Kind] = {
    sqlite3.SQLITE_READONLY_DBMOVED: "replaced",
    # SQLITE_IOERR_CORRUPTFS, which older builds of the module do not name.
    sqlite3.SQLITE_IOERR | 33 << 8: "damaged",
    sqlite3.SQLITE_IOERR_AUTH: "permission",
    sqlite3.SQLITE_IOERR_ACCESS: "permission",
}
SQLITE_PRIMARY: Mapping[int, Kind] = {
    # No such table or column: not the ledger that was checked when it was opened.
    sqlite3.SQLITE_ERROR: "damaged",
    sqlite3.SQLITE_PERM: "permission",
    sqlite3.SQLITE_AUTH: "permission",
    sqlite3.SQLITE_BUSY: "locked",
    sqlite3.SQLITE_LOCKED: "locked",
    sqlite3.SQLITE_PROTOCOL: "locked",
    sqlite3.SQLITE_READONLY: "read_only",
    sqlite3.SQLITE_IOERR: "io_error",
    sqlite3.SQLITE_CANTOPEN: "permission",
    sqlite3.SQLITE_CORRUPT: "damaged",
    sqlite3.SQLITE_NOTADB: "damaged",
    sqlite3.SQLITE_FORMAT: "damaged",
    sqlite3.SQLITE_SCHEMA: "damaged",
    sqlite3.SQLITE_EMPTY: "damaged",
    sqlite3.SQLITE_FULL: "full",
    sqlite3.SQLITE_CONSTRAINT: "inconsistent",
    sqlite3.SQLITE_MISMATCH: "inconsistent",
}


def _of_sqlite(code: int) -> Kind:
    return SQLITE_EXTENDED.get(code) or SQLITE_PRIMARY.get(code & 0xFF, "io_error")


def _seen_on_disk(kind: Kind, error: BaseException, file: Path | None) -> Kind:
    """SQLite cannot tell a file that is gone from one that it may not open."""
    code = getattr(error, "sqlite_errorcode", None)
    if file is None or not isinstance(code, int):
        return kind
    try:
        gone = not file.exists()
    except OSError:
        return kind
    if gone and code & 0xFF in {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR}:
        return "replaced" if code == sqlite3.SQLITE_READONLY_DBMOVED else "missing_file"
    return kind


# PostgreSQL ----------------------------------------------------------------------

POSTGRES: Mapping[str, Kind] = {
    "53100": "full",
    "53300": "unreachable",
    "53200": "io_error",
    "25006": "read_only",
    "40001": "locked",
    "40P01": "locked",
    "55P03": "locked",
    "57014": "locked",
    "25P03": "locked",
    "25P04": "locked",
    "3D000": "no_database",
    "42501": "permission",
    "42P01": "damaged",
    "42703": "damaged",
    "3F000": "damaged",
    "58030": "io_error",
    "58P01": "damaged",
    "58P02": "damaged",
    "P0001": "inconsistent",
}
POSTGRES_CLASSES: Mapping[str, Kind] = {
    "08": "unreachable",
    "57": "unreachable",
    "28": "auth",
    "22": "inconsistent",
    "23": "inconsistent",
    "55": "locked",
    "XX": "damaged",
}


def _of_postgres(state: str) -> Kind:
    return POSTGRES.get(state) or POSTGRES_CLASSES.get(state[:2], "io_error")


# While connecting, the driver hands on no code, only libpq's words (or the server's, in its language). They are read
# here, and go no further. In this order: a refusal by pg_hba.conf mentions encryption too.
SAID_WHILE_CONNECTING: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    ("unreachable", re.compile(r"connection slots|too many (clients|connections)|starting up|shutting down")),
    ("auth", re.compile(r'pg_hba\.conf|authentication failed|no password supplied|role ".*" (does not exist|is not)')),
    ("auth", re.compile(r"authentication method|channel binding|SCRAM|SASL")),
    ("no_database", re.compile(r'database ".*" does not exist')),
    ("misconfigured", re.compile(r'invalid (connection option|sslmode|port number|integer value)|missing "="')),
    ("read_only", re.compile(r"session is read-only|server is in hot standby")),
    ("tls", re.compile(r"certificate|SSL (error|SYSCALL|was required|negotiation)|not support SSL|private key file")),
)


def _of_words(said: str) -> Kind:
    for kind, pattern in SAID_WHILE_CONNECTING:
        if pattern.search(said):
            return kind
    return "unreachable"


def _of_class(error: BaseException) -> Kind | None:
    """What only the class tells, by name: neither SQLAlchemy nor a driver need be there."""
    module, name = type(error).__module__.split(".")[0], type(error).__name__
    if module == "psycopg" and name in {"OperationalError", "ConnectionTimeout"}:
        return _of_words(str(error))
    if module == "sqlalchemy" and name in {"ArgumentError", "NoSuchModuleError"}:
        return "misconfigured"
    if module == "sqlalchemy" and name == "TimeoutError":
        return "locked"
    if module == "sqlite3" and name in {"DataError", "IntegrityError"}:
        return "inconsistent"
    if module == "sqlite3" and (name == "DatabaseError" or "decode" in str(error)):
        # A text in the file that is no text comes without a code.
        return "damaged"
    return None


# The operating system --------------------------------------------------------------

SYSTEM: Mapping[int, Kind] = {
    errno.ENOSPC: "full",
    errno.EDQUOT: "full",
    errno.EROFS: "read_only",
    errno.EACCES: "permission",
    errno.EPERM: "permission",
    errno.ENOENT: "missing_file",
    errno.ENOTDIR: "misconfigured",
    errno.EISDIR: "misconfigured",
    errno.ELOOP: "misconfigured",
    errno.ENAMETOOLONG: "misconfigured",
    errno.EAGAIN: "locked",
    errno.EBUSY: "locked",
    errno.EDEADLK: "locked",
    errno.ESTALE: "replaced",
    errno.ECONNREFUSED: "unreachable",
    errno.ECONNRESET: "unreachable",
    errno.ECONNABORTED: "unreachable",
    errno.EHOSTUNREACH: "unreachable",
    errno.ENETUNREACH: "unreachable",
    errno.EPIPE: "unreachable",
    errno.ETIMEDOUT: "unreachable",
}


def _of_system(error: OSError) -> Kind:
    if isinstance(error, TimeoutError | ConnectionError):
        return "unreachable"
    # A name that cannot be resolved has a number of its own, which may coincide with an errno.
    if type(error).__name__ in {"gaierror", "herror"}:
        return "unreachable"
    return SYSTEM.get(error.errno or 0, "io_error")
