"""The authorization server's addresses: those of the standards, and those by which a test steers it."""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.authority.books import Books
from tests.authority.library import Asked, Server, metadata
from tests.authority.records import Person, Token

Handle = Callable[[Request], Awaitable[Response]]


@dataclass(kw_only=True)
class Trouble:
    """What happens to requests for one endpoint, instead of an answer or before it."""

    status: int | None = None
    held: bool = False
    let_go: anyio.Event = field(default_factory=anyio.Event)


@dataclass(kw_only=True)
class Desk:
    """Handles requests, one at a time where Authlib does the work."""

    books: Books
    server: Server
    troubles: dict[str, Trouble] = field(default_factory=dict[str, Trouble])
    one: anyio.CapacityLimiter = field(default_factory=partial(anyio.CapacityLimiter, 1))

    def at(self, name: str, handle: Handle) -> Handle:
        """The handler of an endpoint, counted, and in trouble if so told."""

        async def handled(request: Request) -> Response:
            self.books.counts[name] += 1
            if (trouble := self.troubles.get(name)) is not None:
                if trouble.held:
                    await trouble.let_go.wait()
                if trouble.status is not None:
                    return Response(status_code=trouble.status)
            return await handle(request)

        return handled

    async def authorize(self, request: Request) -> Response:
        return await self._in_thread(self.server.authorize, await _read(request))

    async def token(self, request: Request) -> Response:
        asked = await _read(request)
        self.books.counts[f"token {dict(asked.form).get('grant_type', '')}"] += 1
        return await self._in_thread(self.server.create_token_response, asked)

    async def registration(self, request: Request) -> Response:
        return await self._endpoint("client_registration", request)

    async def introspection(self, request: Request) -> Response:
        return await self._endpoint("introspection", request)

    async def revocation(self, request: Request) -> Response:
        return await self._endpoint("revocation", request)

    async def _endpoint(self, name: str, request: Request) -> Response:
        return await self._in_thread(partial(self.server.create_endpoint_response, name), await _read(request))

    async def _in_thread(self, work: Callable[[Asked], Any], asked: Asked) -> Response:
        reply = await anyio.to_thread.run_sync(work, asked, limiter=self.one)
        return Response(reply.body, reply.status, reply.headers)

    async def keys(self, _request: Request) -> Response:
        return JSONResponse(self.books.keys.published())

    async def oauth_document(self, _request: Request) -> Response:
        shown = self.books.manner.discovery in {"both", "oauth"}
        return JSONResponse(metadata(self.books)) if shown else Response(status_code=404)

    async def openid_document(self, _request: Request) -> Response:
        shown = self.books.manner.discovery in {"both", "openid"}
        return JSONResponse(metadata(self.books)) if shown else Response(status_code=404)

    # For tests -------------------------------------------------------------------

    async def behave(self, request: Request) -> Response:
        self.books.manner = self.books.manner.changed(await request.json())
        return JSONResponse({})

    async def rotate(self, request: Request) -> Response:
        about = await request.json()
        self.books.keys.rotate(self.books.manner.algorithm, keep=about["keep"])
        return JSONResponse({"kid": self.books.keys.current.kid})

    async def mint(self, request: Request) -> Response:
        """A token that says whatever is wished: `claims` and `header` change the usual ones, null takes one away."""
        about: dict[str, Any] = await request.json()
        person = Person(name=self.books.manner.user, resource=about.get("resource"))
        usual = self.books.claims("minted", person, about.get("scope", ""))
        claims = {name: value for name, value in {**usual, **about.get("claims", {})}.items() if value is not None}
        match about.get("kind", "jwt"):
            case "opaque":
                text = secrets.token_urlsafe(32)
                self._remember(text, person, claims)
            case "forged":
                text = self.books.keys.forge(claims)
            case _:
                text = self.books.keys.sign(claims, about.get("header", {}))
        return JSONResponse({"token": text})

    def _remember(self, text: str, person: Person, claims: dict[str, Any]) -> None:
        # Never expired for this server, so that what it says of a token can be wrong.
        self.books.tokens.append(
            Token(
                access=text,
                refresh=None,
                client_id="minted",
                scope=str(claims.get("scope")),
                person=person,
                claims=claims,
                expires_at=time.time() + 86_400,
            )
        )

    async def revoke(self, request: Request) -> Response:
        """Take everything back that a user allowed."""
        user = (await request.json())["user"]
        for token in self.books.tokens:
            if token.person.name == user:
                self.books.revoke(token)
        return JSONResponse({})

    async def counted(self, _request: Request) -> Response:
        return JSONResponse(dict(self.books.counts))

    async def trouble(self, request: Request) -> Response:
        about: dict[str, Any] = await request.json()
        name: str = about.pop("endpoint")
        if (before := self.troubles.pop(name, None)) is not None:
            before.let_go.set()
        if about:
            self.troubles[name] = Trouble(**about)
        return JSONResponse({})


async def _read(request: Request) -> Asked:
    form: list[tuple[str, str]] = []
    body: Any = None
    if request.headers.get("content-type", "").startswith("application/json"):
        body = await request.json()
    elif request.method == "POST":
        async with request.form() as fields:
            form = [(name, value) for name, value in fields.multi_items() if isinstance(value, str)]
    return Asked(
        method=request.method,
        url=str(request.url),
        headers=request.headers,
        query=tuple(request.query_params.multi_items()),
        form=tuple(form),
        body=body,
    )


def build(books: Books) -> Starlette:
    """The server that these books describe."""
    desk = Desk(books=books, server=Server(books))
    path = urlsplit(books.issuer).path
    standard: tuple[tuple[str, str, str, Handle], ...] = (
        ("GET", f"{path}/authorize", "authorize", desk.authorize),
        ("POST", f"{path}/token", "token", desk.token),
        ("POST", f"{path}/register", "register", desk.registration),
        ("POST", f"{path}/introspect", "introspect", desk.introspection),
        ("POST", f"{path}/revoke", "revoke", desk.revocation),
        ("GET", f"{path}/jwks", "jwks", desk.keys),
        ("GET", f"/.well-known/oauth-authorization-server{path}", "oauth", desk.oauth_document),
        ("GET", f"{path}/.well-known/openid-configuration", "openid", desk.openid_document),
    )
    steering: tuple[tuple[str, str, Handle], ...] = (
        ("POST", "behave", desk.behave),
        ("POST", "rotate", desk.rotate),
        ("POST", "mint", desk.mint),
        ("POST", "revoke", desk.revoke),
        ("POST", "trouble", desk.trouble),
        ("GET", "counts", desk.counted),
    )
    return Starlette(
        routes=[
            *(Route(where, desk.at(name, handle), methods=[method]) for method, where, name, handle in standard),
            *(Route(f"/control/{name}", handle, methods=[method]) for method, name, handle in steering),
        ]
    )
