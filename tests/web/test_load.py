"""Many at once, the slow and those who leave: nobody keeps others waiting, and no payment is made twice or lost."""

from __future__ import annotations

import itertools
import json
import socket
import struct
import sys
from collections import Counter, defaultdict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest

from finexio_mcp import engine
from finexio_mcp.gate import Gate
from tests.calls import PAY, changes, invoice, office
from tests.web.serving import PATIENCE_SECONDS, Site, child, served
from tests.web.talking import (
    MODERN,
    REVISIONS,
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
)
from tests.web.upstream import Thinking, thinking

PAYMENTS = "list_all_finexio_payments"
ERAS_HERE = ("2025-11-25", MODERN)
MANY = 500
RESET = struct.pack("ii", 1, 0)


def order(number: str) -> dict[str, Any]:
    """A payment like no other: those that look alike are refused."""
    return {"invoices": [invoice(number, 100_00 + int(number[2:]))]}


# Many --------------------------------------------------------------------------


def test_a_caller_with_too_many_calls_is_told_so_and_keeps_nobody_else_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: so many run, four times as many wait, the rest is refused at once with when to come back (T6)."""
    # However long a busy machine takes for all of them.
    monkeypatch.setattr(engine, "Gate", partial(Gate, patience_seconds=PATIENCE_SECONDS))
    at_once = 4
    room = at_once * 5
    with thinking() as finexio, served(finexio.sim, FINEXIO_MCP_CALLS_AT_ONCE=at_once) as site:
        greedy, other = site.token("read"), site.token("read", name="another")
        assert call(site, MODERN, PAYMENTS, token=other).status == 200
        finexio.hold("GET", times=at_once)
        with ThreadPoolExecutor(MANY // 4) as clients:
            held = {clients.submit(call, site, MODERN, PAYMENTS, token=greedy) for _ in range(at_once)}
            finexio.wait(at_once)
            eras = itertools.cycle(ERAS_HERE)
            more = {clients.submit(call, site, next(eras), PAYMENTS, token=greedy) for _ in range(MANY - at_once)}
            refused = _first(MANY - room, more)
            meanwhile = [call(site, revision, PAYMENTS, token=other) for revision in ERAS_HERE]
            finexio.release()
            late = [future.result(PATIENCE_SECONDS) for future in held | more]
        after = call(site, MODERN, PAYMENTS, token=greedy)

    assert Counter(reply.status for reply in (*refused, *late)) == {200: MANY}
    assert Counter(reply.content.get("error", {}).get("code") for reply in refused) == {"overloaded": MANY - room}
    error = refused[0].content["error"]
    assert (error["may_have_happened"], error["retryable"]) == (False, True)
    assert error["retry_after_s"] > 0
    assert [reply.content["result_count"] for reply in (*meanwhile, *late, after)] == [1] * (room + 3)


def _first(count: int, futures: set[Future[Reply]]) -> list[Reply]:
    """The answers that come first, so many; what they answered is taken away."""
    found: list[Reply] = []
    while len(found) < count:
        done, _ = wait(futures, PATIENCE_SECONDS, "FIRST_COMPLETED")
        assert done, "nobody is answered any more"
        futures -= done
        found += [future.result() for future in done]
    return found


def test_500_payments_of_100_invoices_make_100_payments() -> None:
    """Ours: in any order, over both eras, and from two callers at once; every answer is true (W1, W4)."""
    numbers = [f"N-{number:03}" for number in range(100)]
    sim = office()
    with served(sim, FINEXIO_MCP_CALLS_AT_ONCE=100) as site, ThreadPoolExecutor(32) as clients:
        keys = [site.token("pay", name=name) for name in ("one", "two")]
        turns = [(numbers[turn % 100], keys[turn % 2], ERAS_HERE[turn // 100 % 2]) for turn in range(MANY)]

        def pay(turn: tuple[str, str, str]) -> tuple[str, dict[str, Any]]:
            number, key, era = turn
            return number, call(site, era, PAY, order(number), token=key).content

        answers = list(clients.map(pay, turns, timeout=3 * PATIENCE_SECONDS))
        final = [pay((number, keys[0], MODERN)) for number in numbers]

    created = Counter(record["invoice_number"] for record in sim.invoices.values())
    assert {number: created[number] for number in numbers} == dict.fromkeys(numbers, 1)
    assert len(changes(sim)) == len(numbers)

    said: dict[str, Counter[str]] = defaultdict(Counter)
    for number, content in answers:
        said[number][content["status"]] += 1
        assert content["status"] in {"confirmed", "already_submitted", "in_progress"}, content
    assert {number: counts["confirmed"] for number, counts in said.items()} == dict.fromkeys(numbers, 1)
    ids = {record["invoice_number"]: record["id"] for record in sim.invoices.values()}
    for number, content in [*answers, *final]:
        assert content["status"] == "in_progress" or content["result"][0]["id"] == ids[number], content
    assert {content["status"] for _, content in final} == {"already_submitted"}


# Those who leave -----------------------------------------------------------------


def hang_up(sock: socket.socket) -> None:
    sock.close()


def break_off(sock: socket.socket) -> None:
    """With a reset, as a process that is killed or a cable that is pulled."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    sock.close()


