"""Spans of calls and of requests to Finexio: who, which tool, what came of it; never what about."""

from __future__ import annotations

import contextvars
import logging
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from opentelemetry import context, trace
from opentelemetry.trace import Span, SpanKind, StatusCode

from finexio_mcp.calls import Ended, Running
from finexio_mcp.settings import Settings
from finexio_mcp.telemetry import SCOPE

logger = logging.getLogger("finexio_mcp.telemetry")

_tracer = trace.get_tracer(SCOPE)
# It finds whoever takes spans once there is somebody; until then its spans are nothing, and cost next to it.


def call_span(call: Running) -> CallSpan:
    """The span of a call: that of the message it came in, or one of its own where nobody has made one."""
    return CallSpan(call)


class CallSpan:
    """What is done inside belongs to this call, and so does what tasks do that are started inside."""

    def __init__(self, call: Running) -> None:
        self._call = call
        self._span: Span = trace.INVALID_SPAN
        self._token: contextvars.Token[context.Context] | None = None

    def __enter__(self) -> Self:
        span = trace.get_current_span()
        if not span.is_recording():
            span = self._own()
        if span.is_recording():
            caller = self._call.caller
            span.set_attribute("finexio_mcp.request_id", self._call.request_id)
            span.set_attribute("finexio_mcp.account", caller.account)
            span.set_attribute("finexio_mcp.caller", caller.key)
            self._span = span
        return self

    def _own(self) -> Span:
        tool = self._call.tool
        attributes = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": tool}
        span = _tracer.start_span(f"tools/call {tool}", kind=SpanKind.INTERNAL, attributes=attributes)
        if span.is_recording():
            self._token = context.attach(trace.set_span_in_context(span))
        return span

    def ended(self, call: Ended) -> None:
        """Tell what came of it."""
        span = self._span
        if not span.is_recording():
            return
        span.set_attribute("finexio_mcp.outcome", call.outcome)
        span.set_attribute("finexio_mcp.upstream", call.upstream)
        if call.op_id is not None:
            span.set_attribute("finexio_mcp.op_id", call.op_id)
        if call.failed:
            span.set_attribute("error.type", call.outcome)
            span.set_status(StatusCode.ERROR)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace_: TracebackType | None
    ) -> None:
        if self._token is not None:
            context.detach(self._token)
            self._span.end()


def upstream_span(method: str, host: str, attempt: int, *, route: str | None = None) -> UpstreamSpan:
    """The span of one request to Finexio.

    Args:
        method: Of HTTP.
        host: The name of the server.
        attempt: 0, or how often it was sent before.
        route: The path with names instead of what stands for them, such as `/payments/{key}/`.
    """
    attributes: dict[str, Any] = {"http.request.method": method, "server.address": host}
    if attempt:
        attributes["http.request.resend_count"] = attempt
    if route is not None:
        attributes["url.template"] = route
    name = method if route is None else f"{method} {route}"
    # Nothing below makes spans, so it need not be the current one.
    return UpstreamSpan(_tracer.start_span(name, kind=SpanKind.CLIENT, attributes=attributes))


class UpstreamSpan:
    """It ends with the request; what is raised inside is named by its kind alone."""

    def __init__(self, span: Span) -> None:
        self._span = span

    def __enter__(self) -> Self:
        return self

    def answered(self, status: int) -> None:
        """Tell what Finexio answered."""
        self._span.set_attribute("http.response.status_code", status)
        if status >= 400:
            self._failed(str(status))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace_: TracebackType | None
    ) -> None:
        if kind is not None:
            self._failed(kind.__name__)
        self._span.end()

    def _failed(self, kind: str) -> None:
        self._span.set_attribute("error.type", kind)
        self._span.set_status(StatusCode.ERROR)


def set_up(settings: Settings) -> Callable[[], None] | None:
    """Send spans to a collector, if the settings name one and nobody else takes them yet.

    Returns:
        What sends the last of them, for a bounded time; it blocks. `None`: there is nothing to end.
    """
    if settings.otlp_endpoint is None:
        return None
    if not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        logger.info("spans are taken already; nothing was set up for them")
        return None
    try:
        from finexio_mcp.telemetry.exporting import start

        return start()
    except ModuleNotFoundError:
        logger.warning("spans are not sent: what sends them is not installed. Install finexio-mcp[tracing].")
    except Exception as error:
        logger.warning("spans are not sent: %s; look at the OTEL_* variables", type(error).__name__)
    return None
