"""The port that metrics are read from: one path, one method, and nothing about the process beside them."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Iterable
from socketserver import TCPServer
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler

from prometheus_client.exposition import (
    ThreadingWSGIServer,
    make_wsgi_app,  # pyright: ignore[reportUnknownVariableType]
)
from prometheus_client.registry import Collector

from finexio_mcp.settings import NAMES, SettingProblem, Settings, SettingsError

PATH = "/metrics"
READ_SECONDS = 10.0
"""For a request to come. Each has a thread of its own, which nobody may keep for longer."""
POLL_SECONDS = 0.1
"""How soon the end is noticed."""

logger = logging.getLogger("finexio_mcp.telemetry")

StartResponse = Callable[..., Any]


class MetricsServer:
    """Serves until it is closed, in threads of its own: a scrape never waits for a call, nor a call for a scrape."""

    def __init__(self, server: ThreadingWSGIServer) -> None:
        self._server = server
        self.port: int = server.server_address[1]
        self._thread = threading.Thread(target=server.serve_forever, args=(POLL_SECONDS,), name="metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Take no more requests."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def serve_metrics(settings: Settings, registry: Collector) -> MetricsServer:
    """Serve what a registry has.

    Raises:
        SettingsError: The port cannot be had.
    """
    address = (settings.metrics_host, settings.metrics_port or 0)
    kind = _Server6 if ":" in settings.metrics_host else _Server
    try:
        server = kind(address, _Handler)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "it is no address"
        raise SettingsError(
            [
                SettingProblem(
                    NAMES["metrics_port"],
                    f"port {address[1]} on {address[0]} cannot be had ({reason}); stop what has it, or choose another "
                    f"port or {NAMES['metrics_host']}",
                )
            ]
        ) from None
    server.set_app(_only_metrics(make_wsgi_app(registry)))  # pyright: ignore[reportUnknownArgumentType]
    return MetricsServer(server)


class _Server(ThreadingWSGIServer):
    def server_bind(self) -> None:
        """As the library does, without asking a name server who we are: that may take long."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "metrics", self.server_address[1]
        self.setup_environ()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever leaves in the middle of an answer is no news."""


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Handler(WSGIRequestHandler):
    timeout = READ_SECONDS

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the library's
        """A scrape is no news, and what a stranger asks for is text of theirs."""


def _only_metrics(app: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    """The library answers on every path."""

    def answer(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            return start_response(status, [*headers, ("Server", "finexio-mcp"), ("Cache-Control", "no-store")], *more)

        if environ["PATH_INFO"] != PATH:
            start("404 Not Found", [])
            return []
        if environ["REQUEST_METHOD"] != "GET":
            start("405 Method Not Allowed", [("Allow", "GET")])
            return []
        try:
            return app({**environ, "QUERY_STRING": ""}, start)
        except Exception as error:
            logger.error("metrics could not be put together: %s", type(error).__name__)
            start("500 Internal Server Error", [])
            return []

    return answer
