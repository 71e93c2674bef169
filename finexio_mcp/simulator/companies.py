"""Several companies in one pretend Finexio: each API user has books, a clock and misfortunes of its own."""

import threading
from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

import anyio

from .api import not_an_operation
from .faults import Fault
from .journal import Journal, RequestRecord
from .reachable import Exchange, Reachable
from .simulator import IMAGES, Simulator
from .wire import Received

NOBODY = ":"
"""A user that no request can name, since a colon ends the name in Basic credentials."""


class Companies(Reachable, Mapping[str, Simulator]):
    """A pretend Finexio that serves several companies.

    A request belongs to the company whose API user it names, and sees nothing of the others; so do the control
    endpoint and the faults that were scripted for a company. Whoever names a user that is not here gets the vendor's
    403.

    Args:
        companies: By any name; the user that each of them knows must be its own.
        sleep: Awaited for a scripted delay; tests pass one that returns at once.
    """

    def __init__(
        self,
        companies: Mapping[str, Simulator],
        *,
        sleep: Callable[[float], Awaitable[object]] = anyio.sleep,
    ) -> None:
        self._companies = dict(companies)
        self._by_user = {company.username: company for company in self._companies.values()}
        if len(self._by_user) < len(self._companies):
            raise ValueError("Each company needs an API user of its own.")
        self._nobody = Simulator(username=NOBODY, populated=False)
        self._lock = threading.RLock()
        self._received = 0
        self.sleep = sleep

    @classmethod
    def of(cls, logins: Iterable[str], *, seed: int = 1) -> "Companies":
        """Companies as a command names them, `NAME:PASSWORD` each, with the books of one seed after the other.

        Raises:
            ValueError: One has no name or no password, or a name comes twice.
        """
        found: dict[str, Simulator] = {}
        for number, login in enumerate(logins):
            name, _, password = login.partition(":")
            if not name or not password:
                raise ValueError("a company is NAME:PASSWORD")
            if name in found:
                raise ValueError(f"{name} is there twice")
            found[name] = Simulator(seed=seed + number, username=name, password=password)
        return cls(found)

    def __getitem__(self, name: str) -> Simulator:
        return self._companies[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._companies)

    def __len__(self) -> int:
        return len(self._companies)

    @property
    def requests(self) -> list[RequestRecord]:
        """What arrived from anybody, in that order: `user` says who, `index` is the same in the company's journal."""
        journals = [company.journal for company in self._all()]
        return sorted((record for journal in journals for record in journal.requests), key=lambda one: one.index)

    @property
    def journal(self) -> Journal:
        """What arrived and what changed in all companies, as of now. A copy: each company keeps its own journal."""
        effects = [effect for company in self.values() for effect in company.journal.effects]
        return Journal(self.requests, sorted(effects, key=lambda one: one.at), self._received)

    def reset(self) -> None:
        """Begin anew, everywhere."""
        with self._lock:
            self._received = 0
            for company in self._all():
                company.reset()

    @property
    def base_url(self) -> str:
        return self._nobody.base_url

    def refuses_connection(self, request: Received) -> Fault | None:
        """The failure that was scripted for the company that this request names."""
        return self._company_of(request).refuses_connection(request)

    def receive(self, request: Received) -> Exchange:
        """Take in one complete request."""
        if request.path.startswith(IMAGES):
            return self._picture(request)
        with self._lock:
            exchange = self._company_of(request).receive(request, index=self._received)
            self._received += exchange.record is not None
        return exchange

    @contextmanager
    def at_origin(self, origin: str) -> Generator[str]:
        """While served from `origin`, that is where images and subscriptions of all companies are."""
        with ExitStack() as stack:
            for company in self._all():
                stack.enter_context(company.at_origin(origin))
            yield self.base_url

    @contextmanager
    def ticking(self, day_seconds: float | None) -> Generator[None]:
        """Let a day pass in so many real seconds, for all companies."""
        with ExitStack() as stack:
            for company in self.values():
                stack.enter_context(company.ticking(day_seconds))
            yield

    def _all(self) -> list[Simulator]:
        return [*self.values(), self._nobody]

    def _company_of(self, request: Received) -> Simulator:
        user = request.credentials[0] if request.credentials else NOBODY
        return self._by_user.get(user, self._nobody)

    def _picture(self, request: Received) -> Exchange:
        """Its address is all that it takes to see one, so it may be anybody's."""
        seen = (company.receive(request) for company in self.values())
        shown = (exchange for exchange in seen if exchange.answer and exchange.answer.status == 200)
        return next(shown, Exchange(not_an_operation()))
