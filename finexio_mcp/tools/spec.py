"""What a tool is: one frozen declaration, from which schemas, hints, access and retries derive."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from typing import Any, ClassVar, TypeAlias

from pydantic import BaseModel, ConfigDict

from finexio_mcp.errors import FinexioError, Problem

Json: TypeAlias = Any


class Effect(Enum):
    """What a tool may do to the world. Levels of access carry the same names."""

    READ = "read"
    WRITE = "write"
    """Master data and webhooks."""
    PAY = "pay"
    """Orders payments; nothing takes that back."""


@dataclass(frozen=True)
class Sensitive:
    """Trait of a field whose value is a secret. Tests hold masking and the checks of fields to it."""


@dataclass(frozen=True)
class Local:
    """Trait of an argument that steers this server and is never sent to Finexio."""


@dataclass(frozen=True)
class Pairs:
    """Trait of a list of `{name, value}` that a plain map may stand for."""


def local_names(model: type[BaseModel]) -> frozenset[str]:
    """Fields of a model that never leave this server."""
    return frozenset(
        name for name, info in model.model_fields.items() if any(isinstance(trait, Local) for trait in info.metadata)
    )


class Arguments(BaseModel):
    """Base of every tool's arguments: strict, closed, and silent about the values it refuses."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        hide_input_in_errors=True,
        defer_build=True,
    )

    clearable: ClassVar[tuple[str, ...]] = ()
    """Fields that `clear` may name, where the tool has one."""

    def problems(self) -> Iterator[Problem]:
        """Rules between fields, checked once every field is good by itself."""
        yield from ()


@dataclass(frozen=True, kw_only=True)
class Record:
    """What comes back: field names with a few words each. Nothing of it is enforced on an answer.

    `core` is what a list row carries by default (empty: everything). `only_if_true` are flags that
    are left out while they are off. One of `keys` is in every record. `keyed` says that it tells two
    rows apart.
    """

    fields: Mapping[str, str]
    core: tuple[str, ...] = ()
    only_if_true: tuple[str, ...] = ()
    keys: tuple[str, ...] = ("id",)
    keyed: bool = True

    def __post_init__(self) -> None:
        if strangers := {*self.core, *self.only_if_true, *self.keys} - self.fields.keys():
            raise ValueError(f"fields that the record does not have: {sorted(strangers)}")


def _has_its_id(record: dict[str, Json], arguments: dict[str, Json]) -> bool:
    """A record that has an id, and the one that was asked for, however its letters are written."""
    found, asked = str(record.get("id") or ""), str(arguments.get("id") or "")
    return bool(found) and (not asked or found.casefold() == asked.casefold())


class Listing(Enum):
    """How a list arrives."""

    PAGES = "pages"
    """In Finexio's pages of 100."""
    ARRAY = "array"
    """Whole, in one answer; it is paged here."""
    OWN = "own"
    """From this server's own ledger."""


@dataclass(frozen=True, kw_only=True)
class Lookup:
    """A GET that must come first: its rows and the arguments give the arguments that are sent."""

    route: str
    resolve: Callable[[list[Json], dict[str, Json]], dict[str, Json]]


ROUTE = re.compile(r"(GET|POST|PUT|PATCH|DELETE|LEDGER|FIND) (/\S*)")
READS = frozenset({"GET", "LEDGER", "FIND"})
"""Two are no verbs of HTTP: `LEDGER` reads this server's own ledger and sends nothing; `FIND` is answered from several
GETs, those that other tools declare."""
PLACEHOLDER = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, kw_only=True)
class Trace:
    """How a change of master data stands in the ledger, and how Finexio is asked what became of it.

    Its functions take the arguments as they are sent, after a `Lookup` has resolved them. What
    `records` and `kept` give is stored in clear: ids, references and vendor codes, nothing else.
    """

    records: Callable[[dict[str, Json]], tuple[str, ...]]
    """Keys of the records that it touches. Before the first colon of the first one stands the kind that the
    later writes to that record use too, followed by its id in small letters. Empty: nothing that a later write
    could name."""
    kept: Callable[[dict[str, Json]], dict[str, str]]
    """What a later look needs."""
    look: str
    """The GET that shows what became of it; the names in its path are among what is kept."""
    query: tuple[str, ...] = ()
    """Names among what is kept that go into the query of the look."""
    at_host_root: bool = False
    """As for the tool: a look that ends in 404 is retried outside the version's path."""
    expected: Callable[[dict[str, Json]], list[dict[str, Json]]]
    """The records as they should read afterwards; none for a delete."""
    gone: bool = False
    """It happened if the record is no longer there."""
    created_by: tuple[str, ...] = ()
    """Fields by which a record that was created is known to be ours; none: it existed before, or has no key."""
    is_it: Callable[[dict[str, Json], dict[str, str]], bool] = _has_its_id
    """Whether a row that the look shows, beside what was kept, may be a record that is meant."""

    def __post_init__(self) -> None:
        if not self.look.startswith("GET /"):
            raise ValueError(f"the look {self.look!r} is no 'GET /path'")


