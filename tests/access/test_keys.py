"""The issuer's metadata and keys: which are used, how often they are fetched, and what happens when they cannot be."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import anyio
import httpx2
import pytest

from finexio_mcp.access.inquiry import MAX_BYTES
from finexio_mcp.access.issuers import addresses
from finexio_mcp.access.keys import read_key
from finexio_mcp.access.refusals import Advice
from finexio_mcp.access.verifier import InvalidToken, Reason, Undecided, Verifier
from finexio_mcp.callers import Caller

from .issuing import (
    BASE_URL,
    ISSUER,
    KEYS_PATH,
    METADATA_PATH,
    SIGNERS,
    Answer,
    Clock,
    FakeBook,
    PretendIssuer,
    World,
    claims,
    jwk,
    outside,
    token,
    world,
)


async def test_nothing_is_fetched_before_the_first_token() -> None:
    """Ours: the server starts while the issuer is down."""
    tried = world()
    assert tried.requests == 0

    await tried.verifier.verify(token())

    assert tried.issuer.asked == {METADATA_PATH: 1, KEYS_PATH: 1}


async def _try(tried: World, text: str, seen: list[Caller | Exception]) -> None:
    try:
        seen.append(await tried.verifier.verify(text))
    except (InvalidToken, Undecided) as error:
        seen.append(error)


async def at_once(tried: World, texts: list[str]) -> list[Caller | Exception]:
    """All of them at the same time."""
    seen: list[Caller | Exception] = []
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for text in texts:
                tasks.start_soon(_try, tried, text, seen)
    return seen


async def test_a_hundred_calls_that_find_no_keys_make_one_request() -> None:
    """Ours: one fetch at a time, and all the others wait for it."""
    tried = world()

    seen = await at_once(tried, [token(payload=claims(jti=str(number))) for number in range(100)])

    assert all(isinstance(each, Caller) for each in seen)
    assert len(seen) == 100
    assert tried.issuer.asked == {METADATA_PATH: 1, KEYS_PATH: 1}


async def test_a_hundred_calls_to_an_issuer_that_is_down_make_one_request() -> None:
    """Ours: who is down is not helped by a hundred more questions."""
    tried = world()
    tried.issuer.down = True

    seen = await at_once(tried, [token()] * 100)

    assert {each.advice for each in seen if isinstance(each, Undecided)} == {Advice.UNREACHABLE}
    assert len([each for each in seen if isinstance(each, Undecided)]) == 100
    assert tried.requests == 1


async def test_a_hundred_unknown_keys_at_once_make_one_request() -> None:
    """Ours: anybody can make up a name of a key."""
    tried = world()
    await tried.verifier.verify(token())
    tried.clock.seconds += 60

    seen = await at_once(tried, [token(header={"kid": f"made up {number}"}) for number in range(100)])

    assert len([each for each in seen if isinstance(each, InvalidToken)]) == 100
    assert tried.issuer.asked == {METADATA_PATH: 1, KEYS_PATH: 2}


async def test_unknown_keys_over_time_cause_a_fetch_every_ten_seconds_at_most() -> None:
    """Ours: however many there are."""
    tried = world()
    await tried.verifier.verify(token())
    for number in range(300):
        tried.clock.seconds += 0.1
        with pytest.raises(InvalidToken):
            await tried.verifier.verify(token("EdDSA", header={"kid": f"made up {number}"}))

    assert tried.issuer.asked[KEYS_PATH] <= 1 + 30 / 10


async def test_a_new_key_is_found_when_a_token_names_it() -> None:
    """Ours: an issuer changes its keys whenever it likes."""
    tried = world()
    tried.issuer.keys = [jwk("RSA", kid="spring")]
    await tried.verifier.verify(token(header={"kid": "spring"}))
    tried.issuer.keys = [jwk("other RSA", kid="summer")]
    tried.clock.seconds += 11

    caller = await tried.verifier.verify(token(kind="other RSA", header={"kid": "summer"}))

    assert caller.access == "pay"
    with pytest.raises(InvalidToken):
        await tried.verifier.verify(token(header={"kid": "spring"}))


async def test_a_new_key_without_a_name_is_found_too() -> None:
    """Ours: that it is new shows only when no old one fits."""
    tried = world()
    tried.issuer.keys = [jwk("RSA", kid=None)]
    await tried.verifier.verify(token(header={"kid": ...}))
    tried.issuer.keys = [jwk("other RSA", kid=None)]
    tried.clock.seconds += 11

    assert (await tried.verifier.verify(token(kind="other RSA", header={"kid": ...}))).access == "pay"


async def test_a_withdrawn_key_is_gone_when_the_keys_have_aged() -> None:
    """Ours: a quarter of an hour at most while the issuer answers."""
    tried = world()
    await tried.verifier.verify(token())
    tried.issuer.keys = [jwk("P-256")]
    tried.clock.seconds += 15 * 60
    late = claims(exp=tried.clock.seconds + 60)

    with pytest.raises(InvalidToken) as refused:
        await tried.verifier.verify(token(payload=late))

    assert refused.value.reason is Reason.UNKNOWN_KEY


async def test_keys_are_used_for_an_hour_while_the_issuer_is_down_and_no_longer() -> None:
    """Ours: an outage of the issuer is not one of this server; a key that was stolen is not good for ever."""
    tried = world()
    await tried.verifier.verify(token())
    tried.issuer.down = True
    text = token(payload=claims(exp=tried.clock.seconds + 9000))

    tried.clock.seconds += 3599
    assert (await tried.verifier.verify(text)).access == "pay"
    asked = tried.requests
    assert (await tried.verifier.verify(token("ES256", payload=claims(exp=tried.clock.seconds + 60)))).access == "pay"
    assert tried.requests == asked
    tried.clock.seconds += 61
    with pytest.raises(Undecided):
        await tried.verifier.verify(text)


async def test_nobody_waits_for_keys_to_be_renewed_but_one() -> None:
    """Ours: an issuer that hangs holds up one call, not all of them."""
    tried = world()
    await tried.verifier.verify(token())
    released = anyio.Event()

    async def hang(_request: httpx2.Request) -> httpx2.Response:
        await released.wait()
        return httpx2.Response(500)

    tried.issuer.instead[METADATA_PATH] = tried.issuer.instead[KEYS_PATH] = hang
    tried.clock.seconds += 15 * 60
    text = token(payload=claims(exp=tried.clock.seconds + 60))
    seen: list[Caller | Exception] = []
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_try, tried, text, seen)
            while tried.requests < 3:
                await anyio.lowlevel.checkpoint()
            assert (await tried.verifier.verify(text)).access == "pay"
            assert seen == []
            released.set()

    assert [type(each) for each in seen] == [Caller]


async def test_an_unknown_key_while_the_issuer_is_down_is_undecided() -> None:
    """Ours: it may be a new one."""
    tried = world()
    await tried.verifier.verify(token())
    tried.issuer.down = True
    tried.clock.seconds += 60

    with pytest.raises(Undecided):
        await tried.verifier.verify(token(header={"kid": "new"}))


async def test_an_issuer_that_is_back_is_asked_again_after_a_few_seconds() -> None:
    """Ours: and until then callers are told how long that is."""
    tried = world()
    tried.issuer.down = True
    with pytest.raises(Undecided):
        await tried.verifier.verify(token())
    tried.issuer.down = False
    tried.clock.seconds += 3
    with pytest.raises(Undecided) as undecided:
        await tried.verifier.verify(token())
    assert (undecided.value.retry_after_s, tried.requests) == (2, 1)

    tried.clock.seconds += 2
    assert (await tried.verifier.verify(token())).access == "pay"


async def test_a_clock_that_is_set_back_does_not_keep_keys_for_ever() -> None:
    """Ours: an age below zero proves nothing."""
    tried = world()
    await tried.verifier.verify(token())
    tried.clock.seconds -= 86_400
    text = token(payload=claims(iat=tried.clock.seconds, exp=tried.clock.seconds + 60))

    await tried.verifier.verify(text)

    assert tried.issuer.asked[KEYS_PATH] == 2


async def test_whoever_asked_first_may_go_away() -> None:
    """Ours: those who wait still get the keys, from the same one request."""
    tried = world()
    seen: list[Caller | Exception] = []
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            first = anyio.CancelScope()

            async def leave() -> None:
                with first:
                    await tried.verifier.verify(token())

            tasks.start_soon(leave)
            while not tried.requests:
                await anyio.lowlevel.checkpoint()
            tasks.start_soon(_try, tried, token("ES256"), seen)
            await anyio.lowlevel.checkpoint()
            first.cancel()

    assert [type(each) for each in seen] == [Caller]
    assert tried.issuer.asked == {METADATA_PATH: 1, KEYS_PATH: 1}


def test_metadata_is_looked_for_where_the_standards_put_it() -> None:
    """Ours: RFC 8414, and OpenID Connect in its two forms."""
    assert addresses("https://login.example.com/realms/acme") == (
        "https://login.example.com/.well-known/oauth-authorization-server/realms/acme",
        "https://login.example.com/.well-known/openid-configuration/realms/acme",
        "https://login.example.com/realms/acme/.well-known/openid-configuration",
    )
    assert addresses("https://login.example.com/") == (
        "https://login.example.com/.well-known/oauth-authorization-server",
        "https://login.example.com/.well-known/openid-configuration",
    )


@pytest.mark.parametrize("number", range(3))
async def test_metadata_is_found_at_each_of_its_places(number: int) -> None:
    """Ours: most issuers know only one of them."""
    tried = world()
    tried.issuer.metadata_path = httpx2.URL(addresses(ISSUER)[number]).path

    assert (await tried.verifier.verify(token())).access == "pay"
    assert tried.requests == number + 2


async def test_an_issuer_with_a_slash_at_the_end_is_taken_to_the_letter() -> None:
    """Ours: some are called so."""
    url = "https://login.example.com/"
    issuer = PretendIssuer(metadata_path="/.well-known/oauth-authorization-server")
    issuer.metadata["issuer"] = url
    settings = outside(FINEXIO_MCP_OAUTH_ISSUER=url)
    verifier = Verifier(settings, FakeBook(), base_url=BASE_URL, http=issuer.client(), now=Clock())

    assert (await verifier.verify(token(payload=claims(iss=url)))).access == "pay"
    with pytest.raises(InvalidToken):
        await verifier.verify(token(payload=claims(iss=url.rstrip("/"))))


METADATA: dict[str, tuple[dict[str, Any], Advice]] = {
    "another issuer": ({"issuer": "https://evil.example"}, Advice.OTHER_ISSUER),
    "the issuer with a slash": ({"issuer": f"{ISSUER}/"}, Advice.OTHER_ISSUER),
    "no issuer": ({"issuer": None}, Advice.OTHER_ISSUER),
    "no keys": ({"jwks_uri": None}, Advice.NO_KEYS),
    "keys over http": ({"jwks_uri": "http://login.example.com/keys"}, Advice.UNSAFE_ADDRESS),
    "keys in a file": ({"jwks_uri": "file:///etc/passwd"}, Advice.UNSAFE_ADDRESS),
    "keys at a host with a user": ({"jwks_uri": "https://a:b@login.example.com/keys"}, Advice.UNSAFE_ADDRESS),
    "keys at a broken address": ({"jwks_uri": "https://[::1/keys"}, Advice.UNSAFE_ADDRESS),
    "keys at a list": ({"jwks_uri": ["https://login.example.com/keys"]}, Advice.UNSAFE_ADDRESS),
}


@pytest.mark.parametrize("what", METADATA)
async def test_metadata_that_cannot_be_trusted_is_not_used(what: str) -> None:
    """Ours: and that is never the token's fault."""
    tried = world()
    changes, advice = METADATA[what]
    tried.issuer.metadata.update(changes)

    for _ in range(20):
        with pytest.raises(Undecided) as undecided:
            await tried.verifier.verify(token())
        assert undecided.value.advice == advice

    assert tried.issuer.asked[KEYS_PATH] == 0
    assert tried.requests <= 3


