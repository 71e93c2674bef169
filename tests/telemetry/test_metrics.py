"""Metrics: counted, served over HTTP, and read back with the library's own parser."""

from __future__ import annotations

import contextlib
import http.client
import json
import logging
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Collection, Generator, Mapping
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
import yaml
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from finexio_mcp import __version__
from finexio_mcp.hub import Hub
from finexio_mcp.settings import SettingsError, load
from finexio_mcp.telemetry import metering
from finexio_mcp.telemetry.described import ANSWERS, CODES, ERRORS, METRICS, OUTCOMES
from finexio_mcp.telemetry.metrics import Metrics
from finexio_mcp.telemetry.sources import Sources, Unsettled
from tests.telemetry.seen import asked, ended

SECRET = "QXZ918273645"
PAGE = Path(__file__).parents[2] / "docs" / "observability.md"


def sources(*, accounts: Callable[[], Collection[str]] = lambda: ("acme", "globex"), **more: Any) -> Sources:
    return Sources(accounts=accounts, **more)


def samples(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Numbers by name and labels, without those of the process itself."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith("finexio")
    }


def number(metrics: Metrics, name: str, **labels: str) -> float | None:
    return samples(generate_latest(metrics.registry).decode()).get((name, frozenset(labels.items())))


@contextlib.contextmanager
def served(**more: Any) -> Generator[tuple[metering.Metering, str]]:
    started = metering.start(load(FINEXIO_MCP_METRICS_PORT=0), sources(**more))
    assert started is not None
    try:
        yield started, f"http://127.0.0.1:{started.port}"
    finally:
        started.close()


def get(url: str, **more: Any) -> httpx2.Response:
    with httpx2.Client(trust_env=False, timeout=5) as http:
        return http.request(more.pop("method", "GET"), url, **more)


# What is counted ------------------------------------------------------------------


async def test_a_scrape_shows_what_calls_and_requests_came_to() -> None:
    """Ours: in the format that Prometheus reads."""
    with served() as (metering_, url):
        await metering_.metrics.ended(ended())
        await metering_.metrics.ended(ended(outcome="in_doubt", failed=True, tool="create_finexio_invoices"))
        metering_.metrics.asked(asked())
        metering_.metrics.asked(asked(outcome="ConnectTimeout", retry=True))

        answer = get(f"{url}/metrics")

    found = samples(answer.text)
    assert answer.headers["content-type"].startswith("text/plain")
    tool = ("tool", "list_all_finexio_payments")
    acme = ("account", "acme")
    expected = {
        ("finexio_mcp_calls_total", frozenset({acme, tool, ("outcome", "ok")})): 1,
        ("finexio_mcp_call_errors_total", frozenset({acme, ("code", "in_doubt")})): 1,
        ("finexio_mcp_call_seconds_bucket", frozenset({tool, ("le", "0.01")})): 0,
        ("finexio_mcp_call_seconds_bucket", frozenset({tool, ("le", "0.025")})): 1,
        ("finexio_mcp_call_seconds_count", frozenset({tool})): 1,
        ("finexio_mcp_upstream_requests_total", frozenset({acme, ("method", "GET"), ("outcome", "200")})): 1,
        ("finexio_mcp_upstream_requests_total", frozenset({acme, ("method", "GET"), ("outcome", "ConnectTimeout")})): 1,
        ("finexio_mcp_upstream_seconds_count", frozenset({("method", "GET")})): 2,
        ("finexio_mcp_upstream_retries_total", frozenset({acme})): 1,
        ("finexio_mcp_upstream_retries_total", frozenset({("account", "globex")})): 0,
        ("finexio_mcp_build_info", frozenset({("version", __version__)})): 1,
    }
    assert {key: found.get(key) for key in expected} == expected
    assert not [name for name, _ in found if name.endswith("_created")]
    assert "Traceback" not in answer.text


