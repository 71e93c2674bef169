"""Scripted misfortune, in process and over a real socket: the client must see the same."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import anyio
import httpx2
import pytest

from finexio_mcp.simulator import Fault, Received, Simulator

from .asking import WEBHOOK, client, invoice, socket_client

Reach = Callable[..., httpx2.AsyncClient]


@pytest.fixture(params=["in process", "socket"])
def wired(request: pytest.FixtureRequest) -> tuple[Simulator, Reach]:
    """A simulator and a way to reach it: each test that takes this runs over both wires."""
    if request.param == "socket":
        return request.getfixturevalue("served"), socket_client
    return request.getfixturevalue("sim"), client


OUTCOMES: list[tuple[Fault, type[Exception], bool]] = [
    (Fault(reset="before_effect"), httpx2.ReadError, False),
    (Fault(reset="after_effect"), httpx2.ReadError, True),
    (Fault(reset="before_effect", orderly=True), httpx2.RemoteProtocolError, False),
    (Fault(reset="after_effect", orderly=True), httpx2.RemoteProtocolError, True),
    (Fault(lost_answer=True), httpx2.ReadTimeout, True),
    (Fault(lands_after=timedelta(hours=1)), httpx2.ReadTimeout, False),
    (Fault(truncate_at=20), httpx2.RemoteProtocolError, True),
    (Fault(truncate_at=0), httpx2.RemoteProtocolError, True),
    (Fault(delay_seconds=30), httpx2.ReadTimeout, True),
    (Fault(delay_seconds=30, reset="before_effect"), httpx2.ReadTimeout, False),
    (Fault(drip_seconds=30), httpx2.ReadTimeout, True),
]


@pytest.mark.parametrize(("fault", "error", "happened"), OUTCOMES, ids=lambda value: str(value)[:60])
async def test_a_broken_exchange_looks_the_same_on_both_wires(
    wired: tuple[Simulator, Reach], fault: Fault, error: type[Exception], happened: bool
) -> None:
    """Ours: the same exception, the same effect, and a request in the journal."""
    sim, reach = wired
    sim.fault(fault)
    with anyio.fail_after(5):
        async with reach(sim, timeout=0.1) as api:
            with pytest.raises(error):
                await api.post("/webhooks/", json=WEBHOOK)

    assert (len(sim.webhooks) == 1) == happened
    assert [record.path for record in sim.journal.requests] == ["/v2/webhooks/"]


@pytest.mark.parametrize(
    ("fault", "error"),
    [(Fault(connect_error=True), httpx2.ConnectError), (Fault(connect_timeout=True), httpx2.ConnectTimeout)],
)
async def test_a_refused_connection_lets_nothing_out(sim: Simulator, fault: Fault, error: type[Exception]) -> None:
    """Ours: no journal entry, and the next request gets through."""
    sim.fault(fault)
    async with client(sim) as api:
        with pytest.raises(error):
            await api.post("/webhooks/", json=WEBHOOK)
        assert sim.journal.requests == []
        assert (await api.post("/webhooks/", json=WEBHOOK)).status_code == 201


async def test_over_a_socket_a_refused_connection_is_cut_without_effect(served: Simulator) -> None:
    """Known gap: a server cannot refuse one request's connection, so the client is left in doubt."""
    served.fault(Fault(connect_error=True))
    with anyio.fail_after(5):
        async with socket_client(served) as api:
            with pytest.raises(httpx2.ReadError):
                await api.post("/webhooks/", json=WEBHOOK)

    assert (served.webhooks, served.journal.requests) == ({}, [])


async def test_a_scripted_answer_takes_the_place_of_the_true_one(wired: tuple[Simulator, Reach]) -> None:
    """Ours: status, headers and body; no effect unless asked for."""
    sim, reach = wired
    sim.fault(Fault(status=503, headers={"Retry-After": "2"}, body=b"<html>"))
    sim.fault(Fault(status=502, takes_effect=True))
    sim.fault(Fault(body=b"<html>", headers={"Content-Type": "text/html"}))
    async with reach(sim) as api:
        first = await api.post("/webhooks/", json=WEBHOOK)
        untouched = dict(sim.webhooks)
        second = await api.post("/webhooks/", json=WEBHOOK)
        third = await api.get("/webhooks/")

    assert (first.status_code, first.headers["retry-after"], first.content) == (503, "2", b"<html>")
    assert untouched == {}
    assert (second.status_code, second.content, len(sim.webhooks)) == (502, b"", 1)
    assert (third.status_code, third.headers["content-type"], third.text) == (200, "text/html", "<html>")
    assert [record.status for record in sim.journal.requests] == [503, 502, 200]


