"""What may stand in `accounts.toml`, and what is said about what may not."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from finexio_mcp.accounts import is_account_name
from finexio_mcp.accounts.file import ACCOUNTS, KEYS, LIMITS, MAX_PROBLEMS, REFERENCES
from finexio_mcp.accounts.logins import FileLogin, KeyringLogin, VariableLogin
from finexio_mcp.settings import NAMES, SettingsError, load
from tests.accounts.files import SECRET, entry, refused, tried, understood, written

FILE = "FINEXIO_MCP_ACCOUNTS_FILE"
OWN: dict[str, Any] = {
    "rate": 2.5,
    "rate_burst": 3,
    "max_invoice_cents": 500_000,
    "max_batch_cents": 900_000,
    "max_day_cents": 1_000_000,
    "webhook_hosts": ["Hooks.Acme.Example."],
}


# What is taken ----------------------------------------------------------------


def test_an_account_has_the_servers_settings_and_its_own_limits() -> None:
    """Ours: what an account says nothing about is as the server has it, and one account's word binds no other."""
    accounts = understood(entry("acme", **OWN) + entry("globex"), FINEXIO_MCP_RATE=7, FINEXIO_MCP_RESULT_CHARS=9_000)

    acme, globex = accounts["acme"].settings, accounts["globex"].settings
    assert {name: getattr(acme, name) for name in OWN} == {**OWN, "webhook_hosts": ("hooks.acme.example",)}
    assert (acme.account, acme.result_chars) == ("acme", 9_000)
    assert (globex.account, globex.rate, globex.max_day_cents, globex.result_chars) == ("globex", 7.0, None, 9_000)


def test_limits_of_an_account_are_taken_from_the_file_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: what the environment says meanwhile is the server's business, and cannot spoil the file."""
    monkeypatch.setenv("FINEXIO_MCP_RATE", "none")
    monkeypatch.setenv("FINEXIO_MCP_MAX_DAY_CENTS", "5")

    acme = understood(entry(rate=1), FINEXIO_MCP_RATE=7, FINEXIO_MCP_MAX_DAY_CENTS=9)["acme"].settings

    assert (acme.rate, acme.max_day_cents) == (1.0, 9)


def test_each_limit_can_be_given() -> None:
    """Ours: a test that forgets one would say nothing about it."""
    assert set(OWN) == set(LIMITS)


def test_accounts_keep_the_order_of_the_file() -> None:
    """Ours: people find them where they put them."""
    assert list(understood(entry("b") + entry("a") + entry("c"))) == ["b", "a", "c"]


def test_a_password_is_found_by_one_of_three_references() -> None:
    """Ours: a relative path begins where the accounts file is."""
    accounts = understood(
        entry("a", password_file="secrets/a")
        + entry("b", password_file="/run/secrets/b")
        + entry("c", password_env="C_PASSWORD")
        + entry("d", password_keyring="finexio-mcp")
    )

    logins = [account.login for account in accounts.values()]
    assert logins[0] == FileLogin("accounts.a.password_file", "a-api", Path("/etc/finexio/secrets/a"))
    assert logins[1] == FileLogin("accounts.b.password_file", "b-api", Path("/run/secrets/b"))
    assert logins[2] == VariableLogin("accounts.c.password_env", "c-api", "C_PASSWORD")
    assert isinstance(logins[3], KeyringLogin)
    assert (logins[3].username, logins[3].service) == ("d-api", "finexio-mcp")


def test_two_accounts_may_sign_in_as_one_user() -> None:
    """Ours: one for those who read and one with limits for those who pay."""
    accounts = understood(entry("a", username="same") + entry("b", username="same"))

    assert len(accounts) == 2


@pytest.mark.parametrize("content", [b"\xef\xbb\xbf" + entry().encode(), entry().replace("\n", "\r\n").encode()])
def test_files_of_other_editors_are_read(content: bytes) -> None:
    """Ours: with a mark before the first line, and with other ends of lines."""
    assert list(understood(content)) == ["acme"]


def test_reading_the_same_file_twice_finds_equal_accounts_and_every_change_is_seen() -> None:
    """Ours: what is not equal is begun anew."""
    before = understood(entry())["acme"]

    assert understood(entry())["acme"] == before
    changes = [{key: value} for key, value in OWN.items()]
    changes += [{"username": "x"}, {"password_env": "X"}, {"password_file": "x"}, {"password_keyring": "x"}]
    assert [change for change in changes if understood(entry(**change))["acme"] == before] == []


@pytest.mark.parametrize("name", ["a", "0", "acme", "acme-eu_2", "a" * 40, "default"])
def test_names_that_an_account_can_have(name: str) -> None:
    """Ours: they stand in tokens, claims, logs and tables as they are."""
    assert is_account_name(name)
    assert list(understood(entry(name))) == [name]


