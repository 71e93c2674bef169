"""Webhook subscriptions: one per event, and the password comes back in clear."""

from typing import Any

from . import rules, views
from .books import Record
from .call import Call
from .fields import Verb, apply
from .lists import page_of
from .wire import Answer, Refusal, empty_answer, html_answer, json_answer, not_found
from .world import World

SECOND_SUBSCRIPTION = "The fields event, user must make a unique set."


def list_webhooks(call: Call) -> Answer:
    world = call.world
    rows = world.ordered("webhooks", world.books.webhooks.values(), age="created_at")
    return json_answer(
        page_of(rows, lambda row: views.webhook(row, world.origin), call.request, world.quirks.next_host)
    )


def create_webhook(call: Call) -> Answer:
    world = call.world
    values = _read(call, "create")
    if any(other["event"] == values["event"] for other in world.books.webhooks.values()):
        if world.quirks.second_webhook_status == 500:
            return html_answer(500, "Server Error (500)")
        raise Refusal(400, {"non_field_errors": [SECOND_SUBSCRIPTION]})
    record = webhook_record(world, values)
    world.books.webhooks[record["id"]] = record
    world.effect("webhook.created", record["id"])
    return json_answer(views.webhook(record, world.origin), 201)


def webhook_record(world: World, values: dict[str, Any]) -> Record:
    now = world.stamp()
    return {"id": world.chance.uuid("webhook"), "created_at": now, "updated_at": now, "user": 1} | values


def get_webhook(call: Call) -> Answer:
    return json_answer(views.webhook(_webhook(call), call.world.origin))


def replace_webhook(call: Call) -> Answer:
    return _update(call, "replace")


def patch_webhook(call: Call) -> Answer:
    return _update(call, "patch")


def delete_webhook(call: Call) -> Answer:
    record = _webhook(call)
    del call.world.books.webhooks[record["id"]]
    call.world.effect("webhook.deleted", record["id"])
    return empty_answer(204)


def _update(call: Call, verb: Verb) -> Answer:
    world, record = call.world, _webhook(call)
    record |= _read(call, verb) | {"updated_at": world.stamp()}
    world.effect("webhook.updated", record["id"])
    if world.quirks.webhook_put_empty:
        return empty_answer(201)
    return json_answer(views.webhook(record, world.origin))


def _read(call: Call, verb: Verb) -> dict[str, Any]:
    values, errors = apply(rules.WEBHOOK, call.body, verb)
    if errors:
        raise Refusal(400, errors)
    return values


def _webhook(call: Call) -> Record:
    record = call.world.books.webhooks.get(call.path["uuid"])
    if record is None:
        raise not_found()
    return record
