"""Which bearer tokens are taken, which are not and why, and who is asked about them."""

from __future__ import annotations

import json
import logging
import re
import traceback
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import anyio
import pytest

from finexio_mcp.access.book import AccessUnavailable
from finexio_mcp.access.claims import resources
from finexio_mcp.access.grants import Grant
from finexio_mcp.access.refusals import Advice
from finexio_mcp.access.verifier import MAX_CHARS, InvalidToken, NoScope, Reason, Undecided, Verifier
from finexio_mcp.callers import Caller

from .issuing import (
    ALGORITHMS,
    BASE_URL,
    CLIENT_SECRET,
    INTROSPECTION_PATH,
    ISSUER,
    NOW,
    SIGNERS,
    Clock,
    FakeBook,
    PretendIssuer,
    claims,
    encoded,
    jwk,
    outside,
    private_key,
    token,
    world,
)

OURS = f"fmcp_abcdefghijkm_{'S' * 43}"


class Bad(NamedTuple):
    """A token that must not pass."""

    what: str
    make: Callable[[], str]
    reason: Reason
    requests: Literal[0, 2] = 0
    """Refused without a question, or after one for the metadata and one for the keys."""


def unsigned(header: Any, payload: Any = None, signature: bytes = b"") -> str:
    """Put together by somebody without a key."""
    return f"{encoded(header)}.{encoded(claims() if payload is None else payload)}.{encoded(signature)}"


def with_public_key_as_secret(form: str) -> str:
    """HS256 over what everybody can know."""
    from cryptography.hazmat.primitives import serialization as written

    public = private_key("RSA").public_key()
    pem = public.public_bytes(written.Encoding.PEM, written.PublicFormat.SubjectPublicKeyInfo)
    der = public.public_bytes(written.Encoding.DER, written.PublicFormat.SubjectPublicKeyInfo)
    secret = {"pem": pem, "der": der, "jwk": json.dumps(jwk("RSA")).encode()}[form]
    head = f"{encoded({'alg': 'HS256', 'typ': 'at+jwt', 'kid': 'RSA'})}.{encoded(claims())}"
    return f"{head}.{encoded(ALGORITHMS['HS256'].sign(head.encode(), secret))}"


def signed(**changes: Any) -> str:
    return token(payload=claims(**changes))


def raw(text: str) -> str:
    """A good signature over a payload that no JSON library of ours would write."""
    return token(payload=text.encode())


def spliced(start: str, end: str) -> str:
    """Header and payload of one token, signature of another."""
    return f"{start.rsplit('.', 1)[0]}.{end.rsplit('.', 1)[1]}"


def repadded(text: str) -> str:
    """The same bytes in another text: the last character has spare bits."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return text[:-1] + alphabet[alphabet.index(text[-1]) ^ 1]


def der_signature() -> str:
    """ECDSA as X.509 writes it, not as JOSE does."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    head = token("ES256").rsplit(".", 1)[0]
    return f"{head}.{encoded(private_key('P-256').sign(head.encode(), ec.ECDSA(hashes.SHA256())))}"


DEEP = '{"a":' * 900 + "1" + "}" * 900
NONE_SPELLINGS = ("none", "None", "NONE", "nOnE", "")

