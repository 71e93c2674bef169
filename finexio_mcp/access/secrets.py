"""Secrets as they are told, once, and as they are kept: tokens for programs, invitation codes for people."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field
from typing import Final

from finexio_mcp.access.grants import SecretKind

ALPHABET: Final = "abcdefghijkmnpqrstuvwxyz23456789"
"""32 characters that nobody mistakes for one another; what stands for a misread one is in `MISREAD`."""
MISREAD: Final = str.maketrans({"l": "i", "1": "i"})
ID_CHARS: Final = 12
SECRET_BYTES: Final = 32
INVITATION_CHARS: Final = 16
"""80 bits, far too many to try in the minutes that an invitation lasts."""
GROUP: Final = 4
MAX_TYPED_CHARS: Final = 200

TOKEN: Final = re.compile(f"fmcp_([{ALPHABET}]{{{ID_CHARS}}})_([A-Za-z0-9_-]{{43}})", re.ASCII)
INVITATION: Final = re.compile(f"[{ALPHABET}]{{{INVITATION_CHARS}}}", re.ASCII)
# People and what they paste from put all kinds of dashes and blanks between the groups.
BETWEEN: Final = re.compile(r"[\s\-\u00ad\u200b\u2010-\u2015\u2212.]+")


@dataclass(frozen=True)
class Minted:
    """A new secret: its text for whoever gets it, and what is kept."""

    id: str
    text: str = field(repr=False)
    digest: str = field(repr=False)


def mint(kind: SecretKind) -> Minted:
    """A secret that nobody can guess."""
    if kind == "invitation":
        code = _random(INVITATION_CHARS)
        text = "-".join(code[start : start + GROUP] for start in range(0, len(code), GROUP))
        return Minted(_invitation_id(code), text, _digest(code))
    id_, secret = _random(ID_CHARS), secrets.token_urlsafe(SECRET_BYTES)
    return Minted(id_, f"fmcp_{id_}_{secret}", _digest(secret))


def chosen(text: str) -> Minted:
    """A secret in a text that somebody else made, for everybody who makes it anew to come to the same.

    Raises:
        ValueError: It is no text of ours.
    """
    parsed = parse(text)
    if parsed is None:
        raise ValueError("no text of a secret")
    return Minted(parsed[0], text, parsed[1])


def parse(text: str) -> tuple[str, str] | None:
    """The id and the digest of a token, whatever its kind; `None` if it is none of ours. Never fails."""
    match = TOKEN.fullmatch(text)
    return (match[1], _digest(match[2])) if match is not None else None


def parse_invitation(text: str) -> tuple[str, str] | None:
    """The same of an invitation code, however it was typed."""
    code = BETWEEN.sub("", text).lower().translate(MISREAD) if len(text) <= MAX_TYPED_CHARS else ""
    return (_invitation_id(code), _digest(code)) if INVITATION.fullmatch(code) else None


def new_id() -> str:
    """A name for a grant."""
    return _random(ID_CHARS)


def matches(kept: str | None, given: str) -> bool:
    """Whether two digests are the same, in a time that tells nothing; `None`: there is nothing to compare with."""
    # The same work either way, so that the time does not tell which ids there are.
    return hmac.compare_digest(given if kept is None else kept, given) and kept is not None


def _random(length: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _invitation_id(code: str) -> str:
    """By what a code is found. It is too short to hold a part that is public, so a digest of its own names it."""
    number = int.from_bytes(hashlib.sha256(b"finexio-mcp invitation " + code.encode()).digest())
    return "".join(ALPHABET[number >> 5 * place & 31] for place in range(ID_CHARS))
