"""What an upgrade does to a ledger that is in use, as the page about deployment says it."""

from __future__ import annotations

import contextlib

import anyio
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from finexio_mcp.engine import Engine, Parts
from finexio_mcp.guards.ledger.engines import Pools
from finexio_mcp.guards.ledger.schema import OLD_VERSION, VERSION
from tests.conftest import simulator_settings
from tests.guards.ledger import old
from tests.guards.ledger.conftest import new_schema


def version(url: str) -> int:
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        return connection.execute(text("SELECT version FROM head")).scalar_one()


@pytest.mark.parametrize("access", ["read", "pay"])
async def test_a_server_that_only_starts_migrates(postgresql: str, access: str) -> None:
    """Ours: so the backup comes before the first new server is started, a canary that only reads included."""
    url = new_schema(postgresql)
    old.put_schema(url)
    settings = simulator_settings(
        FINEXIO_BASE_URL="http://127.0.0.1:9/v2",
        FINEXIO_MCP_LEDGER_URL=url.replace("postgresql+psycopg", "postgresql"),
        FINEXIO_MCP_STATE_KEY="k" * 40,
        FINEXIO_MCP_ACCESS=access,
    )
    assert version(url) == OLD_VERSION

    with anyio.fail_after(30):
        with contextlib.closing(Pools()) as pools:
            async with Engine(settings, parts=lambda: Parts(pools=pools)) as engine:
                await engine.warm_up()
                assert version(url) == VERSION
