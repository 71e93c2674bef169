"""PostgreSQL goes away under traffic, and comes back: writes are off in between, reads are not, nobody restarts."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from typing import Any

import pytest

from tests.calls import PAY
from tests.replicas.cluster import SOON, Cluster, cluster, eventually
from tests.replicas.companies import ACME, BIRCH
from tests.web.serving import PATIENCE_SECONDS
from tests.web.talking import MODERN, call, request

REVISIONS = ("2025-11-25", MODERN)
INVOICES = "list_all_finexio_invoices"
NAMES = count()
RATE, BURST = 8, 4


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Generator[Cluster]:
    """Two replicas; one account has a rate."""
    limits = {"birch": {"rate": RATE, "rate_burst": BURST}}
    with cluster(tmp_path_factory.mktemp("outage"), (ACME, BIRCH), command=SOON, limits=limits) as company:
        yield company


def how(reply: Any) -> str:
    """In a word, how a call was answered."""
    if reply.status != 200:
        return str(reply.status)
    content = reply.content
    return content["error"]["code"] if "error" in content else content.get("status", "ok")


class Traffic:
    """Reads and payments through the proxy, without a pause."""

    def __init__(self, company: Cluster, key: str) -> None:
        self._company, self._key = company, key
        self._over = threading.Event()
        self._name, self._numbers = f"out-{next(NAMES)}", count()
        self._phase = "before"
        self.read: dict[str, Counter[str]] = {}
        self.paid: dict[str, Counter[str]] = {}
        self.told: dict[str, list[str]] = {}
        """How each payment was answered, by its number."""

    def phase(self, name: str) -> None:
        """What is asked and answered from now on is counted by itself."""
        self._phase = name

    def _count(self, kind: dict[str, Counter[str]], asked_in: str, answer: str) -> None:
        """What was asked in one phase and answered in another belongs to neither."""
        same = self._phase == asked_in
        kind.setdefault(asked_in if same else f"after {asked_in}", Counter())[answer] += 1

    @contextmanager
    def flowing(self) -> Generator[None]:
        with ThreadPoolExecutor(6) as clients:
            flows = [clients.submit(flow, number) for number in range(3) for flow in (self._reads, self._pays)]
            try:
                yield
            finally:
                self._over.set()
                for flow in flows:
                    flow.result(2 * PATIENCE_SECONDS)

    def _reads(self, lane: int) -> None:
        for turn in count(lane):
            if self._over.is_set():
                return
            phase = self._phase
            reply = call(self._company.site(), REVISIONS[turn % 2], INVOICES, {"limit": 1}, token=self._key)
            self._count(self.read, phase, how(reply))

    def _pays(self, lane: int) -> None:
        while not self._over.is_set():
            number, phase = next(self._numbers), self._phase
            order = ACME.order(f"{self._name}-{number}", 3_000_00 + 11 * number)
            reply = call(
                self._company.site(), REVISIONS[(number + lane) % 2], PAY, {"invoices": [order]}, token=self._key
            )
            self.told[order["invoice_number"]] = [how(reply)]
            self._count(self.paid, phase, how(reply))

    def see(self, kind: str, phase: str, answer: str, times: int) -> None:
        """Wait until that was answered so often."""
        counts: dict[str, Counter[str]] = getattr(self, kind)
        eventually(lambda: counts.get(phase, Counter())[answer] >= times)

    def again(self, number: str) -> str:
        """The same payment once more."""
        cents = 3_000_00 + 11 * int(number.rpartition("-")[2])
        order = ACME.order(number.removeprefix("KESTREL-"), cents)
        return how(call(self._company.site(), MODERN, PAY, {"invoices": [order]}, token=self._key))


def readiness(company: Cluster) -> list[tuple[int, str]]:
    """What a balancer is told of each."""
    replies = [request(company.site(name), "GET", "/readyz") for name in company.replicas]
    return [(reply.status, reply.json["status"]) for reply in replies]


Outage = Callable[[Cluster], None]
OUTAGES: dict[str, tuple[Outage, Outage]] = {
    "stopped": (lambda company: company.database.stop(), lambda company: company.database.start()),
    "killed": (lambda company: company.database.kill(), lambda company: company.database.start()),
}


@pytest.mark.parametrize("outage", OUTAGES)
def test_while_the_database_is_away_reads_go_on_and_writes_are_off_and_then_all_is_well(
    company: Cluster, outage: str
) -> None:
    """Ours: stopped or killed, under traffic; the same processes go on afterwards, and nobody is paid twice."""
    key = company.token("pay", f"clerk {outage}", "acme")
    processes = {name: child.process.pid for name, child in company.replicas.items()}
    traffic = Traffic(company, key)
    away, back = OUTAGES[outage]
    with traffic.flowing():
        traffic.see("read", "before", "ok", 20)
        traffic.see("paid", "before", "confirmed", 6)
        eventually(lambda: readiness(company) == [(200, "ready")] * 2)
        traffic.phase("going")
        away(company)
        traffic.see("paid", "going", "ledger_unavailable", 4)
        begun = len(company.finexio.posts())
        traffic.phase("away")
        traffic.see("paid", "away", "ledger_unavailable", 8)
        traffic.see("read", "away", "ok", 30)
        posted = len(company.finexio.posts()) - begun
        # What a probe was told holds for a moment.
        eventually(lambda: readiness(company) == [(200, "degraded")] * 2)
        unknown = call(company.site(), MODERN, INVOICES, {}, token=f"{key[:-4]}AAAA")
        traffic.phase("coming")
        back(company)
        eventually(lambda: readiness(company) == [(200, "ready")] * 2)
        traffic.see("paid", "coming", "confirmed", 6)
        traffic.phase("after")
        traffic.see("paid", "after", "confirmed", 20)
        traffic.see("read", "after", "ok", 20)

    assert set(traffic.paid["away"]) == {"ledger_unavailable"}
    assert posted == 0
    assert {answer for answers in traffic.read.values() for answer in answers} == {"ok"}
    assert set(traffic.paid["after"]) == {"confirmed"}
    # Nobody can say whether that token is good, so nobody says that it is not.
    assert unknown.status == 503
    assert {name: child.process.pid for name, child in company.replicas.items()} == processes
    assert all(child.process.poll() is None for child in company.replicas.values())

    unclear = [
        number for number, (answer,) in traffic.told.items() if answer not in {"confirmed", "ledger_unavailable"}
    ]
    assert {traffic.told[number][0] for number in unclear} <= {"in_doubt", "in_progress", "not_executed"}
    for number in unclear:
        eventually(lambda number=number: traffic.again(number) in {"confirmed", "already_submitted"})
    created = Counter(record["invoice_number"] for record in company.finexio["acme"].invoices.values())
    for number, (answer,) in traffic.told.items():
        posts = len(company.finexio.posts(number))
        assert (posts, created[number]) == ((0, 0) if answer == "ledger_unavailable" else (1, 1)), (number, answer)
    company.assert_chains_are_whole()


def test_a_database_that_takes_requests_and_never_answers_holds_no_read_up(company: Cluster) -> None:
    """Ours: as behind a firewall that drops everything; writes are refused in the end, reads go on meanwhile."""
    key, turn = company.token("pay", "patient", "acme"), next(NAMES)
    orders = [ACME.order(f"silent-{turn}-{number}", 4_000_00 + 11 * number) for number in range(2)]
    for name in company.replicas:
        assert how(call(company.site(name), MODERN, INVOICES, {"limit": 1}, token=key)) == "ok"
    eventually(lambda: readiness(company) == [(200, "ready")] * 2)
    company.database.freeze()
    with ThreadPoolExecutor(2) as clients:
        sites = [company.site(name) for name in company.replicas]
        writes = [
            clients.submit(call, site, revision, PAY, {"invoices": [order]}, token=key)
            for site, revision, order in zip(sites, REVISIONS, orders, strict=True)
        ]
        reads: Counter[str] = Counter()
        while not all(write.done() for write in writes):
            reads[how(call(company.site(), REVISIONS[reads.total() % 2], INVOICES, {"limit": 1}, token=key))] += 1
        ready = readiness(company)
    company.database.thaw()
    eventually(lambda: readiness(company) == [(200, "ready")] * 2)
    # What the database did after all, behind the back of whoever asked, may have to wait for its lease to end.
    for order in orders:
        told = "in_progress"
        while told == "in_progress":
            told = how(call(company.site(), MODERN, PAY, {"invoices": [order]}, token=key))
        assert told == "confirmed"

    assert [how(write.result()) for write in writes] == ["ledger_unavailable"] * 2
    assert set(reads) == {"ok"}
    # A write waits for half a minute at the most; were reads to wait as it does, there would be one or two.
    assert reads.total() > 8
    assert ready == [(200, "degraded")] * 2
    assert [len(company.finexio.posts(order["invoice_number"])) for order in orders] == [1, 1]
    company.assert_chains_are_whole()


def test_both_together_keep_the_rate_with_the_database_and_without(company: Cluster) -> None:
    """Ours: what reaches Finexio for an account is no more than its rate and one burst, however many replicas (T6)."""
    key, over = company.token("read", "hurried", "birch"), threading.Event()
    start = len(company.finexio.signed)

    def read_on(lane: int) -> Counter[str]:
        told: Counter[str] = Counter()
        for turn in count(lane):
            if over.is_set():
                return told
            told[how(call(company.site(), REVISIONS[turn % 2], INVOICES, {"limit": 1}, token=key))] += 1
        raise AssertionError

    def asked() -> list[float]:
        return [one.at for one in company.finexio.signed[start:] if one.user == BIRCH.user]

    with ThreadPoolExecutor(16) as clients:
        lanes = [clients.submit(read_on, lane) for lane in range(16)]
        eventually(lambda: len(asked()) >= BURST + 3 * RATE)
        company.database.stop()
        stopped = len(asked())
        eventually(lambda: len(asked()) >= stopped + 3 * RATE)
        company.database.start()
        started = len(asked())
        eventually(lambda: len(asked()) >= started + 3 * RATE)
        over.set()
        told = sum((lane.result(PATIENCE_SECONDS) for lane in lanes), Counter[str]())

    at = asked()
    # A request that was let go late arrives beside the next ones, by as much as a busy machine delays it.
    late_seconds = 0.5
    for first in range(len(at)):
        for last in range(first, len(at)):
            assert last - first + 1 <= BURST + RATE * (at[last] - at[first] + late_seconds) + 1
    assert set(told) == {"ok"}
    assert both_were_asked(company)


def both_were_asked(company: Cluster) -> bool:
    """Whether the proxy has used both."""
    return all(company.proxy.count(name) > 10 for name in company.replicas)
