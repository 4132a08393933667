"""What the exchange writes where Asterisk would record a call: real WAV files of the right length.

A tone stands for the talk, silence for what was paused. Each is written in one go when the recording ends, as
Asterisk's own is complete only then.
"""

from __future__ import annotations

import itertools
import math
import struct
import wave
from array import array
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

#: As MixMonitor writes them by default: signed linear, one channel.
SAMPLES_PER_S: Final = 8_000
_TONE_HZ: Final = 440
_LOUDNESS: Final = 8_000
_SECOND: Final = array(
    "h", (round(_LOUDNESS * math.sin(2 * math.pi * _TONE_HZ * i / SAMPLES_PER_S)) for i in range(SAMPLES_PER_S))
).tobytes()
_SAMPLE_BYTES: Final = struct.calcsize("h")


@dataclass(slots=True, kw_only=True)
class Tape:
    """One recording under way. Moments are those of the caller's clock, in seconds."""

    path: Path
    since: float
    #: When it was muted and unmuted, in turn.
    turns: list[float] = field(default_factory=list)

    @property
    def muted(self) -> bool:
        """Whether silence is written now."""
        return len(self.turns) % 2 == 1

    def mute(self, now: float, *, muted: bool) -> None:
        """Go on with silence, or with sound."""
        if muted is not self.muted:
            self.turns.append(now)

    def end(self, now: float) -> None:
        """Write the file.

        Raises:
            OSError: it cannot be written.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        edges = [self.since, *self.turns, max(self.since, now)]
        with wave.open(str(self.path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(_SAMPLE_BYTES)
            file.setframerate(SAMPLES_PER_S)
            for place, (begin, end) in enumerate(itertools.pairwise(edges)):
                for sound in _sound(end - begin, silent=place % 2 == 1):
                    file.writeframes(sound)


def _sound(length_s: float, *, silent: bool) -> list[bytes]:
    count = round(length_s * SAMPLES_PER_S)
    second = bytes(len(_SECOND)) if silent else _SECOND
    whole, rest = divmod(count, SAMPLES_PER_S)
    return [*([second] * whole), second[: rest * _SAMPLE_BYTES]]
