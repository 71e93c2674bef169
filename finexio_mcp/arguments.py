"""From what a model sent to what a tool takes: tidied, checked, and split by destination."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, cast, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from finexio_mcp.errors import InvalidArguments, Problem
from finexio_mcp.shapes import deeper_than, is_array, is_object
from finexio_mcp.tools.spec import Pairs, ToolSpec, local_names

MAX_DEPTH = 12
ALIKE = 0.7
"""How much a name must resemble a known one to be called a slip of it: less than that misleads."""
ABSENT: tuple[Any, ...] = (None, "", [], {})
SURROGATE = re.compile("[\ud800-\udfff]")
PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,49}")


@dataclass(frozen=True)
class Checked:
    """Arguments that keep every rule.

    `wire` goes to Finexio, field name to JSON value; `local` steers this server. What steers it inside
    rows stands in `local` under the name of the rows: a map for each row, if any row has something.
    """

    wire: dict[str, Any]
    local: dict[str, Any]
    notices: tuple[str, ...] = ()


def check(tool: ToolSpec, raw: Mapping[str, Any] | None) -> Checked:
    """Check the arguments of one call.

    Raises:
        InvalidArguments: With a problem for each field, in words that never hold its value.
    """
    arguments = dict(raw or {})
    if deeper_than(arguments, MAX_DEPTH):
        raise _invalid([Problem("", "is nested too deeply")])
    if not _can_be_sent(arguments):
        raise _invalid([Problem("", "holds text with a broken character, half of a surrogate pair")])
    notices: list[str] = []
    if tool.tidy is not None:
        arguments, notices = tool.tidy(arguments)
    try:
        model = tool.arguments.model_validate(_drop_absent(tool.arguments, arguments))
    except ValidationError as error:
        raise _invalid(_problems(tool, error)) from None
    wire = model.model_dump(mode="json", exclude_none=True, exclude=_never_sent(tool.arguments))
    local = _local_values(model)
    cleared = cast(list[str], local.get("clear", []))
    if problems := [*model.problems(), *_clear_problems(tool, cleared, wire), *_patch_problems(tool, cleared, wire)]:
        raise _invalid(problems)
    # The vendor's schema has no null: an emptied field travels as "".
    return Checked(wire={**wire, **dict.fromkeys(cleared, "")}, local=local, notices=tuple(notices))


@cache
def _never_sent(model: type[BaseModel]) -> dict[str, Any]:
    """The fields to leave out of what is sent, those inside rows too."""
    inner = {name: _never_sent(row) for name, (_, _, row) in _shape(model).items() if row is not None}
    rows = {name: {"__all__": left_out} for name, left_out in inner.items() if left_out}
    return {**rows, **dict.fromkeys(local_names(model), True)}


def _local_values(model: BaseModel) -> dict[str, Any]:
    """What is left out of what is sent."""
    values: dict[str, Any] = {}
    for name, inside in _never_sent(type(model)).items():
        value = getattr(model, name)
        if inside is not True:
            value = [_local_values(row) for row in value or ()]
            value = value if any(value) else None
        if value is not None:
            values[name] = value
    return values


def _can_be_sent(value: Any) -> bool:
    """Text with half a character has no encoding; finding that out while sending would be too late."""
    if isinstance(value, str):
        return value.isascii() or not SURROGATE.search(value)
    if is_object(value):
        return all(map(_can_be_sent, value)) and all(map(_can_be_sent, value.values()))
    return all(map(_can_be_sent, value)) if is_array(value) else True


# Absent arguments ------------------------------------------------------------


def _inner_model(info: FieldInfo) -> type[BaseModel] | None:
    """The model that a list field holds, if it holds one."""
    kinds: list[Any] = [info.annotation]
    while kinds:
        kind = kinds.pop()
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
        kinds.extend(get_args(kind))
    return None


@cache
def _shape(model: type[BaseModel]) -> dict[str, tuple[bool, bool, type[BaseModel] | None]]:
    """Field name to: optional, a list of pairs, the model in the list."""
    return {
        name: (
            not info.is_required(),
            any(isinstance(trait, Pairs) for trait in _traits(info)),
            _inner_model(info),
        )
        for name, info in model.model_fields.items()
    }


def _traits(info: FieldInfo) -> Iterator[Any]:
    """Metadata of the field and of the annotation inside an optional one."""
    yield from info.metadata
    kinds: list[Any] = [info.annotation]
    while kinds:
        kind = kinds.pop()
        yield from getattr(kind, "__metadata__", ())
        kinds.extend(get_args(kind))


def _drop_absent(model: type[BaseModel], given: Mapping[str, Any]) -> dict[str, Any]:
    """Without the optional arguments that some hosts send as null, "" or [] because they must send all."""
    kept: dict[str, Any] = {}
    shape = _shape(model)
    for name, value in given.items():
        optional, pairs, inner = shape.get(name, (False, False, None))
        if optional and value in ABSENT:
            continue
        if pairs and is_object(value):
            value = [{"name": key, "value": item} for key, item in value.items()]
        if inner is not None and is_array(value):
            value = [_drop_absent(inner, item) if is_object(item) else item for item in value]
        kept[name] = value
    return kept


# Problems, in our words ------------------------------------------------------


def _invalid(problems: list[Problem]) -> InvalidArguments:
    return InvalidArguments(
        "Nothing was sent: the arguments break the rules named in `fields`. Correct them and call again.",
        problems=problems,
    )


def _path(location: tuple[int | str, ...]) -> str:
    """`invoices[3].amount_cents`; a name that is no plain word may hold a secret and is not repeated."""
    path = ""
    for step in location:
        if isinstance(step, int):
            path += f"[{step}]"
        else:
            name = step if PLAIN_NAME.fullmatch(step) else "(unreadable name)"
            path += f".{name}" if path else name
    return path


def _known_names(tool: ToolSpec, location: tuple[int | str, ...]) -> list[str]:
    model: type[BaseModel] | None = tool.arguments
    for step in location[:-1]:
        if isinstance(step, str) and model is not None:
            info = model.model_fields.get(step)
            model = _inner_model(info) if info is not None else None
    return list(model.model_fields) if model is not None else []


def _say(tool: ToolSpec, detail: ErrorDetails) -> str:
    """What is wrong, from pydantic's kind of error and never from the value."""
    kind, context = detail["type"], detail.get("ctx", {})
    match kind:
        case "missing":
            return "is required"
        case "extra_forbidden":
            known = _known_names(tool, detail["loc"])
            near = difflib.get_close_matches(str(detail["loc"][-1]), known, n=1, cutoff=ALIKE)
            return f"is no argument of this tool; did you mean {near[0]}?" if near else "is no argument of this tool"
        case "int_type" | "int_from_float":
            return "must be a whole number, without quotes and without a decimal point"
        case "bool_type":
            return "must be true or false, without quotes"
        case "string_type" | "string_unicode":
            return "must be text"
        case "float_type" | "finite_number":
            return "must be a number"
        case "list_type":
            return "must be an array"
        case "model_type" | "model_attributes_type" | "dict_type":
            return "must be an object"
        case "literal_error":
            return f"must be {context['expected']}"
        case "string_too_long":
            return f"is longer than {context['max_length']} characters"
        case "string_too_short" | "too_short":
            return f"needs at least {context['min_length']}"
        case "too_long":
            return f"has more than {context['max_length']} entries"
        case "greater_than_equal":
            return f"must be at least {context['ge']}"
        case "less_than_equal":
            return f"must be at most {context['le']}"
        case "finexio_rule":
            return detail["msg"]
        case _:
            return "is not valid here"


