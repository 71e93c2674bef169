"""Sign-ins from end to end: a real authorization server, our server as a process, and the SDK's own client."""

from __future__ import annotations

import contextlib
import json
import os
import re
import ssl
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

import anyio
import httpx2
import pytest
from jwt import get_unverified_header as read_header
from mcp import Client, MCPError
from mcp.client.auth import OAuthClientProvider
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from pydantic import AnyUrl

from finexio_mcp.simulator import Simulator
from tests.authority.documents import Documents, documents
from tests.authority.running import Authority, authority
from tests.calls import INVOICE, PAY, ask, changes, invoice, office
from tests.shifted import AHEAD

OURS = [sys.executable, "-m", "tests.shifted"]
GET = "get_single_finexio_invoice_by_id"
LIST = "list_all_finexio_invoices"
REDIRECT = "http://127.0.0.1:33418/callback"
READ, ALL = "finexio:read", "finexio:read finexio:write finexio:pay"
SERVING = re.compile(r"Serving MCP at (http://[\d.:]+)/mcp ")
SECONDS = 20
LATER = 11.0
"""By then the server asks again about what it was told by the issuer."""

Way = Literal["auto", "legacy", "sse"]
WAYS: tuple[Way, ...] = ("auto", "legacy", "sse")
"""Streamable HTTP in both eras, and the transport before it."""


# The three of them ---------------------------------------------------------------


@dataclass(kw_only=True)
class Served:
    """Our server as a process."""

    base_url: str
    environment: Mapping[str, str]
    said: list[str]
    clock: Path

    def url(self, way: Way) -> str:
        return f"{self.base_url}/{'sse' if way == 'sse' else 'mcp'}"

    def be_ahead(self, seconds: float) -> None:
        """Judge tokens by a clock that is so far ahead of the issuer's."""
        new = self.clock.with_suffix(".new")
        new.write_text(str(seconds))
        new.replace(self.clock)

    def run(self, *arguments: str) -> str:
        """Another command with the same settings."""
        done = subprocess.run(
            [*OURS, *arguments], env=self.environment, capture_output=True, text=True, timeout=60, check=True
        )
        return done.stdout.strip()


