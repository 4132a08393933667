"""Worlds by name.

The shares and times are plausible for calls to private mobiles in working hours, not measured anywhere; a floor that
has data of its own builds its profile from them (`Empirical`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from dialer.errors import ConfigError
from dialer.simulation.distributions import Constant, Exponential, LogNormal, Mixture, Uniform
from dialer.simulation.world import AgentProfile, DetectionProfile, Profile, Reaction

#: 28 % live answers.
_MIX: Final[Mapping[Reaction, float]] = {
    Reaction.PERSON: 0.26,
    Reaction.HASTY: 0.02,
    Reaction.MACHINE: 0.12,
    Reaction.NO_ANSWER: 0.36,
    Reaction.BUSY: 0.08,
    Reaction.UNAVAILABLE: 0.05,
    Reaction.INVALID: 0.05,
    Reaction.REJECTED: 0.03,
    Reaction.CONGESTION: 0.02,
    Reaction.SILENT: 0.01,
}

#: Times of a real floor.
REALISTIC: Final = Profile(
    name="realistic",
    mix=_MIX,
    post_dial=LogNormal(2.5, 0.5),
    ring=LogNormal(11.0, 0.5),
    machine_ring=Mixture(((0.7, Uniform(18.0, 24.0)), (0.3, Uniform(0.5, 3.0)))),
    refusal_ring=Exponential(5.0),
    talk=LogNormal(150.0, 1.1),
    patience=Exponential(12.0),
    hasty=Uniform(0.1, 0.9),
    machine=Uniform(15.0, 60.0),
    agents=AgentProfile(wrapup=LogNormal(25.0, 0.7), break_share=0.02),
    objects=0.03,
    by_hour=(*(0.2,) * 7, 0.6, 0.8, *(1.0,) * 11, 0.9, 0.5, 0.3, 0.2),
)

#: Everything quicker, so that two minutes show a campaign getting to know its list and then dialing ahead.
DEMO: Final = Profile(
    name="demo",
    mix=_MIX,
    post_dial=LogNormal(0.6, 0.4),
    ring=LogNormal(3.0, 0.5),
    machine_ring=Mixture(((0.7, Uniform(5.0, 8.0)), (0.3, Uniform(0.3, 2.0)))),
    refusal_ring=Exponential(1.5),
    talk=LogNormal(20.0, 0.7),
    patience=Exponential(12.0),
    hasty=Uniform(0.1, 0.9),
    machine=Uniform(4.0, 10.0),
    agents=AgentProfile(wrapup=LogNormal(3.0, 0.5)),
    objects=0.03,
)

#: For tests: whole calls in a second.
FAST: Final = Profile(
    name="fast",
    mix=_MIX,
    post_dial=Uniform(0.002, 0.02),
    ring=Uniform(0.02, 0.2),
    machine_ring=Uniform(0.02, 0.2),
    refusal_ring=Uniform(0.01, 0.05),
    talk=LogNormal(0.5, 0.6),
    patience=Exponential(4.0),
    hasty=Uniform(0.005, 0.05),
    machine=Uniform(0.3, 0.8),
    agents=AgentProfile(wrapup=LogNormal(0.1, 0.5), phone_answers=Uniform(0.001, 0.01)),
    detection=DetectionProfile(
        human_after=Uniform(0.05, 0.1), machine_after=Uniform(0.1, 0.2), unsure_after=Constant(0.25)
    ),
    message=Constant(0.1),
)

#: For load: five hundred calls a second keep some thousand channels.
BENCHMARK: Final = Profile(
    name="benchmark",
    mix=_MIX,
    post_dial=Uniform(0.01, 0.05),
    ring=LogNormal(1.5, 0.5),
    machine_ring=Uniform(0.5, 3.0),
    refusal_ring=Exponential(0.5),
    talk=LogNormal(4.0, 0.8),
    patience=Exponential(12.0),
    hasty=Uniform(0.05, 0.5),
    machine=Uniform(1.0, 3.0),
    agents=AgentProfile(wrapup=LogNormal(1.0, 0.5)),
    message=Constant(1.0),
)

#: For load without people: nobody answers, everything fails in every way there is.
NOBODY: Final = Profile(
    name="nobody",
    mix={
        Reaction.NO_ANSWER: 0.4,
        Reaction.BUSY: 0.2,
        Reaction.UNAVAILABLE: 0.1,
        Reaction.INVALID: 0.1,
        Reaction.REJECTED: 0.1,
        Reaction.CONGESTION: 0.08,
        Reaction.SILENT: 0.02,
    },
    post_dial=Uniform(0.002, 0.02),
    ring=Uniform(0.1, 0.5),
    machine_ring=Uniform(0.1, 0.5),
    refusal_ring=Uniform(0.01, 0.05),
    talk=Constant(1.0),
    patience=Constant(1.0),
    hasty=Constant(0.1),
    machine=Constant(1.0),
    agents=AgentProfile(wrapup=Constant(0.1)),
)

PROFILES: Final[Mapping[str, Profile]] = {
    profile.name: profile for profile in (REALISTIC, DEMO, FAST, BENCHMARK, NOBODY)
}


def profile_named(name: str) -> Profile:
    """The profile `name`.

    Raises:
        ConfigError: there is none of that name; the text lists those there are.
    """
    try:
        return PROFILES[name]
    except KeyError:
        raise ConfigError(f"no world profile {name!r}; there are {', '.join(sorted(PROFILES))}") from None
