"""Metrics, if the settings ask for them; what they need is imported only then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from finexio_mcp.settings import NAMES, SettingProblem, Settings, SettingsError
from finexio_mcp.telemetry.sources import Sources

if TYPE_CHECKING:
    from finexio_mcp.telemetry.metrics import Metrics


@dataclass(frozen=True)
class Metering:
    """Metrics that are counted and served."""

    metrics: Metrics
    """To be told of calls and requests."""
    port: int
    close: Callable[[], None]
    """Takes the port away; blocks for a moment."""


def start(settings: Settings, sources: Sources) -> Metering | None:
    """Count, and serve what is counted; `None` if no port is set.

    Raises:
        SettingsError: The port cannot be had, or a package is missing.
    """
    if settings.metrics_port is None:
        return None
    try:
        from prometheus_client import disable_created_metrics

        from finexio_mcp.telemetry.metrics import Metrics
        from finexio_mcp.telemetry.scraping import serve_metrics
    except ModuleNotFoundError:
        raise SettingsError(
            [
                SettingProblem(
                    NAMES["metrics_port"],
                    "is set, but what counts is not installed. Install finexio-mcp[metrics], or unset it.",
                )
            ]
        ) from None
    # Each series would be there twice, the second time with the moment at which it began.
    disable_created_metrics()
    metrics = Metrics(sources)
    server = serve_metrics(settings, metrics.registry)
    return Metering(metrics, server.port, server.close)
