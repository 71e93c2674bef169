"""The client for Finexio: when a read is tried again, what leaves, where to, and what no answer means."""

from __future__ import annotations

import base64
import contextlib
import gzip
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from anyio.abc import SocketAttribute, SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream

from finexio_mcp.api.client import READ_ATTEMPTS, FinexioClient, open_client
from finexio_mcp.api.requests import Request
from finexio_mcp.clock import Clock
from finexio_mcp.errors import (
    DeadlinePassed,
    FinexioError,
    NotAuthorized,
    NotConfigured,
    NotExecuted,
    OutcomeUnknown,
    RateLimited,
    Unavailable,
    Unreadable,
)
from finexio_mcp.settings import Settings, load
from finexio_mcp.simulator import Fault
from tests.calls import FakeClock, Reply, Silent, Upstream, office, reply
from tests.conftest import simulator_settings

GET = Request("GET", "/invoices/")
POST = Request("POST", "/invoices/batch/", body=b"[]")
SOON = 40.0


def client_at(
    clock: Clock,
    transport: httpx2.AsyncBaseTransport,
    settings: Settings | None = None,
    *,
    chance: Callable[[], float] = lambda: 1.0,
) -> FinexioClient:
    """A client whose jitter is always the longest, unless said otherwise."""
    http = httpx2.AsyncClient(transport=transport, trust_env=False, follow_redirects=False)
    return FinexioClient(settings or simulator_settings(), reads=transport, writes=http, clock=clock, chance=chance)


class Gate:
    """Who is asked before the first byte of a write leaves, and may refuse."""

    def __init__(self, *refusals: FinexioError) -> None:
        self._refusals = list(refusals)
        self.asked = 0

    async def __call__(self) -> None:
        self.asked += 1
        if self._refusals:
            raise self._refusals.pop(0)


async def read(upstream: httpx2.AsyncBaseTransport, clock: FakeClock, seconds: float = SOON) -> Any:
    client = client_at(clock, upstream)
    with anyio.fail_after(5):
        return await client.read(GET, until=client.deadline(seconds))


# Reads: again, and when not ------------------------------------------------------

PASSING_STATUSES = (408, 425, 429, 500, 502, 503, 504)
PASSING_ERRORS = (
    httpx2.ConnectError("x"),
    httpx2.ConnectTimeout("x"),
    httpx2.PoolTimeout("x"),
    httpx2.ReadError("x"),
    httpx2.ReadTimeout("x"),
    httpx2.WriteError("x"),
    httpx2.RemoteProtocolError("x"),
)
PASSING = [*(reply(status) for status in PASSING_STATUSES), *PASSING_ERRORS]
NAMES = [*map(str, PASSING_STATUSES), *(type(error).__name__ for error in PASSING_ERRORS)]


@pytest.mark.parametrize("failure", PASSING, ids=NAMES)
async def test_a_read_that_may_work_next_time_gets_four_attempts_in_all(failure: Reply) -> None:
    """Ours: nothing changes by looking twice."""
    upstream, clock = Upstream(failure), FakeClock()

    with pytest.raises((Unavailable, RateLimited)) as caught:
        await read(upstream, clock)

    assert len(upstream.requests) == READ_ATTEMPTS == 4
    assert not caught.value.may_have_happened
    assert caught.value.retryable


@pytest.mark.parametrize("failure", PASSING, ids=NAMES)
async def test_a_read_ends_with_the_first_good_answer(failure: Reply) -> None:
    """Ours: trouble that passes is not the caller's."""
    upstream = Upstream(failure, failure, failure, reply(200, {"count": 0}))

    assert await read(upstream, FakeClock()) == {"count": 0}


@pytest.mark.parametrize("status", [300, 301, 304, 400, 401, 403, 404, 405, 409, 410, 413, 415, 422, 501, 505])
async def test_a_read_that_was_answered_for_good_is_not_repeated(status: int) -> None:
    """Ours: asking again would only be asked again."""
    upstream, clock = Upstream(reply(status)), FakeClock()

    with pytest.raises(FinexioError) as caught:
        await read(upstream, clock)

    assert (len(upstream.requests), clock.slept) == (1, [])
    assert caught.value.http_status == status


