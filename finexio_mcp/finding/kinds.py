"""The kinds of records that can be found and fetched: how one is called, titled, cited and told in lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from finexio_mcp.api.requests import fill
from finexio_mcp.guards.cleaning import clean
from finexio_mcp.shapes import is_array, is_object
from finexio_mcp.tools.counterparties import GET_COUNTERPARTY
from finexio_mcp.tools.drawdowns import GET_DRAWDOWN
from finexio_mcp.tools.invoices import GET_INVOICE
from finexio_mcp.tools.payments import GET_PAYMENT
from finexio_mcp.tools.spec import ToolSpec

Row = dict[str, Any]

MAX_KEY_CHARS = 100
MAX_PART_CHARS = 60
MAX_LINE_CHARS = 4_000
SUPPLIER_ID, SUPPLIER_NAME = "receiving_counterparty_id", "supplier_name"
BUYER_ID, BUYER_NAME = "originating_counterparty_id", "buyer_name"


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of record."""

    name: str
    plural: str
    get: ToolSpec
    key: str = "id"
    called: tuple[str, ...]
    """What people know one by; the first that is there."""
    party: tuple[str, ...] = ()
    """The other side's name, or id, which a search may know the name of."""
    amount: tuple[str, ...] = ()
    more: tuple[str, ...] = ()
    """What else helps to recognise one."""
    facts: tuple[str, ...]
    links: Mapping[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])
    """What a related record is to this one, the field that holds its id, and its kind."""

    def id_of(self, key: str) -> str:
        """What fetch takes."""
        return f"{self.name}:{key}"

    def url_of(self, base: str, key: str) -> str:
        """Where Finexio's API has it. No address of a page for people is known."""
        return base + fill(self.get.path, {"id": key})

    def title_of(self, row: Row, key: str, names: Mapping[str, str] | None = None) -> str:
        """A few words by which a person recognises it.

        Args:
            row: The record as it may be shown.
            key: Its id.
            names: Of counterparties, by id, as far as they are known.
        """
        word = str(row.get("type") or "") if self.name == "counterparty" else ""
        called = _first(row, self.called) or key
        known = names or {}
        party = _first(row, self.party[:-1]) or known.get(_first(row, self.party[-1:]), "")
        parts = [f"{word or self.name.capitalize()} {called}", party, _money(row, self.amount)]
        parts += [_first(row, (name,)) for name in self.more]
        return ", ".join(_short(part) for part in parts if part)

    def metadata_of(self, row: Row) -> dict[str, str]:
        """The main fields as texts, and the ids of what belongs to it."""
        facts = {name: _short(text) for name in self.facts if (text := _first(row, (name,)))}
        links = {
            what: f"{kind}:{key}"
            for what, (name, kind) in self.links.items()
            if (key := _first(row, (name,))) and _is_key(key)
        }
        return {"kind": self.name, **facts, **links}


def _first(row: Row, names: tuple[str, ...]) -> str:
    """The first of these fields that is there and is no container, as text."""
    for name in names:
        value = row.get(name)
        if value is not None and value != "" and isinstance(value, str | int | float):
            return _said(value)
    return ""


def _said(value: str | float) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _short(text: str) -> str:
    return clean(text, limit=MAX_PART_CHARS, single_line=True)


def _money(row: Row, names: tuple[str, ...]) -> str:
    text = _first(row, names)
    if not (text.isascii() and text.isdecimal()):
        return ""
    return f"${int(text) // 100:,}.{int(text) % 100:02}" if len(text) < MAX_PART_CHARS // 2 else ""


def _is_key(text: str) -> bool:
    """Whether fetch would take it."""
    return 0 < len(text) <= MAX_KEY_CHARS and text.isprintable() and " " not in text and text not in {".", ".."}


def key_of(record: Any, name: str) -> str | None:
    """The id in a record, if it is one that can be asked for."""
    found = record.get(name) if is_object(record) else None
    text = str(found) if isinstance(found, str | int) and not isinstance(found, bool) else ""
    return text if _is_key(text) else None


def lines_of(shown: Any) -> dict[str, list[str]]:
    """A record as lines `field: value`, by field. A value stays on its line, so that none can pass for a field."""
    fields = shown if is_object(shown) else {"records": shown}
    return {name: [f"{path}: {text}" for path, text in _leaves(name, value)] for name, value in fields.items()}


def _leaves(path: str, value: Any) -> Iterator[tuple[str, str]]:
    if is_object(value):
        for name, item in value.items():
            yield from _leaves(f"{path}.{clean(name, limit=MAX_KEY_CHARS, single_line=True)}", item)
    elif is_array(value):
        for index, item in enumerate(value):
            yield from _leaves(f"{path}[{index}]", item)
    elif value is not None and value != "":
        yield path, clean(_said(value), limit=MAX_LINE_CHARS, single_line=True)


OF_BOTH_PARTIES = {"supplier": (SUPPLIER_ID, "counterparty"), "buyer": (BUYER_ID, "counterparty")}

INVOICE = Kind(
    name="invoice",
    plural="invoices",
    get=GET_INVOICE,
    called=("invoice_number",),
    party=(SUPPLIER_NAME, SUPPLIER_ID),
    amount=("amount_cents", "payment_amount_cents"),
    more=("status",),
    facts=("invoice_number", "status", "amount_cents", "currency", "invoice_date", "invoice_due_date"),
    links={"payment": ("payment_id", "payment"), **OF_BOTH_PARTIES},
)
PAYMENT = Kind(
    name="payment",
    plural="payments",
    get=GET_PAYMENT,
    called=("tracking_id",),
    party=(SUPPLIER_NAME, SUPPLIER_ID),
    amount=("amount_cents",),
    more=("status", "payment_method"),
    facts=("tracking_id", "status", "amount_cents", "currency", "payment_method", "created", "updated"),
    links={"drawdown": ("funding_drawdown_request_id", "drawdown"), **OF_BOTH_PARTIES},
)
COUNTERPARTY = Kind(
    name="counterparty",
    plural="counterparties",
    get=GET_COUNTERPARTY,
    called=("name",),
    more=("internal_id", "payment_method"),
    facts=("name", "type", "internal_id", "payment_method", "updated"),
)
DRAWDOWN = Kind(
    name="drawdown",
    plural="drawdowns",
    get=GET_DRAWDOWN,
    key="processor_request_id",
    called=("processor_request_id",),
    party=(BUYER_NAME, BUYER_ID),
    amount=("amount_cents",),
    more=("status",),
    facts=("status", "amount_cents", "created", "funding_complete_date", BUYER_NAME),
    links={"buyer": OF_BOTH_PARTIES["buyer"]},
)
BY_NAME: Mapping[str, Kind] = {kind.name: kind for kind in (INVOICE, PAYMENT, COUNTERPARTY, DRAWDOWN)}
