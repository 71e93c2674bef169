"""The client for Finexio's HTTP API: reads are tried again, writes never are without proof."""

from __future__ import annotations

import base64
import contextlib
import logging
import random
import ssl
import time
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass
from typing import Any

import anyio
import anyio.to_thread
import httpx2

from finexio_mcp.accounts.account import Login
from finexio_mcp.api.answers import TEMPORARY, NotJson, failed_read, failed_write, parse, unknown_outcome
from finexio_mcp.api.lanes import Lanes, of_one_connection, trusted
from finexio_mcp.api.limits import Rate, RateLimit, RetryBudget
from finexio_mcp.api.requests import Request
from finexio_mcp.calls import Asked, current
from finexio_mcp.clock import Clock
from finexio_mcp.errors import (
    DeadlinePassed,
    FinexioError,
    NotConfigured,
    NotExecuted,
    OutcomeUnknown,
    Overloaded,
    Unavailable,
    Unreadable,
)
from finexio_mcp.settings import Credentials, Settings
from finexio_mcp.telemetry.tracing import upstream_span

MAX_BODY_BYTES = 10_000_000
READ_ATTEMPTS = 4
WRITE_ATTEMPTS = 3
BACKOFF_SECONDS = 0.25
BACKOFF_CAP_SECONDS = 8.0
PATIENCE_SECONDS = 20.0
"""Longest `Retry-After` that is waited for within a call."""

SIGN_IN_SECONDS = 5.0
"""Longest wait for credentials that have to be fetched."""

READ_TIMEOUT = httpx2.Timeout(connect=5.0, read=30.0, write=10.0, pool=10.0).as_dict()
WRITE_TIMEOUT = httpx2.Timeout(connect=5.0, read=75.0, write=15.0, pool=10.0).as_dict()
"""Giving up early on a write only manufactures doubt, so the total deadline ends it, not the read timeout."""

NEVER_CONNECTED = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)

logger = logging.getLogger("finexio_mcp.api")


Leave = Callable[[], Awaitable[None]]
"""Awaited when the connection stands and before the first byte leaves. If it raises, nothing leaves."""


@dataclass
class _Seen:
    """What is known of an answer."""

    status: int | None = None


@dataclass
class Fence:
    """Stands in one attempt of a write where its first byte would leave, for proof that none did.

    The proof needs a transport that tells its steps: one that fires no event at all proves nothing.
    """

    leave: Leave
    watched: bool
    left: bool = False

    async def __call__(self, event: str, _info: dict[str, Any]) -> None:
        self.watched = True
        if event.endswith("send_request_headers.started"):
            await self.open()

    async def open(self) -> None:
        """Let the bytes pass, if whoever has to know of it first agrees."""
        if not self.left:
            await self.leave()
            self.left = True

    @property
    def nothing_left(self) -> bool:
        return self.watched and not self.left


