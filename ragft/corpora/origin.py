"""Where a corpus came from: the place, its pinned revision, what was left out, what was hidden.

Nothing is read here. Every reader of users' own documents (`files`, `git`, `datasets`) fills one
in, and whoever shows or records a result shows it too, so that nothing is dropped in silence.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

_NAMED = 5
"""Names shown for each reason in a text; `to_dict` has all."""


class Skipped(NamedTuple):
    """Something that was not read."""

    name: str
    """Of the file, relative to the place."""
    reason: str
    """In few words; the same words for the same reason."""
    detail: str = ""
    """What was found in this one."""


class Hidden(NamedTuple):
    """Text of a document that its readers do not see; it is not in the corpus."""

    name: str
    """Id of the document."""
    way: str
    """How it was hidden, such as 'display:none' or 'comment'."""
    text: str


@dataclass(frozen=True)
class Origin:
    """Where a corpus came from, and what did not come with it."""

    kind: str
    """'folder', 'git' or 'dataset'."""
    place: str
    """As it was given: a path, or the id of a dataset."""
    documents: int
    """How many came out of it."""
    revision: str = ""
    """What it is pinned by: a commit, the revision of a dataset; '' for a folder."""
    skipped: tuple[Skipped, ...] = ()
    hidden: tuple[Hidden, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    """Whatever else the reader counted, as JSON can hold it."""

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON can hold it; `skipped` also as a count."""
        return {
            "kind": self.kind,
            "place": self.place,
            "revision": self.revision,
            "documents": self.documents,
            **self.details,
            "skipped": {
                "count": len(self.skipped),
                "files": [item._asdict() for item in self.skipped],
            },
            "hidden": {
                "count": len(self.hidden),
                "texts": [item._asdict() for item in self.hidden],
            },
        }

    def __str__(self) -> str:
        at = f" at {self.revision}" if self.revision else ""
        lines = [f"{self.kind} {self.place}{at}: {self.documents} documents"]
        lines += [f"{name.replace('_', ' ')}: {value}" for name, value in self.details.items()]
        if self.skipped:
            lines.append(f"skipped: {len(self.skipped)}")
            lines += [f"  {line}" for line in reasons(self.skipped)]
        if self.hidden:
            lines.append(f"hidden text left out: {len(self.hidden)}")
            ways = [Skipped(item.name, item.way) for item in self.hidden]
            lines += [f"  {line}" for line in reasons(ways)]
        return "\n".join(lines)


def reasons(skipped: Sequence[Skipped], named: int = _NAMED) -> list[str]:
    """Return one line a reason, the commonest first: its count, and the first names.

    Examples
    --------
    >>> reasons([Skipped("a.txt", "empty"), Skipped("b.txt", "empty"), Skipped("c", "binary")])
    ['2 empty: a.txt, b.txt', '1 binary: c']
    """
    lines = []
    for reason, count in Counter(item.reason for item in skipped).most_common():
        every = dict.fromkeys(
            item.name + (f" ({item.detail})" if item.detail else "")
            for item in skipped
            if item.reason == reason
        )
        names = list(every)[:named]
        more = f" and {len(every) - named} more" if len(every) > named else ""
        lines.append(f"{count} {reason}: {', '.join(names)}{more}")
    return lines
