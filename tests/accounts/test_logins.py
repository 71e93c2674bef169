"""Where passwords come from: read when they are needed, and what is said when they are not there."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.backends import fail
from keyring.errors import KeyringError, KeyringLocked

from finexio_mcp.accounts import Login, keyrings
from finexio_mcp.accounts.keyrings import GRACE_SECONDS, HELD_SECONDS, REST_SECONDS, Keyring
from finexio_mcp.accounts.logins import MAX_PASSWORD_BYTES, FileLogin, KeyringLogin, VariableLogin
from finexio_mcp.settings import load
from tests.accounts.files import SECRET, Ticks

USER, SERVICE = "acme-api", "finexio-mcp"


def password(login: Login) -> str | None:
    """What it finds, for the one user of these tests."""
    credentials = login.credentials()
    if credentials is None:
        return None
    assert credentials.username == USER
    return credentials.password.get_secret_value()


def test_the_settings_are_a_login_too() -> None:
    """Ours: for the one account of the environment."""
    login: Login = load(FINEXIO_USERNAME=USER, FINEXIO_PASSWORD=SECRET)

    assert password(login) == SECRET
    assert not login.slow


# In a file --------------------------------------------------------------------


def test_a_password_file_is_read_each_time(tmp_path: Path) -> None:
    """Ours: whoever changes a password restarts nothing. The end of its line is no part of it, blanks are."""
    login = FileLogin("accounts.acme.password_file", USER, tmp_path / "password")

    found: list[str | None] = [password(login)]
    for content in ("first", "second\n", " third \r\n", "vierte-ß"):
        login.path.write_text(content, encoding="utf-8")
        found.append(password(login))

    assert found == [None, "first", "second", " third ", "vierte-ß"]
    assert not login.slow


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe", b"x" * (MAX_PASSWORD_BYTES + 1)])
def test_a_file_that_is_no_password_is_named_by_its_key(tmp_path: Path, content: bytes) -> None:
    """Ours: the words go to whoever calls, so neither path nor content is in them."""
    login = FileLogin("accounts.acme.password_file", USER, tmp_path / "password")
    login.path.write_bytes(content)

    assert password(login) is None
    assert login.missing_credentials().startswith("accounts.acme.password_file names a file that cannot be read")
    assert str(tmp_path) not in login.missing_credentials()


def test_a_directory_is_no_password(tmp_path: Path) -> None:
    """Ours: what a container makes where a mounted file is missing."""
    assert password(FileLogin("accounts.acme.password_file", USER, tmp_path)) is None


# In the environment -----------------------------------------------------------


def test_a_variable_is_looked_up_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: unset and empty are the same."""
    login = VariableLogin("accounts.acme.password_env", USER, "ACME_PASSWORD")

    found: list[str | None] = [password(login)]
    for value in ("first", "", "second"):
        monkeypatch.setenv("ACME_PASSWORD", value)
        found.append(password(login))

    assert found == [None, "first", None, "second"]
    assert login.missing_credentials().startswith("accounts.acme.password_env names a variable that is not set")
    assert not login.slow


# In the keyring ---------------------------------------------------------------


class Ring(KeyringBackend):
    """A keyring in memory, that can be locked."""

    # Never chosen by itself, where other tests look for a keyring.
    priority = 0  # type: ignore[assignment]  # pyright: ignore

    def __init__(self) -> None:
        super().__init__()
        self.entries: dict[tuple[str, str], str] = {}
        self.asked = 0
        self.trouble: Exception | None = None
        self.before: Callable[[], object] = int

    def get_password(self, service: str, username: str) -> str | None:
        """As the library asks."""
        self.asked += 1
        self.before()
        if self.trouble is not None:
            raise self.trouble
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        """As the library tells."""
        self.entries[(service, username)] = password

    def delete_password(self, service: str, username: str) -> None:
        """As the library tells."""
        del self.entries[(service, username)]


@pytest.fixture
def ring() -> Iterator[Ring]:
    """The system's keyring, as far as the library is concerned."""
    before, ring = keyring.get_keyring(), Ring()
    keyring.set_keyring(ring)
    keyring.set_password(SERVICE, USER, "first")
    yield ring
    keyring.set_keyring(before)


@pytest.fixture
def ticks() -> Ticks:
    """Time."""
    return Ticks()


@pytest.fixture
def login(ticks: Ticks) -> KeyringLogin:
    """One that looks into the keyring."""
    return KeyringLogin("accounts.acme.password_keyring", USER, SERVICE, Keyring(ticks))


def test_a_password_from_the_keyring_is_held_for_a_minute(ring: Ring, login: KeyringLogin, ticks: Ticks) -> None:
    """Ours: another program is not asked for each request, and a changed password is found."""
    assert login.slow
    assert password(login) == "first"
    keyring.set_password(SERVICE, USER, "second")

    ticks.pass_(HELD_SECONDS - 1)
    assert not login.slow
    assert (password(login), ring.asked) == ("first", 1)

    ticks.pass_(1)
    assert login.slow
    ticks.pass_(GRACE_SECONDS)
    assert (password(login), ring.asked) == ("second", 2)


