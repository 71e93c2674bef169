"""Saying no as the RFCs have it: a code for programs and a sentence of ours, and nothing that was sent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from finexio_mcp.access.book import AccessUnavailable

RETRY_AFTER_SECONDS = 10
UNAVAILABLE = "Sign-ins cannot be looked up at the moment; try again later."

Endpoint = Callable[[Request], Awaitable[Response]]


class Refused(Exception):
    """A request that is refused."""

    def __init__(self, error: str, description: str, *, status: int = 400) -> None:
        super().__init__(error)
        self.error, self.description, self.status = error, description, status


def retry_after(status: int) -> dict[str, str]:
    """The header that says when to come back, where that makes sense."""
    return {"Retry-After": str(RETRY_AFTER_SECONDS)} if status in {429, 503} else {}


def in_json(endpoint: Endpoint) -> Endpoint:
    """The endpoint, with its refusals as programs read them."""

    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except Refused as refused:
            return _json(refused.status, refused.error, refused.description)
        except AccessUnavailable:
            return _json(503, "temporarily_unavailable", UNAVAILABLE)

    return answer


def _json(status: int, error: str, description: str) -> JSONResponse:
    return JSONResponse(
        {"error": error, "error_description": description},
        status_code=status,
        headers={"Cache-Control": "no-store", **retry_after(status)},
    )
