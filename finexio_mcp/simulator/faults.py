"""Scripted misfortune: what goes wrong with which request."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Literal

from .wire import Received

Match = Callable[[Received], bool]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What happens instead of, or on top of, the true answer.

    * Nothing leaves: `connect_error`, `connect_timeout`.
    * The connection breaks: `reset` (with `orderly`: closed, not reset), `lost_answer`, `lands_after`, `truncate_at`.
    * Another answer: `status` (the request has no effect unless `takes_effect`), `headers`, `body`.
    * A slow answer: `delay_seconds`, `drip_seconds`. The effect comes before the wait.
    """

    connect_error: bool = False
    """Refused: no byte leaves. Over a socket the connection can only be cut, unanswered and without effect."""
    connect_timeout: bool = False
    """As `connect_error`, but noticed late."""
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes | None = None
    """Sent instead of the true body. With neither `status` nor a cut, the request takes effect."""
    takes_effect: bool = False
    """With `status`: the thing is done all the same, as when a proxy gives up on a slow server."""
    delay_seconds: float = 0.0
    drip_seconds: float | None = None
    """Pause before each sixteenth of the body."""
    reset: Literal["before_effect", "after_effect"] | None = None
    orderly: bool = False
    """With `reset`: the server closes the connection properly, yet without a word."""
    lost_answer: bool = False
    """The request takes effect and no answer ever comes."""
    lands_after: timedelta | None = None
    """No answer comes, and the effect only after so much virtual time."""
    truncate_at: int | None = None
    """The connection ends after so many bytes of the body."""

    def __post_init__(self) -> None:
        endings = [name for name in self._set_fields() if name in EXCLUSIVE]
        if len(endings) > 1:
            raise ValueError(f"One fault, one ending; got {', '.join(endings)}.")
        if self.takes_effect and self.status is None:
            raise ValueError("`takes_effect` belongs to `status`; every other answer takes effect anyway.")
        if self.orderly and self.reset is None:
            raise ValueError("`orderly` belongs to `reset`.")

    @property
    def before_connection(self) -> bool:
        return self.connect_error or self.connect_timeout

    @property
    def never_answers(self) -> bool:
        return self.lost_answer or self.lands_after is not None

    @property
    def has_effect_now(self) -> bool:
        if self.before_connection or self.reset == "before_effect" or self.lands_after is not None:
            return False
        return self.status is None or self.takes_effect

    def _set_fields(self) -> list[str]:
        return [item.name for item in fields(self) if getattr(self, item.name) not in (None, False, 0.0)]


EXCLUSIVE = ("connect_error", "connect_timeout", "status", "reset", "lost_answer", "lands_after")


@dataclass
class _Entry:
    fault: Fault
    match: Match
    left: int | None


class FaultScript:
    """Faults in the order they were scripted; the first that fits a request is used up by it."""

    def __init__(self) -> None:
        self._entries: list[_Entry] = []

    def add(self, fault: Fault, *, times: int | None, match: Match) -> None:
        self._entries.append(_Entry(fault, match, times))

    def clear(self) -> None:
        self._entries.clear()

    def peek(self, request: Received) -> Fault | None:
        entry = self._find(request)
        return entry.fault if entry else None

    def take(self, request: Received) -> Fault | None:
        entry = self._find(request)
        if entry is None:
            return None
        if entry.left is not None:
            entry.left -= 1
            if entry.left == 0:
                self._entries.remove(entry)
        return entry.fault

    def __len__(self) -> int:
        return len(self._entries)

    def _find(self, request: Received) -> _Entry | None:
        return next((entry for entry in self._entries if entry.match(request)), None)


def matcher(match: Match | None, method: str | None, path: str | None) -> Match:
    """All given conditions together. `path` is a shell pattern, with or without the leading /v2."""

    def fits(request: Received) -> bool:
        if method is not None and request.method != method.upper():
            return False
        if path is not None and not any(fnmatchcase(seen, path) for seen in (request.path, request.api_path)):
            return False
        return match is None or match(request)

    return fits