@contextlib.contextmanager
def served(directory: Path, upstream: str, **settings: str) -> Generator[Served]:
    """`finexio-mcp serve --http` on a free port of this machine."""
    directory.mkdir(exist_ok=True)
    clock = directory / "ahead"
    clock.write_text("0")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FINEXIO_")} | {
        AHEAD: str(clock),
        "XDG_STATE_HOME": str(directory),
        "FINEXIO_ENVIRONMENT": "simulator",
        "FINEXIO_BASE_URL": upstream,
        "FINEXIO_MCP_RATE": "0",
        "FINEXIO_MCP_ALLOW_VOLATILE_LEDGER": "1",
        "FINEXIO_MCP_HTTP_PORT": "0",
        **settings,
    }
    with subprocess.Popen(
        [*OURS, "serve", "--http"], env=environment, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        said: list[str] = []
        try:
            for line in process.stderr:
                said.append(line)
                if found := SERVING.search(line):
                    break
            else:
                pytest.fail(f"the server did not start: {''.join(said)}")
            reader = threading.Thread(target=said.extend, args=[process.stderr], daemon=True)
            reader.start()
            yield Served(base_url=found[1], environment=environment, said=said, clock=clock)
            process.terminate()
            process.wait(SECONDS)
            reader.join(SECONDS)
        finally:
            process.kill()


@dataclass(kw_only=True)
class World:
    """Who takes part in a sign-in."""

    authority: Authority
    server: Served
    finexio: Simulator
    published: Documents

    def mint(self, scope: str = ALL, path: str = "/mcp", **changes: Any) -> str:
        """A token for our server, good but for what is changed."""
        return self.authority.mint(resource=f"{self.server.base_url}{path}", scope=scope, **changes)

    def paid(self, number: str) -> int:
        """How many requests with this invoice came to Finexio."""
        return sum(number in json.dumps(request.body) for request in changes(self.finexio))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Generator[World]:
    finexio = office()
    with (
        documents(tmp_path_factory.mktemp("documents")) as published,
        authority(trust=published.certificate) as issuer,
        finexio.listening() as upstream,
        served(
            tmp_path_factory.mktemp("state"),
            upstream,
            FINEXIO_MCP_OAUTH_ISSUER=issuer.issuer,
            FINEXIO_MCP_OAUTH_CLIENT_ID=issuer.client_id,
            FINEXIO_MCP_OAUTH_CLIENT_SECRET=issuer.client_secret,
        ) as server,
    ):
        yield World(authority=issuer, server=server, finexio=finexio, published=published)


@pytest.fixture
def world(shared: World) -> World:
    """The authorization server behaves, clocks agree, and Finexio's journal is empty."""
    shared.authority.behave(user="ada", consents_to=None, refuses=False, tokens="jwt", documents=True)
    shared.server.be_ahead(0)
    shared.finexio.journal.clear()
    return shared


NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def http_client(**options: Any) -> httpx2.AsyncClient:
    """For this machine, where nobody speaks TLS: reading the certificates of the whole world takes its time."""
    return httpx2.AsyncClient(verify=NO_CERTIFICATES, trust_env=False, timeout=SECONDS, **options)


# A client of the SDK, and its user -----------------------------------------------


class Memory:
    """What a client keeps between two starts."""

    def __init__(self) -> None:
        self.tokens: OAuthToken | None = None
        self.client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


@dataclass
class Seen:
    """An answer that a client got."""

    method: str
    path: str
    status: int
    challenge: str | None


@dataclass(kw_only=True)
class Visitor:
    """A client with its user, whose browser follows where it is sent."""

    url: str
    document: str | None = None
    memory: Memory = field(default_factory=Memory)
    seen: list[Seen] = field(default_factory=list[Seen])
    sent: list[httpx2.Request] = field(default_factory=list[httpx2.Request])
    visits: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    """What the client asked for, each time its user was sent to sign in."""

    def __post_init__(self) -> None:
        self._back: dict[str, str] = {}
        self.auth = OAuthClientProvider(
            self.url,
            OAuthClientMetadata(
                redirect_uris=[AnyUrl(REDIRECT)], client_name="Office", token_endpoint_auth_method="none"
            ),
            self.memory,
            redirect_handler=self._browse,
            callback_handler=self._come_back,
            client_metadata_url=self.document,
        )

    async def _browse(self, address: str) -> None:
        self.visits.append(_query(address))
        async with http_client() as browser:
            answer = await browser.get(address)
        assert answer.status_code == 302, answer.text
        assert answer.headers["Location"].startswith(f"{REDIRECT}?")
        self._back = _query(answer.headers["Location"])

    async def _come_back(self) -> AuthorizationCodeResult:
        return AuthorizationCodeResult(**{name: self._back[name] for name in ("code", "state", "iss")})

    @property
    def access_token(self) -> str:
        assert self.memory.tokens is not None
        return self.memory.tokens.access_token

    def paths(self) -> list[tuple[str, str, int]]:
        return [(seen.method, seen.path, seen.status) for seen in self.seen]

    async def note(self, response: httpx2.Response) -> None:
        request = response.request
        self.sent.append(request)
        challenge = response.headers.get("WWW-Authenticate")
        self.seen.append(Seen(request.method, request.url.path, response.status_code, challenge))


def _query(address: str) -> dict[str, str]:
    return {name: value for name, (value,) in parse_qs(urlsplit(address).query).items()}


class Bearer(httpx2.Auth):
    """A token that a person pasted."""

    def __init__(self, text: str) -> None:
        self._text = text

    def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response]:
        request.headers["Authorization"] = f"Bearer {self._text}"
        yield request


