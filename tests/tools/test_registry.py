"""The whole registry keeps what users were promised, and a declaration that contradicts itself cannot be loaded."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Annotated, Any, get_args

import pytest
from pydantic import BaseModel

from finexio_mcp.guards.ledger.states import State
from finexio_mcp.guards.names import sensitive
from finexio_mcp.settings import TOOLSETS
from finexio_mcp.tools import BY_NAME, CORE, TOOLS
from finexio_mcp.tools.fields import Id
from finexio_mcp.tools.schema import entry
from finexio_mcp.tools.spec import Arguments, Effect, Listing, Record, Sensitive, ToolSpec, Trace
from tests.tools.samples import LEAST, is_write, schema_of

NEEDS: Mapping[str, tuple[str, ...]] = {
    "list_all_finexio_counterparties": (),
    "create_a_finexio_counterparty": ("name", "type", "internal_id"),
    "get_single_finexio_counterparty_by_id": ("id",),
    "update_a_finexio_counterparty_by_id": ("id", "name", "type", "internal_id"),
    "finexio_counterparties_partial_update": ("id",),
    "finexio_invoices_bulk_create": ("invoices",),
    "list_all_finexio_invoices": (),
    "get_single_finexio_invoice_by_id": ("id",),
    "get_single_finexio_payment_image_by_id": ("payment_id",),
    "list_all_finexio_payment_images": ("payment_id",),
    "get_single_finexio_payment_by_id": ("id",),
    "list_all_finexio_payments": (),
    "get_single_finexio_drawdown_by_id": ("id",),
    "list_all_finexio_drawdowns": (),
    "create_a_finexio_supplier_contact": ("supplier_id", "contacts"),
    "delete_a_finexio_supplier_contact_by_id": ("supplier_id", "id"),
    "list_all_finexio_supplier_contacts": ("supplier_id",),
    "update_a_finexio_supplier_contact_by_id": ("supplier_id", "id", "primary"),
    "create_a_finexio_webhook": ("event", "url", "username", "password"),
    "delete_a_finexio_webhook_by_id": ("id",),
    "get_single_finexio_webhook_by_id": ("id",),
    "list_all_finexio_webhooks": (),
    "update_a_finexio_webhook_by_id": ("id", "event", "url", "username", "password"),
    "finexio_webhooks_partial_update": ("id",),
    "list_all_finexio_counterparty_history": (),
    "list_all_finexio_drawdown_payments": ("processor_request_id",),
}
"""The tools in the order of the list, each with the arguments it cannot do without."""

WHOLE_SUPPLIER = ("name", "external_reference_id", "payment_method")
WHOLE_BUYER = (
    "name",
    "external_reference_id",
    "tax_id",
    "funding_method",
    "address_1",
    "city",
    "state",
    "zipcode",
    "country",
)
SUPPLIER_NEEDS: Mapping[str, tuple[str, ...]] = {
    "list_all_finexio_suppliers": (),
    "create_a_finexio_supplier": WHOLE_SUPPLIER,
    "get_single_finexio_supplier_by_id": ("id",),
    "update_a_finexio_supplier_by_id": ("id", *WHOLE_SUPPLIER),
    "finexio_suppliers_partial_update": ("id",),
}
BUYER_NEEDS: Mapping[str, tuple[str, ...]] = {
    "list_all_finexio_buyers": (),
    "create_a_finexio_buyer": WHOLE_BUYER,
    "get_single_finexio_buyer_by_id": ("id",),
    "update_a_finexio_buyer_by_id": ("id", *WHOLE_BUYER),
    "finexio_buyers_partial_update": ("id",),
    "create_a_finexio_buyer_contact": ("buyer_id", "contacts"),
    "list_all_finexio_buyer_contacts": ("buyer_id",),
    "update_a_finexio_buyer_contact_by_id": ("buyer_id", "id", "primary"),
    "delete_a_finexio_buyer_contact_by_id": ("buyer_id", "id"),
}
OWN_NEEDS: Mapping[str, tuple[str, ...]] = {
    "find_finexio_submissions": (),
    "get_finexio_submission": ("op_id",),
}
"""Those that show this server's own ledger."""
GATHERING_NEEDS: Mapping[str, tuple[str, ...]] = {"search": ("query",), "fetch": ("id",)}
"""Those that are answered from several reads, in the shape that ChatGPT prescribes."""

