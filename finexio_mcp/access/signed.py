"""Signed tokens (JWT) of the outside issuer: proved by its keys, here, without a question to it."""

from __future__ import annotations

import base64
import hashlib
from typing import Any, NamedTuple

from finexio_mcp.access.claims import Rules, caller_of
from finexio_mcp.access.issuers import undecided
from finexio_mcp.access.kept import Now, Remembered
from finexio_mcp.access.keys import ALGORITHMS, Key, KeyRing, KeySet
from finexio_mcp.access.objects import read_object
from finexio_mcp.access.refusals import Advice, InvalidToken, Reason
from finexio_mcp.callers import Caller

TYPES = frozenset({"jwt", "at+jwt", "application/at+jwt"})
"""What a header may call the token. The same keys sign tokens of other kinds."""
REMEMBERED_SECONDS = 60.0
REMEMBERED = 1_000


class Token(NamedTuple):
    """A token taken apart, with nothing proved yet."""

    algorithm: str
    kid: str | None
    claims: dict[str, Any]
    signed: bytes
    signature: bytes


class Proved(NamedTuple):
    """Who a token stands for, and the keys that were the issuer's when it was proved."""

    caller: Caller
    keys: KeySet


class SignedTokens:
    """Checks signed tokens."""

    def __init__(self, rules: Rules, keys: KeyRing, now: Now) -> None:
        self._rules = rules
        self._keys = keys
        self._now = now
        self._proved: Remembered[Proved] = Remembered(REMEMBERED, now)

    async def verify(self, text: str) -> Caller:
        """Whom the token stands for.

        Raises:
            InvalidToken: It is no good.
            NoScope: It is good, and allows nothing here.
            Undecided: The issuer's keys cannot be had.
        """
        digest = hashlib.sha256(text.encode()).digest()
        known = self._proved.get(digest)
        if known is not None and known.keys is self._keys.held:
            return known.caller
        token = _take_apart(text)
        # Before the signature: who makes up a token that says itself that it is no good causes no request.
        until = self._rules.valid_until(token.claims, self._now())
        keys = await self._prove(token)
        caller = caller_of(token.claims, self._rules)
        self._proved.put(digest, Proved(caller, keys), until=min(until, self._now() + REMEMBERED_SECONDS))
        return caller

    async def _prove(self, token: Token) -> KeySet:
        """Find the key that made the signature."""
        keys = await self._keys.get()
        fitting = keys.fitting(token.kid, token.algorithm)
        # Without a name, that none fits shows only when all were tried.
        if not fitting or (token.kid is None and not _made_by(fitting, token)):
            keys = await self._keys.newer(keys)
            fitting = keys.fitting(token.kid, token.algorithm)
        if not keys:
            raise undecided(Advice.NO_USABLE_KEY)
        if not fitting:
            raise InvalidToken(Reason.UNKNOWN_KEY)
        if not _made_by(fitting, token):
            raise InvalidToken(Reason.SIGNATURE)
        return keys


def _made_by(keys: list[Key], token: Token) -> bool:
    return any(key.signed(token.signature, token.signed, token.algorithm) for key in keys)


def _take_apart(text: str) -> Token:
    head, payload, signature = text.split(".")
    header = read_object(_decoded(head))
    claims = read_object(_decoded(payload))
    if header is None or claims is None:
        raise InvalidToken(Reason.UNREADABLE)
    algorithm, kid = _checked(header)
    return Token(algorithm, kid, claims, f"{head}.{payload}".encode(), _decoded(signature))


def _checked(header: dict[str, Any]) -> tuple[str, str | None]:
    """The algorithm and the name of the key; keys and addresses that a header brings along are not looked at."""
    algorithm, kid, kind = header.get("alg"), header.get("kid"), header.get("typ")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise InvalidToken(Reason.NOT_ALLOWED_ALGORITHM)
    if "crit" in header or "b64" in header:
        raise InvalidToken(Reason.EXTENSION)
    if kind is not None and not (isinstance(kind, str) and kind.lower() in TYPES):
        raise InvalidToken(Reason.NO_ACCESS_TOKEN)
    if kid is not None and not isinstance(kid, str):
        raise InvalidToken(Reason.UNREADABLE)
    return algorithm, kid


def _decoded(part: str) -> bytes:
    """Base64url without padding, written in the one way there is."""
    try:
        data = base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raise InvalidToken(Reason.UNREADABLE) from None
    # The decoder ignores spare bits and takes either alphabet, so that many texts would be one token.
    if base64.urlsafe_b64encode(data).rstrip(b"=") != part.encode():
        raise InvalidToken(Reason.UNREADABLE)
    return data
