"""Questions about grants, which make and change nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from finexio_mcp.access import rows, schema
from finexio_mcp.access.database import Kept
from finexio_mcp.access.grants import Found, Grant
from finexio_mcp.guards.ledger.place import Place


class Looking:
    """Grants, as one process asks about them. Where nothing was granted yet, there is none."""

    def __init__(self, place: Place) -> None:
        self._kept = Kept(place)
        self._scope = place.scope

    def close(self) -> None:
        """Let go of the connection."""
        self._kept.close()

    def check(self) -> None:
        """Ask as little as tells whether other questions would be answered."""
        self._kept.ask(schema.check)

    def find(self, secret_ids: Collection[str]) -> Mapping[str, Found]:
        """The rows of those of these secrets that there are, by their ids; nothing is proved by them."""
        found = self._kept.ask(lambda connection: rows.find_all(connection, self._scope, secret_ids))
        return {each.id: each for each in found or ()}

    def grants(self) -> list[Grant]:
        """All that ever were, the oldest first."""
        return self._kept.ask(lambda connection: rows.grants(connection, self._scope)) or []

    def client(self, client_id: str) -> str | None:
        """What a client said about itself."""
        return self._kept.ask(lambda connection: rows.client(connection, client_id))

    def can_revoke(self, name_or_id: str, now_ms: int) -> bool:
        """Whether somebody who revokes this means a grant."""
        return self._kept.ask(lambda connection: rows.chosen(connection, self._scope, name_or_id, now_ms)) is not None