BY_TOOLSET = {
    "core": NEEDS,
    "suppliers": SUPPLIER_NEEDS,
    "buyers": BUYER_NEEDS,
    "ledger": OWN_NEEDS,
    "chatgpt": GATHERING_NEEDS,
}
"""Every toolset, in the order of the list; all but the first are off unless asked for."""
ALL_NEEDS = {name: needs for tools in BY_TOOLSET.values() for name, needs in tools.items()}

COUNTERPARTY = """
    payment_method address_1 address_2 city state zipcode country primary_contact_name primary_contact_email
    primary_contact_phone remit_email bank_account_number bank_routing_number payment_terms tax_id
    ineligible_for_conversion twelve_month_payment_count twelve_month_spend business_type notes
"""
CONTACT = "primary external_reference_id name email phone payment_notification"
WEBHOOK = """
    content_type invoice_ids payment_status payment_events refund_reason instrument_number all_payment_details
"""
SUPPLIER = """
    care_of remit_address_1 remit_address_2 remit_city remit_state remit_zipcode remit_country corporate_address_1
    corporate_address_2 corporate_city corporate_state corporate_zipcode corporate_country corporate_phone_number tax_id
    remit_email bank_account_number bank_routing_number delivery_method notification_method payment_terms
    ineligible_for_conversion ineligible_for_cbm payee_type twelve_month_payment_count twelve_month_spend notes metadata
    enabled internal_payments category sub_category name external_reference_id payment_method
"""
BUYER = """
    name dba_name address_1 address_2 city state zipcode country corporate_phone_number external_reference_id remit_data
    tax_id funding_method drawdown_bank_account_number drawdown_bank_routing_number refund_bank_account_number
    refund_bank_routing_number metadata owners
"""
BUYER_CONTACT = "primary external_reference_id name email phone funding_notification refund_notification"
OWNER = "controlling_owner first_name last_name country_code address1 city state postal_code date_of_birth email"
OWNER_OR_LEFT_OUT = """
    address2 ssn passport passport_country drivers_license_number drivers_license_state
"""
SHOWN = "fields"
LISTED = "fields limit next_cursor"

