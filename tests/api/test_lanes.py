"""The connections of reads: which are used again, how many there are, and that each is closed in the end."""

from __future__ import annotations

import base64
import contextlib
import datetime
import ipaddress
import ssl
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import httpx2
import pytest
from anyio.abc import AnyByteStream, SocketAttribute
from anyio.streams.buffered import BufferedByteReceiveStream
from anyio.streams.tls import TLSListener
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from finexio_mcp.api import lanes
from finexio_mcp.api.client import FinexioClient, open_client
from finexio_mcp.api.lanes import IDLE_SECONDS, MAX_LANES, Lanes, of_one_connection, trusted
from finexio_mcp.api.requests import Request
from finexio_mcp.clock import Clock
from finexio_mcp.errors import DeadlinePassed, Unavailable, Unreadable
from tests.calls import FakeClock
from tests.conftest import simulator_settings

GET = Request("GET", "/invoices/", "page_size=3")
SOON = 40.0
HUNG_UP = (anyio.IncompleteRead, anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError)


class Host:
    """Speaks just enough HTTP, and remembers its connections."""

    def __init__(self) -> None:
        self.heads: list[bytes] = []
        self.opened = self.open = self.most_open = 0
        self.go_on = anyio.Event()
        self.go_on.set()
        self.before_pause = b""
        """What is sent before the wait for `go_on`: part of the answer."""
        self.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
        self.hangs_up_after: int | None = None
        """How many answers a connection gives before this side closes it."""
        self.streams: set[AnyByteStream] = set()
        self.change = anyio.Event()

    async def serve(self, stream: AnyByteStream) -> None:
        self.opened += 1
        self.open += 1
        self.most_open = max(self.open, self.most_open)
        self.streams.add(stream)
        try:
            async with stream:
                with contextlib.suppress(*HUNG_UP):
                    await self._converse(stream)
        finally:
            self.streams.discard(stream)
            self.open -= 1
            self._changed()

    async def _converse(self, stream: AnyByteStream) -> None:
        buffer, answered = BufferedByteReceiveStream(stream), 0
        while answered != self.hangs_up_after:
            self.heads.append(await buffer.receive_until(b"\r\n\r\n", 10_000))
            self._changed()
            if self.before_pause:
                await stream.send(self.before_pause)
            if not self.go_on.is_set():
                await self._paused(stream)
            await stream.send(self.answer[len(self.before_pause) :])
            answered += 1

    async def _paused(self, stream: AnyByteStream) -> None:
        """Wait until the answer may go on, or the other side hangs up."""
        async with anyio.create_task_group() as tasks:

            async def watch() -> None:
                with contextlib.suppress(*HUNG_UP):
                    await stream.receive()
                tasks.cancel_scope.cancel()

            tasks.start_soon(watch)
            await self.go_on.wait()
            tasks.cancel_scope.cancel()

    def _changed(self) -> None:
        self.change.set()
        self.change = anyio.Event()

    async def asked(self, times: int) -> None:
        """Wait for so many requests in all."""
        while len(self.heads) < times:
            await self.change.wait()

    async def left_with(self, connections: int) -> None:
        """Wait until no more than so many are open."""
        while self.open > connections:
            await self.change.wait()


@contextlib.asynccontextmanager
async def listening(host: Host) -> AsyncGenerator[str]:
    """The base URL under which it answers. It ends only when the client has closed every connection."""
    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(listener.serve, host.serve)
        yield f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}/v2"
        with anyio.fail_after(5):
            await host.left_with(0)
        tasks.cancel_scope.cancel()


@contextlib.asynccontextmanager
async def reading(base_url: str, clock: Clock | None = None) -> AsyncGenerator[FinexioClient]:
    client = open_client(simulator_settings(FINEXIO_BASE_URL=base_url), clock=clock)
    try:
        with anyio.fail_after(10):
            yield client
    finally:
        await client.aclose()


async def read(client: FinexioClient) -> Any:
    return await client.read(GET, until=client.deadline(SOON))


async def read_at_once(client: FinexioClient, times: int) -> list[Any]:
    answers: list[Any] = []

    async def one() -> None:
        answers.append(await read(client))

    async with anyio.create_task_group() as tasks:
        for _ in range(times):
            tasks.start_soon(one)
    return answers


# What is on the wire --------------------------------------------------------------


