"""The files that derive from declarations: the catalog, one schema per tool, tables of README and docs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic_core import PydanticUndefined

from finexio_mcp import catalog
from finexio_mcp.clients import CLIENTS, PROGRAM, SANDBOX, TRY_OUT, ClientConfig
from finexio_mcp.errors import FinexioError, LedgerUnavailable
from finexio_mcp.settings import NAMES, TOOLSETS, Settings
from finexio_mcp.tools import TOOLS
from finexio_mcp.tools.buyers import DRAWDOWN_ACCOUNT
from finexio_mcp.tools.conditions import Needs
from finexio_mcp.tools.schema import entry
from finexio_mcp.tools.spec import ToolSpec
from finexio_mcp.tools.suppliers import TO_BE_TAKEN

ROOT = Path(__file__).parent.parent
SCHEMAS = ROOT / "tool_schemas"
README = ROOT / "README.md"
SUPPLIERS = ROOT / "docs" / "suppliers.md"
IT_DEPENDS = frozenset({LedgerUnavailable})
"""Errors of which only the answer knows whether they are worth repeating."""
BLOCK = re.compile(r"(<!-- (?P<name>[a-z-]+): generated -->\n).*?(<!-- end -->)", re.DOTALL)


def expected() -> dict[Path, str]:
    """Every generated file with what it has to hold."""
    rows: list[dict[str, Any]] = [
        {"toolset": tool.toolset, "access": tool.effect.value, "entry": entry(tool)} for tool in TOOLS
    ]
    files = {catalog.FILE: json.dumps(rows, ensure_ascii=False, separators=(",", ":")) + "\n"}
    for row in rows:
        files[SCHEMAS / f"{row['entry']['name']}.json"] = json.dumps(row["entry"], indent=2, ensure_ascii=False) + "\n"
    files |= {page: _fill_blocks(page.read_text(encoding="utf-8")) for page in (README, SUPPLIERS)}
    return files


def in_checkout() -> bool:
    """Whether this package lies in a checkout of its source, the only place where these files can be written."""
    return README.exists() and (ROOT / "pyproject.toml").exists()


def stale() -> list[Path]:
    """Generated files that are missing, outdated, or belong to no tool."""
    files = expected()
    wrong = [path for path, text in files.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    return wrong + [path for path in sorted(SCHEMAS.glob("*.json")) if path not in files]


def write() -> list[Path]:
    """Write what is stale and remove what belongs to no tool."""
    changed, files = stale(), expected()
    SCHEMAS.mkdir(exist_ok=True)
    for path in changed:
        if path in files:
            path.write_text(files[path], encoding="utf-8")
        else:
            path.unlink()
    return changed


# Blocks of the pages ---------------------------------------------------------


def _fill_blocks(text: str) -> str:
    blocks = {
        "tools": _tools,
        "settings": _settings,
        "errors": _errors,
        "clients": _clients,
        "supplier-rules": lambda: _rules(TO_BE_TAKEN),
        "buyer-rules": lambda: _rules(DRAWDOWN_ACCOUNT),
    }
    return BLOCK.sub(lambda match: f"{match[1]}{blocks[match['name']]()}\n{match[3]}", text)


def _table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def _tools() -> str:
    return "\n".join(_toolset(name, [tool for tool in TOOLS if tool.toolset == name]) for name in TOOLSETS)


def _toolset(name: str, tools: Sequence[ToolSpec]) -> str:
    rows = ((f"`{tool.name}`", tool.title, tool.effect.value, f"`{tool.route}`") for tool in tools)
    title = "" if name == "core" else f"\nToolset `{name}`:\n\n"
    return title + _table(("Tool", "Does", "Access", "Calls"), rows)


def _values(condition: Mapping[str, tuple[str, ...]]) -> list[str]:
    return [f"`{name}` is {' or '.join(values)}" for name, values in condition.items()]


def _rules(rules: Sequence[Needs]) -> str:
    rows = (
        (
            " and ".join(_values(rule.when)) + "".join(f", unless {words}" for words in _values(rule.unless)),
            ", ".join(f"`{name}`" for name in rule.fields),
            f"{rule.way_out[0].upper()}{rule.way_out[1:]}.",
        )
        for rule in rules
    )
    return _table(("When", "Required", "Way out"), rows)


def _default(field: str) -> str:
    default = Settings.model_fields[field].default
    if default is None or default is PydanticUndefined or default == ():
        return ""
    return f"`{','.join(map(str, default)) if isinstance(default, tuple) else default}`"  # pyright: ignore[reportUnknownArgumentType]


def _settings() -> str:
    rows = (
        (f"`{name}`", _default(field), " ".join((Settings.model_fields[field].description or "").split()))
        for field, name in NAMES.items()
    )
    return _table(("Variable", "Default", "What it is for"), rows)


def _kinds(kind: type[FinexioError]) -> Iterator[type[FinexioError]]:
    for child in kind.__subclasses__():
        yield child
        yield from _kinds(child)


def _errors() -> str:
    rows = (
        (
            f"`{kind.code}`",
            (kind.__doc__ or "").splitlines()[0],
            "yes" if kind.may_have_happened else "no",
            "see `retryable`" if kind in IT_DEPENDS else "yes" if kind.retryable else "no",
        )
        for kind in _kinds(FinexioError)
    )
    return _table(("Code", "What is so", "May have happened", "Worth repeating"), rows)


def _clients() -> str:
    parts = [_config(client, f"**{client.name}**, in {client.where}", TRY_OUT) for client in CLIENTS]
    parts.append(_config(CLIENTS[0], f"With a sandbox account, {CLIENTS[0].name} for example", SANDBOX))
    return "\n\n".join(["", *parts, ""])


def _config(client: ClientConfig, title: str, environment: Mapping[str, str]) -> str:
    return f"{title}:\n\n```\n{client.text(PROGRAM, environment)}\n```"
