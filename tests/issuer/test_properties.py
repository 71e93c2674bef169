"""What holds for every text that somebody may think of: seals, redirect URIs, bounds on tries."""

from __future__ import annotations

import base64
import string
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import AnyUrl

from finexio_mcp.access.store import MAX_CLIENTS
from finexio_mcp.issuer.pending import PENDING_MS, Pending, Seal
from finexio_mcp.issuer.redirects import matches, place_of, with_answer
from finexio_mcp.issuer.tries import (
    REGISTRATIONS_A_MINUTE,
    SIGN_INS_REMEMBERED,
    WINDOW_MS,
    WRONG_CODES_FOR_ONE,
    Allowance,
    WrongCodes,
    subscriber,
)
from tests.conftest import simulator_settings
from tests.issuer.world import Clock

KEY = {"FINEXIO_MCP_STATE_KEY": "k" * 32}
TEXT = st.text(max_size=50)
unhurried = settings(deadline=None)
"""A busy machine is no failure."""
SEALED_CHARS = string.ascii_letters + string.digits + "-_.=+/ "


def seal(clock: Clock, **settings: str) -> Seal:
    return Seal(simulator_settings(**{**KEY, **settings}), clock)


@st.composite
def pendings(draw: st.DrawFn) -> Pending:
    return Pending(
        nonce=draw(TEXT),
        client_id=draw(TEXT),
        redirect_uri=draw(TEXT),
        redirect_uri_explicit=draw(st.booleans()),
        code_challenge=draw(TEXT),
        asked=draw(st.sampled_from(["read", "write", "pay", None])),
        resource=draw(st.none() | TEXT),
        state=draw(st.none() | TEXT),
        expires_at_ms=Clock().ms + draw(st.integers(min_value=1, max_value=PENDING_MS)),
    )


@unhurried
@given(pendings())
def test_what_was_sealed_is_opened_as_it_was(pending: Pending) -> None:
    """Ours: by this process, and by any other that has the key."""
    text = seal(Clock()).close(pending)

    assert seal(Clock()).open(text) == pending
    assert set(text) <= set(SEALED_CHARS)


@unhurried
@given(pendings(), st.data())
def test_what_was_changed_is_not_opened(pending: Pending, data: st.DataObject) -> None:
    """Ours: not one character, be it added, taken away or replaced."""
    sealer = seal(Clock())
    text = sealer.close(pending)
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 3)))
    changed = text[:start] + data.draw(st.text(SEALED_CHARS, max_size=3) | TEXT) + text[end:]

    assert (sealer.open(changed) is None) is (changed != text)


@unhurried
@given(st.text(max_size=300))
@example("")
@example(".")
@example("..")
@example("W10." + "A" * 43)
def test_what_others_wrote_is_not_opened(text: str) -> None:
    """Ours: garbage is no sign-in, and no failure."""
    assert seal(Clock()).open(text) is None


@unhurried
@given(pendings())
def test_what_was_sealed_with_another_key_is_not_opened(pending: Pending) -> None:
    """Ours: nor by a process without a key, which has one of its own."""
    text = seal(Clock()).close(pending)

    assert seal(Clock(), FINEXIO_MCP_STATE_KEY="l" * 32).open(text) is None
    assert Seal(simulator_settings(), Clock()).open(text) is None
    assert Seal(simulator_settings(), Clock()).open(Seal(simulator_settings(), Clock()).close(pending)) is None


@unhurried
@given(pendings(), st.integers(min_value=0, max_value=2 * PENDING_MS))
def test_what_was_sealed_is_opened_until_its_time_is_over(pending: Pending, later_ms: int) -> None:
    """Ours: at that very moment it is over."""
    clock = Clock()
    sealer = seal(clock)
    text = sealer.close(pending)
    clock.ms += later_ms

    assert (sealer.open(text) is not None) is (clock.ms < pending.expires_at_ms)


