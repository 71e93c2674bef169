"""Where the ledger lives: its address, its key, and whether the place can be trusted with it."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import os
import re
import secrets
import sqlite3
import stat
import sys
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from finexio_mcp.guards.ledger.trouble import Kind, Unusable, explain
from finexio_mcp.settings import DEFAULT_ACCOUNT, Settings

KEY_BYTES = 32
SIMULATED = "access.db"
POSIX = os.name == "posix"
PLAINLY = (
    getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)
ADDRESS = re.compile(r"((?:\[[0-9a-fA-F:]+\]|[A-Za-z0-9_.-]+)?(?::[0-9]+)?)(?:/([A-Za-z0-9_.-]*))?(?:\?.*)?")
"""Host and port, database, and options that are nobody's business."""
DEFAULT_PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True)
class Place:
    """Where a ledger is. Nothing is touched before `prepare`."""

    url: str = field(repr=False)
    """For SQLAlchemy; may hold a password."""
    file: Path | None
    """`None` for PostgreSQL and in memory."""
    key_file: Path | None
    memory: bool
    scope: str
    """Origin and base path of the API that the submissions went to."""
    trouble: Kind | None = None
    """Why there is no such place; `prepare` says it, since reads need no ledger."""

    @property
    def shared(self) -> bool:
        """Whether servers on other machines may use it too."""
        return self.file is None and not self.memory and self.trouble is None


def locate(settings: Settings) -> Place:
    """Where the settings put the ledger; looks at nothing and never fails."""
    scope = scope_of(settings.api_url)
    if settings.embedded:
        # The simulator forgets everything when it ends; a ledger that remembers would refuse what it never saw.
        return Place("sqlite://", None, None, memory=True, scope=scope)
    given = settings.ledger_url.get_secret_value() if settings.ledger_url is not None else None
    if given is not None and settings.shares_ledger:
        return Place(f"postgresql+psycopg://{given.partition('://')[2]}", None, None, memory=False, scope=scope)
    file = _given_file(given) if given is not None else _default_file(scope)
    if file is None:
        return Place("", None, None, memory=False, scope=scope, trouble="misconfigured")
    return Place(f"sqlite:///{quote(str(file))}", file, _key_beside(file), memory=False, scope=scope)


def home(settings: Settings) -> Place:
    """Where the settings put what stands beside the ledger; looks at nothing and never fails.

    With the simulator inside the server, whose ledger forgets, it is a file that the commands find too.
    """
    if not settings.embedded:
        return locate(settings)
    beside = locate(settings.model_copy(update={"base_url": settings.api_url, "ledger_url": None}))
    if beside.file is None:
        return beside
    return replace(beside, url="", file=beside.file.with_name(SIMULATED), key_file=None)


def scope_of(api_url: str) -> str:
    """Origin and base path, the same however they are spelt."""
    parts = urlsplit(api_url)
    host, port = (parts.hostname or "").rstrip("."), parts.port
    netloc = f"[{host}]" if ":" in host else host
    if port is not None and port != DEFAULT_PORTS.get(parts.scheme):
        netloc = f"{netloc}:{port}"
    return f"{parts.scheme}://{netloc}{parts.path.rstrip('/')}"


def describe(place: Place) -> str:
    """Where the ledger is, in a few words and without a secret."""
    if place.trouble is not None:
        return "nowhere: the place is not set as it should be"
    if place.memory:
        return "in memory; it ends with the process"
    if place.file is not None:
        return str(place.file)
    before, at, after = place.url.partition("://")[2].partition("@")
    # Whatever does not look like host and database may be a part of a password that was not escaped.
    plain = ADDRESS.fullmatch(after if at else before) if not at or not set(before) & set("/?#") else None
    if plain is None:
        return "PostgreSQL"
    return f"PostgreSQL on {plain[1] or 'this machine'}, database {plain[2] or '(default)'}"


