"""Contacts: bare arrays, one primary, found by their own reference alone."""

from typing import Any

import pytest

from finexio_mcp.simulator import Simulator

from .asking import client

PATH = "/counterparties/suppliers/s-1/contacts"
RAE = {"external_reference_id": "HP-AR", "name": "Rae Lund", "email": "rae@hp.example", "primary": True}


@pytest.fixture(autouse=True)
def _one_supplier(sim: Simulator) -> None:
    sim.add_supplier("s-1")


def owned(sim: Simulator) -> list[dict[str, Any]]:
    return sim.suppliers["s-1"]["contacts"]


async def test_creating_answers_with_every_contact_of_the_supplier(sim: Simulator) -> None:
    """Documented: the whole list, old contacts with null ids among it."""
    sim.add_contact("s-1", id=None, external_reference_id=None, name="Old Contact", primary=True)
    owned(sim)[0]["id"] = None
    async with client(sim) as api:
        answer = await api.post(PATH, json=[RAE, {"primary": False}])

    assert answer.status_code == 200
    old, rae, bare = answer.json()
    assert (old["name"], old["id"], old["primary"]) == ("Old Contact", None, False)
    assert rae["id"]
    assert rae["payment_notification"] is False
    assert (bare["name"], bare["external_reference_id"]) == (None, None)
    assert [effect.kind for effect in sim.journal.effects] == ["contact.created", "contact.created"]


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        (RAE, {"non_field_errors": ['Expected a list of items but got type "dict".']}),
        ([RAE, {"name": "x"}], [{}, {"primary": ["This field is required."]}]),
        ([RAE, RAE | {"primary": False}], [{}, {"external_reference_id": ["This field must be unique."]}]),
        (
            [RAE, {"primary": True}],
            {"non_field_errors": ["Only one contact can be set as primary."]},
        ),
        ([{"primary": True, "email": "x"}], [{"email": ["Enter a valid email address."]}]),
        (["Rae"], [{"non_field_errors": ["Invalid data. Expected a dictionary, but got str."]}]),
    ],
)
async def test_what_a_contact_may_not_be(sim: Simulator, body: Any, errors: Any) -> None:
    """Documented: an array, `primary` on each, one primary; containers of the messages are inferred."""
    async with client(sim) as api:
        answer = await api.post(PATH, json=body)

    assert (answer.status_code, answer.json()) == (400, errors)
    assert owned(sim) == []


@pytest.mark.parametrize("owner", ["suppliers/s-1", "buyers/b-1"])
@pytest.mark.parametrize(
    ("field", "refused", "taken"),
    [
        ("external_reference_id", "r" * 101, "r" * 100),
        ("external_reference_id", ["r"], "A [1] & é"),
        ("name", "n" * 41, "n" * 40),
        ("email", "rae", "rae@hp.example"),
        ("email", f"{'a' * 40}@hp.example", ""),
        ("email", "rae@hp.example, tom@hp.example", f"{'a' * 39}@hp.example"),
        ("phone", "1" * 18, "+1 (251) 555-0142"),
        ("primary", "perhaps", False),
        ("primary", None, True),
    ],
)
async def test_a_field_of_a_contact_has_the_same_bounds_on_every_write(
    sim: Simulator, owner: str, field: str, refused: Any, taken: Any
) -> None:
    """Documented: lengths, one address an email, `primary` on every write; brackets are forbidden elsewhere only."""
    sim.add_buyer("b-1")
    for owner_id in ("s-1", "b-1"):
        sim.add_contact(owner_id, external_reference_id="OLD")
    path = f"/counterparties/{owner}"
    for value, status, first in ((refused, 400, "A"), (taken, 200, "B")):
        row = {"primary": False, "external_reference_id": first, field: value}
        async with client(sim) as api:
            put = await api.put(f"{path}/contacts/OLD", json=row)
            patched = await api.patch(f"{path}/", json={"contacts": [row]})
            await api.patch(f"{path}/", json={"contacts": [{"primary": False, "external_reference_id": "OLD"}]})
            created = await api.post(f"{path}/contacts", json=[row])
        assert [answer.status_code for answer in (put, patched, created)] == [status] * 3, value
        assert status == 200 or set(put.json()) == {field}


