"""Replicas that die, and replicas that leave: nothing is lost, and nothing is sent again."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import count
from typing import Any

import pytest

from finexio_mcp.simulator import Fault
from tests.calls import PAY
from tests.conftest import ERAS, Era
from tests.replicas.clients import connected, said
from tests.replicas.cluster import SOON, Cluster, cluster, eventually
from tests.replicas.companies import ACME, BIRCH
from tests.web.serving import PATIENCE_SECONDS
from tests.web.talking import MODERN, call, request

REVISIONS = ("2025-11-25", MODERN)
INVOICES, INVOICE = "list_all_finexio_invoices", "get_single_finexio_invoice_by_id"
BATCH = "/invoices/batch/"
NAMES = count()


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Generator[Cluster]:
    """Replicas with leases of seconds."""
    with cluster(tmp_path_factory.mktemp("mortal"), (ACME, BIRCH), command=SOON) as company:
        yield company


@pytest.fixture
def two(company: Cluster) -> Iterator[Cluster]:
    """Two of them that live, and a Finexio that behaves."""
    if len(company.replicas) < 2:
        company.start(2 - len(company.replicas))
    yield company
    company.finexio["acme"].clear_faults()


def state_of(two: Cluster, number: str) -> str | None:
    """What the ledger says of an invoice, without asking a server."""
    rows = two.database.rows(
        "SELECT state FROM submissions WHERE lower(number) = lower(:number) ORDER BY id", number=number
    )
    return rows[-1]["state"] if rows else None


def kill_in_the_middle(two: Cluster, order: dict[str, Any], revision: str, key: str) -> tuple[str, int]:
    """Pay through the proxy, and kill whoever does it as soon as Finexio has it; what the client saw."""
    number = order["invoice_number"]
    with ThreadPoolExecutor(1) as clients:
        answer = clients.submit(call, two.site(), revision, PAY, {"invoices": [order]}, token=key)
        eventually(lambda: two.finexio.posts(number))
        victim = two.proxy.serving(number)
        assert victim is not None
        two.kill(victim)
        return victim, answer.result(PATIENCE_SECONDS).status


@pytest.mark.parametrize(
    ("revision", "fault"),
    [(REVISIONS[0], Fault(lost_answer=True)), (REVISIONS[1], Fault(lands_after=timedelta(seconds=1)))],
    ids=["done", "done late"],
)
def test_the_other_replica_settles_what_a_killed_one_left_without_being_asked(
    two: Cluster, revision: str, fault: Fault
) -> None:
    """Ours: it waits until the lease is over, looks at Finexio, and never sends (W1, W3, W4)."""
    key, order = (
        two.token("pay", f"payer {next(NAMES)}", "acme"),
        ACME.order(f"left-{next(NAMES)}", 41_00 + next(NAMES)),
    )
    two.finexio["acme"].fault(fault, path=BATCH)
    _, seen = kill_in_the_middle(two, order, revision, key)
    number = order["invoice_number"]
    left = state_of(two, number)
    eventually(lambda: state_of(two, number) == "confirmed")
    again = call(two.site(), revision, PAY, {"invoices": [order]}, token=key).content

    assert (seen, left) == (502, "sent")
    assert again["status"] == "already_submitted"
    assert len(two.finexio.posts(number)) == 1
    assert {one.user for one in two.finexio.signed if one.method == "GET"} == {ACME.user}
    two.assert_chains_are_whole()


@pytest.mark.parametrize("era", ERAS)
async def test_the_same_call_through_the_proxy_finds_out_and_never_sends_again(two: Cluster, era: Era) -> None:
    """Ours: whichever replica it meets; until the outcome is known it says so (W1)."""
    key, order = (
        two.token("pay", f"asker {next(NAMES)}", "acme"),
        ACME.order(f"asked-{next(NAMES)}", 51_00 + next(NAMES)),
    )
    two.finexio["acme"].fault(Fault(lost_answer=True), path=BATCH)
    kill_in_the_middle(two, order, REVISIONS[ERAS.index(era)], key)
    told: list[str] = []
    async with connected(two.proxy.url, key, era) as client:
        while not told or told[-1] in {"in_progress", "in_doubt"}:
            told.append((await said(client, PAY, {"invoices": [order]}))["status"])
            assert len(told) < 5_000
        two.start()
        again = [(await said(client, PAY, {"invoices": [order]}))["status"] for _ in two.replicas]

    assert told[-1] in {"confirmed", "already_submitted"}
    assert again == ["already_submitted"] * 2
    assert len(told) > 1
    assert len(two.finexio.posts(order["invoice_number"])) == 1


def test_replicas_die_one_after_the_other_while_many_pay_and_every_invoice_is_paid_once(two: Cluster) -> None:
    """Ours: callers who insist, as answers say that they may, get every invoice paid; none is paid twice (W1, W4)."""
    key, turn = two.token("pay", f"many {next(NAMES)}", "acme"), next(NAMES)
    orders = [ACME.order(f"many-{turn}-{number}", 1_000_00 + 13 * number) for number in range(40)]
    two.finexio["acme"].fault(Fault(delay_seconds=0.3), path=BATCH, times=None)
    begun = len(two.finexio.posts())

    def insist(turn: tuple[int, dict[str, Any]]) -> Counter[str]:
        number, order = turn
        told: Counter[str] = Counter()
        while not told["confirmed"] + told["already_submitted"]:
            reply = call(two.site(), REVISIONS[number % 2], PAY, {"invoices": [order]}, token=key)
            told[reply.content["status"] if reply.status == 200 else str(reply.status)] += 1
            assert sum(told.values()) < 5_000
        return told

    with ThreadPoolExecutor(8) as clients:
        jobs = [clients.submit(insist, (number, order)) for number, order in enumerate(orders)]
        for more in (4, 12):
            eventually(lambda more=more: len(two.finexio.posts()) >= begun + more)
            victim = eventually(lambda: two.proxy.serving(f"KESTREL-many-{turn}"))
            two.kill(victim)
            two.start()
        told = [job.result(3 * PATIENCE_SECONDS) for job in jobs]

    seen = sum(told, Counter[str]())
    assert set(seen) <= {"confirmed", "already_submitted", "in_progress", "in_doubt", "502", "not_executed"}
    assert seen["502"] > 0
    posted = [len(two.finexio.posts(order["invoice_number"])) for order in orders]
    created = Counter(record["invoice_number"] for record in two.finexio["acme"].invoices.values())
    assert [created[order["invoice_number"]] for order in orders] == posted == [1] * len(orders)
    states = {state_of(two, order["invoice_number"]) for order in orders}
    assert states == {"confirmed"}
    two.assert_chains_are_whole()


def test_a_replica_that_is_told_to_leave_loses_no_call(two: Cluster) -> None:
    """Ours: out of the proxy first, then SIGTERM: what it has begun is answered, what comes is the other's (T7)."""
    key = two.token("pay", f"stayer {next(NAMES)}", "acme")
    order, held = ACME.order(f"last-{next(NAMES)}", 61_00 + next(NAMES)), {"id": ACME.old_invoice(7)}
    slow, acme = Fault(delay_seconds=2.0), two.finexio["acme"]
    acme.fault(slow, path=BATCH)
    acme.fault(slow, path=f"*/{held['id']}/")
    with ThreadPoolExecutor(10) as clients:
        reads = [clients.submit(read_on, two, key, number) for number in range(8)]
        paid = clients.submit(call, two.site(), MODERN, PAY, {"invoices": [order]}, token=key)
        leaving = eventually(lambda: two.proxy.serving(order["invoice_number"]))
        eventually(lambda: two.finexio.posts(order["invoice_number"]))
        looked = clients.submit(call, two.site(leaving), MODERN, INVOICE, held, token=key)
        eventually(lambda: [one for one in list(two.finexio.signed) if held["id"] in one.path])
        two.proxy.take_out(leaving)
        eventually(lambda: two.proxy.busy(leaving) == 1)
        child = two.replicas.pop(leaving)
        child.process.send_signal(signal.SIGTERM)
        code, log = child.end()
        told = [job.result(PATIENCE_SECONDS) for job in reads]

    assert code == 0
    assert "Traceback" not in log
    assert paid.result().content["status"] == "confirmed"
    assert looked.result().content["result"]["id"] == held["id"]
    assert [codes for codes in told if set(codes) != {"ok"}] == []
    assert len(two.finexio.posts(order["invoice_number"])) == 1


