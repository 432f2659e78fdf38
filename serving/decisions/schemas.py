"""Bodies of the two decision protocols, as their clients send and read them.

``POST /v1/decisions`` is OpenAI's Decisions API (``openai`` 3.57, ``types/decision.py``), ``POST
/v1/systemone`` the System One shape (LiteLLM 1.108, ``litellm/types/decisions.py``). Fields that
the router has no use for are accepted and ignored, since both protocols grow.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from router_ml.types.decisions import Removal

MAX_QUESTIONS = 400
MAX_LABELS = 255

Probability = Annotated[float, Meta(ge=0, le=1)]


class Option(Struct, kw_only=True):
    """One choice of a question; a boolean is never the name of a candidate."""

    value: str | bool
    description: str | None = None


class Level(Struct, kw_only=True):
    """One level of a scale, lowest first; the router reads numbers as labels."""

    label: str
    description: str | None = None


class Question(Struct, kw_only=True):
    """A question of ``/v1/decisions``: ``choice``, ``predicate`` or ``score``.

    A ``choice`` lists candidates, or labels that the service's alias table maps to them. A
    ``predicate`` reads `Will CANDIDATE reach quality Q?`, a ``score`` `Expected quality of
    CANDIDATE`, or ``cost_usd``, ``latency_ms``. Other kinds and other words are refused.
    """

    type: str
    name: str | None = None
    instructions: Any = None
    choices: Annotated[list[Option], Meta(max_length=MAX_LABELS)] = []
    levels: Annotated[list[Level], Meta(max_length=MAX_LABELS)] = []


class DecisionRequest(Struct, kw_only=True):
    """``input`` is text, or messages and tool calls; ``model`` is not looked at."""

    input: str | list[Any]
    questions: Annotated[list[Question], Meta(min_length=1, max_length=MAX_QUESTIONS)]
    model: str = ""
    safety_identifier: str | None = None


class Calibration(Struct, kw_only=True):
    """What a confidence is an estimate of, and how well it was met.

    ``held_out_squared_error`` is that of the training's held-out predictions of quality, by
    estimator; null where the bundle does not say.
    """

    of: str
    held_out_squared_error: dict[str, float] | None = None


class LabelProbability(Struct):
    """The probability with which the policy draws an option."""

    value: str | bool
    probability: float


class LevelProbability(Struct):
    """The weight of a level; the weights have the expected value as their mean."""

    value: int
    label: str
    probability: float


class ChoiceAnswer(Struct, kw_only=True, tag="choice"):
    """The option drawn.

    ``probabilities`` are the policy's: log the one of ``choice`` as its propensity. ``confidence``
    is what ``calibration`` says. ``decision_id`` names the decision in ``/v1/feedback``.
    """

    name: str | None
    choice: str | bool
    probabilities: list[LabelProbability]
    confidence: float
    calibration: Calibration
    decision_id: str
    candidate: str
    policy: str
    removed: tuple[Removal, ...] = ()


class PredicateAnswer(Struct, kw_only=True, tag="predicate"):
    """The probability that the statement is true."""

    name: str | None
    probability: float
    calibration: Calibration


class ScoreAnswer(Struct, kw_only=True, tag="score"):
    """``score`` is the mean level index, ``expected`` the value in its own unit.

    Of cost and latency only the mean is known: ``confidence`` is then the larger weight, and
    ``calibration`` null.
    """

    name: str | None
    score: float
    probabilities: list[LevelProbability]
    confidence: float
    expected: float
    calibration: Calibration | None = None


class RefusalAnswer(Struct, kw_only=True, tag="refusal"):
    """The router has no answer to this question; the others may have theirs."""

    name: str | None
    reason: str


class InputDetails(Struct, frozen=True):
    """No token is billed."""

    cached_tokens: int = 0
    cache_write_tokens: int = 0


class OutputDetails(Struct, frozen=True):
    """No token is billed."""

    reasoning_tokens: int = 0


class Usage(Struct, frozen=True):
    """No token is billed."""

    input_tokens: int = 0
    input_tokens_details: InputDetails = InputDetails()
    output_tokens: int = 0
    output_tokens_details: OutputDetails = OutputDetails()
    total_tokens: int = 0


class DecisionResponse(Struct):
    """Answers in the order of the questions; ``model`` is the router's name and version."""

    model: str
    answers: list[ChoiceAnswer | PredicateAnswer | ScoreAnswer | RefusalAnswer]
    usage: Usage = Usage()


class SystemOneQuestion(Struct, kw_only=True):
    """As a question of ``/v1/decisions``; a predicate is called ``noul`` here.

    ``criteria`` maps labels to descriptions (``choice``) or lists levels (``score``).
    """

    type: str
    instructions: Any = None
    criteria: Any = None


class SystemOneRequest(Struct, kw_only=True):
    """``state`` is what the questions are about: text, messages, or ``{messages, tools}``."""

    state: Any
    questions: Annotated[dict[str, SystemOneQuestion], Meta(min_length=1, max_length=MAX_QUESTIONS)]
    model: str = ""


class SystemOneAnswer(Struct, kw_only=True):
    """An answer by its ``type``; fields of other types are left out."""

    type: Literal["choice", "noul", "score"]
    choice: str | UnsetType = UNSET
    noul: float | UnsetType = UNSET
    score: float | UnsetType = UNSET
    confidence: float | UnsetType = UNSET
    probabilities: dict[str, float] | UnsetType = UNSET
    legend: dict[str, str] | UnsetType = UNSET
    expected: float | UnsetType = UNSET
    calibration: Calibration | UnsetType | None = UNSET
    decision_id: str | UnsetType = UNSET
    candidate: str | UnsetType = UNSET
    policy: str | UnsetType = UNSET


class SystemOneUsage(Struct, frozen=True):
    """No token is billed."""

    input_tokens: int = 0
    output_tokens: int = 0


class SystemOneResponse(Struct):
    """Answers by question; one that is refused has none, and its reason stands in ``refusals``."""

    model: str
    answers: dict[str, SystemOneAnswer]
    refusals: dict[str, str]
    usage: SystemOneUsage = SystemOneUsage()
