"""Where grants are kept: in the ledger's database, and for the simulator, whose ledger is memory, in a file."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from finexio_mcp.guards.ledger.place import Place, locate
from finexio_mcp.settings import Settings

SIMULATED: Final = "access.db"


def home(settings: Settings) -> Place:
    """Where the settings put grants; looks at nothing and never fails.

    With the simulator inside the server, whose ledger forgets, it is a file that the commands find too.
    """
    if not settings.embedded:
        return locate(settings)
    beside = locate(settings.model_copy(update={"base_url": settings.api_url, "ledger_url": None}))
    if beside.file is None:
        return beside
    file = beside.file.with_name(SIMULATED)
    return replace(beside, url="", file=file, key_file=None)
