"""From version 1 to 2: what was submitted before there were accounts stays known, whoever migrates, and when."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Generator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from sqlalchemy import RowMapping, text
from sqlalchemy.exc import IntegrityError

from finexio_mcp.guards.ledger import schema
from finexio_mcp.guards.ledger.engines import WRITES
from finexio_mcp.guards.ledger.existing import consult
from finexio_mcp.guards.ledger.place import Peeked, Place, locate, peek
from finexio_mcp.guards.ledger.rows import Outcome, Submission
from finexio_mcp.guards.ledger.seen import Mark
from finexio_mcp.guards.ledger.states import State
from finexio_mcp.guards.ledger.store import Store
from finexio_mcp.guards.ledger.trouble import Unusable
from finexio_mcp.settings import load

from . import old, racers
from .conftest import LEASE_MS, PATIENCE_SECONDS, RULES, SCOPE, Ledger, invoice, new_schema

HEAD = old.rows()["head"][0]
NOW_MS = max(row["claimed_at_ms"] for row in old.rows()["submissions"])
"""Within the leases of what was left `intended` and `sent`."""


def put(ledger: Ledger) -> Ledger:
    ledger.clock.ms = NOW_MS
    if ledger.sqlite:
        old.put_file(ledger.path)
    else:
        old.put_schema(ledger.url)
    return ledger


@pytest.fixture(params=["sqlite", "postgresql"])
def before(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Ledger]:
    """A ledger of version 1, in either database."""
    sqlite = request.param == "sqlite"
    url = f"sqlite:///{tmp_path / 'ledger.db'}" if sqlite else new_schema(request.getfixturevalue("postgresql"))
    ledger = put(Ledger(url))
    yield ledger
    ledger.engine.dispose()


def store(ledger: Ledger, account: str | None = "default", owner: str = "me") -> Store:
    return Store(ledger.engine, scope=SCOPE, account=account, owner=owner, now=ledger.clock)


def version(ledger: Ledger) -> int:
    with ledger.engine.connect() as connection:
        return connection.execute(text("SELECT version FROM head")).scalar_one()


def picture(asked: Store) -> list[object]:
    rows = asked.find(limit=1000)
    return [asked.head(), asked.verify(), asked.counts(), rows, [asked.history(row.op_id) for row in rows]]


def migrate(ledger: Ledger) -> Store:
    """By the first transaction that writes, which here finds nothing to do."""
    asked = store(ledger)
    asked.extend("op-of-nobody", [], lease_ms=LEASE_MS)
    return asked


def test_the_old_ledger_holds_every_state() -> None:
    """Ours: so that what follows speaks of all of them."""
    found = Counter(row["state"] for row in old.rows()["submissions"])

    assert found.keys() == set(State)
    assert any(row["superseded"] for row in old.rows()["submissions"])


# Read as it is ---------------------------------------------------------------------


def test_who_only_looks_migrates_nothing(before: Ledger) -> None:
    """Ours: so that a command, or a server that only reads, shuts out no server of the earlier version."""
    asked = store(before, None)

    asked.check()
    told = picture(asked)

    assert version(before) == 1
    assert len(told[3]) == len(old.rows()["submissions"])  # pyright: ignore[reportArgumentType]
    assert told[:2] == [HEAD["hash"], asked.verify()]
    assert asked.verify().problems == ()
    assert {row.account for row in asked.find(limit=1000)} == {"default"}
    assert asked.unsettled() == {state: count for state, count in asked.counts().items() if state in asked.unsettled()}
    assert asked.next_due_ms() is not None


def test_what_was_there_belongs_to_the_default_account(before: Ledger) -> None:
    """Ours: before and after, and to no other."""
    for _ in range(2):
        assert picture(store(before))[2:] == picture(store(before, None))[2:]
        assert store(before, "acme").find() == []
        assert store(before, "acme").counts() == {}
        assert store(before, "acme").next_due_ms() is None
        assert store(before, "acme").owners_of(["f-1", "f-9"]) == store(before).owners_of(["f-1", "f-9"])
        assert store(before, "acme").get("op_0000000000000000") == []
        migrate(before)
    assert version(before) == 2


def test_a_glance_reads_the_old_version_too(tmp_path: Path) -> None:
    """Ours: a start finds what an earlier server left behind, and for another account nothing."""
    file = tmp_path / "own" / "ledger.db"
    file.parent.mkdir(mode=0o700)
    old.put_file(file)
    file.with_name("ledger.key").write_bytes(b"k" * 32)
    place = locate(load(FINEXIO_MCP_LEDGER_URL=f"sqlite:///{file}", FINEXIO_BASE_URL=SCOPE))
    later = NOW_MS + 10**9

    seen = peek(place, now_ms=later)
    migrate(Ledger(f"sqlite:///{file}"))

    assert seen is not None
    assert (seen.expired, seen.head) == (4, HEAD["hash"])
    assert seen.due > 0
    assert seen.waiting > 0
    assert peek(place, now_ms=later) == peek(place, account="default", now_ms=later) == seen
    assert peek(place, account="acme", now_ms=later) == Peeked(events=HEAD["seq"], head=HEAD["hash"])


def test_of_an_old_ledger_a_glance_shows_other_accounts_nothing(tmp_path: Path) -> None:
    """Ours: all that it holds is the default account's."""
    file = tmp_path / "ledger.db"
    old.put_file(file)
    file.with_name("ledger.key").write_bytes(b"k" * 32)
    place = locate(load(FINEXIO_MCP_LEDGER_URL=f"sqlite:///{file}", FINEXIO_BASE_URL=SCOPE))

    assert peek(place, account="acme", now_ms=NOW_MS + 10**9) == Peeked(events=HEAD["seq"], head=HEAD["hash"])


