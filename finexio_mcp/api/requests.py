"""From a declared tool and its checked arguments to one HTTP request."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from pydantic_core import to_json

from finexio_mcp.errors import InvalidArguments, Problem
from finexio_mcp.tools.spec import PLACEHOLDER, ToolSpec

UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True)
class Request:
    """One request, relative to the base URL."""

    method: str
    path: str
    """Percent-encoded, with its slashes exactly as in the contract."""
    query: str = ""
    body: bytes | None = None
    route: str | None = None
    """The path as declared, with names where ids stand, for those who must not see ids."""

    @property
    def target(self) -> str:
        """Path and query as they stand on the wire."""
        return f"{self.path}?{self.query}" if self.query else self.path


def _quote_segment(name: str, value: Any) -> str:
    """Quote `value` as exactly one path segment.

    Quoting leaves dots alone, and a URL resolver would climb out of the path on them.
    """
    text = str(value)
    if text in {"", ".", ".."} or UNPRINTABLE.search(text):
        raise InvalidArguments("Nothing was sent.", problems=[Problem(name, "cannot be part of an address")])
    return quote(text, safe="")


def fill(path: str, arguments: Mapping[str, Any]) -> str:
    """The path with its names replaced; the result always matches the template."""
    return PLACEHOLDER.sub(lambda match: _quote_segment(match[1], arguments[match[1]]), path)


def _query(values: Mapping[str, Any]) -> str:
    flat = {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in values.items()
        if value is not None
    }
    return urlencode(flat, quote_via=quote, safe="")


def build(tool: ToolSpec, arguments: Mapping[str, Any], page: int = 1) -> Request:
    """Lay the arguments over path, query and body. The first page needs no number."""
    path = fill(tool.path, arguments)
    rest = {name: value for name, value in arguments.items() if name not in tool.path_names}
    if tool.method == "GET":
        return Request("GET", path, _query({**rest, "page": page if page > 1 else None}), route=tool.path)
    if tool.method == "DELETE":
        return Request("DELETE", path, route=tool.path)
    body = to_json(rest[tool.body_rows] if tool.body_rows else rest)
    return Request(tool.method, path, body=body, route=tool.path)


def build_get(route: str, arguments: Mapping[str, Any]) -> Request:
    """A GET beside a tool's own request, from a route whose names are arguments."""
    path = route.removeprefix("GET ")
    return Request("GET", fill(path, arguments), route=path)