async def test_labels_come_from_closed_sets() -> None:
    """Ours: whatever an upstream or a token says, no new series begins, and nothing of it can be read there."""
    metrics = Metrics(sources())

    await metrics.ended(ended(outcome=SECRET, failed=True))
    metrics.asked(asked(method=SECRET, outcome=SECRET, account=SECRET))

    text = generate_latest(metrics.registry).decode()
    assert SECRET not in text
    assert number(metrics, "finexio_mcp_call_errors_total", account="acme", code="other") == 1
    assert (
        number(metrics, "finexio_mcp_upstream_requests_total", account="_other", method="other", outcome="other") == 1
    )


async def test_an_account_that_is_not_configured_is_not_named() -> None:
    """Ours: a removed account's calls and doubts still count."""
    caller = ended().caller
    metrics = Metrics(sources(running=lambda: {"acme": 1, "gone": 2, "lost": 3}))
    gone = Unsettled(in_doubt=1, in_conflict=0, read_at=50.0)

    await metrics.ended(ended(caller=type(caller)(key="k", name="n", origin="token", account="gone")))
    await metrics.refresh(given({"gone": gone, "lost": Unsettled(in_doubt=2, in_conflict=1, read_at=40.0)}))

    assert "gone" not in generate_latest(metrics.registry).decode()
    assert number(metrics, "finexio_mcp_calls_running", account="acme") == 1
    assert number(metrics, "finexio_mcp_calls_running", account="_other") == 5
    assert number(metrics, "finexio_mcp_writes_in_doubt", account="_other") == 3
    assert number(metrics, "finexio_mcp_writes_in_conflict", account="_other") == 1
    assert number(metrics, "finexio_mcp_ledger_read_timestamp_seconds", account="_other") == 40


async def test_a_removed_account_with_nothing_open_is_not_told_of() -> None:
    """Ours: nobody asks the ledger for it any more, so its time would stand still and alarm for ever."""
    metrics = Metrics(sources())

    await metrics.refresh(given({"gone": Unsettled(in_doubt=0, in_conflict=0, read_at=50.0)}))

    assert number(metrics, "finexio_mcp_writes_in_doubt", account="_other") is None
    assert number(metrics, "finexio_mcp_ledger_read_timestamp_seconds", account="_other") is None


def given(numbers: Mapping[str, Unsettled]) -> Any:
    async def count() -> Mapping[str, Unsettled]:
        return numbers

    return count


def errors_of(text: str, account: str) -> dict[str, float]:
    """The errors of an account, by code, as a scrape has them."""
    return {
        dict(labels)["code"]: value
        for (name, labels), value in samples(text).items()
        if name == ERRORS.name and ("account", account) in labels
    }


async def test_errors_are_at_zero_before_the_first_of_them() -> None:
    """Ours: Prometheus sees no increase in a series that is born with 1, and often the first error is the only one."""
    known = ["acme"]
    none = dict.fromkeys(CODES, 0)
    with served(accounts=lambda: known) as (metering_, url):
        fresh = get(f"{url}/metrics").text
        known.append("globex")
        added = get(f"{url}/metrics").text
        await metering_.metrics.ended(ended(outcome="ledger_unavailable", failed=True))
        after = get(f"{url}/metrics").text

    assert (errors_of(fresh, "acme"), errors_of(fresh, "globex")) == (none, {})
    assert errors_of(added, "globex") == none
    assert errors_of(after, "acme") == {**none, "ledger_unavailable": 1}


def test_what_was_never_read_from_the_ledger_ages_from_the_start() -> None:
    """Ours: a server that cannot reach its ledger from the first moment alarms as well, and no number is made up."""
    known, now = ["acme"], [100.0]
    metrics = Metrics(sources(accounts=lambda: known), now=lambda: now[0])
    name = "finexio_mcp_ledger_read_timestamp_seconds"

    for moment, accounts, globex in ((400, ["acme", "globex"], 400), (500, ["acme"], None), (900, ["globex"], 900)):
        now[0], known[:] = moment, accounts
        assert number(metrics, name, account="globex") == globex
        assert number(metrics, name, account="acme") == (100 if "acme" in known else None)
    assert number(metrics, "finexio_mcp_writes_in_doubt", account="globex") is None


