"""What an operation is handed: the world, the request, and who asks."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from .wire import Received, read_body
from .world import World


@dataclass(frozen=True)
class Caller:
    user: str
    address: str


PORTAL = Caller("portal", "198.51.100.20")
"""People at the vendor, who alone can cancel, refund and reissue."""


@dataclass(frozen=True)
class Call:
    world: World
    request: Received
    path: dict[str, str]
    """Values from the path, decoded."""
    caller: Caller

    @cached_property
    def body(self) -> Any:
        return read_body(self.request)