async def test_pauses_between_attempts_grow_and_are_drawn_by_chance() -> None:
    """Ours: full jitter from a quarter of a second, doubled each time."""
    longest, shortest = FakeClock(), FakeClock()

    for clock, chance in ((longest, 1.0), (shortest, 0.0)):
        client = client_at(clock, Upstream(reply(503)), chance=lambda chance=chance: chance)
        with pytest.raises(Unavailable):
            await client.read(GET, until=client.deadline(SOON))

    assert longest.slept == [0.25, 0.5, 1.0]
    assert shortest.slept == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("status", [429, 503])
async def test_a_wish_to_wait_is_obeyed_when_it_fits(status: int) -> None:
    """Ours: `Retry-After` replaces our own pause."""
    upstream, clock = Upstream(reply(status, retry_after="3"), reply(200, {})), FakeClock()

    await read(upstream, clock)

    assert (clock.slept, len(upstream.requests)) == ([3.0], 2)


@pytest.mark.parametrize(("asked", "seconds"), [(21, 40.0), (3600, 40.0), (6, 5.0)])
@pytest.mark.parametrize("status", [429, 503])
async def test_a_wish_to_wait_longer_than_the_call_may_take_is_handed_on(
    status: int, asked: int, seconds: float
) -> None:
    """Ours: the caller is told how long, at once, and nobody sleeps through a host's patience."""
    upstream, clock = Upstream(reply(status, retry_after=str(asked))), FakeClock()

    with pytest.raises((RateLimited, Unavailable)) as caught:
        await read(upstream, clock, seconds)

    assert (caught.value.retry_after_seconds, clock.slept, len(upstream.requests)) == (asked, [], 1)


async def test_every_attempt_counts_against_the_deadline() -> None:
    """Ours: a total of so many seconds, attempts and pauses included."""
    clock = FakeClock()

    def slow(_request: httpx2.Request) -> Reply:
        clock.now += 15
        return httpx2.ReadTimeout("x")

    attempts: dict[float, int] = {}
    for seconds in (10.0, 20.0, 40.0, 50.0):
        upstream = Upstream(slow)
        with pytest.raises(Unavailable):
            await read(upstream, clock, seconds)
        attempts[seconds] = len(upstream.requests)

    assert attempts == {10.0: 1, 20.0: 2, 40.0: 3, 50.0: 4}


async def test_a_read_that_hangs_ends_at_its_deadline() -> None:
    """Ours: the deadline holds without help from any timeout of the transport."""
    with pytest.raises(DeadlinePassed) as caught:
        await read(Silent(), FakeClock(), seconds=0.0)

    assert (caught.value.code, caught.value.may_have_happened, caught.value.retryable) == ("timeout", False, True)


