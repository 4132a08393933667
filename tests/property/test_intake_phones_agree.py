"""The compiled numbering plans and the accelerator say what phonenumbers says."""

from __future__ import annotations

import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialer.core.ids import valid_phone
from dialer.intake.phones import PhoneReader, PhoneVerdict
from dialer.intake.plans import COUNTRY_CODES, KINDS, NumberKind, plan_of_country_code, split_country_code

REGIONS = sorted(phonenumbers.SUPPORTED_REGIONS)
TYPES = list(range(11))


@st.composite
def national_numbers(draw: st.DrawFn, region: str) -> str:
    """An example of the region, as it is or with some of its digits changed, or any digits."""
    example = phonenumbers.example_number_for_type(region, draw(st.sampled_from(TYPES)))
    if example is None or draw(st.integers(0, 9)) == 0:
        return draw(st.text("0123456789", min_size=5, max_size=13))
    digits = list(phonenumbers.national_significant_number(example))
    for _ in range(draw(st.integers(0, 4))):
        digits[draw(st.integers(0, len(digits) - 1))] = draw(st.sampled_from("0123456789"))
    return "".join(digits)


def by_phonenumbers(text: str, region: str) -> tuple[str | None, NumberKind | None]:
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None, None
    if not phonenumbers.is_valid_number(number):
        return None, None
    kind = KINDS[phonenumbers.number_type(number)]
    if kind in {NumberKind.PREMIUM, NumberKind.SHARED_COST}:
        return None, kind
    written = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    # A handful of plans have numbers of four digits that nobody outside can dial: no `Phone` of ours.
    return (written, kind) if valid_phone(written) else (None, None)


@pytest.mark.parametrize("accelerate", [True, False])
@given(data=st.data())
@settings(max_examples=250, deadline=None)
def test_a_number_gets_the_verdict_of_phonenumbers(accelerate: bool, data: st.DataObject) -> None:
    region = data.draw(st.sampled_from(REGIONS))
    national = data.draw(national_numbers(region))
    home = data.draw(st.sampled_from([region, "ES"]))
    text = data.draw(st.sampled_from([f"+{phonenumbers.country_code_for_region(region)}{national}", national]))
    reader = PhoneReader(home, accelerate=accelerate)
    # The plans alone: what the young accelerator makes of the rest is not compared, only its refusals are re-checked.
    reader._fast = None
    reading = reader.read(text)
    phone, kind = by_phonenumbers(text, home)
    assert reading.phone == phone
    if phone is not None:
        assert reading.verdict is PhoneVerdict.VALID
        assert reading.kind is kind
    elif kind is NumberKind.PREMIUM:
        assert reading.verdict is PhoneVerdict.PREMIUM_REFUSED
    elif kind is NumberKind.SHARED_COST:
        assert reading.verdict is PhoneVerdict.SHARED_COST_REFUSED


@given(st.data())
@settings(max_examples=250, deadline=None)
def test_what_is_certain_at_one_look_is_what_reading_says(data: st.DataObject) -> None:
    region = data.draw(st.sampled_from(REGIONS))
    national = data.draw(national_numbers(region))
    text = data.draw(st.sampled_from([f"+{phonenumbers.country_code_for_region(region)}{national}", national]))
    reader = PhoneReader(data.draw(st.sampled_from([region, "ES"])))
    certain = reader.certain(text)
    assert certain is None or certain == reader.read(text).phone
    # Nothing that the plan of the reader's own country knows needs a second look.
    own = text.startswith(reader._local_prefix) or not text.startswith("+")
    reading = reader._by_plan(text) if own and reader._local_plan is not None else None
    assert certain == (None if reading is None else reading.phone)


@pytest.mark.parametrize("text", ["", "+", "+34", "+34600111222\n", "+34 600111222", "803123456", "+34803123456", "１"])
def test_what_takes_a_second_look_is_not_certain(text: str) -> None:
    assert PhoneReader("ES").certain(text) is None
    assert PhoneReader("ES").certain("+34600111222") == PhoneReader("ES").certain("600111222") == "+34600111222"
    assert PhoneReader("ES", accelerate=False).certain("+34600111222") is None


@given(st.sampled_from(REGIONS), st.data())
@settings(max_examples=200, deadline=None)
def test_a_plan_tells_the_kind_or_that_it_cannot(region: str, data: st.DataObject) -> None:
    code = phonenumbers.country_code_for_region(region)
    plan = plan_of_country_code(code)
    national = data.draw(national_numbers(region))
    kind = None if plan is None else plan.kind(national)
    if kind is None:
        return
    try:
        number = phonenumbers.parse(f"+{code}{national}", None)
    except phonenumbers.NumberParseException:
        assert kind is NumberKind.UNKNOWN
        return
    assert KINDS[phonenumbers.number_type(number)] is kind
    assert phonenumbers.is_valid_number(number) is (kind is not NumberKind.UNKNOWN)


@given(st.text(max_size=40) | st.from_regex(r"\+?[0-9 ().-]{0,24}", fullmatch=True))
@settings(max_examples=200, deadline=None)
def test_any_text_gets_a_verdict_and_only_valid_ones_a_number(text: str) -> None:
    reading = PhoneReader("ES").read(text)
    assert (reading.phone is not None) is (reading.verdict is PhoneVerdict.VALID)
    assert (reading.problem == "") is (reading.verdict is PhoneVerdict.VALID)
    if reading.phone is not None:
        assert valid_phone(reading.phone)
        # Reading a number that was read changes nothing.
        assert PhoneReader("FR").read(reading.phone).phone == reading.phone


def test_country_codes_are_a_prefix_code() -> None:
    assert all(split_country_code(code + "123456") == (int(code), "123456") for code in COUNTRY_CODES)
