"""Which requests are judged next, and by whom."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipelines.config.ranges import check_range
from pipelines.options import check_fields
from router_ml.errors import ConfigError
from router_ml.evaluation.gate.gate import DEFAULT_MARGIN


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelConfig:
    """Propose requests to judge, ask an LLM judge, read verdicts back as labels.

    Parameters
    ----------
    action : ``propose``: which requests to judge next, and what that buys in power; ``ask``: an LLM
        judge, at any OpenAI-compatible endpoint; ``read``: verdicts to a label file
    output : folder of the proposal, the verdicts and the labels
    bundle : of the challenger
    trained : folder of its training, so that requests that it was trained on count
    joined : log to label
    champion : bundle of the router in service; default: what was done today
    champion_trained : folder of its training
    budget : labels to propose
    floor : share of the budget that is spread evenly over all requests
    margin : quality that the gate allows to be lost
    verdicts : files of ``request_id`` and ``score`` to read; default: what ``ask`` wrote
    gold : file of ``request_id`` and ``score`` by people, that a judge is held against; default:
        the log's own labels
    low : worst score on the judge's scale
    high : best score
    name : of the labels
    source : of the labels; one of the join's ``label_sources``
    url : base address of the endpoint, with ``/v1``; default: ``OPENAI_BASE_URL``
    model : that judges
    key_variable : environment variable with the endpoint's key; empty = no key is sent
    prompt : file with the judge's instruction, in which ``$prompt``, ``$answer``, ``$low`` and
        ``$high`` are replaced; default: a short one
    concurrency : requests at the same time
    attempts : most requests an answer: after 429, 5xx, no reply, or a reply that cannot be read
    timeout_s : of one request
    random_state : seeds the draw
    """

    action: Literal["propose", "ask", "read"]
    output: Path = Path("runs/labels")
    bundle: Path | None = None
    trained: Path | None = None
    joined: Path | None = None
    champion: Path | None = None
    champion_trained: Path | None = None
    budget: int = 200
    floor: float = 0.1
    margin: float = DEFAULT_MARGIN
    verdicts: tuple[Path, ...] = ()
    gold: Path | None = None
    low: float = 0.0
    high: float = 1.0
    name: str = "judged"
    source: str = "judge"
    url: str = ""
    model: str = ""
    key_variable: str = "OPENAI_API_KEY"
    prompt: Path | None = None
    concurrency: int = 4
    attempts: int = 5
    timeout_s: float = 60.0
    random_state: int = 0

    def __post_init__(self) -> None:
        check_fields(self)
        check_range(self, ("floor", "margin"), 0.0, 1.0)
        if self.budget < 1 or self.concurrency < 1 or self.attempts < 1 or self.timeout_s <= 0.0:
            raise ConfigError("budget, concurrency, attempts and timeout_s must be above 0")
        if not self.low < self.high:
            raise ConfigError(f"low must be below high, got {self.low} and {self.high}")
