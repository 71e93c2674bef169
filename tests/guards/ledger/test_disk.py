"""Ledgers on disks that are full, read-only, broken or taken away, and other people's: nothing is sent or lost."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import random
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import traceback
import zlib
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import event

from finexio_mcp.guards.ledger import engines
from finexio_mcp.guards.ledger.engines import open_file
from finexio_mcp.guards.ledger.place import Place, locate, prepare, volatile_reason
from finexio_mcp.guards.ledger.rows import Claim, Outcome
from finexio_mcp.guards.ledger.states import State
from finexio_mcp.guards.ledger.store import Store, open_store
from finexio_mcp.guards.ledger.trouble import Unusable, explain
from finexio_mcp.settings import Settings, load

from .conftest import LEASE_MS, RULES, invoice

ACCEPTED = Outcome(state=State.CONFIRMED, reason="accepted", finexio_id="f-1")
FINE = "fine"


@dataclass(frozen=True)
class Disk:
    """A ledger with an invoice in each state that matters, and a store that had it open before things went wrong."""

    settings: Settings
    place: Place
    store: Store
    file: Path

    def kind(self, act: Callable[[], object]) -> str:
        """What comes of an act: that it is fine, or the kind of trouble that an operator is told of."""
        try:
            act()
        except Exception as error:
            return explain(error, file=self.file).kind
        return FINE

    def open(self) -> str:
        """What comes of another start."""

        def start() -> None:
            prepare(self.place, self.settings)
            open_store(self.place, owner="another").close()

        return self.kind(start)

    def writes(self) -> list[str]:
        """What comes of each step of a submission."""
        return [
            self.kind(lambda: claim(self.store, "new")),
            self.kind(lambda: self.store.mark_sent("intended", lease_ms=LEASE_MS)),
            self.kind(lambda: self.store.settle("sent", {0: ACCEPTED})),
        ]

    def picture(self) -> list[object]:
        """All that the ledger says."""
        rows = self.store.find()
        return [self.store.head(), self.store.verify(), rows, [self.store.history(row.op_id) for row in rows]]

    def again(self) -> str:
        """What comes of submitting once more what was submitted: never a row to send."""

        def repeat() -> None:
            assert not claim(self.store, "confirmed").rows, "an invoice would be paid twice"

        return self.kind(repeat)

    def bytes(self) -> Mapping[str, bytes]:
        """Everything in the ledger's directory."""
        return {path.name: path.read_bytes() for path in sorted(self.file.parent.iterdir())}


def claim(store: Store, number: str) -> Claim:
    """Claim an invoice that looks like no other."""
    wanted = invoice(number, amount_cents=1 + zlib.crc32(number.encode()) % 10**9)
    return store.claim([wanted], op_id=number, tool="t", effect="pay", rules=RULES)


@contextmanager
def disk_at(root: Path) -> Generator[Disk]:
    settings = load(FINEXIO_MCP_LEDGER_URL=f"sqlite:///{root}/own/ledger.db", FINEXIO_MCP_ALLOW_VOLATILE_LEDGER="1")
    place = locate(settings)
    assert place.file is not None
    prepare(place, settings)
    with closing(open_store(place, owner="me")) as store:
        for number in ("intended", "sent", "confirmed"):
            assert claim(store, number).rows
        for number in ("sent", "confirmed"):
            assert store.mark_sent(number, lease_ms=LEASE_MS)
        store.settle("confirmed", {0: ACCEPTED})
        yield Disk(settings, place, store, place.file)


@pytest.fixture
def disk(tmp_path: Path) -> Generator[Disk]:
    with disk_at(tmp_path) as made:
        yield made


def patient(disk: Disk, *pragmas: str) -> Disk:
    """The same ledger through connections that are set otherwise."""
    engine = open_file(disk.file)

    def connected(connection: sqlite3.Connection, _record: object) -> None:
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")

    event.listen(engine, "connect", connected)
    return Disk(disk.settings, disk.place, Store(engine, scope=disk.place.scope, owner="me"), disk.file)


# In a process of its own -----------------------------------------------------------
#
# Limits, rights and mounts belong to a process. One that has everything loaded forks another for each of these scenes.


def scene(act: Callable[[Path], list[list[str]]]) -> Callable[[Path], list[list[str]]]:
    SCENES[act.__name__] = act
    return act


