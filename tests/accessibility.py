"""What makes a page of the console usable by everybody, measured in the browser that shows it."""

from __future__ import annotations

import asyncio
from importlib import resources
from typing import Final

from playwright.async_api import BrowserContext, Page

_AXE: Final = resources.files("axe_playwright_python") / "axe.min.js"
#: What counts: somebody cannot read or use it.
_GRAVE: Final = ("serious", "critical")
#: The rules that another theme or language can break; all others are about what a page is made of.
_OF_LOOKS: Final = {
    "runOnly": [
        *("color-contrast", "link-in-text-block", "html-has-lang", "html-lang-valid", "valid-lang", "document-title"),
        *("label", "link-name", "button-name", "image-alt", "aria-valid-attr-value", "select-name"),
    ]
}
_RUN: Final = """async ([grave, only]) => {
  // Colours that are on their way from one theme to the other are neither.
  await Promise.all(document.getAnimations().map((each) => each.finished.catch(() => null)));
  const found = await axe.run(document, { resultTypes: ["violations"], ...only });
  return found.violations
    .filter((each) => grave.includes(each.impact))
    .map((each) =>
      [each.impact, each.id, ...each.nodes.slice(0, 3).map((node) => node.html.slice(0, 150))].join("; "));
}"""
_WATCH: Final = """
window.walked = new Set();
window.unseen = new Set();
addEventListener("focusin", ({ target }) => {
  window.walked.add(target);
  const style = getComputedStyle(target);
  if (style.outlineStyle === "none" && style.boxShadow === "none") window.unseen.add(target);
}, true);
"""
#: Everything that can be used, but for the radio buttons of a group, which the arrow keys choose among.
_USABLE: Final = """() => [...document.querySelectorAll(
    "a[href], button, input, select, textarea, summary, audio, [tabindex]")]
  .filter((each) => each.checkVisibility({ visibilityProperty: true }) && !each.disabled && each.tabIndex !== -1)
  .filter((each) => each.type !== "radio")"""
#: Of a date or a time each part is a stop of its own.
_STOPS: Final = f"""() => ({_USABLE})().reduce((sum, each) => sum + (/date|time/.test(each.type) ? 6 : 1), 0)"""
_STICKS_OUT: Final = """() => {
  const room = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= room) return null;
  const out = [...document.body.querySelectorAll("*")].filter((each) => each.getBoundingClientRect().right > room + 1);
  return (out.at(-1) ?? document.body).outerHTML.slice(0, 160);
}"""
_NAME: Final = "(each) => each.outerHTML.slice(0, 120)"


async def watch(context: BrowserContext) -> None:
    """Have every page of a context carry what the other functions need; its own policy stays in force."""
    await context.add_init_script(_AXE.read_text("utf-8"))
    await context.add_init_script(_WATCH)


async def violations(page: Page) -> list[str]:
    """What axe finds on a page that is serious or critical."""
    found: list[str] = await page.evaluate(_RUN, [_GRAVE, {}])
    return found


async def violations_of_a_look(page: Page) -> list[str]:
    """The same, as far as another theme and another language can make it differ."""
    found: list[str] = await page.evaluate(_RUN, [_GRAVE, _OF_LOOKS])
    return found


async def too_wide(page: Page) -> list[str]:
    """What sticks out of a page, so that it has to be moved sideways."""
    sticks_out: str | None = await page.evaluate(_STICKS_OUT)
    return [] if sticks_out is None else [f"too wide: {sticks_out}"]


async def out_of_reach(page: Page) -> list[str]:
    """What the Tab key does not come to, and where one does not see that it has come."""
    await page.evaluate("() => { document.activeElement?.blur(); window.walked.clear(); window.unseen.clear(); }")
    stops: int = await page.evaluate(_STOPS)
    await asyncio.gather(*(page.keyboard.press("Tab") for _ in range(stops + 3)))
    missed: list[str] = await page.evaluate(
        f"() => ({_USABLE})().filter((each) => !window.walked.has(each)).map({_NAME})"
    )
    unseen: list[str] = await page.evaluate(f"() => [...window.unseen].map({_NAME})")
    return [f"out of reach: {each}" for each in missed] + [f"focus is not seen: {each}" for each in unseen]
