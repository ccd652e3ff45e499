"""What led to one answer, for a terminal and for a notebook.

Questions, answers and passages are data: escaped, and without what would steer a terminal.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from ragft.report.text import columns, number

if TYPE_CHECKING:
    from ragft.experiments.explanation import Explanation, Placed

_CODES = re.compile(
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"  # a title or a link, up to its end
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # a colour, a move of the cursor
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f]"  # control characters but tab and end of line
    r"|[\u200e\u200f\u202a-\u202e\u2066-\u2069]"  # that turn the direction of writing
)


def printable(text: str) -> str:
    """Return a text without what would steer a terminal: escape codes, control characters.

    Examples
    --------
    >>> printable("\\x1b[31mred\\x1b[0m")
    'red'
    """
    return _CODES.sub("", text)


@dataclass(frozen=True, repr=False)
class View:
    """Something that a notebook shows as HTML, and a terminal as text."""

    html: str
    text: str

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return self.html


def explanation_text(explanation: Explanation) -> str:
    """Return what led to an answer: verdict, passages shown, where the right ones stood, prompt.

    Passages are cut short where they are listed; the prompt holds them whole.
    """
    lines = [f"{name}: {value}" for name, value in _told_of(explanation)]
    parts = ["\n".join(lines)]
    for title, rows in _tables_of(explanation):
        short = [[*cells, text if len(text) <= 60 else text[:59] + "…"] for *cells, text in rows]
        parts.append(f"{title}\n{columns(short)}" if len(rows) > 1 else f"{title}\nnone")
    return "\n\n".join([*parts, f"Prompt\n{printable(explanation.prompt)}"])


def explanation_html(explanation: Explanation) -> View:
    """Return the same for a notebook; nothing of a document, question or answer becomes markup."""
    html = [_html_table(_told_of(explanation))]
    for title, (head, *rows) in _tables_of(explanation):
        html.append(f"<p><b>{escape(title)}</b></p>")
        html.append(_html_table(rows, head) if rows else "<p>none</p>")
    prompt = escape(printable(explanation.prompt))
    html.append(
        "<details><summary>Prompt</summary>"
        f'<pre style="white-space: pre-wrap">{prompt}</pre></details>'
    )
    # Without these classes a notebook would set what stands between dollar signs as a formula.
    inner = "".join(html)
    return View(
        f'<div class="tex2jax_ignore mathjax_ignore">{inner}</div>', explanation_text(explanation)
    )


def _html_table(rows: Iterable[Sequence[str]], head: Sequence[str] = ()) -> str:
    def row(cells: Sequence[str], tag: str) -> str:
        made = (f'<{tag} style="text-align: left">{escape(c)}</{tag}>' for c in cells)
        return f"<tr>{''.join(made)}</tr>"

    top = f"<thead>{row(head, 'th')}</thead>" if head else ""
    return f"<table>{top}<tbody>{''.join(row(cells, 'td') for cells in rows)}</tbody></table>"


def _told_of(explanation: Explanation) -> list[tuple[str, str]]:
    """Return name and value of what is known of the answer as a whole, printable."""
    from ragft.evaluation.tracing import MEANING

    question, cause = explanation.question, explanation.cause
    asked = f"{question.text} ({question.id})"
    cited = [f"{p.doc_id}[{p.start}:{p.end}]" for p in explanation.citations]
    stood = [f"{stage} {number(rank, '.0f')}" for stage, rank in explanation.ranks.items()]
    meant = f"{cause} ({MEANING[cause]})" if cause in MEANING else cause
    rows = [
        ("question", asked + (f", as of {explanation.day}" if explanation.day else "")),
        ("arm", f"{explanation.arm}, model {explanation.model}"),
        ("answer", explanation.answer.text),
        ("cited", ", ".join(cited)),
        ("right", " or ".join(explanation.right_answers)),
        ("outcome", explanation.outcome),
        ("cause", meant or ""),
        ("rank", ", ".join(stood)),
        ("left out", f"{explanation.left_out} passages" if explanation.left_out else ""),
    ]
    return [(name, _line(value) or "–") for name, value in rows]


def _tables_of(explanation: Explanation) -> list[tuple[str, list[list[str]]]]:
    """Return title and rows of the passages shown and of the right ones, printable, with a head."""
    stages = list(explanation.ranks)
    head = ["#", "right", "cited", *stages, "passage", "text"]
    candidates = f"rank (score) among {explanation.candidates} candidates"
    tables = {
        f"Passages shown, as in the prompt; {candidates}": explanation.shown,
        f"Where the right passages stood; {candidates}": explanation.right,
    }
    return [
        (title, [head, *(_placed_cells(placed, stages) for placed in rows)])
        for title, rows in tables.items()
    ]


def _placed_cells(placed: Placed, stages: Sequence[str]) -> list[str]:
    ranks, scores, passage = placed.candidate.ranks, placed.candidate.scores, placed.passage
    stood = [f"{ranks[s]} ({scores[s]:.3f})" if s in ranks else "–" for s in stages]
    cells = [
        "–" if placed.number is None else str(placed.number),
        "yes" if placed.right else "",
        "yes" if placed.cited else "",
        *stood,
        f"{passage.doc_id}[{passage.start}:{passage.end}]",
        passage.text,
    ]
    return [_line(cell) for cell in cells]


def _line(text: str) -> str:
    return " ".join(printable(text).split())
