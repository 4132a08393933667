"""The actions that the exchange understands, beyond those about the session itself, in Asterisk's words."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from dialer.ami import Message
from dialer.simulation.channels import Channel, EventClass
from dialer.simulation.dialplan import LOCAL, knows
from dialer.simulation.faults import Faults
from dialer.simulation.records import OriginateRequest
from dialer.simulation.switchboard import Switchboard

ASTERISK_VERSION: Final = "22.10.1"
_CALLER: Final = re.compile(r'\s*(?:"(?P<quoted>[^"]*)"|(?P<plain>[^<"]*?))\s*<(?P<number>[^>]*)>\s*')
#: What the dialer needs to be loaded, see config/asterisk/modules.conf.
_MODULES: Final = frozenset(
    {
        "app_amd",
        "app_bridgewait",
        "app_chanspy",
        "app_confbridge",
        "app_exec",
        "app_mixmonitor",
        "app_controlplayback",
        "app_playback",
        "app_userevent",
        "bridge_holding",
        "bridge_softmix",
        "chan_pjsip",
        "func_channel",
        "func_logic",
        "func_strings",
        "func_timeout",
        "pbx_config",
        "res_pjsip",
        "res_pjsip_session",
        "res_rtp_asterisk",
        "res_timing_timerfd",
    }
)
#: What may be recorded to: below the folder for recordings.
_FILE: Final = re.compile(r"(?:[A-Za-z0-9_-]+/)*[A-Za-z0-9_-]+\.wav", re.ASCII)
_C = EventClass


class ActionFailed(Exception):
    """An action cannot be done; the text is the answer."""


class Answer(Protocol):
    """Where the answer to an action goes."""

    def success(self, text: str) -> None:
        """It was done."""

    def error(self, text: str) -> None:
        """It was not done."""

    def headers(self, *headers: tuple[str, str], response: str = "Success") -> None:
        """It was done, and this came of it."""

    def listing(self, text: str, event: str, rows: list[str], complete: str) -> None:
        """A list."""


@dataclass(frozen=True, slots=True)
class Command:
    """One action: the rights of which any suffices (none: always), and what does it."""

    rights: EventClass
    run: Callable[[Message, float, Answer], None]


class Commands:
    """Looks up and does actions on a switchboard."""

    def __init__(
        self, switchboard: Switchboard, faults: Faults, *, clock: Callable[[], float], started: Callable[[], str]
    ) -> None:
        self._switchboard = switchboard
        self._faults = faults
        self._clock = clock
        #: ``2026-11-21 23:35:35`` of the start.
        self._started = started
        self._globals: dict[str, str] = {}
        self._table: Mapping[str, Command] = {
            "originate": Command(_C.ORIGINATE, self._originate),
            "hangup": Command(_C.SYSTEM | _C.CALL, self._hang_up),
            "redirect": Command(_C.CALL, self._redirect),
            "coreshowchannels": Command(_C.SYSTEM | _C.REPORTING, self._show_channels),
            "corestatus": Command(_C.SYSTEM | _C.REPORTING, self._status),
            "coresettings": Command(_C.SYSTEM | _C.REPORTING, self._settings),
            "setvar": Command(_C.CALL, self._set_variable),
            "getvar": Command(_C.CALL | _C.REPORTING, self._get_variable),
            "command": Command(_C.COMMAND, self._command),
            "mixmonitor": Command(_C.SYSTEM, self._record),
            "mixmonitormute": Command(_C.SYSTEM | _C.CALL, self._mute_recording),
            "stopmixmonitor": Command(_C.SYSTEM | _C.CALL, self._stop_recording),
            "confbridgelist": Command(_C.REPORTING | _C.CALL, self._list_room),
            "confbridgekick": Command(_C.CALL, self._kick),
            "userevent": Command(_C.USER, self._user_event),
            "modulecheck": Command(_C.SYSTEM, self._module),
            "listcommands": Command(_C(0), self._list_commands),
        }

    def find(self, name: str) -> Command | None:
        """The action `name`, in any case."""
        return self._table.get(name.lower())

    # ---- calls

    def _originate(self, message: Message, now: float, answer: Answer) -> None:
        request = self._parse_originate(message, answer)
        self._switchboard.originate(request, now)
        if request.reply is None:
            answer.success("Originate successfully queued")

    def _parse_originate(self, message: Message, answer: Answer) -> OriginateRequest:
        channel = _value(message, "Channel")
        if not channel:
            raise ActionFailed("Channel not specified")
        technology, slash, address = channel.partition("/")
        if not slash or not technology or not address:
            raise ActionFailed("Invalid channel")
        timeout = _value(message, "Timeout") or "30000"
        if not timeout.isdecimal():
            raise ActionFailed("Invalid timeout")
        context, exten = _value(message, "Context"), _value(message, "Exten")
        if _value(message, "Application"):
            raise ActionFailed("Originate Access Forbidden: app or data blacklisted")
        if not knows(context, exten):
            raise ActionFailed("Extension does not exist.")
        if self._faults.refuse_originates:
            raise ActionFailed(self._faults.refuse_originates)
        number, at, trunk = address.partition("@")
        caller_number, caller_name = _caller(_value(message, "CallerID"))
        is_async = _value(message, "Async").lower() in {"true", "yes", "on", "1", "y", "t"}
        local = (nobody := f"{technology}/{trunk}") in LOCAL
        endpoint = trunk if at else number
        return OriginateRequest(
            channel=channel,
            endpoint=nobody if local else endpoint if technology.upper() == "PJSIP" else f"{technology}/",
            number=number,
            is_agent=not at or local,
            context=context,
            exten=exten,
            timeout_s=int(timeout) / 1000,
            action_id=_value(message, "ActionID"),
            channel_id=_value(message, "ChannelId"),
            caller_number=caller_number,
            caller_name=caller_name,
            variables=_variables(message),
            reply=None if is_async else lambda done: _tell(answer, done=done),
        )

    def _hang_up(self, message: Message, now: float, answer: Answer) -> None:
        channel = self._channel(message, missing="No channel specified")
        cause = _value(message, "Cause")
        answer.success("Channel Hungup")
        self._switchboard.hang_up(channel, int(cause) if cause.isdecimal() and int(cause) <= 127 else 0, now)

    def _redirect(self, message: Message, now: float, answer: Answer) -> None:
        name = _value(message, "Channel")
        for header in ("Channel", "Context", "Exten", "Priority"):
            if not _value(message, header):
                raise ActionFailed(f"{header} not specified")
        channel = self._switchboard.find(name)
        if channel is None:
            raise ActionFailed(f"Channel does not exist: {name}")
        priority = _value(message, "Priority")
        if not priority.isdecimal():
            raise ActionFailed("Invalid priority")
        done = self._switchboard.redirect(
            channel, _value(message, "Context"), _value(message, "Exten"), int(priority), now
        )
        if not done:
            raise ActionFailed("Redirect failed")
        answer.success("Redirect successful")

    def _set_variable(self, message: Message, _now: float, answer: Answer) -> None:
        name = _value(message, "Variable")
        if not name:
            raise ActionFailed("No variable specified")
        if not _value(message, "Channel"):
            self._globals[name] = _value(message, "Value")
        else:
            self._switchboard.set_variable(self._channel(message), name, _value(message, "Value"))
        answer.success("Variable Set")

    def _get_variable(self, message: Message, _now: float, answer: Answer) -> None:
        name = _value(message, "Variable")
        if not name:
            raise ActionFailed("No variable specified")
        variables = self._channel(message).variables if _value(message, "Channel") else self._globals
        answer.headers(("Variable", name), ("Value", variables.get(name, "")))

    def _record(self, message: Message, _now: float, answer: Answer) -> None:
        channel = self._channel(message, missing="No channel specified")
        file = _value(message, "File")
        if _FILE.fullmatch(file) is None:
            # Asterisk would write anywhere; nothing that this dialer sends may ask for that.
            raise ActionFailed("Could not start monitoring channel")
        self._switchboard.recorder.start(channel, file)
        answer.headers()

    def _mute_recording(self, message: Message, _now: float, answer: Answer) -> None:
        channel = self._channel(message, missing="Channel not specified.")
        state, direction = _value(message, "State"), _value(message, "Direction")
        if state not in {"0", "1"} or direction != "both":
            raise ActionFailed("Must specify state and direction both")
        if not self._switchboard.recorder.mute(channel, muted=state == "1"):
            raise ActionFailed("Cannot set mute flag")
        answer.success("")

    def _stop_recording(self, message: Message, _now: float, answer: Answer) -> None:
        channel = self._channel(message, missing="No channel specified")
        if not self._switchboard.recorder.stop(channel):
            raise ActionFailed("Could not stop monitoring channel")
        answer.headers()

    def _channel(self, message: Message, missing: str = "No such channel") -> Channel:
        name = _value(message, "Channel")
        if not name:
            raise ActionFailed(missing)
        channel = self._switchboard.find(name)
        if channel is None:
            raise ActionFailed("No such channel")
        return channel

    # ---- rooms

    def _list_room(self, message: Message, _now: float, answer: Answer) -> None:
        name = _value(message, "Conference")
        if not name:
            raise ActionFailed("No Conference name provided.")
        room = self._switchboard.rooms.get(name)
        if room is None:
            raise ActionFailed("No active conferences.")
        rows = [
            f"Conference: {room.name}\r\nAdmin: No\r\nMarkedUser: {'Yes' if member.marked else 'No'}\r\n"
            f"WaitMarked: No\r\nEndMarked: {'No' if member.marked else 'Yes'}\r\nWaiting: No\r\nMuted: No\r\n"
            f"Talking: No\r\nAnsweredTime: {int(self._clock() - _joined_at(member, self._clock()))}\r\n{member.block}"
            for member in room.members
        ]
        answer.listing("Confbridge user list will follow", "ConfbridgeList", rows, "ConfbridgeListComplete")

    def _kick(self, message: Message, now: float, answer: Answer) -> None:
        room = self._switchboard.rooms.get(_value(message, "Conference"))
        if room is None:
            raise ActionFailed("No Conference by that name found.")
        name = _value(message, "Channel")
        for member in [*room.members]:
            if name.lower() == "all" or member.name == name:
                answer.success("User kicked")
                self._switchboard.hang_up(member, 16, now)
                return
        raise ActionFailed("No Channel by that name found in Conference.")

    # ---- the server

    def _show_channels(self, _message: Message, now: float, answer: Answer) -> None:
        rows = []
        for channel in self._switchboard.channels.values():
            seconds = max(0, int(now - channel.created_at))
            duration = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
            bridge = channel.room.uniqueid if channel.room is not None else ""
            rows.append(
                f"{channel.block}Application: {channel.application}\r\nApplicationData: {channel.application_data}\r\n"
                f"Duration: {duration}\r\nBridgeId: {bridge}\r\n"
            )
        answer.listing("Channels will follow", "CoreShowChannel", rows, "CoreShowChannelsComplete")

    def _status(self, _message: Message, _now: float, answer: Answer) -> None:
        day, _, time = self._started().partition(" ")
        board = self._switchboard
        answer.headers(
            ("CoreStartupDate", day),
            ("CoreStartupTime", time),
            ("CoreReloadDate", day),
            ("CoreReloadTime", time),
            ("CoreCurrentCalls", str(len(board.channels))),
            ("CoreProcessedCalls", str(board.counts.ended + len(board.channels))),
        )

    def _settings(self, _message: Message, _now: float, answer: Answer) -> None:
        answer.headers(
            ("AMIversion", "11.0.0"),
            ("AsteriskVersion", ASTERISK_VERSION),
            ("SystemName", self._switchboard.system_name),
            ("CoreMaxCalls", "0"),
            ("CoreMaxLoadAvg", "0.000000"),
            ("CoreRunUser", ""),
            ("CoreRunGroup", ""),
            ("CoreMaxFilehandles", "16384"),
            ("CoreRealTimeEnabled", "No"),
            ("CoreCDRenabled", "No"),
            ("CoreHTTPenabled", "No"),
            ("SoundsSearchCustomDir", "No"),
        )

    def _command(self, message: Message, _now: float, answer: Answer) -> None:
        line = " ".join(_value(message, "Command").split())
        if not line:
            raise ActionFailed("Command parameter is missing")
        board = self._switchboard
        count = len(board.channels)
        processed = board.counts.ended + count
        match line:
            case "core show version":
                output = [f"Asterisk {ASTERISK_VERSION} built by pbuilder @ nowhere on a x86_64 running Linux"]
            case "core show channels":
                output = [
                    "Channel              Location             State   Application(Data)             ",
                    *(
                        f"{c.name:20} {c.exten}@{c.context}:{c.priority} {c.application}"
                        for c in board.channels.values()
                    ),
                    f"{count} active channels",
                    f"{count} active calls",
                    f"{processed} calls processed",
                ]
            case "core show channels count":
                output = [f"{count} active channels", f"{count} active calls", f"{processed} calls processed"]
            case _:
                told = (
                    f"No such command '{line}' (type 'core show help {' '.join(line.split()[:2])}' "
                    "for other possible commands)"
                )
                answer.headers(("Message", "Command output follows"), ("Output", told), response="Error")
                return
        answer.headers(("Message", "Command output follows"), *(("Output", text) for text in output))

    def _user_event(self, message: Message, _now: float, answer: Answer) -> None:
        headers = tuple(
            (name, value.partition("\n")[0])
            for name, value in message.pairs
            if name.lower() not in {"action", "actionid", "userevent"}
        )
        self._switchboard.user_event(_value(message, "UserEvent"), headers)
        answer.success("Event Sent")

    def _module(self, message: Message, _now: float, answer: Answer) -> None:
        if _value(message, "Module").removesuffix(".so") not in _MODULES:
            raise ActionFailed("Module not loaded")
        answer.headers(("Version", ""))

    def _list_commands(self, _message: Message, _now: float, answer: Answer) -> None:
        answer.headers(*((name.capitalize(), "(Priv: all)") for name in self._table))


def _value(message: Message, name: str) -> str:
    """A header's value, on one line."""
    return message.get(name, "").partition("\n")[0].strip()


