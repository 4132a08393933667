"""Caps, rests and calls as hypothesis draws them, about one person and others who share some of its names."""

from __future__ import annotations

from hypothesis import strategies as st

from dialer.compliance.caps import Call, Subject
from dialer.compliance.rules import CapRule, CooldownRule, KeyPart, Span
from dialer.core.outcome import Outcome
from tests.compliance_rules import cap_rule, cooldown_rule

HOUR = 3_600
#: A week in which the clocks of Madrid go back.
START = 1_792_540_800
ME = Subject(number="+34600111222", person="17", account="4", campaign="winter", seller="acme")
OTHERS = (
    Subject(number="+34600111333", person="17", account="4", campaign="winter", seller="acme"),
    Subject(number="+34600111222", person="17", account="5", campaign="summer", seller="acme"),
    Subject(number="+34600999999", person="18", account="9", campaign="winter", seller="acme"),
)
KEYS = ((KeyPart.NUMBER,), (KeyPart.PERSON,), (KeyPart.ACCOUNT, KeyPart.PERSON), (KeyPart.CAMPAIGN,), (KeyPart.SELLER,))
ZONES = ("Europe/Madrid", "Atlantic/Canary", "America/New_York")

outcomes = st.sampled_from(sorted(Outcome))
moments = st.floats(START, START + 10 * 86_400, allow_nan=False)


@st.composite
def caps(draw: st.DrawFn) -> CapRule:
    span = draw(st.sampled_from(sorted(Span)))
    length = {
        Span.ROLLING: draw(st.sampled_from([HOUR, 24 * HOUR, 7 * 24 * HOUR])),
        Span.CALENDAR_DAYS: draw(st.integers(1, 7)),
        Span.EVER: 0,
    }[span]
    return cap_rule(
        draw(st.integers(1, 5)),
        span,
        length,
        key=draw(st.sampled_from(KEYS)),
        counts=draw(st.none() | st.frozensets(outcomes, min_size=1)),
        except_outcomes=draw(st.frozensets(outcomes, max_size=2)),
    )


@st.composite
def cooldowns(draw: st.DrawFn) -> CooldownRule:
    return cooldown_rule(
        draw(st.sampled_from([HOUR, 72 * HOUR, 7 * 24 * HOUR])),
        key=draw(st.sampled_from(KEYS)),
        after=draw(st.frozensets(outcomes, max_size=2)),
        after_refusal=draw(st.booleans()),
        after_inbound=draw(st.booleans()),
    )


@st.composite
def calls(draw: st.DrawFn) -> Call:
    at = draw(moments)
    outcome = draw(st.none() | outcomes)
    over = None if outcome is None else at + draw(st.floats(0, 90_000))
    inbound = draw(st.integers(0, 5)) == 0
    subject = draw(st.sampled_from((ME, ME, *OTHERS)))
    return Call(at=at, subject=subject, outcome=outcome, ended_at=over, refused=draw(st.booleans()), inbound=inbound)


rule_sets = st.lists(caps() | cooldowns(), min_size=1, max_size=4)
