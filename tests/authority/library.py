"""Authlib's server over our books: the only module that touches what has no types."""

from __future__ import annotations

import json
import secrets
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import Any

from joserfc.jwk import KeySet

from tests.authority.books import Books
from tests.authority.records import SCOPES, Client, Code, Person, Token


def _part(name: str) -> Any:
    # Type checkers bring stubs of their own for Authlib, which are those of an older one.
    return import_module(f"authlib.oauth2.{name}")


oauth2, errors, grants = _part("rfc6749"), _part("rfc6749.errors"), _part("rfc6749.grants")
bearer, revocation, registration, pkce = _part("rfc6750"), _part("rfc7009"), _part("rfc7591"), _part("rfc7636")
introspection, well_known, jwt_tokens, issuer = _part("rfc7662"), _part("rfc8414"), _part("rfc9068"), _part("rfc9207")

CODE_SECONDS = 60
METHODS = ["none", "client_secret_basic", "client_secret_post"]
GRANT_TYPES = ["authorization_code", "refresh_token"]

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request, read to its end."""

    method: str
    url: str
    headers: Mapping[str, str]
    query: Pairs = ()
    form: Pairs = ()
    body: Any = None


@dataclass(kw_only=True)
class Reply:
    """What goes back. Authlib's extensions look for `location`, and change it."""

    status: int
    body: str
    headers: dict[str, str]

    @property
    def location(self) -> str | None:
        return self.headers.get("Location")

    @location.setter
    def location(self, value: str) -> None:
        self.headers["Location"] = value


class Payload(oauth2.OAuth2Payload):
    def __init__(self, asked: Asked) -> None:
        self._pairs = asked.query + asked.form

    @cached_property
    def data(self) -> dict[str, str]:
        return dict(self._pairs)

    @cached_property
    def datalist(self) -> defaultdict[str, list[str]]:
        values: defaultdict[str, list[str]] = defaultdict(list)
        for name, value in self._pairs:
            values[name].append(value)
        return values


class FormRequest(oauth2.OAuth2Request):
    def __init__(self, asked: Asked) -> None:
        super().__init__(asked.method, asked.url, headers=asked.headers)  # pyright: ignore[reportUnknownMemberType]
        self.payload = Payload(asked)
        self._asked = asked

    @property
    def args(self) -> dict[str, str]:
        return dict(self._asked.query)

    @property
    def form(self) -> dict[str, str]:
        return dict(self._asked.form)


class BodyPayload(oauth2.JsonPayload):
    def __init__(self, body: Any) -> None:
        self._body = body

    @property
    def data(self) -> Any:
        return self._body


class BodyRequest(oauth2.JsonRequest):
    def __init__(self, asked: Asked) -> None:
        super().__init__(asked.method, asked.url, asked.headers)  # pyright: ignore[reportUnknownMemberType]
        self.payload = BodyPayload(asked.body)


class Proof(pkce.CodeChallenge):
    """PKCE with S256, asked of every client."""

    SUPPORTED_CODE_CHALLENGE_METHOD = ["S256"]  # noqa: RUF012
    CODE_CHALLENGE_METHODS = {"S256": pkce.CodeChallenge.CODE_CHALLENGE_METHODS["S256"]}  # noqa: RUF012

    def validate_code_challenge(self, grant: Any, redirect_uri: str) -> None:
        # Authlib would let a request without one pass, and refuse its code later.
        if not {"code_challenge", "code_challenge_method"} <= set(grant.request.payload.data):
            raise errors.InvalidRequestError("A code challenge with S256 is required.")
        super().validate_code_challenge(grant, redirect_uri)  # pyright: ignore[reportUnknownMemberType]


def _check_resource(resources: list[str], earlier: str | None = None) -> None:
    if len(resources) > 1 or any("#" in resource for resource in resources):
        raise oauth2.OAuth2Error("One resource without a fragment is expected.", error="invalid_target")
    if earlier is not None and resources not in ([], [earlier]):
        raise oauth2.OAuth2Error("The grant is for another resource.", error="invalid_target")


class Resource:
    """RFC 8707: whom the token is for. It stays the same for all that comes of one sign-in."""

    def __call__(self, grant: Any) -> None:
        grant.register_hook("after_validate_authorization_request_payload", self._look)
        grant.register_hook("after_validate_token_request", self._compare)

    def _look(self, grant: Any, _redirect_uri: str) -> None:
        _check_resource(grant.request.payload.datalist["resource"])

    def _compare(self, grant: Any, _result: Any) -> None:
        code: Code = grant.request.authorization_code
        _check_resource(grant.request.payload.datalist["resource"], code.person.resource)


