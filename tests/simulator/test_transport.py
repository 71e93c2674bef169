"""The in-process transport against the real one: the same events, in the same order."""

import socket
from typing import Any

import httpx2
import pytest

from finexio_mcp.simulator import Fault, Simulator

from .asking import WEBHOOK, client, socket_client


class Trace:
    """Collects trace events, and refuses the one it is told to."""

    def __init__(self, refuse: str | None = None) -> None:
        self.names: list[str] = []
        self.infos: list[dict[str, Any]] = []
        self.refuse = refuse

    async def __call__(self, name: str, info: dict[str, Any]) -> None:
        self.names.append(name)
        self.infos.append(info)
        if name == self.refuse:
            raise PermissionError(name)


async def trace_of(api: httpx2.AsyncClient, refuse: str | None = None) -> list[str]:
    trace = Trace(refuse)
    async with api:
        await attempt(api, trace)
    return trace.names


async def attempt(api: httpx2.AsyncClient, trace: Trace) -> None:
    try:
        await api.post("/webhooks/", json={}, extensions={"trace": trace})
    except (httpx2.TransportError, PermissionError):
        return


@pytest.mark.parametrize(
    "fault",
    [
        None,
        Fault(status=204),
        Fault(reset="before_effect"),
        Fault(reset="after_effect", orderly=True),
        Fault(lost_answer=True),
        Fault(truncate_at=3),
    ],
    ids=lambda fault: str(fault)[-90:],
)
async def test_the_events_are_those_of_a_real_connection(
    sim: Simulator, served: Simulator, fault: Fault | None
) -> None:
    """Ours: the write fence of a client works here as it does in production."""
    for each in (sim, served) if fault else ():
        each.fault(fault or Fault())

    assert await trace_of(client(sim, timeout=0.05)) == await trace_of(socket_client(served, timeout=0.05))


async def test_the_events_of_a_refused_connection_are_the_real_ones(sim: Simulator) -> None:
    """Ours: compared with a port that nobody listens on."""
    sim.fault(Fault(connect_error=True))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    real = httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, verify=False)

    assert await trace_of(client(sim)) == await trace_of(real)


@pytest.mark.parametrize(
    "refuse",
    ["connection.connect_tcp.started", "http11.send_request_headers.started", "http11.send_request_body.started"],
)
async def test_a_hook_that_raises_sends_nothing(sim: Simulator, served: Simulator, refuse: str) -> None:
    """Ours: no request arrives, no fault is used up, and the events are still the real ones."""
    sim.fault(Fault(status=500))
    names = await trace_of(client(sim), refuse)

    assert (sim.journal.requests, sim.faults_left) == ([], 1)
    assert names == await trace_of(socket_client(served), refuse)


async def test_the_error_of_a_hook_comes_through_unchanged(sim: Simulator) -> None:
    """Ours: as with the real transport."""
    async with client(sim) as api:
        with pytest.raises(PermissionError):
            await api.post(
                "/webhooks/",
                json=WEBHOOK,
                extensions={"trace": Trace("http11.send_request_headers.started")},
            )

    assert sim.webhooks == {}


async def test_the_events_carry_what_the_real_ones_do(sim: Simulator) -> None:
    """Ours: the request at each start, status and headers when they arrive."""
    trace = Trace()
    async with client(sim) as api:
        await api.get("/payments/", extensions={"trace": trace})

    by_name = dict(zip(trace.names, trace.infos, strict=True))
    version, status, reason, headers = by_name["http11.receive_response_headers.complete"]["return_value"]
    assert (version, status, reason) == (b"HTTP/1.1", 200, b"OK")
    assert (b"content-type", b"application/json") in headers
    assert by_name["http11.send_request_headers.started"]["request"].method == "GET"
    assert by_name["connection.connect_tcp.started"]["host"] == "simulator.invalid"


async def test_a_streamed_answer_can_be_left_half_read(sim: Simulator) -> None:
    """Ours: closing early fires the closing event once."""
    trace = Trace()
    async with (
        client(sim) as api,
        api.stream("GET", "/payments/", extensions={"trace": trace}) as answer,
    ):
        assert answer.status_code == 200

    assert trace.names[-2:] == ["http11.response_closed.started", "http11.response_closed.complete"]
    assert trace.names.count("http11.response_closed.started") == 1


async def test_the_same_answers_come_over_both_wires(busy: Simulator) -> None:
    """Ours: one world, two ways in; only the origin differs."""
    paths = ["/payments/", "/counterparties/", "/invoices/?page=2", "/counterparties/history", "/nowhere"]
    with busy.listening():
        async with client(busy) as near, socket_client(busy) as far:
            for path in paths:
                here, there = await near.get(path), await far.get(path)
                assert (here.status_code, here.content) == (there.status_code, there.content)