SCENES: dict[str, Callable[[Path], list[list[str]]]] = {}


def tell(came: list[list[str]] | None) -> None:
    sys.stdout.write(f"{json.dumps(came)}\n")
    sys.stdout.flush()


def serve() -> None:
    """Play scenes: a name and a directory a line in, what came of it out."""
    for line in sys.stdin:
        name, root = json.loads(line)
        child = os.fork()
        if child == 0:
            try:
                tell(SCENES[name](Path(root)))
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        if os.waitpid(child, 0)[1] != 0:
            tell(None)


@pytest.fixture(scope="module")
def stage() -> Generator[Callable[[str, Path], list[list[str]]]]:
    """Play a scene by its name."""
    code = f"import {__name__} as tests; tests.serve()"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        stdin, stdout = process.stdin, process.stdout
        assert stdin is not None
        assert stdout is not None

        def play(name: str, root: Path) -> list[list[str]]:
            print(json.dumps([name, str(root)]), file=stdin, flush=True)
            return json.loads(stdout.readline())

        yield play
        stdin.close()
        assert process.wait(timeout=30) == 0


def while_broken(disk: Disk, broken: AbstractContextManager[object]) -> list[list[str]]:
    """What comes of writing and reading while something is wrong, and of writing once it is mended."""
    before = disk.picture()
    with broken:
        kinds = disk.writes()
        reading = [disk.kind(disk.picture), disk.again()]
    assert disk.picture() == before
    assert disk.store.verify().problems == ()
    return [kinds, reading, [disk.open()], disk.writes()]


MENDED = [[FINE], [FINE, FINE, FINE]]
"""What comes of another start, and of each step of a submission, once nothing is wrong any more."""

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18


def may_mount() -> bool:
    """Take this process into a name space of its own, if that is permitted: its mounts end with it."""
    # Half of the way is worse than none of it, so another process goes first.
    scout = os.fork()
    if scout == 0:
        os._exit(0 if _mounts_apart() else 1)
    return os.waitpid(scout, 0)[1] == 0 and _mounts_apart()


def _mounts_apart() -> bool:
    user, group = os.geteuid(), os.getegid()
    try:
        if LIBC.unshare(CLONE_NEWNS) != 0:
            if LIBC.unshare(CLONE_NEWNS | CLONE_NEWUSER) != 0:
                return False
            for name, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
                Path(f"/proc/self/{name}").write_text(text)
        return LIBC.mount(None, b"/", None, MS_REC | MS_PRIVATE, None) == 0
    except (AttributeError, OSError):
        return False


def mount(source: str, target: Path, kind: str | None, flags: int, options: str | None = None) -> None:
    arguments = (source.encode(), os.fsencode(target), kind and kind.encode(), flags, options and options.encode())
    if LIBC.mount(*arguments) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def give_up_rights() -> None:
    """Root may write everywhere, unless it lets go of that."""
    if os.geteuid() == 0 and hasattr(LIBC, "capset"):
        header = (ctypes.c_uint32 * 2)(0x20080522, 0)
        nothing = (ctypes.c_uint32 * 6)()
        assert LIBC.capset(header, nothing) == 0


# Full ------------------------------------------------------------------------------


@contextmanager
def ballast(directory: Path) -> Generator[None]:
    """Fill the file system to the last byte."""
    file = directory / "ballast"
    with file.open("wb", buffering=0) as filling:
        for size in (65536, 512, 1):
            with contextlib.suppress(OSError):
                while filling.write(b"\0" * size):
                    pass
    try:
        yield
    finally:
        file.unlink()


@scene
def full(root: Path) -> list[list[str]]:
    if not may_mount():
        with disk_at(root) as disk:
            return full_by_pages(disk)
    mount("tmpfs", root, "tmpfs", 0, "size=2m")
    with disk_at(root) as disk:
        return while_broken(disk, ballast(root))


def full_by_pages(disk: Disk) -> list[list[str]]:
    """SQLite's own bound, as small as what is there: the same error as from a full disk, wherever tests run."""
    tight = patient(disk, "max_page_count = 1")
    kinds = [disk.kind(lambda: [claim(tight.store, f"new-{number}") for number in range(1000)])]
    recorded = [row.op_id for row in disk.store.find(limit=1000)]
    assert recorded[-3:] == ["confirmed", "sent", "intended"]
    assert all(disk.store.get(op_id)[0].state is State.INTENDED for op_id in recorded[:-3])
    assert disk.store.verify().problems == ()
    return [kinds * 3, [disk.kind(disk.picture), disk.again()], [disk.open()], disk.writes()]


