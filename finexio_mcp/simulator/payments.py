"""Payments and their check images: read only."""

from typing import Any

from . import images, views
from .books import Record
from .call import Call
from .lists import chosen, exact, narrowed, one_of, page_of, since, truth, until
from .wire import Answer, Refusal, json_answer, not_found

FILTERABLE_STATUSES = ("pending", "in-progress", "settled")
"""A payment may also be failed or canceled, but the filter does not know that."""


def _status(record: Record) -> str:
    return record["status"]


def _refunded(record: Record) -> bool:
    return record["refund_timestamp"] is not None


FILTERS = (
    exact("tracking_id"),
    since("created_start", "created"),
    until("created_end", "created"),
    since("updated_start", "updated"),
    until("updated_end", "updated"),
    one_of("status", FILTERABLE_STATUSES, _status),
    truth("refunded", _refunded),
)


def list_payments(call: Call) -> Answer:
    world = call.world
    rows = narrowed(world.ordered("payments", world.books.payments.values()), chosen(FILTERS, call.request))
    return json_answer(
        page_of(rows, lambda row: views.payment(row, world.quirks), call.request, world.quirks.next_host)
    )


def get_payment(call: Call) -> Answer:
    return json_answer(views.payment(_payment(call), call.world.quirks))


def get_images(call: Call) -> Answer:
    """Checks only, and only once there is something to see."""
    world, payment = call.world, _payment(call)
    side = next((value for name, value in call.request.query if name == "checkImageType"), "") or "Issued"
    if side not in images.SIDES:
        raise Refusal(400, {"checkImageType": [f'"{side}" is not a valid choice.']})
    if not images.exists(payment, side):
        nothing: dict[str, Any] = {"array": [], "object": {}, "null_url": {"check_image_url": None}}
        return json_answer(nothing[world.quirks.no_image_shape])
    found = {"check_image_url": images.url(world, payment, side)}
    return json_answer([found] if world.quirks.image_shape == "array" else found)


def _payment(call: Call) -> Record:
    payment = call.world.books.payments.get(call.path["key"])
    if payment is None:
        raise not_found()
    return payment
