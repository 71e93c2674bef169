"""What the steps of all rounds come to: where each climb bends, told in Markdown."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

from bench.climbing import Step

PAYMENT = "payment"
RISE, SLOWER = 1.1, 1.5
"""It bends where the calls a second rise by less than a tenth, and one in twenty takes half as long again."""

BEGIN, END = "<!-- steps: measured -->", "<!-- end -->"
"""Around what is measured, in a page."""


@dataclass(frozen=True)
class Seen:
    """A step, put together from all rounds."""

    width: int
    rate: float
    """Answered calls a second."""
    latencies: Sequence[float]
    payments: Sequence[float]
    put_off: float
    """A second."""
    failed: int
    cores: Sequence[float]
    """Of each server, of PostgreSQL, and of the bench itself with its upstream."""
    megabytes: Sequence[float]
    """Of each server."""

    def within(self, percent: int) -> float:
        """Milliseconds in which so many of a hundred calls are answered."""
        return _percentile(self.latencies, percent)


@dataclass(frozen=True)
class Climbed:
    """One load on so many servers, step by step."""

    load: str
    servers: int
    steps: Sequence[Seen]

    @property
    def bend(self) -> Seen | None:
        """The last step before more calls at once only wait longer, or are put off."""
        for before, after in itertools.pairwise(self.steps):
            slower = after.within(95) > SLOWER * before.within(95)
            if after.put_off or (after.rate < RISE * before.rate and slower):
                return before
        return None


def together(rounds: Sequence[Sequence[Step]]) -> list[Seen]:
    """The steps of all rounds: medians of what there is once a round, and the times of all calls."""
    return [_seen(steps) for steps in zip(*rounds, strict=True)]


def _seen(steps: Sequence[Step]) -> Seen:
    of_kinds = [latencies for step in steps for latencies in step.latencies.values()]
    return Seen(
        width=steps[0].width,
        rate=median(step.answered / step.seconds for step in steps),
        latencies=[seconds for latencies in of_kinds for seconds in latencies],
        payments=[seconds for step in steps for seconds in step.latencies.get(PAYMENT, [])],
        put_off=median(step.put_off / step.seconds for step in steps),
        failed=sum(step.failed for step in steps),
        cores=[
            median(each) for each in zip(*([rise / step.seconds for rise in step.read] for step in steps), strict=True)
        ],
        megabytes=[median(each) for each in zip(*(step.megabytes for step in steps), strict=True)],
    )


def put_into(page: Path, told: str) -> None:
    """Put it where it stands in a page, in place of what stood there."""
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    page.write_text(f"{before}{BEGIN}\n\n{told}\n\n{END}{after}", encoding="utf-8")


def can_take(page: Path) -> bool:
    """Whether there is a place for it in a page."""
    text = page.read_text(encoding="utf-8")
    return BEGIN in text and END in text.partition(BEGIN)[2]


# Telling ------------------------------------------------------------------------


def markdown(climbs: Sequence[Climbed]) -> list[str]:
    """Where each climb bends, and then all that was seen."""
    lines = ["| load | servers | bends after | calls a second there | p95 there, ms | most calls a second |"]
    lines.append("| --- | ---: | ---: | ---: | ---: | ---: |")
    lines += [_summed_up(climb) for climb in climbs]
    for climb in climbs:
        lines += ["", f"**{climb.load}, {climb.servers} server{'s' if climb.servers > 1 else ''}**", ""]
        lines += _table(climb.steps)
    return lines


def _summed_up(climb: Climbed) -> str:
    at = climb.bend
    there = ["not seen", "", ""] if at is None else [f"{at.width} in flight", _number(at.rate), _number(at.within(95))]
    most = max(step.rate for step in climb.steps)
    return _line([climb.load, str(climb.servers), *there, _number(most)])


def _table(climb: Sequence[Seen]) -> list[str]:
    pays = any(each.payments for each in climb)
    heads = ["in flight", "calls a second", "p50, ms", "p95, ms", "p99, ms", *(["p95 of payments, ms"] if pays else [])]
    heads += ["put off a second", "failed", "cores: servers", "PostgreSQL", "bench", "memory, MB"]
    lines = [_line(heads), _line(["---:"] * len(heads))]
    for each in climb:
        *servers, database, own = each.cores
        cells = [str(each.width), _number(each.rate), *(_number(each.within(percent)) for percent in (50, 95, 99))]
        cells += [_number(_percentile(each.payments, 95)) if each.payments else ""] if pays else []
        cells += [_number(each.put_off), str(each.failed), " + ".join(f"{cores:.2f}" for cores in servers)]
        cells += [f"{database:.2f}", f"{own:.2f}", " + ".join(f"{held:.0f}" for held in each.megabytes)]
        lines.append(_line(cells))
    return lines


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _percentile(seconds: Sequence[float], percent: int) -> float:
    if len(seconds) < 2:
        return 1000 * sum(seconds)
    return 1000 * quantiles(seconds, n=100, method="inclusive")[percent - 1]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"
