"""Who may ask, where things are, and in which encoding."""

import httpx2
import pytest

from finexio_mcp.simulator import OPERATIONS, Simulator

from .asking import client, invoice, legacy_supplier

PATHS = [operation.path for operation in OPERATIONS]


def test_there_are_39_operations() -> None:
    """Documented: the vendor's description lists 39."""
    assert len({(operation.method, operation.path) for operation in OPERATIONS}) == 39


async def test_wrong_credentials_are_a_403_with_a_known_text(sim: Simulator) -> None:
    """Documented: bad credentials answer 403, not 401."""
    async with client(sim, password="wrong") as api:
        answer = await api.get("/payments/")

    assert (answer.status_code, answer.json()) == (403, {"detail": "Invalid username/password."})
    assert sim.journal.requests[0].user == "demo"


async def test_missing_credentials_are_a_403_as_well(sim: Simulator) -> None:
    """Documented as failing; the body is our reading of the framework."""
    async with httpx2.AsyncClient(transport=sim.transport(), base_url=sim.base_url) as api:
        answer = await api.get("/payments/")

    assert answer.status_code == 403
    assert "credentials were not provided" in answer.json()["detail"]


@pytest.mark.parametrize("header", ["Basic !!!", "Basic YWJj", "Bearer abc", "Basic"])
async def test_garbled_credentials_let_nobody_in(sim: Simulator, header: str) -> None:
    """Ours: a header that cannot be read is a refusal, never a crash."""
    async with httpx2.AsyncClient(transport=sim.transport(), base_url=sim.base_url) as api:
        answer = await api.get("/payments/", headers={"Authorization": header})

    assert answer.status_code == 403


@pytest.mark.parametrize("path", sorted({path for path in PATHS if "{" not in path}))
async def test_a_wrong_slash_redirects_a_read_and_breaks_a_write(sim: Simulator, path: str) -> None:
    """Documented: trailing slashes are exact; what a Django host does about wrong ones is inferred."""
    wrong = path[:-1] if path.endswith("/") else f"{path}/"
    async with client(sim) as api:
        read = await api.get(f"{wrong}?page=1")
        write = await api.post(wrong, json={})

    assert (read.status_code, read.headers["location"]) == (301, f"/v2{path}?page=1")
    assert write.status_code in (404, 500)
    assert sim.journal.effects == []


async def test_a_batch_without_its_slash_creates_nothing(sim: Simulator) -> None:
    """Ours: the most expensive slash of all."""
    async with client(sim) as api:
        answer = await api.post("/invoices/batch", json=[invoice(sim)])

    assert answer.status_code == 500
    assert sim.invoices == {}


@pytest.mark.parametrize(
    ("method", "path"),
    [("DELETE", "/counterparties/"), ("PATCH", "/invoices/x/"), ("POST", "/payments/"), ("GET", "/invoices/batch/")],
)
async def test_a_method_that_does_not_exist_is_a_405(sim: Simulator, method: str, path: str) -> None:
    """Inferred: nothing is documented; the framework answers so."""
    async with client(sim) as api:
        answer = await api.request(method, path)

    assert answer.status_code == 405
    assert method in answer.json()["detail"]


async def test_an_unknown_path_is_a_page_not_json(sim: Simulator) -> None:
    """Inferred: a Django host answers unknown addresses with HTML."""
    async with client(sim) as api:
        answer = await api.get("/suppliers/")

    assert (answer.status_code, answer.headers["content-type"][:9]) == (404, "text/html")


@pytest.mark.parametrize("encoding", ["form", "multipart"])
async def test_writes_take_forms_too(sim: Simulator, encoding: str) -> None:
    """Documented: JSON, urlencoded and multipart on every write."""
    body = legacy_supplier(payment_terms="45", ineligible_for_conversion="true")
    async with client(sim) as api:
        if encoding == "form":
            answer = await api.post("/counterparties/", data=body)
        else:
            answer = await api.post("/counterparties/", files={name: (None, value) for name, value in body.items()})

    assert answer.status_code == 201
    assert (answer.json()["payment_terms"], answer.json()["ineligible_for_conversion"]) == (45, True)


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [("application/json", b"{", 400), ("text/plain", b"x", 415), ("application/json", b"[1]", 400)],
)
async def test_an_unreadable_body_is_refused(sim: Simulator, content_type: str, body: bytes, status: int) -> None:
    """Inferred: parse errors and media types as the framework reports them."""
    async with client(sim) as api:
        answer = await api.post("/counterparties/", content=body, headers={"content-type": content_type})

    assert answer.status_code == status
    assert sim.suppliers == {}


async def test_unknown_keys_vanish_without_a_word(sim: Simulator) -> None:
    """Documented: the vendor's own samples misspell keys, and the values are gone."""
    async with client(sim) as api:
        answer = await api.post("/counterparties/", json=legacy_supplier(contact_name="Rae"))
        listed = await api.get("/payments/", params={"no_such_filter": "x"})

    assert answer.status_code == 201
    assert "contact_name" not in answer.json()
    assert listed.status_code == 200


async def test_the_journal_keeps_each_request_as_it_arrived(sim: Simulator) -> None:
    """Ours: raw path, ordered query, lower-case headers, no password."""
    async with client(sim) as api:
        await api.get("/counterparties/suppliers/a%20b/contacts?page=1&x=%26&page=2")
        await api.post("/webhooks/", json={"event": "payment.changed"})

    read, write = sim.journal.requests
    assert (read.method, read.path) == ("GET", "/v2/counterparties/suppliers/a%20b/contacts")
    assert read.query == (("page", "1"), ("x", "&"), ("page", "2"))
    assert (read.status, read.user, read.headers["authorization"]) == (404, "demo", "demo")
    assert (write.body, write.body_bytes) == ({"event": "payment.changed"}, b'{"event":"payment.changed"}')
    assert [record.index for record in sim.journal.requests] == [0, 1]


async def test_an_encoded_slash_separates_like_any_other(sim: Simulator) -> None:
    """Inferred: Django routes on the decoded path, so such a reference cannot be addressed."""
    supplier_id = sim.add_supplier()["id"]
    sim.add_contact(supplier_id, external_reference_id="a/b")
    async with client(sim) as api:
        answer = await api.delete(f"/counterparties/suppliers/{supplier_id}/contacts/a%2Fb")

    assert answer.status_code == 404
    assert len(sim.suppliers[supplier_id]["contacts"]) == 1
