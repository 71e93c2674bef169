"""Chains in the database: what it refuses, what verifying notices, and processes that append at once."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy.exc import DatabaseError

from finexio_mcp.audit import store as stores
from finexio_mcp.audit.chain import Head, Removal, chained, genesis
from finexio_mcp.audit.entries import of_server
from finexio_mcp.guards.ledger.chain import digest
from tests.audit.conftest import DAY_MS, PATIENCE_SECONDS, START_MS, World, call, payment

PROCESSES = 3


async def filled(world: World) -> World:
    """Two chains, of ten entries each."""
    await world.record(
        *(call(account=account, at_ms=START_MS + number) for number in range(10) for account in ("acme", "beta"))
    )
    assert world.problems() == {"acme": (), "beta": ()}
    return world


# What the database refuses ---------------------------------------------------------

REFUSED = {
    "an edit": "UPDATE audit_entries SET outcome = 'ok' WHERE seq = 3",
    "a removal": "DELETE FROM audit_entries WHERE seq = 3",
    "a removal of the first": "DELETE FROM audit_entries WHERE seq = 1",
    "a head that goes back": "UPDATE audit_heads SET seq = 3",
    "a beginning that goes on": "UPDATE audit_heads SET first_seq = 3",
    "another beginning": "UPDATE audit_heads SET before_first = 'x'",
    "another account's head": "UPDATE audit_heads SET account = 'gamma' WHERE account = 'acme'",
    "a removal of a head": "DELETE FROM audit_heads",
    "a head in the middle": (
        "INSERT INTO audit_heads (scope, account, seq, hash, first_seq, before_first) VALUES ('s', 'x', 9, 'h', 9, 'b')"
    ),
    "another database": "UPDATE audit_about SET database_id = 'x'",
    "no database": "DELETE FROM audit_about",
    "an entry in the past": (
        "INSERT INTO audit_entries SELECT scope, account, 0, at_ms, request_id, caller_key, caller_name, origin, "
        "client, tool, access, arguments, outcome, failed, op_id, ids, upstream, duration_ms, kind, hash "
        "FROM audit_entries WHERE seq = 1"
    ),
}


@pytest.mark.parametrize("statement", REFUSED.values(), ids=REFUSED)
async def test_the_database_refuses(shared: World, statement: str) -> None:
    """Ours: whatever a slip of a program or a person would do to what is recorded."""
    await filled(shared)

    with pytest.raises(DatabaseError) as caught:
        shared.execute(statement)
    assert "refused by" in str(caught.value.orig)
    assert shared.problems() == {"acme": (), "beta": ()}


@pytest.mark.parametrize("table", ["audit_about", "audit_heads", "audit_entries"])
async def test_the_server_refuses_to_empty_a_table(in_server: World, table: str) -> None:
    """Ours: PostgreSQL has a statement of its own for that."""
    await filled(in_server)

    with pytest.raises(DatabaseError) as caught:
        in_server.execute(f"TRUNCATE {table} CASCADE")
    assert "refused by" in str(caught.value.orig)


# What verifying notices ------------------------------------------------------------

EDITS: Mapping[str, tuple[tuple[str, ...], dict[str, str]]] = {
    "an outcome": (
        ("UPDATE audit_entries SET outcome = 'gone' WHERE account = 'acme' AND seq = 4",),
        {"acme": "entry 4: it or the one before was changed or moved"},
    ),
    "a time": (
        ("UPDATE audit_entries SET at_ms = at_ms + 1 WHERE account = 'acme' AND seq = 10",),
        {"acme": "entry 10: it or the one before was changed or moved"},
    ),
    "a hash": (
        ("UPDATE audit_entries SET hash = 'x' WHERE account = 'beta' AND seq = 1",),
        {"beta": "entry 1: it or the one before was changed or moved"},
    ),
    "a removal": (
        ("DELETE FROM audit_entries WHERE account = 'acme' AND seq = 4",),
        {"acme": "entry 4: missing"},
    ),
    "a removal of several": (
        ("DELETE FROM audit_entries WHERE account = 'acme' AND seq IN (4, 5, 6)",),
        {"acme": "entry 4 to 6: missing"},
    ),
    "a removal at the beginning": (
        ("DELETE FROM audit_entries WHERE account = 'acme' AND seq <= 2",),
        {"acme": "entry 1 to 2: missing"},
    ),
    "a removal at the beginning, head and all": (
        (
            "UPDATE audit_heads SET first_seq = 3, before_first = (SELECT hash FROM audit_entries "
            "WHERE account = 'acme' AND seq = 2) WHERE account = 'acme'",
            "DELETE FROM audit_entries WHERE account = 'acme' AND seq <= 2",
        ),
        {"acme": "entry 1 to 2: missing, and no entry tells of their removal"},
    ),
    "a removal at the end": (
        ("DELETE FROM audit_entries WHERE account = 'beta' AND seq > 8",),
        {"beta": "entry 9 to 10: missing"},
    ),
    "a removal of all": (
        ("DELETE FROM audit_entries WHERE account = 'beta'",),
        {"beta": "entry 1 to 10: missing"},
    ),
    "a removal that closes the gap": (
        (
            "DELETE FROM audit_entries WHERE account = 'acme' AND seq = 4",
            *(f"UPDATE audit_entries SET seq = {n - 1} WHERE account = 'acme' AND seq = {n}" for n in range(5, 11)),
            "UPDATE audit_heads SET seq = 9 WHERE account = 'acme'",
        ),
        {"acme": "entry 4: it or the one before was changed or moved"},
    ),
    "two that change places": (
        (
            "UPDATE audit_entries SET seq = 99 WHERE account = 'acme' AND seq = 4",
            "UPDATE audit_entries SET seq = 4 WHERE account = 'acme' AND seq = 7",
            "UPDATE audit_entries SET seq = 7 WHERE account = 'acme' AND seq = 99",
        ),
        {"acme": "entry 4: it or the one before was changed or moved"},
    ),
    "an entry of another account": (
        (
            "DELETE FROM audit_entries WHERE account = 'beta' AND seq = 4",
            "UPDATE audit_entries SET account = 'beta' WHERE account = 'acme' AND seq = 4",
        ),
        {"acme": "entry 4: missing", "beta": "entry 4: it or the one before was changed or moved"},
    ),
    "chains that change places": (
        (
            "UPDATE audit_entries SET account = 'x' WHERE account = 'acme'",
            "UPDATE audit_entries SET account = 'acme' WHERE account = 'beta'",
            "UPDATE audit_entries SET account = 'beta' WHERE account = 'x'",
            "UPDATE audit_heads SET account = 'x' WHERE account = 'acme'",
            "UPDATE audit_heads SET account = 'acme' WHERE account = 'beta'",
            "UPDATE audit_heads SET account = 'beta' WHERE account = 'x'",
        ),
        {
            "acme": "entry 1: it or the one before was changed or moved",
            "beta": "entry 1: it or the one before was changed or moved",
        },
    ),
    "a chain of another Finexio": (
        (
            "UPDATE audit_entries SET scope = 'https://elsewhere/v2'",
            "UPDATE audit_heads SET scope = 'https://elsewhere/v2'",
        ),
        {
            "acme": "entry 1: it or the one before was changed or moved",
            "beta": "entry 1: it or the one before was changed or moved",
        },
    ),
    "another database's id": (
        ("UPDATE audit_about SET database_id = 'x'",),
        dict.fromkeys(("acme", "beta"), "head: the chain is not the one of this account in this database"),
    ),
    "a head that went back": (
        (
            "UPDATE audit_heads SET seq = 5, hash = (SELECT hash FROM audit_entries "
            "WHERE account = 'acme' AND seq = 5) WHERE account = 'acme'",
        ),
        {"acme": "head: it stands at entry 5, and the chain goes to entry 10"},
    ),
    "a head that went on": (
        ("UPDATE audit_heads SET seq = 12 WHERE account = 'acme'",),
        {"acme": "entry 11 to 12: missing"},
    ),
    "a head with another hash": (
        ("UPDATE audit_heads SET hash = 'x' WHERE account = 'acme'",),
        {"acme": "head: it stands at entry 10, and the chain goes to entry 10"},
    ),
    "a head that is gone": (("DELETE FROM audit_heads WHERE account = 'acme'",), {"acme": "head: missing"}),
}


@pytest.mark.parametrize(("statements", "found"), EDITS.values(), ids=EDITS)
async def test_an_edit_is_noticed(shared: World, statements: tuple[str, ...], found: dict[str, str]) -> None:
    """Ours: with the database's own guards out of the way, and each is named with its place."""
    await filled(shared)
    shared.tamper(*statements)

    told = shared.problems()
    assert {account: problems[0] for account, problems in told.items() if problems} == found


