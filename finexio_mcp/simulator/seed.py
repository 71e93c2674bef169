"""Sixty days of accounts payable, lived through step by step, so that everything adds up by construction."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from random import Random
from typing import Any

from . import lifecycle, plausible
from .audit import book, change
from .books import Record
from .call import PORTAL, Caller
from .counterparties import BUYERS as BUYER_KIND
from .counterparties import SUPPLIERS as SUPPLIER_KIND
from .invoices import submit
from .names import BUYERS, DEPARTMENTS, NOTES, PEOPLE, ROLES, SUPPLIERS, UNPAYABLE, BuyerName, SupplierName
from .plausible import new_record, routing_number
from .world import World

ERP = Caller("erp_bot", "203.0.113.9")
CLERK = Caller("d.castellano", "203.0.113.44")

DAYS = 60
RUN_WEEKDAYS = (0, 3)
"""Payment runs: Mondays and Thursdays."""
INVOICES_PER_RUN = (5, 6, 7)
AMOUNTS_CENTS = ((45_00, 900_00), (900_00, 4_800_00), (4_800_00, 38_000_00))
ENDINGS = ("9902", "9903", "9904", "9901")
"""How the invoices that are to fail end; see the outcome table of the sandbox."""


def populate(world: World) -> None:
    draw = world.chance.stream("seed")
    today = world.clock.now()
    buyers = [_buyer(world, draw, who, today) for who in BUYERS]
    suppliers = [_supplier(world, draw, who, today) for who in SUPPLIERS]
    changes = _changes(suppliers, today)
    for number, moment in enumerate(_runs(today)):
        while changes and changes[0].at <= moment:
            _apply(world, changes.pop(0))
        _pass_time(world, moment)
        for buyer in buyers:
            _run(world, draw, buyer, suppliers, number)
        _visit_portal(world, draw)
    for late_change in changes:
        _apply(world, late_change)
    _last_hours(world, draw, buyers, suppliers, today)
    for number, who in enumerate(UNPAYABLE):
        _unpayable(world, number, who, today)
    world.live_at(None)
    plausible.webhook(world, {"url": "https://hooks.tidewater.example/finexio", "payment_status": True})


# --- Who there is ------------------------------------------------------------------------------------------------


def _buyer(world: World, draw: Random, who: BuyerName, today: datetime) -> Record:
    world.live_at(today - timedelta(days=draw.randint(300, 420), minutes=draw.randint(0, 500)))
    wired = who.funding_method == "wire"
    number = 700 + len(world.books.buyers)
    record = new_record(world, BUYER_KIND) | {
        "name": who.name,
        "external_reference_id": who.reference,
        "address_1": who.address,
        "city": who.city,
        "state": who.state,
        "zipcode": who.zipcode,
        "country": "USA",
        "corporate_phone_number": f"912-555-01{10 + number % 80}",
        "tax_id": f"00-{draw.randrange(10**6, 10**7)}",
        "funding_method": who.funding_method,
        "drawdown_bank_account_number": None if wired else f"{draw.randrange(10**9, 10**10)}",
        "drawdown_bank_routing_number": None if wired else routing_number(number),
        "refund_bank_account_number": f"{draw.randrange(10**9, 10**10)}",
        "refund_bank_routing_number": routing_number(number),
        "ready_for_use": True,
        "reason_not_usable": "",
    }
    record["contacts"] = [
        _contact(world, draw, "HQ-AP", "ap", "tidewater.example", primary=True)
        | {"funding_notification": True, "refund_notification": True}
    ]
    del record["contacts"][0]["payment_notification"]
    return book(world, record, PORTAL)


def _supplier(world: World, draw: Random, who: SupplierName, today: datetime) -> Record:
    world.live_at(today - timedelta(days=draw.randint(75, 290), minutes=draw.randint(0, 500)))
    banked = who.method in ("ACH", "Wire")
    emailed = who.method == "Card" or (who.method == "Check" and draw.random() < 0.15)
    record = new_record(world, SUPPLIER_KIND) | {
        "name": who.name,
        "external_reference_id": who.reference,
        "payment_method": who.method,
        "delivery_method": None if banked else "Email" if emailed else "Mail",
        "notification_method": "Email" if banked else None,
        "remit_address_1": who.address,
        "remit_city": who.city,
        "remit_state": who.state,
        "remit_zipcode": who.zipcode,
        "remit_email": f"remit@{who.domain}" if banked or emailed else "",
        "bank_account_number": f"{draw.randrange(10**9, 10**11)}" if banked else None,
        "bank_routing_number": routing_number(len(world.books.suppliers) * 137) if banked else None,
        "corporate_phone_number": f"{draw.randint(201, 989)}-555-01{draw.randrange(100):02}",
        "tax_id": f"00-{draw.randrange(10**6, 10**7)}",
        "payment_terms": draw.choice((10, 15, 30, 30, 45, 60)),
        "payee_type": "Government" if who.category.startswith("Taxes") else "Business",
        "ineligible_for_conversion": draw.random() < 0.15,
        "twelve_month_payment_count": draw.randint(4, 52),
        "twelve_month_spend": draw.randint(1_200, 240_000),
        "category": who.category,
        "metadata": {"gl_code": str(draw.randint(5000, 7999))} if draw.random() < 0.4 else None,
    }
    record["contacts"] = _contacts(world, draw, who)
    return book(world, record, ERP)


def _unpayable(world: World, number: int, who: SupplierName, today: datetime) -> Record:
    """From before the rules: the deprecated view asks for nothing without a method, people at the vendor for less.

    Nobody pays these, and they have ids and a place in the lists after all others, so that no one else's change.
    """
    world.live_at(today - timedelta(days=74 - 3 * number, minutes=35))
    record: Record = {"id": world.chance.uuid("unpayable")} | SUPPLIER_KIND.blank
    record |= {"created": world.stamp(), "updated": world.stamp()}
    record |= {
        "name": who.name,
        "external_reference_id": who.reference,
        "payment_method": who.method,
        "delivery_method": {"Check": "Mail", "Card": "Email"}.get(who.method),
        "remit_address_1": who.address,
        "remit_city": who.city,
        "remit_state": who.state,
        "remit_zipcode": who.zipcode,
        "tax_id": f"00-{3_000_000 + number}",
        "category": who.category,
    }
    return book(world, record, ERP if who.method == "Check" else PORTAL)


def _contacts(world: World, draw: Random, who: SupplierName) -> list[Record]:
    count = draw.choice((0, 1, 1, 2, 2, 3))
    initials = "".join(word[0] for word in who.name.split() if word[0].isalpha())[:3].upper()
    contacts = [
        _contact(world, draw, f"{initials}-{role}", mailbox, who.domain, primary=position == 0)
        for position, (role, mailbox) in enumerate(ROLES[:count])
    ]
    if draw.random() < 0.12:
        # As contacts from before the newer API are: without id or reference, so out of its reach.
        old = {"id": None, "external_reference_id": None, "name": draw.choice(PEOPLE), "email": None, "phone": ""}
        contacts.insert(0, old | {"primary": False, "payment_notification": False})
    return contacts


def _contact(world: World, draw: Random, reference: str, mailbox: str, domain: str, *, primary: bool) -> Record:
    return {
        "id": world.chance.uuid("contact"),
        "external_reference_id": reference,
        "name": draw.choice(PEOPLE),
        "email": f"{mailbox}@{domain}",
        "phone": f"{draw.randint(201, 989)}-555-01{draw.randrange(100):02}",
        "primary": primary,
        "payment_notification": primary,
    }


@dataclass(frozen=True)
class _Change:
    at: datetime
    record: Record
    caller: Caller
    values: Mapping[str, Any]


def _changes(suppliers: list[Record], today: datetime) -> list[_Change]:
    """What a reviewer looks for in the history: a changed account, a changed method, an address, terms."""
    check = [row for row in suppliers if row["payment_method"] == "Check"]
    ach = [row for row in suppliers if row["payment_method"] == "ACH"]
    to_ach = {
        "payment_method": "ACH",
        "delivery_method": None,
        "notification_method": "Email",
        "remit_email": "remit@lowcountry.example",
        "bank_account_number": "3300918264",
        "bank_routing_number": routing_number(9182),
    }
    new_account = {"bank_account_number": "9900412277", "bank_routing_number": routing_number(4242)}
    moments = (
        (58, check[0], CLERK, {"remit_address_1": "22 Quay St", "remit_zipcode": "36603"}),
        (41, ach[0], CLERK, new_account),
        (33, ach[1], ERP, {"payment_terms": 45}),
        (26, check[1], PORTAL, to_ach),
        (19, check[2], ERP, {"ineligible_for_conversion": True}),
        (8, ach[2], CLERK, {"name": "Sunbelt Restaurant & Bar Equipment"}),
    )
    return [
        _Change(today - timedelta(days=days, hours=3), record, caller, values)
        for days, record, caller, values in moments
    ]


def _apply(world: World, due: _Change) -> None:
    _pass_time(world, due.at)
    change(world, due.record, due.values, due.caller)


# --- What happened -----------------------------------------------------------------------------------------------


def _runs(today: datetime) -> list[datetime]:
    days = (today.date() - timedelta(days=ago) for ago in range(DAYS, 0, -1))
    return [datetime.combine(day, time(9, 30)) for day in days if day.weekday() in RUN_WEEKDAYS]


def _pass_time(world: World, moment: datetime) -> None:
    lifecycle.catch_up(world, moment)
    world.live_at(moment)


def _run(world: World, draw: Random, buyer: Record, suppliers: list[Record], number: int) -> None:
    """A payment run: some suppliers, the odd one with two invoices, sometimes one that is bound to fail."""
    group = f"RUN-{world.now():%y%m%d}" if number % 3 else ""
    for supplier in draw.sample(suppliers, draw.choice(INVOICES_PER_RUN) - 1):
        submit(world, _invoice(world, draw, buyer, supplier) | {"payment_group_id": group})
        if draw.random() < 0.15:
            submit(world, _invoice(world, draw, buyer, supplier) | {"payment_group_id": group})
    if number % 2 == 0:
        doomed = _invoice(world, draw, buyer, draw.choice(suppliers[:30]))
        ending = int(ENDINGS[(number // 2 + len(buyer["name"])) % len(ENDINGS)])
        doomed |= {"amount_cents": draw.randint(3, 90) * 10_000 + ending, "discount_amount_cents": 0}
        submit(world, doomed | {"payment_group_id": f"SINGLE-{number}"})


def _invoice(world: World, draw: Random, buyer: Record, supplier: Record) -> dict[str, Any]:
    dated = world.now().date() - timedelta(days=draw.randint(3, 28))
    amount = draw.randint(*draw.choice(AMOUNTS_CENTS))
    initials = "".join(word[0] for word in supplier["name"].split() if word[0].isalpha())[:3].upper()
    return {
        "originating_counterparty_id": buyer["id"],
        "receiving_counterparty_id": supplier["id"],
        "invoice_number": f"{initials}-{20_000 + world.chance.count('invoice-number') * 7}",
        "amount_cents": amount,
        "discount_amount_cents": amount // 50 if draw.random() < 0.12 else 0,
        "invoice_date": dated.isoformat(),
        "invoice_due_date": (dated + timedelta(days=supplier["payment_terms"])).isoformat(),
        "note": draw.choice(NOTES) if draw.random() < 0.2 else "",
        "metadata": {"department": draw.choice(DEPARTMENTS), "po": str(draw.randint(41_000, 48_999))}
        if draw.random() < 0.3
        else {},
        "reconciliation_id": f"GL-{draw.randint(100_000, 999_999)}" if draw.random() < 0.5 else None,
        "account_number": f"{draw.randrange(10**7, 10**8)}" if draw.random() < 0.25 else None,
    }


def _visit_portal(world: World, draw: Random) -> None:
    """Someone looks after what failed: refund, reissue another way, or leave it for now."""
    for payment in [row for row in world.books.payments.values() if _needs_attention(row)][:2]:
        if draw.random() < 0.5:
            lifecycle.refund(world, payment["id"], reason="Returned to sender", comment="Supplier has moved.")
        elif draw.random() < 0.5:
            lifecycle.reissue(world, payment["id"], method="check", reason="Supplier asked for a check")


def _needs_attention(payment: Record) -> bool:
    treated = payment["refund_timestamp"] or payment["reissue_timestamp"]
    was_funded = lifecycle.outcome(payment) != lifecycle.FUNDING_ERROR
    return payment["status"] == "failed" and was_funded and not treated


def _last_hours(world: World, draw: Random, buyers: list[Record], suppliers: list[Record], today: datetime) -> None:
    """Something in every early state: waiting, pending, canceled, and a drawdown that is still under way."""
    for minutes, count in ((180, 3), (40, 6), (1, 3)):
        _pass_time(world, today - timedelta(minutes=minutes))
        for position, supplier in enumerate(draw.sample(suppliers[::-1], count)):
            submit(world, _invoice(world, draw, buyers[position % len(buyers)], supplier))
    lifecycle.fund_buyer(world, buyers[0]["id"], "")
    pending = [payment for payment in world.books.payments.values() if payment["status"] == "pending"]
    for payment in pending[1:2]:
        lifecycle.cancel(world, payment["id"])
    lifecycle.catch_up(world, today)
