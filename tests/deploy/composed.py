"""What `deploy/` says, read as `docker compose` reads it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from finexio_mcp.settings import SettingProblem, load, unknown_names
from finexio_mcp.web import rules

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE, CADDYFILE, DOCKERFILE = DEPLOY / "compose.yaml", DEPLOY / "Caddyfile", ROOT / "Dockerfile"
SERVERS = ("server-1", "server-2")
VARIABLE = re.compile(r"\$\{(\w+)(?::[-?]([^}]*))?\}")

Environment = Mapping[str, str]


def example() -> dict[str, str]:
    """The variables of `.env.example`, as an operator begins with them."""
    lines = (DEPLOY / ".env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def services(variables: Environment | None = None) -> dict[str, Any]:
    """The services, with the variables of an operator in their places."""
    variables = example() if variables is None else variables
    text = VARIABLE.sub(lambda match: variables.get(match[1]) or (match[2] or ""), COMPOSE.read_text())
    return yaml.safe_load(text)["services"]


def environment(service: str = SERVERS[0], variables: Environment | None = None) -> dict[str, str]:
    """The environment of a service: the operator's variables, and what the file itself says, which wins."""
    found = services(variables)[service]
    from_file = (example() if variables is None else dict(variables)) if found.get("env_file") == ".env" else {}
    return {**from_file, **found["environment"]}


def placed(environment: Environment, directory: Path) -> dict[str, str]:
    """The same environment with the files that it names below a directory of the test's own."""
    mounts = {"/run/secrets/": f"{directory}/secrets/", "/etc/finexio-mcp/": f"{directory}/accounts/"}
    moved = dict(environment)
    for name, value in environment.items():
        for mount, there in mounts.items():
            if value.startswith(mount):
                moved[name] = value.replace(mount, there, 1)
    return moved


def problems(environment: Environment) -> Iterator[SettingProblem]:
    """What a server that is started with this environment would complain of."""
    settings = load(**{name: value for name, value in environment.items() if value})
    yield from unknown_names(environment)
    yield from settings.warnings()
    yield from rules.refusals(settings)
    yield from rules.warnings(settings)
