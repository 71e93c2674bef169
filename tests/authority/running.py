"""Starts the authorization server as a process, stops it, and steers it."""

from __future__ import annotations

import contextlib
import json
import ssl
import subprocess
import sys
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import httpx2

COMMAND = [sys.executable, "-W", "error", "-m", "tests.authority"]
STOP_SECONDS = 10
NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

Endpoint = Literal["authorize", "token", "register", "introspect", "revoke", "jwks", "oauth", "openid"]


@dataclass(frozen=True, kw_only=True)
class Authority:
    """One that runs. What a test tells it holds until it is told otherwise."""

    issuer: str
    client_id: str
    """With what a resource server signs in to ask about tokens."""
    client_secret: str
    http: httpx2.Client

    def behave(self, **manner: Any) -> None:
        """Answer as the fields of `Manner` say from now on."""
        self._control("behave", manner)

    def rotate(self, *, keep: bool = True) -> str:
        """Sign with a new key; `keep`: tokens of the earlier ones stay good. Gives its id."""
        return self._control("rotate", {"keep": keep})["kid"]

    def mint(
        self,
        *,
        resource: str | None = None,
        scope: str = "",
        claims: Mapping[str, Any] | None = None,
        header: Mapping[str, Any] | None = None,
        kind: Literal["jwt", "opaque", "forged"] = "jwt",
    ) -> str:
        """A token of the key that signs now, good but for what is changed; `None` takes a claim or a field away."""
        about = {"resource": resource, "scope": scope, "claims": claims or {}, "header": header or {}, "kind": kind}
        return self._control("mint", about)["token"]

    def revoke(self, user: str) -> None:
        """Take back all that a user allowed."""
        self._control("revoke", {"user": user})

    def fail(self, endpoint: Endpoint, status: int) -> None:
        """Answer requests for this endpoint with nothing but a status."""
        self._control("trouble", {"endpoint": endpoint, "status": status})

    def hold(self, endpoint: Endpoint) -> None:
        """Keep requests for this endpoint waiting until `recover`."""
        self._control("trouble", {"endpoint": endpoint, "held": True})

    def recover(self, endpoint: Endpoint) -> None:
        self._control("trouble", {"endpoint": endpoint})

    def counts(self) -> dict[str, int]:
        """Requests so far, by endpoint; those for tokens also by what was offered for them."""
        return self.http.get("/control/counts").raise_for_status().json()

    def _control(self, name: str, body: Any) -> dict[str, Any]:
        return self.http.post(f"/control/{name}", json=body).raise_for_status().json()


@contextlib.contextmanager
def authority(*, path: str = "", trust: Path | None = None) -> Generator[Authority]:
    """Run one.

    Args:
        path: Where its issuer is below its host, such as `/realms/acme`.
        trust: A certificate to believe, where clients keep documents about themselves.
    """
    options = ["--path", path] + (["--trust", str(trust)] if trust else [])
    with subprocess.Popen([*COMMAND, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            said: dict[str, str] = json.loads(process.stdout.readline())
            parts = urlsplit(said["issuer"])
            origin = f"{parts.scheme}://{parts.netloc}"
            with httpx2.Client(base_url=origin, verify=NO_CERTIFICATES, trust_env=False, timeout=10) as http:
                yield Authority(**said, http=http)
        finally:
            process.stdin.close()
            try:
                process.wait(STOP_SECONDS)
            finally:
                process.kill()
