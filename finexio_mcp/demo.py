"""A short accounts payable day, played by an MCP client on the real server and a pretend Finexio."""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import textwrap
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio

from finexio_mcp import clients
from finexio_mcp.shapes import is_array, is_object

if TYPE_CHECKING:
    import httpx2
    from anyio.abc import Process
    from mcp import Client
    from rich.console import Console

Row = dict[str, Any]
Finexio = Callable[[], AbstractAsyncContextManager[str]]
"""Opens a pretend Finexio and gives its base URL."""

START_SECONDS = 20.0
TOTAL_SECONDS = 60.0
STOP_SECONDS = 5.0
DAYS = 2
"""Enough for funding and for a check to be printed, whatever the hour at which the demo begins."""
PAGE_ROWS = 4
MAX_COLUMNS = 100
USER = PASSWORD = "demo"

INTRODUCTION = (
    "Finexio is a US payment network: a company hands in its suppliers' invoices, Finexio pulls the money from the "
    "company's bank account and pays each supplier by check, ACH, card or wire. This server lets an AI assistant do "
    "that. Here a script stands in for the assistant, and Finexio is a pretence: nothing leaves this machine."
)


class StepFailed(Exception):
    """Something is not as the demo would have said."""


def play(*, colour: bool, finexio: Finexio | None = None) -> int:
    """Play the demo; 0 if every step held.

    Args:
        colour: Whether to use colour where the terminal can.
        finexio: Another pretend Finexio than a process of its own, for tests.
    """
    from rich.console import Console

    screen = Screen(Console(color_system="auto" if colour else None, highlight=False))
    screen.tell(INTRODUCTION)
    try:
        reason = anyio.run(_perform, screen, finexio or own_process)
    except KeyboardInterrupt:
        reason = "it was interrupted."
    if reason is None:
        return 0
    sys.stdout.flush()
    sys.stderr.write(f"\nThe demo stopped at {screen.step!r}: {reason}\n")
    return 1


async def _perform(screen: Screen, finexio: Finexio) -> str | None:
    """Why the demo stopped early, in a sentence; `None` if it did not."""
    try:
        with anyio.fail_after(TOTAL_SECONDS):
            async with finexio() as base_url, _client(base_url) as client, _backdoor(base_url) as backdoor:
                await Day(screen, client, backdoor).play()
    except Exception as error:
        return describe(error)
    return None


def describe(error: BaseException) -> str:
    """Why the demo stopped, in a sentence."""
    # The client's task group wraps whatever leaves it.
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    if isinstance(error, StepFailed):
        return str(error)
    if isinstance(error, TimeoutError):
        return f"it took more than {TOTAL_SECONDS:.0f} seconds."
    return f"something was not as expected ({type(error).__name__})."  # pyright: ignore[reportUnknownArgumentType]


# Who takes part ----------------------------------------------------------------


def pretend() -> None:
    """Be Finexio until stdin closes, so that this process ends with the demo, however that ends."""
    from finexio_mcp.simulator import Simulator

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with tempfile.TemporaryDirectory(prefix="finexio-demo-", ignore_cleanup_errors=True) as directory:
        simulator = Simulator(username=USER, password=PASSWORD, state=Path(directory) / "books.sqlite")
        with simulator.listening() as base_url:
            sys.stdout.write(f"{base_url}\n")
            sys.stdout.flush()
            sys.stdin.read()


@asynccontextmanager
async def own_process() -> AsyncGenerator[str]:
    """A pretend Finexio as a process of its own."""
    command = [sys.executable, "-c", "from finexio_mcp.demo import pretend; pretend()"]
    process = await anyio.open_process(command, stderr=None, env=_environment(), start_new_session=True)
    try:
        yield await _address(process)
    finally:
        with anyio.CancelScope(shield=True):
            await _stop(process)


async def _address(process: Process) -> str:
    """The first line that it prints."""
    from anyio.streams.buffered import BufferedByteReceiveStream

    assert process.stdout is not None, "opened with a pipe"  # noqa: S101
    try:
        with anyio.fail_after(START_SECONDS):
            return (await BufferedByteReceiveStream(process.stdout).receive_until(b"\n", 200)).decode().strip()
    except (anyio.IncompleteRead, TimeoutError):
        raise StepFailed("the pretend Finexio did not start.") from None


async def _stop(process: Process) -> None:
    if process.stdin is not None:
        await process.stdin.aclose()
    with anyio.move_on_after(STOP_SECONDS) as patience:
        await process.wait()
    if patience.cancelled_caught:
        process.kill()
    await process.aclose()


def _environment() -> dict[str, str]:
    """This process's, without the operator's own settings: a demo must never meet a real account."""
    return {name: value for name, value in os.environ.items() if not name.startswith("FINEXIO_")}


