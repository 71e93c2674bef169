"""Where the ledger lives: one place per API and user, made once, and only on disks that keep what they are given."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import stat
import string
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path, PurePosixPath
from secrets import token_hex
from types import FrameType
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import SecretStr

from finexio_mcp.guards.ledger import place as module
from finexio_mcp.guards.ledger import schema
from finexio_mcp.guards.ledger.place import (
    GLANCE,
    LEDGER_VERSION,
    OLD_LEDGER_VERSION,
    OURS,
    Mount,
    Peeked,
    Place,
    describe,
    is_new,
    locate,
    mount_of,
    parse_mountinfo,
    peek,
    prepare,
    scope_of,
    seal,
    slug_of,
    volatile_reason,
)
from finexio_mcp.guards.ledger.rows import Look, Outcome, Rules
from finexio_mcp.guards.ledger.states import State
from finexio_mcp.guards.ledger.store import Store, open_store
from finexio_mcp.guards.ledger.trouble import Kind, Unusable
from finexio_mcp.settings import Settings, load

from .conftest import LEASE_MS, RULES, START_MS, end_of, invoice

STATE_KEY = "k" * 40
PASSWORD = "s3cr3t-Passw0rd"


def settings_of(**given: Any) -> Settings:
    """Settings of a test: wherever its directory is, the disk is good enough."""
    return load(**{"FINEXIO_MCP_ALLOW_VOLATILE_LEDGER": "1", **given})


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state directory of the test's own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def settings() -> Settings:
    return settings_of()


@pytest.fixture
def place(settings: Settings) -> Place:
    return locate(settings)


def file_of(place: Place) -> Path:
    assert place.file is not None
    return place.file


def key_of(place: Place) -> Path:
    assert place.key_file is not None
    return place.key_file


def found(directory: Path) -> dict[str, tuple[int, bytes]]:
    """Everything under a directory: modes and contents."""
    return {
        str(path.relative_to(directory)): (path.lstat().st_mode, path.read_bytes() if path.is_file() else b"")
        for path in sorted(directory.rglob("*"))
    }


def put_in_place(file: Path, content: bytes) -> None:
    """As the store does: by a name aside, and never in another's place."""
    aside = file.with_name(token_hex(8))
    aside.write_bytes(content)
    with suppress(FileExistsError):
        os.link(aside, file)
    aside.unlink()


def start(place: Place, settings: Settings, *, until: str = "sealed") -> bytes:
    """A first start as the server makes it; what stands for the ledger is a file that is there whole or not at all."""
    key = prepare(place, settings)
    if until != "key":
        if is_new(place):
            put_in_place(file_of(place), b"ledger")
        if until != "ledger":
            seal(place)
    return key


def refused(place: Place, settings: Settings) -> Unusable:
    """Why a place cannot be used; nothing under the state directory may change by asking."""
    root = file_of(place).parent
    before = found(root)
    with pytest.raises(Unusable) as caught:
        prepare(place, settings)
    assert found(root) == before
    return caught.value


# Names -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spelt", "scope"),
    [
        ("https://api.finexio.com/v2", "https://api.finexio.com/v2"),
        ("HTTPS://API.Finexio.com/v2/", "https://api.finexio.com/v2"),
        ("https://api.finexio.com.:443/v2", "https://api.finexio.com/v2"),
        ("https://api.finexio.com:8443/v2", "https://api.finexio.com:8443/v2"),
        ("http://127.0.0.1:80/v2", "http://127.0.0.1/v2"),
        ("http://[::1]:8931/v2", "http://[::1]:8931/v2"),
        ("https://api.finexio.com/V2", "https://api.finexio.com/V2"),
    ],
)
def test_a_scope_is_the_same_however_it_is_spelt(spelt: str, scope: str) -> None:
    """Ours: two spellings of one address must not pay one invoice twice; two addresses must not share."""
    assert scope_of(spelt) == scope
    assert scope_of(scope) == scope


HOSTS = st.text(string.ascii_letters + string.digits + ".-_:", min_size=1, max_size=300)


@given(st.lists(HOSTS.map(lambda host: f"https://{host.replace(':', '')}/v2"), min_size=2, max_size=2, unique=True))
def test_a_directory_name_is_harmless_and_belongs_to_one_scope(scopes: list[str]) -> None:
    """Ours: on every file system, whatever the address."""
    one, other = (slug_of(scope) for scope in scopes)

    assert one != other
    for slug in (one, other):
        assert set(slug) <= set(string.ascii_lowercase + string.digits + "-")
        assert slug[0] != "-"
        assert len(slug) <= 49


