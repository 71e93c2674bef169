"""One Finexio account: its name, its limits, and how to sign in there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Protocol

from finexio_mcp.settings import Credentials, Settings

ACCOUNT_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
NAME_RULE = "a name has 1 to 40 characters: a to z, 0 to 9, hyphen and underscore, and begins with a letter or a digit"


def is_account_name(value: Any) -> bool:
    """Whether an account can have this name; it need not exist."""
    return isinstance(value, str) and ACCOUNT_NAME.fullmatch(value) is not None


class Login(Protocol):
    """Where an account's user and password come from. `Settings` is one, for the account of the environment."""

    @property
    def slow(self) -> bool:
        """Whether asking may take long, so that it is done in a thread."""
        ...

    def credentials(self) -> Credentials | None:
        """User and password as they are now; `None` if one is missing."""
        ...

    def missing_credentials(self) -> str:
        """After `credentials` gave nothing: what the operator has to do."""
        ...


@dataclass(frozen=True)
class Account:
    """An account as it is configured; two that are equal are the same in everything that the server goes by."""

    name: str
    settings: Settings
    """The server's, with this account's limits in place."""
    login: Login
