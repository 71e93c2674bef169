"""Numbers and secrets that must not be read: masked by name, by value and by context.

* By name: what stands under a sensitive key, at any depth, in metadata and in history too,
  which may arrive as JSON text.
* By value: what was masked anywhere in an answer is masked wherever it recurs in it, whatever
  separators, invisible or full-width characters stand between its digits.
* By context: in free text, numbers behind words like "account" or "routing", social security
  numbers, and what looks like a card number.

The last four characters stay. Nothing is shown of a password, of what a state knows a person by
(social security number, passport, driver's license), of a date of birth, nor of the network
address of a person in the history. Where Finexio speaks of people, it says no date either.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from finexio_mcp.guards.cleaning import clean
from finexio_mcp.guards.names import HARMLESS, NEVER_SHOWN, Kind, kind_of
from finexio_mcp.guards.numbers import (
    ANY_DATE,
    DIGIT,
    HIDDEN,
    LEAST_SECRET,
    LONG_NUMBER,
    MASKED,
    TAIL_CHARS,
    Secrets,
    bare,
    hide_values,
    mask,
    mask_beside,
    mask_context,
    mask_text,
    one_form,
    telling,
)
from finexio_mcp.shapes import CONTAINERS, is_array, is_object, is_plain

MAX_DEPTH = 40
MAX_SHAPES = 1_000
MAX_NAMES = 200
MAX_NAMES_CHARS = 8_000
MAX_JSON_TEXT = 100_000
TOO_DEEP = "(nested too deeply)"
TOO_LONG = "(too long to be read)"
UNSAID = "is not accepted; the reason is not repeated here, since it may hold the value"
CHANGED = " (changed)"

TEXT_LIMIT = 500
NOTE_LIMIT = 1_000
URL_LIMIT = 4_000
NAME_LIMIT = 100

LEAST_NUMBER = 7
"""Values that arrive as JSON numbers are masked by value from this length on."""

NAMING = frozenset({"field", "field_name", "fieldName", "name", "key"})
NAMED = frozenset(
    {"oldValue", "newValue", "old_value", "new_value", "oldvalue", "newvalue", "old", "new", "from", "to", "value"}
)
ABSENT = frozenset({"", "None", "null"})
COVERED = NEVER_SHOWN | {Kind.NUMBER}
LEARNT = frozenset({Kind.NUMBER, Kind.IDENTITY, Kind.PASSWORD, Kind.PERSONAL})
"""Kinds whose values are covered wherever they recur; of personal ones only that there are some."""
READ = frozenset({Kind.FREE_TEXT, Kind.PEOPLE})
"""Kinds whose values may be JSON text, with names of its own inside."""


@dataclass(frozen=True)
class _Shape:
    """What the names of a record say about its values, worked out once for all records that have the same."""

    fields: tuple[tuple[str, Kind], ...]
    """For each key in order: the name that is shown, and the kind."""
    sensitive: tuple[tuple[str, Kind], ...]
    read: tuple[str, ...]
    """Keys whose value may be JSON text."""
    naming: tuple[str, ...]
    """Keys whose value may name the kind of a sibling, if there are such siblings."""
    harmless: bool
    """No name that calls for anything."""
    numbered: bool
    """A name holds a digit, and so may be a secret itself."""


class Mask:
    """Decides what is shown in clear.

    Args:
        unmask: Field names that the operator allows in clear: numbers of accounts and of taxes, nothing else.
    """

    def __init__(self, unmask: Collection[str] = ()) -> None:
        self._clear = frozenset(bare(name) for name in unmask)
        self._shapes: dict[tuple[str, ...], _Shape] = {}

    def _kind(self, name: str) -> Kind:
        kind = kind_of(name)
        return Kind.PLAIN if kind is Kind.NUMBER and self._clear and bare(name) in self._clear else kind

    def _shape(self, record: dict[str, Any]) -> _Shape:
        keys = tuple(record)
        shape = self._shapes.get(keys)
        if shape is None:
            kinds = [(key, self._kind(key)) for key in keys]
            siblings = any(key in NAMED for key in keys)
            shape = _Shape(
                fields=tuple((_shown_name(key), kind) for key, kind in kinds),
                sensitive=tuple((key, kind) for key, kind in kinds if kind in LEARNT),
                read=tuple(key for key, kind in kinds if kind in READ),
                naming=tuple(key for key in keys if key in NAMING) if siblings else (),
                harmless=all(kind in HARMLESS and _shown_name(key) == key for key, kind in kinds) and not siblings,
                numbered=any(DIGIT.search(one_form(key)) for key in keys),
            )
            # Records of Finexio have fewer names; arguments that are made to fill the memory have more.
            if len(self._shapes) < MAX_SHAPES and len(keys) <= MAX_NAMES and sum(map(len, keys)) <= MAX_NAMES_CHARS:
                self._shapes[keys] = shape
        return shape

    def _named_kind(self, record: dict[str, Any], shape: _Shape) -> Kind | None:
        """The kind that a sibling names: `{"field": "tax_id", "oldValue": ...}`, `{"name": ..., "value": ...}`."""
        for key in shape.naming:
            value = record[key]
            if isinstance(value, str) and len(value) <= NAME_LIMIT:
                kind = self._kind(value)
                if kind in COVERED:
                    return kind
        return None

    def learn(self, *values: Any) -> Secrets:
        """Collect every sensitive value of an answer, and of the arguments that it answers."""
        numbers: set[str] = set()
        others: set[str] = set()
        passwords: set[str] = set()
        hidden: set[str] = set()
        people = False
        for kind, value in self._find(list(values)):
            text = str(value)
            if kind is Kind.IDENTITY or kind is Kind.PERSONAL:
                people = True
            if kind is Kind.PASSWORD:
                if telling(text):
                    passwords.add(text)
            elif kind is Kind.IDENTITY:
                if len(plain := bare(one_form(text))) >= LEAST_SECRET and DIGIT.search(plain):
                    hidden.add(plain)
            elif kind is Kind.NUMBER and len(plain := bare(text)) >= LEAST_SECRET and not MASKED.fullmatch(text):
                (numbers if plain.isdecimal() else others).add(plain)
        return Secrets(
            numbers=frozenset(numbers),
            lengths=_lengths(numbers),
            others=tuple(sorted(others, key=len, reverse=True)),
            passwords=tuple(sorted(passwords, key=len, reverse=True)),
            hidden=frozenset(hidden),
            hidden_lengths=_lengths(hidden),
            hidden_parts=frozenset(
                secret[at : at + TAIL_CHARS] for secret in hidden for at in range(len(secret) - TAIL_CHARS + 1)
            ),
            people=people,
        )

    def _find(self, values: list[Any]) -> Iterator[tuple[Kind, Any]]:
        """Every value under a sensitive name. Not recursive: a page has thousands of values to pass by."""
        waiting: list[Any] = [values]
        for value in waiting:
            if is_array(value):
                waiting += [item for item in value if isinstance(item, CONTAINERS)]
                continue
            shape = self._shape(value)
            for key, kind in shape.sensitive:
                if (held := value[key]) is not None:
                    for leaf in _leaves(held):
                        yield kind, leaf
            if shape.naming and (named := self._named_kind(value, shape)) is not None:
                for key in value.keys() & NAMED if named in LEARNT else ():
                    for leaf in _leaves(value[key]):
                        yield named, leaf
            for key in shape.read:
                if held := value[key]:
                    waiting += [read for text in _texts(held) if (read := _read_json(text)) is not None]
            waiting += [item for item in value.values() if item and isinstance(item, CONTAINERS)]

    def apply(self, value: Any, secrets: Secrets) -> Any:
        """A masked, cleaned and bounded copy of JSON data."""
        return self.view(secrets).shown(value)

    def view(self, secrets: Secrets) -> View:
        """For an answer that is shown record by record."""
        return View(self, secrets)

    def text(self, sentence: str, secrets: Secrets, limit: int = 200, *, dates: bool = True) -> str:
        """A sentence that somebody else wrote, on one line."""
        safe = mask_text(clean(sentence, limit=NOTE_LIMIT, single_line=True), secrets, name="")
        return clean(safe if dates else ANY_DATE.sub(HIDDEN, safe), limit=limit)

    def problem(self, field: str, sentence: str, secrets: Secrets, limit: int = 200) -> str:
        """A sentence about one field. What is said about a sensitive one may repeat what is stored in it."""
        names = [part for part in re.split(r"[.\[\]]", field) if part and not part.isdecimal()]
        kinds = [self._kind(name) for name in names]
        if Kind.PASSWORD in kinds or Kind.IDENTITY in kinds:
            return UNSAID
        # Of a date, and of a whole record, only what holds no digit; owners[0].city is a field like others.
        if (Kind.PERSONAL in kinds or kinds[-1:] == [Kind.PEOPLE]) and DIGIT.search(sentence):
            return UNSAID
        text = self.text(sentence, secrets, limit, dates=not secrets.people and Kind.PEOPLE not in kinds)
        return LONG_NUMBER.sub(lambda match: mask(match[0]), text) if Kind.NUMBER in kinds else text

    def shape_of(self, record: dict[str, Any]) -> tuple[_Shape, Kind | None]:
        """What a record's names say, and what one of them says about its siblings."""
        shape = self._shape(record)
        return shape, self._named_kind(record, shape) if shape.naming else None