async def test_a_read_is_these_bytes_and_no_others() -> None:
    """Ours: nothing but the settings and this client put anything into a request."""
    host = Host()
    host.answer = host.answer.replace(b"\r\n\r\n", b"\r\nSet-Cookie: a=b; Path=/\r\n\r\n")

    async with listening(host) as base_url, reading(base_url) as client:
        await read(client)
        await read(client)

    token = base64.b64encode(b"demo:demo").decode()
    expected = (
        "GET /v2/invoices/?page_size=3 HTTP/1.1\r\n"
        f"Host: {base_url.removeprefix('http://').removesuffix('/v2')}\r\n"
        f"Authorization: Basic {token}\r\n"
        "Accept: application/json\r\n"
        "Accept-Encoding: identity\r\n"
        "User-Agent: finexio-mcp"
    )
    assert [head.decode() for head in host.heads] == [expected, expected]


async def test_a_host_whose_certificate_nobody_vouches_for_hears_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours: TLS is verified, and the environment names no authorities."""
    own = self_signed(tmp_path / "own.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(own))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own)
    host = Host()

    with anyio.fail_after(10):
        async with await anyio.create_tcp_listener(local_host="127.0.0.1") as plain, anyio.create_task_group() as tasks:
            listener = TLSListener(plain, context, standard_compatible=False)
            tasks.start_soon(listener.serve, host.serve)
            base_url = f"https://127.0.0.1:{plain.extra(SocketAttribute.local_port)}/v2"
            async with reading(base_url, FakeClock()) as client:
                with pytest.raises(Unavailable):
                    await read(client)
            tasks.cancel_scope.cancel()

    assert (host.opened, host.heads) == (0, [])


def self_signed(path: Path) -> Path:
    """A key and a certificate for 127.0.0.1, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    form = serialization.Encoding.PEM
    secret = key.private_bytes(form, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(secret + certificate.public_bytes(form))
    return path


def test_lanes_share_one_tls_context_that_verifies_and_look_at_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: a context holds every authority's certificate, so 64 of them would cost more than all the rest."""
    made: list[dict[str, Any]] = []

    class Noted(httpx2.AsyncHTTPTransport):
        def __init__(self, **options: Any) -> None:
            made.append(options)
            super().__init__(**options)

    monkeypatch.setattr(lanes.httpx2, "AsyncHTTPTransport", Noted)
    open_lane = of_one_connection(trusted())
    for _ in range(3):
        open_lane()

    tls = made[0]["verify"]
    assert isinstance(tls, ssl.SSLContext)
    assert all(options["verify"] is tls for options in made)
    assert (tls.verify_mode, tls.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert [options["trust_env"] for options in made] == [False] * 3


# Which connection, and how many ---------------------------------------------------


async def test_one_read_after_the_other_uses_one_connection() -> None:
    """Ours: a connection that stands is used again."""
    host = Host()

    async with listening(host) as base_url, reading(base_url) as client:
        for _ in range(5):
            await read(client)

    assert (host.opened, len(host.heads)) == (1, 5)


async def test_reads_at_once_have_a_connection_each_and_use_it_again() -> None:
    """Ours: 64 in flight open 64, and the next 64 none."""
    host = Host()

    async with listening(host) as base_url, reading(base_url) as client:
        for round_ in (1, 2):
            host.go_on = anyio.Event()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(read_at_once, client, MAX_LANES)
                await host.asked(round_ * MAX_LANES)
                host.go_on.set()

    assert (host.opened, host.most_open, len(host.heads)) == (64, 64, 128)


async def test_more_reads_than_connections_wait_for_one() -> None:
    """Ours: however many come, there are never more connections than 64, and everyone is answered."""
    host = Host()

    async with listening(host) as base_url, reading(base_url) as client:
        answers = await read_at_once(client, 3 * MAX_LANES)

    assert answers == [{}] * 192
    assert host.most_open <= MAX_LANES


async def test_after_a_busy_time_one_read_after_the_other_uses_the_same_connection() -> None:
    """Ours: the one used last is next, so that the others grow old and are closed."""
    host = Host()
    host.go_on = anyio.Event()
    clock = FakeClock()

    async with listening(host) as base_url, reading(base_url, clock) as client:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read_at_once, client, 5)
            await host.asked(5)
            host.go_on.set()
        for _ in range(4):
            clock.now += IDLE_SECONDS / 3
            await read(client)
        await host.left_with(1)

    assert (host.opened, len(host.heads)) == (5, 9)


# Connections that end -------------------------------------------------------------


async def test_a_connection_that_the_other_side_closed_meanwhile_costs_no_attempt() -> None:
    """Ours: it is seen before a request is sent on it."""
    host, clock = Host(), FakeClock()
    host.hangs_up_after = 1

    async with listening(host) as base_url, reading(base_url, clock) as client:
        for _ in range(3):
            await read(client)
            await host.left_with(0)
            await anyio.wait_all_tasks_blocked()

    assert (host.opened, len(host.heads), clock.slept) == (3, 3, [])


async def test_a_connection_that_ends_under_a_read_is_replaced_and_the_read_repeated() -> None:
    """Ours: looking twice changes nothing."""
    host, clock = Host(), FakeClock()

    async with listening(host) as base_url, reading(base_url, clock) as client:
        await read(client)
        host.go_on = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read_at_once, client, 1)
            await host.asked(2)
            for stream in list(host.streams):
                await stream.aclose()
            await host.asked(3)
            host.go_on.set()

    assert (host.opened, len(host.heads), len(clock.slept)) == (2, 3, 1)


