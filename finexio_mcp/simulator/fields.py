"""Field rules in the manner of Django REST framework, which Finexio's answers give away."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal, cast
from urllib.parse import urlsplit
from uuid import UUID

Verb = Literal["create", "replace", "patch"]
Errors = dict[str, Any]
Clean = Callable[[Any], Any]


class Invalid(Exception):
    """A value breaks its field's rule. `problem` is what stands under the field's name."""

    def __init__(self, problem: Any) -> None:
        super().__init__(problem)
        self.problem = [problem] if isinstance(problem, str) else problem


@dataclass(frozen=True)
class Field:
    """One writable field.

    `required` on which verbs; `fallback` is its value when a create or a full replace leaves it out.
    A field that must be there on create but may be left out of a replace keeps its value then.
    """

    clean: Clean
    required: tuple[Verb, ...] = ()
    fallback: Any = None


@dataclass(frozen=True)
class Needs:
    """`fields` must have a value when each field of `when` has one of its values, and each of `given` any at all."""

    fields: tuple[str, ...]
    when: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    given: tuple[str, ...] = ()

    def missing(self, record: Mapping[str, Any]) -> list[str]:
        applies = all(record.get(name) in values for name, values in self.when.items())
        if applies and all(has_value(record, name) for name in self.given):
            return [name for name in self.fields if not has_value(record, name)]
        return []

    def concerns(self, names: Sequence[str]) -> bool:
        return any(name in (*self.when, *self.given, *self.fields) for name in names)


def has_value(record: Mapping[str, Any], name: str) -> bool:
    return record.get(name) not in (None, "")


REQUIRED = "This field is required."
BLANK = "This field may not be blank."
UNIQUE = "This field must be unique."


def apply(schema: Mapping[str, Field], body: Any, verb: Verb) -> tuple[dict[str, Any], Errors]:
    """Read the known keys of a body; unknown ones vanish without a word.

    Returns the values (complete on create and replace, as far as sent on patch) and the errors by field.
    """
    if not isinstance(body, Mapping):
        kind = type(body).__name__
        return {}, {"non_field_errors": [f"Invalid data. Expected a dictionary, but got {kind}."]}
    sent = cast("Mapping[str, Any]", body)
    values: dict[str, Any] = {}
    errors: Errors = {}
    for name, rule in schema.items():
        if name in sent:
            try:
                values[name] = _read(rule, sent[name])
            except Invalid as exc:
                errors[name] = exc.problem
        elif verb in rule.required:
            errors[name] = [REQUIRED]
        elif verb == "create" or (verb == "replace" and not rule.required):
            values[name] = copy(rule.fallback)
    return values, errors


def _read(rule: Field, value: Any) -> Any:
    if value is None:
        if rule.required:
            raise Invalid("This field may not be null.")
        return copy(rule.fallback)
    if value == "" and rule.required:
        raise Invalid(BLANK)
    return rule.clean(value)


def unmet(conditions: Sequence[Needs], record: Mapping[str, Any], touched: Sequence[str] | None = None) -> Errors:
    """Conditional rules that a record breaks; with `touched`, only those that these fields bear on."""
    return {
        name: [REQUIRED]
        for rule in conditions
        if touched is None or rule.concerns(touched)
        for name in rule.missing(record)
    }


# What a value may be. Each of these makes a function that returns the stored value or raises Invalid.


def text(limit: int | None = None, *, pattern: str | None = None, problem: str = "Enter a valid value.") -> Clean:
    allowed = re.compile(pattern) if pattern else None

    def clean(value: Any) -> str:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise Invalid("Not a valid string.")
        written = str(value)
        if limit is not None and len(written) > limit:
            raise Invalid(f"Ensure this field has no more than {limit} characters.")
        if allowed and written and not allowed.fullmatch(written):
            raise Invalid(problem)
        return written

    return clean


def email(limit: int | None = 50) -> Clean:
    return text(limit, pattern=r"[^@\s,]+@[^@\s,]+\.[^@\s,]+", problem="Enter a valid email address.")


def emails(value: Any) -> str:
    """One address or several in one string, separated by commas."""
    written: str = text()(value)
    for address in written.split(",") if written else []:
        # Between two commas there is an address too, so nothing is no address here.
        email(None)(address.strip() or "nobody")
    return written


def digits(limit: int) -> Clean:
    return text(limit, pattern="[0-9]+", problem="Only digits are allowed.")


def choice(*values: str) -> Clean:
    def clean(value: Any) -> str:
        if value in values or value == "":
            return value
        raise Invalid(f'"{value}" is not a valid choice.')

    return clean


def whole(low: int, high: int) -> Clean:
    def clean(value: Any) -> int:
        number = _integer(value)
        if number < low:
            raise Invalid(f"Ensure this value is greater than or equal to {low}.")
        if number > high:
            raise Invalid(f"Ensure this value is less than or equal to {high}.")
        return number

    return clean


def _integer(value: Any) -> int:
    # The framework also takes "10" and 10.0 for 10.
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and re.fullmatch(r"-?\d{1,18}", value):
        return int(value)
    raise Invalid("A valid integer is required.")


def number(value: Any) -> Any:
    try:
        return value if isinstance(value, int) and not isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        raise Invalid("A valid number is required.") from None


def flag(value: Any) -> bool:
    written = str(value).lower() if isinstance(value, bool | int | str) else ""
    if written in ("true", "1", "yes", "on", "t", "y"):
        return True
    if written in ("false", "0", "no", "off", "f", "n"):
        return False
    raise Invalid("Must be a valid boolean.")


def yes(value: Any) -> bool:
    if not flag(value):
        raise Invalid("Must be true.")
    return True


def day(value: Any) -> str:
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d{2}-\d{2}", value):
        try:
            return date.fromisoformat(value).isoformat()
        except ValueError:
            pass
    raise Invalid("Date has wrong format. Use one of these formats instead: YYYY-MM-DD.")


def url(value: Any) -> str:
    written: str = text(2000)(value)
    parts = urlsplit(written)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Invalid("Enter a valid URL.")
    return written


def uuid(value: Any) -> str:
    try:
        return str(UUID(value))
    except (TypeError, ValueError, AttributeError):
        raise Invalid("Must be a valid UUID.") from None


def metadata(*, key_limit: int | None = None, value_limit: int | None = None) -> Clean:
    """An object of strings and whole numbers, or with limits of short strings; JSON text holding one is taken too."""
    kinds, allowed = (str | int | None, "strings or integers") if value_limit is None else (str | None, "strings")

    def clean(value: Any) -> dict[str, Any]:
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except (ValueError, RecursionError):
                raise Invalid("Value must be valid JSON.") from None
        if not isinstance(value, dict):
            raise Invalid("Expected a dictionary of items.")
        for name, item in cast("dict[str, Any]", value).items():
            check(name, item)
        return cast("dict[str, Any]", value)

    def check(name: str, item: Any) -> None:
        if key_limit is not None and (len(name) > key_limit or name.startswith("_")):
            raise Invalid(f"Keys have at most {key_limit} characters and do not begin with an underscore.")
        if isinstance(item, bool) or not isinstance(item, kinds):
            raise Invalid(f"Values must be {allowed}.")
        if value_limit is not None and len(str(item or "")) > value_limit:
            raise Invalid(f"Values have at most {value_limit} characters.")

    return clean


def rows_of(schema: Mapping[str, Field], *, conditions: Sequence[Needs] = ()) -> Clean:
    """A nested array of objects; its errors are positional, with `{}` for a good row."""

    def clean(value: Any) -> list[dict[str, Any]]:
        if not isinstance(value, list):
            raise Invalid({"non_field_errors": [f'Expected a list of items but got type "{type(value).__name__}".']})
        read = [apply(schema, row, "create") for row in cast("list[Any]", value)]
        errors = [problems or unmet(conditions, values) for values, problems in read]
        if any(errors):
            raise Invalid(errors)
        return [values for values, _ in read]

    return clean
