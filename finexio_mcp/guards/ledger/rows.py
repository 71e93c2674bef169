"""What goes into the ledger and what comes out of it: frozen values, no database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from finexio_mcp.guards.ledger.states import Effect, State
from finexio_mcp.settings import DEFAULT_ACCOUNT

Reason = Literal[
    "never_sent",  # provably: no connection, no time, withdrawn by the caller, or refused by our own fence
    "abandoned",  # intended, and its process did not come back before its lease ended
    "taken_over",  # sent, and its process did not come back before its lease ended
    "accepted",  # a 2xx that shows it
    "refused",  # Finexio refused it
    "refused_with_batch",  # another row of the batch was refused, and late looks did not find this one
    "not_executed",  # 429: turned away unread
    "no_answer",  # it left, and no answer told what came of it
    "unclear_answer",  # answered, but the answer does not show it
    "unclear_refusal",  # refused in words that may speak of an earlier attempt of ours
    "unseen",  # accepted, but the answer shows other rows or none, so that not to find it proves nothing
    "found",  # a look found it at Finexio
    "found_other",  # a look found the same identity with another content
    "found_late",  # it was given up as absent, and then proof came that Finexio has it
    "not_found",  # two complete late looks did not find it
    "operator",  # a person said so
]
"""Why a submission is in its state; a closed list, so that no text of anybody's enters the ledger."""


def moment(ms: int) -> str:
    """A time of the ledger, in UTC."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, kw_only=True)
class InvoiceFacts:
    """What is kept of an invoice: enough to recognise it, nothing that pays anyone."""

    buyer: str
    supplier: str
    number: str
    """As the caller wrote it."""
    amount_cents: int
    currency: str
    invoice_date: str
    discount_cents: int
    near_number: str
    """The number without punctuation, leading zeros and usual prefixes and suffixes."""


@dataclass(frozen=True, kw_only=True)
class ChangeFacts:
    """What is kept of a change of master data: which records, and digests of what they should then hold."""

    records: tuple[str, ...]
    """Keys of the records it touches, such as `counterparty:9d0c…`."""
    kept: Mapping[str, str]
    """What a look needs to find them: ids and references."""
    digests: tuple[Mapping[str, str], ...]
    """For each record: field name to a keyed digest of the value that was sent."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """One thing that a call wants to submit: an invoice, or one change of master data."""

    identity: str
    """Same identity, same thing, whoever asks and however often. Holds no secret."""
    invoice: InvoiceFacts | None = None
    change: ChangeFacts | None = None
    resubmits: int | None = None
    """The submission (`Submission.id`) that Finexio just said may be submitted again."""
    not_a_duplicate_of: str | None = None
    """The Finexio id of an earlier invoice that the caller knows to be another one."""


@dataclass(frozen=True, kw_only=True)
class Submission:
    """One row of the ledger. Times are milliseconds since 1970 in the database's clock."""

    id: int
    op_id: str
    position: int
    """Place in the call's list; 0 for a change of master data."""
    effect: Effect
    tool: str
    identity: str
    generation: int
    """1, and one more for each submission after an earlier one was refunded, absent or settled by a person."""
    state: State
    reason: Reason | None
    http_status: int | None
    finexio_id: str | None
    owner: str | None
    lease_until_ms: int
    claimed_at_ms: int
    sent_at_ms: int | None
    settled_at_ms: int | None
    looks: int
    """How often Finexio was asked what became of it."""
    next_look_at_ms: int | None
    """`None` while nothing is in doubt, and when only a person can settle it."""
    absent_since_ms: int | None
    """When the first complete look that counts did not find it."""
    by_operator: bool
    """Whether a person's word put it into its state."""
    doubtful_before: bool
    """Whether an earlier submission of the identity ended `absent` or by a person's word: it may have landed late."""
    searched_from_ms: int | None
    """When the first submission left that a look may find: its own, or an earlier absent one's."""
    invoice: InvoiceFacts | None = None
    change: ChangeFacts | None = None
    account: str = DEFAULT_ACCOUNT
    """Whose Finexio account it went to."""
    caller: str | None = None
    """The key of who ordered it; not known of the oldest ones."""


@dataclass(frozen=True, kw_only=True)
class Event:
    """One line of the history that cannot be changed unseen."""

    seq: int
    at_ms: int
    op_id: str
    position: int
    before: State | None
    after: State
    by: str
    """The owner that did it, or `operator`."""
    reason: Reason | None
    note: str | None
    """An operator's words."""
    hash: str


@dataclass(frozen=True, kw_only=True)
class Near:
    """An earlier submission that looks like a row that is wanted."""

    position: int
    earlier: Submission
    why: Literal["number", "amount"]


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What a claim is held to, in its own transaction."""

    lease_ms: int
    max_day_cents: int | None = None
    """Largest sum of what was submitted in any 24 hours, this claim included."""
    duplicates: Literal["warn", "refuse", "off"] = "warn"
    """What near-duplicates of confirmed invoices mean; those of unsettled ones always refuse."""
    repeat_ms: int = 600_000
    """How long a confirmed change, repeated, is answered and not sent."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What became of a claim. Either `rows` holds every row, now `intended` and ours, or nothing was recorded."""

    now_ms: int
    rows: tuple[Submission, ...] = ()
    known: Mapping[int, Submission] = field(default_factory=dict[int, Submission])
    """Position to the live submission of the same identity (or the change confirmed a moment ago)."""
    differing: frozenset[int] = frozenset()
    """Positions among `known` whose amount, currency, date or discount is another one."""
    elsewhere: frozenset[int] = frozenset()
    """Positions of invoices that another account has, or had and was refunded: all that may be told of them."""
    near: tuple[Near, ...] = ()
    """Near-duplicates that the caller should hear of; with `rows` they did not stop the claim."""
    near_refuses: bool = False
    day_cents: int | None = None
    """The sum that the day would have come to, if that is over the limit."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Where a submission goes from `sent`, or from `in_doubt`."""

    state: State
    reason: Reason
    http_status: int | None = None
    finexio_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class Look:
    """What a look at Finexio leaves behind in the ledger."""

    outcome: Outcome | None
    """`None`: still in doubt."""
    next_look_at_ms: int | None
    """When to look again; `None` leaves it to a person."""
    absent_since_ms: int | None


@dataclass(frozen=True, kw_only=True)
class Verified:
    """What a check of the whole ledger found."""

    events: int
    head: str
    problems: tuple[str, ...]
