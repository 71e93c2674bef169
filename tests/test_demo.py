"""The demo: once as a person starts it, and with a pretend Finexio that misbehaves."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import anyio
import httpx2
import pytest
from rich.console import Console

from finexio_mcp import demo
from finexio_mcp.simulator import Fault, Simulator
from tests.conftest import connect

MARK = "finexio-mcp-demo-test"
SUMS = re.compile(
    r"debit \$([\d,.]+) = (\d+) payments \$([\d,.]+) = (\d+) invoices \$([\d,.]+) less discounts \$([\d,.]+)"
)
PROC = Path("/proc")


def cents(text: str) -> int:
    return int(text.replace(",", "").replace(".", ""))


def unwrapped(text: str) -> str:
    """Where a line is broken depends on the amounts in it."""
    return " ".join(text.split())


def alive(mark: str) -> list[str]:
    """Processes that were started with this mark in their environment."""
    found: list[str] = []
    for environment in PROC.glob("[0-9]*/environ"):
        try:
            if mark.encode() in environment.read_bytes():
                found.append(environment.parent.name)
        except OSError:
            continue
    return found


needs_proc = pytest.mark.skipif(not PROC.is_dir(), reason="processes are looked up in /proc")


@needs_proc
def test_the_demo_plays_to_the_end_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """Ours: exit 0, sums that add up, no escape codes in a pipe, no process and no file left.

    The operator's own settings point at production, which the demo must not even notice.
    """
    mark = f"{MARK}-{tmp_path.name}"
    own = {"FINEXIO_ENVIRONMENT": "production", "FINEXIO_USERNAME": "jonathan", "FINEXIO_PASSWORD": "hunter2"}
    environment = {**os.environ, **own, "DEMO_MARK": mark, "TMPDIR": str(tmp_path)}

    ended = subprocess.run(
        [sys.executable, "-m", "finexio_mcp", "demo"], env=environment, capture_output=True, text=True, timeout=60
    )

    assert (ended.returncode, ended.stderr) == (0, "")
    assert alive(mark) == []
    assert list(tmp_path.iterdir()) == []
    assert "\x1b" not in ended.stdout
    shown = unwrapped(ended.stdout)
    for fact in (
        "26 tools",
        "refused: invoices[0].amount_cents",
        "refused: invoices[1].invoice_number",
        "confirmed: ",
        "Opened: image/svg+xml",
        "refused: bank_account_number",
        "already_submitted: the same three ids",
        "no answer came, and the server did not send it again",
        "2 payment orders with 4 invoices: none was paid twice",
        "claude mcp add-json finexio",
    ):
        assert fact in shown
    assert re.search(r"\*{4}\d{4}\. Finexio sent all \d+ digits", shown)
    sums = SUMS.findall(shown)
    assert sums
    for debit, _, paid, _, invoiced, discounts in sums:
        assert cents(debit) == cents(paid) == cents(invoiced) - cents(discounts)


@needs_proc
def test_a_batch_whose_outcome_is_unknown_ends_the_demo(
    simulator: Simulator, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Ours: exit 1, and a sentence that says at which step and why; the server it started is gone."""
    mark = f"{MARK}-{tmp_path.name}"
    monkeypatch.setenv("DEMO_MARK", mark)
    simulator.fault(Fault(status=500), method="POST", path="/invoices/batch/")

    @asynccontextmanager
    async def listening() -> AsyncGenerator[str]:
        with simulator.listening() as base_url:
            yield base_url

    code = demo.play(colour=False, finexio=listening)

    out, err = capsys.readouterr()
    assert code == 1
    assert "The demo stopped at 'Pay these three: " in err
    assert "finexio_invoices_bulk_create answered in_doubt" in err
    assert "Traceback" not in out + err
    assert alive(mark) == []


def test_a_pretend_finexio_that_does_not_start_is_said_plainly(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours: no traceback, whatever keeps the demo from beginning."""
    monkeypatch.setattr(sys, "executable", "/bin/true")

    code = demo.play(colour=False)

    out, err = capsys.readouterr()
    assert code == 1
    assert "the pretend Finexio did not start" in err
    assert "Traceback" not in out + err


# The same script on a server in this process ------------------------------------


async def play_here(simulator: Simulator, *, unmask: str = "") -> str:
    """Play the day, and give what was shown."""
    shown = io.StringIO()
    screen = demo.Screen(Console(file=shown, width=100, color_system=None, highlight=False))
    backdoor = httpx2.AsyncClient(
        transport=simulator.transport(), base_url="http://simulator.invalid", auth=("demo", "demo")
    )
    with anyio.fail_after(10):
        async with backdoor, connect(simulator, FINEXIO_MCP_UNMASK=unmask) as client:
            await demo.Day(screen, client, backdoor).play()
    return shown.getvalue()


@pytest.mark.parametrize("hour", [15, 16])
async def test_the_demo_holds_around_the_hour_of_funding(hour: int) -> None:
    """Ours: two days are enough for funding and a printed check, even for what just misses the day's funding."""
    begin = datetime.now(UTC).replace(tzinfo=None, hour=hour, minute=40)

    shown = await play_here(Simulator(seed=hour, now=begin))

    assert SUMS.search(unwrapped(shown))


async def fails(simulator: Simulator, *, unmask: str = "") -> str:
    with pytest.raises(BaseExceptionGroup) as raised:
        await play_here(simulator, unmask=unmask)
    return demo.describe(raised.value)


async def test_a_debit_that_does_not_add_up_is_not_called_reconciled(simulator: Simulator) -> None:
    """Ours: the arithmetic is computed from the answers."""
    wrong = {"processor_request_id": "DJ1", "amount_cents": 1_00, "status": "received"}
    simulator.fault(Fault(body=json.dumps(wrong).encode()), method="GET", path="/reconciliation/drawdown/*")

    assert "the debit of $1.00 is not the " in await fails(simulator)


async def test_an_account_number_in_clear_stops_the_demo(simulator: Simulator) -> None:
    """Ours: the demo compares with what Finexio really sent, so it cannot praise a mask that is none."""
    reason = await fails(simulator, unmask="bank_account_number")

    assert reason == "the whole account number was shown."


async def test_a_payment_order_too_many_stops_the_demo(simulator: Simulator) -> None:
    """Ours: that nothing was ordered twice is read in Finexio's own journal, not assumed."""
    async with httpx2.AsyncClient(transport=simulator.transport(), auth=("demo", "demo")) as http:
        await http.post("http://simulator.invalid/v2/invoices/batch/", json=[])

    assert "3 orders" in await fails(simulator)
