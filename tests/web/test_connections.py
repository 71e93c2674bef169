"""Connections on which nothing whole comes: they end, and they keep no one else out."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Generator

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from finexio_mcp.web import connections, serving
from tests.conftest import simulator_settings
from tests.web.serving import PATIENCE_SECONDS, running

HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\n"
ASK = HEAD + b"\r\n"
MOST = 3


async def _hello(_request: Request) -> PlainTextResponse:
    return PlainTextResponse("hello")


@contextlib.contextmanager
def site() -> Generator[tuple[str, int]]:
    """A small app that takes three connections."""
    app, kind = Starlette(routes=[Route("/", _hello)]), connections.connections(MOST)
    with serving.listen(simulator_settings(FINEXIO_MCP_HTTP_PORT=0)) as sock, running(app, sock, http=kind):
        yield sock.getsockname()[:2]


def come(where: tuple[str, int], says: bytes) -> socket.socket:
    """Somebody who connects and says this much."""
    sock = socket.create_connection(where, timeout=PATIENCE_SECONDS)
    sock.sendall(says)
    return sock


def heard(sock: socket.socket, *, to_the_end: bool = False) -> bytes:
    """One answer, or all that comes until the connection is over."""
    said = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := sock.recv(4096):
            said += piece
            if not to_the_end and said.endswith(b"hello"):
                break
    return said


@pytest.mark.parametrize(
    "says", [b"", b"G", HEAD, b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nhalf"]
)
def test_a_request_that_does_not_come_is_not_waited_for(says: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: a connection does not stay open for ever because somebody says nothing, or half of something."""
    monkeypatch.setattr(connections, "REQUEST_SECONDS", 0.05)
    with site() as where, come(where, says) as sock:
        answered = heard(sock, to_the_end=True)

    # The app may answer before the body is whole; the connection ends all the same.
    assert answered == b"" or answered.startswith(b"HTTP/1.1 405")


def test_a_request_in_pieces_is_answered_and_the_connection_serves_again() -> None:
    """Ours: nobody is cut who goes on in time."""
    with site() as where, come(where, HEAD[:9]) as sock:
        for piece in (HEAD[9:], b"\r\n"):
            sock.sendall(piece)
        first = heard(sock)
        sock.sendall(ASK)
        second = heard(sock)

    assert first.startswith(b"HTTP/1.1 200")
    assert second.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("says", [HEAD, ASK], ids=["half a request", "idle after an answer"])
def test_whoever_has_been_silent_for_longest_makes_room(says: bytes) -> None:
    """Ours: holding connections open shuts nobody out."""
    with site() as where, contextlib.ExitStack() as open_ones:
        silent = [open_ones.enter_context(come(where, says)) for _ in range(MOST)]
        answers = [heard(sock) for sock in silent] if says == ASK else []
        newcomer = open_ones.enter_context(come(where, ASK))
        answer = heard(newcomer)
        first = heard(silent[0])
        silent[-1].sendall(b"\r\n" if says == HEAD else ASK)
        last = heard(silent[-1])

    assert all(each.startswith(b"HTTP/1.1 200") for each in [*answers, answer, last])
    assert first == b""


@pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX")
def test_there_is_room_for_more_than_clients() -> None:
    """Ours: the ledger can be opened however many connections there are."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = connections.make_room()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    assert 0 < most <= connections.MOST
    assert soft == resource.RLIM_INFINITY or soft - most >= min(connections.RESERVE, soft - 1)
    assert hard == before[1]
    assert os.name == "posix"