def test_who_was_told_that_nothing_takes_long_does_not_wait(ring: Ring, login: KeyringLogin, ticks: Ticks) -> None:
    """Ours: time passes between the question and the answer, and the event loop must not stand still."""
    password(login)
    ticks.pass_(HELD_SECONDS - 0.01)
    assert not login.slow

    ticks.pass_(1)

    assert (password(login), ring.asked) == ("first", 1)


class Strange(Exception):
    """Of a backend."""


TROUBLES = {
    "locked": (KeyringLocked(SECRET), "it is locked; unlock it"),
    "some other": (KeyringError(SECRET), "it cannot be asked (KeyringError)"),
    "of a backend": (Strange(SECRET), "it cannot be asked (Strange)"),
}


@pytest.mark.parametrize(("trouble", "words"), TROUBLES.values(), ids=TROUBLES)
def test_a_keyring_that_gives_nothing_is_explained_without_its_own_words(
    ring: Ring, login: KeyringLogin, trouble: Exception, words: str
) -> None:
    """Ours: what a backend says may hold anything."""
    ring.trouble = trouble

    assert password(login) is None
    assert login.missing_credentials().endswith(words)
    assert login.missing_credentials().startswith("accounts.acme.password_keyring names a service")


def test_a_keyring_without_the_password_is_explained(ring: Ring, login: KeyringLogin) -> None:
    """Ours: it is there and open, and has nothing for this user."""
    keyring.delete_password(SERVICE, USER)

    assert password(login) is None
    assert login.missing_credentials().endswith(keyrings.NO_PASSWORD)


def test_a_machine_without_a_keyring_is_explained(login: KeyringLogin) -> None:
    """Ours: most servers have none."""
    before = keyring.get_keyring()
    keyring.set_keyring(fail.Keyring())
    try:
        assert password(login) is None
    finally:
        keyring.set_keyring(before)

    assert login.missing_credentials().endswith(keyrings.NO_KEYRING)


def test_a_missing_package_is_named_by_its_extra(login: KeyringLogin, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: it is an extra."""
    monkeypatch.setitem(sys.modules, "keyring", None)

    assert password(login) is None
    assert "extra `keyring`" in login.missing_credentials()


def test_after_a_failure_the_keyring_rests_for_a_moment(ring: Ring, login: KeyringLogin, ticks: Ticks) -> None:
    """Ours: each call would open a dialog otherwise; once it is unlocked, calls work again by themselves."""
    ring.trouble = KeyringLocked()
    assert [password(login) for _ in range(5)] == [None] * 5
    assert (ring.asked, login.slow) == (1, False)

    ring.trouble = None
    ticks.pass_(REST_SECONDS)
    assert login.slow
    ticks.pass_(GRACE_SECONDS)

    assert password(login) == "first"


def test_nothing_is_said_of_a_keyring_that_was_not_asked(login: KeyringLogin) -> None:
    """Ours: nothing is claimed."""
    assert login.missing_credentials().endswith(keyrings.NOT_ASKED)


def test_many_who_ask_at_once_are_one_question(ring: Ring, login: KeyringLogin) -> None:
    """Ours: one dialog is enough."""
    asking, found = threading.Semaphore(0), list[str | None]()

    def wait_for_all() -> None:
        for _ in range(8):
            asking.acquire(timeout=5)
        asking.release(8)

    def ask() -> None:
        asking.release()
        found.append(password(login))

    ring.before = wait_for_all
    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)

    assert (found, ring.asked) == (["first"] * 8, 1)


def test_who_waits_for_a_dialog_of_another_gives_up(
    ring: Ring, login: KeyringLogin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours: one that nobody answers holds up neither later calls nor another account."""
    monkeypatch.setattr(keyrings, "PATIENCE_SECONDS", 0.01)
    keyring.set_password("other", USER, "another")
    open_, answered = threading.Event(), threading.Event()

    def wait() -> None:
        if ring.asked == 1:
            open_.set()
            answered.wait(5)

    ring.before = wait
    asker = threading.Thread(target=login.credentials)
    asker.start()
    assert open_.wait(5)

    try:
        assert password(login) is None
        assert login.missing_credentials().endswith(keyrings.BUSY)
        assert password(KeyringLogin("accounts.b.password_keyring", USER, "other", login.keyring)) == "another"
    finally:
        answered.set()
        asker.join(5)
    assert password(login) == "first"


def test_a_keyring_is_not_asked_whether_it_would_have_to_be(ring: Ring, login: KeyringLogin) -> None:
    """Ours: the event loop wants to know."""
    assert login.slow
    assert ring.asked == 0