class FinexioClient:
    """Speaks to one Finexio account.

    Args:
        settings: Address, credentials and rate.
        reads: Transport for GETs, which need nothing of what a client adds: no redirects, no cookies.
        writes: Client for everything else: no connection is used twice, since one that the other
            side has just closed would leave a write in doubt.
        login: The account's credentials; left out, those in the settings.
        rate: How fast requests may leave; left out, what the settings say, counted here alone.
        watch: Told of each request.
        clock: Time, for waiting and deadlines.
        chance: Source of the jitter between retries.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        reads: httpx2.AsyncBaseTransport,
        writes: httpx2.AsyncClient,
        login: Login | None = None,
        rate: Rate | None = None,
        watch: Callable[[Asked], None] | None = None,
        clock: Clock | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._account = settings.account
        self._login = login or settings
        self._one_sign_in = anyio.CapacityLimiter(1)
        self._watch = watch
        self._reads, self._writes = reads, writes
        self._clock = clock or Clock()
        self._chance = chance
        self._rate = rate or RateLimit(settings.rate, settings.rate_burst, self._clock)
        self._budget = RetryBudget()
        self.secrets: tuple[str, ...] = ()
        """What was signed in with last, for those who make sure that it does not come back."""
        self._base = httpx2.URL(settings.api_url)
        self._base_path = self._base.raw_path.decode().rstrip("/")

    async def aclose(self) -> None:
        """Close all connections."""
        await self._reads.aclose()
        await self._writes.aclose()

    def deadline(self, seconds: float) -> float:
        """The moment by which a call must have ended."""
        return self._clock.monotonic() + seconds

    async def read(self, request: Request, *, until: float, at_host_root: bool = False) -> Any:
        """Send a GET, again if need be, until it is answered or time is up.

        Returns:
            The JSON as Finexio sent it; `None` for an empty answer.

        Raises:
            FinexioError: Nothing has changed at Finexio, whatever the failure.
        """
        with anyio.move_on_after(until - self._clock.monotonic()):
            return await self._read(request, until, at_host_root)
        raise DeadlinePassed("Finexio did not answer in time; nothing changed. Call again, or ask for less.")

    async def _read(self, request: Request, until: float, at_host_root: bool) -> Any:
        retries = 0
        while True:
            try:
                value = await self._read_once(request, until, at_host_root, attempt=retries)
            except FinexioError as error:
                if not self._worth_retrying(error, retries):
                    raise
                delay = self._delay(error, retries)
                if delay > PATIENCE_SECONDS or self._clock.monotonic() + delay >= until or not self._budget.spend():
                    raise
                await self._clock.sleep(delay)
                retries += 1
            else:
                self._budget.succeeded(retries)
                return value

    @staticmethod
    def _worth_retrying(error: FinexioError, retries: int) -> bool:
        worth = error.retryable and error.http_status in TEMPORARY | {None} and not isinstance(error, Overloaded)
        return worth and retries + 1 < READ_ATTEMPTS

    def _delay(self, error: FinexioError, retries: int) -> float:
        asked = error.retry_after_seconds
        return asked if asked is not None else self._chance() * min(BACKOFF_CAP_SECONDS, BACKOFF_SECONDS * 2**retries)

    async def _read_once(self, request: Request, until: float, at_host_root: bool, *, attempt: int) -> Any:
        await self._rate.wait(until)
        login = await self._signed_in()
        outgoing = self._outgoing(request, login, READ_TIMEOUT, at_host_root=at_host_root)
        try:
            with self._watched(request, attempt) as seen:
                response, body = await self._received(await self._reads.handle_async_request(outgoing))
                seen.status = response.status_code
        except httpx2.DecodingError:
            raise Unreadable("Finexio's answer could not be decoded; nothing changed.") from None
        except httpx2.HTTPError as error:
            logger.info("no answer: %s", type(error).__name__)
            raise Unavailable(
                "Finexio could not be reached; nothing changed. Call again later; if it lasts, the operator should run "
                "`finexio-mcp doctor`."
            ) from None
        if not response.is_success:
            raise failed_read(response, body)
        try:
            return parse(body)
        except NotJson:
            raise Unreadable(
                "Finexio answered with something that is no JSON; nothing changed. If it lasts, the "
                "operator should check FINEXIO_BASE_URL.",
                http_status=response.status_code,
            ) from None

    async def turn(self, until: float) -> None:
        """Wait until the rate allows a write. Who leaves meanwhile has sent nothing."""
        await self._rate.wait(until)

    async def write(self, request: Request, *, until: float, leave: Leave, rows: str | None = None) -> Any:
        """Send a write once, after its `turn`. It is sent again only with proof that nothing of it left.

        Args:
            request: What to send.
            until: When to stop waiting.
            leave: Asked before the first byte leaves; what it raises is raised here, and nothing has left.
            rows: The argument that is the body, if that is an array; names rows in refusals.

        Returns:
            The JSON of a 2xx as Finexio sent it; `None` for an empty one.

        Raises:
            OutcomeUnknown: It left, and what came of it is not known.
            NotExecuted: It provably never ran.
            FinexioError: Finexio refused it.
        """
        for attempt in range(WRITE_ATTEMPTS):
            # Only httpx2's own transport is known to tell its steps before the first one happens.
            fence = Fence(leave, watched=_tells_its_steps(self._writes))
            try:
                return await self._write_once(request, fence, until, rows, attempt)
            except NEVER_CONNECTED as error:
                if not fence.nothing_left:
                    raise OutcomeUnknown(unknown_outcome("no answer came, so nobody can say")) from None
                delay = self._chance() * BACKOFF_SECONDS * 2**attempt
                if attempt + 1 == WRITE_ATTEMPTS or self._clock.monotonic() + delay >= until:
                    logger.info("never connected: %s", type(error).__name__)
                    break
                await self._clock.sleep(delay)
                await self.turn(until)
        raise NotExecuted("Finexio could not be reached, so nothing was sent. Call again later.")

    async def _write_once(self, request: Request, fence: Fence, until: float, rows: str | None, attempt: int) -> Any:
        sending = False
        with anyio.move_on_after(until - self._clock.monotonic()):
            outgoing = self._outgoing(request, await self._signed_in(), WRITE_TIMEOUT, trace=fence)
            if not fence.watched:
                # A transport that may say nothing: whoever has to know is told now, not too late.
                await fence.open()
            sending = True
            try:
                with self._watched(request, attempt) as seen:
                    response, body = await self._exchange(self._writes, outgoing)
                    seen.status = response.status_code
            except NEVER_CONNECTED:
                raise
            except httpx2.HTTPError as error:
                logger.info("no answer to a write: %s", type(error).__name__)
                raise OutcomeUnknown(unknown_outcome("the answer was lost, so nobody can say")) from None
            if not response.is_success:
                raise failed_write(response, body, rows)
            try:
                return parse(body)
            except NotJson:
                raise OutcomeUnknown(
                    unknown_outcome("Finexio's answer cannot be read, so it does not say"),
                    http_status=response.status_code,
                ) from None
        if sending and not fence.nothing_left:
            raise OutcomeUnknown(unknown_outcome("no answer came in time, so nobody can say"))
        raise NotExecuted("There was no time left to send this, so nothing was sent. Call again later.")

    @contextlib.contextmanager
    def _watched(self, request: Request, attempt: int) -> Generator[_Seen]:
        """Count a request and tell of its end."""
        call, seen, began = current(), _Seen(), time.monotonic()
        if call is not None:
            call.upstream += 1
            call.retries += attempt > 0
        kind: str | None = None
        try:
            with upstream_span(request.method, self._base.host, attempt, route=request.route) as span:
                try:
                    yield seen
                finally:
                    if seen.status is not None:
                        span.answered(seen.status)
        except BaseException as error:
            kind = type(error).__name__
            raise
        finally:
            if self._watch is not None:
                outcome = str(seen.status) if seen.status is not None else kind or "unknown"
                seconds = time.monotonic() - began
                self._watch(
                    Asked(
                        account=self._account,
                        method=request.method,
                        outcome=outcome,
                        seconds=seconds,
                        retry=attempt > 0,
                    )
                )

    async def _signed_in(self) -> Credentials:
        """The credentials of this moment: they may be changed while the server runs."""
        login = self._login
        if login.slow:
            # A keyring may ask a person. It must take neither the threads that the ledger needs nor a call's time.
            found = None
            with anyio.move_on_after(SIGN_IN_SECONDS):
                found = await anyio.to_thread.run_sync(
                    login.credentials, abandon_on_cancel=True, limiter=self._one_sign_in
                )
        else:
            found = login.credentials()
        if found is None:
            raise NotConfigured(f"This server has no Finexio credentials: {login.missing_credentials()}.")
        return found

    def _outgoing(
        self,
        request: Request,
        credentials: Credentials,
        timeout: dict[str, float | None],
        *,
        trace: Fence | None = None,
        at_host_root: bool = False,
    ) -> httpx2.Request:
        password = credentials.password.get_secret_value()
        token = base64.b64encode(f"{credentials.username}:{password}".encode()).decode()
        self.secrets = (password, token)
        raw_path = f"{'' if at_host_root else self._base_path}{request.target}"
        url = self._base.copy_with(raw_path=raw_path.encode())
        if url.raw_path != raw_path.encode():
            raise ValueError("the address was changed on its way out")
        headers = {
            "Authorization": f"Basic {token}",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": "finexio-mcp",
        }
        if request.body is not None:
            headers["Content-Type"] = "application/json"
        extensions: dict[str, Any] = {"timeout": timeout}
        if trace is not None:
            extensions["trace"] = trace
        return httpx2.Request(request.method, url, headers=headers, content=request.body, extensions=extensions)

    async def _exchange(self, http: httpx2.AsyncClient, request: httpx2.Request) -> tuple[httpx2.Response, bytes]:
        return await self._received(await http.send(request, stream=True, follow_redirects=False))

    @staticmethod
    async def _received(response: httpx2.Response) -> tuple[httpx2.Response, bytes]:
        """Read the body, at most `MAX_BODY_BYTES` of it."""
        try:
            chunks: list[bytes] = []
            size = 0
            async for chunk in response.aiter_bytes():
                size += len(chunk)
                if size > MAX_BODY_BYTES:
                    raise httpx2.DecodingError("the answer is too long")
                chunks.append(chunk)
        finally:
            await response.aclose()
        return response, b"".join(chunks)


def _tells_its_steps(http: httpx2.AsyncClient) -> bool:
    """Whether its transport fires an event before a first byte leaves: httpx2's own, or one that says so of itself."""
    transport = getattr(http, "_transport", None)
    return type(transport) is httpx2.AsyncHTTPTransport or getattr(transport, "tells_its_steps", False) is True


