"""The judge finds each kind of broken promise, so that its silence means something."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.torture.oracle import Evidence, Landed, Row, identity_of, judge
from tests.torture.upstream import BUYER, SUPPLIER, invoice

INVOICE = invoice("J-1", amount_cents=500)
IDENTITY = identity_of(INVOICE)
LANDED = Landed("f-1", IDENTITY, 500)
ROW: Row = {
    "id": 1,
    "op_id": "op_1",
    "position": 0,
    "generation": 1,
    "state": "confirmed",
    "reason": "accepted",
    "buyer": BUYER,
    "supplier": SUPPLIER,
    "number": "J-1",
    "amount_cents": 500,
    "finexio_id": "f-1",
    "sent_at_ms": 1,
    "lease_until_ms": 0,
    "next_look_at_ms": None,
    "live": 1,
}
SHOWN: Row = {"invoice_number": "J-1", "id": "f-1"}


def told(overall: str, **shown: Any) -> Row:
    return {"rows": [INVOICE], "answer": {"status": overall, "op_id": "op_1", "result": [{**SHOWN, **shown}]}}


GOOD = Evidence(landed=[LANDED], posts=[[IDENTITY]], rows=[ROW], answers=[told("confirmed")])

BROKEN: Mapping[str, tuple[str, Evidence]] = {
    "two effects": ("paid twice", replace(GOOD, landed=[LANDED, Landed("f-2", IDENTITY, 500)])),
    "no row": ("forgotten", replace(GOOD, rows=[])),
    "never recorded as sent": ("forgotten", replace(GOOD, rows=[{**ROW, "sent_at_ms": None}])),
    "absent, and it landed": ("freed", replace(GOOD, rows=[{**ROW, "state": "absent"}])),
    "rejected, and it landed": ("freed", replace(GOOD, rows=[{**ROW, "state": "rejected"}])),
    "a second batch": ("beside the ledger", replace(GOOD, posts=[[IDENTITY], [IDENTITY]])),
    "confirmed, and nothing landed": ("false row", replace(GOOD, landed=[])),
    "confirmed as another": ("false row", replace(GOOD, rows=[{**ROW, "finexio_id": "f-2"}])),
    "confirmed with another amount": ("false row", replace(GOOD, rows=[{**ROW, "amount_cents": 501}])),
    "told so of nothing": ("false answer", replace(GOOD, landed=[])),
    "told so with another id": ("false answer", replace(GOOD, answers=[told("already_submitted", id="f-2")])),
    "told so without an id": ("false answer", replace(GOOD, answers=[told("confirmed", id="")])),
    "told of another amount": (
        "false answer",
        replace(GOOD, answers=[{**told("confirmed"), "rows": [{**INVOICE, "amount_cents": 501}]}]),
    ),
    "told that it is free": ("false answer", replace(GOOD, answers=[told("rejected")])),
    "told of a row that it is free": ("false answer", replace(GOOD, answers=[told("in_doubt", status="not_executed")])),
    "told of another number": ("false answer", replace(GOOD, answers=[told("in_doubt", invoice_number="J-2")])),
    "still intended": ("stuck", replace(GOOD, rows=[ROW, {**ROW, "state": "intended", "live": 0}])),
    "still sent": ("stuck", replace(GOOD, rows=[{**ROW, "state": "sent"}])),
    "two live rows": ("two live rows", replace(GOOD, rows=[ROW, {**ROW, "id": 2, "op_id": "op_2"}])),
    "a broken chain": ("chain", replace(GOOD, chain=["head: it is not at the last event"])),
}


def test_a_good_run_has_no_problem() -> None:
    assert judge(GOOD) == []


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_promise_is_found(name: str) -> None:
    """Ours: whatever else is found, this is."""
    kind, evidence = BROKEN[name]

    assert any(problem.startswith(kind) for problem in judge(evidence)), judge(evidence)
