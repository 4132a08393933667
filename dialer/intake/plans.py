"""National numbering plans, compiled from the metadata of ``phonenumbers`` into one expression for each country code.

``phonenumbers`` takes about 30 µs for a number, most of it spent in looking for prefixes, extensions and letters that
a number written in E.164 does not have. Where a country code belongs to one region only and the digits do not begin
with something that could be a national prefix, its answer depends on the national significant number alone: then one
compiled expression, made of the very patterns that ``phonenumbers`` would try one after another, gives the same one.
In all other cases, and of a number that is not valid, `NumberingPlan.kind` says None: ask the library.
"""

from __future__ import annotations

import re
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import phonenumbers
from phonenumbers import PhoneMetadata

if TYPE_CHECKING:
    from phonenumbers import PhoneNumberDesc


class NumberKind(StrEnum):
    """What sort of line a number is, as far as the numbering plan tells."""

    FIXED = "fixed"
    MOBILE = "mobile"
    FIXED_OR_MOBILE = "fixed_or_mobile"
    TOLL_FREE = "toll_free"
    PREMIUM = "premium"
    SHARED_COST = "shared_cost"
    VOIP = "voip"
    PERSONAL = "personal"
    PAGER = "pager"
    UAN = "uan"
    VOICEMAIL = "voicemail"
    UNKNOWN = "unknown"


#: The caller pays for them by the minute, or part of it.
NEVER_DIALED: Final = frozenset({NumberKind.PREMIUM, NumberKind.SHARED_COST})
#: By the numbers of ``phonenumbers.PhoneNumberType``.
KINDS: Final = {
    0: NumberKind.FIXED,
    1: NumberKind.MOBILE,
    2: NumberKind.FIXED_OR_MOBILE,
    3: NumberKind.TOLL_FREE,
    4: NumberKind.PREMIUM,
    5: NumberKind.SHARED_COST,
    6: NumberKind.VOIP,
    7: NumberKind.PERSONAL,
    8: NumberKind.PAGER,
    9: NumberKind.UAN,
    10: NumberKind.VOICEMAIL,
    99: NumberKind.UNKNOWN,
    27: NumberKind.UNKNOWN,
}


