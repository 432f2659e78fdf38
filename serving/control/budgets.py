r"""Spending against caps: predicted when it is decided, as reported once it is.

While an account fills, cost weighs more: with :math:`x` the way from ``rises_from`` to the cap,

.. math:: \lambda' = \lambda + \frac{0.1}{s} \cdot \frac{x}{1 - x}

where :math:`s` is the mean span of a request's prices, dearest less cheapest. Half-way a tenth of
quality is worth the whole span; at the cap nothing is. The weight is one for all requests, because
that is how a sum buys most quality.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from router_ml.types.decisions import RankedCandidate
from serving.control.budget_file import Budget, window_of
from serving.http.errors import HttpError

_QUALITY_OF_SPAN: Final = 0.1
_MEMORY: Final = 0.02
"""Share of a new request in the mean span."""
_MOST_ACCOUNTS: Final = 10_000
OTHER: Final = "(other)"
"""The account of everybody beyond: who makes up tags cannot slip through, nor fill the memory."""

AccountKey = tuple[str, str]
"""Budget and scope."""


@dataclass(slots=True)
class Account:
    """What one scope of a budget has spent in the window under way.

    Parameters
    ----------
    begin, end : of the window, UNIX time
    known : spent by all processes, as the last exchange said; this one's where none is shared
    unsent : of this process since then
    is_touched : looked at since then
    """

    begin: float = -math.inf
    end: float = -math.inf
    known: float = 0.0
    unsent: float = 0.0
    is_touched: bool = True

    @property
    def spent(self) -> float:
        """US dollars, never below zero."""
        return max(0.0, self.known + self.unsent)


@dataclass(frozen=True, slots=True)
class Booking:
    """Dollars on an account, in the window that they were spent in."""

    key: AccountKey
    begin: float


@dataclass(frozen=True, slots=True)
class Allowance:
    """What the budgets leave a request: see :class:`router_ml.runtime.conditions.Conditions`."""

    extra_cost_weight: float = 0.0
    left_usd: float | None = None
    spent_budget: str = ""


NO_LIMIT: Final = Allowance()


class Budgets:
    """Accounts of one process; used on its event loop alone, so that no two requests race.

    Attributes
    ----------
    budgets : in force; replaced whole when their file changes
    refused, cheapest : requests that met a full account, by budget
    """

    def __init__(self, budgets: Sequence[Budget] = ()) -> None:
        self.budgets = tuple(budgets)
        self.accounts: dict[AccountKey, Account] = {}
        self.refused: Counter[str] = Counter()
        self.cheapest: Counter[str] = Counter()
        self._span = 0.0

    def allowance(self, tenant: str | None, key: str | None, tags: Any) -> Allowance:
        """What a request may spend.

        Raises
        ------
        HttpError
            429 where a full account refuses, until its window ends.
        """
        extra, left, spent_budget = 0.0, None, ""
        now = datetime.now(UTC)
        for budget, _, account in self._accounts(tenant, key, tags, now):
            spent = account.spent
            if spent >= budget.usd:
                if budget.beyond == "refuse":
                    self.refuse(budget, account, now)
                self.cheapest[budget.name] += 1
                spent_budget = budget.name
                continue
            if budget.beyond == "refuse":
                left = min(budget.usd - spent, math.inf if left is None else left)
            extra = max(extra, pressure(spent / budget.usd, budget.rises_from))
        weight = extra * _QUALITY_OF_SPAN / self._span if self._span else 0.0
        if not weight and left is None and not spent_budget:
            return NO_LIMIT
        return Allowance(weight, left, spent_budget)

    def knows(self, tenant: str | None, key: str | None, tags: Any) -> bool:
        """Whether every account of a request is there already; it is afterwards."""
        n = len(self.accounts)
        for _ in self._accounts(tenant, key, tags, datetime.now(UTC)):
            pass
        return len(self.accounts) == n

    def refuse(self, budget: Budget, account: Account, now: datetime) -> None:
        """Raise 429 until the account's window ends."""
        self.refused[budget.name] += 1
        wait_s = max(1, math.ceil(account.end - now.timestamp()))
        raise HttpError(
            429,
            f"the budget {budget.name} of ${budget.usd:g} a {budget.window} is spent",
            headers={"retry-after": str(wait_s)},
        )

    def refuse_fullest(self, tenant: str | None, key: str | None, tags: Any) -> None:
        """Raise 429 for the account with the least left, which no candidate fits."""
        now = datetime.now(UTC)
        refusing = [
            (budget.usd - account.spent, budget, account)
            for budget, _, account in self._accounts(tenant, key, tags, now)
            if budget.beyond == "refuse"
        ]
        _, budget, account = min(refusing, key=lambda entry: entry[0])
        self.refuse(budget, account, now)

    def book(
        self,
        tenant: str | None,
        key: str | None,
        tags: Any,
        usd: float,
        ranking: Sequence[RankedCandidate] = (),
    ) -> tuple[Booking, ...]:
        """Put dollars on every account of a request."""
        if len(ranking) > 1:
            costs = [line.cost_usd for line in ranking]
            span = max(costs) - min(costs)
            self._span += (_MEMORY if self._span else 1.0) * (span - self._span)
        bookings = []
        for _, at, account in self._accounts(tenant, key, tags, datetime.now(UTC)):
            account.unsent += usd
            bookings.append(Booking(at, account.begin))
        return tuple(bookings)

    def correct(self, bookings: Sequence[Booking], usd: float) -> None:
        """Change what was booked, by so many dollars, where its window is still under way."""
        for booking in bookings:
            account = self.accounts.get(booking.key)
            if account is not None and account.begin == booking.begin:
                account.unsent += usd
                account.is_touched = True

    def _accounts(
        self, tenant: str | None, key: str | None, tags: Any, now: datetime
    ) -> Iterator[tuple[Budget, AccountKey, Account]]:
        for budget in self.budgets:
            for scope in budget.scopes(tenant, key, tags):
                yield budget, *self._account(budget, scope, now)

    def _account(self, budget: Budget, scope: str, now: datetime) -> tuple[AccountKey, Account]:
        key = (budget.name, scope)
        account = self.accounts.get(key)
        if account is None:
            if len(self.accounts) >= _MOST_ACCOUNTS:
                key = (budget.name, OTHER)
            account = self.accounts.setdefault(key, Account())
        account.is_touched = True
        # A clock that goes back opens no window anew.
        if now.timestamp() >= account.end:
            begin, end = (moment.timestamp() for moment in window_of(budget.window, now))
            account.begin, account.end, account.known, account.unsent = begin, end, 0.0, 0.0
        return key, account


def pressure(share: float, rises_from: float) -> float:
    """How far an account weighs on cost: 0 up to ``rises_from``, without bound at the cap.

    Examples
    --------
    >>> [round(pressure(share, 0.5), 3) for share in (0.4, 0.5, 0.75, 0.99)]
    [0.0, 0.0, 1.0, 49.0]
    """
    way = max(0.0, (share - rises_from) / (1.0 - rises_from))
    return way / max(1.0 - way, 1e-9)
