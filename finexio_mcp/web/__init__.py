"""The server over HTTP; `create_app` is for those who bring their own ASGI server."""

from finexio_mcp.web.app import create_app

__all__ = ["create_app"]
