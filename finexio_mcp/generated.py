"""The files that derive from the registry: the catalog in the package and one schema per tool."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from finexio_mcp import catalog
from finexio_mcp.tools import TOOLS
from finexio_mcp.tools.schema import entry

SCHEMAS = Path(__file__).parent.parent / "tool_schemas"


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def expected() -> dict[Path, str]:
    """Every generated file with what it has to hold."""
    rows: list[dict[str, Any]] = [
        {"toolset": tool.toolset, "access": tool.effect.value, "entry": entry(tool)} for tool in TOOLS
    ]
    files = {catalog.FILE: json.dumps(rows, ensure_ascii=False, separators=(",", ":")) + "\n"}
    for row in rows:
        files[SCHEMAS / f"{row['entry']['name']}.json"] = _pretty(row["entry"])
    return files


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
