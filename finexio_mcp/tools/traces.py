"""What follows for suppliers and buyers from the code that was chosen for them: how to find, and who has it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from finexio_mcp.errors import FinexioError, Rejected
from finexio_mcp.tools.spec import Trace

CODE = "external_reference_id"


def keys_of(arguments: dict[str, Any], code: str, *, prefix: str, main_contact: bool) -> tuple[str, ...]:
    """Under what a supplier or buyer stands in the ledger, the same in both views, which write to the same records.

    Args:
        arguments: Those of the tool; a new record has no id.
        code: What was chosen for it; Finexio knows it in capitals.
        prefix: What stands before the code.
        main_contact: Whether the main contact may be touched too.
    """
    id_ = arguments.get("id", "").casefold()
    keys = (
        f"counterparty:{id_}" if id_ else "",
        f"counterparty:{prefix}:{code.upper()}" if code else "",
        f"contact-main:{id_}" if id_ and main_contact else "",
    )
    return tuple(filter(None, keys))


def by_code(path: str, *, prefix: str) -> tuple[Trace, Trace]:
    """How the creation and the change of such a record stand in the ledger.

    Args:
        path: Of the list; that of a record follows from it.
        prefix: What stands before the code in the ledger. A supplier and a buyer may have the same.
    """

    def records(arguments: dict[str, Any]) -> tuple[str, ...]:
        # A replace, which repeats the name, may blank the contacts.
        return keys_of(arguments, arguments.get(CODE, ""), prefix=prefix, main_contact="name" in arguments)

    def expected(arguments: dict[str, Any]) -> list[dict[str, Any]]:
        return [{name: value for name, value in arguments.items() if name != "id"}]

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


def explain_taken(list_tool: str, code: str = CODE) -> Callable[[FinexioError, dict[str, Any]], str | None]:
    """A way out for a refusal that names the code: most often somebody has it."""

    def way_out(error: FinexioError, _arguments: dict[str, Any]) -> str | None:
        if isinstance(error, Rejected) and any(problem.field == code for problem in error.problems):
            return f"If the code is taken, {list_tool} with this {code} shows by whom."
        return None

    return way_out


def _has_its_code(row: dict[str, Any], kept: dict[str, str]) -> bool:
    return str(row.get(CODE) or "").upper() == kept[CODE].upper()