async def test_two_contacts_of_one_owner_may_not_share_a_reference(sim: Simulator) -> None:
    """Documented: unique. In whose scope is unknown; here it is the owner's, however the contacts arrive."""
    rows = [{"primary": False, "external_reference_id": "A"}, {"primary": False, "external_reference_id": "A"}]
    async with client(sim) as api:
        added = await api.post(PATH, json=rows)
        patched = await api.patch("/counterparties/suppliers/s-1/", json={"contacts": rows})
        nameless = await api.patch("/counterparties/suppliers/s-1/", json={"contacts": [{"primary": False}] * 2})

    problem = [{}, {"external_reference_id": ["This field must be unique."]}]
    assert (added.status_code, added.json()) == (400, problem)
    assert (patched.status_code, patched.json()) == (400, {"contacts": problem})
    assert nameless.status_code == 200


async def test_a_contact_may_be_created_without_an_id(sim: Simulator) -> None:
    """Documented of old contacts; the switch makes new ones so."""
    sim.quirks.created_contact_ids_null = True
    async with client(sim) as api:
        answer = await api.post(PATH, json=[RAE])

    assert answer.json()[0]["id"] is None


async def test_put_empties_what_is_left_out_and_keeps_the_reference(sim: Simulator) -> None:
    """Documented: `email` left out came back null, the reference was kept."""
    sim.add_contact("s-1", primary=True)
    sim.add_contact("s-1", **(RAE | {"primary": False}))
    async with client(sim) as api:
        answer = await api.put(f"{PATH}/HP-AR", json={"name": "Rae", "primary": True})

    body = answer.json()
    assert (body["name"], body["email"], body["external_reference_id"]) == ("Rae", None, "HP-AR")
    assert [contact["primary"] for contact in owned(sim)] == [False, True]


async def test_put_refuses_a_reference_that_another_contact_has(sim: Simulator) -> None:
    """Documented: unique. In whose scope is unknown; here it is the owner's."""
    sim.add_contact("s-1", external_reference_id="A")
    sim.add_contact("s-1", external_reference_id="B")
    async with client(sim) as api:
        taken = await api.put(f"{PATH}/A", json={"external_reference_id": "B", "primary": False})
        free = await api.put(f"{PATH}/A", json={"external_reference_id": "C", "primary": False})
        incomplete = await api.put(f"{PATH}/C", json={"name": "x"})

    assert (taken.status_code, free.status_code, incomplete.status_code) == (400, 200, 400)


async def test_delete_answers_true(sim: Simulator) -> None:
    """Documented: 200 and JSON true."""
    sim.add_contact("s-1", **RAE)
    async with client(sim) as api:
        answer = await api.delete(f"{PATH}/HP-AR")
        again = await api.delete(f"{PATH}/HP-AR")

    assert (answer.status_code, answer.json(), owned(sim)) == (200, True, [])
    assert again.status_code == 404


async def test_a_contact_is_not_found_by_its_id(sim: Simulator) -> None:
    """Documented: the reference is the only path key."""
    contact = sim.add_contact("s-1", external_reference_id=None)
    async with client(sim) as api:
        answer = await api.delete(f"{PATH}/{contact['id']}")

    assert answer.status_code == 404
    assert len(owned(sim)) == 1


async def test_a_reference_with_odd_characters_is_found_when_encoded(sim: Simulator) -> None:
    """Documented: caller-chosen text, percent-encoded in the path."""
    sim.add_contact("s-1", external_reference_id="AR & más #1?")
    async with client(sim) as api:
        answer = await api.delete(f"{PATH}/AR%20%26%20m%C3%A1s%20%231%3F")

    assert answer.json() is True


async def test_buyer_contacts_have_flags_of_their_own(sim: Simulator) -> None:
    """Documented: funding and refund notifications instead of payment ones."""
    sim.add_buyer("b-1")
    path = "/counterparties/buyers/b-1/contacts"
    async with client(sim) as api:
        created = (await api.post(path, json=[{"external_reference_id": "CFO", "primary": True}])).json()
        changed = (await api.put(f"{path}/CFO", json={"primary": False, "refund_notification": True})).json()
        deleted = (await api.delete(f"{path}/CFO")).json()

    assert (created[0]["funding_notification"], changed["refund_notification"], deleted) == (False, True, True)
    assert "payment_notification" not in created[0]


@pytest.mark.parametrize("owner", ["suppliers/b-1", "buyers/s-1", "suppliers/nobody"])
async def test_contacts_of_nobody_are_a_404(sim: Simulator, owner: str) -> None:
    """Ours: a buyer is not found among suppliers."""
    sim.add_buyer("b-1")
    async with client(sim) as api:
        answer = await api.get(f"/counterparties/{owner}/contacts")

    assert answer.status_code == 404