async def test_keys_on_this_machine_may_be_fetched_over_http() -> None:
    """Ours: for an issuer beside the server."""
    tried = world()
    tried.issuer.metadata["jwks_uri"] = f"http://127.0.0.1:9000{KEYS_PATH}"

    assert (await tried.verifier.verify(token())).access == "pay"


def late(request: httpx2.Request) -> httpx2.Response:
    raise httpx2.ReadTimeout("late", request=request)


def huge(_request: httpx2.Request) -> httpx2.Response:
    return httpx2.Response(200, content=b'{"keys": [], "pad": "' + b"x" * MAX_BYTES + b'"}')


def packed(_request: httpx2.Request) -> httpx2.Response:
    import gzip

    return httpx2.Response(200, content=gzip.compress(b"{}"), headers={"content-encoding": "gzip"})


ANSWERS: dict[str, tuple[Answer, Advice, Advice]] = {
    "late": (late, Advice.UNREACHABLE, Advice.UNREACHABLE),
    "500": (lambda _: httpx2.Response(500), Advice.FAILED, Advice.FAILED),
    "404": (lambda _: httpx2.Response(404, json={}), Advice.NO_METADATA, Advice.UNREADABLE_KEYS),
    "HTML": (lambda _: httpx2.Response(200, text="<html>"), Advice.NO_METADATA, Advice.UNREADABLE_KEYS),
    "an empty body": (lambda _: httpx2.Response(200), Advice.NO_METADATA, Advice.UNREADABLE_KEYS),
    "a list": (lambda _: httpx2.Response(200, json=[1]), Advice.NO_METADATA, Advice.UNREADABLE_KEYS),
    "an object of lists in each other": (
        lambda _: httpx2.Response(200, content=b'{"keys":' + b"[" * 100_000),
        Advice.NO_METADATA,
        Advice.UNREADABLE_KEYS,
    ),
    "a redirect": (
        lambda _: httpx2.Response(302, headers={"location": "https://evil.example/keys"}),
        Advice.NO_METADATA,
        Advice.UNREADABLE_KEYS,
    ),
    "more than 1 MiB": (huge, Advice.NO_METADATA, Advice.UNREADABLE_KEYS),
    "something packed": (packed, Advice.NO_METADATA, Advice.UNREADABLE_KEYS),
    "keys that are a map": (
        lambda _: httpx2.Response(200, json={"issuer": ISSUER, "keys": {}}),
        Advice.NO_KEYS,
        Advice.UNREADABLE_KEYS,
    ),
}


