"""Ready configurations: what clients accept, what starts, and what must not stand in them."""

from __future__ import annotations

import json
import os
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters

from finexio_mcp import clients
from finexio_mcp.clients import CLIENTS, SANDBOX, TRY_OUT, ClientConfig
from finexio_mcp.settings import load

VARIANTS = {"try-out": TRY_OUT, "sandbox": SANDBOX}
COMMAND = "/opt/o'brien tools/finexio-mcp"
"""With all that a shell or JSON could trip over."""

every_client = pytest.mark.parametrize("config", CLIENTS, ids=lambda config: config.name)
every_variant = pytest.mark.parametrize("environment", VARIANTS.values(), ids=VARIANTS.keys())


def entry(config: ClientConfig, command: str, environment: Mapping[str, str]) -> dict[str, Any]:
    """The server's entry as the client reads it."""
    text = config.text(command, environment)
    if config.name == "Claude Code":
        *words, value = shlex.split(text)
        assert words == ["claude", "mcp", "add-json", "finexio"]
        return json.loads(value)
    whole = json.loads(text)
    servers = whole["servers" if config.name == "VS Code" else "mcpServers"]
    assert list(servers) == ["finexio"]
    return servers["finexio"]


@every_variant
@every_client
def test_a_configuration_names_the_command_whatever_is_in_its_path(
    config: ClientConfig, environment: Mapping[str, str]
) -> None:
    """Ours: what is copied works, in a shell as in a file."""
    told = entry(config, COMMAND, environment)

    assert (told["command"], told["args"]) == (COMMAND, [])
    assert told["env"]["FINEXIO_ENVIRONMENT"] == environment["FINEXIO_ENVIRONMENT"]


@every_client
def test_trying_out_needs_nothing_but_the_environment(config: ClientConfig) -> None:
    """Ours: the simulator needs no account."""
    assert entry(config, COMMAND, TRY_OUT)["env"] == {"FINEXIO_ENVIRONMENT": "simulator"}
    assert "input" not in config.text(COMMAND, TRY_OUT)


@every_client
def test_no_configuration_holds_a_password(config: ClientConfig) -> None:
    """Ours: a password comes from a file or from a prompt, never from a file that is synced or committed."""
    told = entry(config, COMMAND, SANDBOX)["env"]

    assert told.get("FINEXIO_PASSWORD", "${input:").startswith("${input:")
    assert ("FINEXIO_PASSWORD_FILE" in told) != ("FINEXIO_PASSWORD" in told)


def test_vs_code_asks_for_user_and_password_and_hides_the_latter() -> None:
    """Ours: the two prompts are those that the entry refers to."""
    config = next(config for config in CLIENTS if config.name == "VS Code")

    inputs = json.loads(config.text(COMMAND, SANDBOX))["inputs"]

    assert [(row["type"], row["password"]) for row in inputs] == [("promptString", False), ("promptString", True)]
    told = entry(config, COMMAND, SANDBOX)["env"]
    assert [f"${{input:{row['id']}}}" for row in inputs] == [told["FINEXIO_USERNAME"], told["FINEXIO_PASSWORD"]]


@every_variant
async def test_the_command_of_a_configuration_starts_and_lists_the_tools(environment: Mapping[str, str]) -> None:
    """Ours: a client that was told this gets all tools, before there are credentials even."""
    told = [entry(config, clients.installed_command(), environment) for config in CLIENTS if config.name != "VS Code"]
    server = StdioServerParameters(command=told[0]["command"], args=told[0]["args"], env=told[0]["env"])
    assert all((other["command"], other["args"], other["env"]) == (server.command, [], server.env) for other in told)

    with anyio.fail_after(20):
        async with Client(server) as client:
            tools = (await client.list_tools()).tools

    assert len(tools) == 26


def test_the_installed_command_is_absolute_and_runs() -> None:
    """Ours: clients rarely share the PATH of the shell in which something was installed."""
    command = clients.installed_command()

    assert Path(command).is_absolute()
    assert os.access(command, os.X_OK)


def test_the_bare_name_stands_in_for_a_command_that_cannot_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: never a path that is not there."""

    def nowhere(_name: str, path: str | None = None) -> None:
        del path

    monkeypatch.setattr(shutil, "which", nowhere)

    assert clients.installed_command() == "finexio-mcp"


def test_limits_that_hold_here_hold_in_the_client_too() -> None:
    """Ours: a configuration that forgot a limit would let an agent pay more."""
    settings = load(
        FINEXIO_ENVIRONMENT="sandbox",
        FINEXIO_MCP_ACCESS="pay",
        FINEXIO_MCP_MAX_BATCH_CENTS="500000",
        FINEXIO_MCP_TOOLS="list_all_finexio_invoices, finexio_invoices_bulk_create",
    )

    assert clients.environment_of(settings) == {
        **SANDBOX,
        "FINEXIO_MCP_ACCESS": "pay",
        "FINEXIO_MCP_MAX_BATCH_CENTS": "500000",
        "FINEXIO_MCP_TOOLS": "list_all_finexio_invoices,finexio_invoices_bulk_create",
    }


def test_user_and_password_become_placeholders() -> None:
    """Ours: what is printed may end up in a ticket."""
    settings = load(FINEXIO_ENVIRONMENT="production", FINEXIO_USERNAME="jonathan", FINEXIO_PASSWORD="hunter2")

    assert clients.environment_of(settings) == {**SANDBOX, "FINEXIO_ENVIRONMENT": "production"}


def test_a_password_file_is_named_by_its_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: a client starts the server in a directory of its own choice."""
    monkeypatch.chdir(tmp_path)
    settings = load(FINEXIO_USERNAME="jonathan", FINEXIO_PASSWORD_FILE="secret")

    assert clients.environment_of(settings)["FINEXIO_PASSWORD_FILE"] == str(tmp_path / "secret")