class View:
    """One answer being shown. Most of its texts recur (states, currencies, ids), so each is worked out once."""

    def __init__(self, mask: Mask, secrets: Secrets) -> None:
        self._mask, self._secrets = mask, secrets
        self._known: dict[str, str] = {}

    def passes(self, record: dict[str, Any], text: str) -> bool:
        """Whether a record, given with its JSON, certainly holds nothing to mask, clean or cut.

        True for most rows of most lists, at a fraction of what looking at each value costs.
        """
        return (
            len(text) <= TEXT_LIMIT
            and not self._secrets
            and "\\" not in text
            and "\x7f" not in text
            and text.isascii()
            and self._mask.shape_of(record)[0].harmless
            and is_plain(record.values())
        )

    def shown(self, value: Any, kind: Kind = Kind.PLAIN, depth: int = 0) -> Any:
        """A masked, cleaned and bounded copy of JSON data."""
        if isinstance(value, str):
            read = _read_json(value) if kind is Kind.FREE_TEXT else None
            return _shown_text(value, self._secrets, kind) if read is None else self._json(read, depth + 1)
        if is_object(value):
            return self._object(value, kind, depth) if depth < MAX_DEPTH else TOO_DEEP
        if is_array(value):
            return [self.shown(item, kind, depth + 1) for item in value] if depth < MAX_DEPTH else TOO_DEEP
        if type(value) is int and self._secrets and kind is not Kind.KEPT:
            return _shown_number(value, self._secrets)
        # 1e400 is JSON and infinite; no JSON can hold what it becomes.
        return None if isinstance(value, float) and not math.isfinite(value) else value

    def _json(self, value: Any, depth: int) -> str:
        """What arrived as JSON text, masked as what it is, and text again."""
        shown = self.shown(value, Kind.FREE_TEXT, depth)
        return clean(json.dumps(shown, ensure_ascii=False, separators=(",", ":")), limit=NOTE_LIMIT)

    def _object(self, record: dict[str, Any], outer: Kind, depth: int) -> dict[str, Any]:
        shape, named = self._mask.shape_of(record)
        known = self._known
        shown: dict[str, Any] = {}
        for (name, kind), (key, value) in zip(shape.fields, record.items(), strict=True):
            if named is not None and key in NAMED:
                kind = named
            elif kind is Kind.PASSWORD:
                continue
            elif kind is Kind.PLAIN or (kind is Kind.KEPT and outer is Kind.FREE_TEXT):
                kind = outer
                if kind is Kind.FREE_TEXT:
                    shown[name] = self._named(key, value, depth + 1)
                    continue
            if kind is Kind.PLAIN and isinstance(value, str):
                text = known.get(value)
                if text is None:
                    text = known[value] = _shown_text(value, self._secrets, kind)
                shown[name] = text
            elif value is None:
                shown[name] = None
            elif kind is Kind.PLAIN or kind is Kind.KEPT or kind is Kind.FREE_TEXT or kind is Kind.URL:
                shown[name] = self.shown(value, kind, depth + 1)
            else:
                shown[name] = self._masked(value, kind, depth + 1)
        if shape.numbered and self._secrets.hidden:
            shown = {hide_values(name, self._secrets): value for name, value in shown.items()}
        return shown if named is None else _mark_changes(record, shown)

    def _masked(self, value: Any, kind: Kind, depth: int) -> Any:
        """Everything below a sensitive name: a number in the shape that it has."""
        if not isinstance(value, CONTAINERS):
            if value is None or isinstance(value, bool) or value in ABSENT:
                return value
            if kind is Kind.PEOPLE and isinstance(value, str) and not DIGIT.search(value):
                # A name or a word: no record of a person is without a digit.
                return self.shown(value, depth=depth)
            return mask_beside(value, self._secrets) if kind is Kind.NUMBER else HIDDEN
        if depth > MAX_DEPTH:
            return TOO_DEEP
        if is_array(value):
            shown = [self._listed(item, kind, depth + 1) for item in value]
            # [old, new] of a change
            if len(value) == 2 and isinstance(shown[1], str) and shown[0] == shown[1] and value[0] != value[1]:
                shown[1] += CHANGED
            return shown
        if kind is Kind.NUMBER and is_object(value):
            return {clean(key, limit=NAME_LIMIT): self._masked(item, kind, depth + 1) for key, item in value.items()}
        return HIDDEN if any(True for _ in _leaves(value)) else {}

    def _listed(self, value: Any, kind: Kind, depth: int) -> Any:
        """One of several: of people, a record is shown as any other."""
        return (
            self.shown(value, depth=depth)
            if kind is Kind.PEOPLE and is_object(value)
            else self._masked(value, kind, depth)
        )

    def _named(self, key: str, value: Any, depth: int) -> Any:
        """A value under a key of somebody's own, in metadata or history: the key is a word before it."""
        if is_array(value) and depth < MAX_DEPTH:
            return [self._named(key, item, depth + 1) for item in value]
        if isinstance(value, bool) or not isinstance(value, str | int):
            return self.shown(value, Kind.FREE_TEXT, depth)
        text = str(value)
        if (read := _read_json(text)) is not None:
            text = self._json(read, depth + 1)
        masked = _cut(text, self._secrets, NOTE_LIMIT, key)
        return value if masked == str(value) else masked


