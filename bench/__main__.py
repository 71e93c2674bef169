"""`python -m bench` measures, prints a table, and leaves judging to the reader."""

from __future__ import annotations

import asyncio
import logging
import os
import platform
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import click
import httpx2
from rich.console import Console

from bench.bends import can_take, put_into
from bench.driver import Era, Refused, child
from bench.measure import Bench
from bench.report import table
from bench.rows import Row
from bench.steps import Steps
from bench.throughput import Throughput

STDIO_FIGURES = ("record", "payment", "page", "batch", "flight", "walk", "size", "ledger")
WEB_FIGURES = ("http", "crowd")
FIGURES = ("start", *STDIO_FIGURES, *WEB_FIGURES)
STEPS = "steps"


class Setting(click.ParamType[tuple[str, str]]):
    """NAME=VALUE."""

    name = "setting"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Take it apart."""
        name, is_one, text = str(value).partition("=")
        if not (is_one and name.startswith("FINEXIO_")):
            self.fail("expected FINEXIO_...=VALUE", param, ctx)
        return name, text


SETTING = Setting()


def _checked(_context: click.Context, _option: click.Parameter, page: Path | None) -> Path | None:
    """Before anything is measured: it takes minutes."""
    if page is not None and not can_take(page):
        raise click.BadParameter("has no place for it")
    return page


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--rounds", type=click.IntRange(1, 1000), default=7, show_default=True, help="Turns of each peer.")
@click.option(
    "--only",
    multiple=True,
    type=click.Choice([*FIGURES, STEPS]),
    help=f"Only this figure; may be given again. `{STEPS}` is measured on request only, and told in Markdown.",
)
@click.option(
    "--era",
    type=click.Choice(get_args(Era)),
    default="2026-07-28",
    show_default=True,
    help="Over stdio; over HTTP both are measured.",
)
@click.option(
    "--set",
    "further",
    multiple=True,
    metavar="NAME=VALUE",
    type=SETTING,
    help="A setting of our server over HTTP, such as FINEXIO_MCP_AUDIT=0; may be given again.",
)
@click.option(
    "--into",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    callback=_checked,
    help=f"Put what `{STEPS}` tells into this page, such as docs/load.md, instead of printing it.",
)
def bench(
    rounds: int, only: tuple[str, ...], era: Era, further: tuple[tuple[str, str], ...], into: Path | None
) -> None:
    """Measure this server beside a bare one on the same SDK and beside plain HTTP, in turns, offline.

    Example: python -m bench --only record --only page --rounds 21
    """
    # A new ledger is begun for each run, and that is no warning here.
    logging.getLogger("finexio_mcp").addHandler(logging.NullHandler())
    began = time.monotonic()
    try:
        rows = asyncio.run(_measure(only or FIGURES, rounds=rounds, era=era, further=dict(further), into=into))
    except Refused as error:
        raise click.ClickException(str(error)) from None
    if not rows:
        return
    title = (
        f"Python {platform.python_version()}, {os.cpu_count()} cores, stdio with MCP {era}, "
        f"{rounds} rounds, {time.monotonic() - began:.0f} s"
    )
    # A pipe has no width of its own, and 80 columns would wrap the names.
    Console(width=None if sys.stdout.isatty() else 100).print(table(rows, title))


async def _measure(
    names: tuple[str, ...], *, rounds: int, era: Era, further: Mapping[str, str], into: Path | None
) -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="finexio-bench-") as state:
        return await _measure_in(Path(state), names, rounds=rounds, era=era, further=further, into=into)


async def _measure_in(
    state: Path, names: tuple[str, ...], *, rounds: int, era: Era, further: Mapping[str, str], into: Path | None
) -> list[Row]:
    console = Console(stderr=True)
    async with child("bench.upstream", {}) as upstream, httpx2.AsyncClient(auth=("demo", "demo")) as http:
        assert upstream.stdout is not None
        base_url = (await upstream.stdout.readline()).decode().strip()
        bench = Bench(base_url, http, era=era, rounds=rounds, state=state)
        found: list[Row] = []
        if "start" in names:
            with console.status("start"):
                found += await bench.start()
        if chosen := [name for name in names if name in STDIO_FIGURES]:
            async with bench.servers():
                for name in chosen:
                    with console.status(name):
                        found += await bench.figures[name]()
        web = Throughput(base_url, http, rounds=rounds, state=state, further=further)
        for name in (name for name in names if name in WEB_FIGURES):
            with console.status(name):
                found += await web.figures[name]()
        if STEPS in names:
            steps = Steps(base_url, upstream.pid, http, rounds=rounds, state=state, further=further)
            with console.status(STEPS):
                told = await steps.measure()
            if into is None:
                click.echo(told)
            else:
                put_into(into, told)
        return found


if __name__ == "__main__":
    bench()
