"""Every setting, once: name, type, default and what it is for. Nothing else reads the environment."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self
from urllib.parse import SplitResult, urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

Environment = Literal["sandbox", "production", "simulator"]
Access = Literal["read", "write", "pay"]
ACCESS_ORDER: tuple[Access, ...] = ("read", "write", "pay")
TOOLSETS = ("core", "suppliers", "buyers", "ledger", "chatgpt")

SANDBOX_URL = "https://api.finexio-stage.com/v2"
PRODUCTION_URL = "https://api.finexio.com/v2"
SIMULATOR_URL = "http://simulator.invalid/v2"
BASE_URLS: Mapping[Environment, str] = {
    "sandbox": SANDBOX_URL,
    "production": PRODUCTION_URL,
    "simulator": SIMULATOR_URL,
}
PLAIN_URL = re.compile(r"[!-~]+")
LEDGER_URL = re.compile(r"(postgres(ql)?(\+psycopg)?://|sqlite:////?[^/])[!-~]+$")
BUILTIN = "builtin"
DEFAULT_ACCOUNT = "default"
"""The one account that the environment describes, and whom those mean who name none."""
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

IN_FILES = ("FINEXIO_MCP_LEDGER_URL", "FINEXIO_MCP_STATE_KEY", "FINEXIO_MCP_OAUTH_CLIENT_SECRET")
"""Secrets that may stand in a file, which a variable with `_FILE` at its end names."""

Names = Annotated[tuple[str, ...], NoDecode]
"""Comma-separated."""

Seconds = Annotated[tuple[int, ...], NoDecode]
"""Whole seconds, comma-separated."""

LOOKS = (0, 30, 120, 600, 1500, 2400, 3300, 4200, 5100, 6000, 6900)
MAX_LOOK_SECONDS = 30 * 86_400


class Credentials(NamedTuple):
    """Basic credentials for Finexio."""

    username: str
    password: SecretStr


class SettingProblem(NamedTuple):
    """A setting by its name, what is wrong and what is allowed."""

    name: str
    problem: str


class SettingsError(Exception):
    """Settings that cannot be used; `problems` names each of them."""

    def __init__(self, problems: list[SettingProblem]) -> None:
        super().__init__("; ".join(f"{name} {problem}" for name, problem in problems))
        self.problems = problems


def _named(name: str, default: Any, description: str, **bounds: Any) -> Any:
    # Not a docstring: pydantic would read this file again to find it, at every start.
    return Field(default, validation_alias=name, description=description, **bounds)


class Settings(BaseSettings):
    """What the operator decides. Frozen; an empty variable counts as unset."""

    model_config = SettingsConfigDict(
        frozen=True,
        env_ignore_empty=True,
        extra="ignore",
        hide_input_in_errors=True,
    )

    environment: Environment = _named(
        "FINEXIO_ENVIRONMENT",
        "sandbox",
        "Which Finexio: `sandbox` (stage, no real money), `production`, or `simulator` (built in, needs nothing).",
    )
    base_url: str | None = _named(
        "FINEXIO_BASE_URL",
        None,
        "Another address of the API, with its `/v2`; https, or http on this machine. Default: that of the environment.",
    )
    username: str | None = _named(
        "FINEXIO_USERNAME",
        None,
        "API user that Finexio gave you.",
    )
    password: SecretStr | None = _named(
        "FINEXIO_PASSWORD",
        None,
        "Its password.",
    )
    password_file: Path | None = _named(
        "FINEXIO_PASSWORD_FILE",
        None,
        "A file that holds the password, instead of `FINEXIO_PASSWORD`.",
    )
    accounts_file: Path | None = _named(
        "FINEXIO_MCP_ACCOUNTS_FILE",
        None,
        "A file, `accounts.toml`, that names several Finexio accounts, instead of `FINEXIO_USERNAME` and its password. "
        "It may be changed while the server runs.",
    )
    account: str = _named(
        "FINEXIO_MCP_ACCOUNT",
        DEFAULT_ACCOUNT,
        "Which of these accounts stdio, the commands and callers without a token use.",
        min_length=1,
    )
    access: Access | None = _named(
        "FINEXIO_MCP_ACCESS",
        None,
        "How far agents may go: `read`, `write` (suppliers, contacts, webhooks) or `pay` (invoices). "
        "Default: `read` in production, else `pay`.",
    )
    toolsets: Names = _named(
        "FINEXIO_MCP_TOOLSETS",
        ("core",),
        "Groups of tools, comma-separated. `core` is the 26 tools; `suppliers` and `buyers` are Finexio's current "
        "endpoints for both; `ledger` shows what was submitted through this server; `chatgpt` is `search` and `fetch`.",
    )
    tools: Names = _named(
        "FINEXIO_MCP_TOOLS",
        (),
        "Only these tools, comma-separated names. Default: all of the toolsets.",
    )
    max_invoice_cents: int | None = _named(
        "FINEXIO_MCP_MAX_INVOICE_CENTS",
        None,
        "Largest single invoice that may be submitted, in cents. Default: no limit of ours.",
        ge=1,
    )
    max_batch_cents: int | None = _named(
        "FINEXIO_MCP_MAX_BATCH_CENTS",
        None,
        "Largest sum of one batch, in cents. Default: no limit of ours.",
        ge=1,
    )
    max_day_cents: int | None = _named(
        "FINEXIO_MCP_MAX_DAY_CENTS",
        None,
        "Largest sum of all invoices submitted in any 24 hours, in cents. Default: no limit of ours.",
        ge=1,
    )
    duplicates: Literal["warn", "refuse", "off"] = _named(
        "FINEXIO_MCP_DUPLICATES",
        "warn",
        "What happens to an invoice that looks like an earlier one of the same supplier: `warn`, `refuse` or `off`. "
        "One that looks like an unsettled one is always refused.",
    )
    ledger_url: SecretStr | None = _named(
        "FINEXIO_MCP_LEDGER_URL",
        None,
        "Where submissions are recorded: `postgresql://...` for several hosts, or `sqlite:////absolute/path`. "
        "Default: a file of this user on this machine.",
    )
    ledger_url_file: Path | None = _named(
        "FINEXIO_MCP_LEDGER_URL_FILE",
        None,
        "A file that holds it, since it may hold a password.",
    )
    state_key: SecretStr | None = _named(
        "FINEXIO_MCP_STATE_KEY",
        None,
        "Key for digests in a PostgreSQL ledger, and for sign-ins under way at the built-in issuer; the same on every "
        "host: 32 characters or more.",
        min_length=32,
    )
    state_key_file: Path | None = _named(
        "FINEXIO_MCP_STATE_KEY_FILE",
        None,
        "A file that holds the key.",
    )
    allow_volatile_ledger: bool = _named(
        "FINEXIO_MCP_ALLOW_VOLATILE_LEDGER",
        False,
        "Allow a ledger on a file system that forgets or cannot lock (overlay, tmpfs, network): for trials.",
    )
    answer_seconds: float = _named(
        "FINEXIO_MCP_ANSWER_SECONDS",
        25.0,
        "Longest wait for a write's outcome; after that the answer is `in_progress`.",
        gt=0,
        le=600,
        allow_inf_nan=False,
    )
    batch_seconds: float = _named(
        "FINEXIO_MCP_BATCH_SECONDS",
        75.0,
        "How long Finexio may take to answer an invoice batch.",
        gt=0,
        le=600,
        allow_inf_nan=False,
    )
    write_seconds: float = _named(
        "FINEXIO_MCP_WRITE_SECONDS",
        45.0,
        "How long Finexio may take to answer any other write.",
        gt=0,
        le=600,
        allow_inf_nan=False,
    )
    look_seconds: Seconds = _named(
        "FINEXIO_MCP_LOOK_SECONDS",
        LOOKS,
        "When Finexio is asked what became of a write in doubt, in seconds after the doubt arose, comma-separated.",
    )
    webhook_hosts: Names = _named(
        "FINEXIO_MCP_WEBHOOK_HOSTS",
        (),
        "Hosts that webhooks may point to, comma-separated. Unset: none in production, elsewhere any https "
        "or local host.",
    )
    unmask: Names = _named(
        "FINEXIO_MCP_UNMASK",
        (),
        "Fields shown in clear, comma-separated, such as `bank_routing_number`. Passwords, and identity numbers and "
        "dates of birth of people, are never shown.",
    )
    result_chars: int = _named(
        "FINEXIO_MCP_RESULT_CHARS",
        45_000,
        "Longest answer in characters; longer lists continue with a cursor.",
        ge=5_000,
        le=500_000,
    )
    rate: float = _named(
        "FINEXIO_MCP_RATE",
        5.0,
        "Requests a second to Finexio; 0 turns the limit off.",
        ge=0,
        le=1_000,
        allow_inf_nan=False,
    )
    rate_burst: int = _named(
        "FINEXIO_MCP_RATE_BURST",
        10,
        "Requests that may go at once before the rate applies.",
        ge=1,
        le=10_000,
    )
    calls_at_once: int = _named(
        "FINEXIO_MCP_CALLS_AT_ONCE",
        32,
        "Calls of one caller that run at the same time; four times as many may wait, further ones are refused.",
        ge=1,
        le=1_000,
    )
    http_host: str = _named(
        "FINEXIO_MCP_HTTP_HOST",
        "127.0.0.1",
        "With `serve --http`: the address to listen on. Any but this machine's own needs authentication and a name by "
        "which the server is reached.",
        min_length=1,
    )
    http_port: int = _named(
        "FINEXIO_MCP_HTTP_PORT",
        8000,
        "With `serve --http`: the port to listen on; 0 takes a free one.",
        ge=0,
        le=65_535,
    )
    public_url: str | None = _named(
        "FINEXIO_MCP_PUBLIC_URL",
        None,
        "How clients reach the server over HTTP, such as `https://mcp.example.com`; the audience of OAuth tokens.",
    )
    allowed_hosts: Names = _named(
        "FINEXIO_MCP_ALLOWED_HOSTS",
        (),
        "Further host names by which clients reach the server, comma-separated. Requests for any other are refused.",
    )
    allowed_origins: Names = _named(
        "FINEXIO_MCP_ALLOWED_ORIGINS",
        (),
        "Web origins whose pages may call the server, comma-separated, such as `https://app.example.com`.",
    )
    forwarded_allow_ips: Names = _named(
        "FINEXIO_MCP_FORWARDED_ALLOW_IPS",
        ("127.0.0.1",),
        "Addresses of proxies whose `X-Forwarded-*` headers are believed, comma-separated.",
    )
    require_token: bool = _named(
        "FINEXIO_MCP_REQUIRE_TOKEN",
        False,
        "Over HTTP: answer nobody without a token. Needed where others than this machine can reach the server.",
    )
    no_auth_writes: bool = _named(
        "FINEXIO_MCP_NO_AUTH_WRITES",
        False,
        "Over HTTP: let programs on this machine write and pay without a token.",
    )
    oauth_issuer: str | None = _named(
        "FINEXIO_MCP_OAUTH_ISSUER",
        None,
        "The authorization server whose access tokens are taken, or `builtin` for the one in this server.",
    )
    oauth_client_id: str | None = _named(
        "FINEXIO_MCP_OAUTH_CLIENT_ID",
        None,
        "With what this server signs in at that issuer to ask about opaque tokens.",
    )
    oauth_client_secret: SecretStr | None = _named(
        "FINEXIO_MCP_OAUTH_CLIENT_SECRET",
        None,
        "Its secret. Without both, only signed tokens (JWT) are taken.",
    )
    oauth_client_secret_file: Path | None = _named(
        "FINEXIO_MCP_OAUTH_CLIENT_SECRET_FILE",
        None,
        "A file that holds the secret.",
    )
    oauth_account_claim: str | None = _named(
        "FINEXIO_MCP_OAUTH_ACCOUNT_CLAIM",
        None,
        "The claim in that issuer's tokens that names the account. Set, a token without it is refused; unset, all are "
        "for the account `default`.",
        min_length=1,
    )
    replicas: int = _named(
        "FINEXIO_MCP_REPLICAS",
        1,
        "How many servers share the load behind one address. More than one need a PostgreSQL ledger.",
        ge=1,
        le=100,
    )
    audit: bool | None = _named(
        "FINEXIO_MCP_AUDIT",
        None,
        "Record every call in the ledger's database: who, what, with masked arguments, and what came of it. "
        "Default: yes over HTTP, else no.",
    )
    audit_days: int = _named(
        "FINEXIO_MCP_AUDIT_DAYS",
        400,
        "How long these records are kept, in days; 0 keeps them for ever.",
        ge=0,
        le=36_500,
    )
    metrics_port: int | None = _named(
        "FINEXIO_MCP_METRICS_PORT",
        None,
        "With `serve --http`: a port to serve Prometheus metrics on. Default: none. Needs the extra `metrics`.",
        ge=0,
        le=65_535,
    )
    metrics_host: str = _named(
        "FINEXIO_MCP_METRICS_HOST",
        "127.0.0.1",
        "The address that port listens on. Whoever reaches it may read the metrics.",
        min_length=1,
    )
    otlp_endpoint: str | None = _named(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        None,
        "Where OpenTelemetry spans are sent, such as `http://collector:4318`; further `OTEL_*` variables hold too. "
        "Default: nowhere. Needs the extra `tracing`.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = _named(
        "FINEXIO_MCP_LOG_LEVEL",
        "info",
        "Least severity of what is logged on stderr.",
    )
    log_format: Literal["text", "json"] = _named(
        "FINEXIO_MCP_LOG_FORMAT",
        "text",
        "Lines for people, or one JSON object a line.",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings

    @field_validator(
        "toolsets",
        "tools",
        "webhook_hosts",
        "unmask",
        "allowed_hosts",
        "allowed_origins",
        "forwarded_allow_ips",
        mode="before",
    )
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("look_seconds", mode="before")
    @classmethod
    def _split_seconds(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return tuple(int(part) for part in value.split(",") if part.strip())
        except ValueError:
            raise ValueError("allowed: whole seconds, comma-separated, such as 0,30,120") from None

    @field_validator("look_seconds")
    @classmethod
    def _check_seconds(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not value or list(value) != sorted(set(value)) or value[0] < 0 or value[-1] > MAX_LOOK_SECONDS:
            raise ValueError("allowed: whole seconds in rising order, comma-separated, such as 0,30,120")
        return value

    @field_validator("ledger_url")
    @classmethod
    def _check_ledger_url(cls, value: SecretStr | None) -> SecretStr | None:
        text = value.get_secret_value() if value is not None else ""
        if value is not None and not LEDGER_URL.match(text):
            raise ValueError("allowed: postgresql://user:password@host/database or sqlite:////absolute/path")
        return value

    @field_validator("toolsets")
    @classmethod
    def _check_toolsets(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or set(value) - set(TOOLSETS):
            raise ValueError(f"allowed: {', '.join(TOOLSETS)}")
        return value

    @field_validator("webhook_hosts", "allowed_hosts")
    @classmethod
    def _check_hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if any(not host or set(host) & set("/@:?#*") for host in value):
            raise ValueError("allowed: bare host names such as mcp.example.com, comma-separated")
        return tuple(host.casefold().rstrip(".") for host in value)

    @field_validator("unmask")
    @classmethod
    def _check_unmask(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if "password" in value:
            raise ValueError("allowed: any masked field but password")
        return value

    @field_validator("base_url")
    @classmethod
    def _check_base_url(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            parts = urlsplit(value)
            host, _ = parts.hostname, parts.port
        except ValueError:
            raise ValueError("is no URL; allowed: https://host/v2") from None
        if not PLAIN_URL.fullmatch(value):
            raise ValueError("holds blanks or characters that do not belong in a URL; allowed: https://host/v2")
        if not host or parts.scheme not in {"https", "http"}:
            raise ValueError("is no URL; allowed: https://host/v2")
        if parts.scheme == "http" and host not in LOOPBACK:
            raise ValueError("must be https; plain http is allowed for 127.0.0.1 and localhost only")
        if "@" in parts.netloc:
            raise ValueError("must not hold a user or password; use FINEXIO_USERNAME and FINEXIO_PASSWORD")
        if "?" in value or "#" in value or "/../" in f"{parts.path}/":
            raise ValueError("must be scheme, host and path only, such as https://host/v2")
        return value.rstrip("/")

    @field_validator("public_url")
    @classmethod
    def _check_public_url(cls, value: str | None) -> str | None:
        return None if value is None else _origin(value.rstrip("/").removesuffix("/mcp"), "https://mcp.example.com")

    @field_validator("allowed_origins")
    @classmethod
    def _check_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_origin(origin.rstrip("/"), "https://app.example.com") for origin in value)

    @field_validator("oauth_issuer")
    @classmethod
    def _check_issuer(cls, value: str | None) -> str | None:
        if value is None or value == BUILTIN:
            return value
        parts = _parts(value)
        if parts is None or "?" in value or "#" in value:
            raise ValueError(f"allowed: {BUILTIN}, or a URL such as https://login.example.com/realms/acme")
        if parts.scheme == "http" and parts.hostname not in LOOPBACK:
            raise ValueError("must be https; plain http is allowed for 127.0.0.1 and localhost only")
        return value

    @model_validator(mode="before")
    @classmethod
    def _read_files(cls, given: Any) -> Any:
        """Secrets that stand in files of their own; unlike the password they are read once."""
        given = dict(given)
        for name in IN_FILES:
            file = given.get(f"{name}_FILE")
            if not file:
                continue
            if given.get(name):
                raise ValueError(f"{name}_FILE|stands beside {name}; set one of the two")
            try:
                content = Path(file).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError):
                content = ""
            if not content:
                raise ValueError(f"{name}_FILE|names a file that cannot be read or is empty")
            given[name] = content
        return given

    @model_validator(mode="after")
    def _check_password(self) -> Self:
        if self.password is not None and self.password_file is not None:
            raise ValueError("FINEXIO_PASSWORD_FILE|stands beside FINEXIO_PASSWORD; set one of the two")
        if self.accounts_file is not None and any((self.username, self.password, self.password_file)):
            raise ValueError(
                "FINEXIO_MCP_ACCOUNTS_FILE|stands beside FINEXIO_USERNAME or its password; name all accounts there"
            )
        if self.accounts_file is None and self.account != DEFAULT_ACCOUNT:
            raise ValueError("FINEXIO_MCP_ACCOUNT|goes with FINEXIO_MCP_ACCOUNTS_FILE")
        if self.shares_ledger and self.state_key is None:
            raise ValueError("FINEXIO_MCP_STATE_KEY|has to be set with a PostgreSQL ledger, the same on every host")
        return self

    @property
    def slow(self) -> bool:
        """Whether to ask for credentials may take long. A file does not."""
        return False

    @property
    def api_url(self) -> str:
        """Where Finexio is, without a slash at the end."""
        return self.base_url or BASE_URLS[self.environment]

    @property
    def embedded(self) -> bool:
        """Whether the simulator runs inside this process."""
        return self.environment == "simulator" and self.base_url is None

    @property
    def shares_ledger(self) -> bool:
        """Whether the ledger is a PostgreSQL that other hosts may use too."""
        return self.ledger_url is not None and self.ledger_url.get_secret_value().startswith("postgres")

    def audits(self, *, serving: bool) -> bool:
        """Whether calls are recorded: as set, else where several callers are served."""
        return serving if self.audit is None else self.audit

    @property
    def requires_token(self) -> bool:
        """Whether nobody is answered over HTTP without a token."""
        return self.require_token or self.oauth_issuer is not None

    @property
    def real_money(self) -> bool:
        """Whether payments are real: by the environment's name, or because the address may be production's."""
        host = _host(self.api_url)
        is_vendor = host == "finexio.com" or host.endswith(".finexio.com")
        return self.environment == "production" or (is_vendor and not host.startswith("stage."))

    @property
    def granted(self) -> Access:
        """The access that holds: as set, else `read` where money is real."""
        return self.access or ("read" if self.real_money else "pay")

    def credentials(self) -> Credentials | None:
        """User and password, the latter read from its file now if one is set; `None` if either is missing."""
        username, password = self.username, self.password
        if self.password_file is not None:
            try:
                password = SecretStr(self.password_file.read_text(encoding="utf-8").strip("\r\n"))
            except (OSError, UnicodeDecodeError):
                password = None
        if self.environment == "simulator":
            username, password = username or "demo", password or SecretStr("demo")
        if not username or password is None or not password.get_secret_value():
            return None
        return Credentials(username, password)

    def missing_credentials(self) -> str:
        """What to set, when there are no credentials."""
        if self.password_file is not None and self.username:
            return "FINEXIO_PASSWORD_FILE names a file that cannot be read or is empty"
        names = [name for name, value in (("FINEXIO_USERNAME", self.username),) if not value]
        if self.password is None and self.password_file is None:
            names.append("FINEXIO_PASSWORD")
        return f"set {' and '.join(names)} in the server's environment"

    def warnings(self) -> list[SettingProblem]:
        """What is allowed and still looks like a mistake."""
        found: list[SettingProblem] = []
        host = _host(self.api_url)
        known: dict[str, str] = {_host(url): name for name, url in BASE_URLS.items()}
        if self.base_url is not None and known.get(host, self.environment) != self.environment:
            found.append(
                SettingProblem(
                    "FINEXIO_BASE_URL",
                    f"is the {known[host]} address, but FINEXIO_ENVIRONMENT is {self.environment}; "
                    "make the two agree. Until then the stricter of the two holds.",
                )
            )
        elif self.environment == "production" and host in LOOPBACK:
            found.append(
                SettingProblem(
                    "FINEXIO_BASE_URL", "is an address on this machine, but FINEXIO_ENVIRONMENT is production."
                )
            )
        if self.base_url is not None and not self.base_url.endswith("/v2"):
            found.append(SettingProblem("FINEXIO_BASE_URL", "does not end in /v2, the API's version."))
        return found


def _parts(url: str) -> SplitResult | None:
    """An absolute http(s) URL without user, password or blanks, taken apart."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return None
    usable = PLAIN_URL.fullmatch(url) and host and parts.scheme in {"https", "http"} and "@" not in parts.netloc
    return parts if usable else None


