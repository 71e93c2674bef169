"""Who may reach the server over HTTP, and by which name: decided from the settings alone, before anything listens."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from finexio_mcp.callers import Caller
from finexio_mcp.settings import BUILTIN, LOOPBACK, NAMES, SettingProblem, Settings

MCP_PATH = "/mcp"
SSE_PATH = "/sse"
MESSAGES_PATH = "/messages/"
HTTP_PORT = 80


def is_local(host: str) -> bool:
    """Whether a name or an address is this machine and nothing else."""
    host = host.strip("[]").rstrip(".").casefold()
    if host in LOOPBACK:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def base_url(settings: Settings, port: int | None = None) -> str:
    """How clients reach the server: scheme, host and port.

    Args:
        settings: What the operator decides.
        port: The port that is listened on, where it was left to chance.
    """
    if settings.public_url is not None:
        return settings.public_url
    host, port = settings.http_host, settings.http_port if port is None else port
    name = f"[{host}]" if ":" in host else host
    # Without the usual port, as browsers and other parties write it: it is compared letter by letter.
    return f"http://{name}" if port == HTTP_PORT else f"http://{name}:{port}"


def allowed_names(settings: Settings) -> frozenset[str]:
    """Host names by which others than this machine reach the server."""
    public = urlsplit(settings.public_url).hostname if settings.public_url is not None else None
    return frozenset(name for name in (*settings.allowed_hosts, public) if name and not is_local(name))


def streams(settings: Settings) -> bool:
    """Whether there are server-sent events, which need one process for all messages of a client."""
    return settings.replicas == 1


def anonymous(settings: Settings) -> Caller | None:
    """Who calls without a token; nobody may where tokens are required."""
    if settings.requires_token:
        return None
    access = "pay" if settings.no_auth_writes else "read"
    return Caller(key="anonymous", name="anonymous", origin="anonymous", access=access)


def refusals(settings: Settings) -> list[SettingProblem]:
    """What the server does not start with over HTTP, and why."""
    found: list[SettingProblem] = []
    local, names = is_local(settings.http_host), allowed_names(settings)
    tokens = f"set {NAMES['require_token']}=1 (--require-token), or {NAMES['oauth_issuer']} (--oauth)"
    if not local and not settings.requires_token:
        found.append(
            SettingProblem(
                NAMES["http_host"], f"is an address that others can reach, so callers have to be known: {tokens}"
            )
        )
    if not local and not settings.allowed_hosts and settings.public_url is None:
        found.append(
            SettingProblem(
                NAMES["http_host"],
                "is an address that others can reach, so the name by which they do has to be known: set "
                f"{NAMES['public_url']} (--public-url) or {NAMES['allowed_hosts']} (--allowed-host)",
            )
        )
    if local and names and not settings.requires_token:
        name = NAMES["public_url"] if settings.public_url and not settings.allowed_hosts else NAMES["allowed_hosts"]
        found.append(
            SettingProblem(
                name, f"names a host by which others can reach the server, so callers have to be known: {tokens}"
            )
        )
    if settings.no_auth_writes and (not local or settings.requires_token):
        found.append(
            SettingProblem(
                NAMES["no_auth_writes"],
                "is for a server on this machine that asks for no tokens; tokens say themselves what they allow",
            )
        )
    if settings.oauth_issuer is not None and not local and settings.public_url is None:
        found.append(
            SettingProblem(NAMES["public_url"], "has to be set with OAuth: it is the audience of the access tokens")
        )
    if (settings.oauth_client_id is None) is not (settings.oauth_client_secret is None):
        missing = "oauth_client_id" if settings.oauth_client_id is None else "oauth_client_secret"
        found.append(SettingProblem(NAMES[missing], "has to be set too, or neither of the two"))
    if settings.replicas > 1 and not settings.shares_ledger:
        found.append(
            SettingProblem(
                NAMES["replicas"],
                "says that several servers share the load, and a file on one machine cannot tell them what the others "
                f"have paid: set {NAMES['ledger_url']} to postgresql://...",
            )
        )
    if settings.oauth_account_claim is not None and settings.oauth_issuer in {None, BUILTIN}:
        found.append(
            SettingProblem(
                NAMES["oauth_account_claim"],
                f"goes with a URL in {NAMES['oauth_issuer']}; tokens and invitations of ours name their account "
                "themselves (--account)",
            )
        )
    if settings.oauth_client_id is not None and settings.oauth_issuer in {None, BUILTIN}:
        found.append(SettingProblem(NAMES["oauth_client_id"], f"goes with a URL in {NAMES['oauth_issuer']}"))
    return found


def warnings(settings: Settings) -> list[SettingProblem]:
    """What is allowed over HTTP and deserves a second look."""
    found: list[SettingProblem] = []
    if settings.no_auth_writes:
        may = "order payments" if settings.granted == "pay" else "change records"
        if settings.granted != "read":
            found.append(SettingProblem(NAMES["no_auth_writes"], f"lets any program on this machine {may}."))
    if "*" in settings.forwarded_allow_ips:
        found.append(
            SettingProblem(NAMES["forwarded_allow_ips"], "believes everybody; name the addresses of your proxies.")
        )
    return found
