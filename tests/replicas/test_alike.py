"""Two replicas are one server: whatever one of them says or knows, the other does too."""

from __future__ import annotations

import json
import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import Any

import pytest

from finexio_mcp.simulator import Fault
from tests.calls import PAY
from tests.conftest import ERAS, Era
from tests.replicas.clients import connected, said
from tests.replicas.cluster import Cluster, eventually
from tests.replicas.companies import ACME, BIRCH
from tests.web.serving import PATIENCE_SECONDS
from tests.web.talking import MODERN, call, post

REVISIONS = ("2025-11-25", MODERN)
INVOICES = "list_all_finexio_invoices"
FIND, SHOW = "find_finexio_submissions", "get_finexio_submission"
TOKEN = re.compile(r"fmcp_\S+")


def both(pair: Cluster, counts: Counter[str]) -> bool:
    """Whether both replicas have answered since."""
    return all(pair.proxy.count(name) > counts[name] for name in pair.replicas)


def counts(pair: Cluster) -> Counter[str]:
    return Counter({name: pair.proxy.count(name) for name in pair.replicas})


@pytest.mark.parametrize("revision", REVISIONS)
def test_both_list_the_same_tools_byte_for_byte(pair: Cluster, revision: str) -> None:
    """Ours: for the same token, at any replica and through the proxy (N5)."""
    keys = [pair.token(access, f"{access} {revision}", "acme") for access in ("read", "pay")]
    for key in keys:
        bodies = {
            post(pair.site(name), revision, "tools/list", token=key).body for name in (*pair.replicas, None, None)
        }
        assert len(bodies) == 1
        assert json.loads(bodies.pop())["result"]["tools"]


@pytest.mark.parametrize("era", ERAS)
async def test_a_list_is_walked_across_replicas_without_loss_or_doubles(pair: Cluster, era: Era) -> None:
    """Ours: a cursor of one is read by the other, of Finexio's lists and of the ledger's (A3)."""
    before, key = counts(pair), pair.token("pay", f"walker {era}", "acme")
    async with connected(pair.proxy.url, key, era) as client:
        numbers = [f"walk-{era}-{number}" for number in range(5)]
        for number, cents in zip(numbers, range(10_00, 15_00, 100), strict=True):
            paid = await said(client, PAY, {"invoices": [ACME.order(number, cents + len(era))]})
            assert paid["status"] == "confirmed"
        walks: dict[str, list[str]] = {}
        for tool, field, limit in ((INVOICES, "id", 20), (FIND, "invoice_number", 1)):
            found: list[str] = []
            content = await said(client, tool, {"limit": limit})
            while True:
                found += [row[field] for row in content["result"]]
                if content["next_cursor"] is None:
                    break
                content = await said(client, tool, {"next_cursor": content["next_cursor"], "limit": limit})
            walks[tool] = found

    assert both(pair, before)
    assert sorted(walks[INVOICES]) == sorted(pair.finexio["acme"].invoices)
    assert len(set(walks[INVOICES])) == len(walks[INVOICES]) >= 235
    assert [number for number in walks[FIND] if era in number] == [f"KESTREL-{number}" for number in reversed(numbers)]


def test_a_token_holds_at_both_from_the_next_request_and_ends_at_both_as_well(pair: Cluster) -> None:
    """Ours: made and revoked by an operator beside them, whoever was asked about it before (A2)."""
    made = pair.run("tokens", "create", "--name", "passing", "--access", "read", "--account", "birch")
    (key,) = TOKEN.findall(made.stdout)
    asked = list(product(pair.replicas, REVISIONS))
    good = [call(pair.site(name), revision, INVOICES, token=key).content for name, revision in asked]
    assert pair.run("tokens", "revoke", "passing").returncode == 0
    ended = [call(pair.site(name), revision, INVOICES, token=key).status for name, revision in asked]

    assert all(BIRCH.mark in str(content["result"]) for content in good)
    assert ended == [401] * len(asked)