async def test_what_is_edited_stays_noticed_when_the_audit_goes_on(
    shared: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Ours: a head that was set back does not keep new calls from being recorded, and does not heal."""
    await filled(shared)
    shared.tamper(
        "UPDATE audit_heads SET seq = 5, hash = (SELECT hash FROM audit_entries WHERE account = 'acme' AND seq = 5) "
        "WHERE account = 'acme'"
    )
    await shared.record(payment(account="acme"), payment(account="beta"))

    assert [row["seq"] for row in shared.rows("acme")] == list(range(1, 12))
    assert shared.problems() == {"acme": ("entry 11: it or the one before was changed or moved",), "beta": ()}
    assert "the audit of account acme was changed by something else" in caplog.text
    assert "beta was changed" not in caplog.text


async def test_a_lost_head_is_begun_anew_behind_what_is_there(shared: World) -> None:
    """Ours: and what happened to it can still be seen."""
    await filled(shared)
    shared.tamper("DELETE FROM audit_heads WHERE account = 'acme'")
    await shared.record(payment(account="acme"))

    assert shared.problems() == {"acme": ("entry 11: it or the one before was changed or moved",), "beta": ()}


async def test_guards_that_were_taken_away_are_missed(shared: World, caplog: pytest.LogCaptureFixture) -> None:
    """Ours: the server says so when it begins to record, and so does verifying."""
    await filled(shared)
    name = "audit_entries_fixed"
    shared.execute(
        f"DROP TRIGGER {name}" if shared.place.file is not None else f"ALTER TABLE audit_entries DISABLE TRIGGER {name}"
    )

    with shared.reader() as reader:
        assert reader.unguarded == [name]
    await shared.record(call())
    assert f"somebody took guards from the tables of the audit: {name}" in caplog.text


async def test_many_problems_are_counted(in_file: World) -> None:
    """Ours: a list of thousands would help nobody."""
    await in_file.record(*(call() for _ in range(50)))
    in_file.tamper("UPDATE audit_entries SET outcome = 'x'")

    problems = in_file.problems()["default"]
    assert len(problems) == 21
    assert problems[-1] == "and 30 more"


async def test_a_chain_of_many_pages_is_read_to_its_end(shared: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: page by page, so that nobody who writes waits."""
    monkeypatch.setattr("finexio_mcp.audit.reading.PAGE", 3)
    await filled(shared)
    assert len(shared.rows()) == 20
    assert [row["at_ms"] for row in shared.newest(11)] == sorted((row["at_ms"] for row in shared.rows()), reverse=True)[
        :11
    ]
    shared.tamper("UPDATE audit_entries SET outcome = 'x' WHERE account = 'acme' AND seq = 7")

    assert shared.problems()["acme"] == ("entry 7: it or the one before was changed or moved",)


async def test_the_hashes_are_what_the_manual_says(in_file: World) -> None:
    """Ours: anybody can compute them."""
    await in_file.record(call(name="Zoë"), call())
    with in_file.reader() as reader:
        database_id = reader.database_id
    previous = digest({"audit": database_id, "scope": in_file.place.scope, "account": "default"})
    assert previous == genesis(database_id, in_file.place.scope, "default")
    for row in in_file.rows():
        told = row.pop("hash")
        previous = digest([previous, row])
        assert previous == told


# Several processes -----------------------------------------------------------------

APPENDING = """
import sys
import anyio
from finexio_mcp.audit.log import AuditLog
from finexio_mcp.settings import load
from tests.audit.conftest import call, payment

async def main(own):
    log = AuditLog(load())
    for number in range(25):
        account = ("acme", "beta", "default")[(own + number) % 3]
        make = payment if number % 5 == 0 else call
        await log.ended(make(account=account, name=f"process-{own}", request_id=f"req_{own}_{number}"))
    await log.aclose()

anyio.run(main, int(sys.argv[1]))
"""


def test_processes_that_append_at_once_make_one_chain(shared: World) -> None:
    """Ours: replicas append to the same chains; none of their calls is missing, and none of the links."""
    assert shared.settings.ledger_url is not None
    env = {
        **os.environ,
        "FINEXIO_MCP_LEDGER_URL": shared.settings.ledger_url.get_secret_value(),
        "FINEXIO_MCP_ALLOW_VOLATILE_LEDGER": "1",
        "FINEXIO_MCP_STATE_KEY": "k" * 32,
    }
    with contextlib.ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen([sys.executable, "-c", APPENDING, str(own)], env=env, stderr=subprocess.PIPE)
            )
            for own in range(PROCESSES)
        ]
        for process in processes:
            _, said = process.communicate(timeout=PATIENCE_SECONDS * 2)
            assert process.returncode == 0, said.decode()[-2000:]
            assert "cannot be recorded" not in said.decode()

    rows = shared.rows()
    assert sorted(row["request_id"] for row in rows) == sorted(
        f"req_{own}_{number}" for own in range(PROCESSES) for number in range(25)
    )
    assert shared.problems() == {"acme": (), "beta": (), "default": ()}
    for own in range(PROCESSES):
        for account in ("acme", "beta", "default"):
            numbers = [
                int(row["request_id"].split("_")[2])
                for row in rows
                if row["caller_name"] == f"process-{own}" and row["account"] == account
            ]
            assert numbers == sorted(numbers)