async def test_a_host_that_is_gone_is_unavailable_and_found_again_when_it_is_back() -> None:
    """Ours: idle connections to what has died are no hindrance afterwards."""
    host, clock, answers = Host(), FakeClock(), list[Any]()

    with anyio.fail_after(10):
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
        port = listener.extra(SocketAttribute.local_port)
        async with reading(f"http://127.0.0.1:{port}/v2", clock) as client:
            async with listener, anyio.create_task_group() as tasks:
                tasks.start_soon(listener.serve, host.serve)
                await read_at_once(client, 3)
                tasks.cancel_scope.cancel()
            with pytest.raises(Unavailable):
                await read(client)
            again = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=port)
            async with again, anyio.create_task_group() as tasks:
                tasks.start_soon(again.serve, host.serve)
                answers = await read_at_once(client, 3)
                tasks.cancel_scope.cancel()

    assert answers == [{}] * 3


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{"], ids=["nothing", "half"])
async def test_the_connection_of_a_cancelled_read_is_closed_and_nobody_else_hears_its_answer(sent: bytes) -> None:
    """Ours: whoever leaves takes the connection along, wherever the answer stands."""
    host = Host()
    host.before_pause = sent

    async with listening(host) as base_url, reading(base_url) as client:
        await read(client)
        host.go_on = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read, client)
            await host.asked(2)
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
        await host.left_with(0)
        host.go_on.set()
        assert await read_at_once(client, MAX_LANES) == [{}] * MAX_LANES

    assert host.opened > 1


async def test_a_deadline_closes_the_connection_too() -> None:
    """Ours: an answer that comes too late is nobody's."""
    host = Host()
    host.go_on = anyio.Event()

    async with listening(host) as base_url, reading(base_url) as client:
        with pytest.raises(DeadlinePassed):
            await client.read(GET, until=client.deadline(0.05))
        await host.left_with(0)


async def test_the_connection_of_an_answer_that_was_too_long_is_closed() -> None:
    """Ours: the rest of it is not read, and so nothing else can be."""
    host = Host()
    host.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 20000002\r\n\r\n" + b"x" * 10_100_000

    async with listening(host) as base_url, reading(base_url) as client:
        with pytest.raises(Unreadable):
            await read(client)
        await host.left_with(0)


async def test_closing_closes_every_connection_and_opens_none_afterwards() -> None:
    """Ours: nothing is left open at the end, in use or not."""
    host = Host()
    host.go_on = anyio.Event()
    failures: list[Exception] = []

    async def fail(client: FinexioClient) -> None:
        try:
            await client.read(GET, until=client.deadline(SOON))
        except Exception as error:
            failures.append(error)

    async with listening(host) as base_url, reading(base_url, FakeClock()) as client:
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(fail, client)
            await host.asked(3)
            await client.aclose()
            await host.left_with(0)
        with pytest.raises(RuntimeError, match="closed"):
            await read(client)

    assert (host.opened, len(failures)) == (3, 3)


# Lanes by themselves --------------------------------------------------------------


class Cut(Exception):
    """What a lane of these tests fails with."""


class Lane(httpx2.AsyncBaseTransport):
    """Fails or answers as the request says, and watches how it is used."""

    def __init__(self) -> None:
        self.busy = self.spoilt = self.closed = False

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        assert [self.busy, self.spoilt, self.closed] == [False] * 3
        self.busy = self.spoilt = True
        await anyio.lowlevel.checkpoint()
        if request.extensions["way"] == "fails":
            raise Cut
        if request.extensions["way"] == "hangs":
            await anyio.sleep_forever()
        return httpx2.Response(200, stream=LaneBody(self, request.extensions["way"]))

    async def aclose(self) -> None:
        await anyio.lowlevel.checkpoint()
        self.closed = True


class LaneBody(httpx2.AsyncByteStream):
    def __init__(self, lane: Lane, way: str) -> None:
        self._lane, self._way = lane, way

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"{"
        await anyio.lowlevel.checkpoint()
        if self._way == "fails half-way":
            raise Cut
        if self._way == "hangs half-way":
            await anyio.sleep_forever()
        yield b"}"
        self._lane.spoilt = False

    async def aclose(self) -> None:
        await anyio.lowlevel.checkpoint()
        if self._way == "fails at the end":
            self._lane.spoilt = True
            raise Cut
        self._lane.busy = False


