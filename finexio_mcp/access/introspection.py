"""Opaque tokens of the outside issuer: what it says about them when asked (RFC 7662)."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import math
from collections.abc import AsyncGenerator, Callable
from functools import partial
from typing import Any
from urllib.parse import quote_plus

import anyio
import httpx2
from pydantic import SecretStr

from finexio_mcp.access.claims import Rules, caller_of
from finexio_mcp.access.inquiry import NoReply, Reply, ask
from finexio_mcp.access.issuers import Issuer, undecided
from finexio_mcp.access.kept import REST_SECONDS, Now, Remembered, within
from finexio_mcp.access.refusals import Advice, InvalidToken, NoScope, Reason, Undecided
from finexio_mcp.callers import Caller

REMEMBERED_SECONDS = 10.0
"""So long may a token go on after the issuer revoked it."""
REMEMBERED = 1_000
AT_ONCE = 16
PATIENCE_SECONDS = 5.0
BEARER = frozenset({"bearer", "access_token"})

Verdict = Caller | Callable[[], InvalidToken | NoScope | Undecided]
"""Whom a token stands for, or what makes the exception anew each time: one that is kept would grow with each raise."""


class Introspection:
    """Asks the issuer about opaque tokens, as the client that this server is there.

    An answer needs an `aud` that is this server. The specification lets an issuer leave it out; but "active" is true of
    a token for any service of the firm, and one that a person gave to a calendar must not pay here.
    """

    def __init__(
        self,
        rules: Rules,
        issuer: Issuer,
        http: httpx2.AsyncClient,
        *,
        client_id: str,
        client_secret: SecretStr,
        now: Now,
    ) -> None:
        self._rules = rules
        self._issuer = issuer
        self._http = http
        self._client_id = client_id
        self._client_secret = client_secret
        self._now = now
        self._good: Remembered[Verdict] = Remembered(REMEMBERED, now)
        # Apart, so that nobody drives the good ones out with tokens that are made up.
        self._bad: Remembered[Verdict] = Remembered(REMEMBERED, now)
        self._flights: dict[bytes, anyio.Lock] = {}
        self._turns = anyio.Semaphore(AT_ONCE, fast_acquire=True)
        self._failure: Advice | None = None
        self._failed_at = -math.inf

    async def verify(self, text: str) -> Caller:
        """Whom the token stands for.

        Raises:
            InvalidToken: It is no good.
            NoScope: It is good, and allows nothing here.
            Undecided: The issuer cannot be asked, or answers nonsense.
        """
        digest = hashlib.sha256(text.encode()).digest()
        verdict = self._remembered(digest)
        if verdict is None:
            async with self._flight(digest):
                # Whoever waited finds what the one before was told.
                verdict = self._remembered(digest) or await self._judged(digest, text)
        if isinstance(verdict, Caller):
            return verdict
        raise verdict()

    def _remembered(self, digest: bytes) -> Verdict | None:
        return self._good.get(digest) or self._bad.get(digest)

    @contextlib.asynccontextmanager
    async def _flight(self, digest: bytes) -> AsyncGenerator[None]:
        """One question about one token at a time."""
        lock = self._flights.setdefault(digest, anyio.Lock())
        try:
            async with lock:
                yield
        finally:
            if not lock.locked() and self._flights.get(digest) is lock:
                del self._flights[digest]

    async def _judged(self, digest: bytes, text: str) -> Verdict:
        reply = await self._asked(text)
        seconds = REMEMBERED_SECONDS
        until = math.inf
        verdict: Verdict
        try:
            answer = self._read(reply)
            until = self._rules.valid_until(answer, self._now(), vouched=True)
            verdict = caller_of(answer, self._rules)
        except InvalidToken as refusal:
            verdict = partial(InvalidToken, refusal.reason)
        except NoScope:
            verdict = NoScope
        except Undecided as failure:
            # It may be the fault of this one token, so the others are not made to wait.
            seconds = REST_SECONDS
            verdict = partial(Undecided, failure.advice, failure.retry_after_s)
        memory = self._good if isinstance(verdict, Caller) else self._bad
        memory.put(digest, verdict, until=min(until, self._now() + seconds))
        return verdict

    async def _asked(self, text: str) -> Reply | NoReply:
        address = (await self._issuer.metadata()).introspection_address()
        with anyio.move_on_after(PATIENCE_SECONDS) as waited:
            await self._turns.acquire()
        if waited.cancelled_caught:
            raise undecided(Advice.BUSY)
        try:
            if self._failure is not None and within(self._now() - self._failed_at, REST_SECONDS):
                raise undecided(self._failure)
            form = {"token": text, "token_type_hint": "access_token"}
            reply = await ask(self._http, address, form=form, authorization=self._basic())
        finally:
            self._turns.release()
        self._failure = _lasting_failure(reply)
        if self._failure is not None:
            self._failed_at = self._now()
            raise undecided(self._failure)
        return reply

    def _basic(self) -> str:
        """Both parts are form-encoded first, as OAuth asks and plain Basic does not."""
        user, password = quote_plus(self._client_id), quote_plus(self._client_secret.get_secret_value())
        return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"

    def _read(self, reply: Reply | NoReply) -> dict[str, Any]:
        """The answer about a token that is active."""
        if isinstance(reply, NoReply) or reply.status >= 500:
            raise undecided(Advice.FAILED)
        if reply.status != 200 or reply.body is None or not isinstance(reply.body.get("active"), bool):
            raise undecided(Advice.UNREADABLE_ANSWER)
        if not reply.body["active"]:
            raise InvalidToken(Reason.INACTIVE)
        kind = reply.body.get("token_type")
        if kind is not None and not (isinstance(kind, str) and kind.lower() in BEARER):
            raise InvalidToken(Reason.NO_ACCESS_TOKEN)
        return reply.body


def _lasting_failure(reply: Reply | NoReply) -> Advice | None:
    """What would be so with any other token as well."""
    if isinstance(reply, NoReply):
        return None if reply.connected else Advice.UNREACHABLE
    return Advice.CREDENTIALS if reply.status in {401, 403} else None
