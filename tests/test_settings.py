"""Settings: what the operator decides, and what is said about a value that cannot be used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from finexio_mcp.settings import NAMES, PRODUCTION_URL, SANDBOX_URL, Settings, SettingsError, load, unknown_names

SECRET = "QXZ918273645"


def refused(**variables: Any) -> dict[str, str]:
    """Each refused setting with what is wrong."""
    with pytest.raises(SettingsError) as raised:
        load(**variables)
    assert SECRET not in str(raised.value)
    return dict(raised.value.problems)


def test_nothing_needs_to_be_set() -> None:
    """Ours: the sandbox, everything but production's money, and the documented bounds."""
    settings = load()

    assert settings.model_dump() == {
        "environment": "sandbox",
        "base_url": None,
        "username": None,
        "password": None,
        "password_file": None,
        "accounts_file": None,
        "account": "default",
        "access": None,
        "toolsets": ("core",),
        "tools": (),
        "max_invoice_cents": None,
        "max_batch_cents": None,
        "max_day_cents": None,
        "duplicates": "warn",
        "ledger_url": None,
        "ledger_url_file": None,
        "state_key": None,
        "state_key_file": None,
        "allow_volatile_ledger": False,
        "answer_seconds": 25.0,
        "batch_seconds": 75.0,
        "write_seconds": 45.0,
        "look_seconds": (0, 30, 120, 600, 1_500, 2_400, 3_300, 4_200, 5_100, 6_000, 6_900),
        "webhook_hosts": (),
        "unmask": (),
        "result_chars": 45_000,
        "rate": 5.0,
        "rate_burst": 10,
        "calls_at_once": 32,
        "http_host": "127.0.0.1",
        "http_port": 8000,
        "public_url": None,
        "allowed_hosts": (),
        "allowed_origins": (),
        "forwarded_allow_ips": ("127.0.0.1",),
        "require_token": False,
        "no_auth_writes": False,
        "oauth_issuer": None,
        "oauth_client_id": None,
        "oauth_client_secret": None,
        "oauth_client_secret_file": None,
        "oauth_account_claim": None,
        "replicas": 1,
        "audit": None,
        "audit_days": 400,
        "metrics_port": None,
        "metrics_host": "127.0.0.1",
        "otlp_endpoint": None,
        "log_level": "info",
        "log_format": "text",
    }
    assert (settings.api_url, settings.granted, settings.real_money) == (SANDBOX_URL, "pay", False)
    assert (settings.credentials(), settings.warnings()) == (None, [])


@pytest.mark.parametrize("field", NAMES)
def test_every_setting_has_a_name_of_ours_and_says_what_it_is_for(field: str) -> None:
    """Ours: the table in the README is made of these sentences."""
    # OpenTelemetry's variables are the same for every program.
    assert NAMES[field].startswith(("FINEXIO_", "OTEL_"))
    assert (Settings.model_fields[field].description or "").strip().endswith(".")


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: each variable reaches its setting, and lists are comma-separated."""
    for name, value in {
        "FINEXIO_ENVIRONMENT": "production",
        "FINEXIO_USERNAME": "ap",
        "FINEXIO_MCP_ACCESS": "write",
        "FINEXIO_MCP_TOOLS": " list_all_finexio_invoices , ,get_single_finexio_invoice_by_id,",
        "FINEXIO_MCP_WEBHOOK_HOSTS": "Hooks.Acme.Example., b.example",
        "FINEXIO_MCP_UNMASK": "bank_routing_number",
        "FINEXIO_MCP_MAX_BATCH_CENTS": "500000",
        "FINEXIO_MCP_RATE": "0.5",
        "FINEXIO_MCP_ALLOW_VOLATILE_LEDGER": "1",
        "FINEXIO_MCP_LOOK_SECONDS": "0, 60,",
    }.items():
        monkeypatch.setenv(name, value)

    settings = load()

    assert (settings.environment, settings.username, settings.access) == ("production", "ap", "write")
    assert settings.tools == ("list_all_finexio_invoices", "get_single_finexio_invoice_by_id")
    assert settings.webhook_hosts == ("hooks.acme.example", "b.example")
    assert (settings.unmask, settings.max_batch_cents, settings.rate) == (("bank_routing_number",), 500_000, 0.5)
    assert (settings.allow_volatile_ledger, settings.look_seconds) == (True, (0, 60))


def test_an_override_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: `--simulator` holds whatever the shell says."""
    monkeypatch.setenv("FINEXIO_ENVIRONMENT", "production")
    monkeypatch.setenv("FINEXIO_BASE_URL", PRODUCTION_URL)

    settings = load(FINEXIO_ENVIRONMENT="simulator", FINEXIO_BASE_URL=None)

    assert settings.embedded
    assert not settings.real_money


