"""The one way a write goes: claimed in the ledger, sent once, settled, answered."""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import anyio
from anyio.abc import TaskGroup

from finexio_mcp.api.client import FinexioClient
from finexio_mcp.api.requests import Request, build, build_get
from finexio_mcp.arguments import Checked
from finexio_mcp.calls import current
from finexio_mcp.clock import Clock
from finexio_mcp.envelope import Envelope, Outlet, Written
from finexio_mcp.errors import FinexioError, LedgerUnavailable, NotExecuted, OutcomeUnknown, Rejected
from finexio_mcp.guards.identity import wanted_change, wanted_invoices
from finexio_mcp.guards.ledger.book import Book
from finexio_mcp.guards.ledger.rows import Claim, Outcome, Rules, Submission, Wanted
from finexio_mcp.guards.ledger.states import Effect as LedgerEffect
from finexio_mcp.guards.ledger.states import State
from finexio_mcp.guards.policy import limit_name
from finexio_mcp.logs import log_fault
from finexio_mcp.readback import Finding
from finexio_mcp.records import id_of, rows_of, single
from finexio_mcp.replies import (
    EXTRA,
    UNRECORDED,
    Reply,
    alike_within,
    refuse_alike,
    refuse_day,
    refuse_near,
    tell_batch,
    tell_change,
    tell_mixed,
    tell_running,
    warn_alike,
    warn_near,
)
from finexio_mcp.settings import DEFAULT_ACCOUNT, Settings
from finexio_mcp.settling import LEASE_SLACK_SECONDS, Settler
from finexio_mcp.shapes import is_object
from finexio_mcp.tools.invoices import GET_INVOICE
from finexio_mcp.tools.spec import Effect, ToolSpec
from finexio_mcp.verdicts import Row, Verdict, match_rows, of_failure, of_matches, returned_rows

STALE_SECONDS = 5.0
"""Longest time from the last look at the ledger to the first byte."""
RECHECK_SECONDS = 30.0
"""From the first to the second look at the rows of a refused batch."""
RECHECK_LEASE_MS = 300_000
"""A recheck that takes longer loses its rows to the looks that everything in doubt gets."""

NOT_SHOWN = "Changed; the record could not be shown just now."
NOT_REFUNDED = "invoices[{position}]: Finexio does not say that it may be paid again (can_be_resubmitted is not true)."

logger = logging.getLogger("finexio_mcp.calls")


@dataclass(frozen=True)
class _Order:
    """What a call asks for."""

    tool: ToolSpec
    checked: Checked
    op_id: str
    by: str | None
    """The key of the caller."""


@dataclass
class _Job:
    """One write on its way. It belongs to the server, not to the request that asked for it."""

    tool: ToolSpec
    checked: Checked
    arguments: dict[str, Any]
    request: Request
    wanted: Sequence[Wanted]
    claim: Claim
    op_id: str
    until: float
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    answered: anyio.Event = field(default_factory=anyio.Event)
    rows: list[Submission] = field(default_factory=list[Submission])
    """As they stand since Finexio's answer was recorded."""
    reply: Reply | None = None
    heard: bool = True
    """Whether the caller gets the outcome; otherwise the log is told."""
    withdrawn: bool = False
    leaving: bool = False
    """The fence has been reached: a caller that leaves no longer withdraws it."""
    left: bool = False
    """The ledger has it as sent, and the fence was passed: bytes may have left."""

    def withdraw(self) -> None:
        """Stop it, if it is provably still here."""
        if not self.leaving:
            self.withdrawn = True
            self.scope.cancel()

    def answer(self, reply: Reply) -> None:
        self.reply = reply
        self.answered.set()


@dataclass(frozen=True)
class _Shown:
    """What Finexio's answer showed of what was written."""

    records: Sequence[Row | None] = ()
    record: Any = None
    notices: tuple[str, ...] = ()


