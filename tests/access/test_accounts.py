"""Whose Finexio account a token is for: as it was granted, as an issuer says, and for releases that know of none."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection, event, text
from sqlalchemy import Engine as Database

from finexio_mcp.access.database import open_writer
from finexio_mcp.access.grants import NameTaken, Terms
from finexio_mcp.access.looking import Looking
from finexio_mcp.access.secrets import parse
from finexio_mcp.access.verifier import InvalidToken, NoScope, Reason, Verifier
from finexio_mcp.settings import load
from tests.access.conftest import CLIENT, HOUR_MS, READ, START_MS, World, asked
from tests.guards.ledger.conftest import new_schema

from .issuing import BASE_URL, NOW, claims, token
from .issuing import world as issuing_world

ACME = Terms(access="write", account="acme")
CLAIM = "https://example.com/account"

# Word for word the questions of the release before there were accounts.
EARLIER_FIND = """
SELECT access_secrets.digest, access_grants.id, access_grants.name
FROM access_secrets JOIN access_grants ON access_grants.id = access_secrets.grant_id
WHERE access_grants.scope = :scope AND access_secrets.id = :secret_id
"""
EARLIER_LIST = "SELECT id FROM access_grants WHERE access_grants.scope = :scope"
EARLIER_GRANT = """
INSERT INTO access_grants (id, scope, kind, name, access, created_at_ms)
VALUES ('earlier', :scope, 'token', 'from before', 'read', 1)
"""


def ask(world: World, statement: str, **more: Any) -> list[Any]:
    """What another release asks this database."""
    place = world.place
    engine = open_writer(place, world.settings)
    try:
        with engine.begin() as connection:
            result = connection.execute(text(statement), {"scope": place.scope, **more})
            return list(result) if result.returns_rows else []
    finally:
        engine.dispose()


async def test_a_token_is_for_the_account_that_it_was_made_for(world: World) -> None:
    """Ours: in the token, in the list, and in what is revoked; where none is named, the default one."""
    async with world.book() as book:
        for_acme, acme = await book.create("acme reports", ACME, expires_at_ms=None)
        for_default, default = await book.create("reports", READ, expires_at_ms=None)
        found = [await book.find(each) for each in (acme, default)]
        # What is noted behind their backs would show.
        found = [replace(grant, last_used_at_ms=None) for grant in found if grant is not None]
        listed = {grant.name: grant.account for grant in await book.grants()}
        revoked = await book.revoke("acme reports")

        assert found == [for_acme, for_default]
        assert [grant.account for grant in (for_acme, for_default)] == ["acme", "default"]
        assert listed == {"acme reports": "acme", "reports": "default"}
        assert revoked is not None
        assert revoked.account == "acme"
        assert [await book.find(each) is not None for each in (acme, default)] == [False, True]


async def test_a_sign_in_is_for_the_account_that_its_invitation_was_for(world: World) -> None:
    """Ours: through the code, the tokens, and those that follow them."""
    async with world.book() as book:
        _, invitation = await book.invite("chatgpt", ACME, valid_ms=HOUR_MS, grant_expires_at_ms=None)
        invited = await book.invited(invitation)
        code = await book.accept(invitation, asked())
        assert code is not None
        pair = await book.exchange_code(code, CLIENT)
        assert pair is not None
        again = await book.exchange_refresh(pair.refresh_text, CLIENT, "write")
        assert again is not None
        refreshable = await book.refresh(again.refresh_text)
        found = [await book.find(each.access_text) for each in (pair, again)]

    assert refreshable is not None
    grants = [invited, pair.grant, again.grant, refreshable[0], *found]
    assert [grant and grant.account for grant in grants] == ["acme"] * len(grants)


async def test_no_two_that_last_share_a_name_whatever_their_accounts(world: World) -> None:
    """Ours: who revokes by name means one."""
    async with world.book() as book:
        await book.create("reports", ACME, expires_at_ms=None)
        for terms in (ACME, READ, Terms(access="read", account="other")):
            with pytest.raises(NameTaken):
                await book.create("Reports", terms, expires_at_ms=None)


async def test_a_release_without_accounts_lets_nobody_in_who_was_meant_for_one(world: World) -> None:
    """Ours: it would act for the one account that it has. During an upgrade both run, on connections that are open."""
    async with world.book() as book:
        _, acme = await book.create("acme reports", ACME, expires_at_ms=None)
        default, reports = await book.create("reports", READ, expires_at_ms=None)

    seen: list[list[Any]] = []
    for each in (acme, reports):
        parsed = parse(each)
        assert parsed is not None
        seen.append(ask(world, EARLIER_FIND, secret_id=parsed[0]))
    assert [len(rows) for rows in seen] == [0, 1]
    assert ask(world, EARLIER_LIST) == [(default.id,)]


async def test_what_a_release_without_accounts_granted_is_for_the_default_account(world: World) -> None:
    """Ours: it may go on granting while others are upgraded already; nothing has to be converted."""
    async with world.book() as book:
        await book.create("reports", ACME, expires_at_ms=None)
        ask(world, EARLIER_GRANT)

        assert {grant.name: grant.account for grant in await book.grants()} == {
            "from before": "default",
            "reports": "acme",
        }
        assert await book.revoke("from before") is not None


async def test_all_that_lasts_can_be_revoked_at_once(world: World) -> None:
    """Ours: for a machine that was broken into; and for one account alone."""
    async with world.book() as book:
        _, over = await book.create("over", ACME, expires_at_ms=START_MS)
        texts = [
            (await book.create(name, terms, expires_at_ms=None))[1]
            for name, terms in (("a", ACME), ("b", ACME), ("c", READ))
        ]
        _, invitation = await book.invite("d", ACME, valid_ms=HOUR_MS, grant_expires_at_ms=None)
        await book.create("gone", ACME, expires_at_ms=None)
        await book.revoke("gone")

        assert await book.revoke_all("other") == 0
        assert await book.revoke_all("acme") == 3
        assert [await book.find(each) is not None for each in (over, *texts)] == [False, False, False, True]
        assert await book.invited(invitation) is None
        assert await book.revoke_all() == 1
        assert await book.find(texts[2]) is None
        assert await book.revoke_all() == 0
        assert {grant.name: grant.state(START_MS) for grant in await book.grants()} == {
            "over": "expired",
            **dict.fromkeys(("a", "b", "c", "d", "gone"), "revoked"),
        }


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_another_finexio_in_the_same_database_is_left_alone(
    kind: str, request: pytest.FixtureRequest, tmp_path: Any
) -> None:
    """Ours: nothing is seen, and nothing revoked, that is for another address of the API."""
    url = f"sqlite:///{tmp_path}/ledger/ledger.db"
    if kind == "postgresql":
        url = new_schema(request.getfixturevalue("postgresql"))
    shared = {"FINEXIO_MCP_LEDGER_URL": url, "FINEXIO_MCP_STATE_KEY": "k" * 32, "FINEXIO_MCP_ALLOW_VOLATILE_LEDGER": 1}
    # One address begins as the other does, and holds what LIKE would take for anything.
    one, other = (World(load(FINEXIO_BASE_URL=f"https://api.example.test/v_{end}", **shared)) for end in ("", "2/v2"))
    async with one.book() as mine, other.book() as theirs:
        _, text_ = await mine.create("reports", ACME, expires_at_ms=None)
        assert await theirs.find(text_) is None
        assert await theirs.grants() == []
        assert (await theirs.revoke_all(), await theirs.revoke_all("acme")) == (0, 0)
        await theirs.create("reports", ACME, expires_at_ms=None)
        assert [len(await book.grants()) for book in (mine, theirs)] == [1, 1]
        assert await theirs.revoke_all() == 1
        assert await mine.find(text_) is not None


async def test_to_be_ready_no_grant_is_read(world: World) -> None:
    """Ours: probes come every second, and grants may be many."""
    async with world.book() as book:
        await book.check()
        assert world.files == []
        await book.create("reports", READ, expires_at_ms=None)
    asked_: list[str] = []

    def note(_1: Connection, _2: Any, statement: str, *_: Any) -> None:
        asked_.append(statement)

    with closing(Looking(world.place)) as looking:
        looking.check()
        event.listen(Database, "before_cursor_execute", note)
        try:
            looking.check()
        finally:
            event.remove(Database, "before_cursor_execute", note)
    assert len(asked_) == 1
    assert "access_about" in asked_[0]


# Callers ---------------------------------------------------------------------------


async def test_a_caller_is_for_the_account_of_the_token(in_file: World) -> None:
    """Ours."""
    async with in_file.book() as book:
        verifier = Verifier(in_file.settings, book, base_url=BASE_URL, now=lambda: in_file.ms / 1000)
        callers = [
            await verifier.verify((await book.create(name, terms, expires_at_ms=None))[1])
            for name, terms in (("a", ACME), ("b", READ))
        ]

    assert [caller.account for caller in callers] == ["acme", "default"]


@pytest.mark.parametrize("opaque", [False, True])
async def test_the_claim_names_the_account(opaque: bool) -> None:
    """Ours: for signed tokens and for those that the issuer is asked about; one subject is a caller at each account."""
    tried = issuing_world(FINEXIO_MCP_OAUTH_ACCOUNT_CLAIM=CLAIM)
    found: list[Any] = []
    for account in ("acme", "default", "0", "a" * 40):
        said = claims(**{CLAIM: account})
        tried.issuer.active[account] = {"active": True, **said}
        found.append(await tried.verifier.verify(account if opaque else token(payload=said)))

    assert [caller.account for caller in found] == ["acme", "default", "0", "a" * 40]
    assert len({caller.key for caller in found}) == len(found)
    # Who turns accounts on keeps what it knows of callers by their keys.
    assert (await issuing_world().verifier.verify(token())).key == found[1].key


WRONG: tuple[Any, ...] = (
    ...,
    None,
    "",
    "Acme",
    "a" * 41,
    "-a",
    "a b",
    "acme\n",
    "../a",
    "a#b",
    "á",
    1,
    True,
    [],
    ["acme"],
    {},
)


@pytest.mark.parametrize("opaque", [False, True])
@pytest.mark.parametrize("account", WRONG, ids=repr)
async def test_a_token_that_does_not_name_the_account_is_refused(account: Any, opaque: bool) -> None:
    """Ours: what it meant is not guessed, least of all the default; and what it said is not repeated."""
    tried = issuing_world(FINEXIO_MCP_OAUTH_ACCOUNT_CLAIM=CLAIM)
    said = claims(**{CLAIM: account})
    tried.issuer.active["opaque"] = {"active": True, **said}

    for _ in range(2):
        with pytest.raises(InvalidToken) as refused:
            await tried.verifier.verify("opaque" if opaque else token(payload=said))
        assert refused.value.reason is Reason.ACCOUNT


async def test_without_the_setting_a_claim_names_nothing() -> None:
    """Ours: an issuer that says more than it is asked chooses no account."""
    caller = await issuing_world().verifier.verify(token(payload=claims(account="acme", **{CLAIM: "acme"})))

    assert caller.account == "default"


async def test_the_account_is_looked_at_before_scopes() -> None:
    """Ours: more scope would not help such a token, so nobody is told to ask for it."""
    tried = issuing_world(FINEXIO_MCP_OAUTH_ACCOUNT_CLAIM=CLAIM)

    with pytest.raises(InvalidToken):
        await tried.verifier.verify(token(payload=claims(scope="openid")))
    with pytest.raises(NoScope):
        await tried.verifier.verify(token(payload=claims(scope="openid", exp=NOW + 60, **{CLAIM: "acme"})))
