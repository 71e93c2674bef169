"""Ways to sign in whose password stands elsewhere: in a file, in the environment, in the system's keyring."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr

from finexio_mcp.accounts.keyrings import Keyring
from finexio_mcp.settings import Credentials

MAX_PASSWORD_BYTES = 4096
"""A file that holds more holds something else."""


def environment_variable(name: str) -> str | None:
    """The one look at the environment beside the settings: what it is called stands in the operator's file."""
    return os.environ.get(name)


@dataclass(frozen=True)
class FileLogin:
    """A password in a file of its own, read each time: such files are changed while servers run."""

    key: str
    """What the operator finds the reference by, such as `accounts.acme.password_file`."""
    username: str
    path: Path

    @property
    def slow(self) -> bool:
        """A file takes no time worth a thread."""
        return False

    def credentials(self) -> Credentials | None:
        """User and password, without the end of its line."""
        try:
            with self.path.open("rb") as file:
                content = file.read(MAX_PASSWORD_BYTES + 1)
            password = content.decode().strip("\r\n")
        except (OSError, UnicodeDecodeError):
            return None
        if not password or len(content) > MAX_PASSWORD_BYTES:
            return None
        return Credentials(self.username, SecretStr(password))

    def missing_credentials(self) -> str:
        """What is wrong with the file."""
        return f"{self.key} names a file that cannot be read, is empty or is no password"


@dataclass(frozen=True)
class VariableLogin:
    """A password in a variable of the environment."""

    key: str
    username: str
    variable: str

    @property
    def slow(self) -> bool:
        """The environment takes no time."""
        return False

    def credentials(self) -> Credentials | None:
        """User and password."""
        password = environment_variable(self.variable)
        return Credentials(self.username, SecretStr(password)) if password else None

    def missing_credentials(self) -> str:
        """What is wrong with the variable."""
        return f"{self.key} names a variable that is not set in the server's environment"


@dataclass(frozen=True)
class KeyringLogin:
    """A password in the system's keyring, under a service and the user's name."""

    key: str
    username: str
    service: str
    keyring: Keyring = field(repr=False, compare=False)

    @property
    def slow(self) -> bool:
        """Unless the password is held."""
        return self.keyring.waits(self.service, self.username)

    def credentials(self) -> Credentials | None:
        """User and password."""
        password = self.keyring.password(self.service, self.username)
        return Credentials(self.username, password) if password is not None else None

    def missing_credentials(self) -> str:
        """What is wrong with the keyring."""
        return (
            f"{self.key} names a service in the system's keyring: {self.keyring.trouble(self.service, self.username)}"
        )
