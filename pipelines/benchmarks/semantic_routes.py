"""Semantic routes next to Aurelio's ``semantic-router``: the same utterances, in the same run.

Needs ``pip install semantic-router`` beside the project's own packages.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from pipelines.encoders import CachedEncoder, get_encoder
from router_ml.errors import ConfigError
from router_ml.evaluation.intervals import Estimate, bootstrap_mean
from router_ml.features.query import Query
from router_ml.features.sentence_encoder import SentenceEncoder
from router_ml.semantic_routes.folder import write_routes
from router_ml.semantic_routes.learning import fit_routes
from router_ml.semantic_routes.matcher import SemanticRoutes
from router_ml.types.queries import Tokens

_SUBJECTS: Final[Mapping[str, tuple[str, ...]]] = {
    "law": ("professional_law", "jurisprudence", "international_law"),
    "medicine": ("professional_medicine", "clinical_knowledge", "college_medicine", "anatomy",
                 "medical_genetics", "virology"),
    "maths": ("elementary_mathematics", "high_school_mathematics", "college_mathematics",
              "abstract_algebra", "high_school_statistics"),
    "computing": ("college_computer_science", "high_school_computer_science", "machine_learning",
                  "computer_security"),
    "history": ("high_school_world_history", "high_school_us_history",
                "high_school_european_history", "prehistory"),
    "economics": ("high_school_macroeconomics", "high_school_microeconomics", "econometrics"),
}  # fmt: skip
_TASKS: Final = {"gsm": "word problem", "crux": "code"}
_SOURCES: Final = {
    "gsm8k": "word problem",
    "hellaswag": "completion",
    "truthful_qa": "trivia",
    "winogrande": "pronoun",
}
_TRAIN, _TEST = 400, 400

Method = Callable[[str], str | None]


@dataclass(frozen=True, slots=True)
class Utterances:
    """Texts and routes; ``None`` = out of scope."""

    texts: list[str]
    routes: list[str | None]

    def take(self, rows: Sequence[int]) -> Utterances:
        """Some of them."""
        return Utterances([self.texts[i] for i in rows], [self.routes[i] for i in rows])


def workloads(data: Path) -> Iterator[tuple[str, Utterances]]:
    """Subjects of MMLU, tasks of mixed traffic, sources of a judge's prompts."""
    mmlu = pd.read_parquet(data / "routellm" / "mmlu.parquet")
    of = {subject: route for route, subjects in _SUBJECTS.items() for subject in subjects}
    yield "mmlu", Utterances(mmlu["prompt"].tolist(), [of.get(d) for d in mmlu["domain"]])
    mix = pd.read_parquet(data / "mix" / "matrix.parquet").drop_duplicates("query_id")
    tasks = ["tool call" if task.startswith("bfcl") else _TASKS.get(task) for task in mix["task"]]
    yield "mix", Utterances(mix["prompt"].tolist(), tasks)
    judge = pd.read_parquet(data / "judge" / "matrix.parquet").drop_duplicates("prompt")
    sources = [_SOURCES.get(source) for source in judge["source"]]
    yield "judge", Utterances(judge["prompt"].tolist(), sources)


def run(data: Path, *, cache: Path, random_state: int = 0) -> dict[str, Any]:
    """``workloads.<workload>.methods.<method>.<metric>``, and latencies beside them."""
    sentence = get_encoder(cache=cache, kind="sentence")
    if not isinstance(sentence, CachedEncoder):
        raise ConfigError(f"expected a sentence encoder, got {sentence.kind}")
    encoders = {"static": get_encoder(cache=cache), "sentence": sentence}
    out: dict[str, Any] = {"workloads": {}}
    for name, given in workloads(data):
        order = np.random.default_rng(random_state).permutation(len(given.texts)).tolist()
        train, test = given.take(order[:_TRAIN]), given.take(order[_TRAIN : _TRAIN + _TEST])
        methods: dict[str, Method] = {}
        for kind, encoder in encoders.items():
            routes = _ours(train, encoder)
            methods[f"routes_{kind}"] = lambda text, routes=routes: routes.match(Query(text)).name  # type: ignore[misc]
        methods |= _theirs(train, sentence.inner)
        found, spent = _play(methods, test.texts)
        right = {key: _right(answers, test.routes) for key, answers in found.items()}
        out["workloads"][name] = {
            "methods": {
                key: _metrics(answers, test.routes)
                | {"lead_of_routes_sentence": _row(right["routes_sentence"] - right[key])}
                for key, answers in found.items()
            },
            "latency_ms": _latency(spent),
        }
    return out


