"""Everything the pretend Finexio knows, as plain JSON, in memory or in a file that processes share."""

import json
import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Record = dict[str, Any]
"""One record in Finexio's own field names. Names that begin with `_` never leave the simulator."""

Step = tuple[str, int, str, str, str]
"""Something due later: moment, tie-breaker, action, the id it is about, a detail."""


@dataclass
class Books:
    buyers: dict[str, Record] = field(default_factory=dict[str, Record])
    suppliers: dict[str, Record] = field(default_factory=dict[str, Record])
    invoices: dict[str, Record] = field(default_factory=dict[str, Record])
    payments: dict[str, Record] = field(default_factory=dict[str, Record])
    drawdowns: dict[str, Record] = field(default_factory=dict[str, Record])
    webhooks: dict[str, Record] = field(default_factory=dict[str, Record])
    history: list[Record] = field(default_factory=list[Record])
    agenda: list[Step] = field(default_factory=list[Step])
    """A heap of steps, the earliest first."""
    waiting: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """Invoices without a payment yet, by the group that will share one."""
    counters: dict[str, int] = field(default_factory=dict[str, int])
    now: str = ""
    """Where the clock stood when the books were saved."""

    def replace(self, saved: dict[str, Any]) -> None:
        """Take over saved books, keeping every container that others hold a reference to."""
        self.now = saved["now"]
        for name in ("buyers", "suppliers", "invoices", "payments", "drawdowns", "webhooks", "waiting", "counters"):
            container = getattr(self, name)
            container.clear()
            container.update(saved[name])
        self.history[:] = saved["history"]
        self.agenda[:] = [tuple(step) for step in saved["agenda"]]

    def clear(self) -> None:
        self.replace(json.loads(json.dumps(vars(Books()))))


class StateFile:
    """Books in one row of a SQLite file; a version number shows whether another process wrote."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
        # Play money: surviving a killed process is enough, surviving a power cut is not worth the wait.
        self._connection.execute("PRAGMA synchronous=OFF")
        self._connection.execute(
            "CREATE TABLE IF NOT EXISTS books (id INTEGER PRIMARY KEY CHECK (id = 1), version INTEGER, document TEXT)"
        )
        self._version = 0

    @contextmanager
    def transaction(self) -> Generator[None]:
        """Keep other processes out until what they must see is written."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            self._connection.execute("COMMIT")

    def load(self, books: Books) -> bool:
        """Bring `books` up to what is saved; tells whether anything newer was there."""
        with closing(self._connection.execute("SELECT version FROM books")) as rows:
            row = rows.fetchone()
        if row is None or row[0] == self._version:
            return False
        with closing(self._connection.execute("SELECT version, document FROM books")) as rows:
            self._version, document = rows.fetchone()
        books.replace(json.loads(document))
        return True

    def save(self, books: Books) -> None:
        self._version += 1
        document = json.dumps(vars(books), separators=(",", ":"))
        self._connection.execute("INSERT OR REPLACE INTO books VALUES (1, ?, ?)", (self._version, document))

    def close(self) -> None:
        self._connection.close()
