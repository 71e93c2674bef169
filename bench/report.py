"""The table: medians for each peer, and our ratio to the bare server, pair by pair."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

from rich.box import SIMPLE
from rich.table import Table

from bench.rows import Row

NOTE = (
    "Medians of the rounds. Ratio: ours to bare, median of the pairs, lowest and highest pair. A bound with decimals "
    "is one on the ratio, any other one on ours. CPU: of the server process; for direct, of this one. Direct: plain "
    "httpx2 without MCP; in sizes, Finexio's own JSON. Over HTTP ours checks a token with every request and bare none; "
    "where two eras are named, the ratio is that of ours in them."
)


def table(rows: Sequence[Row], title: str) -> Table:
    """All rows, ready to print."""
    shown = Table(title=title, title_justify="left", caption=NOTE, caption_justify="left", box=SIMPLE)
    shown.add_column("")
    for name in ("ours", "bare", "direct", "ratio", "from-to", "bound"):
        shown.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        # A new figure starts at the margin; what else is known about it is indented.
        if not row.figure.startswith(" ") and shown.row_count:
            shown.add_section()
        figures = [_number(row.values.get(peer, [])) for peer in ("ours", "bare", "direct")]
        name = f"{row.figure}, {row.unit}" if row.unit else row.figure
        shown.add_row(name, *figures, *_ratio(row), row.bound)
    return shown


def _ratio(row: Row) -> tuple[str, str]:
    ours, other = row.values.get("ours", []), row.values.get(row.against, [])
    # The ledger has no counterpart.
    pairs = zip(ours, other, strict=True) if other else ()
    ratios = [ours / other for ours, other in pairs if other > 0]
    if not ratios or math.isnan(median(ratios)):
        return "", ""
    return f"{median(ratios):.2f}", f"{min(ratios):.2f}-{max(ratios):.2f}"


def _number(values: Sequence[float]) -> str:
    value = median(values) if values else math.nan
    if math.isnan(value):
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"
