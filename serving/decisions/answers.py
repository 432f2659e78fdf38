"""Questions of either protocol to answers: what the router knows, and a refusal of the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from router_ml.errors import InvalidRequestError
from router_ml.types.decisions import Decision
from router_ml.types.predictions import Predictions
from serving.decisions.labels import UnknownLabelError, candidates_of
from serving.decisions.schemas import (
    Calibration,
    ChoiceAnswer,
    LabelProbability,
    LevelProbability,
    PredicateAnswer,
    Question,
    RefusalAnswer,
    ScoreAnswer,
)
from serving.decisions.sentences import read_predicate, read_score
from serving.loading.loader import Router

Answer = ChoiceAnswer | PredicateAnswer | ScoreAnswer | RefusalAnswer
Decide = Callable[[tuple[str, ...]], tuple[str, Decision]]
"""Draws among candidates, logs the decision, and gives its id with it."""
BINARY_LABELS: Final = "binary_labels"
"""Key of a manifest's ``training``: whether every label was 0 or 1."""
_OF_CHOICE: Final = "the quality of the chosen candidate's answer, from 0 to 1"
_OF_QUALITY: Final = "the quality of the candidate's answer, from 0 to 1"


@dataclass(frozen=True, slots=True)
class Answering:
    """What one request's questions are answered from.

    Parameters
    ----------
    router : in service
    predictions : of the request, shape (1, K)
    cost_usd : predicted, K numbers
    aliases : label to candidate
    decide : see :data:`Decide`
    """

    router: Router
    predictions: Predictions
    cost_usd: Sequence[float]
    aliases: Mapping[str, str]
    decide: Decide

    def answer(self, question: Question) -> Answer:
        """The answer, or a refusal with its reason."""
        kinds = {"choice": self._choice, "predicate": self._predicate, "score": self._score}
        kind = kinds.get(question.type)
        if kind is None:
            return _refuse(question, f"the router answers {', '.join(kinds)}, no {question.type}")
        try:
            return kind(question)
        except (UnknownLabelError, InvalidRequestError) as error:
            return _refuse(question, str(error))

    def _choice(self, question: Question) -> Answer:
        named = self._named([option.value for option in question.choices])
        if not named:
            return _refuse(question, "there is nothing to choose from")
        decision_id, decision = self.decide(tuple(dict.fromkeys(named.values())))
        positions = self.router.runtime.positions
        # Of several labels for one candidate the first has its probability.
        label_of: dict[str, str | bool] = {}
        for label, candidate in named.items():
            label_of.setdefault(candidate, label)
        return ChoiceAnswer(
            name=question.name,
            choice=label_of[decision.candidate],
            probabilities=[
                LabelProbability(
                    label,
                    decision.action_probs[positions[candidate]]
                    if label_of[candidate] == label
                    else 0.0,
                )
                for label, candidate in named.items()
            ],
            confidence=self._expected("quality", decision.candidate),
            calibration=self._calibration(_OF_CHOICE),
            decision_id=decision_id,
            candidate=decision.candidate,
            policy=decision.policy,
            removed=decision.removed,
        )

    def _predicate(self, question: Question) -> Answer:
        asked = read_predicate(question.instructions)
        if asked is None:
            return _refuse(
                question,
                "the router answers `Will CANDIDATE reach quality Q?`, Q above 0 and at most 1",
            )
        candidate = self._named([asked.label])[asked.label]
        if self.router.runtime.manifest.training.get(BINARY_LABELS) is not True:
            return _refuse(
                question,
                "the router's labels are graded, or its bundle does not say: it knows the mean of "
                "an answer's quality, not how likely it passes a mark; ask a score",
            )
        # Of a quality that is 0 or 1, the mean is the probability of 1.
        return PredicateAnswer(
            name=question.name,
            probability=self._expected("quality", candidate),
            calibration=self._calibration(f"{_OF_QUALITY}, which is 0 or 1"),
        )

    def _score(self, question: Question) -> Answer:
        asked = read_score(question.instructions)
        if asked is None:
            return _refuse(
                question, "the router answers `Expected quality|cost_usd|latency_ms of CANDIDATE`"
            )
        candidate = self._named([asked.label])[asked.label]
        labels = [level.label for level in question.levels]
        try:
            marks = [float(label) for label in labels]
        except ValueError:
            marks = []
        if not marks or not all(low < high for low, high in pairwise(marks)):
            return _refuse(question, f"levels must be rising numbers of {asked.amount}")
        value = self._expected(asked.amount, candidate)
        weights = level_weights(value, marks)
        return ScoreAnswer(
            name=question.name,
            score=sum(index * weight for index, weight in enumerate(weights)),
            probabilities=[
                LevelProbability(index, label, weight)
                for index, (label, weight) in enumerate(zip(labels, weights, strict=True))
            ],
            confidence=max(weights),
            expected=value,
            calibration=self._calibration(_OF_QUALITY) if asked.amount == "quality" else None,
        )

    def _named(self, labels: Sequence[str | bool]) -> dict[str | bool, str]:
        return candidates_of(labels, self.aliases, self.router.runtime.positions)

    def _expected(self, amount: str, candidate: str) -> float:
        k = self.router.runtime.positions[candidate]
        if amount == "cost_usd":
            return float(self.cost_usd[k])
        if amount == "quality":
            return min(1.0, max(0.0, float(self.predictions.quality[0, k])))
        return float(self.predictions.latency_ms[0, k])

    def _calibration(self, of: str) -> Calibration:
        errors = self.router.runtime.manifest.calibration.get("squared_error")
        if not isinstance(errors, Mapping):
            return Calibration(of=of)
        return Calibration(
            of=of, held_out_squared_error={str(k): float(v) for k, v in errors.items()}
        )


def level_weights(value: float, marks: Sequence[float]) -> list[float]:
    """Weights of levels whose mean is the value, on the two levels next to it.

    A value beyond the scale has all weight on its end.

    Examples
    --------
    >>> level_weights(0.25, [0.0, 0.5, 1.0]), level_weights(7.0, [0.0, 0.5, 1.0])
    ([0.5, 0.5, 0.0], [0.0, 0.0, 1.0])
    """
    weights = [0.0] * len(marks)
    if value <= marks[0]:
        weights[0] = 1.0
    elif value >= marks[-1]:
        weights[-1] = 1.0
    else:
        upper = next(index for index, mark in enumerate(marks) if mark > value)
        share = (value - marks[upper - 1]) / (marks[upper] - marks[upper - 1])
        weights[upper - 1], weights[upper] = 1.0 - share, share
    return weights


def _refuse(question: Question, reason: str) -> RefusalAnswer:
    return RefusalAnswer(name=question.name, reason=reason)