@contextlib.asynccontextmanager
async def connected(way: Way, url: str, auth: httpx2.Auth, note: Any = None) -> AsyncGenerator[Client]:
    """The SDK's client over one of the transports. Open it in the test itself."""

    def factory(
        headers: dict[str, str] | None = None, timeout: httpx2.Timeout | None = None, auth: httpx2.Auth | None = auth
    ) -> httpx2.AsyncClient:
        return http_client(headers=headers, auth=auth, event_hooks={"response": [note]} if note else {})

    with anyio.fail_after(SECONDS):
        if way == "sse":
            transport = sse_client(url, httpx_client_factory=factory, auth=auth)
            async with Client(transport, mode="legacy") as client:
                yield client
            return
        async with (
            factory() as http,
            Client(streamable_http_client(url, http_client=http), mode=way) as client,
        ):
            yield client


def visit(visitor: Visitor, way: Way) -> contextlib.AbstractAsyncContextManager[Client]:
    return connected(way, visitor.url, visitor.auth, visitor.note)


# Challenges ------------------------------------------------------------------------

TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
PARAMETER = re.compile(rf'\s*({TOKEN})\s*=\s*(?:"((?:[^"\\\x00-\x1f\x7f-\uffff]|\\.)*)"|({TOKEN}))\s*(?:,|$)')


def parse_challenge(text: str) -> dict[str, str]:
    """One challenge of the scheme Bearer, read as RFC 9110 writes it down; anything else is a failure."""
    scheme, _, rest = text.partition(" ")
    assert scheme == "Bearer"
    told: dict[str, str] = {}
    while rest:
        found = PARAMETER.match(rest)
        assert found, f"not a parameter: {rest}"
        name, quoted, bare = found.groups()
        assert name not in told
        told[name] = re.sub(r"\\(.)", r"\1", quoted) if bare is None else bare
        rest = rest[found.end() :]
    return told


# The dance ---------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["registration", "document"])
@pytest.mark.parametrize("way", WAYS)
async def test_a_client_that_knows_nothing_finds_its_way_in(world: World, way: Way, by: str) -> None:
    """Documented (MCP authorization): challenge, metadata of both servers, registration, consent, token, call."""
    url = world.server.url(way)
    about = {"redirect_uris": [REDIRECT], "grant_types": ["authorization_code", "refresh_token"]}
    document = world.published.publish(f"{way}.json", **about) if by == "document" else None
    visitor, before = Visitor(url=url, document=document), world.authority.counts()

    async with visit(visitor, way) as client:
        tools = (await client.list_tools()).tools
        content = await ask(client, LIST, limit=1)

    assert (len(tools), content["result_count"]) == (26, 1)
    first, *rest = visitor.seen
    assert (first.status, first.path) == (401, urlsplit(url).path)
    assert first.challenge is not None
    told = parse_challenge(first.challenge)
    assert "error" not in told
    assert told["scope"] == ALL
    assert told["resource_metadata"] == f"{world.server.base_url}/.well-known/oauth-protected-resource{first.path}"
    steps = [f"/.well-known/oauth-protected-resource{first.path}", "/.well-known/oauth-authorization-server"]
    steps += (["/register"] if by == "registration" else []) + ["/token"]
    assert [seen.path for seen in rest[: len(steps)]] == steps
    assert {seen.status for seen in rest} <= {200, 201, 202}
    (asked,) = visitor.visits
    assert asked["resource"] == url
    assert set(ALL.split()) <= set(asked["scope"].split())
    assert asked["client_id"] == (document or asked["client_id"])
    after = world.authority.counts()
    assert after["token authorization_code"] - before.get("token authorization_code", 0) == 1