@pytest.mark.parametrize("name", NAMES.values())
def test_an_empty_variable_counts_as_unset(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: a form or a compose file often leaves one behind."""
    monkeypatch.setenv(name, "")

    assert load() == load()
    assert load().model_dump() == Settings.model_construct().model_dump()


def test_settings_cannot_be_changed() -> None:
    """Ours: they are read once."""
    with pytest.raises(ValidationError):
        load().access = "pay"  # type: ignore[misc]


# Refusals --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("FINEXIO_ENVIRONMENT", "prod", "'sandbox', 'production' or 'simulator'"),
        ("FINEXIO_MCP_ACCESS", "all", "'read', 'write' or 'pay'"),
        ("FINEXIO_MCP_ACCESS", "READ", "'read', 'write' or 'pay'"),
        ("FINEXIO_MCP_TOOLSETS", "core,extra", "core, suppliers, buyers, ledger"),
        ("FINEXIO_MCP_TOOLSETS", "Suppliers", "core, suppliers, buyers, ledger"),
        ("FINEXIO_MCP_TOOLSETS", ",", "core, suppliers, buyers, ledger"),
        ("FINEXIO_MCP_MAX_INVOICE_CENTS", "0", "at least 1"),
        ("FINEXIO_MCP_MAX_INVOICE_CENTS", "$500", "must be a whole number"),
        ("FINEXIO_MCP_MAX_BATCH_CENTS", "-1", "at least 1"),
        ("FINEXIO_MCP_MAX_BATCH_CENTS", "1e6", "must be a whole number"),
        ("FINEXIO_MCP_MAX_DAY_CENTS", "0", "at least 1"),
        ("FINEXIO_MCP_DUPLICATES", "ignore", "'warn', 'refuse' or 'off'"),
        ("FINEXIO_MCP_LEDGER_URL", f"mysql://ap:{SECRET}@db/ledger", "postgresql://user:password@host/database"),
        ("FINEXIO_MCP_LEDGER_URL", "ledger.db", "sqlite:////absolute/path"),
        ("FINEXIO_MCP_STATE_KEY", SECRET, "at least 32 characters"),
        ("FINEXIO_MCP_ALLOW_VOLATILE_LEDGER", "surely", "must be 1 or 0"),
        ("FINEXIO_MCP_ANSWER_SECONDS", "0", "more than 0"),
        ("FINEXIO_MCP_ANSWER_SECONDS", "601", "at most 600"),
        ("FINEXIO_MCP_BATCH_SECONDS", "nan", "must be a number"),
        ("FINEXIO_MCP_WRITE_SECONDS", "-1", "more than 0"),
        ("FINEXIO_MCP_LOOK_SECONDS", "0,1e3", "whole seconds"),
        ("FINEXIO_MCP_LOOK_SECONDS", "30,0", "in rising order"),
        ("FINEXIO_MCP_LOOK_SECONDS", "-1,0", "in rising order"),
        ("FINEXIO_MCP_LOOK_SECONDS", ",", "in rising order"),
        ("FINEXIO_MCP_WEBHOOK_HOSTS", "https://hooks.acme.example", "bare host names"),
        ("FINEXIO_MCP_WEBHOOK_HOSTS", "hooks.acme.example:443", "bare host names"),
        ("FINEXIO_MCP_WEBHOOK_HOSTS", "*.acme.example", "bare host names"),
        ("FINEXIO_MCP_WEBHOOK_HOSTS", "user@acme.example", "bare host names"),
        ("FINEXIO_MCP_UNMASK", "bank_routing_number,password", "any masked field but password"),
        ("FINEXIO_MCP_RESULT_CHARS", "4999", "at least 5000"),
        ("FINEXIO_MCP_RESULT_CHARS", "500001", "at most 500000"),
        ("FINEXIO_MCP_RATE", "-1", "at least 0"),
        ("FINEXIO_MCP_RATE", "inf", "must be a number"),
        ("FINEXIO_MCP_RATE", "nan", "must be a number"),
        ("FINEXIO_MCP_RATE", "fast", "must be a number"),
        ("FINEXIO_MCP_RATE_BURST", "0", "at least 1"),
        ("FINEXIO_MCP_RATE_BURST", "10001", "at most 10000"),
        ("FINEXIO_MCP_LOG_LEVEL", "INFO", "'debug', 'info', 'warning' or 'error'"),
        ("FINEXIO_MCP_LOG_FORMAT", "xml", "'text' or 'json'"),
    ],
)
def test_a_bad_value_is_answered_with_the_settings_name_and_what_is_allowed(
    name: str, value: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours: whoever set it knows at once what to change."""
    monkeypatch.setenv(name, value)

    problems = refused()

    assert list(problems) == [name]
    assert told in problems[name]


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("api.finexio.com/v2", "https://host/v2"),
        ("https://", "https://host/v2"),
        ("https:///v2", "https://host/v2"),
        ("ftp://api.finexio.com/v2", "https://host/v2"),
        ("https://api.finexio.com:port/v2", "https://host/v2"),
        ("https://api.finexio.com:99999/v2", "https://host/v2"),
        ("https://[::1/v2", "https://host/v2"),
        ("http://api.finexio.com/v2", "must be https"),
        ("http://10.0.0.1/v2", "must be https"),
        ("http://localhost.evil.example/v2", "must be https"),
        (f"https://ap:{SECRET}@api.finexio.com/v2", "FINEXIO_USERNAME and FINEXIO_PASSWORD"),
        (f"https://{SECRET}@api.finexio.com/v2", "FINEXIO_USERNAME and FINEXIO_PASSWORD"),
        (f"https://api.finexio.com/v2?key={SECRET}", "scheme, host and path only"),
        (f"https://api.finexio.com/v2#{SECRET}", "scheme, host and path only"),
        ("https://api.finexio.com/x/../v2", "scheme, host and path only"),
    ],
)
def test_an_address_that_credentials_must_not_go_to_is_refused(url: str, told: str) -> None:
    """Ours: https only but on this machine, and nothing in the address but the address."""
    problems = refused(FINEXIO_BASE_URL=url)

    assert list(problems) == ["FINEXIO_BASE_URL"]
    assert told in problems["FINEXIO_BASE_URL"]


