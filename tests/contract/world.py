"""A simulated Finexio in which every id that the samples name exists, and the judge of what it received."""

from finexio_mcp.simulator import Simulator
from finexio_mcp.simulator.journal import RequestRecord
from tests.contract import samples
from tests.contract.validator import Violations, check

# A subscription is taken once for each event, so creating one needs a world without.
CREATES_WEBHOOK = frozenset({"createWebhook", "create_a_finexio_webhook"})


def small_world(task: str) -> Simulator:
    """The books before `task`, an operation or a tool, is done."""
    sim = Simulator(seed=1, now=samples.NOW, populated=False)
    sim.add_buyer(id=samples.BUYER_ID, external_reference_id="STORE-1")
    sim.add_supplier(id=samples.SUPPLIER_ID, external_reference_id="WHARF-12", payment_method="Check")
    sim.add_contact(
        samples.SUPPLIER_ID,
        id=samples.CONTACT_ID,
        external_reference_id=samples.CONTACT_REFERENCE,
        name="Rae Lund",
        email="rae@quayside.example",
        phone="251-555-0143",
        primary=True,
    )
    sim.add_contact(
        samples.BUYER_ID,
        id=samples.BUYER_CONTACT_ID,
        external_reference_id=samples.BUYER_CONTACT_REFERENCE,
        name="Rae Lund",
        email="rae@store.example",
        phone="208-555-0143",
        primary=False,
    )
    parties = {"originating_counterparty_id": samples.BUYER_ID, "receiving_counterparty_id": samples.SUPPLIER_ID}
    sim.add_invoice(id=samples.INVOICE_ID, invoice_number="QP-1", amount_cents=5_000, **parties)
    sim.add_payment(
        id=samples.PAYMENT_ID,
        status="settled",
        amount_cents=5_000,
        payment_method="check",
        funding_drawdown_request_id=samples.DRAWDOWN_ID,
        **parties,
    )
    sim.add_drawdown(
        processor_request_id=samples.DRAWDOWN_ID, status="received", originating_counterparty_id=samples.BUYER_ID
    )
    if task not in CREATES_WEBHOOK:
        sim.add_webhook(id=samples.WEBHOOK_ID)
    return sim


def judged(request: RequestRecord) -> Violations:
    """What the description has against a request that arrived; the journal keeps only the user of its credentials."""
    credentials = {"authorization": f"Basic {request.user}"} if request.user else {}
    sent = {name: value for name, value in request.headers.items() if name != "authorization"}
    return check(request.method, request.path, request.query, sent | credentials, request.body_bytes)
