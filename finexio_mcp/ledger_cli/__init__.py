"""The commands under `finexio-mcp ledger`: what was submitted, what is in doubt, and a person's word on it."""

from __future__ import annotations

import click

from finexio_mcp.ledger_cli.looking import list_submissions, show, verify
from finexio_mcp.ledger_cli.resolving import resolve

COMMANDS: dict[str, click.Command] = {
    str(command.name): command for command in (list_submissions, show, resolve, verify)
}
