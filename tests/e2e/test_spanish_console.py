"""Every page of the console in Spanish, of a node with much out of order: no sentence of it is the English one."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio

from dialer.compliance.loader import find_folder
from dialer.queues.embedded import EmbeddedServer
from dialer.settings import Registries, Registry
from dialer.storage.keys import Keys
from tests.crawl import Reading, crawl, read, same
from tests.e2e.floor import CAMPAIGN, Floor, floor, phone, until

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

#: What is the same in every language, and why.
SAME = {
    'state in ["CA", "NY"] and debt > 100': "filters are written so",
    "cadencia registry build": "a command",
    "Invalid/unknown command: ShowDialPlan. Use Action: ListCommands to show available commands.": "Asterisk's words",
    "call.ended call.disposed": "types of messages",
    "campaign, list, agent, day, hour, outcome": "words of an address",
    "GET /console/system/audit.csv": "an action, as it stands in the record",
    "National Do Not Call Registry": "as the law names it, in the file of the country",
    "list of the state": "the same, for those of the states",
}
#: Pages to which no link leads.
START = [
    "/console/",
    "/console/system/doctor",
    "/console/history",
    "/console/campaigns/winter?contact=crm-1",
    "/console/campaigns/nowhere",
    "/console/reports?by=shoe",
    "/console/compliance/rules?name=US",
    "/console/compliance/rules?name=GB",
    "/console/compliance/rules?name=Atlantis",
]
LANGUAGES = ("en", "es")


class Site:
    """A manager's browser without a screen."""

    def __init__(self, made: Floor, http: aiohttp.ClientSession, csrf: str) -> None:
        self.floor = made
        self.http = http
        self.url = made.node.api_url
        self._csrf = csrf

    async def post(self, path: str, **form: str) -> tuple[Reading, Reading]:
        """What a form comes to, in both languages."""
        pages = []
        for language in LANGUAGES:
            headers = {"accept-language": language, "sec-fetch-mode": "navigate"}
            data = {"csrf": self._csrf, **form}
            async with self.http.post(f"{self.url}/console/{path}", data=data, headers=headers) as answer:
                pages.append(read(await answer.text()))
        return pages[0], pages[1]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory, valkey_server: EmbeddedServer) -> AsyncIterator[Site]:
    rules = find_folder(None)
    more = {"registries": Registries(lists=(Registry(name="robinson", max_age_days=31, answers=("ES-robinson",)),))}
    async with (
        floor(tmp_path_factory.mktemp("spanish"), valkey_server, rules=rules, more=more) as made,
        aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http,
    ):
        await made.begin(agents=1, campaign={"jurisdictions": ["ES"]})
        await made.push([1])
        _, key = await Keys(made.node.database).create("manager", "boss", now=made.now)
        await until(lambda: made.node.api_url, "the API is served")
        async with http.post(f"{made.node.api_url}/console/login", data={"key": key}) as answer:
            csrf = re.search(r'name="csrf" content="([0-9a-f]+)"', await answer.text())
        assert csrf is not None
        yield Site(made, http, csrf[1])


def english(pages: dict[str, tuple[Reading, Reading]]) -> dict[str, set[str]]:
    """Sentences that the Spanish pages have from the English ones, by page."""
    found = {path: same(*both, aside=SAME) for path, both in pages.items()}
    return {path: texts for path, texts in found.items() if texts}


async def test_no_page_in_spanish_has_a_sentence_of_the_english_one(site: Site) -> None:
    pages = await crawl(site.http, site.url, START, LANGUAGES)
    assert len(pages) > 25, sorted(pages)
    assert english(pages) == {}
    told = pages["/console/system/doctor"][1].texts
    assert any(
        text.endswith("todavía no se ha creado ninguna versión: créela con cadencia registry build") for text in told
    )
    assert any("ES-robinson" in text and "exige preguntar a" in text for text in told)
    assert any(text.startswith("la campaña no puede marcar: ") for text in pages[START[3]][1].texts)


async def test_what_forms_answer_in_spanish_is_not_english(site: Site) -> None:
    assert (
        english(
            {
                "verify": await site.post("compliance/evidence/verify", head=""),
                "another head": await site.post("compliance/evidence/verify", head=f"7:{'0' * 64}"),
                "no head": await site.post("compliance/evidence/verify", head="seven"),
                "consent": await site.post("compliance/consent", campaign=CAMPAIGN, contact="crm-1"),
                "no contact": await site.post("compliance/consent", campaign=CAMPAIGN, contact="nobody"),
                "search": await site.post("compliance/dnc/search", phone=phone(1)),
                "no number": await site.post("compliance/dnc/search", phone="12"),
                "history": await site.post("history", phone=phone(1)),
            }
        )
        == {}
    )


async def test_a_page_that_was_not_translated_would_be_noticed() -> None:
    before = read('<p>The list is empty now</p><p title="Look at this one">Winter</p><bdi>Not a word of ours</bdi>')
    assert same(before, before) == {"The list is empty now", "Look at this one"}
    after = read("<p>Lista (the list is empty now)</p><p>Winter</p><p lang='en'>The list is empty now</p>")
    assert same(before, after) == {"Lista (the list is empty now)"}
