"""Ledgers as servers leave them: every state, for every reason, at times of the test's own."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from click.testing import CliRunner, Result

from finexio_mcp.cli import cli
from finexio_mcp.guards.ledger.place import Place, locate, prepare
from finexio_mcp.guards.ledger.rows import Look, Outcome, Reason, Rules, Submission, Wanted
from finexio_mcp.guards.ledger.states import State
from finexio_mcp.guards.ledger.store import Store, open_store
from finexio_mcp.settings import load

LATE_MS = 4_000_000_000_000
"""In the year 2096, so that the leases of what is written then are not over for the database's own clock."""
LONG_AGO_MS = 1_700_000_000_000
RULES = Rules(lease_ms=60_000)
PAY, WRITE = "finexio_invoices_bulk_create", "finexio_counterparties_partial_update"

Act = Callable[[Store, str], object]


def outcome(state: State, reason: Reason, **more: Any) -> Act:
    """A submission that was sent, and of which this came."""

    def act(store: Store, op_id: str) -> None:
        store.mark_sent(op_id, lease_ms=60_000)
        result = Outcome(state=state, reason=reason, **more)
        store.settle(op_id, {row.position: result for row in store.get(op_id)}, look_at_ms_after=30_000)

    return act


def look(state: State | None, reason: Reason = "found") -> Act:
    """A submission in doubt, and what a look at Finexio came to; `None`: nothing, and it was the last look."""

    def act(store: Store, op_id: str) -> None:
        outcome(State.IN_DOUBT, "no_answer")(store, op_id)
        result = Outcome(state=state, reason=reason, finexio_id="f-9") if state is not None else None
        rows = store.begin_look(lease_ms=60_000, ids=[row.id for row in store.get(op_id)], due_only=False)
        store.end_look({row.id: Look(outcome=result, next_look_at_ms=None, absent_since_ms=None) for row in rows})

    return act


def left_behind(act: Act) -> Act:
    """Done long ago, and seen to by nobody until now."""

    def take_over(store: Store, op_id: str) -> None:
        act(store, op_id)
        store_at(store, LATE_MS + 3_600_000).take_over()

    return take_over


def store_at(store: Store, ms: int) -> Store:
    """The same ledger, at another time."""
    return Store(store._engine, scope=store._scope, account=None, owner="another", now=lambda: ms)  # pyright: ignore[reportPrivateUsage]


def send(store: Store, op_id: str) -> None:
    store.mark_sent(op_id, lease_ms=60_000)


def found_late(store: Store, op_id: str) -> None:
    """Given up, and then the answer came after all."""
    look(State.ABSENT, "not_found")(store, op_id)
    store.settle(op_id, {0: Outcome(state=State.CONFIRMED, reason="accepted", finexio_id="f-9")})


def resolve_by(state: State) -> Act:
    def act(store: Store, op_id: str) -> None:
        look(None)(store, op_id)
        store.resolve(op_id, number=None, state=state, note="seen in the portal")

    return act


STORIES: Mapping[str, tuple[State, Reason | None, Act]] = {
    "intended": (State.INTENDED, None, lambda _store, _op_id: None),
    "sent": (State.SENT, None, send),
    "withdrawn": (State.ABSENT, "never_sent", lambda store, op_id: store.withdraw(op_id)),
    "abandoned": (State.ABSENT, "abandoned", left_behind(lambda _store, _op_id: None)),
    "taken over": (State.IN_DOUBT, "taken_over", left_behind(send)),
    "accepted": (State.CONFIRMED, "accepted", outcome(State.CONFIRMED, "accepted", finexio_id="f-1")),
    "refused": (State.REJECTED, "refused", outcome(State.REJECTED, "refused", http_status=400)),
    "refused with batch": (
        State.REJECTED,
        "refused_with_batch",
        outcome(State.REJECTED, "refused_with_batch", http_status=400),
    ),
    "not executed": (State.REJECTED, "not_executed", outcome(State.REJECTED, "not_executed", http_status=429)),
    "no answer": (State.IN_DOUBT, "no_answer", outcome(State.IN_DOUBT, "no_answer")),
    "unclear answer": (State.IN_DOUBT, "unclear_answer", outcome(State.IN_DOUBT, "unclear_answer", http_status=202)),
    "unseen": (State.IN_DOUBT, "unseen", outcome(State.IN_DOUBT, "unseen")),
    "unclear refusal": (State.IN_DOUBT, "unclear_refusal", outcome(State.IN_DOUBT, "unclear_refusal", http_status=400)),
    "found": (State.CONFIRMED, "found", look(State.CONFIRMED)),
    "found other": (State.CONFLICT, "found_other", look(State.CONFLICT, "found_other")),
    "not found": (State.ABSENT, "not_found", look(State.ABSENT, "not_found")),
    "found late": (State.CONFLICT, "found_late", found_late),
    "by a person": (State.CONFIRMED, "operator", resolve_by(State.CONFIRMED)),
}
"""How submissions come into every state, for every reason."""


class Office:
    """A ledger where the settings put it, and calls that were made."""

    def __init__(self, environment: Mapping[str, str], ms: int = LATE_MS) -> None:
        self.environment = dict(environment)
        settings = load(**self.environment)
        self.place: Place = locate(settings)
        prepare(self.place, settings)
        self.ms = ms
        self.store = open_store(self.place, owner="me", now=self.time)

    def time(self) -> int:
        """A second passes at each look."""
        self.ms += 1000
        return self.ms

    def submit(
        self, op_id: str, *wanted: Wanted, act: Act | None = None, account: str | None = None, caller: str | None = None
    ) -> list[Submission]:
        """Claim, and let this become of it; by default for the account that everybody has."""
        store = self.store if account is None else open_store(self.place, owner="me", account=account, now=self.time)
        pays = wanted[0].invoice is not None
        tool, effect = (PAY, "pay") if pays else (WRITE, "write")
        claim = store.claim(wanted, op_id=op_id, tool=tool, effect=effect, rules=RULES, caller=caller)
        assert claim.rows
        if act is not None:
            act(store, op_id)
        return store.get(op_id)

    def run(self, *arguments: str, stdin: str | None = None) -> Result:
        return run(*arguments, stdin=stdin, **self.environment)

    def json(self, *arguments: str) -> Any:
        result = self.run(*arguments, "--json")
        assert result.exit_code == 0, result.stderr
        return json.loads(result.stdout)


def run(*arguments: str, stdin: str | None = None, **environment: str) -> Result:
    """Run a command in this process; whatever it raises is a failure of the test."""
    result = CliRunner().invoke(cli, ["ledger", *arguments], input=stdin, env=environment)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result
