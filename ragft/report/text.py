"""Results as text: tables of intervals for the command line."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any


def percent(interval: Mapping[str, Any] | None) -> str:
    """Return '87.3 [84.1, 90.2]', in per cent; '–' where it is undefined."""
    if interval is None or _absent(interval["mean"]):
        return "–"
    mean, low, high = (interval[name] for name in ("mean", "low", "high"))
    if _absent(low) or _absent(high):
        return f"{100 * mean:.1f}"
    return f"{100 * mean:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def _absent(value: float | None) -> bool:
    return value is None or math.isnan(value)


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as aligned columns; the first is the head."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    return "\n".join([lines[0], "  ".join("-" * w for w in widths), *lines[1:]])


def number(value: float | None, form: str = ".1f") -> str:
    """Return a number in a format; '–' where it is undefined."""
    return "–" if _absent(value) else format(value, form)


def comparison_text(result: Mapping[str, Any]) -> str:
    """Return the table of arms and the paired differences of a comparison."""
    shares = ["accuracy", "stale", "confused", "fabricated", "abstained"]
    shares += [n for n in ("misled", "shown_wrong") if any(n in row for row in result["arms"])]
    head = [
        "arm",
        "n",
        "seeds",
        *(f"{s.replace('_', ' ')} %" for s in shares),
        "p50 ms",
        "p95 ms",
        "training s",
    ]
    rows = [
        [
            row["arm"],
            str(row["n"]),
            str(row["seeds"]),
            *(percent(row.get(share)) for share in shares),
            number(row["latency_ms"]["p50"]),
            number(row["latency_ms"]["p95"]),
            number(row["training_seconds"]),
        ]
        for row in result["arms"]
    ]
    pairs = [
        [f"{d['a']} − {d['b']}", percent(d), number(d["p"], ".3f")]
        for d in result["differences"]
        if _told(d["a"], d["b"], [row["arm"] for row in result["arms"]])
    ]
    counts = ", ".join(f"{value} {name}" for name, value in result["counts"].items())
    parts = [columns([head, *rows]), f"Asked: {counts}. Intervals: 95 %."]
    leaks = [
        f"{row['arm']} trained on the words of {row['leakage']['questions']} asked questions."
        for row in result["arms"]
        if row["leakage"] and row["leakage"]["questions"]
    ]
    parts += leaks
    if pairs:
        parts.append(columns([["difference, accuracy in points", "a − b", "p"], *pairs]))
        parts.append("All pairs are in the record.")
    return "\n\n".join([*parts, f"Record: {result['record']}"])


def _told(a: str, b: str, arms: Sequence[str]) -> bool:
    """Tell whether a pair is worth a line: with the first arm or RAG, or made for each other."""
    pairs = {("finetuned", "placebo"), ("raft", "oracle_raft"), ("finetuned", "finetuned_rag")}
    return bool({a, b} & {arms[0], "rag"}) or (a, b) in pairs


def retrieval_text(result: Mapping[str, Any]) -> str:
    """Return the scores of a retriever."""
    names = ("recall@10", "ndcg@10", "mrr")
    rows = [[name, percent(result[name])] for name in names]
    lines = [f"n = {result['n']}, {result['queries_per_second']:.0f} queries a second"]
    if any(result["missing"].values()):
        lines.append(", ".join(f"{v} {k.replace('_', ' ')}" for k, v in result["missing"].items()))
    return "\n".join([columns([["score", "% [95 %]"], *rows]), *lines])


def intervals_text(values: Mapping[str, Mapping[str, Any]]) -> str:
    """Return named intervals, in per cent; seconds as they are."""
    rows = [["score", "value [95 %]", "n"]]
    for name, interval in values.items():
        shown = number(interval["mean"]) if "seconds" in name else percent(interval)
        rows.append([name, shown, str(interval["n"])])
    return columns(rows)


def bench_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return what a benchmark measured: median ratio, and the lowest and highest of the repeats."""
    head = ["stage", "size", "against", "ratio [lowest, highest]", "note"]
    shown = [f"{row['ratio']:.3f} [{row['low']:.3f}, {row['high']:.3f}]" for row in rows]
    cells = [
        [row["stage"], str(row["size"]), row["against"], ratio, row["note"]]
        for row, ratio in zip(rows, shown, strict=True)
    ]
    return columns([head, *cells])


def doctor_text(found: Mapping[str, Any]) -> str:
    """Return what `ragft doctor` found, one line each."""
    lines = []
    for part, values in found.items():
        lines.append(f"{part}:")
        lines += [f"  {name}: {value}" for name, value in values.items()]
    return "\n".join(lines)
