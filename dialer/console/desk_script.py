"""The script of a campaign as an agent reads it: a little Markdown, with the fields of the contact filled in; pure.

Headings (``#``, ``##``), lists (``-``), ``**bold**``, paragraphs. What a field says is text, whatever it looks like: it
is filled in after the script has been read, and escaped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from string import Formatter
from typing import Final

from markupsafe import Markup, escape

_HEADINGS: Final = {"## ": "h4", "# ": "h3"}
_ITEM: Final = "- "
_BOLD: Final = "**"


def script_html(script: str, values: Mapping[str, str]) -> Markup:
    """The script as HTML. A field that the contact has not shows its name, marked as missing."""
    parts: list[Markup] = []
    open_block = ""
    for line in script.splitlines():
        block, tag, text = _kind(line.strip())
        if open_block and block != open_block:
            parts.append(Markup("</%s>") % open_block)
            open_block = ""
        if not text:
            continue
        if block and not open_block:
            parts.append(Markup("<%s>") % block)
            open_block = block
        elif block == "p":
            parts.append(Markup("<br>"))
        inside = Markup().join(_inside(text, values))
        parts.append(Markup("<%s>%s</%s>") % (tag, inside, tag) if tag else inside)
    if open_block:
        parts.append(Markup("</%s>") % open_block)
    return Markup().join(parts)


def _kind(line: str) -> tuple[str, str, str]:
    """The element that a line stands in with its neighbours, its own element, and what it says."""
    for mark, tag in _HEADINGS.items():
        if line.startswith(mark):
            return "", tag, line.removeprefix(mark).strip()
    if line.startswith(_ITEM):
        return "ul", "li", line.removeprefix(_ITEM).strip()
    return ("p" if line else ""), "", line


def _inside(line: str, values: Mapping[str, str]) -> Iterator[Markup]:
    bold = False
    try:
        parts = list(Formatter().parse(line))
    except ValueError:
        # Not one that the settings would take today: as it stands.
        yield escape(line)
        return
    for text, name, _, _ in parts:
        for place, piece in enumerate(text.split(_BOLD)):
            if place:
                bold = not bold
                yield Markup("<strong>") if bold else Markup("</strong>")
            yield escape(piece)
        if name is not None:
            value = values.get(name, "")
            look = Markup("<mark>%s</mark>") if value else Markup('<mark class="missing">%s</mark>')
            yield look % (value or f"{{{name}}}")
    if bold:
        yield Markup("</strong>")
