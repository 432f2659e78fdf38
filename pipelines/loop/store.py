"""What a loop must not forget, in one database: its lease, its state, the partitions it has taken.

SQLite in the loop's folder by default; any database that SQLAlchemy knows where loops run on
several machines. Every write of a holder names its fencing token in the statement's own condition,
so one that was paused beyond its lease cannot overwrite what its successor wrote.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self
from uuid import uuid4

import sqlalchemy as sa

from router_ml.errors import LeaseError

_METADATA: Final = sa.MetaData()
_LEASE: Final = sa.Table(
    "router_loop_lease",
    _METADATA,
    sa.Column("name", sa.String(200), primary_key=True),
    sa.Column("owner", sa.String(200), nullable=False),
    sa.Column("token", sa.Integer, nullable=False),
    sa.Column("expires", sa.Float, nullable=False),
)
_STATE: Final = sa.Table(
    "router_loop_state",
    _METADATA,
    sa.Column("name", sa.String(200), primary_key=True),
    sa.Column("token", sa.Integer, nullable=False),
    sa.Column("state", sa.JSON, nullable=False),
)
_PARTITIONS: Final = sa.Table(
    "router_loop_partitions",
    _METADATA,
    sa.Column("name", sa.String(200), primary_key=True),
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("cycle", sa.Integer, nullable=False),
    sa.Column("about", sa.JSON, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Lease:
    """Who may act until when (seconds since 1970), and the fencing token: higher is later."""

    owner: str
    token: int
    expires: float


class Store:
    """Lease, state and partitions of the loop of one registered model.

    Parameters
    ----------
    url : as SQLAlchemy takes it
    name : of the registered model
    ttl_s : seconds that a lease lasts without a heartbeat
    clock : seconds since 1970; those of several machines must agree to well below ``ttl_s``
    """

    def __init__(
        self, url: str, *, name: str, ttl_s: float = 120.0, clock: Callable[[], float] = time.time
    ) -> None:
        self.name = name
        self.ttl_s = ttl_s
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"
        self.token = 0
        self._clock = clock
        self._engine = sa.create_engine(url)
        _METADATA.create_all(self._engine)

    @classmethod
    def below(cls, folder: Path, *, url: str = "", name: str, ttl_s: float = 120.0) -> Self:
        """The store in ``folder``, or at ``url`` where one is named."""
        folder.mkdir(parents=True, exist_ok=True)
        return cls(url or f"sqlite:///{(folder / 'loop.db').resolve()}", name=name, ttl_s=ttl_s)

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    def lease(self) -> Lease | None:
        """Who holds the lease, or held it last."""
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(_LEASE).where(_LEASE.c.name == self.name)).first()
        return None if row is None else Lease(row.owner, row.token, row.expires)

    def acquire(self) -> int:
        """Take the lease; its fencing token.

        Raises
        ------
        LeaseError
            If another loop holds it.
        """
        now = self._clock()
        free = sa.and_(_LEASE.c.name == self.name, _LEASE.c.expires <= now)
        taken = {"owner": self.owner, "expires": now + self.ttl_s}
        with self._engine.begin() as connection:
            row = connection.execute(
                sa.update(_LEASE).where(free).values(token=_LEASE.c.token + 1, **taken)
            )
            won = row.rowcount == 1
        if not won and self.lease() is None:
            try:
                with self._engine.begin() as connection:
                    connection.execute(sa.insert(_LEASE).values(name=self.name, token=1, **taken))
                won = True
            except sa.exc.IntegrityError:  # another was first
                won = False
        held = self.lease()
        if not won or held is None:
            holder = "another loop" if held is None else held.owner
            left = 0.0 if held is None else max(0.0, held.expires - now)
            raise LeaseError(
                f"the loop of {self.name} is held by {holder}, for another {left:.0f} s at most; "
                "try again later, or end that one"
            )
        self.token = held.token
        return self.token

    def renew(self) -> None:
        """Hold the lease for another ``ttl_s``: the heartbeat, and the check before every effect.

        Raises
        ------
        LeaseError
            If it was lost meanwhile.
        """
        with self._engine.begin() as connection:
            row = connection.execute(
                sa.update(_LEASE).where(self._mine()).values(expires=self._clock() + self.ttl_s)
            )
        if row.rowcount != 1:
            raise LeaseError(
                f"the lease of {self.name} was lost: no heartbeat for {self.ttl_s:g} s, and "
                "another loop has taken over; this one does nothing more"
            )

    def release(self) -> None:
        """Give the lease back, if it is still held."""
        with self._engine.begin() as connection:
            connection.execute(sa.update(_LEASE).where(self._mine()).values(expires=0.0))

    def load(self) -> dict[str, Any]:
        """The state; empty before there is any."""
        query = sa.select(_STATE.c.state).where(_STATE.c.name == self.name)
        with self._engine.connect() as connection:
            found: dict[str, Any] | None = connection.execute(query).scalar()
        return found or {}

    def save(
        self,
        state: Mapping[str, Any],
        partitions: Iterable[tuple[str, Mapping[str, Any]]] = (),
        *,
        cycle: int = 0,
    ) -> None:
        """Replace the state and enter partitions (key and row; empty = gone), both or neither.

        Raises
        ------
        LeaseError
            If a later holder has written.
        """
        values = {"token": self.token, "state": dict(state)}
        until = self._clock() + self.ttl_s
        with self._engine.begin() as connection:
            # A write, so that nobody can take the lease before this transaction has ended.
            held = connection.execute(sa.update(_LEASE).where(self._mine()).values(expires=until))
            if held.rowcount != 1:
                raise LeaseError(f"the lease of {self.name} was lost; its state is not written")
            mine = sa.and_(_STATE.c.name == self.name, _STATE.c.token <= self.token)
            if connection.execute(sa.update(_STATE).where(mine).values(**values)).rowcount == 0:
                connection.execute(sa.insert(_STATE).values(name=self.name, **values))
            for key, about in partitions:
                where = sa.and_(_PARTITIONS.c.name == self.name, _PARTITIONS.c.key == key)
                connection.execute(sa.delete(_PARTITIONS).where(where))
                if about:
                    row = {"key": key, "cycle": cycle, "about": dict(about)}
                    connection.execute(sa.insert(_PARTITIONS).values(name=self.name, **row))

    def partitions(self) -> dict[str, dict[str, Any]]:
        """What has been taken: key -> what is known of it, and its ``cycle``."""
        query = sa.select(_PARTITIONS).where(_PARTITIONS.c.name == self.name)
        with self._engine.connect() as connection:
            rows = connection.execute(query.order_by(_PARTITIONS.c.cycle, _PARTITIONS.c.key))
            return {row.key: {**row.about, "cycle": row.cycle} for row in rows}

    def _mine(self) -> sa.ColumnElement[bool]:
        return sa.and_(
            _LEASE.c.name == self.name,
            _LEASE.c.owner == self.owner,
            _LEASE.c.token == self.token,
        )
