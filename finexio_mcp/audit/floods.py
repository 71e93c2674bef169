"""Arguments that are too much to be looked at: all other calls wait for whoever looks, and anybody can send them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from finexio_mcp.shapes import is_array, is_object

MOST_VALUES: Final = 30_000
"""More than a batch of 500 invoices needs."""
MOST_NAMES: Final = 1_000
"""What a name says about its value takes longest to find out."""
MOST_STRANGE: Final = 100
"""Values in places that the tool does not have. Each may be a secret, to be looked for in every text that is kept."""
LONG_TEXT: Final = 4_000
TEXT_CHARS: Final = 1_000
"""How much of a long text counts as one strange value."""
MOST_JSON_CHARS: Final = 20_000
"""Texts that are JSON have names and values of their own."""

Shape = Mapping[str, Any]

_NOWHERE: Final[Shape] = {}


def is_flood(declared: Shape, arguments: Mapping[str, Any]) -> bool:
    """Whether it would take more than some milliseconds to look for secrets in all of it.

    Args:
        declared: The arguments that the tool has, by name.
        arguments: As the caller gave them.
    """
    values, strange, json_chars = MOST_VALUES, MOST_STRANGE, MOST_JSON_CHARS
    names: set[str] = set()
    waiting: list[tuple[Shape, Any]] = [({"properties": declared}, arguments)]
    while waiting:
        schema, value = waiting.pop()
        if is_object(value):
            values -= len(value)
            if values < 0 or len(value) > MOST_NAMES:
                return True
            inner: Shape = schema.get("properties", _NOWHERE)
            names.update(value)
            # A map of somebody's own names may stand for a list of names and values.
            names.update(name for name in (value.get("name"), value.get("key")) if isinstance(name, str))
            strange -= 0 if "items" in schema else len(value.keys() - inner.keys())
            waiting += [(inner.get(key, _NOWHERE), item) for key, item in value.items()]
        elif is_array(value):
            values -= len(value)
            strange -= 0 if "items" in schema else len(value)
            if values < 0 or strange < 0:
                return True
            inner = schema.get("items", _NOWHERE)
            waiting += [(inner, item) for item in value]
        elif isinstance(value, str):
            strange -= len(value) // TEXT_CHARS if len(value) > LONG_TEXT else 0
            json_chars -= len(value) if value.lstrip()[:1] in ("{", "[") else 0
        if min(strange, json_chars) < 0 or len(names) > MOST_NAMES:
            return True
    return False
