"""What an exchange with Finexio means for each row of the ledger: said only where the answer shows it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from finexio_mcp.errors import FinexioError, NotAuthorized, NotExecuted, NotFound, PermissionDenied, Problem, Rejected
from finexio_mcp.guards.ledger.rows import Outcome, Submission
from finexio_mcp.guards.ledger.states import Effect, State
from finexio_mcp.records import id_of
from finexio_mcp.shapes import is_array, is_object
from finexio_mcp.tools.invoices import identity

Row = dict[str, Any]

REFUSALS = (Rejected, NotAuthorized, PermissionDenied, NotFound)
ABOUT_CONTENT = frozenset({400, 422})
"""Refusals that speak of what was sent; the others speak of who sent it, or of its form."""
FIELD_OF_ROW = re.compile(r"invoices\[(\d{1,3})\]\.")


@dataclass(frozen=True)
class Verdict:
    """Where rows go, by position."""

    outcomes: dict[int, Outcome]
    pending: frozenset[int] = field(default_factory=frozenset[int])
    """Good rows of a refused batch: Finexio does not say whether it kept them, so it is looked up before they move."""


def match_rows(sent: Sequence[Row], answer: Any) -> list[Row | None]:
    """The record of each invoice in the answer to a batch, under its buyer, supplier, number and amount."""
    stored: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
    for row in returned_rows(answer):
        stored[identity(row)].append(row)
    return [_match(invoice, stored[identity(invoice)]) for invoice in sent]


def returned_rows(answer: Any) -> list[Row]:
    """The records in an answer, however they arrive."""
    return [row for row in (answer if is_array(answer) else [answer]) if is_object(row)]


def _match(sent: Row, stored: list[Row]) -> Row | None:
    amount = str(sent["amount_cents"])
    return next((row for row in stored if id_of(row) and str(row.get("amount_cents")) == amount), None)


def of_matches(matches: Sequence[Row | None]) -> Verdict:
    """An accepted batch: confirmed where the answer shows the row, else in doubt."""
    return Verdict(
        {
            position: Outcome(state=State.CONFIRMED, reason="accepted", finexio_id=id_of(match))
            if match
            else Outcome(state=State.IN_DOUBT, reason="unseen")
            for position, match in enumerate(matches)
        }
    )


def of_failure(error: Exception, rows: Sequence[Submission], effect: Effect) -> Verdict:
    """A write that left and was not accepted. What is not provably refused is in doubt."""
    status = error.http_status if isinstance(error, FinexioError) else None
    if isinstance(error, NotExecuted):
        return _all(rows, Outcome(state=State.REJECTED, reason="not_executed", http_status=status))
    if not isinstance(error, REFUSALS):
        reason = "no_answer" if status is None else "unclear_answer"
        return _all(rows, Outcome(state=State.IN_DOUBT, reason=reason, http_status=status))
    refused = Outcome(state=State.REJECTED, reason="refused", http_status=status)
    unclear = Outcome(state=State.IN_DOUBT, reason="unclear_refusal", http_status=status)
    if effect == "write" or status not in ABOUT_CONTENT:
        return Verdict({row.position: unclear if row.doubtful_before else refused for row in rows})
    named = _named_rows(error.problems, alone=len(rows) == 1)
    outcomes = {
        row.position: unclear if row.doubtful_before else refused
        for row in rows
        if row.doubtful_before or row.position in named
    }
    others = frozenset(row.position for row in rows) - outcomes.keys()
    if len(rows) == 1:
        return Verdict({**outcomes, **dict.fromkeys(others, unclear)})
    return Verdict(outcomes, pending=others)


def _all(rows: Iterable[Submission], outcome: Outcome) -> Verdict:
    return Verdict({row.position: outcome for row in rows})


def _named_rows(problems: Iterable[Problem], *, alone: bool) -> set[int]:
    """Rows of which the refusal names a field; one that names none may speak of an earlier submission."""
    fields = [problem.field for problem in problems]
    named = {int(match[1]) for name in fields if (match := FIELD_OF_ROW.match(name))}
    # A batch of one may be refused as an object, whose fields are the row's.
    return named | ({0} if alone and any(name and not name.startswith("invoices[") for name in fields) else set())
