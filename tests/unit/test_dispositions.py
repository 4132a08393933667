"""Codes of a campaign: their settings, and which dispositions are taken."""

from __future__ import annotations

from typing import Any

import pytest

from dialer.campaigns import change_campaign, dump_campaign, parse_campaign
from dialer.core.campaign import Campaign
from dialer.core.disposition import DEFAULT_DISPOSITIONS, DispositionCategory, find_code
from dialer.core.events import CallbackWish, CallDisposed
from dialer.core.ids import CallId, CampaignId
from dialer.core.money import MINOR_DIGITS
from dialer.dispositions import meaning_of
from dialer.errors import InputError

NOW = 1_800_000_000.0
SALE = {"code": "Sold", "category": "sale", "is_sale": True, "is_contact": True, "needs_amount": True}
AGAIN = {"code": "again", "category": "not_there", "retry": {"delay_s": 60, "max_attempts": 3}}


def campaign(**settings: object) -> Campaign:
    return parse_campaign({"id": "winter", **settings})


def disposed(code: str, **fields: Any) -> CallDisposed:
    return CallDisposed(at=NOW, call=CallId("n-b-1"), code=code, **fields)


def refusal(of: Campaign, event: CallDisposed) -> InputError:
    with pytest.raises(InputError) as caught:
        meaning_of(event, of, NOW)
    return caught.value


def test_a_campaign_that_names_no_codes_has_the_default_ones() -> None:
    made = campaign()
    assert made.dispositions == DEFAULT_DISPOSITIONS
    assert dump_campaign(made)["dispositions"] == []
    assert meaning_of(disposed("no_sale"), made, NOW).category is DispositionCategory.REFUSED


def test_codes_survive_the_record_and_a_change() -> None:
    made = campaign(dispositions=[SALE, AGAIN], currency="JPY")
    assert parse_campaign(dump_campaign(made)) == made
    changed = change_campaign(made, {"dispositions": [AGAIN]})
    assert [code.code for code in changed.dispositions] == ["again"]
    assert change_campaign(changed, {"dispositions": []}).dispositions == DEFAULT_DISPOSITIONS


@pytest.mark.parametrize(
    ("codes", "words"),
    [
        ([SALE, SALE | {"code": "SOLD"}], "more than once"),
        ([{"code": "x", "category": "nothing"}], "nothing"),
        ([{"code": "", "category": "sale"}], "1 to 64 letters"),
        ([{"code": " x", "category": "sale"}], "1 to 64 letters"),
        ([{"code": "x\ny", "category": "sale"}], "1 to 64 letters"),
        ([{"code": "x", "category": "sale", "do_not_call": True, "callback": True}], "cannot forbid further calls"),
        ([{"code": "x", "category": "sale", "do_not_call": True, "retry": {"delay_s": 1}}], "cannot forbid"),
        ([{"code": "x", "category": "sale", "callback": True, "retry": {"delay_s": 1}}], "leave out retry"),
        ([{"code": "x", "category": "sale", "colour": "red"}], "colour"),
    ],
)
def test_codes_that_cannot_be(codes: list[dict[str, Any]], words: str) -> None:
    with pytest.raises(InputError, match=words):
        campaign(dispositions=codes)


def test_a_currency_that_there_is_not() -> None:
    with pytest.raises(InputError, match="'EUX' is no currency"):
        campaign(currency="EUX")
    assert len(MINOR_DIGITS) > 150


def test_an_unknown_code_is_refused_with_those_that_there_are() -> None:
    error = refusal(campaign(dispositions=[SALE, AGAIN]), disposed("SALE"))
    assert (error.word, error.allowed) == ("unknown_code", ("Sold", "again"))
    assert "it may be Sold, again" in str(error)


@pytest.mark.parametrize(
    ("currency", "amount", "words"),
    [
        ("EUR", "a lot", "not a decimal number"),
        ("EUR", "1,5", "not a decimal number"),
        ("EUR", "1e3", "not a decimal number"),
        ("EUR", "nan", "not a decimal number"),
        ("EUR", "Infinity", "not a decimal number"),
        ("EUR", "٣", "not a decimal number"),
        ("EUR", "", "not a decimal number"),
        ("EUR", "9" * 40, "not a decimal number"),
        ("EUR", "-0.01", "negative"),
        ("EUR", "1000000000000", "too large"),
        ("EUR", "0.001", "finer than EUR"),
        ("JPY", "100.5", "finer than JPY"),
        ("KWD", "0.0001", "finer than KWD"),
    ],
)
def test_amounts_that_cannot_be(currency: str, amount: str, words: str) -> None:
    error = refusal(campaign(dispositions=[SALE], currency=currency), disposed("sold", amount=amount))
    assert words in str(error)
    assert error.word == "invalid_amount"


@pytest.mark.parametrize(
    ("currency", "amount"),
    [("EUR", "0"), ("EUR", "129.900"), ("JPY", "100.0"), ("KWD", "0.125"), ("EUR", "999999999999.99")],
)
def test_amounts_that_can_be(currency: str, amount: str) -> None:
    assert meaning_of(disposed("sold", amount=amount), campaign(dispositions=[SALE], currency=currency), NOW).is_sale


def test_an_amount_in_another_currency_or_missing() -> None:
    made = campaign(dispositions=[SALE])
    assert "are in EUR, not in 'USD'" in str(refusal(made, disposed("sold", amount="1", currency="USD")))
    assert "must come with one, in EUR" in str(refusal(made, disposed("sold")))
    assert meaning_of(disposed("sold", amount="1", currency="EUR"), made, NOW).code == "Sold"


def test_an_appointment_needs_its_time_and_a_possible_one() -> None:
    made = Campaign(id=CampaignId("winter"))
    assert refusal(made, disposed("CALLBACK")).word == "missing_callback"
    for at, words in ((NOW - 3_700, "has passed"), (NOW + 3 * 366 * 86_400, "two years")):
        assert words in str(refusal(made, disposed("CALLBACK", callback=CallbackWish(at=at))))
    assert meaning_of(disposed("CALLBACK", callback=CallbackWish(at=NOW + 60)), made, NOW).callback
    wrong = disposed("DO_NOT_CALL", callback=CallbackWish(at=NOW + 60))
    assert "forbids further calls" in str(refusal(made, wrong))


def test_codes_are_found_whatever_their_case() -> None:
    assert find_code(DEFAULT_DISPOSITIONS, " sAlE ") is not None
    assert find_code(DEFAULT_DISPOSITIONS, "SAL") is None