async def test_accounts_that_cannot_be_told_take_nothing_else_away(caplog: pytest.LogCaptureFixture) -> None:
    """Ours: and the log says so without its words."""

    def broken() -> Any:
        raise RuntimeError(SECRET)

    metrics = Metrics(sources(accounts=broken, audit_waiting=lambda: 3))

    assert number(metrics, "finexio_mcp_audit_waiting") == 3
    assert "no finexio_mcp_call_errors_total: RuntimeError" in caplog.text
    assert SECRET not in caplog.text


async def test_queue_and_audit_are_looked_up_at_each_scrape() -> None:
    """Ours: from memory."""
    waiting = {"acme": 0}
    metrics = Metrics(sources(waiting=lambda: dict(waiting), audit_waiting=lambda: 7, audit_lost=lambda: 2))

    before = number(metrics, "finexio_mcp_calls_waiting", account="acme")
    waiting["acme"] = 4

    assert (before, number(metrics, "finexio_mcp_calls_waiting", account="acme")) == (0, 4)
    assert number(metrics, "finexio_mcp_audit_waiting") == 7
    assert number(metrics, "finexio_mcp_audit_lost_total") == 2


async def test_a_number_that_cannot_be_had_takes_no_other_away(caplog: pytest.LogCaptureFixture) -> None:
    """Ours: a scrape always says what it can, and the log says what is missing without its words."""

    def broken() -> Any:
        raise RuntimeError(SECRET)

    metrics = Metrics(sources(running=broken, audit_waiting=broken, waiting=lambda: {"acme": 1}))

    text = generate_latest(metrics.registry).decode()

    assert number(metrics, "finexio_mcp_calls_waiting", account="acme") == 1
    assert SECRET not in text + caplog.text
    assert "no finexio_mcp_calls_running: RuntimeError" in caplog.text
    assert "no finexio_mcp_audit_waiting: RuntimeError" in caplog.text


async def test_the_ledger_is_asked_in_the_background_and_its_age_shows(caplog: pytest.LogCaptureFixture) -> None:
    """Ours: a scrape never asks a database; when it is away, the last numbers stay and their time stands still."""
    caplog.set_level(logging.WARNING)
    answers: list[Any] = [
        {"acme": Unsettled(in_doubt=2, in_conflict=1, read_at=100.0)},
        OSError(SECRET),
        {"globex": Unsettled(in_doubt=0, in_conflict=0, read_at=220.0)},
    ]
    slept: list[float] = []

    async def count() -> Mapping[str, Unsettled]:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        if not answers:
            await anyio.sleep_forever()

    metrics = Metrics(sources(), now=lambda: 50.0)
    with anyio.move_on_after(0.05):
        await metrics.follow(count, sleep=sleep)

    assert slept == [60.0] * 3
    assert number(metrics, "finexio_mcp_writes_in_doubt", account="acme") == 2
    assert number(metrics, "finexio_mcp_ledger_read_timestamp_seconds", account="acme") == 100
    assert number(metrics, "finexio_mcp_ledger_read_timestamp_seconds", account="globex") == 220
    assert SECRET not in caplog.text
    assert "OSError" in caplog.text


def test_outcomes_are_all_that_can_come_of_a_call() -> None:
    """Ours: the codes of errors and the states of writes are taken from where they are declared."""
    assert {"ok", "caller_left", "confirmed", "in_progress", "ledger_unavailable", "internal", "timeout"} <= OUTCOMES


def test_kinds_of_failure_are_those_of_the_http_client() -> None:
    """Ours: no failure of a request is counted as something else."""
    kinds = {
        kind.__name__
        for kind in vars(httpx2).values()
        if isinstance(kind, type) and issubclass(kind, httpx2.TransportError) and not kind.__subclasses__()
    }

    assert len(kinds) > 8
    assert (kinds - {"SSEError"}) | {"DecodingError", "CancelledError"} <= ANSWERS


# Where it is served ---------------------------------------------------------------