GOOD = (
    "https://claude.ai/api/mcp/auth_callback",
    "https://chatgpt.com/connector_platform_oauth_redirect",
    "https://vscode.dev/redirect",
    "https://client.example:8443/cb?a=1&b=%20",
    "https://client.example",
    "HTTPS://Client.Example/CB",
    "https://xn--bcher-kva.example/cb",
    "https://localhost/cb",
    "https://192.0.2.1/cb",
    "http://127.0.0.1:33418/",
    "http://localhost:3000/callback",
    "http://localhost/",
    "http://[::1]:8080/cb",
    "com.example.app:/oauth2redirect",
    "com.example.app://callback",
    "cursor://anysphere.cursor-mcp/oauth/callback",
    "vscode://vscode.github-authentication/did-authenticate",
    "io.github.some-thing://oauth?x=1",
)
BAD = (
    "",
    " ",
    "callback",
    "/callback",
    "//client.example/cb",
    "client.example/cb",
    "https:",
    "https://",
    "https:///cb",
    "https:/client.example/cb",
    "https:client.example/cb",
    "https://?x",
    "https://client.example/cb#",
    "https://client.example/cb#x",
    "https://user@client.example/cb",
    "https://user:secret@client.example/cb",
    "https://good.example\\@evil.example/cb",
    "https://good.example\\.evil.example/cb",
    "https://good.example%2eevil.example:x/cb",
    "https://client.example:99999/cb",
    "https://client.example:port/cb",
    "https://client.example /cb",
    " https://client.example/cb",
    "https://client.example/cb\n",
    "https://client.example/\x00",
    "https://client.example/é",
    "https://bücher.example/cb",
    "https://*/cb",
    "https://client_x.example/cb",
    "https://client.example/<b>",
    'https://client.example/"x',
    "https://[::1/cb",
    "http://client.example/cb",
    "http://127.0.0.1.evil.example/cb",
    "http://localhost.evil.example/cb",
    "http://localhost@evil.example/cb",
    "http://127.0.0.2/cb",
    "http://0.0.0.0/cb",
    "http://192.168.0.1/cb",
    "http://[::ffff:127.0.0.1]/cb",
    "javascript:alert(1)",
    "JavaScript:alert(1)",
    "java.script",
    "data:text/html,x",
    "file:///etc/passwd",
    "vbscript:x",
    "blob:https://client.example/x",
    "about:blank",
    "view-source:https://client.example",
    "ftp://client.example/cb",
    "ws://client.example/cb",
    "myapp://callback",
    "urn:ietf:wg:oauth:2.0:oob",
    ".app://callback",
    "app.://callback",
    "https://client.example/" + "a" * 2_000,
)


@pytest.mark.parametrize("uri", GOOD)
def test_places_that_clients_really_use_are_taken(uri: str) -> None:
    """Ours: websites, programs on this machine, apps under a name of their own."""
    assert place_of(uri) is not None
    assert matches(uri, [uri])


@pytest.mark.parametrize("uri", BAD, ids=lambda uri: ascii(uri)[:40])
def test_other_places_are_not(uri: str) -> None:
    """Ours: nothing that a browser would run, read as somewhere else, or send unprotected; registered or not."""
    assert place_of(uri) is None
    assert not matches(uri, [uri])


URI_CHARS = st.text(string.ascii_letters + string.digits + ":/?#[]@!$&'()*+,;=-._~%\\<>\"{}|^` \t\n\x00é", max_size=60)
URIS = st.one_of(
    URI_CHARS,
    st.builds(
        "{}{}{}".format, st.sampled_from(["https://", "http://", "com.app:", "http://127.0.0.1"]), URI_CHARS, TEXT
    ),
)


@unhurried
@given(URIS)
def test_a_place_is_where_a_browser_would_go(uri: str) -> None:
    """Ours: the host that a person reads is the one that gets the answer, by another parser's reading too."""
    place = place_of(uri)
    if place is None:
        return
    parts, url = urlsplit(str(AnyUrl(uri))), AnyUrl(uri)

    assert uri.isascii()
    assert uri.isprintable()
    assert "#" not in uri
    assert "@" not in parts.netloc
    assert parts.netloc.casefold() == place.name or place.kind == "app"
    if url.scheme == "http":
        assert parts.hostname in {"127.0.0.1", "localhost", "::1"}
    assert url.scheme == "http" or url.scheme == "https" or "." in url.scheme
    assert set(place.schemes) <= {"https", url.scheme}


@unhurried
@given(URIS, st.lists(URIS, max_size=3))
def test_only_what_was_registered_matches(asked: str, registered: list[str]) -> None:
    """Ours: to the letter, but for ports on this machine."""
    if matches(asked, registered):
        place = place_of(asked)
        assert place is not None
        assert asked in registered or (place.kind == "machine" and asked.lower().startswith("http:"))


@unhurried
@given(st.integers(1, 65_535), st.integers(1, 65_535))
def test_ports_are_free_on_this_machine_only(one: int, other: int) -> None:
    """Documented (RFC 8252, 7.3)."""
    assert matches(f"http://127.0.0.1:{one}/cb", [f"http://127.0.0.1:{other}/cb"])
    assert matches(f"http://[::1]:{one}/cb?a=1", [f"http://[::1]:{other}/cb?a=1"])
    assert not matches(f"http://127.0.0.1:{one}/cb", [f"http://localhost:{other}/cb"])
    assert not matches(f"http://127.0.0.1:{one}/other", [f"http://127.0.0.1:{other}/cb"])
    assert not matches(f"http://127.0.0.1:{one}/cb?a=1", [f"http://127.0.0.1:{other}/cb"])
    for host in ("https://client.example", "https://localhost"):
        assert matches(f"{host}:{one}/cb", [f"{host}:{other}/cb"]) is (one == other)


@unhurried
@given(st.dictionaries(st.sampled_from(["code", "state", "iss"]), st.none() | TEXT), st.sampled_from(GOOD))
def test_an_answer_is_added_and_changes_nothing_else(answer: dict[str, str | None], uri: str) -> None:
    """Ours: what the client put into its redirect URI stays, and what it put into `state` adds no parameter."""
    where = with_answer(uri, answer)

    assert where.startswith(uri)
    assert where.isascii()
    added = where[len(uri) + 1 :]
    assert added.count("=") == len([value for value in answer.values() if value is not None])
    assert "#" not in where