BAD: tuple[Bad, ...] = (
    # No token at all.
    Bad("an empty text", lambda: "", Reason.UNREADABLE),
    Bad("a blank", lambda: " ", Reason.UNREADABLE),
    Bad("a good token with a line break behind it", lambda: f"{token()}\n", Reason.UNREADABLE),
    Bad("a good token with a blank before it", lambda: f" {token()}", Reason.UNREADABLE),
    Bad("an opaque token with a second line", lambda: "opaque\nToken: other", Reason.UNREADABLE),
    Bad("characters that no token has", lambda: "tökén.a.b", Reason.UNREADABLE),
    Bad("a NUL", lambda: f"{token()}\0", Reason.UNREADABLE),
    Bad("more than 8 KiB", lambda: signed(pad="x" * MAX_CHARS), Reason.UNREADABLE),
    Bad("three empty parts", lambda: "..", Reason.UNREADABLE),
    Bad("a header that is no JSON", lambda: f"{encoded(b'alg=RS256')}.e30.AA", Reason.UNREADABLE),
    Bad("a header that is a list", lambda: unsigned(["RS256"]), Reason.UNREADABLE),
    Bad("a header with a name that stands twice", lambda: unsigned(b'{"alg":"none","alg":"RS256"}'), Reason.UNREADABLE),
    Bad("a header in UTF-16", lambda: unsigned('{"alg":"RS256"}'.encode("utf-16")), Reason.UNREADABLE),
    Bad("a header of 900 objects in each other", lambda: unsigned(DEEP.encode()), Reason.NOT_ALLOWED_ALGORITHM),
    Bad("a header of 5,000 lists in each other", lambda: f"{encoded(b'[' * 5000)}.e30.AA", Reason.UNREADABLE),
    Bad("a payload that is no JSON", lambda: raw("sub=ada"), Reason.UNREADABLE),
    Bad("a payload that is a text", lambda: raw('"ada"'), Reason.UNREADABLE),
    Bad("a payload that is no UTF-8", lambda: token(payload=b'{"sub":"\xff"}'), Reason.UNREADABLE),
    Bad("a claim that stands twice", lambda: raw(json.dumps(claims())[:-1] + ',"aud":"x"}'), Reason.UNREADABLE),
    Bad("a number of 5,000 digits", lambda: raw('{"exp":' + "9" * 5000 + "}"), Reason.UNREADABLE),
    Bad("the same bytes in another text", lambda: repadded(token()), Reason.UNREADABLE),
    Bad("padding at the end", lambda: f"{token('EdDSA')}==", Reason.UNREADABLE),
    Bad("the other base64 alphabet", lambda: "ey+/" + token()[4:], Reason.UNREADABLE),
    Bad("a key name that is a number", lambda: token(header={"kid": 7}), Reason.UNREADABLE),
    # Algorithms.
    *(
        Bad(f"no signature, alg {name!r}", lambda name=name: unsigned({"alg": name}), Reason.NOT_ALLOWED_ALGORITHM)
        for name in NONE_SPELLINGS
    ),
    Bad("no signature, alg RS256", lambda: unsigned({"alg": "RS256", "kid": "RSA"}), Reason.SIGNATURE, 2),
    Bad("no alg", lambda: token(header={"alg": ...}), Reason.NOT_ALLOWED_ALGORITHM),
    Bad("an alg that is null", lambda: token(header={"alg": None}), Reason.NOT_ALLOWED_ALGORITHM),
    Bad("an alg that is a list", lambda: token(header={"alg": ["RS256"]}), Reason.NOT_ALLOWED_ALGORITHM),
    Bad("an alg in small letters", lambda: token(header={"alg": "rs256"}), Reason.NOT_ALLOWED_ALGORITHM),
    Bad("HS256 with the public key, PEM", lambda: with_public_key_as_secret("pem"), Reason.NOT_ALLOWED_ALGORITHM),
    Bad("HS256 with the public key, DER", lambda: with_public_key_as_secret("der"), Reason.NOT_ALLOWED_ALGORITHM),
    Bad("HS256 with the public key, JWK", lambda: with_public_key_as_secret("jwk"), Reason.NOT_ALLOWED_ALGORITHM),
    Bad("ES256K", lambda: token("ES256K", kind="secp256k1"), Reason.NOT_ALLOWED_ALGORITHM),
    Bad("ES521, which PyJWT knows", lambda: token(header={"alg": "ES521"}), Reason.NOT_ALLOWED_ALGORITHM),
    Bad("RS256 said to be PS256", lambda: token(header={"alg": "PS256"}), Reason.SIGNATURE, 2),
    Bad("RS256 said to be RS512", lambda: token(header={"alg": "RS512"}), Reason.SIGNATURE, 2),
    Bad("ES256 with an RSA key's name", lambda: token("ES256", header={"kid": "RSA"}), Reason.UNKNOWN_KEY, 2),
    Bad("RS256 with an EC key's name", lambda: token(header={"kid": "P-256"}), Reason.UNKNOWN_KEY, 2),
    Bad("ES256 on another curve", lambda: token("ES256", kind="P-384"), Reason.UNKNOWN_KEY, 2),
    # Keys that the token brings along.
    Bad(
        "a key in the header",
        lambda: token(kind="other RSA", header={"kid": "RSA", "jwk": jwk("other RSA")}),
        Reason.SIGNATURE,
        2,
    ),
    Bad(
        "the address of a key in the header",
        lambda: token(kind="other RSA", header={"jku": "https://evil.example/keys", "x5u": "https://evil.example/c"}),
        Reason.UNKNOWN_KEY,
        2,
    ),
    Bad("a key name that is a path", lambda: token(header={"kid": "../../../dev/null"}), Reason.UNKNOWN_KEY, 2),
    Bad("a key name that is a query", lambda: token(header={"kid": "' OR '1'='1"}), Reason.UNKNOWN_KEY, 2),
    Bad("somebody else's key", lambda: token(kind="other RSA", header={"kid": "RSA"}), Reason.SIGNATURE, 2),
    Bad(
        "somebody else's key without a name", lambda: token(kind="other RSA", header={"kid": ...}), Reason.SIGNATURE, 2
    ),
    # Signatures.
    Bad("the signature of another token", lambda: spliced(token(), signed(sub="bob")), Reason.SIGNATURE, 2),
    Bad(
        "an ECDSA signature of zeros",
        lambda: f"{token('ES256').rsplit('.', 1)[0]}.{encoded(bytes(64))}",
        Reason.SIGNATURE,
        2,
    ),
    Bad("an ECDSA signature in DER", der_signature, Reason.SIGNATURE, 2),
    Bad("a signature of one byte", lambda: f"{token('EdDSA').rsplit('.', 1)[0]}.{encoded(b'x')}", Reason.SIGNATURE, 2),
    Bad(
        "Ed448 with the name of the Ed25519 key",
        lambda: token("EdDSA", kind="Ed448", header={"kid": "Ed25519"}),
        Reason.SIGNATURE,
        2,
    ),
    # Headers.
    Bad("an extension that is critical", lambda: token(header={"crit": ["exp"], "exp": 1}), Reason.EXTENSION),
    Bad("a payload that is not encoded", lambda: token(header={"b64": False, "crit": ["b64"]}), Reason.EXTENSION),
    Bad("a payload that is said not to be encoded", lambda: token(header={"b64": False}), Reason.EXTENSION),
    Bad("an empty list of extensions", lambda: token(header={"crit": []}), Reason.EXTENSION),
    Bad("a logout token", lambda: token(header={"typ": "logout+jwt"}), Reason.NO_ACCESS_TOKEN),
    Bad("a DPoP proof", lambda: token(header={"typ": "dpop+jwt"}), Reason.NO_ACCESS_TOKEN),
    Bad("a type that is a list", lambda: token(header={"typ": ["JWT"]}), Reason.NO_ACCESS_TOKEN),
    Bad("a type that is empty", lambda: token(header={"typ": ""}), Reason.NO_ACCESS_TOKEN),
    # Who, for whom, for what.
    Bad("another issuer", lambda: signed(iss="https://evil.example"), Reason.ISSUER),
    Bad("the issuer with a slash", lambda: signed(iss=f"{ISSUER}/"), Reason.ISSUER),
    Bad("the issuer in capitals", lambda: signed(iss=ISSUER.upper()), Reason.ISSUER),
    Bad("no issuer", lambda: signed(iss=...), Reason.ISSUER),
    Bad("an issuer that is a list", lambda: signed(iss=[ISSUER]), Reason.CLAIM),
    Bad("no audience", lambda: signed(aud=...), Reason.AUDIENCE),
    Bad("an audience that is null", lambda: signed(aud=None), Reason.AUDIENCE),
    Bad("an empty list of audiences", lambda: signed(aud=[]), Reason.AUDIENCE),
    Bad("another audience", lambda: signed(aud="https://calendar.example.com"), Reason.AUDIENCE),
    Bad("an audience that begins like us", lambda: signed(aud=f"{BASE_URL}.evil.example"), Reason.AUDIENCE),
    Bad("an audience below us", lambda: signed(aud=f"{BASE_URL}/mcp/other"), Reason.AUDIENCE),
    Bad("an audience with two slashes", lambda: signed(aud=f"{BASE_URL}/mcp//"), Reason.AUDIENCE),
    Bad("our audience without https", lambda: signed(aud="http://mcp.example.com/mcp"), Reason.AUDIENCE),
    Bad("an audience that is a map", lambda: signed(aud={BASE_URL: True}), Reason.CLAIM),
    Bad("an audience among numbers", lambda: signed(aud=[BASE_URL, 7]), Reason.CLAIM),
    Bad("an ID token by token_use", lambda: signed(token_use="id"), Reason.NO_ACCESS_TOKEN),
    Bad("an ID token by typ", lambda: signed(typ="ID"), Reason.NO_ACCESS_TOKEN),
    Bad("a refresh token by typ", lambda: signed(typ="Refresh"), Reason.NO_ACCESS_TOKEN),
    Bad("a refresh token by token_use", lambda: signed(token_use="refresh_token"), Reason.NO_ACCESS_TOKEN),
    Bad("an offline token", lambda: signed(typ="Offline"), Reason.NO_ACCESS_TOKEN),
    Bad("a typ that is a number", lambda: signed(typ=1), Reason.CLAIM),
    Bad("a token bound to a key", lambda: signed(cnf={"jkt": "0ZcOCORZNYy"}), Reason.BOUND),
    Bad("nobody", lambda: signed(sub=..., client_id=...), Reason.NOBODY, 2),
    Bad("an empty subject and no client", lambda: signed(sub="", client_id=...), Reason.NOBODY, 2),
    Bad("a subject that is a number", lambda: signed(sub=7), Reason.CLAIM, 2),
    Bad("a subject of 3,000 characters", lambda: signed(sub="a" * 3000), Reason.CLAIM, 2),
    Bad("a client that is a list", lambda: signed(client_id=["agent"]), Reason.CLAIM, 2),
    Bad("scopes that are a number", lambda: signed(scope=7), Reason.CLAIM, 2),
    Bad("scopes that are a map", lambda: signed(scope={"finexio:pay": True}), Reason.CLAIM, 2),
    Bad("scopes among numbers", lambda: signed(scope=..., scp=["finexio:pay", 1]), Reason.CLAIM, 2),
    # When.
    Bad("expired a minute ago", lambda: signed(exp=NOW - 60), Reason.EXPIRED),
    Bad("expired, to the second of the leeway", lambda: signed(exp=NOW - 30), Reason.EXPIRED),
    Bad("expired in 1970", lambda: signed(exp=0), Reason.EXPIRED),
    Bad("no expiry", lambda: signed(exp=...), Reason.NO_EXPIRY),
    Bad("an expiry that is null", lambda: signed(exp=None), Reason.NO_EXPIRY),
    Bad("an expiry that is true", lambda: signed(exp=True), Reason.CLAIM),
    Bad("an expiry that is a text", lambda: signed(exp=str(int(NOW + 600))), Reason.CLAIM),
    Bad("an expiry in milliseconds", lambda: signed(exp=(NOW + 600) * 1000), Reason.CLAIM),
    Bad("an expiry that is infinite", lambda: raw(json.dumps(claims(exp=1)).replace(": 1}", ": 1e999}")), Reason.CLAIM),
    Bad("an expiry that is no number", lambda: signed(exp=float("nan")), Reason.UNREADABLE),
    Bad("an expiry below zero", lambda: signed(exp=-1), Reason.CLAIM),
    Bad("an expiry of 400 digits", lambda: signed(exp=10**400), Reason.CLAIM),
    Bad("not valid before the next minute", lambda: signed(nbf=NOW + 60), Reason.NOT_YET),
    Bad("a start that is a text", lambda: signed(nbf="0"), Reason.CLAIM),
    Bad("issued in the next minute", lambda: signed(iat=NOW + 60), Reason.NOT_YET),
    Bad("issued at true", lambda: signed(iat=True), Reason.CLAIM),
    # Not for the issuer.
    Bad("a token of ours that is unknown", lambda: OURS, Reason.UNKNOWN),
    Bad("a token of ours in capitals", lambda: OURS.upper(), Reason.UNKNOWN),
    Bad("a token of ours with two dots", lambda: "fmcp_a.b.c", Reason.UNKNOWN),
    Bad("nothing but our prefix", lambda: "fmcp_", Reason.UNKNOWN),
)


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.what)
async def test_a_bad_token_is_refused_and_causes_no_needless_request(bad: Bad) -> None:
    """Ours: every known way to make a token up ends in one of a few sentences."""
    tried = world()

    with pytest.raises(InvalidToken) as refused:
        await tried.verifier.verify(bad.make())

    assert refused.value.reason is bad.reason
    assert tried.requests == bad.requests
    assert tried.issuer.asked[INTROSPECTION_PATH] == 0