def open_client(
    settings: Settings,
    *,
    transport: httpx2.AsyncBaseTransport | None = None,
    login: Login | None = None,
    clock: Clock | None = None,
    tls: ssl.SSLContext | None = None,
    rate: Rate | None = None,
    watch: Callable[[Asked], None] | None = None,
) -> FinexioClient:
    """A client over real connections, or over `transport`; for the rest see `FinexioClient`.

    Args:
        settings: Address and rate.
        transport: Another way to Finexio, for tests.
        login: The account's credentials.
        clock: Time.
        tls: How servers are trusted, if others share that: it is most of a client's memory.
        rate: How fast requests may leave.
        watch: Told of each request.
    """
    clock = clock or Clock()
    if transport is None:
        tls = tls or trusted()
        reads: httpx2.AsyncBaseTransport = Lanes(of_one_connection(tls), now=clock.monotonic)
        limits = httpx2.Limits(max_connections=16, max_keepalive_connections=0)
        writing: httpx2.AsyncBaseTransport = httpx2.AsyncHTTPTransport(verify=tls, trust_env=False, limits=limits)
    else:
        reads = writing = transport
    writes = httpx2.AsyncClient(transport=writing, trust_env=False, follow_redirects=False)
    return FinexioClient(settings, reads=reads, writes=writes, login=login, rate=rate, watch=watch, clock=clock)