def test_the_seal_can_be_read_and_holds_no_secret() -> None:
    """Ours: it is signed, not hidden; the browser has seen all of it before."""
    pending = Pending("nonce", "client", "https://c.example", True, "challenge", "read", None, "state", Clock().ms + 1)
    payload = seal(Clock()).close(pending).partition(".")[0]

    assert b"https://c.example" in base64.urlsafe_b64decode(payload + "===")
    assert b"kkkk" not in base64.urlsafe_b64decode(payload + "===")


def test_a_minute_allows_so_many_and_no_more() -> None:
    """Ours: each place is free again a minute after it was taken."""
    clock = Clock()
    allowance = Allowance(clock, for_one=2, for_all=9)
    assert [allowance.take("one") for _ in range(3)] == [True, True, False]
    assert allowance.take("another")

    clock.ms += WINDOW_MS - 1
    assert not allowance.take("one")
    clock.ms += 1
    assert [allowance.take("one") for _ in range(3)] == [True, True, False]


def test_a_clock_that_is_put_back_keeps_nobody_waiting() -> None:
    """Ours: what was taken in a time that is yet to come does not count."""
    clock = Clock()
    allowance = Allowance(clock, for_one=1, for_all=1)
    assert [allowance.take("one") for _ in range(2)] == [True, False]

    clock.ms -= 3_600_000
    assert [allowance.take("one") for _ in range(2)] == [True, False]


@unhurried
@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from([0, 0, 0, 1, 20_000, WINDOW_MS])), max_size=60))
def test_no_minute_sees_more_than_is_allowed(asked: list[tuple[int, int]]) -> None:
    """Ours: neither by one nor by all; and nothing is refused that may be taken."""
    clock = Clock()
    allowance = Allowance(clock, for_one=2, for_all=5)
    taken: list[tuple[int, int]] = []
    for who, later_ms in asked:
        clock.ms += later_ms
        recent = [each for when, each in taken if clock.ms - when < WINDOW_MS]
        allowed = len(recent) < 5 and recent.count(who) < 2
        assert allowance.take(str(who)) is allowed
        if allowed:
            taken.append((clock.ms, who))
        assert len(allowance) <= 5


def test_no_more_is_remembered_of_strangers_than_is_allowed() -> None:
    """Ours: whoever comes from a thousand addresses fills no memory; those who were refused leave no trace."""
    clock = Clock()
    allowance = Allowance(clock, for_one=10, for_all=REGISTRATIONS_A_MINUTE)
    taken = [allowance.take(f"192.0.{number // 256}.{number % 256}") for number in range(1_000)]
    assert (taken.count(True), len(allowance)) == (REGISTRATIONS_A_MINUTE, REGISTRATIONS_A_MINUTE)

    clock.ms += WINDOW_MS
    assert allowance.take("192.0.2.1")
    assert len(allowance) == 1


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("2001:db8:0:1::1", "2001:0DB8:0:1:ffff:ffff:ffff:ffff", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        (None, "", True),
        ("unix:", "x" * 5_000, True),
        ("127.0.0.1", None, False),
    ],
)
def test_who_has_one_address_has_all_that_are_given_out_with_it(one: str | None, other: str | None, same: bool) -> None:
    """Ours: of IPv6 that is a /64; and what is no address at all is one, not as many as somebody can think of."""
    assert (subscriber(one) == subscriber(other)) is same


@unhurried
@given(TEXT | st.ip_addresses().map(str))
def test_every_address_counts_as_somebody(host: str) -> None:
    """Ours: short, and without a failure."""
    assert len(subscriber(host)) <= 43


def test_tries_that_are_over_are_forgotten() -> None:
    """Ours: the memory of wrong codes does not grow."""
    clock = Clock()
    wrong = WrongCodes(clock, forget_ms=PENDING_MS)
    for number in range(5_000):
        clock.ms += 1_000
        wrong.count(f"sign-in {number // WRONG_CODES_FOR_ONE}")

    assert len(wrong) <= PENDING_MS // 1_000 // WRONG_CODES_FOR_ONE + 1
    assert wrong.too_many_for("sign-in 999")
    assert not wrong.too_many_for("sign-in 0")


def test_a_crowd_of_sign_ins_fills_no_memory() -> None:
    """Ours: of those that had wrong codes the newest are remembered."""
    wrong = WrongCodes(Clock(), forget_ms=PENDING_MS)
    for number in range(SIGN_INS_REMEMBERED + 7):
        for _ in range(WRONG_CODES_FOR_ONE):
            wrong.count(f"sign-in {number}")
            assert len(wrong) <= SIGN_INS_REMEMBERED

    assert [wrong.too_many_for(f"sign-in {number}") for number in (6, 7, SIGN_INS_REMEMBERED + 6)] == [
        False,
        True,
        True,
    ]
    assert not wrong.too_many_for("nobody")


def test_more_clients_are_kept_than_register_while_a_sign_in_lasts() -> None:
    """Ours: so no flood drives out a client whose person is still typing the code."""
    assert PENDING_MS // WINDOW_MS * REGISTRATIONS_A_MINUTE < MAX_CLIENTS