def test_the_table_of_bad_tokens_is_long_and_without_doubles() -> None:
    """Ours: nobody empties it by mistake."""
    assert len({bad.what for bad in BAD}) == len(BAD) > 100


async def test_an_inactive_opaque_token_costs_one_question() -> None:
    """Ours: RFC 7662; what is no JWT and not ours is asked about."""
    tried = world()

    for _ in range(3):
        with pytest.raises(InvalidToken) as refused:
            await tried.verifier.verify("opaque-token")
        assert refused.value.reason is Reason.INACTIVE

    assert tried.issuer.asked[INTROSPECTION_PATH] == 1


@pytest.mark.parametrize("algorithm", SIGNERS)
async def test_a_good_token_of_every_algorithm_passes(algorithm: str) -> None:
    """Ours: the closed list is not empty."""
    caller = await world().verifier.verify(token(algorithm))

    assert (caller.name, caller.origin, caller.access) == ("ada@example.com", "oauth", "pay")
    assert (caller.toolsets, caller.tools) == (None, None)


GOOD: dict[str, Callable[[], str]] = {
    "no header type": lambda: token(header={"typ": ...}),
    "type JWT": lambda: token(header={"typ": "JWT"}),
    "type in other letters": lambda: token(header={"typ": "Application/AT+jwt"}),
    "no key name": lambda: token("ES256", header={"kid": ...}),
    "no key name, several keys": lambda: token("PS384", header={"kid": ...}),
    "headers that mean nothing here": lambda: token(header={"jku": "https://evil.example", "jwk": {}, "x5c": [1]}),
    "our address as audience": lambda: signed(aud=BASE_URL),
    "a slash behind it": lambda: signed(aud=f"{BASE_URL}/"),
    "the SSE address": lambda: signed(aud=f"{BASE_URL}/sse"),
    "several audiences": lambda: signed(aud=["https://other.example", f"{BASE_URL}/mcp/"]),
    "expired within the leeway": lambda: signed(exp=NOW - 29),
    "not yet valid, within the leeway": lambda: signed(nbf=NOW + 30, iat=NOW + 30),
    "an expiry with a fraction": lambda: signed(exp=NOW + 0.5),
    "no time of issue": lambda: signed(iat=...),
    "no start, said with null": lambda: signed(nbf=None),
    "typ Bearer": lambda: signed(typ="Bearer"),
    "token_use access": lambda: signed(token_use="access"),
    "scp as a text": lambda: signed(scope=..., scp="finexio:pay"),
    "scp as a list": lambda: signed(scope=..., scp=["finexio:pay"]),
    "scope as a list": lambda: signed(scope=["finexio:pay", "openid"]),
    "no subject": lambda: signed(sub=...),
    "no client": lambda: signed(client_id=...),
    "letters of any script": lambda: signed(sub="Zoë Ω"),
    "a subject with half a character": lambda: signed(sub="\ud800x"),
}


