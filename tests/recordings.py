"""What tests of recordings share: sound in files, and a store and a mover around them."""

from __future__ import annotations

import wave
from array import array
from collections.abc import Callable
from pathlib import Path

from dialer.core.ids import ServerName
from dialer.recordings.mover import Mover
from dialer.recordings.store import RecordingStore
from dialer.storage.attempts import Attempts
from dialer.storage.audit import Audit
from dialer.storage.database import Database
from dialer.storage.recordings import Recordings

#: Louder than the noise of a line, far below speech.
AUDIBLE = 200


def loudness(path: Path, begin_s: float, end_s: float) -> int:
    """The loudest sample of a part of a WAV file."""
    with wave.open(str(path), "rb") as file:
        rate = file.getframerate()
        file.setpos(min(round(begin_s * rate), file.getnframes()))
        samples = array("h", file.readframes(round((end_s - begin_s) * rate)))
    return max((abs(sample) for sample in samples), default=0)


def length_s(path: Path) -> float:
    """How long a WAV file is."""
    with wave.open(str(path), "rb") as file:
        return file.getnframes() / file.getframerate()


def silences(path: Path) -> list[tuple[float, float]]:
    """Where a WAV file has nothing at all for a tenth of a second and more: begins and ends."""
    with wave.open(str(path), "rb") as file:
        rate = file.getframerate()
        samples = array("h", file.readframes(file.getnframes()))
    found, begin = [], None
    for place, sample in enumerate([*samples, 1]):
        if sample == 0 and begin is None:
            begin = place
        elif sample != 0 and begin is not None:
            if place - begin >= rate / 10:
                found.append((begin / rate, place / rate))
            begin = None
    return found


def mover(
    database: Database,
    store: RecordingStore,
    folder: Path,
    now: Callable[[], float],
    *,
    key: bytes | None = None,
    retention_s: float = 90 * 86_400.0,
    server: str = "pbx",
) -> Mover:
    """A mover from one server's folder."""
    return Mover(
        Recordings(database),
        store,
        {ServerName(server): folder},
        key=key,
        retention_s=retention_s,
        now=now,
        audit=Audit(database),
        attempt=Attempts(database).get,
    )
