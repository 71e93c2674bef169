"""A short accounts payable day, played by an MCP client on the real server and a pretend Finexio."""

from __future__ import annotations

import sys

import anyio

from finexio_mcp.demo.day import Day
from finexio_mcp.demo.screen import Screen, StepFailed
from finexio_mcp.demo.stage import Finexio, backdoor, client, own_process

TOTAL_SECONDS = 60.0

INTRODUCTION = (
    "Finexio is a US payment network: a company hands in its suppliers' invoices, Finexio pulls the money from the "
    "company's bank account and pays each supplier by check, ACH, card or wire. This server lets an AI assistant do "
    "that. Here a script stands in for the assistant, and Finexio is a pretence: nothing leaves this machine."
)


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
            async with finexio() as base_url, client(base_url) as assistant, backdoor(base_url) as way_past:
                await Day(screen, assistant, way_past).play()
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