@pytest.mark.parametrize("what", GOOD)
async def test_a_good_token_of_every_shape_passes(what: str) -> None:
    """Ours: strict, but not stricter than issuers are."""
    caller = await world().verifier.verify(GOOD[what]())

    assert caller.access == "pay"
    assert caller.name.isprintable()


@pytest.mark.parametrize(
    ("scope", "access"),
    [
        ("finexio:read", "read"),
        ("finexio:write", "write"),
        ("finexio:read finexio:write", "write"),
        ("finexio:pay", "pay"),
        ("openid  finexio:read", "read"),
    ],
)
async def test_the_highest_scope_counts(scope: str, access: str) -> None:
    """Ours: each scope includes those below it."""
    assert (await world().verifier.verify(signed(scope=scope))).access == access


@pytest.mark.parametrize(
    "scope", ["", "openid", "finexio", "finexio:pays", "FINEXIO:PAY", "finexio:admin", "finexio:read\tfinexio:pay", ...]
)
async def test_a_good_token_without_a_scope_of_ours_is_told_apart(scope: Any) -> None:
    """Ours: that is 403 and more scope helps, not 401."""
    with pytest.raises(NoScope):
        await world().verifier.verify(signed(scope=scope))


async def test_a_bad_signature_is_refused_before_scopes_are_looked_at() -> None:
    """Ours: who made a token up learns nothing from it."""
    with pytest.raises(InvalidToken):
        await world().verifier.verify(token(kind="other RSA", header={"kid": "RSA"}, payload=claims(scope="openid")))


