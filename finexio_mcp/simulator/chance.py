"""Ids and draws that are the same for the same seed, whatever else happened in between."""

from hashlib import blake2b
from random import Random
from uuid import UUID


class Chance:
    """Everything that looks random in the simulated world comes from here.

    Counters are part of the saved books, so a second process goes on where the first stopped.
    """

    def __init__(self, seed: int, counters: dict[str, int]) -> None:
        self.seed = seed
        self.counters = counters

    def count(self, kind: str) -> int:
        number = self.counters.get(kind, 0) + 1
        self.counters[kind] = number
        return number

    def uuid(self, kind: str) -> str:
        return str(UUID(bytes=self._digest(kind, self.count(kind)), version=4))

    def drawdown_id(self) -> str:
        return f"DJ{0xA1F + 37 * self.count('drawdown'):010X}"

    def tracking_id(self) -> str:
        digits = self._digest("tracking", self.count("tracking")).hex().upper()
        return f"RC{digits[:15]}"

    def check_number(self) -> str:
        return str(104_400 + self.count("check"))

    def stream(self, *key: object) -> Random:
        """A stream of draws of its own for one thing, so that no draw shifts another."""
        return Random(f"{self.seed}/{'/'.join(map(str, key))}")  # noqa: S311 - play data, no secret

    def shuffle_key(self, text: str) -> bytes:
        """Orders rows in a way that is stable, and tells nothing about their age."""
        return blake2b(text.encode(), digest_size=8).digest()

    def _digest(self, *key: object) -> bytes:
        return blake2b(f"{self.seed}/{'/'.join(map(str, key))}".encode(), digest_size=16).digest()
