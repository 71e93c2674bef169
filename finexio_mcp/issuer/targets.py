"""What a token may be for (RFC 8707): this server, by one of its addresses."""

from __future__ import annotations

from finexio_mcp.access.claims import bare, resources
from finexio_mcp.issuer.forms import Parameters
from finexio_mcp.issuer.refusals import Refused


class Targets:
    """The resources that tokens are given for."""

    def __init__(self, base_url: str) -> None:
        self._ours = resources(base_url)

    def named_in(self, asked: Parameters) -> str | None:
        """The resource that a request names, if it names one; several addresses of ours are one server.

        Raises:
            Refused: It names another.
        """
        named = [bare(resource) for resource in asked.all("resource")]
        if any(resource not in self._ours for resource in named):
            raise Refused("invalid_target", "This server gives no tokens for that resource.")
        return named[0] if named else None
