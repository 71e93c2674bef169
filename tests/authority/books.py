"""All that the authorization server knows, and how it is told to behave."""

from __future__ import annotations

import json
import secrets
import ssl
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, cast
from urllib.parse import urlsplit

import httpx2

from tests.authority.keys import Algorithm, Keys
from tests.authority.records import Client, Code, Person, Token

DOCUMENT_BYTES = 5 * 1024
LOOPBACK = {"127.0.0.1", "localhost"}


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How requests are answered from now on; a test may change it at any time."""

    user: str = "ada"
    """Who is signed in, and consents to whatever is asked for."""
    consents_to: tuple[str, ...] | None = None
    """Only these scopes, whatever is asked for; `None`: all of them."""
    refuses: bool = False
    """Whether the user says no."""
    tokens: Literal["jwt", "opaque"] = "jwt"
    algorithm: Algorithm = "RS256"
    access_seconds: int = 3600
    discovery: Literal["both", "oauth", "openid"] = "both"
    """Which of the two documents about this server can be fetched."""
    documents: bool = True
    """Whether clients may be known by the address of a document about them."""

    def changed(self, changes: Mapping[str, Any]) -> Manner:
        consents_to = changes.get("consents_to", self.consents_to)
        return replace(self, **{**changes, "consents_to": consents_to and tuple(consents_to)})


@dataclass(kw_only=True)
class Books:
    """Kept in memory, for as long as the process lives."""

    issuer: str
    trust: ssl.SSLContext
    manner: Manner = Manner()
    keys: Keys = field(default_factory=Keys)
    counts: Counter[str] = field(default_factory=Counter[str])
    codes: dict[str, Code] = field(default_factory=dict[str, Code])
    tokens: list[Token] = field(default_factory=list[Token])
    clients: dict[str, Client] = field(default_factory=dict[str, Client])

    def add_resource_server(self) -> Client:
        """A client that does nothing but ask about tokens."""
        client = Client(
            client_id="resource-server",
            secret=secrets.token_urlsafe(24),
            method="client_secret_basic",
            asks_about_tokens=True,
        )
        self.clients[client.client_id] = client
        return client

    def client(self, client_id: str) -> Client | None:
        """One that registered, or one whose name is the address of a document about it."""
        if client_id not in self.clients and self.manner.documents and urlsplit(client_id).scheme in {"https", "http"}:
            self.counts["document"] += 1
            if (found := self._fetch(client_id)) is not None:
                self.clients[client_id] = found
        return self.clients.get(client_id)

    def _fetch(self, address: str) -> Client | None:
        parts = urlsplit(address)
        if parts.path in {"", "/"} or parts.fragment or (parts.scheme == "http" and parts.hostname not in LOOPBACK):
            return None
        try:
            with httpx2.Client(verify=self.trust, trust_env=False, timeout=5) as http:
                answer = http.get(address, headers={"Accept": "application/json"})
                document: Any = json.loads(answer.content[:DOCUMENT_BYTES]) if answer.status_code == 200 else None
        except (httpx2.HTTPError, ValueError):
            return None
        return _described(address, document)

    def claims(self, client_id: str, person: Person, scope: str) -> dict[str, Any]:
        """What a token says, in either kind."""
        now = int(time.time())
        return {
            "iss": self.issuer,
            "sub": person.name,
            "aud": person.resource or client_id,
            "client_id": client_id,
            "scope": scope,
            "iat": now,
            "exp": now + self.manner.access_seconds,
            "jti": secrets.token_hex(8),
        }

    def take_code(self, text: str, client: Client) -> Code | None:
        """Each is good once, whatever comes of it."""
        code = self.codes.pop(text, None)
        if code is None or code.client_id != client.client_id or code.expires_at <= time.time():
            return None
        return code

    def token(self, text: str) -> Token | None:
        return next((token for token in self.tokens if text in {token.access, token.refresh}), None)

    def revoke(self, token: Token) -> None:
        token.access_revoked = token.refresh_revoked = True


def _described(address: str, document: Any) -> Client | None:
    """The client that a document describes, if it describes the one whose name is its address."""
    if not isinstance(document, dict):
        return None
    described = cast("dict[str, Any]", document)
    if described.get("client_id") != address or "client_secret" in described:
        return None
    if described.get("token_endpoint_auth_method", "none") != "none" or not described.get("redirect_uris"):
        return None
    return Client(
        client_id=address,
        redirect_uris=tuple(described["redirect_uris"]),
        grant_types=tuple(described.get("grant_types", ("authorization_code",))),
    )
