"""Keys of a proxy without LiteLLM's database: ``general_settings: {custom_auth: …}``."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from router_ml.errors import ConfigError

Auth = Callable[[Any, str], Awaitable[Any]]


def key_auth(path: Path | str) -> Auth:
    """A ``custom_auth`` function over a keys file, as the scoring service's.

    ``{"keys": [{"name": "web", "sha256": "…", "tenant": "blue", "candidates": ["gpt-4o-mini"]}]}``:
    the name becomes the alias of the key, the tenant its team, both in the spend log, and
    ``candidates`` the model groups that it may name; ``auto`` must be among them to be asked.
    LiteLLM's own checks are off where ``custom_auth`` is on, so they are made here.

    Raises
    ------
    ConfigError
        If the file cannot be read, or an entry has no name or hash.
    """
    try:
        entries = json.loads(Path(path).read_text(encoding="utf-8"))["keys"]
        keys = {str(entry["sha256"]).lower(): entry for entry in entries}
        if not all(isinstance(entry["name"], str) for entry in entries):
            raise TypeError("name must be text")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f'{path} must be {{"keys": [{{"name": …, "sha256": …}}]}}: {error!r}'
        ) from error

    async def auth(request: Any, api_key: str) -> Any:
        from litellm.proxy._types import ProxyException, UserAPIKeyAuth

        digest = hashlib.sha256(api_key.removeprefix("Bearer ").encode()).hexdigest()
        entry = _find(keys, digest)
        if entry is None:
            raise ProxyException("no such key", "auth_error", "api_key", 401)
        allowed, wanted = entry.get("candidates"), await _model(request)
        if allowed is not None and wanted is not None and wanted not in allowed:
            raise ProxyException(f"this key may not ask {wanted}", "auth_error", "model", 403)
        return UserAPIKeyAuth(
            api_key=digest,
            key_alias=entry["name"],
            team_id=entry.get("tenant"),
            models=list(allowed or ()),
        )

    return auth


def _find(keys: Mapping[str, Any], digest: str) -> Mapping[str, Any] | None:
    """The entry of a digest, looked at in constant time."""
    found = None
    for known, entry in keys.items():
        if hmac.compare_digest(known, digest):
            found = entry
    return found


async def _model(request: Any) -> str | None:
    """The model that a body names."""
    try:
        body = await request.json()
    except ValueError:
        return None
    model = body.get("model") if isinstance(body, Mapping) else None
    return model if isinstance(model, str) else None
