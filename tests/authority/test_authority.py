"""The authorization server refuses what one must refuse, or it would prove nothing about ours."""

from __future__ import annotations

import ast
import base64
import hashlib
import secrets
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from jwt import PyJWKSet
from jwt import decode as decode_jwt
from jwt import get_unverified_header as read_header

from tests.authority.documents import Documents, documents
from tests.authority.running import Authority, authority

REDIRECT = "http://127.0.0.1:33418/callback"
RESOURCE = "https://mcp.example.com/mcp"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Generator[Documents]:
    with documents(tmp_path_factory.mktemp("documents")) as shown:
        yield shown


@pytest.fixture(scope="module")
def running(published: Documents) -> Generator[Authority]:
    with authority(trust=published.certificate) as running:
        yield running


@pytest.fixture
def issuer(running: Authority) -> Authority:
    """As it is at its start."""
    running.behave(
        user="ada",
        consents_to=None,
        refuses=False,
        tokens="jwt",
        algorithm="RS256",
        access_seconds=3600,
        discovery="both",
    )
    return running


def register(issuer: Authority, **about: Any) -> dict[str, Any]:
    usual = {
        "redirect_uris": [REDIRECT],
        "grant_types": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_method": "none",
    }
    return issuer.http.post("/register", json={**usual, **about}).raise_for_status().json()


@dataclass
class SignIn:
    """One way through, with everything as it should be unless a test says otherwise."""

    issuer: Authority
    client_id: str
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))

    def authorize(self, **changes: str | None) -> httpx2.Response:
        challenge = base64.urlsafe_b64encode(hashlib.sha256(self.verifier.encode()).digest()).decode().rstrip("=")
        usual = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": REDIRECT,
            "state": "s-1",
            "scope": "finexio:read finexio:pay",
            "resource": RESOURCE,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        asked = {name: value for name, value in {**usual, **changes}.items() if value is not None}
        return self.issuer.http.get("/authorize", params=asked)

    def code(self, **changes: str | None) -> str:
        return came_back(self.authorize(**changes))["code"]

    def exchange(self, code: str, **changes: str | None) -> httpx2.Response:
        usual = {
            "grant_type": "authorization_code",
            "code": code,
            "client_id": self.client_id,
            "redirect_uri": REDIRECT,
            "code_verifier": self.verifier,
            "resource": RESOURCE,
        }
        offered = {name: value for name, value in {**usual, **changes}.items() if value is not None}
        return self.issuer.http.post("/token", data=offered)

    def refresh(self, text: str, **changes: str) -> httpx2.Response:
        offered = {"grant_type": "refresh_token", "refresh_token": text, "client_id": self.client_id, **changes}
        return self.issuer.http.post("/token", data=offered)


@pytest.fixture
def sign_in(issuer: Authority) -> SignIn:
    return SignIn(issuer, register(issuer)["client_id"])


def came_back(answer: httpx2.Response) -> dict[str, str]:
    """What the redirect carries."""
    assert answer.status_code == 302, answer.text
    return {name: value for name, (value,) in parse_qs(urlsplit(answer.headers["Location"]).query).items()}


def introspect(issuer: Authority, text: str) -> dict[str, Any]:
    auth = (issuer.client_id, issuer.client_secret)
    return issuer.http.post("/introspect", data={"token": text}, auth=auth).raise_for_status().json()


def check(issuer: Authority, text: str) -> dict[str, Any]:
    """What a token says, if its signature is of a published key."""
    header, keys = read_header(text), PyJWKSet.from_dict(issuer.http.get("/jwks").json())
    return decode_jwt(text, keys[header["kid"]], algorithms=[header["alg"]], audience=RESOURCE, issuer=issuer.issuer)