def read_on(two: Cluster, key: str, number: int) -> Counter[str]:
    """Thirty reads, one after the other; how they were answered."""
    told: Counter[str] = Counter()
    for turn in range(30):
        reply = call(two.site(), REVISIONS[(turn + number) % 2], INVOICES, {"limit": 1}, token=key)
        told[reply.content.get("error", {}).get("code", "ok") if reply.status == 200 else str(reply.status)] += 1
    return told


def test_a_replica_that_leaves_without_a_word_to_the_proxy_refuses_and_never_half_pays(two: Cluster) -> None:
    """Ours: calls that meet it on its way out are told that nothing happened, and may be made again (T7)."""
    key, leaving = two.token("pay", f"hasty {next(NAMES)}", "acme"), next(iter(two.replicas))
    turn = next(NAMES)
    orders = [ACME.order(f"hasty-{turn}-{number}", 2_000_00 + 17 * number) for number in range(60)]
    two.finexio["acme"].fault(Fault(delay_seconds=0.1), path=BATCH, times=None)
    child = two.replicas[leaving]

    def pay(turn: tuple[int, dict[str, Any]]) -> tuple[dict[str, Any], Any]:
        number, order = turn
        reply = call(two.site(), REVISIONS[number % 2], PAY, {"invoices": [order]}, token=key)
        return order, reply.content if reply.status == 200 else {"status": str(reply.status)}

    with ThreadPoolExecutor(6) as clients:
        jobs = [clients.submit(pay, each) for each in enumerate(orders)]
        eventually(lambda: len(two.finexio.posts(orders[8]["invoice_number"])) or jobs[20].done())
        child.process.send_signal(signal.SIGTERM)
        told = [job.result(PATIENCE_SECONDS) for job in jobs]
    code, _ = child.end()
    two.replicas.pop(leaving)
    two.proxy.take_out(leaving)

    assert code == 0
    for order, content in told:
        posts = len(two.finexio.posts(order["invoice_number"]))
        expected = {"confirmed": {1}, "not_executed": {0}, "502": {0, 1}, "503": {0}}
        assert posts in expected[content["status"]], content
    assert {content["status"] for _, content in told} >= {"confirmed", "not_executed"}


def test_a_dead_replica_took_nothing_with_it(two: Cluster) -> None:
    """Ours: tokens that it gave leave to, invoices that it paid and entries that it wrote are there."""
    first = next(iter(two.replicas))
    key = two.token("pay", f"survivor {next(NAMES)}", "birch")
    order = BIRCH.order(f"kept-{next(NAMES)}", 71_00 + next(NAMES))
    paid = call(two.site(first), MODERN, PAY, {"invoices": [order]}, token=key).content
    two.kill(first)
    shown = call(two.site(), MODERN, "get_finexio_submission", {"op_id": paid["op_id"]}, token=key).content
    again = call(two.site(), MODERN, PAY, {"invoices": [order]}, token=key).content
    entries = two.database.rows("SELECT outcome FROM audit_entries WHERE op_id = :op_id", op_id=paid["op_id"])

    assert paid["status"] == "confirmed"
    assert shown["result"]["rows"][0]["state"] == "confirmed"
    assert again["status"] == "already_submitted"
    assert "confirmed" in {row["outcome"] for row in entries}
    assert request(two.site(), "GET", "/readyz").status == 200
    two.assert_chains_are_whole()
