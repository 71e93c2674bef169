"""What is counted for Prometheus: calls, requests to Finexio, and what waits; labels from closed sets alone."""

from __future__ import annotations

import logging
import operator
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping

import anyio
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from finexio_mcp import __version__
from finexio_mcp.calls import Asked, Ended, Observer
from finexio_mcp.telemetry.described import (
    ANSWERS,
    AUDIT_LOST,
    AUDIT_WAITING,
    BUILD,
    CALL_SECONDS,
    CALLS,
    CODES,
    ERRORS,
    IN_CONFLICT,
    IN_DOUBT,
    LEDGER_READ,
    METHODS,
    OTHER,
    OTHER_ACCOUNT,
    OUTCOMES,
    RETRIES,
    RUNNING,
    UPSTREAM,
    UPSTREAM_SECONDS,
    WAITING,
    Described,
)
from finexio_mcp.telemetry.sources import Count, Number, PerAccount, Sources, Unsettled

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 60.0)
REFRESH_SECONDS = 60.0
"""How often the ledger is asked."""

logger = logging.getLogger("finexio_mcp.telemetry")


class Metrics(Observer):
    """Counts what it is told of, in a registry of its own.

    Args:
        sources: For what it is not told of.
        now: Seconds since 1970.
    """

    def __init__(self, sources: Sources, *, now: Callable[[], float] = time.time) -> None:
        self._sources, self._now = sources, now
        self._unsettled: Mapping[str, Unsettled] = {}
        self._known_since: Mapping[str, float] = {}
        self.registry = CollectorRegistry()
        # Before the others, so that a scrape already has the series that this one begins.
        self.registry.register(_Asked(self._looked_up))
        self._calls = self._counter(CALLS)
        self._errors = self._counter(ERRORS)
        self._call_seconds = self._histogram(CALL_SECONDS)
        self._upstream = self._counter(UPSTREAM)
        self._upstream_seconds = self._histogram(UPSTREAM_SECONDS)
        self._retries = self._counter(RETRIES)
        self._begin_accounts()
        # Memory, processor time and open files of this process: numbers alone, where the system tells them.
        ProcessCollector(registry=self.registry)

    def _counter(self, of: Described) -> Counter:
        return Counter(of.name, of.about, of.labels, registry=self.registry)

    def _histogram(self, of: Described) -> Histogram:
        return Histogram(of.name, of.about, of.labels, registry=self.registry, buckets=SECONDS)

    async def ended(self, call: Ended) -> None:
        """Count a call."""
        account, outcome = self._account(call.caller.account), _one_of(OUTCOMES, call.outcome)
        self._calls.labels(account, call.tool, outcome).inc()
        self._call_seconds.labels(call.tool).observe(call.duration_seconds)
        if call.failed:
            self._errors.labels(account, outcome).inc()

    def asked(self, asked: Asked) -> None:
        """Count a request to Finexio."""
        account, method = self._account(asked.account), _one_of(METHODS, asked.method)
        self._upstream.labels(account, method, _one_of(ANSWERS, asked.outcome)).inc()
        self._upstream_seconds.labels(method).observe(asked.seconds)
        if asked.retry:
            self._retries.labels(account).inc()

    async def follow(self, count: Count, *, sleep: Callable[[float], Awaitable[None]] = anyio.sleep) -> None:
        """Ask the ledger again and again, so that a scrape never has to. It ends when it is cancelled."""
        while True:
            await self.refresh(count)
            await sleep(REFRESH_SECONDS)

    async def refresh(self, count: Count) -> None:
        """Ask the ledger once. What cannot be asked stays as it was, and its time tells."""
        try:
            self._unsettled = {**self._unsettled, **await count()}
        except Exception as error:
            logger.warning("submissions in doubt could not be counted: %s", type(error).__name__)

    def _account(self, name: str) -> str:
        return name if name in self._sources.accounts() else OTHER_ACCOUNT

    def _begin_accounts(self) -> None:
        """Begin the series that alerts watch at zero: of one that is born with its first error, nothing increases."""
        try:
            known, now = self._known_since, self._now()
            self._known_since = {name: known.get(name, now) for name in self._sources.accounts()}
            for name in self._known_since:
                self._retries.labels(name)
                for code in sorted(CODES):
                    self._errors.labels(name, code)
        except Exception as error:
            _missing(ERRORS, error)

    def _looked_up(self) -> Iterator[Metric]:
        self._begin_accounts()
        since, sources = self._known_since, self._sources
        # Nobody asks for a removed account any more, so only what was left open there is worth telling.
        seen = {name: each for name, each in self._unsettled.items() if name in since or each.is_open}
        read = {**since, **{name: max(each.read_at, since.get(name, 0.0)) for name, each in seen.items()}}
        yield self._by_account(RUNNING, sources.running)
        yield self._by_account(WAITING, sources.waiting)
        yield self._by_account(IN_DOUBT, lambda: {name: each.in_doubt for name, each in seen.items()})
        yield self._by_account(IN_CONFLICT, lambda: {name: each.in_conflict for name, each in seen.items()})
        yield self._by_account(LEDGER_READ, lambda: read, min)
        yield _family(AUDIT_WAITING, _numbers(AUDIT_WAITING, sources.audit_waiting))
        yield _family(AUDIT_LOST, _numbers(AUDIT_LOST, sources.audit_lost))
        yield _family(BUILD, {(__version__,): 1})

    def _by_account(
        self, of: Described, source: PerAccount, together: Callable[[float, float], float] = operator.add
    ) -> Metric:
        """The numbers of each account; those of accounts that are not configured are taken together."""
        numbers: dict[tuple[str, ...], float] = {}
        try:
            for name, number in source().items():
                labels = (self._account(name),)
                numbers[labels] = together(numbers[labels], number) if labels in numbers else number
        except Exception as error:
            _missing(of, error)
        return _family(of, numbers)


def _numbers(of: Described, source: Number | None) -> Mapping[tuple[str, ...], float]:
    try:
        return {} if source is None else {(): source()}
    except Exception as error:
        _missing(of, error)
        return {}


def _missing(of: Described, error: Exception) -> None:
    """One number that cannot be had does not take the others away."""
    logger.error("no %s: %s", of.name, type(error).__name__)


def _family(of: Described, numbers: Mapping[tuple[str, ...], float]) -> Metric:
    kind = CounterMetricFamily if of.kind == "counter" else GaugeMetricFamily
    family = kind(of.name, of.about, labels=of.labels)
    for labels, number in numbers.items():
        family.add_metric(labels, number)
    return family


class _Asked(Collector):
    """What is looked up at each scrape."""

    def __init__(self, ask: Callable[[], Iterable[Metric]]) -> None:
        self._ask = ask

    def collect(self) -> Iterable[Metric]:
        """Their numbers now."""
        return self._ask()


def _one_of(known: frozenset[str], value: str) -> str:
    return value if value in known else OTHER
