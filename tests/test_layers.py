"""Imports run one way: this is the order, and a module imports only from rows above its own."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import finexio_mcp

ROOT = Path(finexio_mcp.__file__).parent
ROWS = (
    ("errors", "shapes", "clock", "settings", "wire", "printing", "options"),
    ("accounts", "callers"),
    ("calls",),
    ("catalog", "logs", "telemetry", "tools", "clients", "gate", "introduction"),
    ("cursor", "guards", "api", "arguments", "batch", "generated"),
    ("paging", "envelope"),
    ("records", "replies", "scan"),
    ("verdicts", "readback", "submissions", "finding"),
    ("settling",),
    ("writes",),
    ("dispatch", "embedded"),
    ("engine",),
    ("audit", "sharing"),
    ("observers",),
    ("hub",),
    ("server",),
    ("access",),
    ("issuer", "tokens_cli"),
    ("web",),
    ("stdio", "doctor", "readiness", "demo", "ledger_cli", "audit_cli"),
    ("cli",),
    ("__main__",),
)
"""Modules and packages; those in one row do not know each other."""

MAY_USE_THE_SIMULATOR = {"embedded", "cli", "demo"}


def module_of(path: Path) -> str:
    """`tools.fields` for `tools/fields.py`, `tools` for its `__init__`."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in sorted(ROOT.rglob("*.py"))}


@cache
def imports(module: str, *, for_types: bool = True) -> frozenset[str]:
    """The modules of ours that a module imports, anywhere in it; "" is the package itself.

    Args:
        module: Who imports.
        for_types: Whether what only a type checker sees counts.
    """
    path = MODULES[module]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    package = ["finexio_mcp", *path.relative_to(ROOT).parts[:-1]]
    found = (_ours(name) for name in _imported(tree, package, for_types=for_types))
    return frozenset(name for name in found if name is not None) - {module}


def _imported(tree: ast.AST, package: list[str], *, for_types: bool) -> Iterator[str]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING" and not for_types:
            continue
        if isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            start = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{start}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        else:
            yield from _imported(node, package, for_types=for_types)


def _ours(name: str) -> str | None:
    """The longest part of a name that is a module; the rest is something in it."""
    parts = name.split(".")
    if parts[0] != "finexio_mcp":
        return None
    return next(part for end in range(len(parts), 0, -1) if (part := ".".join(parts[1:end])) in MODULES)


def unit(module: str) -> str:
    return module.split(".")[0]


def units_used_by(name: str) -> set[str]:
    used = {unit(found) for module in MODULES if unit(module) == name for found in imports(module)}
    return used - {name, ""}


UNITS = {unit(module) for module in MODULES} - {"", "simulator"}


def test_every_module_has_its_place() -> None:
    """Ours: a new module says where it belongs."""
    placed = [name for row in ROWS for name in row]

    assert sorted(placed) == sorted(UNITS)


@pytest.mark.parametrize("name", sorted(UNITS))
def test_a_module_imports_only_from_rows_above(name: str) -> None:
    """Ours: nobody has to read upwards to know what a module does; imports inside functions count too."""
    row = next((index for index, names in enumerate(ROWS) if name in names), 0)

    assert units_used_by(name) - {"simulator"} <= {name for names in ROWS[:row] for name in names}


def test_only_who_starts_it_imports_the_simulator() -> None:
    """Ours: the server is the same whether Finexio is real or not."""
    assert {name for name in UNITS if "simulator" in units_used_by(name)} == MAY_USE_THE_SIMULATOR


def test_the_simulator_imports_nothing_of_ours() -> None:
    """Ours: one that read our declarations would repeat their mistakes, and every test would still pass."""
    assert units_used_by("simulator") == set()


def test_the_package_itself_imports_nothing() -> None:
    """Ours: whoever imports one module pays for no other."""
    assert imports("", for_types=False) == set()


def test_the_public_names_are_there_and_for_others() -> None:
    """Ours: they are loaded when they are used, and our own modules import from where a name is at home."""
    assert all(getattr(finexio_mcp, name) is not None for name in finexio_mcp.__all__)
    with pytest.raises(AttributeError):
        _ = finexio_mcp.no_such_name

    taken = {
        alias.name
        for path in MODULES.values()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module == "finexio_mcp"
        for alias in node.names
    }
    assert taken - set(MODULES) == {"__version__"}


def test_there_is_no_cycle() -> None:
    """Ours: any module can be understood before those that use it."""
    graph = {module: imports(module, for_types=False) - {""} for module in MODULES}

    assert list(TopologicalSorter(graph).static_order())


def test_resources_do_not_know_each_other() -> None:
    """Ours: what they share stands in modules of its own; only a record that holds contacts knows what one is."""
    shared = {f"tools.{name}" for name in ("spec", "fields", "conditions", "traces", "redirection")}
    holders = {"suppliers": {"contacts"}, "buyers": {"buyer_contacts", "contacts"}, "buyer_contacts": {"contacts"}}
    resources = {name for name in MODULES if unit(name) == "tools"} - shared - {"tools"}

    known = {name: imports(name) - shared - {"errors", "shapes"} for name in resources}
    assert {name: found for name, found in known.items() if found} == {
        f"tools.{holder}": {f"tools.{name}" for name in held} for holder, held in holders.items()
    }


LOADED = """
import json, sys
import finexio_mcp.cli
first = sorted(sys.modules)
import finexio_mcp.server, finexio_mcp.stdio
print(json.dumps([first, sorted(sys.modules)]))
"""
FOR_CALLS = (
    "tools",
    "dispatch",
    "arguments",
    "api",
    "envelope",
    "guards",
    "paging",
    "simulator",
    "generated",
    "writes",
    "settling",
    "readback",
    "replies",
    "finding",
)


def test_a_start_loads_only_what_a_list_of_tools_needs() -> None:
    """Ours: 26 declarations, tables for people and a ledger are loaded by those who need them."""
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, timeout=60, check=True)
    of_the_command, of_the_server = (set(names) for names in json.loads(done.stdout))

    ours = {name for name in of_the_command if name.startswith("finexio_mcp")}
    assert ours == {"finexio_mcp", "finexio_mcp.cli", "finexio_mcp.settings"}
    assert of_the_command & {"mcp", "httpx2", "rich", "sqlalchemy"} == set()
    assert of_the_server & {"rich", "sqlalchemy", *(f"finexio_mcp.{name}" for name in FOR_CALLS)} == set()


def test_calls_load_no_database_before_the_first_write() -> None:
    """Ours: who only reads does not pay for the ledger."""
    code = "import sys, finexio_mcp.dispatch; print('sqlalchemy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout.strip() == "False"