Stage = Callable[[str, Path], list[list[str]]]


def test_on_a_full_disk_nothing_is_recorded_by_half(stage: Stage, tmp_path: Path) -> None:
    """Ours: a real file system without a free byte; once there is room, all goes on."""
    assert stage("full", tmp_path) == [["full"] * 3, [FINE, FINE], *MENDED]


def test_without_room_for_another_page_nothing_is_recorded_by_half(disk: Disk) -> None:
    """Ours: SQLite's own bound ends like a full disk."""
    assert full_by_pages(disk) == [["full"] * 3, [FINE, FINE], *MENDED]


@scene
def start_on_a_full_disk(root: Path) -> list[list[str]]:
    if not may_mount():
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    else:
        mount("tmpfs", root, "tmpfs", 0, "size=64k")
    settings = load(FINEXIO_MCP_LEDGER_URL=f"sqlite:///{root}/own/ledger.db", FINEXIO_MCP_ALLOW_VOLATILE_LEDGER="1")
    place = locate(settings)

    def start() -> str:
        try:
            prepare(place, settings)
            open_store(place, owner="me").close()
        except Exception as error:
            return explain(error, file=place.file).kind
        return FINE

    kinds = [start(), start()]
    assert place.file is not None
    assert not place.file.exists()
    assert place.key_file is not None
    assert not place.key_file.exists()
    if os.path.ismount(root):
        mount("tmpfs", root, None, MS_REMOUNT, "size=2m")
    else:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    return [sorted(set(kinds)), [start(), start()]]


def test_a_first_start_on_a_full_disk_goes_on_once_there_is_room(stage: Stage, tmp_path: Path) -> None:
    """Ours: no half of a ledger is left that would then be missed or trusted."""
    troubles, mended = stage("start_on_a_full_disk", tmp_path)

    assert troubles in (["full"], ["io_error"])
    assert mended == [FINE, FINE]


# Read-only -------------------------------------------------------------------------


@contextmanager
def mode(path: Path, bits: int) -> Generator[None]:
    before = path.stat().st_mode
    path.chmod(bits)
    try:
        yield
    finally:
        path.chmod(before)


@contextmanager
def mounted_read_only(directory: Path) -> Generator[None]:
    mount(str(directory), directory, None, MS_REMOUNT | MS_BIND | MS_RDONLY)
    try:
        yield
    finally:
        mount(str(directory), directory, None, MS_REMOUNT | MS_BIND)


@scene
def read_only_mount(root: Path) -> list[list[str]]:
    if not may_mount():
        return read_only_directory(root)
    mount(str(root), root, None, MS_BIND)
    with disk_at(root) as disk:
        return while_broken(disk, mounted_read_only(root))


@scene
def read_only_directory(root: Path) -> list[list[str]]:
    give_up_rights()
    with disk_at(root) as disk:
        return while_broken(disk, mode(disk.file.parent, 0o500))


@scene
def read_only_file(root: Path) -> list[list[str]]:
    give_up_rights()
    with disk_at(root) as disk:
        return while_broken(disk, mode(disk.file, 0o400))


@pytest.mark.parametrize("what", ["read_only_mount", "read_only_directory", "read_only_file"])
def test_what_cannot_be_written_is_read_and_nothing_is_sent(what: str, stage: Stage, tmp_path: Path) -> None:
    """Ours: as after an error, when the system mounts a disk anew without writing."""
    assert stage(what, tmp_path) == [["read_only"] * 3, [FINE, FINE], *MENDED]


@scene
def no_permission(root: Path) -> list[list[str]]:
    give_up_rights()
    with disk_at(root) as disk:
        before = disk.bytes()
        with mode(disk.file, 0o000):
            kinds = [*disk.writes(), disk.kind(disk.picture), disk.again()]
        with mode(disk.file.parent, 0o000):
            kinds += [disk.open(), *disk.writes()]
        assert disk.bytes() == before
        return [kinds]


def test_what_the_user_may_not_open_is_left_alone(stage: Stage, tmp_path: Path) -> None:
    """Ours: such as a ledger that root made once."""
    assert stage("no_permission", tmp_path) == [["permission"] * 9]


