"""One page over a grid of notebook runs: parameters, status, numbers, pictures, notebooks.

Everything on it is data and escaped. It is one file without scripts, with relative links.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ragft.files import atomic_write
from ragft.report.explanations import printable
from ragft.report.grid import counts, heads, read_runs, short
from ragft.report.text import number

HEADLINE = 3
"""Numbers of a run that stand in the table; all of them stand with the run's pictures."""
REST = 20
"""The page is written anew after so many times the time that writing it took."""
FEW = 6
"""Up to so many runs are shown unfolded."""
STYLE = """
body { font-family: sans-serif; margin: 1.5em; color: #222 }
table { border-collapse: collapse; margin: .7em 0 }
th, td { border: 1px solid #ccc; padding: .25em .6em; text-align: left; vertical-align: top }
th { background: #f2f2f2 } pre { white-space: pre-wrap; background: #f7f7f7; padding: .6em }
img { max-width: 46em; width: 100%; display: block; margin: .7em 0 }
.finished { color: #17692e } .failed, .interrupted { color: #a3201b; font-weight: bold }
"""


class PageWriter:
    """Keeps `index.html` of a grid up to date while its runs end.

    Parameters
    ----------
    folder : str or Path
        Of the grid.
    """

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)
        self._rest_until = 0.0

    def changed(self) -> None:
        """Write the page, unless that was done just now: it reads every run."""
        if time.monotonic() >= self._rest_until:
            began = time.monotonic()
            self.write()
            self._rest_until = time.monotonic() + REST * (time.monotonic() - began)

    def write(self) -> Path:
        """Write the page and return its path.

        Raises
        ------
        RagftError
            If the folder holds no grid, or cannot be written to.
        """
        return atomic_write(self._folder / "index.html", page(read_runs(self._folder)))


def page(runs: Sequence[Mapping[str, Any]]) -> str:
    """Return the page over a grid: parameters, status, numbers, pictures, links to notebooks."""
    parts = [
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">',
        # A second lock behind the escaping: whatever is on the page, nothing of it runs.
        '<meta http-equiv="Content-Security-Policy" content="script-src \'none\'; '
        "object-src 'none'; base-uri 'none'; form-action 'none'\">",
        f"<title>ragft batch</title><style>{STYLE}</style></head><body><h1>ragft batch</h1>",
        f"<p>{_text(counts(runs))} Intervals: 95 %.</p>",
        *_common(runs),
        _table(runs),
        *(_details(run, opened=len(runs) <= FEW) for run in runs),
        "</body></html>\n",
    ]
    return "\n".join(parts)


def _table(runs: Sequence[Mapping[str, Any]]) -> str:
    told = ["notebook", *heads(runs), "status", "seconds", "tries", "first numbers", "more"]
    rows = ["<tr>" + "".join(f"<th>{_text(head)}</th>" for head in told) + "</tr>"]
    for run in runs:
        status = run["status"]
        first = "<br>".join(_text(": ".join(pair)) for pair in run["metrics"][:HEADLINE])
        cells = [
            _notebook_link(run),
            *(_text(short(value)) for value in run["varied"].values()),
            f'<span class="{_text(status)}">{_text(status)}</span>',
            _text(number(run.get("seconds"))),
            _text(str(run.get("attempts", 0))),
            first or "–",
            f'<a href="#{_link(run["name"])[2:]}">{_text(run["name"])}</a>',
        ]
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    return f"<table>{''.join(rows)}</table>"


def _notebook_link(run: Mapping[str, Any]) -> str:
    name = _text(run["notebook"])
    if run["status"] != "finished":  # there is none, or one of an earlier run
        return name
    path = f"{run['name']}/{run['notebook']}.ipynb"
    return f'<a href="{_link(path)}">{name}</a>'


def _details(run: Mapping[str, Any], opened: bool) -> str:
    """Return what is known of one run: parameters, error, all numbers, pictures."""
    rows = [(name, short(value)) for name, value in run["parameters"].items()]
    machine = run.get("hardware") or {}
    told = {name: run.get(name) for name in ("date", "commit", "engine", "workers", "threads")}
    told |= {name: machine.get(name) for name in ("cpu", "cores", "gpus")}
    rows += [(name, short(value)) for name, value in told.items() if value is not None]
    parts = [_pairs(rows), _pairs(run["metrics"])]
    if run.get("error"):
        parts.append(f"<pre>{_text(run['error'])}</pre>")
    if run.get("timed") and (run.get("workers") or 1) > 1:
        parts.append("<p>Times of this run were measured beside other runs.</p>")
    for path in run["pictures"]:
        alt = _text(Path(path).stem)
        parts.append(f'<img src="{_link(path)}" alt="{alt}" loading="lazy">')
    state = " open" if opened or run.get("error") else ""
    head = f"<summary>{_text(run['name'])}: {_text(run['status'])}</summary>"
    return f'<details id="{_text(run["name"])}"{state}>{head}{"".join(parts)}</details>'


def _pairs(rows: Sequence[tuple[str, str]]) -> str:
    cells = (f"<tr><th>{_text(name)}</th><td>{_text(value)}</td></tr>" for name, value in rows)
    return f"<table>{''.join(cells)}</table>" if rows else ""


def _common(runs: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the parameters that all runs share."""
    if runs:
        shared = {k: v for k, v in runs[0]["parameters"].items() if k not in runs[0]["varied"]}
        if shared:
            told = ", ".join(f"{name} = {short(value)}" for name, value in shared.items())
            yield f"<p>In all runs: {_text(told)}.</p>"


def _text(text: str) -> str:
    """Return a text that is no markup; of a file's odd name, what UTF-8 can hold."""
    return escape(printable(text).encode("utf-8", "replace").decode())


def _link(path: str) -> str:
    """Return a relative link; './' keeps a name with a colon from being taken for a scheme."""
    return escape("./" + quote(os.fsencode(path)))
