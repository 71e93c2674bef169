"""The built-in authorization server, as clients, people and strangers use it."""