@pytest.mark.parametrize("name", ["", "Acme", "-a", "_a", "a b", "a.b", "ä", "a" * 41, "a\n", "acme\x00", "١"])
def test_names_that_an_account_cannot_have(name: str) -> None:
    """Ours: refused with the rule, and not repeated unless it is a plain word."""
    assert not is_account_name(name)
    problems = refused(f"[accounts.{written(name)}]\nusername = 'x'\npassword_env = 'X'\n")

    assert all("1 to 40 characters" in problem for problem in problems.values())
    assert len(problems) == 1
    assert all(key.isprintable() for key in problems)


@pytest.mark.parametrize("value", [None, 1, ["acme"], b"acme"])
def test_only_a_text_is_a_name(value: object) -> None:
    """Ours: a claim in a token may be anything."""
    assert not is_account_name(value)


# What is refused --------------------------------------------------------------


def test_a_password_in_the_file_is_refused_with_the_places_it_may_be_in() -> None:
    """Ours: the file holds no secret, so that it can be shown, shared and committed."""
    (key, problem) = next(iter(refused(entry(password=SECRET)).items()))

    assert key == "accounts.acme.password"
    assert all(reference in problem for reference in REFERENCES)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ("", "none of them"),
        ("password_env = 'A'\npassword_file = 'b'", "password_file and password_env"),
        ("password_env = 'A'\npassword_file = 'b'\npassword_keyring = 'c'", "password_file and password_env and"),
    ],
)
def test_a_password_has_exactly_one_reference(keys: str, words: str) -> None:
    """Ours: of two, nobody could say which holds."""
    problems = refused(f"[accounts.acme]\nusername = 'x'\n{keys}\n")

    assert list(problems) == ["accounts.acme"]
    assert words in problems["accounts.acme"]


@pytest.mark.parametrize(
    ("text", "key", "words"),
    [
        (entry(pasword_file="x", password_env="X"), "accounts.acme.pasword_file", "did you mean password_file?"),
        (entry(max_invoice_cent=1), "accounts.acme.max_invoice_cent", "did you mean max_invoice_cents?"),
        (entry(base_url="x"), "accounts.acme.base_url", "known: username"),
        (entry(access="pay"), "accounts.acme.access", "known: username"),
        (entry() + "[acounts.b]\n", "acounts", "did you mean accounts?"),
        ("rate = 5\n" + entry(), "rate", "known: accounts"),
    ],
)
def test_a_key_that_is_not_known_is_refused_with_what_was_meant(text: str, key: str, words: str) -> None:
    """Ours: a limit that is misspelt must not be a limit that does not hold."""
    problems = refused(text)

    assert list(problems) == [key]
    assert words in problems[key]


@pytest.mark.parametrize(
    ("keys", "key", "words"),
    [
        ({"username": ""}, "username", "one line"),
        ({"username": "a\nb"}, "username", "one line"),
        ({"username": "a" * 401}, "username", "one line"),
        ({"username": f"{SECRET}:b"}, "username", "colon"),
        ({"username": 7}, "username", "text"),
        ({"password_file": ""}, "password_file", "one line"),
        ({"password_file": f"/run/{SECRET}\x00"}, "password_file", "one line"),
        ({"password_file": [SECRET]}, "password_file", "text"),
        ({"password_keyring": False}, "password_keyring", "text"),
        ({"password_env": ""}, "password_env", "name of a variable"),
        ({"password_env": f"{SECRET}!"}, "password_env", "name of a variable"),
        ({"password_env": "FINEXIO_MCP_STATE_KEY"}, "password_env", "must not begin with FINEXIO_"),
        ({"password_env": "finexio_acme"}, "password_env", "must not begin with FINEXIO_"),
        ({"max_invoice_cents": 0}, "max_invoice_cents", "at least 1"),
        ({"max_invoice_cents": 5.0}, "max_invoice_cents", "whole number"),
        ({"max_batch_cents": SECRET}, "max_batch_cents", "whole number"),
        ({"max_day_cents": True}, "max_day_cents", "whole number"),
        ({"rate": -1}, "rate", "at least 0"),
        ({"rate": float("nan")}, "rate", "number"),
        ({"rate": float("inf")}, "rate", "number"),
        ({"rate": [SECRET]}, "rate", "number"),
        ({"rate_burst": 10_001}, "rate_burst", "at most 10000"),
        ({"webhook_hosts": "a.example"}, "webhook_hosts", "list"),
        ({"webhook_hosts": [1]}, "webhook_hosts", "list"),
        ({"webhook_hosts": [f"https://{SECRET}.example"]}, "webhook_hosts", "bare host names"),
        ({"webhook_hosts": [""]}, "webhook_hosts", "bare host names"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_by_its_key_and_never_repeated(
    keys: dict[str, Any], key: str, words: str
) -> None:
    """Ours: types are those of the file, nothing is converted, and what stands there may be a secret."""
    problems = refused(entry(**keys))

    assert list(problems) == [f"accounts.acme.{key}"]
    assert words in problems[f"accounts.acme.{key}"]


def test_a_user_has_to_be_named() -> None:
    """Ours: a password alone signs nobody in."""
    assert "has to be set" in refused("[accounts.acme]\npassword_env = 'X'\n")["accounts.acme.username"]


def test_every_problem_of_every_account_is_told_at_once() -> None:
    """Ours: whoever mends one need not start again to read of the next."""
    problems = refused(entry("a", rate=-1, rate_burst=0, max_days=1) + entry("b", password=SECRET, username=""))

    assert set(problems) == {
        "accounts.a.rate",
        "accounts.a.rate_burst",
        "accounts.a.max_days",
        "accounts.b.password",
        "accounts.b.username",
    }


def test_more_problems_than_anybody_reads_are_counted() -> None:
    """Ours: a log line stays one."""
    problems = refused("".join(entry(f"a{number}", rate=-1) for number in range(MAX_PROBLEMS + 5)))

    assert len(problems) == MAX_PROBLEMS + 1
    assert problems[FILE] == "has 5 more problems"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "without accounts"),
        ("# nothing yet\n", "without accounts"),
        ("[accounts]\n", "without accounts"),
        ("accounts = 'acme'\n", "without accounts"),
        (f"[accounts.acme]\nusername = {SECRET}\n", "line 2"),
        (f"[accounts.acme]\nusername = '{SECRET}", "to its end"),
        (f"[accounts.acme]\npassword = '{SECRET}'\npassword = '{SECRET}'\n", "line 3"),
        ("[accounts.acme]\nrate = 1\n[accounts.acme]\nrate = 2\n", "line 3"),
        ("x = " + "[" * 100_000, "cannot be read"),
        ("x = " + "9" * 10_000, "cannot be read"),
        (b"\xff\xfe", "cannot be read"),
    ],
)
def test_a_file_that_is_no_list_of_accounts_is_refused_with_the_place(content: str | bytes, words: str) -> None:
    """Ours: the line, and nothing that stands in it."""
    problems = refused(content)

    assert list(problems) == [FILE]
    assert words in problems[FILE]


