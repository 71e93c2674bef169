"""Numbers and secrets inside text: found by their value, or by the words before them."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from finexio_mcp.guards.cleaning import clean
from finexio_mcp.shapes import is_array, is_object

HIDDEN = "****"
MASKED = re.compile(r"\*{4}.{0,4}(?: \(changed\))?", re.DOTALL)
LEAST_SECRET = 6
"""Shorter values are masked by name alone: by value they would hit ordinary zip codes and counts."""
TAIL_CHARS = 4
LONG_PASSWORD = 8
LONGEST = 500


@dataclass(frozen=True)
class Secrets:
    """What was found under sensitive names in one answer, letters and digits alone."""

    numbers: frozenset[str] = frozenset()
    """Digits only."""
    lengths: tuple[int, ...] = ()
    """Those that numbers have, longest first."""
    others: tuple[str, ...] = ()
    """With letters, longest first."""
    passwords: tuple[str, ...] = ()
    """As they are, longest first."""
    hidden: frozenset[str] = frozenset()
    """Identity numbers of people, of which nothing may be seen."""
    hidden_lengths: tuple[int, ...] = ()
    hidden_parts: frozenset[str] = frozenset()
    """What the mask of another number would show of one of them."""
    people: bool = False
    """Whether something of a person was among it: a date in a sentence about it may be one of birth."""

    def __bool__(self) -> bool:
        return bool(self.numbers or self.others or self.passwords or self.hidden)


def bare(text: str) -> str:
    """Letters and digits alone, in one form."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return "".join(filter(str.isalnum, text)).casefold()


def mask(value: Any) -> str:
    """`****` and the last four characters."""
    text = value if isinstance(value, str) else str(value)
    if MASKED.fullmatch(text):
        return text
    visible = "".join(character for character in clean(text, limit=LONGEST) if character.isalnum())
    return HIDDEN + visible[-TAIL_CHARS:]


def mask_text(text: str, secrets: Secrets, *, name: str | None = None) -> str:
    """Mask secrets in a text, and in free text what the words before a number give away.

    Args:
        text: Clean of characters that hide things.
        secrets: What has to be covered.
        name: For free text: the key that stands before it, if it is somebody's own word.
    """
    # What nothing may be seen of comes first: other masks would leave the end of it.
    if secrets.hidden or secrets.passwords:
        text = hide_values(text, secrets)
    if name is not None:
        text = mask_named(name, text)
    return mask_values(text, secrets)


# By value --------------------------------------------------------------------

Span = tuple[int, int, bool]
"""From where to where, and whether nothing of it may be seen."""
MANY_DIGITS = re.compile(rf"\d(?:[\W_]*\d){{{LEAST_SECRET - 1},}}")


def hide_values(text: str, secrets: Secrets) -> str:
    """Cover passwords, and identity numbers even inside longer words and numbers."""
    text = hide_passwords(text, secrets.passwords)
    if not secrets.hidden:
        return text
    plain = one_form(text)
    spans = sorted(_hidden_in(plain, secrets)) if DIGIT.search(plain) else []
    return _cover(plain, _apart(spans)) if spans else text


def mask_beside(value: Any, secrets: Secrets) -> str:
    """A masked number, without its end if that would show a part of an identity number: it may be the same one."""
    masked = mask(value)
    if not secrets.hidden:
        return masked
    tells = bare(masked) in secrets.hidden_parts or hide_values(str(value), secrets) != str(value)
    return HIDDEN if tells else masked


def mask_values(text: str, secrets: Secrets) -> str:
    """Mask each number that stands in the text as a whole, whatever separates its characters."""
    plain = text if text.isascii() else unicodedata.normalize("NFKC", text)
    if secrets.numbers:
        spans = [span for run in MANY_DIGITS.finditer(plain) for span in _numbers_in(run, secrets)]
        if spans:
            text = plain = _cover(plain, spans)
    if secrets.others:
        letters = bare(plain)
        for secret in secrets.others:
            if secret in letters:
                text = plain = _cover(plain, _others_in(plain, secret))
                letters = bare(plain)
    return text


def telling(password: str) -> bool:
    """Whether a password is more than a short word, which ordinary text holds and a hole in it would give away."""
    return len(password) >= LONG_PASSWORD or (len(password) > 3 and not (password.isalpha() and password.islower()))


def hide_passwords(text: str, passwords: Iterable[str]) -> str:
    """The text without passwords, as they are or as JSON writes them."""
    for password in passwords:
        for form in {password, json.dumps(password, ensure_ascii=False)[1:-1]}:
            text = text.replace(form, HIDDEN)
    return text


def hide_in(value: Any, passwords: Collection[str]) -> Any:
    """JSON data without passwords in its texts; names, numbers and the shape stay."""
    if isinstance(value, str):
        return hide_passwords(value, passwords)
    if is_object(value):
        return {key: hide_in(item, passwords) for key, item in value.items()}
    return [hide_in(item, passwords) for item in value] if is_array(value) else value


def one_form(text: str) -> str:
    """Characters that are written otherwise and mean the same, digits of other scripts too."""
    if text.isascii():
        return text
    plain = unicodedata.normalize("NFKC", text)
    return "".join(str(unicodedata.decimal(one)) if one.isdecimal() else one for one in plain)


def _hidden_in(text: str, secrets: Secrets) -> Iterator[Span]:
    letters = [(folded, at) for at, one in enumerate(text) if one.isalnum() for folded in one.casefold()]
    whole = "".join(folded for folded, _ in letters)
    for start in range(len(whole)):
        for length in secrets.hidden_lengths:
            if (found := whole[start : start + length]) in secrets.hidden:
                yield letters[start][1], letters[start + len(found) - 1][1] + 1, True
                break


