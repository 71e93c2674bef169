"""What can be reached as Finexio is, in process or on a port, whether one company lives there or several."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from .faults import Fault
from .journal import RequestRecord
from .wire import Answer, Received

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from .transport import SimulatorTransport


@dataclass(frozen=True)
class Exchange:
    """What became of one request: an answer, a fault that the wire has to act out, or both."""

    answer: Answer | None
    fault: Fault | None = None
    record: RequestRecord | None = None
    """What the journal keeps of it; None for what is no request to the API, and for what never arrived."""


class Reachable(ABC):
    """The door that every wire uses, and the wires."""

    sleep: Callable[[float], Awaitable[object]]
    """Awaited for a scripted delay."""

    @property
    @abstractmethod
    def base_url(self) -> str:
        """Where it is."""

    @abstractmethod
    def refuses_connection(self, request: Received) -> Fault | None:
        """The scripted connection failure that meets this request, used up; None when it gets through."""

    @abstractmethod
    def receive(self, request: Received) -> Exchange:
        """Take in one complete request."""

    @abstractmethod
    def at_origin(self, origin: str) -> AbstractContextManager[str]:
        """While served from `origin`, that is where images and subscriptions are."""

    @abstractmethod
    def ticking(self, day_seconds: float | None) -> AbstractContextManager[None]:
        """Let a day pass in so many real seconds; None leaves time alone."""

    @cached_property
    def app(self) -> "Starlette":
        """The same world as an ASGI application."""
        from .app import build_app

        return build_app(self)

    def transport(self) -> "SimulatorTransport":
        """An httpx2 transport that reaches this world in process, faults and trace events included."""
        from .transport import SimulatorTransport

        return SimulatorTransport(self)

    @contextmanager
    def listening(self, *, host: str = "127.0.0.1", port: int = 0, day_seconds: float | None = None) -> Generator[str]:
        """Serve over loopback HTTP from a thread; gives the base URL."""
        from .server import in_thread

        with in_thread(self, host=host, port=port, day_seconds=day_seconds) as base_url:
            yield base_url
