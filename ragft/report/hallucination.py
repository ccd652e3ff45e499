"""Tables of the hallucination experiments, in the columns that the pictures want."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ragft.report.frames import percent_table
from ragft.types import OUTCOMES

if TYPE_CHECKING:
    import pandas as pd

LIMITS = ("mean", "low", "high")


def outcomes_frame(
    summary: pd.DataFrame, conditions: Mapping[str, str], arms: Sequence[str] = ()
) -> pd.DataFrame:
    """Return a row per condition and arm with the share of every outcome.

    Parameters
    ----------
    summary : DataFrame
        Of a hallucination experiment.
    conditions : mapping of str to str
        Conditions in their order, and how each is shown; those without rows are left out.
    arms : sequence of str
        Those to show; all where empty.
    """
    import pandas as pd

    names = {"accuracy": "correct", "hallucination": "wrong"}
    chosen = summary[summary["condition"].isin(conditions)]
    chosen = chosen[chosen["arm"].isin(arms)] if arms else chosen
    rows = []
    for (condition, arm), part in chosen.groupby(["condition", "arm"], sort=False):
        row: dict[str, Any] = {"condition": condition, "arm": arm}
        for measure, mean, low, high, n in part[["measure", *LIMITS, "n"]].itertuples(index=False):
            name = names.get(measure, measure)
            if name in OUTCOMES:
                row |= {name: mean, "n": n}
            if name in ("correct", "wrong"):
                row |= {f"{name}_low": low, f"{name}_high": high}
        rows.append(row)
    frame = pd.DataFrame(rows)
    order = {name: place for place, name in enumerate(conditions)}
    frame = frame.sort_values("condition", key=lambda names: names.map(order), kind="stable")
    return frame.assign(condition=frame["condition"].map(conditions)).reset_index(drop=True)


def shares_table(summary: pd.DataFrame, measures: Sequence[str]) -> pd.DataFrame:
    """Return measures in per cent, '87.3 [84.1, 90.2]', by arm and condition.

    What is not defined for an arm under a condition is '–'.
    """
    shown = summary[summary["measure"].isin(measures)]
    table = percent_table(shown, ["arm", "condition"], "measure")
    return table.reindex(columns=list(measures)).fillna("–")


def examples_frame(
    answers: pd.DataFrame, arm: str, conditions: Sequence[str], count: int = 5
) -> pd.DataFrame:
    """Return what one arm said to the first questions under several conditions.

    As a DataFrame the texts are shown escaped.
    """
    mine = answers[(answers["arm"] == arm) & answers["condition"].isin(conditions)]
    mine = mine[mine["seed"] == mine["seed"].min()]
    shared = mine.groupby("question_id")["condition"].nunique() == len(conditions)
    chosen = [i for i in dict.fromkeys(mine["question_id"]) if shared[i]][:count]
    mine = mine[mine["question_id"].isin(chosen)]
    said = mine.assign(said=mine["text"] + " (" + mine["outcome"] + ")")
    table = said.pivot(index="question", columns="condition", values="said")
    order = dict.fromkeys(mine["question"])
    return table.loc[list(order), list(conditions)]


def remedies_frame(quantities: Mapping[str, Any], remedies: Mapping[str, str]) -> pd.DataFrame:
    """Return what every remedy changes in the stale share, by number of old versions."""
    import pandas as pd

    groups = {"old_1": "1 old version beside the right one", "old_2": "2 old versions"}
    rows = [
        {
            "group": group,
            "remedy": label,
            "arm": "rag",
            **{name: quantities[f"{remedy}_on_{old}"][name] for name in (*LIMITS, "n")},
        }
        for old, group in groups.items()
        for remedy, label in remedies.items()
        if f"{remedy}_on_{old}" in quantities
    ]
    return pd.DataFrame(rows)


def positions_frame(summary: pd.DataFrame) -> pd.DataFrame:
    """Return accuracy by the place of the right passage."""
    mine = summary[(summary["measure"] == "accuracy")]
    mine = mine[mine["condition"].str.startswith("position_")]
    places = mine["condition"].str.removeprefix("position_").astype(int)
    return mine.assign(position=places)[["arm", "position", *LIMITS, "n"]].reset_index(drop=True)


def doubts_frame(quantities: Mapping[str, Any], names: Mapping[str, str]) -> pd.DataFrame:
    """Return the AUROC of every measure of doubt, with its interval and n."""
    import pandas as pd

    rows = {
        label: {k: quantities[f"auroc_{name}"][k] for k in (*LIMITS, "n")}
        for name, label in names.items()
        if f"auroc_{name}" in quantities
    }
    return pd.DataFrame.from_dict(rows, orient="index")
