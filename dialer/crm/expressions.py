"""Expressions by which a CRM's answers are read: JMESPath (jmespath.org), compiled, measured where people type them.

An expression only looks, but one that is made to do harm can look for ever: `[@, @] | [@, @] | …` doubles what it finds
at each step. `check_modest` refuses those before they are run on anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any, Final

import jmespath
from jmespath.exceptions import JMESPathError

from dialer.errors import InputError

#: By how much an expression may multiply what it reads; the longest of those that are shipped come to about 20.
MAX_GROWTH: Final = 256
#: How deep it may be nested.
MAX_DEPTH: Final = 40
#: What is found is the sum of what its parts find; of all others the product.
_SUMS: Final = frozenset(
    {"multi_select_list", "multi_select_dict", "or_expression", "and_expression", "comparator", "not_expression"}
)
#: What the library lets through of the language under it: an element of a text that is none, a step of nought.
_UNTOLD: Final = (TypeError, ValueError, ArithmeticError, AttributeError, RecursionError)


class Expression:
    """A compiled JMESPath expression; an empty one finds nothing."""

    def __init__(self, text: str) -> None:
        """Compile it.

        Raises:
            InputError: it is none.
        """
        self.text = text
        try:
            self._compiled = jmespath.compile(text) if text else None
        except (JMESPathError, RecursionError) as error:
            problem = _in_a_line(error)
            raise InputError(
                f"{text[:80]!r} is no JMESPath expression: {problem}",
                code="crm_no_expression",
                expression=text[:80],
                problem=problem,
            ) from error

    def __bool__(self) -> bool:
        return self._compiled is not None

    def find(self, data: object) -> Any:
        """What it finds in JSON values; null where there is nothing.

        Raises:
            InputError: a function of it was given what it cannot take.
        """
        if self._compiled is None:
            return None
        try:
            return self._compiled.search(data)
        except (JMESPathError, *_UNTOLD) as error:
            problem = _in_a_line(error)
            raise InputError(
                f"{self.text!r}: {problem}", code="crm_expression", expression=self.text, problem=problem
            ) from error

    def holds(self, data: object) -> bool:
        """Whether what it finds is true in JMESPath's sense: anything but null, false and what is empty."""
        found = self.find(data)
        return found is not None and found is not False and found not in ("", [], {})

    def check_modest(self) -> None:
        """Make sure that it ends soon, whatever it is run on.

        Raises:
            InputError: it is nested too deeply, or multiplies what it reads too often.
        """
        if self._compiled is None:
            return
        depth, growth = _measured(self._compiled.parsed)
        if depth > MAX_DEPTH or growth > MAX_GROWTH:
            raise InputError(
                f"{self.text[:80]!r} does too much at once: write it simpler",
                code="crm_expression_heavy",
                expression=self.text[:80],
            )


def _measured(node: Mapping[str, Any]) -> tuple[int, int]:
    """How deep a part of an expression is, and by how much what it finds can be more than what it reads."""
    children = [_measured(child) for child in node["children"] if isinstance(child, Mapping)]
    depth = 1 + max((depth for depth, _ in children), default=0)
    grown = [growth for _, growth in children]
    match node["type"]:
        case "literal":
            return depth, _elements(node["value"])
        case kind if kind in _SUMS:
            return depth, max(1, sum(grown))
        case "function_expression":
            # As text what was quoted is quoted once more.
            return depth, (2 if node["value"] == "to_string" else 1) * prod(grown)
        case _:
            return depth, prod(grown)


def _elements(value: object) -> int:
    match value:
        case list():
            return max(1, sum(_elements(each) for each in value))
        case dict():
            return max(1, sum(_elements(each) for each in value.values()))
        case _:
            return 1


def _in_a_line(error: Exception) -> str:
    return " ".join(str(error).split())
