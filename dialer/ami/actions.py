"""What we say to Asterisk, and the one place where text becomes bytes on the wire.

A line end inside a value would begin a header of its own (a caller's name could become ``Application: System``), so no
name or value with CR, LF or NUL is ever written: `LocalProtocolError`, whoever asks. Values that Asterisk takes apart
again (lists of variables, caller ids) are escaped for that second reading.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from dialer.ami.messages import SECRET_HEADERS, Message, Pairs
from dialer.errors import LocalProtocolError

#: Asterisk reads actions into a buffer of 1,025 bytes a line and throws longer lines away (main/manager.c, ``inbuf``).
MAX_ACTION_LINE_BYTES: Final = 1024
#: And at most this many lines of one action (``AST_MAX_MANHEADERS``).
MAX_ACTION_LINES: Final = 128

_FORBIDDEN: Final = re.compile(r"[\r\n\x00]")
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]*(?:\([^\r\n\x00:]*\))?", re.ASCII)
_ACTION_ID: Final = re.compile(r"[!-~]{1,128}", re.ASCII)
#: Up to two underscores ask that channels made by this one inherit the variable.
_VARIABLE_NAME: Final = re.compile(r"_{0,2}[A-Za-z][A-Za-z0-9_]{0,78}", re.ASCII)
#: Technology and address. Nothing that a dialplan or a dial string would take for a second destination or an option.
_CHANNEL: Final = re.compile(r"[A-Za-z][A-Za-z0-9]{0,31}/[A-Za-z0-9_+*#@./:;=-]{1,200}", re.ASCII)
_NUMBER: Final = re.compile(r"\+?[0-9*#A-Za-z._-]{1,64}", re.ASCII)
#: Asterisk joins file, options and a shell command with commas, and takes a path from the root as one.
_SOUND_FILE: Final = re.compile(
    r"(?:[A-Za-z0-9][A-Za-z0-9_-]{0,63}/){0,4}[A-Za-z0-9][A-Za-z0-9_-]{0,199}\.wav", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Action:
    """One action, without the ActionID, which its sender gives."""

    name: str
    fields: Pairs = ()
    #: Channel variables, each sent as a ``Variable`` line of its own, escaped.
    variables: Pairs = ()

    def __repr__(self) -> str:
        """Fit for a log: neither secrets nor values, which may be numbers of people."""
        names = ", ".join(name for name, _ in self.fields)
        return f"<Action {self.name!r}: {names}>" if names else f"<Action {self.name!r}>"


def encode(pairs: Iterable[tuple[str, str]]) -> bytes:
    """The bytes of one message with these headers, in this order; for events and responses too.

    Raises:
        LocalProtocolError: a name is no header name, or a value holds CR, LF, NUL or half a surrogate pair.
    """
    lines: list[str] = []
    for name, value in pairs:
        if _NAME.fullmatch(name) is None:
            raise LocalProtocolError(f"not a header name: {name[:40]!r}")
        if _FORBIDDEN.search(value) is not None:
            raise LocalProtocolError(f"a line end or NUL in the value of header {name!r}")
        lines.append(f"{name}: {value}\r\n")
    if not lines:
        raise LocalProtocolError("a message needs a header")
    lines.append("\r\n")
    try:
        return "".join(lines).encode("utf-8")
    except UnicodeEncodeError as error:
        raise LocalProtocolError("a header holds half of a surrogate pair, which is no text") from error


def action_pairs(action: Action, action_id: str) -> Pairs:
    """The headers of an action as they go out, not yet checked for line ends: pass them to `encode`.

    Raises:
        LocalProtocolError: the action id or the name of a variable cannot be one.
    """
    if _ACTION_ID.fullmatch(action_id) is None:
        raise LocalProtocolError("an ActionID is 1 to 128 printable ASCII characters without blanks")
    variables = [f"{_variable_name(name)}={escape_variable(value)}" for name, value in action.variables]
    return (("Action", action.name), ("ActionID", action_id), *action.fields, *(("Variable", v) for v in variables))


def encode_action(action: Action, action_id: str) -> bytes:
    """The bytes of an action.

    Raises:
        LocalProtocolError: as `encode`, or Asterisk would not read the action as a whole (long lines, many lines).
    """
    data = encode(action_pairs(action, action_id))
    lines = data.split(b"\r\n")
    if len(lines) - 2 > MAX_ACTION_LINES:
        raise LocalProtocolError(f"an action of {len(lines) - 2} lines: Asterisk reads {MAX_ACTION_LINES}")
    if max(map(len, lines)) + 2 > MAX_ACTION_LINE_BYTES:
        name = max(lines, key=len).partition(b":")[0].decode()
        raise LocalProtocolError(
            f"header {name!r} is longer than the {MAX_ACTION_LINE_BYTES} bytes that Asterisk reads"
        )
    return data


def escape_variable(value: str) -> str:
    """`value` for a ``Variable: NAME=value`` line, which Asterisk reads as a list separated by commas.

    Its reader (``AST_STANDARD_APP_ARGS``) removes double quotes and takes a character after a backslash as it is.
    """
    return re.sub(r'([\\",()\[\]])', r"\\\1", value)


def read_variables(message: Message) -> dict[str, str]:
    """Channel variables of an action as Asterisk reads them: lists separated by commas, quotes and backslashes undone.

    For servers (the embedded exchange); the reverse of `escape_variable`.
    """
    found: dict[str, str] = {}
    for line in message.get_all("Variable"):
        for item in _split_arguments(line.lstrip()):
            name, equals, value = item.partition("=")
            if name and equals:
                found[name] = value
    return found


def _split_arguments(text: str) -> list[str]:
    items: list[str] = []
    item: list[str] = []
    depth = {"(": 0, "[": 0}
    opens = {")": "(", "]": "["}
    quoted = False
    characters = iter(text)
    for character in characters:
        if character == "\\":
            item.append(next(characters, ""))
        elif character == '"':
            quoted = not quoted
        elif character == "," and not quoted and not any(depth.values()):
            items.append("".join(item))
            item = []
        else:
            if character in depth:
                depth[character] += 1
            elif character in opens and depth[opens[character]]:
                depth[opens[character]] -= 1
            item.append(character)
    items.append("".join(item))
    return items


def caller_id(name: str, number: str) -> str:
    """``"name" <number>`` for `originate`; quotes, angle brackets and backslashes in the name are left out.

    Raises:
        LocalProtocolError: `number` is none.
    """
    if _NUMBER.fullmatch(number) is None:
        raise LocalProtocolError("a caller id's number is digits, with a plus sign in front or without")
    clean = re.sub(r'["<>\\]', "", name)
    return f'"{clean}" <{number}>' if clean else f"<{number}>"


def login(username: str, secret: str, *, events: str) -> Action:
    """Log in with the secret as it is; `events` is an event mask such as ``off`` or ``call,user``."""
    return Action("Login", (("Username", username), ("Secret", secret), ("Events", events)))


def challenge() -> Action:
    """Ask for a challenge, so that the secret need not cross the network."""
    return Action("Challenge", (("AuthType", "MD5"),))


def login_md5(username: str, key: str, *, events: str) -> Action:
    """Log in with `key`, the MD5 digest (hexadecimal) of the challenge followed by the secret."""
    return Action("Login", (("AuthType", "MD5"), ("Username", username), ("Key", key), ("Events", events)))


def logoff() -> Action:
    """End the session; Asterisk says goodbye and closes."""
    return Action("Logoff")


def ping() -> Action:
    """Ask for a sign of life."""
    return Action("Ping")


def events(mask: str) -> Action:
    """Choose which classes of events this connection gets: ``on``, ``off`` or classes such as ``call,user``."""
    return Action("Events", (("EventMask", mask),))


def filter_add(expression: str) -> Action:
    """Add an event filter to this session (needs the class ``system``), such as ``!Event: VarSet``."""
    return Action("Filter", (("Operation", "Add"), ("Filter", expression)))


def originate(
    channel: str,
    *,
    context: str,
    exten: str,
    channel_id: str,
    timeout_s: float,
    caller: str | None = None,
    variables: Mapping[str, str] | None = None,
    account: str | None = None,
    early_media: bool = False,
) -> Action:
    """Call `channel` and send it to `exten` of `context` once it answers; always asynchronous.

    Args:
        channel: such as ``PJSIP/+34600111222@trunk``.
        context: dialplan context for the answered channel.
        exten: extension in it; begins at priority 1.
        channel_id: what the new channel's Uniqueid shall be.
        timeout_s: seconds to ring; above 0.
        caller: made by `caller_id`.
        variables: channel variables, of any text.
        account: account code for the switch's own records.
        early_media: treat early media as an answer (it is not one for a dialer, hence the default).

    Raises:
        LocalProtocolError: `channel` is not one plain dial string, or `timeout_s` is not above 0.
    """
    if _CHANNEL.fullmatch(channel) is None:
        raise LocalProtocolError("a channel to originate is TECHNOLOGY/address, with no blanks and one destination")
    if not 0 < timeout_s < 86_400:
        raise LocalProtocolError(f"ring time-out must be above 0 and below a day, was {timeout_s}")
    fields = [
        ("Channel", channel),
        ("Context", context),
        ("Exten", exten),
        ("Priority", "1"),
        ("Timeout", str(max(1, round(timeout_s * 1000)))),
        ("Async", "true"),
        ("ChannelId", channel_id),
    ]
    if caller is not None:
        fields.append(("CallerID", caller))
    if account is not None:
        fields.append(("Account", account))
    if early_media:
        fields.append(("EarlyMedia", "true"))
    return Action("Originate", tuple(fields), tuple((variables or {}).items()))


def hangup(channel: str, cause: int = 16) -> Action:
    """End a channel, named by its name or its Uniqueid; `cause` is the Q.850 cause it ends with."""
    return Action("Hangup", (("Channel", channel), ("Cause", str(cause))))


def redirect(channel: str, *, context: str, exten: str, priority: int = 1) -> Action:
    """Send a channel (by name) to another place in the dialplan."""
    return Action(
        "Redirect", (("Channel", channel), ("Context", context), ("Exten", exten), ("Priority", str(priority)))
    )


def core_show_channels() -> Action:
    """Ask for a list of every channel that exists."""
    return Action("CoreShowChannels")


def show_dialplan(context: str) -> Action:
    """Ask for what stands in a context of the dialplan; refused where there is none of that name."""
    return Action("ShowDialPlan", (("Context", context),))


def core_settings() -> Action:
    """Ask for Asterisk's version and settings."""
    return Action("CoreSettings")


