"""The system's keyring: another program, which may take its time or ask a person before it answers."""

from __future__ import annotations

import importlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pydantic import SecretStr

HELD_SECONDS = 60.0
"""A password is not asked for again within this time."""
REST_SECONDS = 5.0
"""Nor is one that could not be had, or each call would open a dialog."""
GRACE_SECONDS = 5.0
"""From finding that nobody has to wait to taking the password, time passes."""
PATIENCE_SECONDS = 5.0
"""How long somebody waits for an answer that somebody else has asked for."""

BUSY = "it has not answered yet; does it ask somebody for a password?"
NOT_ASKED = "it was not asked yet"
NO_PACKAGE = "the package for it is missing; install finexio-mcp with the extra `keyring`"
NO_PASSWORD = "it has no password for this user under this service"
LOCKED = "it is locked; unlock it"
NO_KEYRING = "this machine has none that can be used; keep the password in a file instead"


@dataclass(frozen=True)
class Answer:
    """What the keyring said, and when."""

    at: float
    password: SecretStr | None
    trouble: str = ""


@dataclass(eq=False)
class _Slot:
    answer: Answer | None = None
    asking: threading.Lock = field(default_factory=threading.Lock)


class Keyring:
    """Passwords from the keyring, held for a minute.

    Args:
        now: Seconds that only ever grow.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._slots: dict[tuple[str, str], _Slot] = {}

    def waits(self, service: str, username: str) -> bool:
        """Whether the keyring would have to be asked."""
        return self._held(self._slot(service, username)) is None

    def password(self, service: str, username: str) -> SecretStr | None:
        """The password, from the keyring unless it is held. May take long."""
        slot = self._slot(service, username)
        answer = self._held(slot, GRACE_SECONDS)
        # Whoever waits finds what the one before has got; a dialog that nobody answers holds up nobody else.
        if answer is None and slot.asking.acquire(timeout=PATIENCE_SECONDS):
            try:
                answer = slot.answer = self._held(slot, GRACE_SECONDS) or self._ask(service, username)
            finally:
                slot.asking.release()
        return answer.password if answer is not None else None

    def trouble(self, service: str, username: str) -> str:
        """Why there was no password."""
        slot = self._slot(service, username)
        if slot.asking.locked():
            return BUSY
        return (slot.answer.trouble if slot.answer is not None else "") or NOT_ASKED

    def _slot(self, service: str, username: str) -> _Slot:
        return self._slots.setdefault((service, username), _Slot())

    def _held(self, slot: _Slot, grace_seconds: float = 0) -> Answer | None:
        answer = slot.answer
        if answer is None:
            return None
        bound = REST_SECONDS if answer.password is None else HELD_SECONDS
        return answer if self._now() - answer.at < bound + grace_seconds else None

    def _ask(self, service: str, username: str) -> Answer:
        try:
            # Not before it is needed: it is an extra, and looks for keyrings when it is loaded.
            keyring: Any = importlib.import_module("keyring")
        except ImportError:
            return Answer(self._now(), None, NO_PACKAGE)
        try:
            found = keyring.get_password(service, username)
        except Exception as error:
            # It raises whatever its system raises, and the text of that may hold anything.
            return Answer(self._now(), None, _advice(keyring.errors, error))
        return Answer(self._now(), SecretStr(found)) if found else Answer(self._now(), None, NO_PASSWORD)


def _advice(errors: Any, error: Exception) -> str:
    if isinstance(error, errors.KeyringLocked):
        return LOCKED
    if isinstance(error, errors.NoKeyringError):
        return NO_KEYRING
    return f"it cannot be asked ({type(error).__name__})"
