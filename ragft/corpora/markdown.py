"""What the corpora need to know of Markdown: headings, comments, inline marks.

Only enough of the syntax to find titles and questions. How documents are cut into passages is
`chunking`'s matter, which knows its own headings because it works on spans of tokens.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_FRONT_MATTER = re.compile(
    r"\A---[ \t\r]*\n.*?^(?:---|\.\.\.)[ \t\r]*$\n?", re.DOTALL | re.MULTILINE
)
_HEADING = re.compile(r"^ {0,3}#{1,6}[ \t]+(?P<text>.*)")
_UNDERLINE = re.compile(r"^ {0,3}(?:=+|-{2,})[ \t\r]*$")
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})")
_COMMENT = re.compile(
    r"""(?P<code>
        ^\ {0,3}(?P<fence>`{3,}+|~{3,}+)[^\n]*+\n.*?(?:^\ {0,3}(?P=fence)[`~]*[ \t]*$|\Z)
        # Spans are short: a bound keeps a line of stray back-quotes from being read again and again
        |(?<!`)(?P<tick>`++)[^\n]{0,500}?(?<!`)(?P=tick)(?!`)
    )
    |<!--(?P<comment>.*?)(?:-->|\Z)  # one that never ends hides the rest, as a browser has it
    """,
    re.DOTALL | re.MULTILINE | re.VERBOSE,
)
_INLINE = (
    (re.compile(r"!\[([^\]]*)\]\([^()\s]*\)"), r"\1"),
    (re.compile(r"\[([^\]]*)\]\([^()]*\)"), r"\1"),
    (re.compile(r"<[a-zA-Z/][^<>]*>"), ""),
    (re.compile(r"`+|\*+|(?<!\w)_+|_+(?!\w)"), ""),
)


LONGEST_TITLE = 200
"""Characters of a title; what a broken file has more of is no title."""


class Heading(NamedTuple):
    """The words of a heading and where they stand: `text[start:end]`."""

    start: int
    end: int
    text: str


def headings(text: str) -> Iterator[Heading]:
    """Yield the headings of a text, in order: with `#` or underlined, not in fenced code.

    Empty headings and the block of metadata at the top ('front matter') are passed over.

    Examples
    --------
    >>> [h.text for h in headings("# One #\\n\\nTwo\\n===\\n```\\n# no heading\\n```\\n")]
    ['One', 'Two']
    """
    front = _FRONT_MATTER.match(text)
    position = front.end() if front else 0
    fence, before = "", (position, "")
    for line in text[position:].splitlines(keepends=True):
        mark, heading = _FENCE.match(line), _HEADING.match(line)
        if mark and (not fence or mark[1].startswith(fence)):
            fence = "" if fence else mark[1]
        elif not fence and heading and (words := _unclosed(heading["text"])):
            start = position + heading.start("text")
            yield Heading(start, start + len(words), words)
        elif not fence and _UNDERLINE.match(line) and before[1].strip():
            start = before[0] + len(before[1]) - len(before[1].lstrip())
            yield Heading(start, start + len(before[1].strip()), before[1].strip())
        before = (position, "" if heading or fence or mark else line)
        position += len(line)


def body(text: str) -> str:
    """Return a text without its headings and the block of metadata at its top.

    Examples
    --------
    >>> body("---\\na: b\\n---\\n## One\\nTwo.")
    '\\n## \\nTwo.'
    """
    front = _FRONT_MATTER.match(text)
    parts, position = ["\n"] if front else [], front.end() if front else 0
    for heading in headings(text):
        parts.append(text[position : heading.start])
        position = heading.end
    return "".join([*parts, text[position:]])


def _unclosed(text: str) -> str:
    """Return the text of a heading without the marks that may close it: 'One ##' is 'One'."""
    text = text.rstrip()
    words = text.rstrip("#")
    return words.rstrip() if not words or words[-1].isspace() else text


def title_of(text: str, default: str) -> str:
    """Return the words of the first heading, without inline marks; the default without one."""
    for heading in headings(text):
        if words := plain(heading.text[:LONGEST_TITLE]):
            return words
    return default


def plain(text: str) -> str:
    """Return the words of a line or a sentence without links, emphasis, code marks and tags.

    Examples
    --------
    >>> plain("See **the** [`guide`](a.md),  line_no")
    'See the guide, line_no'
    """
    for pattern, kept in _INLINE:
        text = pattern.sub(kept, text)
    return " ".join(text.split())


def without_comments(text: str) -> tuple[str, list[str]]:
    """Return a text without its HTML comments, which no reader sees, and what they said.

    Comments in code stay, where they are shown. Comments without a word are dropped unsaid.
    """
    said: list[str] = []

    def keep(match: re.Match[str]) -> str:
        if match["code"] is not None:
            return match["code"]
        said.append(" ".join(match["comment"].split()))
        return ""

    kept = _COMMENT.sub(keep, text)
    return kept, [words for words in said if words]
