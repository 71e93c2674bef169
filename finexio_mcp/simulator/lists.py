"""Filters and pages, as every list of Finexio has them."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from .books import Record
from .clock import read_stamp, stamp
from .fields import Invalid
from .wire import API_PREFIX, Received, Refusal

PAGE_SIZE = 100

Test = Callable[[Record], bool]
Get = Callable[[Record], Any]


@dataclass(frozen=True)
class Filter:
    """One query parameter. `read` turns what was asked into a test, or raises Invalid."""

    name: str
    read: Callable[[str], Test]


def chosen(filters: Sequence[Filter], request: Received) -> list[Test]:
    """Tests for the filters in a query: different ones narrow, the same one repeated widens.

    Unknown names and empty values are skipped without a word.
    """
    tests: list[Test] = []
    errors: dict[str, Any] = {}
    for rule in filters:
        asked = [value for name, value in request.query if name == rule.name and value != ""]
        try:
            alternatives = [rule.read(value) for value in asked]
        except Invalid as exc:
            errors[rule.name] = exc.problem
            continue
        if alternatives:
            tests.append(_any(alternatives))
    if errors:
        raise Refusal(400, errors)
    return tests


def _any(tests: list[Test]) -> Test:
    return tests[0] if len(tests) == 1 else lambda record: any(test(record) for test in tests)


def narrowed(records: list[Record], tests: Sequence[Test]) -> list[Record]:
    if not tests:
        return records
    return [record for record in records if all(test(record) for test in tests)]


# The kinds of filters.


def exact(name: str, get: Get | None = None) -> Filter:
    def read(asked: str) -> Test:
        return lambda record: (get(record) if get else record.get(name)) == asked

    return Filter(name, read)


def among(name: str, get: Get) -> Filter:
    """Matches when any of several values of a record is the one asked for."""
    return Filter(name, lambda asked: lambda record: asked in get(record))


def contains(name: str) -> Filter:
    return Filter(name, lambda asked: lambda record: asked.lower() in str(record.get(name)).lower())


def one_of(name: str, values: Sequence[str], get: Get, *, any_case: bool = False) -> Filter:
    def read(asked: str) -> Test:
        matches = [value for value in values if value == asked or (any_case and value.lower() == asked.lower())]
        if not matches:
            raise Invalid(f"Select a valid choice. {asked} is not one of the available choices.")
        return lambda record: get(record) == matches[0]

    return Filter(name, read)


def truth(name: str, get: Get) -> Filter:
    def read(asked: str) -> Test:
        wanted = {"true": True, "1": True, "false": False, "0": False}.get(asked.lower())
        return lambda record: wanted is None or bool(get(record)) == wanted

    return Filter(name, read)


def since(name: str, field: str, *, inclusive: bool = True) -> Filter:
    def read(asked: str) -> Test:
        moment = _moment(asked)
        return lambda record: (record.get(field) or "") > moment or (inclusive and record.get(field) == moment)

    return Filter(name, read)


def until(name: str, field: str) -> Filter:
    def read(asked: str) -> Test:
        moment = _moment(asked)
        return lambda record: bool(record.get(field)) and record[field] <= moment

    return Filter(name, read)


def at_least(name: str, field: str) -> Filter:
    def read(asked: str) -> Test:
        amount = _whole(asked)
        return lambda record: record[field] >= amount

    return Filter(name, read)


def at_most(name: str, field: str) -> Filter:
    def read(asked: str) -> Test:
        amount = _whole(asked)
        return lambda record: record[field] <= amount

    return Filter(name, read)


def _moment(asked: str) -> str:
    try:
        # A plus sign that was not encoded arrives as a blank.
        return stamp(read_stamp(asked.replace(" ", "+") if asked.count(":") > 2 else asked))
    except ValueError:
        raise Invalid("Enter a valid date/time.") from None


def _whole(asked: str) -> int:
    if not re.fullmatch(r"-?\d{1,18}", asked):
        raise Invalid("Enter a whole number.")
    return int(asked)


def page_of(
    rows: Sequence[Record], view: Callable[[Record], Record], request: Received, next_host: str
) -> dict[str, Any]:
    """One page in the envelope; `next` and `previous` name a host that is not ours to trust."""
    number = page_number(request, len(rows))
    pages = page_count(len(rows))
    start = (number - 1) * PAGE_SIZE

    def link(to: int) -> str:
        rest = [pair for pair in request.query if pair[0] != "page"]
        return f"{next_host}{API_PREFIX}{request.api_path}?{urlencode([*rest, ('page', to)])}"

    return {
        "count": len(rows),
        "next": link(number + 1) if number < pages else None,
        "previous": link(number - 1) if number > 1 else None,
        "results": [view(row) for row in rows[start : start + PAGE_SIZE]],
    }


def page_count(count: int) -> int:
    return max(1, -(-count // PAGE_SIZE))


def page_number(request: Received, count: int) -> int:
    asked = [value for name, value in request.query if name == "page"]
    if not asked or asked[-1] == "":
        return 1
    if asked[-1] == "last":
        return page_count(count)
    if re.fullmatch(r"\d{1,9}", asked[-1]) and 1 <= int(asked[-1]) <= page_count(count):
        return int(asked[-1])
    raise Refusal(404, {"detail": "Invalid page."})
