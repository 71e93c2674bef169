"""What `tools/list` shows, from a generated file, so that a start needs none of the declarations."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from finexio_mcp.callers import OPERATOR, Caller, Origin
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


def may_use(listed: Listed, settings: Settings, caller: Caller = OPERATOR) -> bool:
    """Whether this server offers the tool to this caller."""
    return not _why_not(listed, settings, caller)


def require(listed: Listed, settings: Settings, caller: Caller = OPERATOR) -> None:
    """Let a call pass.

    Raises:
        AccessDenied: Naming what would have to change.
    """
    if reason := _why_not(listed, settings, caller):
        raise AccessDenied(reason)


def missing_access(listed: Listed, settings: Settings, caller: Caller) -> Access | None:
    """The access that this caller would need, if that alone keeps the tool away."""
    able = replace(caller, access="pay")
    return listed.access if _too_little(listed, caller) and may_use(listed, settings, able) else None


def _too_little(listed: Listed, caller: Caller) -> bool:
    return ACCESS_ORDER.index(listed.access) > ACCESS_ORDER.index(caller.access)


def _why_not(listed: Listed, settings: Settings, caller: Caller) -> str | None:
    name = listed.entry["name"]
    if listed.toolset not in settings.toolsets:
        return f"This tool is off: the operator would have to add {listed.toolset} to {NAMES['toolsets']}."
    if settings.tools and name not in settings.tools:
        return f"This tool is off: the operator would have to add it to {NAMES['tools']}."
    if ACCESS_ORDER.index(listed.access) > ACCESS_ORDER.index(settings.granted):
        return (
            f"This server has access {settings.granted!r}, and this tool needs {listed.access!r}: the operator would "
            f"have to set {NAMES['access']}={listed.access}."
        )
    if caller.toolsets is not None and listed.toolset not in caller.toolsets:
        return f"This token is not for the toolset {listed.toolset}: the operator would have to give another one."
    if caller.tools is not None and name not in caller.tools:
        return "This token is not for this tool: the operator would have to give another one."
    if _too_little(listed, caller):
        return TOO_LITTLE[caller.origin].format(has=caller.access, needs=listed.access)
    return None


TOO_LITTLE: dict[Origin, str] = {
    "operator": "This server offers {has!r} here, and this tool needs {needs!r}.",
    "anonymous": (
        "Without a token this server offers {has!r}, and this tool needs {needs!r}: the operator would have to make a "
        "token with `finexio-mcp tokens create --access {needs}`."
    ),
    "token": (
        "This token has access {has!r}, and this tool needs {needs!r}: the operator would have to make another one "
        "with `finexio-mcp tokens create --access {needs}`."
    ),
    "oauth": (
        "This sign-in has access {has!r}, and this tool needs {needs!r}: sign in again and allow finexio:{needs}."
    ),
}


def unknown_tools(settings: Settings, catalog: dict[str, Listed]) -> list[SettingProblem]:
    """Names in the setting that are no tools, which would silently offer less than was meant."""
    return [
        SettingProblem(NAMES["tools"], f"names {name!r}, which is no tool; see `finexio-mcp tools`")
        for name in settings.tools
        if name not in catalog
    ]
