"""Search and fetch: the records that other tools show, in the shape that some hosts prescribe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from finexio_mcp.api.client import FinexioClient
from finexio_mcp.api.requests import build
from finexio_mcp.envelope import Envelope, Outlet
from finexio_mcp.errors import InvalidArguments, Problem
from finexio_mcp.finding import terms
from finexio_mcp.finding.kinds import BY_NAME, COUNTERPARTY, Kind, Row, lines_of
from finexio_mcp.finding.search import Hit, Search
from finexio_mcp.records import found_in, other_id
from finexio_mcp.shapes import is_object
from finexio_mcp.tools.chatgpt import MAX_RESULTS, NOTICE
from finexio_mcp.tools.spec import ToolSpec

INCOMPLETE = f"{NOTICE}:incomplete"
ABOUT_NOTICES = (
    "No record: a sentence of this server about a search that was not complete. Its title says what was left out; what "
    "is missing from that search may exist all the same. Search again later, or for a single number or name."
)


class Finder:
    """Answers `search` and `fetch`.

    Args:
        client: Finexio.
        outlet: What every answer leaves through.
        base_url: Where Finexio's API is.
    """

    def __init__(self, client: FinexioClient, outlet: Outlet, base_url: str) -> None:
        self._client, self._outlet, self._base_url = client, outlet, base_url

    async def run(self, tool: ToolSpec, arguments: dict[str, Any]) -> Envelope:
        """Run one call: a fetch if the tool's route has an id, else a search."""
        until = self._client.deadline(tool.deadline_seconds)
        if tool.path_names:
            return await self._fetch(arguments["id"], until)
        return await self._search(arguments["query"], until)

    # Search ------------------------------------------------------------------

    async def _search(self, query: str, until: float) -> Envelope:
        wanted = terms.read(query)
        if not wanted.whole:
            raise InvalidArguments(
                "Nothing was sent: the query holds no text.", problems=[Problem("query", "holds nothing to look for")]
            )
        search = Search(self._client, until)
        await search.run(wanted)
        hits = search.hits
        results = self._results(hits[:MAX_RESULTS], search.parties, query)

        def note(shown: int) -> dict[str, str] | None:
            said = _left_out(search, more=shown < len(hits))
            return {"id": INCOMPLETE, "title": said, "url": self._base_url} if said else None

        return self._outlet.results(results, note)

    def _results(self, hits: Sequence[Hit], parties: Mapping[str, Row], query: str) -> list[dict[str, str]]:
        records = [(hit.kind.get.record, hit.row) for hit in hits]
        records += [(COUNTERPARTY.get.record, row) for row in parties.values()]
        rows: list[Any] = self._outlet.seen(records, arguments={"query": query})
        found = list(zip(hits, rows[: len(hits)], strict=True))
        named = [(hit.key, row) for hit, row in found if hit.kind is COUNTERPARTY]
        named += zip(parties, rows[len(hits) :], strict=True)
        names = {key: str(row.get("name", "")) for key, row in named}
        return [
            {
                "id": hit.kind.id_of(hit.key),
                "title": hit.kind.title_of(row, hit.key, names),
                "url": hit.kind.url_of(self._base_url, hit.key),
            }
            for hit, row in found
        ]

    # Fetch -------------------------------------------------------------------

    async def _fetch(self, id_: str, until: float) -> Envelope:
        name, _, key = id_.partition(":")
        if name == NOTICE:
            head = {"id": id_, "title": "About incomplete searches", "url": self._base_url}
            return self._outlet.document(head, {"": [ABOUT_NOTICES]}, {"kind": NOTICE})
        return await self._record(BY_NAME[name], key, until)

    async def _record(self, kind: Kind, key: str, until: float) -> Envelope:
        asked = {"id": key}
        record = found_in(kind.get, await self._client.read(build(kind.get, asked), until=until), asked)
        (shown,) = self._outlet.seen([(kind.get.record, record)], arguments=asked)
        row = shown if is_object(shown) else {}
        head = {
            "id": kind.id_of(key),
            "title": kind.title_of(row, key),
            "url": kind.url_of(self._base_url, key),
        }
        notices = [f"Notice: {sentence}" for sentence in other_id(kind.get, record, asked)]
        return self._outlet.document(head, {**lines_of(shown), "": notices}, kind.metadata_of(row))


def _left_out(search: Search, *, more: bool) -> str:
    """What a search did not look at, in a sentence; empty if it looked at all that it promises."""
    said = [f"{source} ({error.code})" for source, error in search.failed.items()] + list(search.missed)
    sentences = [f"Not searched: {', '.join(said)}. What is missing here may exist."] if said else []
    if more:
        sentences.append("There are more matches than are shown; search for a longer name or a whole number.")
    return " ".join(["Incomplete.", *sentences]) if sentences else ""
