"""Text in HTML that its readers do not see: found, taken out, and told.

It is where instructions for language models are planted. What is seen here: attributes, inline
styles, rules of style sheets within the page, comments, templates. What is not: style sheets
elsewhere, text in the colour of its ground, text moved off the page.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bs4 import BeautifulSoup, Tag

_STYLES = (
    ("display:none", re.compile(r"(?:^|[;\s])display\s*:\s*none\b", re.IGNORECASE)),
    (
        "visibility:hidden",
        re.compile(r"(?:^|[;\s])visibility\s*:\s*(?:hidden|collapse)\b", re.IGNORECASE),
    ),
    (
        "font-size:0",
        re.compile(r"(?:^|[;\s])font-size\s*:\s*[+-]?0*\.?0+(?![.\d])", re.IGNORECASE),
    ),
    ("opacity:0", re.compile(r"(?:^|[;\s])opacity\s*:\s*0*\.?0+(?![.\d])", re.IGNORECASE)),
)
_CSS_COMMENT = re.compile(r"/\*.*?(?:\*/|\Z)", re.DOTALL)
_BRACE = re.compile(r"([{}])")


def take_hidden(soup: BeautifulSoup) -> tuple[tuple[str, str], ...]:
    """Take scripts, styles and hidden text out of a page; return (way, words) of the hidden.

    Hidden elements without words are taken out and not told, nor are scripts and styles.
    """
    ways = _by_style_sheet(soup)
    for element in soup(["script", "style"]):
        element.extract()
    for element in soup.find_all(True):
        if way := _way(element):
            ways.setdefault(id(element), way)
    found = _comments(soup)
    for element in soup.find_all(True):
        # What lies inside an element taken out before is told with it.
        if id(element) in ways and not any(id(parent) in ways for parent in element.parents):
            found.append((ways[id(element)], element.get_text(" ", strip=True)))
    for element in soup.find_all(lambda tag: id(tag) in ways):
        element.extract()
    return tuple((way, " ".join(words.split())) for way, words in found if words.strip())


def _way(element: Tag) -> str:
    """Return how an element is hidden by its own name and attributes; '' where it is not."""
    if element.name == "template":
        return "template"
    if element.has_attr("hidden"):
        return "hidden attribute"
    if str(element.get("aria-hidden", "")).strip().lower() == "true":
        return "aria-hidden"
    return _style(str(element.get("style", "")))


def _style(declarations: str) -> str:
    return next((way for way, pattern in _STYLES if pattern.search(declarations)), "")


def _by_style_sheet(soup: BeautifulSoup) -> dict[int, str]:
    """Return how elements are hidden by the page's own style sheets, by the element's identity.

    Rules for one medium only (print, small screens) do not count.
    """
    ways: dict[int, str] = {}
    for selector, way in _hiding_rules(soup):
        try:
            chosen = soup.select(selector)
        except Exception:  # soupsieve does not know every selector, and a page may hold any
            continue
        for element in chosen:
            ways.setdefault(id(element), way)
    return ways


def _hiding_rules(soup: BeautifulSoup) -> Iterator[tuple[str, str]]:
    for sheet in soup("style"):
        for selector, declarations in _rules(_CSS_COMMENT.sub("", sheet.get_text())):
            if way := _style(declarations):
                yield selector, way


def _rules(css: str) -> Iterator[tuple[str, str]]:
    """Yield (selector, declarations) of a style sheet; rules within @media and the like are not."""
    depth, selector, declarations = 0, "", ""
    for part in _BRACE.split(css):
        if part == "{":
            depth += 1
        elif part == "}":
            depth = max(depth - 1, 0)
            if not depth and selector:
                yield selector, declarations
            selector, declarations = ("", "") if not depth else (selector, declarations)
        elif depth == 0:
            selector = part.rpartition(";")[2].strip()
        elif depth == 1:
            declarations += part


def _comments(soup: BeautifulSoup) -> list[tuple[str, str]]:
    from bs4 import Comment

    comments = soup.find_all(string=lambda text: isinstance(text, Comment))
    return [("comment", str(comment.extract())) for comment in comments]
