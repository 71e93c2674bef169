"""The audit trail of counterparties."""

from . import views
from .call import Call
from .lists import chosen, exact, narrowed, page_of
from .wire import Answer, json_answer


def list_history(call: Call) -> Answer:
    world = call.world
    rows = narrowed(
        world.ordered("history", world.books.history, age="timestamp"), chosen((exact("object_id"),), call.request)
    )
    return json_answer(
        page_of(rows, lambda entry: views.history_entry(entry, world.quirks), call.request, world.quirks.next_host)
    )
