"""What a client may send: too much, too slowly, nonsense, and headers that say something else than the body."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterable
from typing import Any

import pytest

from finexio_mcp.hub import Hub
from finexio_mcp.web import edge
from tests.calls import BUYER, PAY, SUPPLIER, WRITES, changes, office
from tests.web.serving import Site, child, served
from tests.web.talking import (
    ACCEPT,
    HANDSHAKES,
    JSON,
    MODERN,
    REVISIONS,
    Header,
    Reply,
    Stream,
    bearer,
    call,
    connect,
    head,
    headers_for,
    message,
    pieces_of_call,
    post,
    read,
    request,
    send,
)

PAYMENTS = "list_all_finexio_payments"
MIB = 1 << 20
ERAS_HERE = ("2025-11-25", MODERN)
READ = {"name": PAYMENTS, "arguments": {"limit": 1}}
MARK = "planted-secret-4711"


def body_of(revision: str, params: dict[str, Any] = READ, **more: Any) -> bytes:
    return json.dumps({**message(revision, "tools/call", params), **more}).encode()


# Size --------------------------------------------------------------------------


def chunked(parts: Iterable[bytes]) -> bytes:
    """As `Transfer-Encoding: chunked` has it, without the end."""
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)


def in_chunks(site: Site, path: str, headers: Iterable[Header], body: bytes, *, ended: bool) -> Reply:
    """A request whose length nobody knows beforehand."""
    parts = [body[start : start + 50_000] for start in range(0, len(body), 50_000)]
    start = head("POST", path, [("Host", site.host), *headers, ("Transfer-Encoding", "chunked")])
    return send(site, start + chunked(parts) + (b"0\r\n\r\n" if ended else b""))


@pytest.mark.parametrize("revision", ERAS_HERE)
def test_a_body_may_have_a_mebibyte_and_not_a_byte_more(revision: str) -> None:
    """Ours: whether its length is told or found out."""
    sim = office()
    with served(sim) as site:
        headers = headers_for(revision, "tools/call", READ)
        most = body_of(revision).ljust(MIB)
        found = {
            "as much": request(site, "POST", "/mcp", headers, most).status,
            "as much, in chunks": in_chunks(site, "/mcp", headers, most, ended=True).status,
        }
        reached = len(sim.journal.requests)
        declared = head("POST", "/mcp", [("Host", site.host), *headers, ("Content-Length", str(MIB + 1))])
        found["more"] = send(site, declared).status
        # What is over comes last, so that the answer finds nobody who is still sending.
        found["more, in chunks"] = in_chunks(site, "/mcp", headers, most + b" ", ended=False).status
        alive = request(site, "GET", "/healthz").status

    assert found == {"as much": 200, "as much, in chunks": 200, "more": 413, "more, in chunks": 413}
    assert (reached, len(sim.journal.requests), alive) == (2, 2, 200)


def test_messages_of_older_clients_have_the_same_bound() -> None:
    """Ours."""
    with served(office()) as site, Stream(site) as stream:
        stream.shake_hands("2025-11-25")
        most = body_of("2025-11-25").ljust(MIB)
        accepted = request(site, "POST", stream.endpoint, [JSON], most).status
        answer = stream.hear()
        declared = head("POST", stream.endpoint, [("Host", site.host), JSON, ("Content-Length", str(MIB + 1))])
        told = send(site, declared).status
        untold = in_chunks(site, stream.endpoint, [JSON], most + b" ", ended=False).status

    assert (accepted, told, untold) == (202, 413, 413)
    assert answer["result"]["structuredContent"]["result_count"] == 1


LENGTHS: dict[str, list[str]] = {
    "no number": ["many"],
    "negative": ["-1"],
    "signed": ["+5"],
    "grouped": ["1_0"],
    "hexadecimal": ["0x10"],
    "empty": [""],
    "two that differ": ["10", "11"],
    "a list": ["10, 11"],
    "enormous": ["9" * 19],
    "longer than any number": ["9" * 5_000],
}


def test_lengths_that_are_none_are_refused() -> None:
    """Ours: two readings of one request are how requests are smuggled."""
    sim = office()
    with served(sim) as site:
        found: dict[str, int] = {}
        for case, lengths in LENGTHS.items():
            headers = [("Host", site.host), ACCEPT, JSON, *(("Content-Length", length) for length in lengths)]
            found[case] = send(site, head("POST", "/mcp", headers)).status
        both = [("Host", site.host), ACCEPT, JSON, ("Content-Length", "5"), ("Transfer-Encoding", "chunked")]
        found["both ways"] = send(site, head("POST", "/mcp", both) + b"0\r\n\r\n").status
        alive = request(site, "GET", "/healthz").status

    assert {case for case, status in found.items() if status not in {400, 413}} == set()
    assert alive == 200
    assert sim.journal.requests == []


@pytest.mark.parametrize("revision", ERAS_HERE)
def test_a_body_that_is_cut_short_is_never_carried_out(revision: str) -> None:
    """Ours: less than was promised is no request, even where what came would parse."""
    sim = office()
    with served(sim) as site:
        key = site.token("pay")
        start, body = pieces_of_call(site, revision, PAY, WRITES[PAY], token=key)
        promised = start.replace(b"Content-Length: %d" % len(body), b"Content-Length: %d" % (len(body) + 1))
        with connect(site) as sock:
            sock.sendall(promised + body)
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(4096):
                pass
        # What is more than was promised is no part of it, and no request of its own.
        less = start.replace(b"Content-Length: %d" % len(body), b"Content-Length: %d" % (len(body) - 1))
        shorter = send(site, less + body).status
        alive = request(site, "GET", "/healthz").status

    assert (shorter, alive) == (400, 200)
    assert sim.journal.requests == []


# Time --------------------------------------------------------------------------


@pytest.mark.parametrize("revision", ERAS_HERE)
def test_a_body_that_does_not_come_is_not_waited_for(revision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: whoever sends half and waits gets a typed answer and no more of our time."""
    monkeypatch.setattr(edge, "BODY_SECONDS", 0.05)
    sim = office()
    with served(sim) as site:
        start, body = pieces_of_call(site, revision, PAYMENTS, {})
        replies: list[Reply] = []
        for part in (b"", body[:20], body[:-1]):
            with connect(site) as sock:
                sock.sendall(start + part)
                replies.append(read(sock))
                closed = sock.recv(1)

    assert [reply.status for reply in replies] == [408] * 3
    assert all(b"request_timeout" in reply.body for reply in replies)
    assert closed == b""
    assert sim.journal.requests == []


