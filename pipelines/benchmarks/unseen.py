"""Prompts that no cache has seen: the words of real ones in another order, some of them new."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any, Final

NEW_WORDS: Final = 0.1
"""Share of words whose letters are permuted, as names and numbers are new in real traffic."""


def unseen_bodies(bodies: Sequence[bytes], n: int, *, random_state: int = 0) -> list[bytes]:
    """Bodies of ``/v1/route`` with permuted text, no two alike.

    Tools stay as they are: an application sends the same ones with every request.

    Parameters
    ----------
    bodies : as :func:`pipelines.benchmarks.serve.prompt_bodies` gives them, taken in turn
    n : how many to make
    """
    rng = random.Random(random_state)
    made: dict[bytes, None] = {}
    number = 0
    while len(made) < n:
        body: dict[str, Any] = json.loads(bodies[number % len(bodies)])
        number += 1
        for message in body["messages"]:
            if isinstance(message.get("content"), str):
                message["content"] = permuted(message["content"], rng)
        made[json.dumps(body).encode()] = None
    return list(made)


def permuted(text: str, rng: random.Random) -> str:
    """The words of a text in another order; of one in ten the letters, too.

    Examples
    --------
    >>> sorted(permuted("mix blue paint", random.Random(0)).replace(" ", ""))
    ['a', 'b', 'e', 'i', 'i', 'l', 'm', 'n', 'p', 't', 'u', 'x']
    """
    words = text.split()
    rng.shuffle(words)
    return " ".join(
        "".join(rng.sample(word, len(word))) if rng.random() < NEW_WORDS else word for word in words
    )
