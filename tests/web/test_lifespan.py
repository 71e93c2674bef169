"""One engine, one adapter and one ledger, whatever the number of connections."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from typing import Any

import pytest

from finexio_mcp.api import client as adapter
from finexio_mcp.engine import Engine
from finexio_mcp.guards.ledger.book import Book
from tests.calls import PAY, WRITES, changes, office
from tests.web.serving import served
from tests.web.talking import MODERN, REVISIONS, Stream, call, request

PAYMENTS = "list_all_finexio_payments"


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each was made, and how often it was closed."""
    counts: Counter[str] = Counter()

    def counted(owner: Any, name: str, label: str) -> None:
        real = getattr(owner, name)

        def counting(*args: Any, **more: Any) -> Any:
            counts[label] += 1
            return real(*args, **more)

        monkeypatch.setattr(owner, name, counting)

    counted(Engine, "__aenter__", "engines")
    counted(Engine, "__aexit__", "engines closed")
    counted(Book, "__init__", "ledgers")
    counted(adapter, "open_client", "adapters")
    return counts


def test_one_of_each_serves_every_connection(made: Counter[str]) -> None:
    """Ours: the SDK would enter the lifespan once for each stream of server-sent events."""
    sim = office()
    with served(sim) as site, ExitStack() as streams:
        key = site.token("pay")
        for revision in REVISIONS:
            for _ in range(2):
                stream = streams.enter_context(Stream(site, token=key))
                stream.shake_hands(revision)
                assert stream.call(revision, PAYMENTS)["result_count"] == 1
            assert call(site, revision, PAYMENTS).status == 200
        paid = call(site, MODERN, PAY, WRITES[PAY], token=key).content
        while_open = dict(made)

    assert paid["status"] == "confirmed"
    assert len(changes(sim)) == 1
    # What lets a caller in goes no further.
    assert {record.user for record in sim.journal.requests} == {"demo"}
    assert not any(key in str(dict(record.headers)) for record in sim.journal.requests)
    assert while_open == {"engines": 1, "ledgers": 1, "adapters": 1}
    assert made == {"engines": 1, "engines closed": 1, "ledgers": 1, "adapters": 1}


def test_a_stream_that_ends_takes_nothing_with_it(made: Counter[str]) -> None:
    """Ours: what others lean on stays open until the server ends."""
    with served(office()) as site, Stream(site) as stays:
        stays.shake_hands("2025-11-25")
        for revision in REVISIONS:
            with Stream(site) as goes:
                goes.shake_hands(revision)
                assert goes.call(revision, PAYMENTS)["result_count"] == 1
        last = stays.call("2025-11-25", PAYMENTS)["result_count"]
        closed = made["engines closed"]

    assert (last, closed) == (1, 0)


def test_asking_for_the_headers_of_a_stream_opens_none() -> None:
    """Ours: HEAD is for probes; it is answered, and leaves nothing behind."""
    with served(office()) as site:
        statuses = {request(site, "HEAD", "/sse").status for _ in range(70)}
        with Stream(site) as stream:
            stream.shake_hands("2025-11-25")
            alive = stream.call("2025-11-25", PAYMENTS)["result_count"]

    assert len(statuses) == 1
    assert statuses <= {200, 405}
    assert alive == 1


def test_health_needs_nothing_and_readiness_does_not_ask_finexio(made: Counter[str]) -> None:
    """Ours: probes come every second; they reach neither Finexio nor, while nothing was written, a ledger."""
    sim = office()
    with served(sim) as site:
        health = request(site, "GET", "/healthz")
        ready = [request(site, "GET", "/readyz") for _ in range(3)]

    assert health.json == {"status": "ok"}
    assert {reply.status for reply in ready} == {200}
    assert ready[0].json["status"] == "ready"
    assert set(ready[0].json["checks"]) == {"configuration", "ledger", "tokens"}
    assert sim.journal.requests == []
    assert made["adapters"] == 0


def test_a_server_without_credentials_is_alive_and_not_ready() -> None:
    """Ours: it says what is missing, and lists its tools all the same."""
    with served(None, FINEXIO_ENVIRONMENT="sandbox") as site:
        statuses = [request(site, "GET", path).status for path in ("/healthz", "/readyz")]
        reply = call(site, MODERN, PAYMENTS)

    assert statuses == [200, 503]
    assert reply.content["error"]["code"] == "not_configured"
