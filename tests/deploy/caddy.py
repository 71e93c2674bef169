"""The real proxy with the real Caddyfile, at addresses of the test's own."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import ssl
import subprocess
import sysconfig
import threading
from collections.abc import Generator, Iterable
from functools import cached_property
from pathlib import Path

from tests.deploy.composed import CADDYFILE

CADDY = shutil.which("caddy", path=sysconfig.get_path("scripts")) or "caddy"
PATIENCE_SECONDS = 20.0
HANDSHAKES = 1_000
HOST = "localhost"


class Proxy:
    """A proxy that runs."""

    def __init__(self, process: subprocess.Popen[str], home: Path, https_port: int, http_port: int) -> None:
        self.https_port, self.http_port = https_port, http_port
        self._process, self._home = process, home
        self._lines: list[str] = []
        self._heard = threading.Condition()
        # What nobody reads would fill its pipe.
        self._reader = threading.Thread(target=self._listen, daemon=True)
        self._reader.start()

    @property
    def base_url(self) -> str:
        return f"https://{HOST}:{self.https_port}"

    @cached_property
    def trust(self) -> ssl.SSLContext:
        """Trusts the authority that the proxy made for itself, and nobody else."""
        return ssl.create_default_context(cafile=str(self._home / "caddy/pki/authorities/local/root.crt"))

    @property
    def log(self) -> str:
        """All that it said until now."""
        return "".join(self._lines)

    def says(self, piece: str) -> None:
        """Wait until a line with this piece is there."""
        with self._heard:
            self._heard.wait_for(lambda: piece in self.log or self._process.poll() is not None, PATIENCE_SECONDS)
        assert piece in self.log, self.log

    def greet(self) -> None:
        """Wait until a client is shown the certificate, which is not in use yet when it is said to be there."""
        self.says("serving initial configuration")
        self.says("certificate obtained successfully")
        for _ in range(HANDSHAKES):
            with (
                contextlib.suppress(ssl.SSLError),
                socket.create_connection(("127.0.0.1", self.https_port), PATIENCE_SECONDS) as sock,
                self.trust.wrap_socket(sock, server_hostname=HOST),
            ):
                return
        raise AssertionError(self.log)

    def close(self) -> None:
        """Once it has ended."""
        self._reader.join(PATIENCE_SECONDS)

    def _listen(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            with self._heard:
                self._lines.append(line)
                self._heard.notify_all()
        self._process.wait()
        with self._heard:
            self._heard.notify_all()


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


def environment(home: Path) -> dict[str, str]:
    """What the Caddyfile needs in order to be read."""
    own = {"XDG_DATA_HOME": str(home), "XDG_CONFIG_HOME": str(home), "HOME": str(home)}
    return {**os.environ, **own, "MCP_HOST": HOST, "TLS": "internal", "LISTEN": "127.0.0.1"}


@contextlib.contextmanager
def running(home: Path, servers: Iterable[int], *, https_port: int | None = None) -> Generator[Proxy]:
    """The proxy before servers on these ports of this machine."""
    https_port, http_port = https_port or free_port(), free_port()
    addresses = {
        "HTTP_PORT": str(http_port),
        "HTTPS_PORT": str(https_port),
        "SERVERS": " ".join(f"127.0.0.1:{port}" for port in servers),
        "CADDY_ADMIN": f"127.0.0.1:{free_port()}",
    }
    with subprocess.Popen(
        [CADDY, "run", "--config", str(CADDYFILE), "--adapter", "caddyfile"],
        env={**environment(home), **addresses},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        proxy = Proxy(process, home, https_port, http_port)
        try:
            proxy.greet()
            yield proxy
        finally:
            process.kill()
            proxy.close()
