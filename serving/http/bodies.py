"""Bytes of JSON to what is declared, or a refusal that quotes nothing of them."""

from __future__ import annotations

import codecs
from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec

from serving.http.errors import HttpError

T = TypeVar("T")

_OTHER_ENCODINGS: Final = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
_COMPRESSED: Final = ((b"\x1f\x8b", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd"))


def read_json(decode: Callable[[bytes], T], body: bytes, where: str = "") -> T:
    """Decode a body; a UTF-8 byte order mark before it is skipped (RFC 8259, section 8.1).

    Parameters
    ----------
    decode : of a ``msgspec.json.Decoder``
    body : the bytes
    where : ends a refusal when ``body`` is only a part, such as `` - at `$.tools` ``

    Raises
    ------
    HttpError
        400 when it is not JSON, 415 when it is compressed, 422 when it is not of the declared
        shape.
    """
    if body.startswith(codecs.BOM_UTF8):
        body = body[len(codecs.BOM_UTF8) :]
    try:
        return decode(body)
    except msgspec.ValidationError as error:
        if "got `float`" in str(error) and (whole := _whole_numbers(body)) != body:
            return read_json(decode, whole, where)
        raise HttpError(422, f"the body is not as declared: {error}{where}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _refusal(body, f"the body is not JSON: {error}{where}") from error
    except RecursionError as error:
        raise HttpError(422, f"the body is nested too deeply{where}") from error


def _whole_numbers(body: bytes) -> bytes:
    """The same JSON with 5 for 5.0: one number to JSON, and to JSON Schema an integer."""

    def whole(value: Any) -> Any:
        if isinstance(value, float):
            return int(value) if value.is_integer() else value
        if isinstance(value, dict):
            return {key: whole(item) for key, item in value.items()}
        return [whole(item) for item in value] if isinstance(value, list) else value

    try:
        return msgspec.json.encode(whole(msgspec.json.decode(body)))
    except (msgspec.MsgspecError, RecursionError, OverflowError):
        return body


def _refusal(body: bytes, detail: str) -> HttpError:
    """Name what the bytes are, where they say so."""
    for magic, name in _COMPRESSED:
        if body.startswith(magic):
            return HttpError(
                415,
                f"the body is compressed ({name}); send it as it is, without Content-Encoding",
                headers={"accept-encoding": "identity"},
            )
    for mark, name in _OTHER_ENCODINGS:
        if body.startswith(mark):
            return HttpError(
                400, f"the body is not JSON in UTF-8: it is {name}; encode it as UTF-8"
            )
    # JSON begins with an ASCII character, so a zero among the first two bytes is an encoding.
    if b"\x00" in body[:2]:
        return HttpError(
            400, "the body is not JSON in UTF-8: it looks like UTF-16 or UTF-32; encode it as UTF-8"
        )
    return HttpError(400, detail)
