"""Calls as they are recorded: when, in what order, and what happens while they cannot be."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import anyio
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from finexio_mcp.audit import log as logs
from finexio_mcp.audit import recorder
from finexio_mcp.audit.database import open_writer
from finexio_mcp.audit.entries import of_call
from finexio_mcp.audit.masked import Masked
from finexio_mcp.audit.store import Store
from finexio_mcp.audit.waiting import Waiting
from finexio_mcp.guards.ledger.existing import consult
from finexio_mcp.settings import load
from tests.audit.conftest import DAY_MS, LIST, PATIENCE_SECONDS, PAY, START_MS, World, call, payment
from tests.guards.ledger.conftest import new_schema


async def settled(log: logs.AuditLog) -> None:
    with anyio.fail_after(PATIENCE_SECONDS):
        await log.flush()


# What is recorded ------------------------------------------------------------------


async def test_a_call_is_recorded_with_all_that_was_asked_for(world: World) -> None:
    """Ours: who, for which account, with what, what came of it, and how long it took."""
    arguments = {"invoices": [{"invoice_number": "HP-1", "amount_cents": 1200}]}
    await world.record(payment(arguments=arguments, ids=("i-1", "i-2"), request_id="req_1"))

    [row] = world.rows()
    assert len(row.pop("hash")) == 64
    assert row == {
        "scope": world.place.scope,
        "account": "default",
        "seq": 1,
        "at_ms": START_MS,
        "request_id": "req_1",
        "caller_key": "token reports",
        "caller_name": "reports",
        "origin": "token",
        "client": "claude/1.0",
        "tool": "finexio_invoices_bulk_create",
        "access": "pay",
        "arguments": json.dumps(arguments, separators=(",", ":")),
        "outcome": "confirmed",
        "failed": 0,
        "op_id": "op_0123456789abcdef",
        "ids": '["i-1","i-2"]',
        "upstream": 1,
        "duration_ms": 12,
        "kind": "call",
    }
    assert world.problems() == {"default": ()}


async def test_each_account_has_a_chain_of_its_own(world: World) -> None:
    """Ours: and nothing in one of them depends on another."""
    names = ["acme", "beta", "acme", "default", "beta", "acme"]
    await world.record(*(call(account=name, at_ms=START_MS + place) for place, name in enumerate(names)))

    assert [(row["account"], row["seq"]) for row in world.rows()] == [
        *(("acme", 1), ("acme", 2), ("acme", 3), ("beta", 1), ("beta", 2), ("default", 1)),
    ]
    assert {row["account"] for row in world.rows("beta")} == {"beta"}
    assert world.problems() == {"acme": (), "beta": (), "default": ()}
    assert [row["account"] for row in world.newest(3)] == ["acme", "beta", "default"]


async def test_another_finexio_in_the_same_database_has_chains_of_its_own(tmp_path: Path) -> None:
    """Ours: sandbox and production do not mix."""
    url = f"sqlite:///{tmp_path}/ledger/ledger.db"
    for environment in ("sandbox", "production"):
        settings = load(
            FINEXIO_MCP_LEDGER_URL=url, FINEXIO_MCP_ALLOW_VOLATILE_LEDGER=True, FINEXIO_ENVIRONMENT=environment
        )
        world = World(settings)
        await world.record(call())

        assert [row["seq"] for row in world.rows()] == [1]
    assert len(world.verified()) == 2


async def test_what_callers_chose_is_cleaned_and_bounded(in_file: World) -> None:
    """Ours: a name may hold what hides or misleads, or be a flood."""
    evil = "a\u202eb\x00c\nd\ud800"
    await in_file.record(call(name=evil * 500, client=evil * 500, outcome="x" * 500, ids=("i" * 5000, evil) * 400))

    [row] = in_file.rows()
    assert row["caller_name"].startswith("abc dabc d")
    assert (len(row["caller_name"]), len(row["client"]), len(row["caller_key"])) == (100, 100, 500)
    ids = json.loads(row["ids"])
    assert len(row["ids"]) <= 24_000
    assert ids[1] == "abc d"
    assert ids[-1] == f"({800 - len(ids) + 1} more)"


async def test_times_and_numbers_that_make_no_sense_do_not_stand_in_the_way(world: World) -> None:
    """Ours: that there was a call matters more."""
    odd = call()
    object.__setattr__(odd, "at", 1e300)
    object.__setattr__(odd, "duration_seconds", float("inf"))
    object.__setattr__(odd, "upstream", 10**30)
    await world.record(odd, call(at_ms=-5))

    assert [row["upstream"] for row in world.rows()] == [2**31 - 1, 1]
    assert world.newest()[0]["at_ms"] == 253_402_300_799_000


# When ------------------------------------------------------------------------------


async def test_the_answer_to_a_write_waits_until_it_is_recorded(world: World) -> None:
    """Ours: and what was queued before it is recorded with it, in order."""
    async with world.log() as log:
        await log.ended(call(request_id="req_1"))
        with anyio.fail_after(PATIENCE_SECONDS):
            await log.ended(payment(request_id="req_2"))
        assert log.waiting == 0

        assert [row["request_id"] for row in world.rows()] == ["req_1", "req_2"]


async def test_nobody_waits_for_a_read(in_file: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: it is recorded in a group, half a second later at most."""
    gate = threading.Event()
    real = Store.append

    def held(store: Store, entries: Any) -> None:
        assert gate.wait(PATIENCE_SECONDS)
        real(store, entries)

    monkeypatch.setattr(Store, "append", held)
    async with in_file.log() as log:
        with anyio.fail_after(PATIENCE_SECONDS):
            for _ in range(250):
                await log.ended(call())
            assert log.waiting == 250
            gate.set()
            await log.flush()
        assert log.waiting == 0

    assert len(in_file.rows()) == 250


