"""Rules between fields: what a record must have besides, once some of its fields have certain values."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from finexio_mcp.errors import InvalidArguments, Problem
from finexio_mcp.shapes import is_object

Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Needs:
    """`fields` must have a value when each field of `when` has one of the values given, and none of `unless` has."""

    fields: tuple[str, ...]
    when: Mapping[str, tuple[str, ...]]
    unless: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    way_out: str

    @property
    def deciding(self) -> tuple[str, ...]:
        """The fields whose values make it apply."""
        return (*self.when, *self.unless)

    def unmet(self, record: Row) -> Iterator[Problem]:
        """A problem for each field that the record lacks."""
        if any(record.get(name) in values for name, values in self.unless.items()):
            return
        if not all(record.get(name) in values for name, values in self.when.items()):
            return
        reason = " and ".join(f"{name} is {record[name]}" for name in self.when)
        reason += "".join(f", unless {name} is {' or '.join(values)}" for name, values in self.unless.items())
        for name in self.fields:
            if is_blank(record.get(name)):
                yield Problem(name, f"is required when {reason}; {self.way_out}")


def is_blank(value: Any) -> bool:
    """Whether this says nothing; blanks alone would be a check to no city."""
    return value is None or (isinstance(value, str) and not value.strip())


def unmet(rules: Sequence[Needs], record: Row, *, touched: Collection[str] | None = None) -> Iterator[Problem]:
    """What a record lacks; with `touched`, only where one of these fields is in play."""
    for rule in rules:
        for problem in rule.unmet(record):
            if touched is None or problem.field in touched or any(name in touched for name in rule.deciding):
                yield problem


def on_replace(problems: Iterable[Problem], stored: Collection[str], instead: str) -> Iterator[Problem]:
    """The same problems in the words of a full replace, which may blank what is stored.

    Args:
        problems: What the record lacks.
        stored: Fields that Finexio shows masked, so that nobody can repeat them.
        instead: The tool that leaves them alone.
    """
    for problem in problems:
        if problem.field in stored:
            sentence = f"{problem.problem}; a full replace may blank it, so to keep the stored one use {instead}"
            yield problem._replace(problem=sentence)
        else:
            yield problem


def check_patch(rules: Sequence[Needs], rows: Sequence[Any], arguments: dict[str, Any]) -> dict[str, Any]:
    """Let the arguments of a partial update pass, beside the stored record that they will change.

    A field that Finexio does not show at all may well have a value; only Finexio can judge that.

    Args:
        rules: What such a record needs.
        rows: What Finexio has of it.
        arguments: What will be sent; "" empties a field.

    Raises:
        InvalidArguments: The record would break a rule that the change bears on.
    """
    stored = next(filter(is_object, rows), None)
    if stored is None:
        return arguments
    future = {**stored, **arguments}
    if problems := [problem for problem in unmet(rules, future, touched=arguments) if problem.field in future]:
        raise InvalidArguments(
            "Nothing was sent: with this change the record would lack what is named in `fields`. Give that too.",
            problems=problems,
        )
    return arguments
