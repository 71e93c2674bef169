"""A sign-in between the client's request and the person's answer.

It travels sealed in the page's own address and form, so that any replica can go on with it and strangers, who may
begin as many as they like, cannot fill the database. The seal's key is derived from `FINEXIO_MCP_STATE_KEY`; without
that setting it is a random one of this process, and a sign-in that was begun elsewhere, or before a restart, has to be
begun again.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Callable
from dataclasses import astuple, dataclass

from finexio_mcp.access.secrets import ALPHABET, ID_CHARS, SECRET_BYTES
from finexio_mcp.settings import Access, Settings

PENDING_MS = 600_000
PURPOSE = b"finexio-mcp consent 1"
"""Keeps this key apart from others that are derived from the same; the number goes up when the fields change."""
CODE_PURPOSE = b"finexio-mcp authorization code 1"
MAX_CHARS = 12_000


@dataclass(frozen=True)
class Pending:
    """What a client asks a person for."""

    nonce: str
    client_id: str
    redirect_uri: str
    redirect_uri_explicit: bool
    code_challenge: str
    asked: Access | None
    """`None`: the client named no scope."""
    resource: str | None
    state: str | None
    expires_at_ms: int


class Seal:
    """Turns a pending sign-in into a text that nobody else can make or change, and back."""

    def __init__(self, settings: Settings, now_ms: Callable[[], int]) -> None:
        shared = settings.state_key
        secret = shared.get_secret_value().encode() if shared is not None else secrets.token_bytes(32)
        self._key = hmac.digest(secret, PURPOSE, hashlib.sha256)
        self._code_key = hmac.digest(secret, CODE_PURPOSE, hashlib.sha256)
        self._now_ms = now_ms

    def close(self, pending: Pending) -> str:
        """The sealed text; it can be read, but not changed."""
        payload = _encoded(json.dumps(astuple(pending), separators=(",", ":")).encode())
        return f"{payload}.{self._mark(payload)}"

    def open(self, text: str) -> Pending | None:
        """The sign-in, unless its time is over or the text is not one of ours."""
        payload, _, mark = text[:MAX_CHARS].partition(".")
        if not hmac.compare_digest(self._mark(payload).encode(), mark.encode(errors="replace")):
            return None
        pending = Pending(*json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))))
        return pending if self._now_ms() < pending.expires_at_ms else None

    def code(self, pending: Pending, invitation: tuple[str, str], access: Access) -> str:
        """The authorization code that this answer gets, if it gets one: the same from every replica.

        Who clicks twice sends the form twice, and the browser heeds only the second answer. Nobody without the key can
        tell it, and as an invitation is used up once, no two sign-ins get the same.

        Args:
            pending: The sign-in.
            invitation: The one-time code that was typed, parsed.
            access: What the person chose.
        """
        answer = json.dumps([pending.nonce, *invitation, access]).encode()
        return _told(hmac.digest(self._code_key, answer, hashlib.sha512))

    def _mark(self, payload: str) -> str:
        return _encoded(hmac.digest(self._key, payload.encode(errors="replace"), hashlib.sha256))


def _told(random: bytes) -> str:
    """A secret of ours that is made of these 64 bytes: a part that names it, and one that nobody guesses."""
    secret, number = random[:SECRET_BYTES], int.from_bytes(random[SECRET_BYTES:])
    id_ = "".join(ALPHABET[number >> 5 * place & 31] for place in range(ID_CHARS))
    return f"fmcp_{id_}_{_encoded(secret)}"


def _encoded(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")