TAKES: Mapping[str, str] = {
    "list_all_finexio_counterparties": f"name type internal_id updated_after {LISTED}",
    "create_a_finexio_counterparty": f"name type internal_id {COUNTERPARTY}",
    "get_single_finexio_counterparty_by_id": f"id {SHOWN}",
    "update_a_finexio_counterparty_by_id": f"id name type internal_id {COUNTERPARTY}",
    "finexio_counterparties_partial_update": f"id name internal_id {COUNTERPARTY} clear",
    "finexio_invoices_bulk_create": "invoices",
    "list_all_finexio_invoices": LISTED,
    "get_single_finexio_invoice_by_id": f"id {SHOWN}",
    "get_single_finexio_payment_image_by_id": "payment_id checkImageType",
    "list_all_finexio_payment_images": "payment_id checkImageType",
    "get_single_finexio_payment_by_id": f"id {SHOWN}",
    "list_all_finexio_payments": (
        f"tracking_id created_start created_end updated_start updated_end status refunded {LISTED}"
    ),
    "get_single_finexio_drawdown_by_id": f"id {SHOWN}",
    "list_all_finexio_drawdowns": f"""
        buyer_ref_id originating_counterparty_id supplier_ref_id tracking_id invoice_number status created_start
        created_end completed_start completed_end amount_cents_start amount_cents_end {LISTED}
    """,
    "create_a_finexio_supplier_contact": "supplier_id contacts",
    "delete_a_finexio_supplier_contact_by_id": "supplier_id id",
    "list_all_finexio_supplier_contacts": f"supplier_id {LISTED}",
    "update_a_finexio_supplier_contact_by_id": f"supplier_id id {CONTACT} clear",
    "create_a_finexio_webhook": f"event url username password {WEBHOOK}",
    "delete_a_finexio_webhook_by_id": "id",
    "get_single_finexio_webhook_by_id": f"id {SHOWN}",
    "list_all_finexio_webhooks": LISTED,
    "update_a_finexio_webhook_by_id": f"id event url username password {WEBHOOK}",
    "finexio_webhooks_partial_update": f"id event url username password {WEBHOOK}",
    "list_all_finexio_counterparty_history": f"object_id {LISTED}",
    "list_all_finexio_drawdown_payments": f"processor_request_id {LISTED}",
    "list_all_finexio_suppliers": f"""
        external_reference_id updated_after enabled cbm_optout_date_start cbm_optout_date_end {LISTED}
    """,
    "create_a_finexio_supplier": f"{SUPPLIER} contacts",
    "get_single_finexio_supplier_by_id": f"id {SHOWN}",
    "update_a_finexio_supplier_by_id": f"id {SUPPLIER}",
    "finexio_suppliers_partial_update": f"id {SUPPLIER} clear",
    "list_all_finexio_buyers": f"external_reference_id updated_after {LISTED}",
    "create_a_finexio_buyer": f"{BUYER} contacts",
    "get_single_finexio_buyer_by_id": f"id {SHOWN}",
    "update_a_finexio_buyer_by_id": f"id {BUYER}",
    "finexio_buyers_partial_update": f"id {BUYER} clear",
    "create_a_finexio_buyer_contact": "buyer_id contacts",
    "list_all_finexio_buyer_contacts": f"buyer_id {LISTED}",
    "update_a_finexio_buyer_contact_by_id": f"buyer_id id {BUYER_CONTACT} clear",
    "delete_a_finexio_buyer_contact_by_id": "buyer_id id",
    "find_finexio_submissions": f"invoice_number supplier_id state {LISTED}",
    "get_finexio_submission": f"op_id {SHOWN}",
    "search": "query",
    "fetch": "id",
}
INVOICE = """
    invoice_number amount_cents currency invoice_date originating_counterparty_id receiving_counterparty_id
    invoice_due_date discount_amount_cents note metadata line_items reconciliation_id account_number payment_group_id
    accounting_id
"""
LOCAL_TO_AN_INVOICE = "resubmit not_a_duplicate_of"

REFUND_AND_REISSUE = """
    refund_user refund_timestamp refund_reason refund_comment refund_ticket_number reissue_payment_method reissue_user
    reissue_timestamp reissue_reason reissue_comment reissue_ticket_number
"""
CONTACT_ROW = "id external_reference_id name email phone primary payment_notification"
WEBHOOK_ROW = f"id event url created_at updated_at subscription {WEBHOOK.replace('content_type', '')}"
DRAWDOWN_ROW = """
    processor_request_id bank_account_last_four created status amount_cents funding_complete_date buyer_ref_id
    buyer_name originating_counterparty_id trace_id
"""
FUNDED_ROW = """
    id supplier_name amount_cents status payment_method delivery_method tracking_id invoices address_1 address_2 city
    state zip email
"""
BUYER_CONTACT_ROW = f"id {BUYER_CONTACT}"

