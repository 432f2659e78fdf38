"""``POST /v1/webhooks/mlflow``: the registry says that an alias moved, so look now.

The signature of the body is checked before anything is read from it. A delivery that is sent again
costs one look.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from starlette.types import Receive, Scope

from serving.http.call import Call
from serving.http.endpoint import Endpoint
from serving.http.errors import HttpError
from serving.loading.loader import Loader

_SIGNATURE: Final = b"x-mlflow-signature"
_TIMESTAMP: Final = b"x-mlflow-timestamp"
_DELIVERY: Final = b"x-mlflow-delivery-id"
_TOLERANCE_S: Final = 300.0
"""A delivery that is older, or from further ahead, is refused."""
_ENTITY: Final = "model_version_alias"


def check_signature(
    secret: str, headers: Mapping[bytes, bytes], body: bytes, *, now: float
) -> None:
    """Check MLflow's HMAC over delivery id, timestamp and body.

    Parameters
    ----------
    headers : by their names in lower case
    now : Unix time, seconds

    Raises
    ------
    HttpError
        401 if the signature is missing or wrong, or the delivery more than five minutes off.

    Examples
    --------
    >>> check_signature("secret", {}, b"{}", now=0.0)
    Traceback (most recent call last):
    serving.http.errors.HttpError: expected a delivery that MLflow signed with the webhook's secret
    """
    sent, delivery = headers.get(_TIMESTAMP, b""), headers.get(_DELIVERY, b"")
    content = delivery + b"." + sent + b"." + body
    digest = hmac.new(secret.encode(), content, hashlib.sha256).digest()
    wanted = b"v1," + base64.b64encode(digest)
    good = hmac.compare_digest(wanted, headers.get(_SIGNATURE, b""))
    if not good or not sent.isdigit():
        raise HttpError(401, "expected a delivery that MLflow signed with the webhook's secret")
    if abs(now - int(sent)) > _TOLERANCE_S:
        raise HttpError(401, "the delivery's timestamp is more than five minutes off")


class SignedEndpoint(Endpoint):
    """An endpoint whose calls carry MLflow's signature instead of a key.

    Parameters
    ----------
    secret : of the webhook
    options : as of :class:`serving.http.endpoint.Endpoint`
    """

    def __init__(self, *, secret: str, **options: Any) -> None:
        super().__init__(**options)
        self._secret = secret

    async def _call(self, scope: Scope, receive: Receive) -> Call:
        call = await super()._call(scope, receive)
        check_signature(self._secret, dict(scope["headers"]), call.body, now=time.time())
        return call


class AliasWebhook:
    """Looks at the registry when an alias that is followed has moved.

    Parameters
    ----------
    loaders : of the routers in service
    """

    def __init__(self, loaders: Callable[[], Iterable[Loader]]) -> None:
        self._loaders = loaders

    async def take(self, call: Call) -> bytes:
        """Answer one delivery: ``looking`` or ``ignored``."""
        try:
            given = json.loads(call.body)
            data = given["data"] if given["entity"] == _ENTITY else {}
            moved = f"models:/{data.get('name')}@{data.get('alias')}"
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise HttpError(422, "expected entity and data, as MLflow's webhooks have") from error
        concerned = [loader for loader in self._loaders() if loader.settings.bundle == moved]
        for loader in concerned:
            loader.look_now()
        return b'{"status":"%s"}' % (b"looking" if concerned else b"ignored")