def place_of(ledger: Ledger) -> Place:
    url = ledger.url.replace("+psycopg", "")
    return locate(load(FINEXIO_MCP_LEDGER_URL=url, FINEXIO_MCP_STATE_KEY="k" * 32, FINEXIO_BASE_URL=SCOPE))


def test_commands_look_at_an_old_ledger_without_changing_it(before: Ledger) -> None:
    """Ours: `verify` of a backup leaves the backup as it is."""
    if before.sqlite:
        before.path.with_name("ledger.key").write_bytes(b"k" * 32)

    found = consult(place_of(before), lambda asked: asked.verify())

    assert found is not None
    assert (found.problems, found.head, version(before)) == ((), HEAD["hash"], 1)


# Migrated --------------------------------------------------------------------------


def test_a_migration_changes_nothing_that_was_recorded(before: Ledger) -> None:
    """Ours: neither the rows nor the chain."""
    told = picture(store(before))

    asked = migrate(before)

    assert version(before) == 2
    assert picture(asked) == told
    asked.check()
    assert asked.verify().problems == ()


def test_a_migrated_ledger_is_like_a_new_one(before: Ledger, request: pytest.FixtureRequest) -> None:
    """Ours: tables, indexes and guards; only columns that were added stand last."""
    fresh: Ledger = request.getfixturevalue("file" if before.sqlite else "server")

    migrate(before)

    assert guards(before) == guards(fresh)
    assert columns(before) == columns(fresh)


def guards(ledger: Ledger) -> dict[str, str]:
    if ledger.sqlite:
        query = "SELECT name, sql FROM sqlite_master WHERE type IN ('index', 'trigger') AND sql IS NOT NULL"
    else:
        query = (
            "SELECT indexname, regexp_replace(indexdef, ' ON [a-z0-9_]+[.]', ' ON ') FROM pg_indexes "
            "WHERE schemaname = current_schema() UNION ALL SELECT tgname, regexp_replace(pg_get_triggerdef(t.oid), "
            "' (ON|FUNCTION) [a-z0-9_]+[.]', ' \\1 ', 'g') FROM pg_trigger t JOIN pg_class ON pg_class.oid = tgrelid "
            "WHERE relnamespace = current_schema()::regnamespace AND NOT tgisinternal"
        )
    with ledger.engine.connect() as connection:
        return {name: " ".join(made.split()) for name, made in connection.exec_driver_sql(query)}


