"""The commands under `finexio-mcp audit`: who called what, for people, for auditors, and whether it was edited."""

from __future__ import annotations

import click

from finexio_mcp.audit_cli.checking import verify
from finexio_mcp.audit_cli.handing import export
from finexio_mcp.audit_cli.listing import list_entries

COMMANDS: dict[str, click.Command] = {str(command.name): command for command in (list_entries, export, verify)}