async def test_an_answer_that_drips_for_ever_ends_at_the_deadline() -> None:
    """Ours: bytes that keep coming do not keep a call alive."""

    class Drip(httpx2.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            while True:
                await anyio.lowlevel.checkpoint()
                yield b" "

    class Dripping(httpx2.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            return httpx2.Response(200, stream=Drip())

    with pytest.raises(DeadlinePassed):
        await read(Dripping(), FakeClock(), seconds=0.01)


async def test_an_outage_is_not_multiplied() -> None:
    """Ours: once the budget is spent, a failing call is one request; 200 calls of 503 cost at most 1.2 each."""
    upstream, clock = Upstream(reply(503)), FakeClock()
    client = client_at(clock, upstream)

    for _ in range(200):
        with pytest.raises(Unavailable):
            await client.read(GET, until=client.deadline(SOON))
        if len(upstream.requests) == 40:
            assert len(clock.slept) <= 10

    assert len(upstream.requests) <= 240


async def test_after_an_outage_retries_come_back() -> None:
    """Ours: calls that succeed earn what later failures may spend."""
    failing: list[bool] = [True]
    upstream = Upstream(lambda _request: reply(503) if failing[0] else reply(200, {}))
    client = client_at(FakeClock(), upstream)
    for _ in range(50):
        with pytest.raises(Unavailable):
            await client.read(GET, until=client.deadline(SOON))

    failing[0] = False
    for _ in range(100):
        await client.read(GET, until=client.deadline(SOON))
    failing[0] = True
    upstream.requests.clear()
    with pytest.raises(Unavailable):
        await client.read(GET, until=client.deadline(SOON))

    assert len(upstream.requests) == 4


async def test_bad_credentials_are_never_tried_twice() -> None:
    """Documented: Finexio answers them with a 403."""
    sim, clock = office(), FakeClock()
    client = client_at(clock, sim.transport(), simulator_settings(FINEXIO_PASSWORD="wrong"))

    with pytest.raises(NotAuthorized) as caught:
        await client.read(GET, until=client.deadline(SOON))

    assert len(sim.journal.requests) == 1
    assert "FINEXIO_PASSWORD" in caught.value.message


# What counts as an answer --------------------------------------------------------

UNREADABLE: dict[str, httpx2.Response] = {
    "HTML": reply(200, b"<!doctype html><title>Welcome</title>", content_type="text/html"),
    "half of it": reply(200, b'{"count": 1, "results": [{"id"'),
    "NaN": reply(200, b'{"count": NaN}'),
    "Infinity": reply(200, b"[Infinity]"),
    "nested without end": reply(200, b"[" * 100_000),
    "nested deeply": reply(200, b'{"a":' * 1_000 + b"1" + b"}" * 1_000),
    "longer than 10 MB": reply(200, b'"' + b"x" * 10_000_001 + b'"'),
    "two values": reply(200, b"{} {}"),
}


@pytest.mark.parametrize("answer", UNREADABLE.values(), ids=UNREADABLE.keys())
async def test_what_cannot_be_read_is_said_to_be_unreadable_and_asked_once(answer: httpx2.Response) -> None:
    """Ours: never a success, never a traceback."""
    upstream = Upstream(answer)

    with pytest.raises(Unreadable):
        await read(upstream, FakeClock())

    assert len(upstream.requests) == 1


async def test_a_compressed_answer_that_grows_past_the_limit_is_unreadable() -> None:
    """Ours: the limit is on what it becomes, not on what travelled."""
    bomb = httpx2.Response(200, headers={"content-encoding": "gzip"}, content=gzip.compress(b" " * 11_000_000))

    class Bomb(httpx2.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            return bomb

    with pytest.raises(Unreadable):
        await read(Bomb(), FakeClock())


@pytest.mark.parametrize("status", [200, 201, 202, 204, 206])
async def test_any_2xx_is_an_answer_even_an_empty_one(status: int) -> None:
    """Documented: lists answer 201, deletions 204, changes 201 without a body."""
    assert await read(Upstream(reply(status)), FakeClock()) is None
    assert await read(Upstream(reply(status, {"id": 1})), FakeClock()) == {"id": 1}


async def test_one_broken_character_does_not_hide_a_page() -> None:
    """Ours: bytes that are no UTF-8 are replaced, the rest is read."""
    assert await read(Upstream(reply(200, b'{"name": "Caf\xe9"}')), FakeClock()) == {"name": "Caf\ufffd"}


# What leaves, and where to -------------------------------------------------------


@pytest.mark.parametrize(
    ("base", "expected"),
    [
        ("http://127.0.0.1:9/v2", "http://127.0.0.1:9/v2/invoices/"),
        ("http://127.0.0.1:9/v2/", "http://127.0.0.1:9/v2/invoices/"),
        ("http://127.0.0.1:9/v2//", "http://127.0.0.1:9/v2/invoices/"),
        ("http://127.0.0.1:9", "http://127.0.0.1:9/invoices/"),
        ("http://127.0.0.1:9/", "http://127.0.0.1:9/invoices/"),
        ("https://gateway.example/finexio/v2", "https://gateway.example/finexio/v2/invoices/"),
        ("http://localhost:9/a%20b/v2", "http://localhost:9/a%20b/v2/invoices/"),
        ("https://api.finexio-stage.com/v2", "https://api.finexio-stage.com/v2/invoices/"),
    ],
)
async def test_the_base_address_is_kept_whole_with_one_slash_between(base: str, expected: str) -> None:
    """Ours: slashes at the end of the setting make no difference, its path stays."""
    upstream = Upstream(reply(200, {}))
    client = client_at(FakeClock(), upstream, simulator_settings(FINEXIO_BASE_URL=base))

    await client.read(GET, until=client.deadline(SOON))

    assert str(upstream.requests[0].url) == expected


async def test_the_host_root_is_the_same_host_without_the_path() -> None:
    """Documented: one list lives outside the version's path."""
    upstream = Upstream(reply(200, {}))
    client = client_at(FakeClock(), upstream, simulator_settings(FINEXIO_BASE_URL="https://gateway.example/finexio/v2"))

    await client.read(Request("GET", "/webhooks/"), until=client.deadline(SOON), at_host_root=True)

    assert str(upstream.requests[0].url) == "https://gateway.example/webhooks/"


async def test_credentials_are_basic_and_any_character_survives() -> None:
    """Documented: HTTP Basic on every request."""
    upstream = Upstream(reply(200, {}))
    settings = load(FINEXIO_USERNAME="José", FINEXIO_PASSWORD="p:äß €")
    client = client_at(FakeClock(), upstream, settings)

    await client.read(GET, until=client.deadline(SOON))

    scheme, token = upstream.requests[0].headers["authorization"].split()
    assert (scheme, base64.b64decode(token).decode()) == ("Basic", "José:p:äß €")


async def test_the_password_file_is_read_for_each_call(tmp_path: Path) -> None:
    """Ours: a rotated password needs no restart."""
    file = tmp_path / "password"
    file.write_text("first\n")
    upstream = Upstream(reply(200, {}))
    client = client_at(FakeClock(), upstream, load(FINEXIO_USERNAME="ap", FINEXIO_PASSWORD_FILE=str(file)))

    await client.read(GET, until=client.deadline(SOON))
    file.write_text("second\n")
    await client.read(GET, until=client.deadline(SOON))

    sent = [base64.b64decode(request.headers["authorization"].split()[1]) for request in upstream.requests]
    assert sent == [b"ap:first", b"ap:second"]


@pytest.mark.parametrize("request_", [GET, POST], ids=["read", "write"])
async def test_without_credentials_nothing_leaves(request_: Request) -> None:
    """Ours: the failure names what to set."""
    upstream = Upstream(reply(200, {}))
    client = client_at(FakeClock(), upstream, load())
    gate = Gate()

    until = client.deadline(SOON)
    call = client.read(GET, until=until) if request_ is GET else client.write(POST, until=until, leave=gate)

    with pytest.raises(NotConfigured) as caught:
        await call

    assert (upstream.requests, gate.asked) == ([], 0)
    assert "FINEXIO_USERNAME and FINEXIO_PASSWORD" in caught.value.message


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_never_followed(status: int) -> None:
    """Ours: credentials go to one origin only, and a write is sent once."""
    upstream = Upstream(reply(status, location="https://elsewhere.example/v2/invoices/"))
    client = client_at(FakeClock(), upstream)

    with pytest.raises(Unreadable):
        await client.read(GET, until=client.deadline(SOON))
    with pytest.raises(OutcomeUnknown):
        await client.write(POST, until=client.deadline(SOON), leave=Gate())

    assert [request.url.host for request in upstream.requests] == ["simulator.invalid"] * 2


async def test_real_connections_ignore_proxies_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: nothing but the settings says where credentials go."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    sim = office()

    with sim.listening() as base_url:
        client = open_client(simulator_settings(FINEXIO_BASE_URL=base_url))
        with anyio.fail_after(5):
            answer = await client.read(GET, until=client.deadline(SOON))
        await client.aclose()

    assert answer["count"] == 1


async def test_reads_share_a_connection_and_no_write_uses_one_twice() -> None:
    """Ours: a connection that the other side has just closed would leave a write in doubt."""
    connections: list[int] = []
    after_reads = 0

    async def serve(stream: SocketStream) -> None:
        connections.append(1)
        buffer = BufferedByteReceiveStream(stream)
        async with stream:
            with contextlib.suppress(anyio.IncompleteRead, anyio.BrokenResourceError):
                while head := await buffer.receive_until(b"\r\n\r\n", 10_000):
                    if b"content-length: 2" in head.lower():
                        await buffer.receive_exactly(2)
                    await stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    with anyio.fail_after(5):
        async with (
            await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(listener.serve, serve)
            port = listener.extra(SocketAttribute.local_port)
            client = open_client(simulator_settings(FINEXIO_BASE_URL=f"http://127.0.0.1:{port}/v2"))
            for _ in range(3):
                await client.read(GET, until=client.deadline(SOON))
            after_reads = len(connections)
            for _ in range(3):
                await client.write(POST, until=client.deadline(SOON), leave=Gate())
            await client.aclose()
            tasks.cancel_scope.cancel()

    assert (after_reads, len(connections)) == (1, 4)


async def test_a_port_where_nobody_listens_proves_that_nothing_was_sent() -> None:
    """Ours: over a real socket too, a refused connection is `not_executed`."""
    sim = office()
    with sim.listening() as base_url:
        pass
    reads, writes = httpx2.AsyncHTTPTransport(trust_env=False), httpx2.AsyncClient(trust_env=False)
    settings, clock = simulator_settings(FINEXIO_BASE_URL=base_url), FakeClock()
    client = FinexioClient(settings, reads=reads, writes=writes, clock=clock, chance=lambda: 1.0)

    with anyio.fail_after(5), pytest.raises(NotExecuted):
        await client.write(POST, until=client.deadline(SOON), leave=Gate())
    await client.aclose()

    assert clock.slept == [0.25, 0.5]


# Writes: the fence ----------------------------------------------------------------


class Steps(httpx2.AsyncBaseTransport):
    """Fires trace events, then fails."""

    tells_its_steps = True

    def __init__(self, *steps: str, failure: Exception) -> None:
        self._steps, self._failure = steps, failure
        self.attempts = 0

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.attempts += 1
        for step in self._steps:
            await request.extensions["trace"](step, {})
        raise self._failure


CONNECTING = ("connection.connect_tcp.started", "connection.connect_tcp.failed")


@pytest.mark.parametrize(
    "failure", [httpx2.ConnectError("x"), httpx2.ConnectTimeout("x"), httpx2.PoolTimeout("x")], ids=repr
)
async def test_both_proofs_together_allow_two_more_attempts(failure: Exception) -> None:
    """Ours: an exception that means no connection, and a transport that told its steps and never sent headers."""
    transport, clock = Steps(*CONNECTING, failure=failure), FakeClock()
    client = client_at(clock, transport)

    with pytest.raises(NotExecuted):
        await client.write(POST, until=client.deadline(SOON), leave=Gate())

    assert (transport.attempts, clock.slept) == (3, [0.25, 0.5])


@pytest.mark.parametrize("prefix", ["http11", "http2", "anything"])
async def test_headers_on_their_way_outweigh_what_the_exception_says(prefix: str) -> None:
    """Ours: a connection error after the headers began is no proof of anything."""
    steps = (*CONNECTING, f"{prefix}.send_request_headers.started")
    transport = Steps(*steps, failure=httpx2.ConnectError("x"))
    client = client_at(FakeClock(), transport)

    with pytest.raises(OutcomeUnknown):
        await client.write(POST, until=client.deadline(SOON), leave=Gate())

    assert transport.attempts == 1


@pytest.mark.parametrize(
    "failure", [httpx2.ReadError("x"), httpx2.WriteError("x"), httpx2.LocalProtocolError("x")], ids=repr
)
async def test_other_exceptions_prove_nothing_even_without_headers(failure: Exception) -> None:
    """Ours: one proof alone is none."""
    transport = Steps(*CONNECTING, failure=failure)
    client = client_at(FakeClock(), transport)

    with pytest.raises(OutcomeUnknown):
        await client.write(POST, until=client.deadline(SOON), leave=Gate())

    assert transport.attempts == 1


async def test_events_of_an_unknown_transport_are_no_proof() -> None:
    """Ours: who does not say that it tells every step may have sent before it told one."""
    transport, gate = Steps(*CONNECTING, failure=httpx2.ConnectError("x")), Gate()
    transport.tells_its_steps = False
    client = client_at(FakeClock(), transport)

    with pytest.raises(OutcomeUnknown):
        await client.write(POST, until=client.deadline(SOON), leave=gate)

    assert (transport.attempts, gate.asked) == (1, 1)


HEADERS = "http11.send_request_headers.started"


async def test_whoever_must_know_is_asked_once_and_not_before_the_connection_stands() -> None:
    """Ours: attempts that never connected leave no mark in the ledger."""
    gate, at_the_headers, clock = Gate(), list[int](), FakeClock()

    class Slow(Steps):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            if self.attempts < 2:
                return await super().handle_async_request(request)
            await request.extensions["trace"]("connection.connect_tcp.complete", {})
            at_the_headers.append(gate.asked)
            await request.extensions["trace"](HEADERS, {})
            await request.extensions["trace"](HEADERS, {})
            return reply(201, [])

    transport = Slow(*CONNECTING, failure=httpx2.ConnectError("x"))
    client = client_at(clock, transport)

    answer = await client.write(POST, until=client.deadline(SOON), leave=gate)

    assert (answer, transport.attempts, clock.slept) == ([], 2, [0.25, 0.5])
    assert (at_the_headers, gate.asked) == ([0], 1)


async def test_a_write_that_may_not_leave_does_not() -> None:
    """Ours: a hook that raises sends nothing, over a real socket too, and nothing is tried again."""
    received, closed = list[bytes](), anyio.Event()

    async def serve(stream: SocketStream) -> None:
        async with stream:
            with contextlib.suppress(anyio.EndOfStream, anyio.BrokenResourceError):
                while True:
                    received.append(await stream.receive())
        closed.set()

    gate = Gate(NotExecuted("held back"))
    with anyio.fail_after(5):
        async with (
            await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(listener.serve, serve)
            port = listener.extra(SocketAttribute.local_port)
            client = open_client(simulator_settings(FINEXIO_BASE_URL=f"http://127.0.0.1:{port}/v2"))
            with pytest.raises(NotExecuted, match="held back"):
                await client.write(POST, until=client.deadline(SOON), leave=gate)
            await closed.wait()
            await client.aclose()
            tasks.cancel_scope.cancel()

    assert (received, gate.asked) == ([], 1)


async def test_a_write_through_an_unknown_transport_may_be_held_back_too() -> None:
    """Ours: where no step is told, whoever must know is asked before the request is handed over."""
    upstream, gate = Upstream(reply(201, [])), Gate(NotExecuted("held back"))
    client = client_at(FakeClock(), upstream)

    with pytest.raises(NotExecuted, match="held back"):
        await client.write(POST, until=client.deadline(SOON), leave=gate)
    answer = await client.write(POST, until=client.deadline(SOON), leave=gate)

    assert (answer, gate.asked, len(upstream.requests)) == ([], 2, 1)


async def test_a_deadline_at_the_gate_proves_that_nothing_left() -> None:
    """Ours: waiting for the ledger is no sending."""
    sim = office()
    client = client_at(Clock(), sim.transport())

    with anyio.fail_after(5), pytest.raises(NotExecuted):
        await client.write(POST, until=client.deadline(0.05), leave=anyio.sleep_forever)

    assert sim.journal.requests == []


async def test_a_new_attempt_that_would_come_too_late_is_not_made() -> None:
    """Ours: a pause past the deadline ends the call, with nothing sent."""
    transport, clock = Steps(*CONNECTING, failure=httpx2.ConnectError("x")), FakeClock()
    client = client_at(clock, transport)

    with pytest.raises(NotExecuted):
        await client.write(POST, until=client.deadline(0.3), leave=Gate())

    assert (transport.attempts, clock.slept) == (2, [0.25])


async def test_calls_wait_for_their_turn() -> None:
    """Ours: after a pause ten requests go at once, then five a second."""
    sim, clock = office(), FakeClock()
    settings = simulator_settings(FINEXIO_MCP_RATE=5, FINEXIO_MCP_RATE_BURST=10)
    client = client_at(clock, sim.transport(), settings)

    clock.now = 2_000.0
    for _ in range(10):
        await client.read(GET, until=client.deadline(SOON))
    at_once = clock.now - 2_000.0
    for _ in range(10):
        await client.read(GET, until=client.deadline(SOON))

    assert at_once == pytest.approx(0, abs=1e-9)
    assert clock.now - 2_000.0 == pytest.approx(2.0)


async def test_a_retry_waits_for_its_turn_too() -> None:
    """Ours: retries are requests like any other."""
    sim, clock = office(), FakeClock()
    sim.fault(Fault(status=503, headers={"Retry-After": "0"}), times=3)
    client = client_at(clock, sim.transport(), simulator_settings(FINEXIO_MCP_RATE=1, FINEXIO_MCP_RATE_BURST=1))

    await client.read(GET, until=client.deadline(SOON))

    assert clock.now - 1_000.0 == pytest.approx(3.0)