@dataclass(frozen=True, kw_only=True)
class ToolSpec:
    """One tool. Names in `route` are arguments that go into the path; the others go into the query
    of a GET and into the body of anything else.

    The quirks of a tool that is no plain call are pure functions:

    * `tidy` takes the raw arguments and gives them back in the declared form, with a sentence for
      each thing that it changed.
    * `to_rows` finds the rows of a list that has a shape of its own.
    * `to_record` finds the record in an answer that has a shape of its own.
    * `way_out` adds a sentence to a refusal.
    """

    name: str
    title: str
    about: str
    route: str
    effect: Effect
    arguments: type[Arguments]
    record: Record
    source: str
    toolset: str = "core"
    listing: Listing | None = None
    moves_with: tuple[str, ...] = ()
    """Filters by something that changes while a list is read."""
    rows_leave: bool = False
    """Rows can be deleted, so that the list moves even without a filter."""
    body_rows: str | None = None
    """The argument that alone is the body, as a bare array."""
    slow: bool = False
    """The vendor warns that it takes long."""

    tidy: Callable[[dict[str, Json]], tuple[dict[str, Json], list[str]]] | None = None
    before: Lookup | None = None
    to_rows: Callable[[Json], list[Json]] | None = None
    to_record: Callable[[Json, dict[str, Json]], Json] | None = None
    is_it: Callable[[dict[str, Json], dict[str, Json]], bool] = _has_its_id
    """Whether a record that answers a write is the one that was written."""
    notice: Callable[[Json], str | None] | None = None
    """A sentence about an answer that the record alone does not tell."""
    after: str | None = None
    """A GET that shows the record when a write was answered without one."""
    at_host_root: bool = False
    """The vendor's description puts it outside the version's path, so a 404 is retried there once."""
    way_out: Callable[[FinexioError, dict[str, Json]], str | None] | None = None
    trace: Trace | None = None
    """Every change of master data has one."""
    shape: Mapping[str, Json] | None = None
    """JSON Schemas by key, of an answer whose shape its hosts prescribe: it comes without the envelope."""

    method: str = field(init=False)
    path: str = field(init=False)
    path_names: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        match = ROUTE.fullmatch(self.route)
        if match is None:
            raise ValueError(f"{self.name}: the route {self.route!r} is no 'VERB /path'")
        method, path = match.groups()
        object.__setattr__(self, "method", method)
        object.__setattr__(self, "path", path)
        object.__setattr__(self, "path_names", tuple(PLACEHOLDER.findall(path)))
        declared = self.arguments.model_fields
        if missing := [name for name in self.path_names if name not in declared or not declared[name].is_required()]:
            raise ValueError(f"{self.name}: the path needs the required arguments {missing}")
        if (method in READS) is not (self.effect is Effect.READ):
            raise ValueError(f"{self.name}: a {method} cannot have the effect {self.effect.value}")
        if (self.trace is not None) is not (self.effect is Effect.WRITE):
            raise ValueError(f"{self.name}: a trace belongs to the effect write, and to no other")
        if (self.shape is not None) is not self.gathers:
            raise ValueError(f"{self.name}: a shape belongs to a FIND, and to nothing else")
        if strangers := [name for name in self.moves_with if name not in declared]:
            raise ValueError(f"{self.name}: there are no filters {strangers}")

    @property
    def own(self) -> bool:
        """Whether this server answers by itself, from its ledger; nothing is sent to Finexio."""
        return self.method == "LEDGER"

    @property
    def gathers(self) -> bool:
        """Whether it is answered from GETs of other tools; it has no request of its own."""
        return self.method == "FIND"

    @cached_property
    def paged(self) -> bool:
        """Whether the caller gets cursors."""
        return self.listing is not None and "next_cursor" in self.arguments.model_fields

    @cached_property
    def local_names(self) -> frozenset[str]:
        """Arguments that never leave this server; those inside rows are not among them."""
        return local_names(self.arguments)

    @property
    def deadline_seconds(self) -> float:
        """Total time for a read, retries included; hosts stop listening at 60 s. Those of writes are settings."""
        if self.slow:
            return 50.0
        return 40.0 if self.listing is Listing.PAGES else 20.0

    @property
    def hints(self) -> dict[str, bool]:
        """The four annotations of the protocol."""
        return {
            "readOnlyHint": self.effect is Effect.READ,
            "destructiveHint": self.effect is Effect.PAY or self.method in {"PUT", "PATCH", "DELETE"},
            "idempotentHint": self.method != "POST",
            "openWorldHint": True,
        }