@pytest.mark.parametrize("tokens", ["jwt", "opaque"])
@pytest.mark.parametrize("way", WAYS)
async def test_a_client_whose_token_expires_gets_another_without_its_user(world: World, way: Way, tokens: str) -> None:
    """Documented (OAuth 2.1): by the refresh token, for the same resource; the old access token is no good any more."""
    world.authority.behave(tokens=tokens, access_seconds=100)
    visitor, before = Visitor(url=world.server.url(way)), world.authority.counts().get("token refresh_token", 0)

    async with visit(visitor, way) as client:
        await ask(client, LIST, limit=1)
        first = visitor.access_token
        world.authority.behave(access_seconds=3600)
        world.server.be_ahead(200)
        visitor.auth.context.token_expiry_time = 1.0
        content = await ask(client, LIST, limit=1)
        status, told = await knock(world, first)

    assert content["result_count"] == 1
    assert visitor.access_token != first
    assert len(visitor.visits) == 1
    assert world.authority.counts()["token refresh_token"] - before == 1
    assert (status, told["error"]) == (401, "invalid_token")


async def test_a_client_that_does_not_see_its_token_expire_signs_in_again(world: World) -> None:
    """Documented (MCP authorization): 401 leads to a new sign-in, and the call that met it is made."""
    world.authority.behave(access_seconds=100)
    visitor = Visitor(url=world.server.url("auto"))

    async with visit(visitor, "auto") as client:
        await ask(client, LIST, limit=1)
        world.authority.behave(access_seconds=3600)
        world.server.be_ahead(200)
        content = await ask(client, PAY, invoices=[invoice("EXPIRED-1")])

    assert content["status"] == "confirmed"
    assert world.paid("EXPIRED-1") == 1
    assert len(visitor.visits) == 2


@pytest.mark.parametrize("way", ["auto", "legacy"])
async def test_a_client_that_may_only_read_asks_its_user_before_it_pays_and_pays_once(world: World, way: Way) -> None:
    """Documented (MCP, step-up): 403 with the scope that is needed, a second sign-in, and the call goes through."""
    world.authority.behave(consents_to=[READ])
    visitor, number = Visitor(url=world.server.url(way)), f"STEP-{way}"

    async with visit(visitor, way) as client:
        reading = {tool.name for tool in (await client.list_tools()).tools}
        world.authority.behave(consents_to=None)
        content = await ask(client, PAY, invoices=[invoice(number)])

    assert PAY not in reading
    assert LIST in reading
    assert content["status"] == "confirmed"
    assert world.paid(number) == 1
    (refused,) = [seen for seen in visitor.seen if seen.status == 403]
    assert refused.challenge is not None
    told = parse_challenge(refused.challenge)
    assert (told["error"], told["scope"]) == ("insufficient_scope", ALL)
    assert told["resource_metadata"].endswith("/.well-known/oauth-protected-resource/mcp")
    assert len(visitor.visits) == 2


async def test_a_user_who_does_not_allow_payments_is_not_asked_for_ever(world: World) -> None:
    """Ours: the client's user is asked once more, and then the call fails; nothing is paid, and reading goes on."""
    world.authority.behave(consents_to=[READ])
    visitor = Visitor(url=world.server.url("auto"))

    async with visit(visitor, "auto") as client:
        with pytest.raises(MCPError):
            await ask(client, PAY, invoices=[invoice("STEP-NO")])
        after = await ask(client, LIST, limit=1)

    assert len(visitor.visits) == 2
    assert world.paid("STEP-NO") == 0
    assert after["result_count"] == 1


@pytest.mark.parametrize("algorithm", ["ES256", "RS256"])
async def test_keys_may_change_while_the_server_runs(world: World, algorithm: str) -> None:
    """Documented (RFC 7517): a new key is fetched when a token names it, once; tokens of a kept key stay good."""
    visitor = Visitor(url=world.server.url("auto"))

    async with visit(visitor, "auto") as client:
        await ask(client, LIST, limit=1)
        world.authority.behave(algorithm=algorithm)
        world.authority.rotate(keep=True)
        world.server.be_ahead(LATER)
        before = world.authority.counts()["jwks"]
        old = await ask(client, LIST, limit=1)
        between = world.authority.counts()["jwks"]
        visitor.auth.context.token_expiry_time = 1.0
        new = await ask(client, LIST, limit=1)

    assert old["result_count"] == new["result_count"] == 1
    assert read_header(visitor.access_token)["alg"] == algorithm
    assert (between - before, world.authority.counts()["jwks"] - between) == (0, 1)
    assert len(visitor.visits) == 1


