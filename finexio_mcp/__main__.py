"""`python -m finexio_mcp` is `finexio-mcp`."""

from finexio_mcp.cli import main

main()
