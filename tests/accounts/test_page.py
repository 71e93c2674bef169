"""The page about several accounts says what the code does."""

from __future__ import annotations

import re

import pytest

from finexio_mcp.accounts.accounts import LOOK_SECONDS
from finexio_mcp.accounts.file import KEYS, OF_SETTINGS
from finexio_mcp.accounts.keyrings import GRACE_SECONDS, HELD_SECONDS, REST_SECONDS
from finexio_mcp.generated import ROOT
from finexio_mcp.settings import NAMES
from tests.accounts.files import refused, understood

PAGE = (ROOT / "docs" / "accounts.md").read_text(encoding="utf-8")
WORDS = " ".join(PAGE.split())


def test_the_file_that_is_shown_can_be_used() -> None:
    """Ours: it is what people begin with."""
    shown = re.search(r"<!-- file: accounts.toml -->\n```toml\n(.*?)```", PAGE, re.DOTALL)

    assert shown is not None
    accounts = understood(shown[1], FINEXIO_MCP_RATE=7)
    assert list(accounts) == ["acme", "globex"]
    assert accounts["acme"].settings.max_invoice_cents == 500_000
    assert (accounts["acme"].settings.rate, accounts["globex"].settings.rate) == (7, 2)


def test_every_key_is_explained_and_no_other() -> None:
    """Ours: with the setting that it stands for, where there is one."""
    table = PAGE.split("| Key | Means |")[1].split("\n\n")[0]
    rows = [line.split("|")[1:3] for line in table.splitlines()[2:]]
    explained = {key: means for keys, means in rows for key in re.findall(r"`(\w+)`", keys)}

    assert set(explained) == set(KEYS)
    assert [key for key in KEYS if key in NAMES and key.startswith(("max_", "rate", "webhook"))] == [
        key for key, means in explained.items() if NAMES.get(key, "-") in means
    ]


@pytest.mark.parametrize(
    "words",
    [
        f"held for {HELD_SECONDS:g} seconds",
        {10.0: "they work within ten seconds"}[REST_SECONDS + GRACE_SECONDS],
        {1.0: "more than a second after the edit"}[LOOK_SECONDS],
        "A name has 1 to 40 characters: `a` to `z`, `0` to `9`, hyphen and underscore, and begins with a letter or a",
        f"must not begin with `{OF_SETTINGS}`",
    ],
)
def test_numbers_and_rules_are_those_of_the_code(words: str) -> None:
    """Ours: a page that names a bound names the one that holds."""
    assert words in WORDS


def test_the_word_of_the_log_that_is_shown_is_the_one_that_comes() -> None:
    """Ours: people look for it."""
    (problem,) = refused("[accounts.acme]\nusername = 'x'\npassword_env = 'X'\nrate = -1\n").items()

    assert f"(`{' '.join(problem)}`)" in PAGE
