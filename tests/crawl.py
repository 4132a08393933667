"""All pages of a console in two languages, and which sentences are the same in both."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Final
from urllib.parse import urljoin, urlsplit

import aiohttp

#: Fewer words than these are names as often as not: "Redis", "Asterisk pbx".
WORDS: Final = 3
#: So many words of one language are no chance within a sentence of another.
RUN: Final = 4
#: What is in them is not read, or is somebody's data. `lang` on an element says the same of its text.
_SILENT: Final = frozenset({"script", "style", "bdi", "code", "textarea", "time", "datalist"})
_EMPTY: Final = frozenset({"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"})
#: Attributes that are read or read out.
_READ: Final = ("title", "aria-label", "placeholder", "alt")
#: Which language is shown is what is asked for.
_ASIDE: Final = "/console/language/"
_WORD: Final = re.compile(r"[^\W\d_]{2,}")


@dataclass
class Reading(HTMLParser):
    """What somebody sees of a page, and where it leads."""

    texts: set[str] = field(default_factory=set)
    links: set[str] = field(default_factory=set)
    _open: list[tuple[str, bool]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        silent = tag in _SILENT or (tag != "html" and "lang" in given)
        if tag == "a" and given.get("href"):
            self.links.add(given["href"] or "")
        if not silent and not self._silenced:
            self.texts.update(text for name in _READ if (text := " ".join((given.get(name) or "").split())))
        if tag not in _EMPTY:
            self._open.append((tag, silent))

    def handle_endtag(self, tag: str) -> None:
        # Tags that may be left open (li, p, tr) are closed by those around them.
        if any(name == tag for name, _ in self._open):
            while self._open.pop()[0] != tag:
                pass

    def handle_data(self, data: str) -> None:
        text = " ".join(data.split())
        if text and not self._silenced:
            self.texts.add(text)

    @property
    def _silenced(self) -> bool:
        return any(silent for _, silent in self._open)


def read(html: str) -> Reading:
    """A page, read."""
    reading = Reading()
    reading.feed(html)
    reading.close()
    return reading


def same(first: Reading, second: Reading, aside: Iterable[str] = ()) -> set[str]:
    """Texts of the second that stand in the first, if they have `WORDS` words, or that have `RUN` words from it.

    `aside`: what is left out of the look, because it is the same in every language.
    """
    theirs = {_without(text, aside) for text in first.texts}
    runs = {run for text in theirs for run in _runs(text)}
    return {
        text
        for text in second.texts
        for left in (_without(text, aside),)
        # What has no space in it is a name or an address.
        if " " in text and (not runs.isdisjoint(_runs(left)) or (left in theirs and len(_words(left)) >= WORDS))
    }


def _without(text: str, aside: Iterable[str]) -> str:
    for each in aside:
        text = text.replace(each, "…")
    return text


def _words(text: str) -> list[str]:
    # What has a slash is a path or an address. Capitals alone are an abbreviation, or a place: CO, FL, UTC.
    whole = " ".join(each for each in text.split() if "/" not in each)
    return [word.lower() for word in _WORD.findall(whole) if not word.isupper()]


def _runs(text: str) -> set[tuple[str, ...]]:
    words = _words(text)
    return {tuple(words[at : at + RUN]) for at in range(len(words) - RUN + 1)}


async def crawl(
    http: aiohttp.ClientSession, url: str, start: list[str], languages: tuple[str, str]
) -> dict[str, tuple[Reading, Reading]]:
    """Every page that links lead to, in both languages; of pages that differ in what is asked for, one each."""
    found: dict[str, tuple[Reading, Reading]] = {}
    waiting, met = deque(start), {_kind(path) for path in start}
    while waiting:
        path = waiting.popleft()
        pages = [await _page(http, url + path, language) for language in languages]
        if None in pages:
            continue
        first, second = (page for page in pages if page is not None)
        found[path] = (first, second)
        for link in sorted(first.links):
            to = urlsplit(urljoin(path, link))
            whole = f"{to.path}?{to.query}" if to.query else to.path
            ours = not to.netloc and to.path.startswith("/console") and not to.path.startswith(_ASIDE)
            if ours and _kind(whole) not in met:
                met.add(_kind(whole))
                waiting.append(whole)
    return found


def _kind(path: str) -> tuple[str, str]:
    """Of a table's rows one page is like another, and of pages that are asked for something one question."""
    to = urlsplit(path)
    return re.sub(r"/agents/[^/]+$", "/agents/one", to.path), re.sub(r"=[^&]*", "", to.query)


async def _page(http: aiohttp.ClientSession, url: str, language: str) -> Reading | None:
    """None: it is no page but a file, a stream, or leads elsewhere."""
    async with http.get(url, headers={"accept-language": language}, allow_redirects=False) as answer:
        if answer.status >= 500:
            raise AssertionError(f"{url}: {answer.status}")
        kind = answer.headers.get("content-type", "")
        if 300 <= answer.status < 400 or not kind.startswith("text/html"):
            return None
        return read(await answer.text())