@pytest.mark.parametrize(
    ("revision", "leave"),
    [*((revision, hang_up) for revision in REVISIONS), *((revision, break_off) for revision in ERAS_HERE)],
)
def test_a_client_that_leaves_in_the_middle_of_a_payment_finds_its_outcome(
    revision: str, leave: Callable[[socket.socket], None]
) -> None:
    """Ours: the payment belongs to the server, not to the connection; the same call again tells what became of it."""
    with thinking() as finexio, finexio.listening(holding="POST") as settings, served(None, **settings) as site:
        key = site.token("pay")
        start, body = pieces_of_call(site, revision, PAY, order("N-1"), token=key)
        sock = connect(site)
        sock.sendall(start + body)
        finexio.wait()
        leave(sock)
        finexio.release()
        statuses = _until_settled(lambda: call(site, revision, PAY, order("N-1"), token=key).content)

    assert statuses[-1] == "already_submitted"
    assert set(statuses[:-1]) <= {"in_progress"}
    assert len(changes(finexio.sim)) == 1


def _until_settled(ask: Callable[[], dict[str, Any]]) -> list[str]:
    """What is answered to the same call, until it is no longer on its way."""
    statuses: list[str] = []
    while not statuses or statuses[-1] == "in_progress":
        statuses.append(ask()["status"])
        assert len(statuses) < 2_000
    return statuses


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_stream_that_breaks_in_the_middle_of_a_payment_loses_nothing(revision: str) -> None:
    """Ours: over the older transport too."""
    with thinking() as finexio, finexio.listening(holding="POST") as settings, served(None, **settings) as site:
        key = site.token("pay")
        with Stream(site, token=key) as stream:
            stream.shake_hands(revision)
            params = {"name": PAY, "arguments": order("N-1")}
            assert stream.say(message(revision, "tools/call", params, number=7)).status == 202
            finexio.wait()
        finexio.release()
        with Stream(site, token=key) as stream:
            stream.shake_hands(revision)
            statuses = _until_settled(lambda: stream.call(revision, PAY, order("N-1")))

    assert statuses[-1] == "already_submitted"
    assert len(changes(finexio.sim)) == 1


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_payment_that_is_taken_back_too_late_is_made_and_can_be_asked_about(revision: str) -> None:
    """Ours: `notifications/cancelled` undoes nothing; no answer follows, and the same call tells the outcome (T5)."""
    with thinking() as finexio, finexio.listening(holding="POST") as settings, served(None, **settings) as site:
        key = site.token("pay")
        with Stream(site, token=key) as stream:
            stream.shake_hands(revision)
            stream.say(message(revision, "tools/call", {"name": PAY, "arguments": order("N-1")}, number="it"))
            finexio.wait()
            stream.say({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "it"}})
            # Answered after the cancellation was read, since messages are read in order.
            stream.ask(revision, "tools/list")
            finexio.release()
            statuses = _until_settled(lambda: stream.call(revision, PAY, order("N-1")))

    assert statuses[-1] == "already_submitted"
    assert len(changes(finexio.sim)) == 1


