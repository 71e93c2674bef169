"""Accounts that are added, changed and removed while the server runs."""

from __future__ import annotations

import logging
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from finexio_mcp.accounts import Account, Accounts
from finexio_mcp.accounts import accounts as accounts_module
from finexio_mcp.accounts import file as file_module
from finexio_mcp.accounts.accounts import MAX_FILE_BYTES
from finexio_mcp.accounts.keyrings import Keyring
from finexio_mcp.settings import Settings, SettingsError, load
from tests.accounts.files import SECRET, Ticks, entry, several


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """An accounts file with one account."""
    file = tmp_path / "accounts.toml"
    file.write_text(entry("acme"))
    return file


@pytest.fixture
def ticks() -> Ticks:
    """Time."""
    return Ticks()


@pytest.fixture
def accounts(file: Path, ticks: Ticks) -> Accounts:
    """Those of that file."""
    return Accounts(several(file), now=ticks)


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """What is logged of accounts, as it comes."""
    found: list[str] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(f"{record.levelname.lower()} {record.getMessage()}")

    logger, handler = logging.getLogger("finexio_mcp.accounts"), Kept()
    before = logger.level
    logger.setLevel(logging.DEBUG)
    logger.addHandler(handler)
    yield found
    logger.removeHandler(handler)
    logger.setLevel(before)


# Without a file ---------------------------------------------------------------


def test_without_a_file_there_is_the_account_of_the_environment() -> None:
    """Ours: nothing changes for those who have one account."""
    settings = load(FINEXIO_USERNAME="ap", FINEXIO_PASSWORD=SECRET)

    accounts = Accounts(settings)

    assert accounts.names() == ("default",)
    assert accounts.find("default") == Account("default", settings, settings)
    assert (accounts.find("acme"), accounts.trouble) == (None, None)


# At the start -----------------------------------------------------------------


def test_a_file_that_cannot_be_used_keeps_the_server_from_starting(file: Path) -> None:
    """Ours: with the names of what is wrong; it would serve fewer than were meant."""
    file.write_text(entry("acme", rate=-1) + entry("globex"))

    with pytest.raises(SettingsError) as raised:
        Accounts(several(file))

    assert [name for name, _ in raised.value.problems] == ["accounts.acme.rate"]


def exchange_for_a_directory(file: Path) -> None:
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize("spoil", [Path.unlink, exchange_for_a_directory])
def test_a_file_that_is_not_there_is_named(file: Path, spoil: Callable[[Path], None]) -> None:
    """Ours: by the setting that leads to it."""
    spoil(file)

    with pytest.raises(SettingsError, match="FINEXIO_MCP_ACCOUNTS_FILE names a file that cannot be read"):
        Accounts(several(file))


def test_a_file_without_end_is_not_read_to_its_end(file: Path) -> None:
    """Ours: `/dev/zero` is no list of accounts."""
    file.write_bytes(b"#" * (MAX_FILE_BYTES + 1))

    with pytest.raises(SettingsError, match="too long"):
        Accounts(several(file))


