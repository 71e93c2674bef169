"""The little HTTP that is spoken with an authorization server: one request, one JSON object, all of it bounded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import anyio
import httpx2

from finexio_mcp.access.objects import read_object

MAX_BYTES = 1 << 20
TOTAL_SECONDS = 5.0
TIMEOUT = httpx2.Timeout(connect=3.0, read=4.0, write=3.0, pool=3.0)
LIMITS = httpx2.Limits(max_connections=20, max_keepalive_connections=5)
HEADERS = {"accept": "application/json", "accept-encoding": "identity"}
NEVER_CONNECTED = (httpx2.ConnectError, httpx2.ConnectTimeout)


class Reply(NamedTuple):
    """What came back; `body` is `None` unless it is a JSON object within bounds."""

    status: int
    body: dict[str, Any] | None


class NoReply(NamedTuple):
    """Nothing came back."""

    connected: bool


def http_client() -> httpx2.AsyncClient:
    """A client that goes where it is told and nowhere else: no proxy, no redirect, no credentials of the machine."""
    return httpx2.AsyncClient(trust_env=False, verify=True, follow_redirects=False, timeout=TIMEOUT, limits=LIMITS)


async def ask(
    http: httpx2.AsyncClient,
    url: str,
    *,
    form: Mapping[str, str] | None = None,
    authorization: str | None = None,
) -> Reply | NoReply:
    """GET, or POST a form.

    Failures are returned, not raised: exceptions of the HTTP client hold the request, and so the token in it.
    """
    if http.is_closed:
        return NoReply(connected=False)
    headers = HEADERS if authorization is None else {**HEADERS, "authorization": authorization}
    try:
        with anyio.fail_after(TOTAL_SECONDS):
            request = http.build_request("GET" if form is None else "POST", url, data=form, headers=headers)
            request.extensions["timeout"] = TIMEOUT.as_dict()
            response = await http.send(request, stream=True, auth=None, follow_redirects=False)
            try:
                return Reply(response.status_code, await _body(response))
            finally:
                await response.aclose()
    except NEVER_CONNECTED:
        return NoReply(connected=False)
    except (TimeoutError, httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError):
        return NoReply(connected=True)


async def _body(response: httpx2.Response) -> dict[str, Any] | None:
    # Packed, a few bytes could become any number before they were counted.
    if response.headers.get("content-encoding", "identity") != "identity":
        return None
    data = bytearray()
    async for chunk in response.aiter_bytes():
        data += chunk
        if len(data) > MAX_BYTES:
            return None
    return read_object(bytes(data))
