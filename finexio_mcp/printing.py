"""What commands print on stdout: UTF-8 wherever it goes, and nothing that cannot be printed."""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Iterable
from typing import Any

import click

FORMULA = frozenset("=+-@")
"""How cells begin that spreadsheets compute."""


def use_utf8(*, newline: str | None = None) -> None:
    """Make stdout take any text; `newline` "" leaves the ends of lines as they are, on every system."""
    if reconfigure := getattr(sys.stdout, "reconfigure", None):
        reconfigure(encoding="utf-8", errors="backslashreplace", newline=newline)


def print_json(value: Any) -> None:
    """One JSON value."""
    print_lines([json.dumps(value, indent=2, ensure_ascii=False)])


def print_lines(lines: Iterable[str]) -> None:
    """Text, line by line."""
    use_utf8()
    for line in lines:
        click.echo(line)


def defused(cell: str) -> str:
    """Text that no spreadsheet takes for a formula: names come from outsiders."""
    begin = 0
    while begin < len(cell) and (cell[begin].isspace() or unicodedata.category(cell[begin])[0] in "CZ"):
        begin += 1
    # Full-width signs count too: some spreadsheets read them as the others.
    first = unicodedata.normalize("NFKC", cell[begin : begin + 1])[:1]
    return f"'{cell}" if first in FORMULA or {"\t", "\r", "\n"} & set(cell[:begin]) else cell
