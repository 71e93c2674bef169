"""What the demo shows, and what it insists on."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from finexio_mcp.shapes import is_array, is_object

if TYPE_CHECKING:
    from rich.console import Console

Row = dict[str, Any]

MAX_COLUMNS = 100


class StepFailed(Exception):
    """Something is not as the demo would have said."""


class Screen:
    """Numbered questions, the calls that answer them, and what the answers say."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._steps = 0
        self.step = "the start"

    def ask(self, question: str) -> None:
        """Begin a step with what a person would say to the assistant."""
        self._steps += 1
        self.step = question
        self._line(f'"{question}"', "bold cyan", begin=f"\n{self._steps:2}  ")

    def called(self, tool: str, arguments: Row) -> None:
        """One call of the assistant's."""
        shown = ", ".join(f"{name}={_brief(value)}" for name, value in arguments.items())
        self._line(f"{tool}({shown})", "dim", begin="    > ", indent="      ")

    def say(self, text: str, style: str = "") -> None:
        """What the answer says, or what the demo does itself."""
        self._line(text, style)

    def tell(self, text: str) -> None:
        """Something before or after the steps."""
        self._line(text, begin="\n", indent="")

    def table(self, headers: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[str] = ()) -> None:
        """Columns, those named in `right` with their ends in line."""
        from rich import box
        from rich.padding import Padding
        from rich.table import Table
        from rich.text import Text

        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
        for header in headers:
            table.add_column(header, justify="right" if header in right else "left")
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
        self._console.print(Padding(table, (0, 0, 0, 4), expand=False))

    def copyable(self, text: str) -> None:
        """A line that must survive being copied, however long."""
        self._console.print(text, markup=False, soft_wrap=True, style="green")

    def _line(self, text: str, style: str = "", *, begin: str = "    ", indent: str = "    ") -> None:
        from rich.text import Text

        # Wrapped here: what rich wraps it also pads with blanks, up to the right edge.
        width = min(self._console.width, MAX_COLUMNS) - len(indent)
        first, *more = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
        lines = "".join(f"\n{indent}{line}" for line in more)
        self._console.print(Text.assemble(begin, (f"{first}{lines}", style)), soft_wrap=True)


def _brief(value: Any) -> str:
    """An argument in a few characters; of an invoice its number and amount."""
    if is_array(value):
        return f"[{', '.join(_item(item) for item in value)}]"
    text = json.dumps(value)
    return text if len(text) <= 30 else f'{text[:9]}..."'


def _item(value: Any) -> str:
    return f"{value['invoice_number']}: {value['amount_cents']}" if is_object(value) else str(value)


def money(cents: int) -> str:
    """Whole cents as people write them."""
    return f"${cents // 100:,}.{cents % 100:02}"


def require(holds: object, otherwise: str) -> None:
    """Go on only if what the demo is about to say is so."""
    if not holds:
        raise StepFailed(otherwise)