# Errors of the disk ----------------------------------------------------------------


@contextmanager
def no_byte_written() -> Generator[None]:
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


@contextmanager
def torn(disk: Disk) -> Generator[None]:
    """Let writing end in the middle of the database: the journal still fits, the pages behind do not."""
    size = disk.file.stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


@scene
def failing_writes(root: Path) -> list[list[str]]:
    with disk_at(root) as disk:
        return while_broken(disk, no_byte_written())


@scene
def torn_writes(root: Path) -> list[list[str]]:
    with disk_at(root) as disk:
        return while_broken(disk, torn(disk))


@pytest.mark.parametrize("what", ["failing_writes", "torn_writes"])
def test_a_write_that_fails_leaves_everything_as_it_was(what: str, stage: Stage, tmp_path: Path) -> None:
    """Ours: also where it fails in the middle of a commit, and is rolled back by whoever comes next."""
    kinds, reading, *mended = stage(what, tmp_path)

    assert kinds == ["io_error"] * 3
    assert set(reading) <= {FINE, "io_error"}
    assert mended == MENDED


# Damage ----------------------------------------------------------------------------


def test_a_damaged_page_is_seen_wherever_it_is(disk: Disk) -> None:
    """Ours: the ledger is not opened, not mended and not replaced; and what is open pays nothing twice."""
    whole = disk.file.read_bytes()
    chance = random.Random(1)
    pages = len(whole) // 4096

    for page in range(pages):
        noise = chance.randbytes(4096) if page % 2 else b"\0" * 4096
        broken = whole[: page * 4096] + noise + whole[(page + 1) * 4096 :]
        disk.file.write_bytes(broken)

        assert disk.open() == "damaged", page
        assert disk.again() in {FINE, "damaged"}, page
        assert disk.file.read_bytes() == broken, page

    assert pages > 10
    disk.file.write_bytes(whole)
    assert [disk.open(), disk.again(), *disk.writes()] == [FINE] * 5


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.9])
def test_a_ledger_that_was_cut_off_is_damaged(keep: float, disk: Disk) -> None:
    """Ours: down to nothing, which SQLite itself would take for a new database."""
    os.truncate(disk.file, int(disk.file.stat().st_size * keep))
    before = disk.bytes()

    assert [disk.open(), *disk.writes(), disk.again()] == ["damaged"] * 5
    assert disk.bytes() == before


def test_a_ledger_that_lost_its_last_bytes_is_not_opened(disk: Disk) -> None:
    """Ours: who had it open may not notice, as long as nothing is read that was there, and submits nothing twice."""
    os.truncate(disk.file, int(disk.file.stat().st_size * 0.999))

    assert disk.open() == "damaged"
    assert disk.again() in {FINE, "damaged"}


def test_a_file_that_is_no_database_is_damaged(disk: Disk) -> None:
    """Ours: and kept, for somebody to look at."""
    disk.file.write_bytes(b"this was once a ledger\n" * 1000)
    before = disk.bytes()

    assert [disk.open(), *disk.writes(), disk.again()] == ["damaged"] * 5
    assert disk.bytes() == before


@pytest.mark.parametrize("dropped", ["TRIGGER events_fixed", "INDEX submissions_live", "TABLE events"])
def test_a_ledger_without_its_guards_is_damaged(dropped: str, disk: Disk) -> None:
    """Ours: without them, what it says may have been changed."""
    execute(disk.file, f"DROP {dropped}")
    before = disk.bytes()

    assert disk.open() == "damaged"
    assert disk.bytes() == before


def execute(file: Path, *statements: str) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


# Not this ledger -------------------------------------------------------------------


def test_a_database_of_somebody_else_is_left_alone(disk: Disk) -> None:
    """Ours: with our key beside it or without."""
    disk.file.unlink()
    execute(disk.file, "CREATE TABLE accounts (id INTEGER)", "INSERT INTO accounts VALUES (1)")
    before = disk.bytes()

    assert disk.open() == "not_ours"
    assert FINE not in [*disk.writes(), disk.again()]
    assert disk.bytes() == before

    (disk.file.parent / "ledger.key").unlink()
    assert disk.open() == "missing_key"
    assert sorted(disk.bytes()) == ["ledger.db"]