def test_nothing_of_ours_is_in_it() -> None:
    """Ours: a judge that shares code with the judged would share its mistakes."""
    names = {
        alias.name if isinstance(node, ast.Import) else node.module or ""
        for path in Path(__file__).parent.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }

    assert "tests.authority.books" in names
    assert [name for name in names if name.split(".")[0] in {"finexio_mcp", "mcp"}] == []


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_a_sign_in_gives_a_signed_token_for_the_resource(sign_in: SignIn, algorithm: str) -> None:
    """Documented (RFC 6749, 7636, 8707, 9068, 9207): code, proof, audience, type, and who answered."""
    issuer = sign_in.issuer
    issuer.behave(algorithm=algorithm)
    issuer.rotate()

    back = came_back(sign_in.authorize())
    answer = sign_in.exchange(back["code"]).raise_for_status().json()

    assert (back["state"], back["iss"]) == ("s-1", issuer.issuer)
    header, claims = read_header(answer["access_token"]), check(issuer, answer["access_token"])
    assert (header["alg"], header["typ"]) == (algorithm, "at+jwt")
    assert (claims["sub"], claims["client_id"]) == ("ada", sign_in.client_id)
    assert claims["scope"] == answer["scope"] == "finexio:read finexio:pay"
    assert claims["exp"] - claims["iat"] == answer["expires_in"] == 3600
    assert {"jti", "iat", "exp"} <= set(claims)
    assert answer["token_type"] == "Bearer"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code_verifier": secrets.token_urlsafe(48)}, "invalid_grant"),
        ({"code_verifier": None}, "invalid_request"),
        ({"redirect_uri": "http://127.0.0.1:33418/other"}, "invalid_grant"),
        ({"resource": "https://elsewhere.example.com/mcp"}, "invalid_target"),
        ({"client_id": "nobody"}, "invalid_client"),
    ],
)
def test_a_code_is_taken_only_from_whom_it_was_given_to(
    sign_in: SignIn, changes: dict[str, str | None], error: str
) -> None:
    """Documented (RFC 6749, 7636, 8707): proof, client, way back and resource are those of the sign-in."""
    answer = sign_in.exchange(sign_in.code(), **changes)

    assert (answer.status_code, answer.json()["error"]) == (400, error)


def test_another_client_cannot_take_a_code(sign_in: SignIn) -> None:
    """Documented (RFC 6749): it is bound to the client."""
    other = SignIn(sign_in.issuer, register(sign_in.issuer)["client_id"], sign_in.verifier)

    assert other.exchange(sign_in.code()).json()["error"] == "invalid_grant"


def test_a_code_is_good_once(sign_in: SignIn) -> None:
    """Documented (RFC 6749)."""
    code = sign_in.code()
    sign_in.exchange(code).raise_for_status()

    assert sign_in.exchange(code).json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"scope": "finexio:everything"}, "invalid_scope"),
        ({"resource": f"{RESOURCE}#part"}, "invalid_target"),
        ({"response_type": "token"}, "unsupported_response_type"),
    ],
)
def test_a_bad_request_to_sign_in_is_refused_to_the_client(
    sign_in: SignIn, changes: dict[str, str | None], error: str
) -> None:
    """Documented (RFC 6749, OAuth 2.1, RFC 9207): the error goes back with state and issuer."""
    back = came_back(sign_in.authorize(**changes))

    assert back["error"] == error
    assert "code" not in back
    if error != "unsupported_response_type":
        assert (back["state"], back["iss"]) == ("s-1", sign_in.issuer.issuer)


@pytest.mark.parametrize("changes", [{"redirect_uri": "https://evil.example.com/"}, {"client_id": "nobody"}])
def test_nobody_is_sent_where_the_client_did_not_say(sign_in: SignIn, changes: dict[str, str]) -> None:
    """Documented (RFC 6749): an unknown way back is not taken, not even with an error."""
    answer = sign_in.authorize(**changes)

    assert (answer.status_code, answer.headers.get("Location")) == (400, None)


def test_a_user_may_refuse_or_allow_less(sign_in: SignIn) -> None:
    """Documented (RFC 6749): the scope that was granted is said."""
    sign_in.issuer.behave(consents_to=["finexio:read"])
    answer = sign_in.exchange(sign_in.code()).json()
    sign_in.issuer.behave(refuses=True)
    refused = came_back(sign_in.authorize())

    assert answer["scope"] == "finexio:read"
    assert refused["error"] == "access_denied"