async def test_a_key_that_the_issuer_withdrew_proves_nothing_from_the_next_fetch_on(world: World) -> None:
    """Ours: after a key was stolen, the issuer drops it; the first token of its successor tells this server."""
    stolen = world.mint(claims={"jti": "stolen"})
    before = await knock(world, stolen)
    world.authority.rotate(keep=False)
    world.server.be_ahead(LATER)
    after = await knock(world, stolen)

    assert before[0] == 200
    assert (after[0], after[1]["error"]) == (401, "invalid_token")


@pytest.mark.parametrize("way", WAYS)
async def test_tokens_may_be_opaque_and_are_asked_about(world: World, way: Way) -> None:
    """Documented (RFC 7662): the issuer says what they mean."""
    world.authority.behave(tokens="opaque")
    visitor, before = Visitor(url=world.server.url(way)), world.authority.counts().get("introspect", 0)

    async with visit(visitor, way) as client:
        content = await ask(client, LIST, limit=1)

    assert content["result_count"] == 1
    assert "." not in visitor.access_token
    assert world.authority.counts()["introspect"] > before


async def test_what_is_revoked_at_the_issuer_ends_here(world: World) -> None:
    """Ours: an opaque token within seconds; its client's user is asked again."""
    world.authority.behave(tokens="opaque", user="rae")
    visitor = Visitor(url=world.server.url("auto"))

    async with visit(visitor, "auto") as client:
        await ask(client, LIST, limit=1)
        revoked = visitor.access_token
        world.authority.revoke("rae")
        world.server.be_ahead(LATER)
        status, told = await knock(world, revoked)
        content = await ask(client, LIST, limit=1)

    assert (status, told["error"]) == (401, "invalid_token")
    assert content["result_count"] == 1
    assert len(visitor.visits) == 2


async def test_tokens_of_ours_and_of_the_issuer_are_taken_side_by_side(world: World) -> None:
    """Ours: scripts with a token and people who signed in use the same server."""
    own = world.server.run("tokens", "create", "--name", "script", "--access", "pay")
    visitor = Visitor(url=world.server.url("auto"))

    async with connected("auto", world.server.url("auto"), Bearer(own)) as script, visit(visitor, "auto") as client:
        first = await ask(script, PAY, invoices=[invoice("SIDE-1")])
        second = await ask(client, PAY, invoices=[invoice("SIDE-2")])
    paid = world.paid("SIDE-1"), world.paid("SIDE-2")
    world.server.run("tokens", "revoke", "script")
    status, told = await knock(world, own)

    assert first["status"] == second["status"] == "confirmed"
    assert paid == (1, 1)
    assert (status, told["error"]) == (401, "invalid_token")


# Tokens that are not good ----------------------------------------------------------


async def knock(world: World, text: str | None) -> tuple[int, dict[str, str]]:
    """The status and the challenge that a call with this token gets."""
    async with captured(world, "auto") as (_, request):
        answer = await send(request, text)
    challenge = answer.headers.get("WWW-Authenticate")
    return answer.status_code, parse_challenge(challenge) if challenge else {}


@contextlib.asynccontextmanager
async def captured(world: World, way: Way) -> AsyncGenerator[tuple[Client, httpx2.Request]]:
    """A client with a good token, and a call as it sent it."""
    visitor = Visitor(url=world.server.url(way))
    async with connected(way, visitor.url, Bearer(world.mint()), visitor.note) as client:
        await ask(client, LIST, limit=1)
        (request,) = [sent for sent in visitor.sent if b"tools/call" in sent.content]
        world.finexio.journal.clear()
        yield client, request


def calling(request: httpx2.Request, tool: str, arguments: Mapping[str, Any]) -> httpx2.Request:
    """The same call of another tool."""
    body = json.loads(request.content)
    body["params"] |= {"name": tool, "arguments": arguments}
    headers = {name: value for name, value in request.headers.items() if name.lower() != "content-length"}
    if "mcp-name" in request.headers:
        headers["mcp-name"] = tool
    return httpx2.Request(request.method, request.url, headers=headers, content=json.dumps(body).encode())


