"""The transactions that change grants: each changes all that it says, or nothing."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Final

from sqlalchemy import Connection, Engine, bindparam, delete, exists, func, insert, or_, select, update

from finexio_mcp.access import rows, secrets
from finexio_mcp.access.grants import Code, Found, Grant, GrantKind, NameTaken, Pair, SecretKind, Terms, TooManyClients
from finexio_mcp.access.schema import ABOUT, CLIENTS, GRANTS, SECRETS
from finexio_mcp.access.scopes import lesser
from finexio_mcp.guards.ledger.trouble import Unusable
from finexio_mcp.settings import Access

ACCESS_TOKEN_MS: Final = 60 * 60 * 1000
REFRESH_TOKEN_MS: Final = 30 * 24 * 60 * 60 * 1000
"""How long a sign-in outlasts its last use, at most; the grant's own end comes first."""
AGAIN_MS: Final = 10_000
"""How long a refresh token still counts after its first use."""
KEPT_MS: Final = 24 * 60 * 60 * 1000
"""How long a secret is kept after its end, so that its use is still told from a guess."""
MAX_CLIENTS: Final = 4000
"""More than can register while one sign-in lasts, so that a flood of them does not drive out who is signing in."""

logger = logging.getLogger("finexio_mcp.access")

_G: Final = GRANTS.c
_S: Final = SECRETS.c
_IS_USED: Final = exists().where(
    _G.client_id == CLIENTS.c.id,
    _G.revoked_at_ms.is_(None),
    or_(_G.expires_at_ms.is_(None), _G.expires_at_ms > bindparam("now_ms")),
)


