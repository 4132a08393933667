"""Supervisors' legs on one server: which there are, and what Asterisk's messages say of them.

Their Uniqueids are ``monitor~`` and the session, so the tracker of calls and agents takes none of them for its own. The
dialplan says with a UserEvent that a phone has answered and hears; whatever ends a leg ends in one ``Hangup``, or in
an ``OriginateResponse`` without a channel.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from dialer.ami.messages import Message
from dialer.core.events import MonitorPhoneGone, MonitorPhoneUp, SwitchEvent
from dialer.core.ids import MonitorId

_LEG: Final = re.compile(r"monitor~([A-Za-z0-9_-]{1,64})", re.ASCII)


def leg_of_monitor(monitor: MonitorId) -> str:
    """Uniqueid of a supervisor's leg."""
    return f"monitor~{monitor}"


def monitor_of_leg(uniqueid: str) -> MonitorId | None:
    """The session that a channel belongs to; None where it is no supervisor's."""
    match = _LEG.fullmatch(uniqueid)
    return MonitorId(match[1]) if match is not None else None


class MonitorLegs:
    """Follows the supervisors' legs of one server."""

    def __init__(self) -> None:
        #: With whether we have asked for the end, which is asked for again where the channel did not exist yet.
        self._legs: dict[MonitorId, bool] = {}
        self._up: set[MonitorId] = set()
        self._to_hang_up: list[str] = []

    def __len__(self) -> int:
        return len(self._legs)

    def called(self, monitor: MonitorId) -> None:
        """An originate for a supervisor's phone has been handed over."""
        self._legs[monitor] = False

    def hang_up_asked(self, monitor: MonitorId) -> None:
        """We have asked for the end of a leg."""
        if monitor in self._legs:
            self._legs[monitor] = True

    def take_hang_ups(self) -> list[str]:
        """Uniqueids of channels that must be hung up now."""
        taken, self._to_hang_up = self._to_hang_up, []
        return taken

    def refused(self, monitor: MonitorId, reason: str, now: float) -> list[SwitchEvent]:
        """Asterisk answered the originate with an error."""
        return self._gone(monitor, reason, now)

    def snapshot(self, rows: Iterable[Message], now: float) -> list[SwitchEvent]:
        """All channels that exist: sessions whose leg is not among them are over, legs of nobody's are hung up."""
        there: set[MonitorId] = set()
        for row in rows:
            uniqueid = row.get("Uniqueid", "")
            monitor = monitor_of_leg(uniqueid)
            if monitor is None:
                continue
            there.add(monitor)
            if self._legs.get(monitor, True):
                # Of an earlier process, or asked for while the connection was down.
                self._to_hang_up.append(uniqueid)
        found: list[SwitchEvent] = []
        for monitor in [one for one in self._legs if one not in there]:
            found += self._gone(monitor, "ended while the switch was out of reach", now)
        # Whether a phone was picked up meanwhile: what it hears by now, the dialplan has told nobody.
        for monitor in [one for one in self._legs if one not in self._up]:
            self._to_hang_up.append(leg_of_monitor(monitor))
        return found

    def handle(self, message: Message, now: float) -> list[SwitchEvent]:
        """What one event means; most mean nothing to us."""
        match message.event:
            case "OriginateResponse":
                monitor = monitor_of_leg(message.action_id or "")
                if monitor is None or message.get("Response") == "Success":
                    return []
                return self._gone(monitor, "the phone did not answer, or could not be called", now)
            case "Newchannel":
                monitor = self._mine(message)
                if monitor is not None and self._legs.get(monitor, True):
                    self._to_hang_up.append(leg_of_monitor(monitor))
                return []
            case "UserEvent" if message.get("UserEvent") == "CadenciaMonitor":
                monitor = self._mine(message)
                if monitor not in self._legs or monitor in self._up:
                    return []  # nobody's, or it was sent through the dialplan once more
                self._up.add(monitor)
                return [MonitorPhoneUp(at=now, monitor=monitor)]
            case "Hangup":
                monitor = self._mine(message)
                if monitor is None:
                    return []
                told = "the phone was hung up" if monitor in self._up else "the phone did not answer"
                return self._gone(monitor, told, now)
            case _:
                return []

    def _mine(self, message: Message) -> MonitorId | None:
        return monitor_of_leg(message.get("Uniqueid", ""))

    def _gone(self, monitor: MonitorId, reason: str, now: float) -> list[SwitchEvent]:
        self._up.discard(monitor)
        if self._legs.pop(monitor, None) is None:
            return []
        return [MonitorPhoneGone(at=now, monitor=monitor, reason=reason)]
