"""Reads all suppliers page by page, and keeps of them only what was found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from finexio_mcp import catalog
from finexio_mcp.envelope import SHORTENED
from finexio_mcp.hub import Hub
from finexio_mcp.paging import LOST, REORDERED, SHORT
from finexio_mcp.readiness.judging import Finding, judge
from finexio_mcp.tools.suppliers import LIST_SUPPLIERS

if TYPE_CHECKING:
    import httpx2

    from finexio_mcp.clock import Clock
    from finexio_mcp.settings import Settings

MOST_CHARS = 500_000
"""The longest answer that settings allow: a page in one piece costs one request."""

BROKEN_OFF = (
    "The list of suppliers could not be read to its end. {code}: {message} `finexio-mcp doctor` without --suppliers "
    "tells more."
)
NOT_ALL = "Only {read:,} of {total:,} suppliers were read, since the list changed meanwhile. Run this again."
DOUBTS = frozenset({LOST, REORDERED, SHORT})
"""Notices after which somebody may have been missed."""
ONE_PIECE_OF_MORE = SHORTENED.partition("{")[0]


@dataclass
class Report:
    """What was found among the suppliers read so far."""

    suppliers: int = 0
    total: int | None = None
    not_payable: list[Finding] = field(default_factory=list[Finding])
    not_judged: list[Finding] = field(default_factory=list[Finding])
    notices: list[str] = field(default_factory=list[str])
    complete: bool = False
    """Whether the list was read whole."""

    @property
    def payable(self) -> int:
        return self.suppliers - len(self.not_payable) - len(self.not_judged)

    def take(self, answer: dict[str, Any]) -> str | None:
        """Judge the rows of an answer; gives the cursor that goes on after them, None if nothing follows."""
        if "error" in answer:
            self._notice(BROKEN_OFF.format_map(answer["error"]))
            return None
        for row in answer["result"]:
            self._judge(row)
        self.total, following = answer["total_count"], answer["next_cursor"]
        for notice in answer.get("notices", ()):
            if following is None or not notice.startswith(ONE_PIECE_OF_MORE):
                self._notice(notice)
        if following is None:
            self._end()
        return following

    def _judge(self, row: Any) -> None:
        self.suppliers += 1
        if (finding := judge(row)) is not None:
            (self.not_payable if finding.judged else self.not_judged).append(finding)

    def _end(self) -> None:
        self.complete = DOUBTS.isdisjoint(self.notices)
        if self.total is not None and self.suppliers < self.total:
            self.complete = False
            self._notice(NOT_ALL.format(read=self.suppliers, total=self.total))

    def _notice(self, sentence: str) -> None:
        if sentence not in self.notices:
            self.notices.append(sentence)


async def survey(
    settings: Settings,
    transport: httpx2.AsyncBaseTransport | None = None,
    *,
    clock: Clock | None = None,
    show: Callable[[Report], None] = lambda _report: None,
) -> Report:
    """Judge every supplier of the account, read as an agent would read them.

    Args:
        settings: Which account; what agents may do there has no bearing on it.
        transport: Another way to Finexio, for tests.
        clock: Time, for tests.
        show: Told how far it is, after each page.
    """
    reading = {"toolsets": ("suppliers",), "tools": (), "unmask": (), "result_chars": MOST_CHARS}
    listed, report = catalog.read()[LIST_SUPPLIERS.name], Report()
    # Whole, since only so a field that is empty differs from one that is not shown.
    arguments: dict[str, Any] = {"fields": ["*"]}
    async with Hub(settings.model_copy(update=reading), transport, clock=clock) as hub:
        while True:
            cursor = report.take((await hub.run(listed, arguments)).content)
            show(report)
            if cursor is None:
                return report
            arguments["next_cursor"] = cursor
