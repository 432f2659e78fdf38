"""From a folder of fitted routes to the route of a request; numpy and ONNX Runtime alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from router_ml.errors import BundleIntegrityError, BundleVersionError
from router_ml.features.lexical import NAMES
from router_ml.features.query import Query
from router_ml.features.tokenizer import QueryTokenizer, TokenLayout
from router_ml.runtime.inputs import graph_inputs
from router_ml.runtime.session import open_session
from router_ml.types.arrays import FloatArray
from router_ml.types.queries import Tokens

FORMAT: Final = 1
ABOUT: Final = "routes.json"
GRAPH: Final = "routes.onnx"
TOKENIZER: Final = "tokenizer.json"


@dataclass(frozen=True, slots=True)
class RouteMatch:
    """Where a request belongs.

    Parameters
    ----------
    name : of the route; ``None`` = none of them, or not surely enough
    probability : that it belongs to the likeliest route
    """

    name: str | None
    probability: float


class SemanticRoutes:
    """Fitted routes; immutable, and safe to call from several threads.

    Parameters
    ----------
    about : what ``routes.json`` holds
    graph : ``routes.onnx``: tokens to the probabilities of "none" and of every route
    tokenizer_json : of the encoder

    Attributes
    ----------
    names : of the routes
    thresholds : of probability, shape (R,)
    is_slow : whether a match takes milliseconds: a sentence encoder beside the static one
    report : what the fit found on held-out utterances
    """

    def __init__(self, *, about: Mapping[str, Any], graph: bytes, tokenizer_json: str) -> None:
        self.names = tuple(about["names"])
        self.thresholds = np.array(about["thresholds"], dtype=float)
        self.is_slow = about["encoder"]["kind"] != "static"
        self.report: Mapping[str, Any] = about["report"]
        self._tokenizer = QueryTokenizer(
            tokenizer_json=tokenizer_json, layout=TokenLayout(**about["layout"])
        )
        self._session = open_session(graph, GRAPH)
        self._inputs = [value.name for value in self._session.get_inputs()]

    @classmethod
    def from_folder(cls, folder: Path) -> SemanticRoutes:
        """Read and verify what :func:`router_ml.semantic_routes.folder.write_routes` wrote.

        Raises
        ------
        BundleVersionError
            If a newer release wrote it.
        BundleIntegrityError
            If a file is missing or was changed.
        """
        try:
            about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
            if about["format_version"] != FORMAT:
                raise BundleVersionError(
                    f"expected routes of format {FORMAT} in {folder}, got "
                    f"{about['format_version']}; fit them again with this release"
                )
            files = {name: (folder / name).read_bytes() for name in (GRAPH, TOKENIZER)}
            for name, content in files.items():
                if hashlib.sha256(content).hexdigest() != about["files"][name]:
                    raise BundleIntegrityError(f"{folder / name} is not what {ABOUT} says")
        except (OSError, ValueError, KeyError, TypeError) as error:
            if isinstance(error, BundleVersionError | BundleIntegrityError):
                raise
            raise BundleIntegrityError(
                f"expected fitted routes in {folder}: {error}; write them with "
                "`router-ml fit-routes`"
            ) from error
        return cls(about=about, graph=files[GRAPH], tokenizer_json=files[TOKENIZER].decode())

    def probabilities(self, texts: Sequence[str]) -> FloatArray:
        """Of "none" and of every route, shape (n, 1 + R); one text at a time."""
        rows = [self._one(text) for text in texts]
        return np.concatenate(rows) if rows else np.zeros((0, 1 + len(self.names)))

    def match(self, query: Query) -> RouteMatch:
        """The route of what a person asked last."""
        probability = self._one(query.ask)[0, 1:]
        best = int(probability.argmax())
        p = float(probability[best])
        return RouteMatch(self.names[best] if p >= self.thresholds[best] else None, p)

    def _one(self, text: str) -> FloatArray:
        tokens = Tokens.from_rows([self._tokenizer.row(Query(text))])
        lexical = np.zeros((1, len(NAMES)), dtype=np.float32)
        pad_id = self._tokenizer.layout.pad_id
        feed = graph_inputs(self._inputs, tokens=tokens, lexical=lexical, pad_id=pad_id)
        out: FloatArray = self._session.run(["probability"], feed)[0]
        return out
