"""Judges one exchange with Finexio by the description in `finexio.yaml`, knowing nothing of how requests are built."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, NoReturn, cast
from urllib.parse import unquote, urlsplit

import yaml
from jsonschema.exceptions import ValidationError
from jsonschema_path import SchemaPath
from openapi_core import V31RequestValidator, V31ResponseValidator
from openapi_core.datatypes import RequestParameters
from openapi_core.deserializing.media_types.exceptions import MediaTypeDeserializeError
from openapi_core.validation.request.exceptions import ParameterValidationError, SecurityValidationError
from openapi_core.validation.schemas.exceptions import InvalidSchemaValue
from werkzeug.datastructures import Headers, ImmutableMultiDict

Violations = list[str]

BASE_PATH = "/v2"
DESCRIPTION = Path(__file__).with_name("finexio.yaml")
METHODS = ("get", "post", "put", "patch", "delete")

VARIABLE = re.compile(r"\{(\w+)\}")
# One path segment as RFC 3986 has it: nothing raw that would have had to be encoded.
SEGMENT = r"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@]|%[0-9A-Fa-f]{2})"
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# A library casts `yes` and `1_0` without a word; on the wire we hold to what JSON would write.
LITERALS = {"integer": re.compile(r"-?(0|[1-9][0-9]*)"), "boolean": re.compile(r"true|false")}

DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
STAMP = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}", re.ASCII)
MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:\d{2})?)?", re.ASCII)
MAIL = re.compile(r"[^@\s,]+@[^@\s,]+\.[^@\s,]+")


@dataclass(frozen=True)
class Route:
    """One path of the description, its methods and how to recognise it."""

    template: str
    item: Mapping[str, Any]
    pattern: re.Pattern[str]

    @property
    def variables(self) -> list[str]:
        return VARIABLE.findall(self.template)


@dataclass
class Exchange:
    """A request, and perhaps its answer, as the library wants to see them."""

    method: str
    path: str
    parameters: RequestParameters
    content_type: str = ""
    body: bytes | None = None
    host_url: str = ""
    status_code: int = 0
    data: bytes | None = None

    @property
    def headers(self) -> Headers:
        return Headers()


def check(
    method: str, raw_path: str, query: Sequence[tuple[str, str]], headers: Mapping[str, str], body: bytes
) -> Violations:
    """Everything the description has against a request; an empty list is a good request.

    Args:
        method: In any case.
        raw_path: As sent, percent-encoded, with the base path and without the query.
        query: Decoded pairs in the order sent.
        headers: As sent; `authorization` and `content-type` matter.
        body: The bytes sent, `b""` for none.
    """
    found = _find(method, raw_path)
    if isinstance(found, str):
        return [found]
    route, operation = found
    values, violations = _path_values(route, raw_path)
    if violations:
        return violations
    violations = _query_violations(route, operation, query)
    if body and "requestBody" not in operation:
        violations.append("body: none is described here")
    sent = {name.lower(): value for name, value in headers.items()}
    request = Exchange(
        method=method.lower(),
        path=raw_path,
        parameters=RequestParameters(path=values, query=ImmutableMultiDict(query), header=Headers(sent)),
        content_type=sent.get("content-type", ""),
        body=body or None,
        host_url=_host(),
    )
    return violations + _explain(_request_judge().iter_errors(request))


def check_answer(method: str, path: str, status: int, body: bytes) -> Violations:
    """Everything the description has against an answer to `method` on the raw `path`."""
    found = _find(method, path)
    if isinstance(found, str):
        return [found]
    _, operation = found
    described = _resolve(operation["responses"].get(str(status)) or operation["responses"].get(f"{status // 100}XX"))
    if described is None:
        return [f"status: {status} is not described, {', '.join(operation['responses'])} are"]
    if "content" not in described:
        return ["body: none is described here"] if body else []
    if not body:
        return [] if described.get("x-may-be-empty") else ["body: missing"]
    exchange = Exchange(
        method=method.lower(),
        path=path,
        parameters=RequestParameters(),
        content_type="application/json",
        host_url=_host(),
        status_code=status,
        data=body,
    )
    return _explain(_answer_judge().iter_errors(exchange, exchange))


def operation_id(method: str, raw_path: str) -> str | None:
    """The name of the operation that a request means, if it means one."""
    found = _find(method, raw_path)
    return None if isinstance(found, str) else str(found[1]["operationId"])


@cache
def description() -> dict[str, Any]:
    return yaml.load(DESCRIPTION.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


@cache
def routes() -> tuple[Route, ...]:
    return tuple(Route(path, item, _pattern(path)) for path, item in description()["paths"].items())


@cache
def _request_judge() -> V31RequestValidator:
    return V31RequestValidator(
        SchemaPath.from_dict(description()),
        extra_format_validators=FORMATS,
        extra_media_type_deserializers={"application/json": _strict_json},
    )


@cache
def _answer_judge() -> V31ResponseValidator:
    return V31ResponseValidator(
        SchemaPath.from_dict(description()),
        extra_format_validators=FORMATS,
        extra_media_type_deserializers={"application/json": _strict_json},
    )


def _host() -> str:
    return str(description()["servers"][0]["url"]).removesuffix(BASE_PATH)


# Where a request goes.


def _pattern(template: str) -> re.Pattern[str]:
    pieces = VARIABLE.split(template)
    literals, names = pieces[::2], pieces[1::2]
    text = re.escape(literals[0])
    for name, literal in zip(names, literals[1:], strict=True):
        text += f"(?P<{name}>{SEGMENT}+){re.escape(literal)}"
    return re.compile(text)


@cache
def _reserved() -> frozenset[str]:
    """Words that are path segments themselves: as an id they mean that a slash went wrong."""
    segments = (segment for route in routes() for segment in route.template.split("/"))
    return frozenset(segment for segment in segments if segment and not VARIABLE.fullmatch(segment))


def _find(method: str, raw_path: str) -> tuple[Route, Mapping[str, Any]] | str:
    base = next((base for base in (BASE_PATH, "") if _is_served(method, raw_path, base)), None)
    if base is None:
        return f"path: does not start with {BASE_PATH}"
    path = raw_path.removeprefix(base)
    route = _match(path)
    if route is None:
        other = _match(path.removesuffix("/") if path.endswith("/") else f"{path}/")
        return f"path: the slash is wrong, it is {other.template}" if other else "path: not described"
    operation = _operation(method, route)
    if operation is None:
        return f"method: {method.upper()} is not described for {route.template}"
    return route, operation


def _is_served(method: str, raw_path: str, base: str) -> bool:
    """The usual base serves everything; another one only what the description puts there."""
    if base == BASE_PATH:
        return raw_path.startswith(f"{base}/")
    route = _match(raw_path.removeprefix(base))
    operation = _operation(method, route) if route else None
    servers: list[Mapping[str, str]] = operation.get("servers", []) if operation else []
    return any(urlsplit(server["url"]).path == base for server in servers)


def _operation(method: str, route: Route) -> Mapping[str, Any] | None:
    return route.item.get(method.lower()) if method.lower() in METHODS else None


def _match(path: str) -> Route | None:
    fitting = [route for route in routes() if _fits(route, path)]
    return min(fitting, key=lambda route: len(route.variables), default=None)


def _fits(route: Route, path: str) -> bool:
    match = route.pattern.fullmatch(path)
    return match is not None and _reserved().isdisjoint(match.groupdict().values())


def _path_values(route: Route, raw_path: str) -> tuple[dict[str, str], Violations]:
    match = route.pattern.fullmatch(raw_path.removeprefix(BASE_PATH))
    values = {name: unquote(value) for name, value in (match.groupdict() if match else {}).items()}
    bad = [name for name, value in values.items() if value in {".", ".."} or CONTROL.search(value)]
    return values, [f"path {name}: not a value that can stand in a path" for name in bad]


# What a request carries.


def _query_violations(route: Route, operation: Mapping[str, Any], query: Sequence[tuple[str, str]]) -> Violations:
    declared = _query_types(route, operation)
    names = [name for name, _ in query]
    violations = [f"query {name}: not described" for name in sorted({*names} - {*declared})]
    violations += [f"query {name}: sent more than once" for name in sorted({n for n in names if names.count(n) > 1})]
    for name, value in query:
        literal = LITERALS.get(declared.get(name, ""))
        if literal and not literal.fullmatch(value):
            violations.append(f"query {name}: not written as a JSON {declared[name]}")
    if operation.get("x-needs-a-parameter") and not query:
        violations.append("query: at least one parameter is needed")
    return violations


def _query_types(route: Route, operation: Mapping[str, Any]) -> dict[str, str]:
    parameters = [*route.item.get("parameters", []), *operation.get("parameters", [])]
    resolved = [_resolve(parameter) for parameter in parameters]
    return {item["name"]: item["schema"]["type"] for item in resolved if item["in"] == "query"}


def _resolve(node: Any) -> Any:
    if not node or "$ref" not in node:
        return node
    target: Any = description()
    for key in str(node["$ref"]).removeprefix("#/").split("/"):
        target = target[key]
    return target


def _strict_json(content: bytes, **_: str) -> Any:
    """JSON without what Python forgives: repeated keys, NaN, and `100.0` passing for whole cents."""
    return json.loads(content, object_pairs_hook=_unique, parse_float=Decimal, parse_constant=_refuse)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError("a key twice")
    return dict(pairs)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


def _explain(errors: Iterable[Exception]) -> Violations:
    return [line for error in errors for line in _lines(error)]


def _lines(error: Exception) -> Iterator[str]:
    """The library nests its reasons; the innermost ones say what is wrong."""
    where = "body"
    if isinstance(error, ParameterValidationError):
        where = f"{error.location} {error.name}"
    elif isinstance(error, SecurityValidationError):
        where = "header authorization"
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, InvalidSchemaValue):
        cause = cause.__cause__
    if cause is None:
        # The library's own sentence about a body it cannot decode would decode it to say so.
        unreadable = isinstance(error.__cause__, MediaTypeDeserializeError)
        yield f"{where}: {'no JSON that two parties would read alike' if unreadable else error.__cause__ or error}"
        return
    for problem in cause.schema_errors:
        yield from _problem_lines(where, problem)


def _problem_lines(where: str, problem: Exception) -> Iterator[str]:
    if not isinstance(problem, ValidationError):
        yield f"{where}: {problem}"
    elif problem.validator == "anyOf":
        yield f"{where}{problem.json_path.removeprefix('$')}: none of the described shapes, of which the nearest:"
        for nearest in _nearest(problem):
            yield from _problem_lines(where, nearest)
    else:
        yield f"{where}{problem.json_path.removeprefix('$')}: {problem.message[:300]}"


def _nearest(problem: ValidationError) -> list[ValidationError]:
    branches: dict[Any, list[ValidationError]] = {}
    for inner in problem.context or []:
        branches.setdefault(inner.schema_path[0], []).append(inner)
    return min(branches.values(), key=_distance)


def _distance(found: list[ValidationError]) -> tuple[bool, int]:
    """A shape of another type altogether is further away than one in which some fields are wrong."""
    other = any(error.validator in {"type", "additionalProperties"} and not error.relative_path for error in found)
    return other, len(found)


# What the formats of the description mean.


Format = Callable[[Any], bool]


def _text(*tests: Callable[[str], bool]) -> Format:
    """A format speaks of strings alone; any one of the tests will do."""
    return lambda value: not isinstance(value, str) or any(test(value) for test in tests)


def _is_blank(value: str) -> bool:
    return value == ""


def _is_date(value: str) -> bool:
    return bool(DATE.fullmatch(value)) and _reads(value)


def _is_stamp(value: str) -> bool:
    return bool(STAMP.fullmatch(value)) and _reads(value)


def _is_moment(value: str) -> bool:
    return bool(MOMENT.fullmatch(value)) and _reads(value)


def _reads(value: str) -> bool:
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


def _is_mail(value: str) -> bool:
    return bool(MAIL.fullmatch(value))


def _are_mails(value: str) -> bool:
    return all(_is_mail(part.strip()) for part in value.split(","))


def _is_metadata(value: str) -> bool:
    """JSON text of an object; its keys and values are as limited as in an object."""
    try:
        found = json.loads(value, object_pairs_hook=_unique, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return False
    if not isinstance(found, dict):
        return False
    items = cast("dict[str, Any]", found).items()
    return all(
        len(key) <= 25 and not key.startswith("_") and (item is None or (isinstance(item, str) and len(item) <= 100))
        for key, item in items
    )


def _is_web_address(value: str) -> bool:
    parts = urlsplit(value)
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and not re.search(r"\s", value)


FORMATS: dict[str, Format] = {
    "date": _text(_is_date),
    "naive-stamp": _text(_is_stamp),
    "date-or-stamp": _text(_is_date, _is_stamp),
    "moment": _text(_is_moment),
    "mail": _text(_is_mail),
    "mail-or-blank": _text(_is_blank, _is_mail),
    "mails-or-blank": _text(_is_blank, _are_mails),
    "metadata-text": _text(_is_metadata),
    "web-address": _text(_is_web_address),
}