def _shown_name(key: str) -> str:
    """A key as it is shown; one that is no plain name may hold a number."""
    if key.isascii() and key.isidentifier() and len(key) <= NAME_LIMIT:
        return key
    return mask_context(clean(key, limit=NAME_LIMIT, single_line=True))


def _texts(value: Any) -> list[str]:
    """A text, or those of [old, new]."""
    return [item for item in (value if is_array(value) else [value]) if isinstance(item, str)]


def _read_json(text: str) -> Any:
    """The object or array that a text spells out, or none."""
    if text.lstrip()[:1] not in {"{", "["}:
        return None
    if len(text) > MAX_JSON_TEXT:
        return [TOO_LONG]
    try:
        return json.loads(text, strict=False)
    except ValueError:
        return None
    except RecursionError:
        return [TOO_DEEP]


def _leaves(value: Any) -> Iterator[Any]:
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if is_array(value):
            waiting += value
        elif is_object(value):
            waiting += value.values()
        elif value is not None and not isinstance(value, bool) and value not in ABSENT:
            yield value


def _lengths(texts: Collection[str]) -> tuple[int, ...]:
    return tuple(sorted({len(text) for text in texts}, reverse=True))


def _mark_changes(record: dict[str, Any], shown: dict[str, Any]) -> dict[str, Any]:
    for old, new in (("oldValue", "newValue"), ("old_value", "new_value"), ("old", "new"), ("from", "to")):
        before, after = shown.get(old), shown.get(new)
        if isinstance(after, str) and before == after and record[old] != record[new] and HIDDEN in after:
            shown[new] = after + CHANGED
    return shown


