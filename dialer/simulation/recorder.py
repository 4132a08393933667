"""MixMonitor: what is recorded of channels, and its files."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

from dialer.simulation.channels import Channel
from dialer.simulation.event_writer import EventWriter
from dialer.simulation.tape import Tape


class Recorder:
    """Records channels.

    Args:
        tell: the events.
        clock: unix seconds.
        folder: in which recordings are written; None: they are not.
    """

    def __init__(self, tell: EventWriter, *, clock: Callable[[], float], folder: Path | None) -> None:
        self._tell = tell
        self._clock = clock
        self._folder = folder

    def start(self, channel: Channel, file: str) -> None:
        """MixMonitor."""
        channel.recording = True
        if self._folder is not None:
            channel.tape = Tape(path=self._folder / file, since=self._clock())
        self._tell.channel("MixMonitorStart", channel)

    def mute(self, channel: Channel, *, muted: bool) -> bool:
        """MixMonitorMute; False where nothing is being recorded."""
        if channel.tape is not None:
            channel.tape.mute(self._clock(), muted=muted)
        if channel.recording:
            self._tell.channel("MixMonitorMute", channel, f"Direction: both\r\nState: {int(muted)}\r\n")
        return channel.recording

    def stop(self, channel: Channel) -> bool:
        """StopMixMonitor; False where nothing was being recorded."""
        was, channel.recording = channel.recording, False
        if was:
            self._tell.channel("MixMonitorStop", channel)
            self.close(channel)
        return was

    def close(self, channel: Channel) -> None:
        """Write what there is, and tell nobody: the channel is gone."""
        tape, channel.tape = channel.tape, None
        if tape is not None:
            with contextlib.suppress(OSError):  # Asterisk goes on without the file too, and says so in its log alone
                tape.end(self._clock())
