"""Signed tokens: whatever is put into one or done to one, nothing passes that the issuer did not sign for us."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finexio_mcp.access.refusals import Advice
from finexio_mcp.access.signed import REMEMBERED, SignedTokens
from finexio_mcp.access.verifier import InvalidToken, NoScope, Reason, Undecided
from finexio_mcp.callers import Caller

from .issuing import KEYS_PATH, NOW, SIGNERS, claims, encoded, jwk, token, world

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
ODD = JSON | st.sampled_from([NOW, NOW + 600, "RS256", "none", "https://mcp.example.com/mcp", "finexio:pay", 10**400])
ALGORITHMS = st.sampled_from(sorted(SIGNERS))


async def outcome(text: str) -> Caller | None:
    """The caller, or `None` for one of the three exceptions; any other one fails the test."""
    tried = world()
    try:
        return await tried.verifier.verify(text)
    except (InvalidToken, NoScope, Undecided):
        return None
    finally:
        assert tried.requests <= 3


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda data: data.decode("latin-1")))
async def test_no_text_passes_by_chance(text: str) -> None:
    """Ours: nor does it make the server stumble."""
    assert await outcome(text) is None


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(max_size=60).map(encoded), min_size=3, max_size=3))
async def test_no_bytes_in_three_parts_pass_by_chance(parts: list[str]) -> None:
    """Ours: whatever is inside the base64."""
    assert await outcome(".".join(parts)) is None


@settings(max_examples=300, deadline=None)
@given(
    header=st.dictionaries(st.sampled_from(["alg", "typ", "kid", "crit", "b64", "jwk", "jku", "zip"]), ODD),
    payload=st.dictionaries(st.sampled_from(["iss", "sub", "aud", "exp", "nbf", "iat", "scope", "scp", "typ"]), ODD),
    signature=st.binary(max_size=80),
)
async def test_nothing_unsigned_passes(header: dict[str, Any], payload: dict[str, Any], signature: bytes) -> None:
    """Ours: good claims and any header, without the key."""
    head = {"alg": "RS256", "kid": "RSA", **header}

    assert await outcome(f"{encoded(head)}.{encoded({**claims(), **payload})}.{encoded(signature)}") is None


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["iss", "sub", "client_id", "azp", "aud", "exp", "nbf", "iat", "scope", "typ", "token_use"]),
        ODD,
        min_size=1,
    )
)
async def test_signed_claims_of_any_type_pass_only_when_they_are_right(changes: dict[str, Any]) -> None:
    """Ours: an issuer may be sloppy, the server is not."""
    caller = await outcome(token("EdDSA", payload={**claims(), **changes}))

    if caller is not None:
        said = {**claims(), **changes}
        assert said["iss"] == claims()["iss"]
        assert "https://mcp.example.com/mcp" in said["aud"]
        assert NOW - 30 < said["exp"] < 1e12
        assert all(type(said.get(name, 0)) in (int, float, type(None)) for name in ("exp", "nbf", "iat"))
        assert caller.access == "pay"
        assert caller.name.isprintable()
        assert len(caller.name) <= 80


@settings(max_examples=200, deadline=None)
@given(JSON)
async def test_a_signed_payload_of_any_json_is_no_token(payload: Any) -> None:
    """Ours: only an object with our claims is."""
    assert await outcome(token("EdDSA", payload=json.dumps(payload).encode())) is None


@settings(max_examples=300, deadline=None)
@given(ALGORITHMS, st.data())
async def test_a_token_with_one_bit_changed_does_not_pass(algorithm: str, data: st.DataObject) -> None:
    """Ours: not in the signature, not in the spare bits of base64, not anywhere."""
    text = token(algorithm)
    place = data.draw(st.integers(0, len(text) - 1))
    changed = chr(ord(text[place]) ^ (1 << data.draw(st.integers(0, 6))))

    assert await outcome(f"{text[:place]}{changed}{text[place + 1 :]}") is None


@settings(max_examples=100, deadline=None)
@given(ALGORITHMS, st.data())
async def test_a_token_with_one_bit_of_its_signature_changed_does_not_pass(algorithm: str, data: st.DataObject) -> None:
    """Ours: the same one level below, where base64 hides nothing."""
    import base64

    signed, signature = token(algorithm).rsplit(".", 1)
    raw = bytearray(base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4)))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))

    assert await outcome(f"{signed}.{encoded(bytes(raw))}") is None


@settings(max_examples=100, deadline=None)
@given(ALGORITHMS, st.data())
async def test_a_token_that_is_cut_or_lengthened_does_not_pass(algorithm: str, data: st.DataObject) -> None:
    """Ours: what a client lost on the way is not made up for."""
    text = token(algorithm)
    cut = data.draw(st.integers(0, len(text) - 1))
    more = data.draw(st.text("Aa0-_.=", min_size=1, max_size=5))

    assert await outcome(text[:cut]) is None
    assert await outcome(text + more) is None


@pytest.mark.parametrize("algorithm", SIGNERS)
@pytest.mark.parametrize("claimed", SIGNERS)
async def test_no_signature_counts_as_one_of_another_algorithm(algorithm: str, claimed: str) -> None:
    """Ours: neither within a family nor across, with the name of the key or without."""
    if algorithm == claimed:
        assert await outcome(token(algorithm)) is not None
        return
    for kid in (SIGNERS[algorithm], SIGNERS[claimed], ...):
        assert await outcome(token(algorithm, header={"alg": claimed, "kid": kid})) is None


async def test_what_was_proved_is_forgotten_when_the_keys_change() -> None:
    """Ours: a key that was withdrawn proves nothing any more, to the token that used it before either."""
    tried = world()
    text = token()
    await tried.verifier.verify(text)
    tried.issuer.keys = [jwk("P-256")]
    tried.clock.seconds += 15
    with pytest.raises(InvalidToken):
        await tried.verifier.verify(token("PS256", header={"kid": "unknown"}))

    with pytest.raises(InvalidToken) as refused:
        await tried.verifier.verify(text)

    assert refused.value.reason is Reason.UNKNOWN_KEY


async def test_only_so_many_proved_tokens_are_remembered() -> None:
    """Ours: memory stays flat; what is forgotten is proved again."""
    tried = world()
    signed = tried.verifier._signed  # pyright: ignore[reportPrivateUsage]
    assert isinstance(signed, SignedTokens)
    first = token("EdDSA")
    await tried.verifier.verify(first)
    for number in range(REMEMBERED + 5):
        await tried.verifier.verify(token("EdDSA", payload=claims(jti=str(number))))

    assert len(signed._proved) == REMEMBERED  # pyright: ignore[reportPrivateUsage]
    assert (await tried.verifier.verify(first)).access == "pay"


async def test_bad_tokens_are_not_remembered() -> None:
    """Ours: nobody fills the memory with tokens that are made up."""
    tried = world()
    signed = tried.verifier._signed  # pyright: ignore[reportPrivateUsage]
    assert isinstance(signed, SignedTokens)
    bad: list[Callable[[], str]] = [
        lambda: token(kind="other RSA", header={"kid": "RSA"}),
        lambda: token(payload=claims(exp=1)),
        lambda: token(payload=claims(scope="")),
    ]
    for make in bad:
        with pytest.raises((InvalidToken, NoScope)):
            await tried.verifier.verify(make())

    assert len(signed._proved) == 0  # pyright: ignore[reportPrivateUsage]


async def test_without_any_usable_key_nobody_can_tell() -> None:
    """Ours: the operator hears of it, and no client throws its token away."""
    tried = world()
    tried.issuer.keys = [jwk("RSA-1024")]

    with pytest.raises(Undecided) as undecided:
        await tried.verifier.verify(token())

    assert undecided.value.advice == Advice.NO_USABLE_KEY
    assert tried.issuer.asked[KEYS_PATH] == 1