class Issuer(issuer.IssuerParameter):
    def __init__(self, name: str) -> None:
        self._name = name

    def get_issuer(self) -> str:
        return self._name


class SignedTokens(jwt_tokens.JWTBearerTokenGenerator):
    """RFC 9068, for the resource that the person signed in for."""

    def __init__(self, books: Books) -> None:
        super().__init__(books.issuer, alg=books.keys.algorithm, refresh_token_generator=_random)  # pyright: ignore[reportUnknownMemberType]
        self._books = books

    def get_jwks(self) -> Any:
        # From a set, so that the header says which key it is.
        return KeySet([self._books.keys.current])

    def get_audiences(self, client: Client, user: Person, scope: str) -> str:
        return user.resource or client.client_id

    def _get_expires_in(self, client: Client, grant_type: str) -> int:
        return self._books.manner.access_seconds


def _random(**_about: Any) -> str:
    return secrets.token_urlsafe(32)


class Server(oauth2.AuthorizationServer):
    """Joins Authlib's parts."""

    def __init__(self, books: Books) -> None:
        super().__init__(scopes_supported=list(SCOPES))  # pyright: ignore[reportUnknownMemberType]
        self.books = books
        self.register_token_generator("default", self._make)
        self.register_grant(CodeGrant, [Proof(required=True), Resource()])
        self.register_grant(Refreshing)
        self.register_extension(Issuer(books.issuer))
        for endpoint in (Introspection, Revocation, Registration):
            self.register_endpoint(endpoint)

    def _make(self, **about: Any) -> dict[str, Any]:
        if self.books.manner.tokens == "jwt":
            return SignedTokens(self.books)(**about)
        return bearer.BearerTokenGenerator(_random, _random, self.books.manner.access_seconds)(**about)

    def query_client(self, client_id: str) -> Client | None:
        return self.books.client(client_id)

    def save_token(self, token: dict[str, Any], request: Any) -> None:
        person, client = request.user, request.client
        self.books.tokens.append(
            Token(
                access=token["access_token"],
                refresh=token.get("refresh_token"),
                client_id=client.client_id,
                scope=token["scope"],
                person=person,
                claims=self.books.claims(client.client_id, person, token["scope"]),
                expires_at=time.time() + token["expires_in"],
            )
        )

    def create_oauth2_request(self, request: Asked | FormRequest) -> FormRequest:
        return request if isinstance(request, FormRequest) else FormRequest(request)

    def create_json_request(self, request: Asked) -> BodyRequest:
        return BodyRequest(request)

    def handle_response(self, status: int, body: Any, headers: Any) -> Reply:
        text = body if isinstance(body, str) else json.dumps(body)
        return Reply(status=status, body=text, headers=dict(headers))

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        pass

    def authorize(self, asked: Asked) -> Reply:
        """Sign in and consent, as told."""
        manner, request = self.books.manner, self.create_oauth2_request(asked)
        person = Person(name=manner.user, resource=request.payload.data.get("resource"))
        try:
            grant = self.get_authorization_grant(request)
            grant.validate_no_multiple_request_parameter(request)
        except oauth2.OAuth2Error as error:
            error.state = request.payload.state
            return self.handle_error_response(request, error)
        return self.create_authorization_response(request, None if manner.refuses else person, grant)


