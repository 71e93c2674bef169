"""Accounts files for tests, and a clock that moves when it is told to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finexio_mcp.accounts.account import Account
from finexio_mcp.accounts.file import read_accounts
from finexio_mcp.accounts.keyrings import Keyring
from finexio_mcp.settings import Settings, SettingsError, load

SECRET = "QXZ918273645"
"""Stands where no secret should, and must come out nowhere."""
ENV = "ACME_PASSWORD"


@dataclass
class Ticks:
    """Seconds that pass when a test says so."""

    seconds: float = 1_000.0

    def __call__(self) -> float:
        return self.seconds

    def pass_(self, seconds: float = 1.0) -> None:
        """Let time go by."""
        self.seconds += seconds


def entry(name: str = "acme", **keys: Any) -> str:
    """One account in TOML; without a reference, its password is in the environment."""
    given = {"username": f"{name}-api", **keys}
    if not any(key.startswith("password") for key in given):
        given["password_env"] = ENV
    return "".join([f"[accounts.{name}]\n", *(f"{key} = {written(value)}\n" for key, value in given.items())])


def written(value: Any) -> str:
    """A value as TOML has it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return (
            '"' + "".join(sign if sign.isalnum() or sign in "/._- " else f"\\U{ord(sign):08X}" for sign in value) + '"'
        )
    if isinstance(value, list):
        return f"[{', '.join(written(each) for each in value)}]"  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, dict):
        inside = (f"{written(key)} = {written(each)}" for key, each in value.items())  # pyright: ignore[reportUnknownVariableType]
        return f"{{{', '.join(inside)}}}"
    return repr(value)


def several(file: Path, **more: Any) -> Settings:
    """Settings of a server with an accounts file."""
    return load(FINEXIO_MCP_ACCOUNTS_FILE=str(file), **more)


def understood(text: str | bytes, directory: Path = Path("/etc/finexio"), **settings: Any) -> dict[str, Account]:
    """The accounts in a file with this content."""
    content = text.encode() if isinstance(text, str) else text
    given = several(directory / "accounts.toml", **settings)
    return read_accounts(content, given, directory=directory, keyring=Keyring())


def tried(text: str | bytes) -> dict[str, Account] | SettingsError:
    """The accounts in a file with this content, or why there are none."""
    try:
        return understood(text)
    except SettingsError as error:
        return error


def refused(text: str | bytes) -> dict[str, str]:
    """Each key that is refused, with what is wrong."""
    found = tried(text)
    assert isinstance(found, SettingsError)
    assert found.problems
    assert SECRET not in str(found)
    return dict(found.problems)
