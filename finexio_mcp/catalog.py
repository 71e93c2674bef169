"""What `tools/list` shows, from a generated file, so that a start needs none of the declarations."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finexio_mcp.errors import AccessDenied
from finexio_mcp.settings import ACCESS_ORDER, NAMES, Access, SettingProblem, Settings

FILE = Path(__file__).with_name("catalog.json")


@dataclass(frozen=True)
class Listed:
    """One tool as it is listed, and what decides whether it is."""

    toolset: str
    access: Access
    entry: dict[str, Any]


def read() -> dict[str, Listed]:
    """Every tool by name, in the registry's order."""
    return {row["entry"]["name"]: Listed(**row) for row in json.loads(FILE.read_text(encoding="utf-8"))}


def may_use(listed: Listed, settings: Settings) -> bool:
    """Whether this server offers the tool."""
    return not _why_not(listed, settings)


def require(listed: Listed, settings: Settings) -> None:
    """Let a call pass.

    Raises:
        AccessDenied: Naming the setting that would have to change.
    """
    if reason := _why_not(listed, settings):
        raise AccessDenied(reason)


def _why_not(listed: Listed, settings: Settings) -> str | None:
    if listed.toolset not in settings.toolsets:
        return f"This tool is off: the operator would have to add {listed.toolset} to {NAMES['toolsets']}."
    if settings.tools and listed.entry["name"] not in settings.tools:
        return f"This tool is off: the operator would have to add it to {NAMES['tools']}."
    if ACCESS_ORDER.index(listed.access) > ACCESS_ORDER.index(settings.granted):
        return (
            f"This server has access {settings.granted!r}, and this tool needs {listed.access!r}: the operator would "
            f"have to set {NAMES['access']}={listed.access}."
        )
    return None


def unknown_tools(settings: Settings, catalog: dict[str, Listed]) -> list[SettingProblem]:
    """Names in the setting that are no tools, which would silently offer less than was meant."""
    return [
        SettingProblem(NAMES["tools"], f"names {name!r}, which is no tool; see `finexio-mcp tools`")
        for name in settings.tools
        if name not in catalog
    ]
