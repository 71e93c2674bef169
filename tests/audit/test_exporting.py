"""Exports, checked as an auditor does who has nothing but the files: csv, json and hashlib."""

from __future__ import annotations

import csv
import hashlib
import json
import stat
from pathlib import Path
from typing import Any

import pytest

from finexio_mcp.audit import exporting, reading
from finexio_mcp.audit.exporting import CSV, JSONL, MANIFEST, SUMS, NotExported, Unreadable, export
from finexio_mcp.audit.reading import Filter, Moved, Verified
from tests.audit.conftest import DAY_MS, START_MS, World, call, payment


def make(world: World, directory: Path, **chosen: Any) -> dict[str, Any]:
    """An export, and its manifest."""
    with world.reader() as reader:
        export(reader, directory, Filter(**chosen), now_ms=START_MS)
    return json.loads((directory / MANIFEST).read_text(encoding="utf-8"))


def wrong(found: tuple[list[str], list[Verified]]) -> list[str]:
    problems, chains = found
    return [*problems, *(f"{each.head.account}: {problem}" for each in chains for problem in each.problems)]


async def filled(world: World) -> World:
    await world.record(
        call(account="acme", arguments={"status": "settled"}, name="=cmd()", client="Zoë\u3042"),
        payment(account="beta", arguments={"invoices": [{"invoice_number": "-2+3", "note": "a;b,'\"c"}]}),
        *(call(account="acme", at_ms=START_MS + number * DAY_MS) for number in range(1, 8)),
        payment(account="acme", at_ms=START_MS + 8 * DAY_MS, outcome="in_doubt", ids=("i-1", "i-2")),
    )
    return world


def names(directory: Path) -> list[str]:
    """What lies there, the ledger aside."""
    return sorted(path.name for path in directory.iterdir() if path.name != "ledger")


def digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def audit(directory: Path) -> dict[str, int]:
    """What an auditor does, by what the manifest says: entries of each chain, if all is well."""
    for line in (directory / SUMS).read_text().splitlines():
        told, name = line.split("  ")
        assert hashlib.sha256((directory / name).read_bytes()).hexdigest() == told
    manifest = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))
    rows = [json.loads(line) for line in (directory / JSONL).read_text(encoding="utf-8").splitlines()]
    with (directory / CSV).open(encoding="utf-8", newline="") as file:
        cells = list(csv.DictReader(file))
    assert [row["hash"] for row in rows] == [row["hash"] for row in cells]
    assert manifest["entries"] == len(rows)
    counts: dict[str, int] = {}
    for chain in manifest["chains"]:
        own = [row for row in rows if (row["scope"], row["account"]) == (chain["scope"], chain["account"])]
        previous = chain["before_first"]
        if chain["first_seq"] == 1:
            facts = {"audit": manifest["database_id"], "scope": chain["scope"], "account": chain["account"]}
            assert digest(facts) == previous
        else:
            removal = [json.loads(row["arguments"]) for row in own if row["kind"] == "retention"][-1]
            assert (removal["last_seq"], removal["follows"]) == (chain["first_seq"] - 1, previous)
        for place, row in enumerate(own):
            assert row["seq"] == chain["first_seq"] + place
            told = row.pop("hash")
            assert digest([previous, row]) == told
            previous = told
        assert (own[-1]["seq"], previous) == (chain["seq"], chain["hash"])
        counts[chain["account"]] = len(own)
    return counts


async def test_an_auditor_needs_nothing_but_the_files(world: World, tmp_path: Path) -> None:
    """Ours: the manifest says how, and it is so."""
    await filled(world)
    manifest = make(world, tmp_path / "out")

    assert audit(tmp_path / "out") == {"acme": 9, "beta": 1}
    assert (manifest["accounts"], manifest["filters"], manifest["scope"]) == (["acme", "beta"], {}, world.place.scope)
    assert "sha256sum -c SHA256SUMS" in " ".join(manifest["about"])
    assert wrong(exporting.verify(tmp_path / "out")) == []


async def test_what_retention_left_can_be_checked(shared: World, tmp_path: Path) -> None:
    """Ours: the manifest says where the chain begins, and an entry says why."""
    await filled(shared)
    store = shared.store()
    assert store.retain(7, at_ms=START_MS + 10 * DAY_MS)
    store.close()
    make(shared, tmp_path / "out", account="acme")

    assert audit(tmp_path / "out") == {"acme": 7}
    assert wrong(exporting.verify(tmp_path / "out")) == []


async def test_filters_are_named_and_leave_holes(in_file: World, tmp_path: Path) -> None:
    """Ours: such an export says what it is, and does not claim that a chain is whole."""
    await filled(in_file)
    asked = {"account": "acme", "since_ms": START_MS + 3 * DAY_MS, "until_ms": START_MS + 5 * DAY_MS}
    manifest = make(in_file, tmp_path / "out", **asked)

    assert manifest["filters"] == asked
    assert manifest["entries"] == 2
    assert [chain["account"] for chain in manifest["chains"]] == ["acme"]
    assert (manifest["chains"][0]["seq"], manifest["chains"][0]["entries"]) == (9, 2)
    assert "beta" not in "".join(path.read_text(encoding="utf-8") for path in (tmp_path / "out").iterdir())
    with pytest.raises(Unreadable, match="filters"):
        exporting.verify(tmp_path / "out")


