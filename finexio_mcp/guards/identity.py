"""What a call wants to submit, as the ledger knows it: the same thing has the same identity, whoever asks."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from finexio_mcp.guards.digests import digest_record, identity_of_change
from finexio_mcp.guards.ledger.rows import ChangeFacts, InvoiceFacts, Wanted
from finexio_mcp.guards.numbers import bare
from finexio_mcp.settings import DEFAULT_ACCOUNT
from finexio_mcp.tools.invoices import identity
from finexio_mcp.tools.spec import ToolSpec, Trace

Row = Mapping[str, Any]

PREFIX = re.compile(r"(?:invoice|inv|bill|number|num|nbr|no|nr|#)(?=[\W_]|\d)[\W_]*")
AGAIN = "rev|revised|revision|copy|dup|duplicate|reprint|corrected"
SUFFIX = re.compile(rf"(?:[\W_]+(?:r|(?:{AGAIN})[\W_]*\d{{0,2}})|(?<=\d)(?:{AGAIN})\d{{0,2}})[\W_]*\Z")
LEADING_ZEROS = re.compile(r"^([^\W\d_]*)0+(?=\d)")


def wanted_invoices(wire: Row, local: Row, scope: str) -> list[Wanted]:
    """Each invoice of a batch, in the order given.

    Args:
        wire: `Checked.wire` of the batch.
        local: `Checked.local` of the batch.
        scope: The origin and base path that are really called.
    """
    rows: Sequence[Row] = wire["invoices"]
    beside: Sequence[Row] = local.get("invoices", [dict[str, Any]()] * len(rows))
    return [
        Wanted(
            identity=invoice_identity(row, scope),
            invoice=_facts(row),
            not_a_duplicate_of=own.get("not_a_duplicate_of"),
        )
        for row, own in zip(rows, beside, strict=True)
    ]


def invoice_identity(row: Row, scope: str) -> str:
    """Scope, buyer, supplier and number. Only the number, which stands last, can hold blanks."""
    return " ".join((scope, *identity(row)))


def _facts(row: Row) -> InvoiceFacts:
    buyer, supplier, _ = identity(row)
    return InvoiceFacts(
        buyer=buyer,
        supplier=supplier,
        number=row["invoice_number"],
        amount_cents=row["amount_cents"],
        currency=row["currency"],
        invoice_date=row["invoice_date"],
        discount_cents=row.get("discount_amount_cents") or 0,
        near_number=near_number(row["invoice_number"]),
    )


def wanted_change(
    tool: ToolSpec,
    arguments: Row,
    scope: str,
    key: bytes,
    *,
    account: str = DEFAULT_ACCOUNT,
    asked: Row | None = None,
) -> Wanted:
    """One change of master data.

    Args:
        tool: A tool that writes.
        arguments: As they are sent, after its `Lookup`.
        scope: The origin and base path that are really called.
        key: The key of the ledger's digests.
        account: Whose records it changes. The same change in another account is another one, unlike an invoice, which
            is the same one whoever pays it.
        asked: The arguments before its `Lookup`, which takes in what Finexio has at that moment. They alone make
            the identity: the same call is the same change, whatever has changed at Finexio meanwhile.
    """
    trace = tool.trace
    if trace is None:
        raise ValueError(f"{tool.name} changes no master data")
    sent = dict(arguments)
    # An address holds no blank. Without a name: as it was before there were accounts.
    whose = scope if account == DEFAULT_ACCOUNT else f"{scope} {account}"
    digest = _digest_of(tool, trace, sent if asked is None else dict(asked), whose, key)
    return Wanted(
        identity=f"change {digest}",
        change=ChangeFacts(
            # A record that no later write can name still needs a key of its own.
            records=tuple(dict.fromkeys(trace.records(sent))) or (f"change:{digest}",),
            kept=trace.kept(sent),
            digests=tuple(digest_record(key, record) for record in trace.expected(sent)),
        ),
    )


def _digest_of(tool: ToolSpec, trace: Trace, asked: dict[str, Any], scope: str, key: bytes) -> str:
    """Where the change goes, in one spelling, and what it says, to the letter."""
    addressed = [str(asked[name]).casefold() for name in tool.path_names]
    said = {name: value for name, value in asked.items() if name not in tool.path_names}
    return identity_of_change(key, scope, tool.route, (*addressed, *trace.records(asked)), said)


def near_number(number: str) -> str:
    """The number as somebody else would have typed it: no punctuation, no usual prefix, suffix or leading zeros.

    Letters that tell partial deliveries apart stay: 1042-A is not 1042-B. Never empty for a number that is not.
    """
    text = " ".join(unicodedata.normalize("NFKC", number).casefold().split())
    while (match := PREFIX.match(text)) and _has_digit(text[match.end() :]):
        text = text[match.end() :]
    while (match := SUFFIX.search(text)) and _has_digit(text[: match.start()]):
        text = text[: match.start()]
    return LEADING_ZEROS.sub(r"\1", bare(text)) or text or number


def _has_digit(text: str) -> bool:
    return any(character.isdigit() for character in text)