class Writes:
    """Submits what tools that write were asked for.

    Args:
        settings: Limits and times.
        client: Finexio.
        book: The ledger.
        settler: Settles what ends in doubt.
        outlet: Makes the answers.
        clock: Time, for deadlines and the fence.
        tasks: What a write runs in; it outlives the request.
        patient: Wait for the outcome however long it takes.
    """

    def __init__(
        self,
        settings: Settings,
        client: FinexioClient,
        book: Book,
        settler: Settler,
        outlet: Outlet,
        *,
        clock: Clock,
        tasks: TaskGroup,
        patient: bool = False,
    ) -> None:
        self._settings, self._client, self._book, self._settler = settings, client, book, settler
        self._outlet, self._clock, self._tasks = outlet, clock, tasks
        self._patience = None if patient else settings.answer_seconds
        self._scope = book.place.scope
        self._account = book.account or DEFAULT_ACCOUNT
        self._running = 0
        self._draining = False
        self._looks: set[anyio.CancelScope] = set()
        self._idle = anyio.Event()

    async def run(self, tool: ToolSpec, checked: Checked, op_id: str, *, by: str | None = None) -> Envelope:
        """Submit once, or tell what became of it when it was submitted before.

        Args:
            tool: A tool that writes.
            checked: Its arguments.
            op_id: A new name for this call.
            by: The key of the caller, for the ledger.

        Raises:
            FinexioError: Nothing was sent by this call.
        """
        patience = anyio.CancelScope(deadline=self._answer_by())
        await self._settler.recover()
        started = await self._start(_Order(tool, checked, op_id, by), patience.deadline)
        reply = await self._await(started, patience) if isinstance(started, _Job) else started
        news = self._settler.news()
        try:
            return reply.seal(self._outlet, notices=news)
        except Exception as error:
            # What happened is known, and is told even where Finexio's own words cannot be.
            log_fault(logger, error)
            return reply.bare().seal(self._outlet, notices=news)

    async def drain(self) -> None:
        """Wait until no write is on its way. Looks at what is in doubt are cut short: others take them up again."""
        self._draining = True
        for scope in tuple(self._looks):
            scope.cancel()
        while self._running:
            await self._idle.wait()

    # Before it is sent -----------------------------------------------------------

    def _answer_by(self) -> float:
        return math.inf if self._patience is None else anyio.current_time() + self._patience

    async def _start(self, order: _Order, answer_by: float) -> _Job | Reply:
        """A write on its way, or the answer where there is nothing to send."""
        tool, checked = order.tool, order.checked
        until = self._client.deadline(self._seconds(tool))
        if tool.effect is Effect.PAY:
            return await self._start_batch(order, until, answer_by)
        key = await self._book.key()
        if tool.before is not None:
            # A repeated change must not look first at what it changed itself.
            asked = self._wanted_change(order, checked.wire, key)
            known = await self._book.recall(asked, effect="write", rules=self._rules(tool))
            if known is not None:
                return await self._tell_known_change(tool, checked, known, answer_by)
        arguments = await self._resolve(tool, checked.wire, self._look_by(until))
        claimed = await self._claim(order, arguments, [self._wanted_change(order, arguments, key)], until)
        if isinstance(claimed, _Job):
            return claimed
        return await self._tell_known_change(tool, checked, claimed.known[0], answer_by)

    def _wanted_change(self, order: _Order, arguments: dict[str, Any], key: bytes) -> Wanted:
        asked = order.checked.wire
        return wanted_change(order.tool, arguments, self._scope, key, account=self._account, asked=asked)

    async def _start_batch(self, order: _Order, until: float, answer_by: float) -> _Job | Reply:
        tool, checked = order.tool, order.checked
        wanted = wanted_invoices(checked.wire, checked.local, self._scope)
        alike = alike_within(wanted) if self._settings.duplicates == "refuse" else []
        if alike and await self._book.recall(wanted[0], effect="pay", rules=self._rules(tool)) is None:
            # One that was submitted before, row by row, is answered like any other.
            raise refuse_alike(alike)
        claimed = await self._claim(order, checked.wire, wanted, until)
        refusals: list[str] = []
        if isinstance(claimed, Claim) and not claimed.elsewhere and (asked := _resubmissions(checked, claimed)):
            allowed, refusals = await self._allowed(asked, self._look_by(until))
            if allowed:
                again = [
                    replace(row, resubmits=allowed[position].id) if position in allowed else row
                    for position, row in enumerate(wanted)
                ]
                claimed = await self._claim(order, checked.wire, again, until)
        if isinstance(claimed, _Job):
            return claimed
        return await self._tell_unsent_batch(order, claimed, refusals, answer_by)

    def _look_by(self, until: float) -> float:
        """When to give up what Finexio is asked before a write; the caller has to hear of it in time."""
        return until if self._patience is None else min(until, self._client.deadline(self._patience))

    async def _resolve(self, tool: ToolSpec, arguments: dict[str, Any], until: float) -> dict[str, Any]:
        """The arguments that are sent, where Finexio has to be asked for some of them first."""
        if tool.before is None:
            return arguments
        found = await self._client.read(build_get(tool.before.route, arguments), until=until)
        return tool.before.resolve(rows_of(tool, found).rows, arguments)

    async def _claim(
        self, order: _Order, arguments: dict[str, Any], wanted: Sequence[Wanted], until: float
    ) -> _Job | Claim:
        tool, op_id = order.tool, order.op_id
        request, claimed = build(tool, arguments), None
        # Nobody may leave between the claim and the task that answers for it.
        with anyio.CancelScope(shield=True):
            claimed = await self._book.claim(
                wanted, op_id=op_id, tool=tool.name, effect=_effect(tool), rules=self._rules(tool), caller=order.by
            )
            if claimed.rows:
                _note(op_id)
                claimed = self._begin(_Job(tool, order.checked, arguments, request, wanted, claimed, op_id, until))
        assert claimed is not None, "a shield swallows nothing"  # noqa: S101
        return claimed

    def _begin(self, job: _Job) -> _Job:
        if not self._running:
            self._idle = anyio.Event()
        self._running += 1
        self._tasks.start_soon(self._see_through, job)
        return job

    def _seconds(self, tool: ToolSpec) -> float:
        return self._settings.batch_seconds if tool.effect is Effect.PAY else self._settings.write_seconds

    def _lease_ms(self, tool: ToolSpec) -> int:
        return (int(self._seconds(tool)) + LEASE_SLACK_SECONDS) * 1000

    def _rules(self, tool: ToolSpec) -> Rules:
        settings = self._settings
        return Rules(
            lease_ms=self._lease_ms(tool), max_day_cents=settings.max_day_cents, duplicates=settings.duplicates
        )

    async def _allowed(self, asked: dict[int, Submission], until: float) -> tuple[dict[int, Submission], list[str]]:
        """Those of the refunded invoices that Finexio says may be submitted again, and a sentence for the others."""
        allowed: dict[int, Submission] = {}
        refusals: list[str] = []
        for position, row in asked.items():
            record: Any = None
            if row.finexio_id:
                record = single(await self._client.read(build(GET_INVOICE, {"id": row.finexio_id}), until=until))
            if is_object(record) and record.get("can_be_resubmitted") is True:
                allowed[position] = row
            else:
                refusals.append(NOT_REFUNDED.format(position=position))
        return allowed, refusals

    # Known already, or refused ---------------------------------------------------

    async def _tell_unsent_batch(self, order: _Order, claim: Claim, notices: Sequence[str], answer_by: float) -> Reply:
        tool, checked = order.tool, order.checked
        if claim.known or claim.elsewhere:
            if claim.known:
                _note(_op_of([claim.known[position] for position in sorted(claim.known)]))
            known = await self._looked_up(claim.known, answer_by)
            claim = replace(claim, known=known)
            rows = [known[position] for position in sorted(known)]
            if claim.differing or len(known) < len(checked.wire["invoices"]):
                op_id = _op_of(rows) if rows else order.op_id
                return tell_mixed(tool, checked.wire, claim, op_id=op_id, notices=notices)
            return tell_batch(
                tool, checked.wire, rows, fresh=False, op_id=_op_of(rows), notices=[*checked.notices, *notices]
            )
        if claim.near_refuses:
            raise refuse_near(claim)
        limit_set = limit_name(self._settings, "max_day_cents")
        raise refuse_day(claim, self._settings.max_day_cents or 0, limit_set)

    async def _tell_known_change(self, tool: ToolSpec, checked: Checked, known: Submission, answer_by: float) -> Reply:
        _note(known.op_id)
        row = (await self._looked_up({0: known}, answer_by))[0]
        return tell_change(tool, checked.wire, row, fresh=False, op_id=row.op_id, notices=checked.notices)

    async def _looked_up(self, known: Mapping[int, Submission], answer_by: float) -> dict[int, Submission]:
        """Rows as they stand after Finexio was asked about those in doubt, as long as a caller waits."""
        rows = list(known.values())
        with anyio.CancelScope(deadline=answer_by):
            rows = await self._look(rows)
        return dict(zip(known, rows, strict=True))

    async def _look(self, rows: list[Submission]) -> list[Submission]:
        """Look up what is in doubt among rows now, and go on with it in the background."""
        if not any(row.state is State.IN_DOUBT for row in rows):
            return rows
        with self._until_drained():
            try:
                rows = await self._settler.look(rows)
            except Exception as error:
                # They are recorded as they are, and that is what there is to tell.
                if not isinstance(error, FinexioError):
                    log_fault(logger, error)
            finally:
                self._settler.watch()
        return rows

    @contextlib.contextmanager
    def _until_drained(self) -> Generator[None]:
        """What is cut short when the server leaves."""
        with anyio.CancelScope() as scope:
            self._looks.add(scope)
            if self._draining:
                scope.cancel()
            try:
                yield
            finally:
                self._looks.discard(scope)

    # On its way ------------------------------------------------------------------

    async def _await(self, job: _Job, patience: anyio.CancelScope) -> Reply:
        """The outcome, or where it stands when the caller has waited long enough."""
        try:
            with patience:
                await job.answered.wait()
        except anyio.get_cancelled_exc_class():
            job.withdraw()
            job.heard = False
            raise
        if job.reply is not None:
            return job.reply
        job.heard = False
        if job.rows:
            return self._reply(job, job.rows, _Shown(), None)
        return tell_running(job.tool, job.checked.wire, job.claim.rows, job.op_id)

    async def _see_through(self, job: _Job) -> None:
        try:
            answer, error = await self._send(job)
            await self._close(job, answer, error)
        except LedgerUnavailable as error:
            job.answer(self._reply_unrecorded(job, error))
        except Exception as error:
            log_fault(logger, error)
            job.answer(self._reply_unrecorded(job, error))
        finally:
            job.answered.set()
            self._running -= 1
            if not self._running:
                self._idle.set()
            if job.reply is not None and not job.heard:
                status = job.reply.written.status
                extra = {"tool": job.tool.name, "outcome": status, "op_id": job.op_id}
                logger.info("%s settled: %s %s", job.tool.name, status, job.op_id, extra=extra)

    async def _send(self, job: _Job) -> tuple[Any, Exception | None]:
        """Finexio's answer, or what there is instead of one."""

        async def leave() -> None:
            await self._leave(job)

        with job.scope:
            try:
                await self._client.turn(job.until)
                answer = await self._client.write(job.request, until=job.until, leave=leave, rows=job.tool.body_rows)
            except FinexioError as error:
                return None, error
            except Exception as error:
                log_fault(logger, error)
                return None, error
            return answer, None
        return None, NotExecuted("The call was cancelled before anything was sent.")

    async def _leave(self, job: _Job) -> None:
        """The fence: nothing passes that the ledger does not have as sent, or that has been waiting since."""
        if job.withdrawn:
            raise NotExecuted("The call was cancelled before anything was sent.")
        job.leaving = True
        wall, monotonic = self._clock.wall(), self._clock.monotonic()
        if not await self._book.mark_sent(job.op_id, lease_ms=self._lease_ms(job.tool)):
            raise NotExecuted("This took too long to be sent, so nothing was sent. Call again.")
        if max(abs(self._clock.wall() - wall), self._clock.monotonic() - monotonic) > STALE_SECONDS:
            raise NotExecuted("This server was held up just before sending, so nothing was sent. Call again.")
        job.left = True

    # Afterwards ------------------------------------------------------------------

    async def _close(self, job: _Job, answer: Any, error: Exception | None) -> None:
        if not job.left:
            if not await self._book.withdraw(job.op_id):
                unsent = Outcome(state=State.REJECTED, reason="never_sent")
                await self._book.settle(job.op_id, {row.position: unsent for row in job.claim.rows})
            job.answer(self._reply_unsent(job, error))
            return
        shown = _Shown()
        if error is None:
            verdict, shown = self._judge(job, answer)
        else:
            verdict = of_failure(error, job.claim.rows, _effect(job.tool))
        rows = await self._record(job, verdict, shown, error)
        if rows is None:
            return
        if verdict.pending:
            await self._recheck(job, verdict, error)
            return
        if error is None and answer is None and job.tool.after is not None:
            shown = await self._look_after(job, job.tool.after, shown)
        await self._answer(job, rows, shown, error)

    async def _answer(self, job: _Job, rows: list[Submission], shown: _Shown, error: Exception | None) -> None:
        """Look up at once what is in doubt, and answer."""
        job.answer(self._reply(job, await self._look(rows), shown, error))

    async def _record(
        self, job: _Job, verdict: Verdict, shown: _Shown, error: Exception | None
    ) -> list[Submission] | None:
        """Rows as the ledger has them now. Where it cannot take the outcome, the caller hears of it all the same."""
        rows: list[Submission] = []
        try:
            with anyio.CancelScope(shield=True):
                rows = await self._book.settle(job.op_id, verdict.outcomes)
        except LedgerUnavailable:
            rows = [_moved(row, verdict) for row in job.claim.rows]
            notices = (*shown.notices, UNRECORDED)
            job.answer(self._reply(job, rows, replace(shown, notices=notices), error))
            self._settler.watch()
            return None
        job.rows = [_unless_given_up(row, verdict) for row in rows]
        return job.rows

    def _judge(self, job: _Job, answer: Any) -> tuple[Verdict, _Shown]:
        """What a 2xx shows."""
        tool = job.tool
        if tool.effect is Effect.PAY:
            matches = match_rows(job.checked.wire["invoices"], answer)
            extra = None not in matches and len(returned_rows(answer)) > len(matches)
            return of_matches(matches), _Shown(records=matches, notices=(EXTRA,) if extra else ())
        notices = (sentence,) if tool.notice is not None and (sentence := tool.notice(answer)) else ()
        record, finexio_id = _record_of(tool, answer, job.arguments)
        if record is None:
            return Verdict({0: Outcome(state=State.IN_DOUBT, reason="unseen")}), _Shown()
        confirmed = Outcome(state=State.CONFIRMED, reason="accepted", finexio_id=finexio_id)
        return Verdict({0: confirmed}), _Shown(record=record, notices=notices)

    async def _look_after(self, job: _Job, route: str, shown: _Shown) -> _Shown:
        """Finexio took a change without showing the record; a look that fails does not undo the change."""
        try:
            record = single(await self._client.read(build_get(route, job.arguments), until=job.until))
        except FinexioError:
            record = None
        if record is None or not job.tool.is_it(record, job.arguments):
            return replace(shown, notices=(*shown.notices, NOT_SHOWN))
        return replace(shown, record=record)

    # A refused batch -------------------------------------------------------------

    async def _recheck(self, job: _Job, verdict: Verdict, error: Exception | None) -> None:
        """Look for the good rows of a refused batch now and once more, before anybody is told that they are free."""
        await self._book.extend(job.op_id, verdict.pending, lease_ms=RECHECK_LEASE_MS)
        rows = await self._found(job, await self._book.get(job.op_id), final=False)
        if not any(row.state is State.SENT for row in rows):
            await self._answer(job, rows, _Shown(), error)
            return
        if self._patience is None or self._patience > RECHECK_SECONDS:
            await self._recheck_later(job, error)
            return
        job.answer(self._reply(job, rows, _Shown(), _copy(error)))
        job.heard = False
        self._tasks.start_soon(self._recheck_alone, job, error)

    async def _recheck_alone(self, job: _Job, error: Exception | None) -> None:
        try:
            await self._recheck_later(job, error)
        except Exception as fault:
            # Its rows stay as sent until their lease ends, and are then looked up like any other.
            log_fault(logger, fault)
            self._settler.watch()

    async def _recheck_later(self, job: _Job, error: Exception | None) -> None:
        await self._clock.sleep(RECHECK_SECONDS)
        await self._answer(job, await self._found(job, await self._book.get(job.op_id), final=True), _Shown(), error)

    async def _found(self, job: _Job, rows: list[Submission], *, final: bool) -> list[Submission]:
        """Move the rows that are still `sent` by what Finexio shows of them."""
        waiting = [row for row in rows if row.state is State.SENT]
        findings: dict[int, Finding] = {}
        with self._until_drained():
            findings = await self._settler.findings(waiting) if waiting else {}
        outcomes = {row.position: _after_look(findings[row.id], final=final) for row in waiting if row.id in findings}
        return await self._book.settle(job.op_id, {at: outcome for at, outcome in outcomes.items() if outcome})

    # Replies ---------------------------------------------------------------------

    def _reply(self, job: _Job, rows: list[Submission], shown: _Shown, error: Exception | None) -> Reply:
        tool, wire = job.tool, job.checked.wire
        failure = self._with_way_out(job, error)
        notices = [*job.checked.notices, *shown.notices]
        if tool.effect is Effect.PAY:
            if any(row.state is State.CONFIRMED for row in rows):
                notices += self._warnings(job)
            records = shown.records
            return tell_batch(
                tool, wire, rows, fresh=True, op_id=job.op_id, records=records, notices=notices, error=failure
            )
        return tell_change(
            tool, wire, rows[0], fresh=True, op_id=job.op_id, record=shown.record, notices=notices, error=failure
        )

    def _warnings(self, job: _Job) -> list[str]:
        """Invoices that were submitted, and look like others."""
        if self._settings.duplicates == "off":
            return []
        return [*warn_near(job.claim), *warn_alike(alike_within(job.wanted))]

    def _reply_unsent(self, job: _Job, error: Exception | None) -> Reply:
        """Nothing left, so the rows of a batch have no more to tell than that."""
        failure = (
            error
            if isinstance(error, FinexioError)
            else NotExecuted(
                "Something went wrong in this server before anything was sent. The operator finds the cause in the log."
            )
        )
        numbers = [{"invoice_number": row.invoice.number} for row in job.claim.rows if row.invoice]
        rows = numbers if job.tool.effect is Effect.PAY else None
        written = Written(job.op_id, failure.status)
        return Reply(tool=job.tool, arguments=job.checked.wire, written=written, rows=rows, error=failure)

    def _reply_unrecorded(self, job: _Job, error: Exception) -> Reply:
        """The ledger failed on the way: what it has last is what a later look goes by."""
        self._settler.watch()
        if not job.left:
            return self._reply_unsent(job, error)
        verdict = of_failure(OutcomeUnknown(""), job.claim.rows, _effect(job.tool))
        rows = [_moved(row, verdict) for row in job.claim.rows]
        return self._reply(job, rows, _Shown(notices=(UNRECORDED,)), None)

    def _with_way_out(self, job: _Job, error: Exception | None) -> FinexioError | None:
        if not isinstance(error, FinexioError):
            return None
        if job.tool.way_out is not None and (sentence := job.tool.way_out(error, job.checked.wire)):
            error.message = f"{error.message} {sentence}"
        return error


