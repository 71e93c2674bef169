"""The real `finexio-mcp`, but for leases and pauses of seconds, so that a test can wait for them."""

from __future__ import annotations

from tests.torture import seams


def main() -> None:
    """Run the command that the arguments say."""
    from finexio_mcp import hub, settling

    seams.shorten()
    for module, name in ((settling, "SHARED_NAP_SECONDS"), (settling, "FAILED_NAP_SECONDS"), (hub, "TEND_SECONDS")):
        assert hasattr(module, name)
        setattr(module, name, 1.0)

    from finexio_mcp.cli import main as run

    run()


if __name__ == "__main__":
    main()
