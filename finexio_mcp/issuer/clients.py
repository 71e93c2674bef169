"""Clients that register themselves (RFC 7591): strangers, all of them public, about whom nothing is believed."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from typing import Any

from mcp.shared.auth import OAuthClientInformationFull
from pydantic import BaseModel, ConfigDict, ValidationError

from finexio_mcp.access.scopes import scopes_up_to
from finexio_mcp.guards.cleaning import clean
from finexio_mcp.issuer.redirects import place_of
from finexio_mcp.issuer.refusals import Refused
from finexio_mcp.settings import Access

MAX_REDIRECT_URIS = 10
MAX_NAME_CHARS = 80
MAX_KEPT_CHARS = 4_000
UNNAMED = "A client without a name"
GRANT_TYPES = ("authorization_code", "refresh_token")


class _Asked(BaseModel):
    """Of all that a client may say about itself, what means something here."""

    model_config = ConfigDict(strict=True, extra="ignore", hide_input_in_errors=True)

    redirect_uris: list[str]
    client_name: str | None = None
    grant_types: list[str] | None = None
    response_types: list[str] | None = None


@dataclass(frozen=True)
class Client:
    """A registered client."""

    id: str
    name: str
    """As it calls itself: cleaned and bounded, and still a stranger's words."""
    redirect_uris: tuple[str, ...]
    issued_at: int

    def to_json(self) -> str:
        """What is kept of it."""
        return json.dumps({"name": self.name, "redirect_uris": self.redirect_uris, "issued_at": self.issued_at})

    @staticmethod
    def from_json(client_id: str, text: str) -> Client:
        """The client as it was kept."""
        kept = json.loads(text)
        return Client(client_id, kept["name"], tuple(kept["redirect_uris"]), kept["issued_at"])

    def metadata(self, offered: Access) -> dict[str, Any]:
        """The client in the words of RFC 7591; whatever method it asked for, it has no secret."""
        return {
            "client_id": self.id,
            "client_id_issued_at": self.issued_at,
            "client_name": self.name,
            "redirect_uris": list(self.redirect_uris),
            "grant_types": [*GRANT_TYPES],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
            "scope": " ".join(scopes_up_to(offered)),
        }

    def described(self, offered: Access) -> OAuthClientInformationFull:
        """The same in the SDK's type."""
        return OAuthClientInformationFull.model_validate(self.metadata(offered))


def registered(body: bytes, *, now_ms: int) -> Client:
    """The client that asks to be registered.

    Raises:
        Refused: It asks for something that cannot be had here, or that cannot be read.
    """
    try:
        asked = _Asked.model_validate_json(body)
    except ValidationError as error:
        fields = {str(detail["loc"][0]) for detail in error.errors(include_input=False) if detail["loc"]}
        if "redirect_uris" in fields:
            raise Refused("invalid_redirect_uri", "redirect_uris has to be a list of texts.") from None
        raise Refused("invalid_client_metadata", "The body is no client metadata as RFC 7591 has it.") from None
    _check_redirect_uris(asked.redirect_uris)
    if asked.grant_types is not None and "authorization_code" not in asked.grant_types:
        raise Refused("invalid_client_metadata", "grant_types has to include authorization_code.")
    if asked.response_types is not None and "code" not in asked.response_types:
        raise Refused("invalid_client_metadata", "response_types has to include code.")
    name = " ".join(clean(asked.client_name or "", limit=MAX_NAME_CHARS, single_line=True).split())
    uris = tuple(dict.fromkeys(asked.redirect_uris))
    client = Client(secrets.token_urlsafe(16), name or UNNAMED, uris, now_ms // 1000)
    if len(client.to_json()) > MAX_KEPT_CHARS:
        raise Refused("invalid_redirect_uri", "The redirect URIs are too long, taken together.")
    return client


def _check_redirect_uris(uris: list[str]) -> None:
    if not 1 <= len(uris) <= MAX_REDIRECT_URIS:
        raise Refused("invalid_redirect_uri", f"redirect_uris has to have one to {MAX_REDIRECT_URIS} entries.")
    if any(place_of(uri) is None for uri in uris):
        raise Refused(
            "invalid_redirect_uri",
            "Each redirect URI has to be https, or http to this very machine, or a private scheme with a dot in it; "
            "without a fragment, a user or characters that do not belong in a URI, and of 2,000 characters at most.",
        )
