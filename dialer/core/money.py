"""Amounts of money as a CRM writes them: decimal numbers that their currency can have; pure."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

from dialer.errors import InputError

#: No sale and no debt of a person is that large; what is, is a number in the wrong field.
MAX_AMOUNT: Final = Decimal(10) ** 12

_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,30}(\.[0-9]{1,30})?", re.ASCII)
#: Currencies by the digits after the point of their smallest unit (ISO 4217:2015, list of 2025).
_CURRENCIES: Final = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: (
        "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP CRC "
        "CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR "
        "JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD "
        "NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN "
        "SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG"
    ),
    3: "BHD IQD JOD KWD LYD OMR TND",
}
#: Digits after the point, by currency.
MINOR_DIGITS: Final = {code: digits for digits, codes in _CURRENCIES.items() for code in codes.split()}


def read_amount(text: str, currency: str) -> Decimal:
    """The amount that `text` says, exactly.

    Args:
        text: digits, with a point where there are decimals.
        currency: one of `MINOR_DIGITS`.

    Raises:
        InputError: it is no number, negative, too large, or finer than the currency; the text says which.
    """
    if _NUMBER.fullmatch(text) is None:
        raise InputError(
            f"amount: {text[:40]!r} is not a decimal number with a point, such as 129.90", word="invalid_amount"
        )
    amount = Decimal(text)
    if amount < 0:
        raise InputError(
            f"amount: {text} is negative; give what was sold or promised, 0 or more", word="invalid_amount"
        )
    if amount >= MAX_AMOUNT:
        raise InputError(f"amount: {text} is too large; it must be below {MAX_AMOUNT:,f}", word="invalid_amount")
    digits = MINOR_DIGITS[currency]
    if amount != round(amount, digits):
        places = f"at most {digits} digits after the point" if digits else "no digits after the point"
        raise InputError(f"amount: {text} is finer than {currency} can be, which has {places}", word="invalid_amount")
    return amount
