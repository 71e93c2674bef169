"""A request as it arrived and an answer as it leaves, free of any HTTP library."""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast
from urllib.parse import parse_qsl, unquote

API_PREFIX = "/v2"
JSON_TYPE = "application/json"
DRIPS = 16


@dataclass(frozen=True)
class Received:
    """One complete request."""

    method: str
    path: str
    """Percent-encoded, as it travelled."""
    query_string: str = ""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """Lower-case names."""
    body: bytes = b""
    address: str = "127.0.0.1"

    @property
    def api_path(self) -> str:
        return self.path.removeprefix(API_PREFIX)

    @property
    def plain_path(self) -> str:
        return unquote(self.path)

    @cached_property
    def query(self) -> tuple[tuple[str, str], ...]:
        return tuple(parse_qsl(self.query_string, keep_blank_values=True))

    @cached_property
    def json(self) -> Any:
        """The body as JSON, or None: for the journal and for matching, never for handling."""
        try:
            return json.loads(self.body) if self.body else None
        except (ValueError, RecursionError):
            return None

    @cached_property
    def credentials(self) -> tuple[str, str] | None:
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "basic":
            return None
        try:
            user, colon, password = base64.b64decode(token, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        return (user, password) if colon else None


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


class Refusal(Exception):
    """An answer outside 2xx, raised from wherever it is found out."""

    def __init__(self, status: int, body: Any = None) -> None:
        super().__init__(status)
        self.status, self.body = status, body


def not_found() -> Refusal:
    return Refusal(404, {"detail": "Not found."})


def json_answer(value: Any, status: int = 200) -> Answer:
    return Answer(status, json.dumps(value, separators=(",", ":")).encode(), {"content-type": JSON_TYPE})


def empty_answer(status: int) -> Answer:
    return Answer(status)


def html_answer(status: int, title: str) -> Answer:
    body = f"<!doctype html>\n<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>\n"
    return Answer(status, body.encode(), {"content-type": "text/html; charset=utf-8"})


def refusal_answer(refusal: Refusal) -> Answer:
    return empty_answer(refusal.status) if refusal.body is None else json_answer(refusal.body, refusal.status)


def drips(body: bytes) -> list[bytes]:
    """A body in the pieces of a slow answer."""
    size = max(1, -(-len(body) // DRIPS))
    return [body[start : start + size] for start in range(0, len(body), size)]


def answer_headers(answer: Answer) -> list[tuple[bytes, bytes]]:
    headers = dict(answer.headers)
    if answer.status not in (204, 304):
        headers.setdefault("content-length", str(len(answer.body)))
    return [(name.encode(), value.encode()) for name, value in headers.items()]


def read_body(request: Received) -> Any:
    """Decode a body in the three encodings that every write of Finexio takes."""
    declared = request.headers.get("content-type", JSON_TYPE)
    kind = declared.partition(";")[0].strip().lower()
    if kind == JSON_TYPE:
        return _read_json(request.body)
    if kind == "application/x-www-form-urlencoded":
        return dict(parse_qsl(request.body.decode(errors="replace"), keep_blank_values=True))
    if kind == "multipart/form-data":
        return _read_multipart(declared, request.body)
    raise Refusal(415, {"detail": f'Unsupported media type "{declared}" in request.'})


def array_of(body: Any) -> list[Any]:
    if not isinstance(body, list):
        raise Refusal(400, {"non_field_errors": [f'Expected a list of items but got type "{type(body).__name__}".']})
    return cast("list[Any]", body)


def _read_json(body: bytes) -> Any:
    if not body:
        return {}
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as exc:
        raise Refusal(400, {"detail": f"JSON parse error - {exc}"}) from None


def _read_multipart(declared: str, body: bytes) -> dict[str, str]:
    from email.parser import BytesParser

    message = BytesParser().parsebytes(b"Content-Type: " + declared.encode() + b"\r\n\r\n" + body)
    form: dict[str, str] = {}
    for part in message.get_payload() if message.is_multipart() else []:
        name = part.get_param("name", header="content-disposition")  # pyright: ignore
        form[str(name)] = part.get_payload(decode=True).decode(errors="replace")  # pyright: ignore
    return form
