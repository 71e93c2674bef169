"""Arguments as they may be kept: what the tool declares, in the shape that it declares, and nothing that is secret.

An audit is read by more people than an answer, and for longer. So it masks what answers mask, whatever the operator
unmasks there, and more: numbers that may be one of an account in any field that holds no identifier, what stands in a
URL besides host and path, and everything that a tool does not declare.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Collection, Mapping
from functools import cache
from typing import Any, Final

from finexio_mcp import catalog
from finexio_mcp.audit.floods import is_flood
from finexio_mcp.guards.cleaning import clean
from finexio_mcp.guards.masking import Mask
from finexio_mcp.guards.names import Kind, kind_of
from finexio_mcp.guards.numbers import (
    DATE,
    HIDDEN,
    SOCIAL_SECURITY,
    Secrets,
    hide_passwords,
    mask,
    mask_text,
    telling,
)
from finexio_mcp.shapes import is_array, is_object

MAX_CHARS: Final = 8_000
MAX_TEXT_CHARS: Final = 1_000
MOST_CENTS: Final = 10**10
MOST: Final = 10**6
"""Of numbers that are no amounts; larger ones may be numbers of accounts."""

MOST_PASSWORDS: Final = 20
"""Each is looked for in every text that is kept."""

MORE, UNKNOWN, FLOOD = "(more)", "(unknown)", "(too much to look at)"
"""Names that no argument has: how many rows of a list are left out, how many arguments the tool does not have, and
that of texts only the kind is told."""
TOO_LONG: Final = "(too long to be kept)"
SHAPES: Final[Mapping[type, str]] = {
    str: "(a text)",
    bool: "(true or false)",
    int: "(a number)",
    float: "(a number)",
    list: "(a list)",
    dict: "(an object)",
}
"""What is said of a value that is not what the tool takes: anything may be in it."""
MASKED_SHAPES: Final[Mapping[str, str]] = {mask(shape): shape for shape in SHAPES.values()}

AS_THEY_ARE: Final = frozenset({"fields", "clear", "invoice_number", "op_id", "not_a_duplicate_of"})
MONEY: Final = re.compile(r"cents|spend")
ID: Final = re.compile(r"(?:^|_)ids?$")
OPAQUE: Final = frozenset({"next_cursor"})
CURSOR: Final = "(a cursor)"
"""It carries filters, in a form of its own."""
KEPT_URL: Final = re.compile(r"(?i)(https?://)(?:[^/?#\s]*@)?([^/?#\s@]*)([^?#\s]*)(.*)", re.DOTALL)
LONG_DIGITS: Final = re.compile(r"\d(?:[ \-./,_()+]{0,3}\d){6,}")
"""As many as the shortest account number that is still one."""
ORDINARY: Final = re.compile(
    r"\d{5}(-\d{4})?|\d{4}-[01]\d-[0-3]\d\D?([0-2]\d:[0-5]\d(:[0-5]\d(\.\d{1,6})?)?)?\D{0,10}", re.ASCII
)
"""What stands in a field for a zip code or a time."""
DIGITS_OF_A_PERSON: Final = 9
AUTHORIZATION: Final = re.compile(r"(?i)\b(basic|bearer)\s+[A-Za-z0-9+/=._~-]{4,}")
TOKEN: Final = re.compile(r"(?i)fmcp_[a-z0-9_-]+|\b(?:ey[a-z0-9_-]{8,}\.){2}[a-z0-9_-]*")

Shape = Mapping[str, Any]


class Masked:
    """Makes what may be kept.

    Args:
        secrets: Texts that may never be kept, wherever they stand: what this server itself signs in with.
    """

    def __init__(self, secrets: Callable[[], Collection[str]] = tuple) -> None:
        self._secrets = secrets
        self._mask = Mask()

    def arguments(self, tool: str, arguments: Mapping[str, Any] | None) -> str:
        """The arguments of a call as JSON, at most 8,000 characters."""
        if not arguments:
            return "{}"
        declared: Shape = _schemas().get(tool, {}).get("properties", {})
        learnt = self._learn(declared, arguments)
        found, flood = learnt or Secrets(), learnt is None
        more: dict[str, int] = {}
        shaped: dict[str, Any] = {}
        for name, value in arguments.items():
            if name in declared and not _absent(value):
                kept = _first_rows(value, MAX_CHARS) if is_array(value) else value
                more |= {name: len(value) - len(kept)} if is_array(value) and len(kept) < len(value) else {}
                shaped[name] = _shaped(declared[name], name, kept, wary=flood)
        shown: dict[str, Any] = _strict(self._mask.apply(shaped, found), found, "")
        # Of a password it is told that there was one.
        shown |= {name: HIDDEN for name in shaped if kind_of(name) is Kind.PASSWORD}
        if unknown := len(arguments.keys() - declared.keys()):
            shown[UNKNOWN] = unknown
        if flood:
            shown[FLOOD] = True
        return self.without_secrets(_fitted(shown, more))

    def _learn(self, declared: Shape, arguments: Mapping[str, Any]) -> Secrets | None:
        """What is secret in all that was given, since it may recur anywhere, rows that are left out included.

        Returns:
            `None` if nobody can find out while other calls wait.
        """
        if is_flood(declared, arguments):
            return None
        found = self._mask.learn(dict(arguments))
        return found if len(found.passwords) <= MOST_PASSWORDS else None

    def without_secrets(self, text: str) -> str:
        """The text without what this server signs in with."""
        return hide_passwords(text, [secret for secret in self._secrets() if telling(secret)])


@cache
def _schemas() -> dict[str, Shape]:
    return {name: listed.entry["inputSchema"] for name, listed in catalog.read().items()}


def _absent(value: Any) -> bool:
    return value is None or (isinstance(value, str | list | dict) and not value)


# What the tool declares ------------------------------------------------------------


def _shaped(schema: Shape, name: str, value: Any, *, wary: bool) -> Any:
    """The value as far as it is what the tool takes; of anything else only its type.

    Args:
        schema: What the tool takes there.
        name: The argument's.
        value: As the caller gave it.
        wary: It is not known what is secret in this call, so no text is taken but one of the tool's own words.
    """
    match schema.get("type"):
        case "string" if isinstance(value, str) and (not wary or "enum" in schema) and _is_word(schema, value):
            return CURSOR if name in OPAQUE else value
        case "integer" if type(value) is int and _is_within(schema, name, value):
            return value
        case "number" if isinstance(value, int | float) and type(value) is not bool and _is_within(schema, name, value):
            return value
        case "boolean" if isinstance(value, bool):
            return value
        case "array" if is_array(rows := _paired(schema, value)):
            return [_shaped(schema["items"], name, row, wary=wary) for row in _first_rows(rows, MAX_CHARS)]
        case "object" if is_object(value):
            inner: Shape = schema.get("properties", {})
            known = {key: item for key, item in value.items() if key in inner and not _absent(item)}
            shaped: dict[str, Any] = {key: _shaped(inner[key], key, item, wary=wary) for key, item in known.items()}
            strange = len(value.keys() - inner.keys())
            return {**shaped, UNKNOWN: strange} if strange else shaped
        case _:
            return next((shape for kind, shape in SHAPES.items() if isinstance(value, kind)), "(something else)")


def _is_word(schema: Shape, value: str) -> bool:
    if len(value) > schema.get("maxLength", math.inf) or ("enum" in schema and value not in schema["enum"]):
        return False
    if "pattern" in schema and not re.search(schema["pattern"], value):
        return False
    # What is JSON has names of its own, under which anything may stand.
    return value.lstrip()[:1] not in ("{", "[")


def _is_within(schema: Shape, name: str, value: float) -> bool:
    bound = MOST_CENTS if MONEY.search(name) else MOST
    return schema.get("minimum", -bound) <= value <= schema.get("maximum", bound)


def _paired(schema: Shape, value: Any) -> Any:
    """A plain map stands for a list of names and values, where the tool takes those."""
    if is_object(value) and set(schema["items"].get("properties", ())) == {"name", "value"}:
        return [{"name": key, "value": item} for key, item in value.items()]
    return value


# More than answers mask ------------------------------------------------------------


def _strict(value: Any, secrets: Secrets, name: str) -> Any:
    if is_object(value):
        return {key: _strict(item, secrets, key) for key, item in value.items()}
    if is_array(value):
        return [_strict(item, secrets, name) for item in value]
    if not isinstance(value, str) or value == HIDDEN:
        return value
    return MASKED_SHAPES.get(value) or _strict_text(value, secrets, name)


def _strict_text(text: str, secrets: Secrets, name: str) -> str:
    text = TOKEN.sub(HIDDEN, AUTHORIZATION.sub(rf"\1 {HIDDEN}", text))
    if kind_of(name) is Kind.URL:
        text = KEPT_URL.sub(_plain_url, text)
    if name in AS_THEY_ARE or ID.search(name):
        text = mask_text(SOCIAL_SECURITY.sub(HIDDEN, text), secrets)
    elif kind_of(name) is not Kind.KEPT or not ORDINARY.fullmatch(text):
        text = LONG_DIGITS.sub(_masked_digits, mask_text(text, secrets, name=name))
    return clean(text, limit=MAX_TEXT_CHARS, single_line=True)


def _plain_url(match: re.Match[str]) -> str:
    return f"{match[1]}{match[2]}{match[3]}{f'?{HIDDEN}' if match[4] else ''}"


def _masked_digits(match: re.Match[str]) -> str:
    if DATE.fullmatch(match[0]):
        return match[0]
    # It may be what a state knows a person by, of which nothing is shown.
    return HIDDEN if sum(map(str.isdecimal, match[0])) == DIGITS_OF_A_PERSON else mask(match[0])


def dump(value: Any) -> str:
    """JSON as it is kept."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


# Fitting ---------------------------------------------------------------------------


def _fitted(shown: dict[str, Any], more: dict[str, int]) -> str:
    """As JSON, without the last rows of long lists, and where that is not enough without the longest values."""
    while True:
        text = dump({**shown, **({MORE: more} if more else {})})
        if len(text) <= MAX_CHARS:
            return text
        sizes = {name: len(dump(value)) for name, value in shown.items()}
        longest = max(sizes, key=lambda name: sizes[name])
        value: Any = shown[longest]
        if is_array(value) and len(value) > 1:
            kept = _first_rows(value, sizes[longest] - (len(text) - MAX_CHARS) - 50)[: len(value) - 1]
            more = {**more, longest: more.get(longest, 0) + len(value) - len(kept)}
            shown = {**shown, longest: kept}
        else:
            shown = {**shown, longest: TOO_LONG}


def _first_rows(rows: list[Any], room: int) -> list[Any]:
    """As many as fit, roughly, and one at least."""
    for count, row in enumerate(rows):
        room -= len(str(row)) + 1
        if room < 0:
            return rows[: max(count, 1)]
    return rows
