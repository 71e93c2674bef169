"""Why a token is not taken: it is no good, it allows nothing here, or nobody can tell just now."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """All that is ever said about a bad token. ASCII without quotes or backslashes: it goes into a header."""

    UNREADABLE = "This is no token that the server can read."
    NOT_TAKEN = "The server takes no token of this kind."
    UNKNOWN = "The token is unknown, expired or revoked."
    NOT_ALLOWED_ALGORITHM = "The token is signed in a way that is not allowed."
    EXTENSION = "The token depends on an extension that the server does not know."
    NO_ACCESS_TOKEN = "The token is of another kind than an access token."
    BOUND = "The token is bound to a key of its holder, which the server cannot check."
    UNKNOWN_KEY = "The token is signed with a key that the issuer does not publish."
    SIGNATURE = "The signature of the token is wrong."
    CLAIM = "A claim of the token is not of the type that it should be."
    ISSUER = "The token is from another issuer."
    AUDIENCE = "The token is for another server."
    NO_EXPIRY = "The token does not say when it expires."
    EXPIRED = "The token has expired."
    NOT_YET = "The token is not valid yet."
    NOBODY = "The token names neither a subject nor a client."
    ACCOUNT = "The token names no account, or names one in a way that no account is named."
    INACTIVE = "The issuer says that the token is not active."


class Advice(StrEnum):
    """What an operator can do when the issuer is of no use."""

    UNREACHABLE = (
        "The authorization server does not answer. Check FINEXIO_MCP_OAUTH_ISSUER, and that this host may reach it."
    )
    NO_METADATA = (
        "The authorization server publishes no metadata at the addresses that follow from FINEXIO_MCP_OAUTH_ISSUER."
    )
    OTHER_ISSUER = (
        "The metadata of the authorization server names another issuer than FINEXIO_MCP_OAUTH_ISSUER; the two have "
        "to be equal to the letter, a slash at the end included."
    )
    UNSAFE_ADDRESS = "The metadata of the authorization server names an address that is not https."
    NO_KEYS = (
        "The authorization server publishes no keys (jwks_uri) in its metadata, so signed tokens cannot be checked."
    )
    UNREADABLE_KEYS = "What the authorization server publishes as its keys is no set of keys."
    NO_USABLE_KEY = (
        "The authorization server publishes no key for signatures that this server takes: RSA of 2048 bits or more, "
        "P-256, P-384, P-521 or Ed25519."
    )
    NO_INTROSPECTION = (
        "The authorization server names no introspection_endpoint in its metadata, so opaque tokens cannot be checked. "
        "Let it issue signed tokens (JWT)."
    )
    CREDENTIALS = (
        "The authorization server does not take the credentials of this server. Check FINEXIO_MCP_OAUTH_CLIENT_ID and "
        "FINEXIO_MCP_OAUTH_CLIENT_SECRET, and that this client may introspect tokens."
    )
    FAILED = "The authorization server failed while a token was checked. Try again later."
    UNREADABLE_ANSWER = "The authorization server answered about a token in a way that cannot be read."
    BUSY = "Too many tokens wait for the authorization server. Try again later."


class InvalidToken(Exception):
    """The token is not good: 401."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(str(reason))
        self.reason = reason


class NoScope(Exception):
    """The token is good, and carries no scope of this server: 403."""

    def __init__(self) -> None:
        super().__init__("The token carries no scope of this server.")


class Undecided(Exception):
    """Whether the token is good cannot be told now: 503. `advice` is for the operator, and no secret."""

    def __init__(self, advice: str, retry_after_s: int) -> None:
        super().__init__(str(advice))
        self.advice = str(advice)
        self.retry_after_s = retry_after_s
