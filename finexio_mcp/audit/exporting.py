"""Exports: files that an auditor reads and checks without this program, and that this program checks as well."""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from secrets import token_hex
from typing import Any, Final, TextIO

from finexio_mcp import __version__
from finexio_mcp.audit.chain import MAX_PROBLEMS, Head, Walk, genesis
from finexio_mcp.audit.reading import Filter, Reader, Verified, no_chain
from finexio_mcp.audit.schema import COLUMNS
from finexio_mcp.guards.ledger.rows import moment
from finexio_mcp.printing import defused
from finexio_mcp.shapes import is_object

CSV, JSONL, MANIFEST, SUMS = "entries.csv", "entries.jsonl", "manifest.json", "SHA256SUMS"
FORMAT: Final = "finexio-mcp audit 1"
CELLS: Final = ("at", *COLUMNS)
ABOUT: Final = (
    "Calls of agents, as the server recorded them. entries.jsonl holds one entry a line, every column as it is in the "
    "database; entries.csv holds the same for spreadsheets, with the time in UTC in front and an apostrophe before "
    "cells that would be taken for formulas. Arguments are masked.",
    "To see that no file was changed: sha256sum -c SHA256SUMS.",
    "To see that no entry was changed, unless filters other than an account are named here: take the lines of a chain "
    "in their order. Each hash is the SHA-256, in hex, of the JSON text of [hash of the line before, the line without "
    "its hash], with keys sorted, no blanks between tokens, and every character outside ASCII written as \\uXXXX. "
    "Before the first line stands before_first. If first_seq is 1, that is the SHA-256 of the JSON of {audit: "
    "database_id, scope, account}; otherwise the newest entry of the kind `retention` names it as `follows`. Or: "
    "finexio-mcp audit verify --export DIR.",
    "Compare the hash of each chain with those that were noted elsewhere, in logs and in earlier exports: a chain that "
    "was cut at its end, or written anew from its beginning, or that lost its beginning together with a made-up entry "
    "of the kind `retention`, can only be seen so: the entry with the number that was noted has the hash that was "
    "noted, and is there unless it is older than the days that entries are kept.",
)


class NotExported(Exception):
    """Why there is no export; the message says it."""


