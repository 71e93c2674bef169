"""The files that are deployed hold together, and what reads them can read them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sysconfig
import tomllib
from pathlib import Path
from typing import Any

import pytest

from finexio_mcp.audit.log import CLOSE_SECONDS
from finexio_mcp.settings import NAMES, load
from finexio_mcp.web.serving import LAST_ANSWERS_SECONDS
from tests.deploy import caddy
from tests.deploy.composed import (
    CADDYFILE,
    COMPOSE,
    DEPLOY,
    DOCKERFILE,
    ROOT,
    SERVERS,
    environment,
    example,
    placed,
    problems,
    services,
)

PINNED = re.compile(r"[a-z/-]+:[0-9]+(\.[0-9]+)*(-[a-z]+)?")
ALL = ("server-1", "server-2", "postgres", "proxy")


def run(tool: str, *arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
    """A tool from beside this Python."""
    program = shutil.which(tool, path=sysconfig.get_path("scripts"))
    assert program, f"{tool} is not installed"
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=60, check=False, **more)


def seconds(duration: str) -> int:
    assert duration.endswith("s")
    return int(duration.removesuffix("s"))


# Their own linters -----------------------------------------------------------------


def test_the_dockerfile_is_clean() -> None:
    """Ours: by the linter of Dockerfiles."""
    result = run("hadolint", str(DOCKERFILE))

    assert (result.returncode, result.stdout) == (0, "")


def test_the_compose_file_follows_the_schema_of_compose() -> None:
    """Documented: the schema is that of the Compose specification."""
    result = run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", str(COMPOSE))

    assert result.returncode == 0, result.stdout


def test_a_slip_in_the_compose_file_would_be_noticed(tmp_path: Path) -> None:
    """Ours: the check above can fail."""
    spoilt = tmp_path / "compose.yaml"
    spoilt.write_text(COMPOSE.read_text().replace("healthcheck:", "healthchek:", 1))

    assert run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", str(spoilt)).returncode == 1


@pytest.mark.parametrize("tls", ["internal", "operator@example.com"])
def test_the_proxy_can_read_its_file(tmp_path: Path, tls: str) -> None:
    """Ours: with a certificate of its own and with one by ACME."""
    variables = {**caddy.environment(tmp_path), "TLS": tls, "MCP_HOST": "mcp.example.com"}
    result = run("caddy", "validate", "--config", str(CADDYFILE), "--adapter", "caddyfile", env=variables)

    assert result.returncode == 0, result.stderr


def test_the_proxys_file_is_formatted() -> None:
    """Ours: as its own formatter has it."""
    result = run("caddy", "fmt", "--diff", str(CADDYFILE))

    assert result.returncode == 0, result.stdout


def test_secrets_are_made_once(prepared: Path) -> None:
    """Ours: the state key of a ledger in use cannot be overwritten by running the script again."""
    secrets = prepared / "secrets"
    before = {file.name: file.read_text() for file in secrets.iterdir()}
    again = subprocess.run([prepared / "secrets.sh"], capture_output=True, check=False)

    assert again.returncode != 0
    assert {file.name: file.read_text() for file in secrets.iterdir()} == before
    assert secrets.stat().st_mode & 0o777 == 0o700
    assert before["ledger_url"] == f"postgresql://finexio:{before['ledger_password'].strip()}@postgres/finexio\n"
    assert len(set(before.values())) == len(before)
    assert all(len(value.strip()) >= 64 for value in before.values())


# Settings --------------------------------------------------------------------------


@pytest.mark.parametrize("file", sorted(file.name for file in DEPLOY.iterdir() if file.is_file()))
def test_every_setting_that_is_named_is_one(file: str) -> None:
    """Ours: a misspelt limit would hold for nobody."""
    named = set(re.findall(r"\bFINEXIO_[A-Z_]+\b", (DEPLOY / file).read_text()))

    assert named <= set(NAMES.values())


def test_both_servers_are_the_same() -> None:
    """Ours: neither has what the other lacks."""
    assert services()["server-1"] == services()["server-2"]
    assert environment("server-1") == environment("server-2")
    assert environment()["FINEXIO_MCP_REPLICAS"] == str(len(SERVERS))


@pytest.mark.parametrize("kind", ["sandbox", "production"])
def test_a_server_starts_with_these_settings_and_has_nothing_to_complain_of(prepared: Path, kind: str) -> None:
    """Ours: as the example and the script leave them, but for what an operator has to say."""
    variables = {**example(), "FINEXIO_ENVIRONMENT": kind}
    there = placed(environment(variables=variables), prepared)

    assert list(problems(there)) == []
    settings = load(**{name: value for name, value in there.items() if value})
    assert settings.shares_ledger
    assert settings.state_key is not None
    assert settings.requires_token


def test_the_example_of_accounts_can_be_used_as_it_is(prepared: Path) -> None:
    """Ours: every account's password is found beside the file."""
    from finexio_mcp.accounts import Accounts

    accounts = Accounts(load(**{k: v for k, v in placed(environment(), prepared).items() if v}))

    assert accounts.names() == ("acme", "zenith")
    found = [account and account.login.credentials() for account in map(accounts.find, accounts.names())]
    assert [login and login.password.get_secret_value() for login in found] == ["secret of acme", "secret of zenith"]