def test_every_bad_setting_is_named_at_once() -> None:
    """Ours: one start is enough to find them all."""
    assert set(refused(FINEXIO_ENVIRONMENT="prod", FINEXIO_MCP_RATE="fast", FINEXIO_BASE_URL="ftp://x")) == {
        "FINEXIO_ENVIRONMENT",
        "FINEXIO_MCP_RATE",
        "FINEXIO_BASE_URL",
    }


@pytest.mark.parametrize("name", sorted(set(NAMES.values()) - {"FINEXIO_USERNAME", "FINEXIO_PASSWORD"}))
def test_no_refusal_repeats_the_value(name: str) -> None:
    """Ours: a password may have been put into the wrong variable."""
    said = ""
    try:
        load(**{name: SECRET})
    except SettingsError as error:
        said = f"{error} {error!r} {error.__cause__!r}"

    assert SECRET not in said


def test_a_ledger_for_several_hosts_needs_a_key_for_all_of_them() -> None:
    """Ours: digests under two keys would not recognise each other's changes."""
    shared = {"FINEXIO_MCP_LEDGER_URL": f"postgresql://ap:{SECRET}@db/ledger"}

    problems = refused(**shared)
    settings = load(**shared, FINEXIO_MCP_STATE_KEY="k" * 32)

    assert list(problems) == ["FINEXIO_MCP_STATE_KEY"]
    assert settings.shares_ledger
    assert not load(FINEXIO_MCP_LEDGER_URL="sqlite:////var/lib/finexio/ledger.db").shares_ledger


# Credentials -----------------------------------------------------------------


def test_credentials_come_from_two_variables() -> None:
    """Documented: HTTP Basic with the user that Finexio gave."""
    credentials = load(FINEXIO_USERNAME="ap", FINEXIO_PASSWORD=SECRET).credentials()

    assert credentials is not None
    assert (credentials.username, credentials.password.get_secret_value()) == ("ap", SECRET)
    assert SECRET not in repr(credentials)