def core_status() -> Action:
    """Ask for start times and the number of calls."""
    return Action("CoreStatus")


def command(line: str) -> Action:
    """Run a line of Asterisk's own command interface; its output comes as ``Output`` headers."""
    return Action("Command", (("Command", line),))


def setvar(channel: str | None, variable: str, value: str) -> Action:
    """Set a variable of a channel, or a global one. Not escaped: Asterisk takes this value as it stands.

    Raises:
        LocalProtocolError: `variable` is no name of a variable.
    """
    where = (("Channel", channel),) if channel is not None else ()
    return Action("Setvar", (*where, ("Variable", _variable_name(variable)), ("Value", value)))


def getvar(channel: str | None, variable: str) -> Action:
    """Read a variable of a channel, or a global one.

    Raises:
        LocalProtocolError: `variable` is no name of a variable.
    """
    where = (("Channel", channel),) if channel is not None else ()
    return Action("Getvar", (*where, ("Variable", _variable_name(variable))))


def bridge(channel_1: str, channel_2: str) -> Action:
    """Join two channels."""
    return Action("Bridge", (("Channel1", channel_1), ("Channel2", channel_2), ("Tone", "no")))


def mix_monitor(channel: str, file: str) -> Action:
    """Begin to record a channel, both directions mixed, to `file` below Asterisk's folder for recordings.

    Raises:
        LocalProtocolError: `file` is not a plain name ending in ``.wav``, or one below plain folders.
    """
    if _SOUND_FILE.fullmatch(file) is None:
        raise LocalProtocolError(f"not the name of a file to record to: {file[:40]!r}")
    return Action("MixMonitor", (("Channel", channel), ("File", file)))