class CodeGrant(grants.AuthorizationCodeGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = METHODS

    def save_authorization_code(self, code: str, request: Any) -> None:
        books: Books = self.server.books
        consents_to = books.manner.consents_to
        scopes = [name for name in request.scope.split() if consents_to is None or name in consents_to]
        if not scopes:
            raise errors.AccessDeniedError(redirect_uri=request.payload.redirect_uri)
        about = request.payload.data
        books.codes[code] = Code(
            text=code,
            client_id=request.client.client_id,
            redirect_uri=request.payload.redirect_uri,
            scope=" ".join(scopes),
            person=request.user,
            code_challenge=about["code_challenge"],
            code_challenge_method=about["code_challenge_method"],
            expires_at=time.time() + CODE_SECONDS,
        )

    def query_authorization_code(self, code: str, client: Client) -> Code | None:
        return self.server.books.take_code(code, client)

    def delete_authorization_code(self, authorization_code: Code) -> None:
        pass

    def authenticate_user(self, authorization_code: Code) -> Person:
        return authorization_code.person


class Refreshing(grants.RefreshTokenGrant):
    """Each refresh token is good once; with it goes the access token that came with it."""

    TOKEN_ENDPOINT_AUTH_METHODS = METHODS
    INCLUDE_NEW_REFRESH_TOKEN = True

    def validate_token_request(self) -> None:
        super().validate_token_request()  # pyright: ignore[reportUnknownMemberType]
        _check_resource(self.request.payload.datalist["resource"], self.request.refresh_token.person.resource)

    def authenticate_refresh_token(self, refresh_token: str) -> Token | None:
        token = self.server.books.token(refresh_token)
        return token if token and token.refresh == refresh_token and not token.refresh_revoked else None

    def authenticate_user(self, refresh_token: Token) -> Person:
        return refresh_token.person

    def revoke_old_credential(self, refresh_token: Token) -> None:
        self.server.books.revoke(refresh_token)


class Introspection(introspection.IntrospectionEndpoint):
    CLIENT_AUTH_METHODS = ["client_secret_basic", "client_secret_post"]  # noqa: RUF012

    def query_token(self, token_string: str, token_type_hint: str | None) -> Token | None:
        return self.server.books.token(token_string)

    def check_permission(self, token: Token, client: Client, request: Any) -> bool:
        return client.asks_about_tokens

    def introspect_token(self, token: Token) -> dict[str, Any]:
        return {"active": True, "token_type": "Bearer", "username": token.person.name, **token.claims}


class Revocation(revocation.RevocationEndpoint):
    CLIENT_AUTH_METHODS = METHODS

    def query_token(self, token_string: str, token_type_hint: str | None) -> Token | None:
        return self.server.books.token(token_string)

    def revoke_token(self, token: Token, request: Any) -> None:
        self.server.books.revoke(token)


class Registration(registration.ClientRegistrationEndpoint):
    """Open to everybody, as clients of MCP expect."""

    def authenticate_token(self, request: Any) -> bool:
        return True

    def get_server_metadata(self) -> dict[str, Any]:
        return metadata(self.server.books)

    def generate_client_info(self, request: Any) -> dict[str, Any]:
        made: Any = super()
        about: dict[str, Any] = made.generate_client_info(request)
        if request.payload.data.get("token_endpoint_auth_method") == "none":
            del about["client_secret"], about["client_secret_expires_at"]
        return about

    def save_client(self, client_info: dict[str, Any], client_metadata: dict[str, Any], request: Any) -> Client:
        client = Client(
            client_id=client_info["client_id"],
            secret=client_info.get("client_secret"),
            method=client_metadata["token_endpoint_auth_method"],
            redirect_uris=tuple(client_metadata.get("redirect_uris", ())),
            grant_types=tuple(client_metadata.get("grant_types", ("authorization_code",))),
        )
        self.server.books.clients[client.client_id] = client
        return client


def metadata(books: Books) -> dict[str, Any]:
    """RFC 8414, with what OpenID Connect asks for besides; Authlib has checked it."""
    about = well_known.AuthorizationServerMetadata(
        issuer=books.issuer,
        **{
            f"{name}_endpoint": f"{books.issuer}/{path}"
            for name, path in (
                ("authorization", "authorize"),
                ("token", "token"),
                ("introspection", "introspect"),
                ("revocation", "revoke"),
                ("registration", "register"),
            )
        },
        jwks_uri=f"{books.issuer}/jwks",
        scopes_supported=list(SCOPES),
        response_types_supported=["code"],
        response_modes_supported=["query"],
        grant_types_supported=GRANT_TYPES,
        token_endpoint_auth_methods_supported=METHODS,
        introspection_endpoint_auth_methods_supported=Introspection.CLIENT_AUTH_METHODS,
        revocation_endpoint_auth_methods_supported=METHODS,
        code_challenge_methods_supported=["S256"],
        authorization_response_iss_parameter_supported=True,
        client_id_metadata_document_supported=books.manner.documents,
        subject_types_supported=["public"],
        id_token_signing_alg_values_supported=["RS256", "ES256"],
    )
    about.validate(metadata_classes=[issuer.AuthorizationServerMetadata])
    return dict(about)
