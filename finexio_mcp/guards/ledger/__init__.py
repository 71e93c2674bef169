"""The durable record of every write: what was meant to leave, what left, and what came of it."""
