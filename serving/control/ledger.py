"""Keeps what was spent in a file, so that a restart forgets no cap."""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path
from typing import Final

import msgspec

from router_ml.errors import ConfigError
from serving.control.budgets import Account, Budgets
from serving.heartbeat import Heartbeat
from serving.reasons import full_reason, public_reason

_LOG: Final = logging.getLogger(__name__)
_EVERY_S: Final = 1.0
_encode: Final = msgspec.json.Encoder().encode


class Entry(msgspec.Struct):
    """One account of the file; times are UNIX time."""

    budget: str
    scope: str
    begin: float
    end: float
    spent_usd: float


class Ledger:
    """Writes the accounts once a second, where they changed.

    Parameters
    ----------
    path : of the file; it is replaced whole
    budgets : whose accounts are kept

    Attributes
    ----------
    heartbeat : of the writing
    """

    def __init__(self, *, path: Path, budgets: Budgets) -> None:
        self.path = path
        self.budgets = budgets
        self.heartbeat = Heartbeat("spending file", 15.0)
        self._written = b""

    def load(self) -> None:
        """Take up what the file holds of windows under way.

        Raises
        ------
        ConfigError
            If it cannot be read, written, or is no such file: caps would begin anew unnoticed.
        """
        try:
            if self.path.exists():
                entries = msgspec.json.decode(self.path.read_bytes(), type=list[Entry])
            else:
                entries = []
                self._replace(_encode(entries))
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"expected what was spent in {self.path}, a file that the service wrote: {error}; "
                "repair it, or remove it to begin anew"
            ) from error
        now = time.time()
        for entry in entries:
            if entry.end > now:
                account = Account(begin=entry.begin, end=entry.end, known=entry.spent_usd)
                self.budgets.accounts[entry.budget, entry.scope] = account

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await asyncio.sleep(_EVERY_S)
            data = self._data()
            try:
                if data != self._written:
                    await asyncio.to_thread(self._replace, data)
                    self._written = data
            except OSError as error:
                if self.heartbeat.reason is None:
                    _LOG.error("what was spent cannot be written: %s", full_reason(error))
                self.heartbeat.fail(public_reason(error))
            else:
                self.heartbeat.beat()

    def close(self) -> None:
        """Write a last time."""
        try:
            self._replace(self._data())
        except OSError as error:
            _LOG.error("what was spent is not written: %s", full_reason(error))

    def _data(self) -> bytes:
        now = time.time()
        return _encode(
            [
                Entry(budget, scope, account.begin, account.end, account.spent)
                for (budget, scope), account in self.budgets.accounts.items()
                if account.end > now
            ]
        )

    def _replace(self, data: bytes) -> None:
        scratch = self.path.with_name(f".{self.path.name}.new")
        scratch.write_bytes(data)
        scratch.replace(self.path)
