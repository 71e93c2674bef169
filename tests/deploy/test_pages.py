"""The pages about running the server hold to what the code does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from finexio_mcp import settling
from finexio_mcp.access import lasting
from finexio_mcp.audit.log import CLOSE_SECONDS
from finexio_mcp.errors import FinexioError, WriteStatus
from finexio_mcp.guards.ledger.schema import VERSION
from finexio_mcp.settings import load
from finexio_mcp.web.serving import LAST_ANSWERS_SECONDS
from tests.deploy.composed import DEPLOY, DOCKERFILE, ROOT, placed, problems

DEPLOYMENT, INCIDENTS = ROOT / "docs" / "deployment.md", ROOT / "docs" / "incidents.md"
CODES = re.compile(
    r"`((?:in|not|access|already|permission|rate|refused|upstream|ledger)_[a-z_]+|unavailable|conflict)`"
)
LONGEST_SECONDS = load().batch_seconds + 2 * LAST_ANSWERS_SECONDS + CLOSE_SECONDS


def shown(name: str) -> str:
    """A file that the page shows."""
    found = re.search(rf"<!-- file: {re.escape(name)} -->\n```\w*\n(.*?)```", DEPLOYMENT.read_text(), re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture(scope="module")
def pod() -> dict[str, Any]:
    """The pod of the page about Kubernetes."""
    deployment, _ = yaml.safe_load_all(shown("deployment.yaml"))
    return deployment["spec"]["template"]["spec"]


def test_the_settings_for_one_machine_start_a_server(tmp_path: Path) -> None:
    """Ours: nothing to complain of."""
    password = tmp_path / "password"
    password.write_text("x")
    given = dict(line.split("=", 1) for line in shown("finexio.env").splitlines())

    assert list(problems({**given, "FINEXIO_PASSWORD_FILE": str(password)})) == []


def test_a_pod_starts_with_the_settings_that_are_shown(pod: dict[str, Any], prepared: Path) -> None:
    """Ours: nothing to complain of, and the ports of the probes are those that are listened on."""
    (container,) = pod["containers"]
    given = {each["name"]: each["value"].replace("/secrets/finexio-mcp/", "/secrets/") for each in container["env"]}
    there = placed(given, prepared)

    assert list(problems(there)) == []
    settings = load(**there)
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    assert ports == {"http": settings.http_port, "metrics": settings.metrics_port}
    probes = {name: container[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "liveness", "readiness")}
    assert probes == {"startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz"}
    assert f"USER {pod['securityContext']['runAsUser']}" in DOCKERFILE.read_text()


def test_a_pod_and_a_service_may_end_what_they_do(pod: dict[str, Any]) -> None:
    """Ours: the longest write, what comes before it, and what is left after it."""
    waits = int(pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1])

    assert pod["terminationGracePeriodSeconds"] >= waits + LONGEST_SECONDS
    assert int(re.findall(r"^TimeoutStopSec=(\d+)$", shown("finexio-mcp.service"), re.MULTILINE)[0]) >= LONGEST_SECONDS


def test_the_service_keeps_its_state_where_the_page_says() -> None:
    """Ours: in the directory that systemd makes for it."""
    service = dict(line.split("=", 1) for line in shown("finexio-mcp.service").splitlines() if "=" in line)

    assert service["Environment"] == "XDG_STATE_HOME=/var/lib"
    assert service["StateDirectory"] == "finexio-mcp"


@pytest.mark.parametrize("page", [DEPLOYMENT, INCIDENTS], ids=lambda page: page.stem)
def test_every_code_exists(page: Path) -> None:
    """Ours: what answers carry."""
    codes = {*get_args(WriteStatus), *(code for error in errors() if (code := getattr(error, "code", None)))}

    assert set(CODES.findall(page.read_text())) <= codes


def errors(root: type[FinexioError] = FinexioError) -> Iterator[type[FinexioError]]:
    yield root
    for child in root.__subclasses__():
        yield from errors(child)


def test_every_file_of_the_folder_is_spoken_of() -> None:
    """Ours: but for the one that keeps secrets from being committed."""
    page = DEPLOYMENT.read_text()

    assert [file.name for file in DEPLOY.iterdir() if file.is_file() and file.name not in page] == [".gitignore"]


def test_times_and_versions_are_those_of_the_code() -> None:
    """Ours: what somebody waits for in an incident."""
    deployment, incidents = DEPLOYMENT.read_text(), INCIDENTS.read_text()

    assert f"over, {load().batch_seconds + settling.LEASE_SLACK_SECONDS:g} seconds" in incidents
    assert settling.SHARED_NAP_SECONDS == 30, "half a minute later at the latest"
    assert f"in the last {lasting.LASTING_SECONDS / 60:g} minutes" in incidents
    assert f"tables of version {VERSION}" in deployment
