"""One line of the decision log: what was decided, what people wrote, a link to the line before.

::

    {"kind":"decision", …, "previous":"<hex>","text_sha256":"<hex>"   the core, committed for ever
     ,"query":"…","messages":…,"salt":"<hex>"                         the text, which may be erased
     ,"core_bytes":812,"digest":"<hex>"}                              the tail

``digest`` is the SHA-256 of the core, which holds the digest of the line before (``previous``) and
that of the text. So nobody changes, removes or inserts a line without breaking the chain, and a
text can be replaced by spaces without touching it. The text's digest is taken with a random
``salt``, which goes with it: short texts could otherwise be guessed from what is left.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from typing import Final, Self

START: Final = "0" * 64
"""``previous`` of the first line of a process."""
NO_TEXT: Final = ""
"""``text_sha256`` of a line without text."""
_TAIL: Final = re.compile(rb',"core_bytes":(\d{1,12}),"digest":"([0-9a-f]{64})"\}( *)\n?\Z')
_LINKS: Final = re.compile(rb'[,{]"previous":"([0-9a-f]{64})","text_sha256":"([0-9a-f]{64})?"\}\Z')


def text_part(text: bytes) -> bytes:
    """The text of a line as it stands there: its members, and a new salt.

    Parameters
    ----------
    text : JSON object of what people wrote; ``b"{}"`` = nothing
    """
    if text == b"{}":
        return b""
    return b"," + text[1:-1] + b',"salt":"' + secrets.token_hex(16).encode() + b'"'


def text_sha256(part: bytes) -> str:
    """Digest of a text as :func:`text_part` gives it."""
    return hashlib.sha256(part).hexdigest() if part else NO_TEXT


def seal(core: bytes, part: bytes) -> tuple[bytes, str]:
    """A whole line, and its digest.

    Parameters
    ----------
    core : JSON object that ends with ``previous`` and ``text_sha256``
    part : as :func:`text_part` gives it
    """
    digest = hashlib.sha256(core).hexdigest()
    tail = b',"core_bytes":%d,"digest":"%b"}\n' % (len(core), digest.encode())
    return core[:-1] + part + tail, digest


@dataclass(frozen=True, slots=True)
class Line:
    """A line taken apart.

    Parameters
    ----------
    core, part : bytes of what was decided, and of its text
    previous, digest : of the line before, and of this one, as they stand there
    text_digest : of its text, ``""`` where it never had one
    """

    core: bytes
    part: bytes
    previous: str
    digest: str
    text_digest: str

    @classmethod
    def read(cls, line: bytes) -> Self | None:
        """Take a line apart; ``None`` for one of a release without a chain, or a damaged one."""
        tail = _TAIL.search(line)
        if tail is None or (end := int(tail[1]) - 1) > tail.start():
            return None
        core = line[:end] + b"}"
        links = _LINKS.search(core)
        if links is None:
            return None
        return cls(
            core,
            line[end : tail.start()],
            links[1].decode(),
            tail[2].decode(),
            (links[2] or b"").decode(),
        )

    @property
    def has_text(self) -> bool:
        """Whether what people wrote is still there."""
        return bool(self.part)

    @property
    def problem(self) -> str:
        """What is wrong with the line itself; ``""`` = nothing."""
        if hashlib.sha256(self.core).hexdigest() != self.digest:
            return "the row was changed"
        if self.part and text_sha256(self.part) != self.text_digest:
            return "the text was changed"
        return ""

    def without_text(self, length: int) -> bytes:
        """The line with its text erased, filled up with spaces to ``length`` bytes.

        Examples
        --------
        >>> part = text_part(b'{"query":"my name"}')
        >>> core = f'{{"id":1,"previous":"{START}","text_sha256":"{text_sha256(part)}"}}'
        >>> line, digest = seal(core.encode(), part)
        >>> erased = Line.read(Line.read(line).without_text(len(line)))
        >>> len(line) == len(Line.read(line).without_text(len(line))), erased.has_text
        (True, False)
        >>> erased.digest == digest, erased.problem
        (True, '')
        """
        line, _ = seal(self.core, b"")
        return line[:-1].ljust(length - 1) + b"\n"