ROWS: Mapping[str, str] = {
    "list_all_finexio_counterparties": """
        id name type internal_id created updated payment_method country address_1 city state zipcode
        primary_contact_name primary_contact_email primary_contact_phone remit_email bank_account_number
        bank_routing_number twelve_month_payment_count twelve_month_spend ineligible_for_conversion
    """,
    "finexio_invoices_bulk_create": """
        id invoice_number amount_cents currency invoice_date payment_id originating_counterparty_id created
    """,
    "list_all_finexio_invoices": """
        id invoice_number amount_cents currency invoice_date invoice_due_date status payment_id
        originating_counterparty_id receiving_counterparty_id created
    """,
    "list_all_finexio_payment_images": "check_image_url",
    "list_all_finexio_payments": f"""
        id amount_cents currency status payment_method tracking_id originating_counterparty_id
        receiving_counterparty_id events invoices created updated {REFUND_AND_REISSUE}
    """,
    "list_all_finexio_drawdowns": DRAWDOWN_ROW,
    "create_a_finexio_supplier_contact": CONTACT_ROW,
    "list_all_finexio_supplier_contacts": CONTACT_ROW,
    "list_all_finexio_webhooks": WEBHOOK_ROW,
    "list_all_finexio_drawdown_payments": FUNDED_ROW,
    "list_all_finexio_suppliers": """
        id name external_reference_id payment_method delivery_method enabled remit_address_1 remit_city remit_state
        remit_zipcode remit_email bank_account_number bank_routing_number payment_terms ineligible_for_conversion
        created updated
    """,
    "list_all_finexio_buyers": """
        id name dba_name external_reference_id funding_method ready_for_use reason_not_usable city state created updated
    """,
    "create_a_finexio_buyer_contact": BUYER_CONTACT_ROW,
    "list_all_finexio_buyer_contacts": BUYER_CONTACT_ROW,
    "find_finexio_submissions": """
        op_id invoice_number state reason amount_cents currency invoice_date originating_counterparty_id
        receiving_counterparty_id id submitted sent settled by_operator
    """,
}
RECORDS: Mapping[str, str] = {
    "create_a_finexio_counterparty": f"{ROWS['list_all_finexio_counterparties']} {COUNTERPARTY} remit_data",
    "get_single_finexio_counterparty_by_id": f"{COUNTERPARTY} remit_data issue_one_disbursement_per_invoice",
    "get_single_finexio_invoice_by_id": f"""
        {INVOICE.replace("line_items", "")} id created updated payment_id status can_be_resubmitted
        documentationPresented
    """,
    "get_single_finexio_payment_image_by_id": "check_image_url",
    "get_single_finexio_payment_by_id": f"""
        {ROWS["list_all_finexio_payments"]} delivery_method instrument_number adjustments funding_drawdown_request_id
        reconciliation_id finexio_express
    """,
    "get_single_finexio_drawdown_by_id": f"""
        {DRAWDOWN_ROW} {FUNDED_ROW} originating_counterparty_id receiving_counterparty_id supplier_ref_id
        payment_group_id
    """,
    "update_a_finexio_supplier_contact_by_id": CONTACT_ROW,
    "create_a_finexio_webhook": "id event url created_at updated_at subscription",
    "get_single_finexio_webhook_by_id": WEBHOOK_ROW,
    "finexio_webhooks_partial_update": WEBHOOK_ROW,
    "list_all_finexio_counterparty_history": "object_id actor timestamp action changes",
    **dict.fromkeys(
        ("create_a_finexio_supplier", "get_single_finexio_supplier_by_id", "finexio_suppliers_partial_update"),
        f"id {SUPPLIER} contacts processing_fee created updated",
    ),
    **dict.fromkeys(
        ("create_a_finexio_buyer", "get_single_finexio_buyer_by_id", "finexio_buyers_partial_update"),
        f"id {BUYER} contacts ready_for_use reason_not_usable created updated",
    ),
    "update_a_finexio_buyer_contact_by_id": BUYER_CONTACT_ROW,
    "find_finexio_submissions": "tool",
    "get_finexio_submission": "op_id tool submitted rows history",
}

HINTS: Mapping[str, tuple[bool, bool, bool]] = {
    "GET": (True, False, True),
    "LEDGER": (True, False, True),
    "FIND": (True, False, True),
    "POST": (False, False, False),
    "PAY": (False, True, False),
    "PUT": (False, True, True),
    "PATCH": (False, True, True),
    "DELETE": (False, True, True),
}
"""Read-only, destructive, idempotent."""

HTTP_METHODS = {"GET", "POST", "PUT", "PATCH", "DELETE"}

every_tool = pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)


def test_the_tools_are_the_26_that_users_know_in_that_order() -> None:
    """Ours: names and order of the list never change under a client."""
    assert [tool.name for tool in CORE] == list(NEEDS)
    assert len(CORE) == 26
    assert {tool.toolset for tool in CORE} == {"core"}


def test_other_toolsets_come_after_them_one_after_the_other() -> None:
    """Ours: whoever asks for more finds the 26 where they were."""
    assert list(BY_TOOLSET) == list(TOOLSETS)
    assert [(tool.toolset, tool.name) for tool in TOOLS] == [
        (toolset, name) for toolset, tools in BY_TOOLSET.items() for name in tools
    ]
    assert list(BY_NAME) == list(ALL_NEEDS)


