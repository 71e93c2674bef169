"""The tables of grants, beside those of the ledger and independent of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, get_args

from sqlalchemy import (
    CheckConstraint,
    Column,
    Connection,
    ForeignKey,
    Index,
    MetaData,
    Table,
    Text,
    inspect,
    select,
)

from finexio_mcp.access.grants import GrantKind, SecretKind
from finexio_mcp.guards.ledger.columns import WHOLE, whole, word
from finexio_mcp.guards.ledger.trouble import Unusable
from finexio_mcp.settings import ACCESS_ORDER

VERSION: Final = 1
"""Of the tables below. Those of another version are left alone."""

METADATA: Final = MetaData()


def _one_of(name: str, words: Iterable[str]) -> Column[str]:
    listed = ", ".join(f"'{word}'" for word in words)
    return Column(name, Text, CheckConstraint(f"{name} IN ({listed})"), nullable=False)


ABOUT: Final = Table(
    "access_about",
    METADATA,
    Column("id", WHOLE, CheckConstraint("id = 1"), primary_key=True, autoincrement=False),
    whole("version"),
    sqlite_strict=True,
)
"""One row: the version, and what writers lock."""

GRANTS: Final = Table(
    "access_grants",
    METADATA,
    Column("id", Text, primary_key=True),
    # As in the ledger: what is granted for one Finexio is nothing for another that shares the database. Behind a `#`
    # the account there, unless that is the default one: a release that knows of no accounts asks for the bare address,
    # and so never lets anybody into its own account who was meant for another.
    word("scope"),
    _one_of("kind", get_args(GrantKind)),
    word("name"),
    _one_of("access", ACCESS_ORDER),
    # Names, comma-separated and sorted; null: all.
    word("toolsets", null=True),
    word("tools", null=True),
    word("client_id", null=True),
    word("resource", null=True),
    whole("created_at_ms"),
    whole("expires_at_ms", null=True),
    # When it is to end once it is in use; until then it ends sooner.
    whole("lasts_until_ms", null=True),
    whole("revoked_at_ms", null=True),
    whole("last_used_at_ms", null=True),
    sqlite_strict=True,
)

SECRETS: Final = Table(
    "access_secrets",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("grant_id", Text, ForeignKey("access_grants.id"), nullable=False),
    _one_of("kind", get_args(SecretKind)),
    # Of 32 random bytes, or of 80 random bits for some minutes: neither is found by trying, so SHA-256 will do.
    word("digest"),
    _one_of("access", ACCESS_ORDER),
    # Of an authorization code: what it was asked for with.
    word("details", null=True),
    whole("expires_at_ms", null=True),
    whole("used_at_ms", null=True),
    sqlite_strict=True,
)

CLIENTS: Final = Table(
    "access_clients",
    METADATA,
    Column("id", Text, primary_key=True),
    word("metadata"),
    whole("saved_at_ms"),
    sqlite_strict=True,
)

INDEXES: Final = (
    Index("access_secrets_expires", SECRETS.c.expires_at_ms),
    Index("access_grants_client", GRANTS.c.client_id),
    Index("access_clients_saved", CLIENTS.c.saved_at_ms),
)


def build(connection: Connection) -> None:
    """Make the tables, in the transaction that is open."""
    METADATA.create_all(connection, checkfirst=False)
    connection.execute(ABOUT.insert().values(id=1, version=VERSION))


def is_there(connection: Connection) -> bool:
    """Whether the tables are there.

    Raises:
        Unusable: They are there, but not as this version knows them.
    """
    if not inspect(connection).has_table(ABOUT.name):
        return False
    check(connection)
    return True


def check(connection: Connection) -> None:
    """Ask the tables, which are there, for their version.

    Raises:
        Unusable: It is another than this one.
    """
    version = connection.execute(select(ABOUT.c.version)).scalar_one_or_none()
    if version != VERSION:
        raise Unusable("damaged" if version is None else "unknown_version")