@pytest.mark.parametrize(
    ("chosen", "count"),
    [
        ({"caller": "=cmd()"}, 1),
        ({"caller": "token =cmd()"}, 1),
        ({"tool": "finexio_invoices_bulk_create"}, 2),
        ({"outcome": "in_doubt"}, 1),
        ({"caller": "nobody"}, 0),
    ],
)
async def test_every_filter_counts(in_file: World, tmp_path: Path, chosen: dict[str, Any], count: int) -> None:
    """Ours."""
    await filled(in_file)

    assert make(in_file, tmp_path / "out", **chosen)["entries"] == count
    assert len(in_file.newest(**chosen)) == count


async def test_no_cell_is_a_formula(in_file: World, tmp_path: Path) -> None:
    """Ours: names come from outsiders, and the file is opened in a spreadsheet."""
    await filled(in_file)
    make(in_file, tmp_path / "out")

    with (tmp_path / "out" / CSV).open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[1][rows[0].index("caller_name")] == "'=cmd()"
    assert not any(cell[:1] in "=+-@" for row in rows for cell in row if cell)
    assert rows[1][0] == "2027-01-15T08:00:00Z"


async def test_the_files_are_for_their_owner_alone(in_file: World, tmp_path: Path) -> None:
    """Ours: they hold who pays whom."""
    await filled(in_file)
    make(in_file, tmp_path / "out")

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "out").iterdir()}
    assert modes == dict.fromkeys((CSV, JSONL, MANIFEST, SUMS), 0o600)
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o700


async def test_nothing_is_written_over(in_file: World, tmp_path: Path) -> None:
    """Ours: an earlier export may be evidence."""
    await filled(in_file)
    out = tmp_path / "out"
    make(in_file, out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    with pytest.raises(NotExported):
        make(in_file, out)
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(NotExported):
        make(in_file, file)
    (tmp_path / "link").symlink_to(out)
    with pytest.raises(NotExported):
        make(in_file, tmp_path / "link")

    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert file.read_text() == "x"
    assert names(tmp_path) == ["file", "link", "out"]
    (tmp_path / "empty").mkdir()
    make(in_file, tmp_path / "empty")


async def test_an_export_that_fails_leaves_nothing(
    in_file: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours: half of one could be taken for all of it."""
    await filled(in_file)

    def full(_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(exporting, "_cell", full)
    with pytest.raises(OSError, match="No space"):
        make(in_file, tmp_path / "out")
    assert names(tmp_path) == []


async def test_what_is_removed_meanwhile_ends_an_export(
    in_file: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours: it would have a hole that nobody can explain."""
    await filled(in_file)
    monkeypatch.setattr(reading, "PAGE", 2)
    real = exporting._cell  # pyright: ignore[reportPrivateUsage]
    store = in_file.store()

    def removing(value: str | int | None) -> str:
        if value == 2:
            store.retain(7, at_ms=START_MS + 10 * DAY_MS)
        return real(value)

    monkeypatch.setattr(exporting, "_cell", removing)
    with pytest.raises(Moved):
        make(in_file, tmp_path / "out")
    store.close()
    assert names(tmp_path) == []


EDITS = {
    "an outcome": (JSONL, "in_doubt", "confirmed", ["entries.jsonl: it was changed", "acme: entry 9"]),
    "a cell": (CSV, "in_doubt", "confirmed", ["entries.csv: it was changed"]),
    "no entry": (JSONL, '{"scope"', '["scope"', ["entries.jsonl: it was changed", "line 1"]),
    "another account": (JSONL, '"account":"beta"', '"account":"gamma"', ["entries.jsonl: it was changed", "line 10"]),
    "a head": (MANIFEST, '"seq": 9', '"seq": 8', ["acme: head: it stands at entry 8"]),
    "a beginning": (MANIFEST, '"first_seq": 1', '"first_seq": 2', ["acme: "]),
    "a database": (MANIFEST, '"database_id": "', '"database_id": "x', ["acme: head: the chain is not the one"]),
}


@pytest.mark.parametrize(("name", "old", "new", "told"), EDITS.values(), ids=EDITS)
async def test_an_edited_export_is_noticed(
    in_file: World, tmp_path: Path, name: str, old: str, new: str, told: list[str]
) -> None:
    """Ours: without a look into the database."""
    await filled(in_file)
    make(in_file, tmp_path / "out")
    path = tmp_path / "out" / name
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")

    found = wrong(exporting.verify(tmp_path / "out"))
    assert all(any(part in problem for problem in found) for part in told), found


@pytest.mark.parametrize("lines", [slice(1, None), slice(None, -1), slice(None, None, -1)])
async def test_removed_and_reordered_lines_are_noticed(in_file: World, tmp_path: Path, lines: slice) -> None:
    """Ours: also by somebody who mends the digests of the files."""
    await filled(in_file)
    make(in_file, tmp_path / "out", account="acme")
    path, manifest = tmp_path / "out" / JSONL, tmp_path / "out" / MANIFEST
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    path.write_text("".join(path.read_text(encoding="utf-8").splitlines(keepends=True)[lines]), encoding="utf-8")
    after = hashlib.sha256(path.read_bytes()).hexdigest()
    manifest.write_text(manifest.read_text(encoding="utf-8").replace(before, after), encoding="utf-8")

    problems, [chain] = exporting.verify(tmp_path / "out")
    assert problems == []
    assert chain.problems


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "finexio-mcp audit 1"}', '{"format": "other"}'])
def test_what_is_no_export_is_said_to_be_none(tmp_path: Path, text: str) -> None:
    """Ours."""
    (tmp_path / MANIFEST).write_text(text)

    with pytest.raises(Unreadable):
        exporting.verify(tmp_path)
