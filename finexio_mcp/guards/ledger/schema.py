"""The ledger's tables, and the rules that the database itself holds them to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from sqlalchemy import (
    CheckConstraint,
    Column,
    ColumnElement,
    Computed,
    Connection,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    TextClause,
    UniqueConstraint,
    literal_column,
    text,
)

from finexio_mcp.guards.ledger.columns import WHOLE, whole, word
from finexio_mcp.guards.ledger.states import LIVE, MOVES, OPEN, State

VERSION: Final = 1
"""Of the tables below. A ledger of another version is left alone."""

METADATA: Final = MetaData()


def _listed(words: Iterable[str]) -> str:
    return ", ".join(f"'{word}'" for word in sorted(words))


def _flag(name: str) -> Column[int]:
    return Column(name, Integer, CheckConstraint(f"{name} IN (0, 1)"), nullable=False)


FIXED: Final = (
    word("scope"),
    word("op_id"),
    whole("position"),
    word("effect"),
    word("tool"),
    word("identity"),
    whole("generation"),
    whole("claimed_at_ms"),
    _flag("doubtful_before"),
    whole("earlier_sent_at_ms", null=True),
    word("buyer", null=True),
    word("supplier", null=True),
    word("number", null=True),
    word("number_key", null=True),
    word("near_number", null=True),
    whole("amount_cents", null=True),
    word("currency", null=True),
    word("invoice_date", null=True),
    whole("discount_cents", null=True),
    word("change", null=True),
)
"""What a submission is. It never changes, and its digest stands in the submission's first event."""

OUTCOME: Final = (
    word("reason", null=True),
    whole("http_status", null=True),
    word("finexio_id", null=True),
    _flag("by_operator"),
    whole("sent_at_ms", null=True),
    whole("settled_at_ms", null=True),
)
"""What came of it. It changes only together with the state, so an event tells of every change."""

CARE: Final = (
    word("owner", null=True),
    whole("lease_until_ms"),
    whole("looks"),
    whole("next_look_at_ms", null=True),
    whole("absent_since_ms", null=True),
)
"""Who sees to it, and when."""

_BLOCKING: Final = f"""CASE WHEN superseded = 0 AND (
    state IN ({_listed(OPEN)}) OR (effect = 'pay' AND state IN ({_listed(LIVE["pay"])}))
) THEN 1 ELSE 0 END"""

SUBMISSIONS: Final = Table(
    "submissions",
    METADATA,
    Column("id", WHOLE, primary_key=True),
    *FIXED,
    Column("state", Text, CheckConstraint(f"state IN ({_listed(State)})"), nullable=False),
    *OUTCOME,
    *CARE,
    _flag("superseded"),
    Column("live", Integer, Computed(_BLOCKING, persisted=True), nullable=False),
    CheckConstraint(f"effect IN ({_listed(LIVE)})"),
    UniqueConstraint("op_id", "position"),
    sqlite_strict=True,
)

EVENTS: Final = Table(
    "events",
    METADATA,
    Column("seq", WHOLE, primary_key=True, autoincrement=False),
    Column("submission_id", WHOLE, ForeignKey("submissions.id"), nullable=False),
    whole("at_ms"),
    word("op_id"),
    whole("position"),
    word("before", null=True),
    word("after"),
    word("by"),
    word("reason", null=True),
    whole("http_status", null=True),
    word("finexio_id", null=True),
    word("note", null=True),
    # In a submission's first event only: the digest of what it is, and whose place it takes.
    word("facts", null=True),
    whole("supersedes", null=True),
    word("hash"),
    CheckConstraint("length(note) <= 500"),
    sqlite_strict=True,
)

HEAD: Final = Table(
    "head",
    METADATA,
    Column("id", WHOLE, CheckConstraint("id = 1"), primary_key=True, autoincrement=False),
    whole("version"),
    word("ledger_id"),
    whole("seq"),
    word("hash"),
    # By what the key of the digests is known again; written at the first use of the ledger.
    word("key_check", null=True),
    sqlite_strict=True,
)

# SQLite uses a partial index only for a query that repeats its condition word for word.
IS_LIVE: Final = text("live = 1")
IS_LEASED: Final = text(f"state IN ({_listed({State.INTENDED, State.SENT})})")
IS_IN_DOUBT: Final = text(f"state = '{State.IN_DOUBT}'")
IS_CONFLICT: Final = text(f"state = '{State.CONFLICT}'")
HAS_FINEXIO_ID: Final = text("finexio_id IS NOT NULL")
SUPERSEDES: Final = text("supersedes IS NOT NULL")

# Neither database finds pairs by an index over two columns, so pairs are one text.
SUPPLIER_NUMBER: Final = literal_column("(supplier || ' ' || near_number)", Text)
SUPPLIER_AMOUNT: Final = literal_column("(supplier || ' ' || invoice_date || ' ' || CAST(amount_cents AS TEXT))", Text)


def _index(
    name: str, *columns: str | ColumnElement[str], where: TextClause | None = None, unique: bool = False
) -> Index:
    chosen = [SUBMISSIONS.c[column] if isinstance(column, str) else column for column in columns]
    return Index(f"submissions_{name}", *chosen, unique=unique, sqlite_where=where, postgresql_where=where)


