"""The server over HTTP, reached as clients reach it: over a socket."""