def opening(world: World) -> httpx2.Request:
    """What the transport before Streamable HTTP begins with."""
    return httpx2.Request("GET", world.server.url("sse"), headers={"accept": "text/event-stream"})


async def send(request: httpx2.Request, text: str | None) -> httpx2.Response:
    """The same request with another token, or with none."""
    headers = {name: value for name, value in request.headers.items() if name.lower() != "authorization"}
    headers |= {} if text is None else {"authorization": f"Bearer {text}"}
    again = httpx2.Request(request.method, request.url, headers=headers, content=request.content)
    async with http_client() as http:
        answer = await http.send(again, stream=True)
        try:
            # A stream that was opened has no end.
            body = b"" if request.method == "GET" and answer.status_code == 200 else await answer.aread()
        finally:
            await answer.aclose()
    return httpx2.Response(answer.status_code, headers=answer.headers, content=body)


def _revoked(world: World) -> str:
    """By another user, or the tokens above would be revoked with it."""
    world.authority.behave(user="rae")
    text = world.mint(kind="opaque")
    world.authority.revoke("rae")
    world.authority.behave(user="ada")
    return text


def _own_revoked(world: World) -> str:
    made = world.server.run("tokens", "create", "--name", "gone", "--access", "pay")
    world.server.run("tokens", "revoke", "gone")
    return made


Make = Callable[[World], str | None]
PAST, FUTURE = {"exp": 1_000_000_000}, {"nbf": 4_000_000_000}
BAD: Mapping[str, Make] = {
    "none": lambda _world: None,
    "garbage": lambda _world: "garbage",
    "garbage with dots": lambda _world: "a.b.c",
    "one of ours that never was": lambda _world: f"fmcp_{'a' * 12}_{'a' * 43}",
    "expired": lambda world: world.mint(claims=PAST),
    "not yet valid": lambda world: world.mint(claims=FUTURE),
    "never expires": lambda world: world.mint(claims={"exp": None}),
    "wrong audience": lambda world: world.mint(claims={"aud": "https://elsewhere.example.com/mcp"}),
    "no audience": lambda world: world.mint(claims={"aud": None}),
    "wrong issuer": lambda world: world.mint(claims={"iss": "https://login.elsewhere.example.com"}),
    "no issuer": lambda world: world.mint(claims={"iss": None}),
    "alg none": lambda world: world.mint(header={"alg": "none"}),
    "alg none, no key named": lambda world: world.mint(header={"alg": "none", "kid": None}),
    "HS256 with the public key": lambda world: world.mint(header={"alg": "HS256"}),
    "key of a stranger": lambda world: world.mint(kind="forged"),
    "unknown key": lambda world: world.mint(header={"kid": "no-such-key"}),
    "an identity token": lambda world: world.mint(header={"typ": "JWT"}, claims={"nonce": "n", "aud": "office"}),
    "critical extension": lambda world: world.mint(header={"crit": ["exp"], "exp": 1}),
    "bound to a key of its holder": lambda world: world.mint(claims={"cnf": {"jkt": "k"}}),
    "opaque, expired": lambda world: world.mint(kind="opaque", claims=PAST),
    "opaque, not yet valid": lambda world: world.mint(kind="opaque", claims=FUTURE),
    "opaque, wrong audience": lambda world: world.mint(kind="opaque", claims={"aud": "https://elsewhere.example.com"}),
    "opaque, wrong issuer": lambda world: world.mint(kind="opaque", claims={"iss": "https://elsewhere.example.com"}),
    "opaque, described and not active": lambda world: world.mint(kind="opaque", claims={"active": False}),
    "opaque, revoked": _revoked,
    "revoked, one of ours": _own_revoked,
}