def test_only_the_one_path_is_answered() -> None:
    """Ours: the library would answer on every path, and other methods too."""
    with served() as (_, url):
        paths = {path: get(url + path).status_code for path in ("/metrics", "/", "/metrics/", "/favicon.ico", "/x")}
        methods = {name: get(f"{url}/metrics", method=name).status_code for name in ("POST", "OPTIONS", "DELETE")}
        headers = get(f"{url}/metrics").headers
        asked_for_less = get(f"{url}/metrics?name[]=process_open_fds").text

    assert paths == {"/metrics": 200, "/": 404, "/metrics/": 404, "/favicon.ico": 404, "/x": 404}
    assert methods == {"POST": 405, "OPTIONS": 405, "DELETE": 405}
    assert headers["server"] == "finexio-mcp"
    assert "finexio_mcp_build_info" in asked_for_less


def test_beside_ours_there_are_only_numbers_of_the_process() -> None:
    """Ours: memory, processor time and open files; nothing of the interpreter, the platform or the arguments."""
    with served() as (_, url):
        text = get(f"{url}/metrics").text

    families = list(text_string_to_metric_families(text))
    ours = {metric.name.removesuffix("_total") for metric in METRICS}
    others = [family for family in families if family.name not in ours]
    assert all(family.name.startswith("process_") for family in others)
    assert [sample.labels for family in others for sample in family.samples if sample.labels] == []
    assert sys.platform != "linux" or "process_resident_memory_bytes" in {family.name for family in others}


def test_text_of_strangers_is_neither_answered_nor_logged(capfd: pytest.CaptureFixture[str]) -> None:
    """Ours: neither a path nor a broken request comes back, and stderr stays quiet."""
    with served() as (metering_, url):
        answer = get(f"{url}/{SECRET}?name[]={SECRET}")
        with socket.create_connection(("127.0.0.1", metering_.port), timeout=5) as raw:
            raw.sendall(f"GET /{SECRET} NONSENSE/{SECRET}\r\n\r\n".encode())
            raw.recv(65_536)

    assert SECRET not in answer.text + str(answer.headers)
    assert capfd.readouterr() == ("", "")


def test_the_port_is_free_again_after_the_end() -> None:
    """Ours: a restart finds it."""
    with served() as (metering_, _):
        port = metering_.port
    again = metering.start(load(FINEXIO_MCP_METRICS_PORT=port), sources())
    assert again is not None
    again.close()

    with pytest.raises(OSError):  # noqa: PT011 - which one depends on the system
        http.client.HTTPConnection("127.0.0.1", port, timeout=5).request("GET", "/metrics")


def test_a_port_that_is_taken_is_told_with_what_to_do() -> None:
    """Ours: by the name of the setting."""
    with served() as (metering_, _), pytest.raises(SettingsError) as caught:
        metering.start(load(FINEXIO_MCP_METRICS_PORT=metering_.port), sources())

    (problem,) = caught.value.problems
    assert problem.name == "FINEXIO_MCP_METRICS_PORT"
    assert f"port {metering_.port} on 127.0.0.1 cannot be had" in problem.problem
    assert "choose another port or FINEXIO_MCP_METRICS_HOST" in problem.problem


async def test_a_command_beside_the_server_does_without_its_port() -> None:
    """Ours: `finexio-mcp call` in the server's container has the same settings, and the port is the server's."""
    with served() as (metering_, _):
        settings = load(FINEXIO_ENVIRONMENT="simulator", FINEXIO_MCP_METRICS_PORT=metering_.port)
        async with Hub(settings):
            pass
        with pytest.raises(SettingsError, match="cannot be had"):
            async with Hub(settings, serving=True):
                pass


@pytest.mark.parametrize("host", ["no-such-host.invalid", "192.0.2.1", "a..b"])
def test_an_address_that_is_not_ours_is_told_as_well(host: str) -> None:
    """Ours: without a stack."""
    with pytest.raises(SettingsError, match="FINEXIO_MCP_METRICS_PORT"):
        metering.start(load(FINEXIO_MCP_METRICS_PORT=0, FINEXIO_MCP_METRICS_HOST=host), sources())


