"""Everything that a server tells those who watch it: log lines, metrics, audit rows and spans, by account."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator, Mapping
from typing import Any, cast

import httpx2
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.replicas.clients import NO_CERTIFICATES

Line = dict[str, Any]


def free_port() -> int:
    """A port that nobody has at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


def log_lines(said: str) -> list[Line]:
    """Each line of a JSON log; what is said to the operator at the start stands there as plain text."""
    return [json.loads(line) if line.startswith("{") else {"plain": line} for line in said.splitlines()]


def scraped(port: int) -> str:
    """The metrics at this moment."""
    with httpx2.Client(verify=NO_CERTIFICATES, trust_env=False, timeout=30) as http:
        return http.get(f"http://127.0.0.1:{port}/metrics").raise_for_status().text


class Collector:
    """A place that spans are sent to."""

    def __init__(self, url: str, received: list[bytes]) -> None:
        self.url = url
        self.received = received

    def traces(self) -> Mapping[str, list[Any]]:
        """Spans by the trace that they belong to."""
        found: dict[str, list[Any]] = {}
        for span in self._spans():
            found.setdefault(span.trace_id.hex(), []).append(span)
        return found

    def _spans(self) -> Iterator[Any]:
        for body in self.received:
            for resource in cast("Any", ExportTraceServiceRequest.FromString(body)).resource_spans:
                for scope in resource.scope_spans:
                    yield from scope.spans


@contextlib.contextmanager
def collector() -> Generator[Collector]:
    """An OTLP collector over HTTP on this machine."""
    received: list[bytes] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            """Nothing to say."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield Collector(f"http://127.0.0.1:{server.server_port}", received)
        finally:
            server.shutdown()
            thread.join(30)


def command(settings: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """`finexio-mcp` with these settings and arguments, as an operator runs it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FINEXIO_")}
    return subprocess.run(
        [sys.executable, "-m", "finexio_mcp", *arguments],
        env={**environment, **settings},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
