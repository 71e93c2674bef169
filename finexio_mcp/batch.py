"""What became of each invoice of a batch, said only where the answer shows it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from finexio_mcp.errors import FinexioError, Problem, Rejected, WriteStatus
from finexio_mcp.shapes import is_array, is_object
from finexio_mcp.tools.invoices import NUMBER, identity

Row = dict[str, Any]

SUBMITTED = "Accepted by Finexio; payments follow by themselves. Not yet paid."
EXTRA = "Finexio's answer also shows invoices that were not in this call; they are left out."
PERHAPS_TAKEN = (
    "Whether Finexio took the rows without a reason is not documented: look for them with list_all_finexio_invoices "
    "before sending them again."
)
MAX_NUMBER_CHARS = 49
OF_ROW = re.compile(r"invoices\[(\d{1,3})\]")


def match_batch(sent: list[Row], answer: Any) -> tuple[WriteStatus, list[Row], list[str]]:
    """A row for each invoice sent, in the order given, with the notices that go with them.

    A row is confirmed only if the answer holds an id under its buyer, supplier, number and amount;
    everything else is in doubt, since the batch as a whole was accepted.
    """
    returned = [row for row in (answer if is_array(answer) else [answer]) if is_object(row)]
    stored: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
    for row in returned:
        stored[identity(row)].append(row)
    matches = [_match(invoice, stored[identity(invoice)]) for invoice in sent]
    if None not in matches:
        notices = [SUBMITTED, *([EXTRA] if len(returned) > len(sent) else [])]
        return "confirmed", [match for match in matches if match], notices
    rows = [
        {"id": match["id"], **_number(invoice), "status": "confirmed"} if match else _number(invoice)
        for invoice, match in zip(sent, matches, strict=True)
    ]
    return "in_doubt", rows, []


def _match(sent: Row, stored: list[Row]) -> Row | None:
    amount = str(sent["amount_cents"])
    return next((row for row in stored if row.get("id") and str(row.get("amount_cents")) == amount), None)


def _number(row: Row) -> Row:
    return {"invoice_number": row["invoice_number"]}


def _is_number(value: Any) -> bool:
    """What was refused may be any text; only what can be an invoice number is repeated."""
    return isinstance(value, str) and len(value) <= MAX_NUMBER_CHARS and NUMBER.fullmatch(value) is not None


def rows_of_failure(error: FinexioError, arguments: Any) -> list[Row]:
    """The rows of a batch that failed, with a status where it differs from the batch's.

    Finexio does not say whether it keeps the good rows of a batch that it refuses. So of several
    rows only those with a reason of their own are rejected, and the batch is in doubt.
    """
    invoices = arguments.get("invoices") if is_object(arguments) else None
    named = [row for row in invoices if is_object(row)] if is_array(invoices) else []
    rows = [_number(row) for row in named if _is_number(row.get("invoice_number"))]
    bad = _refused_rows(error.problems)
    if not isinstance(error, Rejected) or len(rows) < 2 or len(bad) == len(rows):
        return rows
    error.status, error.may_have_happened = "in_doubt", True
    error.message = f"{error.message} {PERHAPS_TAKEN}"
    return [{**row, "status": "rejected"} if index in bad else row for index, row in enumerate(rows)]


def _refused_rows(problems: Iterable[Problem]) -> set[int]:
    return {int(match[1]) for problem in problems if (match := OF_ROW.match(problem.field))}
