"""Switches for what nobody outside Finexio knows: a client has to survive either position."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

Shape = Literal["object", "envelope", "array"]


@dataclass
class Quirks:
    """Defaults are what the vendor's public pages make most likely."""

    # Lists
    next_host: str = "http://localhost:8000"
    """Scheme and host of `next` and `previous`: a foreign one, as in the vendor's samples."""
    updated_after_inclusive: bool = True
    """Whether `updated_after` finds a record updated at that very moment."""

    # Counterparties, suppliers, contacts
    bank_update_permitted: bool = True
    """False: changing a payment method or bank number answers 403, and it is not about credentials."""
    created_contact_ids_null: bool = False
    """True: contacts are created without an `id`, as old ones were."""
    history_shape: Literal["guide", "spec", "snapshot"] = "guide"
    """Which of three published descriptions of a history entry is true."""

    # Invoices
    batch_atomic: bool = True
    """False: the good rows of a refused batch (400) are created all the same."""
    batch_answers: Literal["array", "object"] = "array"
    """`object`: a batch of one row is answered with that row alone."""
    visible_after: timedelta = timedelta(0)
    """How long a new invoice is missing from the list (never from the read by id)."""
    ignore_invoice_filter: bool = True
    """False: `/invoices/` honours invoice_number, created_start and created_end, as v1 did."""
    invoice_status_shown: bool = True
    """False: invoices come without `status`, as before September 2025."""
    duplicate_error: Literal["field", "non_field", "detail"] = "field"
    """Where the refusal of a duplicate stands: under `invoice_number`, non_field_errors, or `detail`."""
    ungrouped_share_payment: bool = True
    """Whether invoices without a payment_group_id share one payment or get one each."""

    # Payments and images
    method_case: Literal["lower", "title"] = "lower"
    """How payments write their method: `check`, or `Check` as in a supplier."""
    outcome_statuses: dict[str, str] = field(
        default_factory=lambda: {"9901": "failed", "9902": "failed", "9903": "failed", "9904": "failed"}
    )
    """Status of a payment whose amount asks for a failure; the vendor's pages use `failed` and `canceled`."""
    image_shape: Literal["object", "array"] = "object"
    """Whether a check image comes as one object or in an array."""
    no_image_shape: Literal["array", "object", "null_url"] = "array"
    """No image: `[]`, `{}` or `{"check_image_url": null}`."""

    # Drawdowns
    drawdown_filter_required: bool = True
    """Whether the list refuses to answer without a filter (400 and no body)."""
    page_counts_as_filter: bool = False
    """Whether `page` alone satisfies that rule."""
    drawdown_by_id_shape: Shape = "object"
    """Shape of one drawdown, read by its id."""
    drawdown_payments_shape: Shape = "envelope"
    """Shape of a drawdown's payments; `object` sends the first one alone."""

    # Webhooks
    webhook_list_at_root: bool = False
    """True: `GET /webhooks/` answers at the host root, outside /v2, and nowhere else."""
    webhook_put_empty: bool = True
    """True: PUT and PATCH answer 201 without a body; False: 200 with the subscription."""
    second_webhook_status: Literal[400, 500] = 400
    """How a second subscription for the same event is refused."""