@every_tool
def test_what_is_no_single_call_to_finexio_says_so(tool: ToolSpec) -> None:
    """Ours: its route is none of HTTP's, and it changes nothing."""
    own, gathers = tool.name in OWN_NEEDS, tool.name in GATHERING_NEEDS

    assert (tool.own, tool.gathers) == (own, gathers)
    assert (tool.route.startswith("LEDGER /"), tool.route.startswith("FIND /")) == (own, gathers)
    assert (tool.method in HTTP_METHODS) is not (own or gathers)
    assert (tool.listing is Listing.OWN) is (tool.name == "find_finexio_submissions")
    assert (tool.shape is not None) is gathers
    assert tool.effect is Effect.READ or tool.method in HTTP_METHODS


def test_submissions_are_found_by_every_state_that_the_ledger_knows() -> None:
    """Ours: the declaration cannot read the ledger's own list, so this holds the two together."""
    schema = schema_of("find_finexio_submissions")["properties"]["state"]

    assert schema["enum"] == [state.value for state in State]


@every_tool
def test_a_name_is_one_that_every_host_accepts(tool: ToolSpec) -> None:
    """Ours: hosts put a prefix before names and cap the whole."""
    assert re.fullmatch(r"[a-z0-9_]{1,39}", tool.name)


@every_tool
def test_a_tool_says_what_it_does_and_where_we_know_it_from(tool: ToolSpec) -> None:
    """Ours: a title for people, whole sentences for models, a source for us."""
    assert tool.title
    assert tool.about[-1] in ".?"
    theirs = {
        **dict.fromkeys(OWN_NEEDS, "This server's own ledger"),
        **dict.fromkeys(GATHERING_NEEDS, "OpenAI's guide to custom MCP servers"),
    }
    assert tool.source.startswith(theirs.get(tool.name, f"Finexio API v2, {tool.method} /"))


@every_tool
def test_a_tool_needs_exactly_what_was_promised(tool: ToolSpec) -> None:
    """Documented: the arguments without which Finexio refuses."""
    assert set(schema_of(tool).get("required", [])) == set(ALL_NEEDS[tool.name])


@every_tool
def test_a_tool_takes_exactly_what_was_promised(tool: ToolSpec) -> None:
    """Documented: every field and filter of the operation under Finexio's own name; ours steer the answer."""
    assert set(schema_of(tool)["properties"]) == set(TAKES[tool.name].split())


def test_an_invoice_takes_exactly_what_was_promised() -> None:
    """Documented: the fields of an invoice to be created; two more are for this server alone."""
    items = schema_of("finexio_invoices_bulk_create")["properties"]["invoices"]["items"]

    assert set(items["properties"]) == {*INVOICE.split(), *LOCAL_TO_AN_INVOICE.split()}
    assert set(items["required"]) == {
        "invoice_number",
        "amount_cents",
        "invoice_date",
        "originating_counterparty_id",
        "receiving_counterparty_id",
    }


@pytest.mark.parametrize(
    ("tool", "fields"),
    [
        ("create_a_finexio_supplier_contact", CONTACT),
        ("create_a_finexio_supplier", CONTACT),
        ("create_a_finexio_buyer_contact", BUYER_CONTACT),
        ("create_a_finexio_buyer", BUYER_CONTACT),
    ],
)
def test_a_contact_takes_exactly_what_was_promised(tool: str, fields: str) -> None:
    """Documented: the fields of a contact, which differ by who has it; `primary` has to be said."""
    items = schema_of(tool)["properties"]["contacts"]["items"]

    assert set(items["properties"]) == set(fields.split())
    assert items["required"] == ["primary"]


@pytest.mark.parametrize(
    "tool", ["create_a_finexio_buyer", "update_a_finexio_buyer_by_id", "finexio_buyers_partial_update"]
)
def test_an_owner_takes_exactly_what_was_promised(tool: str) -> None:
    """Documented: a person who controls a buyer, and the papers that prove who that is."""
    items = schema_of(tool)["properties"]["owners"]["items"]

    assert set(items["required"]) == set(OWNER.split())
    assert set(items["properties"]) == {*OWNER.split(), *OWNER_OR_LEFT_OUT.split()}