async def test_a_caller_is_told_apart_by_issuer_subject_and_client() -> None:
    """Ours: two principals never share a lane, and the key names neither."""
    verifier = world().verifier
    made = [{}, {"sub": "bob"}, {"client_id": "agent-8"}, {"sub": "ada@example.comagent", "client_id": "-7"}]
    keys = [(await verifier.verify(signed(**changes))).key for changes in made]

    assert len(set(keys)) == len(keys)
    assert (await verifier.verify(signed(exp=NOW + 99))).key == keys[0]
    assert all(re.fullmatch(r"oauth:[0-9a-f]{32}", key) for key in keys)


async def test_a_name_for_the_log_cannot_forge_a_line() -> None:
    """Ours: control characters are gone and it is short."""
    caller = await world().verifier.verify(signed(sub="ada\n2026 ERROR \x1b[31m\u202e" + "x" * 200))

    assert caller.name.isprintable()
    assert len(caller.name) == 80


async def test_a_name_of_control_characters_alone_is_no_name() -> None:
    """Ours: a log line always says something."""
    assert (await world().verifier.verify(signed(sub="\x01\x02"))).name == "unnamed"


@pytest.mark.parametrize("issuer", [None, "builtin"])
@pytest.mark.parametrize("text", ["", "opaque", "a.b.c", "jwt"])
async def test_without_an_outside_issuer_only_ours_count(issuer: str | None, text: str) -> None:
    """Ours: nothing is asked, since there is nobody to ask."""
    tried = world(FINEXIO_MCP_OAUTH_ISSUER=issuer)

    with pytest.raises(InvalidToken):
        await tried.verifier.verify(token() if text == "jwt" else text)
    assert tried.requests == 0