async def test_a_dripping_answer_arrives_whole(wired: tuple[Simulator, Reach]) -> None:
    """Ours: slow, but complete."""
    sim, reach = wired
    sim.fault(Fault(drip_seconds=0.001))
    async with reach(sim) as api:
        answer = await api.get("/payments/")

    assert answer.json()["count"] == 0


async def test_a_lost_batch_can_land_later(sim: Simulator) -> None:
    """Ours: the effect comes long after the client gave up, in its own time."""
    sim.fault(Fault(lands_after=timedelta(minutes=20)))
    async with client(sim) as api:
        with pytest.raises(httpx2.ReadTimeout):
            await api.post("/invoices/batch/", json=[invoice(sim)])
        sim.advance(minutes=19)
        before = dict(sim.invoices)
        sim.advance(minutes=2)

    (landed,) = sim.invoices.values()
    assert before == {}
    assert landed["created"] == "2026-11-20T09:20:00.000000"
    assert [(effect.kind, effect.request) for effect in sim.journal.effects] == [("invoice.created", 0)]


async def test_faults_are_used_up_in_order_by_the_requests_they_fit(sim: Simulator) -> None:
    """Ours: `times`, `match`, `method` and `path`, with or without /v2, as a pattern."""

    def for_second_page(request: Received) -> bool:
        return ("page", "2") in request.query

    sim.fault(Fault(status=501), times=2, method="get", path="/payments/*")
    sim.fault(Fault(status=502), match=for_second_page, times=None)
    sim.fault(Fault(status=503), path="/v2/webhooks/")
    async with client(sim) as api:
        paths = ("/webhooks/", "/payments/", "/webhooks/", "/payments/x/", "/payments/", "/invoices/?page=2")
        statuses = [(await api.get(path)).status_code for path in paths]

    assert statuses == [503, 501, 200, 501, 200, 502]
    assert sim.faults_left == 1
    sim.clear_faults()
    assert sim.faults_left == 0


async def test_a_delay_shorter_than_the_patience_is_only_waited_for(sim: Simulator) -> None:
    """Ours: through a sleeper that is handed in."""
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    sim.sleep = sleep
    sim.fault(Fault(delay_seconds=30))
    sim.fault(Fault(delay_seconds=30))
    async with client(sim, timeout=40) as api:
        answer = await api.get("/payments/")
        with pytest.raises(httpx2.ReadTimeout):
            await api.get("/payments/", timeout=4)

    assert answer.status_code == 200
    assert waited == [30, 4]


async def test_without_a_timeout_a_lost_answer_is_waited_for_without_end(sim: Simulator) -> None:
    """Ours: the transport invents no timeout that the client did not set."""
    sim.fault(Fault(lost_answer=True))
    async with client(sim, timeout=None) as api:
        with anyio.move_on_after(0.05) as scope:
            await api.get("/payments/")

    assert scope.cancelled_caught


async def test_a_request_that_is_given_up_keeps_its_effect(sim: Simulator) -> None:
    """Ours: cancelling the wait does not undo what was done."""
    sim.fault(Fault(delay_seconds=60))
    async with client(sim, timeout=None) as api:
        with anyio.move_on_after(0.05):
            await api.post("/webhooks/", json=WEBHOOK)

    assert len(sim.webhooks) == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"status": 500, "lost_answer": True},
        {"connect_error": True, "connect_timeout": True},
        {"takes_effect": True},
        {"orderly": True},
        {"reset": "after_effect", "lands_after": timedelta(1)},
    ],
)
def test_a_fault_has_one_ending(fields: dict[str, Any]) -> None:
    """Ours: a contradiction is a mistake in the test that wrote it."""
    with pytest.raises(ValueError, match=r"belongs|ending"):
        Fault(**fields)