@pytest.mark.parametrize("revision", ERAS_HERE)
def test_a_stream_outlives_whatever_is_taken_back_on_it(revision: str) -> None:
    """Ours: a call that is cancelled in time may never be answered, and must not count as unanswered for ever."""
    taken_back = 80
    with thinking() as finexio, served(finexio.sim) as site, Stream(site) as stream:
        stream.shake_hands(revision)
        finexio.hold("GET", times=taken_back)
        for number in range(taken_back):
            stream.say(message(revision, "tools/call", {"name": PAYMENTS}, number=f"call {number}"))
            finexio.wait()
            cancel = {"requestId": f"call {number}"}
            stream.say({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": cancel})
        finexio.release()
        stream.say(message(revision, "tools/list", number="last"))
        heard = [stream.hear()]
        while heard[-1]["id"] != "last":
            heard.append(stream.hear())

    assert "result" in heard[-1]
    assert len(heard) <= taken_back + 1


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_client_that_leaves_before_its_answer_frees_its_place(revision: str) -> None:
    """Ours: a read that nobody waits for ends, and keeps neither its caller nor anybody else waiting."""
    with thinking() as finexio, served(finexio.sim, FINEXIO_MCP_CALLS_AT_ONCE=1) as site:
        key, other = site.token("read"), site.token("read", name="another")
        _leave_reading(site, revision, key, finexio)
        meanwhile = call(site, revision, PAYMENTS, token=other).content
        content = call(site, revision, PAYMENTS, token=key).content
        finexio.release()

    assert meanwhile["result_count"] == content["result_count"] == 1


def _leave_reading(site: Site, revision: str, key: str, finexio: Thinking) -> None:
    start, body = pieces_of_call(site, revision, PAYMENTS, {}, token=key)
    finexio.hold("GET")
    with connect(site) as sock:
        sock.sendall(start + body)
        finexio.wait()


# The slow ------------------------------------------------------------------------


def test_idle_and_slow_clients_keep_nobody_waiting() -> None:
    """Ours: neither those who say nothing, nor those who say half, nor those who never read."""
    with served(office()) as site, ExitStack() as open_sockets:
        list_head, list_body = _listing(site)
        said = [b"", b"POST /mcp HTTP/1.1\r\nHost: loc", list_head, list_head + list_body[:10]] * 30
        # Some hundred kilobytes of answers that nobody reads.
        said += [(list_head + list_body) * 10] * 5
        slow: list[socket.socket] = []
        for words in said:
            slow.append(open_sockets.enter_context(connect(site)))
            slow[-1].sendall(words)
        replies = [call(site, revision, PAYMENTS) for revision in REVISIONS for _ in range(4)]
        late = [read(sock) for sock in slow[-5:]]

    assert {reply.status for reply in replies} == {200}
    assert {reply.content["result_count"] for reply in replies} == {1}
    # Those that come back to their answers find them.
    assert {len(reply.result["tools"]) for reply in late} == {15}


def _listing(site: Site) -> tuple[bytes, bytes]:
    body = json.dumps(message(MODERN, "tools/list")).encode()
    headers = [("Host", site.host), *headers_for(MODERN, "tools/list"), ("Content-Length", str(len(body)))]
    return head("POST", "/mcp", headers), body


def test_a_caller_has_64_streams_and_no_more() -> None:
    """Ours: the next is refused with when to come back; another caller has its own, and a closed one counts no more."""
    with served(office()) as site, ExitStack() as streams:
        key, other = site.token("read"), site.token("read", name="another")
        mine = [streams.enter_context(Stream(site, token=key)) for _ in range(64)]
        refused = request(site, "GET", "/sse", bearer(key))
        theirs = streams.enter_context(Stream(site, token=other)).status
        mine[0].shake_hands("2025-11-25")
        content = mine[0].call("2025-11-25", PAYMENTS)
        for stream in mine[1:3]:
            stream.__exit__()
        again = 429
        for _ in range(2_000):
            with Stream(site, token=key) as stream:
                again = stream.status
            if again == 200:
                break

    assert [stream.status for stream in mine] == [200] * 64
    assert refused.status == 429
    assert int(refused.headers["retry-after"]) > 0
    assert (theirs, content["result_count"], again) == (200, 1, 200)


def test_a_stream_belongs_to_who_opened_it() -> None:
    """Ours: another caller finds it no more than one that never was, and nothing is said into it (A3)."""
    sim = office()
    order_of_a_stranger = message("2025-11-25", "tools/call", {"name": PAY, "arguments": order("N-1")})
    with served(sim) as site, Stream(site, token=site.token("read")) as stream:
        stream.shake_hands("2025-11-25")
        names = {"another": site.token("pay", name="another"), "nobody": None}
        body = _bytes(order_of_a_stranger)
        found = {
            name: request(site, "POST", stream.endpoint, [("Content-Type", "application/json"), *bearer(key)], body)
            for name, key in names.items()
        }
        never = request(
            site,
            "POST",
            f"/messages/?session_id={'0' * 32}",
            [("Content-Type", "application/json"), *bearer(names["another"])],
            body,
        )
        listed = stream.ask("2025-11-25", "tools/list")

    assert {name: (reply.status, reply.body) for name, reply in found.items()} == dict.fromkeys(
        names, (never.status, never.body)
    )
    assert never.status == 404
    assert "result" in listed
    assert sim.journal.requests == []


def _bytes(body: Any) -> bytes:
    return json.dumps(body).encode()


@pytest.mark.parametrize("revision", ERAS_HERE)
def test_a_client_that_leaves_before_its_body_is_whole_is_no_error(
    revision: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Ours: it happens every day; a log that tells of each would hide what matters, and fill a disk."""
    sim = office()
    with served(sim) as site:
        key = site.token("pay")
        start, body = pieces_of_call(site, revision, PAY, order("N-1"), token=key)
        for part in (b"", body[:20], body[:-1]):
            for leave in (hang_up, break_off):
                sock = connect(site)
                sock.sendall(start + part)
                leave(sock)
        alive = call(site, revision, PAYMENTS, token=key).status

    assert alive == 200
    assert changes(sim) == []
    assert [record for record in caplog.records if record.levelname in {"WARNING", "ERROR"}] == []


# Memory ------------------------------------------------------------------------

ROOM_BYTES = 64 << 20


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_stays_where_it_was() -> None:
    """Ours: whatever was sent, read half, or broken off leaves nothing behind (T4)."""
    with child(FINEXIO_MCP_RATE="0") as server:
        site = server.site
        key = site.token("pay")

        def trouble(turn: int) -> None:
            revision = REVISIONS[turn % len(REVISIONS)]
            headers = [*headers_for(revision, "tools/list"), *bearer(key)]
            request(site, "POST", "/mcp", headers, b"[" * (1 << 20))
            request(site, "POST", "/mcp", headers, b'"' + b"x" * ((1 << 20) - 2) + b'"')
            call(site, revision, PAYMENTS, {"limit": 100}, token=key)
            call(site, revision, PAY, {"invoices": [invoice("A" * 5_000)] * 500}, token=key)
            post(site, revision, "tools/list", token=key)
            with Stream(site, token=key) as stream:
                stream.say(message(revision, "tools/list"))
            with connect(site) as sock:
                sock.sendall(pieces_of_call(site, revision, PAYMENTS, {}, token=key)[0])

        with ThreadPoolExecutor(4) as clients:
            list(clients.map(trouble, range(12)))
            before = server.resident_bytes()
            list(clients.map(trouble, range(36)))
            after = server.resident_bytes()
        alive = call(site, MODERN, PAYMENTS, token=key).status

    assert alive == 200
    assert after - before < ROOM_BYTES
