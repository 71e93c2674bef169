"""The tables of the audit, beside those of the ledger and independent of them, and what the database refuses."""

from __future__ import annotations

from collections.abc import Iterator
from secrets import token_hex
from typing import Final, get_args

from sqlalchemy import CheckConstraint, Column, Connection, Index, Integer, MetaData, Table, Text, inspect, select

from finexio_mcp.audit.entries import Kind
from finexio_mcp.guards.ledger.columns import WHOLE, whole, word
from finexio_mcp.guards.ledger.trouble import Unusable

VERSION: Final = 1
"""Of the tables below. Those of another version are left alone."""

METADATA: Final = MetaData()

ABOUT: Final = Table(
    "audit_about",
    METADATA,
    Column("id", WHOLE, CheckConstraint("id = 1"), primary_key=True, autoincrement=False),
    whole("version"),
    # Chains of another database do not fit into this one.
    word("database_id"),
    sqlite_strict=True,
)

HEADS: Final = Table(
    "audit_heads",
    METADATA,
    Column("scope", Text, primary_key=True),
    Column("account", Text, primary_key=True),
    # The newest entry, and what writers lock.
    whole("seq"),
    word("hash"),
    # The oldest entry that is kept, and what it follows.
    whole("first_seq"),
    word("before_first"),
    sqlite_strict=True,
)
"""A row for each chain: an account of one Finexio."""

_KINDS: Final = ", ".join(f"'{kind}'" for kind in get_args(Kind))

ENTRIES: Final = Table(
    "audit_entries",
    METADATA,
    Column("scope", Text, primary_key=True),
    Column("account", Text, primary_key=True),
    Column("seq", WHOLE, primary_key=True, autoincrement=False),
    whole("at_ms"),
    word("request_id"),
    word("caller_key"),
    word("caller_name"),
    word("origin"),
    word("client", null=True),
    word("tool"),
    word("access"),
    word("arguments"),
    word("outcome"),
    Column("failed", Integer, CheckConstraint("failed IN (0, 1)"), nullable=False),
    word("op_id", null=True),
    word("ids"),
    whole("upstream"),
    whole("duration_ms"),
    Column("kind", Text, CheckConstraint(f"kind IN ({_KINDS})"), nullable=False),
    word("hash"),
    sqlite_strict=True,
)

INDEXES: Final = (Index("audit_entries_at", ENTRIES.c.scope, ENTRIES.c.at_ms),)

COLUMNS: Final = tuple(column.name for column in ENTRIES.c)

# What the database refuses, beside what verifying notices: neither keeps an owner of the database from anything, but
# no slip of a program or a person gets past. Entries begin where the chain ends; they go only when the head says that
# the chain begins later, and the head says so only together with an entry that tells of it.
_BEGINS: Final = "NEW.seq <> 0 OR NEW.first_seq <> 1 OR NEW.before_first <> NEW.hash"
_GOES_BACK: Final = """OLD.scope <> NEW.scope OR OLD.account <> NEW.account OR NEW.seq < OLD.seq
    OR NEW.first_seq < OLD.first_seq
    OR ((NEW.first_seq <> OLD.first_seq OR NEW.before_first <> OLD.before_first) AND NOT EXISTS (
        SELECT 1 FROM audit_entries
        WHERE scope = NEW.scope AND account = NEW.account AND seq = NEW.seq AND kind = 'retention'))"""
_NOT_THE_END: Final = """NEW.seq <= coalesce((
    SELECT seq FROM audit_heads WHERE scope = NEW.scope AND account = NEW.account), 0)"""
_KEPT: Final = """OLD.seq >= coalesce((
    SELECT first_seq FROM audit_heads WHERE scope = OLD.scope AND account = OLD.account), 0)"""

_REFUSED: Final = (
    ("audit_about", "stay", "DELETE", None),
    ("audit_about", "fixed", "UPDATE", None),
    ("audit_heads", "stay", "DELETE", None),
    ("audit_heads", "begin", "INSERT", _BEGINS),
    ("audit_heads", "forward", "UPDATE", _GOES_BACK),
    ("audit_entries", "fixed", "UPDATE", None),
    ("audit_entries", "append", "INSERT", _NOT_THE_END),
    ("audit_entries", "stay", "DELETE", _KEPT),
)
"""Table, name, statement, and the condition under which it is refused; none: always."""

TRIGGERS: Final = frozenset(f"{table}_{name}" for table, name, _, _ in _REFUSED)

_SQLITE: Final = """CREATE TRIGGER {table}_{name} BEFORE {statement} ON {table}
BEGIN SELECT RAISE(ABORT, 'refused by {table}_{name}') WHERE {condition}; END"""

# A trigger's own condition may hold no query there, so each has a function.
_POSTGRESQL: Final = (
    """CREATE FUNCTION {table}_{name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF {condition} THEN
        RAISE EXCEPTION USING MESSAGE = 'refused by ' || TG_NAME, ERRCODE = 'restrict_violation';
    END IF;
    RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
END $$""",
    "CREATE TRIGGER {table}_{name} BEFORE {statement} ON {table} FOR EACH ROW EXECUTE FUNCTION {table}_{name}()",
)
_POSTGRESQL_TRUNCATE: Final = (
    """CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION USING MESSAGE = 'refused by ' || TG_NAME, ERRCODE = 'restrict_violation'; END $$""",
    *(
        f"CREATE TRIGGER {table}_truncate BEFORE TRUNCATE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()"
        for table in METADATA.tables
    ),
)


def _rules(dialect: str) -> Iterator[str]:
    sqlite = dialect == "sqlite"
    for table, name, statement, condition in _REFUSED:
        always = "1" if sqlite else "true"
        for form in (_SQLITE,) if sqlite else _POSTGRESQL:
            yield form.format(table=table, name=name, statement=statement, condition=condition or always)
    yield from () if sqlite else _POSTGRESQL_TRUNCATE


def build(connection: Connection) -> None:
    """Make the tables, in the transaction that is open."""
    METADATA.create_all(connection, checkfirst=False)
    for rule in _rules(connection.dialect.name):
        connection.exec_driver_sql(rule)
    connection.execute(ABOUT.insert().values(id=1, version=VERSION, database_id=token_hex(16)))


def database_id(connection: Connection) -> str | None:
    """By what the chains of this database are told from those of others; `None` where there are no tables.

    Raises:
        Unusable: They are there, but not as this version knows them.
    """
    if not inspect(connection).has_table(ABOUT.name):
        return None
    about = connection.execute(select(ABOUT.c.version, ABOUT.c.database_id)).one_or_none()
    if about is None or about.version != VERSION:
        raise Unusable("damaged" if about is None else "unknown_version")
    return about.database_id


def missing_guards(connection: Connection) -> list[str]:
    """Triggers that somebody took away or turned off."""
    if connection.dialect.name == "sqlite":
        names = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'trigger'")
    else:
        names = connection.exec_driver_sql(
            "SELECT tgname FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid "
            "WHERE relnamespace = current_schema()::regnamespace AND tgenabled <> 'D'"
        )
    return sorted(TRIGGERS - set(names.scalars()))
