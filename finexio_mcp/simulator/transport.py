"""An httpx2 transport that reaches the simulator in process and behaves like a real HTTP/1.1 connection.

It fires the trace events of httpcore2 in their order, keeps the timeouts a request carries, and turns scripted faults
into the exceptions that a socket would have caused. Every request opens a connection of its own.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from http import HTTPStatus
from types import TracebackType
from typing import TYPE_CHECKING, Any

import anyio
import httpx2

from .faults import Fault
from .wire import Received, answer_headers, drips

if TYPE_CHECKING:
    from .reachable import Reachable

Hook = Callable[[str, dict[str, Any]], Awaitable[None]]

SILENT_CLOSE = "Server disconnected without sending a response."


class SimulatorTransport(httpx2.AsyncBaseTransport):
    tells_its_steps = True
    """For clients that want proof that a failed request never left."""

    def __init__(self, simulator: "Reachable") -> None:
        self._simulator = simulator

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        received = _received(request, await request.aread())
        line = _Line(request, self._simulator.sleep)
        await self._connect(line, received)
        try:
            return await self._exchange(line, received)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await line.closed()
            raise

    async def _connect(self, line: "_Line", received: Received) -> None:
        info = {"host": line.request.url.host, "port": line.request.url.port, "timeout": line.timeout("connect")}
        async with line.step("connection.connect_tcp", info):
            fault = self._simulator.refuses_connection(received)
            if fault and fault.connect_timeout:
                await line.time_out("connect", httpx2.ConnectTimeout)
            elif fault:
                raise httpx2.ConnectError("All connection attempts failed", request=line.request)

    async def _exchange(self, line: "_Line", received: Received) -> httpx2.Response:
        async with line.step("http11.send_request_headers"):
            pass
        async with line.step("http11.send_request_body"):
            exchange = self._simulator.receive(received)
        async with line.step("http11.receive_response_headers") as step:
            if exchange.fault:
                await _suffer(line, exchange.fault)
            if exchange.answer is None:
                raise httpx2.RemoteProtocolError(SILENT_CLOSE, request=line.request)
            headers = answer_headers(exchange.answer)
            reason = _reason(exchange.answer.status)
            step.value = (b"HTTP/1.1", exchange.answer.status, reason, headers)
        return httpx2.Response(
            exchange.answer.status,
            headers=headers,
            stream=_Body(line, exchange.answer.body, exchange.fault),
            extensions={"http_version": b"HTTP/1.1", "reason_phrase": reason},
        )


async def _suffer(line: "_Line", fault: Fault) -> None:
    """What happens between the request and the first byte of its answer."""
    await line.wait(fault.delay_seconds)
    if fault.never_answers:
        await line.time_out("read", httpx2.ReadTimeout)
    if fault.reset and fault.orderly:
        raise httpx2.RemoteProtocolError(SILENT_CLOSE, request=line.request)
    if fault.reset:
        raise httpx2.ReadError("Connection reset by peer", request=line.request)


class _Line:
    """The connection as one request sees it: its trace hook, its timeouts, and its end."""

    def __init__(self, request: httpx2.Request, sleep: Callable[[float], Awaitable[object]]) -> None:
        self.request = request
        self._sleep = sleep
        self._hook: Hook | None = request.extensions.get("trace")
        self._is_closed = False

    def step(self, name: str, info: dict[str, Any] | None = None) -> "_Step":
        return _Step(self, name, {"request": self.request} if info is None else info)

    async def fire(self, name: str, info: dict[str, Any]) -> None:
        if self._hook is not None:
            await self._hook(name, info)

    async def closed(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            async with self.step("http11.response_closed", {}):
                pass

    def timeout(self, kind: str) -> float | None:
        return self.request.extensions.get("timeout", {}).get(kind)

    async def wait(self, seconds: float) -> None:
        """Let a scripted delay pass, or as much of it as the client has patience for."""
        patience = self.timeout("read")
        if patience is not None and seconds > patience:
            await self._sleep(patience)
            raise httpx2.ReadTimeout("", request=self.request)
        if seconds > 0:
            await self._sleep(seconds)

    async def time_out(self, kind: str, error: type[httpx2.TimeoutException]) -> None:
        """The other side stays silent. Where the client has a timeout, it passes at once; else it never does."""
        if self.timeout(kind) is None:
            await anyio.sleep_forever()
        raise error("", request=self.request)


class _Step:
    """One traced step: `.started`, then `.complete` or `.failed`."""

    def __init__(self, line: _Line, name: str, info: dict[str, Any]) -> None:
        self._line, self._name, self._info = line, name, info
        self.value: Any = None

    async def __aenter__(self) -> "_Step":
        await self._line.fire(f"{self._name}.started", self._info)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            await self._line.fire(f"{self._name}.complete", {"return_value": self.value})
        else:
            await self._line.fire(f"{self._name}.failed", {"exception": error})


class _Body(httpx2.AsyncByteStream):
    def __init__(self, line: _Line, body: bytes, fault: Fault | None) -> None:
        self._line, self._body, self._fault = line, body, fault

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async with self._line.step("http11.receive_response_body"):
                async for chunk in self._chunks():
                    yield chunk
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self.aclose()
            raise

    async def aclose(self) -> None:
        await self._line.closed()

    async def _chunks(self) -> AsyncIterator[bytes]:
        fault = self._fault or Fault()
        whole = len(self._body)
        arriving = self._body if fault.truncate_at is None else self._body[: fault.truncate_at]
        for chunk in drips(arriving) if fault.drip_seconds else [arriving]:
            await self._line.wait(fault.drip_seconds or 0)
            if chunk:
                yield chunk
        if len(arriving) < whole:
            raise httpx2.RemoteProtocolError(
                f"peer closed connection without sending complete message body "
                f"(received {len(arriving)} bytes, expected {whole})",
                request=self._line.request,
            )


def _received(request: httpx2.Request, body: bytes) -> Received:
    return Received(
        method=request.method,
        path=request.url.raw_path.partition(b"?")[0].decode(),
        query_string=request.url.query.decode(),
        headers={name.lower(): value for name, value in request.headers.items()},
        body=body,
    )


def _reason(status: int) -> bytes:
    try:
        return HTTPStatus(status).phrase.encode()
    except ValueError:
        return b""
