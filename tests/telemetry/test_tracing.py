"""Spans: whose call, which request, and what came of it; never what about."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace

import anyio
import anyio.lowlevel
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from finexio_mcp.calls import start_by_itself
from finexio_mcp.settings import load
from finexio_mcp.telemetry import SCOPE, tracing
from finexio_mcp.telemetry.tracing import call_span, upstream_span
from tests.telemetry.seen import ended, running

SECRET = "QXZ918273645"


class Book:
    """Spans that ended, and a tracer for those of others."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        return self._exporter.get_finished_spans()

    def only(self) -> ReadableSpan:
        (span,) = self.spans
        return span


@pytest.fixture
def book(monkeypatch: pytest.MonkeyPatch) -> Book:
    made = Book()
    monkeypatch.setattr(tracing, "_tracer", made.provider.get_tracer(SCOPE))
    return made


def test_the_span_of_a_message_is_told_whose_call_it_carries(book: Book) -> None:
    """Ours: the library made it, and no second one is made."""
    tracer = book.provider.get_tracer("mcp-python-sdk")
    with tracer.start_as_current_span("tools/call x", kind=SpanKind.SERVER), call_span(running()) as span:
        span.ended(ended(op_id="op_1", outcome="in_doubt", failed=True))

    span = book.only()
    assert span.name == "tools/call x"
    assert span.attributes == {
        "finexio_mcp.request_id": "req_0123456789abcdef",
        "finexio_mcp.account": "acme",
        "finexio_mcp.caller": "tok_1",
        "finexio_mcp.outcome": "in_doubt",
        "finexio_mcp.op_id": "op_1",
        "finexio_mcp.upstream": 1,
        "error.type": "in_doubt",
    }
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, None)


def test_a_call_that_came_in_no_message_has_a_span_of_its_own(book: Book) -> None:
    """Ours: commands call as well."""
    with call_span(running()) as span, upstream_span("GET", "api.finexio.com", 0) as request:
        request.answered(200)
        span.ended(ended())

    upstream, call = book.spans
    assert (call.name, call.kind, call.parent) == ("tools/call list_all_finexio_payments", SpanKind.INTERNAL, None)
    assert call.attributes is not None
    assert call.attributes["gen_ai.tool.name"] == "list_all_finexio_payments"
    assert call.attributes["finexio_mcp.outcome"] == "ok"
    assert upstream.parent == call.context
    assert not trace.get_current_span().get_span_context().is_valid


def test_a_request_is_told_by_the_usual_names_and_nothing_more(book: Book) -> None:
    """Ours: no path, no query, no ids."""
    with upstream_span("POST", "api.finexio.com", 2, route="/invoices/{id}/") as span:
        span.answered(503)

    span = book.only()
    assert (span.name, span.kind) == ("POST /invoices/{id}/", SpanKind.CLIENT)
    assert span.attributes == {
        "http.request.method": "POST",
        "server.address": "api.finexio.com",
        "url.template": "/invoices/{id}/",
        "http.request.resend_count": 2,
        "http.response.status_code": 503,
        "error.type": "503",
    }
    assert span.status.status_code is StatusCode.ERROR


def test_a_failure_is_told_by_its_kind_alone(book: Book) -> None:
    """Ours: its text may hold a value, and so may what it came from."""
    with pytest.raises(ConnectionError), upstream_span("GET", "api.finexio.com", 0):
        raise ConnectionError(SECRET)

    span = book.only()
    assert span.attributes is not None
    assert span.attributes["error.type"] == "ConnectionError"
    assert (span.events, span.status.description) == ((), None)


async def test_a_write_that_goes_on_stays_in_the_trace_of_its_call(book: Book) -> None:
    """Ours: its caller was answered, or has left, and the span of the call has ended."""
    gone, done = anyio.Event(), anyio.Event()

    async def write() -> None:
        await gone.wait()
        with upstream_span("POST", "api.finexio.com", 0) as span:
            span.answered(201)
        done.set()

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            with call_span(running()) as span:
                tasks.start_soon(write)
                span.ended(ended(outcome="in_progress"))
            gone.set()
            await done.wait()

    call, upstream = book.spans
    assert upstream.parent == call.context


async def test_what_outlives_a_call_for_its_own_sake_is_not_in_its_trace(book: Book) -> None:
    """Ours: the first call of an account makes what later calls use."""

    async def keep() -> None:
        with upstream_span("GET", "api.finexio.com", 0):
            pass

    with anyio.fail_after(5), call_span(running()):
        async with anyio.create_task_group() as tasks:
            start_by_itself(tasks, keep)
        assert trace.get_current_span().is_recording()

    upstream, call = book.spans
    assert upstream.parent is None
    assert upstream.context is not None
    assert call.context is not None
    assert upstream.context.trace_id != call.context.trace_id


async def test_calls_side_by_side_keep_to_their_own_traces(book: Book) -> None:
    """Ours: requests of one account are never under the call of another."""

    async def call(account: str) -> None:
        caller = replace(running().caller, account=account)
        with call_span(running(caller=caller)) as span:
            await anyio.lowlevel.checkpoint()
            with upstream_span("GET", f"{account}.example", 0):
                await anyio.lowlevel.checkpoint()
            span.ended(ended(caller=caller))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(call, f"a{number}")

    calls = {
        span.context.span_id: span.attributes["finexio_mcp.account"]
        for span in book.spans
        if span.kind is SpanKind.INTERNAL and span.context and span.attributes
    }
    requests = [span for span in book.spans if span.kind is SpanKind.CLIENT]
    assert len(calls) == len(requests) == 20
    for span in requests:
        assert span.parent is not None
        assert span.attributes is not None
        assert span.attributes["server.address"] == f"{calls[span.parent.span_id]}.example"


def test_without_anybody_who_takes_spans_there_are_none() -> None:
    """Ours: and nothing is left behind in this task."""
    with call_span(running()) as span, upstream_span("GET", "api.finexio.com", 1) as request:
        request.answered(500)
        span.ended(ended())
        assert trace.get_current_span() is trace.INVALID_SPAN


def test_a_program_around_this_server_keeps_its_own_way(
    book: Book, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Ours: what it set up is not replaced."""
    caplog.set_level("INFO")
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", book.provider)

    assert tracing.set_up(load(OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1")) is None
    assert "spans are taken already" in caplog.text


@pytest.mark.parametrize("package", ["opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http.trace_exporter"])
def test_a_missing_package_is_told_and_the_server_goes_on(
    package: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Ours: by the name of the extra."""
    monkeypatch.delitem(sys.modules, "finexio_mcp.telemetry.exporting", raising=False)
    for name in [name for name in sys.modules if name == package or name.startswith(f"{package}.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)

    assert tracing.set_up(load(OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1")) is None
    assert "Install finexio-mcp[tracing]" in caplog.text