def mix_monitor_mute(channel: str, *, muted: bool) -> Action:
    """Let the recording of a channel go on with silence, or with sound again."""
    return Action("MixMonitorMute", (("Channel", channel), ("Direction", "both"), ("State", "1" if muted else "0")))


def stop_mix_monitor(channel: str) -> Action:
    """End the recording of a channel."""
    return Action("StopMixMonitor", (("Channel", channel),))


def confbridge_list(conference: str) -> Action:
    """Ask who is in a conference."""
    return Action("ConfbridgeList", (("Conference", conference),))


def confbridge_kick(conference: str, channel: str) -> Action:
    """Put a channel out of a conference."""
    return Action("ConfbridgeKick", (("Conference", conference), ("Channel", channel)))


def module_check(module: str) -> Action:
    """Ask whether a module, such as ``app_confbridge``, is loaded."""
    return Action("ModuleCheck", (("Module", module),))


def user_event(name: str, fields: Iterable[tuple[str, str]] = ()) -> Action:
    """Send an event of our own to all who listen."""
    return Action("UserEvent", (("UserEvent", name), *fields))


def has_secret(action: Action) -> bool:
    """Whether an action carries a credential."""
    return any(name.lower() in SECRET_HEADERS for name, _ in action.fields)


def _variable_name(name: str) -> str:
    if _VARIABLE_NAME.fullmatch(name) is None:
        raise LocalProtocolError(f"not the name of a channel variable: {name[:40]!r}")
    return name
