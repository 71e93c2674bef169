"""A pretend Finexio on a port, in a mood: it delays, breaks off, loses answers, and pays what it is told twice."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from finexio_mcp.simulator import Fault, Received, Simulator
from finexio_mcp.simulator import invoices as simulated_invoices
from tests.torture.jobs import Row

BUYER = "11111111-1111-4111-8111-111111111111"
SUPPLIER = "22222222-2222-4222-8222-222222222222"
STRANGER = "33333333-3333-4333-8333-333333333333"
"""A supplier that Finexio does not know."""
BATCH = "/v2/invoices/batch/"

REAL_TIME = 86_400.0
NOT_SHOWN = b"<html>Bad gateway</html>"

MISFORTUNES: Mapping[str, Fault] = {
    "slow": Fault(delay_seconds=0.15),
    "slower": Fault(delay_seconds=0.7),
    "reset before": Fault(reset="before_effect"),
    "reset after": Fault(reset="after_effect"),
    "closed before": Fault(reset="before_effect", orderly=True),
    "closed after": Fault(reset="after_effect", orderly=True),
    "lost": Fault(lost_answer=True),
    "late": Fault(lands_after=timedelta(seconds=1)),
    "500 before": Fault(status=500),
    "500 after": Fault(status=500, takes_effect=True),
    "502 before": Fault(status=502, body=NOT_SHOWN),
    "504 after": Fault(status=504, body=NOT_SHOWN, takes_effect=True),
    "truncated": Fault(truncate_at=40),
    "unreadable": Fault(body=NOT_SHOWN),
    "empty": Fault(body=b""),
    "429": Fault(status=429),
}
"""What can happen to a batch. Each either takes effect or does not, and most answers do not tell which."""

DISTURBANCES: Mapping[str, Fault] = {
    "reset": Fault(reset="before_effect"),
    "500": Fault(status=500),
    "truncated": Fault(truncate_at=40),
}
"""What can happen to a look."""


def invoice(number: str, *, amount_cents: int | None = None, supplier: str = SUPPLIER) -> Row:
    """An invoice whose amount is its own, so that no two look alike."""
    return {
        "invoice_number": number,
        "amount_cents": amount_cents or amount_of(number),
        "invoice_date": datetime.now(UTC).date().isoformat(),
        "originating_counterparty_id": BUYER,
        "receiving_counterparty_id": supplier,
    }


def amount_of(number: str) -> int:
    """Cents that no other number has."""
    digits = "".join(character for character in number if character.isdigit())
    return 10_01 + 100 * int(digits or 0)


@contextlib.contextmanager
def finexio(*, seed: int = 1, pays_twice: bool = True) -> Generator[tuple[Simulator, str]]:
    """An empty Finexio with one buyer and one supplier, and its address.

    Args:
        seed: Of its data.
        pays_twice: Leave out the vendor's own check for duplicates, which would hide ours failing.
    """
    simulator = Simulator(seed=seed, populated=False)
    simulator.add_buyer(BUYER)
    simulator.add_supplier(SUPPLIER)
    with contextlib.ExitStack() as stack:
        if pays_twice:
            stack.enter_context(_without_duplicate_check())
        yield simulator, stack.enter_context(simulator.listening(day_seconds=REAL_TIME))


@contextlib.contextmanager
def _without_duplicate_check() -> Generator[None]:
    name = "_with_duplicates"
    before = getattr(simulated_invoices, name)

    def only_own_problems(_world: Any, read: list[tuple[Any, Any]]) -> list[Any]:
        return [problems for _, problems in read]

    setattr(simulated_invoices, name, only_own_problems)
    try:
        yield
    finally:
        setattr(simulated_invoices, name, before)


@dataclass
class Mood:
    """Decides, request by request, what goes wrong; the same seed decides alike for the same requests.

    Args:
        simulator: Whose mood it is.
        chance: Where it comes from.
        trouble: Share of batches to which something happens.
        disturbed: Share of looks that fail.
    """

    simulator: Simulator
    chance: Random
    trouble: float = 0.5
    disturbed: float = 0.04

    def begin(self) -> None:
        posts, gets = _Draw(self, MISFORTUNES), _Draw(self, DISTURBANCES)
        for name, fault in MISFORTUNES.items():
            self.simulator.fault(fault, times=None, match=posts.match(name, "POST"), path=BATCH)
        for name, fault in DISTURBANCES.items():
            self.simulator.fault(fault, times=None, match=gets.match(name, "GET"))

    def end(self) -> None:
        self.simulator.clear_faults()


class _Draw:
    """One draw for each request, however many scripted faults ask."""

    def __init__(self, mood: Mood, kinds: Mapping[str, Fault]) -> None:
        self._mood, self._kinds = mood, list(kinds)
        self._request: Received | None = None
        self._drawn: str | None = None
        self._rounds = itertools.cycle(mood.chance.sample(self._kinds, len(self._kinds)))

    def match(self, name: str, method: str) -> Any:
        def fits(request: Received) -> bool:
            if request.method != method:
                return False
            if request is not self._request:
                self._request, self._drawn = request, self._draw(method)
            return self._drawn == name

        return fits

    def _draw(self, method: str) -> str | None:
        share = self._mood.trouble if method == "POST" else self._mood.disturbed
        return next(self._rounds) if self._mood.chance.random() < share else None
