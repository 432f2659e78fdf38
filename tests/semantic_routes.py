"""Utterances of a small world: three routes that share words with what belongs to none."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

from router_ml.features.static_encoder import StaticEncoder
from router_ml.features.tokenizer import QueryTokenizer, TokenLayout
from router_ml.semantic_routes.folder import write_routes
from router_ml.semantic_routes.learning import FittedRoutes, fit_routes
from tests.bundles import wordpiece

WORDS = {
    "code": ["write", "code", "python", "function", "write", "python", "code"],
    "paint": ["mix", "blue", "yellow", "paint", "color", "mix", "paint"],
    "maths": ["solve", "prove", "integral", "solve", "prove"],
    "": ["weather", "time", "price", "translate", "french", "poem", "hello", "find"],
}
COMMON = ["the", "a", "of", "to", "and", "in", "is", "what", "how", "which", "all"]


def encoder() -> StaticEncoder:
    tokenizer = wordpiece()
    table = np.random.default_rng(0).normal(size=(tokenizer.get_vocab_size(), 24))
    table[0] = 0.0
    layout = TokenLayout(pad_id=0, separator_id=0)
    tokens = QueryTokenizer(tokenizer_json=tokenizer.to_str(), layout=layout)
    return StaticEncoder(table=table.astype(np.float32), tokenizer=tokens)


def utterances(n: int, *, random_state: int) -> tuple[list[str], list[str | None]]:
    """``n`` of every route and three times as many of none, some of which borrow a route's word."""
    rng = np.random.default_rng(random_state)
    texts, routes = [], []
    for route, words in WORDS.items():
        for i in range(n if route else 3 * n):
            own = rng.choice(words, 3).tolist()
            if not route and i % 4 == 0:
                own[0] = str(rng.choice(WORDS["code"]))
            texts.append(" ".join(rng.permutation([*own, *rng.choice(COMMON, 3).tolist()])))
            routes.append(route or None)
    return texts, routes


@cache
def fitted(precision: float = 0.9) -> FittedRoutes:
    return fit_routes(*utterances(40, random_state=0), encoder(), precision=precision)


def routes_folder(folder: Path) -> Path:
    write_routes(folder, fitted(), encoder())
    return folder
