"""Payments, their life in events, and the images of their checks."""

from __future__ import annotations

from typing import Any, Literal

from finexio_mcp.errors import FinexioError, Rejected, Unreadable
from finexio_mcp.shapes import is_array, is_object
from finexio_mcp.tools.fields import Id, ListArguments, Moment, ReadArguments, Status, Text100
from finexio_mcp.tools.spec import Arguments, Effect, Listing, Record, ToolSpec

PAYMENT = Record(
    fields={
        "id": "Payment id",
        "amount_cents": "Cents",
        "currency": "USD",
        "status": "pending, in-progress, settled, canceled or failed",
        "payment_method": "check, ach, card or wire",
        "delivery_method": "email, mail or phone",
        "tracking_id": "For Finexio's support",
        "instrument_number": "Check number, ACH trace or card's last four",
        "originating_counterparty_id": "Buyer id",
        "receiving_counterparty_id": "Supplier id",
        "events": "The payment's life, oldest first: timestamp, stage, event_name, status, description",
        "invoices": "What it pays: id, invoice_number, payment_amount_cents",
        "created": "No time zone",
        "updated": "No time zone",
        "funding_drawdown_request_id": "The drawdown that funded it",
        "adjustments": "Adjustments",
        "reconciliation_id": "Your accounting key",
        "finexio_express": "true: ACH by Finexio Express",
        "refund_user": "Who refunded",
        "refund_timestamp": "When",
        "refund_reason": "Why",
        "refund_comment": "Free text",
        "refund_ticket_number": "Ticket",
        "reissue_payment_method": "Method of the reissue",
        "reissue_user": "Who reissued",
        "reissue_timestamp": "When",
        "reissue_reason": "Why",
        "reissue_comment": "Free text",
        "reissue_ticket_number": "Ticket",
    },
    core=(
        "id",
        "amount_cents",
        "currency",
        "status",
        "payment_method",
        "tracking_id",
        "originating_counterparty_id",
        "receiving_counterparty_id",
        "events",
        "invoices",
        "created",
        "updated",
        "refund_user",
        "refund_timestamp",
        "refund_reason",
        "refund_comment",
        "refund_ticket_number",
        "reissue_payment_method",
        "reissue_user",
        "reissue_timestamp",
        "reissue_reason",
        "reissue_comment",
        "reissue_ticket_number",
    ),
)

IMAGE = Record(fields={"check_image_url": "Link to the picture; may expire"}, keys=("check_image_url",))


class ListPayments(ListArguments):
    tracking_id: Text100 | None = None
    """Exact tracking id (RC...)."""
    created_start: Moment | None = None
    """Created from."""
    created_end: Moment | None = None
    """Created until."""
    updated_start: Moment | None = None
    """Changed from."""
    updated_end: Moment | None = None
    """Changed until."""
    status: Status | None = None
    """pending, in-progress or settled; others may be refused."""
    refunded: bool | None = None
    """true: only refunded."""


class GetPayment(ReadArguments):
    id: Id
    """Payment id."""


class GetImages(Arguments):
    payment_id: Id
    """Payment id."""
    checkImageType: Literal["Issued", "Deposited"] | None = None
    """As printed or as cashed."""


def _images(answer: Any) -> list[Any]:
    """One link, several, or one of the three ways in which Finexio says that there is none."""
    found = answer if is_array(answer) else [answer] if answer else []
    if answer is None or not all(is_object(image) and "check_image_url" in image for image in found if image != {}):
        raise Unreadable("Finexio's answer shows neither images nor that there are none; nothing changed.")
    return [image for image in found if image.get("check_image_url")]


def _first_image(answer: Any, _arguments: dict[str, Any]) -> Any:
    images = _images(answer)
    return images[0] if images else []


def _name_statuses(error: FinexioError, arguments: dict[str, Any]) -> str | None:
    if isinstance(error, Rejected) and "status" in arguments:
        return (
            "Finexio filters by pending, in-progress and settled. For failed or canceled payments list a period by "
            "updated_start and read each status."
        )
    return None


LIST_PAYMENTS = ToolSpec(
    name="list_all_finexio_payments",
    title="List payments",
    about=(
        "List payments with status, events and the invoices they pay, by date, status, tracking id or refund. "
        "Failed and canceled ones: list a period by updated_start and read status."
    ),
    route="GET /payments/",
    effect=Effect.READ,
    arguments=ListPayments,
    record=PAYMENT,
    listing=Listing.PAGES,
    moves_with=("updated_start", "updated_end", "status", "refunded"),
    way_out=_name_statuses,
    source="Finexio API v2, GET /payments/",
)

GET_PAYMENT = ToolSpec(
    name="get_single_finexio_payment_by_id",
    title="Get a payment",
    about=(
        "Follow one payment in full by its id (an invoice's payment_id): every event up to settlement or failure, "
        "invoices paid, refund, reissue, and the bank debit that funded it (funding_drawdown_request_id)."
    ),
    route="GET /payments/{id}/",
    effect=Effect.READ,
    arguments=GetPayment,
    record=PAYMENT,
    source="Finexio API v2, GET /payments/{key}/",
)

GET_IMAGE = ToolSpec(
    name="get_single_finexio_payment_image_by_id",
    title="Get a check image",
    about=(
        "Link to the image of one cashed or printed check, as proof of payment; [] when there is none. Checks only: "
        "for ACH, card or wire show get_single_finexio_payment_by_id."
    ),
    route="GET /payments/{payment_id}/images",
    effect=Effect.READ,
    arguments=GetImages,
    record=IMAGE,
    to_record=_first_image,
    source="Finexio API v2, GET /payments/{key}/images",
)

LIST_IMAGES = ToolSpec(
    name="list_all_finexio_payment_images",
    title="List check images",
    about="All check image links of one payment, front and back; an empty list when there is none. Checks only.",
    route="GET /payments/{payment_id}/images",
    effect=Effect.READ,
    arguments=GetImages,
    record=IMAGE,
    listing=Listing.ARRAY,
    to_rows=_images,
    source="Finexio API v2, GET /payments/{key}/images",
)