def _effect(tool: ToolSpec) -> LedgerEffect:
    return "pay" if tool.effect is Effect.PAY else "write"


def _note(op_id: str) -> None:
    """Let those who watch have the name under which it stands in the ledger, should the caller leave."""
    if (call := current()) is not None:
        call.op_id = op_id


def _op_of(rows: Sequence[Submission]) -> str:
    """The call that a person should look up: that of the row that is least settled."""
    return next((row.op_id for row in rows if row.state is not State.CONFIRMED), rows[0].op_id)


def _resubmissions(checked: Checked, claim: Claim) -> dict[int, Submission]:
    """The confirmed rows that the caller wants to pay again."""
    flags: Sequence[Row] = checked.local.get("invoices", ())
    return {
        position: claim.known[position]
        for position, flag in enumerate(flags)
        if flag.get("resubmit") and position in claim.known and claim.known[position].state is State.CONFIRMED
    }


def _record_of(tool: ToolSpec, answer: Any, arguments: dict[str, Any]) -> tuple[Any, str | None]:
    """The record that a 2xx shows, if it is the one that was written, and its id."""
    if answer is None and tool.after is not None:
        return {"id": arguments["id"]}, str(arguments["id"])
    try:
        record = tool.to_record(answer, arguments) if tool.to_record else single(answer)
    except OutcomeUnknown:
        return None, None
    if record is None or (tool.to_record is None and not tool.is_it(record, arguments)):
        return None, None
    return record, id_of(record)


