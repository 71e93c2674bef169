"""Sending spans: a process of its own with the real exporter, and a collector that shows all that arrived."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from finexio_mcp import __version__
from tests.telemetry.collector import collecting, plain

SECRET = "QXZ918273645"

BEGINNING = """
import anyio, logging, sys
from finexio_mcp import logs
from finexio_mcp.settings import load
from finexio_mcp.telemetry import tracing
settings = load()
logs.configure(settings)
close = tracing.set_up(settings)
assert close is not None
"""
ENDING = """
close()
"""
ONE_CALL = """
from finexio_mcp.telemetry.tracing import call_span, upstream_span
from tests.telemetry.seen import ended, running
with call_span(running()) as span, upstream_span("GET", "api.finexio.com", 0) as request:
    request.answered(200)
    span.ended(ended())
"""
MESSAGES = """
import mcp_types as types
from mcp import Client
from mcp.server import Server
from finexio_mcp.telemetry.tracing import call_span
from tests.telemetry.seen import ended, running

SECRET = "QXZ918273645"

async def call(context, params):
    if params.name == SECRET:
        raise RuntimeError(SECRET)
    with call_span(running(tool=params.name)) as span:
        span.ended(ended(tool=params.name))
    return types.CallToolResult(content=[types.TextContent(type="text", text=SECRET)])

async def tools(context, params):
    schema = {"type": "object"}
    return types.ListToolsResult(
        tools=[types.Tool(name=name, input_schema=schema) for name in (SECRET, "list_all_finexio_payments")]
    )

async def main():
    server = Server("x", on_call_tool=call, on_list_tools=tools)
    async with Client(server, mode=sys.argv[1], raise_exceptions=False) as client:
        meta = {"traceparent": "00-" + "ab" * 16 + "-" + "cd" * 8 + "-01", "tracestate": "vendor=" + SECRET}
        await client.call_tool("list_all_finexio_payments", {"status": SECRET}, meta=meta)
        try:
            await client.call_tool(SECRET, {"status": SECRET})
        except Exception:
            pass


anyio.run(main)
"""


def run(code: str, *arguments: str, **environment: str) -> str:
    """What a process logged that did this with spans set up."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "FINEXIO_"))}
    done = subprocess.run(
        [sys.executable, "-c", BEGINNING + code + ENDING, *arguments],
        env={**clean, **environment, "NO_PROXY": "127.0.0.1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    return done.stderr


def test_spans_arrive_at_the_collector() -> None:
    """Ours: with who we are, and in one trace."""
    with collecting() as collector:
        log = run(ONE_CALL, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, OTEL_EXPORTER_OTLP_HEADERS="api-key=k")

    call, upstream = collector.named("tools/call list_all_finexio_payments"), collector.named("GET")
    assert collector.paths == ["/v1/traces"]
    assert collector.headers[0]["api-key"] == "k"
    assert (call.kind, upstream.kind) == (Span.SPAN_KIND_INTERNAL, Span.SPAN_KIND_CLIENT)
    assert (upstream.trace_id, upstream.parent_span_id) == (call.trace_id, call.span_id)
    assert plain(call.attributes)["finexio_mcp.account"] == "acme"
    assert plain(upstream.attributes)["http.response.status_code"] == 200
    assert collector.resource["service.name"] == "finexio-mcp"
    assert collector.resource["service.version"] == __version__
    assert log == ""


def test_the_usual_variables_hold() -> None:
    """Documented: by OpenTelemetry, for every program that exports."""
    with collecting() as collector:
        run(
            ONE_CALL,
            OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1",
            OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"{collector.url}/elsewhere",
            OTEL_SERVICE_NAME="payables",
            OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=trial",
        )

    assert collector.paths == ["/elsewhere"]
    assert collector.resource["service.name"] == "payables"
    assert collector.resource["deployment.environment.name"] == "trial"


def test_a_sampler_that_takes_nothing_sends_nothing() -> None:
    """Documented: by OpenTelemetry."""
    with collecting() as collector:
        run(ONE_CALL, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, OTEL_TRACES_SAMPLER="always_off")

    assert collector.bodies == []


@pytest.mark.parametrize("era", ["auto", "legacy"])
def test_what_clients_choose_and_what_exceptions_say_stays_here(era: str) -> None:
    """Ours: the library puts ids, names and the text of exceptions into its spans; none of that leaves."""
    with collecting() as collector:
        run(MESSAGES, era, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)

    called = [span for span in collector.spans if span.name.startswith("tools/call")]
    assert SECRET.encode() not in b"".join(collector.bodies)
    # The client in the same process makes spans too; those of the server are told by their kind.
    known, broken = [span for span in called if span.kind == Span.SPAN_KIND_SERVER]
    assert known.name == "tools/call list_all_finexio_payments"
    said = plain(known.attributes)
    assert said["finexio_mcp.request_id"] == "req_0123456789abcdef"
    assert said["gen_ai.tool.name"] == "list_all_finexio_payments"
    assert "jsonrpc.request.id" not in said
    assert broken.name == "tools/call"
    assert plain(broken.attributes)["error.type"] == "RuntimeError"
    assert (broken.status.code, broken.status.message, len(broken.events)) == (Status.STATUS_CODE_ERROR, "", 0)


@pytest.mark.parametrize("status", [401, 500])
def test_a_collector_that_refuses_is_told_once_without_its_words(status: int) -> None:
    """Ours: what the library logs has the answer in it, and a password may stand in the address."""
    twice = f"{ONE_CALL}\nfrom opentelemetry import trace\ntrace.get_tracer_provider().force_flush()\n{ONE_CALL}"
    with collecting(status) as collector:
        log = run(
            twice,
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.url.replace("//", f"//u:{SECRET}@"),
            OTEL_EXPORTER_OTLP_HEADERS=f"authorization={SECRET}",
            OTEL_EXPORTER_OTLP_TIMEOUT="1",
            FINEXIO_MCP_LOG_LEVEL="debug",
        )

    (line,) = log.splitlines()
    assert "spans cannot be sent and are lost" in line
    assert SECRET not in log
    assert collector.bodies


HUNG = """
import os, socket
listening = socket.create_server(("127.0.0.1", 0))
os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"http://127.0.0.1:{listening.getsockname()[1]}"
"""


@pytest.mark.parametrize("ending", [ENDING, ""])
def test_a_collector_that_never_answers_keeps_nobody_for_long(ending: str) -> None:
    """Ours: the last spans get two seconds, whatever the library would wait; whoever leaves in a hurry gives none."""
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", HUNG + BEGINNING + ONE_CALL + ending],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert time.monotonic() - began < 8


@pytest.mark.parametrize("broken", [{"OTEL_BSP_SCHEDULE_DELAY": "0"}, {"OTEL_BSP_MAX_QUEUE_SIZE": "1"}])
def test_variables_that_cannot_be_used_are_told_and_the_server_goes_on(broken: dict[str, Any]) -> None:
    """Ours: spans are never worth a payment run."""
    code = BEGINNING.replace("assert close is not None", "assert close is None")
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **broken, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "look at the OTEL_* variables" in done.stderr
