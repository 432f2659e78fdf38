"""The System One shape in terms of the other: questions in, answers out."""

from __future__ import annotations

from collections.abc import Mapping

from serving.decisions.answers import Answer
from serving.decisions.schemas import (
    ChoiceAnswer,
    Level,
    Option,
    PredicateAnswer,
    Question,
    RefusalAnswer,
    ScoreAnswer,
    SystemOneAnswer,
    SystemOneQuestion,
    SystemOneResponse,
)


def to_question(name: str, question: SystemOneQuestion) -> Question:
    """As ``/v1/decisions`` asks it; criteria of another shape list nothing, which is refused."""
    kind = "predicate" if question.type == "noul" else question.type
    criteria = question.criteria
    labels = list(criteria) if isinstance(criteria, Mapping) else []
    levels = criteria if isinstance(criteria, list) else []
    return Question(
        type=kind,
        name=name,
        instructions=question.instructions,
        choices=[Option(value=str(label)) for label in labels] if kind == "choice" else [],
        levels=[Level(label=str(level)) for level in levels],
    )


def to_response(model: str, answers: Mapping[str, Answer]) -> SystemOneResponse:
    """Answers by question; a refused one has none, which is how this protocol says it."""
    found: dict[str, SystemOneAnswer] = {}
    refusals: dict[str, str] = {}
    for name, answer in answers.items():
        if isinstance(answer, RefusalAnswer):
            refusals[name] = answer.reason
        else:
            found[name] = _to_answer(answer)
    return SystemOneResponse(model, found, refusals)


def _to_answer(answer: ChoiceAnswer | PredicateAnswer | ScoreAnswer) -> SystemOneAnswer:
    if isinstance(answer, PredicateAnswer):
        return SystemOneAnswer(type="noul", noul=answer.probability, calibration=answer.calibration)
    if isinstance(answer, ScoreAnswer):
        return SystemOneAnswer(
            type="score",
            score=answer.score,
            confidence=answer.confidence,
            legend={str(line.value): line.label for line in answer.probabilities},
            probabilities={str(line.value): line.probability for line in answer.probabilities},
            expected=answer.expected,
            calibration=answer.calibration,
        )
    return SystemOneAnswer(
        type="choice",
        choice=str(answer.choice),
        confidence=answer.confidence,
        probabilities={str(line.value): line.probability for line in answer.probabilities},
        calibration=answer.calibration,
        decision_id=answer.decision_id,
        candidate=answer.candidate,
        policy=answer.policy,
    )
