"""Options that groups of commands share; their context holds a function that gives settings."""

from __future__ import annotations

import functools

import click


def _choose_simulator(context: click.Context, _option: click.Parameter, chosen: bool) -> None:
    if chosen:
        context.obj = functools.partial(context.obj, simulator=True)


simulator_option = click.option(
    "--simulator",
    is_flag=True,
    expose_value=False,
    callback=_choose_simulator,
    help="For a server on the built-in simulator.",
)