def test_a_directory_name_shows_people_which_api_it_is_for() -> None:
    """Ours: and its end tells apart what a host has several of."""
    assert slug_of("https://api.finexio.com/v2").startswith("api-finexio-com-")
    assert slug_of("https://api.finexio.com/v2") != slug_of("https://api.finexio.com/v3")


def test_a_ledger_is_in_the_state_directory_of_the_user(place: Place, state: Path) -> None:
    """Ours: every desktop host that starts a server of its own meets the same file."""
    assert file_of(place) == state / "finexio-mcp" / slug_of("https://api.finexio-stage.com/v2") / "ledger.db"
    assert key_of(place) == file_of(place).with_name("ledger.key")
    assert place.scope == "https://api.finexio-stage.com/v2"
    assert not place.memory


@pytest.mark.parametrize("value", ["", "relative/state"])
def test_without_a_usable_state_directory_it_is_the_usual_one(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Documented: relative values of XDG_STATE_HOME are to be ignored (XDG base directories)."""
    monkeypatch.setenv("XDG_STATE_HOME", value)
    monkeypatch.setenv("HOME", "/home/somebody")

    assert file_of(locate(settings_of())).is_relative_to("/home/somebody/.local/state/finexio-mcp")


def test_each_api_has_a_ledger_of_its_own(place: Place) -> None:
    """Ours: what was submitted to the sandbox says nothing about production."""
    assert locate(settings_of(FINEXIO_ENVIRONMENT="production")).file != place.file


def test_a_file_may_be_named() -> None:
    """Ours: with the key beside it, so that several ledgers may share a directory."""
    named = locate(settings_of(FINEXIO_MCP_LEDGER_URL="sqlite:////srv/pay%20ables/a.db"))

    assert (named.file, named.key_file) == (Path("/srv/pay ables/a.db"), Path("/srv/pay ables/a.key"))
    assert named.url == "sqlite:////srv/pay%20ables/a.db"
    other = locate(settings_of(FINEXIO_MCP_LEDGER_URL="sqlite:////srv/pay%20ables/a.sqlite"))
    assert other.key_file != named.key_file


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///relative.db",
        "sqlite:////srv/ledger.key",
        "sqlite:////srv/../ledger.db",
        "sqlite:////srv/ledger.db?mode=memory",
        "sqlite:////srv/%00.db",
        "sqlite:////srv/directory/",
        "sqlite:///:memory:",
    ],
)
def test_an_address_that_is_no_plain_file_stops_writes_only(url: str) -> None:
    """Ours: the server starts and reads; what is wrong is said when something is to be written."""
    odd = locate(Settings.model_construct(ledger_url=SecretStr(url)))

    with pytest.raises(Unusable) as caught:
        prepare(odd, settings_of())

    assert caught.value.kind == "misconfigured"
    assert odd.file is None


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_postgresql_is_spoken_to_through_psycopg(scheme: str) -> None:
    """Ours: however the address is written."""
    settings = settings_of(
        FINEXIO_MCP_LEDGER_URL=f"{scheme}://ledger:{PASSWORD}@db.example.com:5433/books?sslmode=verify-full",
        FINEXIO_MCP_STATE_KEY=STATE_KEY,
    )
    shared = locate(settings)

    assert shared.url == f"postgresql+psycopg://ledger:{PASSWORD}@db.example.com:5433/books?sslmode=verify-full"
    assert (shared.file, shared.key_file, shared.memory) == (None, None, False)
    assert describe(shared) == "PostgreSQL on db.example.com:5433, database books"
    assert PASSWORD not in repr(shared)
    assert prepare(shared, settings) == prepare(shared, settings)
    assert not is_new(shared)
    seal(shared)


def test_postgresql_without_its_driver_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: it is an extra."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    settings = settings_of(FINEXIO_MCP_LEDGER_URL="postgresql://db.example.com/x", FINEXIO_MCP_STATE_KEY=STATE_KEY)

    with pytest.raises(Unusable) as caught:
        prepare(locate(settings), settings)

    assert caught.value.kind == "no_driver"


def test_hosts_that_share_a_ledger_need_its_key() -> None:
    """Ours: a key of its own on each host would recognise nothing of the others'."""
    url = SecretStr("postgresql://db.example.com/books")
    settings = settings_of().model_copy(update={"ledger_url": url, "state_key": None})

    with pytest.raises(Unusable) as caught:
        prepare(locate(settings), settings)

    assert caught.value.kind == "missing_key"
    assert "FINEXIO_MCP_STATE_KEY" in caught.value.advice


def test_the_simulator_in_memory_has_its_ledger_in_memory(tmp_path: Path) -> None:
    """Ours: what is forgotten on one side would otherwise be refused by the other, whatever else is set."""
    settings = settings_of(
        FINEXIO_ENVIRONMENT="simulator", FINEXIO_MCP_LEDGER_URL=f"sqlite:///{tmp_path}/own/ledger.db"
    )
    passing = locate(settings)

    assert passing.memory
    assert len(prepare(passing, settings)) == 32
    assert prepare(passing, settings) != prepare(passing, settings)
    assert describe(passing) == "in memory; it ends with the process"
    assert list(tmp_path.iterdir()) == []


PARTS = st.text(string.ascii_letters + string.digits, min_size=6).map(lambda text: f"Zq{text}")


@pytest.mark.parametrize("form", ["u:{}@db.example.com:5433/books", "db.example.com/books?password={}", "{}@h/d"])
@given(PARTS, st.sampled_from(["", "@", "/", "?", "#", ":", "%40"]), PARTS)
def test_a_description_never_tells_a_password(form: str, one: str, odd: str, other: str) -> None:
    """Ours: not even a part of one that was not escaped as it should be."""
    url = f"postgresql+psycopg://{form.format(one + odd + other)}"

    told = describe(Place(url, None, None, memory=False, scope=""))

    assert one not in told
    assert other not in told


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("ledger:x@[::1]:5433/books", "PostgreSQL on [::1]:5433, database books"),
        ("/books?host=/run", "PostgreSQL on this machine, database books"),
        ("db.example.com", "PostgreSQL on db.example.com, database (default)"),
    ],
)
def test_a_description_tells_which_server_it_is(address: str, told: str) -> None:
    """Ours: in a few words."""
    assert describe(Place(f"postgresql+psycopg://{address}", None, None, memory=False, scope="")) == told


