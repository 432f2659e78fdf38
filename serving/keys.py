"""Who may call: named keys, hashed at rest, with scopes.

A keys file is JSON: ``{"keys": [{"name": "web", "sha256": "…", "scopes": ["route"]}]}``.
``"tenants": {"acme": {"candidates": ["small"]}}`` beside them says whom a tenant's requests may be
routed to, whichever key makes them.
``python -m serving.keys web --scopes route,feedback`` makes a key, prints it once, and prints the
entry. A key has 256 random bits, so one pass of SHA-256 is as good as a slow hash. To rotate a key,
add an entry of the same name, wait until every caller has the new one, and remove the old entry:
the file is read again while the service runs.

======== ==================================================================
scope    allows
======== ==================================================================
route    ``/v1/route``, ``/v1/route/batch``, ``/v1/cascade/next``, ``/v1/decisions``,
         ``/v1/systemone``, ``/v1/router``
feedback ``/v1/feedback``, of decisions that the same name asked for
label    ``/v1/feedback`` of anybody's decisions
health   ``/v1/health-events``
admin    everything
======== ==================================================================
"""

from __future__ import annotations

import argparse
import hashlib
import secrets
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from router_ml.errors import ConfigError

Scope = Literal["route", "feedback", "label", "health", "admin"]
SCOPES: Final[tuple[Scope, ...]] = ("route", "feedback", "label", "health", "admin")
_FROM_VARIABLE: Final[tuple[Scope, ...]] = ("route", "feedback", "health")


class Key(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One entry of a keys file.

    Parameters
    ----------
    name : stands in the decision log; several entries may have it while a key is rotated
    sha256 : of the key, 64 hexadecimal digits
    scopes : what it allows
    tenant : on whose behalf it calls; stands in the decision log
    sets_tenant : whether a request may name another tenant: a gateway's key
    candidates : the only ones it may be routed to; ``None`` = all
    expires : with an offset from UTC; ``None`` = never
    """

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    scopes: Annotated[tuple[Scope, ...], msgspec.Meta(min_length=1)]
    tenant: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] | None = None
    sets_tenant: bool = False
    candidates: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)] | None = None
    expires: Annotated[datetime, msgspec.Meta(tz=True)] | None = None

    def allows(self, scope: Scope) -> bool:
        """Whether it has the scope."""
        return scope in self.scopes or "admin" in self.scopes


class Tenant(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What holds for a tenant, whatever key calls on its behalf.

    Parameters
    ----------
    candidates : the only ones its requests may be routed to
    """

    candidates: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]


class _File(msgspec.Struct, forbid_unknown_fields=True):
    keys: Annotated[tuple[Key, ...], msgspec.Meta(min_length=1)]
    tenants: dict[str, Tenant] = {}


class Keyring:
    """The keys in force, looked up by hash: how long that takes says nothing about a key.

    Parameters
    ----------
    keys : none = nobody needs one
    tenants : what holds for each, by name
    """

    def __init__(
        self, keys: Iterable[Key] = (), tenants: Mapping[str, Tenant] | None = None
    ) -> None:
        self.tenants = dict(tenants or {})
        self._by_digest = {key.sha256: key for key in keys}

    def __len__(self) -> int:
        return len(self._by_digest)

    def find(self, token: bytes) -> Key | None:
        """The key of a bearer token, unless it is unknown or has expired."""
        key = self._by_digest.get(hashlib.sha256(token).hexdigest())
        if key is None or (key.expires is not None and key.expires.timestamp() <= time.time()):
            return None
        return key


def read_keys(path: Path | None, api_keys: Sequence[str] = ()) -> Keyring:
    """Keys of a file and of the variable ``ROUTER_SERVE_API_KEYS``.

    Raises
    ------
    ConfigError
        If the file cannot be read, is not of the form above, or holds one key twice.
    """
    keys = [
        Key(name=f"api-key-{n}", sha256=digest(token), scopes=_FROM_VARIABLE)
        for n, token in enumerate(api_keys, start=1)
    ]
    tenants: dict[str, Tenant] = {}
    if path is not None:
        try:
            read = msgspec.json.decode(path.read_bytes(), type=_File)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"expected a keys file at {path}, {{'keys': [{{name, sha256, scopes}}, …]}}: "
                f"{error}; `python -m serving.keys NAME` makes an entry"
            ) from error
        keys, tenants = [*keys, *read.keys], read.tenants
    if len({key.sha256 for key in keys}) < len(keys):
        raise ConfigError(f"{path} holds one key twice; give every entry a key of its own")
    return Keyring(keys, tenants)


def digest(token: str) -> str:
    """SHA-256 of a key, as the file holds it."""
    return hashlib.sha256(token.encode()).hexdigest()


def main() -> None:
    """Make a key: the key itself to standard error, its entry to standard output."""
    parser = argparse.ArgumentParser(
        prog="python -m serving.keys", description="Make a key for the scoring service."
    )
    parser.add_argument("name", help="stands in the decision log")
    parser.add_argument("--scopes", default="route,feedback", help=f"of {', '.join(SCOPES)}")
    parser.add_argument("--tenant", help="on whose behalf the key calls")
    given = parser.parse_args()
    token = secrets.token_urlsafe(32)
    entry = {"name": given.name, "sha256": digest(token), "scopes": given.scopes.split(",")}
    if given.tenant:
        entry["tenant"] = given.tenant
    try:
        msgspec.convert(entry, Key)
    except msgspec.ValidationError as error:
        sys.exit(f"ConfigError: {error}; scopes are {', '.join(SCOPES)}")
    sys.stderr.write(f"the key, shown this once: {token}\n")
    sys.stdout.write(msgspec.json.encode(entry).decode() + "\n")


if __name__ == "__main__":
    main()
