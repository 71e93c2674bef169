"""Sending spans to a collector: only what is known to be harmless, and never at the price of a call."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Sequence
from typing import Any

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import SpanContext
from opentelemetry.trace.status import Status

from finexio_mcp import __version__
from finexio_mcp.telemetry import SCOPE

CLOSE_SECONDS = 2.0
"""For the last spans at the end; hosts that start servers do not wait much longer."""

OF_THE_SDK = "mcp-python-sdk"
METHODS = frozenset(
    {
        "initialize",
        "notifications/cancelled",
        "notifications/initialized",
        "ping",
        "server/discover",
        "tools/call",
        "tools/list",
    }
)
"""What clients ask of this server. Any other method is text that somebody else chose."""
ATTRIBUTES = frozenset(
    {
        "error.type",
        "finexio_mcp.account",
        "finexio_mcp.caller",
        "finexio_mcp.op_id",
        "finexio_mcp.outcome",
        "finexio_mcp.request_id",
        "finexio_mcp.upstream",
        "gen_ai.operation.name",
        "gen_ai.tool.name",
        "http.request.method",
        "http.request.resend_count",
        "http.response.status_code",
        "mcp.method.name",
        "mcp.protocol.version",
        "rpc.response.status_code",
        "server.address",
        "url.template",
    }
)
"""All that a span may say. The SDK's own would repeat names and ids that clients made up."""
REVISION = re.compile(r"\d{4}-\d\d-\d\d")

logger = logging.getLogger("finexio_mcp.telemetry")


def cleaned(span: ReadableSpan) -> ReadableSpan | None:
    """What leaves of a span: no text of an exception, and nothing that a client chose; `None` for those of others."""
    scope = span.instrumentation_scope
    if scope is None or scope.name not in {SCOPE, OF_THE_SDK}:
        return None
    said = span.attributes or {}
    kept: dict[str, Any] = {name: value for name, value in said.items() if name in ATTRIBUTES}
    name = span.name if scope.name == SCOPE else _name(kept)
    return ReadableSpan(
        name,
        context=_bare(span.context),
        parent=_bare(span.parent),
        resource=span.resource,
        attributes=kept,
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=scope,
    )


def _name(kept: dict[str, Any]) -> str:
    """The name of a message's span, in which a tool is named only if it was one."""
    method = kept.get("mcp.method.name")
    if method not in METHODS:
        method = kept["mcp.method.name"] = "other"
    if not REVISION.fullmatch(str(kept.get("mcp.protocol.version"))):
        kept.pop("mcp.protocol.version", None)
    if "finexio_mcp.request_id" not in kept:
        kept.pop("gen_ai.tool.name", None)
    tool = kept.get("gen_ai.tool.name")
    return f"{method} {tool}" if tool else str(method)


def _bare(of: SpanContext | None) -> SpanContext | None:
    """Without the state that clients may add for tracing systems of theirs."""
    return None if of is None else SpanContext(of.trace_id, of.span_id, of.is_remote, of.trace_flags)


class Spans(BatchSpanProcessor):
    """Cleans spans before they wait, so that nobody can fill the memory with long names."""

    def on_end(self, span: ReadableSpan) -> None:
        """Take one that ended."""
        kept = cleaned(span)
        if kept is not None:
            super().on_end(kept)


class Reporting(SpanExporter):
    """Says once that spans cannot be sent, and once that they are sent again.

    What the library logs of that has addresses and answers of others in it.
    """

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._failing = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send some; a failure loses them."""
        try:
            result = self._exporter.export(spans)
        except Exception:
            result = SpanExportResult.FAILURE
        failed = result is not SpanExportResult.SUCCESS
        if failed and not self._failing:
            logger.warning(
                "spans cannot be sent and are lost; is there a collector at OTEL_EXPORTER_OTLP_ENDPOINT that takes "
                "OTLP over HTTP, and does it take OTEL_EXPORTER_OTLP_HEADERS?"
            )
        elif self._failing and not failed:
            logger.info("spans are sent again")
        self._failing = failed
        return result

    def shutdown(self) -> None:
        """Let go of connections."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing waits here."""
        return self._exporter.force_flush(timeout_millis)


def start() -> Callable[[], None]:
    """Send spans from now on; where to, and how, the `OTEL_*` variables say.

    Returns:
        Sends what is left, for a bounded time.
    """
    logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)
    ours = {SERVICE_NAME: "finexio-mcp", SERVICE_VERSION: __version__}
    resource = Resource.create({**ours, **OTELResourceDetector().detect().attributes})
    # At the interpreter's end it would wait for half a minute.
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(Spans(Reporting(OTLPSpanExporter())))
    trace.set_tracer_provider(provider)

    def close() -> None:
        last = threading.Thread(target=provider.shutdown, name="last-spans", daemon=True)
        last.start()
        last.join(CLOSE_SECONDS)

    return close