def faults(answer: httpx2.Response, world: World, path: str, *, kind: str, secret: str | None) -> list[str]:
    """What is wrong with the refusal of a bad token."""
    told = parse_challenge(answer.headers.get("WWW-Authenticate", "Bearer "))
    expected = {
        "error": None if kind == "none" else "invalid_token",
        "scope": ALL,
        "resource_metadata": f"{world.server.base_url}/.well-known/oauth-protected-resource{path}",
    }
    found = [f"{name}: {told.get(name)}" for name, value in expected.items() if told.get(name) != value]
    found += [f"status: {answer.status_code}"] if answer.status_code != 401 else []
    found += ["repeats it"] if secret and secret in f"{answer.text}{answer.headers}" else []
    return found


@pytest.mark.parametrize("way", WAYS)
async def test_a_bad_token_is_told_so_on_every_wire_and_reaches_no_tool(world: World, way: Way) -> None:
    """Ours: 401 with a challenge that says where to get a better one, and Finexio hears of nothing."""
    bad = {kind: make(world) for kind, make in BAD.items()}
    path, wrong = "/sse" if way == "sse" else "/mcp", dict[str, list[str]]()

    async with captured(world, way) as (client, request):
        asked = [calling(request, GET, {"id": "asked-for-by-nobody"})]
        asked += [opening(world)] if way == "sse" else []
        for kind, text in bad.items():
            answers = [await send(each, text) for each in asked]
            if found := [fault for answer in answers for fault in faults(answer, world, path, kind=kind, secret=text)]:
                wrong[kind] = found
        # The same connection still works, and by then a call that got through would have been made.
        await ask(client, GET, id=INVOICE)

    assert wrong == {}
    assert [request.path for request in world.finexio.journal.requests] == [f"/v2/invoices/{INVOICE}/"]


@pytest.mark.parametrize("way", ["auto", "legacy"])
async def test_the_same_request_with_a_good_token_reaches_its_tool(world: World, way: Way) -> None:
    """Ours: or the refusals above would prove nothing. Either audience is us, with a slash or without."""
    for path in ("", "/", "/mcp", "/mcp/", "/sse"):
        for kind in ("jwt", "opaque"):
            async with captured(world, way) as (_, request):
                answer = await send(calling(request, GET, {"id": INVOICE}), world.mint(path=path, kind=kind))

            assert answer.status_code == 200, (path, kind, answer.text)
            assert [request.path for request in world.finexio.journal.requests] == [f"/v2/invoices/{INVOICE}/"]


@pytest.mark.parametrize("kind", ["jwt", "opaque"])
@pytest.mark.parametrize("way", ["auto", "legacy"])
async def test_a_token_whose_scope_is_too_small_is_told_what_it_lacks(world: World, way: Way, kind: str) -> None:
    """Documented (RFC 6750): 403 with the scope; nothing is sent, and with enough scope the same request pays once."""
    number = f"SCOPE-{way}-{kind}"
    arguments = {"invoices": [invoice(number)]}

    async with captured(world, way) as (_, request):
        refused = await send(calling(request, PAY, arguments), world.mint(READ, kind=kind))
        assert world.finexio.journal.requests == []
        paid = await send(calling(request, PAY, arguments), world.mint(kind=kind))

    told = parse_challenge(refused.headers["WWW-Authenticate"])
    assert (refused.status_code, told["error"], told["scope"]) == (403, "insufficient_scope", ALL)
    assert told["resource_metadata"].endswith("/mcp")
    assert paid.status_code == 200
    assert world.paid(number) == 1


async def test_a_token_whose_scope_is_too_small_pays_nothing_over_the_older_transport_either(world: World) -> None:
    """Known gap: there the request is accepted before it is judged, so the refusal is the tool's answer."""
    url = world.server.url("sse")

    async with connected("sse", url, Bearer(world.mint(READ))) as client:
        listed = {tool.name for tool in (await client.list_tools()).tools}
        content = await ask(client, PAY, invoices=[invoice("SCOPE-sse")])

    assert PAY not in listed
    assert content["error"]["code"] == "access_denied"
    assert "finexio:pay" in content["error"]["message"]
    assert world.paid("SCOPE-sse") == 0


