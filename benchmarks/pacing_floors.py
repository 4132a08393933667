"""The floors on which rules are compared: ordinary ones, and ones that are hard for somebody."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pacing.distributions import Distribution, Exponential, Gamma, LogNormal, Mixture, Observed, Uniform
from pacing.floor import Breaks, Floor, Shift, Steps

HOUR_S = 3_600.0
TALK_TIMES = Path(__file__).parent / "data" / "bank_talk_times.csv"


def bank_talk() -> Distribution:
    """Talk times of a bank's campaigns; see data/README.md for the source."""
    return Observed(tuple(float(line) for line in TALK_TIMES.read_text().split()[1:]))


FLOORS: dict[str, dict[str, Any]] = {
    "20 agents, answer .25": {"shifts": (Shift(agents=20),), "answer": Steps(0.25)},
    "50 agents, answer .10": {"shifts": (Shift(agents=50),), "answer": Steps(0.10)},
    "8 agents, answer .20": {"shifts": (Shift(agents=8),), "answer": Steps(0.20)},
    "3 agents, answer .25, talk 180 s": {
        "shifts": (Shift(agents=3),),
        "answer": Steps(0.25),
        "talk": LogNormal(180.0, 0.9),
    },
    "12 agents, answer .62, talk 60 s": {
        "shifts": (Shift(agents=12),),
        "answer": Steps(0.62),
        "talk": LogNormal(60.0, 0.9),
    },
    "20 agents, a third talk under 5 s": {
        "shifts": (Shift(agents=20),),
        "answer": Steps(0.25),
        "talk": Mixture(0.33, Uniform(1.0, 5.0), LogNormal(150.0, 0.9)),
    },
    "25 agents, shifts and breaks": {
        "shifts": (Shift(agents=15), Shift(agents=10, begins_s=2 * HOUR_S, ends_s=6 * HOUR_S)),
        "answer": Steps(0.20),
        "breaks": Breaks(every=Exponential(5_400.0), length=LogNormal(600.0, 0.4)),
    },
    "15 agents, answer .30 to .12 to .38": {
        "shifts": (Shift(agents=15),),
        "answer": Steps(0.30, tuple((hour * HOUR_S, (0.30, 0.12, 0.38)[hour % 3]) for hour in range(1, 8))),
    },
    "15 agents, real talk times": {
        "shifts": (Shift(agents=15),),
        "answer": Steps(0.28),
        "talk": bank_talk(),
        "wrapup": LogNormal(25.0, 0.5),
    },
    "15 agents, talk twice as long for two hours": {
        "shifts": (Shift(agents=15),),
        "answer": Steps(0.28),
        "talk_scale": Steps(1.0, ((2 * HOUR_S, 2.0), (4 * HOUR_S, 1.0))),
    },
    "12 agents, slow and uneven ringing": {
        "shifts": (Shift(agents=12),),
        "answer": Steps(0.22),
        "rings": Mixture(0.5, Gamma(5.0, 4.0), Gamma(19.0, 9.0)),
    },
    "30 agents, carrier adds 6 s every other hour": {
        "shifts": (Shift(agents=30),),
        "answer": Steps(0.22),
        "carrier_delay_s": Steps(0.0, tuple((hour * HOUR_S, 6.0 * (hour % 2)) for hour in range(1, 8))),
    },
    "20 agents, half go home, answer .15 then .45": {
        "shifts": (Shift(agents=10), Shift(agents=10, ends_s=4 * HOUR_S)),
        "answer": Steps(0.15, ((2 * HOUR_S, 0.45), (5 * HOUR_S, 0.15))),
    },
    "10 agents, long wrap-up": {
        "shifts": (Shift(agents=10),),
        "answer": Steps(0.30),
        "talk": LogNormal(90.0, 1.1),
        "wrapup": LogNormal(75.0, 0.4),
    },
}


def floor(name: str, hours: float) -> Floor:
    """One of them, for a day of so many hours."""
    return Floor(**FLOORS[name], hours=hours)
