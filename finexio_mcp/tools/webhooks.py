"""Webhooks: subscriptions to payment events."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from finexio_mcp.errors import FinexioError, Rejected
from finexio_mcp.tools.fields import Id, ListArguments, Password, ReadArguments, Text190, Url
from finexio_mcp.tools.spec import Arguments, Effect, Listing, Record, ToolSpec, Trace

FLAGS = (
    "invoice_ids",
    "payment_status",
    "payment_events",
    "refund_reason",
    "instrument_number",
    "all_payment_details",
)

WEBHOOK = Record(
    fields={
        "id": "Webhook id",
        "event": "payment.changed",
        "url": "Where Finexio posts",
        "created_at": "No time zone",
        "updated_at": "No time zone",
        "subscription": "Finexio's link to it",
        "content_type": "Body format",
        "username": "Basic user that Finexio presents",
        **dict.fromkeys(FLAGS, "true: rides in the delivery"),
    },
    core=("id", "event", "url", "created_at", "updated_at", "subscription", *FLAGS),
    only_if_true=FLAGS,
)

Event = Literal["payment.changed"]
ContentType = Literal["application/json", "application/x-www-form-urlencoded"]
UserName = Annotated[Text190, Field(min_length=1)]
NewPassword = Annotated[Password, Field(min_length=1)]


class WebhookFields(Arguments):
    """What create, replace and patch share."""

    content_type: ContentType | None = None
    """Default JSON."""
    invoice_ids: bool | None = None
    """Send these."""
    payment_status: bool | None = None
    """Send it."""
    payment_events: bool | None = None
    """Send them."""
    refund_reason: bool | None = None
    """Send it."""
    instrument_number: bool | None = None
    """Send it."""
    all_payment_details: bool | None = None
    """Send everything."""


class CreateWebhook(WebhookFields):
    event: Event
    """Only this one."""
    url: Url
    """Your https endpoint."""
    username: UserName
    """Finexio signs in to you with it."""
    password: NewPassword
    """Never shown again."""


class ReplaceWebhook(CreateWebhook):
    id: Id
    """Webhook id."""


class PatchWebhook(WebhookFields):
    id: Id
    """Webhook id."""
    event: Event | None = None
    """Only this one."""
    url: Url | None = None
    """Your https endpoint."""
    username: UserName | None = None
    """Finexio signs in to you with it."""
    password: NewPassword | None = None
    """Never shown again."""


class ListWebhooks(ListArguments):
    pass


class GetWebhook(ReadArguments):
    id: Id
    """Webhook id."""


class DeleteWebhook(Arguments):
    id: Id
    """Webhook id."""


def _full_event_name(arguments: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Some of the vendor's pages drop the last letter; only the full name works."""
    if arguments.get("event") == "payment.change":
        return {**arguments, "event": "payment.changed"}, ["event was sent as payment.changed, its full name."]
    return arguments, []


def _explain_one_per_event(error: FinexioError, arguments: dict[str, Any]) -> str | None:
    del arguments
    if isinstance(error, Rejected):
        return (
            "Finexio keeps one webhook per event and user: see list_all_finexio_webhooks and change the one "
            "that is there with finexio_webhooks_partial_update."
        )
    return None


def _deleted(answer: Any, arguments: dict[str, Any]) -> Any:
    """Documented is an empty answer. Words may say anything."""
    return {"id": arguments["id"], "deleted": True} if answer in (None, True) else None


def _by_id(arguments: dict[str, Any]) -> tuple[str, ...]:
    return (f"webhook:{arguments['id'].casefold()}",)


def _kept_id(arguments: dict[str, Any]) -> dict[str, str]:
    return {"id": arguments["id"]}


def _fields(arguments: dict[str, Any]) -> list[dict[str, Any]]:
    return [{name: value for name, value in arguments.items() if name != "id"}]


CREATED = Trace(
    records=lambda arguments: (f"webhook:event:{arguments['event']}",),
    kept=lambda arguments: {"event": arguments["event"]},
    look="GET /webhooks/",
    at_host_root=True,
    expected=_fields,
    created_by=("event", "url"),
    is_it=lambda row, kept: row.get("event") == kept["event"],
)
CHANGED = Trace(records=_by_id, kept=_kept_id, look="GET /webhooks/{id}/", expected=_fields)
DELETED = Trace(records=_by_id, kept=_kept_id, look="GET /webhooks/{id}/", expected=lambda _arguments: [], gone=True)

CREATE_WEBHOOK = ToolSpec(
    name="create_a_finexio_webhook",
    title="Create a webhook",
    about=(
        "Have Finexio post payment events to your URL instead of polling. One per event and user: list first. "
        "Deliveries are hourly hints without a signature; read the payment afterwards. "
        "Payment data leaves to that URL: only hosts the user names."
    ),
    route="POST /webhooks/",
    effect=Effect.WRITE,
    arguments=CreateWebhook,
    record=WEBHOOK,
    tidy=_full_event_name,
    way_out=_explain_one_per_event,
    trace=CREATED,
    source="Finexio API v2, POST /webhooks/",
)

DELETE_WEBHOOK = ToolSpec(
    name="delete_a_finexio_webhook_by_id",
    title="Delete a webhook",
    about="End a webhook subscription, for good.",
    route="DELETE /webhooks/{id}/",
    effect=Effect.WRITE,
    arguments=DeleteWebhook,
    record=WEBHOOK,
    to_record=_deleted,
    trace=DELETED,
    source="Finexio API v2, DELETE /webhooks/{uuid}/",
)

GET_WEBHOOK = ToolSpec(
    name="get_single_finexio_webhook_by_id",
    title="Get a webhook",
    about="Show one webhook subscription by its id. The password is never shown.",
    route="GET /webhooks/{id}/",
    effect=Effect.READ,
    arguments=GetWebhook,
    record=WEBHOOK,
    source="Finexio API v2, GET /webhooks/{uuid}/",
)

LIST_WEBHOOKS = ToolSpec(
    name="list_all_finexio_webhooks",
    title="List webhooks",
    about="List this API user's webhook subscriptions: where payment events are posted to.",
    route="GET /webhooks/",
    effect=Effect.READ,
    arguments=ListWebhooks,
    record=WEBHOOK,
    listing=Listing.PAGES,
    rows_leave=True,
    at_host_root=True,
    source="Finexio API v2, GET /webhooks/",
)

REPLACE_WEBHOOK = ToolSpec(
    name="update_a_finexio_webhook_by_id",
    title="Replace a webhook",
    about="Replace a webhook whole; flags left out turn off. For single fields use finexio_webhooks_partial_update.",
    route="PUT /webhooks/{id}/",
    effect=Effect.WRITE,
    arguments=ReplaceWebhook,
    record=WEBHOOK,
    tidy=_full_event_name,
    after="GET /webhooks/{id}/",
    trace=CHANGED,
    source="Finexio API v2, PUT /webhooks/{uuid}/",
)

PATCH_WEBHOOK = ToolSpec(
    name="finexio_webhooks_partial_update",
    title="Update some fields of a webhook",
    about="Change single fields of a webhook, such as url, password or what rides along; the rest stays.",
    route="PATCH /webhooks/{id}/",
    effect=Effect.WRITE,
    arguments=PatchWebhook,
    record=WEBHOOK,
    tidy=_full_event_name,
    after="GET /webhooks/{id}/",
    trace=CHANGED,
    source="Finexio API v2, PATCH /webhooks/{uuid}/",
)
