"""Routes by example: thresholds hold on fresh utterances, strangers are left alone."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from pipelines.stages.fit_routes import read_utterances
from router_ml.errors import BundleIntegrityError, BundleVersionError, DataError, SchemaError
from router_ml.features.query import Query
from router_ml.semantic_routes.learning import NEVER, fit_routes, taken
from router_ml.semantic_routes.matcher import ABOUT, SemanticRoutes
from router_ml.types.queries import Tokens
from tests.semantic_routes import encoder, fitted, routes_folder, utterances


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return routes_folder(tmp_path_factory.mktemp("routes") / "routes")


def test_fresh_utterances_find_their_route_and_strangers_none(folder: Path) -> None:
    routes = SemanticRoutes.from_folder(folder)
    texts, truth = utterances(60, random_state=1)
    found = [routes.match(Query(text)).name for text in texts]
    right = [f == t for f, t in zip(found, truth, strict=True) if f is not None]
    strangers = [f is None for f, t in zip(found, truth, strict=True) if t is None]
    own = [f == t for f, t in zip(found, truth, strict=True) if t is not None]
    assert np.mean(right) > 0.9
    assert np.mean(strangers) > 0.9
    assert np.mean(own) > 0.8


def test_the_graph_is_the_classifier(folder: Path) -> None:
    model, of, routes = fitted(), encoder(), SemanticRoutes.from_folder(folder)
    texts = ["mix blue paint", "", "x" * 5_000, "häß ☃", "solve the integral"]
    embedding = of.encode(Tokens.from_rows(of.tokenizer.rows([*map(Query, texts)])))
    raised = np.exp(embedding @ model.weights + model.bias)
    want = raised / raised.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(routes.probabilities(texts), want, atol=1e-5)


def test_more_precision_takes_fewer() -> None:
    thresholds = [fitted(p).thresholds for p in (0.5, 0.9)]
    assert (np.diff(thresholds, axis=0) >= 0).all()


def test_what_proves_nothing_is_never_taken() -> None:
    texts, routes = utterances(12, random_state=3)
    shuffled = np.random.default_rng(0).permutation(np.array(routes, dtype=object)).tolist()
    thresholds = fit_routes(texts, shuffled, encoder(), precision=0.95).thresholds
    assert (thresholds == NEVER).all()


def test_a_probability_at_the_threshold_is_taken() -> None:
    probability = np.array([[0.2, 0.5, 0.3], [0.8, 0.1, 0.1]])
    assert taken(probability, np.array([0.5, 0.1])).tolist() == [0, -1]


def test_too_few_and_contradictory_utterances_are_refused() -> None:
    texts, routes = utterances(20, random_state=0)
    few = [t for t, r in zip(texts, routes, strict=True) if r is not None]
    with pytest.raises(DataError, match=r"out of scope: 0.*sample of the request log"):
        fit_routes(few, [r for r in routes if r is not None], encoder())
    with pytest.raises(DataError, match="two routes"):
        fit_routes([*texts, texts[0].upper()], [*routes, "other"], encoder())
    repeated = ["mix blue"] * 50
    with pytest.raises(DataError, match="paint2: 1"):
        fit_routes([*texts, *repeated], [*routes, *["paint2"] * 50], encoder())


def test_changed_and_newer_folders_are_refused(tmp_path: Path) -> None:
    folder = routes_folder(tmp_path / "routes")
    about = json.loads((folder / ABOUT).read_text())
    (folder / ABOUT).write_text(json.dumps(about | {"format_version": 2}))
    with pytest.raises(BundleVersionError, match="format 1"):
        SemanticRoutes.from_folder(folder)
    (folder / ABOUT).write_text(json.dumps(about))
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(BundleIntegrityError, match=r"tokenizer\.json"):
        SemanticRoutes.from_folder(folder)
    with pytest.raises(BundleIntegrityError, match="fit-routes"):
        SemanticRoutes.from_folder(tmp_path)


def test_a_file_of_utterances_is_read_and_a_wrong_one_named(tmp_path: Path) -> None:
    path = tmp_path / "utterances.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["text", "route"], ["a, b\nc", "x"], ["d", " "]])
    assert read_utterances(path) == (["a, b\nc", "d"], ["x", None])
    path.write_text("prompt,label\na,b\n")
    with pytest.raises(SchemaError, match="columns text and route, got prompt, label"):
        read_utterances(path)
