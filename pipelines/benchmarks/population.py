"""Finite populations of queries whose truth is known, and logs drawn from them."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson
import pandas as pd
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import StandardScaler

from router_ml.data.synthetic import SyntheticWorld
from router_ml.errors import DataError
from router_ml.evaluation.off_policy.feedback import LoggedFeedback
from router_ml.evaluation.off_policy.nuisance import cross_fit, outcome_model
from router_ml.policies.constant import best_constant
from router_ml.types.arrays import FloatArray, IntArray

N_TOPICS = 24
"""Dimensions of the query features that nuisance models see."""


@dataclass(frozen=True, slots=True)
class Population:
    """Full information on N queries, a behaviour policy, and an audit that labels some rows.

    Parameters
    ----------
    name : workload name in results
    candidates : K names
    features : float array, shape (N, d), standardised; what the log shows of a query
    stratum : int array, shape (N,); label probabilities are constant inside one
    quality, cost_usd : float arrays, shape (N, K)
    behavior_probs : float array, shape (N, K)
    label_prob : float array, shape (N,)
    learned : float array, shape (N, K), quality predicted from another log, for the routers
    """

    name: str
    candidates: tuple[str, ...]
    features: FloatArray
    stratum: IntArray
    quality: FloatArray
    cost_usd: FloatArray
    behavior_probs: FloatArray
    label_prob: FloatArray
    learned: FloatArray

    def __len__(self) -> int:
        return len(self.quality)

    @property
    def n_candidates(self) -> int:
        """K."""
        return len(self.candidates)

    @property
    def best_constant(self) -> int:
        """Candidate of the highest mean quality."""
        return best_constant(self.quality, self.cost_usd)

    def router(self, cost_weight: float) -> FloatArray:
        """``action_probs`` of the cost-aware router, shape (N, K)."""
        utility = self.learned - cost_weight * self.cost_usd.mean(axis=0)
        probs: FloatArray = np.eye(self.n_candidates)[utility.argmax(axis=1)]
        return probs

    def constant(self, candidate: int) -> FloatArray:
        """``action_probs`` of a constant, shape (N, K)."""
        probs: FloatArray = np.tile(np.eye(self.n_candidates)[candidate], (len(self), 1))
        return probs


@dataclass(frozen=True, slots=True)
class DrawnLog:
    """A log drawn from a population; every draw is a new cluster.

    Parameters
    ----------
    query : int array, shape (n,), row of the population
    feedback : what the log shows, label probabilities estimated by stratum from the log itself
    predicted : float array, shape (n, K), cross-fitted nuisance predictions of quality
    """

    query: IntArray
    feedback: LoggedFeedback
    predicted: FloatArray


def draw_feedback(
    population: Population, n: int, rng: np.random.Generator, *, known_audit: bool = False
) -> tuple[IntArray, LoggedFeedback]:
    """Draw n requests with replacement, serve each by the behaviour policy, label some.

    Returns the drawn rows and the log, with label probabilities as designed (``known_audit``) or
    as the share of labelled rows in each stratum of that log.
    """
    query = rng.integers(len(population), size=n)
    cumulative = np.cumsum(population.behavior_probs[query], axis=1)[:, :-1]
    action = (rng.random((n, 1)) > cumulative).sum(axis=1)
    labelled = rng.random(n) < population.label_prob[query]
    stratum = population.stratum[query]
    share = np.bincount(stratum, labelled) / np.maximum(np.bincount(stratum), 1)
    estimated = np.maximum(share, 1e-3)[stratum]
    feedback = LoggedFeedback(
        action=action,
        propensity=population.behavior_probs[query, action],
        outcome=np.where(labelled, population.quality[query, action], np.nan),
        label_prob=population.label_prob[query] if known_audit else estimated,
    )
    return query, feedback


def draw_log(population: Population, n: int, rng: np.random.Generator) -> DrawnLog:
    """Draw a log and predict quality on it by cross-fitting."""
    query, feedback = draw_feedback(population, n, rng)
    return DrawnLog(query, feedback, nuisance(population.features[query], feedback, population))


def nuisance(features: FloatArray, feedback: LoggedFeedback, population: Population) -> FloatArray:
    """Cross-fitted predictions of quality from a log, shape (n, K), clipped to [0, 1]."""
    weights = 1.0 / (feedback.propensity * feedback.label_prob)
    seen = feedback.labelled

    def fit_predict(train: IntArray, test: IntArray) -> FloatArray:
        rows = train[seen[train]]
        predict = outcome_model(
            features[rows],
            feedback.action[rows],
            feedback.outcome[rows],
            population.n_candidates,
            weights=weights[rows],
        )
        return predict(features[test])

    return np.clip(cross_fit(feedback.group_id, fit_predict), 0.0, 1.0)


def synthetic_population(
    *,
    n_queries: int = 20_000,
    n_candidates: int = 8,
    floor: float = 0.2,
    label_share: float = 0.55,
    random_state: int = 0,
) -> Population:
    """Queries of the synthetic world, logged by a covariate-driven policy with a floor.

    The router of ``learned`` was fitted on a separate log of 15,000 requests of the same policy.
    """
    world = SyntheticWorld(n_candidates=n_candidates, random_state=random_state)
    history = world.sample(15_000, random_state=random_state + 1)
    probs = world.behavior_probs(history, "covariate", floor=floor)
    log = world.log(history, behavior=probs, label_share=label_share, random_state=random_state + 2)
    queries = world.sample(n_queries, random_state=random_state + 3)
    scaler = StandardScaler().fit(history.covariates)
    rows = np.isfinite(log.quality)
    predict = outcome_model(
        scaler.transform(history.covariates)[rows],
        log.action[rows],
        log.quality[rows],
        n_candidates,
        weights=1.0 / (log.propensity * log.label_prob)[rows],
        shared_penalty=3.0,
        own_penalty=5.0,
    )
    features = scaler.transform(queries.covariates)
    hard = (queries.covariates[:, -1] * 4).round().astype(int)
    # Hard queries are audited more often: from 0.5 to 1.5 times the mean share.
    return Population(
        name="synthetic",
        candidates=world.candidates.names,
        features=features,
        stratum=hard,
        quality=queries.quality,
        cost_usd=queries.cost_usd,
        behavior_probs=world.behavior_probs(queries, "covariate", floor=floor),
        label_prob=np.clip(label_share * (0.5 + hard / 4), 0.05, 1.0),
        learned=predict(features),
    )


def bfcl_population(data: Path) -> Population:
    """Prompts of the full-information matrix, with the logging policy of the request log.

    The log's propensities take two values per candidate, one for each of two strata of prompts;
    label probabilities are the audited share of each stratum. ``learned`` comes from the log's own
    checker labels, cross-fitted by prompt.
    """
    folder = data / "bfcl"
    matrix = pd.read_parquet(folder / "matrix.parquet")
    names = tuple(orjson.loads((folder / "prices.json").read_bytes()))
    quality = _wide(matrix, "correct", names)
    log = _read_log(folder, names)
    prompts = matrix.drop_duplicates("query_id").set_index("query_id").loc[quality.index]
    features = _text_features(prompts["prompt"] + " " + prompts["tools"])
    position = pd.Series(np.arange(len(quality)), index=quality.index)
    log["query"] = position[log["query_id"]].to_numpy()
    low = log.groupby("action")["propensity"].min().to_numpy()
    high = log.groupby("action")["propensity"].max().to_numpy()
    # One stratum is where candidate 0 has its higher propensity; others tell it by pairing.
    stratum = _strata(log, low, high, len(quality))
    probs = np.stack([_stratum_probs(log, stratum, s, len(names)) for s in (0, 1)])
    labelled = log["label"].notna().to_numpy()
    share = np.bincount(stratum[log["query"]], labelled) / np.bincount(stratum[log["query"]])
    return Population(
        name="bfcl",
        candidates=names,
        features=features,
        stratum=stratum,
        quality=quality.to_numpy(dtype=float),
        cost_usd=_wide(matrix, "cost_usd", names).to_numpy(dtype=float),
        behavior_probs=probs[stratum],
        label_prob=share[stratum],
        learned=_learned(log, features, share[stratum], len(names)),
    )


def _wide(matrix: pd.DataFrame, column: str, names: tuple[str, ...]) -> pd.DataFrame:
    wide = matrix.pivot_table(index="query_id", columns="candidate", values=column, sort=False)
    return wide[list(names)]


def _read_log(folder: Path, names: tuple[str, ...]) -> pd.DataFrame:
    """Request id, query id, action, propensity and checker label of every logged request."""
    with gzip.open(folder / "requests.jsonl.gz") as file:
        rows = [orjson.loads(line) for line in file]
    frame = pd.DataFrame(
        {
            "request_id": [row["id"] for row in rows],
            "query_id": [row["metadata"]["query_id"] for row in rows],
            "action": [names.index(row["model"]) for row in rows],
            "propensity": [row["metadata"]["router"]["propensity"] for row in rows],
        }
    )
    labels = pd.read_csv(folder / "labels.csv")
    labels = labels[labels["source"] == "checker"].drop_duplicates("request_id")
    frame["label"] = frame["request_id"].map(labels.set_index("request_id")["value"])
    return frame


def _strata(log: pd.DataFrame, low: FloatArray, high: FloatArray, n: int) -> IntArray:
    """Stratum of every prompt: prompts linked by sharing a propensity of some candidate."""
    is_high = np.isclose(log["propensity"], high[log["action"]]).astype(float)
    # Candidates favoured in one stratum: those whose "high" rows go with candidate 0's.
    by_query = np.full((n, len(low)), np.nan)
    by_query[log["query"], log["action"]] = is_high
    together = pd.DataFrame(by_query).corr().to_numpy()[0] > 0
    vote = np.where(together, by_query, 1.0 - by_query)
    mean = np.nanmean(vote, axis=1)
    if not np.all(np.isin(mean, (0.0, 1.0))):
        raise DataError("the log's propensities do not split its prompts into two strata")
    stratum: IntArray = mean.astype(np.int64)
    return stratum


def _stratum_probs(log: pd.DataFrame, stratum: IntArray, s: int, k: int) -> FloatArray:
    inside = log[stratum[log["query"]] == s]
    probs = inside.groupby("action")["propensity"].first().reindex(range(k)).to_numpy(dtype=float)
    normal: FloatArray = probs / probs.sum()
    return normal


def _text_features(text: pd.Series) -> FloatArray:
    """TF-IDF topics of prompt and tools, and the log of its length; standardised."""
    tfidf = TfidfVectorizer(ngram_range=(1, 2), min_df=3, sublinear_tf=True).fit_transform(text)
    topics = TruncatedSVD(N_TOPICS, random_state=0).fit_transform(tfidf)
    length = np.log(text.str.len().to_numpy())
    features: FloatArray = StandardScaler().fit_transform(np.column_stack([topics, length]))
    return features


def _learned(log: pd.DataFrame, features: FloatArray, share: FloatArray, k: int) -> FloatArray:
    """Quality predicted for every prompt by a model that has not seen it, shape (N, K)."""
    query, action = log["query"].to_numpy(), log["action"].to_numpy()
    label = log["label"].to_numpy(dtype=float)
    weights = 1.0 / (log["propensity"].to_numpy() * share[query])

    def fit_predict(train: IntArray, test: IntArray) -> FloatArray:
        rows = np.flatnonzero(np.isin(query, train) & ~np.isnan(label))
        predict = outcome_model(
            features[query[rows]],
            action[rows],
            label[rows],
            k,
            weights=weights[rows],
            strength=10.0,
            shared_penalty=3.0,
        )
        return predict(features[test])

    return cross_fit(np.arange(len(features)), fit_predict)
