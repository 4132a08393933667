"""Cuts a stream of bytes into messages, whatever the sizes of the chunks in which it arrives.

Framing is done on bytes and each message is decoded as a whole, so a character that a chunk cuts in two is not lost;
bytes that are not UTF-8 become U+FFFD. The same decoder serves both directions: a client expects the banner that
Asterisk sends first, a server expects actions at once.

What comes in is not trusted: a line that starts no message, or more bytes than any message has, raise
`RemoteProtocolError`, and nothing else is ever raised.
"""

from __future__ import annotations

import re
from typing import Final

from dialer.ami.messages import Message, Pairs
from dialer.errors import RemoteProtocolError

#: A message may have this many bytes. The longest that Asterisk sends are the output of commands as one message: ten
#: thousand channels listed take 1.4 MB; most messages are below 1 KB.
MAX_MESSAGE_BYTES: Final = 4 * 1024 * 1024
#: "Asterisk Call Manager/11.0.0" has 28 bytes; proxies put a little more there.
MAX_BANNER_BYTES: Final = 256

_BANNER_PREFIX: Final = b"Asterisk Call Manager"
_BANNER: Final = re.compile(r"Asterisk Call Manager(?: Proxy)?/([0-9]+(?:\.[0-9]+){0,3})\S*", re.ASCII)
_END: Final = b"\r\n\r\n"
#: Before Asterisk 14 the output of a command came raw, with blank lines in it, up to this mark.
_FOLLOWS: Final = b"Response: Follows\r\n"
_FOLLOWS_END: Final = b"--END COMMAND--\r\n\r\n"
#: First line of a message. Later lines may be anything (see `dialer.ami.messages`).
_FIRST_LINE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}:", re.ASCII)
_NAME_SO_FAR: Final = re.compile(rb"[A-Za-z][A-Za-z0-9_-]*")
#: Headers that stand above raw command output.
_FOLLOWS_HEADERS: Final = ("Response: ", "Privilege: ", "ActionID: ", "Message: ")


