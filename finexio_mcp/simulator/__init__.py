"""A pretend Finexio, written from the vendor's contract alone: it knows nothing of the server that it tests."""

from .api import OPERATIONS
from .clock import VirtualClock
from .companies import Companies
from .faults import Fault
from .journal import Effect, Journal, RequestRecord
from .lifecycle import NotPossible
from .quirks import Quirks
from .simulator import Simulator
from .wire import Received

__all__ = [
    "OPERATIONS",
    "Companies",
    "Effect",
    "Fault",
    "Journal",
    "NotPossible",
    "Quirks",
    "Received",
    "RequestRecord",
    "Simulator",
    "VirtualClock",
]
