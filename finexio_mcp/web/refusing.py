"""Saying no over HTTP, in words of ours and in the shape that the one who asked reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from mcp_types import HEADER_MISMATCH, INTERNAL_ERROR, INVALID_REQUEST
from starlette.responses import JSONResponse
from starlette.types import Scope

from finexio_mcp.web.rules import MCP_PATH, MESSAGES_PATH

SERVER_FAULTS = 500
"""From this status on it is not the client's mistake."""
MISMATCH = "header_mismatch"


class Refused(Exception):
    """A request that is answered without being looked at further."""

    def __init__(self, status: int, error: str, message: str) -> None:
        super().__init__(error)
        self.status, self.error, self.message = status, error, message


def refusal(status: int, error: str, description: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The answer to a request that is refused, as OAuth has it.

    Args:
        status: Of HTTP.
        error: A code for programs.
        description: A sentence for people.
        headers: Further headers.
    """
    return JSONResponse({"error": error, "error_description": description}, status, dict(headers or {}))


def rpc_refusal(status: int, error: str, description: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The same to an MCP client, which shows the reason of a failure only if it is an error of JSON-RPC."""
    code = HEADER_MISMATCH if error == MISMATCH else INVALID_REQUEST if status < SERVER_FAULTS else INTERNAL_ERROR
    told = {"code": code, "message": description, "data": {"error": error}}
    return JSONResponse({"jsonrpc": "2.0", "id": None, "error": told}, status, dict(headers or {}))


def refusal_for(scope: Scope) -> Callable[..., JSONResponse]:
    """How whoever makes this request reads a refusal."""
    path = scope["path"].removeprefix(scope.get("root_path", ""))
    return rpc_refusal if path.rstrip("/") == MCP_PATH or path.startswith(MESSAGES_PATH) else refusal
