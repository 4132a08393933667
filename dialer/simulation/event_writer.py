"""Words the events of the switchboard as Asterisk 22 does, header for header."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from dialer.simulation.channels import CAUSE_TEXTS, Channel, EventClass
from dialer.simulation.dialplan import NAME

#: Takes every event: class, name, whole text.
Publish = Callable[[EventClass, str, str], None]

_PRIVILEGE: Final = {kind: f"{(kind.name or '').lower()},all" for kind in EventClass}


@dataclass(slots=True)
class _Device:
    ringing: int = 0
    up: int = 0
    state: str = "NOT_INUSE"


class EventWriter:
    """Every method tells of one thing, at once."""

    def __init__(self, publish: Publish, *, clock: Callable[[], float], system_name: str) -> None:
        self.system_name = system_name
        #: Names of events that nobody wants, so that they need not be worded.
        self.muted: frozenset[str] = frozenset()
        self._publish = publish
        self._clock = clock
        self._devices: dict[str, _Device] = {}

    def forget_devices(self) -> None:
        """All channels are gone."""
        self._devices.clear()

    def event(self, kind: EventClass, name: str, body: str) -> None:
        """Any event: class, name, and the headers after the stamps."""
        if name not in self.muted:
            self._publish(
                kind,
                name,
                f"Event: {name}\r\nPrivilege: {_PRIVILEGE[kind]}\r\nTimestamp: {self._clock():.6f}\r\n"
                f"SystemName: {self.system_name}\r\n{body}\r\n",
            )

    def channel(self, name: str, channel: Channel, extra: str = "") -> None:
        """An event of class call about one channel."""
        if name not in self.muted:
            self.event(EventClass.CALL, name, channel.block + extra)

    def dial_state(self, channel: Channel, status: str) -> None:
        """How dialing goes."""
        if "DialState" not in self.muted:
            self.event(EventClass.CALL, "DialState", f"{channel.dest_block}DialStatus: {status}\r\n")

    def dial_end(self, channel: Channel, status: str) -> None:
        """How dialing ended."""
        if "DialEnd" not in self.muted:
            self.event(EventClass.CALL, "DialEnd", f"{channel.dest_block}DialStatus: {status}\r\n")

    def hang_up(self, channel: Channel, cause: int, sip_code: int | None) -> None:
        """A channel is gone."""
        tech = f"TechCause: {sip_code}\r\n" if sip_code is not None else ""
        text = CAUSE_TEXTS.get(cause, "Unknown")
        self.channel("Hangup", channel, f"Cause: {cause}\r\nCause-txt: {text}\r\n{tech}")

    def extension(self, channel: Channel, block: str) -> None:
        """A channel begins a step of the dialplan; `block` describes it."""
        if "Newexten" not in self.muted:
            self.event(
                EventClass.DIALPLAN,
                "Newexten",
                f"{block}Extension: {channel.exten}\r\nApplication: {channel.application}\r\n"
                f"AppData: {channel.application_data}\r\n",
            )

    def variable(self, channel: Channel, name: str, value: str) -> None:
        """A channel variable was set."""
        if "VarSet" not in self.muted:
            self.event(EventClass.DIALPLAN, "VarSet", f"{channel.block}Variable: {name}\r\nValue: {value}\r\n")

    def user(self, channel: Channel, name: str, *headers: tuple[str, str]) -> None:
        """UserEvent() of the dialplan, with the call's id first."""
        body = "".join(f"{key}: {value}\r\n" for key, value in (("Call", channel.call), *headers))
        self.event(EventClass.USER, "UserEvent", f"{channel.block}UserEvent: {name}\r\n{body}")

    def response(self, channel: Channel, reason: int) -> None:
        """What became of an Originate: reason 4 success, 3 time-out, 0 anything else."""
        channel.response_due = False
        if channel.reply is not None:
            channel.reply(reason == 4)
            return
        if "OriginateResponse" in self.muted:
            return
        action = f"ActionID: {channel.action_id}\r\n" if channel.action_id else ""
        self.event(
            EventClass.CALL,
            "OriginateResponse",
            f"{action}Response: {'Success' if reason == 4 else 'Failure'}\r\n"
            f"Channel: {channel.name if reason == 4 else channel.destination}\r\nContext: {channel.answer_context}\r\n"
            f"Exten: {channel.answer_exten}\r\nReason: {reason}\r\nUniqueid: {channel.uniqueid}\r\n"
            f"CallerIDNum: {channel.caller_number}\r\nCallerIDName: {channel.caller_name}\r\n",
        )

    def late_response(self, channel: Channel) -> None:
        """The answer was heard before what the Originate was told of it: tell it now."""
        if channel.response_due:
            self.response(channel, 4)

    def message(self, channel: Channel, *, played: bool, default: bool = False) -> None:
        """How far the message came that was played to somebody; `default`: there is none of that name."""
        self.user(
            channel,
            "CadenciaMessage",
            ("Played", "yes" if played else "no"),
            ("Sound", channel.exten if NAME.fullmatch(channel.exten) else ""),
            ("Default", "yes" if default else "no"),
        )

    def device(self, channel: Channel, *, ringing: int = 0, up: int = 0) -> None:
        """More or fewer channels of an endpoint ring or are up; an event comes where its state changes."""
        device = self._devices.setdefault(channel.endpoint, _Device())
        device.ringing += ringing
        device.up += up
        if device.ringing and device.up:
            state = "RINGINUSE"
        elif device.ringing:
            state = "RINGING"
        else:
            state = "INUSE" if device.up else "NOT_INUSE"
        if state != device.state:
            device.state = state
            self.event(EventClass.CALL, "DeviceStateChange", f"Device: PJSIP/{channel.endpoint}\r\nState: {state}\r\n")