def test_a_refresh_token_is_good_once_and_for_the_same_resource(sign_in: SignIn) -> None:
    """Documented (OAuth 2.1, RFC 8707): rotation; and the access token keeps its audience."""
    first = sign_in.exchange(sign_in.code()).json()
    elsewhere = sign_in.refresh(first["refresh_token"], resource="https://elsewhere.example.com")
    second = sign_in.refresh(first["refresh_token"], resource=RESOURCE).raise_for_status().json()
    again = sign_in.refresh(first["refresh_token"])

    assert elsewhere.json()["error"] == "invalid_target"
    assert check(sign_in.issuer, second["access_token"])["sub"] == "ada"
    assert again.json()["error"] == "invalid_grant"
    assert sign_in.refresh(second["refresh_token"], scope="finexio:write").json()["error"] == "invalid_scope"


def test_an_opaque_token_means_something_only_to_a_resource_server(sign_in: SignIn) -> None:
    """Documented (RFC 7662): it says who, what and for whom, to those who may ask; revoked, it says nothing."""
    issuer = sign_in.issuer
    issuer.behave(tokens="opaque")
    text = sign_in.exchange(sign_in.code()).json()["access_token"]

    said = introspect(issuer, text)
    stranger = issuer.http.post("/introspect", data={"token": text}, auth=(issuer.client_id, "wrong"))
    as_client = issuer.http.post("/introspect", data={"token": text, "client_id": sign_in.client_id})
    issuer.http.post("/revoke", data={"token": text, "client_id": sign_in.client_id}).raise_for_status()

    assert "." not in text
    assert (said["active"], said["sub"], said["aud"]) == (True, "ada", RESOURCE)
    assert (said["iss"], said["scope"]) == (issuer.issuer, "finexio:read finexio:pay")
    assert (stranger.status_code, as_client.status_code) == (401, 401)
    assert introspect(issuer, text) == introspect(issuer, "no such token") == {"active": False}


def test_a_user_s_grants_can_be_taken_back(sign_in: SignIn) -> None:
    """Ours: what tests of revocation at the issuer stand on."""
    answer = sign_in.exchange(sign_in.code()).json()
    sign_in.issuer.revoke("ada")

    assert introspect(sign_in.issuer, answer["access_token"]) == {"active": False}
    assert sign_in.refresh(answer["refresh_token"]).json()["error"] == "invalid_grant"


def test_a_client_with_a_secret_must_show_it(issuer: Authority) -> None:
    """Documented (RFC 6749, 7591): a confidential client gets a secret, and a public one none."""
    about = register(issuer, token_endpoint_auth_method="client_secret_basic")
    sign_in = SignIn(issuer, about["client_id"])

    without = sign_in.exchange(sign_in.code())
    offered = {"grant_type": "authorization_code", "code": sign_in.code(), "redirect_uri": REDIRECT}
    proof = {"code_verifier": sign_in.verifier, "resource": RESOURCE}
    auth = (about["client_id"], about["client_secret"])
    shown = issuer.http.post("/token", data={**offered, **proof}, auth=auth)

    assert (without.status_code, without.json()["error"]) == (401, "invalid_client")
    assert shown.status_code == 200
    assert "client_secret" not in register(issuer)


def test_a_client_may_be_known_by_a_document_about_it(issuer: Authority, published: Documents) -> None:
    """Documented (client id metadata documents): fetched over TLS, and believed only about its own address."""
    about = {"redirect_uris": [REDIRECT], "token_endpoint_auth_method": "none"}
    good = published.publish("good.json", **about)
    wrong = published.publish("wrong.json", **{**about, "client_id": f"{published.origin}/other.json"})
    sign_in = SignIn(issuer, good)

    assert check(issuer, sign_in.exchange(sign_in.code()).json()["access_token"])["client_id"] == good
    for client_id in (wrong, f"{published.origin}/none.json", "http://client.example.com/client.json"):
        assert SignIn(issuer, client_id).authorize().status_code == 400
    assert sign_in.authorize(redirect_uri="https://evil.example.com/").status_code == 400