def _origin(url: str, example: str) -> str:
    """Scheme, host and port of a URL that has nothing else, as browsers write them.

    Raises:
        ValueError: It has something else, or is plain http to another machine.
    """
    parts = _parts(url)
    if parts is None or parts.path not in {"", "/"} or "?" in url or "#" in url:
        raise ValueError(f"must be scheme and host only, such as {example}")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise ValueError("must be https; plain http is allowed for 127.0.0.1 and localhost only")
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    usual = {"https": 443, "http": 80}[parts.scheme]
    return f"{parts.scheme}://{host}" + ("" if parts.port in {None, usual} else f":{parts.port}")


def _host(url: str) -> str:
    return (urlsplit(url).hostname or "").rstrip(".")


OVER_HTTP = frozenset(
    {
        "http_host",
        "http_port",
        "public_url",
        "allowed_hosts",
        "allowed_origins",
        "forwarded_allow_ips",
        "require_token",
        "no_auth_writes",
        "oauth_issuer",
        "oauth_client_id",
        "oauth_client_secret",
        "oauth_client_secret_file",
        "oauth_account_claim",
        "replicas",
    }
)
"""Settings that mean nothing over stdio."""

NAMES: dict[str, str] = {field: str(info.validation_alias) for field, info in Settings.model_fields.items()}


