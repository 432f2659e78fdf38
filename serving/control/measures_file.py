"""The measures file: what a monitor, or a person, has decided of candidates until further notice.

``{"masked": {"small": "quality fell"}, "explored": {"large": 0.1}}``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import msgspec

from router_ml.errors import ConfigError


class Measures(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is in force.

    Parameters
    ----------
    masked : candidate to the reason; it is not chosen unless nobody else is left
    explored : candidate to its least probability, so that its outcomes become known sooner
    """

    masked: dict[str, str] = {}
    explored: dict[str, Annotated[float, msgspec.Meta(ge=0, le=1)]] = {}

    @property
    def are_taken(self) -> bool:
        """Whether there are any."""
        return bool(self.masked or self.explored)

    def problems(self) -> list[str]:
        """Sentences for everybody."""
        return [f"{name} is masked by the measures file" for name in sorted(self.masked)]


NO_MEASURES: Final = Measures()


def read_measures(path: Path) -> Measures:
    """Measures of a file.

    Raises
    ------
    ConfigError
        If it cannot be read, or is not of the form above.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=Measures)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"expected a measures file at {path}, {{'masked': {{name: reason}}, 'explored': "
            f"{{name: probability}}}}; {{}} holds nothing: {error}"
        ) from error
