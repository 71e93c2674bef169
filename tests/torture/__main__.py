"""`make torture`: storms for as long as one likes, each with a seed that brings it back."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import sys
import tempfile
from datetime import timedelta
from pathlib import Path
from random import Random

import click

from tests.torture.crew import open_crew
from tests.torture.databases import empty_ledger, postgresql
from tests.torture.storm import Weather, rage


@click.command()
@click.option("--rounds", default=6, show_default=True, help="How many storms.")
@click.option("--seconds", default=40.0, show_default=True, help="How long each rages.")
@click.option("--kills", default=150, show_default=True, help="How many processes at least die in each.")
@click.option("--seed", type=int, default=None, help="Of the first storm; each further one has the next. Default: any.")
@click.option(
    "--ledger",
    type=click.Choice(["sqlite", "postgresql", "both"]),
    default="both",
    show_default=True,
    help="`both` takes turns.",
)
def torture(rounds: int, seconds: float, kills: int, seed: int | None, ledger: str) -> None:
    """Kill processes that pay invoices, and see that nothing is paid twice, forgotten, or said to be what it is not.

    Exits 1 at the first promise that was broken, and leaves ledger and answers of that storm where they are.
    """
    first = secrets.randbelow(10**6) if seed is None else seed
    kinds = ("sqlite", "postgresql") if ledger == "both" else (ledger,)
    click.echo(f"rounds {rounds}, seconds {seconds:g}, kills {kills}, seed {first}, ledger {ledger}")
    home = Path(tempfile.mkdtemp(prefix="torture-"))
    with contextlib.ExitStack() as stack:
        address = stack.enter_context(postgresql()) if "postgresql" in kinds else None
        crew = stack.enter_context(open_crew(home / "errors"))
        for number in range(first, first + rounds):
            kind = kinds[(number - first) % len(kinds)]
            directory = home / f"{kind}-{number}"
            directory.mkdir()
            weather = weather_of(number, seconds=seconds, kills=kills)
            after = rage(weather, directory, crew, ledger_url=empty_ledger(kind, address, directory))
            click.echo(f"{kind}: {after.describe()}")
            if after.problems:
                click.echo("\n".join([*after.problems, f"{weather}", f"What it left: {directory}"]))
                again = f"--rounds 1 --seconds {seconds:g} --kills {kills} --seed {number} --ledger {kind}"
                click.echo(f"Again: python -m tests.torture {again}")
                sys.exit(1)
    shutil.rmtree(home)


def weather_of(seed: int, *, seconds: float, kills: int) -> Weather:
    """A storm for each seed."""
    chance = Random(seed)
    return Weather(
        seed=seed,
        seconds=seconds,
        kills=kills,
        most_seconds=max(120.0, 4 * seconds),
        workers=chance.randint(4, 9),
        numbers_a_second=chance.choice((2.0, 4.0, 8.0)),
        batch_atomic=chance.random() < 0.5,
        visible_after=timedelta(seconds=chance.choice((0.0, 0.3))),
        pays_twice=chance.random() < 0.8,
    )


if __name__ == "__main__":
    torture()