def export(reader: Reader, directory: Path, chosen: Filter, *, now_ms: int, program: str = __version__) -> int:
    """Write an export, whole or not at all, and say how many entries it holds.

    Raises:
        NotExported: There is something in its place.
        Moved: Entries were removed while it was written.
        OSError: It cannot be written.
    """
    aside = _aside(directory)
    try:
        heads = reader.heads(chosen.account)
        if not heads and chosen.account is not None:
            raise NotExported(no_chain(reader, chosen.account))
        with ExitStack() as files:
            lines = files.enter_context(_new(aside / JSONL))
            table = csv.writer(files.enter_context(_new(aside / CSV)))
            table.writerow(CELLS)
            counts = [_write(reader, head, chosen, lines, table.writerow) for head in heads]
        manifest = {
            "format": FORMAT,
            "program": program,
            "made": moment(now_ms),
            "about": ABOUT,
            "database_id": reader.database_id,
            "scope": reader.scope,
            "accounts": [head.account for head in heads],
            "filters": chosen.fields(),
            "entries": sum(counts),
            "chains": [{**asdict(head), "entries": count} for head, count in zip(heads, counts, strict=True)],
            "files": {name: _sum(aside / name) for name in (CSV, JSONL)},
        }
        with _new(aside / MANIFEST) as file:
            file.write(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")
        with _new(aside / SUMS) as file:
            file.writelines(f"{_sum(aside / name)}  {name}\n" for name in (CSV, JSONL, MANIFEST))
        _put_in_place(aside, directory)
    except BaseException:
        _remove(aside)
        raise
    return sum(counts)


def _aside(directory: Path) -> Path:
    if directory.is_symlink() or (directory.exists() and not directory.is_dir()):
        raise NotExported(f"{directory} is no directory.")
    if directory.exists() and any(directory.iterdir()):
        raise NotExported(f"{directory} is not empty, and nothing is written over. Name one that is not there yet.")
    aside = directory.with_name(f".{directory.name}.{token_hex(8)}.new")
    aside.mkdir(mode=0o700)
    return aside


def _put_in_place(aside: Path, directory: Path) -> None:
    try:
        # Takes the place of an empty directory only.
        aside.rename(directory)
    except OSError:
        if not directory.exists():
            raise
        raise NotExported(f"{directory} is not empty any more, and nothing is written over.") from None


def _remove(aside: Path) -> None:
    for name in (CSV, JSONL, MANIFEST, SUMS):
        (aside / name).unlink(missing_ok=True)
    aside.rmdir()


def _new(path: Path) -> TextIO:
    """A file for this user alone. Its lines end alike on every system."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    return os.fdopen(descriptor, "w", encoding="utf-8", newline="")


def _write(
    reader: Reader, head: Head, chosen: Filter, lines: TextIO, add_row: Callable[[Iterable[str]], object]
) -> int:
    count = 0
    for row in reader.entries(head, chosen):
        lines.write(json.dumps(dict(row), ensure_ascii=False, separators=(",", ":")) + "\n")
        add_row((moment(row["at_ms"]), *(_cell(row[name]) for name in COLUMNS)))
        count += 1
    return count


def _cell(value: str | int | None) -> str:
    if value is None:
        return ""
    return defused(value) if isinstance(value, str) else str(value)


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# Checking --------------------------------------------------------------------------


class Unreadable(Exception):
    """What was given is no export that can be checked; the message says why."""


def verify(directory: Path) -> tuple[list[str], list[Verified]]:
    """Check an export: what is wrong with its files, and each of its chains.

    Raises:
        Unreadable: It is none, or one with filters that leave holes in its chains.
        OSError: It cannot be read.
    """
    manifest = _manifest(directory / MANIFEST)
    if set(manifest["filters"]) - {"account"}:
        raise Unreadable(
            "This export was made with filters, so its chains have holes. `sha256sum -c SHA256SUMS` still shows "
            "whether its files were changed."
        )
    heads = [Head(**{name: each[name] for name in Head.__annotations__}) for each in manifest["chains"]]
    problems = [f"{name}: it was changed" for name, told in manifest["files"].items() if _sum(directory / name) != told]
    walks = {
        f"{head.scope} {head.account}": Walk(genesis(manifest["database_id"], head.scope, head.account), head)
        for head in heads
    }
    for number, row in enumerate(_lines(directory / JSONL), 1):
        walk = walks.get(f"{row.get('scope')} {row.get('account')}") if row is not None else None
        if row is None or walk is None or row.keys() != set(COLUMNS) or type(row["seq"]) is not int:
            problems.append(f"{JSONL}, line {number}: it is no entry of a chain that the manifest names")
            if len(problems) >= MAX_PROBLEMS:
                break
            continue
        walk.read(row)
    found: list[Verified] = []
    for head in heads:
        walk = walks[f"{head.scope} {head.account}"]
        walk.end(head)
        found.append(Verified.of(head, walk))
    return problems, found


def _manifest(path: Path) -> Mapping[str, Any]:
    try:
        manifest: Any = json.loads(path.read_text(encoding="utf-8"))
        usable = is_object(manifest) and manifest["format"] == FORMAT
        needed = ("filters", "chains", "files", "database_id")
        if not usable or any(name not in manifest for name in needed):
            raise ValueError
        for each in manifest["chains"]:
            Head(**{name: each[name] for name in Head.__annotations__})
    except (ValueError, KeyError, TypeError):
        raise Unreadable(f"{path} is no manifest of an export that this version can check.") from None
    return manifest


def _lines(path: Path) -> Iterator[dict[str, Any] | None]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            try:
                row: Any = json.loads(line)
            except ValueError:
                row = None
            yield row if is_object(row) else None
