"""Input rails of NeMo Guardrails as a guard; ``pip install nemoguardrails`` in an environment."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

BLOCKED: Final = "blocked"


class NemoGuard:
    """The rail that blocks a request, such as ``regex_check_input``.

    Rails that rewrite a text instead of blocking it, such as masks of personal data, flag it too,
    as ``modified``.

    Parameters
    ----------
    config : folder of a Guardrails configuration with input rails

    Examples
    --------
    >>> guard = NemoGuard(config="rails")  # doctest: +SKIP
    >>> guard(["My password is hunter2"])  # doctest: +SKIP
    {'regex_check_input'}
    """

    def __init__(self, *, config: str) -> None:
        # Guardrails reports its use to its makers unless told not to; a router's host stays silent.
        os.environ.setdefault("NEMO_GUARDRAILS_NO_USAGE_STATS", "1")
        from nemoguardrails import LLMRails, RailsConfig

        self._rails = LLMRails(RailsConfig.from_path(config))

    def __call__(self, texts: Sequence[str]) -> set[str]:
        """Rails that do not let all of the texts pass as they are."""
        from nemoguardrails.rails.llm.options import RailStatus, RailType

        found = set()
        for text in texts:
            messages = [{"role": "user", "content": text}]
            result = self._rails.check(messages, rail_types=[RailType.INPUT])
            if result.status == RailStatus.BLOCKED:
                found.add((result.rail or BLOCKED).replace(" ", "_"))
            elif result.status == RailStatus.MODIFIED:
                found.add("modified")
        return found