def _variables(message: Message) -> tuple[tuple[str, str], ...]:
    """``Variable`` lines, read as Asterisk reads them: a backslash takes the next character as it is, quotes go."""
    variables: list[tuple[str, str]] = []
    for line in message.get_all("Variable"):
        for item in _split_arguments(line.partition("\n")[0]):
            name, equals, value = item.partition("=")
            if equals and name.strip():
                variables.append((name.strip().lstrip("_"), value))
    return tuple(variables)


def _split_arguments(text: str) -> list[str]:
    """As ``AST_STANDARD_APP_ARGS``: at commas outside quotes and parentheses."""
    items: list[str] = []
    item: list[str] = []
    depth, quoted, escaped = 0, False, False
    for character in text:
        if escaped:
            item.append(character)
            escaped = False
        elif character == "\\":
            escaped = True
        elif character == '"':
            quoted = not quoted
        elif character == "," and not quoted and depth == 0:
            items.append("".join(item))
            item = []
        else:
            depth += (character in "([") - (character in ")]" and depth > 0)
            item.append(character)
    items.append("".join(item))
    return items


def _caller(text: str) -> tuple[str, str]:
    """Number and name of a caller id: ``"name" <number>``, ``<number>`` or a bare number."""
    match = _CALLER.fullmatch(text)
    if match is None:
        return (text or "<unknown>", "<unknown>")
    name = match["quoted"] if match["quoted"] is not None else match["plain"]
    return (match["number"] or "<unknown>", name or "<unknown>")


def _tell(answer: Answer, *, done: bool) -> None:
    if done:
        answer.success("Originate successfully queued")
    else:
        answer.error("Originate failed")


def _joined_at(channel: Channel, default: float) -> float:
    record = channel.record
    return default if record is None or record.joined_at is None else record.joined_at