def test_a_relative_path_begins_where_the_server_was_started(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: and stays there, wherever the process goes."""
    monkeypatch.chdir(file.parent)
    ticks = Ticks()
    accounts = Accounts(several(Path("accounts.toml")), now=ticks)
    monkeypatch.chdir("/")
    file.write_text(entry("globex"))
    ticks.pass_()

    assert (accounts.names(), accounts.trouble) == (("globex",), None)


# While it runs ----------------------------------------------------------------


def test_accounts_that_are_added_changed_and_removed_are_seen_within_a_second(
    file: Path, accounts: Accounts, ticks: Ticks, lines: list[str]
) -> None:
    """Ours: without a restart, and told to the operator by name."""
    file.write_text(entry("acme", rate=2) + entry("globex"))
    ticks.pass_(0.9)
    assert accounts.names() == ("acme",)

    ticks.pass_(0.1)
    acme, globex = accounts.find("acme"), accounts.find("globex")
    file.write_text(entry("globex"))
    ticks.pass_()

    assert acme is not None
    assert acme.settings.rate == 2
    assert (accounts.find("acme"), accounts.names()) == (None, ("globex",))
    assert accounts.find("globex") is globex
    assert lines == ["info accounts added: globex", "info accounts changed: acme", "info accounts removed: acme"]


def test_an_account_stays_the_same_object_until_it_changes(file: Path, accounts: Accounts, ticks: Ticks) -> None:
    """Ours: whoever keeps something for an account sees at a glance whether it still holds."""
    before = accounts.find("acme")
    file.write_text("# a note\n" + entry("acme") + entry("globex"))
    ticks.pass_()

    assert accounts.names() == ("acme", "globex")
    assert accounts.find("acme") is before


def test_the_file_is_looked_at_once_a_second_at_most(file: Path, ticks: Ticks, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: calls come faster than people edit."""
    looks: list[float] = []
    read = accounts_module.read_file

    def counted(path: Path) -> bytes:
        looks.append(ticks.seconds)
        return read(path)

    accounts = Accounts(several(file), now=ticks)
    monkeypatch.setattr(accounts_module, "read_file", counted)

    for _ in range(100):
        assert accounts.find("acme") is not None
        assert accounts.trouble is None
        ticks.pass_(0.1)

    assert 9 <= len(looks) <= 10
    assert all(late - early >= 1 for early, late in pairwise(looks))


@pytest.mark.parametrize("text", [entry("acme"), "["])
def test_what_was_judged_is_not_judged_again(
    text: str, file: Path, accounts: Accounts, ticks: Ticks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours: neither good nor bad; with hundreds of accounts that takes its time."""
    judged: list[bytes] = []
    read = file_module.read_accounts

    def counted(content: bytes, settings: Settings, *, directory: Path, keyring: Keyring) -> dict[str, Account]:
        judged.append(content)
        return read(content, settings, directory=directory, keyring=keyring)

    monkeypatch.setattr(file_module, "read_accounts", counted)
    file.write_text(text + "# edited")

    for _ in range(5):
        ticks.pass_()
        assert accounts.names() == ("acme",)

    assert len(judged) == 1


def test_an_edit_is_seen_even_if_size_and_times_stay(file: Path, accounts: Accounts, ticks: Ticks) -> None:
    """Ours: some disks tell times in whole seconds, and some copies keep them."""
    before = file.stat()
    file.write_text(file.read_text().replace("acme", "omni"))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    ticks.pass_()

    assert file.stat().st_size == before.st_size
    assert accounts.names() == ("omni",)


def test_a_file_that_another_is_renamed_over_is_seen(file: Path, accounts: Accounts, ticks: Ticks) -> None:
    """Ours: as most editors save."""
    file.with_suffix(".new").write_text(entry("globex"))
    file.with_suffix(".new").rename(file)
    ticks.pass_()

    assert accounts.names() == ("globex",)


def test_a_link_that_is_exchanged_is_seen(tmp_path: Path, ticks: Ticks) -> None:
    """Ours: as Kubernetes exchanges what it mounts; relative password files go with the mount."""
    for number, name in enumerate(("acme", "globex")):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "accounts.toml").write_text(entry(name, password_file="secret"))
        (tmp_path / str(number) / "secret").write_text(name)
    (tmp_path / "data").symlink_to("0")
    for name in ("accounts.toml", "secret"):
        (tmp_path / name).symlink_to(Path("data") / name)
    accounts = Accounts(several(tmp_path / "accounts.toml"), now=ticks)
    first = accounts.find("acme")

    (tmp_path / "next").symlink_to("1")
    (tmp_path / "next").rename(tmp_path / "data")
    shutil.rmtree(tmp_path / "0")
    ticks.pass_()
    second = accounts.find("globex")

    assert accounts.names() == ("globex",)
    assert first is not None
    assert second is not None
    credentials = second.login.credentials()
    assert credentials is not None
    assert credentials.password.get_secret_value() == "globex"


# When an edit went wrong ------------------------------------------------------


def test_a_broken_edit_leaves_the_accounts_as_they_were_and_is_told_once(
    file: Path, accounts: Accounts, ticks: Ticks, lines: list[str]
) -> None:
    """Ours: a slip of an editor stops nobody from working, and the log is not filled with it."""
    before = accounts.find("acme")
    for text in (entry("acme", rate=-1), entry("acme", rate=-1), entry("acme", rate_burst=0)):
        file.write_text(text)
        ticks.pass_()
        assert accounts.find("acme") is before
        assert accounts.trouble is not None

    assert [line.split(": ")[-1] for line in lines] == [
        "accounts.acme.rate must be at least 0.0",
        "accounts.acme.rate_burst must be at least 1",
    ]
    assert all(line.startswith("error the accounts stay as they were") for line in lines)


def test_an_edit_that_is_mended_holds_and_is_told_once(
    file: Path, accounts: Accounts, ticks: Ticks, lines: list[str]
) -> None:
    """Ours: also where it is mended by taking it back."""
    good = file.read_text()
    for text in ("[", good, "[", good + entry("globex")):
        file.write_text(text)
        ticks.pass_()
        assert (accounts.trouble is None) is (text != "[")

    assert accounts.names() == ("acme", "globex")
    assert [line.split()[0] for line in lines] == ["error", "info", "error", "info", "info"]
    assert sum("can be used again" in line for line in lines) == 2


def test_a_file_that_goes_away_and_comes_back_changes_nothing(
    file: Path, accounts: Accounts, ticks: Ticks, lines: list[str]
) -> None:
    """Ours: some editors remove it for a moment; a mount may be late."""
    before, content = accounts.find("acme"), file.read_text()
    file.unlink()
    for _ in range(3):
        ticks.pass_()
        assert accounts.find("acme") is before
        assert accounts.trouble == "FINEXIO_MCP_ACCOUNTS_FILE names a file that cannot be read"

    file.write_text(content)
    ticks.pass_()

    assert accounts.trouble is None
    assert accounts.find("acme") is before
    assert len(lines) == 2


def test_a_file_that_is_emptied_removes_nobody(file: Path, accounts: Accounts, ticks: Ticks) -> None:
    """Ours: it is empty while it is written; who wants no account stops the server."""
    file.write_text("")
    ticks.pass_()

    assert accounts.names() == ("acme",)
    assert "without accounts" in (accounts.trouble or "")


def test_threads_that_ask_while_the_file_changes_look_once(
    file: Path, ticks: Ticks, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours: probes and calls ask at the same time; they see one list or the other, and a change is told once."""
    accounts = Accounts(several(file), now=ticks)
    file.write_text(entry("globex"))
    ticks.pass_()
    asking = threading.Semaphore(0)
    looks, seen = 0, list[tuple[str, ...]]()
    read = accounts_module.read_file

    def crowded(path: Path) -> bytes:
        nonlocal looks
        looks += 1
        # Until everybody is there who would look too.
        for _ in range(8):
            asking.acquire(timeout=5)
        asking.release(8)
        return read(path)

    def ask() -> None:
        asking.release()
        seen.append(accounts.names())

    monkeypatch.setattr(accounts_module, "read_file", crowded)
    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)

    assert looks == 1
    assert seen == [("globex",)] * 8
    assert lines == ["info accounts added: globex", "info accounts removed: acme"]
