"""What a worker process is asked to do, and where it writes what it was told."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

Row = dict[str, Any]

BATCH_SECONDS = 2
SLACK_SECONDS = 1
LEASE_SECONDS = BATCH_SECONDS + SLACK_SECONDS
"""A killed process is given up after this long; a day of waiting in the life of these processes."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """A batch that an agent wants to be paid, and how stubborn it is."""

    rows: Sequence[Row]
    asks: int = 4
    """How often it asks at most, until every row has an outcome."""
    hangs_up: bool = False
    """Leave the first time as soon as the request is on its way."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """The life of one worker."""

    name: str
    settings: Mapping[str, str]
    answers: Path
    """Every answer it gets, a line each; written at once, so that a kill takes none back."""
    lanes: Sequence[Sequence[Call]]
    """What its agents call, each lane in order, all lanes at once."""
    dies_at: str | None = None
    """The point at which it kills itself; see `seams`."""
    dies_on: int = 1
    """The how manieth time that it gets there."""
    stops_at: str | None = None
    """The point at which it falls asleep, as in a suspended machine, until it is woken."""
    mutant: str | None = None
    """The mistake in the product that it runs with."""
    gate: Path | None = None
    """A FIFO: it gets ready, and waits until somebody opens the other end."""
    lingers: bool = False
    """Stay, and go on settling, until killed."""

    def dump(self) -> str:
        return json.dumps(asdict(self), default=str)

    @classmethod
    def load(cls, text: str) -> Job:
        raw: dict[str, Any] = json.loads(text)
        raw["lanes"] = [[Call(**call) for call in lane] for lane in raw["lanes"]]
        raw["answers"] = Path(raw["answers"])
        raw["gate"] = raw["gate"] and Path(raw["gate"])
        return cls(**raw)


def settings_for(base_url: str, ledger_url: str, **more: str) -> dict[str, str]:
    """Settings of a server whose waiting takes seconds, not minutes."""
    usual = {
        "FINEXIO_BASE_URL": base_url,
        "FINEXIO_USERNAME": "demo",
        "FINEXIO_PASSWORD": "demo",
        "FINEXIO_MCP_RATE": "0",
        "FINEXIO_MCP_LEDGER_URL": ledger_url,
        "FINEXIO_MCP_STATE_KEY": "the same on every host, 32 long or more",
        "FINEXIO_MCP_ALLOW_VOLATILE_LEDGER": "1",
        "FINEXIO_MCP_BATCH_SECONDS": str(BATCH_SECONDS),
        "FINEXIO_MCP_ANSWER_SECONDS": "1.5",
        "FINEXIO_MCP_LOOK_SECONDS": ",".join(map(str, range(61))),
        "FINEXIO_MCP_LOG_LEVEL": "error",
    }
    return {**usual, **more}
