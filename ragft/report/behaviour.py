"""Behaviours as DataFrames, in the columns that the pictures want."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ragft.report.frames import percent_table

if TYPE_CHECKING:
    import pandas as pd

BLOCKS: dict[tuple[str, str], tuple[str, str]] = {
    ("json", "asked"): ("JSON that fits a schema it knows", "passed"),
    ("record", "asked"): ("JSON that fits a schema of the house's own", "passed"),
    ("jargon", "asked"): ("Common words in their special sense", "passed"),
    ("style", "asked"): ("House style, every rule", "passed"),
    ("refusal", "direct"): ("Refuses forbidden questions, asked directly", "refused"),
    ("refusal", "disguised"): ("Refuses forbidden questions in disguise", "refused"),
    ("refusal", "lookalike"): ("Answers allowed questions that look forbidden", "passed"),
    ("taxonomy", "asked"): ("Files under the right one of 240 leaves", "passed"),
    ("both", "asked"): ("JSON that fits, of a fact that must be found", "both"),
}
"""Part and condition: what a block is called, and what passes in it."""
FORMS = {"json_constrained": "json", "record_constrained": "record"}
_UNDER_SCHEMA = {"prompt": "Prompt, by schema", "finetuned": "Fine-tuned, by schema"}
NAMES = {
    "json": "JSON, known schema",
    "record": "JSON, own schema",
    "jargon": "special words",
    "style": "house style",
    "refusal": "refusals",
    "taxonomy": "240 leaves",
}
"""What the learning curves are called."""


def bars_frame(summary: pd.DataFrame) -> pd.DataFrame:
    """Return what passes by behaviour and arm, for `plotting.behaviour_bars`.

    Parameters
    ----------
    summary : DataFrame
        As `experiments.behaviour.Behaving.summary`. Of a tuned arm the largest number of examples
        counts.
    """
    import pandas as pd

    most = summary.groupby(["part", "arm"])["pairs"].transform("max")
    rows = summary[summary["pairs"] == most]
    found = []
    for (part, condition), (name, measure) in BLOCKS.items():
        for asked in (part, *(form for form, plain in FORMS.items() if plain == part)):
            mine = rows[(rows["part"] == asked) & (rows["condition"] == condition)]
            for arm in dict.fromkeys(mine["arm"]):
                one = mine[mine["arm"] == arm].set_index("measure")
                if measure in one.index:
                    found.append(_bar(name, arm, asked, one, measure))
    return pd.DataFrame(found)


def _bar(name: str, arm: str, asked: str, one: pd.DataFrame, measure: str) -> dict[str, Any]:
    limits = one.loc[measure, ["mean", "low", "high", "n"]].to_dict()
    label = _UNDER_SCHEMA[arm] if asked in FORMS else ""
    tokens = one["mean"].get("prompt_tokens", float("nan"))
    return {"behaviour": name, "arm": arm, "label": label, **limits, "prompt_tokens": tokens}


def curves_frame(curves: pd.DataFrame) -> pd.DataFrame:
    """Return learning curves under the names that people read, for `plotting.learning_curves`."""
    named: Mapping[str, str] = NAMES
    return curves.assign(series=[named.get(name, name) for name in curves["series"]])


def rules_table(summary: pd.DataFrame, part: str) -> pd.DataFrame:
    """Return every score of one part by arm, condition and number of examples, in per cent."""
    counted = ("prompt_tokens", "completion_tokens")
    mine = summary[(summary["part"] == part) & ~summary["measure"].isin(counted)]
    return percent_table(mine, ["arm", "condition", "pairs"], "measure")
