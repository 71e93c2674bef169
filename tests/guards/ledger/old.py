"""A ledger of version 1, as it was left: its tables word for word, and submissions in every state, for every reason."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

HERE: Final = Path(__file__).parent
Row = Mapping[str, Any]


def statements(dialect: str) -> list[str]:
    """What made the tables; the triggers, which come last, would refuse rows that are not new."""
    whole = (HERE / f"version_1.{dialect}.sql").read_text(encoding="utf-8")
    return [each.strip().removesuffix(";") for each in whole.split("\n\n") if not each.startswith("--")]


def rows() -> dict[str, list[Row]]:
    """The rows of each table, without what is null."""
    return json.loads((HERE / "version_1.rows.json").read_text(encoding="utf-8"))


def _inserts(mark: str) -> Iterator[tuple[str, Sequence[Any]]]:
    for table, found in rows().items():
        for row in found:
            marks = ", ".join([mark] * len(row))
            yield f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", list(row.values())


def put_file(path: Path) -> None:
    """Such a ledger in a file."""
    connection = sqlite3.connect(path)
    made = statements("sqlite")
    with connection:
        for statement in made:
            if not statement.startswith("CREATE TRIGGER"):
                connection.execute(statement)
        for statement, values in _inserts("?"):
            connection.execute(statement, values)
        for statement in made:
            if statement.startswith("CREATE TRIGGER"):
                connection.execute(statement)
    connection.close()
    path.chmod(0o600)


def put_schema(url: str) -> None:
    """Such a ledger in PostgreSQL."""
    engine = create_engine(url, poolclass=NullPool)
    made = statements("postgresql")
    with engine.begin() as connection:
        for statement in made:
            if not statement.startswith("CREATE TRIGGER"):
                connection.execute(text(statement.replace(":=", r"\:=")))
        for statement, values in _inserts("%s"):
            connection.exec_driver_sql(statement, tuple(values))
        connection.execute(text("SELECT setval('submissions_id_seq', (SELECT max(id) FROM submissions))"))
        for statement in made:
            if statement.startswith("CREATE TRIGGER"):
                connection.execute(text(statement))
