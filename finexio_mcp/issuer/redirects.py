"""Where a client may have people sent back to: which addresses are taken, and how they compare."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple
from urllib.parse import urlencode

from pydantic_core import Url

from finexio_mcp.settings import LOOPBACK

MAX_CHARS = 2_000
PLAIN = re.compile(r"[!-~]+")
MISREAD = frozenset('\\"<>^`{|}')
"""Browsers take a backslash for a slash, and none of the others belongs in a URI."""
WEB = re.compile(r"https?://[^/?]", re.IGNORECASE)
"""Browsers forgive other numbers of slashes; parsers differ."""
HOST = re.compile(r"[a-z0-9.-]+|\[[0-9a-f:.]+\]")
PRIVATE_SCHEME = re.compile(r"[a-z][a-z0-9+-]*(\.[a-z0-9+-]+)+")
APPS = frozenset({"cursor", "vscode", "vscode-insiders", "windsurf"})
"""Editors whose schemes have no dot; nothing that a browser runs or reads itself."""
USUAL_PORTS = {"https": 443, "http": 80}

Kind = Literal["web", "machine", "app"]


class Place(NamedTuple):
    """Who receives what is sent to a redirect URI."""

    kind: Kind
    name: str
    """The host, with a port that is not the usual one; or the scheme that an app on the device answers to."""
    schemes: tuple[str, ...]
    """What a form may lead to whose answer goes there. Browsers judge every step, and many places send people on."""


def place_of(uri: str) -> Place | None:
    """Who is behind a redirect URI; `None` if it is none that we send anybody to.

    That is https, plain http to this very machine, or a private scheme in reverse-domain form, as RFC 8252 has it for
    apps, or an editor's own. That excludes schemes that a browser runs or reads itself: none of those has a dot.
    """
    url = _parsed(uri)
    if url is None or url.username is not None or url.password is not None:
        return None
    if url.scheme not in USUAL_PORTS:
        private = url.scheme in APPS or PRIVATE_SCHEME.fullmatch(url.scheme)
        return Place("app", url.scheme, ("https", url.scheme)) if private else None
    host = url.host or ""
    local = host.strip("[]") in LOOPBACK
    if not WEB.match(uri) or not HOST.fullmatch(host) or (url.scheme == "http" and not local):
        return None
    name = host if url.port == USUAL_PORTS[url.scheme] else f"{host}:{url.port}"
    return Place("machine" if local else "web", name, ("https", "http") if url.scheme == "http" else ("https",))


def _parsed(uri: str) -> Url | None:
    """Taken apart as a browser does it, so that the host that is shown is the one that it goes to."""
    if not uri or len(uri) > MAX_CHARS or not PLAIN.fullmatch(uri) or "#" in uri or set(uri) & MISREAD:
        return None
    try:
        return Url(uri)
    except ValueError:
        return None


def matches(asked: str, registered: Sequence[str]) -> bool:
    """Whether a redirect URI is one of those registered.

    Character by character, but for the port on this very machine: programs take whichever is free (RFC 8252, 7.3).
    """
    if place_of(asked) is None:
        return False
    if asked in registered:
        return True
    local = _on_this_machine(asked)
    return local is not None and any(local == _on_this_machine(uri) for uri in registered)


def _on_this_machine(uri: str) -> tuple[str | None, ...] | None:
    """What has to be the same of plain http to this very machine: all but the port."""
    place, url = place_of(uri), _parsed(uri)
    if place is None or url is None or place.kind != "machine" or url.scheme != "http":
        return None
    return url.host, url.path, url.query


def with_answer(uri: str, answer: Mapping[str, str | None]) -> str:
    """The redirect URI with the answer's parameters behind those that it has; what is `None` is left out."""
    told = urlencode({name: value for name, value in answer.items() if value is not None})
    return f"{uri}{'&' if '?' in uri else '?'}{told}"
