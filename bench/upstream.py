"""A stand-in for Finexio that answers from prepared bytes, so that it is not what is measured.

Run as `python -m bench.upstream`: it prints its base URL and ends with its input. `/stats` tells what was asked, and
`/delay/MS` makes every later answer wait.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from typing import Any

from bench.records import identifier, invoice, payment, stored

INVOICES = 20_000
PAGE_ROWS = 100
PAGES = INVOICES // PAGE_ROWS
PAYMENTS = 100
FOREIGN = "https://api.finexio-stage.com/v2/invoices/"

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
BATCH = b"POST /v2/invoices/batch/"
STATS = b"GET /stats"
DELAY = b"GET /delay/"


def _dump(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _answer(body: bytes, status: bytes = b"200 OK") -> bytes:
    head = b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % (status, len(body)) + body


def _link(number: int) -> bytes:
    return _dump(f"{FOREIGN}?page={number}" if 1 <= number <= PAGES else None)


def _prepare() -> dict[bytes, bytes]:
    """Every answer to a GET, by method and target."""
    answers: dict[bytes, bytes] = {}
    for number in range(1, PAGES + 1):
        rows: list[bytes] = []
        for index in range((number - 1) * PAGE_ROWS, number * PAGE_ROWS):
            record = invoice(index)
            rows.append(_dump(record))
            answers[b"GET /v2/invoices/%b/" % record["id"].encode()] = _answer(rows[-1])
        page = b'{"count":%d,"next":%b,"previous":%b,"results":[%b]}'
        body = page % (INVOICES, _link(number + 1), _link(number - 1), b",".join(rows))
        answers[b"GET /v2/invoices/?page=%d" % number] = _answer(body)
    answers[b"GET /v2/invoices/"] = answers[b"GET /v2/invoices/?page=1"]
    for index in range(PAYMENTS):
        record = payment(index)
        answers[b"GET /v2/payments/%b/" % record["id"].encode()] = _answer(_dump(record))
    return answers


class Books:
    """Prepared answers, and counts of what was asked."""

    def __init__(self) -> None:
        self._answers = _prepare()
        self._missing = _answer(b'{"detail":"Not found."}', b"404 Not Found")
        self._submitted = INVOICES
        self.requests = 0
        self.connections = 0
        self.delay_seconds = 0.0

    def answer(self, line: bytes, body: bytes) -> bytes:
        """The whole answer to a request line, without its version."""
        if line == STATS:
            return _answer(_dump({"requests": self.requests, "connections": self.connections}))
        if line.startswith(DELAY):
            self.delay_seconds = int(line.removeprefix(DELAY)) / 1000
            return _answer(b"null")
        self.requests += 1
        if line == BATCH:
            return _answer(self._submit(json.loads(body)), b"201 Created")
        return self._answers.get(line, self._missing)

    def _submit(self, rows: list[dict[str, Any]]) -> bytes:
        first, self._submitted = self._submitted, self._submitted + len(rows)
        return _dump([stored(row, identifier("invoice", first + index)) for index, row in enumerate(rows)])


class Connection(asyncio.Protocol):
    """As much HTTP/1.1 as well-behaved clients need."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._books.connections += 1

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            length = LENGTH.search(self._received, 0, end + 2)
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(self._received) < whole:
                return
            line = bytes(self._received[: self._received.find(b" HTTP/1.1\r\n")])
            body = bytes(self._received[end + 4 : whole])
            del self._received[:whole]
            answer = self._books.answer(line, body)
            if delay := self._books.delay_seconds:
                asyncio.get_running_loop().call_later(delay, self._transport.write, answer)
            else:
                self._transport.write(answer)


async def serve() -> None:
    """Serve on a free port of this machine until the input ends."""
    loop = asyncio.get_running_loop()
    books = Books()
    server = await loop.create_server(lambda: Connection(books), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    print(f"http://127.0.0.1:{port}/v2", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(serve())
