"""What travels: HTTP/1.1 as bytes over a socket, and the messages of each revision of the protocol in it."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tests.web.serving import PATIENCE_SECONDS, Site

Header = tuple[str, str]
Headers = Iterable[Header]
Wire = Literal["mcp", "sse"]

MODERN = "2026-07-28"
HANDSHAKES = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
REVISIONS = (*HANDSHAKES, MODERN)
NAMED = {"tools/call": "name"}
"""Methods whose header `Mcp-Name` repeats a parameter."""
ME = {"name": "test", "version": "1"}
ACCEPT: Header = ("Accept", "application/json, text/event-stream")
JSON: Header = ("Content-Type", "application/json")


@dataclass(frozen=True)
class Reply:
    """One HTTP answer, whole."""

    status: int
    headers: Mapping[str, str]
    """Lower-case names."""
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def message(self) -> dict[str, Any]:
        """The JSON-RPC message in it, in either wrapping."""
        if self.headers.get("content-type", "").startswith("text/event-stream"):
            (found,) = [json.loads(data) for event, data in events(self.body.decode()) if event == "message"]
            return found
        return self.json

    @property
    def result(self) -> dict[str, Any]:
        return self.message["result"]

    @property
    def content(self) -> dict[str, Any]:
        """Of a tool's answer."""
        return self.result["structuredContent"]


def events(text: str) -> Iterator[tuple[str, str]]:
    """Name and data of each server-sent event."""
    for block in text.replace("\r\n", "\n").split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if line[:1] not in {":", ""})
        if fields:
            yield fields.get("event", "message"), fields.get("data", "")


# HTTP --------------------------------------------------------------------------


def head(method: str, target: str, headers: Headers) -> bytes:
    """The head of a request, exactly so."""
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def connect(site: Site) -> socket.socket:
    """A connection that waits for nothing for ever."""
    return socket.create_connection(site.address, PATIENCE_SECONDS)


def send(site: Site, data: bytes, *, half_close: bool = False) -> Reply:
    """One connection, these bytes, one answer."""
    with connect(site) as sock:
        sock.sendall(data)
        if half_close:
            sock.shutdown(socket.SHUT_WR)
        return read(sock, data.partition(b" ")[0].decode())


def read(sock: socket.socket, method: str = "POST") -> Reply:
    """The next answer on a connection."""
    with http.client.HTTPResponse(sock, method=method) as response:
        response.begin()
        # A stream that was opened has no end.
        endless = method == "GET" and response.headers.get_content_type() == "text/event-stream"
        body = b"" if endless else response.read()
        return Reply(response.status, {name.lower(): value for name, value in response.getheaders()}, body)


def request(
    site: Site, method: str, target: str, headers: Headers = (), body: bytes | None = None, *, host: str | None = None
) -> Reply:
    """An ordinary request, but for what is said."""
    length = [] if body is None else [("Content-Length", str(len(body)))]
    named = [("Host", site.host if host is None else host), *headers, *length]
    return send(site, head(method, target, named) + (body or b""))


def bearer(token: str | None) -> list[tuple[str, str]]:
    return [] if token is None else [("Authorization", f"Bearer {token}")]


# MCP over Streamable HTTP --------------------------------------------------------


def message(revision: str, method: str, params: Mapping[str, Any] | None = None, *, number: Any = 1) -> dict[str, Any]:
    """A JSON-RPC request as a client of this revision makes it."""
    params = dict(params or {})
    if revision == MODERN:
        about = {"protocolVersion": MODERN, "clientInfo": ME, "clientCapabilities": {}}
        params["_meta"] = {f"io.modelcontextprotocol/{name}": value for name, value in about.items()}
    return {"jsonrpc": "2.0", "id": number, "method": method, **({"params": params} if params else {})}


def headers_for(revision: str, method: str, params: Mapping[str, Any] | None = None) -> list[tuple[str, str]]:
    """What a client of this revision says in headers."""
    headers = [ACCEPT, JSON]
    if revision in {"2025-06-18", "2025-11-25"} and method != "initialize":
        headers.append(("MCP-Protocol-Version", revision))
    if revision == MODERN:
        headers += [("MCP-Protocol-Version", revision), ("Mcp-Method", method)]
        headers += [("Mcp-Name", str((params or {})[NAMED[method]]))] if method in NAMED else []
    return headers