def test_contacts_come_with_a_record_that_is_created_and_no_other() -> None:
    """Documented: a replace that lists contacts replaces them all; they have tools of their own for that."""
    assert [tool.name for tool in TOOLS if "contacts" in tool.arguments.model_fields] == [
        "create_a_finexio_supplier_contact",
        "create_a_finexio_supplier",
        "create_a_finexio_buyer",
        "create_a_finexio_buyer_contact",
    ]


@pytest.mark.parametrize("name", ROWS)
def test_a_row_carries_what_was_promised(name: str) -> None:
    """Ours: the core fields of each list, no more and no less."""
    record = BY_NAME[name].record

    assert set(record.core or record.fields) == set(ROWS[name].split())


@pytest.mark.parametrize("name", RECORDS)
def test_a_single_record_describes_what_was_promised(name: str) -> None:
    """Ours: at least the fields that users were told of."""
    assert set(RECORDS[name].split()) <= set(BY_NAME[name].record.fields)


@every_tool
def test_hints_follow_from_what_the_tool_does(tool: ToolSpec) -> None:
    """Ours: hosts ask before a destructive call and repeat an idempotent one, so a payment is neither harmless nor
    repeatable."""
    annotations = entry(tool)["annotations"]

    kind = "PAY" if tool.effect is Effect.PAY else tool.method
    read_only, destructive, idempotent = HINTS[kind]
    assert annotations == {
        "title": tool.title,
        "readOnlyHint": read_only,
        "destructiveHint": destructive,
        "idempotentHint": idempotent,
        "openWorldHint": True,
    }


def test_only_the_invoice_batch_pays() -> None:
    """Documented: no other operation moves money."""
    assert [tool.name for tool in TOOLS if tool.effect is Effect.PAY] == ["finexio_invoices_bulk_create"]


@every_tool
def test_a_list_can_be_read_on_and_nothing_else_can(tool: ToolSpec) -> None:
    """Ours: every list of records takes a cursor; links to check images come whole."""
    listed = tool.name.startswith("list_all_") or tool.name == "find_finexio_submissions"

    assert (tool.listing is not None) is listed
    assert tool.paged is (listed and tool.name != "list_all_finexio_payment_images")


@pytest.mark.parametrize("tool", [tool for tool in TOOLS if not is_write(tool)], ids=lambda tool: tool.name)
def test_a_read_ends_before_a_host_stops_listening(tool: ToolSpec) -> None:
    """Ours: reads end within 50 s, since hosts give up at 60."""
    by_id = tool.listing is None and tool.name != "search"
    assert 0 < tool.deadline_seconds <= (20 if by_id else 50)


def annotations_in(kind: Any) -> Iterator[Any]:
    """Every trait in an annotation, however deep."""
    yield from getattr(kind, "__metadata__", ())
    for inner in get_args(kind):
        yield from annotations_in(inner)


def declared(model: type[BaseModel]) -> Iterator[tuple[str, bool]]:
    """Every field of a model and of those inside it, and whether it is marked as sensitive."""
    for name, info in model.model_fields.items():
        traits = [*info.metadata, *annotations_in(info.annotation)]
        yield name, any(isinstance(trait, Sensitive) for trait in traits)
        kinds: list[Any] = [info.annotation]
        while kinds:
            kind = kinds.pop()
            kinds += get_args(kind)
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from declared(kind)


SENSITIVE = {
    "bank_account_number",
    "bank_routing_number",
    "drawdown_bank_account_number",
    "drawdown_bank_routing_number",
    "refund_bank_account_number",
    "refund_bank_routing_number",
    "tax_id",
    "account_number",
    "password",
    "ssn",
    "passport",
    "drivers_license_number",
}


@every_tool
def test_an_argument_is_marked_as_sensitive_if_and_only_if_its_name_is_masked(tool: ToolSpec) -> None:
    """Ours: what is hidden on the way out must not come back as a mask."""
    names = {name for name, _ in declared(tool.arguments)}
    marked = {name for name, is_marked in declared(tool.arguments) if is_marked}

    assert marked == names & SENSITIVE
    assert marked == {name for name in names if sensitive(name)}


