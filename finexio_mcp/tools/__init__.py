"""The registry: every tool there is, in the order of `tools/list`. Toolsets are off unless they are asked for."""

from __future__ import annotations

from finexio_mcp.tools.buyer_contacts import (
    CREATE_BUYER_CONTACTS,
    DELETE_BUYER_CONTACT,
    LIST_BUYER_CONTACTS,
    UPDATE_BUYER_CONTACT,
)
from finexio_mcp.tools.buyers import CREATE_BUYER, GET_BUYER, LIST_BUYERS, PATCH_BUYER, REPLACE_BUYER
from finexio_mcp.tools.chatgpt import FETCH, SEARCH
from finexio_mcp.tools.contacts import CREATE_CONTACTS, DELETE_CONTACT, LIST_CONTACTS, UPDATE_CONTACT
from finexio_mcp.tools.counterparties import (
    CREATE_COUNTERPARTY,
    GET_COUNTERPARTY,
    LIST_COUNTERPARTIES,
    LIST_HISTORY,
    PATCH_COUNTERPARTY,
    REPLACE_COUNTERPARTY,
)
from finexio_mcp.tools.drawdowns import GET_DRAWDOWN, LIST_DRAWDOWN_PAYMENTS, LIST_DRAWDOWNS
from finexio_mcp.tools.invoices import CREATE_INVOICES, GET_INVOICE, LIST_INVOICES
from finexio_mcp.tools.ledger import FIND_SUBMISSIONS, GET_SUBMISSION
from finexio_mcp.tools.payments import GET_IMAGE, GET_PAYMENT, LIST_IMAGES, LIST_PAYMENTS
from finexio_mcp.tools.spec import ToolSpec
from finexio_mcp.tools.suppliers import (
    CREATE_SUPPLIER,
    GET_SUPPLIER,
    LIST_SUPPLIERS,
    PATCH_SUPPLIER,
    REPLACE_SUPPLIER,
)
from finexio_mcp.tools.webhooks import (
    CREATE_WEBHOOK,
    DELETE_WEBHOOK,
    GET_WEBHOOK,
    LIST_WEBHOOKS,
    PATCH_WEBHOOK,
    REPLACE_WEBHOOK,
)

TOOLS: tuple[ToolSpec, ...] = (
    LIST_COUNTERPARTIES,
    CREATE_COUNTERPARTY,
    GET_COUNTERPARTY,
    REPLACE_COUNTERPARTY,
    PATCH_COUNTERPARTY,
    CREATE_INVOICES,
    LIST_INVOICES,
    GET_INVOICE,
    GET_IMAGE,
    LIST_IMAGES,
    GET_PAYMENT,
    LIST_PAYMENTS,
    GET_DRAWDOWN,
    LIST_DRAWDOWNS,
    CREATE_CONTACTS,
    DELETE_CONTACT,
    LIST_CONTACTS,
    UPDATE_CONTACT,
    CREATE_WEBHOOK,
    DELETE_WEBHOOK,
    GET_WEBHOOK,
    LIST_WEBHOOKS,
    REPLACE_WEBHOOK,
    PATCH_WEBHOOK,
    LIST_HISTORY,
    LIST_DRAWDOWN_PAYMENTS,
    LIST_SUPPLIERS,
    CREATE_SUPPLIER,
    GET_SUPPLIER,
    REPLACE_SUPPLIER,
    PATCH_SUPPLIER,
    LIST_BUYERS,
    CREATE_BUYER,
    GET_BUYER,
    REPLACE_BUYER,
    PATCH_BUYER,
    CREATE_BUYER_CONTACTS,
    LIST_BUYER_CONTACTS,
    UPDATE_BUYER_CONTACT,
    DELETE_BUYER_CONTACT,
    FIND_SUBMISSIONS,
    GET_SUBMISSION,
    SEARCH,
    FETCH,
)

CORE: tuple[ToolSpec, ...] = tuple(tool for tool in TOOLS if tool.toolset == "core")
"""The 26 that are offered unless the operator says otherwise."""

BY_NAME: dict[str, ToolSpec] = {tool.name: tool for tool in TOOLS}
