"""Serves until its input ends: `python -m tests.authority`, which says on its output where it is."""

from __future__ import annotations

import argparse
import json
import socket
import ssl
import sys
import threading

import uvicorn

from tests.authority.app import build
from tests.authority.books import Books


def main() -> None:
    """Listen on a free port of this machine."""
    parser = argparse.ArgumentParser(prog="python -m tests.authority")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--path", default="", help="The path of the issuer, such as /realms/acme.")
    parser.add_argument("--trust", help="A certificate to believe, where clients keep documents about themselves.")
    chosen = parser.parse_args()

    listener = socket.create_server(("127.0.0.1", chosen.port))
    issuer = f"http://127.0.0.1:{listener.getsockname()[1]}{chosen.path}"
    books = Books(issuer=issuer, trust=ssl.create_default_context(cafile=chosen.trust))
    asking = books.add_resource_server()
    server = uvicorn.Server(
        uvicorn.Config(build(books), log_level="warning", ws="none", lifespan="off", timeout_graceful_shutdown=1)
    )

    def leave_at_end() -> None:
        sys.stdin.read()
        server.should_exit = True

    threading.Thread(target=leave_at_end, daemon=True).start()
    ready = {"issuer": issuer, "client_id": asking.client_id, "client_secret": asking.secret}
    sys.stdout.write(json.dumps(ready) + "\n")
    sys.stdout.flush()
    server.run(sockets=[listener])


if __name__ == "__main__":
    main()
