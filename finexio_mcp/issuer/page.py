"""The pages that a person sees: plain HTML without a script, and whatever comes from outside is escaped."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from finexio_mcp.access.book import AccessUnavailable
from finexio_mcp.issuer.redirects import Place
from finexio_mcp.issuer.refusals import UNAVAILABLE, Endpoint, Refused, retry_after
from finexio_mcp.settings import Access

STYLE: Final = """
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 36rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; }
h1 { font-size: 1.4rem; line-height: 1.25; }
dl { border: 1px solid GrayText; border-radius: .5rem; padding: .75rem 1rem; }
dt { font-size: .875rem; }
dd { margin: 0 0 .5rem; overflow-wrap: anywhere; }
dd.place { font-size: 1.25rem; font-weight: 700; }
fieldset { border: 1px solid GrayText; border-radius: .5rem; margin: 1rem 0; }
label { display: block; margin: .5rem 0; }
input[type=text] { font: 1.25rem ui-monospace, monospace; width: 100%; padding: .5rem; box-sizing: border-box; }
button { font: inherit; padding: .6rem 1.4rem; margin: 1rem .5rem 0 0; }
.alert { border: 2px solid; border-radius: .5rem; padding: .75rem 1rem; font-weight: 600; }
code { white-space: nowrap; }
"""
STYLE_HASH: Final = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()

REAL: Final = "This orders payments with real money, which cannot be taken back."
TRIAL: Final = "This server is connected to a trial system: no real money moves."
MEANINGS: Final[Mapping[Access, tuple[str, str]]] = {
    "read": ("Read only", "See invoices, payments, suppliers and other records. Change nothing."),
    "write": ("Read and change", "Also add and change suppliers, contacts and webhooks. Pay nothing."),
    "pay": ("Read, change and pay", "Also submit invoices, which is the order to pay them."),
}
KINDS: Final = {
    "web": "The answer goes to this website",
    "machine": "The answer goes to a program on this computer",
    "app": "The answer goes to the app on this device that opens links of this kind",
}


@dataclass(frozen=True, kw_only=True)
class Question:
    """What a person is asked."""

    sealed: str
    """The sign-in that it is about."""
    name: str
    """What the client calls itself."""
    place: Place
    """Where the answer goes."""
    choices: Sequence[Access]
    """How much can be allowed."""
    chosen: Access
    real_money: bool
    problem: str | None = None
    """Why the last answer was not enough."""


def consent(question: Question, *, status: int = 200) -> HTMLResponse:
    """The page that asks."""
    problem = f'<p class="alert" role="alert" id="problem">{escape(question.problem)}</p>' if question.problem else ""
    described = "hint problem" if question.problem else "hint"
    invalid = ' aria-invalid="true"' if question.problem else ""
    body = f"""
<h1>An app asks for access to Finexio</h1>
{problem}
<dl>
<dt>{KINDS[question.place.kind]}</dt>
<dd class="place">{escape(question.place.name)}</dd>
<dt>The app calls itself (nobody has checked this name)</dt>
<dd><bdi>{escape(question.name)}</bdi></dd>
</dl>
<p>Go on only if you have just connected this app yourself, and know the place that is named above. Otherwise deny.</p>
<form method="post" action="/consent" autocomplete="off">
<input type="hidden" name="request" value="{escape(question.sealed)}">
<fieldset>
<legend>What it may do through this server</legend>
{"".join(_choice(access, question) for access in question.choices)}
<p>The code below may allow less; then the lesser of the two holds.</p>
</fieldset>
<label for="code">One-time code</label>
<input type="text" id="code" name="code" required maxlength="100" autocapitalize="none" autocomplete="off"
 spellcheck="false" aria-describedby="{described}"{invalid}>
<p id="hint">It comes from whoever runs this server, who makes one with <code>finexio-mcp tokens invite</code>. It works
once. Type it here only, never into a chat.</p>
<button type="submit" name="decision" value="allow">Allow</button>
<button type="submit" name="decision" value="deny" formnovalidate>Deny</button>
</form>
"""
    leads_to = " ".join(f"{scheme}:" for scheme in question.place.schemes)
    return _page("Access to Finexio", body, status=status, form_action=f"'self' {leads_to}")


def _choice(access: Access, question: Question) -> str:
    title, meaning = MEANINGS[access]
    if access == "pay":
        meaning = f"{meaning} {REAL if question.real_money else TRIAL}"
    checked = " checked" if access == question.chosen else ""
    return (
        f'<label><input type="radio" name="access" value="{access}"{checked}> '
        f"<strong>{title}.</strong> {meaning}</label>\n"
    )


def in_pages(endpoint: Endpoint) -> Endpoint:
    """The endpoint, with its refusals as people read them."""

    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except Refused as refused:
            return _ended(refused.description, refused.status)
        except AccessUnavailable:
            return _ended(UNAVAILABLE, 503)

    return answer


def back(refused: Refused, place: Place, where: str) -> HTMLResponse:
    """The page that says what is wrong with a request, and leaves it to the person to tell the app that."""
    asked = "an app on this device, which opens links of this kind" if place.kind == "app" else "this website"
    return _ended(
        refused.description,
        refused.status,
        f"""
<dl>
<dt>It was begun by {asked} (nobody has checked whose it is)</dt>
<dd class="place">{escape(place.name)}</dd>
</dl>
<p>Nothing was allowed. Go back only if you have just connected this app yourself, and know the place that is named
above; it is then told what is wrong. Otherwise close this page.</p>
<p><a href="{escape(where)}" rel="noreferrer">Go back to {escape(place.name)}</a></p>
""",
    )


def _ended(message: str, status: int, more: str = "\n") -> HTMLResponse:
    body = f'\n<h1>This sign-in cannot go on</h1>\n<p class="alert" role="alert">{escape(message)}</p>{more}'
    return _page("Sign-in ended", body, status=status, form_action="'none'")


def _page(title: str, body: str, *, status: int, form_action: str) -> HTMLResponse:
    text = (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<style>{STYLE}</style>\n</head>\n<body>\n<main>{body}</main>\n</body>\n</html>\n"
    )
    policy = (
        f"default-src 'none'; style-src 'sha256-{STYLE_HASH}'; form-action {form_action}; base-uri 'none'; "
        "frame-ancestors 'none'"
    )
    headers = {
        "Content-Security-Policy": policy,
        "Cache-Control": "no-store",
        # With `no-referrer` browsers send the form with the origin `null`. Others than us learn nothing by this.
        "Referrer-Policy": "same-origin",
    }
    return HTMLResponse(text, status_code=status, headers={**headers, **retry_after(status)})
