"""Bytes of JSON to what is declared, or a refusal that quotes nothing of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec

from serving.http.errors import HttpError

T = TypeVar("T")


def read_json(decode: Callable[[bytes], T], body: bytes, where: str = "") -> T:
    """Decode a body.

    Parameters
    ----------
    decode : of a ``msgspec.json.Decoder``
    body : the bytes
    where : ends a refusal when ``body`` is only a part, such as `` - at `$.tools` ``

    Raises
    ------
    HttpError
        400 when it is not JSON, 422 when it is not of the declared shape.
    """
    try:
        return decode(body)
    except msgspec.ValidationError as error:
        raise HttpError(422, f"the body is not as declared: {error}{where}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise HttpError(400, f"the body is not JSON: {error}{where}") from error
    except RecursionError as error:
        raise HttpError(422, f"the body is nested too deeply{where}") from error