async def test_reads_come_in_groups(in_file: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: a transaction for each would make payments wait."""
    sizes: list[int] = []
    real = Store.append

    def counted(store: Store, entries: Any) -> None:
        sizes.append(len(entries))
        real(store, entries)

    monkeypatch.setattr(Store, "append", counted)
    async with in_file.log() as log:
        for _ in range(450):
            await log.ended(call())
        await settled(log)

    assert sum(sizes) == 450
    assert len(sizes) <= 4
    assert max(sizes) == 200


async def test_reads_are_recorded_although_nothing_else_happens(in_file: World) -> None:
    """Ours: by their own time, not by the next call's."""
    async with in_file.log() as log:
        await log.ended(call())
        with anyio.fail_after(PATIENCE_SECONDS):
            while log.waiting:
                await anyio.to_thread.run_sync(os.sched_yield)
        assert len(in_file.rows()) == 1


async def test_a_write_does_not_wait_for_ever(in_file: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: it happened, and its answer goes out; the entry stays queued."""
    gate = threading.Event()
    real = Store.append

    def held(store: Store, entries: Any) -> None:
        assert gate.wait(PATIENCE_SECONDS)
        real(store, entries)

    monkeypatch.setattr(Store, "append", held)
    monkeypatch.setattr(logs, "DURABLE_SECONDS", 0.05)
    async with in_file.log() as log:
        with anyio.fail_after(PATIENCE_SECONDS):
            await log.ended(payment())
        assert log.waiting == 1
        gate.set()

    assert len(in_file.rows()) == 1


async def test_a_caller_who_leaves_takes_nothing_along(in_file: World) -> None:
    """Ours: the entry is recorded all the same."""
    async with in_file.log() as log:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await log.ended(payment())
        await settled(log)
        await log.ended(payment())

    assert len(in_file.rows()) == 2


async def test_a_log_that_was_closed_can_be_used_again(in_file: World) -> None:
    """Ours."""
    async with in_file.log() as log:
        await log.aclose()
        await log.ended(call())
        await log.aclose()
        await log.aclose()
        await log.ended(payment())

        assert len(in_file.rows()) == 2


LAZY = """
import sys
import anyio
from finexio_mcp.audit.log import AuditLog
from finexio_mcp.settings import load
log = AuditLog(load())
anyio.run(log.flush)
anyio.run(log.aclose)
loaded = {"sqlalchemy", "finexio_mcp.tools", "finexio_mcp.guards", "finexio_mcp.dispatch"} & set(sys.modules)
print(sorted(loaded))
"""


def test_nothing_is_loaded_or_made_before_the_first_call(tmp_path: Path) -> None:
    """Ours: whoever only starts the server pays for nothing."""
    env = {**os.environ, "XDG_STATE_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", LAZY], capture_output=True, text=True, timeout=60, env=env, check=True)

    assert done.stdout.strip() == "[]"
    assert list(tmp_path.iterdir()) == []


async def test_the_ledger_is_begun_before_the_audit(in_file: World, caplog: pytest.LogCaptureFixture) -> None:
    """Ours: a file with nothing but an audit would be taken for a damaged ledger."""
    await in_file.record(call())

    verified = consult(in_file.place, lambda store: store.verify())
    assert verified is not None
    assert verified.problems == ()
    assert "a new, empty ledger was begun" in caplog.text


async def test_a_ledger_may_be_begun_after_the_audit(in_server: World) -> None:
    """Ours: in PostgreSQL each has tables of its own."""
    await in_server.record(call())
    assert consult(in_server.place, lambda store: store.head()) is None

    from finexio_mcp.guards.ledger.store import open_store

    with contextlib.closing(open_store(in_server.place, owner="me")) as store:
        assert store.verify().problems == ()
    assert len(in_server.rows()) == 1


# While it cannot be recorded -------------------------------------------------------


class Switch:
    """A way to a PostgreSQL server that can be cut: no new connection, and the open ones end."""

    def __init__(self, address: str, directory: Path) -> None:
        self._address = new_schema(address)
        path = address.split("host=")[1].split("&")[0]
        self._real, self._link = Path(path), directory / "pg"
        self._link.symlink_to(self._real)
        self.url = self._address.replace(f"host={path}", f"host={self._link}") + "&application_name=audited"

    def cut(self) -> None:
        self._link.unlink()
        engine = create_engine(self._address, poolclass=NullPool)
        with engine.begin() as connection:
            connection.execute(
                text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'audited'")
            )

    def mend(self) -> None:
        self._link.symlink_to(self._real)


@pytest.fixture
def switch(postgresql: str) -> Generator[Switch]:
    import tempfile

    # Not below pytest's own directory: a socket's path may not be long.
    with tempfile.TemporaryDirectory(prefix="pg-") as directory:
        yield Switch(postgresql, Path(directory))


async def test_what_was_called_while_the_database_was_away_is_recorded_when_it_is_back(
    switch: Switch, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours: with its own time, nothing twice, and said once in the log at either end."""
    monkeypatch.setattr(recorder, "RETRY_SECONDS", (0.01,))
    monkeypatch.setattr(logs, "DURABLE_SECONDS", 0.2)
    world = World(load(FINEXIO_MCP_LEDGER_URL=switch.url, FINEXIO_MCP_STATE_KEY="k" * 32))
    async with world.log() as log:
        await log.ended(payment(request_id="req_0"))
        await settled(log)
        caplog.clear()
        switch.cut()
        with anyio.fail_after(PATIENCE_SECONDS):
            for number in range(1, 20):
                await log.ended(payment(request_id=f"req_{number}", at_ms=START_MS + number))
            while not log.failing:
                await anyio.to_thread.run_sync(os.sched_yield)
            assert log.waiting == 19
            switch.mend()
            await log.flush()
        assert (log.failing, log.waiting, log.lost) == (False, 0, 0)

    assert [(row["request_id"], row["at_ms"]) for row in world.rows()] == [
        (f"req_{number}", START_MS + number) for number in range(20)
    ]
    assert world.problems() == {"default": ()}
    said = [record.getMessage() for record in caplog.records if record.name == "finexio_mcp.audit"]
    assert [text.split(" (")[0].split(";")[0] for text in said] == [
        "the audit cannot be recorded",
        "the audit is recorded again",
    ]


async def test_a_file_that_is_gone_is_waited_for(
    in_file: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours: it is not made anew, since the ledger in it knew what was paid."""
    monkeypatch.setattr(recorder, "RETRY_SECONDS", (0.01,))
    monkeypatch.setattr(logs, "DURABLE_SECONDS", 0.05)
    await in_file.record(call())
    file = in_file.place.file
    assert file is not None
    aside = file.rename(file.with_suffix(".aside"))
    async with in_file.log() as log:
        with anyio.fail_after(PATIENCE_SECONDS):
            await log.ended(payment())
            while not log.failing:
                await anyio.to_thread.run_sync(os.sched_yield)
        assert not file.exists()
        assert "missing_file" in caplog.text
        aside.rename(file)
        await settled(log)

    assert len(in_file.rows()) == 2


async def test_nobody_waits_once_it_is_known_that_nothing_can_be_recorded(
    in_file: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours: an outage makes no answer slower than its first."""
    await in_file.record(call())
    file = in_file.place.file
    assert file is not None
    aside = file.rename(file.with_suffix(".aside"))
    monkeypatch.setattr(recorder, "RETRY_SECONDS", (PATIENCE_SECONDS * 10,))
    monkeypatch.setattr(logs, "CLOSE_SECONDS", 0.05)
    async with in_file.log() as log:
        monkeypatch.setattr(logs, "DURABLE_SECONDS", 0.05)
        await log.ended(payment())
        monkeypatch.setattr(logs, "DURABLE_SECONDS", PATIENCE_SECONDS * 10)
        with anyio.fail_after(PATIENCE_SECONDS):
            while not log.failing:
                await anyio.to_thread.run_sync(os.sched_yield)
            for _ in range(10):
                await log.ended(payment())
        assert log.waiting == 11
    aside.rename(file)


async def test_what_is_left_at_the_end_is_counted_in_the_log(
    in_file: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours: closing does not wait for ever, and does not hide what it leaves behind."""
    await in_file.record(call())
    monkeypatch.setattr(logs, "CLOSE_SECONDS", 0.05)
    monkeypatch.setattr(logs, "DURABLE_SECONDS", 0.05)
    file = in_file.place.file
    assert file is not None
    file.rename(file.with_suffix(".aside"))
    with anyio.fail_after(PATIENCE_SECONDS):
        async with in_file.log() as log:
            await log.ended(payment())

    assert "1 entries of the audit were not recorded" in caplog.text


async def test_what_found_no_room_is_counted_in_its_place(in_file: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: in the chain of its own account, and no other's."""

    def small() -> Waiting:
        return Waiting(10)

    monkeypatch.setattr(recorder, "Waiting", small)
    monkeypatch.setattr(recorder, "RETRY_SECONDS", (0.01,))
    await in_file.record(call())
    file = in_file.place.file
    assert file is not None
    aside = file.rename(file.with_suffix(".aside"))
    monkeypatch.setattr(logs, "DURABLE_SECONDS", 0.01)
    async with in_file.log() as log:
        await log.ended(payment(request_id="req_paid"))
        for number in range(30):
            account = "beta" if number == 0 else "default"
            await log.ended(call(account=account, at_ms=START_MS + 1000 * number))
        aside.rename(file)
        await settled(log)
        lost = log.lost
        assert 20 <= lost < 30

    rows = in_file.rows("default")
    gap = next(row for row in rows if row["kind"] == "gap")
    assert json.loads(gap["arguments"]) == {
        "entries": lost - 1,
        "reads": lost - 1,
        "writes": 0,
        "from": "2027-01-15T08:00:01Z",
        "to": f"2027-01-15T08:00:{lost - 1:02}Z",
    }
    assert (gap["outcome"], gap["failed"], gap["caller_name"]) == ("lost", 1, "server")
    assert "req_paid" in {row["request_id"] for row in rows}
    assert [json.loads(row["arguments"])["entries"] for row in in_file.rows("beta")] == [1]
    assert in_file.problems() == {"beta": (), "default": ()}


async def test_an_entry_that_cannot_be_written_keeps_no_other_from_it(
    in_file: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Ours: a mistake of ours about one of them is told as a gap."""
    real = Store.append

    def choosy(store: Store, entries: Any) -> None:
        if any(entry.request_id == "req_bad" for entry in entries):
            # Not in one piece: the log shows this line.
            raise ZeroDivisionError("9481" + "73650284")
        real(store, entries)

    monkeypatch.setattr(Store, "append", choosy)
    async with in_file.log() as log:
        for number in range(5):
            await log.ended(call(request_id="req_bad" if number == 2 else None))
        await settled(log)
        assert log.lost == 1

    assert sorted(row["kind"] for row in in_file.rows()) == ["call", "call", "call", "call", "gap"]
    assert "ZeroDivisionError" in caplog.text
    assert "948173650284" not in caplog.text


async def test_an_entry_whose_commit_was_not_confirmed_is_not_recorded_twice(
    shared: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours: the connection may end between the commit and its answer."""
    monkeypatch.setattr(recorder, "RETRY_SECONDS", (0.01,))
    real, failures = Store.append, iter([True, True, False, False, False])

    def forgetful(store: Store, entries: Any) -> None:
        ended = dict(store._ended)  # pyright: ignore[reportPrivateUsage]
        real(store, entries)
        if next(failures):
            # As an attempt leaves it whose answer never came.
            for entry in entries:
                store._ended.setdefault(entry.account, ended.get(entry.account, 0))  # pyright: ignore[reportPrivateUsage]
            raise ConnectionResetError

    monkeypatch.setattr(Store, "append", forgetful)
    async with shared.log() as log:
        await log.ended(call(request_id="req_1"))
        await log.ended(payment(request_id="req_2", account="acme"))
        await log.ended(payment(request_id="req_3"))
        await settled(log)

    assert [row["request_id"] for row in shared.rows()] == ["req_2", "req_1", "req_3"]
    assert set(shared.problems().values()) == {()}


async def test_a_call_that_has_the_name_of_another_is_no_repetition_of_it(shared: World) -> None:
    """Ours: after an answer that was lost, what is there is told by all that it says; nothing vanishes for its name."""
    ended: dict[str, int] = {}
    store = Store(open_writer(shared.place, shared.settings), scope=shared.place.scope, ended=ended)
    masked = Masked()
    read, pay, later = (
        of_call(made, masked)
        for made in (
            call(request_id="req_same"),
            payment(request_id="req_same"),
            call(request_id="req_same", at_ms=START_MS + 1),
        )
    )
    with contextlib.closing(store):
        store.append([read])
        # As an attempt leaves it whose answer never came.
        ended["default"] = 0
        store.append([read, pay, later, read])

    assert [(row["tool"], row["at_ms"] - START_MS) for row in shared.rows()] == [
        *((LIST, 0), (PAY, 0), (LIST, 1), (LIST, 0)),
    ]
    assert shared.problems() == {"default": ()}


async def test_what_the_log_says_holds_no_argument(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Ours: and the head of each chain, to compare with later."""
    caplog.set_level(logging.DEBUG)
    await world.record(payment(arguments={"invoices": [{"invoice_number": "HP-77123"}]}))
    caplog.clear()
    await world.record(call())

    head = next(iter(world.heads().values()))
    assert "HP-77123" not in caplog.text
    assert "audit of account default: entry 1, head" in caplog.text
    assert head.seq == 2


# Killed ----------------------------------------------------------------------------

KILLED = """
import sys, os, time
import anyio
from finexio_mcp.audit.log import AuditLog
from finexio_mcp.settings import load
from tests.audit.conftest import call, payment

async def main():
    log = AuditLog(load())
    number = 0
    while True:
        number += 1
        await log.ended(payment(request_id=f"req_{number}"))
        print(number, flush=True)

anyio.run(main)
"""


def test_who_is_killed_leaves_all_that_was_answered(shared: World, tmp_path: Path) -> None:
    """Ours: what a write's answer waited for stands, and the chain is whole for whoever goes on."""
    assert shared.settings.ledger_url is not None
    env = {
        **os.environ,
        "FINEXIO_MCP_LEDGER_URL": shared.settings.ledger_url.get_secret_value(),
        "FINEXIO_MCP_ALLOW_VOLATILE_LEDGER": "1",
        "FINEXIO_MCP_STATE_KEY": "k" * 32,
    }
    process = subprocess.Popen([sys.executable, "-c", KILLED], stdout=subprocess.PIPE, env=env, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == "20":
            process.send_signal(signal.SIGKILL)
            break
    answered = max([20, *(int(line) for line in process.stdout.read().split())])
    process.wait(PATIENCE_SECONDS)
    process.stdout.close()

    rows = shared.rows()
    assert [row["request_id"] for row in rows][:answered] == [f"req_{number}" for number in range(1, answered + 1)]
    assert len(rows) - answered in (0, 1)
    assert shared.problems() == {"default": ()}
    anyio.run(shared.record, payment())
    assert shared.problems() == {"default": ()}


# Retention -------------------------------------------------------------------------


async def test_what_is_too_old_goes_and_the_chain_says_so(shared: World, caplog: pytest.LogCaptureFixture) -> None:
    """Ours: at the first use after a start, with an entry of how much, from when, and what the rest follows.

    The log has that entry's number and hash too, to compare with: somebody might make one up.
    """
    old = [call(at_ms=START_MS + 1000 * number) for number in range(5)]
    await shared.record(*old, call(at_ms=START_MS + 9 * DAY_MS))
    fifth = shared.rows()[4]["hash"]
    shared.ms = START_MS + 10 * DAY_MS
    caplog.set_level(logging.INFO)
    async with shared.log(audit_days=7) as log:
        await log.ended(payment(at_ms=shared.ms))
        with anyio.fail_after(PATIENCE_SECONDS):
            while shared.heads()["default"].seq != 8:
                await anyio.to_thread.run_sync(time.monotonic)

    rows = shared.rows()
    assert [(row["seq"], row["kind"]) for row in rows] == [(6, "call"), (7, "call"), (8, "retention")]
    assert json.loads(rows[-1]["arguments"]) == {
        "removed": 5,
        "first_seq": 1,
        "last_seq": 5,
        "from": "2027-01-15T08:00:00Z",
        "to": "2027-01-15T08:00:04Z",
        "days": 7,
        "follows": fifth,
    }
    assert shared.problems() == {"default": ()}
    head = shared.heads()["default"]
    assert (head.first_seq, head.before_first) == (6, fifth)
    told = f"entry 8, head {rows[-1]['hash']}, tells that 5 entries, 1 to 5, were older than 7 days and removed"
    assert f"audit of account default: {told}" in caplog.text


async def test_nothing_goes_where_all_is_to_be_kept(in_file: World) -> None:
    """Ours: 0 days keep it for ever."""
    await in_file.record(call(at_ms=0))
    async with in_file.log(audit_days=0) as log:
        await log.ended(payment())
        await log.ended(payment())

    assert [row["seq"] for row in in_file.rows()] == [1, 2, 3]