class Decoder:
    """Bytes in, messages out. After an error it is of no more use: every later call raises the same error."""

    def __init__(self, *, expect_banner: bool = True, max_message_bytes: int = MAX_MESSAGE_BYTES) -> None:
        self._buffer = bytearray()
        self._searched = 0
        self._expect_banner = expect_banner
        self._max_message_bytes = max_message_bytes
        self._error: RemoteProtocolError | None = None
        #: Version of the manager interface from the banner, such as (11, 0, 0); None before it came.
        self.version: tuple[int, ...] | None = None

    @property
    def error(self) -> RemoteProtocolError | None:
        """Why the stream cannot be read on, where that is so."""
        return self._error

    @property
    def buffered_bytes(self) -> int:
        """Bytes of a message that has not come to its end yet."""
        return len(self._buffer)

    def receive_data(self, data: bytes) -> list[Message]:
        """The messages that `data` completes.

        Messages that stood before an error in the same chunk are still returned; `error` is set then, and the next
        call raises it. So the messages that come out do not depend on the chunks.

        Raises:
            RemoteProtocolError: the peer does not speak AMI, or a message is too long.
        """
        if self._error is not None:
            raise self._error
        self._buffer += data
        messages: list[Message] = []
        try:
            if self._expect_banner and not self._take_banner():
                return messages
            self._take_messages(messages)
        except RemoteProtocolError as error:
            self._error = error
            self._buffer.clear()
            if not messages:
                raise
        return messages

    def _take_banner(self) -> bool:
        buffer = self._buffer
        start = bytes(buffer[: len(_BANNER_PREFIX)])
        if start != _BANNER_PREFIX[: len(start)]:
            raise RemoteProtocolError(f"not an Asterisk manager interface: it begins with {_shown(buffer)}")
        end = buffer.find(b"\r\n", 0, MAX_BANNER_BYTES)
        if end < 0:
            if len(buffer) >= MAX_BANNER_BYTES:
                raise RemoteProtocolError("not an Asterisk manager interface: its greeting does not end")
            return False
        match = _BANNER.fullmatch(buffer[:end].decode("utf-8", "replace"))
        if match is None:
            raise RemoteProtocolError(f"not an Asterisk manager interface: it begins with {_shown(buffer)}")
        self.version = tuple(int(part) for part in match[1].split("."))
        del buffer[: end + 2]
        self._expect_banner = False
        return True

    def _take_messages(self, messages: list[Message]) -> None:
        buffer = self._buffer
        # A mark may have begun in the bytes that were searched before, by all but its last byte.
        end = buffer.rfind(_END, max(0, self._searched - len(_END)))
        if end >= 0:
            end += len(_END)
            if end > self._max_message_bytes or _FOLLOWS in buffer:
                self._take_one_by_one(messages)
            else:
                text = buffer[:end].decode("utf-8", "replace")
                del buffer[:end]
                append, from_text, is_first_line = messages.append, Message.from_text, _FIRST_LINE.match
                for block in text.split("\r\n\r\n"):
                    if is_first_line(block) is None:
                        # Blank lines between messages mean nothing; one can be left here, two were a mark.
                        block = block.removeprefix("\r\n")  # noqa: PLW2901
                        if not block:
                            continue
                        if is_first_line(block) is None:
                            raise RemoteProtocolError(
                                f"not a message of the manager interface: {_shown(block.encode())}"
                            )
                    append(from_text(block))
        # A partial message, with one blank line before it and all but the last byte of its mark.
        if len(buffer) > self._max_message_bytes + 2 + len(_FOLLOWS_END):
            raise self._too_long()
        self._searched = len(buffer)
        if buffer and (garbage := _never_a_message(buffer)):
            raise _no_message(garbage)

    def _take_one_by_one(self, messages: list[Message]) -> None:
        """As `_take_messages` does, where raw command output with blank lines of its own may be among them."""
        buffer = self._buffer
        while True:
            while buffer.startswith(b"\r\n"):
                del buffer[:2]
            raw = buffer.startswith(_FOLLOWS)
            mark = _FOLLOWS_END if raw else _END
            end = buffer.find(mark)
            if end > self._max_message_bytes:
                raise self._too_long()
            if end < 0:
                return
            text = buffer[:end].decode("utf-8", "replace")
            if _FIRST_LINE.match(text) is None:
                raise _no_message(buffer)
            messages.append(Message(_raw_output(text)) if raw else Message.from_text(text))
            del buffer[: end + len(mark)]

    def _too_long(self) -> RemoteProtocolError:
        return RemoteProtocolError(f"a message is longer than {self._max_message_bytes:,} bytes")


def _no_message(data: bytes | bytearray) -> RemoteProtocolError:
    return RemoteProtocolError(f"not a message of the manager interface: {_shown(data)}")


def _raw_output(text: str) -> Pairs:
    """Headers of a ``Response: Follows``, with each line of its output as a header ``Output``."""
    pairs: list[tuple[str, str]] = []
    rest = text
    while rest.startswith(_FOLLOWS_HEADERS):
        line, _, rest = rest.partition("\r\n")
        name, _, value = line.partition(": ")
        pairs.append((name, value))
    lines = rest.split("\n")
    if lines and not lines[-1]:
        lines.pop()
    pairs += (("Output", line.removesuffix("\r")) for line in lines)
    return tuple(pairs)


def _never_a_message(buffer: bytearray) -> bytes:
    """The start of `buffer`, where no more bytes can make a message of it; empty where they can."""
    head = bytes(buffer[:80]).lstrip(b"\r\n")
    name = head.partition(b":")[0]
    if not head or (len(name) <= 64 and _NAME_SO_FAR.fullmatch(name)):
        return b""
    return head


def _shown(data: bytes | bytearray) -> str:
    """The first bytes of something strange, safe to show in an error or a log."""
    head = bytes(data[:40])
    return repr(head)[1:] + ("…" if len(data) > len(head) else "")
