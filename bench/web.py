"""The least of an MCP client over HTTP: prepared requests on connections that stay open, answers read afterwards.

It runs in a thread of its own with plain sockets, so that it takes a small part of what a server takes.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import selectors
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.driver import ANSWER_SECONDS, CLIENT, META, Era, Refused

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
LAST_CHUNK = b"\r\n0\r\n\r\n"
RECEIVED_AT_ONCE = 256 * 1024


@dataclass(frozen=True)
class Post:
    """One request as it goes over the wire, and what tells its answer from any other."""

    id: int
    wire: bytes
    expected: str = ""
    """Stands in a right answer."""
    kind: str = ""
    """What it is counted with."""


class WebDriver:
    """Speaks to one server.

    Args:
        address: Where it listens.
        token: Shown with every request.
    """

    def __init__(self, address: tuple[str, int], token: str | None) -> None:
        self.address, self._token = address, token
        self._ids = itertools.count(1)
        self._lines: list[Line] = []

    def close(self) -> None:
        """Close all connections."""
        for line in self._lines:
            line.sock.close()
        self._lines.clear()

    async def open(self, era: Era) -> None:
        """What the era asks for before the first request: a handshake, or nothing."""
        if era == "2026-07-28":
            return
        asked = {"protocolVersion": era, "capabilities": {}, "clientInfo": CLIENT}
        opening = self.post(era, "initialize", asked)
        read(opening, (await self.exchange([opening]))[0])
        told = self._post(era, {"jsonrpc": "2.0", "method": "notifications/initialized"}, {}, 0, "")
        status, _ = _parts((await self.exchange([told]))[0])
        if status != 202:
            raise Refused(f"the server answered the handshake with {status}")

    def post(self, era: Era, method: str, params: Mapping[str, Any] | None = None, *, expected: str = "") -> Post:
        """One request of either era."""
        params = dict(params or {})
        headers: dict[str, str] = {}
        if era == "2026-07-28":
            params["_meta"] = META
            headers = {"Mcp-Method": method, **({"Mcp-Name": params["name"]} if "name" in params else {})}
        number = next(self._ids)
        message = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        return self._post(era, message, headers, number, expected)

    def _post(self, era: Era, message: Any, headers: Mapping[str, str], number: int, expected: str) -> Post:
        body = json.dumps(message, separators=(",", ":")).encode()
        host, port = self.address
        lines = {
            "Host": f"{host}:{port}",
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
            "MCP-Protocol-Version": era,
            **headers,
            **({"Authorization": f"Bearer {self._token}"} if self._token else {}),
            "Content-Length": str(len(body)),
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        return Post(number, f"POST /mcp HTTP/1.1\r\n{head}\r\n".encode() + body, expected)

    async def exchange(self, posts: Sequence[Post], *, width: int = 1) -> list[bytes]:
        """Send requests, `width` at a time, each on a connection of its own, and collect the answers, unread."""
        return await asyncio.to_thread(self._exchange, posts, width)

    def widen(self, width: int) -> None:
        """Have as many connections."""
        while len(self._lines) < width:
            self._lines.append(Line(self.address))

    def _exchange(self, posts: Sequence[Post], width: int) -> list[bytes]:
        self.widen(width)
        answers = [b""] * len(posts)
        waiting = iter(enumerate(posts))
        places: dict[Line, int] = {}
        with selectors.DefaultSelector() as ready:
            for line in self._lines[:width]:
                if (following := next(waiting, None)) is not None:
                    places[line] = _sent(line, following)
                    ready.register(line.sock, selectors.EVENT_READ, line)
            while ready.get_map():
                found = ready.select(ANSWER_SECONDS)
                if not found:
                    raise Refused(f"a server gave no answer for {ANSWER_SECONDS:.0f} s")
                for key, _ in found:
                    line: Line = key.data
                    if not line.receive():
                        continue
                    answers[places[line]] = bytes(line.received)
                    if (following := next(waiting, None)) is not None:
                        places[line] = _sent(line, following)
                    else:
                        ready.unregister(line.sock)
        return answers


def _sent(line: Line, following: tuple[int, Post]) -> int:
    """Send the next request; gives the place of its answer."""
    place, post = following
    line.send(post)
    return place


class Line:
    """One connection, with at most one request on its way."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.sock = socket.create_connection(address, timeout=ANSWER_SECONDS)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = bytearray()
        self._whole: int | None = None

    def send(self, post: Post) -> None:
        """Send a request; an answer that came before is forgotten."""
        self.received.clear()
        self._whole = None
        self.sock.sendall(post.wire)

    def receive(self) -> bool:
        """Take what has come; whether that makes the answer whole."""
        piece = self.sock.recv(RECEIVED_AT_ONCE)
        if not piece:
            raise Refused("a server closed the connection")
        self.received += piece
        if self._whole is None and (end := self.received.find(b"\r\n\r\n")) >= 0:
            length = LENGTH.search(self.received, 0, end + 2)
            self._whole = end + 4 + int(length[1]) if length else 0
        if self._whole is None:
            return False
        return len(self.received) >= self._whole if self._whole else self.received.endswith(LAST_CHUNK)


def read(post: Post, answer: bytes) -> dict[str, Any]:
    """The result in an answer.

    Raises:
        Refused: It is an error, of HTTP, of the protocol or of the tool, or belongs to another request.
    """
    result = read_any(post, answer)
    if result.get("isError") or post.expected not in json.dumps(result):
        raise Refused(f"the server answered: {json.dumps(result)[:500]}")
    return result


def read_any(post: Post, answer: bytes) -> dict[str, Any]:
    """The result in an answer, be it an error of the tool."""
    status, body = _parts(answer)
    if status == 200:
        message = json.loads(_data(body) if body.startswith(b"event:") else body)
        if message.get("id") == post.id and "result" in message:
            return message["result"]
    raise Refused(f"the server answered {status}: {body[:500].decode(errors='replace')}")


def status_of(answer: bytes) -> int:
    """The status of an answer."""
    return _parts(answer)[0]


def _parts(answer: bytes) -> tuple[int, bytes]:
    head, _, body = answer.partition(b"\r\n\r\n")
    chunked = b"\r\ntransfer-encoding: chunked" in head.lower()
    return int(head.split(b" ", 2)[1]), _joined(body) if chunked else body


def _joined(chunks: bytes) -> bytes:
    whole = b""
    while True:
        size, _, rest = chunks.partition(b"\r\n")
        length = int(size, 16)
        if not length:
            return whole
        whole += rest[:length]
        chunks = rest[length + 2 :]


def _data(events: bytes) -> bytes:
    """What the only event of a stream carries."""
    found = [line.removeprefix(b"data: ") for line in events.splitlines() if line.startswith(b"data: {")]
    if len(found) != 1:
        raise Refused(f"the server sent {len(found)} events for one call")
    return found[0]
