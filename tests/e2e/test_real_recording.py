"""A call that a real Asterisk records: what was said stands in the file, what was said while it was paused does not."""

from __future__ import annotations

import signal
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# the lab is no part of the installed packages
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from scripts.lab import plan
from tests.e2e.programs import wait_for
from tests.e2e.test_real_asterisk import LabSite
from tests.lab import AsteriskLab
from tests.recordings import AUDIBLE, length_s, loudness

pytestmark = [pytest.mark.asterisk, pytest.mark.slow]

#: From the order to the file: the switch's way, and the 20 ms of a frame.
MARGIN_S = 0.35


def test_a_paused_recording_is_silent_and_goes_on(
    tmp_path: Path, asterisk_lab: AsteriskLab, serials: Iterator[int]
) -> None:
    # some eight seconds of announcement, from the first moment on
    number = plan.number(plan.Kind.AUDIO, next(serials), persona=plan.Persona.MACHINE, talk_s=60.0)
    callee = plan.callee(number)
    site = LabSite(tmp_path, asterisk_lab, campaign='recording = "always"\n')
    try:
        program = site.start()
        site.prepare([callee], agents=1)
        client = site.client()
        call = str(client.wait("call.connected")["call"])
        path = f"/calls/{call}/recording"
        wait_for(lambda: site.api.get(path)["state"] == "on", "Asterisk records")
        wait_for(lambda: file_bytes(asterisk_lab, call) > 16_000, "a second of it")
        assert site.api.post(path, {"order": "pause"})["state"] == "paused"
        at_pause = file_bytes(asterisk_lab, call)
        wait_for(lambda: file_bytes(asterisk_lab, call) > at_pause + 24_000, "a second and a half of silence")
        assert site.api.post(path, {"order": "resume"})["state"] == "on"
        at_resume = file_bytes(asterisk_lab, call)
        wait_for(lambda: file_bytes(asterisk_lab, call) > at_resume + 16_000, "a second of sound")
        assert site.api.post(path, {"order": "stop"})["state"] == "off"
        told = client.wait("call.recorded", call=call)
        # in the middle of a talk, which goes on
        assert site.api.post(path, {"order": "start"}) == {"state": "on", "recording": f"{call}-r2"}
        wait_for(lambda: file_bytes(asterisk_lab, call, 2) > 8_000, "half a second of the second recording")
        assert site.live()["calls"]["connected"] == 1
        site.api.post(f"/calls/{call}/hangup")
        client.wait("call.recorded", recording=f"{call}-r2")
        assert client.wait("call.ended", call=call)["outcome"] == "connected"
        # the worker of the node moves it, and it can be played by a link alone
        found = wait_for(lambda: stored(site, path), "the recording is in the store")
        sound = tmp_path / "played.wav"
        with urllib.request.urlopen(site.api.url + found["url"], timeout=10.0) as answer:
            sound.write_bytes(answer.read())
        client.close()
        assert program.end(signal.SIGTERM) == 0, program.complaints
    finally:
        site.clear_away()
    assert found["problem"] == ""
    assert length_s(sound) == pytest.approx(told["duration_s"], abs=0.5)
    assert length_s(sound) == pytest.approx(found["duration_s"], abs=0.001)
    ((begin_s, end_s),) = found["pauses"]
    assert end_s - begin_s > 1.5 - MARGIN_S
    assert loudness(sound, MARGIN_S, begin_s - MARGIN_S) > AUDIBLE
    assert loudness(sound, begin_s + MARGIN_S, end_s - MARGIN_S) == 0
    assert loudness(sound, end_s + MARGIN_S, length_s(sound)) > AUDIBLE
    assert not file_bytes(asterisk_lab, call), "it has left Asterisk's folder"


def file_bytes(lab: AsteriskLab, call: str, number: int = 1) -> int:
    """How much Asterisk has written of a recording."""
    path = lab.layout.run / "dialer" / "spool" / "monitor" / "cadencia" / f"{call}-r{number}.wav"
    return path.stat().st_size if path.exists() else 0


def stored(site: LabSite, path: str) -> dict[str, Any] | None:
    items: list[dict[str, Any]] = site.api.get(path)["items"]
    return items[-1] if len(items) == 2 and {item["state"] for item in items} == {"stored"} else None
