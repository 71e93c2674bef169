"""Tests of what a query holds."""