def columns(ledger: Ledger) -> set[tuple[object, ...]]:
    if ledger.sqlite:
        query = 'SELECT m.name, c.name, c.type, c."notnull", c.dflt_value, c.hidden FROM sqlite_master m, '
        query += "pragma_table_xinfo(m.name) c WHERE m.type = 'table'"
    else:
        query = (
            "SELECT table_name, column_name, data_type, is_nullable, column_default, is_generated "
            "FROM information_schema.columns WHERE table_schema = current_schema()"
        )
    with ledger.engine.connect() as connection:
        return {tuple(row) for row in connection.exec_driver_sql(query)}


def test_the_guards_hold_after_a_migration(before: Ledger) -> None:
    """Ours: also over the columns that are new, and over the version."""
    migrate(before)

    for statement in (
        "UPDATE submissions SET account = 'acme'",
        "UPDATE submissions SET caller = 'x'",
        "UPDATE submissions SET amount_cents = 1 WHERE amount_cents IS NOT NULL",
        "UPDATE head SET version = 1",
        "UPDATE head SET version = 3",
        "DELETE FROM submissions",
        "DELETE FROM events",
    ):
        with pytest.raises(IntegrityError):
            before.execute(statement)


NOT_GUARDED = "DROP TRIGGER submissions_fixed"
MISSING = "database: submissions_fixed is missing"


@pytest.mark.parametrize("column", ["account", "caller"])
def test_an_edited_account_or_caller_of_an_old_row_is_noticed(column: str, before: Ledger) -> None:
    """Ours: what the old digests do not hold has one value only."""
    asked = migrate(before)

    before.execute(
        NOT_GUARDED if before.sqlite else f"{NOT_GUARDED} ON submissions",
        f"UPDATE submissions SET {column} = 'acme' WHERE id = 3",
    )

    assert asked.verify().problems == (MISSING, "submission 3: it is not what was recorded at first")


@pytest.mark.parametrize("edit", ["account = 'default'", "account = 'other'", "caller = NULL", "caller = 'other'"])
def test_an_edited_account_or_caller_of_a_new_row_is_noticed(edit: str, before: Ledger) -> None:
    """Ours: also when it is edited to what old rows have."""
    asked = store(before, "acme")
    claimed = asked.claim([invoice("NEW")], op_id="op-new", tool="t", effect="pay", rules=RULES, caller="token-1")
    (row,) = claimed.rows
    assert asked.verify().problems == ()

    before.execute(
        NOT_GUARDED if before.sqlite else f"{NOT_GUARDED} ON submissions",
        f"UPDATE submissions SET {edit} WHERE id = {row.id}",
    )

    assert asked.verify().problems == (MISSING, f"submission {row.id}: it is not what was recorded at first")


def test_what_was_left_behind_before_is_settled_after(before: Ledger) -> None:
    """Ours: what was not sent is free, and what was sent is in doubt, by the server that migrates."""
    before.clock.ms = NOW_MS + 10**9

    over = store(before, owner="another").take_over()

    assert Counter(row.state for row in over) == {State.ABSENT: 2, State.IN_DOUBT: 2}
    assert store(before).verify().problems == ()


