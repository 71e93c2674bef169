"""A call as those see it who watch: who made it, what it did, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator, Mapping
from contextlib import contextmanager
from contextvars import Context, ContextVar
from dataclasses import dataclass
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from finexio_mcp.callers import Caller
from finexio_mcp.settings import Access
from finexio_mcp.shapes import is_array, is_object

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

MAX_IDS = 500
"""As many as a batch has rows."""


@dataclass(kw_only=True)
class Running:
    """A call that is being run, and what it has cost so far."""

    request_id: str
    caller: Caller
    tool: str
    client: str | None = None
    """What the client calls itself; nobody has checked it."""
    upstream: int = 0
    """Requests to Finexio, retries included."""
    retries: int = 0
    op_id: str | None = None
    """Of a write, once it stands in the ledger."""


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A call that was answered, whatever the answer."""

    request_id: str
    at: float
    """When it came: seconds since 1970, by this machine's clock."""
    duration_seconds: float
    caller: Caller
    client: str | None
    tool: str
    access: Access
    """What the tool needs: `read`, `write` or `pay`."""
    arguments: Mapping[str, Any] | None
    """As the caller gave them: unchecked, unmasked."""
    outcome: str
    """`ok`, the status of a write, the code of an error, or `caller_left`: nobody waited, so there was no answer."""
    failed: bool
    op_id: str | None
    ids: tuple[str, ...]
    """Finexio ids in the answer, those of a batch's rows included."""
    upstream: int
    retries: int


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request to Finexio that ended."""

    account: str
    method: str
    outcome: str
    """The status, such as `200`, or the kind of failure, such as `ConnectError`."""
    seconds: float
    retry: bool


class Observer:
    """Somebody who watches. What goes wrong here never reaches a caller."""

    async def ended(self, call: Ended) -> None:
        """A call was answered, or is about to be: whoever must not be missed is waited for."""

    def asked(self, asked: Asked) -> None:
        """A request to Finexio ended."""


# The one thing that is not handed on from function to function: requests and log lines far below belong to a call,
# and so do those of a write that goes on after its caller has left.
_CURRENT: ContextVar[Running | None] = ContextVar("finexio_mcp_call", default=None)


def current() -> Running | None:
    """The call that this task works for, if it works for one."""
    return _CURRENT.get()


@contextmanager
def running(call: Running) -> Generator[Running]:
    """What is done inside, and in tasks started inside, is done for this call."""
    token = _CURRENT.set(call)
    try:
        yield call
    finally:
        _CURRENT.reset(token)


def new_request_id() -> str:
    """A name for one call, in logs and in the audit."""
    return f"req_{token_hex(8)}"


def ids_in(content: Mapping[str, Any]) -> tuple[str, ...]:
    """The ids in an answer: of its record or of its rows, or of what `search` and `fetch` show."""
    result: Any = content.get("result", content.get("results", content))
    rows = result if is_array(result) else [result]
    found = (row.get("id") for row in rows if is_object(row))
    return tuple(str(id_) for id_ in found if id_ is not None)[:MAX_IDS]


def start_by_itself(tasks: TaskGroup, work: Callable[..., Coroutine[Any, Any, None]], *arguments: Any) -> None:
    """Start what goes on for its own sake, whoever's call began it: it is part of no call, nor of anybody's trace."""
    Context().run(tasks.start_soon, work, *arguments)
