"""What is measured, line by line."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Row:
    """One line of the table: a value a round for each peer, in the same order."""

    figure: str
    unit: str
    bound: str = ""
    values: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    against: str = "bare"
    """The peer that ours is compared with."""

    def add(self, peer: str, value: float) -> None:
        """Keep what one peer took in one round."""
        self.values.setdefault(peer, []).append(value)
