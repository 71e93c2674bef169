"""What the name of a field says about its value, however the name is written."""

from __future__ import annotations

import re
from enum import Enum
from functools import lru_cache

from finexio_mcp.settings import NAMES, SettingProblem, Settings


class Kind(Enum):
    """What the name of a field says about its value."""

    PLAIN = "plain"
    NUMBER = "number"
    PASSWORD = "password"
    ADDRESS = "address"
    FREE_TEXT = "free text"
    URL = "url"
    KEPT = "kept"
    """Amounts, dates, and what a record is recognised by: without them an answer is of no use."""


HARMLESS = frozenset({Kind.PLAIN, Kind.KEPT, Kind.URL})
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
KEPT = frozenset(
    {
        "id",
        "objectid",
        "paymentid",
        "originatingcounterpartyid",
        "receivingcounterpartyid",
        "processorrequestid",
        "fundingdrawdownrequestid",
        "invoicenumber",
        "trackingid",
        "instrumentnumber",
        "status",
        "event",
    }
)
KEPT_LAST = frozenset(
    (word,)
    for word in ("cents", "count", "terms", "spend", "date", "created", "updated", "at", "timestamp", "zip", "zipcode")
)
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
    return Kind.KEPT if joined in KEPT or words[-1:] in KEPT_LAST else Kind.PLAIN


def sensitive(name: str) -> bool:
    """Whether a field of this name is masked."""
    return kind_of(name) in {Kind.NUMBER, Kind.PASSWORD}


def needless_unmasks(settings: Settings) -> list[SettingProblem]:
    """Names in the setting that are never masked: misspelt ones, most likely, and what was meant stays masked."""
    return [
        SettingProblem(NAMES["unmask"], f"names {name!r}, which is never masked")
        for name in settings.unmask
        if not sensitive(name)
    ]
