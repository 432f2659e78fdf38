"""The file that the decision log appends to: whole lines, through full disks and deleted files."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

_LOG: Final = logging.getLogger(__name__)
_LOOK_S: Final = 1.0


class PartlyWrittenError(OSError):
    """A write failed; ``complete`` lines of it are in the file, the rest is not."""

    def __init__(self, error: OSError, complete: int) -> None:
        super().__init__(error.errno, error.strerror)
        self.complete = complete


class LogFile:
    """Files ``decisions-<start>-<pid>-<number>.jsonl`` of one process, one open at a time.

    No file has two writers: containers that share a folder may have the same process ids, and a
    name that is there already is passed over.

    Parameters
    ----------
    folder : created when missing
    rotate_bytes : a file is closed once it is this long
    syncs : whether a file is synced before it is closed for another

    Raises
    ------
    OSError
        If the folder cannot be written to.
    """

    def __init__(self, *, folder: Path, rotate_bytes: int, syncs: bool = True) -> None:
        self.folder = folder
        self.rotate_bytes = rotate_bytes
        self.syncs = syncs
        self._started = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
        self._number = 0
        self._size = 0
        self._torn = False
        self._looked = time.monotonic()
        self.unsynced = False
        self._path, self._file = self._open()

    def append(self, lines: Sequence[bytes]) -> None:
        """Write lines, each of which ends with a line feed.

        Raises
        ------
        PartlyWrittenError
            If not all could be written.
        """
        try:
            self._be_writable()
        except OSError as error:
            raise PartlyWrittenError(error, 0) from error
        start, data, written = self._size, b"".join(lines), 0
        try:
            while written < len(data):
                written += self._write(data[written:] if written else data)
        except OSError as error:
            # What was written of an unfinished line is cut off, or the file is given up.
            kept, complete = start, 0
            for line in lines:
                if kept + len(line) > self._size:
                    break
                kept += len(line)
                complete += 1
            self._cut(kept)
            raise PartlyWrittenError(error, complete) from error

    def sync(self) -> None:
        """Have the system write back what it holds; OSError when it cannot."""
        if self.unsynced and self.syncs:
            # After a failed fsync the system may call lost pages clean: ask once, and report.
            self.unsynced = False
            os.fsync(self._file)

    def reopen(self) -> None:
        """Go on in a new file."""
        path, file = self._open()
        former, self._path, self._file = self._file, path, file
        os.close(former)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _write(self, data: bytes) -> int:
        done = os.write(self._file, data)
        self._size += done
        self.unsynced = True
        return done

    def _be_writable(self) -> None:
        """Rotate a long file; replace one that was deleted, moved away or left torn."""
        if self._torn or self._size >= self.rotate_bytes:
            self.sync()
            self.reopen()
        elif self._is_gone():
            _LOG.warning("%s was deleted or moved away; going on in a new file", self._path.name)
            self.reopen()

    def _is_gone(self) -> bool:
        if os.fstat(self._file).st_nlink == 0:
            return True
        if time.monotonic() - self._looked < _LOOK_S:
            return False
        self._looked = time.monotonic()
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return True
        return there.st_ino != os.fstat(self._file).st_ino

    def _cut(self, size: int) -> None:
        if self._size == size:
            return
        try:
            if os.fstat(self._file).st_size == self._size:
                os.ftruncate(self._file, size)
                self._size = size
            else:  # somebody else shortened it: where lines end is not known
                self._torn = True
        except OSError:
            self._torn = True

    def _open(self) -> tuple[Path, int]:
        self.folder.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
        number = self._number
        while True:
            number += 1
            path = self.folder / f"decisions-{self._started}-{os.getpid()}-{number:05d}.jsonl"
            try:
                file = os.open(path, flags, 0o640)
                break
            except FileExistsError:  # of another container: process ids are unique in one alone
                continue
        self._number, self._size, self._torn = number, 0, False
        return path, file