def _shown_number(value: int, secrets: Secrets) -> Any:
    text = str(value)
    if len(text) < LEAST_NUMBER:
        return value
    if secrets.hidden and hide_values(text, secrets) != text:
        return HIDDEN
    return mask(text) if text in secrets.numbers else value


ORDINARY = re.compile(
    r"[A-Za-z _-]{0,500}|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
    r"|\d{4}-[01]\d-[0-3]\d(?:T[0-2]\d:[0-5]\d:[0-5]\d(?:\.\d{1,6})?)?"
)
"""Words without digits, ids and times: most of an answer, and nothing that has to be masked or cleaned."""


def _shown_text(text: str, secrets: Secrets, kind: Kind) -> str:
    if not secrets.others and not secrets.passwords and ORDINARY.fullmatch(text):
        return text
    if kind is Kind.FREE_TEXT:
        return _cut(text, secrets, NOTE_LIMIT, "")
    limit = URL_LIMIT if kind is Kind.URL else TEXT_LIMIT
    return _cut(text, secrets, limit) if secrets and kind is not Kind.KEPT else clean(text, limit=limit)


def _cut(text: str, secrets: Secrets, limit: int, name: str | None = None) -> str:
    """Masked before it is cut, since half a number is no number any more and would be shown."""
    masked = mask_text(clean(text, limit=limit * 4), secrets, name=name)
    return masked if len(masked) <= limit else clean(masked, limit=limit)
