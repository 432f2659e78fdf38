"""Whoever asks gets their own answer, scored alone, together, across a swap or after a failure."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from router_ml.errors import InvalidRequestError
from router_ml.features.query import Query
from router_ml.runtime.constraints import NO_CONSTRAINTS, Constraints
from router_ml.runtime.runtime import Runtime
from router_ml.types.decisions import Decision
from serving.batching import Batcher, BatchWindow
from serving.control.control import Control
from serving.control.decider import Decider
from serving.http.errors import OverloadError
from tests.bundles import make_bundle

TEXTS = [f"Mix {'very ' * (n % 7)}blue paint {n}" for n in range(40)]


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Runtime:
    folder = tmp_path_factory.mktemp("bundle") / "bundle"
    make_bundle(folder)
    return Runtime.from_folder(folder)


def router(runtime: Any) -> Any:
    return SimpleNamespace(runtime=runtime)


def ask(text: str, limits: Constraints = NO_CONSTRAINTS) -> Any:
    return SimpleNamespace(query=Query(text), limits=limits, conversation=None)


def deciding() -> Batcher[Decision]:
    return Batcher(decide=each(lambda router, ask, decision: decision))


def each(answer: Any) -> Any:
    return Decider(control=Control(), answer=answer).each


async def gather(batcher: Batcher[Decision], asked: list[tuple[Any, Any]]) -> list[Any]:
    waiting = [batcher.decide(*pair) for pair in asked]
    return await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 20)


def same(a: Decision, b: Decision) -> bool:
    utility = [pytest.approx(line.utility, abs=1e-5) for line in b.ranking]
    return a.candidate == b.candidate and [line.utility for line in a.ranking] == utility


@pytest.mark.parametrize("n", [1, 2, 40])
def test_everyone_gets_their_own(runtime: Runtime, n: int) -> None:
    batcher = deciding()
    results = asyncio.run(gather(batcher, [(router(runtime), ask(t)) for t in TEXTS[:n]]))
    assert all(same(got, runtime.decide(Query(t))) for got, t in zip(results, TEXTS, strict=False))


def test_a_wrong_request_fails_alone(runtime: Runtime) -> None:
    batcher, here = deciding(), router(runtime)
    impossible = Constraints(max_cost_usd=1e-12)
    asked = [(here, ask("a")), (here, ask("b", impossible)), (here, ask("c"))]
    first, second, third = asyncio.run(gather(batcher, asked))
    assert isinstance(second, InvalidRequestError)
    assert same(first, runtime.decide(Query("a")))
    assert same(third, runtime.decide(Query("c")))


def test_around_a_swap_each_router_answers_its_own(runtime: Runtime, tmp_path: Path) -> None:
    make_bundle(tmp_path / "other", random_state=7)
    other = Runtime.from_folder(tmp_path / "other")
    routers = [router(runtime), router(other)]
    batcher = deciding()
    asked = [(routers[n % 2], ask(text)) for n, text in enumerate(TEXTS[:10])]
    results = asyncio.run(gather(batcher, asked))
    for (of, question), got in zip(asked, results, strict=True):
        assert same(got, of.runtime.decide(question.query))


class Broken:
    """A runtime of which one method fails."""

    def __init__(self, runtime: Runtime, what: str) -> None:
        self.runtime = runtime
        self.what = what

    def __getattr__(self, name: str) -> Any:
        if name == self.what:
            raise RuntimeError("the disk is on fire")
        return getattr(self.runtime, name)


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("what", ["predict", "choose_each", "decide"])
def test_those_who_wait_hear_of_a_failure_and_the_next_are_served(
    runtime: Runtime, what: str, n: int
) -> None:
    async def main() -> tuple[list[Any], list[Any]]:
        batcher = deciding()
        failed = await gather(batcher, [(router(Broken(runtime, what)), ask("a"))] * n)
        served = await gather(batcher, [(router(runtime), ask("a"))] * 3)
        return failed, served

    failed, served = asyncio.run(main())
    broken = what == "decide" if n == 1 else what != "decide"
    assert all(isinstance(result, RuntimeError if broken else Decision) for result in failed)
    assert all(same(result, runtime.decide(Query("a"))) for result in served)


def test_who_left_is_not_answered(runtime: Runtime) -> None:
    async def main() -> list[Any]:
        batcher = deciding()
        here = router(runtime)
        waiting = [batcher.decide(here, ask(text)) for text in TEXTS[:3]]
        waiting[1].cancel()
        return await asyncio.gather(*waiting, return_exceptions=True)

    first, second, third = asyncio.run(main())
    assert isinstance(second, asyncio.CancelledError)
    assert isinstance(first, Decision)
    assert isinstance(third, Decision)


def test_an_answer_that_fails_is_heard_of_by_its_asker(runtime: Runtime) -> None:
    def answer(router: Any, ask: Any, decision: Decision) -> Decision:
        if ask.query.ask == TEXTS[1]:
            raise RuntimeError("no ink")
        return decision

    asked = [(router(runtime), ask(text)) for text in TEXTS[:3]]
    first, second, third = asyncio.run(gather(Batcher(decide=each(answer)), asked))
    assert isinstance(second, RuntimeError)
    assert same(first, runtime.decide(Query(TEXTS[0])))
    assert same(third, runtime.decide(Query(TEXTS[2])))


def test_a_batch_waits_for_as_many_as_the_last_had_and_one_more() -> None:
    window = BatchWindow()
    window.begin(0.0)
    assert not window.wait(1, 0.0)  # nobody else is expected
    window.end(4, 0.001)
    window.begin(0.0012)
    assert window.wait(4, 0.0013)  # four were there, so a fifth may come
    assert not window.wait(5, 0.0013)


def test_after_a_wait_in_vain_no_more_are_expected_than_came() -> None:
    window = BatchWindow()
    window.begin(0.0)
    window.end(4, 0.001)
    window.begin(0.0011)
    assert window.wait(3, 0.0012)
    assert not window.wait(3, 0.0018)  # patience is over
    window.end(3, 0.0019)
    window.begin(0.002)
    assert window.wait(2, 0.002)
    assert not window.wait(3, 0.002)  # not one more: the last wait was for nothing


def test_the_estimate_expires() -> None:
    window = BatchWindow()
    window.begin(0.0)
    window.end(8, 0.001)
    window.begin(0.01)
    assert not window.wait(1, 0.01)


def test_no_more_are_expected_than_a_batch_holds() -> None:
    window = BatchWindow()
    window.begin(0.0)
    window.end(32, 0.001)
    window.begin(0.0011)
    assert not window.wait(32, 0.0011)


async def _late(batcher: Batcher[Decision], here: Any, n: int, **options: Any) -> list[Any]:
    waiting = [batcher.decide(here, ask(f"Mix {i}"), wait_s=-1.0, **options) for i in range(n)]
    return await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 20)


def test_late_without_a_queue_is_answered_all_the_same(runtime: Runtime) -> None:
    results = asyncio.run(_late(deciding(), router(runtime), 32))
    assert all(isinstance(result, Decision) for result in results)


def test_late_in_a_queue_is_shed(runtime: Runtime) -> None:
    results = asyncio.run(_late(deciding(), router(runtime), 100))
    assert all(isinstance(result, OverloadError) for result in results)


def test_a_caller_who_went_away_is_shed_in_any_case(runtime: Runtime) -> None:
    (result,) = asyncio.run(_late(deciding(), router(runtime), 1, firm=True))
    assert isinstance(result, OverloadError)
    assert result.cause == "deadline"


def test_more_than_may_wait_are_refused_at_once(runtime: Runtime) -> None:
    decide = each(lambda router, ask, decision: decision)
    batcher: Batcher[Decision] = Batcher(decide=decide, max_waiting=2)

    async def window() -> list[Any]:
        here = router(runtime)
        waiting = [batcher.decide(here, ask("a")), batcher.decide(here, ask("b"))]
        with pytest.raises(OverloadError, match="too many"):
            batcher.decide(here, ask("c"))
        return await asyncio.gather(*waiting)

    assert len(asyncio.run(window())) == 2