def _given_file(url: str) -> Path | None:
    """The file of `sqlite:////absolute/path`, or of `sqlite:///C:/path`."""
    scheme, _, rest = url.partition("://")
    path = unquote(rest.removeprefix("/"))
    file = Path(path)
    plain = rest.startswith("/") and not set(path) & set("\0?#") and not path.endswith("/")
    usable = scheme == "sqlite" and plain and file.is_absolute() and file.name and ".." not in file.parts
    return file if usable and file.suffix != ".key" else None


def _key_beside(file: Path) -> Path:
    return file.with_name(f"{file.name.removesuffix('.db')}.key")


def _default_file(scope: str) -> Path | None:
    """One file per user and API, so that all servers of this user meet in it, whoever started them."""
    state = os.environ.get("LOCALAPPDATA" if sys.platform == "win32" else "XDG_STATE_HOME", "")
    try:
        home = Path.home()
    except RuntimeError:
        home = Path()
    base = Path(state)
    if not base.is_absolute():
        # A relative one has no meaning, by the XDG specification.
        base = home / ("AppData/Local" if sys.platform == "win32" else ".local/state")
    return base / "finexio-mcp" / slug_of(scope) / "ledger.db" if base.is_absolute() else None


def slug_of(scope: str) -> str:
    """A name for a directory: the host for people, and a digest that tells scopes apart."""
    host = re.sub(r"[^a-z0-9]+", "-", (urlsplit(scope).hostname or "").casefold()).strip("-")
    return f"{host[:40] or 'host'}-{hashlib.sha256(scope.encode()).hexdigest()[:8]}"


# Making it ready -------------------------------------------------------------------
#
# A deleted ledger must never be made anew: what it knew would be paid twice. So the key tells the two apart. At the
# first start it is called `ledger.key.new`, and only once the ledger stands does `seal` give it its name, which it then
# keeps for ever. A key without a ledger is a ledger that was removed; a new key without one is a first start that did
# not get further, and the next one goes on from there. Both names are made by hard links, which appear whole or not at
# all and never replace anything; so whatever several processes do at once, all end with one key.


def prepare(place: Place, settings: Settings) -> bytes:
    """Make the ledger's directory and key where there never was a ledger, and nothing anywhere else.

    Afterwards `is_new` says whether the ledger itself has to be created, and `seal` has to follow before its first use.

    Returns:
        The key of the digests.

    Raises:
        Unusable: Saying what an operator should do.
    """
    if place.trouble is not None:
        raise Unusable(place.trouble)
    if place.memory:
        return secrets.token_bytes(KEY_BYTES)
    if place.file is None or place.key_file is None:
        return _shared_key(settings)
    if not settings.allow_volatile_ledger and (reason := volatile_reason(place.file)) is not None:
        raise _volatile(place.file, reason)
    with _explained(place.file):
        _make_directory(place.file.parent)
        _keep_private(place.file.parent, ours=settings.ledger_url is None)
        return _file_key(place.file, place.key_file)


def key_of(place: Place, settings: Settings) -> bytes:
    """The key of a ledger that is there, for those who only look; nothing is made or changed.

    Raises:
        Unusable: There is none. `OSError` if it cannot be read.
    """
    return _shared_key(settings) if place.key_file is None else place.key_file.read_bytes()


def is_new(place: Place) -> bool:
    """Whether the first start got no further than the key, so that the ledger may be created. Only for files."""
    return place.key_file is not None and not _there(place.key_file) and _there(_unsealed(place.key_file))


def seal(place: Place) -> None:
    """Record that the ledger stands: from now on, one that is missing was removed. Costs one look once it is done.

    Raises:
        Unusable: Saying what an operator should do.
    """
    if place.key_file is None or place.file is None or not _there(new := _unsealed(place.key_file)):
        return
    with _explained(place.file):
        if not _there(place.file):
            raise Unusable("missing_file", f"{place.file} is gone already. Let nothing else use that directory.")
        # Somebody else may do the same at this moment; then the one name is taken, or the other gone.
        with contextlib.suppress(FileExistsError, FileNotFoundError):
            os.link(new, place.key_file)
        if not _there(place.key_file):
            raise _without_key(place.file, place.key_file)
        # Durable before the other name goes: no power cut may leave a ledger without any key.
        _sync_directory(place.key_file.parent)
        new.unlink(missing_ok=True)
        _sync_directory(place.key_file.parent)


