"""What becomes of a submission; pure, from one value to the next."""

from __future__ import annotations

from dataclasses import replace

from finexio_mcp.guards.ledger.rows import Look, Outcome, Reason, Submission
from finexio_mcp.guards.ledger.states import OPEN, State


def sent(row: Submission, now_ms: int, until_ms: int) -> Submission:
    from_ms = now_ms if row.searched_from_ms is None else min(row.searched_from_ms, now_ms)
    return replace(row, state=State.SENT, sent_at_ms=now_ms, searched_from_ms=from_ms, lease_until_ms=until_ms)


def moved(
    row: Submission,
    state: State,
    reason: Reason,
    now_ms: int,
    *,
    http_status: int | None = None,
    finexio_id: str | None = None,
    next_look_at_ms: int | None = None,
    by_operator: bool = False,
) -> Submission:
    """Out of somebody's hands, into a state."""
    return replace(
        row,
        state=state,
        reason=reason,
        http_status=row.http_status if http_status is None else http_status,
        finexio_id=finexio_id or row.finexio_id,
        owner=None,
        lease_until_ms=0,
        settled_at_ms=None if state in OPEN else now_ms,
        next_look_at_ms=next_look_at_ms,
        by_operator=by_operator,
    )


def settled(row: Submission, outcome: Outcome, now_ms: int, *, look_at_ms: int | None) -> Submission:
    return moved(
        row,
        outcome.state,
        outcome.reason,
        now_ms,
        http_status=outcome.http_status,
        finexio_id=outcome.finexio_id,
        next_look_at_ms=look_at_ms if outcome.state is State.IN_DOUBT else None,
    )


def looked(row: Submission, look: Look, now_ms: int) -> Submission:
    if look.outcome is None:
        after = replace(row, owner=None, lease_until_ms=0, next_look_at_ms=look.next_look_at_ms)
    else:
        after = settled(row, look.outcome, now_ms, look_at_ms=None)
    return replace(after, looks=row.looks + 1, absent_since_ms=look.absent_since_ms)


def found_late(row: Submission, outcome: Outcome, now_ms: int) -> Submission:
    # Whoever gave an invoice up may have paid it by other means since; a change has no such other half.
    known = row.effect == "write" and outcome.state is State.CONFIRMED
    return moved(
        row,
        State.CONFIRMED if known else State.CONFLICT,
        "found_late",
        now_ms,
        http_status=outcome.http_status,
        finexio_id=outcome.finexio_id,
    )


def is_late_proof(row: Submission, outcome: Outcome) -> bool:
    """Whether this shows that what was given up did arrive."""
    given_up = row.state is State.ABSENT and row.sent_at_ms is not None
    return given_up and outcome.state in (State.CONFIRMED, State.CONFLICT)


def is_left_behind(row: Submission, now_ms: int) -> bool:
    return row.state in (State.INTENDED, State.SENT) and row.lease_until_ms <= now_ms


def taken_over(row: Submission, now_ms: int) -> Submission:
    if row.state is State.INTENDED:
        return moved(row, State.ABSENT, "abandoned", now_ms)
    return moved(row, State.IN_DOUBT, "taken_over", now_ms, next_look_at_ms=now_ms)