@pytest.mark.parametrize("text", ["accounts = {acme = 5}\n", "[[accounts.acme]]\nusername = 'x'\n"])
def test_an_account_is_a_table(text: str) -> None:
    """Ours: and one of its name, not several."""
    assert "must be a table" in refused(text)["accounts.acme"]


# Whatever stands there --------------------------------------------------------

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.just(SECRET),
        st.text(max_size=20).map(lambda text: SECRET + text),
        st.booleans(),
        st.integers(),
        st.integers(min_value=-(10**400), max_value=10**400),
        st.floats(),
        st.just(datetime(2026, 1, 1, tzinfo=UTC)),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.just("key"), inner, max_size=1)),
    max_leaves=4,
)
TABLES = st.dictionaries(st.one_of(st.sampled_from([*KEYS, "password"]), st.text(max_size=8)), VALUES, max_size=6)
NAMED = st.dictionaries(st.one_of(st.just("acme"), st.text(max_size=45)), TABLES | VALUES, max_size=3)
quick = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])


@quick
@given(st.one_of(st.binary(max_size=300), st.text(max_size=300).map(lambda text: text.encode())))
def test_any_bytes_are_accounts_or_are_refused(content: bytes) -> None:
    """Ours: no file brings the server down in another way."""
    found = tried(content)

    assert found.problems if isinstance(found, SettingsError) else found


@quick
@given(NAMED)
def test_any_values_are_accounts_or_are_refused_without_repeating_one(accounts: dict[str, Any]) -> None:
    """Ours: a password that stands in the wrong place reaches no log."""
    found = tried(f"{ACCOUNTS} = {_written(accounts)}\n")

    if isinstance(found, SettingsError):
        assert found.problems
        assert SECRET not in str(found)
        assert all(name.isprintable() and problem.isprintable() for name, problem in found.problems)
    else:
        assert list(found) == list(accounts)
        assert all(is_account_name(name) for name in found)


def _written(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, list):
        return f"[{', '.join(map(_written, value))}]"  # pyright: ignore[reportUnknownArgumentType]
    if isinstance(value, dict):
        inside = (f"{written(key)} = {_written(each)}" for key, each in value.items())  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        return f"{{{', '.join(inside)}}}"
    return written(value)


@quick
@given(st.sampled_from([name for name in LIMITS if name != "webhook_hosts"]), st.integers(-(10**12), 10**12))
def test_a_limit_is_taken_exactly_where_the_servers_own_would_be(name: str, value: int) -> None:
    """Ours: bounds stand in one place."""
    own: dict[str, Any] = {name: value}
    found = tried(entry(**own))

    try:
        expected: Any = getattr(load(**{NAMES[name]: value}), name)
    except SettingsError as error:
        expected = error.problems[0].problem
    if isinstance(found, SettingsError):
        assert dict(found.problems) == {f"accounts.acme.{name}": expected}
    else:
        assert getattr(found["acme"].settings, name) == expected