@pytest.mark.parametrize("what", ANSWERS)
async def test_an_issuer_that_answers_nonsense_is_undecided_and_left_alone(what: str) -> None:
    """Ours: with advice, no redirect followed, and one try every few seconds."""
    answer, for_metadata, for_keys = ANSWERS[what]
    for path, advice in ((METADATA_PATH, for_metadata), (KEYS_PATH, for_keys)):
        tried = world()
        tried.issuer.instead[path] = answer
        for _ in range(20):
            with pytest.raises(Undecided) as undecided:
                await tried.verifier.verify(token())
            assert undecided.value.advice == advice
        assert tried.issuer.asked[path] == 1
        assert {request.url.host for request in tried.issuer.requests} == {"login.example.com"}


async def test_an_answer_without_end_is_read_to_a_bound() -> None:
    """Ours: memory stays flat, whatever the issuer sends."""
    sent = 0

    async def endless() -> AsyncGenerator[bytes]:
        nonlocal sent
        while True:
            sent += 1 << 16
            yield b" " * (1 << 16)

    tried = world()
    tried.issuer.instead[KEYS_PATH] = lambda _: httpx2.Response(200, content=endless())

    with anyio.fail_after(5), pytest.raises(Undecided):
        await tried.verifier.verify(token())

    assert sent <= MAX_BYTES + (2 << 16)