@pytest.mark.parametrize("missing", ["ID", "SECRET"])
async def test_without_credentials_opaque_tokens_do_not_count(missing: str) -> None:
    """Ours: signed tokens alone, then."""
    tried = world(**{f"FINEXIO_MCP_OAUTH_CLIENT_{missing}": None})

    with pytest.raises(InvalidToken) as refused:
        await tried.verifier.verify("opaque")

    assert refused.value.reason is Reason.NOT_TAKEN
    assert tried.requests == 0
    assert (await tried.verifier.verify(token())).access == "pay"


def grant(**changes: Any) -> Grant:
    usual: dict[str, Any] = {
        "id": "abcdefghijkm",
        "kind": "token",
        "name": "Night run",
        "access": "write",
        "toolsets": frozenset({"core"}),
        "tools": None,
        "client_id": None,
        "resource": None,
        "created_at_ms": 0,
        "expires_at_ms": None,
    }
    return Grant(**{**usual, **changes})


async def test_a_token_of_ours_is_looked_up_and_shown_to_nobody_else() -> None:
    """Ours: it is worth as much to the issuer as to us."""
    tried = world()
    tried.book.known[OURS] = grant()

    caller = await tried.verifier.verify(OURS)

    assert caller == Caller(
        key="token:abcdefghijkm",
        name="Night run",
        origin="token",
        access="write",
        toolsets=frozenset({"core"}),
        tools=None,
    )
    assert (tried.requests, tried.book.looked_up) == (0, 1)


async def test_a_token_of_ours_is_looked_up_each_time() -> None:
    """Ours: revocation acts on the next request."""
    tried = world()
    tried.book.known[OURS] = grant()
    await tried.verifier.verify(OURS)
    tried.book.known.clear()

    with pytest.raises(InvalidToken) as refused:
        await tried.verifier.verify(OURS)

    assert refused.value.reason is Reason.UNKNOWN