def test_what_was_paid_before_is_known_after(before: Ledger) -> None:
    """Ours: by whatever transaction the migration comes, and to another account as something that is held."""
    live = [row for row in store(before).find(limit=1000) if row.invoice and row.state is State.CONFIRMED]
    assert live

    for row in live:
        assert row.invoice
        wanted = invoice(row.invoice.number, amount_cents=row.invoice.amount_cents)
        known = store(before).claim([wanted], op_id=f"again-{row.id}", tool="t", effect="pay", rules=RULES)
        other = store(before, "acme").claim([wanted], op_id=f"other-{row.id}", tool="t", effect="pay", rules=RULES)
        assert (known.rows, known.known.keys()) == ((), {0})
        assert (other.rows, other.known, other.elsewhere) == ((), {}, {0})


# Together with others --------------------------------------------------------------


class Earlier(Store):
    """A server that only knows version 1: like every version, it looks at the number in each of its transactions."""

    def _recognise(self, head: RowMapping | None, mark: Mark) -> RowMapping:
        if head is None or head["version"] != schema.OLD_VERSION:
            raise Unusable("unknown_version")
        return super()._recognise(head, mark)

    def _migrate(self) -> None:
        """It knows nothing of that."""


def refused(act: Callable[[], object]) -> str:
    with pytest.raises(Unusable) as raised:
        act()
    return raised.value.kind


def earlier(ledger: Ledger) -> Store:
    """Such a server, which has the ledger open and is at the submissions that it left `intended` and `sent`."""
    asked = Earlier(ledger.engine, scope=SCOPE, owner="me", now=ledger.clock)
    asked.head()
    return asked


def left(ledger: Ledger, state: State) -> Submission:
    return next(row for row in store(ledger).find(limit=1000) if row.state is state and row.invoice)


def claim(asked: Store, number: str, op_id: str = "op-1") -> str:
    wanted = invoice(number, amount_cents=10**6)
    told = asked.claim([wanted], op_id=op_id, tool="t", effect="pay", rules=RULES)
    return "claimed" if told.rows else "known" if told.known else "elsewhere"


def test_a_server_of_the_earlier_version_writes_until_another_migrates(before: Ledger) -> None:
    """Ours: both versions work side by side as long as the new one only reads."""
    old_one, row = earlier(before), left(before, State.INTENDED)
    store(before).find()

    assert old_one.mark_sent(row.op_id, lease_ms=LEASE_MS)

    assert version(before) == 1
    assert left(before, State.SENT)


def test_a_server_of_the_earlier_version_sends_nothing_once_another_migrated(before: Ledger) -> None:
    """Ours: not even what it had recorded before; that is free when its time is over, and only then."""
    old_one, row = earlier(before), left(before, State.INTENDED)
    assert row.invoice
    migrate(before)

    assert refused(lambda: old_one.mark_sent(row.op_id, lease_ms=LEASE_MS)) == "unknown_version"
    assert refused(lambda: claim(old_one, "NEW")) == "unknown_version"
    assert refused(old_one.find) == "unknown_version"
    assert claim(store(before), row.invoice.number) == "known"
    assert claim(store(before, "acme"), row.invoice.number) == "elsewhere"
    before.clock.ms = row.lease_until_ms
    assert claim(store(before, "acme"), row.invoice.number) == "claimed"


def test_what_a_server_of_the_earlier_version_had_sent_is_looked_up_by_another(before: Ledger) -> None:
    """Ours: it cannot record the answer any more, so the outcome is in doubt and nobody sends it again."""
    old_one, row = earlier(before), left(before, State.SENT)
    assert row.invoice
    migrate(before)

    accepted = Outcome(state=State.CONFIRMED, reason="accepted", finexio_id="f-77")
    assert refused(lambda: old_one.settle(row.op_id, {0: accepted})) == "unknown_version"
    before.clock.ms = row.lease_until_ms
    assert claim(store(before, "acme"), row.invoice.number) == "elsewhere"
    assert row.id in {taken.id for taken in store(before).take_over() if taken.state is State.IN_DOUBT}
    assert claim(store(before), row.invoice.number) == "known"


