"""The WAV files that Asterisk writes: how long they are, and a right header for those that it could not finish.

An Asterisk that is killed leaves a header that knows nothing of the sound behind it. What stands in the file counts.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dialer.errors import InputError

_PCM: Final = 1
_PIECE_BYTES: Final = 262_144
_LARGEST_BYTES: Final = 0xFFFF_FFFF - 64
#: A header with a few chunks that say nothing of the sound.
_SEARCHED_BYTES: Final = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Sound:
    """A file with sound in it."""

    path: Path
    #: Header for it, right whatever stands in the file.
    header: bytes
    #: Where the sound begins in the file, and how much there is.
    offset: int
    data_bytes: int
    duration_s: float
    #: What the file says of itself agrees with what it is: whoever wrote it has finished.
    finished: bool

    @property
    def total_bytes(self) -> int:
        """Of the file as it is to be kept."""
        return len(self.header) + self.data_bytes

    def parts(self) -> Iterator[bytes]:
        """The file as it is to be kept, piece by piece.

        Raises:
            OSError: it cannot be read, or has become shorter.
        """
        yield self.header
        left = self.data_bytes
        with self.path.open("rb") as file:
            file.seek(self.offset)
            while left:
                piece = file.read(min(left, _PIECE_BYTES))
                if not piece:
                    raise OSError(f"{self.path.name} has become shorter")
                left -= len(piece)
                yield piece


def read_sound(path: Path) -> Sound:
    """Look into a WAV file.

    Raises:
        InputError: it is none, or none of 16 bits PCM.
        OSError: it cannot be read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(_SEARCHED_BYTES)
    if len(head) < 12 or head[:4] != b"RIFF" or head[8:12] != b"WAVE":
        raise InputError("not a WAV file")
    place, shape = 12, None
    while place + 8 <= len(head):
        name, length = struct.unpack_from("<4sI", head, place)
        place += 8
        if name == b"fmt " and length >= 16 and place + 16 <= len(head):
            shape = struct.unpack_from("<HHIIHH", head, place)
        elif name == b"data":
            return _sound(path, size, place, length, shape)
        place += length + length % 2
    raise InputError("a WAV file without sound")


def _sound(path: Path, size: int, offset: int, told: int, shape: tuple[int, ...] | None) -> Sound:
    if shape is None:
        raise InputError("a WAV file that does not say what its sound is")
    form, channels, rate, _, frame_bytes, bits = shape
    if form != _PCM or bits != 16 or channels not in {1, 2} or not rate or frame_bytes != channels * 2:
        raise InputError("a WAV file that is not 16 bits PCM")
    there = min(size - offset, _LARGEST_BYTES)
    # Behind the sound there may be a byte of padding, or chunks of somebody else's.
    finished = 0 < told <= there
    data = (told if finished else there) // frame_bytes * frame_bytes
    header = struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        *(b"RIFF", 36 + data, b"WAVE", b"fmt ", 16),
        *(_PCM, channels, rate, rate * frame_bytes, frame_bytes, bits),
        *(b"data", data),
    )
    return Sound(
        path=path,
        header=header,
        offset=offset,
        data_bytes=data,
        duration_s=data / (rate * frame_bytes),
        finished=finished and there - told <= 1,
    )
