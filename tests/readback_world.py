"""Lists that move while they are read, and submissions to look for in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

import httpx2

from finexio_mcp.guards.ledger.rows import ChangeFacts, InvoiceFacts, Submission
from finexio_mcp.guards.ledger.states import State
from finexio_mcp.paging import Page, PageGone
from tests.calls import BUYER, SUPPLIER, reply

Row = dict[str, Any]

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)


def at(moment: datetime) -> str:
    """A moment as Finexio writes it."""
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds")


def ago(**delta: float) -> str:
    return at(NOW - timedelta(**delta))


def booked(finexio_id: str, number: str = "HP-1", amount_cents: Any = 125_00, **fields: Any) -> Row:
    """An invoice as Finexio shows it, created a minute ago."""
    parties = {"originating_counterparty_id": BUYER, "receiving_counterparty_id": SUPPLIER}
    created = fields.get("created", ago(minutes=1))
    usual = {"created": created, "updated": created, "invoice_number": number, "amount_cents": amount_cents}
    return {"id": finexio_id, **usual, **parties, **fields}


def others(count: int, *, minutes: float = 60.0) -> list[Row]:
    """Invoices that are not looked for, the newest first, one every so many minutes."""
    return [booked(f"other-{at}", f"OTHER-{at}", created=ago(minutes=5 + at * minutes)) for at in range(count)]


def submission(number: str = "HP-1", amount_cents: int = 125_00, *, row_id: int = 1, **fields: Any) -> Submission:
    """An invoice that left a minute ago, and nobody knows what came of it."""
    facts = InvoiceFacts(
        buyer=fields.pop("buyer", BUYER),
        supplier=fields.pop("supplier", SUPPLIER),
        number=number,
        amount_cents=amount_cents,
        currency="USD",
        invoice_date="2026-03-01",
        discount_cents=0,
        near_number=number,
    )
    return _row(row_id, tool="finexio_invoices_bulk_create", effect="pay", invoice=facts, **fields)


def change_submission(tool: str, change: ChangeFacts, *, row_id: int = 1, **fields: Any) -> Submission:
    """A change of master data of which nobody knows what came of it."""
    return _row(row_id, tool=tool, effect="write", change=change, **fields)


def _row(row_id: int, **fields: Any) -> Submission:
    left_ms = fields.get("sent_at_ms") or NOW_MS - 60_000
    usual: dict[str, Any] = {
        "id": row_id,
        "op_id": f"op-{row_id}",
        "position": 0,
        "identity": f"identity {row_id}",
        "generation": 1,
        "state": State.IN_DOUBT,
        "reason": "no_answer",
        "http_status": None,
        "finexio_id": None,
        "owner": None,
        "lease_until_ms": 0,
        "claimed_at_ms": left_ms,
        "sent_at_ms": left_ms,
        "settled_at_ms": None,
        "looks": 0,
        "next_look_at_ms": None,
        "absent_since_ms": None,
        "by_operator": False,
        "doubtful_before": False,
        "searched_from_ms": left_ms,
    }
    return Submission(**{**usual, **fields})


@dataclass
class MovingList:
    """A list in pages; before each page is read, one step of what happens to it."""

    rows: list[Row]
    size: int = 100
    steps: list[Callable[[list[Row]], None]] = field(default_factory=list[Callable[[list[Row]], None]])
    counted: bool = True
    linked: bool = True
    asked: list[int] = field(default_factory=list[int])

    def page(self, number: int) -> Row | None:
        """The body of a page; None where there is none."""
        if self.steps:
            self.steps.pop(0)(self.rows)
        self.asked.append(number)
        found = self.rows[(number - 1) * self.size : number * self.size]
        if not found and number > 1:
            return None
        last = number * self.size >= len(self.rows)
        link = None if last else f"http://localhost:8000/v2/invoices/?page={number + 1}"
        return {
            **({"count": len(self.rows)} if self.counted else {}),
            **({"next": link} if self.linked else {}),
            "results": [dict(row) for row in found],
        }

    async def fetch(self, number: int) -> Page:
        body = self.page(number)
        if body is None:
            raise PageGone
        return Page(body["results"], body.get("count"), body["next"] is None if self.linked else None)


@dataclass
class Books(httpx2.AsyncBaseTransport):
    """A Finexio that answers GETs from lists and records, and lets nothing be written."""

    invoices: MovingList = field(default_factory=lambda: MovingList([]))
    drawdowns: list[Row] = field(default_factory=list[Row])
    payments: dict[str, list[Row]] = field(default_factory=dict[str, list[Row]])
    """By drawdown."""
    broken: dict[str, httpx2.Response | Exception] = field(default_factory=dict[str, httpx2.Response | Exception])
    """Answers to particular targets, instead of the right ones."""
    asked: list[str] = field(default_factory=list[str])

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        assert request.method == "GET"
        target = request.url.raw_path.decode().removeprefix("/v2")
        self.asked.append(target)
        if target in self.broken:
            broken = self.broken[target]
            if isinstance(broken, Exception):
                raise broken
            return httpx2.Response(broken.status_code, headers=broken.headers, content=broken.content)
        body = self._answer(request.url.path.removeprefix("/v2"), parse_qs(request.url.query.decode()))
        return reply(404, {"detail": "Not found."}) if body is None else reply(200, body)

    def _answer(self, path: str, query: dict[str, list[str]]) -> Any:
        number = int(query.get("page", ["1"])[0])
        parts = path.strip("/").split("/")
        if path == "/invoices/":
            return self.invoices.page(number)
        if parts[0] == "invoices":
            return next((row for row in self.invoices.rows if row["id"] == parts[1]), None)
        if path == "/reconciliation/drawdown":
            return _pages(self.drawdowns, number)
        return _pages(self.payments[parts[2]], number) if parts[2] in self.payments else None


def _pages(rows: Sequence[Row], number: int) -> Row:
    found = list(rows[(number - 1) * 100 : number * 100])
    return {"count": len(rows), "next": None if number * 100 >= len(rows) else "more", "results": found}
