"""The public keys of the outside issuer, and what each of them may prove."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx2
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import Algorithm, ECAlgorithm, OKPAlgorithm, RSAAlgorithm, get_default_algorithms
from jwt.exceptions import InvalidKeyError

from finexio_mcp.access.inquiry import NoReply, ask
from finexio_mcp.access.issuers import Issuer, undecided
from finexio_mcp.access.kept import Kept, Now
from finexio_mcp.access.refusals import Advice
from finexio_mcp.shapes import is_array, is_object

FRESH_SECONDS = 15 * 60.0
USABLE_SECONDS = 3600.0
"""While the issuer is down its keys are good for this long; one that it withdrew meanwhile is, too."""
RENEWAL_SECONDS = 10.0
"""A token with an unknown key causes a fetch, but never more than one in this time: anybody can make up such tokens."""
MAX_KEYS = 64
RSA_BITS = range(2048, 8193)
"""Shorter ones can be broken, longer ones take the time of everybody else."""

ON_RSA = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
ON_CURVES: Mapping[tuple[str, str], str] = {
    ("EC", "P-256"): "ES256",
    ("EC", "P-384"): "ES384",
    ("EC", "P-521"): "ES512",
    ("OKP", "Ed25519"): "EdDSA",
}
ALGORITHMS: Mapping[str, Algorithm] = {
    name: algorithm
    for name, algorithm in get_default_algorithms().items()
    if name in ON_RSA or name in ON_CURVES.values()
}
"""The closed list. A signature can be made with a public key, or with none, by those that are not on it."""

READERS: Mapping[str, tuple[tuple[str, ...], Callable[[dict[str, Any]], Any]]] = {
    "RSA": (("kty", "n", "e"), RSAAlgorithm.from_jwk),
    "EC": (("kty", "crv", "x", "y"), ECAlgorithm.from_jwk),
    "OKP": (("kty", "crv", "x"), OKPAlgorithm.from_jwk),
}

logger = logging.getLogger("finexio_mcp.access")


@dataclass(frozen=True)
class Key:
    """A public key, the name it goes by and the algorithms that it may be used with."""

    kid: str | None
    algorithms: frozenset[str]
    public: Any = field(repr=False)

    def signed(self, signature: bytes, data: bytes, algorithm: str) -> bool:
        """Whether this key made that signature."""
        return ALGORITHMS[algorithm].verify(data, self.public, signature)


class KeySet:
    """The keys as they were published at one time."""

    def __init__(self, keys: list[Key]) -> None:
        self._keys = keys

    def __len__(self) -> int:
        return len(self._keys)

    def fitting(self, kid: str | None, algorithm: str) -> list[Key]:
        """Those of that name, and of any name if the token gives none, that may be used with the algorithm."""
        return [key for key in self._keys if algorithm in key.algorithms and kid in (None, key.kid)]


class KeyRing:
    """The issuer's keys, fetched at the first use and again when they have aged or a token names an unknown one."""

    def __init__(self, issuer: Issuer, http: httpx2.AsyncClient, now: Now) -> None:
        self._issuer = issuer
        self._http = http
        self._kept = Kept(
            "keys of the authorization server",
            self._fetch,
            fresh_seconds=FRESH_SECONDS,
            usable_seconds=USABLE_SECONDS,
            now=now,
        )

    @property
    def held(self) -> KeySet | None:
        """The keys that were fetched last."""
        return self._kept.held

    async def get(self) -> KeySet:
        """The keys.

        Raises:
            Undecided: They cannot be had.
        """
        return await self._kept.get()

    async def newer(self, than: KeySet) -> KeySet:
        """The keys as they are now, unless these are so already.

        Raises:
            Undecided: They cannot be had.
        """
        return await self._kept.newer(than, at_most_every_seconds=RENEWAL_SECONDS)

    async def _fetch(self) -> KeySet:
        address = (await self._issuer.metadata()).keys_address()
        reply = await ask(self._http, address)
        if isinstance(reply, NoReply):
            raise undecided(Advice.UNREACHABLE)
        if reply.status >= 500:
            raise undecided(Advice.FAILED)
        published = reply.body.get("keys") if reply.status == 200 and reply.body is not None else None
        if not is_array(published):
            raise undecided(Advice.UNREADABLE_KEYS)
        keys = [key for jwk in published[:MAX_KEYS] if (key := read_key(jwk)) is not None]
        # Taken over even so: whoever withdraws all keys has a reason to.
        if not keys:
            logger.warning("%s", Advice.NO_USABLE_KEY)
        return KeySet(keys)


def read_key(jwk: Any) -> Key | None:
    """A published key, if it is one for signatures that is strong enough and not spoilt."""
    if not is_object(jwk) or not _is_for_verifying(jwk):
        return None
    kty, kid, stated = jwk.get("kty"), jwk.get("kid"), jwk.get("alg")
    if not isinstance(kty, str) or kty not in READERS or not (kid is None or isinstance(kid, str)):
        return None
    members, read = READERS[kty]
    try:
        public = read({name: jwk[name] for name in members})
    except (KeyError, TypeError, ValueError, InvalidKeyError, UnsupportedAlgorithm):
        return None
    algorithms = _algorithms(kty, jwk.get("crv"), public)
    if stated is not None:
        algorithms = algorithms & {stated} if isinstance(stated, str) else frozenset[str]()
    return Key(kid, algorithms, public) if algorithms else None


def _is_for_verifying(jwk: dict[str, Any]) -> bool:
    operations = jwk.get("key_ops")
    allowed = operations is None or (is_array(operations) and "verify" in operations)
    # With its private half published, anybody can sign.
    return allowed and jwk.get("use") in (None, "sig") and "d" not in jwk


def _algorithms(kty: str, curve: Any, public: Any) -> frozenset[str]:
    if isinstance(public, RSAPublicKey):
        return ON_RSA if public.key_size in RSA_BITS else frozenset()
    return frozenset({name} if (name := ON_CURVES.get((kty, curve))) is not None else ())