@every_tool
def test_what_can_be_cleared_is_an_optional_text(tool: ToolSpec) -> None:
    """Ours: a cleared field travels as "", which only a text can be."""
    schema = schema_of(tool)

    assert bool(tool.arguments.clearable) is ("clear" in schema["properties"])
    for name in tool.arguments.clearable:
        assert schema["properties"][name]["type"] == "string"
        assert "enum" not in schema["properties"][name]
        assert name not in schema["required"]


def test_every_sensitive_argument_is_known_by_name() -> None:
    """Ours: a name in the list that no tool has would hold nothing."""
    assert {name for tool in TOOLS for name, marked in declared(tool.arguments) if marked} == SENSITIVE


def test_only_partial_updates_can_clear() -> None:
    """Ours: null counts as absent, so emptying a field needs a way of its own."""
    assert [tool.name for tool in TOOLS if tool.arguments.clearable] == [
        "finexio_counterparties_partial_update",
        "update_a_finexio_supplier_contact_by_id",
        "finexio_suppliers_partial_update",
        "finexio_buyers_partial_update",
        "update_a_finexio_buyer_contact_by_id",
    ]


def test_the_samples_cover_every_tool() -> None:
    """Ours: what is said about all tools is tried on all tools."""
    assert list(LEAST) == list(ALL_NEEDS)


def test_descriptions_name_only_tools_that_exist() -> None:
    """Ours: a tool that points to another one points to one that is there."""
    pattern = r"\b(?:(?:list_all|get_single|create_a|update_a|delete_a)_finexio_\w+|(?:find_|get_)?finexio_(?!mcp)\w+)"
    named = {name for tool in TOOLS for name in re.findall(pattern, tool.about)}

    assert named
    assert named <= set(BY_NAME)


@pytest.mark.parametrize(
    "tool", [tool for tool in CORE if tool.path.startswith("/counterparties/")], ids=lambda t: t.name
)
def test_a_deprecated_endpoint_says_so_and_where_the_current_one_is(tool: ToolSpec) -> None:
    """Documented: five of the 26 go by endpoints that Finexio deprecated; the toolset is named even where it is off."""
    deprecated = re.fullmatch(r"/counterparties/(\{id\}/)?", tool.path) is not None

    assert ("Deprecated by Finexio" in tool.about) is deprecated
    assert ("toolset suppliers" in tool.about) is deprecated
    assert ("(deprecated" in tool.source) is deprecated


def test_five_tools_are_deprecated() -> None:
    """Documented: the list, the read and the three writes of counterparties."""
    assert [tool.name for tool in TOOLS if "Deprecated" in tool.about] == list(NEEDS)[:5]


def test_the_supplier_tools_say_when_they_are_to_be_preferred() -> None:
    """Ours: a model that has both sees which to take, and what only the other can do."""
    about = BY_NAME["list_all_finexio_suppliers"].about

    assert "Prefer the supplier tools to the counterparty tools" in about
    assert "which alone search by name" in about
    assert "name" not in schema_of("list_all_finexio_suppliers")["properties"]


# Declarations that contradict themselves -------------------------------------


class ById(Arguments):
    id: Id
    """Id."""


class Optional(Arguments):
    id: Annotated[str | None, "not required"] = None
    """Id."""


TRACE = Trace(
    records=lambda arguments: (f"thing:{arguments['id']}",),
    kept=lambda arguments: {"id": arguments["id"]},
    look="GET /things/{id}/",
    expected=lambda arguments: [arguments],
)
THINGS = Record(fields={"id": "Id"})
GOOD: Mapping[str, Any] = {
    "name": "get_thing",
    "title": "Get a thing",
    "about": "Get a thing.",
    "route": "GET /things/{id}/",
    "effect": Effect.READ,
    "arguments": ById,
    "record": THINGS,
    "source": "nowhere",
}


def test_a_declaration_that_agrees_with_itself_loads() -> None:
    """Ours: the route tells the method, the path and what goes into it."""
    tool = ToolSpec(**GOOD)

    assert (tool.method, tool.path, tool.path_names) == ("GET", "/things/{id}/", ("id",))