@pytest.mark.parametrize("path", [METADATA_PATH, KEYS_PATH])
async def test_an_issuer_that_never_ends_its_answer_is_given_up(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: a byte now and then keeps every timeout of a client from firing; the total one fires."""

    async def stuck() -> AsyncGenerator[bytes]:
        yield b"{"
        await anyio.sleep_forever()

    monkeypatch.setattr("finexio_mcp.access.inquiry.TOTAL_SECONDS", 0.01)
    tried = world()
    tried.issuer.instead[path] = lambda _: httpx2.Response(200, content=stuck())

    with anyio.fail_after(5), pytest.raises(Undecided) as undecided:
        await tried.verifier.verify(token())

    assert undecided.value.advice == Advice.UNREACHABLE


UNUSABLE: dict[str, Any] = {
    "RSA of 1024 bits": jwk("RSA-1024"),
    "a symmetric key": {"kty": "oct", "kid": "RSA", "k": "c2VjcmV0", "alg": "HS256"},
    "a key for encryption": jwk("RSA", use="enc"),
    "a use of its own": jwk("RSA", use=["sig"]),
    "operations without verify": jwk("RSA", key_ops=["encrypt"]),
    "operations that are a text": jwk("RSA", key_ops="verify"),
    "a private key": jwk("RSA", d="AQAB"),
    "another curve": jwk("secp256k1"),
    "Ed448": jwk("Ed448"),
    "an algorithm of another family": jwk("RSA", alg="ES256"),
    "an algorithm that is not taken": jwk("RSA", alg="RS1"),
    "a symmetric algorithm": jwk("RSA", alg="HS256"),
    "an algorithm that is a list": jwk("RSA", alg=["RS256"]),
    "a name that is a number": jwk("RSA") | {"kid": 7},
    "a type that is a list": jwk("RSA") | {"kty": ["RSA"]},
    "no modulus": {"kty": "RSA", "e": "AQAB"},
    "a modulus that is a number": jwk("RSA") | {"n": 7},
    "a modulus that is no base64": jwk("RSA") | {"n": "!"},
    "an exponent of one": jwk("RSA") | {"e": "AQ"},
    "a point that is not on the curve": jwk("P-256") | {"x": jwk("P-256")["y"]},
    "a curve that is a list": jwk("P-256") | {"crv": ["P-256"]},
    "a coordinate that is too short": jwk("P-256") | {"x": "AQAB"},
    "an Ed25519 key of three bytes": jwk("Ed25519") | {"x": "AQAB"},
    "a text": "RSA",
    "null": None,
}


@pytest.mark.parametrize("what", UNUSABLE)
async def test_a_key_that_must_not_be_used_is_left_out(what: str) -> None:
    """Ours: and the others beside it go on."""
    assert read_key(UNUSABLE[what]) is None

    tried = world()
    tried.issuer.keys = [UNUSABLE[what], jwk("Ed25519")]
    assert (await tried.verifier.verify(token("EdDSA"))).access == "pay"


def test_a_huge_rsa_key_is_left_out() -> None:
    """Ours: one verification with it takes the time of hundreds."""
    modulus = "f" + "_" * (16_384 // 6)

    assert read_key({"kty": "RSA", "n": modulus, "e": "AQAB"}) is None


@pytest.mark.parametrize("algorithm", SIGNERS)
async def test_a_key_that_states_its_algorithm_is_used_with_no_other(algorithm: str) -> None:
    """Ours: a key for PS256 signs no RS256."""
    tried = world()
    kind = SIGNERS[algorithm]
    tried.issuer.keys = [jwk(kind, alg=algorithm, use="sig", key_ops=["verify"])]

    assert (await tried.verifier.verify(token(algorithm))).access == "pay"
    for other in SIGNERS:
        if other != algorithm and SIGNERS[other] == kind:
            with pytest.raises(InvalidToken) as refused:
                await tried.verifier.verify(token(other))
            assert refused.value.reason is Reason.UNKNOWN_KEY


async def test_two_keys_of_one_name_are_told_apart_by_their_algorithm() -> None:
    """Ours: seen at issuers that name keys by the day."""
    tried = world()
    tried.issuer.keys = [jwk("RSA", kid="today"), jwk("P-256", kid="today"), jwk("other RSA", kid="today")]

    for text in (
        token(header={"kid": "today"}),
        token("ES256", header={"kid": "today"}),
        token(kind="other RSA", header={"kid": "today"}),
    ):
        assert (await tried.verifier.verify(text)).access == "pay"


async def test_a_set_without_end_is_read_to_a_bound() -> None:
    """Ours: each key without a name costs a verification."""
    tried = world()
    tried.issuer.keys = [jwk("other RSA", kid=str(number)) for number in range(200)] + [jwk("RSA")]

    with pytest.raises(InvalidToken):
        await tried.verifier.verify(token())


def test_a_key_shows_nothing_of_itself() -> None:
    """Ours: not even what is public."""
    key = read_key(jwk("RSA"))

    assert key is not None
    assert "public" not in repr(key).replace("RSA", "")


async def test_requests_to_the_issuer_carry_nothing_of_ours() -> None:
    """Ours: no cookie, no credentials, no token."""
    tried = world()
    tried.issuer.instead[METADATA_PATH] = lambda _: httpx2.Response(
        200, json=tried.issuer.metadata, headers={"set-cookie": "a=b"}
    )
    text = token()
    await tried.verifier.verify(text)

    for request in tried.issuer.requests:
        assert "authorization" not in request.headers
        assert text not in f"{request.url}{request.headers}{request.content!r}"
        assert request.headers["accept-encoding"] == "identity"
