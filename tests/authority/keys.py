"""The keys that sign, and what is made with them; bad tokens too, for those who must refuse them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from typing import Any, Literal

from joserfc import jwt
from joserfc.jwk import ECKey, KeyParameters, KeySet, RSAKey
from joserfc.jws import JWSRegistry

Algorithm = Literal["RS256", "ES256"]
Key = RSAKey | ECKey


def _new(algorithm: Algorithm) -> Key:
    more: KeyParameters = {"use": "sig", "alg": algorithm, "kid": secrets.token_hex(8)}
    if algorithm == "RS256":
        return RSAKey.generate_key(2048, more)
    return ECKey.generate_key("P-256", more)


class Keys:
    """One that signs, and those that are still published."""

    def __init__(self) -> None:
        self._published: list[Key] = []
        self.rotate("RS256", keep=False)

    def rotate(self, algorithm: Algorithm, *, keep: bool) -> None:
        """Sign with a new key from now on.

        Args:
            algorithm: What it is for.
            keep: Whether the earlier keys stay published.
        """
        self.algorithm: Algorithm = algorithm
        self.current = _new(algorithm)
        self._published = [*(self._published if keep else []), self.current]

    def published(self) -> dict[str, Any]:
        return dict(KeySet([*self._published]).as_dict(private=False))

    def sign(self, claims: Mapping[str, Any], header: Mapping[str, Any] = {}) -> str:
        """A token as this server makes them, but for what `header` changes; `None` leaves a field out."""
        usual = {"alg": self.algorithm, "typ": "at+jwt", "kid": self.current.kid}
        full = {name: value for name, value in {**usual, **header}.items() if value is not None}
        # By hand, since the library refuses to make what nobody should take.
        text = ".".join(_base64(json.dumps(part).encode()) for part in (full, claims))
        return f"{text}.{_base64(self._signature(full['alg'], text.encode()))}"

    def _signature(self, algorithm: str, data: bytes) -> bytes:
        match algorithm:
            case "none":
                return b""
            case "HS256":
                # The oldest trick: what everybody may know, taken for a shared secret.
                return hmac.digest(self.current.as_pem(private=False), data, hashlib.sha256)
            case _:
                return JWSRegistry.algorithms[algorithm].sign(data, self.current)

    def forge(self, claims: Mapping[str, Any]) -> str:
        """A token that names our key and is signed with another one."""
        header = {"alg": self.algorithm, "typ": "at+jwt", "kid": self.current.kid}
        return jwt.encode(header, dict(claims), _new(self.algorithm))


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
