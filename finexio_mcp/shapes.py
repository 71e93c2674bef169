"""What arrives as JSON, narrowed to the two shapes that matter."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeGuard

CONTAINERS = (dict, list)
_CONTAINERS = frozenset(CONTAINERS)
_NOT_PLAIN = frozenset({*CONTAINERS, float})


def is_flat(values: Iterable[Any]) -> bool:
    """Whether none of the values is an object or an array. JSON gives exact types, so this runs without a loop."""
    return _CONTAINERS.isdisjoint(map(type, values))


def is_plain(values: Iterable[Any]) -> bool:
    """Whether all values are texts, whole numbers, booleans or null; a float may be infinite."""
    return _NOT_PLAIN.isdisjoint(map(type, values))


def is_object(value: Any) -> TypeGuard[dict[str, Any]]:
    """Whether this is a JSON object."""
    return isinstance(value, dict)


def is_array(value: Any) -> TypeGuard[list[Any]]:
    """Whether this is a JSON array."""
    return isinstance(value, list)


def deeper_than(value: Any, levels: int) -> bool:
    """Whether objects and arrays stand in each other more than `levels` deep."""
    if is_object(value):
        children = list(value.values())
    elif is_array(value):
        children = value
    else:
        return False
    if levels == 0:
        return True
    return any(deeper_than(child, levels - 1) for child in children if isinstance(child, CONTAINERS))