def _shared_key(settings: Settings) -> bytes:
    if settings.state_key is None:
        raise Unusable(
            "missing_key",
            "A PostgreSQL ledger needs FINEXIO_MCP_STATE_KEY: 32 characters or more, the same on every host, kept "
            "like a password and never changed.",
        )
    try:
        importlib.import_module("psycopg")
    except ImportError:
        raise Unusable("no_driver") from None
    return hashlib.sha256(settings.state_key.get_secret_value().encode()).digest()


def _file_key(file: Path, key_file: Path) -> bytes:
    """The key, made if there never was a ledger.

    Other processes may be at it too. They go from a new key to a ledger to a sealed key, and never back: so what is
    looked for first is the ledger, then the new key, then the sealed one.
    """
    new = _unsealed(key_file)
    stands, begun, sealed = _there(file), _there(new), _there(key_file)
    if sealed:
        if not _there(file):
            raise Unusable("missing_file", _missing_file(file, key_file))
        _check_ledger(file)
        key = _read_key(key_file)
        _tighten(file)
        return key
    if not begun:
        if stands:
            raise _without_key(file, key_file)
        _create_key(new)
    try:
        key = _read_key(new)
    except FileNotFoundError:
        key = b""
    if not _there(key_file):
        return key or _read_key(key_file)
    # Somebody else was faster; ours, if it is another one, was never used.
    new.unlink(missing_ok=True)
    return _read_key(key_file)


def _unsealed(key_file: Path) -> Path:
    return key_file.with_name(f"{key_file.name}.new")


def _there(path: Path) -> bool:
    """Whether the name is taken, be it by a link to nowhere."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _create_key(new: Path) -> None:
    """Write a key aside, whole and durable, and only then give it its name."""
    aside = new.with_name(f"{new.name}.{secrets.token_hex(8)}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | PLAINLY, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as writing:
            writing.write(secrets.token_bytes(KEY_BYTES))
            writing.flush()
            os.fsync(writing.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(aside, new)
    finally:
        aside.unlink(missing_ok=True)
    _sync_directory(new.parent)


def _read_key(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | PLAINLY)
    except OSError:
        if path.is_symlink():
            raise _no_link(path) from None
        raise
    with os.fdopen(descriptor, "rb") as reading:
        status = os.fstat(reading.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise Unusable("wrong_key", f"{path} is no file. {TAKE_BACK}")
        key = reading.read(KEY_BYTES + 1)
        if len(key) != KEY_BYTES:
            raise Unusable("wrong_key", f"{path} does not hold a key of {KEY_BYTES} bytes. {TAKE_BACK}")
        if POSIX and status.st_mode & 0o077:
            os.fchmod(reading.fileno(), 0o600)
    return key


def _check_ledger(file: Path) -> None:
    """What can be told without opening it: closing it here would free SQLite's locks of this whole process."""
    status = file.lstat()
    if stat.S_ISLNK(status.st_mode):
        raise _no_link(file)
    if not stat.S_ISREG(status.st_mode):
        raise Unusable("misconfigured", f"{file} is no file. Set FINEXIO_MCP_LEDGER_URL to the path of one.")
    if status.st_size == 0:
        raise Unusable("damaged", f"{file} is empty, and once was a ledger. {KEEP_IT}")


def _tighten(file: Path) -> None:
    """Nobody else has any business with it, and what it was checked to be cannot change: the directory is private."""
    if POSIX and file.lstat().st_mode & 0o077:
        os.chmod(file, 0o600)


# Directories -----------------------------------------------------------------------


