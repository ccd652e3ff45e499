"""Results as DataFrames for notebooks, in the columns that the pictures want."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ragft.report.publish import model_line
from ragft.report.text import percent

if TYPE_CHECKING:
    import pandas as pd

    from ragft.corpora.corpus import Corpus
    from ragft.types import Hit


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


def percent_table(rows: pd.DataFrame, index: Sequence[str], columns: str) -> pd.DataFrame:
    """Return rows with mean, low and high as a table in per cent, '87.3 [84.1, 90.2]'.

    In the order of the rows; '–' where there is none.
    """
    shown = rows.assign(shown=[percent(row) for row in rows.to_dict("records")])
    return shown.pivot_table(
        index=list(index), columns=columns, values="shown", aggfunc="first", sort=False
    ).fillna("–")


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
