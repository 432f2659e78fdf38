"""One call of an endpoint, after its headers were checked."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from serving.keys import Key


class Call(Struct, gc=False):
    """Body and circumstances of one request.

    Parameters
    ----------
    body : its bytes
    key : whose call it is; ``None`` where no keys are set
    waited_s : from its last byte to the start of its handling
    deadline_ms : milliseconds that the caller lets it wait; ``None`` = as the service is set
    arrived : when its last byte came, as ``time.perf_counter`` has it; 0 = not known
    traceparent : W3C trace context of the caller, as it came
    """

    body: bytes = b""
    key: Key | None = None
    waited_s: float = 0.0
    deadline_ms: float | None = None
    arrived: float = 0.0
    traceparent: bytes = b""

    @property
    def key_name(self) -> str | None:
        """What the decision log calls the caller."""
        return None if self.key is None else self.key.name

    @property
    def tenant(self) -> str | None:
        """On whose behalf the caller calls."""
        return None if self.key is None else self.key.tenant


NO_CALL: Final = Call()
"""Of nobody in particular, without a body."""
