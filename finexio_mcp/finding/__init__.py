"""Answers for hosts that know two tools only: search everything, fetch one thing."""
