"""The commands under `finexio-mcp tokens`: who may call over HTTP, how far, and until when."""

from __future__ import annotations

import click

from finexio_mcp.tokens_cli.ending import revoke
from finexio_mcp.tokens_cli.listing import list_grants
from finexio_mcp.tokens_cli.making import create, invite

COMMANDS: dict[str, click.Command] = {str(command.name): command for command in (create, list_grants, revoke, invite)}
