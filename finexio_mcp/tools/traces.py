"""Traces of suppliers and buyers, which are found by the code that their owner chose for them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from finexio_mcp.tools.spec import Trace

CODE = "external_reference_id"


def traces(path: str, *, prefix: str, unseen: Collection[str]) -> tuple[Trace, Trace]:
    """How the creation and the change of such a record stand in the ledger.

    Args:
        path: Of the list; that of a record follows from it.
        prefix: What stands before the code in the ledger. A supplier and a buyer may have the same.
        unseen: Fields that Finexio may show otherwise than they were sent.
    """

    def records(arguments: dict[str, Any]) -> tuple[str, ...]:
        """The same keys as for the deprecated view, which writes to the same records."""
        code = str(arguments.get(CODE, "")).upper()
        keys = (arguments.get("id", "").casefold(), f"{prefix}:{code}" if code else "")
        return tuple(f"counterparty:{key}" for key in keys if key)

    def expected(arguments: dict[str, Any]) -> list[dict[str, Any]]:
        return [{name: value for name, value in arguments.items() if name not in {"id", *unseen}}]

    created = Trace(
        records=records,
        kept=lambda arguments: {CODE: arguments[CODE]},
        look=f"GET {path}",
        query=(CODE,),
        expected=expected,
        created_by=(CODE,),
        is_it=_has_its_code,
    )
    changed = Trace(
        records=records, kept=lambda arguments: {"id": arguments["id"]}, look=f"GET {path}/{{id}}/", expected=expected
    )
    return created, changed


def _has_its_code(row: dict[str, Any], kept: dict[str, str]) -> bool:
    return str(row.get(CODE) or "").upper() == kept[CODE].upper()