def _make_directory(directory: Path) -> None:
    """Make it and what is missing above it, for this user alone."""
    missing = [directory]
    while not missing[-1].exists():
        if missing[-1].is_symlink():
            raise Unusable("misconfigured", f"{missing[-1]} is a link that leads nowhere. Mend it or remove it.")
        missing.append(missing[-1].parent)
    for path in reversed(missing[:-1]):
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o700)
        _sync_directory(path.parent)


def _keep_private(directory: Path, *, ours: bool) -> None:
    """See to it that nobody else can put another ledger in this one's place.

    Our own default directory is tightened. One that the operator named may be used by others too, and a link may lead
    anywhere: there nothing is changed, and what is too open is refused.
    """
    status = directory.stat()
    if not stat.S_ISDIR(status.st_mode):
        raise Unusable("misconfigured", f"{directory} is no directory. Set FINEXIO_MCP_LEDGER_URL to another path.")
    if not POSIX:
        return
    user = os.geteuid()
    if user != 0 and status.st_uid not in {user, 0}:
        raise Unusable("permission", f"{directory} belongs to another user. {OWN_DIRECTORY}")
    if ours and status.st_mode & 0o077 and not directory.is_symlink():
        os.chmod(directory, 0o700)
    elif status.st_mode & 0o022:
        raise Unusable("permission", f"Others may write in {directory}. {OWN_DIRECTORY}")


def _sync_directory(directory: Path) -> None:
    """Make names in it survive a power cut; Windows has no such call."""
    if not POSIX:
        return
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# Saying what is wrong --------------------------------------------------------------

TAKE_BACK = "Restore the one that the ledger was started with; a new one would not recognise what was submitted."
KEEP_IT = "Keep it, never delete it, and restore the newest backup over it with the server stopped."
OWN_DIRECTORY = (
    "Give the ledger a directory of its own below, owned by the server's user: name one that does not exist yet in "
    "FINEXIO_MCP_LEDGER_URL, and it is made so. Or take the others' rights away (chmod go-rwx)."
)


@contextlib.contextmanager
def _explained(file: Path) -> Generator[None]:
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        trouble = explain(error, file=file)
        raise Unusable(trouble.kind, f"{trouble.advice} (The ledger: {file})") from None


def _no_link(path: Path) -> Unusable:
    return Unusable(
        "misconfigured",
        f"{path} is a symbolic link, which is not followed. Put the file itself there, or name its path.",
    )


def _missing_file(file: Path, key_file: Path) -> str:
    return (
        f"The ledger was removed: {file} is gone, its key {key_file.name} is there. Restore it from a backup. Only if "
        f"it is certain that nothing sent through it is in doubt, and that no call is repeated, remove {key_file.name} "
        "too: the next write starts afresh and knows nothing of what was paid."
    )


def _without_key(file: Path, key_file: Path) -> Unusable:
    if file.is_symlink():
        return _no_link(file)
    return Unusable(
        "missing_key",
        f"{file} is there, but its key {key_file.name} is not, so what was submitted cannot be recognised. Restore the "
        "key from the backup that the ledger belongs to; a new one would not fit. If the file is not a ledger of this "
        "server, name another path in FINEXIO_MCP_LEDGER_URL.",
    )


def _volatile(file: Path, reason: str) -> Unusable:
    return Unusable(
        "volatile",
        f"The ledger would be {file}, which lies on {reason}. Mount a local disk there, or set FINEXIO_MCP_LEDGER_URL "
        "to a path on one or to PostgreSQL; for a trial that may forget, set FINEXIO_MCP_ALLOW_VOLATILE_LEDGER=1.",
    )


# A glance at start -----------------------------------------------------------------

LEDGER_VERSION = 2
OLD_LEDGER_VERSION = 1
"""The versions of the tables that `peek` can read, as the store does. The old one knows no account but the default."""
PATIENCE_SECONDS = 0.2
OURS = frozenset({"submissions", "events", "head"})

