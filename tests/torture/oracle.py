"""Judges a run by Finexio's journal: what landed, what the ledger says of it, and what anybody was told."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from sqlalchemy import text

from finexio_mcp.guards.ledger.engines import open_engine
from finexio_mcp.guards.ledger.store import Store
from finexio_mcp.simulator import Simulator

Identity = tuple[str, str, str]
Row = dict[str, Any]

SAYS_IT_IS_THERE = frozenset({"confirmed", "already_submitted"})
SAYS_IT_IS_FREE = frozenset({"rejected", "not_executed"})
MAY_HAVE_LANDED = frozenset({"confirmed", "in_doubt", "conflict"})

_ROWS = text(
    "SELECT id, op_id, position, generation, state, reason, buyer, supplier, number, amount_cents, finexio_id, "
    "sent_at_ms, lease_until_ms, next_look_at_ms, live FROM submissions WHERE effect = 'pay' ORDER BY id"
)


@dataclass(frozen=True)
class Landed:
    """An invoice that Finexio created, by its journal."""

    id: str
    identity: Identity
    amount_cents: int


@dataclass(frozen=True)
class Evidence:
    """All that is known after a run."""

    landed: Sequence[Landed]
    posts: Sequence[Sequence[Identity]]
    """The invoices of each complete batch that Finexio received."""
    rows: Sequence[Row]
    """The ledger."""
    answers: Sequence[Row]
    """What anybody was told: `rows` that were asked for, and the `answer`."""
    chain: Sequence[str] = field(default_factory=tuple[str, ...])
    """What the ledger finds wrong with itself."""


def identity_of(row: Mapping[str, Any]) -> Identity:
    """Buyer, supplier and number, by an understanding of its own."""
    return (
        str(row["originating_counterparty_id"]).lower(),
        str(row["receiving_counterparty_id"]).lower(),
        " ".join(str(row["invoice_number"]).lower().split()),
    )


def gather(simulator: Simulator, ledger_url: str, answers: Iterable[Path]) -> Evidence:
    """Read journal, ledger and answers."""
    journal = simulator.journal
    created = [effect.id for effect in journal.effects if effect.kind == "invoice.created"]
    records = simulator.invoices
    batches = [record.body for record in journal.requests if record.method == "POST" and "/batch/" in record.path]
    engine = open_engine(driven(ledger_url))
    try:
        rows = ledger_rows(ledger_url)
        chain = Store(engine, scope="", owner="").verify().problems
    finally:
        engine.dispose()
    return Evidence(
        landed=[Landed(key, identity_of(records[key]), records[key]["amount_cents"]) for key in created],
        posts=[[identity_of(row) for row in batch] for batch in batches],
        rows=rows,
        answers=[told for path in answers if path.exists() for told in read_answers(path)],
        chain=chain,
    )


def driven(ledger_url: str) -> str:
    """The URL as SQLAlchemy wants it."""
    return ledger_url.replace("postgresql://", "postgresql+psycopg://")


def ledger_rows(ledger_url: str) -> list[Row]:
    """Every invoice in the ledger."""
    engine = open_engine(driven(ledger_url))
    try:
        with engine.begin() as connection:
            return [dict(row) for row in connection.execute(_ROWS).mappings()]
    finally:
        engine.dispose()


def read_answers(path: Path) -> Iterator[Row]:
    """Lines that are whole; a process killed while it wrote the last one never told anybody."""
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            return


def judge(seen: Evidence) -> list[str]:
    """Every promise that was broken; none is a good run."""
    return [
        *_twice(seen),
        *_forgotten(seen),
        *_freed(seen),
        *_beside_the_ledger(seen),
        *_false_rows(seen),
        *_false_answers(seen),
        *_stuck(seen),
        *(f"chain: {problem}" for problem in seen.chain),
    ]


def _twice(seen: Evidence) -> Iterator[str]:
    """An invoice was created more than once."""
    for identity, landed in _by_identity(seen.landed).items():
        if len(landed) > 1:
            yield f"paid twice: {identity[2]} as {[one.id for one in landed]}"


def _forgotten(seen: Evidence) -> Iterator[str]:
    """An invoice was created that the ledger does not have as sent."""
    sent = {_row_identity(row) for row in seen.rows if row["sent_at_ms"] is not None}
    for one in seen.landed:
        if one.identity not in sent:
            yield f"forgotten: {one.identity[2]} landed as {one.id} and was never recorded as sent"


def _freed(seen: Evidence) -> Iterator[str]:
    """An invoice was created, and the ledger would let it be sent again."""
    for identity, rows in _rows_by_identity(seen).items():
        landed = sum(one.identity == identity for one in seen.landed)
        blocking = sum(row["state"] in MAY_HAVE_LANDED for row in rows)
        if landed > blocking:
            states = [row["state"] for row in rows]
            yield f"freed: {identity[2]} landed {landed} times, and the ledger has it as {states}"


def _beside_the_ledger(seen: Evidence) -> Iterator[str]:
    """A batch reached Finexio that no row of the ledger stands for."""
    posts: dict[Identity, int] = defaultdict(int)
    for batch in seen.posts:
        for identity in batch:
            posts[identity] += 1
    rows = _rows_by_identity(seen)
    for identity, count in posts.items():
        sent = sum(row["sent_at_ms"] is not None for row in rows.get(identity, ()))
        if count > sent:
            yield f"beside the ledger: {identity[2]} was posted {count} times, and recorded as sent {sent} times"


def _false_rows(seen: Evidence) -> Iterator[str]:
    """The ledger says that Finexio has something that it does not have."""
    landed = {one.id: one for one in seen.landed}
    for row in seen.rows:
        if row["state"] != "confirmed":
            continue
        one = landed.get(row["finexio_id"])
        if one is None or (one.identity, one.amount_cents) != (_row_identity(row), row["amount_cents"]):
            yield f"false row: {row['number']} is confirmed as {row['finexio_id']}, which is {one}"


def _false_answers(seen: Evidence) -> Iterator[str]:
    """Somebody was told what is not so."""
    landed = {one.id: one for one in seen.landed}
    rows = {(row["op_id"], _row_identity(row)[2]): row for row in seen.rows}
    for told in seen.answers:
        answer: Row = told["answer"]
        shown: list[Row] = answer.get("result") or []
        for asked, own in zip(cast("list[Row]", told["rows"]), shown, strict=False):
            status, number = own.get("status", answer.get("status")), identity_of(asked)[2]
            if identity_of({**asked, "invoice_number": own["invoice_number"]})[2] != number:
                yield f"false answer: {own['invoice_number']} in the place of {asked['invoice_number']}"
            if status in SAYS_IT_IS_THERE:
                one = landed.get(own.get("id", ""))
                if one is None or (one.identity, one.amount_cents) != (identity_of(asked), asked["amount_cents"]):
                    yield f"false answer: {number} was said to be {status} as {own.get('id')}, which is {one}"
            row = rows.get((answer["op_id"], number))
            if status in SAYS_IT_IS_FREE and row is not None and row["state"] in MAY_HAVE_LANDED:
                yield f"false answer: {number} was said to be {status}, and is {row['state']} in {answer['op_id']}"


def _stuck(seen: Evidence) -> Iterator[str]:
    """Nobody will ever see to a row, or two rows claim the same invoice."""
    for row in seen.rows:
        if row["state"] in {"intended", "sent"}:
            yield f"stuck: {row['number']} is {row['state']}"
    for identity, rows in _rows_by_identity(seen).items():
        if sum(row["live"] for row in rows) > 1:
            yield f"two live rows: {identity[2]}"


def _by_identity(landed: Iterable[Landed]) -> dict[Identity, list[Landed]]:
    found: dict[Identity, list[Landed]] = defaultdict(list)
    for one in landed:
        found[one.identity].append(one)
    return found


def _rows_by_identity(seen: Evidence) -> dict[Identity, list[Row]]:
    found: dict[Identity, list[Row]] = defaultdict(list)
    for row in seen.rows:
        found[_row_identity(row)].append(row)
    return found


def _row_identity(row: Mapping[str, Any]) -> Identity:
    return identity_of(
        {
            "originating_counterparty_id": row["buyer"],
            "receiving_counterparty_id": row["supplier"],
            "invoice_number": row["number"],
        }
    )