@pytest.mark.parametrize(
    ("slip", "told"),
    [
        ({"route": "/things/{id}/"}, "route"),
        ({"route": "FETCH /things/{id}/"}, "route"),
        ({"route": "GET things/{id}/"}, "route"),
        ({"route": "get /things/{id}/"}, "route"),
        ({"route": "GET /things/{id}/ "}, "route"),
        ({"route": "GET /things/{key}/"}, "key"),
        ({"route": "GET /boxes/{box_id}/things/{id}/"}, "box_id"),
        ({"arguments": Optional}, "id"),
        ({"arguments": Arguments}, "id"),
        ({"effect": Effect.WRITE}, "GET"),
        ({"effect": Effect.PAY}, "GET"),
        ({"route": "POST /things/{id}/"}, "POST"),
        ({"route": "DELETE /things/{id}/"}, "DELETE"),
        ({"moves_with": ("status",)}, "status"),
        ({"effect": Effect.WRITE, "route": "LEDGER /things/{id}"}, "LEDGER"),
        ({"effect": Effect.WRITE, "route": "FIND /things/{id}"}, "FIND"),
        ({"route": "FIND /things/{id}"}, "shape"),
        ({"shape": {}}, "shape"),
        ({"effect": Effect.WRITE, "route": "PATCH /things/{id}/"}, "trace"),
        ({"trace": TRACE}, "trace"),
        ({"trace": TRACE, "effect": Effect.PAY, "route": "POST /things/{id}/"}, "trace"),
    ],
)
def test_a_declaration_that_contradicts_itself_cannot_be_made(slip: dict[str, Any], told: str) -> None:
    """Ours: a slip fails at import and names the tool, long before a wrong call could leave."""
    with pytest.raises(ValueError, match="get_thing") as raised:
        ToolSpec(**{**GOOD, **slip})

    assert told in str(raised.value)


def test_a_change_that_says_how_it_is_traced_loads() -> None:
    """Ours: it cannot be declared without."""
    changes: dict[str, Any] = {"effect": Effect.WRITE, "route": "PATCH /things/{id}/", "trace": TRACE}

    assert ToolSpec(**{**GOOD, **changes}).trace is TRACE


@pytest.mark.parametrize("look", ["POST /things/{id}/", "/things/{id}/", "GET things"])
def test_what_became_of_a_change_is_asked_by_a_get(look: str) -> None:
    """Ours: a look never changes anything."""
    with pytest.raises(ValueError, match="look"):
        replace(TRACE, look=look)


@pytest.mark.parametrize("name", ["effect", "arguments", "record", "source", "about", "title"])
def test_a_declaration_says_everything_itself(name: str) -> None:
    """Ours: what a tool may do to the world has no default."""
    with pytest.raises(TypeError, match=name):
        ToolSpec(**{key: value for key, value in GOOD.items() if key != name})


@pytest.mark.parametrize("part", ["core", "only_if_true"])
def test_a_record_cannot_show_a_field_that_it_does_not_have(part: str) -> None:
    """Ours: a misspelt core field would be missing from every row."""
    names: dict[str, Any] = {part: ("id", "nmae")}

    with pytest.raises(ValueError, match="nmae"):
        Record(fields={"id": "Id"}, **names)


@every_tool
def test_a_declaration_and_its_record_cannot_be_changed(tool: ToolSpec) -> None:
    """Ours: the registry is shared by all calls."""
    with pytest.raises(AttributeError):
        tool.effect = Effect.READ  # type: ignore[misc]


@every_tool
def test_what_a_declaration_names_elsewhere_is_an_argument(tool: ToolSpec) -> None:
    """Ours: a body of rows is one of the arguments, and the look before or after uses no others."""
    names = set(tool.arguments.model_fields)
    routes = [route for route in (tool.after, tool.before.route if tool.before else None) if route]

    assert tool.body_rows is None or tool.body_rows in names
    for route in routes:
        assert route.startswith("GET /")
        assert set(re.findall(r"{(\w+)}", route)) <= names
    assert tool.listing is not Listing.PAGES or tool.paged
