"""Where the outside issuer keeps its keys and answers about tokens, as its own metadata says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpx2

from finexio_mcp.access.inquiry import NoReply, ask
from finexio_mcp.access.kept import REST_SECONDS, Kept, Now
from finexio_mcp.access.refusals import Advice, Undecided
from finexio_mcp.settings import LOOPBACK, PLAIN_URL

FRESH_SECONDS = 15 * 60.0
USABLE_SECONDS = 24 * 3600.0
"""Addresses rarely change, and what is fetched from them has limits of its own."""
DISCOVERY_SECONDS = 8.0


@dataclass(frozen=True)
class Metadata:
    """The two addresses that matter here, as they were published."""

    jwks_uri: Any
    introspection_endpoint: Any

    def keys_address(self) -> str:
        """Where the keys are.

        Raises:
            Undecided: Nowhere, or where they could be tampered with.
        """
        return _address(self.jwks_uri, Advice.NO_KEYS)

    def introspection_address(self) -> str:
        """Where tokens are asked about.

        Raises:
            Undecided: Nowhere, or where others could listen.
        """
        return _address(self.introspection_endpoint, Advice.NO_INTROSPECTION)


class Issuer:
    """The outside issuer, found at the first use."""

    def __init__(self, url: str, http: httpx2.AsyncClient, now: Now) -> None:
        self.url = url
        self._http = http
        self._metadata = Kept(
            "metadata of the authorization server",
            self._discover,
            fresh_seconds=FRESH_SECONDS,
            usable_seconds=USABLE_SECONDS,
            now=now,
        )

    async def metadata(self) -> Metadata:
        """What the issuer publishes about itself.

        Raises:
            Undecided: It does not answer, or not as the issuer that is meant.
        """
        return await self._metadata.get()

    async def _discover(self) -> Metadata:
        with anyio.move_on_after(DISCOVERY_SECONDS):
            return await self._found()
        raise undecided(Advice.UNREACHABLE)

    async def _found(self) -> Metadata:
        advice = Advice.NO_METADATA
        for address in addresses(self.url):
            reply = await ask(self._http, address)
            if isinstance(reply, NoReply):
                raise undecided(Advice.UNREACHABLE)
            if reply.status == 200 and reply.body is not None:
                # Only so does the metadata belong to it, and not to whoever shares its host.
                if reply.body.get("issuer") == self.url:
                    return Metadata(reply.body.get("jwks_uri"), reply.body.get("introspection_endpoint"))
                advice = Advice.OTHER_ISSUER
            elif reply.status >= 500:
                advice = Advice.FAILED
        raise undecided(advice)


def addresses(issuer: str) -> tuple[str, ...]:
    """Where metadata may be: the well-known part before the path, and after it, as OpenID Connect began."""
    parts = urlsplit(issuer)
    origin, path = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")
    known = (
        f"{origin}/.well-known/oauth-authorization-server{path}",
        f"{origin}/.well-known/openid-configuration{path}",
        f"{origin}{path}/.well-known/openid-configuration",
    )
    return tuple(dict.fromkeys(known))


def undecided(advice: Advice) -> Undecided:
    """Nobody can tell now; a while later somebody may."""
    return Undecided(advice, int(REST_SECONDS))


def _address(value: Any, missing: Advice) -> str:
    if value is None:
        raise undecided(missing)
    if not isinstance(value, str) or not _is_safe(value):
        raise undecided(Advice.UNSAFE_ADDRESS)
    return value


def _is_safe(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    if not PLAIN_URL.fullmatch(url) or not host or "@" in parts.netloc or parts.fragment:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and host in LOOPBACK)
