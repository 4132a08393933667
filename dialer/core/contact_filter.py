"""Filters of campaigns: which contacts are called for now, by what the CRM has said of them. Pure.

    state in ["CA", "NY"] and debt > 100 and not (vip or segment begins with "gold")

A comparison has a field of the contact on its left, and a text in quotes, a number, true or false on its right. What a
field holds is compared as what it is compared with: with a number as a number, also where a CSV file made it a text;
with a text character by character. A field that is missing, null or empty is equal to nothing and neither more nor
less than anything, so `debt < 100` leaves out who has no debt on file, and `not debt >= 100` does not.
A field alone is short for `field = true`. @attempts is how often the contact has been called so far.

There is nothing to call and nothing to compute in it: a filter ends, whoever wrote it.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from dialer.core.saying import Saying, say
from dialer.errors import InputError

MAX_LENGTH: Final = 4_000
_MAX_DEPTH: Final = 32
#: Of the contact, not of its fields.
ATTEMPTS: Final = "@attempts"

Literal = str | Decimal | bool
_Test = Callable[[Mapping[str, object], int], bool]

_TOKEN: Final = re.compile(
    r"""\s*(?:
    (?P<number>-?[0-9]+(?:\.[0-9]+)?(?![\w.]))
    |(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    |(?P<name>@?[^\W\d][\w.-]*|`[^`]+`)
    |(?P<sign><=|>=|!=|<>|==|[=<>()\[\],])
    )""",
    re.VERBOSE | re.DOTALL,
)
_NUMBER: Final = re.compile(r"\s*[+-]?[0-9]{1,30}(?:\.[0-9]{1,30})?\s*", re.ASCII)
_ORDER: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_EQUAL: Final = frozenset({"=", "=="})
_UNEQUAL: Final = frozenset({"!=", "<>"})
_EMPTY: Final = say('it is empty; write a comparison such as state = "CA"', code="filter_empty")
_GOES_ON: Final = say('expected "and", "or" or the end', code="filter_goes_on")
_TOO_DEEP: Final = say("brackets and nots are nested too deeply", code="filter_too_deep")
_NO_NAME: Final = say("expected the name of a field; the value stands on the right", code="filter_no_name")
_NO_ORDER: Final = say("true and false are neither more nor less than anything", code="filter_no_order")
_NO_TEXT: Final = say('expected a text in quotes, such as "gold"', code="filter_no_text")
_NO_VALUE: Final = say("expected a text in quotes, a number, true or false", code="filter_no_value")
_UNREADABLE: Final = say("this cannot be read", code="filter_unreadable")
_WORDS: Final = frozenset({"and", "or", "not", "in", "is", "set", "begins", "with", "true", "false"})


@dataclass(frozen=True, slots=True)
class ContactFilter:
    """A filter that has been read; `parse_filter` makes it."""

    text: str
    #: The fields that it asks for.
    names: frozenset[str]
    _test: _Test = field(repr=False, compare=False)

    def passes(self, fields: Mapping[str, object], attempts: int = 0) -> bool:
        """Whether a contact is called for.

        Args:
            fields: what the CRM has said of it.
            attempts: how often it has been called.
        """
        return self._test(fields, attempts)


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterCount:
    """What a filter makes of a campaign's contacts that still wait to be called."""

    contacts: int = 0
    passing: int = 0
    #: Fields that the filter asks for: how many of the contacts do not have them.
    without: Mapping[str, int] = field(default_factory=dict)


def parse_filter(text: str) -> ContactFilter:
    """Read a filter.

    Raises:
        InputError: it is none; the text says where, and what may stand there.
    """
    if len(text) > MAX_LENGTH:
        raise InputError(
            f"filter: has {len(text):,} characters; at most {MAX_LENGTH:,} are allowed",
            code="filter_too_long",
            count=len(text),
            most=MAX_LENGTH,
        )
    parser = _Parser(text)
    test = parser.whole()
    return ContactFilter(text, frozenset(parser.names), test)


def value_of(fields: Mapping[str, object], name: str) -> object:
    """What a field holds; None where it is missing or empty. `a.b` is also field b of the object a."""
    value = fields.get(name)
    if value is None and "." in name:
        value = fields
        for part in name.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
    return None if value == "" else value


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    #: Words in lower case; a name as it stands.
    text: str
    at: int

    @property
    def word(self) -> str:
        """The word or sign that it is, where it is one."""
        return self.text.lower() if self.kind in {"name", "sign"} else ""


class _Parser:
    """By recursive descent: or, and, not, comparison."""

    def __init__(self, text: str) -> None:
        self.names: set[str] = set()
        self._text = text
        self._tokens = self._read(text)
        self._next = 0
        self._depth = 0

    def whole(self) -> _Test:
        """The filter; nothing may follow it."""
        if self._peek.kind == "end":
            raise self._wrong(_EMPTY, self._peek)
        test = self._either()
        if self._peek.kind != "end":
            raise self._wrong(_GOES_ON, self._peek)
        return test

    def _either(self) -> _Test:
        tests = [self._both()]
        while self._take("or"):
            tests.append(self._both())
        return tests[0] if len(tests) == 1 else lambda fields, attempts: any(t(fields, attempts) for t in tests)

    def _both(self) -> _Test:
        tests = [self._one()]
        while self._take("and"):
            tests.append(self._one())
        return tests[0] if len(tests) == 1 else lambda fields, attempts: all(t(fields, attempts) for t in tests)

    def _one(self) -> _Test:
        begin = self._peek
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise self._wrong(_TOO_DEEP, begin)
        if self._take("not"):
            test = _negated(self._one())
        elif self._take("("):
            test = self._either()
            self._expect(")")
        else:
            test = self._comparison()
        self._depth -= 1
        return test

    def _comparison(self) -> _Test:
        token = self._peek
        if token.kind != "name" or token.word in _WORDS:
            raise self._wrong(_NO_NAME, token)
        self._next += 1
        name = token.text.strip("`")
        if name.startswith("@") and name != ATTEMPTS:
            says = f"{name} is not known; there is {ATTEMPTS}"
            raise self._wrong(say(says, code="filter_unknown", name=name, known=ATTEMPTS), token)
        if name != ATTEMPTS:
            self.names.add(name)
        value = _getter(name)
        sign = self._peek.word
        if self._take("is"):
            unset = self._take("not")
            self._expect("set")
            present: _Test = lambda fields, attempts: value(fields, attempts) is not None  # noqa: E731
            return _negated(present) if unset else present
        if self._take("not"):
            self._expect("in")
            return _negated(_among(value, self._values()))
        if self._take("in"):
            return _among(value, self._values())
        if self._take("begins"):
            self._expect("with")
            return self._beginning(value)
        if sign in _EQUAL | _UNEQUAL | set(_ORDER):
            self._next += 1
            at = self._peek
            literal = self._literal()
            if sign in _EQUAL:
                return _among(value, [literal])
            if sign in _UNEQUAL:
                return _negated(_among(value, [literal]))
            if isinstance(literal, bool):
                raise self._wrong(_NO_ORDER, at)
            return _ordered(value, _ORDER[sign], literal)
        return _among(value, [True])

    def _beginning(self, value: Callable[[Mapping[str, object], int], object]) -> _Test:
        at = self._peek
        literal = self._literal()
        if not isinstance(literal, str):
            raise self._wrong(_NO_TEXT, at)

        def begins(fields: Mapping[str, object], attempts: int) -> bool:
            text = _as_text(value(fields, attempts))
            return text is not None and text.startswith(literal)

        return begins

    def _values(self) -> list[Literal]:
        self._expect("[")
        values = [self._literal()]
        while self._take(","):
            values.append(self._literal())
        self._expect("]")
        return values

    def _literal(self) -> Literal:
        token = self._peek
        self._next += 1
        match token.kind, token.word:
            case "number", _:
                return Decimal(token.text)
            case "text", _:
                return re.sub(r"\\(.)", r"\1", token.text[1:-1], flags=re.DOTALL)
            case "name", ("true" | "false") as word:
                return word == "true"
            case _:
                raise self._wrong(_NO_VALUE, token)

    @property
    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take(self, word: str) -> bool:
        taken = self._peek.word == word
        self._next += taken
        return taken

    def _expect(self, word: str) -> None:
        if not self._take(word):
            raise self._wrong(say(f'expected "{word}"', code="filter_expected", word=word), self._peek)

    def _read(self, text: str) -> Sequence[_Token]:
        tokens, at = [], 0
        end = len(text.rstrip())
        while at < end:
            found = _TOKEN.match(text, at)
            if found is None or found.lastgroup is None:
                begin = at + len(text[at:]) - len(text[at:].lstrip())
                raise self._wrong(_UNREADABLE, _Token("unknown", text[begin : begin + 12], begin))
            tokens.append(_Token(found.lastgroup, found.group(found.lastgroup), found.start(found.lastgroup)))
            at = found.end()
        return [*tokens, _Token("end", "", end)]

    def _wrong(self, what: Saying, token: _Token) -> InputError:
        place, text = token.at + 1, token.text[:40]
        if token.kind == "end":
            return InputError(f"filter: character {place}, at the end: {what}", code="filter_wrong_at_end", what=what)
        return InputError(
            f"filter: character {place}, at {text!r}: {what}", code="filter_wrong", place=place, text=text, what=what
        )


def _negated(test: _Test) -> _Test:
    return lambda fields, attempts: not test(fields, attempts)


def _getter(name: str) -> Callable[[Mapping[str, object], int], object]:
    if name == ATTEMPTS:
        return lambda fields, attempts: attempts
    return lambda fields, attempts: value_of(fields, name)


def _among(value: Callable[[Mapping[str, object], int], object], literals: Sequence[Literal]) -> _Test:
    texts = frozenset(one for one in literals if isinstance(one, str))
    truths = frozenset(one for one in literals if isinstance(one, bool))
    numbers = frozenset(one for one in literals if isinstance(one, Decimal))

    def among(fields: Mapping[str, object], attempts: int) -> bool:
        found = value(fields, attempts)
        if found is None:
            return False
        return (
            (bool(texts) and _as_text(found) in texts)
            or (bool(numbers) and _as_number(found) in numbers)
            or (bool(truths) and _as_truth(found) in truths)
        )

    return among


def _ordered(
    value: Callable[[Mapping[str, object], int], object],
    holds: Callable[[Any, Any], bool],
    literal: str | Decimal,
) -> _Test:
    read: Callable[[object], object] = _as_number if isinstance(literal, Decimal) else _as_text

    def ordered(fields: Mapping[str, object], attempts: int) -> bool:
        found = read(value(fields, attempts))
        return found is not None and holds(found, literal)

    return ordered


def _as_text(value: object) -> str | None:
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _as_number(value: object) -> Decimal | None:
    match value:
        case bool():
            return None
        case int():
            return Decimal(value)
        case float():
            # Its digits as people wrote them; there are no others that are finite.
            return Decimal(repr(value)) if abs(value) < float("inf") else None
        case str() if _NUMBER.fullmatch(value):
            return Decimal(value.strip())
        case _:
            return None


def _as_truth(value: object) -> bool | None:
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(value.lower()) if isinstance(value, str) else None
