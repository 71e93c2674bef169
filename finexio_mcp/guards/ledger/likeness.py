"""What is wanted, held against what is there: the same, another content, or suspiciously alike; pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from finexio_mcp.guards.ledger.rows import InvoiceFacts, Near, Rules, Submission, Wanted
from finexio_mcp.guards.ledger.states import State


def gives_way(row: Submission, want: Wanted) -> bool:
    """Whether Finexio said of this very row that it may be submitted again."""
    return row.state is State.CONFIRMED and want.resubmits == row.id


def differs(row: Submission, want: Wanted) -> bool:
    return row.invoice is not None and want.invoice is not None and _content(row.invoice) != _content(want.invoice)


def _content(invoice: InvoiceFacts) -> tuple[int, str, str, int]:
    return invoice.amount_cents, invoice.currency, invoice.invoice_date, invoice.discount_cents


def record_keys(row: Submission) -> frozenset[str]:
    """The records that a change touches, and the one that it made."""
    records = row.change.records if row.change is not None else ()
    made: Iterable[str] = ()
    if records and row.state is State.CONFIRMED and row.finexio_id is not None:
        made = (f"{records[0].partition(':')[0]}:{row.finexio_id.casefold()}",)
    return frozenset((*records, *made))


def contests(other: Submission, row: Submission, created_by: Sequence[str]) -> bool:
    """Whether another change may have made what a row was to create: a record that it touches too, under the same key.

    Where one of them says nothing of a field of the key, it may be the same. Two accounts are most often two companies,
    which may use the same keys: there each field has to be said, and what was there before and has an id is known by
    that.
    """
    ours, theirs = row.change, other.change
    if ours is None or theirs is None or not {*ours.records} & {*theirs.records}:
        return False
    foreign = other.account != row.account
    if foreign and other.id < row.id and other.finexio_id is not None:
        return False
    return any(
        all(_agree(one.get(name), another.get(name), unsaid=not foreign) for name in created_by)
        for one in ours.digests
        for another in theirs.digests
    )


def _agree(one: str | None, another: str | None, *, unsaid: bool) -> bool:
    return unsaid if one is None or another is None else one == another


def grouped(wanted: Sequence[Wanted], key: Callable[[InvoiceFacts], str | None]) -> dict[str, list[int]]:
    """Positions by a key that near-duplicates share."""
    groups: dict[str, list[int]] = {}
    for position, want in enumerate(wanted):
        if want.invoice is not None and (found := key(want.invoice)) is not None:
            groups.setdefault(found, []).append(position)
    return groups


def number_key(invoice: InvoiceFacts) -> str | None:
    return f"{invoice.supplier} {invoice.near_number}" if invoice.near_number else None


def amount_key(invoice: InvoiceFacts) -> str | None:
    return f"{invoice.supplier} {invoice.invoice_date} {invoice.amount_cents}"


def is_near(earlier: Submission, want: Wanted, rules: Rules) -> bool:
    """Whether somebody has to hear of it. What is not settled might yet be the same invoice."""
    if earlier.identity == want.identity:
        return False
    if earlier.state is not State.CONFIRMED:
        return True
    return rules.duplicates != "off"


def is_near_elsewhere(earlier: Submission, want: Wanted, rules: Rules) -> bool:
    """The same of what another login of the same buyer submitted, and of which nobody knows yet what became."""
    same_buyer = (
        earlier.invoice is not None and want.invoice is not None and earlier.invoice.buyer == want.invoice.buyer
    )
    return same_buyer and earlier.state is not State.CONFIRMED and is_near(earlier, want, rules)


def unknown_to_caller(nears: Iterable[Near], want: Wanted) -> list[Near]:
    """Without those that the caller has ruled out: the one that is named, and all that came before it."""
    nears = list(nears)
    named = max((near.earlier.id for near in nears if _is_named(near, want)), default=0)
    return [near for near in nears if near.earlier.state is not State.CONFIRMED or near.earlier.id > named]


def _is_named(near: Near, want: Wanted) -> bool:
    return near.earlier.finexio_id is not None and near.earlier.finexio_id == want.not_a_duplicate_of


def refuses(near: Near, rules: Rules) -> bool:
    return near.earlier.state is not State.CONFIRMED or rules.duplicates == "refuse"


def urgency(near: Near) -> tuple[bool, bool, int]:
    """What is not settled comes first, then almost the same number, then the newest."""
    return near.earlier.state is State.CONFIRMED, near.why != "number", -near.earlier.id
