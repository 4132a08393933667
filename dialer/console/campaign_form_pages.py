"""Campaigns as people make them: the list of them, and the form to create, change and clone one.

What is typed is held to the very types and rules of the API while it is typed; nothing is decided in the browser.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath, FromQuery

from dialer.api import campaign_routes
from dialer.api.campaign_ports import BrokenRule, StoredCampaign
from dialer.api.campaign_routes import OverrideInput, broken_rules, settings_version
from dialer.api.crm_rows import hold_to_mappings
from dialer.api.errors import ApiError
from dialer.api.requests import known_campaign
from dialer.campaigns import change_campaign, dump_campaign, explained, parse_campaign
from dialer.console import campaign_form_layout as layout
from dialer.console import campaign_forms as forms
from dialer.console.answers import FORM, Manager, PageRequest, Site, Staff, page, to, view_of
from dialer.console.crm_view import KEYS, MappingView, chosen_line, view_of_feed
from dialer.console.places import MANAGERS
from dialer.console.problems import Told, said, told
from dialer.console.site import Console
from dialer.console.texts import Texts
from dialer.console.visit import Visit, check_csrf
from dialer.core.campaign import Campaign
from dialer.core.ids import CampaignId
from dialer.core.outcome import Outcome
from dialer.errors import InputError

#: Campaigns on the page of all; beyond, the address of the page after.
MOST_CAMPAIGNS: Final = 200
_NEW: Final = "/console/new-campaign"
_DEFAULT: Final = dump_campaign(Campaign(id=CampaignId("default")))
#: How often a change is begun again because a state changed at the same moment.
_TURNS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """A form as it is shown.

    Attributes:
        path: Where it is sent, and where it is found again.
        campaign: Whose settings these are; empty: of one that is to be made.
        typed: What stands in it.
        base: The settings that it was made of.
        problems: By the name of the field beside which each stands.
        told: What is wrong with the whole.
        refused, warned: Rules that its settings break: of law, which must be set aside by name, and others.
        differences: What somebody else has changed meanwhile.
        fresh: It shows what is on record, and nothing that was typed.
        back: It shows what had been typed before a session ended.
        focus: The field where typing goes on.
        opened: The section that one came for.
    """

    path: str
    campaign: str
    typed: Mapping[str, str]
    base: Mapping[str, Any]
    problems: Mapping[str, str] = field(default_factory=dict)
    told: str = ""
    refused: Sequence[BrokenRule] = ()
    warned: Sequence[BrokenRule] = ()
    differences: Sequence[forms.Difference] = ()
    fresh: bool = False
    back: bool = False
    focus: str = ""
    opened: str = ""

    @property
    def clean(self) -> bool:
        """Whether it can be saved as it stands."""
        return not (self.problems or self.told or self.refused)


def _checked(console: Console, sheet: Sheet, texts: Texts, before: Campaign | None) -> tuple[Sheet, Campaign | None]:
    """The sheet with everything that is wrong with it, and the campaign that it is where nothing is."""
    reading = forms.read(sheet.typed)
    problems = {name: _words(texts, problem) for name, problem in reading.problems.items()}
    campaign: Campaign | None = None
    try:
        if before is None:
            name = sheet.typed.get("id", "").strip()
            if not name:
                raise InputError("id: " + texts("form.id_missing"))
            parse_campaign({"id": name})
            if not problems:
                campaign = parse_campaign({"id": name} | reading.settings)
        elif not problems:
            campaign = change_campaign(before, reading.settings)
    except InputError as problem:
        return replace(sheet, **_placed(texts, problem, problems)), None
    if campaign is None:
        return replace(sheet, problems=problems), None
    try:
        hold_to_mappings(console.ports, campaign, before)
        broken, known = broken_rules(console.ports, campaign, before)
    except InputError as problem:
        return replace(sheet, **_placed(texts, problem, problems)), None
    refused = [rule for rule in broken if rule.of_law and (rule.setting, rule.version) not in known]
    warned = [rule for rule in broken if rule not in refused]
    return replace(sheet, refused=refused, warned=warned), campaign


def _words(texts: Texts, problem: InputError) -> str:
    return texts(problem.word) if isinstance(problem, forms.Unreadable) else told(texts, problem)


def _placed(texts: Texts, problem: InputError, problems: Mapping[str, str]) -> dict[str, Any]:
    """Where a problem of the whole belongs: beside its field, or above all."""
    setting, separator, says = str(problem).partition(": ")
    slot = setting if setting == "id" else forms.slot(setting) if separator else ""
    if slot:
        return {"problems": {**problems, slot: said(texts, says, problem.code, problem.arguments)}}
    return {"problems": problems, "told": told(texts, problem)}


def _overrides(sheet: Sheet) -> list[OverrideInput]:
    """The rules that somebody sets aside by this form.

    Raises:
        InputError: there is no name, or no reason.
    """
    by, why = (sheet.typed.get(name, "").strip() for name in ("override.by", "override.why"))
    try:
        return [
            msgspec.convert({"rule": rule.version, "by": by, "why": why}, OverrideInput)
            for rule in sheet.refused
            if f"aside.{rule.version}" in sheet.typed
        ]
    except msgspec.ValidationError as error:
        raise InputError(explained(error)) from error


def _answer(console: Console, visit: Visit, sheet: Sheet, status: int = 200) -> Response[str]:
    return page(
        console,
        "campaign_form",
        visit.texts,
        status=status,
        visit=visit,
        sheet=sheet,
        forms=forms,
        layout=layout,
        mappings=_mappings(console, sheet.campaign),
        outcomes=tuple(Outcome),
        codes=_codes(sheet.typed),
    )


def _codes(typed: Mapping[str, str]) -> list[str]:
    return [typed.get(f"dispositions.{place}.code", "") for place in forms.places(typed, "dispositions")]


def _mappings(console: Console, campaign: str) -> list[MappingView]:
    """What the mappings of the CRMs that feed a campaign say by themselves."""
    feeds = [] if console.ports.crm_feeds is None or not campaign else console.ports.crm_feeds.of(CampaignId(campaign))
    return [view_of_feed(feed, Campaign(id=CampaignId(campaign))) for feed in feeds]


async def typed_form(request: PageRequest, visit: Visit) -> dict[str, str]:
    """What a form of ours says; each name once.

    Raises:
        ApiError: 403, it comes from elsewhere.
    """
    sent = await request.form()
    await check_csrf(request, visit, sent)
    return {name: str(sent.getall(name)[0]) for name in sent if name != "csrf"}


def _base(typed: Mapping[str, str], otherwise: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that the form was made of, as it says."""
    try:
        return msgspec.json.decode(typed.get("base", ""), type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        return dict(otherwise)


def _focus(typed: Mapping[str, str], again: Mapping[str, str] | None) -> str:
    """The field of a row that has just been added with which one begins."""
    added, of_mapping, _ = typed.get("add", "").partition(":")
    if again is None or added not in layout.TABLES or again.keys() <= typed.keys():
        return ""
    known = len(KEYS.get(added, ())) if of_mapping else 0
    return f"{added}.{forms.places(again, added)[-1]}.{layout.TABLES[added][known].name}"


def _rearranged(typed: Mapping[str, str], mappings: Sequence[MappingView] = ()) -> dict[str, str] | None:
    """The form with a row more or less, where that was asked for, or as it was typed before a session ended.

    A row may begin with what a mapping says: setting, place of the mapping and place of its line.
    """
    add, drop = typed.get("add", ""), typed.get("drop", "")
    kept = {name: text for name, text in typed.items() if name not in {"add", "drop", "again"}}
    if add in layout.TABLES:
        return forms.with_row(kept, add)
    if add:
        setting, _, where = add.partition(":")
        line = chosen_line(mappings, setting, where)
        return kept if line is None else forms.with_row(kept, setting, line)
    if drop:
        return forms.without_row(kept, drop)
    return kept if "again" in typed else None


# ---- all campaigns


@get("/campaigns")
async def campaigns(console: Site, staff: Staff, after: FromQuery[str] = "") -> Response[str]:
    """All campaigns, by id."""
    found = await console.ports.campaigns.page(CampaignId(after) if after else None, MOST_CAMPAIGNS + 1)
    live = {row.id: row for row in view_of(console).campaigns}
    rows = [(stored, live.get(stored.campaign.id)) for stored in found[:MOST_CAMPAIGNS]]
    return page(
        console,
        "campaigns",
        staff.texts,
        visit=staff,
        rows=rows,
        more=rows[-1][0].campaign.id if len(found) > MOST_CAMPAIGNS else "",
        maker=staff.key.role in MANAGERS,
    )


# ---- a new one


@get("/new-campaign")
async def new_campaign(console: Site, manager: Manager, clone: FromQuery[str] = "") -> Response[str]:
    """The form of a campaign that is to be made, with safe defaults or with the settings of another."""
    if clone:
        origin = (await known_campaign(console.ports, clone)).campaign
        base = dump_campaign(replace(origin, segment=""))
        path = f"{_NEW}?clone={origin.id}"
    else:
        base, path = _DEFAULT, _NEW
    sheet = Sheet(path=path, campaign="", typed={"id": ""} | forms.shown(base), base=base, fresh=True)
    return _answer(console, manager, sheet)


@post("/new-campaign", opt=FORM, status_code=201)
async def make_campaign(
    request: PageRequest, console: Site, manager: Manager, clone: FromQuery[str] = ""
) -> Response[str]:
    """Make a campaign; it begins as a draft."""
    typed = await typed_form(request, manager)
    again = _rearranged(typed)
    path = f"{_NEW}?clone={clone}" if clone else _NEW
    sheet = Sheet(
        path=path,
        campaign="",
        typed=again or typed,
        base=_base(typed, _DEFAULT),
        back="again" in typed,
        focus=_focus(typed, again),
    )
    sheet, campaign = _checked(console, sheet, manager.texts, None)
    if again is not None:
        return _answer(console, manager, sheet)
    if campaign is None:
        return _answer(console, manager, sheet, 422)
    try:
        await campaign_routes.create(console.ports, manager.key, campaign, list(_overrides(sheet)))
    except InputError as problem:
        return _answer(console, manager, replace(sheet, told=told(manager.texts, problem)), 422)
    except ApiError as error:
        return _refused(console, manager, sheet, error)
    return to(f"/console/campaigns/{campaign.id}?saved=1")


def _refused(console: Console, visit: Visit, sheet: Sheet, error: ApiError) -> Response[str]:
    """A form that the API's own rules have turned back.

    Raises:
        ApiError: it is nothing that whoever typed could mend.
    """
    match error.error:
        case "exists":
            problems = {**sheet.problems, "id": visit.texts("form.id_taken")}
            return _answer(console, visit, replace(sheet, problems=problems), 409)
        case "breaks_a_rule":
            return _answer(console, visit, sheet, 422)
        case _:
            raise error


# ---- a change


@get("/campaigns/{campaign:str}/settings")
async def campaign_settings(
    console: Site, staff: Staff, campaign: FromPath[str], opened: FromQuery[str] = ""
) -> Response[str]:
    """The form of a campaign's settings, with a section open that one comes for."""
    stored = await known_campaign(console.ports, campaign)
    return _answer(console, staff, replace(_on_record(stored), opened=opened))


def _on_record(stored: StoredCampaign) -> Sheet:
    id, base = stored.campaign.id, dump_campaign(stored.campaign)
    path = f"/console/campaigns/{id}/settings"
    return Sheet(path=path, campaign=id, typed=forms.shown(base), base=base, fresh=True)


@post("/campaigns/{campaign:str}/settings", opt=FORM, status_code=200)
async def change_settings(request: PageRequest, console: Site, staff: Staff, campaign: FromPath[str]) -> Response[str]:
    """Change a campaign's settings, unless somebody else has changed them since the form was made."""
    typed = await typed_form(request, staff)
    again = _rearranged(typed, _mappings(console, (await known_campaign(console.ports, campaign)).campaign.id))
    for _ in range(_TURNS):
        stored = await known_campaign(console.ports, campaign)
        record = _on_record(stored)
        base = _base(typed, record.base)
        sheet = replace(record, typed=again or typed, base=base, fresh=False, back="again" in typed)
        sheet = replace(sheet, focus=_focus(typed, again))
        found = forms.differences(base, forms.read(sheet.typed).settings, record.base)
        if found:
            sheet = replace(sheet, typed=forms.merged(sheet.typed, found), base=record.base, differences=found)
            sheet, _campaign = _checked(console, sheet, staff.texts, stored.campaign)
            return _answer(console, staff, sheet, 200 if again is not None else 409)
        sheet, changed = _checked(console, replace(sheet, base=record.base), staff.texts, stored.campaign)
        if again is not None:
            return _answer(console, staff, sheet)
        if changed is None:
            return _answer(console, staff, sheet, 422)
        try:
            await campaign_routes.save_changes(
                console.ports,
                staff.key,
                campaign,
                forms.read(sheet.typed).settings,
                list(_overrides(sheet)),
                version=settings_version(stored.campaign),
            )
        except InputError as problem:
            return _answer(console, staff, replace(sheet, told=told(staff.texts, problem)), 422)
        except ApiError as error:
            if error.error == "changed":
                continue
            return _refused(console, staff, sheet, error)
        return to(f"/console/campaigns/{stored.campaign.id}?saved=1")
    raise Told(409, staff.texts("form.changes_too_fast"))


# ---- while it is typed


@post("/campaign-check", opt=FORM, status_code=200)
async def check_form(request: PageRequest, console: Site, staff: Staff) -> Response[str]:
    """What is wrong with a form that is being typed: one line for each field, and the rules that it breaks."""
    typed = await typed_form(request, staff)
    name = typed.get("campaign", "")
    before = (await known_campaign(console.ports, name)).campaign if name else None
    sheet = Sheet(path="", campaign=name, typed=typed, base={})
    sheet, _campaign = _checked(console, sheet, staff.texts, before)
    if not name and "id" not in sheet.problems:
        known = await console.ports.campaigns.get(CampaignId(typed.get("id", "").strip()))
        if known is not None:
            sheet = replace(sheet, problems={**sheet.problems, "id": staff.texts("form.id_taken")})
    return page(console, "part_form_checked", staff.texts, visit=staff, sheet=sheet, forms=forms)


HANDLERS: Final = (
    campaigns,
    new_campaign,
    make_campaign,
    campaign_settings,
    change_settings,
    check_form,
)