def test_settings_never_show_the_password() -> None:
    """Ours: whoever prints them by mistake prints stars; the ledger's address may hold a password too."""
    settings = load(
        FINEXIO_USERNAME="ap",
        FINEXIO_PASSWORD=SECRET,
        FINEXIO_MCP_LEDGER_URL=f"postgresql://ap:{SECRET}@db/ledger",
        FINEXIO_MCP_STATE_KEY=SECRET * 3,
    )

    assert SECRET not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_a_password_file_is_read_when_it_is_needed(ending: str, tmp_path: Path) -> None:
    """Ours: a rotated password needs no restart, and the line's end is no part of it; blanks may be."""
    file = tmp_path / "password"
    settings = load(FINEXIO_USERNAME="ap", FINEXIO_PASSWORD_FILE=str(file))

    for password in ("first one ", "second"):
        file.write_bytes(f"{password}{ending}".encode())
        credentials = settings.credentials()
        assert credentials is not None
        assert credentials.password == SecretStr(password)


@pytest.mark.parametrize("content", [None, b"", b"\n", b"\xff\xfe\x00"], ids=["missing", "empty", "blank", "not utf-8"])
def test_a_password_file_that_cannot_be_used_leaves_no_credentials(content: bytes | None, tmp_path: Path) -> None:
    """Ours: the start goes on, and what to mend is said by name."""
    file = tmp_path / "password"
    if content is not None:
        file.write_bytes(content)
    settings = load(FINEXIO_USERNAME="ap", FINEXIO_PASSWORD_FILE=str(file))

    assert settings.credentials() is None
    assert "FINEXIO_PASSWORD_FILE" in settings.missing_credentials()
    assert str(file) not in settings.missing_credentials()


def test_a_password_stands_in_one_place_only(tmp_path: Path) -> None:
    """Ours: of two passwords one is out of date."""
    problems = refused(FINEXIO_PASSWORD=SECRET, FINEXIO_PASSWORD_FILE=str(tmp_path / "password"))

    assert list(problems) == ["FINEXIO_PASSWORD_FILE"]
    assert "FINEXIO_PASSWORD" in problems["FINEXIO_PASSWORD_FILE"]


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({}, "set FINEXIO_USERNAME and FINEXIO_PASSWORD in"),
        ({"FINEXIO_USERNAME": "ap"}, "set FINEXIO_PASSWORD in"),
        ({"FINEXIO_PASSWORD": SECRET}, "set FINEXIO_USERNAME in"),
        ({"FINEXIO_PASSWORD_FILE": "/nowhere"}, "set FINEXIO_USERNAME in"),
    ],
)
def test_missing_credentials_are_named(given: dict[str, str], named: str) -> None:
    """Ours: they never stop a start, so the call has to say what is missing."""
    settings = load(**given)

    assert settings.credentials() is None
    assert settings.missing_credentials().startswith(named)


def test_the_simulator_needs_no_credentials() -> None:
    """Ours: it has a user of its own unless one is set."""
    own, given = load(FINEXIO_ENVIRONMENT="simulator").credentials(), None
    given = load(FINEXIO_ENVIRONMENT="simulator", FINEXIO_USERNAME="ap", FINEXIO_PASSWORD="x").credentials()

    assert own is not None
    assert (own.username, own.password.get_secret_value()) == ("demo", "demo")
    assert given is not None
    assert (given.username, given.password.get_secret_value()) == ("ap", "x")


# Money and access ------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "base_url", "real_money"),
    [
        ("sandbox", None, False),
        ("production", None, True),
        ("simulator", None, False),
        ("sandbox", "https://api.finexio.com/v2", True),
        ("simulator", "https://api.finexio.com/v2", True),
        ("sandbox", "https://API.Finexio.COM/v2", True),
        ("sandbox", "https://api.finexio.com:443/v2", True),
        ("sandbox", "https://api.finexio.com/v1", True),
        ("sandbox", "https://api.finexio.com./v2", True),
        ("sandbox", "https://anything.finexio.com/v2", True),
        ("sandbox", "https://notfinexio.com/v2", False),
        ("production", "https://api.finexio-stage.com/v2", True),
        ("production", "http://127.0.0.1:8899/v2", True),
        ("sandbox", "https://stage.api.finexio.com/v2", False),
        ("simulator", "http://127.0.0.1:8899/v2", False),
        ("simulator", "http://[::1]:8899/v2", False),
        ("simulator", "http://localhost:8899/v2", False),
    ],
)
def test_money_is_real_if_the_name_or_the_address_says_so(
    environment: str, base_url: str | None, real_money: bool
) -> None:
    """Ours: the stricter of the two holds, and unset access means reading where money is real."""
    settings = load(FINEXIO_ENVIRONMENT=environment, FINEXIO_BASE_URL=base_url)

    assert settings.real_money is real_money
    assert settings.granted == ("read" if real_money else "pay")


