"""Recordings in the words of Asterisk: MixMonitor on the customer's channel.

The action MixMonitor can run programs, so Asterisk gives it only to users with the class ``system``, and the dialer has
none: the dialplan begins a recording, on the way into the agent's room. Somebody who is there already is sent through
it once more, which costs a few hundredths of a second of the talk. Files are named by our ids alone and lie in a folder
of ours below Asterisk's own (``astspooldir``/monitor). Asterisk itself ends a recording with its channel, and goes on
with it while nobody is connected.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from dialer.ami import Action, actions
from dialer.core.commands import Record
from dialer.core.recording import RecordingOrder, valid_recording_id
from dialer.errors import LocalProtocolError
from dialer.switch import mapping


def actions_for(command: Record, channel: str) -> Sequence[Action]:
    """The actions that carry an order out on `channel`; the answer to the last is that to the order.

    Raises:
        LocalProtocolError: the id of the recording is none of ours and may not become the name of a file, or the room
            of the customer is not known.
    """
    match command.order:
        case RecordingOrder.START:
            if not valid_recording_id(command.recording):
                raise LocalProtocolError("not the id of a recording")
            if command.room is None:
                raise LocalProtocolError("the agent of the call is not known")
            return (
                actions.setvar(channel, mapping.RECORD_VARIABLE, command.recording),
                actions.redirect(channel, context=mapping.CONTEXT_CONNECT, exten=command.room),
            )
        case RecordingOrder.PAUSE:
            return (actions.mix_monitor_mute(channel, muted=True),)
        case RecordingOrder.RESUME:
            return (actions.mix_monitor_mute(channel, muted=False),)
        case RecordingOrder.STOP:
            return (actions.stop_mix_monitor(channel),)
        case _:
            assert_never(command.order)
