"""Who may use an endpoint: keys and scopes, or, where there are none, this machine's own callers.

Without keys a browser is the way in: a page can make it send a form to loopback, or give a name of
its own the address of this service (DNS rebinding). So there a body must come as JSON, which a form
cannot say, and ``Host`` must be a name of this service.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from typing import Final

from serving.http.errors import HttpError
from serving.keys import Key, Keyring, Scope

_BEARER: Final = re.compile(rb"bearer +([\x21-\x7e]+) *", re.IGNORECASE)
_ANY: Final = "*"
_KNOWN_HOSTS: Final = 256


class Access:
    """Checks headers; the keys are replaced whole when their file changes.

    Parameters
    ----------
    keys : in force
    required : whether a request must bring one
    hosts : names that ``Host`` may have where no key is required; ``*`` = any
    """

    def __init__(
        self, *, keys: Keyring | None = None, required: bool = False, hosts: Collection[str] = ()
    ) -> None:
        self.keys = keys or Keyring()
        self.required = required
        self._any_host = _ANY in hosts
        self._names = {"localhost", *(host.lower().rstrip(".") for host in hosts)}
        self._good_hosts: set[bytes] = set()

    def authorise(self, authorization: bytes | None, scopes: Collection[Scope]) -> Key | None:
        """The caller's key; one of ``scopes`` is enough.

        Raises
        ------
        HttpError
            401 without a valid key, 403 without the scope.
        """
        if not self.required:
            return None
        match = _BEARER.fullmatch(authorization or b"")
        key = self.keys.find(match[1]) if match else None
        if key is None:
            raise HttpError(
                401,
                "expected the header `Authorization: Bearer <key>` with a valid key",
                headers={"www-authenticate": "Bearer"},
            )
        if not any(key.allows(scope) for scope in scopes):
            raise HttpError(
                403, f"expected a key with the scope {' or '.join(scopes)}; this one has "
                f"{', '.join(key.scopes)}",
            )  # fmt: skip
        return key

    def check_host(self, host: bytes | None) -> None:
        """Refuse a foreign ``Host`` where no key is required.

        Raises
        ------
        HttpError
            421 when the name is none of this service's.
        """
        if self.required or self._any_host or host is None or host in self._good_hosts:
            return
        if not self._is_ours(host.decode("latin-1")):
            raise HttpError(
                421,
                "Host is no name of this service; add it to ROUTER_SERVE_ALLOWED_HOSTS, or set "
                "keys",
            )
        if len(self._good_hosts) < _KNOWN_HOSTS:
            self._good_hosts.add(host)

    def _is_ours(self, host: str) -> bool:
        name = host.rpartition(":")[0] if re.search(r":\d*$", host) else host
        name = name.strip("[]").lower().rstrip(".")
        if name in self._names or name.endswith(".localhost"):
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True