def _problems(tool: ToolSpec, error: ValidationError) -> list[Problem]:
    found: dict[str, Problem] = {}
    for detail in error.errors(include_url=False, include_input=False):
        location = detail["loc"]
        # A union adds a step for each of its branches; only steps that the caller wrote are a path.
        path = _path(location[:-1] if location[-2:-1] == ("value",) and location[-1] in {"str", "int"} else location)
        found.setdefault(path, Problem(path, _say(tool, detail)))
    return list(found.values())


def _clear_problems(tool: ToolSpec, cleared: list[str], wire: dict[str, Any]) -> Iterator[Problem]:
    for index, name in enumerate(cleared):
        if name not in tool.arguments.clearable:
            yield Problem(f"clear[{index}]", f"cannot be emptied; can be: {', '.join(tool.arguments.clearable)}")
        elif name in wire:
            yield Problem(f"clear[{index}]", "is also given a value; do one of the two")


def _patch_problems(tool: ToolSpec, cleared: list[str], wire: dict[str, Any]) -> Iterator[Problem]:
    if tool.method == "PATCH" and not cleared and not wire.keys() - set(tool.path_names):
        way_out = "null and an empty text count as not given"
        if tool.arguments.clearable:
            way_out += ", and `clear` empties a field"
        yield Problem("", f"gives nothing to change; name at least one field besides the id ({way_out})")