class NumberingPlan:
    """The numbers of one country code that belongs to one region."""

    __slots__ = ("_group_kinds", "_idd", "_lengths", "_pattern", "_to_dial")

    def __init__(self, metadata: PhoneMetadata) -> None:
        general = metadata.general_desc
        assert general is not None, "every region's metadata has it"
        self._lengths = frozenset(general.possible_length)
        self._idd = re.compile(metadata.international_prefix) if metadata.international_prefix else None
        # The order in which phonenumbers tries them; the first that fits wins.
        kinds: list[tuple[NumberKind, PhoneNumberDesc | None]] = [
            (NumberKind.PREMIUM, metadata.premium_rate),
            (NumberKind.TOLL_FREE, metadata.toll_free),
            (NumberKind.SHARED_COST, metadata.shared_cost),
            (NumberKind.VOIP, metadata.voip),
            (NumberKind.PERSONAL, metadata.personal_number),
            (NumberKind.PAGER, metadata.pager),
            (NumberKind.UAN, metadata.uan),
            (NumberKind.VOICEMAIL, metadata.voicemail),
        ]
        fixed, mobile = _expression(metadata.fixed_line, self._lengths), _expression(metadata.mobile, self._lengths)
        alternatives = [(kind, _expression(desc, self._lengths)) for kind, desc in kinds]
        if metadata.same_mobile_and_fixed_line_pattern:
            alternatives.append((NumberKind.FIXED_OR_MOBILE, fixed))
        else:
            if fixed and mobile:
                alternatives.append((NumberKind.FIXED_OR_MOBILE, f"(?=(?:{fixed})\\Z)(?:{mobile})"))
            alternatives += [(NumberKind.FIXED, fixed), (NumberKind.MOBILE, mobile)]
        used = [(kind, expression) for kind, expression in alternatives if expression]
        # Group numbers of the patterns themselves would shift ours: they are made non-capturing by _without_groups.
        self._group_kinds = (None, *(kind for kind, _ in used))
        kinds_of_line = "|".join(f"({expression})" for _, expression in used) or "(?!)"
        prefix = metadata.national_prefix_for_parsing
        no_prefix = f"(?!(?:{_without_groups(prefix)}))" if prefix else ""
        valid = f"(?=(?:{_without_groups(general.national_number_pattern or '(?!)')})\\Z)"
        self._pattern = re.compile(f"{no_prefix}{valid}(?:{kinds_of_line})", re.ASCII)
        # Which of the others it is does not matter there: what people have most comes first.
        refused = "|".join(f"(?:{expression})\\Z" for kind, expression in used if kind in NEVER_DIALED)
        others = "|".join(expression for kind, expression in reversed(used) if kind not in NEVER_DIALED)
        self._to_dial = f"{no_prefix}{f'(?!{refused})' if refused else ''}{valid}(?:{others or '(?!)'})"

    def kind(self, national: str) -> NumberKind | None:
        """Kind of the national significant number `national`; None: not valid, or the plan alone cannot tell."""
        if len(national) not in self._lengths:
            return None
        found = self._pattern.fullmatch(national)
        return None if found is None else self._group_kinds[found.lastindex or 0]

    def local_kind(self, digits: str) -> NumberKind | None:
        """Kind of `digits` as dialed inside the country; None also where they may not be the national number."""
        return None if self._idd is not None and self._idd.match(digits) else self.kind(digits)

    def written(self, prefix: str) -> re.Pattern[str]:
        """One expression for the numbers that may be dialed and of which `kind` is sure.

        They have `prefix` before them, or are such as `local_kind` is sure of.
        """
        home = f"(?!(?:{_without_groups(self._idd.pattern)}))" if self._idd is not None else ""
        starts = (
            f"{start}(?=(?:{sizes})\\Z)"
            for start, sizes in (
                (re.escape(prefix), self._sizes(8 - len(prefix), 16 - len(prefix))),
                (home, self._sizes(6, 14)),
            )
        )
        return re.compile(f"(?:{'|'.join(starts)}){self._to_dial}", re.ASCII)

    def _sizes(self, least: int, most: int) -> str:
        sizes = [length for length in sorted(self._lengths) if least <= length <= most]
        return "|".join(f"[0-9]{{{length}}}" for length in sizes) or "(?!)"


def _expression(desc: PhoneNumberDesc | None, general_lengths: frozenset[int]) -> str:
    """The pattern of one kind of line with its possible lengths, without groups; empty where there is none."""
    if desc is None or not desc.national_number_pattern:
        return ""
    lengths = frozenset(desc.possible_length)
    if lengths == frozenset({-1}):
        return ""
    pattern = _without_groups(desc.national_number_pattern)
    if not lengths or lengths == general_lengths:
        return f"(?:{pattern})"
    sizes = "|".join(f"[0-9]{{{length}}}" for length in sorted(lengths))
    return f"(?=(?:{sizes})\\Z)(?:{pattern})"


def _without_groups(pattern: str) -> str:
    return re.sub(r"(?<!\\)\((?!\?)", "(?:", pattern)


@lru_cache(maxsize=512)
def plan_of_country_code(country_code: int) -> NumberingPlan | None:
    """The plan of a country code; None where it is shared by regions, or does not exist."""
    regions = phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(country_code, ())
    if len(regions) != 1:
        return None
    if regions[0] == phonenumbers.REGION_CODE_FOR_NON_GEO_ENTITY:
        metadata = PhoneMetadata.metadata_for_nongeo_region(country_code, None)
    else:
        metadata = PhoneMetadata.metadata_for_region(regions[0], None)
    return None if metadata is None else NumberingPlan(metadata)


#: E.164 country codes are a prefix code of one to three digits, so the first that exists is the right one.
COUNTRY_CODES: Final = frozenset(str(code) for code in phonenumbers.COUNTRY_CODE_TO_REGION_CODE)


def split_country_code(digits: str) -> tuple[int, str] | None:
    """Country code and national significant number of the digits of an E.164 number; None where no code fits."""
    for length in (1, 2, 3):
        code = digits[:length]
        if code in COUNTRY_CODES:
            return int(code), digits[length:]
    return None