def _ours(train: Utterances, encoder: Any) -> SemanticRoutes:
    fitted = fit_routes(train.texts, train.routes, encoder, precision=0.9)
    with tempfile.TemporaryDirectory() as folder:
        inner = encoder.inner if isinstance(encoder, CachedEncoder) else encoder
        write_routes(Path(folder), fitted, inner)
        return SemanticRoutes.from_folder(Path(folder))


def _theirs(train: Utterances, encoder: SentenceEncoder) -> dict[str, Method]:
    """As its documentation has it: half of the utterances are indexed, half calibrate.

    Its encoder is our ONNX export of MiniLM, which is faster than the one that it would load.
    """
    from semantic_router import Route
    from semantic_router.encoders import DenseEncoder
    from semantic_router.routers import IndexedRouter

    class Encoder(DenseEncoder):  # type: ignore[misc]
        def __call__(self, docs: list[str]) -> list[list[float]]:
            rows = encoder.tokenizer.rows([Query(text) for text in docs])
            both = encoder.encode(Tokens.from_rows(rows))
            minilm: list[list[float]] = both[:, encoder.static.dims :].tolist()
            return minilm

    half = len(train.texts) // 2
    indexed, rest = train.take(range(half)), train.take(range(half, len(train.texts)))
    names = sorted({route for route in indexed.routes if route is not None})
    routes = [
        Route(
            name=name,
            utterances=[t for t, r in zip(indexed.texts, indexed.routes, strict=True) if r == name],
        )
        for name in names
    ]
    nearest = IndexedRouter(encoder=Encoder(name="minilm"), routes=routes)
    calibrated = IndexedRouter(
        encoder=Encoder(name="minilm"), routes=routes, confidence_threshold=0.5
    )
    calibrated.fit(rest.texts, rest.routes)
    return {
        "semantic_router_nearest": lambda text: nearest(text).name,
        "semantic_router_0.5": lambda text: calibrated(text).name,
        "semantic_router_0.9": lambda text: calibrated(text, threshold=0.9).name,
    }


def _play(
    methods: Mapping[str, Method], texts: Sequence[str]
) -> tuple[dict[str, list[str | None]], dict[str, list[float]]]:
    """Answers, and the milliseconds of each; the methods take turns at every text."""
    found: dict[str, list[str | None]] = {key: [] for key in methods}
    spent: dict[str, list[float]] = {key: [] for key in methods}
    for text in texts:
        for key, method in methods.items():
            begun = time.perf_counter()
            found[key].append(method(text))
            spent[key].append(1e3 * (time.perf_counter() - begun))
    return found, spent


def _right(found: Sequence[str | None], truth: Sequence[str | None]) -> Any:
    return np.array([f == t for f, t in zip(found, truth, strict=True)], dtype=float)


def _metrics(found: Sequence[str | None], truth: Sequence[str | None]) -> dict[str, Any]:
    right = _right(found, truth)
    out = np.array([t is None for t in truth])
    on = np.array([f is not None for f in found])
    return {
        "accuracy": _row(right),
        "out_of_scope_left_alone": _row(right[out]),
        "recall": _row(right[~out]),
        "precision": _row(right[on]) if on.any() else None,
    }


def _row(values: Any) -> dict[str, float]:
    estimate: Estimate = bootstrap_mean(values)
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high, "n": len(values)}


def _latency(spent: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Milliseconds of one text; ratios are to ``routes_static``."""
    base = np.median(spent["routes_static"])
    return {
        key: {
            "median": float(np.median(values)),
            "p99": float(np.quantile(values, 0.99)),
            "ratio": float(np.median(values) / base),
        }
        for key, values in spent.items()
    }
