"""What the authorization server keeps, with the questions that Authlib puts to it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from hmac import compare_digest
from typing import Any, Literal

SCOPES = ("finexio:read", "finexio:write", "finexio:pay", "openid", "offline_access")

AuthMethod = Literal["none", "client_secret_basic", "client_secret_post"]


@dataclass(frozen=True, kw_only=True)
class Client:
    """A program that may ask for tokens, or a resource server that may ask about them."""

    client_id: str
    secret: str | None = None
    method: AuthMethod = "none"
    redirect_uris: tuple[str, ...] = ()
    grant_types: tuple[str, ...] = ()
    asks_about_tokens: bool = False

    def get_client_id(self) -> str:
        return self.client_id

    def get_default_redirect_uri(self) -> str | None:
        return self.redirect_uris[0] if len(self.redirect_uris) == 1 else None

    def get_allowed_scope(self, scope: str | None) -> str:
        # What it registered is no limit: clients register with what they were challenged for first.
        return " ".join(name for name in (scope or SCOPES[0]).split() if name in SCOPES)

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return redirect_uri in self.redirect_uris

    def check_client_secret(self, client_secret: str) -> bool:
        return self.secret is not None and compare_digest(self.secret, client_secret)

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        if endpoint == "introspection":
            return self.asks_about_tokens and method == self.method
        return method == self.method

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type in self.grant_types


@dataclass(frozen=True, kw_only=True)
class Person:
    """Who signed in, and for which resource."""

    name: str
    resource: str | None

    def get_user_id(self) -> str:
        return self.name


@dataclass(frozen=True, kw_only=True)
class Code:
    """An authorization code that was given out."""

    text: str
    client_id: str
    redirect_uri: str | None
    scope: str
    person: Person
    code_challenge: str
    code_challenge_method: str
    expires_at: float

    def get_redirect_uri(self) -> str | None:
        return self.redirect_uri

    def get_scope(self) -> str:
        return self.scope


@dataclass(kw_only=True)
class Token:
    """An access token, and the refresh token that came with it."""

    access: str
    refresh: str | None
    client_id: str
    scope: str
    person: Person
    claims: Mapping[str, Any]
    """What introspection says of it."""
    expires_at: float
    access_revoked: bool = False
    refresh_revoked: bool = False

    def check_client(self, client: Client) -> bool:
        return self.client_id == client.client_id

    def get_scope(self) -> str:
        return self.scope

    def is_expired(self) -> bool:
        return self.expires_at <= time.time()

    def is_revoked(self) -> bool:
        return self.access_revoked
