"""Whatever is sent, the simulator answers in its own manner: a crash here would look like a vendor's secret."""

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from finexio_mcp.simulator import OPERATIONS, Received, Simulator
from finexio_mcp.simulator.rules import BUYER, INVOICE, LEGACY, SUPPLIER, SUPPLIER_CONTACT, WEBHOOK

from .conftest import NOW

KEYS = sorted({*LEGACY, *SUPPLIER, *BUYER, *INVOICE, *SUPPLIER_CONTACT, *WEBHOOK, "contacts", "nonsense"})
WORDS = ["", "Supplier", "Buyer", "ACH", "Check", "Card", "PrintedCheck", "ach_debit", "USD", "AL", "2026-11-20", "s-1"]
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from([*WORDS, "b-1", "payment.changed", "https://x.example", "a@b.example", "C-1"])
)
OBJECTS = st.dictionaries(
    st.sampled_from(KEYS), SCALARS | st.lists(st.dictionaries(st.sampled_from(KEYS), SCALARS, max_size=3), max_size=2)
)
BODIES = OBJECTS | st.lists(OBJECTS | SCALARS, max_size=3) | SCALARS
QUERIES = st.lists(
    st.tuples(
        st.sampled_from(["page", "status", "type", "created_start", "refunded", "amount_cents_end", "object_id"]),
        st.text(st.characters(codec="ascii", categories=["L", "N"]), max_size=6),
    ),
    max_size=3,
)
IDS = st.sampled_from(["s-1", "b-1", "i-1", "p-1", "w-1", "DJ1", "C-1", "nobody", "%2e%2e", "%ff"])


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(operation=st.sampled_from(OPERATIONS), record_id=IDS, body=BODIES, query=QUERIES)
def test_no_request_crashes_it(operation: Any, record_id: str, body: Any, query: list[tuple[str, str]]) -> None:
    """Ours: every answer is below 500 and JSON, empty, or the page of an unknown address."""
    path = operation.path.replace("{external_reference_id}", "C-1")
    for name in ("id", "key", "uuid", "processor_request_id"):
        path = path.replace(f"{{{name}}}", record_id)
    request = Received(
        method=operation.method,
        path=f"/v2{path}",
        query_string="&".join("=".join(pair) for pair in query),
        headers={"authorization": "Basic ZGVtbzpkZW1v", "content-type": "application/json"},
        body=json.dumps(body).encode() if operation.method in ("POST", "PUT", "PATCH") else b"",
    )
    answer = SIM.receive(request).answer

    assert answer is not None
    assert answer.status < 500
    if answer.headers.get("content-type") == "application/json":
        json.loads(answer.body)
    SIM.advance(minutes=7)


def small_world() -> Simulator:
    sim = Simulator(seed=1, now=NOW, populated=False)
    sim.add_buyer("b-1")
    sim.add_supplier("s-1")
    sim.add_contact("s-1", external_reference_id="C-1")
    sim.add_payment("p-1", status="settled")
    sim.add_drawdown("DJ1", payments=["p-1"])
    sim.add_invoice("i-1")
    return sim


SIM = small_world()
"""Shared by all examples on purpose: what one left behind, the next one meets."""


def test_a_body_nested_without_end_is_refused(sim: Simulator) -> None:
    """Ours."""
    request = Received(
        method="POST",
        path="/v2/webhooks/",
        headers={"authorization": "Basic ZGVtbzpkZW1v", "content-type": "application/json"},
        body=b"[" * 100_000,
    )

    answer = sim.receive(request).answer

    assert answer is not None
    assert answer.status == 400
