"""Keyed digests: what was sent can be recognised later, and nothing of it has to be kept."""

from __future__ import annotations

import hmac
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from enum import Enum
from typing import Any

from finexio_mcp.guards.names import NEVER_SHOWN, Kind, kind_of
from finexio_mcp.guards.numbers import bare
from finexio_mcp.shapes import is_array, is_object

EMPTY = "e"
NO_DIGEST = ""
"""Stands for a value that was sent and can never be compared."""
TAIL_CHARS = 4
"""What is left of a masked number."""
TAIL = ":tail"
"""After a field's name: the digest of the end of its number."""
MASK = re.compile("[*•●∙⁎∗＊✱xX]")
PLAIN_NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,30})(?:\.\d{1,30})?")
FOLDED = frozenset({"internal_id", "email", "primary_contact_email", "remit_email"})
"""Fields in which the case of letters means nothing, and Finexio may change it. A URL is none of them."""
SETTLED = frozenset({"delivery_method"})
"""Fields in which Finexio has the last word, but for payments by check: another value than was sent says nothing."""
PAIR = frozenset({"name", "value"})
MAPS = frozenset({"metadata"})
"""Fields that Finexio may show as the JSON text of the map that was sent."""


class Match(Enum):
    """What a record that Finexio shows says about one that was sent."""

    SAME = "same"
    """It reads as it was sent."""
    DIFFERENT = "different"
    """It does not, or it is another record."""
    OTHER = "other"
    """The key of what was to be created, with another content: somebody else's record."""
    UNKNOWN = "unknown"
    """Not enough of it is shown."""


class _Seen(Enum):
    """What one field says."""

    AGREES = "agrees"
    END_AGREES = "end agrees"
    """As much of a masked number as is shown."""
    DIFFERS = "differs"
    UNSEEN = "unseen"


def identity_of_change(key: bytes, scope: str, route: str, records: Sequence[str], arguments: Mapping[str, Any]) -> str:
    """Under what a change of master data is known: one more letter makes another change.

    Unlike in the digests of fields, "" and absent differ here: the one empties a field, the other leaves it alone.
    Passwords and identity numbers count too: a corrected one has to be sent. To try one, whoever holds the key
    would need the rest of the call to the letter.
    """
    whole = json.dumps([scope, route, list(records), arguments], sort_keys=True, separators=(",", ":"))
    return _hmac(key, "change", whole)


def digest_record(key: bytes, record: Mapping[str, Any]) -> dict[str, str]:
    """A digest for each field; of some only the word that they were sent."""
    digests: dict[str, str] = {}
    for name, value in record.items():
        if _leaves_no_digest(name, value):
            digests[name] = NO_DIGEST
            continue
        digests[name] = _digest(key, name, _canonical(name, value))
        if kind_of(name) is Kind.NUMBER and isinstance(value, str) and (end := bare(value)[-TAIL_CHARS:]):
            digests[name + TAIL] = _digest(key, name + TAIL, end)
    return digests


def _leaves_no_digest(name: str, value: Any) -> bool:
    """Whether a value could be guessed from its digest, or would not be found as it was sent.

    An identity number has so few digits that whoever holds the key can try them all. Rows inside a record come
    back with fields of Finexio's own.
    """
    if kind_of(name) in NEVER_SHOWN:
        return True
    value = _as_map(value)
    if is_object(value):
        return any(_leaves_no_digest(key, item) for key, item in value.items())
    return is_array(value) and any(is_object(item) or _leaves_no_digest("", item) for item in value)


def compare(
    key: bytes,
    digests: Mapping[str, str],
    record: Mapping[str, Any],
    *,
    created_by: Sequence[str] = (),
) -> Match:
    """Hold a record that Finexio shows against the digests of what was sent.

    A field that differs proves that the change is not there (any more). That it is there is only
    proven by a change of which every field is shown in full: of a corrected account number the last
    four may well be the old ones, and a field without a digest leaves no trace. A record that was created is
    known by its key, so the rest of it need only not differ.

    Args:
        key: The key of the digests.
        digests: As `digest_record` gave them for what was sent.
        record: What Finexio shows, unmasked by us.
        created_by: The fields by which a created record is known; none for the change of a known one.
    """
    seen = {name: _look(key, name, digests, record) for name in digests if not name.endswith(TAIL)}
    keys = [name for name in created_by if name in digests and digests[name] != _digest(key, name, EMPTY)]
    match = _verdict(seen[name] for name in keys or seen)
    return Match.OTHER if match is Match.SAME and _Seen.DIFFERS in seen.values() else match


