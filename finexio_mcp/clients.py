"""Ready configurations for the clients that people use, derived in one place."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
import sysconfig
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from finexio_mcp.settings import NAMES, OVER_HTTP, Settings

PROGRAM = "finexio-mcp"
KEY = "finexio"
"""The server's name in a client: short, since clients put it in front of each tool's name and limit the sum."""

TRY_OUT: Mapping[str, str] = {"FINEXIO_ENVIRONMENT": "simulator"}
"""Needs no account."""
SANDBOX: Mapping[str, str] = {
    "FINEXIO_ENVIRONMENT": "sandbox",
    "FINEXIO_USERNAME": "your-api-user",
    "FINEXIO_PASSWORD_FILE": "/absolute/path/to/finexio-password",
}
"""With the two values to fill in; a password in a file stays out of what is synced, shared and committed."""

ASKED_FOR = {"FINEXIO_USERNAME": "Finexio API user", "FINEXIO_PASSWORD": "Finexio API password"}


@dataclass(frozen=True)
class ClientConfig:
    """What one client wants to be told.

    Attributes:
        name: The client.
        where: The file that the text goes into, or where it is typed.
        text: From the command and its environment to the text.
    """

    name: str
    where: str
    text: Callable[[str, Mapping[str, str]], str]


def _entry(command: str, environment: Mapping[str, str]) -> dict[str, Any]:
    return {"command": command, "args": [], "env": dict(environment)}


def _written(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _mcp_servers(command: str, environment: Mapping[str, str]) -> str:
    return _written({"mcpServers": {KEY: _entry(command, environment)}})


def _claude_code(command: str, environment: Mapping[str, str]) -> str:
    entry = json.dumps({"type": "stdio", **_entry(command, environment)}, ensure_ascii=False)
    return f"claude mcp add-json {KEY} {shlex.quote(entry)}"


def _vs_code(command: str, environment: Mapping[str, str]) -> str:
    """The file is often committed, so VS Code asks for the credentials and keeps them."""
    asked = ASKED_FOR if "FINEXIO_USERNAME" in environment else {}
    kept = {name: value for name, value in environment.items() if not asked or not _is_credential(name)}
    prompts = {name: f"${{input:{_input_id(name)}}}" for name in asked}
    inputs = [
        {"type": "promptString", "id": _input_id(name), "description": what, "password": name == "FINEXIO_PASSWORD"}
        for name, what in asked.items()
    ]
    server = {"type": "stdio", **_entry(command, {**kept, **prompts})}
    return _written({**({"inputs": inputs} if inputs else {}), "servers": {KEY: server}})


def _is_credential(name: str) -> bool:
    return name in {*ASKED_FOR, "FINEXIO_PASSWORD_FILE"}


def _input_id(name: str) -> str:
    return name.lower().replace("_", "-")


CLIENTS: tuple[ClientConfig, ...] = (
    ClientConfig("Claude Desktop", "claude_desktop_config.json (Settings, Developer, Edit Config)", _mcp_servers),
    ClientConfig("Claude Code", "a terminal", _claude_code),
    ClientConfig("Cursor", ".cursor/mcp.json in a project, or ~/.cursor/mcp.json", _mcp_servers),
    ClientConfig("VS Code", ".vscode/mcp.json", _vs_code),
)


def installed_command() -> str:
    """The program that a client should start, absolute if it can be found: clients rarely share a shell's PATH."""
    started_as = Path(sys.argv[0])
    beside = str(started_as.parent) if started_as.stem == PROGRAM and started_as.is_absolute() else None
    for directories in (beside, sysconfig.get_path("scripts"), None):
        if found := shutil.which(PROGRAM, path=directories):
            # Not resolved: the link that an installer made outlives what it points to.
            return str(Path(found).absolute())
    return PROGRAM


def environment_of(settings: Settings) -> dict[str, str]:
    """What a client has to set for the server to behave as here: every limit that is set, and no secret.

    User and password are placeholders to fill in, unless the password is in a file, whose path is no secret.
    """
    chosen = {
        NAMES[field]: _as_text(value)
        for field in Settings.model_fields
        if field in settings.model_fields_set - OVER_HTTP and _may_be_shown(field, value := getattr(settings, field))
    }
    needs_account = settings.accounts_file is None and (
        settings.environment != "simulator" or settings.username is not None
    )
    return {**(SANDBOX if needs_account else {}), "FINEXIO_ENVIRONMENT": settings.environment, **chosen}


def _may_be_shown(field: str, value: Any) -> bool:
    return value not in (None, ()) and field != "username" and not isinstance(value, SecretStr)


def _as_text(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(str(part) for part in value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return os.path.abspath(value) if isinstance(value, Path) else str(value)
