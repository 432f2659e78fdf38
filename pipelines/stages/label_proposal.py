"""Which requests of a log to judge next, so that the gate can tell."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Any, Final

import numpy as np
import pandas as pd

from pipelines.artifacts import JoinedFolder
from router_ml.data.outcomes import (
    TrainingTable,
    all_candidates,
    read_outcomes,
    to_matrices,
)
from router_ml.errors import ConfigError, DataError
from router_ml.evaluation.columns import action_probs, union
from router_ml.evaluation.gate.doubly_robust import LoggedSides
from router_ml.evaluation.gate.gate import DEFAULT_MARGIN, Gate
from router_ml.evaluation.gate.pairing import Contender
from router_ml.evaluation.intervals import cluster_mean
from router_ml.evaluation.labelling import LabelValue, label_spread
from router_ml.evaluation.off_policy.balance import with_behavior
from router_ml.evaluation.off_policy.log_feedback import regions_of
from router_ml.evaluation.off_policy.today import TODAY
from router_ml.types.arrays import FloatArray

_STEPS: Final = (0.25, 0.5, 1.0, 2.0, 4.0)
PROPOSAL: Final = "proposal.jsonl"


@dataclass(frozen=True, slots=True)
class LabelProposal:
    """What :func:`propose` found.

    Parameters
    ----------
    opponent : that the challenger is compared with: ``champion`` or ``today``
    requests : drawn, in random order, so that the first of them are a draw as well:
        ``request_id``, ``prompt``, ``answer``, ``label_prob``, in (0, 1]. Who answered is not shown
    power : a row a number of further labels: ``labels``, ``half_width`` (of the 95 % interval of
        the quality difference) and ``power`` (of the gate, no difference being there), each also
        ``_even`` for as many labels drawn evenly
    left : requests without a label
    unjudged : those of them that have no logged answer, or failed
    blind : share of the requests that would move to where the log shows nobody: no label tells

    References
    ----------
    .. [1] Neyman, "On the Two Different Aspects of the Representative Method", JRSS 97, 1934.
    .. [2] Zrnic and Candès, "Active Statistical Inference", ICML 2024.

    Examples
    --------
    >>> import router_ml as rm
    >>> router = rm.fit(rm.sample_log(), estimator="linear")
    >>> found = rm.propose_labels(router, budget=20)
    >>> found.opponent, len(found.requests) <= found.left
    ('today', True)
    >>> found.power.columns.tolist()
    ['labels', 'half_width', 'power', 'half_width_even', 'power_even']
    """

    opponent: str
    requests: pd.DataFrame
    power: pd.DataFrame
    left: int
    unjudged: int
    blind: float

    @property
    def text(self) -> str:
        """What is proposed, and what it cannot do."""
        said = f"{len(self.requests):,} of {self.left:,} unlabelled requests, against "
        said += self.opponent
        if len(self.requests) and not self.requests["answer"].any():
            said += "; the log has no answers, find them by request_id"
        if self.unjudged:
            said += f"; {self.unjudged:,} have no answer to judge and are taken to be as the others"
        if self.blind > 0.0:
            said += (
                f"; {self.blind:.1%} of the requests would move to candidates that the log never "
                "shows on their like: no label tells, exploring does"
            )
        return said

    def save(self, folder: Path | str) -> Path:
        """Write ``proposal.jsonl``, ``proposal.csv`` for people, and ``power.json``.

        Parameters
        ----------
        folder : made if it is not there

        Returns
        -------
        Path of ``proposal.jsonl``.
        """
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        path = target / PROPOSAL
        self.requests.to_json(path, orient="records", lines=True, force_ascii=False)
        people = self.requests[["request_id", "prompt", "answer"]].assign(score="")
        people.to_csv(target / "proposal.csv", index=False)
        power = {"text": self.text, "power": self.power.to_dict("records")}
        (target / "power.json").write_text(json.dumps(power, indent=2), encoding="utf-8")
        return path


def propose(
    challenger: Contender,
    joined: Path,
    *,
    champion: Contender | None = None,
    budget: int = 200,
    floor: float = 0.1,
    margin: float = DEFAULT_MARGIN,
    random_state: int = 0,
) -> LabelProposal:
    """Draw unlabelled requests, those most often that the comparison waits for.

    A request counts by how much its missing label adds to the variance of the doubly robust
    difference: what moves there over its propensity, times the spread of labels about their guess
    among its like, which is the largest possible where there is no label.

    Parameters
    ----------
    champion : default: what was done today
    budget, floor : see :func:`router_ml.evaluation.labelling.sampling_probs`
    margin : of the gate whose power is stated

    Raises
    ------
    DataError
        If no unlabelled request with an answer has a prompt that neither router was trained on.
    """
    value, sides, table, blind = label_value(challenger, champion, joined)
    probs = value.probs(min(budget, int(value.open.sum())), floor=floor)
    rng = np.random.default_rng(random_state)
    drawn = rng.permutation(np.flatnonzero(rng.random(len(probs)) < probs))
    missing = ~value.labelled
    outcomes = read_outcomes(joined, ["request_id", "query", "messages", "answer"])
    texts = outcomes.set_index("request_id").loc[[table.request_id[i] for i in drawn]]
    share = _judgeable(sides.quality.action, value.open, missing)
    requests = pd.DataFrame({
        "request_id": texts.index.to_numpy(),
        "prompt": texts["query"].where(texts["query"].notna(), texts["messages"]).to_numpy(),
        "answer": texts["answer"].fillna("").to_numpy(),
        "label_prob": probs[drawn] * share[drawn],
        "group": sides.quality.action[drawn],
    })  # fmt: skip
    return LabelProposal(
        opponent=TODAY if champion is None else "the champion",
        requests=requests,
        power=_power(value, sides.quality.group_id, budget, floor, margin),
        left=int(missing.sum()),
        unjudged=int((missing & ~value.open).sum()),
        blind=blind,
    )


def label_value(
    challenger: Contender, champion: Contender | None, joined: Path
) -> tuple[LabelValue, LoggedSides, TrainingTable, float]:
    """What labels would do for the comparison, on the rows that neither was trained on.

    Returns
    -------
    The value of each request's label; both routers on these rows; the rows; and the share of
    requests that would move to where the log shows nobody.
    """
    outcomes = read_outcomes(joined)
    players = [challenger] if champion is None else [challenger, champion]
    routers = [player.runtime for player in players]
    names = all_candidates(outcomes, union(*(router.candidates.names for router in routers)))
    everything = with_behavior(to_matrices(outcomes, names))
    played = [player.predict(everything) for player in players]
    fair = np.logical_and.reduce([unseen for _, unseen in played])
    if not fair.any():
        raise DataError(
            "no request of the log has a prompt that neither router was trained on; pass trained="
        )
    table = everything.take(fair)
    scores = [predictions.take(np.flatnonzero(fair)) for predictions, _ in played]
    sides = LoggedSides.of(table, routers, scores, names)
    new = action_probs(routers[0], scores[0], names)
    action, rows = sides.quality.action, np.arange(len(table))
    if champion is None:
        old: FloatArray = np.eye(len(names))[action]
        weight = new[rows, action] / sides.quality.propensity - 1.0
    else:
        old = action_probs(routers[1], scores[1], names)
        weight = (new - old)[rows, action] / sides.quality.propensity
    answered = np.array([bool(text) for text in table.answer])
    if not answered.any():  # a log without answers: who judges finds them by request_id
        answered[:] = True
    ready = answered & table.succeeded
    settled = JoinedFolder(joined).settled_until()
    if settled is not None:  # a label of a younger one would not count yet
        ready &= table.time <= np.datetime64(settled)
    value = LabelValue(
        weight=weight,
        spread=label_spread(sides.quality, sides.guess, regions_of(table)),
        labelled=sides.quality.labelled,
        guessed=((new - old) * sides.guess).sum(axis=1),
        open=~sides.quality.labelled & ready,
    )
    cell = regions_of(table)
    shown = np.zeros((int(cell.max()) + 1, len(names)), dtype=bool)
    shown[cell, action] = True
    blind = float((np.maximum(new - old, 0.0) * ~shown[cell]).sum(axis=1).mean())
    return value, sides, table, blind


def _judgeable(action: np.ndarray, ready: np.ndarray, missing: np.ndarray) -> FloatArray:
    """Share of every candidate's unlabelled requests that can be judged, by request."""
    k = int(action.max(initial=0)) + 1
    count = np.bincount(action[missing], minlength=k)
    share: FloatArray = np.bincount(action[ready], minlength=k) / np.maximum(count, 1)
    mine: FloatArray = share[action]
    return mine