@pytest.mark.parametrize("environment", ["sandbox", "production", "simulator"])
@pytest.mark.parametrize("access", ["read", "write", "pay"])
def test_access_that_is_set_holds_everywhere(environment: str, access: str) -> None:
    """Ours: the operator decides."""
    assert load(FINEXIO_ENVIRONMENT=environment, FINEXIO_MCP_ACCESS=access).granted == access


def test_the_simulator_runs_inside_unless_an_address_is_given() -> None:
    """Ours: one that runs elsewhere is asked there."""
    assert load(FINEXIO_ENVIRONMENT="simulator").embedded
    assert not load(FINEXIO_ENVIRONMENT="simulator", FINEXIO_BASE_URL="http://127.0.0.1:8899/v2").embedded
    assert not load().embedded


def test_an_address_loses_its_last_slash() -> None:
    """Ours: paths begin with one."""
    assert load(FINEXIO_BASE_URL="https://api.finexio-stage.com/v2/").api_url == SANDBOX_URL


@pytest.mark.parametrize(
    ("environment", "base_url", "told"),
    [
        ("sandbox", "https://api.finexio.com/v2", ["production"]),
        ("production", "https://api.finexio-stage.com/v2", ["sandbox"]),
        ("production", "http://127.0.0.1:8899/v2", ["this machine"]),
        ("sandbox", "https://api.finexio-stage.com/v1", ["/v2"]),
        ("sandbox", "https://api.finexio.com", ["production", "/v2"]),
        ("production", "https://api.finexio.com/v2", []),
        ("production", "https://gateway.acme.example/v2", []),
        ("simulator", "http://127.0.0.1:8899/v2", []),
    ],
)
def test_an_address_that_does_not_fit_the_environment_is_reported_by_name(
    environment: str, base_url: str, told: list[str]
) -> None:
    """Ours: allowed, and still worth a look."""
    warnings = load(FINEXIO_ENVIRONMENT=environment, FINEXIO_BASE_URL=base_url).warnings()

    assert [name for name, _ in warnings] == ["FINEXIO_BASE_URL"] * len(told)
    assert all(word in problem for word, (_, problem) in zip(told, warnings, strict=True))


def test_variables_that_look_like_ours_and_are_none_are_reported() -> None:
    """Ours: a misspelt limit would not hold."""
    environment = {
        "FINEXIO_MCP_MAX_INVOICE_CENT": SECRET,
        "FINEXIO_COLOUR": "x",
        "FINEXIO_USERNAME": "ap",
        "PATH": "/bin",
    }

    found = dict(unknown_names(environment))

    assert list(found) == ["FINEXIO_COLOUR", "FINEXIO_MCP_MAX_INVOICE_CENT"]
    assert "did you mean FINEXIO_MCP_MAX_INVOICE_CENTS?" in found["FINEXIO_MCP_MAX_INVOICE_CENT"]
    assert SECRET not in str(found)


