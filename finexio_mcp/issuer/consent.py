"""`/consent`: a person reads who asks for what, and allows it with a one-time code, or denies it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from weakref import WeakValueDictionary

import anyio
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from finexio_mcp.access.book import AccessBook
from finexio_mcp.access.grants import Code
from finexio_mcp.access.scopes import lesser
from finexio_mcp.access.secrets import parse_invitation
from finexio_mcp.issuer import page
from finexio_mcp.issuer.forms import Parameters, in_form, in_query
from finexio_mcp.issuer.pending import PENDING_MS, Pending, Seal
from finexio_mcp.issuer.provider import Provider
from finexio_mcp.issuer.redirects import place_of, with_answer
from finexio_mcp.issuer.refusals import Refused
from finexio_mcp.issuer.tries import Allowance, WrongCodes
from finexio_mcp.settings import ACCESS_ORDER, Access, Settings
from finexio_mcp.sharing.tries import Tries

CODE_MS = 60_000
TWICE_MS = 5_000
MAX_CODE_CHARS = 100
NOTES_OF_ONE, NOTES_A_MINUTE = 10, 60
"""Lines in the log that strangers can cause: for one client, and for all."""

OVER = (
    "It was begun more than ten minutes ago, or on a server that has restarted since. Go back to the app and connect "
    "again."
)
FOREIGN = "This answer did not come from this server's own page. Go back to the app and connect again."
TOO_MANY_HERE = "Too many wrong codes were typed. Go back to the app and connect again."
NO_CODE = "Type the one-time code, or deny."
NO_CHOICE = "Choose what the app may do."
WRONG_CODE = (
    "This code does not work: it is mistyped, used, expired or withdrawn. Ask for a new one if it is not a slip."
)

logger = logging.getLogger("finexio_mcp.issuer")


class Consent:
    """Asks a person.

    Args:
        settings: What the operator decides.
        book: Where invitations are kept.
        provider: Knows clients.
        seal: Opens what is pending.
        issuer: Who answers, and the only origin whose form is taken.
        tries: Those of all replicas, if there may be several.
    """

    def __init__(
        self,
        settings: Settings,
        book: AccessBook,
        provider: Provider,
        seal: Seal,
        *,
        issuer: str,
        tries: Tries | None = None,
    ) -> None:
        self._settings = settings
        self._book = book
        self._provider = provider
        self._seal = seal
        self._issuer = issuer
        self._wrong = WrongCodes(book.now_ms, forget_ms=PENDING_MS, tries=tries)
        self._turns: WeakValueDictionary[str, anyio.Lock] = WeakValueDictionary()
        self._notes = Allowance(book.now_ms, for_one=NOTES_OF_ONE, for_all=NOTES_A_MINUTE)

    async def ask(self, request: Request) -> Response:
        """The page.

        Raises:
            Refused: There is nothing to ask.
        """
        return await self._page(self._pending(in_query(request)))

    async def answer(self, request: Request) -> Response:
        """What the person decided.

        Raises:
            Refused: There was nothing to decide, or it was not the person who did.
        """
        if not self._is_ours(request):
            raise Refused("access_denied", FOREIGN, status=403)
        form = await in_form(request)
        pending = self._pending(form)
        return await self._allowed(pending, form) if form.one("decision") == "allow" else self._denied(pending)

    def _is_ours(self, request: Request) -> bool:
        """Whether the form comes from a page of ours, as the browser says. One that says nothing is no browser."""
        origins, site = request.headers.getlist("origin"), request.headers.get("sec-fetch-site")
        if site not in {None, "same-origin"} or (site is None and not origins):
            return False
        return all(origin == self._issuer for origin in origins)

    def _pending(self, sent: Parameters) -> Pending:
        pending = self._seal.open(sent.one("request") or "")
        if pending is None:
            raise Refused("invalid_request", OVER)
        if self._wrong.too_many_for(pending.nonce):
            raise Refused("access_denied", TOO_MANY_HERE, status=403)
        return pending

    def _choices(self, pending: Pending) -> Sequence[Access]:
        most = lesser(pending.asked or "pay", self._settings.granted)
        return ACCESS_ORDER[: ACCESS_ORDER.index(most) + 1]

    async def _page(
        self, pending: Pending, problem: str | None = None, *, chosen: Access | None = None, status: int = 200
    ) -> Response:
        client, place = await self._provider.find_client(pending.client_id), place_of(pending.redirect_uri)
        if client is None or place is None:
            raise Refused("invalid_request", OVER)
        choices = self._choices(pending)
        question = page.Question(
            sealed=self._seal.close(pending),
            name=client.name,
            place=place,
            choices=choices,
            # Who asked for nothing in particular is offered the least first.
            chosen=chosen or (choices[-1] if pending.asked is not None else "read"),
            real_money=self._settings.real_money,
            problem=problem,
        )
        return page.consent(question, status=status)

    async def _allowed(self, pending: Pending, form: Parameters) -> Response:
        typed = (form.one("code") or "").strip()[:MAX_CODE_CHARS]
        wanted = form.one("access")
        chosen: Access | None = next((access for access in self._choices(pending) if access == wanted), None)
        if chosen is None:
            return await self._page(pending, NO_CHOICE, status=400)
        if not typed:
            return await self._page(pending, NO_CODE, chosen=chosen, status=400)
        # One after the other in each sign-in, for many at once must not get further. Nobody waits for those of others.
        async with self._turns.setdefault(pending.nonce, anyio.Lock()):
            code = await self._code(pending, typed, chosen)
            if code is not None:
                return self._back(pending, code=code)
            self._wrong.count(pending.nonce)
        if self._notes.take(pending.client_id):
            logger.warning("a one-time code did not work: client %s", pending.client_id)
        if self._wrong.too_many_for(pending.nonce):
            raise Refused("access_denied", TOO_MANY_HERE, status=403)
        return await self._page(pending, WRONG_CODE, chosen=chosen, status=400)

    async def _code(self, pending: Pending, typed: str, chosen: Access) -> str | None:
        """The authorization code that this answer gets, or got from whichever replica a moment ago."""
        invitation = parse_invitation(typed)
        text = self._seal.code(pending, invitation, chosen) if invitation is not None else None
        if text is not None and await self._was_given(text):
            return text
        if not await self._wrong.may_try(pending.nonce):
            raise Refused("access_denied", TOO_MANY_HERE, status=403)
        if text is None:
            return None
        accepted = await self._accepted(pending, typed, chosen, text)
        # Who clicked twice may just have been let in by another replica.
        return accepted or (text if await self._was_given(text) else None)

    async def _was_given(self, text: str) -> bool:
        """Whether somebody got this code just now: who clicks twice gets it twice, but nobody gets it much later."""
        code = await self._book.code(text)
        return code is not None and self._book.now_ms() < code.expires_at_ms - CODE_MS + TWICE_MS

    async def _accepted(self, pending: Pending, typed: str, chosen: Access, text: str) -> str | None:
        """The authorization code, if the one-time code is good; its invitation may allow less than was chosen."""
        if await self._provider.find_client(pending.client_id) is None:
            raise Refused("invalid_request", OVER)
        invitation = await self._book.invited(typed)
        if invitation is None:
            return None
        access = lesser(chosen, invitation.access)
        code = await self._book.accept(
            typed,
            Code(
                client_id=pending.client_id,
                redirect_uri=pending.redirect_uri,
                redirect_uri_explicit=pending.redirect_uri_explicit,
                code_challenge=pending.code_challenge,
                access=access,
                resource=pending.resource,
                expires_at_ms=self._book.now_ms() + CODE_MS,
            ),
            text=text,
        )
        if code is not None:
            logger.info("access %s was allowed: grant %s, client %s", access, invitation.id, pending.client_id)
        return code

    def _denied(self, pending: Pending) -> Response:
        if self._notes.take(pending.client_id):
            logger.info("access was denied: client %s", pending.client_id)
        return self._back(pending, error="access_denied", error_description="The person denied it.")

    def _back(self, pending: Pending, **answer: str) -> Response:
        where = with_answer(pending.redirect_uri, {**answer, "state": pending.state, "iss": self._issuer})
        # 303: what comes next is a GET, and the form with its code stays here.
        return RedirectResponse(
            where, status_code=303, headers={"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
        )
