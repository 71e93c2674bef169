"""The states of a submission, and the only moves between them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal

Effect = Literal["pay", "write"]
"""What a submission does to the world, as access levels name it."""


class State(StrEnum):
    """Where a submission stands. What a model is told (`WriteStatus`) is made from this and more."""

    INTENDED = "intended"
    """Recorded; no byte has left."""
    SENT = "sent"
    """Recorded as leaving, before the first byte did."""
    CONFIRMED = "confirmed"
    """Finexio has it."""
    REJECTED = "rejected"
    """Finexio refused it, or turned it away unread."""
    IN_DOUBT = "in_doubt"
    """It may have happened."""
    ABSENT = "absent"
    """It never left, or two late looks did not find it."""
    CONFLICT = "conflict"
    """Finexio has another content under the same identity; a person decides."""


MOVES: Mapping[State, frozenset[State]] = {
    State.INTENDED: frozenset({State.SENT, State.ABSENT}),
    State.SENT: frozenset({State.CONFIRMED, State.REJECTED, State.IN_DOUBT}),
    State.IN_DOUBT: frozenset({State.CONFIRMED, State.ABSENT, State.CONFLICT}),
    State.CONFLICT: frozenset({State.CONFIRMED, State.ABSENT}),
    State.CONFIRMED: frozenset(),
    State.REJECTED: frozenset(),
    State.ABSENT: frozenset({State.CONFIRMED, State.CONFLICT}),
}
"""The database holds the same list and refuses every other move. Out of `conflict` only a person's word leads; out
of `absent` only proof that it was there after all."""

OPEN = frozenset({State.INTENDED, State.SENT, State.IN_DOUBT})
"""States that something still has to come of."""

LIVE: Mapping[Effect, frozenset[State]] = {
    "pay": OPEN | {State.CONFIRMED, State.CONFLICT},
    "write": OPEN,
}
"""States that block a second submission of the same identity."""