def test_a_ledger_of_a_newer_version_is_left_alone(disk: Disk) -> None:
    """Ours: also by a server that had it open when another one brought it to that version."""
    execute(disk.file, "DROP TRIGGER head_fixed", "UPDATE head SET version = version + 1")
    before = disk.bytes()

    assert [disk.open(), *disk.writes(), disk.again()] == ["unknown_version"] * 5
    assert disk.bytes() == before


def test_a_ledger_that_was_removed_is_not_made_anew(disk: Disk) -> None:
    """Ours: neither at a start nor by a server that had it open."""
    disk.file.unlink()

    assert [disk.open(), *disk.writes(), disk.again()] == ["missing_file"] * 5
    assert list(disk.bytes()) == ["ledger.key"]


def test_a_directory_that_was_removed_is_not_made_anew_by_what_had_it_open(disk: Disk) -> None:
    """Ours: the next start cannot know that there was anything."""
    shutil.rmtree(disk.file.parent)

    assert [*disk.writes(), disk.again()] == ["missing_file"] * 4
    assert not disk.file.parent.exists()


def test_a_key_that_was_removed_is_not_made_anew(disk: Disk) -> None:
    """Ours: a server that has the key goes on."""
    (disk.file.parent / "ledger.key").unlink()

    assert [disk.open(), *disk.writes(), disk.again()] == ["missing_key", *[FINE] * 4]
    assert list(disk.bytes()) == ["ledger.db"]


def test_another_ledger_in_its_place_is_noticed(disk: Disk, tmp_path: Path) -> None:
    """Ours: it would not know what this server submitted."""
    with disk_at(tmp_path / "other") as other:
        other.file.replace(disk.file)
    before = disk.bytes()

    assert [*disk.writes(), disk.again()] == ["replaced"] * 4
    assert disk.bytes() == before


def test_an_earlier_copy_in_its_place_is_noticed(disk: Disk) -> None:
    """Ours: by whoever had it open; it forgot what was submitted since."""
    earlier = disk.file.read_bytes()
    assert claim(disk.store, "later").rows
    disk.file.write_bytes(earlier)

    assert [*disk.writes(), disk.again()] == ["replaced"] * 4
    assert disk.file.read_bytes() == earlier


# Locked ----------------------------------------------------------------------------

HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def held(file: Path) -> Generator[None]:
    """Another process is writing, and does not come to an end."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        try:
            yield
        finally:
            holder.stdin.close()


def test_a_ledger_that_another_process_holds_is_locked_and_then_goes_on(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours: nothing is sent meanwhile."""
    monkeypatch.setattr(engines, "BUSY_SECONDS", 0.25)
    hasty = patient(disk, "busy_timeout = 10")

    assert while_broken(hasty, held(disk.file)) == [["locked"] * 3, [FINE, "locked"], *MENDED]


# Volatile --------------------------------------------------------------------------


def test_a_file_system_that_forgets_is_refused_before_anything_is_made() -> None:
    """Ours: a real one in memory; what the setting allows is then made there."""
    memory = Path("/dev/shm")
    directory = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None))
    try:
        asked = {"FINEXIO_MCP_LEDGER_URL": f"sqlite:///{directory}/own/ledger.db"}
        strict, lenient = load(**asked), load(**asked, FINEXIO_MCP_ALLOW_VOLATILE_LEDGER="1")
        reason = volatile_reason(directory)
        assert (reason is not None) is memory.is_dir()

        if reason is not None:
            with pytest.raises(Unusable) as caught:
                prepare(locate(strict), strict)
            assert caught.value.kind == "volatile"
            assert reason in caught.value.advice
            assert "FINEXIO_MCP_ALLOW_VOLATILE_LEDGER=1" in caught.value.advice
            assert list(directory.iterdir()) == []
        assert len(prepare(locate(lenient), lenient)) == 32
    finally:
        shutil.rmtree(directory)


# What is said ----------------------------------------------------------------------


def test_advice_about_a_place_names_it(disk: Disk) -> None:
    """Ours: an operator may have several ledgers."""
    disk.file.unlink()
    with pytest.raises(Unusable) as caught:
        prepare(disk.place, disk.settings)

    assert str(disk.file) in caught.value.advice
    assert explain(OSError(errno.ENOSPC, "no room")).advice != caught.value.advice
