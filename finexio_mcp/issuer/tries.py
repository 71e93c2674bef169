"""How often somebody may try: wrong codes for one sign-in, registrations in a minute.

Counted in this process, and where the ledger is shared together with all others, too; while that cannot be asked, each
counts for itself. Wrong codes have no bound for the server as a whole: a one-time code has 80 random bits and lasts for
minutes, so nobody guesses one in any number of tries that fits in there, while such a bound would let strangers keep
everybody from signing in.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Network, ip_address

from finexio_mcp.sharing.database import Away
from finexio_mcp.sharing.tries import Tries

WINDOW_MS = 60_000
WRONG_CODES_FOR_ONE = 5
SIGN_INS_REMEMBERED = 10_000
REGISTRATIONS_OF_ONE = 10
REGISTRATIONS_A_MINUTE = 300
SUBSCRIBER_BITS = 64
"""Of an IPv6 address: whoever has one address has all that begin so."""


class Allowance:
    """So many a minute, for each and for all together. What is remembered is bounded by what is allowed.

    Args:
        now_ms: The time.
        for_one: How many for each.
        for_all: How many for all.
    """

    def __init__(self, now_ms: Callable[[], int], *, for_one: int, for_all: int) -> None:
        self._now_ms = now_ms
        self._for_one = for_one
        self._for_all = for_all
        self._taken: deque[tuple[int, str]] = deque()
        self._each: Counter[str] = Counter()

    def __len__(self) -> int:
        """How many are remembered."""
        return len(self._each)

    def take(self, who: str) -> bool:
        """Use one up, if there is one left."""
        now_ms = self._now_ms()
        # A clock that was put back leaves moments that are yet to come, and nobody should wait for those.
        while self._taken and not 0 <= now_ms - self._taken[0][0] < WINDOW_MS:
            self._give_back(self._taken.popleft()[1])
        if len(self._taken) >= self._for_all or self._each[who] >= self._for_one:
            return False
        self._taken.append((now_ms, who))
        self._each[who] += 1
        return True

    def _give_back(self, who: str) -> None:
        self._each[who] -= 1
        if not self._each[who]:
            del self._each[who]


class Registrations:
    """Counts them: for each address, and for all together.

    Args:
        now_ms: The time.
        tries: Those of all replicas, if there may be several.
    """

    def __init__(self, now_ms: Callable[[], int], tries: Tries | None = None) -> None:
        self._here = Allowance(now_ms, for_one=REGISTRATIONS_OF_ONE, for_all=REGISTRATIONS_A_MINUTE)
        self._tries = tries

    async def take(self, who: str) -> bool:
        """Use one up, if there is one left."""
        # First what costs nothing: who asks a thousand times a second is not to ask the database as often.
        if not self._here.take(who):
            return False
        try:
            return self._tries is None or await self._take_with_all(self._tries, who)
        except Away:
            return True

    @staticmethod
    async def _take_with_all(tries: Tries, who: str) -> bool:
        seconds = WINDOW_MS / 1000
        if await tries.take("register", who, most=REGISTRATIONS_OF_ONE, window_seconds=seconds) is None:
            return False
        return await tries.take("register at all", "", most=REGISTRATIONS_A_MINUTE, window_seconds=seconds) is not None


class WrongCodes:
    """Counts them for each sign-in.

    Args:
        now_ms: The time.
        forget_ms: After what time a sign-in is over, and needs no count.
        tries: Those of all replicas, if there may be several.
    """

    def __init__(self, now_ms: Callable[[], int], *, forget_ms: int, tries: Tries | None = None) -> None:
        self._now_ms = now_ms
        self._forget_ms = forget_ms
        self._tries = tries
        self._each: OrderedDict[str, tuple[int, int]] = OrderedDict()
        """How many, and when the first of them came; in the order of that."""

    def __len__(self) -> int:
        """How many sign-ins are remembered."""
        return len(self._each)

    def too_many_for(self, nonce: str) -> bool:
        """Whether no further code is looked at for this sign-in."""
        return nonce in self._each and self._each[nonce][0] >= WRONG_CODES_FOR_ONE

    async def may_try(self, nonce: str) -> bool:
        """Whether a code may be looked at. It counts with all replicas before that, or many would look at once."""
        if self.too_many_for(nonce):
            return False
        if self._tries is None:
            return True
        try:
            left = await self._tries.take(
                "code", nonce, most=WRONG_CODES_FOR_ONE, window_seconds=self._forget_ms / 1000
            )
        except Away:
            return True
        # What was counted elsewhere counts here too; the one that is under way only when it has turned out wrong.
        self._keep(nonce, WRONG_CODES_FOR_ONE if left is None else WRONG_CODES_FOR_ONE - left - 1)
        return left is not None

    def count(self, nonce: str) -> None:
        """One more."""
        self._forget()
        self._keep(nonce, self._each.get(nonce, (0, 0))[0] + 1)

    def _forget(self) -> None:
        now_ms = self._now_ms()
        while self._each and now_ms - next(iter(self._each.values()))[1] >= self._forget_ms:
            self._each.popitem(last=False)

    def _keep(self, nonce: str, count: int) -> None:
        if not count:
            return
        known, first_ms = self._each.get(nonce, (0, self._now_ms()))
        self._each[nonce] = max(known, count), first_ms
        if len(self._each) > SIGN_INS_REMEMBERED:
            # Whoever begins so many gets a few more tries by it. Those are worth nothing; memory is.
            self._each.popitem(last=False)


def subscriber(host: str | None) -> str:
    """Whom an address counts as. What is no address, such as a name or a socket's file, counts as one."""
    try:
        address = ip_address(host or "")
    except ValueError:
        return ""
    if isinstance(address, IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(IPv6Network((int(address), SUBSCRIBER_BITS), strict=False))
