"""The script of the demo: one accounts payable day."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from finexio_mcp import clients
from finexio_mcp.demo.screen import Row, Screen, StepFailed, money, require

if TYPE_CHECKING:
    import httpx2
    from mcp import Client

DAYS = 2
"""Enough for funding and for a check to be printed, whatever the hour at which the demo begins."""
PAGE_ROWS = 4
OURS = "DEMO-"
"""How the numbers of the demo's own invoices begin."""


@dataclass
class Day:
    """The script. Whom and what it is about is chosen from the answers, and every claim is checked."""

    screen: Screen
    client: Client
    backdoor: httpx2.AsyncClient
    calls: int = 0

    async def play(self) -> None:
        started = time.monotonic()
        await self.meet_the_tools()
        suppliers = await self.list_suppliers()
        by_check = _first_findable(suppliers, lambda row: row["payment_method"] == "PrintedCheck")
        by_bank = _first_findable(suppliers, lambda row: "bank_account_number" in row)
        names = {row["id"]: row["name"] for row in suppliers}
        buyer = await self.find(by_check)
        await self.browse_invoices(names)
        invoices = _invoices(buyer, by_check, by_bank)
        await self.make_mistakes(invoices)
        paid = await self.pay(invoices, by_check, by_bank)
        await self.repeat(invoices, paid)
        await self.lose_an_answer(_late_bill(buyer, by_bank), by_bank)
        payments = await self.follow(paid, names)
        await self.reconcile(payments)
        await self.prove(_by_check(payments), by_check)
        await self.keep_secrets(by_bank)
        await self.conclude(time.monotonic() - started)

    # Calls

    async def _ask_server(self, tool: str, arguments: Row) -> tuple[bool, Row]:
        self.calls += 1
        answer = await self.client.call_tool(tool, arguments)
        require(isinstance(answer.structured_content, dict), f"{tool} gave no structured answer.")
        return bool(answer.is_error), answer.structured_content or {}

    async def call(self, tool: str, **arguments: Any) -> Row:
        """A call that must succeed."""
        self.screen.called(tool, arguments)
        failed, content = await self._ask_server(tool, arguments)
        error = content.get("error", {})
        require(not failed, f"{tool} answered {error.get('code')}: {error.get('message')}")
        return content

    async def refused(self, tool: str, field: str, **arguments: Any) -> None:
        """A call that must be refused for the sake of `field`."""
        self.screen.called(tool, arguments)
        failed, content = await self._ask_server(tool, arguments)
        require(failed, f"{tool} was accepted, but had to be refused.")
        problems = {row["field"]: row["problem"] for row in content["error"].get("fields", [])}
        require(field in problems, f"{tool} was refused without naming {field}.")
        self.screen.say(f"refused: {field} {problems[field]}", "yellow")

    async def collect(self, tool: str, **arguments: Any) -> list[Row]:
        """Every row of a list, page by page."""
        answer = await self.call(tool, **arguments)
        rows: list[Row] = answer["result"]
        while answer["next_cursor"]:
            answer = await self.call(tool, **arguments, next_cursor=answer["next_cursor"])
            rows += answer["result"]
        return rows

    async def journal(self) -> Row:
        """What the pretend Finexio itself recorded."""
        return (await self.backdoor.get("/_simulator/journal")).raise_for_status().json()

    async def writes(self) -> list[str]:
        return [row["path"] for row in (await self.journal())["requests"] if row["method"] != "GET"]

    # Steps

    async def meet_the_tools(self) -> None:
        self.screen.ask("What can you do for me in accounts payable?")
        self.screen.called("tools/list", {})
        tools = (await self.client.list_tools()).tools
        kinds = Counter(_kind(tool.annotations) for tool in tools)
        require(kinds["pays"], "no tool pays.")
        self.screen.say(
            f"{len(tools)} tools: {kinds['reads']} look things up, {kinds['writes']} keep suppliers, contacts and "
            f"webhooks up to date, {kinds['pays']} pays."
        )

    async def list_suppliers(self) -> list[Row]:
        self.screen.ask("How do we pay our suppliers?")
        rows = await self.collect(
            "list_all_finexio_counterparties",
            type="Supplier",
            fields=["id", "name", "payment_method", "bank_account_number"],
        )
        methods = Counter(row.get("payment_method", "not said") for row in rows)
        listed = ", ".join(f"{count} by {method}" for method, count in methods.most_common())
        self.screen.say(f"{len(rows)} suppliers: {listed}.")
        return rows

    async def find(self, supplier: Row) -> Row:
        """The supplier by part of its name, and one of our companies that pays; gives the latter."""
        asked = short_name(supplier)
        self.screen.ask(f"Which supplier is {asked}, and which of our companies pay bills?")
        found = (await self.call("list_all_finexio_counterparties", name=asked, type="Supplier"))["result"]
        require(
            [row["id"] for row in found] == [supplier["id"]], f"{asked} was not found, or not as the only supplier."
        )
        buyers = await self.collect("list_all_finexio_counterparties", type="Buyer")
        require(buyers, "there is no company that could pay.")
        self.screen.table(
            ("", "Name", "Code", "Where"),
            [
                (role, short_name(row), row["internal_id"], f"{row.get('city', '')}, {row.get('state', '')}")
                for role, row in [("supplier", found[0]), *(("buyer", buyer) for buyer in buyers)]
            ],
        )
        return buyers[0]

    async def browse_invoices(self, names: dict[str, str]) -> None:
        self.screen.ask(f"Show me our invoices, {PAGE_ROWS} at a time.")
        tool = "list_all_finexio_invoices"
        first = await self.call(tool, limit=PAGE_ROWS)
        require(first["next_cursor"], "there is no second page.")
        second = await self.call(tool, limit=PAGE_ROWS, next_cursor=first["next_cursor"])
        rows: list[Row] = first["result"] + second["result"]
        require(len({row["id"] for row in rows}) == 2 * PAGE_ROWS, "the two pages overlap or are short.")
        self.screen.table(
            ("", "Invoice", "Supplier", "Amount", "Status"),
            [
                (str(index), row["invoice_number"], _payee(row, names), money(row["amount_cents"]), row["status"])
                for index, row in enumerate(rows, start=1)
            ],
            right=("", "Amount"),
        )
        self.screen.say(f"Two pages of {first['total_count']} invoices; next_cursor leads from each to the next.")

    async def make_mistakes(self, invoices: list[Row]) -> None:
        """What assistants do wrong with money, caught before anything is sent."""
        tool = "finexio_invoices_bulk_create"
        before = await self.writes()
        self.screen.ask("Pay ten dollars. (The assistant writes 10.00 where whole cents belong.)")
        await self.refused(tool, "invoices[0].amount_cents", invoices=[{**invoices[0], "amount_cents": 10.00}])
        self.screen.ask("Pay this bill. (It slips the same invoice into the batch twice.)")
        await self.refused(tool, "invoices[1].invoice_number", invoices=[invoices[0], invoices[0]])
        require(await self.writes() == before, "a refused call reached Finexio.")
        self.screen.say("Neither reached Finexio: its journal shows no write.")

    async def pay(self, invoices: list[Row], by_check: Row, by_bank: Row) -> list[Row]:
        self.screen.ask(f"Pay these three: two from {short_name(by_check)} as one payment, one from {by_bank['name']}.")
        answer = await self.call("finexio_invoices_bulk_create", invoices=invoices)
        rows: list[Row] = answer["result"]
        require(answer["status"] == "confirmed", f"the batch is {answer['status']}.")
        require(
            [(row["invoice_number"], row["amount_cents"]) for row in rows]
            == [(row["invoice_number"], row["amount_cents"]) for row in invoices],
            "the answer shows other invoices than were submitted.",
        )
        self.screen.table(
            ("Invoice", "Amount", "Discount", "Finexio's id"),
            [
                (row["invoice_number"], money(row["amount_cents"]), _discount(sent), f"{row['id'][:8]}...")
                for row, sent in zip(rows, invoices, strict=True)
            ],
            right=("Amount", "Discount"),
        )
        self.screen.say(f"{answer['status']}: {' '.join(answer.get('notices', []))}")
        return rows

    async def repeat(self, invoices: list[Row], paid: list[Row]) -> None:
        """What hosts and assistants do after a timeout."""
        before = await self.writes()
        self.screen.ask("(The assistant's host gave up waiting, and sends the very same call again.)")
        answer = await self.call("finexio_invoices_bulk_create", invoices=invoices)
        require(answer["status"] == "already_submitted", f"the repeated batch is {answer['status']}.")
        require([row["id"] for row in answer["result"]] == [row["id"] for row in paid], "other ids were told.")
        require(await self.writes() == before, "the repeated batch reached Finexio.")
        self.screen.say(
            f"{answer['status']}: the same three ids, from the ledger. Finexio's journal shows no new write."
        )

    async def lose_an_answer(self, bill: Row, supplier: Row) -> None:
        """A payment order arrives, and the line breaks before the answer."""
        fault = {"reset": "after_effect", "method": "POST", "path": "/invoices/batch/", "times": 1}
        (await self.backdoor.post("/_simulator/fault", json=fault)).raise_for_status()
        self.screen.ask(f"Pay one more to {supplier['name']}. (The line breaks after Finexio took it.)")
        before = await self.writes()
        answer = await self.call("finexio_invoices_bulk_create", invoices=[bill])
        require(answer["status"] == "confirmed", f"the invoice is {answer['status']}.")
        require(len(await self.writes()) == len(before) + 1, "the order was not sent exactly once.")
        found = (await self.backdoor.get(f"/v2/invoices/{answer['result'][0]['id']}/")).raise_for_status().json()
        require(found["invoice_number"] == bill["invoice_number"], "Finexio has another invoice under this id.")
        self.screen.say(
            f"{answer['status']}: no answer came, and the server did not send it again; it looked for "
            f"{bill['invoice_number']} at Finexio and found it. Had it not, the answer would have been in_doubt."
        )

    async def follow(self, submitted: list[Row], names: dict[str, str]) -> list[Row]:
        self.screen.ask("Two days later: what became of the three?")
        state = (await self.backdoor.post("/_simulator/advance", json={"days": DAYS})).raise_for_status().json()
        self.screen.say(f"(The pretend Finexio's clock was moved on by {DAYS} days, to {state['now'][:16]}.)", "dim")
        tool = "get_single_finexio_invoice_by_id"
        invoices = [(await self.call(tool, id=row["id"]))["result"] for row in submitted]
        require(all(row.get("payment_id") for row in invoices), "an invoice has not become a payment.")
        ids = list(dict.fromkeys(row["payment_id"] for row in invoices))
        payments = [(await self.call("get_single_finexio_payment_by_id", id=key))["result"] for key in ids]
        for payment in payments:
            due = sum(_net(row) for row in invoices if row["payment_id"] == payment["id"])
            require(payment["amount_cents"] == due, "a payment is not the sum of its invoices less discounts.")
        self.screen.table(
            ("Payment to", "By", "For", "Amount", "Status"),
            [
                (
                    _payee(row, names),
                    row["payment_method"],
                    _numbers(row["invoices"]),
                    money(row["amount_cents"]),
                    row["status"],
                )
                for row in payments
            ],
            right=("Amount",),
        )
        check = _by_check(payments)
        self.screen.say("The check's life so far:")
        self.screen.table(
            ("When", "What"), [(event["timestamp"][:16], event["description"]) for event in check["events"]]
        )
        return payments

    async def reconcile(self, payments: list[Row]) -> None:
        """Each bank debit behind the payments, split until it adds up to the cent."""
        self.screen.ask("Which bank debit paid for them, and what else was in it?")
        require(all(row.get("funding_drawdown_request_id") for row in payments), "a payment was not funded.")
        for key in dict.fromkeys(row["funding_drawdown_request_id"] for row in payments):
            debit = (await self.call("get_single_finexio_drawdown_by_id", id=key))["result"]
            total = debit["amount_cents"]
            funded = await self.collect("list_all_finexio_drawdown_payments", processor_request_id=key)
            self.screen.table(
                ("Supplier", "By", "Invoices", "Amount"),
                [
                    (
                        f"{row['supplier_name']}{' *' if _is_ours(row) else ''}",
                        row["payment_method"],
                        _numbers(row["invoices"]),
                        money(row["amount_cents"]),
                    )
                    for row in funded
                ],
                right=("Amount",),
            )
            lines = [invoice for row in funded for invoice in row["invoices"]]
            paid = sum(row["amount_cents"] for row in funded)
            discounts = sum(line["discount_amount_cents"] for line in lines)
            invoiced = sum(line["payment_amount_cents"] for line in lines) + discounts
            require(total == paid, f"the debit of {money(total)} is not the {money(paid)} of its payments.")
            require(paid == invoiced - discounts, f"the payments are not the {money(invoiced - discounts)} invoiced.")
            self.screen.say(
                f"debit {money(total)} = {len(funded)} payments {money(paid)} = {len(lines)} invoices "
                f"{money(invoiced)} less discounts {money(discounts)}  (* ours)",
                "green",
            )

    async def prove(self, payment: Row, supplier: Row) -> None:
        self.screen.ask(f"Is there proof that {short_name(supplier)} was paid?")
        answer = await self.call("get_single_finexio_payment_image_by_id", payment_id=payment["id"])
        require(answer["result"], "there is no image of the check.")
        link = answer["result"]["check_image_url"]
        picture = await self.backdoor.get(link, auth=None)
        require(picture.status_code == 200, f"the link to the check image answers {picture.status_code}.")
        self.screen.say(f"Check {payment['instrument_number']}, {money(payment['amount_cents'])}:")
        self.screen.copyable(f"    {link}")
        kind = picture.headers["content-type"].partition(";")[0]
        self.screen.say(f"Opened: {kind}, {len(picture.content):,} bytes. (Here it lasts as long as the demo.)")

    async def keep_secrets(self, supplier: Row) -> None:
        self.screen.ask(f"Which bank account do we have for {supplier['name']}?")
        answer = await self.call("get_single_finexio_counterparty_by_id", id=supplier["id"])
        shown = answer["result"]["bank_account_number"]
        stored = (await self.backdoor.get(f"/v2/counterparties/{supplier['id']}/")).json()["bank_account_number"]
        require(stored not in json.dumps(answer), "the whole account number was shown.")
        require(shown.endswith(stored[-4:]), "the visible end is not that of the account number.")
        self.screen.say(f"{shown}. Finexio sent all {len(stored)} digits; the assistant never sees more than four.")
        before = await self.writes()
        self.screen.ask("Save that number again. (All the assistant has is the mask.)")
        await self.refused(
            "finexio_counterparties_partial_update", "bank_account_number", id=supplier["id"], bank_account_number=shown
        )
        require(await self.writes() == before, "a refused call reached Finexio.")

    async def conclude(self, seconds: float) -> None:
        journal = await self.journal()
        orders = sum(row["method"] == "POST" and row["path"].endswith("/batch/") for row in journal["requests"])
        created = sum(row["kind"] == "invoice.created" for row in journal["effects"])
        require((orders, created) == (2, 4), f"Finexio's journal shows {orders} orders and {created} invoices.")
        self.screen.tell(
            f"{self.calls} tool calls over stdio in {seconds:.1f} s. Finexio's own journal holds {orders} payment "
            f"orders with {created} invoices: none was paid twice."
        )
        command = clients.installed_command()
        claude_code = next(config for config in clients.CLIENTS if config.name == "Claude Code")
        self.screen.tell("Next: let your own assistant try it; no account is needed. In Claude Code that is:")
        self.screen.copyable(f"\n{claude_code.text(command, clients.TRY_OUT)}")
        self.screen.tell("Every other client, and your own sandbox account: finexio-mcp doctor, and README.md.")