# Retention -------------------------------------------------------------------------


DAYS = 7


def retain(store: stores.Store, before_ms: int) -> tuple[str, Removal] | None:
    """A portion of what is older than the days, on the day when that is what came before a moment."""
    return store.retain(DAYS, at_ms=before_ms + DAYS * DAY_MS)


def remove(world: World, before_ms: int) -> int:
    """All that is too old; how many portions it took."""
    with contextlib.closing(world.store()) as store:
        portions = 0
        while retain(store, before_ms):
            portions += 1
        return portions


async def test_what_is_too_old_goes_in_portions(shared: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: each with an entry of its own, and the chain is whole after each of them."""
    await filled(shared)
    monkeypatch.setattr(stores, "PORTION", 4)
    with contextlib.closing(shared.store()) as store:
        while retain(store, START_MS + 9):
            assert shared.problems() == {"acme": (), "beta": ()}

    rows = shared.rows("acme")
    assert [(row["seq"], row["kind"]) for row in rows] == [
        *((10, "call"), (11, "retention"), (12, "retention"), (13, "retention"))
    ]
    assert [json.loads(row["arguments"])["removed"] for row in rows[1:]] == [4, 4, 1]


async def test_all_of_a_chain_may_be_too_old(shared: World) -> None:
    """Ours: the entry that says so is left, and goes with the next ones."""
    await filled(shared)

    assert remove(shared, START_MS + DAY_MS) == 2
    assert [(row["account"], row["seq"], row["kind"]) for row in shared.rows()] == [
        *(("acme", 11, "retention"), ("beta", 11, "retention"))
    ]
    assert remove(shared, START_MS + DAY_MS) == 0
    await shared.record(call(account="acme", at_ms=START_MS + 30 * DAY_MS))
    assert remove(shared, START_MS + 25 * DAY_MS) == 2
    assert [(row["seq"], row["kind"]) for row in shared.rows("acme")] == [(12, "call"), (13, "retention")]
    assert shared.problems() == {"acme": (), "beta": ()}


async def test_what_is_younger_keeps_what_came_after_it(in_file: World) -> None:
    """Ours: a chain loses only its beginning; what waited in memory keeps its place and its own time."""
    times = [START_MS, START_MS + 5 * DAY_MS, START_MS]
    await in_file.record(*(call(at_ms=ms) for ms in times))

    assert remove(in_file, START_MS + DAY_MS) == 1
    assert [row["seq"] for row in in_file.rows()] == [2, 3, 4]


async def test_a_removal_that_nobody_told_of_is_noticed(shared: World) -> None:
    """Ours: what verifying accepts is exactly what an entry tells."""
    await filled(shared)
    remove(shared, START_MS + 5)
    assert shared.problems() == {"acme": (), "beta": ()}
    shared.tamper(
        "UPDATE audit_heads SET first_seq = 8, before_first = (SELECT hash FROM audit_entries "
        "WHERE account = 'acme' AND seq = 7) WHERE account = 'acme'",
        "DELETE FROM audit_entries WHERE account = 'acme' AND seq <= 7",
    )

    assert shared.problems() == {
        "acme": ("entry 1 to 7: missing, and no entry tells of their removal",),
        "beta": (),
    }


async def test_a_chain_can_be_verified_while_its_beginning_goes(shared: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: the check goes on where the chain now begins."""
    await filled(shared)
    monkeypatch.setattr("finexio_mcp.audit.reading.PAGE", 3)
    real = shared.store
    seen: list[int] = []
    from finexio_mcp.audit.chain import Walk

    read = Walk.read

    def removing(walk: Walk, row: Mapping[str, object]) -> None:
        seen.append(1)
        if len(seen) == 2:
            with contextlib.closing(real()) as store:
                retain(store, START_MS + 8)
        read(walk, row)

    monkeypatch.setattr(Walk, "read", removing)
    assert shared.problems() == {"acme": (), "beta": ()}
    assert shared.rows("acme")[0]["seq"] == 9


def forged(world: World, **told: object) -> None:
    """What somebody does who removes the beginning and makes up the entry that tells of it."""
    head, rows = world.heads()["default"], world.rows()
    facts: dict[str, object] = {
        "removed": 7,
        "first_seq": 1,
        "last_seq": 7,
        "from": "2025-01-01T00:00:00Z",
        "to": "2025-01-02T00:00:00Z",
        "days": 400,
        "follows": rows[6]["hash"],
    }
    kept = {name: value for name, value in {**facts, **told}.items() if value is not None}
    entry = of_server("default", "retention", "removed", kept, at_ms=START_MS, failed=False)
    row = next(chained([{"scope": world.place.scope, **entry.values()}], seq=head.seq, previous=head.hash))
    values = ", ".join("NULL" if value is None else f"'{value}'" for value in row.values()).replace(":", "\\:")
    begins = f"first_seq = {rows[7]['seq']}, before_first = '{rows[6]['hash']}'"
    world.tamper(
        f"INSERT INTO audit_entries ({', '.join(row)}) VALUES ({values})",
        f"DELETE FROM audit_entries WHERE seq <= {rows[6]['seq']}",
        f"UPDATE audit_heads SET seq = {row['seq']}, hash = '{row['hash']}', {begins}",
    )


FORGED: Mapping[str, tuple[dict[str, object], str]] = {
    "too young": ({"to": "2027-01-14T00:00:00Z"}, "it removed what was younger than the 400 days that it tells of"),
    "without days": ({"days": None}, "it tells of a removal, but not as this server does"),
    "of no days": ({"days": 0}, "it tells of a removal, but not as this server does"),
    "without times": ({"to": "long ago"}, "it tells of a removal, but not as this server does"),
    "of more than there were": ({"removed": 8}, "it tells of a removal, but not as this server does"),
    "of what is to come": ({"last_seq": 11}, "it tells of a removal, but not as this server does"),
}


@pytest.mark.parametrize(("told", "problem"), FORGED.values(), ids=FORGED)
async def test_a_removal_that_contradicts_itself_is_noticed(
    shared: World, told: dict[str, object], problem: str
) -> None:
    """Ours: an entry that tells of one has to tell why it was due."""
    await shared.record(*(call() for _ in range(10)))
    forged(shared, **told)

    assert shared.problems()["default"][0] == f"entry 11: {problem}"


async def test_a_removal_that_does_not_follow_the_one_before_is_noticed(shared: World) -> None:
    """Ours: each begins where the chain began then."""
    await shared.record(*(call(at_ms=START_MS + number) for number in range(12)))
    assert remove(shared, START_MS + 2) == 1
    forged(shared, first_seq=2, last_seq=9)

    assert shared.problems()["default"] == ("entry 14: its removal does not begin where the one before ended",)


async def test_a_removal_that_is_made_up_well_is_shown_with_all_others(shared: World) -> None:
    """Known gap: hashes have no key, so only who noted the number of an entry sees that it is gone too soon."""
    await shared.record(*(call() for _ in range(10)))
    forged(shared)

    [found] = shared.verified()
    assert found.problems == ()
    assert found.first_ms == START_MS
    assert [(told.seq, told.first_seq, told.last_seq, told.days) for told in found.removals] == [(11, 1, 7, 400)]


async def test_processes_that_remove_at_once_remove_once(shared: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: replicas begin together, and all of them find the same entries too old."""
    await filled(shared)
    found = threading.Barrier(PROCESSES)
    real = stores.Store._is_old  # pyright: ignore[reportPrivateUsage]
    waited: set[int] = set()

    def together(store: stores.Store, head: Head, before_ms: int) -> bool:
        old = real(store, head, before_ms)
        if threading.get_ident() not in waited:
            waited.add(threading.get_ident())
            found.wait(PATIENCE_SECONDS)
        return old

    monkeypatch.setattr(stores.Store, "_is_old", together)
    told: list[tuple[str, Removal]] = []

    def begin(store: stores.Store) -> None:
        while (removed := retain(store, START_MS + 6)) is not None:
            told.append(removed)

    with contextlib.ExitStack() as stack:
        own = [stack.enter_context(contextlib.closing(shared.store())) for _ in range(PROCESSES)]
        pool = stack.enter_context(ThreadPoolExecutor(PROCESSES))
        for done in [pool.submit(begin, store) for store in own]:
            done.result(PATIENCE_SECONDS)

    assert sorted((account, removal.first_seq, removal.last_seq) for account, removal in told) == [
        *(("acme", 1, 6), ("beta", 1, 6))
    ]
    for account in ("acme", "beta"):
        assert [(row["seq"], row["kind"]) for row in shared.rows(account)] == [
            *((seq, "call") for seq in range(7, 11)),
            (11, "retention"),
        ]
    assert shared.problems() == {"acme": (), "beta": ()}
