"""The files that derive from declarations are as fresh as if they had been written now."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from finexio_mcp import catalog, generated
from finexio_mcp.tools import TOOLS


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Generated files in a directory of the test's own; the README's blocks are empty."""
    readme = tmp_path / "README.md"
    readme.write_text("Before\n<!-- tools: generated -->\n<!-- end -->\nAfter\n", encoding="utf-8")
    monkeypatch.setattr(generated, "SCHEMAS", tmp_path / "tool_schemas")
    monkeypatch.setattr(generated, "README", readme)
    monkeypatch.setattr(catalog, "FILE", tmp_path / "catalog.json")
    return tmp_path


def test_nothing_is_stale() -> None:
    """Ours: `make schemas` was run after the last change of a declaration."""
    assert generated.stale() == []


def test_there_is_one_schema_file_per_tool() -> None:
    """Ours: named after it, readable, and holding what the protocol lists."""
    files = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in generated.SCHEMAS.glob("*.json")}

    assert sorted(files) == sorted(tool.name for tool in TOOLS)
    assert all(content["name"] == name for name, content in files.items())


def test_what_is_missing_is_written_and_then_fresh(elsewhere: Path) -> None:
    """Ours: one pass makes them all."""
    assert len(generated.stale()) == len(TOOLS) + 2

    written = generated.write()

    assert len(written) == len(TOOLS) + 2
    assert generated.stale() == generated.write() == []
    readme = (elsewhere / "README.md").read_text(encoding="utf-8")
    assert readme.startswith("Before\n")
    assert readme.endswith("After\n")
    assert all(f"`{tool.name}`" in readme for tool in TOOLS)


def test_an_edited_file_and_one_of_no_tool_are_stale(elsewhere: Path) -> None:
    """Ours: what belongs to no tool is removed."""
    generated.write()
    edited, stranger = (elsewhere / "tool_schemas" / name for name in (f"{TOOLS[3].name}.json", "no_tool.json"))
    edited.write_text("{}\n", encoding="utf-8")
    stranger.write_text("{}\n", encoding="utf-8")

    assert sorted(generated.stale()) == sorted([edited, stranger])

    generated.write()

    assert generated.stale() == []
    assert not stranger.exists()