INDEXES: Final = (
    _index("live", "scope", "identity", where=IS_LIVE, unique=True),
    _index("identity", "scope", "identity"),
    _index("near_number", "scope", SUPPLIER_NUMBER, where=IS_LIVE),
    _index("near_amount", "scope", SUPPLIER_AMOUNT, where=IS_LIVE),
    _index("day", "scope", "claimed_at_ms", where=IS_LIVE),
    _index("leased", "scope", "lease_until_ms", where=IS_LEASED),
    _index("in_doubt", "scope", "next_look_at_ms", where=IS_IN_DOUBT),
    _index("conflict", "state", where=IS_CONFLICT),
    _index("number", "scope", "number_key"),
    _index("supplier", "scope", "supplier"),
    _index("finexio_id", "scope", "finexio_id", where=HAS_FINEXIO_ID),
    Index("events_op_id", EVENTS.c.op_id),
    Index("events_submission_id", EVENTS.c.submission_id),
    Index("events_supersedes", EVENTS.c.supersedes, sqlite_where=SUPERSEDES, postgresql_where=SUPERSEDES),
)


def _changed(columns: Iterable[Column[Any]]) -> str:
    """That any of these differs; `{differs}` is how a database compares what may be null."""
    return " OR ".join(f"OLD.{column.name} {{differs}} NEW.{column.name}" for column in columns)


_MOVES: Final = _listed(f"{before}>{after}" for before, afters in MOVES.items() for after in afters)

_REFUSED: Final = (
    ("submissions", "begin", "INSERT", f"NEW.state <> '{State.INTENDED}' OR NEW.superseded <> 0"),
    ("submissions", "stay", "DELETE", None),
    ("submissions", "fixed", "UPDATE", f"OLD.id <> NEW.id OR {_changed(FIXED)}"),
    (
        "submissions",
        "move",
        "UPDATE",
        f"OLD.state <> NEW.state AND OLD.state || '>' || NEW.state NOT IN ({_MOVES})",
    ),
    ("submissions", "outcome", "UPDATE", f"OLD.state = NEW.state AND ({_changed(OUTCOME)})"),
    (
        "submissions",
        "supersede",
        "UPDATE",
        f"OLD.superseded <> NEW.superseded AND (OLD.superseded = 1 OR NEW.state <> '{State.CONFIRMED}')",
    ),
    ("events", "stay", "DELETE", None),
    ("events", "fixed", "UPDATE", None),
    ("head", "stay", "DELETE", None),
    (
        "head",
        "fixed",
        "UPDATE",
        "OLD.id <> NEW.id OR OLD.version <> NEW.version OR OLD.ledger_id <> NEW.ledger_id OR OLD.seq > NEW.seq "
        "OR OLD.key_check <> NEW.key_check",
    ),
)
"""Table, name, statement, and the condition under which it is refused; none: always."""

TRIGGERS: Final = frozenset(f"{table}_{name}" for table, name, _, _ in _REFUSED)

_SQLITE_TRIGGER: Final = """CREATE TRIGGER {table}_{name} BEFORE {statement} ON {table} {when}
BEGIN SELECT RAISE(ABORT, 'refused by {table}_{name}'); END"""

_POSTGRESQL_FUNCTION: Final = """CREATE FUNCTION ledger_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION USING MESSAGE = 'refused by ' || TG_NAME, ERRCODE = 'restrict_violation'; END $$"""

_POSTGRESQL_TRIGGER: Final = """CREATE TRIGGER {table}_{name} BEFORE {statement} ON {table} FOR EACH ROW {when}
EXECUTE FUNCTION ledger_refuse()"""

_POSTGRESQL_TRUNCATE: Final = """CREATE TRIGGER {table}_truncate BEFORE TRUNCATE ON {table}
FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse()"""


def _rules(dialect: str) -> Iterator[str]:
    sqlite = dialect == "sqlite"
    if not sqlite:
        yield _POSTGRESQL_FUNCTION
        yield from (_POSTGRESQL_TRUNCATE.format(table=table) for table in METADATA.tables)
    form, differs = (_SQLITE_TRIGGER, "IS NOT") if sqlite else (_POSTGRESQL_TRIGGER, "IS DISTINCT FROM")
    for table, name, statement, condition in _REFUSED:
        when = f"WHEN ({condition.format(differs=differs)})" if condition else ""
        yield form.format(table=table, name=name, statement=statement, when=when)


def build(connection: Connection) -> None:
    """Make everything but the head row, in the transaction that is open."""
    METADATA.create_all(connection, checkfirst=False)
    for rule in _rules(connection.dialect.name):
        connection.exec_driver_sql(rule)


def present(connection: Connection) -> set[str]:
    """Names of the tables, indexes and triggers that are there, where ours would be."""
    if connection.dialect.name == "sqlite":
        names = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite~_%' ESCAPE '~'")
    else:
        names = connection.exec_driver_sql(
            "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace "
            "UNION ALL SELECT tgname FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid "
            "WHERE relnamespace = current_schema()::regnamespace AND tgenabled <> 'D'"
        )
    return set(names.scalars())


EXPECTED: Final = frozenset(METADATA.tables) | {str(index.name) for index in INDEXES} | TRIGGERS
"""Without any of these it is no ledger, or one that somebody took the guards from."""
