"""What can be looked up of a query: ids, numbers and names. Nothing else of it is understood, or pretended to be."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from finexio_mcp.guards.cleaning import clean
from finexio_mcp.tools.chatgpt import KINDS, MAX_QUERY_CHARS

MAX_TERM_CHARS = 100
"""The longest text that the filters take."""
LEAST_WORD = 3
"""Shorter words are in too many names to be looked for alone."""
LEAST_NUMBER = 3
"""Shorter ones, beside other words, are part of a name."""

QUOTED = re.compile(r'["“”„«»]([^"“”„«»]+)["“”„«»]')
EDGES = ",;:!?'’`()[]{}<>#"
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
DRAWDOWN = re.compile(r"DJ[0-9A-Z]{8,}|U\d{3}-\d{3}-\d{3}[0-9A-Z]", re.IGNORECASE)
TRACKING = re.compile(r"RC[0-9A-Z]{8,}", re.IGNORECASE)
SHAPES: Sequence[tuple[re.Pattern[str], tuple[str, ...]]] = (
    (UUID, ("invoice", "payment", "counterparty")),
    (re.compile(r"inv_\w+"), ("invoice",)),
    (re.compile(r"pmt_\w+|[A-Za-z]{64}"), ("payment",)),
)
"""What an id looks like, and of what it may be one."""
BESIDE = re.compile(
    r"[$€£].*|(19|20)\d\d|\d{4}-\d\d?-\d\d?|\d{1,2}/\d{1,2}/\d{2,4}|\d[\d.,]*\.\d\d|\*+\d+|\d{1,2}(st|nd|rd|th)"
)
"""Money, years, days and masked numbers: numbers of nothing that can be looked up, unless they are the whole query."""

COMMON = frozenset(
    """
    a about account accounts ach all an and any ap are as at bank became become been between bill bills bought buyer
    buyers by can card check checks co company corp counterparties counterparty date debit debits do does drawdown
    drawdowns due find for from funding get give happened has have how i id in inc incorporated info invoice
    invoices is it last latest limited list llc ltd me money month most much my no not number of on open or order
    our over overdue paid pay payable payee payees payment payments pending please recent search settled show since
    status supplier suppliers tell that the their this to today tracking transaction transactions under unpaid until
    us vendor vendors via was we week were what when where which who why wire with year yesterday you
    january february march april may june july august september october november december
    jan feb mar apr jun jul aug sep sept oct nov dec q1 q2 q3 q4
    """.split()  # noqa: SIM905
)
"""Words of questions, not of names."""


@dataclass(frozen=True)
class Terms:
    """What to look up, in the order in which it stands in the query."""

    whole: str
    alone: bool = False
    """Whether there is but one thing in it."""
    ids: tuple[tuple[tuple[str, ...], str], ...] = ()
    """Kinds, and an id that may be of any of them."""
    tracked: tuple[str, ...] = ()
    """Numbers that look like tracking ids."""
    drawn: tuple[str, ...] = ()
    """Numbers that look like ids of drawdowns."""
    numbers: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    """Words that stand together, and may be part of a name."""


def read(query: str) -> Terms:
    """Take a query apart."""
    whole = " ".join(clean(query, limit=MAX_QUERY_CHARS, single_line=True).split())
    phrases = [" ".join(found.split()) for found in QUOTED.findall(whole)]
    runs = list(_runs(QUOTED.sub(" \n ", whole)))
    words = [word for run in runs for word in run]
    alone = len(words) + len(phrases) == 1
    ids = {word: kinds for word in [*phrases, *words] if (kinds := _kinds(word))}
    numbers = [
        word for word in [*phrases, *words] if word not in ids and (_is_number(word) if not alone else _has_digit(word))
    ]
    names = [*phrases, *(" ".join(run) for run in runs if run)]
    if not alone:
        # A number alone is no name; where it is all there is, it may be one (3M).
        names = [*phrases, *(" ".join(part) for run in runs for part in _without(run, {*ids, *numbers}))]
    if not (ids or numbers or names) and whole:
        names = [whole.strip(EDGES + '"') or whole]
    return Terms(
        whole=whole,
        alone=alone,
        ids=tuple((kinds, word.partition(":")[2] or word) for word, kinds in ids.items()),
        tracked=_once(word for word in numbers if TRACKING.fullmatch(word)),
        drawn=_once(word for word in numbers if DRAWDOWN.fullmatch(word)),
        numbers=_once(word for word in numbers if not TRACKING.fullmatch(word) and not DRAWDOWN.fullmatch(word)),
        names=_once(
            name for name in names if name not in ids and not TRACKING.fullmatch(name) and not DRAWDOWN.fullmatch(name)
        ),
    )


def same(left: object, right: object) -> bool:
    """Whether two numbers or names are one, however they are written."""
    return plain(left) == plain(right) != ""


def plain(value: object) -> str:
    """A text in one form: no matter how its letters, and the blanks between, are written."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    return " ".join(unicodedata.normalize("NFKC", str(value)).casefold().split())


def words_of(name: str) -> list[str]:
    """The words of a name that may be looked for alone, the longest first."""
    return sorted({word: None for word in name.split() if len(word) >= LEAST_WORD}, key=len, reverse=True)


def _runs(text: str) -> Iterator[list[str]]:
    """Words that stand together, between those of no use."""
    tokens = [token.strip(EDGES) for token in re.split(r"([\n,;?!])|\s+", text) if token]
    for useful, run in groupby(tokens, key=_is_useful):
        if useful:
            *inner, last = run
            yield [*inner, last.rstrip(".")]


def _is_useful(token: str) -> bool:
    bare = token.strip().strip(".")
    return bool(bare) and bare.casefold() not in COMMON


def _without(run: list[str], others: set[str]) -> Iterator[list[str]]:
    for named, part in groupby(run, key=lambda word: word not in others and not BESIDE.fullmatch(word)):
        if named:
            yield list(part)


def _kinds(word: str) -> tuple[str, ...]:
    kind, _, key = word.partition(":")
    if key and kind in KINDS:
        return (kind,)
    return next((kinds for shape, kinds in SHAPES if shape.fullmatch(word)), ())


def _has_digit(word: str) -> bool:
    return any(character.isdecimal() for character in word)


def _is_number(word: str) -> bool:
    return _has_digit(word) and len(word) >= LEAST_NUMBER and not BESIDE.fullmatch(word)


def _once(words: Iterator[str]) -> tuple[str, ...]:
    """Each once, however it is written, and none that no filter takes."""
    return tuple({plain(word): word for word in words if 0 < len(word) <= MAX_TERM_CHARS and plain(word)}.values())