async def test_forty_times_the_same_batch_at_once_at_both_is_one_order_each(pair: Cluster) -> None:
    """Ours: neither pays what the other pays, and both tell the truth about it (W1, W4)."""
    key = pair.token("pay", "racer", "acme")
    batches = [
        [ACME.order(f"race-{number}-{row}", 77_00 + 20 * number + row) for row in range(2)] for number in range(40)
    ]
    names = list(pair.replicas)

    def pay(turn: tuple[int, int]) -> tuple[int, dict[str, Any]]:
        number, which = turn
        site = pair.site(names[which])
        content = call(site, REVISIONS[(number + which) % 2], PAY, {"invoices": batches[number]}, token=key).content
        return number, content

    with ThreadPoolExecutor(16) as clients:
        turns = [(number, which) for number in range(40) for which in (0, 1)]
        told = list(clients.map(pay, turns, timeout=2 * PATIENCE_SECONDS))
        final = [pay((number, number % 2)) for number in range(40)]

    posted = [len(pair.finexio.posts(batch[0]["invoice_number"])) for batch in batches]
    assert posted == [1] * 40
    said_of = [sorted(content["status"] for one, content in told if one == number) for number in range(40)]
    assert {status for statuses in said_of for status in statuses} <= {"confirmed", "already_submitted", "in_progress"}
    assert all("confirmed" in statuses for statuses in said_of)
    assert {content["status"] for _, content in final} == {"already_submitted"}
    ids = {record["invoice_number"]: key for key, record in pair.finexio["acme"].invoices.items()}
    for number, content in [*told, *final]:
        if content["status"] != "in_progress":
            assert [row["id"] for row in content["result"]] == [ids[row["invoice_number"]] for row in batches[number]]
    pair.assert_chains_are_whole()


def test_what_one_recorded_the_other_shows(pair: Cluster) -> None:
    """Ours: a payment at one replica, its op_id at the other, for the account that made it alone (A3)."""
    acme, birch = (pair.token("pay", f"shower {account}", account) for account in ("acme", "birch"))
    first, second = pair.replicas
    paid = call(pair.site(first), MODERN, PAY, {"invoices": [ACME.order("show-1", 31_00)]}, token=acme).content
    shown = call(pair.site(second), MODERN, SHOW, {"op_id": paid["op_id"]}, token=acme).content
    hidden = call(pair.site(second), MODERN, SHOW, {"op_id": paid["op_id"]}, token=birch)
    never = call(pair.site(second), MODERN, SHOW, {"op_id": f"{paid['op_id'][:-1]}_"}, token=birch)

    assert [row["state"] for row in shown["result"]["rows"]] == ["confirmed"]
    assert hidden.content["error"]["code"] == "not_found"
    assert hidden.body == never.body


def test_every_call_at_either_stands_in_one_chain_of_the_audit(pair: Cluster) -> None:
    """Ours: numbered without a gap, whichever replica it was."""
    key = pair.token("pay", "auditee", "birch")
    with ThreadPoolExecutor(8) as clients:
        jobs = [
            clients.submit(
                call,
                pair.site(),
                REVISIONS[turn % 2],
                PAY,
                {"invoices": [BIRCH.order(f"a-{turn}", 9_00 + turn)]},
                token=key,
            )
            for turn in range(20)
        ]
        told = [job.result(PATIENCE_SECONDS).content for job in jobs]

    rows = pair.database.rows("SELECT seq, op_id FROM audit_entries WHERE account = 'birch' ORDER BY seq")
    assert [row["seq"] for row in rows] == list(range(1, len(rows) + 1))
    assert {content["op_id"] for content in told} <= {row["op_id"] for row in rows}
    assert pair.run("audit", "verify").returncode == 0


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_connection_that_breaks_within_a_payment_leaves_it_to_be_found_at_the_other(
    pair: Cluster, revision: str
) -> None:
    """Ours: the client is told nothing, asks again elsewhere, and never pays twice (W1, W10)."""
    key, order = pair.token("pay", f"cut off {revision}", "acme"), ACME.order(f"cut-{revision}", 81_00 + len(revision))
    pair.finexio["acme"].fault(Fault(delay_seconds=1.0), path="/invoices/batch/")
    with ThreadPoolExecutor(1) as clients:
        answer = clients.submit(call, pair.site(), revision, PAY, {"invoices": [order]}, token=key)
        eventually(lambda: pair.finexio.posts(order["invoice_number"]))
        server = pair.proxy.serving(order["invoice_number"])
        assert server is not None
        pair.proxy.cut(server)
        seen = answer.result(PATIENCE_SECONDS).status
    (other,) = set(pair.replicas) - {server}
    meanwhile = call(pair.site(other), revision, PAY, {"invoices": [order]}, token=key).content["status"]
    told = meanwhile
    while told == "in_progress":
        told = call(pair.site(other), revision, PAY, {"invoices": [order]}, token=key).content["status"]

    assert (seen, meanwhile, told) == (502, "in_progress", "already_submitted")
    assert len(pair.finexio.posts(order["invoice_number"])) == 1