def test_a_message_of_an_older_client_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: and its stream stays open for better ones."""
    with served(office()) as site, Stream(site) as stream:
        stream.shake_hands("2025-11-25")
        monkeypatch.setattr(edge, "BODY_SECONDS", 0.05)
        status = send(
            site, head("POST", stream.endpoint, [("Host", site.host), JSON, ("Content-Length", "100")]) + b"{"
        ).status
        monkeypatch.setattr(edge, "BODY_SECONDS", 20.0)
        content = stream.call("2025-11-25", PAYMENTS, {"limit": 1})

    assert status == 408
    assert content["result_count"] == 1


@pytest.mark.parametrize("revision", ERAS_HERE)
def test_a_client_that_says_no_more_is_answered_or_gone_but_nobody_else_notices(revision: str) -> None:
    """Known gap: uvicorn takes a connection that is closed on one side for a client that left."""
    sim = office()
    with served(sim) as site:
        start, body = pieces_of_call(site, revision, PAYMENTS, {})
        with connect(site) as sock:
            sock.sendall(start + body)
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(1 << 16):
                pass
        again = call(site, revision, PAYMENTS)

    assert again.status == 200
    assert again.content["result_count"] == 1


# Nonsense ----------------------------------------------------------------------

GARBAGE: dict[str, bytes] = {
    "nothing": b"",
    "blanks": b"   ",
    "half a string": f'"{MARK}'.encode(),
    "a form": f"name={MARK}&tool=pay".encode(),
    "no UTF-8": b"\xff\xfe" + MARK.encode(),
    "UTF-16": json.dumps({"jsonrpc": "2.0", "id": 1, "method": MARK}).encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf{}",
    "null": b"null",
    "a number": b"4711",
    "a string": f'"{MARK}"'.encode(),
    "an empty object": b"{}",
    "an empty batch": b"[]",
    "another object": json.dumps({MARK: MARK}).encode(),
    "deep lists": b"[" * 200_000,
    "deep lists that end": b"[" * 100_000 + b"]" * 100_000,
    "deep objects": b'{"a":' * 100_000,
    "a huge number": b"9" * 100_000,
    "a huge id": b'{"jsonrpc":"2.0","method":"tools/list","id":' + b"9" * 5_000 + b"}",
    "an id that is none": json.dumps({"jsonrpc": "2.0", "id": {MARK: 1}, "method": "tools/list"}).encode(),
    "another version": json.dumps({"jsonrpc": MARK, "id": 1, "method": "tools/list"}).encode(),
    "no version": b'{"id":1,"method":"tools/list"}',
    "a method that is none": json.dumps({"jsonrpc": "2.0", "id": 1, "method": [MARK]}).encode(),
    "an answer": json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"a": MARK}}).encode(),
    "trailing text": body_of("2025-11-25") + MARK.encode(),
    "two messages": body_of("2025-11-25") * 2,
}


@pytest.mark.parametrize("revision", ERAS_HERE)
def test_nonsense_is_refused_in_words_of_ours_and_reaches_nothing(revision: str) -> None:
    """Ours: no server dies of it, and no answer repeats it (T4, C4)."""
    sim = office()
    with served(sim) as site:
        headers = headers_for(revision, "tools/call", READ)
        found = {case: request(site, "POST", "/mcp", headers, body) for case, body in GARBAGE.items()}
        alive = call(site, revision, PAYMENTS).status
        reached = len(sim.journal.requests)

    # An answer is taken and dropped, as is what the handshake era takes for a notification.
    dropped = {"an answer", "an id that is none"} if revision != MODERN else set[str]()
    assert {case: reply.status for case, reply in found.items()} == {
        case: 202 if case in dropped else 400 for case in GARBAGE
    }
    assert not any(MARK.encode() in reply.body for reply in found.values())
    assert not any(b"Traceback" in reply.body or b"pydantic" in reply.body for reply in found.values())
    assert (alive, reached) == (200, 1)


def test_nonsense_to_a_stream_is_refused_and_the_stream_lives_on() -> None:
    """Ours: what one message got wrong does not end a session."""
    sim = office()
    with served(sim) as site, Stream(site) as stream:
        stream.shake_hands("2025-11-25")
        found = {case: request(site, "POST", stream.endpoint, [JSON], body) for case, body in GARBAGE.items()}
        content = stream.call("2025-11-25", PAYMENTS, {"limit": 1})

    assert {case for case, reply in found.items() if reply.status not in {202, 400}} == set()
    assert not any(MARK.encode() in reply.body for reply in found.values())
    assert content["result_count"] == 1
    assert len(sim.journal.requests) == 1


def a_batch(revision: str) -> bytes:
    calls = [message(revision, "tools/call", {"name": PAY, "arguments": WRITES[PAY]}, number=n) for n in (1, 2)]
    return json.dumps(calls).encode()


@pytest.mark.parametrize("revision", REVISIONS)
def test_batches_are_refused_whole(revision: str) -> None:
    """Documented: JSON-RPC batches left the protocol again; one in which payments hide is carried out nowhere."""
    sim = office()
    with served(sim) as site:
        key = site.token("pay")
        params = {"name": PAY}
        status = request(
            site, "POST", "/mcp", [*headers_for(revision, "tools/call", params), *bearer(key)], a_batch(revision)
        ).status
        with Stream(site, token=key) as stream:
            stream.shake_hands(revision)
            posted = request(site, "POST", stream.endpoint, [JSON, *bearer(key)], a_batch(revision)).status
            listed = stream.ask(revision, "tools/list")

    assert (status, posted) == (400, 400)
    assert "result" in listed
    assert sim.journal.requests == []


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_call_that_expects_no_answer_is_not_carried_out(revision: str) -> None:
    """Ours: a payment whose outcome nobody would be told is not made."""
    sim = office()
    with served(sim) as site:
        key = site.token("pay")
        params = {"name": PAY, "arguments": WRITES[PAY]}
        order = message(revision, "tools/call", params)
        del order["id"]
        headers = [*headers_for(revision, "tools/call", params), *bearer(key)]
        status = request(site, "POST", "/mcp", headers, json.dumps(order).encode()).status
        with Stream(site, token=key) as stream:
            stream.shake_hands(revision)
            stream.say(order)
            listed = stream.ask(revision, "tools/list")

    assert status in {202, 400}
    assert "result" in listed
    assert changes(sim) == []


STRANGE: dict[str, str] = {
    "not a number": '{"invoices": [{"invoice_number": "N-1", "amount_cents": NaN}]}',
    "infinity": '{"invoices": [{"invoice_number": "N-1", "amount_cents": Infinity}]}',
    "a float": '{"invoices": [{"invoice_number": "N-1", "amount_cents": 12500.0}]}',
    "an exponent": '{"invoices": [{"invoice_number": "N-1", "amount_cents": 1e400}]}',
    "beyond 64 bits": '{"invoices": [{"invoice_number": "N-1", "amount_cents": 123456789012345678901234567890}]}',
    "half a character": '{"invoices": [{"invoice_number": "\\ud800", "amount_cents": 12500}]}',
    "a zero byte": '{"invoices": [{"invoice_number": "N\\u0000", "amount_cents": 12500}]}',
    "a list": f'["{MARK}"]',
    "a text": f'"{MARK}"',
    "an unknown argument": f'{{"{MARK}": "{MARK}"}}',
    "deep": '{"invoices": ' + "[" * 500 + "]" * 500 + "}",
}


@pytest.mark.parametrize("revision", ERAS_HERE)
def test_strange_arguments_are_refused_and_not_repeated(revision: str) -> None:
    """Ours: an error names the field and the rule (C4)."""
    sim = office()
    with served(sim) as site:
        key = site.token("pay")
        params = {"name": PAY}
        headers = [*headers_for(revision, "tools/call", params), *bearer(key)]
        found: dict[str, Reply] = {}
        for case, arguments in STRANGE.items():
            body = body_of(revision, {"name": PAY, "arguments": "HERE"}).decode().replace('"HERE"', arguments)
            parties = f'"originating_counterparty_id": "{BUYER}", "receiving_counterparty_id": "{SUPPLIER}", '
            body = body.replace('"invoice_number"', parties + '"invoice_number"')
            found[case] = request(site, "POST", "/mcp", headers, body.encode())

    assert {case for case, reply in found.items() if reply.status not in {200, 400}} == set()
    for case, reply in found.items():
        answer = reply.message
        assert "error" in answer or answer["result"]["isError"], case
        assert MARK.encode() not in reply.body, case
    assert changes(sim) == []


@pytest.mark.parametrize("revision", ERAS_HERE)
def test_what_is_unknown_is_not_repeated(revision: str) -> None:
    """Ours: neither a method's name nor a tool's."""
    with served(office()) as site:
        found = [post(site, revision, MARK), call(site, revision, MARK)]

    assert [reply.message["error"]["code"] for reply in found] == [-32601, -32602]
    assert not any(MARK.encode() in reply.body for reply in found)


@pytest.mark.parametrize("revision", ERAS_HERE)
def test_of_a_key_that_comes_twice_only_one_payment_can_come(revision: str) -> None:
    """Ours: whichever of the two is read, it is read once."""
    sim = office()
    with served(sim) as site:
        key = site.token("pay")
        params = {"name": PAY, "arguments": WRITES[PAY]}
        body = body_of(revision, params).decode()
        twice = body.replace('"name"', f'"name": "{PAYMENTS}", "name"', 1)
        headers = [*headers_for(revision, "tools/call", params), *bearer(key)]
        statuses = [request(site, "POST", "/mcp", headers, twice.encode()).status for _ in range(2)]

    assert set(statuses) <= {200, 400}
    assert len(changes(sim)) <= 1


TYPES: dict[str, list[Header]] = {
    "none": [],
    "text": [("Content-Type", "text/plain")],
    "a form": [("Content-Type", "application/x-www-form-urlencoded")],
    "parts": [("Content-Type", "multipart/form-data; boundary=x")],
    "hidden in another": [("Content-Type", "text/plain; application/json")],
    "after another": [("Content-Type", "text/plain"), JSON],
}


def test_only_json_is_taken() -> None:
    """Ours: what any page may send without asking is refused (no simple requests)."""
    sim = office()
    with served(sim) as site, Stream(site) as stream:
        stream.shake_hands("2025-11-25")
        found: dict[Any, int] = {}
        for case, types in TYPES.items():
            found["sse", case] = request(site, "POST", stream.endpoint, types, body_of("2025-11-25")).status
            for revision in ERAS_HERE:
                usual = [header for header in headers_for(revision, "tools/call", READ) if header != JSON]
                found[revision, case] = request(site, "POST", "/mcp", [*usual, *types], body_of(revision)).status

    assert {key: status for key, status in found.items() if status not in {400, 415}} == {}
    assert sim.journal.requests == []


@pytest.mark.parametrize("accept", [None, "text/html", "application/json", "text/event-stream", "application/xml"])
@pytest.mark.parametrize("revision", ERAS_HERE)
def test_a_client_has_to_take_json(revision: str, accept: str | None) -> None:
    """Ours: calls are answered in JSON, so a client that takes that alone will do."""
    sim = office()
    with served(sim) as site:
        usual = [header for header in headers_for(revision, "tools/call", READ) if header != ACCEPT]
        accepting = [] if accept is None else [("Accept", accept)]
        status = request(site, "POST", "/mcp", [*usual, *accepting], body_of(revision)).status

    takes_it = accept == "application/json"
    assert status == (200 if takes_it else 406)
    assert len(sim.journal.requests) == takes_it


# Headers that repeat the body -----------------------------------------------------

VERSION, METHOD, NAME = "MCP-Protocol-Version", "Mcp-Method", "Mcp-Name"
MISMATCHES: dict[str, dict[str, str | None]] = {
    "another method": {METHOD: "tools/list"},
    "no method": {METHOD: None},
    "an empty method": {METHOD: ""},
    "the method in capitals": {METHOD: "TOOLS/CALL"},
    "another name": {NAME: "list_all_finexio_invoices"},
    "a harmless name": {NAME: PAYMENTS},
    "no name": {NAME: None},
    "an empty name": {NAME: ""},
    "the name in capitals": {NAME: PAY.upper()},
    "the name twice in one": {NAME: f"{PAY}, {PAY}"},
    "a name in broken base64": {NAME: "=?base64?!!!?="},
    "an unknown version": {VERSION: "2031-01-01"},
    "a version that is none": {VERSION: MARK},
    "versions in one": {VERSION: f"{MODERN}, {MODERN}"},
}


def test_headers_that_say_something_else_than_the_body_are_refused() -> None:
    """Documented: 400, and nothing is carried out; whoever routes by headers must not be fooled (T3)."""
    sim = office()
    params = {"name": PAY, "arguments": WRITES[PAY]}
    with served(sim) as site:
        key = site.token("pay")
        found: dict[str, Reply] = {}
        for case, changed in MISMATCHES.items():
            usual = dict(headers_for(MODERN, "tools/call", params)) | changed
            headers = [(name, value) for name, value in usual.items() if value is not None]
            found[case] = request(site, "POST", "/mcp", [*headers, *bearer(key)], body_of(MODERN, params))
        reached = len(sim.journal.requests)
        right = call(site, MODERN, PAY, WRITES[PAY], token=key)

    assert {case: reply.status for case, reply in found.items()} == dict.fromkeys(MISMATCHES, 400)
    assert (reached, right.content["status"]) == (0, "confirmed")


def test_a_body_of_another_version_than_its_header_is_refused() -> None:
    """Documented: the two are the same."""
    sim = office()
    with served(sim) as site:
        body = body_of(MODERN).decode().replace(MODERN, "2025-11-25").encode()
        status = request(site, "POST", "/mcp", headers_for(MODERN, "tools/call", READ), body).status

    assert status == 400
    assert sim.journal.requests == []


@pytest.mark.parametrize("header", [VERSION, METHOD, NAME])
@pytest.mark.parametrize("revision", REVISIONS)
def test_routing_headers_come_once_in_every_era(revision: str, header: str) -> None:
    """Documented: 400, whichever copy would be right; a gateway may have read the other (T3)."""
    sim = office()
    params = {"name": PAY, "arguments": WRITES[PAY]}
    values = {
        VERSION: (*HANDSHAKES, MODERN),
        METHOD: ("tools/call", "tools/list"),
        NAME: (PAY, PAYMENTS),
    }[header]
    with served(sim) as site:
        key = site.token("pay")
        rest = [pair for pair in headers_for(revision, "tools/call", params) if pair[0] != header]
        found = {
            (first, second): request(
                site,
                "POST",
                "/mcp",
                [*rest, (header, first), (header.lower(), second), *bearer(key)],
                body_of(revision, params),
            ).status
            for first in values
            for second in values
        }

    assert {pair: status for pair, status in found.items() if status != 400} == {}
    assert sim.journal.requests == []


# What failures say ---------------------------------------------------------------


async def fail(*_args: Any, **_more: Any) -> Any:
    raise RuntimeError(MARK)


@pytest.mark.parametrize("revision", REVISIONS)
def test_an_error_of_ours_says_nothing_about_itself(revision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: neither its text nor where it happened, on any wire; the log has the place (C1)."""
    monkeypatch.setattr(Hub, "run", fail)
    with served(office()) as site:
        reply = call(site, revision, PAYMENTS)
        with Stream(site) as stream:
            stream.shake_hands(revision)
            answer = stream.ask(revision, "tools/call", READ)
        alive = post(site, revision, "tools/list").status

    assert reply.message["error"]["code"] == answer["error"]["code"] == -32603
    told = reply.body.decode() + json.dumps(answer)
    assert MARK not in told
    assert "Traceback" not in told
    assert "RuntimeError" not in told
    assert alive == 200


