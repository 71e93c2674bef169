"""The pretend Finexio as one object: reach it, script it, look into it, move its clock."""

import hashlib
import threading
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import anyio

from . import control, images, lifecycle, plausible, seed
from .api import Api, not_an_operation
from .books import Record, StateFile
from .clock import VirtualClock, read_stamp, wall_clock
from .faults import Fault, FaultScript, Match, matcher
from .journal import Journal, RequestRecord
from .quirks import Quirks
from .reachable import Exchange, Reachable
from .wire import API_PREFIX, Answer, Received, Refusal, refusal_answer
from .world import Order, World

IMAGES = "/images/"
NOWHERE = "http://simulator.invalid"
"""The origin while nothing listens: a name that can never be resolved."""


@dataclass(frozen=True)
class _Late:
    """A request whose sender was left without an answer, and whose effect is still to come."""

    at: datetime
    request: Received
    index: int


class Simulator(Reachable):
    """A pretend Finexio.

    Args:
        seed: The same seed gives the same data.
        now: Where the virtual clock begins, without a zone; by default the real time. Nothing moves it but
            `advance`, `clock.advance`, or a server started with `day_seconds`.
        username: The one API user.
        password: Its password.
        populated: False begins with empty books.
        state: A file that keeps the books across processes; several may share it. None: in memory.
        sleep: Awaited for a scripted delay; tests pass one that returns at once.
    """

    def __init__(
        self,
        seed: int = 1,
        *,
        now: datetime | None = None,
        username: str = "demo",
        password: str = "demo",  # noqa: S107 - opens nothing but this pretence
        populated: bool = True,
        state: Path | str | None = None,
        sleep: Callable[[float], Awaitable[object]] = anyio.sleep,
    ) -> None:
        self.seed = seed
        self.username = username
        self.populated = populated
        self.sleep = sleep
        self.clock = VirtualClock(now or wall_clock())
        self._begin = self.clock.now()
        self._world = World(seed=seed, clock=self.clock, quirks=Quirks(), origin=NOWHERE)
        self._world.image_key = hashlib.sha256(f"{seed}:{username}:{password}".encode()).digest()
        self._api = Api(self._world, username, password)
        self._faults = FaultScript()
        self._late: list[_Late] = []
        self._lock = threading.RLock()
        self._depth = 0
        self._file = StateFile(Path(state)) if state else None
        with self._alone():
            if not self._world.books.now:
                self._fill()

    # --- Reaching it ---------------------------------------------------------------------------------------------

    @property
    def base_url(self) -> str:
        return f"{self._world.origin}{API_PREFIX}"

    @contextmanager
    def at_origin(self, origin: str) -> Generator[str]:
        """While served from `origin`, that is where images and subscriptions are."""
        before, self._world.origin = self._world.origin, origin
        try:
            yield self.base_url
        finally:
            self._world.origin = before

    @contextmanager
    def ticking(self, day_seconds: float | None) -> Generator[None]:
        """Let a day pass in so many real seconds; None leaves time alone."""
        if day_seconds is None:
            yield
            return
        self.clock.run(day_seconds)
        try:
            yield
        finally:
            self.clock.run(None)

    # --- Moving and scripting it ---------------------------------------------------------------------------------

    def advance(self, step: timedelta | None = None, *, days: float = 0, hours: float = 0, minutes: float = 0) -> None:
        """Let time pass, and everything that it brings happen."""
        with self._alone():
            self.clock.advance((step or timedelta(0)) + timedelta(days=days, hours=hours, minutes=minutes))
            self._catch_up()
            self._world.changed = True

    def fault(
        self,
        fault: Fault,
        *,
        times: int | None = 1,
        match: Match | None = None,
        method: str | None = None,
        path: str | None = None,
    ) -> None:
        """Script a fault for the next `times` requests that fit (None: for all of them)."""
        with self._lock:
            self._faults.add(fault, times=times, match=matcher(match, method, path))

    def clear_faults(self) -> None:
        with self._lock:
            self._faults.clear()

    @property
    def faults_left(self) -> int:
        return len(self._faults)

    def reset(self) -> None:
        """Begin anew: books, clock, journal and faults as they were at first; quirks and orders stay."""
        with self._alone():
            self.clock.set(self._begin)
            self._world.books.clear()
            self._late.clear()
            self._faults.clear()
            self._fill()
            self._world.journal.received = 0

    # --- Looking into it -----------------------------------------------------------------------------------------

    @property
    def journal(self) -> Journal:
        return self._settled().journal

    @property
    def quirks(self) -> Quirks:
        return self._world.quirks

    @property
    def order(self) -> dict[str, Order]:
        return self._world.order

    @property
    def invoices(self) -> dict[str, Record]:
        return self._settled().books.invoices

    @property
    def payments(self) -> dict[str, Record]:
        return self._settled().books.payments

    @property
    def suppliers(self) -> dict[str, Record]:
        return self._settled().books.suppliers

    @property
    def buyers(self) -> dict[str, Record]:
        return self._settled().books.buyers

    @property
    def drawdowns(self) -> dict[str, Record]:
        return self._settled().books.drawdowns

    @property
    def webhooks(self) -> dict[str, Record]:
        return self._settled().books.webhooks

    @property
    def history(self) -> list[Record]:
        return self._settled().books.history

    # --- Setting the scene: complete records from a few fields, returned live ---------------------------------------

    def add_buyer(self, record_id: str | None = None, /, **fields: Any) -> Record:
        return self._add(plausible.buyer, record_id, fields)

    def add_supplier(self, record_id: str | None = None, /, **fields: Any) -> Record:
        return self._add(plausible.supplier, record_id, fields)

    def add_counterparty(self, record_id: str | None = None, /, **fields: Any) -> Record:
        """Fields by the deprecated view's names; `type` is `Supplier` unless said otherwise."""
        return self._add(plausible.counterparty, record_id, fields)

    def add_invoice(self, record_id: str | None = None, /, **fields: Any) -> Record:
        """Becomes a payment as time passes, unless it is given a `payment_id` or a `status` past that."""
        return self._add(plausible.invoice, record_id, fields)

    def add_payment(self, record_id: str | None = None, /, **fields: Any) -> Record:
        """Stays in its `status`. Invoices by `invoice_ids`, else a new one of `amount_cents`."""
        return self._add(plausible.payment, record_id, fields)

    def add_drawdown(self, record_id: str | None = None, /, **fields: Any) -> Record:
        """Over `payments` (their ids), else over a new payment of `amount_cents`."""
        return self._add(plausible.drawdown, record_id, fields)

    def add_webhook(self, record_id: str | None = None, /, **fields: Any) -> Record:
        return self._add(plausible.webhook, record_id, fields)

    def add_history(self, **fields: Any) -> Record:
        return self._add(plausible.history, None, fields)

    def add_contact(self, owner_id: str, /, **fields: Any) -> Record:
        return self._add(lambda world, given: plausible.contact(world, owner_id, given), None, fields)

    # What people at the vendor do in its portal, since the API cannot.

    def cancel_payment(self, payment_id: str) -> Record:
        with self._alone():
            return lifecycle.cancel(self._world, payment_id)

    def refund_payment(self, payment_id: str, *, reason: str = "Duplicate payment", comment: str = "") -> Record:
        with self._alone():
            return lifecycle.refund(self._world, payment_id, reason=reason, comment=comment)

    def reissue_payment(self, payment_id: str, *, method: str, reason: str = "Returned", comment: str = "") -> Record:
        with self._alone():
            return lifecycle.reissue(self._world, payment_id, method=method, reason=reason, comment=comment)

    # --- The door that both wires use ------------------------------------------------------------------------------

    def refuses_connection(self, request: Received) -> Fault | None:
        """The scripted connection failure that meets this request, used up; None when it gets through."""
        with self._lock:
            fault = self._faults.peek(request) if self._api.serves(request) else None
            return self._faults.take(request) if fault and fault.before_connection else None

    def receive(self, request: Received, *, index: int | None = None) -> Exchange:
        """Take in one complete request, which is number `index` where several companies count together."""
        with self._alone():
            if not self._api.serves(request):
                return Exchange(self._beside_the_api(request))
            fault = self._faults.take(request)
            if fault and fault.before_connection:
                return Exchange(None, fault)
            journal = self._world.journal
            number = journal.received if index is None else index
            journal.received += 1
            answer = self._answer(request, fault, number)
            record = self._record(request, answer, number)
            journal.requests.append(record)
            return Exchange(answer, fault, record)

    def _answer(self, request: Received, fault: Fault | None, index: int) -> Answer | None:
        if fault is None:
            return self._act(request, index)
        if fault.lands_after is not None:
            self._late.append(_Late(self.clock.now() + fault.lands_after, request, index))
        answer = self._act(request, index) if fault.has_effect_now else None
        if fault.status is not None:
            answer = Answer(fault.status, b"")
        if answer is None or (fault.body is None and not fault.headers):
            return answer
        body = answer.body if fault.body is None else fault.body
        headers = {name.lower(): value for name, value in fault.headers.items()}
        return replace(answer, body=body, headers={**answer.headers, **headers})

    def _act(self, request: Received, index: int) -> Answer:
        self._world.acting_request = index
        try:
            return self._api.answer(request)
        finally:
            self._world.acting_request = None

    def _record(self, request: Received, answer: Answer | None, index: int) -> RequestRecord:
        user = request.credentials[0] if request.credentials else None
        shown = {"authorization": user or ""} if "authorization" in request.headers else {}
        return RequestRecord(
            index=index,
            method=request.method,
            path=request.path,
            query=request.query,
            headers={**request.headers, **shown},
            body=request.json,
            body_bytes=request.body,
            status=answer.status if answer else None,
            user=user,
            at=self.clock.now(),
        )

    def _beside_the_api(self, request: Received) -> Answer:
        if request.path.startswith(IMAGES) and request.method == "GET":
            return images.show(self._world, request.path.removeprefix(IMAGES)) or not_an_operation()
        if not request.path.startswith(control.PREFIX):
            return not_an_operation()
        try:
            self._api.check_login(request)
            return control.answer(self, request)
        except Refusal as refusal:
            return refusal_answer(refusal)

    # --- Books, and the one transaction around each touch of them ---------------------------------------------------

    @contextmanager
    def _alone(self) -> Generator[None]:
        """Alone with the books, which stand as of now and are saved if anything changed."""
        with self._lock:
            if self._depth:
                yield
                return
            self._depth += 1
            try:
                if self._file is None:
                    self._catch_up()
                    yield
                else:
                    with self._file.transaction():
                        self._reload(self._file)
                        yield
                        self._save(self._file)
            finally:
                self._depth -= 1

    def _reload(self, file: StateFile) -> None:
        if file.load(self._world.books):
            self.clock.be_at_least(read_stamp(self._world.books.now))
        self._catch_up()

    def _save(self, file: StateFile) -> None:
        if self._world.changed:
            self._world.books.now = self._world.stamp()
            file.save(self._world.books)
            self._world.changed = False

    def _catch_up(self) -> None:
        now = self.clock.now()
        due = sorted((late for late in self._late if late.at <= now), key=lambda late: late.at)
        for late in due:
            self._late.remove(late)
            lifecycle.catch_up(self._world, late.at)
            self._world.live_at(late.at)
            self._act(late.request, late.index)
            self._world.live_at(None)
        lifecycle.catch_up(self._world, now)

    def _settled(self) -> World:
        with self._alone():
            return self._world

    def _add(
        self, make: Callable[[World, dict[str, Any]], Record], record_id: str | None, fields: dict[str, Any]
    ) -> Record:
        with self._alone():
            self._world.changed = True
            return make(self._world, fields if record_id is None else {"id": record_id, **fields})

    def _fill(self) -> None:
        if self.populated:
            seed.populate(self._world)
        self._world.changed = True
        self._world.journal.clear()