def _numbers_in(run: re.Match[str], secrets: Secrets) -> Iterator[Span]:
    """Where secrets stand in a run of digits. A part of a longer unbroken number is another number."""
    text, places = run.string, [at for at in range(run.start(), run.end()) if run.string[at].isdecimal()]
    digits = "".join(str(unicodedata.decimal(text[at])) for at in places)
    at = 0
    while at < len(digits):
        for length in secrets.lengths:
            if digits[at : at + length] in secrets.numbers and at + length <= len(digits):
                first, last = places[at], places[at + length - 1]
                if _stands_alone(text, first, last):
                    yield first, last + 1, False
                    at += length - 1
                    break
        at += 1


def _others_in(text: str, secret: str) -> Iterator[Span]:
    pattern = r"[\W_]*".join(map(re.escape, secret))
    for match in re.finditer(pattern, text, re.IGNORECASE):
        if _stands_alone(text, match.start(), match.end() - 1):
            yield *match.span(), False


def _stands_alone(text: str, first: int, last: int) -> bool:
    before = text[first - 1] if first else " "
    after = text[last + 1] if last + 1 < len(text) else " "
    return not before.isalnum() and not after.isalnum()


def _cover(text: str, spans: Iterable[Span]) -> str:
    parts: list[str] = []
    end = 0
    for first, last, whole in spans:
        parts += [text[end:first], HIDDEN if whole else mask(text[first:last])]
        end = last
    return "".join([*parts, text[end:]])


# By context ------------------------------------------------------------------

REACH = 20
"""How far behind the word a number still belongs to it."""

TELLING = re.compile(
    r"(?<![a-z])(?:account(?!ing|ant|able)|acct|routing|(?:a/c|aba|iban|(?P<person>ssn)|ein|tin)(?![a-z])|tax[ _-]?id)",
    re.IGNORECASE,
)
NUMBER = re.compile(r"\d(?:[ \-./,_]{0,3}\d)*")
DIGIT = re.compile(r"\d")
LEAST_ACCOUNT = 5
LONG_NUMBER = re.compile(rf"\d(?:[ \-./_]?\d){{{LEAST_ACCOUNT - 1},}}")
DATE = re.compile(
    r"(?:19|20)\d\d[-/.](?:0?[1-9]|1[0-2])[-/.](?:0?[1-9]|[12]\d|3[01])"
    r"|(?:0?[1-9]|[12]\d|3[01])[-/.](?:0?[1-9]|[12]\d|3[01])[-/.](?:19|20)?\d\d"
)
ANY_DATE = re.compile(
    rf"(?<!\d)(?:{DATE.pattern}|(?:19|20)\d\d(?:[01]\d[0-3]\d|\W{{1,2}}[01]?\d\W{{1,2}}[0-3]?\d))(?!\d)"
    r"|(?:\b[A-Z][a-z]{2,8}\.? \d\d?|(?<!\d)\d\d? [A-Z][a-z]{2,8}\.?),? (?:19|20)\d\d(?!\d)"
)
"""Also run together, as Python prints one, and with the month as a word."""
MONEY = re.compile(r"\d{1,3}(?:,\d{3})*\.\d{2}|\d+\.\d{2}")
OTHER_NUMBER = re.compile(
    r"(?<![a-z])(?:invoices?|inv|bill|p\.?o|order|check|cheque|payment|tracking|phone|tel|fax|zip|\$|usd)"
    r"(?:\s+(?:no|number|num|id))?[\s.:#-]*$",
    re.IGNORECASE,
)
SOCIAL_SECURITY = re.compile(r"(?<!\d)(?<!\d-)\d{3}-\d{2}-\d{4}(?!\d)(?!-\d)")
CARD = re.compile(r"(?<!\d)\d(?:[ -]?\d){12,18}(?!\d)")


def mask_context(text: str) -> str:
    """Mask numbers that the words before them, or their own shape, give away."""
    if not DIGIT.search(text):
        return text
    spans: set[Span] = {(*match.span(), True) for match in SOCIAL_SECURITY.finditer(text)}
    spans |= {(*match.span(), False) for match in CARD.finditer(text) if _passes_luhn(match[0])}
    for word in TELLING.finditer(text):
        whole = word["person"] is not None
        spans.update((*span, whole) for span in _numbers_behind(text, word.end()))
    return _cover(text, _apart(sorted(spans))) if spans else text


def mask_named(name: str, text: str) -> str:
    """Mask the value of a key of somebody's own, such as `account`, as if the key stood before it."""
    return mask_context(f"{name} {text}")[len(name) + 1 :] if TELLING.search(name) else mask_context(text)


def _numbers_behind(text: str, start: int) -> Iterator[tuple[int, int]]:
    for number in NUMBER.finditer(text, start):
        if number.start() - start > REACH:
            return
        digits = sum(map(str.isdecimal, number[0]))
        ordinary = DATE.fullmatch(number[0]) or MONEY.fullmatch(number[0])
        if digits >= LEAST_ACCOUNT and not ordinary and not OTHER_NUMBER.search(text, start, number.start()):
            yield number.span()


def _apart(spans: list[Span]) -> Iterator[Span]:
    """Spans that overlap, as one."""
    current: Span | None = None
    for span in spans:
        if current is None or span[0] >= current[1]:
            if current is not None:
                yield current
            current = span
        else:
            current = (current[0], max(current[1], span[1]), current[2] or span[2])
    if current is not None:
        yield current


def _passes_luhn(text: str) -> bool:
    digits = [int(character) for character in reversed(text) if character.isdecimal()]
    doubled = (sum(divmod(digit * 2, 10)) for digit in digits[1::2])
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0
