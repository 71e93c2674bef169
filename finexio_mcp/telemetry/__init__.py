"""What operators watch beside the log: metrics for Prometheus, spans for OpenTelemetry."""

SCOPE = "finexio_mcp"
"""Whose spans ours are."""
