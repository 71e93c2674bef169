"""Calls as a client makes them, and the client for Finexio beneath them."""
