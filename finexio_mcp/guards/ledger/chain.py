"""The hash chain over the ledger's events, and what must agree with them; pure, no database."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

from finexio_mcp.guards.ledger.states import MOVES, OPEN, State

OPERATOR: Final = "operator"
"""Who did it, where a person did."""

Row = Mapping[Any, Any]

_ENCODER: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def digest(value: Any) -> str:
    """SHA-256 over the one JSON text that a value has."""
    return hashlib.sha256(_ENCODER.encode(value).encode()).hexdigest()


def genesis(ledger_id: str) -> str:
    """What the first event follows: another ledger's events do not fit."""
    return digest({"ledger": ledger_id})


def link(previous: str, event: Row) -> str:
    """The hash of an event, given the one before; `hash` itself is left out."""
    return digest([previous, {name: value for name, value in event.items() if name != "hash"}])


def broken_links(events: Sequence[Row], *, seq: int, previous: str) -> Iterator[str]:
    """What is wrong with events that should follow event `seq`, whose hash is `previous`."""
    for event in events:
        seq += 1
        if event["seq"] != seq:
            yield f"event {seq}: missing"
            seq = event["seq"]
        elif event["hash"] != link(previous, event):
            yield f"event {seq}: it or the one before was changed"
        previous = event["hash"]


def disagreements(row: Row, facts: Row, events: Sequence[Row], *, superseded: bool) -> Iterator[str]:
    """How a submission differs from what its events tell.

    Args:
        row: All columns.
        facts: Those that never change.
        events: The submission's own, in order.
        superseded: Whether an event of another submission says so.
    """
    if not events:
        yield "no event tells of it"
        return
    first, last = events[0], events[-1]
    if first["before"] is not None or first["after"] != State.INTENDED or first["facts"] != digest(facts):
        yield "it is not what was recorded at first"
    if any(event["op_id"] != row["op_id"] or event["position"] != row["position"] for event in events):
        yield "its events name another call"
    if any(after["before"] != before["after"] or not _may_follow(before, after) for before, after in pairwise(events)):
        yield "its events do not follow from one another"
    if any(row[name] != value for name, value in _present(events, last).items()):
        yield "its state is not that of its last event"
    if bool(row["superseded"]) != superseded:
        yield "whether it was submitted again is not what the events tell"


def _may_follow(before: Row, after: Row) -> bool:
    states = set(State)
    return before["after"] in states and after["after"] in MOVES[State(before["after"])]


def _present(events: Sequence[Row], last: Row) -> dict[str, Any]:
    """What the columns should hold that change with the state."""
    sent = [event["at_ms"] for event in events if event["after"] == State.SENT]
    return {
        "state": last["after"],
        "reason": last["reason"],
        "http_status": last["http_status"],
        "finexio_id": last["finexio_id"],
        "by_operator": int(last["by"] == OPERATOR),
        "sent_at_ms": sent[0] if sent else None,
        "settled_at_ms": None if last["after"] in OPEN else last["at_ms"],
    }
