"""One message of the manager interface: an ordered list of headers, some of them more than once.

A message keeps its decoded text and takes it apart when the first header is asked for: a dialer looks at the name of
every event, but into only some of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NoReturn, overload

Pairs = tuple[tuple[str, str], ...]

#: Headers whose value is a credential; `Message.__repr__` and `dialer.ami.actions.Action.__repr__` never show them.
SECRET_HEADERS = frozenset({"secret", "key"})


def _split(text: str) -> Pairs:
    """Headers of one message's text.

    A name ends at the first colon followed by a blank, or else at the first colon. A line with no colon goes on with
    the value above it: some modules of Asterisk print text with line ends into a header.
    """
    pairs: list[tuple[str, str]] = []
    for line in text.split("\r\n"):
        name, colon, value = line.partition(": ")
        if not colon:
            name, colon, value = line.partition(":")
        if colon and name:
            pairs.append((name, value))
        elif pairs:
            last_name, last_value = pairs[-1]
            pairs[-1] = (last_name, f"{last_value}\n{line}")
    return tuple(pairs)


def _found(text: str, name: str) -> str | None:
    """The value of header `name` as it stands in a message's text; None where that cannot be told so simply."""
    mark = f"\r\n{name}:"
    start = text.find(mark) + len(mark)
    # Not there, not ended by a colon and a blank, or no name at all.
    if start < len(mark) or not text.startswith(" ", start) or ":" in name or "\r" in name:
        return None
    if text.startswith(mark[2:]):
        return None
    start += 1
    end = text.find("\r\n", start)
    if end < 0:
        return text[start:]
    # The next line must be a header of its own; one without a name goes on with this value.
    colon, line_end = text.find(":", end + 2), text.find("\r\n", end + 2)
    return text[start:end] if colon > end + 2 and (line_end < 0 or colon < line_end) else None


class Message:
    """An immutable message. Equal to another with the same headers in the same order.

    Header names are compared without regard to case; where two spellings of a name occur, the one asked for wins.
    """

    __slots__ = ("_first", "_lowered", "_pairs", "_text")
    _first: dict[str, str] | None
    _lowered: dict[str, str] | None
    _pairs: Pairs | None
    _text: str

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        _set_text(self, "")
        _set_pairs(self, tuple(pairs))
        _set_first(self, None)
        _set_lowered(self, None)

    @classmethod
    def from_text(cls, text: str) -> Message:
        """The message whose lines (ended by CR LF, the last one's left out) are `text`."""
        self = _new(cls)
        _set_text(self, text)
        _set_pairs(self, None)
        _set_first(self, None)
        _set_lowered(self, None)
        return self

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a Message is immutable: {name} cannot be set")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"a Message is immutable: {name} cannot be deleted")

    @property
    def pairs(self) -> Pairs:
        """All headers as (name, value) in the order in which they came."""
        pairs = self._pairs
        if pairs is None:
            pairs = _split(self._text)
            _set_pairs(self, pairs)
        return pairs

    def _headers(self) -> dict[str, str]:
        """First value of each name as spelt; built once."""
        text = self._text
        lines = text.split("\r\n")
        try:
            first = dict([line.split(": ", 1) for line in lines])  # 1.4 times as fast
        except ValueError:
            first = {}
        # Repeated or odd headers: the plain way, which keeps the first of each name.
        if len(first) != len(lines) or "" in first:
            first = {}
            for name, value in self.pairs:
                first.setdefault(name, value)
        _set_first(self, first)
        return first

    @overload
    def get(self, name: str) -> str | None: ...
    @overload
    def get(self, name: str, default: str) -> str: ...
    def get(self, name: str, default: str | None = None) -> str | None:
        """First value of header `name`, or `default` where there is none."""
        first = self._first
        if first is None:
            # Of most events a few headers are asked for: finding them costs less than taking the message apart.
            text = self._text
            found = _found(text, name)
            if found is not None:
                return found if name else default  # a line that begins with a colon is no header
            if text and f"\n{name.lower()}:" not in f"\n{text}".lower():
                return default
            first = self._headers()
        value = first.get(name)
        if value is not None:
            return value
        lowered = self._lowered
        if lowered is None:
            # Most headers that are asked for and not there are there in no spelling: a search of the text is cheaper
            # than a second dictionary.
            text = self._text
            if text and f"\n{name.lower()}:" not in f"\n{text}".lower():
                return default
            lowered = {}
            for key, item in first.items():
                lowered.setdefault(key.lower(), item)
            _set_lowered(self, lowered)
        return lowered.get(name.lower(), default)

    def get_all(self, name: str) -> tuple[str, ...]:
        """Every value of header `name`, in order; empty where there is none."""
        wanted = name.lower()
        return tuple(value for key, value in self.pairs if key.lower() == wanted)

    def __contains__(self, name: str) -> bool:
        return self.get(name) is not None

    @property
    def event(self) -> str | None:
        """Name of the event; None for anything else."""
        text = self._text
        if text.startswith("Event: "):
            end = text.find("\r\n")
            return text[7:] if end < 0 else text[7:end]
        # An OriginateResponse event carries a header Response, so the first header decides what a message is.
        return self._leading("event")

    @property
    def response(self) -> str | None:
        """``Success``, ``Error``, ``Goodbye`` …; None for anything but the response to an action."""
        return self._leading("response")

    @property
    def action(self) -> str | None:
        """Name of the action, in messages that a client sent; None for anything else."""
        if self.event is not None or self.response is not None:
            return None
        return self.get("Action")

    @property
    def action_id(self) -> str | None:
        """The id by which a response or an event belongs to an action."""
        return self.get("ActionID")

    @property
    def output(self) -> tuple[str, ...]:
        """Lines printed by a ``Command``, in order."""
        return self.get_all("Output")

    def variables(self, header: str = "Variable") -> dict[str, str]:
        """Channel variables of repeated ``header: NAME=value`` lines, by name; the last of each name wins.

        ``ChanVariable(CHANNEL): NAME=value`` (one per channel of the event) counts as ``ChanVariable``.
        """
        wanted = header.lower()
        found: dict[str, str] = {}
        for key, item in self.pairs:
            if key.partition("(")[0].lower() == wanted:
                name, equals, value = item.partition("=")
                if equals:
                    found[name.strip()] = value
        return found

    def _leading(self, name: str) -> str | None:
        pairs = self.pairs
        if pairs and pairs[0][0].lower() == name:
            return pairs[0][1]
        return None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Message):
            return NotImplemented
        return self.pairs == other.pairs

    def __hash__(self) -> int:
        return hash(self.pairs)

    def __repr__(self) -> str:
        """Names what it is without showing what may be private: values can be numbers of people, or secrets."""
        kind = next(
            (f"{key}: {value}" for key, value in self.pairs[:1] if key.lower() not in SECRET_HEADERS),
            "empty",
        )
        return f"<Message {kind!r}, {len(self.pairs)} headers>"


# Writing through the slots passes by __setattr__: 0.05 µs each, where object.__setattr__ takes twice that.
_new = object.__new__
_set_text = Message.__dict__["_text"].__set__
_set_pairs = Message.__dict__["_pairs"].__set__
_set_first = Message.__dict__["_first"].__set__
_set_lowered = Message.__dict__["_lowered"].__set__
