"""Points in the product where a worker can end its own life, and waits cut short. The product knows nothing of it."""

from __future__ import annotations

import functools
import importlib
import inspect
import os
import signal
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from tests.torture.jobs import SLACK_SECONDS

LEDGER_STEPS = ("claim", "mark_sent", "settle", "extend", "take_over", "begin_look", "end_look")
ON_THE_WIRE = {
    "send_request_headers.complete": "wire: head sent",
    "send_request_body.complete": "wire: all sent",
    "receive_response_headers.complete": "wire: answered",
}
POINTS = (
    "ledger: key made",
    "create: committing",
    "ledger: sealing",
    *(f"{step}: {when}" for step in LEDGER_STEPS for when in ("before", "committing", "after")),
    *ON_THE_WIRE.values(),
    "wire: answer read",
    "look: page read",
    "call: answered",
)
"""Where a worker can be told to die. `committing`: the transaction has written, and has not committed."""

BODY_SENT = "wire: all sent"

Act = Callable[[], object]

_acts: dict[str, list[Act]] = {}
_passed: Counter[str] = Counter()
_in_step: list[str] = []


def at(point: str, act: Act) -> None:
    """Do something each time that this process gets there."""
    _acts.setdefault(point, []).append(act)


def signal_at(point: str, number: signal.Signals, tell: Callable[[str], object], *, on: int = 1) -> None:
    """Be killed, or stopped, when this process gets there for the `on`th time."""

    def maybe() -> None:
        if _passed[point] == on:
            tell(point)
            os.kill(os.getpid(), number)

    at(point, maybe)


def reach(point: str) -> None:
    """This process is there."""
    _passed[point] += 1
    for act in _acts.get(point, ()):
        act()


def passed(point: str) -> int:
    """How often this process was there."""
    return _passed[point]


def around(owner: Any, name: str, *, before: Act | None = None, after: Act | None = None) -> None:
    """Do something before and after a function of somebody else, be it a coroutine function or a plain one."""
    inner = getattr(owner, name)

    def enter() -> None:
        if before is not None:
            before()

    def leave() -> None:
        if after is not None:
            after()

    if inspect.iscoroutinefunction(inner):

        @functools.wraps(inner)
        async def outer_async(*args: Any, **kwargs: Any) -> Any:
            enter()
            result = await inner(*args, **kwargs)
            leave()
            return result

        setattr(owner, name, outer_async)
        return

    @functools.wraps(inner)
    def outer(*args: Any, **kwargs: Any) -> Any:
        enter()
        result = inner(*args, **kwargs)
        leave()
        return result

    setattr(owner, name, outer)


def install() -> None:
    """Lay the points into the product, in this process only."""
    _watch_ledger()
    _watch_wire()


def _watch_ledger() -> None:
    from sqlalchemy import Engine, event

    from finexio_mcp.guards.ledger import place
    from finexio_mcp.guards.ledger.store import Store

    for step in ("create", *LEDGER_STEPS):

        def enter(step: str = step) -> None:
            reach(f"{step}: before")
            _in_step.append(step)

        def leave(step: str = step) -> None:
            _in_step.remove(step)
            reach(f"{step}: after")

        around(Store, step, before=enter, after=leave)

    def committing(_connection: Any) -> None:
        if _in_step:
            reach(f"{_in_step[-1]}: committing")

    event.listen(Engine, "commit", committing)
    around(place, "_create_key", after=lambda: reach("ledger: key made"))
    for name in ("finexio_mcp.guards.ledger.book", "finexio_mcp.guards.ledger.store"):
        module = importlib.import_module(name)
        if hasattr(module, "seal"):
            around(module, "seal", before=lambda: reach("ledger: sealing"))


def _watch_wire() -> None:
    from finexio_mcp.api.client import Fence, FinexioClient
    from finexio_mcp.hub import Hub

    inner = Fence.__call__

    async def traced(self: Fence, name: str, info: dict[str, Any]) -> None:
        await inner(self, name, info)
        if point := ON_THE_WIRE.get(name.partition(".")[2]):
            reach(point)

    setattr(Fence, "__call__", traced)  # noqa: B010
    around(FinexioClient, "write", after=lambda: reach("wire: answer read"))
    around(FinexioClient, "read", after=lambda: reach("look: page read"))
    around(Hub, "run", after=lambda: reach("call: answered"))


SHORTER: Mapping[str, float] = {
    "LEASE_SLACK_SECONDS": SLACK_SECONDS,
    "STALE_SECONDS": 2.0,
    "RECHECK_SECONDS": 1.0,
    "RECHECK_LEASE_MS": 4000,
    "LOOK_SECONDS": 4.0,
    "LOOK_LEASE_MS": 2000,
    "NAP_SECONDS": 0.3,
    "LATE_SECONDS": 2,
    "APART_SECONDS": 1,
    "BACKOFF_SECONDS": 0.02,
    "BACKOFF_CAP_SECONDS": 0.2,
}
"""Waits of the product, by the names of its constants: shorter, in the same order, with room for a busy machine."""


def shorten() -> None:
    """Let leases and looks take seconds."""
    from finexio_mcp import readback, settling, writes
    from finexio_mcp.api import client

    for name, value in SHORTER.items():
        owners = [module for module in (writes, settling, readback, client) if hasattr(module, name)]
        if not owners:
            raise AttributeError(f"no module has a {name} any more")
        for owner in owners:
            setattr(owner, name, value)
    defaults = readback.ReadBack.__init__.__kwdefaults__
    assert defaults is not None
    assert "pause_seconds" in defaults
    defaults["pause_seconds"] = 0.0
