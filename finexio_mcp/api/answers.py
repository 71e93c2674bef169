"""What Finexio's answers mean: JSON or not, a refusal and its reasons, when to come back."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import islice
from typing import Any, NamedTuple

import httpx2
from pydantic_core import from_json

from finexio_mcp.errors import (
    FinexioError,
    NotAuthorized,
    NotExecuted,
    NotFound,
    OutcomeUnknown,
    PermissionDenied,
    Problem,
    RateLimited,
    Rejected,
    Unavailable,
    Unreadable,
)
from finexio_mcp.shapes import deeper_than, is_array, is_object

MAX_DEPTH = 40
MAX_VENDOR_PROBLEMS = 500
MAX_RETRY_AFTER_SECONDS = 86_400.0

TEMPORARY = frozenset({408, 425, 429, 500, 502, 503, 504})
REFUSED = frozenset({400, 401, 403, 404, 413, 415, 422})
"""Statuses of a write that say: read, and refused."""
PROBLEM_DETAILS = frozenset({"type", "title", "status", "detail", "instance", "errors"})
BAD_CREDENTIALS = re.compile(r"invalid username/password|credentials were not provided", re.IGNORECASE)


class NotJson(ValueError):
    """A body that is no JSON, or no JSON that can be used."""


def parse(body: bytes) -> Any:
    """The JSON in a body; `None` for an empty one.

    Raises:
        NotJson: For anything else: HTML, half an answer, NaN, nesting without end.
    """
    if not body.strip():
        return None
    try:
        # Stops by itself at some 200 levels; what is shown of them is bounded on the way out.
        return from_json(body, allow_inf_nan=False)
    except ValueError:
        return _parse_leniently(body)


def _parse_leniently(body: bytes) -> Any:
    """One broken character in one name must not hide a page of payments."""

    def refuse(constant: str) -> Any:
        raise NotJson(constant)

    try:
        value = json.loads(body.decode("utf-8", errors="replace"), parse_constant=refuse)
        if deeper_than(value, MAX_DEPTH):
            raise NotJson("nested too deeply")
        return value
    except (ValueError, RecursionError):
        raise NotJson("no JSON") from None


def retry_after(headers: httpx2.Headers) -> float | None:
    """Seconds that Finexio asks to wait, if that can be read and makes sense."""
    text = headers.get("retry-after", "").strip()
    try:
        seconds = float(text) if text[:1].isdigit() else (parsedate_to_datetime(text) - _now()).total_seconds()
    except (ValueError, TypeError):
        return None
    return max(seconds, 0.0) if -MAX_RETRY_AFTER_SECONDS < seconds <= MAX_RETRY_AFTER_SECONDS else None


def _now() -> datetime:
    return datetime.now(UTC)


# Refusals --------------------------------------------------------------------


def _sentences(value: Any, path: str) -> Iterator[Problem]:
    """Every sentence in an error body, with the field that it belongs to."""
    if isinstance(value, str):
        if value.strip():
            yield Problem(path, value)
    elif is_object(value):
        for key, inner in value.items():
            nameless = key in {"detail", "non_field_errors", "errors", "message", "error"}
            yield from _sentences(inner, path if nameless else f"{path}.{key}" if path else key)
    elif is_array(value):
        for index, inner in enumerate(value):
            # [{}, {...}] is positional; ["...", "..."] are reasons.
            yield from _sentences(inner, f"{path}[{index}]" if isinstance(inner, dict) else path)


def vendor_problems(body: Any, rows: str | None = None) -> list[Problem]:
    """What Finexio says is wrong, in its words; `rows` is the argument that a positional array follows."""
    if is_object(body) and body.keys() <= PROBLEM_DETAILS and ("detail" in body or "title" in body):
        body = {"detail": body.get("detail") or body.get("title"), "errors": body.get("errors")}
    path = rows if rows and is_array(body) else ""
    return list(dict.fromkeys(islice(_sentences(body, path), MAX_VENDOR_PROBLEMS)))


def refusal(status: int, body: Any, *, rows: str | None = None) -> FinexioError | None:
    """What a status that says no means, for a read and for a write alike; `None` if it says something else."""
    problems = vendor_problems(body, rows)
    said = " ".join(problem.problem for problem in problems)
    if status == 401 or (status == 403 and BAD_CREDENTIALS.search(said)):
        return NotAuthorized(
            "Finexio does not accept the user name and password. The operator must correct this account's "
            "(FINEXIO_USERNAME and FINEXIO_PASSWORD, or what the accounts file says) for this FINEXIO_ENVIRONMENT; "
            "calling again will not help.",
            http_status=status,
        )
    if status == 403:
        return PermissionDenied(
            "Finexio does not allow this API user to do this. Ask Finexio for the permission.",
            problems=problems,
            http_status=status,
        )
    if status == 404:
        return NotFound(
            "Finexio has no such record for this account. Check an id with the list tool that shows it.",
            http_status=status,
        )
    if status in {400, 409, 413, 415, 422}:
        reasons = "`fields` holds its reasons." if problems else "It gave no reason."
        return Rejected(f"Finexio refused the request. {reasons}", problems=problems, http_status=status)
    return None


def failed_read(response: httpx2.Response, body: bytes) -> FinexioError:
    """What an answer outside 2xx to a GET means."""
    status = response.status_code
    if status == 429:
        return RateLimited(
            "Finexio asks for fewer requests. Call again later.",
            http_status=status,
            retry_after_seconds=retry_after(response.headers),
        )
    if status in TEMPORARY or status >= 500:
        return Unavailable(
            "Finexio cannot answer at the moment; nothing changed. Call again later.",
            http_status=status,
            retry_after_seconds=retry_after(response.headers),
        )
    if (said := _said(status, body)) and (error := refusal(status, said.body)):
        return error
    return Unreadable(
        "Finexio's address answered with something unexpected. The operator should check FINEXIO_BASE_URL.",
        http_status=status,
    )


def failed_write(response: httpx2.Response, body: bytes, rows: str | None) -> FinexioError:
    """What an answer outside 2xx to a write means: refused, provably not run, or unknown."""
    status = response.status_code
    if status == 429:
        return NotExecuted(
            "Finexio turned the request away unread because there were too many. Nothing was done; call again later.",
            http_status=status,
            retry_after_seconds=retry_after(response.headers),
        )
    if status in REFUSED and (said := _said(status, body)) and (error := refusal(status, said.body, rows=rows)):
        return error
    return OutcomeUnknown(unknown_outcome("Finexio answered with an error that does not say"), http_status=status)


class _Said(NamedTuple):
    """What Finexio itself said with a refusal."""

    body: Any


def _said(status: int, body: bytes) -> _Said | None:
    """The JSON of a refusal; `None` for the page of some proxy, which knows nothing about records and payments."""
    try:
        return _Said(parse(body))
    except NotJson:
        # Asking for credentials needs no words of Finexio's.
        return _Said(None) if status == 401 else None


def unknown_outcome(reason: str) -> str:
    """The one sentence for a write that may have happened."""
    return (
        f"The outcome is unknown: {reason} whether it was done. It may have happened. Do not send it again in any "
        "form; look at the records first, and tell the user that it is unknown."
    )