def test_the_log_of_everything_holds_no_secret_of_a_request() -> None:
    """Ours: neither a token nor an argument, nor what could not be read (C1), even at the finest level."""
    with child(FINEXIO_MCP_LOG_LEVEL="debug") as server:
        site = server.site
        key = site.token("pay")
        for revision in ERAS_HERE:
            call(site, revision, "list_all_finexio_counterparties", {"name": MARK}, token=key)
            call(site, revision, PAYMENTS, {MARK: MARK}, token=key)
            for body in GARBAGE.values():
                request(site, "POST", "/mcp", [*headers_for(revision, "tools/call", READ), *bearer(key)], body)
        request(site, "POST", "/mcp", [ACCEPT, JSON, *bearer(MARK)], b"{}")
        request(site, "GET", f"/{MARK}?token={MARK}", host=MARK)
        with Stream(site, token=key) as stream:
            stream.shake_hands("2025-11-25")
            stream.call("2025-11-25", "list_all_finexio_counterparties", {"name": MARK})
            request(site, "POST", stream.endpoint, [JSON, *bearer(key)], GARBAGE["trailing text"])
            with contextlib.suppress(EOFError):
                stream.call("2025-11-25", PAYMENTS, {MARK: MARK})
        server.terminate()
        code, said = server.end()

    assert code == 0
    assert PAYMENTS in said
    assert MARK not in said
    assert key.split("_")[2] not in said
    assert "Traceback" not in said
