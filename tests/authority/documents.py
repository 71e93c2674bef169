"""Where clients keep documents about themselves: an https server on this machine, with a certificate of its own."""

from __future__ import annotations

import contextlib
import datetime
import json
import ssl
import threading
from collections.abc import Generator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True, kw_only=True)
class Documents:
    """What is published, by path."""

    origin: str
    certificate: Path
    by_path: dict[str, Any] = field(default_factory=dict[str, Any])

    def publish(self, name: str, **about: Any) -> str:
        """Put up a document about a client, and give its address, which is the client's id."""
        address = f"{self.origin}/{name}"
        self.by_path[f"/{name}"] = {"client_id": address, "client_name": name, **about}
        return address


def _certify(directory: Path) -> Path:
    """A certificate for `localhost`, and its key, in one file."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = directory / "localhost.pem"
    pem = serialization.Encoding.PEM
    plain = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(certificate.public_bytes(pem) + plain)
    return path


@contextlib.contextmanager
def documents(directory: Path) -> Generator[Documents]:
    """Serve documents until left."""
    certificate = _certify(directory)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = shown.by_path.get(self.path)
            body = json.dumps(found).encode()
            self.send_response(404 if found is None else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        shown = Documents(origin=f"https://localhost:{server.server_port}", certificate=certificate)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield shown
        finally:
            server.shutdown()
            thread.join(5)
