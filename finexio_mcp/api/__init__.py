"""Finexio's HTTP API: the one place that speaks HTTP."""
