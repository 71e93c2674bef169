"""JSON objects, read without the liberties that the standard parser takes."""

from __future__ import annotations

import json
from typing import Any, Final, NoReturn

from finexio_mcp.shapes import is_object


def read_object(data: bytes) -> dict[str, Any] | None:
    """A JSON object in UTF-8, or `None`.

    A name that stands twice means one thing to us and another to whoever checked before; NaN and Infinity are no
    JSON, and compare with nothing.
    """
    try:
        value = DECODER.decode(data.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    return value if is_object(value) else None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _refuse(_constant: str) -> NoReturn:
    raise ValueError("no JSON")


DECODER: Final = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_refuse)