# What the script reads out of records ------------------------------------------


def _kind(hints: Any) -> str:
    """By the hints that a host goes by: only what moves money is destructive without being repeatable."""
    if hints.read_only_hint:
        return "reads"
    return "pays" if hints.destructive_hint and not hints.idempotent_hint else "writes"


def _first_findable(suppliers: Sequence[Row], fits: Callable[[Row], bool]) -> Row:
    """The first supplier that the start of its name leads to, and to no other."""
    names = [row["name"].casefold() for row in suppliers]
    for row in suppliers:
        asked = short_name(row).casefold()
        if fits(row) and sum(asked in name for name in names) == 1:
            return row
    raise StepFailed("no supplier fits what the demo wants to show.")


def short_name(company: Row) -> str:
    """What people call it: the first two words of its name."""
    return " ".join(company["name"].split()[:2])


def _by_check(payments: Sequence[Row]) -> Row:
    found = [row for row in payments if row["payment_method"] == "check"]
    require(found, "none of the payments is a check.")
    return found[0]


def _invoices(buyer: Row, by_check: Row, by_bank: Row) -> list[Row]:
    """Three bills of today; the group makes one payment of those that go to the same supplier."""
    today = date.today()  # noqa: DTZ011 - an invoice's date is that of the desk it lies on

    def bill(number: int, supplier: Row, **amounts: int) -> Row:
        return {
            "invoice_number": f"{OURS}{number}",
            "invoice_date": today.isoformat(),
            "originating_counterparty_id": buyer["id"],
            "receiving_counterparty_id": supplier["id"],
            "payment_group_id": f"DEMO-{today:%y%m%d}",
            **amounts,
        }

    return [
        bill(1, by_check, amount_cents=1_284_50, discount_amount_cents=25_69),
        bill(2, by_check, amount_cents=310_00),
        bill(3, by_bank, amount_cents=2_475_00),
    ]


def _is_ours(payment: Row) -> bool:
    return all(line["invoice_number"].startswith(OURS) for line in payment["invoices"])


def _late_bill(buyer: Row, supplier: Row) -> Row:
    """A fourth bill, of an amount of its own."""
    today = date.today()  # noqa: DTZ011
    return {
        "invoice_number": f"{OURS}4",
        "invoice_date": today.isoformat(),
        "originating_counterparty_id": buyer["id"],
        "receiving_counterparty_id": supplier["id"],
        "payment_group_id": "DEMO-LATE",
        "amount_cents": 87_50,
    }


def _net(invoice: Row) -> int:
    return invoice["amount_cents"] - invoice.get("discount_amount_cents", 0)


def _discount(invoice: Row) -> str:
    return money(invoice["discount_amount_cents"]) if invoice.get("discount_amount_cents") else ""


def _payee(row: Row, names: dict[str, str]) -> str:
    return names[row["receiving_counterparty_id"]]


def _numbers(lines: Sequence[Row]) -> str:
    return ", ".join(line["invoice_number"] for line in lines)
