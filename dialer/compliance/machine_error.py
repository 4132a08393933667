"""How often detection takes people for machines, told from a sample, and abandonment with that error counted in.

A person whom detection took for a machine was hung up on: they answered, and found nobody. Nobody heard them, so how
many they are can only be estimated. Some of the calls with such a verdict go to agents all the same
(`machine_sample_share`), who say with their disposition what it was; of these the share of people is known, with an
interval (E. B. Wilson, J. Am. Stat. Assoc. 22, 1927) that holds for few calls and for shares near nothing. With p that
share and m the calls hung up as machines:

    corrected abandonment = (abandoned + p m) / (live answers + p m)

Regulators want the estimate evidenced; whoever must be sure stays below the limit with its upper bound.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

#: Two-sided 95 %.
Z_95: Final = 1.959963984540054
#: Codes by which agents say that it was a machine; any other says that it was a person.
MACHINE_CODES: Final = frozenset({"machine", "answering_machine", "voicemail"})


def says_machine(code: str) -> bool:
    """Whether a disposition says that the call was a machine."""
    return code.strip().casefold().replace(" ", "_").replace("-", "_") in MACHINE_CODES


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A number that is not known exactly: it lies between `low` and `high` (95 %)."""

    low: float
    high: float
    #: The best guess; None where there is no evidence at all.
    value: float | None


def share(found: int, of: int, z: float = Z_95) -> Estimate:
    """The share of a population of which a sample of `of` held `found`, by Wilson's score interval.

    Raises:
        ValueError: not ``0 <= found <= of``.
    """
    if not 0 <= found <= of:
        raise ValueError(f"{found} of {of} is no part of a sample")
    if of == 0:
        return Estimate(low=0.0, high=1.0, value=None)
    p, squared = found / of, z * z
    centre = (p + squared / (2 * of)) / (1 + squared / of)
    half = z / (1 + squared / of) * math.sqrt(p * (1 - p) / of + squared / (4 * of * of))
    # Exact where rounding would leave a trace.
    low = 0.0 if found == 0 else max(0.0, centre - half)
    high = 1.0 if found == of else min(1.0, centre + half)
    return Estimate(low=low, high=high, value=p)


class Counted(StrEnum):
    """The figures of `AnswerCounts` whose calls can be asked for one by one."""

    ABANDONED = "abandoned"
    LIVE_ANSWERS = "live_answers"
    HUNG_UP_AS_MACHINE = "hung_up_as_machine"
    JUDGED = "judged"


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerCounts:
    """What became of answered calls in some time."""

    #: People who answered and were known to be people, and how many of them found no agent in time.
    live_answers: int = 0
    abandoned: int = 0
    #: Hung up because detection said that it was a machine.
    hung_up_as_machine: int = 0
    #: Calls with that verdict which an agent judged, and how many of them were people.
    judged: int = 0
    judged_people: int = 0

    def __add__(self, other: AnswerCounts) -> AnswerCounts:
        """Both together, such as two campaigns of one centre."""
        return AnswerCounts(
            live_answers=self.live_answers + other.live_answers,
            abandoned=self.abandoned + other.abandoned,
            hung_up_as_machine=self.hung_up_as_machine + other.hung_up_as_machine,
            judged=self.judged + other.judged,
            judged_people=self.judged_people + other.judged_people,
        )

    @property
    def ratio(self) -> float | None:
        """Abandoned calls per live answer, as counted; None where nobody has answered."""
        return self.abandoned / self.live_answers if self.live_answers else None

    @property
    def false_machine_share(self) -> Estimate:
        """Of the calls that detection took for machines, the share that were people."""
        return share(self.judged_people, self.judged)

    @property
    def false_machines(self) -> Estimate:
        """How many people were hung up on as machines. Where none was hung up on, that is known to be nobody."""
        if not self.hung_up_as_machine:
            return Estimate(low=0.0, high=0.0, value=0.0)
        found, many = self.false_machine_share, self.hung_up_as_machine
        value = None if found.value is None else found.value * many
        return Estimate(low=found.low * many, high=found.high * many, value=value)

    @property
    def corrected(self) -> Estimate:
        """Abandonment with the people who were taken for machines counted among the abandoned."""
        false = self.false_machines
        value = None if false.value is None else self._with(false.value)
        return Estimate(low=self._with(false.low), high=self._with(false.high), value=value)

    def _with(self, false_machines: float) -> float:
        people = self.live_answers + false_machines
        return (self.abandoned + false_machines) / people if people else 0.0
