"""An MCP server that lets AI agents run accounts payable on Finexio."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from finexio_mcp.api.client import FinexioClient
    from finexio_mcp.errors import FinexioError
    from finexio_mcp.server import build_server
    from finexio_mcp.settings import Settings
    from finexio_mcp.tools import TOOLS

__version__ = "0.1.0"

__all__ = ["TOOLS", "FinexioClient", "FinexioError", "Settings", "build_server"]

_HOMES = {
    "TOOLS": "finexio_mcp.tools",
    "FinexioClient": "finexio_mcp.api.client",
    "FinexioError": "finexio_mcp.errors",
    "Settings": "finexio_mcp.settings",
    "build_server": "finexio_mcp.server",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that importing the package costs nothing."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