def test_unknown_variables_are_looked_for_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: where the settings come from."""
    monkeypatch.setenv("FINEXIO_MCP_ACCES", "read")

    assert [name for name, _ in unknown_names()] == ["FINEXIO_MCP_ACCES"]


@pytest.mark.parametrize(
    "url",
    [
        "https://h h/v2",
        " https://host/v2",
        "https://host/v2\n",
        "https://host/v2?",
        "https://host/v2#",
        "https://ａｐｉ.example/v2",
    ],
)
def test_an_address_that_cannot_work_is_refused_by_name(url: str) -> None:
    """Ours: better at start than as 'could not be reached'."""
    assert refused(FINEXIO_BASE_URL=url).keys() == {"FINEXIO_BASE_URL"}


def test_the_simulator_needs_no_password_file() -> None:
    """Ours: it has credentials of its own, whatever else is set."""
    settings = load(FINEXIO_ENVIRONMENT="simulator", FINEXIO_PASSWORD_FILE="/nowhere/at/all")

    credentials = settings.credentials()
    assert credentials is not None
    assert (credentials.username, credentials.password.get_secret_value()) == ("demo", "demo")


# Over HTTP -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://mcp.acme.example", "https://mcp.acme.example"),
        ("https://MCP.acme.example/", "https://mcp.acme.example"),
        ("https://mcp.acme.example:443/mcp", "https://mcp.acme.example"),
        ("https://mcp.acme.example:8443/mcp/", "https://mcp.acme.example:8443"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://[::1]:8000/", "http://[::1]:8000"),
    ],
)
def test_a_public_url_is_kept_as_an_origin(given: str, kept: str) -> None:
    """Ours: it is compared with what tokens and browsers say, letter by letter."""
    assert load(FINEXIO_MCP_PUBLIC_URL=given).public_url == kept


@pytest.mark.parametrize(
    "given",
    [
        "mcp.acme.example",
        "http://mcp.acme.example",
        "https://mcp.acme.example/other",
        f"https://user:{SECRET}@mcp.acme.example",
        "https://mcp.acme.example/?a=b",
        "https://mcp.acme.example/#a",
        "https://mcp.acme.example:port",
        "https://",
        "https://mcp acme.example",
        "ftp://mcp.acme.example",
    ],
)
@pytest.mark.parametrize("name", ["FINEXIO_MCP_PUBLIC_URL", "FINEXIO_MCP_ALLOWED_ORIGINS"])
def test_what_is_no_origin_is_refused(name: str, given: str) -> None:
    """Ours: with what one looks like."""
    (problem,) = refused(**{name: given}).values()

    assert "https" in problem


@pytest.mark.parametrize("given", ["builtin", "https://login.acme.example/realms/acme", "http://127.0.0.1:9000"])
def test_an_issuer_is_kept_as_it_is_written(given: str) -> None:
    """Documented: issuers are compared letter by letter, a slash at the end included."""
    assert load(FINEXIO_MCP_OAUTH_ISSUER=given).oauth_issuer == given
    assert load(FINEXIO_MCP_OAUTH_ISSUER=given).requires_token


@pytest.mark.parametrize(
    "given", ["built-in", "http://login.acme.example", "https://login.acme.example?x=1", "https://a@login.acme.example"]
)
def test_what_is_no_issuer_is_refused(given: str) -> None:
    """Ours: naming what would be one."""
    assert set(refused(FINEXIO_MCP_OAUTH_ISSUER=given)) == {"FINEXIO_MCP_OAUTH_ISSUER"}


@pytest.mark.parametrize(
    ("name", "value", "field"),
    [
        ("FINEXIO_MCP_STATE_KEY", "k" * 40, "state_key"),
        ("FINEXIO_MCP_LEDGER_URL", "sqlite:////var/lib/finexio/ledger.db", "ledger_url"),
        ("FINEXIO_MCP_OAUTH_CLIENT_SECRET", "between us", "oauth_client_secret"),
    ],
)
def test_a_secret_may_stand_in_a_file(tmp_path: Path, name: str, value: str, field: str) -> None:
    """Ours: its last line may end or not; and one that is missing, empty or there twice is refused by name."""
    file = tmp_path / "secret"
    file.write_text(f"{value}\n")

    held = getattr(load(**{f"{name}_FILE": str(file)}), field)
    empty, missing = tmp_path / "empty", tmp_path / "missing"
    empty.write_text("\n")
    refused = [_problem(**{f"{name}_FILE": str(path)}) for path in (empty, missing)]
    twice = _problem(**{f"{name}_FILE": str(file), name: value})

    assert held.get_secret_value() == value
    assert refused == [(f"{name}_FILE", "names a file that cannot be read or is empty")] * 2
    assert twice == (f"{name}_FILE", f"stands beside {name}; set one of the two")


def test_a_file_of_accounts_and_an_account_in_the_environment_exclude_each_other() -> None:
    """Ours: nobody should have to guess which of the two holds."""
    both = _problem(FINEXIO_MCP_ACCOUNTS_FILE="accounts.toml", FINEXIO_USERNAME="acme-api")
    none = _problem(FINEXIO_MCP_ACCOUNT="acme")

    assert both[0] == "FINEXIO_MCP_ACCOUNTS_FILE"
    assert none == ("FINEXIO_MCP_ACCOUNT", "goes with FINEXIO_MCP_ACCOUNTS_FILE")


def test_calls_are_recorded_where_several_callers_are_served_or_as_the_setting_says() -> None:
    """Ours."""
    left, on, off = load(), load(FINEXIO_MCP_AUDIT="1"), load(FINEXIO_MCP_AUDIT="0")

    assert [each.audits(serving=serving) for each in (left, on, off) for serving in (True, False)] == [
        True,
        False,
        True,
        True,
        False,
        False,
    ]


def _problem(**settings: Any) -> tuple[str, str]:
    with pytest.raises(SettingsError) as refused:
        load(**settings)
    (problem,) = refused.value.problems
    return problem.name, problem.problem