class Store:
    """Grants, as one process changes them.

    Args:
        engine: From `open_writer`.
        scope: Origin and base path of the API that they are for. Grants for others are not seen.
        now: Milliseconds since 1970.
    """

    def __init__(self, engine: Engine, *, scope: str, now: Callable[[], int]) -> None:
        self._engine = engine
        self._scope = scope
        self._now = now

    def close(self) -> None:
        """Let go of connections."""
        self._engine.dispose()

    # By an operator ------------------------------------------------------------

    def create(self, name: str, terms: Terms, *, expires_at_ms: int | None) -> tuple[Grant, str]:
        """A token of ours; its grant bears the same id.

        Raises:
            NameTaken: So does `invite`.
        """
        minted = secrets.mint("token")
        with self._writing() as (connection, now_ms):
            grant = _new_grant(minted.id, "token", name, terms, created_at_ms=now_ms, expires_at_ms=expires_at_ms)
            _add_grant(connection, self._scope, grant, lasts_until_ms=expires_at_ms)
            _keep(connection, grant, minted, "token", expires_at_ms=expires_at_ms)
        return grant, minted.text

    def invite(self, name: str, terms: Terms, *, valid_ms: int, grant_expires_at_ms: int | None) -> tuple[Grant, str]:
        """A grant that waits for somebody who has its code."""
        minted = secrets.mint("invitation")
        with self._writing() as (connection, now_ms):
            until_ms = _sooner(now_ms + valid_ms, grant_expires_at_ms)
            grant = _new_grant(secrets.new_id(), "oauth", name, terms, created_at_ms=now_ms, expires_at_ms=until_ms)
            _add_grant(connection, self._scope, grant, lasts_until_ms=grant_expires_at_ms)
            _keep(connection, grant, minted, "invitation", expires_at_ms=until_ms)
        return grant, minted.text

    def revoke(self, name_or_id: str) -> Grant | None:
        """End a grant, and all its secrets with it."""
        with self._writing() as (connection, now_ms):
            grant = rows.chosen(connection, self._scope, name_or_id, now_ms)
            if grant is None:
                return None
            _revoke(connection, grant.id, now_ms)
        return replace(grant, revoked_at_ms=now_ms)

    def revoke_all(self, account: str | None) -> int:
        """End every grant that lasts, for this account or for all of them; how many."""
        with self._writing() as (connection, now_ms):
            lasts = or_(_G.expires_at_ms.is_(None), _G.expires_at_ms > now_ms)
            which = rows.IN_SCOPE if account is None else _G.scope == rows.scope_of(self._scope, account)
            ending = update(GRANTS).where(which, _G.revoked_at_ms.is_(None), lasts).values(revoked_at_ms=now_ms)
            return connection.execute(ending, rows.within(self._scope) if account is None else {}).rowcount

    # By the issuer -------------------------------------------------------------

    def accept(
        self, invitation_id: str, digest: str, code: Code, *, chosen: secrets.Minted | None = None
    ) -> str | None:
        """Use an invitation up for an authorization code: for this one, if it was chosen."""
        with self._writing() as (connection, now_ms):
            found = _locked(connection, self._scope, invitation_id, digest, "invitation")
            if found is None or found.used_at_ms is not None or found.is_over(now_ms):
                return None
            _use_up(connection, found, now_ms)
            until_ms = _sooner(code.expires_at_ms, _lasts_until(connection, found.grant))
            access = lesser(found.grant.access, code.access)
            grant = replace(
                found.grant, access=access, client_id=code.client_id, resource=code.resource, expires_at_ms=until_ms
            )
            _change(connection, grant)
            minted = chosen or secrets.mint("code")
            agreed = replace(code, access=access, grant_id=grant.id, expires_at_ms=until_ms)
            _keep(connection, grant, minted, "code", expires_at_ms=until_ms, details=json.dumps(asdict(agreed)))
        return minted.text

    def exchange_code(self, code_id: str, digest: str, client_id: str) -> Pair | None:
        """Use an authorization code up. One that was used already was seen by others: all ends that came of it."""
        with self._writing() as (connection, now_ms):
            found = _usable_once(connection, self._scope, code_id, digest, "code", client_id, now_ms)
            if found is None:
                return None
            grant = replace(found.grant, expires_at_ms=_lasts_until(connection, found.grant))
            _change(connection, grant)
            return _pair(connection, grant, grant.access, now_ms)

    def exchange_refresh(self, token_id: str, digest: str, client_id: str, access: Access) -> Pair | None:
        """Use a refresh token up. One that was used already is in two hands: all ends that came of it.

        For a moment after the first use it counts once more, since clients refresh twice at once, and answers get lost.
        """
        with self._writing() as (connection, now_ms):
            found = _usable_once(
                connection, self._scope, token_id, digest, "refresh", client_id, now_ms, again_ms=AGAIN_MS
            )
            if found is None:
                return None
            return _pair(connection, found.grant, lesser(found.grant.access, access), now_ms)

    def save_client(self, client_id: str, metadata_json: str) -> None:
        """Remember a client. When there are too many, those go that nobody let in, the oldest first.

        Raises:
            TooManyClients: All are in use.
        """
        with self._writing() as (connection, now_ms):
            known = CLIENTS.c.id == client_id
            if connection.execute(update(CLIENTS).where(known).values(metadata=metadata_json)).rowcount:
                return
            count = connection.execute(select(func.count()).select_from(CLIENTS)).scalar_one()
            if count >= MAX_CLIENTS:
                # By the index alone, which has the first at hand: strangers cause this, and payments wait for the lock.
                oldest = select(CLIENTS.c.id).where(~_IS_USED).order_by(CLIENTS.c.saved_at_ms)
                leaving = delete(CLIENTS).where(CLIENTS.c.id.in_(oldest.limit(count - MAX_CLIENTS + 1)))
                count -= connection.execute(leaving, {"now_ms": now_ms}).rowcount
            if count >= MAX_CLIENTS:
                raise TooManyClients
            connection.execute(insert(CLIENTS).values(id=client_id, metadata=metadata_json, saved_at_ms=now_ms))

    # By the way ----------------------------------------------------------------

    def record_uses(self, uses: Mapping[str, int]) -> None:
        """Note when grants were used last, by their ids."""
        later = or_(_G.last_used_at_ms.is_(None), _G.last_used_at_ms < bindparam("b_ms"))
        noted = update(GRANTS).where(_G.id == bindparam("b_id"), later).values(last_used_at_ms=bindparam("b_ms"))
        with self._engine.begin() as connection:
            connection.execute(noted, [{"b_id": grant_id, "b_ms": ms} for grant_id, ms in sorted(uses.items())])

    @contextmanager
    def _writing(self) -> Generator[tuple[Connection, int]]:
        """A transaction, and its time. They go one after the other."""
        with self._engine.begin() as connection:
            if connection.execute(select(ABOUT.c.version).with_for_update()).one_or_none() is None:
                raise Unusable("damaged")
            # After the lock: before it, any time may pass.
            yield connection, self._now()


# Parts -----------------------------------------------------------------------------


def _new_grant(
    id_: str, kind: GrantKind, name: str, terms: Terms, *, created_at_ms: int, expires_at_ms: int | None
) -> Grant:
    return Grant(
        id=id_,
        kind=kind,
        name=name,
        access=terms.access,
        toolsets=terms.toolsets,
        tools=terms.tools,
        client_id=None,
        resource=None,
        created_at_ms=created_at_ms,
        expires_at_ms=expires_at_ms,
        account=terms.account,
    )


