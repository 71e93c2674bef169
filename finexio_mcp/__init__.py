"""An MCP server that lets AI agents run accounts payable on Finexio."""

__version__ = "0.1.0"
