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
    IDENTITY = "identity"
    """What a state knows a person by: nothing of it is shown."""
    PASSWORD = "password"
    PERSONAL = "personal"
    """Of a person, and hidden under its name alone: any other date may be the same as one of birth."""
    PEOPLE = "people"
    """Records of people, each shown as any other. Printed as one text, as history does, they are hidden whole."""
    FREE_TEXT = "free text"
    URL = "url"
    KEPT = "kept"
    """Amounts, dates, and what a record is recognised by: without them an answer is of no use."""


HARMLESS = frozenset({Kind.PLAIN, Kind.KEPT, Kind.URL})
NEVER_SHOWN = frozenset({Kind.IDENTITY, Kind.PASSWORD, Kind.PERSONAL, Kind.PEOPLE})
LAST_WORDS: dict[tuple[str, ...], Kind] = {
    ("password",): Kind.PASSWORD,
    ("ssn",): Kind.IDENTITY,
    ("passport",): Kind.IDENTITY,
    ("dob",): Kind.PERSONAL,
    ("owners",): Kind.PEOPLE,
}
WHOLE = {"owner": Kind.PEOPLE}
"""Names that say so alone: the owner of an account or of a cost centre is no record of a person."""
ENDINGS = {
    "ssnnumber": Kind.IDENTITY,
    "socialsecurity": Kind.IDENTITY,
    "socialsecuritynumber": Kind.IDENTITY,
    "passportno": Kind.IDENTITY,
    "passportnumber": Kind.IDENTITY,
    "driverslicense": Kind.IDENTITY,
    "driverlicense": Kind.IDENTITY,
    "driverslicensenumber": Kind.IDENTITY,
    "driverlicensenumber": Kind.IDENTITY,
    "accountnumber": Kind.NUMBER,
    "routingnumber": Kind.NUMBER,
    "taxid": Kind.NUMBER,
    "dateofbirth": Kind.PERSONAL,
    "birthdate": Kind.PERSONAL,
    "birthday": Kind.PERSONAL,
    "remoteaddr": Kind.PERSONAL,
    "useripaddress": Kind.PERSONAL,
    "controllingowner": Kind.PEOPLE,
    "beneficialowner": Kind.PEOPLE,
}
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
    # Which of several it is, as in owners[0], changes nothing for what must be covered.
    if (kind := _covered_kind(tuple(word for word in words if not word.isdecimal()))) is not None:
        return kind
    joined = "".join(words)
    if joined in FREE_TEXT or words[-1:] == ("comment",):
        return Kind.FREE_TEXT
    if words[-1:] in {("url",), ("subscription",), ("link",)}:
        return Kind.URL
    return Kind.KEPT if joined in KEPT or words[-1:] in KEPT_LAST else Kind.PLAIN


def _covered_kind(words: tuple[str, ...]) -> Kind | None:
    joined = "".join(words)
    if (kind := LAST_WORDS.get(words[-1:]) or LAST_WORDS.get((joined,)) or WHOLE.get(joined)) is not None:
        return kind
    return next((kind for ending, kind in ENDINGS.items() if joined.endswith(ending)), None)


def sensitive(name: str) -> bool:
    """Whether a field of this name holds a number or a secret, which no caller may send back masked."""
    return kind_of(name) in {Kind.NUMBER, Kind.IDENTITY, Kind.PASSWORD}


def needless_unmasks(settings: Settings) -> list[SettingProblem]:
    """Names in the setting that change nothing: misspelt ones, most likely, and what was meant stays masked."""
    return [
        SettingProblem(
            NAMES["unmask"], f"names {name!r}, which is never {'shown in clear' if kind in NEVER_SHOWN else 'masked'}"
        )
        for name in settings.unmask
        if (kind := kind_of(name)) is not Kind.NUMBER
    ]