def test_keys_change_on_demand(issuer: Authority) -> None:
    """Ours: tokens of a kept key stay good, those of one that was dropped do not."""
    first = issuer.mint(resource=RESOURCE)
    issuer.rotate(keep=True)
    second = issuer.mint(resource=RESOURCE)
    assert check(issuer, first)["aud"] == check(issuer, second)["aud"] == RESOURCE

    issuer.rotate(keep=False)
    (key,) = issuer.http.get("/jwks").json()["keys"]
    assert set(key) == {"n", "e", "use", "alg", "kid", "kty"}
    for text in (first, second):
        with pytest.raises(KeyError):
            check(issuer, text)


def test_any_token_can_be_minted(issuer: Authority) -> None:
    """Ours: bad ones too, signed by the real key, by none, by a stranger's, or with the public key as a secret."""
    odd = issuer.mint(claims={"aud": "elsewhere", "sub": None}, header={"typ": None, "kid": "k"})
    unsigned = issuer.mint(header={"alg": "none"})
    confused = issuer.mint(header={"alg": "HS256"})
    forged = issuer.mint(resource=RESOURCE, kind="forged")
    opaque = issuer.mint(kind="opaque", claims={"aud": "elsewhere"})

    assert read_header(odd)["kid"] == "k"
    assert "typ" not in read_header(odd)
    claims = decode_jwt(odd, options={"verify_signature": False})
    assert (claims["aud"], "sub" in claims) == ("elsewhere", False)
    assert (unsigned.split(".")[2], read_header(unsigned)["alg"]) == ("", "none")
    assert read_header(confused)["alg"] == "HS256"
    with pytest.raises(Exception, match="Signature"):
        check(issuer, forged)
    assert introspect(issuer, opaque)["aud"] == "elsewhere"


def test_both_documents_tell_where_things_are(issuer: Authority) -> None:
    """Documented (RFC 8414, OpenID Connect Discovery): one or the other can be missing."""
    oauth = issuer.http.get("/.well-known/oauth-authorization-server").raise_for_status().json()
    openid = issuer.http.get("/.well-known/openid-configuration").raise_for_status().json()
    issuer.behave(discovery="openid")

    assert oauth == openid
    assert oauth["issuer"] == issuer.issuer
    assert oauth["code_challenge_methods_supported"] == ["S256"]
    assert oauth["client_id_metadata_document_supported"] is True
    assert issuer.http.get("/.well-known/oauth-authorization-server").status_code == 404


def test_an_issuer_may_have_a_path() -> None:
    """Documented (RFC 8414): one of the two documents lies before it, the other below it."""
    with authority(path="/realms/acme") as issuer:
        oauth: dict[str, str] = issuer.http.get("/.well-known/oauth-authorization-server/realms/acme").json()
        openid: dict[str, str] = issuer.http.get("/realms/acme/.well-known/openid-configuration").json()

        assert oauth["issuer"] == openid["issuer"] == issuer.issuer
        assert issuer.issuer.endswith("/realms/acme")
        assert issuer.http.get(urlsplit(oauth["jwks_uri"]).path).json()["keys"]


def test_it_counts_and_can_be_down(issuer: Authority) -> None:
    """Ours: how often it was asked, and what others do while it does not answer."""
    before = issuer.counts().get("jwks", 0)
    issuer.fail("jwks", 503)
    down = issuer.http.get("/jwks").status_code
    issuer.hold("jwks")
    with pytest.raises(httpx2.ReadTimeout):
        issuer.http.get("/jwks", timeout=0.05)
    issuer.recover("jwks")

    assert (down, issuer.http.get("/jwks").status_code) == (503, 200)
    assert issuer.counts()["jwks"] == before + 3
