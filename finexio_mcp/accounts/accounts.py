"""Which accounts there are: those of a file that may change while the server runs, or the one of the environment."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from finexio_mcp.accounts.account import Account
from finexio_mcp.settings import DEFAULT_ACCOUNT, NAMES, SettingProblem, Settings, SettingsError

if TYPE_CHECKING:
    from finexio_mcp.accounts.keyrings import Keyring

LOOK_SECONDS = 1.0
"""The file is looked at no more often than this."""
MAX_FILE_BYTES = 262_144

logger = logging.getLogger("finexio_mcp.accounts")


class Accounts:
    """The accounts as they are now. May be asked from any thread.

    Args:
        settings: The server's.
        now: Seconds that only ever grow.

    Raises:
        SettingsError: The file cannot be used; each problem is named. Later, what was read before stays.
    """

    def __init__(self, settings: Settings, *, now: Callable[[], float] = time.monotonic) -> None:
        self._settings, self._now = settings, now
        self._keyring: Keyring | None = None
        self._lock = threading.Lock()
        self._trouble: str | None = None
        self._content: bytes | None = None
        """What was judged last, for good or bad."""
        self._accounts: Mapping[str, Account] = {DEFAULT_ACCOUNT: Account(DEFAULT_ACCOUNT, settings, settings)}
        # Not resolved: where secrets are mounted, a link is what is exchanged.
        self._file = Path(os.path.abspath(settings.accounts_file)) if settings.accounts_file is not None else None
        self._looked_at = now()
        if self._file is not None:
            self._content = read_file(self._file)
            self._accounts = self._understood(self._content, self._file)

    def find(self, name: str) -> Account | None:
        """The account of this name; the same object until something about it changes."""
        self._look()
        return self._accounts.get(name)

    def names(self) -> tuple[str, ...]:
        """Of all accounts, in the file's order."""
        self._look()
        return tuple(self._accounts)

    @property
    def trouble(self) -> str | None:
        """Why the file cannot be used as it is now. The accounts are then those that it had before."""
        self._look()
        return self._trouble

    def _look(self) -> None:
        if self._file is None or self._is_fresh():
            return
        with self._lock:
            # Whoever waited here finds that somebody else has just looked.
            if self._is_fresh():
                return
            try:
                self._take(self._file)
            except SettingsError as error:
                self._doubt(str(error))
            finally:
                self._looked_at = self._now()

    def _is_fresh(self) -> bool:
        return self._now() - self._looked_at < LOOK_SECONDS

    def _take(self, file: Path) -> None:
        # All of it rather than its times and size, by which two edits in one tick of a disk's clock look the same.
        judged, self._content = self._content, None
        self._content = read_file(file)
        if self._content == judged:
            return
        accounts = self._understood(self._content, file)
        _log_changes(self._accounts, accounts)
        self._accounts = accounts
        if self._trouble is not None:
            self._trouble = None
            logger.info("the accounts file can be used again")

    def _doubt(self, trouble: str) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            logger.error("the accounts stay as they were, since the accounts file cannot be used: %s", trouble)

    def _understood(self, content: bytes, file: Path) -> dict[str, Account]:
        # Not before there is a file: most servers have one account, and start without this.
        from finexio_mcp.accounts.file import read_accounts
        from finexio_mcp.accounts.keyrings import Keyring

        # One for all that is read here: what it holds outlasts a change of the file.
        self._keyring = self._keyring or Keyring(self._now)
        found = read_accounts(content, self._settings, directory=file.parent, keyring=self._keyring)
        return {name: _same(self._accounts.get(name), account) for name, account in found.items()}


def _same(before: Account | None, now: Account) -> Account:
    return before if before == now and before is not None else now


def read_file(file: Path) -> bytes:
    """All of it, as far as it can be a list of accounts."""
    try:
        with file.open("rb") as opened:
            content = opened.read(MAX_FILE_BYTES + 1)
    except OSError:
        raise _refused("names a file that cannot be read") from None
    if len(content) > MAX_FILE_BYTES:
        raise _refused("names a file that is too long for a list of accounts")
    return content


def _refused(problem: str) -> SettingsError:
    return SettingsError([SettingProblem(NAMES["accounts_file"], problem)])


def _log_changes(before: Mapping[str, Account], now: Mapping[str, Account]) -> None:
    changes = {
        "added": [name for name in now if name not in before],
        "changed": [name for name in now if name in before and now[name] is not before[name]],
        "removed": [name for name in before if name not in now],
    }
    for what, names in changes.items():
        if names:
            logger.info("accounts %s: %s", what, ", ".join(names))
