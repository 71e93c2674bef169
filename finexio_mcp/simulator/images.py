"""Pictures of checks, drawn as SVG, under addresses that cannot be guessed."""

import hmac
from datetime import datetime
from html import escape

from .books import Record
from .clock import read_stamp
from .wire import Answer
from .world import World

SIDES = ("Issued", "Deposited")
VOID = "SIMULATOR - VOID"

_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "  # noqa: SIM905
    "fifteen sixteen seventeen eighteen nineteen".split()
)
_TENS = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_SCALES = ((1_000_000_000, "billion"), (1_000_000, "million"), (1000, "thousand"), (100, "hundred"))


def exists(payment: Record, side: str) -> bool:
    """The front exists once the check is printed, the back once it is deposited."""
    return _event_time(payment, "printed" if side == "Issued" else "settled") is not None


def url(world: World, payment: Record, side: str) -> str:
    return f"{world.origin}/images/{_token(world, payment, side)}.svg"


def show(world: World, name: str) -> Answer | None:
    """The picture behind an address, which is all it takes to see it; None when there is none."""
    for payment in world.books.payments.values():
        for side in SIDES:
            if exists(payment, side) and hmac.compare_digest(f"{_token(world, payment, side)}.svg", name):
                picture = _front(world, payment) if side == "Issued" else _back(world, payment)
                return Answer(200, picture.encode(), {"content-type": "image/svg+xml; charset=utf-8"})
    return None


def amount_in_words(cents: int) -> str:
    """Dollars in words and cents as a fraction, as a check has them."""
    dollars, rest = divmod(cents, 100)
    return f"{_words(dollars).capitalize()} and {rest:02}/100 dollars"


def _words(number: int) -> str:
    if number < 20:
        return _ONES[number]
    if number < 100:
        tens, ones = divmod(number, 10)
        return _TENS[tens] + (f"-{_ONES[ones]}" if ones else "")
    size, name = next(scale for scale in _SCALES if number >= scale[0])
    head, tail = divmod(number, size)
    return f"{_words(head)} {name}" + (f" {_words(tail)}" if tail else "")


def _token(world: World, payment: Record, side: str) -> str:
    return hmac.new(world.image_key, f"{payment['id']}/{side}".encode(), "sha256").hexdigest()[:40]


def _event_time(payment: Record, name: str) -> datetime | None:
    times = [
        event["timestamp"] for event in payment["events"] if (event["method"], event["event_name"]) == ("check", name)
    ]
    return read_stamp(times[0]) if times else None


def _front(world: World, payment: Record) -> str:
    payer = world.books.buyers[payment["originating_counterparty_id"]]
    payee = world.books.suppliers[payment["receiving_counterparty_id"]]
    printed = _event_time(payment, "printed") or world.now()
    cents = payment["amount_cents"]
    numbers = ", ".join(row["invoice_number"] for row in payment["invoices"])
    return _sheet(
        _text(40, 52, payer["name"], size=20, bold=True)
        + _text(40, 74, payer["address_1"])
        + _text(40, 92, f"{payer['city']}, {payer['state']} {payer['zipcode']}")
        + _text(760, 52, f"No. {payment['instrument_number']}", size=18, bold=True, end=True)
        + _text(760, 78, f"Date {printed:%B} {printed.day}, {printed.year}", end=True)
        + _text(40, 146, "PAY TO THE ORDER OF", size=10)
        + _text(190, 146, payee["care_of"] or payee["name"], size=18)
        + _box(610, 122, 150, 34, f"${cents // 100:,}.{cents % 100:02}")
        + _text(40, 190, amount_in_words(cents), size=15)
        + _text(40, 222, payee["remit_address_1"] or "")
        + _text(40, 240, f"{payee['remit_city'] or ''} {payee['remit_state'] or ''} {payee['remit_zipcode'] or ''}")
        + _text(40, 282, f"MEMO  Invoices {numbers[:70]}", size=12)
        + _text(760, 282, "Authorized signature", size=10, end=True)
        + _text(40, 324, f"C{payment['instrument_number']}C  A990000013A  0000000000", size=16, mono=True)
    )


def _back(world: World, payment: Record) -> str:
    payee = world.books.suppliers[payment["receiving_counterparty_id"]]
    settled = _event_time(payment, "settled") or world.now()
    return _sheet(
        _text(40, 60, "ENDORSE HERE", size=10)
        + _text(40, 96, "FOR DEPOSIT ONLY", size=20, bold=True)
        + _text(40, 124, payee["name"], size=16)
        + _text(40, 200, f"Deposited {settled:%Y-%m-%d %H:%M}", size=16, mono=True)
        + _text(40, 226, f"Check {payment['instrument_number']}  Tracking {payment['tracking_id']}", mono=True)
        + _text(40, 252, "BANK OF FIRST DEPOSIT: NONE", size=12, mono=True)
    )


def _sheet(content: str) -> str:
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" width="800" height="350" viewBox="0 0 800 350" font-family="serif">'
        '<rect width="800" height="350" rx="8" fill="#eef4ee" stroke="#5c7a64" stroke-width="3"/>'
        '<text x="400" y="210" font-size="64" font-weight="bold" fill="#b03030" fill-opacity="0.22" '
        f'text-anchor="middle" transform="rotate(-14 400 190)">{VOID}</text>{content}</svg>\n'
    )


def _text(
    x: int, y: int, words: str, *, size: int = 13, bold: bool = False, end: bool = False, mono: bool = False
) -> str:
    style = f'font-size="{size}"'
    style += ' font-weight="bold"' if bold else ""
    style += ' text-anchor="end"' if end else ""
    style += ' font-family="monospace"' if mono else ""
    return f'<text x="{x}" y="{y}" {style}>{escape(words)}</text>'


def _box(x: int, y: int, width: int, height: int, words: str) -> str:
    frame = f'<rect x="{x}" y="{y}" width="{width}" height="{height}" fill="white" stroke="#333"/>'
    return frame + _text(x + width - 10, y + 23, words, size=18, bold=True, end=True)
