"""Finexio's 39 operations: where they are, slash for slash, and what stands in front of them."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

from . import contacts, counterparties, drawdowns, history, invoices, legacy, payments, webhooks
from .call import Call, Caller
from .wire import API_PREFIX, Answer, Received, Refusal, html_answer, refusal_answer
from .world import World


@dataclass(frozen=True)
class Operation:
    method: str
    path: str
    act: Callable[[Call], Answer]

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", self.path))

    def values(self, path: str) -> dict[str, str] | None:
        found = self.pattern.fullmatch(path)
        return found.groupdict() if found else None


OPERATIONS = (
    # Deprecated since February 2025, all but the history.
    Operation("GET", "/counterparties/", legacy.list_counterparties),
    Operation("POST", "/counterparties/", legacy.create_counterparty),
    Operation("GET", "/counterparties/history", history.list_history),
    Operation("GET", "/counterparties/{id}/", legacy.get_counterparty),
    Operation("PUT", "/counterparties/{id}/", legacy.replace_counterparty),
    Operation("PATCH", "/counterparties/{id}/", legacy.patch_counterparty),
    Operation("GET", "/counterparties/suppliers", counterparties.list_suppliers),
    Operation("POST", "/counterparties/suppliers", counterparties.create_supplier),
    Operation("GET", "/counterparties/suppliers/{id}/", counterparties.get_supplier),
    Operation("PUT", "/counterparties/suppliers/{id}/", counterparties.replace_supplier),
    Operation("PATCH", "/counterparties/suppliers/{id}/", counterparties.patch_supplier),
    Operation("GET", "/counterparties/suppliers/{id}/contacts", contacts.list_contacts),
    Operation("POST", "/counterparties/suppliers/{id}/contacts", contacts.add_contacts),
    Operation("PUT", "/counterparties/suppliers/{id}/contacts/{external_reference_id}", contacts.replace_contact),
    Operation("DELETE", "/counterparties/suppliers/{id}/contacts/{external_reference_id}", contacts.delete_contact),
    Operation("GET", "/counterparties/buyers", counterparties.list_buyers),
    Operation("POST", "/counterparties/buyers", counterparties.create_buyer),
    Operation("GET", "/counterparties/buyers/{id}/", counterparties.get_buyer),
    Operation("PUT", "/counterparties/buyers/{id}/", counterparties.replace_buyer),
    Operation("PATCH", "/counterparties/buyers/{id}/", counterparties.patch_buyer),
    Operation("GET", "/counterparties/buyers/{id}/contacts", contacts.list_contacts),
    Operation("POST", "/counterparties/buyers/{id}/contacts", contacts.add_contacts),
    Operation("PUT", "/counterparties/buyers/{id}/contacts/{external_reference_id}", contacts.replace_contact),
    Operation("DELETE", "/counterparties/buyers/{id}/contacts/{external_reference_id}", contacts.delete_contact),
    Operation("GET", "/invoices/", invoices.list_invoices),
    Operation("POST", "/invoices/batch/", invoices.create_batch),
    Operation("GET", "/invoices/{key}/", invoices.get_invoice),
    Operation("GET", "/payments/", payments.list_payments),
    Operation("GET", "/payments/{key}/", payments.get_payment),
    Operation("GET", "/payments/{key}/images", payments.get_images),
    Operation("GET", "/webhooks/", webhooks.list_webhooks),
    Operation("POST", "/webhooks/", webhooks.create_webhook),
    Operation("GET", "/webhooks/{uuid}/", webhooks.get_webhook),
    Operation("PUT", "/webhooks/{uuid}/", webhooks.replace_webhook),
    Operation("PATCH", "/webhooks/{uuid}/", webhooks.patch_webhook),
    Operation("DELETE", "/webhooks/{uuid}/", webhooks.delete_webhook),
    Operation("GET", "/reconciliation/drawdown", drawdowns.list_drawdowns),
    Operation("GET", "/reconciliation/drawdown/{processor_request_id}", drawdowns.get_drawdown),
    Operation("GET", "/reconciliation/drawdown/{processor_request_id}/payments", drawdowns.list_funded_payments),
)

WRONG_CREDENTIALS = {"detail": "Invalid username/password."}
NO_CREDENTIALS = {"detail": "Authentication credentials were not provided."}


class Api:
    """Answers one request: the path first, then who asks, then the method, then the operation."""

    def __init__(self, world: World, username: str, password: str) -> None:
        self._world = world
        self._login = (username, password)

    def serves(self, request: Received) -> bool:
        return request.path.startswith(f"{API_PREFIX}/") or self._is_root_list(request)

    def answer(self, request: Received) -> Answer:
        try:
            return self._answer(request)
        except Refusal as refusal:
            return refusal_answer(refusal)

    def check_login(self, request: Received) -> str:
        """Wrong credentials are a 403 here, never a 401."""
        if request.credentials is None:
            raise Refusal(403, NO_CREDENTIALS)
        if request.credentials != self._login:
            raise Refusal(403, WRONG_CREDENTIALS)
        return request.credentials[0]

    def _answer(self, request: Received) -> Answer:
        path = self._api_path(request)
        found = list(_matching(path))
        if not found:
            return _off_the_map(request, path)
        caller = Caller(self.check_login(request), request.address)
        for operation, values in found:
            if operation.method == request.method:
                return operation.act(Call(self._world, request, values, caller))
        raise Refusal(405, {"detail": f'Method "{request.method}" not allowed.'})

    def _api_path(self, request: Received) -> str:
        root_list = self._world.quirks.webhook_list_at_root and request.method == "GET"
        if root_list and request.api_path == "/webhooks/":
            return "/webhooks/" if self._is_root_list(request) else ""
        return request.plain_path.removeprefix(API_PREFIX)

    def _is_root_list(self, request: Received) -> bool:
        return self._world.quirks.webhook_list_at_root and (request.method, request.path) == ("GET", "/webhooks/")


LITERAL_PATHS = frozenset(operation.path for operation in OPERATIONS if "{" not in operation.path)


def _matching(path: str) -> Iterator[tuple[Operation, dict[str, str]]]:
    """The operations at a path. A word that has a meaning of its own is never taken for an id.

    So `/counterparties/suppliers/` is the list of suppliers with a wrong slash, not a counterparty of that name.
    """
    if path not in LITERAL_PATHS and _other_slash(path) in LITERAL_PATHS:
        return
    for operation in OPERATIONS:
        values = operation.values(path)
        if values is not None and (path not in LITERAL_PATHS or operation.path == path):
            yield operation, values


def _other_slash(path: str) -> str:
    return path[:-1] if path.endswith("/") else f"{path}/"


def _off_the_map(request: Received, path: str) -> Answer:
    """A path that is wrong by its last slash redirects a read and breaks a write, as Django's middleware does."""
    other = _other_slash(path)
    if not any(operation.values(other) is not None for operation in OPERATIONS):
        return html_answer(404, "Not Found")
    if request.method == "GET":
        query = f"?{request.query_string}" if request.query_string else ""
        return Answer(301, b"", {"location": _other_slash(request.path) + query})
    return html_answer(404, "Not Found") if path.endswith("/") else html_answer(500, "Server Error (500)")


def not_an_operation() -> Answer:
    return html_answer(404, "Not Found")
