"""The authorization server that this server brings along, for firms without one: `routes` is all that it offers."""

from finexio_mcp.issuer.endpoints import routes

__all__ = ["routes"]
