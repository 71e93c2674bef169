"""Opaque next_cursor strings: where a list was left, and the question it belongs to."""

import base64
import json
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from finexio_mcp.shapes import deeper_than

JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"

MAX_CHARS = 2_000
MAX_PAGE = 100_000
PAGE_SIZE = 100
"""Rows on an upstream page; Finexio has no parameter for it."""

REMEMBERED = 3
"""How many of the rows served last a place remembers."""

_VERSION = 1
_HEADER = struct.Struct(">IBI")  # checksum of all that follows, version, checksum of the tool's name
_MAX_DEPTH = 7
_MAX_COUNT = 10**15

_MANGLED = "next_cursor was altered or shortened, or never came from here. "
_OTHER_VERSION = "next_cursor comes from another version of this server. "
_OTHER_TOOL = "next_cursor belongs to another tool. "
_TOO_LONG = f"next_cursor is longer than {MAX_CHARS} characters, so it did not come from here. "
_WHAT_NOW = "Pass it exactly as this tool gave it, or leave it out to start at the first row."
_LONG_FILTERS = "These filters are too long to page through. Ask again with shorter ones."


class CursorError(ValueError):
    """A cursor that cannot be used; the text is for the model and never quotes the cursor."""


@dataclass(frozen=True, slots=True)
class Place:
    """The first row not served yet, by upstream page and offset on it.

    `last_ids` are the keys of the rows served last, latest at the end, and `count` the length of the list as it was
    then: by these the place is found again when the list has moved.
    """

    page: int = 1
    offset: int = 0
    last_ids: tuple[str, ...] = ()
    count: int | None = None


def encode(tool: str, filters: Mapping[str, JSON], place: Place, *, account: str = "") -> str:
    """Write a cursor: url-safe, the same for the same place, at most MAX_CHARS characters.

    Args:
        tool: Whose list it is.
        filters: The question.
        place: Where to go on.
        account: Whose rows they are. To another account the cursor is garbage.

    Raises:
        CursorError: The filters alone are longer than a cursor may be.
    """
    for last_ids in (place.last_ids, place.last_ids[-1:], ()):
        body = _dump([dict(filters), place.page, place.offset, list(last_ids), place.count])
        sealed = struct.pack(">BI", _VERSION, _mark(tool)) + body
        text = base64.urlsafe_b64encode(struct.pack(">I", _checksum(account, sealed)) + sealed).rstrip(b"=").decode()
        if len(text) <= MAX_CHARS:
            return text
    raise CursorError(_LONG_FILTERS)


def decode(text: str, tool: str, *, account: str = "") -> tuple[dict[str, JSON], Place]:
    """Read a cursor that `tool` gave; its filters have still to pass the tool's own argument check.

    Raises:
        CursorError: Garbage, altered, of another tool or version, or out of range.
    """
    if len(text) > MAX_CHARS:
        raise CursorError(_TOO_LONG + _WHAT_NOW)
    # What went wrong inside quotes its input, so it is not chained.
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        checksum, version, mark = _HEADER.unpack_from(raw)
    except (ValueError, struct.error):
        raise CursorError(_MANGLED + _WHAT_NOW) from None
    if checksum != _checksum(account, raw[4:]):
        raise CursorError(_MANGLED + _WHAT_NOW)
    if version != _VERSION:
        raise CursorError(_OTHER_VERSION + _WHAT_NOW)
    if mark != _mark(tool):
        raise CursorError(_OTHER_TOOL + _WHAT_NOW)
    try:
        return _parse(raw[_HEADER.size :])
    except (ValueError, TypeError, RecursionError):
        raise CursorError(_MANGLED + _WHAT_NOW) from None


def same_filters(typed: Mapping[str, JSON], carried: Mapping[str, JSON]) -> bool:
    """Whether filters typed beside a cursor agree with those it carries; one left out, or null, agrees."""
    return all(value is None or _dump(value) == _dump(carried.get(name)) for name, value in typed.items())


def _dump(value: JSON) -> bytes:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True, allow_nan=False)
    return text.encode("utf-8", "surrogatepass")


def _checksum(account: str, sealed: bytes) -> int:
    return zlib.crc32(sealed, zlib.crc32(account.encode()))


def _mark(tool: str) -> int:
    return zlib.crc32(tool.encode())


def _parse(body: bytes) -> tuple[dict[str, JSON], Place]:
    content: JSON = json.loads(body.decode("utf-8", "surrogatepass"), parse_constant=_refuse)
    if not isinstance(content, list):
        raise TypeError
    filters, page, offset, last_ids, count = content
    if not isinstance(filters, dict):
        raise TypeError
    if deeper_than(filters, _MAX_DEPTH):
        raise ValueError
    return filters, Place(
        page=_whole(page, 1, MAX_PAGE),
        offset=_whole(offset, 0, PAGE_SIZE - 1),
        last_ids=_texts(last_ids),
        count=None if count is None else _whole(count, 0, _MAX_COUNT),
    )


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _whole(value: JSON, low: int, high: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ValueError
    return value


def _texts(values: JSON) -> tuple[str, ...]:
    if not isinstance(values, list) or len(values) > REMEMBERED:
        raise ValueError
    texts = tuple(value for value in values if isinstance(value, str))
    if len(texts) < len(values):
        raise ValueError
    return texts
