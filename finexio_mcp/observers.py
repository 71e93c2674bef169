"""Those who watch calls, as the settings ask for them."""

from __future__ import annotations

import contextlib
import functools
import logging
import time
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Protocol

import anyio.to_thread

from finexio_mcp.accounts.accounts import Accounts
from finexio_mcp.calls import Asked, Ended, Observer
from finexio_mcp.errors import FinexioError
from finexio_mcp.logs import CallLog, log_fault
from finexio_mcp.settings import Settings
from finexio_mcp.telemetry import tracing

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

    from finexio_mcp.audit.log import AuditLog
    from finexio_mcp.guards.ledger.states import State
    from finexio_mcp.telemetry.sources import Sources, Unsettled

logger = logging.getLogger("finexio_mcp.observers")


class Watched(Protocol):
    """The calls of one account, as far as they can be counted."""

    @property
    def running(self) -> int: ...

    @property
    def waiting(self) -> int: ...

    async def counts(self) -> Mapping[State, int] | None: ...


class Subject(Protocol):
    """All that is watched."""

    @property
    def accounts(self) -> Accounts: ...

    @property
    def engines(self) -> Mapping[str, Watched]: ...

    @property
    def secrets(self) -> Collection[str]: ...


class Observers:
    """The log always; the audit, spans and, where several callers are served, metrics if the settings ask for them.

    Args:
        settings: What the operator decides.
        serving: Whether several callers are served.
    """

    def __init__(self, settings: Settings, *, serving: bool) -> None:
        self._settings = settings
        self._serving = serving
        self._all: list[Observer] = [CallLog()]
        self._stack = contextlib.AsyncExitStack()

    async def open(self, tasks: TaskGroup, subject: Subject) -> None:
        """Begin to watch.

        Args:
            tasks: What goes on beside calls.
            subject: What is watched.

        Raises:
            SettingsError: It cannot be done as the settings ask for it.
        """
        if (end_tracing := tracing.set_up(self._settings)) is not None:
            # Last of all, so that it sees the end of everything else.
            self._stack.push_async_callback(anyio.to_thread.run_sync, end_tracing)
        audit = self._open_audit(subject) if self._settings.audits(serving=self._serving) else None
        if self._serving:
            # A command that is run beside the server has its settings, and would want its port.
            self._open_metrics(tasks, subject, audit)

    async def ended(self, call: Ended) -> None:
        """Tell of a call. What goes wrong there is logged and goes no further."""
        for observer in self._all:
            try:
                await observer.ended(call)
            except Exception as error:
                log_fault(logger, error)

    def asked(self, asked: Asked) -> None:
        """Tell of a request to Finexio."""
        for observer in self._all:
            try:
                observer.asked(asked)
            except Exception as error:
                log_fault(logger, error)

    async def aclose(self) -> None:
        """Let them write down what they have seen."""
        await self._stack.aclose()

    def _open_audit(self, subject: Subject) -> AuditLog:
        from finexio_mcp.audit.log import AuditLog

        audit = AuditLog(self._settings, secrets=lambda: subject.secrets)
        self._all.append(audit)
        self._stack.push_async_callback(audit.aclose)
        return audit

    def _open_metrics(self, tasks: TaskGroup, subject: Subject, audit: AuditLog | None) -> None:
        from finexio_mcp.telemetry.metering import start

        metering = start(self._settings, _sources(subject, audit))
        if metering is None:
            return
        self._stack.push_async_callback(anyio.to_thread.run_sync, metering.close)
        logger.info("metrics on port %d", metering.port)
        self._all.append(metering.metrics)
        tasks.start_soon(metering.metrics.follow, functools.partial(_unsettled, subject))


def _sources(subject: Subject, audit: AuditLog | None) -> Sources:
    from finexio_mcp.telemetry.sources import Sources

    return Sources(
        accounts=subject.accounts.names,
        running=lambda: {name: engine.running for name, engine in subject.engines.items()},
        waiting=lambda: {name: engine.waiting for name, engine in subject.engines.items()},
        audit_waiting=None if audit is None else lambda: audit.waiting,
        audit_lost=None if audit is None else lambda: audit.lost,
    )


async def _unsettled(subject: Subject) -> Mapping[str, Unsettled]:
    """What the ledger says of each account that it can be asked about."""
    from finexio_mcp.guards.ledger.states import State
    from finexio_mcp.telemetry.sources import Unsettled

    found: dict[str, Unsettled] = {}
    for name, engine in subject.engines.items():
        with contextlib.suppress(FinexioError):
            counts = await engine.counts()
            if counts is not None:
                found[name] = Unsettled(
                    in_doubt=counts.get(State.IN_DOUBT, 0),
                    in_conflict=counts.get(State.CONFLICT, 0),
                    read_at=time.time(),
                )
    return found
