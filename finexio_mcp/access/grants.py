"""What was granted to whom: values only, none of which holds a secret that it shows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from finexio_mcp.settings import DEFAULT_ACCOUNT, Access

GrantKind = Literal["token", "oauth"]
"""A token of ours for a program, or a client that somebody signed in through the built-in issuer."""
GrantState = Literal["active", "pending", "expired", "revoked"]
SecretKind = Literal["token", "access", "refresh", "code", "invitation"]


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What is asked for: at most this access, and only these toolsets and tools."""

    access: Access
    toolsets: frozenset[str] | None = None
    """`None`: all that the server offers."""
    tools: frozenset[str] | None = None
    """`None`: all that the server offers."""
    account: str = DEFAULT_ACCOUNT
    """Whose Finexio account calls go to."""


@dataclass(frozen=True, kw_only=True)
class Grant:
    """Somebody's leave to call, and until when. Its secrets are kept apart, as digests."""

    id: str
    """Names it, in logs too. A token of ours carries it: `fmcp_<id>_...`."""
    kind: GrantKind
    name: str
    """Given by the operator; no two grants that are active or pending share one, whatever their accounts."""
    access: Access
    toolsets: frozenset[str] | None
    tools: frozenset[str] | None
    client_id: str | None
    """Of OAuth: the client that accepted; `None` while nobody did."""
    resource: str | None
    """Of OAuth: the resource that was asked for."""
    created_at_ms: int
    expires_at_ms: int | None
    """When it ends as it stands: an invitation at first, then the sign-in, at last the grant. `None`: never."""
    revoked_at_ms: int | None = None
    last_used_at_ms: int | None = None
    """Exact to a minute or so."""
    account: str = DEFAULT_ACCOUNT
    """Whose Finexio account calls go to. No server need have it."""

    def state(self, now_ms: int) -> GrantState:
        """How it stands at this moment."""
        if self.revoked_at_ms is not None:
            return "revoked"
        if self.expires_at_ms is not None and self.expires_at_ms <= now_ms:
            return "expired"
        return "pending" if self.kind == "oauth" and self.client_id is None else "active"


@dataclass(frozen=True, kw_only=True)
class Code:
    """An authorization code of the built-in issuer, and what it was asked for with."""

    client_id: str
    redirect_uri: str
    redirect_uri_explicit: bool
    code_challenge: str
    access: Access
    resource: str | None
    expires_at_ms: int
    grant_id: str = ""
    """Known as soon as the code is made."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """What a client gets for a code or a refresh token. The texts are told once and kept nowhere."""

    grant: Grant
    """With the access of this pair, which may be less than the grant's."""
    access_text: str = field(repr=False)
    refresh_text: str = field(repr=False)
    expires_in_s: int
    """How long the access token lasts."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """A secret's row with the grant that it belongs to. Nothing is proved before its digest was compared."""

    id: str
    kind: SecretKind
    digest: str = field(repr=False)
    access: Access
    """At most; the grant's may be less."""
    details: str | None
    expires_at_ms: int | None
    used_at_ms: int | None
    grant: Grant

    def is_over(self, now_ms: int) -> bool:
        """Whether it, or its grant, ended."""
        ended = self.expires_at_ms is not None and self.expires_at_ms <= now_ms
        return ended or self.grant.state(now_ms) not in ("active", "pending")


class NameTaken(Exception):
    """A grant that is active or pending has this name already."""


class TooManyClients(Exception):
    """There is no room for another client, since all that are known are in use."""