def test_the_ipv6_loopback_can_be_served_on() -> None:
    """Ours: as the server itself can."""
    started = metering.start(load(FINEXIO_MCP_METRICS_PORT=0, FINEXIO_MCP_METRICS_HOST="::1"), sources())
    assert started is not None
    try:
        assert get(f"http://[::1]:{started.port}/metrics").status_code == 200
    finally:
        started.close()


def test_a_missing_package_is_told_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: by the name of the extra."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "prometheus_client"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "prometheus_client", None)

    with pytest.raises(SettingsError, match=r"Install finexio-mcp\[metrics\]"):
        metering.start(load(FINEXIO_MCP_METRICS_PORT=0), sources())


LOADED = """
import json, sys
import finexio_mcp.server, finexio_mcp.hub
from finexio_mcp.settings import load
from finexio_mcp.telemetry import metering, sources, tracing
began = metering.start(load(), sources.Sources(accounts=tuple)), tracing.set_up(load())
print(json.dumps([began, sorted({name.split(".")[0] for name in sys.modules}), sorted(sys.modules)]))
"""


def test_nothing_is_imported_or_begun_when_nothing_is_set() -> None:
    """Ours: who does not watch pays for nothing."""
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, timeout=60, check=True)
    began, packages, modules = json.loads(done.stdout)

    assert began == [None, None]
    assert set(packages) & {"prometheus_client", "requests", "google", "wsgiref"} == set()
    assert [name for name in modules if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter"))] == []


# What is written about it ---------------------------------------------------------


def test_the_page_lists_the_metrics_that_there_are() -> None:
    """Ours: names, kinds, labels and what they say."""
    rows = [
        f"| `{each.name}` | {each.kind} | {', '.join(f'`{label}`' for label in each.labels)} | {each.about} |"
        for each in METRICS
    ]
    listed = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `finexio_mcp_")]

    assert [" ".join(line.split()) for line in listed] == [" ".join(row.split()) for row in rows]


def test_what_is_described_is_what_is_registered() -> None:
    """Ours: name, kind and help, and the labels of each sample."""
    metrics = Metrics(sources(audit_waiting=lambda: 0, audit_lost=lambda: 0))
    families = {family.name: family for family in metrics.registry.collect() if family.name.startswith("finexio")}

    assert {(name, family.type, family.documentation) for name, family in families.items()} == {
        (each.name.removesuffix("_total"), each.kind, each.about) for each in METRICS
    }


def alerts() -> dict[str, str]:
    """What the page's alerts ask for, by name."""
    (shown,) = re.findall(r"```yaml\n(groups:.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return {rule["alert"]: rule["expr"] for group in yaml.safe_load(shown)["groups"] for rule in group["rules"]}


def test_alerts_speak_of_metrics_and_codes_that_exist() -> None:
    """Ours: an alert on a name that is no metric would never fire."""
    names = {each.name for each in METRICS} | {f"{each.name}_bucket" for each in METRICS if each.kind == "histogram"}

    assert len(alerts()) >= 5
    for expression in alerts().values():
        used = set(re.findall(r"finexio_mcp_\w+", expression))
        assert used
        assert used <= names
        assert set(re.findall(r'(?:code|outcome)="(\w+)"', expression)) <= CODES


def test_what_alerts_watch_is_there_from_the_first_scrape() -> None:
    """Ours: in a fresh server, with every account, but for what only the ledger can tell and nobody makes up."""
    idle = {"acme": 0, "globex": 0}
    with served(waiting=lambda: idle, audit_waiting=lambda: 0, audit_lost=lambda: 0) as (_, url):
        found = samples(get(f"{url}/metrics").text)

    absent: set[str] = set()
    for expression in alerts().values():
        for name, code in re.findall(r'(finexio_mcp_\w+)(?:\{code="(\w+)"\})?', expression):
            series = [set(labels) for each, labels in found if each == name]
            if code:
                there = {dict(labels)["account"] for labels in series if ("code", code) in labels}
                assert there == {"acme", "globex"}
            if not series:
                absent.add(name)
    assert absent == {"finexio_mcp_writes_in_doubt", "finexio_mcp_writes_in_conflict"}
    assert "absent(finexio_mcp_ledger_read_timestamp_seconds)" in alerts()["LedgerNotRead"]
