"""Retrieval drift over a real history, a line a day, and known items, as text and as a frame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ragft.report.text import columns, number, percent

if TYPE_CHECKING:
    import pandas as pd


def history_text(result: Mapping[str, Any]) -> str:
    """Return the drift table of `experiments.history`: both indexes side by side on each day."""
    days: dict[str, dict[str, Mapping[str, Any]]] = {}
    for row in result["summary"]:
        days.setdefault(row["day"], {})[row["index"]] = row
    gaps = {row["day"]: row for row in result["differences"]}
    head = ["asked on", "n", "passages", "recall@10 as made", "refreshed", "difference", "p"]
    head += ["MRR as made", "refreshed", "held as made"]
    cells = [
        [
            day,
            str(both["refreshed"]["n"]),
            str(both["refreshed"]["passages"]),
            percent(both["as made"]["recall@10"]),
            percent(both["refreshed"]["recall@10"]),
            percent(gaps[day]),
            number(gaps[day]["p"], ".3f"),
            percent(both["as made"]["mrr"]),
            percent(both["refreshed"]["mrr"]),
            percent(both["as made"]["held"]),
        ]
        for day, both in days.items()
    ]
    lines = [
        f"Index ({result['retriever']}) made on {result['made_on']}; headings and sentences are "
        "cut out of passages, which must be found again.",
        columns([head, *cells]),
        "All in per cent, with 95 % intervals over files; held: the index knew what was asked at "
        "all.",
    ]
    return "\n\n".join([*lines, f"Record: {result['record']}"])


def known_items_text(result: Mapping[str, Any]) -> str:
    """Return a line on the questions that were made, to follow a table; '' where none were."""
    if "known_items" not in result:
        return ""
    counts = result["known_items"]
    asked = ", ".join(f"{count} {kind}s" for kind, count in counts["questions"].items())
    left_out = ", ".join(f"{count} {reason}" for reason, count in counts["left_out"].items())
    return f"\nAsked: {asked}, cut out of passages. Left out: {left_out or 'none'}."


def known_items_frame(results: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Return what retrievers found of known items: a row each, every measure with its limits.

    Parameters
    ----------
    results : mapping
        Retriever to what `KnownItemRetrieval.to_dict` gives.
    """
    import pandas as pd

    rows = []
    for name, result in results.items():
        row: dict[str, Any] = {"retriever": name, "n": result["n"]}
        for measure in ("recall@10", "mrr", "ndcg@10"):
            found = result[measure]
            row |= {measure: found["mean"]}
            row |= {f"{measure} {end}": found[end] for end in ("low", "high")}
        rows.append(row)
    return pd.DataFrame(rows).set_index("retriever")
