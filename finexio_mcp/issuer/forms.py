"""What came in a query or a form: each parameter once, and no more than anybody needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request

from finexio_mcp.issuer.refusals import Refused

MAX_QUERY_CHARS = 16_000
MAX_BODY_BYTES = 64 << 10
MAX_PARAMETERS = 50
FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Parameters:
    """Named texts. One that is sent without a value counts as left out (RFC 6749, 3.1)."""

    values: Mapping[str, Sequence[str]]

    def all(self, name: str) -> Sequence[str]:
        """Each value of a parameter that may come more than once."""
        return self.values.get(name, ())

    def one(self, name: str) -> str | None:
        """The value of a parameter that may come once only.

        Raises:
            Refused: It came more than once.
        """
        values = self.all(name)
        if len(values) > 1:
            raise Refused("invalid_request", f"{name} was sent more than once.")
        return values[0] if values else None

    def needed(self, name: str) -> str:
        """The value of a parameter that has to be there.

        Raises:
            Refused: It is not, or came more than once.
        """
        value = self.one(name)
        if value is None:
            raise Refused("invalid_request", f"{name} is missing.")
        return value


def in_query(request: Request) -> Parameters:
    """The parameters of a query.

    Raises:
        Refused: There is too much of it.
    """
    query = request.url.query
    if len(query) > MAX_QUERY_CHARS:
        raise Refused("invalid_request", "The request is too long.")
    return _parsed(query)


async def in_form(request: Request) -> Parameters:
    """The parameters of a posted form.

    Raises:
        Refused: It is no form, or there is too much of it.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise Refused("invalid_request", f"The body has to be {FORM}.")
    return _parsed((await body_of(request)).decode(errors="replace"))


async def body_of(request: Request) -> bytes:
    """The body, which is never large.

    Raises:
        Refused: It is, or the client left before it was complete.
    """
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                raise Refused("invalid_request", f"The body may have {MAX_BODY_BYTES >> 10} KiB at most.", status=413)
    except ClientDisconnect:
        raise Refused("invalid_request", "The body is not complete.") from None
    return bytes(body)


def _parsed(text: str) -> Parameters:
    values: dict[str, list[str]] = {}
    try:
        for name, value in parse_qsl(text, max_num_fields=MAX_PARAMETERS):
            values.setdefault(name, []).append(value)
    except ValueError:
        raise Refused("invalid_request", f"A request may have {MAX_PARAMETERS} parameters at most.") from None
    return Parameters(values)