def post(
    site: Site, revision: str, method: str, params: Mapping[str, Any] | None = None, *, token: str | None = None
) -> Reply:
    """One request to /mcp."""
    body = json.dumps(message(revision, method, params)).encode()
    return request(site, "POST", "/mcp", [*headers_for(revision, method, params), *bearer(token)], body)


def call(
    site: Site, revision: str, tool: str, arguments: Mapping[str, Any] | None = None, *, token: str | None = None
) -> Reply:
    """One tool call to /mcp."""
    return post(site, revision, "tools/call", {"name": tool, "arguments": dict(arguments or {})}, token=token)


def hello(revision: str) -> dict[str, Any]:
    """What `initialize` says."""
    return {"protocolVersion": revision, "capabilities": {}, "clientInfo": ME}


def pieces_of_call(
    site: Site, revision: str, tool: str, arguments: Mapping[str, Any], *, token: str | None = None
) -> tuple[bytes, bytes]:
    """Head and body of a call that somebody sends in a way of his own."""
    params = {"name": tool, "arguments": dict(arguments)}
    body = json.dumps(message(revision, "tools/call", params)).encode()
    headers = [("Host", site.host), *headers_for(revision, "tools/call", params), *bearer(token)]
    return head("POST", "/mcp", [*headers, ("Content-Length", str(len(body)))]), body


# MCP over server-sent events -----------------------------------------------------


class Stream:
    """An open /sse. Use it as a context manager."""

    def __init__(self, site: Site, *, token: str | None = None, headers: Headers = ()) -> None:
        self._site, self._bearer = site, bearer(token)
        self._sock = connect(site)
        named = [("Host", site.host), ("Accept", "text/event-stream"), *self._bearer, *headers]
        self._sock.sendall(head("GET", "/sse", named))
        self._response = http.client.HTTPResponse(self._sock, method="GET")
        self._response.begin()
        self.status = self._response.status
        self.headers = {name.lower(): value for name, value in self._response.getheaders()}
        self._number = 0

    def __enter__(self) -> Stream:
        if self.status == http.HTTPStatus.OK:
            name, self.endpoint = self._event()
            assert name == "endpoint"
        return self

    def __exit__(self, *_error: object) -> None:
        self._response.close()
        self._sock.close()

    def _event(self) -> tuple[str, str]:
        lines: list[str] = []
        while line := self._response.readline().decode():
            lines.append(line)
            if not line.strip():
                if found := list(events("".join(lines))):
                    return found[0]
                lines.clear()
        raise EOFError("the stream has ended")

    def rest(self) -> bytes:
        """All that comes until it ends."""
        return self._response.read()

    def say(self, body: dict[str, Any], headers: Headers = ()) -> Reply:
        """One message to the other end; the answer comes on the stream."""
        named = [JSON, *self._bearer, *headers]
        return request(self._site, "POST", self.endpoint, named, json.dumps(body).encode())

    def hear(self) -> dict[str, Any]:
        """The next message."""
        name, data = self._event()
        assert name == "message"
        return json.loads(data)

    def ask(self, revision: str, method: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """A request and its answer."""
        self._number += 1
        assert self.say(message(revision, method, params, number=self._number)).status == http.HTTPStatus.ACCEPTED
        answer = self.hear()
        assert answer["id"] == self._number
        return answer

    def shake_hands(self, revision: str) -> dict[str, Any]:
        """Begin as clients of the handshake era do; those of the other just ask."""
        if revision == MODERN:
            return {}
        result = self.ask(revision, "initialize", hello(revision))["result"]
        self.say({"jsonrpc": "2.0", "method": "notifications/initialized"})
        return result

    def call(self, revision: str, tool: str, arguments: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """A tool call: the content of its answer."""
        params = {"name": tool, "arguments": dict(arguments or {})}
        return self.ask(revision, "tools/call", params)["result"]["structuredContent"]
