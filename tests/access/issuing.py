"""A pretend authorization server: keys, tokens good and bad, and the addresses that it answers at."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal
from urllib.parse import parse_qs

import httpx2
from anyio.lowlevel import checkpoint
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from jwt.algorithms import get_default_algorithms

from finexio_mcp.access.grants import Grant
from finexio_mcp.access.verifier import Verifier
from finexio_mcp.settings import Settings, load

NOW = 1_800_000_000.0
BASE_URL = "https://mcp.example.com"
ISSUER = "https://login.example.com/realms/acme"
METADATA_PATH = "/.well-known/oauth-authorization-server/realms/acme"
KEYS_PATH = "/realms/acme/keys"
INTROSPECTION_PATH = "/realms/acme/introspect"
CLIENT_ID = "finexio mcp"
CLIENT_SECRET = "s3cret:with/odd+signs%"

Kind = Literal["RSA", "other RSA", "RSA-1024", "P-256", "P-384", "P-521", "secp256k1", "Ed25519", "Ed448"]

ALGORITHMS = get_default_algorithms()
SIGNERS: Mapping[str, Kind] = {
    **{f"{family}{bits}": "RSA" for family in ("RS", "PS") for bits in (256, 384, 512)},
    "ES256": "P-256",
    "ES384": "P-384",
    "ES512": "P-521",
    "EdDSA": "Ed25519",
}
"""Every algorithm that is taken, and what it is made with."""


@cache
def private_key(kind: Kind) -> Any:
    """The same one at each call."""
    curves = {"P-256": ec.SECP256R1, "P-384": ec.SECP384R1, "P-521": ec.SECP521R1, "secp256k1": ec.SECP256K1}
    if kind in curves:
        return ec.generate_private_key(curves[kind]())
    if kind == "Ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    if kind == "Ed448":
        return ed448.Ed448PrivateKey.generate()
    return rsa.generate_private_key(public_exponent=65_537, key_size=1024 if kind == "RSA-1024" else 2048)


def jwk(kind: Kind, *, kid: str | None = "", **more: Any) -> dict[str, Any]:
    """A key as it is published; its `kid` is its kind unless told otherwise, `None` leaves it out."""
    key = private_key(kind).public_key()
    family = "EdDSA" if kind.startswith("Ed") else "RS256" if "RSA" in kind else "ES256"
    published: dict[str, Any] = json.loads(ALGORITHMS[family].to_jwk(key))
    published.pop("key_ops", None)
    named = {} if kid is None else {"kid": kid or kind}
    return {**published, **named, **more}


def encoded(part: Any) -> str:
    """Base64url of bytes, or of JSON."""
    data = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def claims(**changes: Any) -> dict[str, Any]:
    """What a good token says; a claim that is set to `...` is left out."""
    good = {
        "iss": ISSUER,
        "sub": "ada@example.com",
        "aud": f"{BASE_URL}/mcp",
        "client_id": "agent-7",
        "scope": "openid finexio:read finexio:pay",
        "iat": NOW - 10,
        "exp": NOW + 600,
    }
    return {name: value for name, value in {**good, **changes}.items() if value is not ...}


def token(
    algorithm: str = "RS256", *, header: Mapping[str, Any] | None = None, payload: Any = None, kind: Kind | None = None
) -> str:
    """A signed token; `header` is laid over a good one, `payload` (bytes, or JSON) takes the place of good claims."""
    kind = kind or SIGNERS[algorithm]
    usual = {"typ": "at+jwt", "alg": algorithm, "kid": kind}
    head = {name: value for name, value in {**usual, **(header or {})}.items() if value is not ...}
    signed = f"{encoded(head)}.{encoded(claims() if payload is None else payload)}"
    return f"{signed}.{encoded(ALGORITHMS[algorithm].sign(signed.encode(), private_key(kind)))}"


@dataclass
class Clock:
    """A clock that stands still until it is told to move."""

    seconds: float = NOW

    def __call__(self) -> float:
        return self.seconds


Answer = Callable[[httpx2.Request], httpx2.Response | Awaitable[httpx2.Response]]


@dataclass
class PretendIssuer:
    """Answers, counts, and breaks as it is told to."""

    metadata: dict[str, Any] = field(
        default_factory=lambda: {
            "issuer": ISSUER,
            "jwks_uri": f"https://login.example.com{KEYS_PATH}",
            "introspection_endpoint": f"https://login.example.com{INTROSPECTION_PATH}",
        }
    )
    metadata_path: str = METADATA_PATH
    keys: list[Any] = field(default_factory=lambda: [jwk(kind) for kind in dict.fromkeys(SIGNERS.values())])
    active: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    """Opaque tokens and what is answered about them."""
    down: bool = False
    instead: dict[str, Answer] = field(default_factory=dict[str, Answer])
    """What answers at a path in place of the usual."""
    asked: Counter[str] = field(default_factory=Counter[str])
    requests: list[httpx2.Request] = field(default_factory=list[httpx2.Request])

    async def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.asked[request.url.path] += 1
        self.requests.append(request)
        # So that whoever else wants to ask has the time to.
        for _ in range(5):
            await checkpoint()
        if self.down:
            raise httpx2.ConnectError("refused", request=request)
        if (answer := self.instead.get(request.url.path)) is not None:
            given = answer(request)
            return given if isinstance(given, httpx2.Response) else await given
        if request.url.path == self.metadata_path:
            return httpx2.Response(200, json=self.metadata)
        if request.url.path == KEYS_PATH:
            return httpx2.Response(200, json={"keys": self.keys})
        if request.url.path == INTROSPECTION_PATH:
            return self._introspected(request)
        return httpx2.Response(404, text="<html>not here</html>")

    def _introspected(self, request: httpx2.Request) -> httpx2.Response:
        basic = base64.b64encode(b"finexio+mcp:s3cret%3Awith%2Fodd%2Bsigns%25").decode()
        if request.method != "POST" or request.headers.get("authorization") != f"Basic {basic}":
            return httpx2.Response(401, json={"error": "invalid_client"})
        form = parse_qs(request.content.decode())
        return httpx2.Response(200, json=self.active.get(form["token"][0], {"active": False}))

    def client(self) -> httpx2.AsyncClient:
        """An HTTP client that reaches nobody else."""
        return httpx2.AsyncClient(transport=httpx2.MockTransport(self))


@dataclass
class FakeBook:
    """Looks up our own tokens, and counts."""

    known: dict[str, Grant] = field(default_factory=dict[str, Grant])
    error: Exception | None = None
    looked_up: int = 0

    async def find(self, text: str) -> Grant | None:
        self.looked_up += 1
        if self.error is not None:
            raise self.error
        return self.known.get(text)

    def knows_revoked(self, grant_id: str) -> bool:
        return False


@dataclass
class World:
    """A verifier and all that it speaks with."""

    verifier: Verifier
    issuer: PretendIssuer
    book: FakeBook
    clock: Clock

    @property
    def requests(self) -> int:
        """How many reached the issuer."""
        return sum(self.issuer.asked.values())


def outside(**overrides: Any) -> Settings:
    """Settings with the outside issuer, whom we may ask about opaque tokens."""
    usual = {
        "FINEXIO_ENVIRONMENT": "simulator",
        "FINEXIO_MCP_OAUTH_ISSUER": ISSUER,
        "FINEXIO_MCP_OAUTH_CLIENT_ID": CLIENT_ID,
        "FINEXIO_MCP_OAUTH_CLIENT_SECRET": CLIENT_SECRET,
    }
    return load(**{**usual, **overrides})


def world(**overrides: Any) -> World:
    """A verifier on a clock that stands, with a book and an issuer that are up."""
    issuer, book, clock = PretendIssuer(), FakeBook(), Clock()
    verifier = Verifier(outside(**overrides), book, base_url=BASE_URL, http=issuer.client(), now=clock)
    return World(verifier, issuer, book, clock)
