"""Results for people: tables of intervals, pictures with the record behind them.

Knows records only and computes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from ragft.corpora.corpus import Corpus
    from ragft.types import Hit


def publish(figure: Figure, folder: str | Path, name: str, record: Mapping[str, Any]) -> Path:
    """Write a picture, and the record behind it as `data/NAME.json` beside it.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    folder : path
        Made if it is not there.
    name : str
        Such as '01_package_history'.
    record : mapping
        The record whose numbers the picture shows.

    Returns
    -------
    Path
        Of the picture.
    """
    from ragft.plotting import save

    keep(record, folder, name)
    return save(figure, Path(folder) / f"{name}.png")


def keep(record: Mapping[str, Any], folder: str | Path, name: str) -> Path:
    """Write a record as `data/NAME.json` in a folder of figures; return its path."""
    from ragft.records import atomic_write, to_json

    data = Path(folder) / "data"
    data.mkdir(parents=True, exist_ok=True)
    return atomic_write(data / f"{name}.json", to_json(record))


def model_line(record: Mapping[str, Any]) -> str:
    """Return what a caption says of a record: model, seeds, hardware, date, commit."""
    machine = record["hardware"]
    gpus = ", ".join(machine["gpus"] or []) or f"{machine['cores']} cores, {machine['cpu']}"
    return (
        f"Model: {record['profile']['model']}. Training seeds: {len(record['seeds'])}. "
        f"95 % intervals over questions and seeds. {gpus}; {record['date'][:10]}."
    )


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
    shares = ("accuracy", "stale", "confused", "fabricated", "abstained")
    head = ["arm", "n", "seeds", *(f"{s} %" for s in shares), "p50 ms", "p95 ms", "training s"]
    rows = [
        [
            row["arm"],
            str(row["n"]),
            str(row["seeds"]),
            *(percent(row[share]) for share in shares),
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


def shares_frame(result: Mapping[str, Any]) -> pd.DataFrame:
    """Return the outcome shares of a comparison, as `plotting.outcomes` draws them."""
    import pandas as pd

    rows = []
    for row in result["arms"]:
        shares = {name: row[name]["mean"] for name in ("stale", "confused", "fabricated")}
        rows.append(
            {
                "arm": row["arm"],
                "correct": row["accuracy"]["mean"],
                "abstained": row["abstained"]["mean"],
                **{k: float("nan") if v is None else v for k, v in shares.items()},
                "correct_low": row["accuracy"]["low"],
                "correct_high": row["accuracy"]["high"],
                "wrong_low": row["hallucination"]["low"],
                "wrong_high": row["hallucination"]["high"],
            }
        )
    return pd.DataFrame(rows)


def history_frame(corpus: Corpus) -> pd.DataFrame:
    """Return documents, facts and changed values at every release day of a package."""
    import pandas as pd

    from ragft.experiments.timeline import release_days

    rows = []
    previous: dict[tuple[str, str], str] = {}
    for day in release_days(corpus):
        now = {(f.subject, f.relation): f.value for f in corpus.facts if f.holds_on(day)}
        rows.append(
            {
                "day": day,
                "documents": sum(d.holds_on(day) for d in corpus.documents),
                "facts": len(now),
                "changed": sum(previous.get(k, v) != v for k, v in now.items()),
                "new": len(now.keys() - previous.keys()) if previous else 0,
                "gone": len(previous.keys() - now.keys()),
            }
        )
        previous = now
    return pd.DataFrame(rows).set_index("day")


def last_day(summary: pd.DataFrame) -> pd.DataFrame:
    """Return accuracy and stale share of facts that change, on the last day, in per cent."""
    mine = summary[(summary["group"] == "changing") & (summary["day"] == summary["day"].max())]
    mine = mine[mine["measure"].isin(("accuracy", "stale"))]
    shown = [percent(row) for row in mine.to_dict("records")]
    wide = mine.assign(shown=shown).pivot(
        index=["arm", "policy", "n"], columns="measure", values="shown"
    )
    return wide.reset_index()


def by_group(answers: pd.DataFrame) -> pd.DataFrame:
    """Return accuracy per arm, upkeep, group of facts and day, in per cent."""
    right = answers.assign(right=100.0 * (answers["outcome"] == "correct"))
    keys = ["group", "arm", "condition"]
    return right.pivot_table(index=keys, columns="day", values="right", sort=False).round(1)


def matrix_frame(summaries: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return accuracy over all questions, in per cent, by the day made and the day asked.

    Parameters
    ----------
    summaries : sequence of DataFrame
        Of freshness experiments on one corpus that begin on different days.
    """
    import pandas as pd

    rows = [
        part[(part["group"] == "all") & (part["measure"] == "accuracy")].assign(
            made=part["day"].min(), shown=100 * part["mean"]
        )
        for part in summaries
    ]
    index = ["arm", "policy", "made"]
    return pd.concat(rows).pivot(index=index, columns="day", values="shown").round(1)


def freshness_note(name: str, summary: pd.DataFrame, record: Mapping[str, Any]) -> str:
    """Return the caption of a freshness figure."""
    counts = {
        group: summary.loc[summary["group"] == group, "n"] for group in ("changing", "unchanging")
    }
    told = ", ".join(
        f"{n.min()} to {n.max()} {group}" if n.min() < n.max() else f"{n.min()} {group}"
        for group, n in counts.items()
        if len(n)
    )
    days = len(record["parameters"]["days"])
    return f"n = {told} facts a point, {days} days. Corpus: {name}. {model_line(record)}"


def hero_frame(record: Mapping[str, Any], kept_up: Mapping[str, str]) -> pd.DataFrame:
    """Return how wrong and how slow each arm is, under the policy that keeps it up.

    Parameters
    ----------
    record : mapping
        Of a freshness experiment.
    kept_up : mapping of str to str
        Arm to policy; the last day's answers of that line are counted.
    """
    import pandas as pd

    results, rows = record["results"], []
    last = max(row["day"] for row in results["summary"])
    timed = {row["arm"]: row for row in results["latencies"]}
    for row in results["summary"]:
        line = (row["arm"], row["policy"]) in kept_up.items()
        if line and (row["group"], row["measure"], row["day"]) == ("all", "hallucination", last):
            wrong = dict(zip(("wrong", "wrong_low", "wrong_high"),
                             (row["mean"], row["low"], row["high"]), strict=True))  # fmt: skip
            slow = {
                f"p95_s{end}": timed[row["arm"]][f"p95{end}"] / 1000
                for end in ("", "_low", "_high")
            }
            rows.append({"arm": row["arm"], "policy": row["policy"], **wrong, **slow})
    return pd.DataFrame(rows)


def quantities_frame(record: Mapping[str, Any]) -> pd.DataFrame:
    """Return the effects of a record that the ledger reads: mean, interval, n and unit."""
    import pandas as pd

    rows = {
        name: {k: found[k] for k in ("mean", "low", "high", "n", "seeds", "unit")}
        for name, found in record["results"]["quantities"].items()
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def hits_frame(hits: Sequence[Hit]) -> pd.DataFrame:
    """Return the passages of a search, best first; as a DataFrame they are shown escaped."""
    import pandas as pd

    columns = ["rank", "score", "from", "text"]
    rows = [(h.rank, h.score, h.passage.valid_from, h.passage.text) for h in hits]
    return pd.DataFrame(rows, columns=columns).set_index("rank")