@asynccontextmanager
async def _client(base_url: str) -> AsyncGenerator[Client]:
    """An MCP client that has started our server as any host would: a command, an environment, stdio."""
    from mcp import Client, StdioServerParameters

    environment = {
        **_environment(),
        "FINEXIO_ENVIRONMENT": "simulator",
        "FINEXIO_BASE_URL": base_url,
        "FINEXIO_USERNAME": USER,
        "FINEXIO_PASSWORD": PASSWORD,
        "FINEXIO_MCP_RATE": "0",
        "FINEXIO_MCP_LOG_LEVEL": "error",
    }
    server = StdioServerParameters(command=sys.executable, args=["-m", "finexio_mcp"], env=environment)
    async with Client(server) as client:
        yield client


@asynccontextmanager
async def _backdoor(base_url: str) -> AsyncGenerator[httpx2.AsyncClient]:
    """Past the server, straight to the pretend Finexio: to move its clock, and to check what the server said."""
    import httpx2

    async with httpx2.AsyncClient(
        base_url=base_url.removesuffix("/v2"), auth=(USER, PASSWORD), trust_env=False
    ) as http:
        yield http


# What is shown -----------------------------------------------------------------


class Screen:
    """Numbered questions, the calls that answer them, and what the answers say."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._steps = 0
        self.step = "the start"

    def ask(self, question: str) -> None:
        """Begin a step with what a person would say to the assistant."""
        self._steps += 1
        self.step = question
        self._line(f'"{question}"', "bold cyan", begin=f"\n{self._steps:2}  ")

    def called(self, tool: str, arguments: Row) -> None:
        """One call of the assistant's."""
        shown = ", ".join(f"{name}={_brief(value)}" for name, value in arguments.items())
        self._line(f"{tool}({shown})", "dim", begin="    > ", indent="      ")

    def say(self, text: str, style: str = "") -> None:
        """What the answer says, or what the demo does itself."""
        self._line(text, style)

    def tell(self, text: str) -> None:
        """Something before or after the steps."""
        self._line(text, begin="\n", indent="")

    def table(self, headers: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[str] = ()) -> None:
        """Columns, those named in `right` with their ends in line."""
        from rich import box
        from rich.padding import Padding
        from rich.table import Table
        from rich.text import Text

        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
        for header in headers:
            table.add_column(header, justify="right" if header in right else "left")
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
        self._console.print(Padding(table, (0, 0, 0, 4), expand=False))

    def copyable(self, text: str) -> None:
        """A line that must survive being copied, however long."""
        self._console.print(text, markup=False, soft_wrap=True, style="green")

    def _line(self, text: str, style: str = "", *, begin: str = "    ", indent: str = "    ") -> None:
        from rich.text import Text

        # Wrapped here: what rich wraps it also pads with blanks, up to the right edge.
        width = min(self._console.width, MAX_COLUMNS) - len(indent)
        first, *more = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
        lines = "".join(f"\n{indent}{line}" for line in more)
        self._console.print(Text.assemble(begin, (f"{first}{lines}", style)), soft_wrap=True)


def _brief(value: Any) -> str:
    """An argument in a few characters; of an invoice its number and amount."""
    if is_array(value):
        return f"[{', '.join(_item(item) for item in value)}]"
    text = json.dumps(value)
    return text if len(text) <= 30 else f'{text[:9]}..."'


def _item(value: Any) -> str:
    return f"{value['invoice_number']}: {value['amount_cents']}" if is_object(value) else str(value)


def money(cents: int) -> str:
    """Whole cents as people write them."""
    return f"${cents // 100:,}.{cents % 100:02}"


def require(holds: object, otherwise: str) -> None:
    """Go on only if what the demo is about to say is so."""
    if not holds:
        raise StepFailed(otherwise)


# The day -----------------------------------------------------------------------


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
        ours = {row["id"] for row in payments}
        require(all(row.get("funding_drawdown_request_id") for row in payments), "a payment was not funded.")
        for key in dict.fromkeys(row["funding_drawdown_request_id"] for row in payments):
            debit = (await self.call("get_single_finexio_drawdown_by_id", id=key))["result"]
            total = debit["amount_cents"]
            funded = await self.collect("list_all_finexio_drawdown_payments", processor_request_id=key)
            self.screen.table(
                ("Supplier", "By", "Invoices", "Amount"),
                [
                    (
                        f"{row['supplier_name']}{' *' if row['id'] in ours else ''}",
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
        require((orders, created) == (1, 3), f"Finexio's journal shows {orders} orders and {created} invoices.")
        self.screen.tell(
            f"{self.calls} tool calls over stdio in {seconds:.1f} s. Finexio's own journal holds {orders} payment "
            f"order with {created} invoices."
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
            "invoice_number": f"DEMO-{number}",
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


def _net(invoice: Row) -> int:
    return invoice["amount_cents"] - invoice.get("discount_amount_cents", 0)


def _discount(invoice: Row) -> str:
    return money(invoice["discount_amount_cents"]) if invoice.get("discount_amount_cents") else ""


def _payee(row: Row, names: dict[str, str]) -> str:
    return names[row["receiving_counterparty_id"]]


def _numbers(lines: Sequence[Row]) -> str:
    return ", ".join(line["invoice_number"] for line in lines)