async def test_a_sign_in_counts_while_the_built_in_issuer_is_on() -> None:
    """Ours: whoever turns it off means it."""
    sign_in = grant(kind="oauth", client_id="c", resource=f"{BASE_URL}/mcp/")
    on, off, none = (world(FINEXIO_MCP_OAUTH_ISSUER=value) for value in ("builtin", ISSUER, None))
    for tried in (on, off, none):
        tried.book.known[OURS] = sign_in

    assert (await on.verifier.verify(OURS)).origin == "oauth"
    for tried in (off, none):
        with pytest.raises(InvalidToken):
            await tried.verifier.verify(OURS)


async def test_a_sign_in_for_another_server_does_not_count() -> None:
    """Ours: the audience is checked with our own issuer too; databases are shared."""
    tried = world(FINEXIO_MCP_OAUTH_ISSUER="builtin")
    tried.book.known[OURS] = grant(kind="oauth", client_id="c", resource="https://other.example.com/mcp")

    with pytest.raises(InvalidToken) as refused:
        await tried.verifier.verify(OURS)

    assert refused.value.reason is Reason.AUDIENCE


async def test_a_database_that_cannot_be_used_is_nobodys_bad_token() -> None:
    """Ours: a client that is told 401 throws its token away."""
    tried = world()
    tried.book.error = AccessUnavailable("The file is locked.")

    with pytest.raises(Undecided) as undecided:
        await tried.verifier.verify(OURS)

    assert undecided.value.advice == "The file is locked."
    assert undecided.value.retry_after_s > 0


async def test_a_signed_token_that_was_proved_is_not_proved_again_for_a_while() -> None:
    """Ours: and never beyond its expiry."""
    tried = world()
    text = signed(exp=NOW + 20)
    await tried.verifier.verify(text)
    tried.clock.seconds += 49
    await tried.verifier.verify(text)
    tried.clock.seconds += 1

    with pytest.raises(InvalidToken) as refused:
        await tried.verifier.verify(text)

    assert refused.value.reason is Reason.EXPIRED


def test_reasons_and_advice_fit_where_they_go() -> None:
    """Ours: RFC 6750 allows these characters in `error_description`."""
    for sentence in (*Reason, *Advice, str(NoScope())):
        assert re.fullmatch(r"[ -!#-\[\]-~]+\.", sentence)


async def test_no_exception_log_or_repr_holds_a_token_a_claim_or_a_secret(caplog: pytest.LogCaptureFixture) -> None:
    """Ours: a token in a log is a token for whoever reads logs."""
    caplog.set_level(logging.DEBUG)
    told: list[str] = []
    for settle in ("up", "down", "broken"):
        tried = world()
        tried.issuer.down = settle == "down"
        if settle == "broken":
            tried.issuer.metadata["issuer"] = "https://canary.example"
        for text in (signed(sub="canary"), signed(aud="canary"), token(kind="other RSA"), "opaque-canary", OURS):
            try:
                caller = await tried.verifier.verify(text)
            except (InvalidToken, NoScope, Undecided) as error:
                told += [repr(error), *traceback.format_exception(error)]
                chain: BaseException | None = error
                while chain is not None:
                    assert isinstance(chain, InvalidToken | NoScope | Undecided)
                    chain = chain.__context__
            else:
                assert "canary" not in caller.key
        told += [repr(vars(tried.verifier)), repr(tried.verifier)]

    everything = "\n".join([*told, caplog.text])
    for secret in ("canary", CLIENT_SECRET, "S" * 43, token(kind="other RSA")[-40:]):
        assert secret not in everything


async def test_a_verifier_closes_its_own_client_and_no_other() -> None:
    """Ours: what is handed in belongs to whoever did."""
    http = PretendIssuer().client()
    await Verifier(outside(), FakeBook(), base_url=BASE_URL, http=http).aclose()
    own = Verifier(outside(), FakeBook(), base_url=BASE_URL, now=Clock())
    await own.aclose()

    assert not http.is_closed
    with anyio.fail_after(5), pytest.raises(Undecided):
        await own.verify(token())


def test_the_resources_that_are_us() -> None:
    """Ours: as they stand in the metadata and in every challenge."""
    assert resources("http://127.0.0.1:8000/") == {
        "http://127.0.0.1:8000",
        "http://127.0.0.1:8000/mcp",
        "http://127.0.0.1:8000/sse",
    }
