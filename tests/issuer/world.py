"""A small app with the built-in issuer and something that it protects, a person at a browser, and a client by hand."""

from __future__ import annotations

import base64
import contextlib
import hashlib
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from finexio_mcp.access.book import AccessBook
from finexio_mcp.access.grants import Terms
from finexio_mcp.access.scopes import scopes_up_to
from finexio_mcp.issuer import routes
from finexio_mcp.settings import Access, Settings
from tests.conftest import simulator_settings

BASE = "https://mcp.example.com"
REDIRECT = "https://client.example/callback"
ON_THIS_MACHINE = "http://127.0.0.1:4100/callback"
VERIFIER = "v" * 43 + "-._~"
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")
FROM_OUR_PAGE = {"Origin": BASE, "Sec-Fetch-Site": "same-origin"}
DAY_MS = 86_400_000


class Clock:
    """Milliseconds since 1970 that pass only when told to."""

    def __init__(self) -> None:
        self.ms = 1_800_000_000_000

    def __call__(self) -> int:
        return self.ms

    def forward(self, seconds: float) -> None:
        self.ms += int(seconds * 1000)


VOID = {"meta", "input", "br", "link"}


class Page(HTMLParser):
    """What a browser makes of a page. Tags that do not match fail."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        assert len(dict(attrs)) == len(attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        """What can be read."""
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of each such tag."""
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def fields(self) -> dict[str, str]:
        """The form as it would be sent, without a button."""
        chosen = [
            each
            for each in self.all("input")
            if each.get("type") != "radio" or "checked" in each  # as it stands
        ]
        return {str(each["name"]): str(each.get("value") or "") for each in chosen}

    @property
    def offered(self) -> list[str]:
        """The values of the radio buttons."""
        return [str(each["value"]) for each in self.all("input") if each.get("type") == "radio"]


def parameters(url: str) -> dict[str, str]:
    """Those of an address, each of which comes once."""
    found = parse_qs(urlsplit(url).query, strict_parsing=True, keep_blank_values=True)
    assert all(len(values) == 1 for values in found.values())
    return {name: values[0] for name, values in found.items()}


