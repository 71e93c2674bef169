"""Every way a call can fail, on one screen.

* FinexioError
    * InvalidArguments ............ the caller can mend it (`invalid_arguments`)
        * InvalidCursor ........... `invalid_cursor`
    * AccessDenied ................ this caller may not use the tool (`access_denied`)
    * RefusedByPolicy ............. an operator's limit (`refused_by_policy`)
    * NotConfigured ............... credentials are missing (`not_configured`)
    * NotAuthorized ............... Finexio does not take the credentials (`not_authorized`)
    * PermissionDenied ............ Finexio does not allow this user to (`permission_denied`)
    * NotFound .................... `not_found`
    * Rejected .................... Finexio refused the content (`rejected`)
    * RateLimited ................. a read came too soon (`rate_limited`)
    * Unavailable ................. nothing happened, try later (`unavailable`)
        * DeadlinePassed .......... no answer in time (`timeout`)
        * Overloaded .............. too many calls wait here (`overloaded`)
    * NotExecuted ................. a write that provably never ran (`not_executed`)
    * Unreadable .................. the answer makes no sense (`upstream_unreadable`)
    * Conflict .................... the same invoice with another content (`conflict`)
    * LedgerUnavailable ........... submissions cannot be recorded, so none is sent (`ledger_unavailable`)
    * OutcomeUnknown .............. a write left, and may have happened (`in_doubt`)
    * Internal .................... our own fault (`internal`)

The message is only ever our words: what is so, and what to do next. What Finexio said travels in
`problems`, which the envelope cleans and masks.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Literal, NamedTuple

WriteStatus = Literal[
    "confirmed",
    "already_submitted",
    "in_progress",
    "in_doubt",
    "rejected",
    "not_executed",
    "conflict",
    "refused_by_policy",
    "ledger_unavailable",
]


class Problem(NamedTuple):
    """One thing that is wrong with one field; `field` is a path such as `invoices[3].amount_cents`."""

    field: str
    problem: str


class FinexioError(Exception):
    """A failure that a model can be told about.

    `may_have_happened` answers the question that matters with money: can the world have changed?
    `status` is what the failure means for a write.
    """

    code: ClassVar[str]
    status: WriteStatus = "rejected"
    may_have_happened: bool = False
    retryable: bool = False
    quotes_finexio: ClassVar[bool] = False
    """Whether `problems` are in Finexio's words, not in ours."""

    def __init__(
        self,
        message: str,
        *,
        problems: Iterable[Problem] = (),
        http_status: int | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.problems = tuple(problems)
        self.http_status = http_status
        self.retry_after_seconds = retry_after_seconds


class InvalidArguments(FinexioError):
    """The arguments break a rule that the caller can read and mend."""

    code = "invalid_arguments"


class InvalidCursor(InvalidArguments):
    """The cursor is garbage, or belongs to another tool or other filters."""

    code = "invalid_cursor"


class AccessDenied(FinexioError):
    """The tool is ours, and this caller may not use it."""

    code = "access_denied"
    status = "refused_by_policy"


class RefusedByPolicy(FinexioError):
    """A limit that only the operator can move."""

    code = "refused_by_policy"
    status = "refused_by_policy"


class NotConfigured(FinexioError):
    """There are no credentials to call Finexio with."""

    code = "not_configured"
    status = "not_executed"


class NotAuthorized(FinexioError):
    """Finexio does not accept the credentials."""

    code = "not_authorized"


class PermissionDenied(FinexioError):
    """Finexio knows the user and does not allow this."""

    code = "permission_denied"
    quotes_finexio = True


class NotFound(FinexioError):
    """Finexio has no such record."""

    code = "not_found"


class Rejected(FinexioError):
    """Finexio read the request and refused its content."""

    code = "rejected"
    quotes_finexio = True


class RateLimited(FinexioError):
    """Finexio asks for fewer reads."""

    code = "rate_limited"
    status = "not_executed"
    retryable = True


class Unavailable(FinexioError):
    """Finexio could not be reached or could not answer; nothing changed."""

    code = "unavailable"
    status = "not_executed"
    retryable = True


class DeadlinePassed(Unavailable):
    """No answer within the time a host would wait; nothing changed."""

    code = "timeout"


class Overloaded(Unavailable):
    """More calls wait for their turn than can be sent in time; this one was not sent."""

    code = "overloaded"


class NotExecuted(FinexioError):
    """A write that provably never ran, and may be called again."""

    code = "not_executed"
    status = "not_executed"
    retryable = True


class Unreadable(FinexioError):
    """Finexio answered a read with something that is no answer."""

    code = "upstream_unreadable"
    status = "not_executed"


class Conflict(FinexioError):
    """The same invoice, or a record of the same key, is there with another content; a person decides."""

    code = "conflict"
    status = "conflict"


class LedgerUnavailable(FinexioError):
    """Nothing can be recorded, so nothing is sent; reads go on. It may pass by itself, or an operator has to act."""

    code = "ledger_unavailable"
    status = "ledger_unavailable"


class OutcomeUnknown(FinexioError):
    """A write left and its outcome is not known; it is never sent again by us."""

    code = "in_doubt"
    status = "in_doubt"
    may_have_happened = True


class Internal(FinexioError):
    """A fault of ours before anything was sent; the details are in the log, never in the answer."""

    code = "internal"
    status = "not_executed"
