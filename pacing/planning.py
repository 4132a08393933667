"""What a manager asks of a floor, reduced to arithmetic: the search for a number of agents, and a first guess at it."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from pacing.callees import Callees
from pacing.floor import ContactList, Floor

_PEOPLE = 4_000
#: Occupancy that the first guess reckons with: the simulation will say.
_GUESSED_OCCUPANCY = 0.8


def smallest(enough: Callable[[int], bool], *, guess: int, most: int) -> int | None:
    """The smallest number for which `enough` holds, which holds for every larger one too; None: not even `most`.

    Asks few times where the guess is good: outwards from it in growing steps, then by halves.

    Args:
        enough: Asked once for each number; costly.
        guess: Where to begin.
        most: Larger ones are out of the question.
    """
    guess = min(max(guess, 1), most)
    step = max(guess // 8, 1)
    if enough(guess):
        above = guess
        below = 0
        while above > 1:
            trial = max(above - step, 1)
            if not enough(trial):
                below = trial
                break
            above = trial
            step *= 2
    else:
        below = guess
        above = 0
        while not above:
            if below == most:
                return None
            trial = min(below + step, most)
            if enough(trial):
                above = trial
            else:
                below = trial
                step *= 2
    while above - below > 1:
        middle = (above + below) // 2
        if enough(middle):
            above = middle
        else:
            below = middle
    return above


def talks_in_list(floor: Floor, contacts: ContactList) -> tuple[float, float]:
    """How many people of a list will be reached, and the mean seconds that each takes of an agent.

    Taken from people of the floor, at the beginning of its day.
    """
    people = Callees(floor, np.random.SeedSequence(0))
    met = [people.call(0.0) for _ in range(_PEOPLE)]
    served = [callee.talk_s + callee.wrapup_s for callee in met if callee.outcome is None]
    rate = len(served) / _PEOPLE
    unreached = 1.0
    for attempt in range(1, contacts.attempts + 1):
        unreached *= 1.0 - min(rate * contacts.factor(attempt), 1.0)
    return contacts.contacts * (1.0 - unreached), sum(served) / max(len(served), 1)


def guess_agents(floor: Floor, contacts: ContactList, working_s: float) -> int:
    """A first guess at the agents who get a list through in so many working seconds."""
    talks, handle_s = talks_in_list(floor, contacts)
    return max(math.ceil(talks * handle_s / (working_s * _GUESSED_OCCUPANCY)), 1)
