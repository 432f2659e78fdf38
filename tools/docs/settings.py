"""The page of the scoring service's variables."""

from __future__ import annotations

from serving.environment import PREFIX
from serving.settings import Settings
from tools.docs.options import option_table

_INTRO = f"""# Service settings

The scoring service reads variables, all of which begin with `{PREFIX}`; an unknown one is refused
at the start. Lists are comma-separated. How to start it: [serve](../how-to/serve.md).

Generated from `serving/settings.py`.
"""


def page() -> str:
    """One table."""
    return f"{_INTRO}\n{option_table(Settings, spell=lambda name: PREFIX + name.upper())}\n"