@dataclass
class World:
    """One server, and everybody around it."""

    book: AccessBook
    http: httpx2.AsyncClient
    clock: Clock
    settings: Settings
    transport: httpx2.ASGITransport

    def comes_from(self, address: str) -> None:
        """Whoever asks from now on, as the server sees it."""
        self.transport.client = (address, 4100)

    async def invite(self, access: Access = "pay", name: str | None = None, **bounds: int | None) -> str:
        """What `finexio-mcp tokens invite` tells a person."""
        valid_ms, until_ms = bounds.get("valid_ms") or 600_000, bounds.get("until_ms")
        name = name or f"person {len(await self.book.grants())}"
        _, code = await self.book.invite(name, Terms(access=access), valid_ms=valid_ms, grant_expires_at_ms=until_ms)
        return code

    async def register(self, **metadata: Any) -> dict[str, Any]:
        """A client, as it was registered."""
        asked = {"redirect_uris": [REDIRECT], "client_name": "Robot", **metadata}
        answer = await self.http.post("/register", json=asked)
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def begin(self, client_id: str, **asked: str | None) -> httpx2.Response:
        """What a browser gets that a client sends to `/authorize`."""
        usual: dict[str, str | None] = {
            "response_type": "code",
            "client_id": client_id,
            "redirect_uri": REDIRECT,
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
            "state": "s t&a=te",
            "scope": "finexio:read finexio:write finexio:pay",
            "resource": f"{BASE}/mcp",
        }
        query = {name: value for name, value in {**usual, **asked}.items() if value is not None}
        return await self.http.get("/authorize", params=query)

    async def page(self, client_id: str, **asked: str | None) -> Page:
        """The consent page that a request leads to."""
        begun = await self.begin(client_id, **asked)
        assert begun.status_code == 302, begun.text
        assert begun.headers["location"].startswith(f"{BASE}/consent?request=")
        shown = await self.http.get(begun.headers["location"])
        assert shown.status_code == 200, shown.text
        return Page(shown.text)

    async def answer(
        self, page: Page, decision: str = "allow", headers: Mapping[str, str] = FROM_OUR_PAGE, **typed: str
    ) -> httpx2.Response:
        """The form, as a browser sends it."""
        (form,) = page.all("form")
        assert (form["method"], form["action"]) == ("post", "/consent")
        return await self.http.post("/consent", data={**page.fields, **typed, "decision": decision}, headers=headers)

    async def code(self, client_id: str, invitation: str, **asked: str | None) -> str:
        """An authorization code, as it reaches the client."""
        access = asked.pop("choose", None)
        page = await self.page(client_id, **asked)
        sent = await self.answer(page, code=invitation, access=access or page.fields["access"])
        assert sent.status_code == 303, Page(sent.text).text
        return parameters(sent.headers["location"])["code"]

    async def token(self, **form: str | None) -> httpx2.Response:
        """What `/token` says to this form."""
        return await self.http.post("/token", data={name: value for name, value in form.items() if value is not None})

    async def exchange(self, client_id: str, code: str, **other: str | None) -> httpx2.Response:
        """What `/token` says to a code."""
        usual: dict[str, str | None] = {
            "grant_type": "authorization_code",
            "client_id": client_id,
            "code": code,
            "code_verifier": VERIFIER,
            "redirect_uri": REDIRECT,
            "resource": f"{BASE}/mcp",
        }
        return await self.token(**{**usual, **other})

    async def refresh(self, client_id: str, token: str, **other: str | None) -> httpx2.Response:
        """What `/token` says to a refresh token."""
        return await self.token(
            **{"grant_type": "refresh_token", "client_id": client_id, "refresh_token": token, **other}
        )

    async def signed_in(self, access: Access = "pay", **asked: str | None) -> tuple[str, dict[str, Any]]:
        """A client that was let in, and its tokens."""
        client_id = (await self.register())["client_id"]
        code = await self.code(client_id, await self.invite(access), **asked)
        answer = await self.exchange(client_id, code)
        assert answer.status_code == 200, answer.text
        return client_id, answer.json()

    async def access_of(self, token: str) -> Access | None:
        """What the protected side makes of a token."""
        grant = await self.book.find(token)
        return grant.access if grant is not None else None


def build_app(settings: Settings, book: AccessBook) -> Starlette:
    """The issuer, beside a resource that asks for its tokens."""

    async def metadata(_request: Request) -> Response:
        told = {"resource": f"{BASE}/mcp", "authorization_servers": [BASE]}
        return JSONResponse({**told, "scopes_supported": [*scopes_up_to(settings.granted)]})

    async def echo(request: Request) -> Response:
        grant = await book.find(request.headers.get("authorization", "").removeprefix("Bearer "))
        if grant is None:
            where = f"{BASE}/.well-known/oauth-protected-resource/mcp"
            return Response(status_code=401, headers={"WWW-Authenticate": f'Bearer resource_metadata="{where}"'})
        return JSONResponse({"name": grant.name, "access": grant.access})

    protected = [
        Route("/.well-known/oauth-protected-resource/mcp", metadata, methods=["GET"]),
        Route("/mcp", echo, methods=["POST"]),
    ]
    return Starlette(routes=[*routes(settings, book, base_url=BASE), *protected])


@contextlib.asynccontextmanager
async def world(clock: Clock | None = None, **settings: Any) -> AsyncGenerator[World]:
    """A server with an empty book. Open it in the test itself."""
    usual = {"FINEXIO_MCP_OAUTH_ISSUER": "builtin", "FINEXIO_MCP_PUBLIC_URL": BASE}
    chosen, time = simulator_settings(**{**usual, **settings}), clock or Clock()
    book = AccessBook(chosen, now=time)
    transport = httpx2.ASGITransport(build_app(chosen, book))
    try:
        async with httpx2.AsyncClient(transport=transport, base_url=BASE) as http:
            yield World(book, http, time, chosen, transport)
    finally:
        await book.aclose()
