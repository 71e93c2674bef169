"""The operator's limits, checked before anything leaves. No argument moves them."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from finexio_mcp.errors import InvalidArguments, Problem, RefusedByPolicy
from finexio_mcp.settings import LOOPBACK, NAMES, Settings
from finexio_mcp.tools.spec import Effect, ToolSpec

NOT_IN_A_URL = re.compile(r"[^\x21-\x7e]|[\\^`{}|<>\"]")


def enforce(tool: ToolSpec, arguments: dict[str, Any], settings: Settings) -> None:
    """Let checked arguments pass.

    Raises:
        RefusedByPolicy: Naming the rule; splitting the call is no way around it.
    """
    if tool.effect is Effect.PAY:
        _enforce_pay(arguments["invoices"], settings)
    if tool.effect is Effect.WRITE and "url" in tool.arguments.model_fields:
        _enforce_webhook_host(arguments.get("url"), settings)


def limit_name(settings: Settings, limit: str) -> str:
    """Where the operator has set a limit, or would set it."""
    name = NAMES[limit]
    return name if settings.accounts_file is None else f"{name}, or {limit} of the account"


def _refuse(rule: str, problems: list[Problem] | None = None) -> RefusedByPolicy:
    return RefusedByPolicy(
        f"{rule} Nothing was sent. Do not split or change the call to get around this; tell the user.",
        problems=problems or [],
    )


def _enforce_pay(invoices: list[dict[str, Any]], settings: Settings) -> None:
    limit = settings.max_invoice_cents
    if limit is not None and (over := [i for i, invoice in enumerate(invoices) if invoice["amount_cents"] > limit]):
        raise _refuse(
            f"The operator's limit for one invoice is {limit} cents ({limit_name(settings, 'max_invoice_cents')}).",
            [Problem(f"invoices[{index}].amount_cents", "is over the limit") for index in over],
        )
    limit = settings.max_batch_cents
    if limit is not None and sum(invoice["amount_cents"] for invoice in invoices) > limit:
        name = limit_name(settings, "max_batch_cents")
        raise _refuse(f"The operator's limit for one batch is {limit} cents ({name}).")


def _enforce_webhook_host(url: str | None, settings: Settings) -> None:
    if url is not None and url.lower().startswith("http:") and not _is_local(url):
        raise InvalidArguments(
            "Nothing was sent: a webhook carries payment data. Give an https address.",
            problems=[Problem("url", "must be https")],
        )
    problem = _no_url_problem(settings) if url is None else _webhook_problem(url, settings)
    if problem is not None:
        raise _refuse("This webhook address is not allowed.", [Problem("url", problem)])


def _is_local(url: str) -> bool:
    try:
        return (urlsplit(url).hostname or "").casefold() in LOOPBACK
    except ValueError:
        return False


def _no_url_problem(settings: Settings) -> str | None:
    """A change without an address sends more to the stored one, wherever that is."""
    if settings.webhook_hosts:
        return f"has to be given too, so that it can be checked against {limit_name(settings, 'webhook_hosts')}"
    return _unlisted(settings) if settings.real_money else None


def _unlisted(settings: Settings) -> str:
    return f"cannot be used until the operator lists allowed hosts in {limit_name(settings, 'webhook_hosts')}"


def _webhook_problem(url: str, settings: Settings) -> str | None:
    """Why payment data may not go there. Parsers disagree on odd characters, so there are none."""
    if NOT_IN_A_URL.search(url):
        return "holds characters that do not belong in a URL"
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".").casefold()
        parts.port  # noqa: B018  (raises for a port that is none)
    except ValueError:
        return "is no URL"
    if "@" in parts.netloc:
        return "must not hold a user or password; they have fields of their own"
    if settings.webhook_hosts:
        if parts.scheme != "https" or host not in settings.webhook_hosts:
            return f"must be https and a host that the operator lists in {limit_name(settings, 'webhook_hosts')}"
        return None
    if settings.real_money:
        return _unlisted(settings)
    return None