def _verdict(seen: Iterable[_Seen]) -> Match:
    found = set(seen)
    if _Seen.DIFFERS in found:
        return Match.DIFFERENT
    return Match.SAME if found == {_Seen.AGREES} else Match.UNKNOWN


def _look(key: bytes, name: str, digests: Mapping[str, str], record: Mapping[str, Any]) -> _Seen:
    sent = digests[name]
    if sent == NO_DIGEST:
        return _Seen.UNSEEN
    if name not in record and sent != _digest(key, name, EMPTY):
        return _Seen.UNSEEN
    shown = record.get(name)
    if any(hmac.compare_digest(sent, _digest(key, name, text)) for text in _readings(name, shown)):
        return _Seen.AGREES
    if name in SETTLED and record.get("payment_method") != "Check":
        return _Seen.UNSEEN
    if name + TAIL not in digests or (end := _end_of_masked(shown)) is None:
        return _Seen.DIFFERS
    if len(end) < TAIL_CHARS:
        return _Seen.UNSEEN
    agrees = hmac.compare_digest(digests[name + TAIL], _digest(key, name + TAIL, end))
    return _Seen.END_AGREES if agrees else _Seen.DIFFERS


def _end_of_masked(shown: Any) -> str | None:
    """The last four of a masked number, fewer if no more are shown; `None` for a number in full."""
    if not isinstance(shown, str | int) or isinstance(shown, bool):
        return None
    *hidden, end = MASK.split(str(shown))
    end = bare(end)
    return end[-TAIL_CHARS:] if hidden or 0 < len(end) <= TAIL_CHARS else None


# Values in one form ----------------------------------------------------------


def _canonical(name: str, value: Any) -> str:
    """A value in the one form that is digested. Kinds of values never look alike."""
    if isinstance(value, bool):
        return "b:true" if value else "b:false"
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return f"t:{value}" if kind_of(name) is Kind.NUMBER else f"n:{_number(str(value))}"
    if isinstance(value, str):
        text = bare(value) if kind_of(name) is Kind.NUMBER else _text(name, value)
        return f"t:{text}" if text else EMPTY
    if value in (None, [], {}):
        return EMPTY
    return f"j:{json.dumps(_as_map(value), sort_keys=True, separators=(',', ':'))}"


def _readings(name: str, shown: Any) -> Iterator[str]:
    """What a shown value may stand for: Finexio prints the same number as 80, 80.0 or "80.00"."""
    yield _canonical(name, shown)
    if isinstance(shown, str):
        text = shown.strip()
        if PLAIN_NUMBER.fullmatch(text):
            yield f"n:{_number(text)}"
        if text.casefold() in {"true", "false"}:
            yield f"b:{text.casefold()}"
        if name in MAPS and is_object(read := _read(text)):
            yield _canonical(name, read)
    elif isinstance(shown, int | float) and not isinstance(shown, bool):
        yield f"t:{shown}"


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _text(name: str, value: str) -> str:
    """Blanks do not count; letters do, unless Finexio is known to change their case."""
    text = " ".join(value.split())
    return text.casefold() if name in FOLDED else text


def _number(text: str) -> str:
    """Without an exponent and without zeros at the end."""
    plain = format(Decimal(text), "f")
    plain = plain.rstrip("0").rstrip(".") if "." in plain else plain
    return "0" if plain == "-0" else plain


def _as_map(value: Any) -> Any:
    """Pairs of name and value as the map that they stand for."""
    if is_array(value) and all(is_object(item) and item.keys() == PAIR for item in value):
        return {str(item["name"]): item["value"] for item in value}
    return value


def _digest(key: bytes, name: str, canonical: str) -> str:
    return _hmac(key, "field", name, canonical)[:32]


def _hmac(key: bytes, *parts: str) -> str:
    """Parts cannot run into each other, and what is said of one purpose says nothing of another."""
    return hmac.new(key, json.dumps(parts).encode(), "sha256").hexdigest()
