from __future__ import annotations

import numpy as np
import pytest

from router_ml.data.synthetic import SyntheticWorld
from router_ml.data.synthetic_text import TOPICS
from router_ml.errors import ConfigError


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_router_has_something_to_win(seed: int) -> None:
    queries = SyntheticWorld(random_state=seed).sample(4_000, random_state=1)
    constants = queries.quality_prob.mean(axis=0)
    assert 0.84 < constants.max() < 0.92
    assert queries.quality_prob.max(axis=1).mean() > 0.96
    assert queries.cost_usd.mean(axis=0)[constants.argmax()] > 20 * queries.cost_usd.mean(0).min()


def test_outcomes_follow_their_probabilities() -> None:
    queries = SyntheticWorld(random_state=3).sample(20_000, random_state=4)
    error = queries.quality.mean(axis=0) - queries.quality_prob.mean(axis=0)
    assert np.all(np.abs(error) < 5 * np.sqrt(0.25 / len(queries)))


def test_the_text_shows_topic_and_difficulty() -> None:
    queries = SyntheticWorld().sample(200, random_state=5)
    for text, row in zip(queries.text, queries.covariates, strict=True):
        nouns = set(TOPICS[int(row[:-1].argmax())].nouns)
        words = {word.strip(".,?") for word in text.split()}
        assert words & nouns


@pytest.mark.parametrize("behavior", ["uniform", "skewed", "covariate"])
def test_actions_follow_the_logged_propensities(behavior: str) -> None:
    world = SyntheticWorld(n_candidates=5)
    queries = world.sample(20_000)
    log = world.log(queries, behavior=behavior, random_state=6)  # type: ignore[arg-type]
    assert np.allclose(log.action_probs.sum(axis=1), 1.0)
    share = np.bincount(log.action, minlength=5) / len(log)
    assert np.all(np.abs(share - log.action_probs.mean(axis=0)) < 5 * np.sqrt(0.25 / len(log)))
    assert np.isclose((1.0 / log.propensity).mean(), 5.0, rtol=0.1)


def test_labels_are_missing_at_random_given_what_is_logged() -> None:
    world = SyntheticWorld()
    queries = world.sample(20_000)
    log = world.log(queries, label_share=0.4, missing="mar", random_state=7)
    labelled = np.isfinite(log.quality)
    assert np.isclose(labelled.mean(), log.label_prob.mean(), atol=0.02)
    hard = queries.covariates[log.query, -1] > 0.5
    assert labelled[hard].mean() > labelled[~hard].mean() + 0.1


def test_the_same_seed_gives_the_same_world() -> None:
    one, two = (SyntheticWorld(random_state=9).sample(50, random_state=9) for _ in range(2))
    assert one.text == two.text
    assert np.array_equal(one.quality, two.quality)


def test_bad_parameters_are_named() -> None:
    with pytest.raises(ConfigError, match="n_candidates must be from 2 to 24, got 1"):
        SyntheticWorld(n_candidates=1)
    world = SyntheticWorld()
    with pytest.raises(ConfigError, match="behavior must be"):
        world.behavior_probs(world.sample(3), "greedy")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="label_share"):
        world.log(world.sample(3), label_share=0.0)