def load(**overrides: Any) -> Settings:
    """Read the environment; `overrides` are by variable name and win.

    Raises:
        SettingsError: Naming each setting that cannot be used.
    """
    try:
        return Settings(**overrides)
    except ValidationError as error:
        raise SettingsError(describe(error)) from None


def describe(error: ValidationError) -> list[SettingProblem]:
    problems: list[SettingProblem] = []
    for detail in error.errors(include_url=False, include_input=False):
        name = str(detail["loc"][0]) if detail["loc"] else ""
        context = detail.get("ctx", {})
        message = str(context.get("error", detail["msg"]))
        match detail["type"]:
            case "literal_error":
                message = f"allowed: {context['expected']}"
            case "int_parsing" | "int_type" | "int_parsing_size" | "int_from_float":
                message = "must be a whole number"
            case "float_parsing" | "float_type" | "finite_number":
                message = "must be a number"
            case "bool_parsing" | "bool_type":
                message = "must be 1 or 0"
            case "string_too_short" | "too_short":
                message = f"must have at least {context['min_length']} characters"
            case "greater_than":
                message = f"must be more than {context['gt']}"
            case "greater_than_equal":
                message = f"must be at least {context['ge']}"
            case "less_than_equal":
                message = f"must be at most {context['le']}"
            case _:
                pass
        if "|" in message and not name:
            name, message = message.split("|", 1)
        problems.append(SettingProblem(name, message))
    return problems


def unknown_names(environment: Mapping[str, str] | None = None) -> list[SettingProblem]:
    """Variables that look like ours and are none, such as a misspelt limit that would not hold."""
    known = set(NAMES.values())
    found: list[SettingProblem] = []
    for name in sorted(os.environ if environment is None else environment):
        if name.startswith("FINEXIO_") and name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            found.append(
                SettingProblem(name, f"is no setting and has no effect{f'; did you mean {near[0]}?' if near else ''}")
            )
    return found