WAYS = ("answers", "fails", "hangs", "fails half-way", "hangs half-way", "is not read", "fails at the end")


def request_for(way: str = "answers", pool: float | None = 5.0) -> httpx2.Request:
    return httpx2.Request("GET", "http://finexio.invalid/", extensions={"way": way, "timeout": {"pool": pool}})


async def exchange(all_lanes: Lanes, way: str = "answers") -> bytes:
    response = await all_lanes.handle_async_request(request_for(way))
    try:
        return b"" if way == "is not read" else await response.aread()
    finally:
        await response.aclose()
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        await response.stream.aclose()


@settings(max_examples=200, deadline=None)
@given(
    most=st.integers(1, 3),
    rounds=st.lists(
        st.tuples(st.lists(st.sampled_from(WAYS), max_size=6), st.integers(0, 12), st.sampled_from([0.0, 20.0, 30.0])),
        max_size=6,
    ),
)
def test_no_lane_is_shared_or_used_after_trouble_and_none_is_lost(
    most: int, rounds: list[tuple[list[str], int, float]]
) -> None:
    """Ours: whatever happens to requests, and whenever they are cancelled."""
    made: list[Lane] = []
    clock = FakeClock()

    def open_lane() -> Lane:
        made.append(Lane())
        assert sum(not lane.closed for lane in made) <= most
        return made[-1]

    async def one(all_lanes: Lanes, way: str) -> None:
        with contextlib.suppress(Cut):
            assert await exchange(all_lanes, way) in {b"{}", b""}

    async def run() -> None:
        all_lanes = Lanes(open_lane, now=clock.monotonic, most=most)
        with anyio.fail_after(10):
            for ways, steps, pause in rounds:
                clock.now += pause
                async with anyio.create_task_group() as tasks:
                    for way in ways:
                        tasks.start_soon(one, all_lanes, way)
                    for _ in range(steps):
                        await anyio.lowlevel.checkpoint()
                    tasks.cancel_scope.cancel()
                assert all(lane.closed or not (lane.busy or lane.spoilt) for lane in made)
            async with anyio.create_task_group() as tasks:
                for _ in range(2 * most):
                    tasks.start_soon(one, all_lanes, "answers")
            await all_lanes.aclose()
        assert all(lane.closed for lane in made)

    anyio.run(run)


async def test_a_lane_idle_too_long_is_closed_by_the_next_request() -> None:
    """Ours: nothing is kept open for 30 seconds without use while others are used."""
    made: list[Lane] = []
    clock = FakeClock()
    all_lanes = Lanes(lambda: made.append(Lane()) or made[-1], now=clock.monotonic)
    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(exchange, all_lanes)

    clock.now += IDLE_SECONDS - 0.5
    await exchange(all_lanes)
    before = [lane.closed for lane in made]
    clock.now += 0.5
    await exchange(all_lanes)

    assert before == [False] * 3
    assert sum(lane.closed for lane in made) == 2
    assert len(made) == 3


@pytest.mark.parametrize("way", ["hangs", "hangs half-way"])
async def test_nobody_waits_longer_for_a_turn_than_the_request_allows(way: str) -> None:
    """Ours: as httpx2's own pool has it, and who gave up leaves nothing behind."""
    all_lanes = Lanes(Lane, now=FakeClock().monotonic, most=1)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(exchange, all_lanes, way)
            await anyio.wait_all_tasks_blocked()
            for _ in range(3):
                with pytest.raises(httpx2.PoolTimeout):
                    await all_lanes.handle_async_request(request_for(pool=0.01))
            tasks.cancel_scope.cancel()
        assert await exchange(all_lanes) == b"{}"


async def test_whoever_waits_for_a_turn_at_closing_time_is_turned_away() -> None:
    """Ours: no lane is opened for them any more, and those in use do not come back."""
    made: list[Lane] = []
    all_lanes = Lanes(lambda: made.append(Lane()) or made[-1], now=FakeClock().monotonic, most=1)
    first = await all_lanes.handle_async_request(request_for())
    turned_away: list[str] = []

    async def wait() -> None:
        with pytest.raises(RuntimeError) as caught:
            await all_lanes.handle_async_request(request_for())
        turned_away.append(str(caught.value))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for _ in range(2):
                tasks.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            await all_lanes.aclose()
            await first.aread()

    assert (turned_away, [lane.closed for lane in made]) == (["closed already"] * 2, [True])
