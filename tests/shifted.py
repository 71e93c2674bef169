"""The real `finexio-mcp`, but for the clock by which it judges tokens: a file says how many seconds that is ahead."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import SimpleNamespace

AHEAD = "CLOCK_AHEAD_FILE"
"""The variable that names the file."""


def main() -> None:
    """Run the command that the arguments say."""
    from finexio_mcp import cli
    from finexio_mcp.access import verifier

    ahead = Path(os.environ[AHEAD])
    setattr(verifier, "time", SimpleNamespace(time=lambda: time.time() + float(ahead.read_text())))  # noqa: B010
    cli.main()


if __name__ == "__main__":
    main()
