"""The loop: takes the lease, does one step after the other, writes the state after each."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import FrameType
from typing import Final

import sqlalchemy as sa

from pipelines.console import console
from pipelines.loop.config import LoopConfig
from pipelines.loop.cycle import begun, failed
from pipelines.loop.drift import find_alarms
from pipelines.loop.metrics import write_metrics
from pipelines.loop.state import EXIT_CODES, FAILED, HELD, LoopState
from pipelines.loop.steps import Drift, Steps
from pipelines.loop.store import Store
from router_ml.errors import LeaseError, RegistryError, RouterError

_BEATS: Final = 3
"""Heartbeats in the time that a lease lasts."""
_LOOK_S: Final = 5.0


class Loop:
    """One loop over one registered model; :meth:`cycle` is called while the lease is held.

    Parameters
    ----------
    drift : finds alarms in a joined log
    """

    def __init__(self, config: LoopConfig, store: Store, *, drift: Drift = find_alarms) -> None:
        self.config = config
        self.store = store
        self.steps = Steps(config, store, drift=drift)

    def cycle(self) -> LoopState:
        """Go on where the state says, to the end of a cycle.

        Raises
        ------
        LeaseError
            If another loop has taken over; nothing more is written.
        RouterError
            What made the cycle fail. A registry that cannot be reached leaves the step to be done
            again; after anything else the cycle is over, and the next begins anew.
        """
        state = LoopState.read(self.store.load())
        if state.step == "idle":
            state = self._save(begun(state, self.steps.now().isoformat()))
        while state.step != "idle":
            _tell(state)
            self.store.renew()
            self.steps.entries = []
            try:
                state = getattr(self.steps, state.step)(state)
            except (LeaseError, RegistryError):
                raise
            except RouterError as error:
                self._save(_counted(failed(state, str(error)[:2_000])))
                raise
            if state.step == "idle":
                state = _counted(state)
            state = self._save(state)
        _tell(state)
        self.steps.tidy(state)
        return state

    def _save(self, state: LoopState) -> LoopState:
        state = replace(state, updated=self.steps.now().isoformat())
        self.store.save(state.as_dict(), self.steps.entries, cycle=state.cycle)
        if self.config.metrics_file is not None:
            write_metrics(self.config.metrics_file, self.config.name, state)
        return state


def run(config: LoopConfig) -> int:
    """Run one cycle, or one after the other until told to stop; the exit code."""
    store = Store.below(config.output, url=config.store, name=config.name, ttl_s=config.lease_s)
    loop = Loop(config, store)
    code = 0
    try:
        with _terminated_in_order():
            while True:
                try:
                    with holding(store):
                        code = _again(loop)
                        while not config.once:
                            time.sleep(config.every_s)
                            code = _again(loop)
                except LeaseError as error:
                    console.print(str(error), markup=False, highlight=False)
                    code = HELD
                if config.once:
                    return code
                time.sleep(min(_LOOK_S, config.every_s))
    finally:
        store.close()


def _again(loop: Loop) -> int:
    """One cycle, whose failure is told; the exit code."""
    try:
        state = loop.cycle()
    except LeaseError:
        raise
    except RouterError as error:
        console.print(f"{type(error).__name__}: {error}", markup=False, highlight=False)
        return FAILED
    return EXIT_CODES.get(state.outcome, 0) if loop.config.detailed_exit_code else 0


@contextmanager
def holding(store: Store) -> Iterator[None]:
    """Hold the lease, with a heartbeat in a thread; when it is lost, what is under way is ended.

    Raises
    ------
    LeaseError
        If another holds it, or has taken it over meanwhile.
    """
    store.acquire()
    done, lost = threading.Event(), threading.Event()
    with _interruptible(done) as interrupt:

        def beat() -> None:
            while not done.wait(store.ttl_s / _BEATS):
                try:
                    store.renew()
                except LeaseError:
                    lost.set()
                    break
                except sa.exc.SQLAlchemyError:
                    continue  # a database that is away for a moment; the next beat tries again
            # Again if need be: an interrupt that meets a finaliser is swallowed there.
            while lost.is_set() and not done.is_set():
                interrupt()
                done.wait(store.ttl_s)

        thread = threading.Thread(target=beat, name="lease", daemon=True)
        thread.start()
        try:
            try:
                yield
            finally:
                done.set()
        except KeyboardInterrupt as error:
            if lost.is_set():
                raise LeaseError(
                    f"the lease of {store.name} was lost while a step was under way; it is broken "
                    "off"
                ) from error
            raise
        finally:
            done.set()
            thread.join()
            with contextlib.suppress(sa.exc.SQLAlchemyError):
                store.release()


@contextmanager
def _interruptible(done: threading.Event) -> Iterator[Callable[[], None]]:
    """Give what breaks off the main thread until ``done``, by a signal of its own.

    Somebody may ignore SIGINT, or do something else on it. In another thread nothing can be broken
    off, and the check before every effect has to do.
    """
    main = threading.main_thread()
    if threading.current_thread() is not main:
        yield lambda: None
        return

    def break_off(number: int, frame: FrameType | None) -> None:
        if not done.is_set():
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGUSR1, break_off)
    try:
        yield lambda: signal.pthread_kill(main.ident or 0, signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before or signal.SIG_DFL)


@contextmanager
def _terminated_in_order() -> Iterator[None]:
    """On SIGTERM give the lease back: whoever is next need not wait until it ends."""

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _counted(state: LoopState) -> LoopState:
    counts = {**state.outcomes, state.outcome: state.outcomes.get(state.outcome, 0) + 1}
    return replace(state, outcomes=counts)


def _tell(state: LoopState) -> None:
    """A line of what is done next, or of what came of a cycle."""
    said = state.step if state.step != "idle" else state.outcome
    reason = f" ({'; '.join(state.reasons)})" if state.step == "train" else ""
    text = f": {state.said}" if state.step == "idle" else ""
    console.print(
        f"cycle {state.cycle}: {said}{reason}{text}", markup=False, highlight=False, soft_wrap=True
    )