def test_looking_for_the_place_loads_no_database() -> None:
    """Ours: a start asks for it, and is to stay quick."""
    code = "import sys, finexio_mcp.guards.ledger.place as p; p.peek; print('sqlalchemy' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout.strip() == "False"


# The first start -------------------------------------------------------------------


def test_a_first_start_makes_a_directory_and_a_key_for_this_user_alone(place: Place, settings: Settings) -> None:
    """Ours: the ledger tells who is paid what."""
    key = prepare(place, settings)

    assert len(key) == 32
    assert is_new(place)
    for directory in (file_of(place).parent, file_of(place).parent.parent):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert found(file_of(place).parent) == {"ledger.key.new": (stat.S_IFREG | 0o600, key)}


def test_the_key_stays_what_it_is(place: Place, settings: Settings) -> None:
    """Ours: before the ledger stands, when it does, and ever after."""
    key = prepare(place, settings)
    assert prepare(place, settings) == key
    file_of(place).write_bytes(b"ledger")
    assert prepare(place, settings) == key
    assert is_new(place)

    seal(place)
    seal(place)

    assert not is_new(place)
    assert prepare(place, settings) == key
    assert sorted(found(file_of(place).parent)) == ["ledger.db", "ledger.key"]


def test_a_ledger_that_does_not_stand_is_not_sealed(place: Place, settings: Settings) -> None:
    """Ours: it would be missed for ever."""
    prepare(place, settings)

    with pytest.raises(Unusable) as caught:
        seal(place)

    assert caught.value.kind == "missing_file"
    assert is_new(place)


def test_a_ledger_that_was_removed_is_not_made_anew(place: Place, settings: Settings) -> None:
    """Ours: what it knew would be paid twice."""
    start(place, settings)
    file_of(place).unlink()

    trouble = refused(place, settings)

    assert trouble.kind == "missing_file"
    assert "ledger.key" in trouble.advice
    assert not is_new(place)


def test_an_operator_may_start_afresh_by_removing_both(place: Place, settings: Settings) -> None:
    """Ours: as the advice says."""
    first = start(place, settings)
    file_of(place).unlink()
    key_of(place).unlink()

    assert start(place, settings) != first


def test_a_key_that_was_removed_is_not_made_anew(place: Place, settings: Settings) -> None:
    """Ours: nothing that was submitted would be recognised by another."""
    start(place, settings)
    key_of(place).unlink()

    assert refused(place, settings).kind == "missing_key"


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 33])
def test_a_key_of_another_length_is_refused(content: bytes, place: Place, settings: Settings) -> None:
    """Ours: a key that was cut off recognises nothing."""
    start(place, settings)
    key_of(place).write_bytes(content)

    assert refused(place, settings).kind == "wrong_key"


def test_an_empty_file_where_a_ledger_was_is_damage(place: Place, settings: Settings) -> None:
    """Ours: SQLite itself would take it for a new database."""
    start(place, settings)
    file_of(place).write_bytes(b"")

    assert refused(place, settings).kind == "damaged"


