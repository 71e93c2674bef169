"""What every test may lean on: a clean environment, no network, and a client in either era."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, Literal

import httpx2
import pytest
from mcp import Client

from finexio_mcp.server import build_server
from finexio_mcp.settings import Settings, load
from finexio_mcp.simulator import Simulator

Era = Literal["auto", "legacy"]
ERAS: tuple[Era, ...] = ("auto", "legacy")
"""The revision of 2026-07-28, and those that begin with a handshake."""


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of this machine, and no ledger of whoever runs the tests."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for name in list(os.environ):
        if name.startswith(("FINEXIO_", "OTEL_")):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the loopback is reachable."""
    real = httpx2.AsyncHTTPTransport.handle_async_request

    async def guarded(self: httpx2.AsyncHTTPTransport, request: httpx2.Request) -> httpx2.Response:
        if request.url.host not in {"127.0.0.1", "localhost"}:
            raise AssertionError(f"a test called {request.url.host}")
        return await real(self, request)

    monkeypatch.setattr(httpx2.AsyncHTTPTransport, "handle_async_request", guarded)


def simulator_settings(**overrides: Any) -> Settings:
    """Settings for tests: the simulator, without a rate limit."""
    usual = {"FINEXIO_ENVIRONMENT": "simulator", "FINEXIO_MCP_RATE": 0, "FINEXIO_MCP_ALLOW_VOLATILE_LEDGER": True}
    return load(**{**usual, **overrides})


@contextlib.asynccontextmanager
async def connect(
    simulator: Simulator | httpx2.AsyncBaseTransport, era: Era = "auto", **settings: Any
) -> AsyncGenerator[Client]:
    """A client of our server, over the simulator or over any transport. Open it in the test itself."""
    transport = simulator.transport() if isinstance(simulator, Simulator) else simulator
    server = build_server(simulator_settings(**settings), transport=transport)
    async with Client(server, mode=era) as client:
        yield client


@pytest.fixture
def simulator() -> Simulator:
    """A pretend Finexio with its books filled."""
    return Simulator(seed=1)


@pytest.fixture
def empty_simulator() -> Simulator:
    """A pretend Finexio with empty books."""
    return Simulator(seed=1, populated=False)