@pytest.mark.parametrize("scope", ["", "openid", "finexio:everything", "FINEXIO:PAY"])
async def test_a_token_without_any_scope_of_ours_gets_nowhere(world: World, scope: str) -> None:
    """Ours: it is good, and allows nothing here: 403 on every wire."""
    text = world.mint(scope)

    for way in WAYS:
        async with captured(world, way) as (_, request):
            answers = [await send(request, text)] + ([await send(opening(world), text)] if way == "sse" else [])

        assert [answer.status_code for answer in answers] == [403] * len(answers)
        for answer in answers:
            told = parse_challenge(answer.headers["WWW-Authenticate"])
            assert (told["error"], told["scope"]) == ("insufficient_scope", ALL)
        assert world.finexio.journal.requests == []


# When the issuer is of no use ------------------------------------------------------


async def test_while_the_issuer_does_not_answer_nobody_is_told_that_a_token_is_bad(world: World) -> None:
    """Ours: 503 and when to come back; a client that read 401 would throw its tokens away."""
    text = world.mint(kind="opaque")
    world.authority.fail("introspect", 500)
    try:
        async with captured(world, "auto") as (_, request):
            down = await send(request, text)
    finally:
        world.authority.recover("introspect")

    assert (down.status_code, down.headers.get("WWW-Authenticate")) == (503, None)
    assert int(down.headers["Retry-After"]) >= 1
    assert world.finexio.journal.requests == []


async def test_an_issuer_with_a_path_that_speaks_openid_only_will_do(tmp_path: Path) -> None:
    """Documented (OpenID Connect Discovery): and without credentials of our own, signed tokens alone are taken."""
    finexio = office()
    with (
        authority(path="/realms/acme") as issuer,
        finexio.listening() as upstream,
        documents(tmp_path) as published,
        served(tmp_path / "state", upstream, FINEXIO_MCP_OAUTH_ISSUER=issuer.issuer) as server,
    ):
        world = World(authority=issuer, server=server, finexio=finexio, published=published)
        issuer.behave(discovery="openid", documents=False)
        visitor = Visitor(url=server.url("auto"))
        async with visit(visitor, "auto") as client:
            content = await ask(client, LIST, limit=1)
        status, told = await knock(world, world.mint(kind="opaque"))
        counts = issuer.counts()

    assert content["result_count"] == 1
    assert (status, told["error"]) == (401, "invalid_token")
    assert "introspect" not in counts


async def test_a_server_may_start_before_its_issuer(tmp_path: Path) -> None:
    """Ours: until then its tokens cannot be judged, and as soon as it is there they are taken."""
    finexio = office()
    with (
        authority() as issuer,
        finexio.listening() as upstream,
        documents(tmp_path) as published,
        served(tmp_path / "state", upstream, FINEXIO_MCP_OAUTH_ISSUER=issuer.issuer) as server,
    ):
        world = World(authority=issuer, server=server, finexio=finexio, published=published)
        text = world.mint()
        for endpoint in ("oauth", "openid"):
            issuer.fail(endpoint, 503)
        early = await send(opening(world), text)
        for endpoint in ("oauth", "openid"):
            issuer.recover(endpoint)
        server.be_ahead(LATER)
        status, _ = await knock(world, text)

    assert (early.status_code, early.headers.get("WWW-Authenticate"), status) == (503, None, 200)
    assert int(early.headers["Retry-After"]) >= 1


async def test_no_token_is_ever_in_the_log(world: World) -> None:
    """Ours: good or bad, whoever made it."""
    texts = [world.mint(), world.mint(claims=PAST), world.mint(kind="opaque"), f"fmcp_{'a' * 12}_{'b' * 43}"]
    for text in texts:
        await knock(world, text)

    log = "".join(world.server.said)
    assert [text for text in texts if text in log or text.split(".")[-1] in log] == []
    assert "Serving MCP at" in log
