"""This server's own ledger: what was submitted through it, and what became of that."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from finexio_mcp.tools.fields import Id, ListArguments, ReadArguments, Text100
from finexio_mcp.tools.spec import Effect, Listing, Record, ToolSpec

TOOLSET = "ledger"
SOURCE = "This server's own ledger"

SubmissionState = Literal["intended", "sent", "confirmed", "rejected", "in_doubt", "absent", "conflict"]
"""The ledger's own states; a test holds the two lists together."""

ROW = {
    "op_id": "The call that submitted it",
    "invoice_number": "As it was submitted",
    "state": "intended, sent, confirmed, rejected, in_doubt, absent or conflict",
    "reason": "Why it is in that state",
    "amount_cents": "Cents",
    "currency": "USD",
    "invoice_date": "Date",
    "originating_counterparty_id": "Buyer id",
    "receiving_counterparty_id": "Supplier id",
    "id": "Finexio's id, once it is known",
    "tool": "The tool that was called",
    "submitted": "When the call was recorded, UTC",
    "sent": "When it left, UTC; missing: no byte has left",
    "settled": "When it came into its last state, UTC",
    "by_operator": "true: a person's word put it into its state",
}

SUBMISSION = Record(
    fields=ROW,
    core=tuple(name for name in ROW if name != "tool"),
    only_if_true=("by_operator",),
    keys=("op_id",),
    keyed=False,
)
"""One invoice, or one change of master data."""

OPERATION = Record(
    fields={
        "op_id": ROW["op_id"],
        "tool": ROW["tool"],
        "submitted": ROW["submitted"],
        "rows": "What it submitted, in the order given: the fields that the list shows",
        "history": "Every change of state: at, invoice_number, before, after, reason, by, note",
    },
    keys=("op_id",),
)
"""One call with all that it submitted."""


class FindSubmissions(ListArguments):
    invoice_number: Annotated[Text100 | None, Field(min_length=1)] = None
    """Exact; case does not matter."""
    supplier_id: Id | None = None
    """Supplier id."""
    state: SubmissionState | None = None
    """Only those in it now."""


class GetSubmission(ReadArguments):
    op_id: Id
    """op_id of the write."""


FIND_SUBMISSIONS = ToolSpec(
    name="find_finexio_submissions",
    title="Find what was submitted here",
    about=(
        "What became of the invoices and changes that were submitted through this server, newest first: whether each "
        "is confirmed, refused or in doubt. It does not know what reached Finexio by other ways."
    ),
    route="LEDGER /submissions",
    effect=Effect.READ,
    arguments=FindSubmissions,
    record=SUBMISSION,
    listing=Listing.OWN,
    toolset=TOOLSET,
    source=SOURCE,
)

GET_SUBMISSION = ToolSpec(
    name="get_finexio_submission",
    title="Show one submission",
    about=(
        "Everything about one earlier write through this server by its op_id, which every answer to a write carries: "
        "each row's state and how it came to it. To have Finexio asked again, repeat the exact write."
    ),
    route="LEDGER /submissions/{op_id}",
    effect=Effect.READ,
    arguments=GetSubmission,
    record=OPERATION,
    toolset=TOOLSET,
    source=SOURCE,
)
