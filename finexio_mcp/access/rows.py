"""Rows of grants and secrets, as values."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection
from typing import Any, Final

from sqlalchemy import Connection, Text, bindparam, func, select

from finexio_mcp.access.grants import Found, Grant
from finexio_mcp.access.schema import CLIENTS, GRANTS, SECRETS
from finexio_mcp.settings import DEFAULT_ACCOUNT

_G: Final = GRANTS.c
_S: Final = SECRETS.c
MARK: Final = "#"
"""Stands between the address of the API, which holds none, and the account there."""
_BEGINNING: Final = bindparam("beginning", type_=Text)
IN_SCOPE: Final = func.substr(_G.scope.concat(MARK), 1, func.length(_BEGINNING)) == _BEGINNING
"""What is granted for one API, whatever the account; see `within`."""
_GRANT: Final = tuple(column for column in _G if column.name != "lasts_until_ms")
_SECRET: Final = (_S.id, _S.kind, _S.digest, _S.access, _S.details, _S.expires_at_ms, _S.used_at_ms)
_FOUND: Final = select(*_SECRET, *_GRANT).join_from(SECRETS, GRANTS, _G.id == _S.grant_id).where(IN_SCOPE)
_FIND: Final = _FOUND.where(_S.id == bindparam("secret_id"))
_FIND_ALL: Final = _FOUND.where(_S.id.in_(bindparam("secret_ids", expanding=True)))
_FIND_LOCKED: Final = _FIND.with_for_update()
_ALL: Final = select(*_GRANT).where(IN_SCOPE).order_by(_G.created_at_ms, _G.id)


def scope_of(scope: str, account: str) -> str:
    """What is kept as the scope of a grant for this account at this API."""
    return scope if account == DEFAULT_ACCOUNT else f"{scope}{MARK}{account}"


def within(scope: str) -> dict[str, str]:
    """The parameter of `IN_SCOPE`."""
    return {"beginning": f"{scope}{MARK}"}


def find(connection: Connection, scope: str, secret_id: str, *, lock: bool = False) -> Found | None:
    """A secret's row; nothing is proved by it."""
    row = connection.execute(_FIND_LOCKED if lock else _FIND, {"secret_id": secret_id, **within(scope)}).one_or_none()
    return _found(row) if row is not None else None


def find_all(connection: Connection, scope: str, secret_ids: Collection[str]) -> list[Found]:
    """The rows of those of these secrets that there are, in one statement."""
    if len(secret_ids) == 1:
        # As in most calls; a list takes a third longer.
        found = find(connection, scope, *secret_ids)
        return [found] if found is not None else []
    asked = {"secret_ids": list(secret_ids), **within(scope)}
    return [_found(row) for row in connection.execute(_FIND_ALL, asked)]


def grants(connection: Connection, scope: str) -> list[Grant]:
    """All that ever were, the oldest first."""
    return [_grant(row) for row in connection.execute(_ALL, within(scope))]


def chosen(connection: Connection, scope: str, name_or_id: str, now_ms: int) -> Grant | None:
    """What somebody who revokes means: an id, of a grant or of one of its secrets, else a name that is in use."""
    owner = connection.execute(select(_S.grant_id).where(_S.id == name_or_id)).scalar_one_or_none()
    left = [grant for grant in grants(connection, scope) if grant.revoked_at_ms is None]
    by_id = (grant for grant in left if grant.id in (name_or_id, owner))
    return next(by_id, None) or in_use(left, name_or_id, now_ms)


def in_use(among: list[Grant], name: str, now_ms: int) -> Grant | None:
    """The grant that bears this name, if it is active or pending."""
    key = _name_key(name)
    named = (grant for grant in among if _name_key(grant.name) == key)
    return next((grant for grant in named if grant.state(now_ms) in ("active", "pending")), None)


def client(connection: Connection, client_id: str) -> str | None:
    """What a client said about itself."""
    return connection.execute(select(CLIENTS.c.metadata).where(CLIENTS.c.id == client_id)).scalar_one_or_none()


def _name_key(name: str) -> str:
    """By what two names are the same to a person."""
    return unicodedata.normalize("NFKC", name).casefold()


def _found(row: Any) -> Found:
    id_, kind, digest, access, details, expires_at_ms, used_at_ms, *grant = row
    return Found(
        id=id_,
        kind=kind,
        digest=digest,
        access=access,
        details=details,
        expires_at_ms=expires_at_ms,
        used_at_ms=used_at_ms,
        grant=_grant(grant),
    )


def _grant(row: Any) -> Grant:
    (
        id_,
        scope,
        kind,
        name,
        access,
        toolsets,
        tools,
        client_id,
        resource,
        created_at_ms,
        expires_at_ms,
        revoked_at_ms,
        last_used_at_ms,
    ) = row
    return Grant(
        id=id_,
        kind=kind,
        name=name,
        access=access,
        toolsets=_parted(toolsets),
        tools=_parted(tools),
        client_id=client_id,
        resource=resource,
        created_at_ms=created_at_ms,
        expires_at_ms=expires_at_ms,
        revoked_at_ms=revoked_at_ms,
        last_used_at_ms=last_used_at_ms,
        account=scope.partition(MARK)[2] or DEFAULT_ACCOUNT,
    )


def joined(names: frozenset[str] | None) -> str | None:
    return None if names is None else ",".join(sorted(names))


def _parted(names: str | None) -> frozenset[str] | None:
    return None if names is None else frozenset(name for name in names.split(",") if name)