def test_an_empty_file_of_a_first_start_that_was_cut_short_is_not(place: Place, settings: Settings) -> None:
    """Ours: whoever made it had recorded nothing yet."""
    key = prepare(place, settings)
    file_of(place).write_bytes(b"")

    assert prepare(place, settings) == key
    assert is_new(place)


# Whatever comes in between ---------------------------------------------------------


@contextmanager
def before_each_line(act: Callable[[int], None]) -> Generator[None]:
    """Do something before each line that runs in the module under test, counted from 1."""
    line = 0

    def trace(frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal line
        if frame.f_code.co_filename != module.__file__:
            return None
        if event == "line":
            line += 1
            sys.settrace(None)
            act(line)
            sys.settrace(trace)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)


def fresh_place(root: Path, number: int) -> tuple[Place, Settings]:
    settings = settings_of(FINEXIO_MCP_LEDGER_URL=f"sqlite:///{root}/{number}/ledger.db")
    return locate(settings), settings


def test_a_crash_at_any_line_of_the_first_start_heals_by_itself(tmp_path: Path) -> None:
    """Ours: the next start goes on where it ended, and a ledger that is removed then is still missed."""
    first, settings = fresh_place(tmp_path, 0)
    lines: list[int] = []

    def keep_what_a_crash_would_leave(line: int) -> None:
        lines.append(line)
        if file_of(first).parent.exists():
            shutil.copytree(file_of(first).parent, tmp_path / str(line))

    with before_each_line(keep_what_a_crash_would_leave):
        start(first, settings)

    left = {line: sorted(name[:15] for name in found(tmp_path / str(line))) for line in lines}
    assert len(lines) > 50
    assert sorted({tuple(names) for names in left.values()}) == [
        (),
        ("ledger.db", "ledger.key"),
        ("ledger.db", "ledger.key", "ledger.key.new"),
        ("ledger.db", "ledger.key.new"),
        ("ledger.key.new",),
        ("ledger.key.new", "ledger.key.new."),
        ("ledger.key.new.",),
    ]
    modes = {mode for line in lines for name, (mode, _) in found(tmp_path / str(line)).items() if "key" in name}
    assert modes == {stat.S_IFREG | 0o600}
    for line in lines:
        crashed, settings = fresh_place(tmp_path, line)

        key = start(crashed, settings)

        assert prepare(crashed, settings) == key == key_of(crashed).read_bytes()
        assert len(key) == 32
        assert not is_new(crashed)
        file_of(crashed).unlink()
        assert refused(crashed, settings).kind == "missing_file"