def test_the_operators_variables_are_all_used_and_all_explained() -> None:
    """Ours: what compose asks for is in the example, and the example has nothing that nobody reads."""
    asked = set(re.findall(r"\$\{(\w+)", COMPOSE.read_text())) - {"TAG"}

    assert asked == {name for name in example() if not name.startswith("FINEXIO_")}
    assert set(re.findall(r"\{\$(\w+)\}", CADDYFILE.read_text())) == asked


# Containers ------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_no_container_may_more_than_it_needs(name: str) -> None:
    """Ours: no root, no privileges, a root file system that stays as it is, bounded memory and logs."""
    service = services()[name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service.get("cap_add", []) == (["NET_BIND_SERVICE"] if name == "proxy" else [])
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "network_mode", "pid", "devices"} & set(service)
    assert service["deploy"]["resources"]["limits"]["memory"]
    assert set(service["logging"]["options"]) == {"max-size", "max-file"}
    assert service["restart"] == "unless-stopped"
    assert "healthcheck" in service
    uid = re.findall(r"^USER (\S+)", DOCKERFILE.read_text(), re.MULTILINE)[-1]
    assert service.get("user", f"{uid}:{uid}") not in {"0:0", "root"}


def test_only_the_proxy_can_be_reached_from_outside() -> None:
    """Ours: PostgreSQL and the metrics stay inside."""
    found = services()

    assert {name for name, service in found.items() if "ports" in service} == {"proxy"}
    assert found["postgres"]["networks"] == ["data"]
    assert environment()["FINEXIO_MCP_METRICS_PORT"] not in CADDYFILE.read_text()


def test_the_servers_believe_the_proxy_about_addresses_and_nobody_else() -> None:
    """Ours."""
    address = services()["proxy"]["networks"]["front"]["ipv4_address"]

    assert environment()["FINEXIO_MCP_FORWARDED_ALLOW_IPS"] == address


def test_the_proxy_knows_both_servers_by_the_ports_that_they_listen_on() -> None:
    """Ours: its defaults are what the compose file says."""
    defaults = dict(re.findall(r"\{\$(\w+):([^}]+)\}", CADDYFILE.read_text()))
    port = environment()["FINEXIO_MCP_HTTP_PORT"]

    assert defaults["SERVERS"].split() == [f"{name}:{port}" for name in SERVERS]
    assert services()["proxy"]["ports"] == [f"80:{defaults['HTTP_PORT']}", f"443:{defaults['HTTPS_PORT']}"]
    assert f'"127.0.0.1", {port}' in services()["server-1"]["healthcheck"]["test"][3]


def test_a_payment_on_its_way_may_end_before_a_server_is_killed() -> None:
    """Ours: the longest write, answers that are due after it, and what is left to record."""
    longest = load(FINEXIO_MCP_BATCH_SECONDS=75).batch_seconds + 2 * LAST_ANSWERS_SECONDS + CLOSE_SECONDS

    assert load().batch_seconds == 75
    assert seconds(services()["server-1"]["stop_grace_period"]) >= longest


def test_what_does_not_come_from_here_is_pinned() -> None:
    """Ours: the proxy at the version that these tests run."""
    images = {name: service["image"] for name, service in services().items() if name not in SERVERS}

    assert all(PINNED.fullmatch(image) for image in images.values()), images
    version = run("caddy", "version").stdout.removeprefix("v")
    assert version.startswith(images["proxy"].removeprefix("caddy:").partition("-")[0] + ".")


def test_secrets_are_files_and_stand_nowhere_else() -> None:
    """Ours: no variable of a container holds one."""
    for name, service in services().items():
        secrets = service.get("secrets", [])
        named = [value for value in service["environment"].values() if value.startswith("/run/secrets/")]
        assert {value.removeprefix("/run/secrets/") for value in named} <= set(secrets), name
    assert not re.search(r"(?i)password|key", " ".join(example()))


def test_what_holds_secrets_is_never_committed_nor_sent_to_a_builder() -> None:
    """Ours."""
    assert (DEPLOY / ".gitignore").read_text().split() == [".env", "/accounts/", "/secrets/"]
    assert "deploy" in (ROOT / ".dockerignore").read_text().split()


def test_the_image_has_what_the_compose_file_turns_on() -> None:
    """Ours: PostgreSQL, metrics and tracing come with what the image installs."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    lock = (ROOT / "requirements.lock").read_text()
    for extra in ("postgres", "metrics", "tracing"):
        for requirement in extras[extra]:
            package = re.split(r"[\[<>=]", requirement)[0]
            assert re.search(rf"^{re.escape(package)}==", lock, re.MULTILINE), package
    assert "requirements.lock" in DOCKERFILE.read_text()


def test_the_image_itself_has_no_health_check() -> None:
    """Ours: most who run it speak stdio with it, where nothing listens."""
    assert "HEALTHCHECK" not in DOCKERFILE.read_text()
