"""The ledger's tables, and the rules that the database itself holds them to."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
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
    select,
    text,
    update,
)

from finexio_mcp.guards.ledger.columns import WHOLE, whole, word
from finexio_mcp.guards.ledger.states import LIVE, MOVES, OPEN, State
from finexio_mcp.settings import DEFAULT_ACCOUNT

VERSION: Final = 2
"""Of the tables below. One of a later version is left alone."""
OLD_VERSION: Final = 1
"""Before there were accounts. It is read as it is, and brought to this version by the first transaction that writes."""

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
    # Of rows that were there before there were accounts, and so were before their callers were noted.
    Column("account", Text, nullable=False, server_default=DEFAULT_ACCOUNT),
    word("caller", null=True),
)
"""What a submission is. It never changes, and its digest stands in the submission's first event."""

BEFORE_ACCOUNTS: Final[Mapping[str, str | None]] = {"account": DEFAULT_ACCOUNT, "caller": None}
"""What version 1 does not hold, and what it means: exactly this is left out of digests, so that old ones still hold."""

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


# None by account: SQLite would take it for every question, and look at all rows of an account where few are open.
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
    if dialect != "sqlite":
        yield _POSTGRESQL_FUNCTION
        yield from (_POSTGRESQL_TRUNCATE.format(table=table) for table in METADATA.tables)
    yield from _triggers(dialect, TRIGGERS)


def _triggers(dialect: str, chosen: Collection[str]) -> Iterator[str]:
    sqlite = dialect == "sqlite"
    form, differs = (_SQLITE_TRIGGER, "IS NOT") if sqlite else (_POSTGRESQL_TRIGGER, "IS DISTINCT FROM")
    for table, name, statement, condition in _REFUSED:
        when = f"WHEN ({condition.format(differs=differs)})" if condition else ""
        if f"{table}_{name}" in chosen:
            yield form.format(table=table, name=name, statement=statement, when=when)


def build(connection: Connection) -> None:
    """Make everything but the head row, in the transaction that is open."""
    METADATA.create_all(connection, checkfirst=False)
    for rule in _rules(connection.dialect.name):
        connection.exec_driver_sql(rule)


# From version 1 ------------------------------------------------------------------------

_CHANGED_TRIGGERS: Final = {"submissions_fixed": "submissions", "head_fixed": "head"}
# All at once and the head first, as everybody takes them: whoever reads or writes is let finish, and nobody waits for
# us who holds what we wait for.
_ALONE: Final = "LOCK TABLE head, submissions, events IN ACCESS EXCLUSIVE MODE"
_NEW_COLUMNS: Final = (
    f"ALTER TABLE submissions ADD COLUMN account TEXT DEFAULT '{DEFAULT_ACCOUNT}' NOT NULL",
    "ALTER TABLE submissions ADD COLUMN caller TEXT",
)


def migrate(connection: Connection) -> None:
    """Bring tables of version 1 to this one, in a transaction that has done nothing else yet and may write.

    Others may be at it too: whoever comes second finds it done. The chain of events is not touched. A process that only
    knows version 1 looks at the version in each of its transactions, and from then on leaves the ledger alone.
    """
    sqlite = connection.dialect.name == "sqlite"
    if not sqlite:
        connection.exec_driver_sql(_ALONE)
    if connection.execute(select(HEAD.c.version)).scalar_one_or_none() != OLD_VERSION:
        return
    for name, table in _CHANGED_TRIGGERS.items():
        connection.exec_driver_sql(f"DROP TRIGGER {name}" + ("" if sqlite else f" ON {table}"))
    for statement in _NEW_COLUMNS:
        connection.exec_driver_sql(statement)
    connection.execute(update(HEAD).values(version=VERSION))
    for rule in _triggers(connection.dialect.name, _CHANGED_TRIGGERS):
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
"""Without any of these it is no ledger, or one that somebody took the guards from; in either version."""
