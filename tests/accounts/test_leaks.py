"""Passwords of accounts, looked for wherever an account leaves a trace."""

from __future__ import annotations

import logging
import subprocess
import sys
import traceback
from pathlib import Path

import pytest

from finexio_mcp.accounts import Accounts
from finexio_mcp.accounts.keyrings import Answer
from finexio_mcp.settings import SettingsError
from tests.accounts.files import ENV, SECRET, Ticks, entry, several


@pytest.fixture
def accounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Accounts:
    """Accounts whose passwords are the secret, and were all looked up."""
    (tmp_path / "password").write_text(SECRET)
    (tmp_path / "accounts.toml").write_text(
        entry("a", password_file="password") + entry("b", password_env=ENV) + entry("c", password_keyring="finexio-mcp")
    )
    monkeypatch.setenv(ENV, SECRET)

    class Keyring:
        errors = None

        @staticmethod
        def get_password(service: str, username: str) -> str:
            return SECRET

    monkeypatch.setitem(sys.modules, "keyring", Keyring)  # type: ignore[arg-type]  # pyright: ignore
    return Accounts(several(tmp_path / "accounts.toml"), now=Ticks())


def test_no_account_shows_its_password(accounts: Accounts, caplog: pytest.LogCaptureFixture) -> None:
    """Ours: however it is written down, after the password was used too."""
    caplog.set_level(logging.DEBUG)
    for account in filter(None, map(accounts.find, accounts.names())):
        credentials = account.login.credentials()
        assert credentials is not None
        assert credentials.password.get_secret_value() == SECRET

        written: list[object] = [account, account.login, account.settings, account.settings.model_dump(), credentials]
        written += [vars(account.login), account.login.missing_credentials(), Answer(0, credentials.password)]
        assert [value for value in written if SECRET in f"{value!r} {value}"] == []
    assert SECRET not in caplog.text


@pytest.mark.parametrize(
    "text",
    [
        entry(password=SECRET),
        entry(username=f"{SECRET}:{SECRET}"),
        entry(password_env=f"{SECRET} "),
        entry(password_file=f"{SECRET}\n"),
        entry(password_keyring=[SECRET]),
        entry(rate=SECRET),
        entry(webhook_hosts=[f"{SECRET}/"]),
        f"accounts = '{SECRET}'",
        f"[accounts.acme]\npassword = {SECRET}",
        f'[accounts.acme]\npassword = "{SECRET}\\q"',
        f"[accounts]\nacme = '{SECRET}'",
    ],
)
def test_no_word_about_a_wrong_file_holds_what_stands_there(
    text: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Ours: at the start, and while the server runs."""
    caplog.set_level(logging.DEBUG)
    file, ticks = tmp_path / "accounts.toml", Ticks()
    file.write_text(entry("good"))
    accounts = Accounts(several(file), now=ticks)

    file.write_text(text)
    ticks.pass_()
    with pytest.raises(SettingsError) as raised:
        Accounts(several(file))

    assert accounts.trouble is not None
    assert len(caplog.records) == 1
    shown = [accounts.trouble, caplog.text, repr(raised.value.problems), *traceback.format_exception(raised.value)]
    assert [text for text in shown if SECRET in text] == []


START = """
import sys
from finexio_mcp.accounts import Accounts
from finexio_mcp.settings import load
Accounts(load())
print(sorted({"keyring", "finexio_mcp.accounts.file", "sqlalchemy", "mcp", "httpx2"} & set(sys.modules)))
"""


def test_who_has_one_account_loads_nothing_for_more() -> None:
    """Ours: a start pays for what it needs."""
    done = subprocess.run([sys.executable, "-c", START], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout.strip() == "[]"
