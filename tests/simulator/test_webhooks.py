"""Webhook subscriptions."""

from typing import Any

import pytest

from finexio_mcp.simulator import Simulator

from .asking import WEBHOOK, client, without


async def test_a_subscription_comes_back_with_its_password(sim: Simulator) -> None:
    """Documented by the vendor's library: credentials in clear on every read."""
    async with client(sim) as api:
        created = await api.post("/webhooks/", json=WEBHOOK | {"payment_status": True})
        body = created.json()
        read = (await api.get(f"/webhooks/{body['id']}/")).json()
        listed = (await api.get("/webhooks/")).json()

    assert created.status_code == 201
    assert (body["password"], body["payment_status"], body["invoice_ids"]) == ("hunter2", True, False)
    assert body["content_type"] == "application/json"
    assert body["subscription"] == f"http://simulator.invalid/v2/webhooks/{body['id']}/"
    assert listed["results"] == [read] == [body]


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"event", "url", "username", "password"}),
        (WEBHOOK | {"event": "payment.change"}, {"event"}),
        (WEBHOOK | {"url": "hooks.acme.example"}, {"url"}),
        (WEBHOOK | {"username": ""}, {"username"}),
        (WEBHOOK | {"content_type": "text/xml"}, {"content_type"}),
        (WEBHOOK | {"payment_events": "perhaps"}, {"payment_events"}),
    ],
)
async def test_rules_of_a_subscription(sim: Simulator, body: dict[str, Any], fields: set[str]) -> None:
    """Documented: four required fields, one event, two content types."""
    async with client(sim) as api:
        answer = await api.post("/webhooks/", json=body)

    assert (answer.status_code, set(answer.json())) == (400, fields)
    assert sim.webhooks == {}


@pytest.mark.parametrize("status", [400, 500])
async def test_there_is_one_subscription_for_an_event(sim: Simulator, status: Any) -> None:
    """Documented by the vendor's library: one per event and user; how it is refused is unknown."""
    sim.quirks.second_webhook_status = status
    sim.add_webhook()
    async with client(sim) as api:
        answer = await api.post("/webhooks/", json=WEBHOOK)

    assert answer.status_code == status
    assert len(sim.webhooks) == 1


@pytest.mark.parametrize(("method", "body"), [("PUT", WEBHOOK), ("PATCH", {"payment_events": True})])
@pytest.mark.parametrize("empty", [True, False])
async def test_an_update_may_answer_with_nothing(sim: Simulator, method: str, body: Any, empty: bool) -> None:
    """Documented: 201 and no body, against the library's object."""
    sim.quirks.webhook_put_empty = empty
    sim.add_webhook("w-1")
    async with client(sim) as api:
        answer = await api.request(method, "/webhooks/w-1/", json=body)

    assert (answer.status_code, answer.content == b"") == ((201, True) if empty else (200, False))
    assert [effect.kind for effect in sim.journal.effects] == ["webhook.updated"]


async def test_put_replaces_and_patch_does_not(sim: Simulator) -> None:
    """Documented: PUT takes the whole subscription."""
    sim.add_webhook("w-1", payment_events=True, invoice_ids=True)
    async with client(sim) as api:
        await api.patch("/webhooks/w-1/", json={"invoice_ids": False})
        after_patch = dict(sim.webhooks["w-1"])
        await api.put("/webhooks/w-1/", json=WEBHOOK)
        refused = await api.put("/webhooks/w-1/", json=without(WEBHOOK, "password"))

    assert (after_patch["payment_events"], after_patch["invoice_ids"]) == (True, False)
    assert sim.webhooks["w-1"]["payment_events"] is False
    assert (refused.status_code, list(refused.json())) == (400, ["password"])


async def test_delete_answers_204_once(sim: Simulator) -> None:
    """Documented: 204, empty."""
    sim.add_webhook("w-1")
    async with client(sim) as api:
        answers = [await api.delete("/webhooks/w-1/") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [204, 404]
    assert answers[0].content == b""
    assert "content-length" not in answers[0].headers


async def test_the_list_may_live_at_the_host_root(sim: Simulator) -> None:
    """Documented: the description gives the list, alone, a server without /v2."""
    sim.add_webhook("w-1")
    async with client(sim) as api:
        before = await api.get("http://simulator.invalid/webhooks/")
        sim.quirks.webhook_list_at_root = True
        root = await api.get("http://simulator.invalid/webhooks/")
        inside = await api.get("/webhooks/")
        one = await api.get("/webhooks/w-1/")
        write = await api.post("/webhooks/", json={})

    assert (before.status_code, root.status_code, inside.status_code) == (404, 200, 404)
    assert (one.status_code, write.status_code) == (200, 400)
    assert root.json()["count"] == 1