def _power(
    value: LabelValue, groups: np.ndarray, budget: int, floor: float, margin: float
) -> pd.DataFrame:
    """What numbers of labels buy, drawn as proposed and evenly."""
    most = int(value.open.sum())
    counts = sorted({min(most, max(1, round(step * budget))) for step in _STEPS})
    _, clustered, n_groups = cluster_mean(value.guessed, groups)
    rows = len(value.guessed)
    plain = float(value.guessed.std(ddof=1)) / rows**0.5
    apart = max(1.0, clustered / plain) if plain > 0.0 else 1.0
    reach = Gate(margin=margin).multiplier(n_groups)
    table = []
    for n in counts:
        errors = {
            "": value.standard_error(value.probs(n, floor=floor)) * apart,
            "_even": value.standard_error(value.probs(n, floor=1.0)) * apart,
        }
        row: dict[str, Any] = {"labels": n}
        for name, error in errors.items():
            row[f"half_width{name}"] = 1.96 * error
            far = margin / error - reach if error > 0.0 else np.inf
            row[f"power{name}"] = NormalDist().cdf(far)
        table.append(row)
    return pd.DataFrame(table)


def read_proposal(folder: Path) -> pd.DataFrame:
    """The requests that were proposed.

    Raises
    ------
    ConfigError
        If nothing was proposed there.
    """
    path = folder / PROPOSAL
    if not path.is_file():
        raise ConfigError(f"no proposal at {path}; run `router-ml label propose` first")
    return pd.DataFrame([
        json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line
    ])  # fmt: skip
