"""The audit: every call, with who made it and what came of it, in a chain that shows whether somebody edited it."""
