"""What the name of a field says about its value, however the name is written."""

from __future__ import annotations

import re
from enum import Enum
from functools import lru_cache


class Kind(Enum):
    """What the name of a field says about its value."""

    PLAIN = "plain"
    NUMBER = "number"
    PASSWORD = "password"
    ADDRESS = "address"
    FREE_TEXT = "free text"
    URL = "url"
    AMOUNT = "amount"


HARMLESS = frozenset({Kind.PLAIN, Kind.AMOUNT, Kind.URL})
SECRECY = [*(kind for kind in Kind if kind not in {Kind.NUMBER, Kind.PASSWORD}), Kind.NUMBER, Kind.PASSWORD]
ENDINGS = (
    ("account", "number"),
    ("routing", "number"),
    ("tax", "id"),
    ("drivers", "license", "number"),
    ("ssn",),
    ("passport",),
)
RUN_TOGETHER = ("accountnumber", "routingnumber", "taxid", "driverslicensenumber")
PEOPLE = frozenset({"remoteaddr", "useripaddress"})
FREE_TEXT = frozenset({"note", "notes", "description", "metadata", "changes", "oldvalue", "newvalue"})
WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")


@lru_cache(maxsize=4096)
def kind_of(name: str) -> Kind:
    """What a field's name says about its value, however the name is written."""
    words = tuple(word.lower() for word in WORDS.findall(name))
    joined = "".join(words)
    if words[-1:] == ("password",) or joined == "password":
        return Kind.PASSWORD
    if any(words[-len(ending) :] == ending for ending in ENDINGS) or joined.endswith(RUN_TOGETHER):
        return Kind.NUMBER
    if joined in PEOPLE:
        return Kind.ADDRESS
    if joined in FREE_TEXT or words[-1:] == ("comment",):
        return Kind.FREE_TEXT
    if words[-1:] in {("url",), ("subscription",), ("link",)}:
        return Kind.URL
    if words[-1:] in {("cents",), ("count",), ("terms",), ("spend",)}:
        return Kind.AMOUNT
    return Kind.PLAIN


def sensitive(name: str) -> bool:
    """Whether a field of this name is masked."""
    return kind_of(name) in {Kind.NUMBER, Kind.PASSWORD}
