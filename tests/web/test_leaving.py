"""How the server ends: writes on their way are seen through, and whatever ends it, the ledger knows."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.calls import PAY, changes, invoice
from tests.web.serving import PATIENCE_SECONDS, Site, child
from tests.web.talking import MODERN, Stream, Wire, call, connect, post, request
from tests.web.upstream import thinking

PAYMENTS = "list_all_finexio_payments"
ORDER = {"invoices": [invoice("N-1")]}
ASKED = "asked to stop"
WAYS: tuple[tuple[Wire, str], ...] = (("mcp", MODERN), ("mcp", "2025-11-25"), ("sse", "2025-11-25"))

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


def pay(site: Site, wire: Wire, revision: str, key: str) -> dict[str, Any]:
    """What a payment is answered with."""
    if wire == "mcp":
        return call(site, revision, PAY, ORDER, token=key).content
    with Stream(site, token=key) as stream:
        stream.shake_hands(revision)
        return stream.call(revision, PAY, ORDER)


@pytest.mark.parametrize(("wire", "revision"), WAYS)
def test_a_payment_on_its_way_is_answered_before_the_server_ends(wire: Wire, revision: str) -> None:
    """Ours: meanwhile new calls are refused, and balancers are told; then it ends, and says that all is well (T7)."""
    with thinking() as finexio, finexio.listening(holding="POST") as settings, child(**settings) as server:
        site = server.site
        key = site.token("pay")
        ready = [request(site, "GET", "/readyz").status]
        with ThreadPoolExecutor(1) as clients, Stream(site, token=key) as idle:
            answer = clients.submit(pay, site, wire, revision, key)
            finexio.wait()
            server.terminate()
            server.said_line(ASKED)
            ready += [request(site, "GET", path).status for path in ("/readyz", "/healthz")]
            refused = [call(site, each, PAYMENTS, token=key).content["error"] for each in (MODERN, "2025-11-25")]
            not_paid = call(site, MODERN, PAY, {"invoices": [invoice("N-2")]}, token=key).content
            listed = post(site, MODERN, "tools/list", token=key).status
            finexio.release()
            content = answer.result(PATIENCE_SECONDS)
            rest = idle.rest()
        code, said = server.end()

    assert ready == [200, 503, 200]
    assert [(error["code"], error["may_have_happened"]) for error in refused] == [("unavailable", False)] * 2
    assert (not_paid["status"], listed) == ("not_executed", 200)
    assert content["status"] == "confirmed"
    assert rest == b""
    assert code == 0
    assert len(changes(finexio.sim)) == 1
    assert "Traceback" not in said


def test_a_write_that_nobody_waits_for_is_seen_through_as_well() -> None:
    """Ours: a client that hung up has a payment on its way all the same."""
    with thinking() as finexio, finexio.listening(holding="POST") as settings:
        with child(**settings) as server:
            key = server.site.token("pay")
            with Stream(server.site, token=key) as stream:
                stream.shake_hands("2025-11-25")
                order = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": PAY, "arguments": ORDER}}
                stream.say(order)
                finexio.wait()
            server.terminate()
            server.said_line(ASKED)
            finexio.release()
            code, said = server.end()
        with child(**settings) as server:
            again = call(server.site, MODERN, PAY, ORDER, token=key).content

    assert code == 0
    assert f"{PAY} settled: confirmed op_" in said
    assert again["status"] == "already_submitted"
    assert len(changes(finexio.sim)) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_an_idle_server_however_many_are_connected(number: signal.Signals) -> None:
    """Ours: open streams end, connections that say nothing are closed, and there is nothing to complain about."""
    with child() as server, connect(server.site) as silent, connect(server.site) as half:
        half.sendall(b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n{")
        with Stream(server.site) as stream:
            stream.shake_hands("2025-11-25")
            server.process.send_signal(number)
            rest = stream.rest()
            code, said = server.end()
        assert silent.recv(1) == b""

    assert (rest, code) == (b"", 0)
    assert " error " not in said
    assert "Traceback" not in said


def test_a_payment_that_finexio_never_answers_ends_in_doubt_and_then_the_server_ends() -> None:
    """Ours: its deadline bounds the wait, and the answer claims nothing that nobody knows (T7)."""
    with (
        thinking() as finexio,
        finexio.never_answering("POST") as settings,
        child(FINEXIO_MCP_BATCH_SECONDS="1", **settings) as server,
    ):
        key = server.site.token("pay")
        with ThreadPoolExecutor(1) as clients:
            answer = clients.submit(pay, server.site, "mcp", MODERN, key)
            finexio.wait()
            server.terminate()
            content = answer.result(PATIENCE_SECONDS)
        code, said = server.end()

    assert content["status"] == "in_doubt"
    assert content["error"]["may_have_happened"]
    assert code == 0
    assert "Traceback" not in said
    assert len(changes(finexio.sim)) == 1


def test_a_second_signal_cuts_it_short() -> None:
    """Ours: whoever insists is obeyed, and told where the outcome will be."""
    with thinking() as finexio, finexio.listening(holding="POST") as settings, child(**settings) as server:
        key = server.site.token("pay")
        with ThreadPoolExecutor(1) as clients:
            answer = clients.submit(pay, server.site, "mcp", MODERN, key)
            finexio.wait()
            server.terminate()
            server.said_line(ASKED)
            server.terminate()
            code, said = server.end()
            assert answer.exception(PATIENCE_SECONDS) is not None

    assert code == 128 + signal.SIGTERM
    assert "the outcome of writes on their way is in the ledger" in said


def test_a_server_that_is_killed_in_the_middle_of_a_payment_knows_of_it_afterwards() -> None:
    """Ours: the next one finds it in the ledger, tells of it, and never sends it a second time (W1, W3)."""
    with thinking() as finexio, finexio.listening(holding="POST") as settings:
        with child(**settings) as server, ThreadPoolExecutor(1) as clients:
            key = server.site.token("pay")
            answer = clients.submit(pay, server.site, "mcp", "2025-11-25", key)
            finexio.wait()
            server.process.kill()
            server.end()
            assert answer.exception(PATIENCE_SECONDS) is not None
        finexio.release()
        ledger = subprocess.run(
            [sys.executable, "-m", "finexio_mcp", "ledger", "list"],
            env={
                **os.environ,
                "FINEXIO_ENVIRONMENT": "simulator",
                "FINEXIO_MCP_ALLOW_VOLATILE_LEDGER": "1",
                **settings,
            },
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        with child(**settings) as server:
            again = call(server.site, MODERN, PAY, ORDER, token=key).content

    assert ledger.returncode == 0, ledger.stderr
    assert "N-1" in ledger.stdout
    assert again["status"] in {"in_progress", "in_doubt", "already_submitted"}
    assert len(changes(finexio.sim)) == 1
