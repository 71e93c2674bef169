"""Columns of tables that mean the same in SQLite and in PostgreSQL."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Integer, Text

# Tables of SQLite are strict, and strict ones know no other name for a whole number.
WHOLE: Final = BigInteger().with_variant(Integer, "sqlite")


def whole(name: str, *, null: bool = False) -> Column[int]:
    """A whole number."""
    return Column(name, WHOLE, nullable=null)


def word(name: str, *, null: bool = False) -> Column[str]:
    """A text."""
    return Column(name, Text, nullable=null)