def _after_look(finding: Finding, *, final: bool) -> Outcome | None:
    """Where a good row of a refused batch goes; `None` while it is to be looked up once more."""
    match finding.verdict:
        case "found":
            return Outcome(state=State.CONFIRMED, reason="found", finexio_id=finding.finexio_id)
        case "not_there":
            return Outcome(state=State.REJECTED, reason="refused_with_batch") if final else None
        case "other":
            return Outcome(state=State.IN_DOUBT, reason="unclear_refusal")
        case "unknown" | "too_long":
            return Outcome(state=State.IN_DOUBT, reason="unclear_refusal") if final else None


def _moved(row: Submission, verdict: Verdict) -> Submission:
    """A row as it would stand if the ledger had taken the outcome."""
    outcome = verdict.outcomes.get(row.position)
    if outcome is None:
        return replace(row, state=State.SENT)
    return replace(row, state=outcome.state, reason=outcome.reason, finexio_id=outcome.finexio_id)


def _unless_given_up(row: Submission, verdict: Verdict) -> Submission:
    """A row that was given up and submitted anew before this proof of it came: two are there now."""
    outcome = verdict.outcomes.get(row.position)
    if row.state is not State.ABSENT or outcome is None or outcome.state is not State.CONFIRMED:
        return row
    logger.error("%s is at Finexio although it was given up and submitted again", row.op_id)
    return replace(row, state=State.CONFLICT, finexio_id=outcome.finexio_id)


def _copy(error: Exception | None) -> Exception | None:
    """Sentences are added to an error for one answer; the next one starts afresh."""
    if not isinstance(error, Rejected):
        return error
    return Rejected(error.message, problems=error.problems, http_status=error.http_status)