def test_a_write_of_the_earlier_version_that_waits_for_a_migration_is_refused(before: Ledger) -> None:
    """Ours: it reads the version after it has waited, and not before."""
    old_one, row = earlier(before), left(before, State.INTENDED)
    told: list[str] = []
    waiting = Thread(target=lambda: told.append(refused(lambda: old_one.mark_sent(row.op_id, lease_ms=LEASE_MS))))

    with before.engine.execution_options(**{WRITES: True}).begin() as connection:
        schema.migrate(connection)
        waiting.start()
        waiting.join(0.3)
        assert waiting.is_alive()
    waiting.join(PATIENCE_SECONDS)

    assert told == ["unknown_version"]
    assert left(before, State.INTENDED) == row


def test_a_migration_waits_for_a_write_that_is_under_way(before: Ledger) -> None:
    """Ours: what it records is then there, as the default account's."""
    old_one, row = earlier(before), left(before, State.INTENDED)
    migrated: list[Store] = []
    waiting = Thread(target=lambda: migrated.append(migrate(before)))
    apply = old_one._apply  # pyright: ignore[reportPrivateUsage]

    def slowly(*arguments: Any, **named: Any) -> Any:
        applied = apply(*arguments, **named)
        waiting.start()
        waiting.join(0.3)
        assert waiting.is_alive()
        return applied

    old_one._apply = slowly  # pyright: ignore[reportPrivateUsage]
    assert old_one.mark_sent(row.op_id, lease_ms=LEASE_MS)
    waiting.join(PATIENCE_SECONDS)

    (asked,) = migrated
    assert version(before) == 2
    assert [now.state for now in asked.get(row.op_id)] == [State.SENT]
    assert asked.verify().problems == ()


def test_who_reads_while_another_migrates_sees_one_or_the_other(before: Ledger) -> None:
    """Ours: never half of it, and nobody waits for somebody who waits for him."""
    asked, told = store(before, None), picture(store(before, None))
    stop: list[bool] = []
    seen: list[object] = []

    def read() -> None:
        while not stop:
            seen.append(picture(asked))

    reading = Thread(target=read)
    reading.start()
    try:
        migrate(before)
    finally:
        stop.append(True)
        reading.join(PATIENCE_SECONDS)
    seen.append(picture(asked))

    assert version(before) == 2
    assert all(each == told for each in seen)


def test_several_processes_migrate_at_once_and_claim_each_invoice_once(before: Ledger) -> None:
    """Ours: whoever comes second finds it done; nobody gets an error."""
    numbers = [[[number] for number in range(5000, 5020)]] * 6
    task = json.dumps({"url": before.url, "kind": "Store", "claims": numbers, "warm": False})

    done = subprocess.run(
        [sys.executable, racers.__file__], input=task, capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 0, done.stderr[-2000:]
    outcomes = Counter(outcome for _, _, outcome in json.loads(done.stdout))
    assert outcomes == {"claimed": 20, "known": 100}
    assert version(before) == 2
    assert store(before).verify().problems == ()


def test_a_migration_that_is_cut_short_has_not_been(before: Ledger) -> None:
    """Ours: all of it or nothing; the next one does it."""

    class CutShort(Exception):
        """The process ended."""

    def cut_short() -> None:
        with before.engine.execution_options(**{WRITES: True}).begin() as connection:
            schema.migrate(connection)
            raise CutShort

    with pytest.raises(CutShort):
        cut_short()

    assert version(before) == 1
    migrate(before)
    assert version(before) == 2
    assert store(before).verify().problems == ()


def test_an_old_copy_in_the_place_of_a_migrated_ledger_is_noticed(before: Ledger) -> None:
    """Ours: it is not migrated once more as if nothing had been submitted since."""
    asked = migrate(before)
    before.execute(
        "DROP TRIGGER head_fixed" if before.sqlite else "DROP TRIGGER head_fixed ON head",
        "UPDATE head SET version = 1",
    )

    assert refused(lambda: claim(asked, "NEW")) == "replaced"