# SQLite uses a partial index only for a query that repeats its condition word for word, and the one on conflicts only
# where a plus keeps it from one on scope. `{whose}` is empty, or a further condition that no index has to serve.
GLANCE = """
WITH clock(now) AS (SELECT coalesce(:now, CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER)))
SELECT
    (SELECT count(*) FROM submissions
        WHERE scope = :scope AND state IN ('intended', 'sent') AND lease_until_ms <= (SELECT now FROM clock){whose}),
    (SELECT count(*) FROM submissions
        WHERE scope = :scope AND state = 'in_doubt' AND next_look_at_ms <= (SELECT now FROM clock)
        AND lease_until_ms <= (SELECT now FROM clock){whose}),
    (SELECT count(*) FROM submissions WHERE scope = :scope AND state = 'in_doubt' AND next_look_at_ms IS NULL{whose}),
    (SELECT count(*) FROM submissions WHERE +scope = :scope AND state = 'conflict'{whose}),
    (SELECT count(*) FROM submissions
        WHERE scope = :scope AND state IN ('intended', 'sent') AND lease_until_ms > (SELECT now FROM clock){whose})
    + (SELECT count(*) FROM submissions
        WHERE scope = :scope AND state = 'in_doubt' AND next_look_at_ms IS NOT NULL
        AND (next_look_at_ms > (SELECT now FROM clock) OR lease_until_ms > (SELECT now FROM clock)){whose}),
    seq,
    hash
FROM head WHERE id = 1
"""


@dataclass(frozen=True, kw_only=True)
class Peeked:
    """What a glance at a ledger shows, without opening it for anything."""

    expired: int = 0
    """Rows that were meant to leave or left, and whose process did not come back before their lease ended."""
    due: int = 0
    """Rows in doubt that Finexio should be asked about now, and that nobody is asking about."""
    ahead: int = 0
    """Rows that something is still to be done for later, by processes that may live or may just have ended."""
    waiting: int = 0
    """Rows that only a person can settle."""
    events: int = 0
    head: str = ""
    """The end of the chain, to compare with the one that was noted last under its number."""
    trouble: Kind | None = None
    """Why nothing could be read. `locked` passes, or is mended by the next opening for writing."""

    @property
    def wants_care(self) -> bool:
        """Whether somebody should open the ledger and see to it."""
        return self.expired > 0 or self.due > 0 or self.trouble == "locked"


def peek(place: Place, *, account: str | None = None, now_ms: int | None = None) -> Peeked | None:
    """Look at an SQLite ledger without changing, creating or waiting for anything.

    Args:
        place: Where it is.
        account: Whose submissions count; `None`: everybody's.
        now_ms: The moment to judge leases by; `None` is SQLite's clock, as in the store.

    Returns:
        `None` if there is none, or it is no file.
    """
    if place.file is None or place.key_file is None:
        return None
    try:
        if not _there(place.file):
            return Peeked(trouble="missing_file") if _there(place.key_file) else None
        if is_new(place):
            return None
        if not _there(place.key_file):
            return Peeked(trouble="missing_key")
        return _glance(place.file, place.scope, account, now_ms)
    except (OSError, sqlite3.Error, UnicodeError) as error:
        return Peeked(trouble=explain(error, file=place.file).kind)


def _glance(file: Path, scope: str, account: str | None, now_ms: int | None) -> Peeked:
    address = f"{file.as_uri()}?mode=ro"
    with contextlib.closing(sqlite3.connect(address, uri=True, timeout=PATIENCE_SECONDS)) as connection:
        try:
            names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if not names >= OURS:
                return Peeked(trouble="not_ours" if names and not names & OURS else "damaged")
            version = connection.execute("SELECT version FROM head").fetchone()
            if version is None or version[0] not in (OLD_LEDGER_VERSION, LEDGER_VERSION):
                return Peeked(trouble="damaged" if version is None else "unknown_version")
            expired, due, undecided, conflicts, ahead, events, head = connection.execute(
                GLANCE.format(whose=_whose(version[0], account)), {"scope": scope, "account": account, "now": now_ms}
            ).fetchone()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode in INTERRUPTED:
                # A writer died on its way. Only one that may write can roll that back, and does so by itself.
                return Peeked(trouble="locked")
            raise
    waiting = undecided + conflicts
    return Peeked(expired=expired, due=due, ahead=ahead, waiting=waiting, events=events, head=str(head))