@pytest.mark.parametrize("stage", ["key", "ledger", "sealed"])
def test_another_first_start_at_any_line_leads_to_one_key(
    stage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours: whichever is overtaken, and however far, both use the key that stays, and nobody sees half of one."""
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
    lines = 1
    number = 0
    while number < lines:
        number += 1
        fresh, settings = fresh_place(tmp_path, number)
        faster: list[bytes] = []
        lines = 0

        def overtake(line: int) -> None:
            nonlocal lines
            lines = line
            if line == number:  # noqa: B023  (called before the next turn)
                faster.append(start(fresh, settings, until=stage))  # noqa: B023

        with before_each_line(overtake):
            slower = start(fresh, settings)

        assert faster in ([slower], [])
        assert key_of(fresh).read_bytes() == slower
        assert sorted(found(file_of(fresh).parent)) == ["ledger.db", "ledger.key"]
    assert number > 50


def test_many_first_starts_at_once_end_with_one_key(tmp_path: Path) -> None:
    """Ours: several desktop hosts start their servers at the same moment."""
    racers, rounds = 6, 15
    barrier = threading.Barrier(racers, timeout=20)
    keys: list[set[bytes]] = [set() for _ in range(rounds)]
    failures: list[BaseException] = []

    def race() -> None:
        try:
            for number in range(rounds):
                settings = settings_of(FINEXIO_MCP_LEDGER_URL=f"sqlite:///{tmp_path}/{number}/ledger.db")
                barrier.wait()
                keys[number].add(start(locate(settings), settings))
        except BaseException as error:
            barrier.abort()
            failures.append(error)

    racing = [threading.Thread(target=race) for _ in range(racers)]
    for racer in racing:
        racer.start()
    for racer in racing:
        racer.join(timeout=30)

    assert failures == []
    assert [len(seen) for seen in keys] == [1] * rounds


# Permissions -----------------------------------------------------------------------


def test_what_is_too_open_in_our_own_directory_is_closed(place: Place, settings: Settings) -> None:
    """Ours: a backup that was restored comes with the rights of whoever restored it."""
    key = start(place, settings)
    directory = file_of(place).parent
    directory.chmod(0o755)
    for file in (file_of(place), key_of(place)):
        file.chmod(0o644)

    assert prepare(place, settings) == key
    assert [stat.S_IMODE(path.stat().st_mode) for path in (directory, file_of(place), key_of(place))] == [
        0o700,
        0o600,
        0o600,
    ]


def test_a_directory_that_the_operator_named_is_not_changed(tmp_path: Path) -> None:
    """Ours: others may use it too. Where others may write it is refused, since they could replace the ledger."""
    shared = tmp_path / "shared"
    shared.mkdir()
    settings = settings_of(FINEXIO_MCP_LEDGER_URL=f"sqlite:///{shared}/ledger.db")
    for mode in (0o777, 0o1777, 0o775, 0o757):
        shared.chmod(mode)

        trouble = refused(locate(settings), settings)

        assert trouble.kind == "permission"
        assert stat.S_IMODE(shared.stat().st_mode) == mode
        assert list(shared.iterdir()) == []
    shared.chmod(0o755)

    prepare(locate(settings), settings)

    assert stat.S_IMODE(shared.stat().st_mode) == 0o755


def test_below_an_open_directory_one_of_its_own_is_made(tmp_path: Path) -> None:
    """Ours: as the advice says."""
    (tmp_path / "open").mkdir(mode=0o700)
    (tmp_path / "open").chmod(0o777)
    settings = settings_of(FINEXIO_MCP_LEDGER_URL=f"sqlite:///{tmp_path}/open/own/ledger.db")

    prepare(locate(settings), settings)

    assert stat.S_IMODE((tmp_path / "open" / "own").stat().st_mode) == 0o700


def test_a_link_in_place_of_our_directory_leads_to_no_change(place: Place, settings: Settings, tmp_path: Path) -> None:
    """Ours: what it leads to may be anybody's; a private one is used, an open one refused."""
    target = tmp_path / "elsewhere"
    target.mkdir()
    target.chmod(0o777)
    file_of(place).parent.parent.mkdir(parents=True)
    file_of(place).parent.symlink_to(target)

    assert refused(place, settings).kind == "permission"
    assert stat.S_IMODE(target.stat().st_mode) == 0o777

    target.chmod(0o755)
    prepare(place, settings)
    assert stat.S_IMODE(target.stat().st_mode) == 0o755


@pytest.mark.parametrize("name", ["ledger.key", "ledger.db"])
def test_links_in_place_of_files_are_not_followed(name: str, place: Place, settings: Settings, tmp_path: Path) -> None:
    """Ours: neither to tighten nor to read what they lead to."""
    start(place, settings)
    link, target = file_of(place).with_name(name), tmp_path / "target"
    link.rename(target)
    target.chmod(0o644)
    link.symlink_to(target)

    trouble = refused(place, settings)

    assert trouble.kind == "misconfigured"
    assert f"{link} is a symbolic link" in trouble.advice
    assert stat.S_IMODE(target.stat().st_mode) == 0o644


@pytest.mark.parametrize("name", ["ledger.key", "ledger.db", "ledger.key.new"])
def test_a_link_to_nowhere_counts_as_there(name: str, place: Place, settings: Settings, tmp_path: Path) -> None:
    """Ours: nothing is created at the other end."""
    file_of(place).parent.mkdir(parents=True, mode=0o700)
    file_of(place).with_name(name).symlink_to(tmp_path / "nowhere")

    assert refused(place, settings).kind in {"misconfigured", "missing_file"}
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("name", ["ledger.key", "ledger.db"])
def test_a_directory_in_place_of_a_file_is_refused(name: str, place: Place, settings: Settings) -> None:
    """Ours: such as a container makes for a mount whose source is missing."""
    start(place, settings)
    file_of(place).with_name(name).unlink()
    file_of(place).with_name(name).mkdir()

    assert refused(place, settings).kind in {"misconfigured", "wrong_key"}


def test_a_file_in_place_of_the_directory_is_refused(place: Place, settings: Settings) -> None:
    """Ours: and left as it is."""
    file_of(place).parent.parent.mkdir(parents=True)
    file_of(place).parent.write_text("mine")

    with pytest.raises(Unusable) as caught:
        prepare(place, settings)

    assert caught.value.kind == "misconfigured"
    assert file_of(place).parent.read_text() == "mine"


# A glance --------------------------------------------------------------------------

LOOK_MS = 30_000


@pytest.fixture
def store(place: Place, settings: Settings) -> Iterator[Store]:
    """A ledger at the place, in a time of the test's own."""
    prepare(place, settings)
    with closing(open_store(place, owner="me", now=lambda: START_MS)) as opened:
        yield opened


def submit(store: Store, number: str, outcome: Outcome | None = None, *, sent: bool = True) -> int:
    """Bring an invoice as far as a test wants it."""
    claim = store.claim([invoice(number, amount_cents=int(number))], op_id=number, tool="t", effect="pay", rules=RULES)
    if sent:
        assert store.mark_sent(number, lease_ms=2 * LEASE_MS)
    if outcome is not None:
        store.settle(number, {0: outcome}, look_at_ms_after=LOOK_MS)
    return claim.rows[0].id


DOUBT = Outcome(state=State.IN_DOUBT, reason="no_answer")


def test_a_glance_counts_what_was_left_behind(store: Store, place: Place) -> None:
    """Ours: rows past their lease, to be seen to at the next start."""
    submit(store, "1", sent=False)
    submit(store, "2")
    submit(store, "3", Outcome(state=State.CONFIRMED, reason="accepted", finexio_id="f-3"))

    assert peek(place, now_ms=START_MS + LEASE_MS - 1) == Peeked(ahead=2, **end_of(store))
    assert peek(place, now_ms=START_MS + LEASE_MS) == Peeked(expired=1, ahead=1, **end_of(store))
    assert peek(place, now_ms=START_MS + 2 * LEASE_MS) == Peeked(expired=2, **end_of(store))


def test_a_glance_counts_what_is_due_and_what_waits_for_a_person(store: Store, place: Place) -> None:
    """Ours: neither is forgotten because a server was restarted."""
    submit(store, "1", DOUBT)
    tired, other = submit(store, "2", DOUBT), submit(store, "3", DOUBT)
    store.begin_look(lease_ms=LEASE_MS, ids=[tired, other], due_only=False)
    conflict = Outcome(state=State.CONFLICT, reason="found_other", finexio_id="f-3")
    store.end_look(
        {
            tired: Look(outcome=None, next_look_at_ms=None, absent_since_ms=None),
            other: Look(outcome=conflict, next_look_at_ms=None, absent_since_ms=None),
        }
    )

    assert peek(place, now_ms=START_MS + LOOK_MS - 1) == Peeked(ahead=1, waiting=2, **end_of(store))
    assert peek(place, now_ms=START_MS + LOOK_MS) == Peeked(due=1, waiting=2, **end_of(store))


def test_what_somebody_is_looking_up_is_not_due(store: Store, place: Place) -> None:
    """Ours: one process at a time asks about a row, unless it does not come back."""
    row = submit(store, "1", DOUBT)
    store.begin_look(lease_ms=2 * LOOK_MS, ids=[row], due_only=False)

    assert peek(place, now_ms=START_MS + LOOK_MS) == Peeked(ahead=1, **end_of(store))
    assert peek(place, now_ms=START_MS + 2 * LOOK_MS) == Peeked(due=1, **end_of(store))


def test_a_glance_goes_by_the_clock_of_the_store(place: Place, settings: Settings) -> None:
    """Ours: leases are in the database's time."""
    prepare(place, settings)
    with closing(open_store(place, owner="me")) as store:
        store.claim([invoice("1")], op_id="1", tool="t", effect="pay", rules=Rules(lease_ms=0))
        store.claim([invoice("2", amount_cents=2)], op_id="2", tool="t", effect="pay", rules=Rules(lease_ms=3_600_000))

        assert peek(place) == Peeked(expired=1, ahead=1, **end_of(store))


def test_a_glance_sees_only_its_own_api(store: Store, place: Place) -> None:
    """Ours: what another server left behind in a shared file is that one's to see to."""
    submit(store, "1")

    elsewhere = replace(place, scope="https://elsewhere.example/v2")

    assert peek(elsewhere, now_ms=START_MS * 2) == Peeked(**end_of(store))


@pytest.mark.parametrize(
    ("peeked", "wants"),
    [
        (Peeked(), False),
        (Peeked(waiting=3), False),
        (Peeked(ahead=1), False),
        (Peeked(expired=1), True),
        (Peeked(due=1), True),
        (Peeked(trouble="locked"), True),
        (Peeked(trouble="missing_file"), False),
    ],
)
def test_a_ledger_is_opened_at_start_only_for_what_the_server_can_do(peeked: Peeked, wants: bool) -> None:
    """Ours: opening it costs half a second, and a person's work is not the server's."""
    assert peeked.wants_care is wants


@pytest.mark.parametrize("whose", ["", " AND account = :account"])
def test_a_glance_needs_no_look_at_every_row(whose: str, store: Store, place: Place) -> None:
    """Ours: a start stays quick however long the ledger has grown, and for each of many accounts."""
    assert store.counts() == {}
    query = GLANCE.format(whose=whose)
    with closing(sqlite3.connect(file_of(place))) as connection:
        told = connection.execute(f"EXPLAIN QUERY PLAN {query}", {"scope": "", "account": "acme", "now": 0})
        plan = [row[3] for row in told]

    indexes = [match[1] for step in plan if (match := re.match(r"SEARCH submissions USING .*INDEX (\w+)", step))]
    assert indexes == [
        f"submissions_{name}" for name in ("leased", "in_doubt", "in_doubt", "conflict", "leased", "in_doubt")
    ]
    assert not [step for step in plan if step.startswith("SCAN") and "submissions" in step]


def test_a_glance_reads_the_version_that_the_store_writes() -> None:
    """Ours: the number stands twice, since a start must not load the store."""
    assert (OLD_LEDGER_VERSION, LEDGER_VERSION) == (schema.OLD_VERSION, schema.VERSION)
    assert set(schema.METADATA.tables) == OURS


def test_a_glance_creates_nothing(place: Place, settings: Settings) -> None:
    """Ours: where there is no ledger, there is none afterwards; nor is one that is just being made looked at."""
    assert peek(place) is None
    assert not file_of(place).parent.exists()

    prepare(place, settings)
    before = found(file_of(place).parent)

    assert peek(place) is None
    assert found(file_of(place).parent) == before
    assert peek(Place("sqlite://", None, None, memory=True, scope="")) is None


def test_a_glance_tells_a_ledger_that_was_removed(store: Store, place: Place) -> None:
    """Ours: an operator hears of it at the start, not at the first payment."""
    file_of(place).unlink()

    assert peek(place) == Peeked(trouble="missing_file")


def test_a_glance_tells_a_key_that_was_removed(store: Store, place: Place) -> None:
    """Ours: likewise."""
    key_of(place).unlink()

    assert peek(place) == Peeked(trouble="missing_key")


def test_a_glance_does_not_wait_for_a_lock(store: Store, place: Place) -> None:
    """Ours: it says so, and a start goes on."""
    with closing(sqlite3.connect(file_of(place), isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")

        assert peek(place) == Peeked(trouble="locked")


DIE_WRITING = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA cache_size = 1")
connection.execute("BEGIN IMMEDIATE")
connection.execute("CREATE TABLE wide (a)")
connection.execute("INSERT INTO wide SELECT randomblob(100000)")
os._exit(9)
"""


def test_a_glance_at_what_a_crash_left_sends_for_the_store(store: Store, place: Place) -> None:
    """Ours: reading cannot roll back; the store does, and then everything is as it was before."""
    submit(store, "1")
    end = end_of(store)
    died = subprocess.run([sys.executable, "-c", DIE_WRITING, str(file_of(place))], timeout=60, check=False)

    assert died.returncode == 9
    assert sorted(found(file_of(place).parent)) == ["ledger.db", "ledger.db-journal", "ledger.key"]
    assert peek(place) == Peeked(trouble="locked")
    assert end_of(store) == end
    assert peek(place, now_ms=START_MS) == Peeked(ahead=1, **end)


@pytest.mark.parametrize(
    ("content", "trouble"),
    [(b"", "damaged"), (b"no database at all" * 500, "damaged")],
    ids=["empty", "text"],
)
def test_a_glance_at_what_is_no_ledger_says_so(content: bytes, trouble: Kind, store: Store, place: Place) -> None:
    """Ours: whatever lies there, nothing is raised."""
    file_of(place).write_bytes(content)

    assert peek(place) == Peeked(trouble=trouble)
    assert file_of(place).read_bytes() == content


@pytest.mark.parametrize(
    ("statement", "trouble"),
    [
        ("CREATE TABLE accounts (id INTEGER)", "not_ours"),
        ("CREATE TABLE head (id INTEGER)", "damaged"),
    ],
)
def test_a_glance_at_another_database_says_so(statement: str, trouble: Kind, store: Store, place: Place) -> None:
    """Ours: a file that was put there by mistake."""
    file_of(place).unlink()
    with closing(sqlite3.connect(file_of(place))) as connection:
        connection.execute(statement)

    assert peek(place) == Peeked(trouble=trouble)


def test_a_glance_at_a_newer_ledger_says_so(store: Store, place: Place) -> None:
    """Ours: what its columns mean is not guessed."""
    with closing(sqlite3.connect(file_of(place), isolation_level=None)) as connection:
        connection.execute("DROP TRIGGER head_fixed")
        connection.execute("UPDATE head SET version = version + 1")

    assert peek(place) == Peeked(trouble="unknown_version")


# File systems ----------------------------------------------------------------------

NAMES = st.text(st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1, max_size=8).filter(
    lambda name: name not in {".", ".."}
)
PATHS = st.lists(NAMES, max_size=4).map(lambda names: "/" + "/".join(names))
KINDS_OF_MOUNT = st.sampled_from(["ext4", "xfs", "overlay", "tmpfs", "nfs4", "fuse.sshfs"])
MOUNTS = st.lists(st.builds(Mount, PATHS, KINDS_OF_MOUNT), max_size=6)


def line_of(mount: Mount, optional: list[str]) -> bytes:
    """As the kernel writes it: what would break the line stands in octal digits."""
    point = b"".join(b"\\%03o" % byte if byte in b" \t\n\\" else bytes([byte]) for byte in os.fsencode(mount.point))
    middle = "".join(f" {part}" for part in optional)
    return b"36 35 98:0 /inside " + point + f" rw,noatime{middle} - {mount.kind} /dev/x rw".encode()


@given(MOUNTS, st.lists(st.sampled_from(["master:1", "shared:2", "unbindable"]), max_size=3))
def test_the_list_of_mounts_is_read_as_the_kernel_writes_it(mounts: list[Mount], optional: list[str]) -> None:
    """Documented: proc(5) on mountinfo: optional fields, and blanks in octal."""
    written = b"\n".join(line_of(mount, optional) for mount in mounts) + b"\n"

    assert parse_mountinfo(written) == mounts


@given(st.binary())
def test_a_list_of_mounts_that_makes_no_sense_does_no_harm(content: bytes) -> None:
    """Ours: other systems write there what they like."""
    assert isinstance(parse_mountinfo(content), list)


NESTED = st.lists(st.sampled_from(["a", "ab", "b"]), max_size=3).map(lambda names: "/" + "/".join(names))


@given(st.lists(st.builds(Mount, NESTED, KINDS_OF_MOUNT), max_size=6), NESTED)
@example([Mount("/a", "nfs4")], "/ab")
def test_a_path_lies_on_the_deepest_mount_above_it(mounts: list[Mount], path: str) -> None:
    """Ours: name by name, so that /data says nothing about /database; a later mount covers an earlier one."""
    above = [mount for mount in mounts if PurePosixPath(path).is_relative_to(mount.point)]
    deepest = max((len(PurePosixPath(mount.point).parts) for mount in above), default=0)
    expected = [mount for mount in above if len(PurePosixPath(mount.point).parts) == deepest]

    assert mount_of(path, mounts) == (expected[-1] if expected else None)


@pytest.mark.parametrize(
    "kind",
    [
        *("overlay", "tmpfs", "ramfs", "nfs", "nfs4", "cifs", "smb3", "9p", "afs", "vboxsf", "virtiofs", "ceph"),
        *("fuse.sshfs", "fuse.s3fs", "fuseblk", "exfat"),
    ],
)
def test_a_file_system_that_forgets_or_cannot_lock_is_named(kind: str, tmp_path: Path) -> None:
    """Ours: also where the directory does not exist yet."""
    mountinfo = tmp_path / "mountinfo"
    mountinfo.write_bytes(line_of(Mount("/", "ext4"), []) + b"\n" + line_of(Mount(f"{tmp_path}/a b", kind), []))

    reason = volatile_reason(tmp_path / "a b" / "not" / "yet", mountinfo)

    assert reason is not None
    assert reason.startswith(f"{kind} (")
    assert volatile_reason(tmp_path / "a", mountinfo) is None


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "zfs", "f2fs", "apfs", "bcachefs"])
def test_a_local_disk_is_fine(kind: str, tmp_path: Path) -> None:
    """Ours: what is not known to forget is trusted."""
    mountinfo = tmp_path / "mountinfo"
    mountinfo.write_bytes(line_of(Mount("/", kind), []))

    assert volatile_reason(tmp_path, mountinfo) is None


def test_a_link_is_judged_by_where_it_leads(tmp_path: Path) -> None:
    """Ours: a state directory is often a link to a volume."""
    (tmp_path / "volume").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "volume")
    mountinfo = tmp_path / "mountinfo"
    mountinfo.write_bytes(line_of(Mount(f"{os.path.realpath(tmp_path)}/volume", "nfs4"), []))

    assert volatile_reason(tmp_path / "link" / "new" / "ledger.db", mountinfo) is not None


def test_where_nobody_lists_mounts_nothing_is_refused(tmp_path: Path) -> None:
    """Known gap: on macOS and Windows a network drive is not recognised."""
    assert volatile_reason(tmp_path, tmp_path / "no-such-list") is None


def test_a_name_that_somebody_gave_a_file_system_is_cleaned(tmp_path: Path) -> None:
    """Ours: whoever mounts by FUSE chooses it, and the advice is shown to models."""
    mountinfo = tmp_path / "mountinfo"
    mountinfo.write_bytes(line_of(Mount("/", "fuse.\u202eIGNORE\x1b[2J" + "x" * 100), []))

    reason = volatile_reason(tmp_path, mountinfo)

    assert reason is not None
    assert reason.isascii()
    assert reason.isprintable()
    assert len(reason) < 150