def _add_grant(connection: Connection, scope: str, grant: Grant, *, lasts_until_ms: int | None) -> None:
    known = rows.grants(connection, scope)
    if rows.in_use(known, grant.name, grant.created_at_ms) or grant.name in {each.id for each in known}:
        raise NameTaken
    values = {**vars(grant), "toolsets": rows.joined(grant.toolsets), "tools": rows.joined(grant.tools)}
    values |= {"scope": rows.scope_of(scope, grant.account), "lasts_until_ms": lasts_until_ms}
    del values["account"]
    connection.execute(insert(GRANTS).values(**values))


def _change(connection: Connection, grant: Grant) -> None:
    """Write what accepting and signing in settle."""
    connection.execute(
        update(GRANTS)
        .where(_G.id == grant.id)
        .values(
            access=grant.access,
            client_id=grant.client_id,
            resource=grant.resource,
            expires_at_ms=grant.expires_at_ms,
        )
    )


def _revoke(connection: Connection, grant_id: str, now_ms: int) -> None:
    connection.execute(update(GRANTS).where(_G.id == grant_id, _G.revoked_at_ms.is_(None)).values(revoked_at_ms=now_ms))


def _lasts_until(connection: Connection, grant: Grant) -> int | None:
    return connection.execute(select(_G.lasts_until_ms).where(_G.id == grant.id)).scalar_one()


def _keep(
    connection: Connection,
    grant: Grant,
    minted: secrets.Minted,
    kind: SecretKind,
    *,
    expires_at_ms: int | None,
    details: str | None = None,
) -> None:
    """Keep a secret's digest, for what this grant allows."""
    connection.execute(
        insert(SECRETS).values(
            id=minted.id,
            grant_id=grant.id,
            kind=kind,
            digest=minted.digest,
            access=grant.access,
            details=details,
            expires_at_ms=expires_at_ms,
        )
    )


def _locked(connection: Connection, scope: str, secret_id: str, digest: str, kind: SecretKind) -> Found | None:
    """A secret that was proved, held so that nobody else uses it up."""
    found = rows.find(connection, scope, secret_id, lock=True)
    same = secrets.matches(found.digest if found is not None else None, digest)
    return found if found is not None and same and found.kind == kind else None


def _usable_once(
    connection: Connection,
    scope: str,
    secret_id: str,
    digest: str,
    kind: SecretKind,
    client_id: str,
    now_ms: int,
    *,
    again_ms: int = 0,
) -> Found | None:
    """A secret, used up by this; whoever uses it again, later than `again_ms` after the first time, ends its grant."""
    found = _locked(connection, scope, secret_id, digest, kind)
    if found is None:
        return None
    again = found.used_at_ms is not None
    if found.used_at_ms is not None and not 0 <= now_ms - found.used_at_ms < again_ms:
        _revoke(connection, found.grant.id, now_ms)
        logger.warning(
            "the sign-in %r (id %s) is revoked: a secret of it came a second time, so somebody may have stolen it",
            found.grant.name,
            found.grant.id,
        )
        return None
    if found.is_over(now_ms) or found.grant.client_id != client_id:
        return None
    if not again:
        _use_up(connection, found, now_ms)
    return found


def _use_up(connection: Connection, found: Found, now_ms: int) -> None:
    used = update(SECRETS).where(_S.id == found.id, _S.used_at_ms.is_(None)).values(used_at_ms=now_ms)
    if connection.execute(used).rowcount != 1:
        raise Unusable("inconsistent")


def _pair(connection: Connection, grant: Grant, access: Access, now_ms: int) -> Pair:
    """A new access token, and the refresh token that replaces the last. What is long over makes room."""
    connection.execute(delete(SECRETS).where(_S.expires_at_ms < now_ms - KEPT_MS))
    narrowed = replace(grant, access=access)
    token, refresh = secrets.mint("access"), secrets.mint("refresh")
    until_ms = _sooner(now_ms + ACCESS_TOKEN_MS, grant.expires_at_ms)
    _keep(connection, narrowed, token, "access", expires_at_ms=until_ms)
    # The whole access stays: what was left out this time may be asked for the next.
    refresh_until_ms = _sooner(now_ms + REFRESH_TOKEN_MS, grant.expires_at_ms)
    _keep(connection, grant, refresh, "refresh", expires_at_ms=refresh_until_ms)
    return Pair(
        grant=narrowed,
        access_text=token.text,
        refresh_text=refresh.text,
        expires_in_s=(until_ms - now_ms) // 1000,
    )


def _sooner(until_ms: int, other_ms: int | None) -> int:
    return until_ms if other_ms is None else min(until_ms, other_ms)