def _whose(version: int, account: str | None) -> str:
    if account is None or (version == OLD_LEDGER_VERSION and account == DEFAULT_ACCOUNT):
        return ""
    return " AND account = :account" if version == LEDGER_VERSION else " AND false"


INTERRUPTED = frozenset({sqlite3.SQLITE_READONLY_ROLLBACK, sqlite3.SQLITE_READONLY_RECOVERY})


# File systems ----------------------------------------------------------------------

MEMORY = "it is memory and ends with the machine or container"
LAYER = "a container's own layer, which ends with the container"
REMOTE = "a network or shared file system, whose locks and flushes cannot be relied on"
FAT = "it keeps no permissions, so others could read and change the ledger"
VOLATILE: dict[str, str] = {
    **dict.fromkeys(("tmpfs", "ramfs", "rootfs", "devtmpfs", "hugetlbfs"), MEMORY),
    **dict.fromkeys(("overlay", "overlayfs", "aufs", "unionfs"), LAYER),
    **dict.fromkeys(("nfs", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "afs", "ncpfs", "coda", "davfs"), REMOTE),
    **dict.fromkeys(("ceph", "lustre", "gpfs", "beegfs", "glusterfs", "orangefs", "pvfs2", "ocfs2", "gfs2"), REMOTE),
    **dict.fromkeys(("9p", "v9fs", "virtiofs", "vboxsf", "vmhgfs", "prl_fs", "drvfs", "fakeowner", "grpcfuse"), REMOTE),
    **dict.fromkeys(("fuse", "fuseblk"), REMOTE),
    **dict.fromkeys(("vfat", "msdos", "exfat"), FAT),
}


@dataclass(frozen=True)
class Mount:
    """One line of the kernel's list of mounts."""

    point: str
    kind: str


def volatile_reason(path: Path, mountinfo: Path = Path("/proc/self/mountinfo")) -> str | None:
    """Why what is written there may be lost or cannot be locked; `None` if it is fine, or where nobody can tell.

    Args:
        path: Need not exist: then what counts is where it would be made.
        mountinfo: The kernel's list, which only Linux has.
    """
    try:
        mounts = parse_mountinfo(mountinfo.read_bytes())
    except OSError:
        return None
    mount = mount_of(os.path.realpath(path), mounts)
    if mount is None:
        return None
    reason = REMOTE if mount.kind.startswith("fuse.") else VOLATILE.get(mount.kind)
    # A file system's kind may be anybody's text: who mounts by FUSE chooses it.
    return f"{re.sub(r'[^A-Za-z0-9_.-]', '?', mount.kind)[:40]} ({reason})" if reason is not None else None


def parse_mountinfo(content: bytes) -> list[Mount]:
    """The mounts, in the kernel's order; lines that make no sense are passed over."""
    mounts: list[Mount] = []
    for line in content.split(b"\n"):
        fields = line.split(b" ")
        # Optional fields stand between the sixth and a lone hyphen.
        if b"-" in fields[6:-1]:
            kind = fields[fields.index(b"-", 6) + 1]
            mounts.append(Mount(_plain(fields[4]), _plain(kind)))
    return mounts


def mount_of(path: str, mounts: list[Mount]) -> Mount | None:
    """The mount that a path without links lies on: the deepest one, and of several at one point the last."""
    found: Mount | None = None
    for mount in mounts:
        under = path == mount.point or path.startswith(f"{mount.point.rstrip('/')}/")
        if under and (found is None or len(mount.point) >= len(found.point)):
            found = mount
    return found


def _plain(text: bytes) -> str:
    """Blanks, tabs, newlines and backslashes stand there as three octal digits."""
    return os.fsdecode(re.sub(rb"\\([0-3][0-7]{2})", lambda match: bytes([int(match[1], 8)]), text))
