"""The real server over stdio, as a host starts it, but for leases of seconds."""

from __future__ import annotations

from tests.torture import seams
from tests.torture.nursery import end_with_parent


def main() -> None:
    """Serve until killed, or until the input ends."""
    end_with_parent()
    seams.shorten()
    from finexio_mcp.cli import main as serve

    serve()


if __name__ == "__main__":
    main()
