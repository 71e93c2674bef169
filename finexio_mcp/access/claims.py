"""What a token of the outside issuer says about itself: is it for us, is it for now, and for whom is it."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

from finexio_mcp.access.refusals import InvalidToken, NoScope, Reason
from finexio_mcp.access.scopes import access_of
from finexio_mcp.accounts import is_account_name
from finexio_mcp.callers import Caller
from finexio_mcp.guards.cleaning import clean
from finexio_mcp.settings import DEFAULT_ACCOUNT
from finexio_mcp.shapes import is_array

LEEWAY_SECONDS = 30
"""How far two clocks may be apart."""
LAST_MOMENT = 253_402_300_799
"""The end of the year 9999; what lies beyond is milliseconds, or a mistake."""
MAX_NAME_CHARS = 80
MAX_ID_CHARS = 2_048
NOT_FOR_CALLS = frozenset({"id", "id_token", "refresh", "refresh_token", "offline", "logout"})
"""Kinds of tokens that issuers sign with the same keys and name in `typ` or `token_use`."""


class Rules:
    """What has to be so for a token to count here.

    Args:
        issuer: The one issuer, to the letter.
        base_url: Where this server is; itself, its `/mcp` and its `/sse` are the audiences that mean us.
        account_claim: The claim that names the account; without one, all tokens are for the default account.
    """

    def __init__(self, issuer: str, base_url: str, account_claim: str | None = None) -> None:
        self.issuer = issuer
        self.account_claim = account_claim
        self._audiences = resources(base_url)

    def valid_until(self, claims: dict[str, Any], now: float, *, vouched: bool = False) -> float:
        """Check all but who it is for, and say when it ends.

        Args:
            claims: The payload, or an introspection answer.
            now: Seconds since 1970.
            vouched: The issuer itself said just now that the token is active, so it need not repeat who it is nor
                when that ends.

        Raises:
            InvalidToken: It is for others, for another use or for another time.
        """
        issuer = _text(claims, "iss")
        if issuer != self.issuer and not (vouched and issuer is None):
            raise InvalidToken(Reason.ISSUER)
        if not any(bare(audience) in self._audiences for audience in _texts(claims, "aud")):
            raise InvalidToken(Reason.AUDIENCE)
        _check_use(claims)
        return _valid_until(claims, now, required=not vouched)


def resources(base_url: str) -> frozenset[str]:
    """The resources that this server is."""
    base = bare(base_url)
    return frozenset({base, f"{base}/mcp", f"{base}/sse"})


def bare(url: str) -> str:
    """Without a slash at the end."""
    return url.removesuffix("/")


def caller_of(claims: dict[str, Any], rules: Rules) -> Caller:
    """Whom a good token stands for.

    Raises:
        InvalidToken: It names nobody, or not the account that it has to name.
        NoScope: It allows nothing here.
    """
    subject = _text(claims, "sub")
    clients = [client for name in ("client_id", "azp", "cid") if (client := _text(claims, name))]
    client = clients[0] if clients else None
    name = subject or client
    if not name:
        raise InvalidToken(Reason.NOBODY)
    account = _account(claims, rules.account_claim)
    access = access_of(_scopes(claims))
    if access is None:
        raise NoScope
    # One subject is one caller at each account; where none is named, keys are what they were before there were any.
    named = [] if account == DEFAULT_ACCOUNT else [account]
    principal = json.dumps([rules.issuer, subject, client, *named]).encode()
    return Caller(
        key=f"oauth:{hashlib.sha256(principal).hexdigest()[:32]}",
        name=clean(name, limit=MAX_NAME_CHARS, single_line=True) or "unnamed",
        origin="oauth",
        account=account,
        access=access,
    )


def _account(claims: dict[str, Any], claim: str | None) -> str:
    """The account that a token is for. Where a claim has to name it, none is taken for granted."""
    if claim is None:
        return DEFAULT_ACCOUNT
    account = claims.get(claim)
    if not is_account_name(account):
        raise InvalidToken(Reason.ACCOUNT)
    return str(account)


def _check_use(claims: dict[str, Any]) -> None:
    for name in ("typ", "token_use"):
        if (_text(claims, name) or "").casefold() in NOT_FOR_CALLS:
            raise InvalidToken(Reason.NO_ACCESS_TOKEN)
    # Taken as a mere bearer token, it would be worth as much to a thief as to its holder.
    if claims.get("cnf") is not None:
        raise InvalidToken(Reason.BOUND)


def _valid_until(claims: dict[str, Any], now: float, *, required: bool) -> float:
    expires, not_before, issued = (_moment(claims, name) for name in ("exp", "nbf", "iat"))
    if expires is None and required:
        raise InvalidToken(Reason.NO_EXPIRY)
    if expires is not None and expires + LEEWAY_SECONDS <= now:
        raise InvalidToken(Reason.EXPIRED)
    if any(start is not None and start - LEEWAY_SECONDS > now for start in (not_before, issued)):
        raise InvalidToken(Reason.NOT_YET)
    return math.inf if expires is None else expires + LEEWAY_SECONDS


def _moment(claims: dict[str, Any], name: str) -> float | None:
    """Seconds since 1970; `True` is a number to Python, and 1e999 an infinite one."""
    value = claims.get(name)
    if value is None:
        return None
    if type(value) not in (int, float) or not 0 <= value <= LAST_MOMENT:
        raise InvalidToken(Reason.CLAIM)
    return float(value)


def _text(claims: dict[str, Any], name: str) -> str | None:
    value = claims.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > MAX_ID_CHARS:
        raise InvalidToken(Reason.CLAIM)
    return value


def _texts(claims: dict[str, Any], name: str) -> list[str]:
    value = claims.get(name)
    if value is None:
        return []
    if isinstance(value, str):
        return [value]
    if not is_array(value) or not all(isinstance(each, str) for each in value):
        raise InvalidToken(Reason.CLAIM)
    return value


def _scopes(claims: dict[str, Any]) -> list[str]:
    """As OAuth has it, a text with blanks between; several issuers send a list, or call it `scp`."""
    name = "scope" if claims.get("scope") is not None else "scp"
    return [scope for text in _texts(claims, name) for scope in text.split(" ")]
