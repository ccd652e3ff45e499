"""Where the time of an answer goes, and how its quantiles grow with the index or the prompt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ragft.plotting.names import Name, arm_name, name_ends
from ragft.plotting.scales import log_axis
from ragft.plotting.style import ARMS, WIDTH, caption, counts, heading, look, require, styled

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STAGES = {
    "embed": ("embed the question", "#1F5F5B", "-"),
    "search": ("search", "#1F5F5B", "--"),
    "prefill": ("read the prompt", "#8C510A", "-"),
    "decode": ("write the answer", "#8C510A", "--"),
    "server": ("answer of the server", "#8C510A", "-"),
    "own": ("everything else", "#777777", ":"),
}
"""Every stage: its name, and how its line is drawn; retrieval green, generation brown."""
LINES = {0.5: ("-", 2.0), 0.95: ("-", 1.0), 0.99: (":", 1.0)}
"""Style and width of the line of a quantile."""
TOLD = "Thick p50, thin p95, dotted p99."
FLOOR = "Thin grey: the least time by counted work and measured rates; names say how far above it."
BEYOND = "Dotted: extrapolated, as many ms above the floor as here, or as many times."


@styled
def stage_curves(
    stages: pd.DataFrame,
    quantiles: pd.DataFrame,
    label: str,
    title: str = "",
    note: str = "",
    drawn_from: float | None = None,
    floors: pd.DataFrame | None = None,
    beyond: pd.DataFrame | None = None,
) -> Figure:
    """Draw RAG's mean time a stage, and every arm's quantiles of the whole, on two log axes.

    Parameters
    ----------
    stages : pandas.DataFrame
        One row per stage and place: `stage`, `at` (above 0), `mean` (milliseconds). Means add
        up to the whole, quantiles do not. What is 0 is left out.
    quantiles : pandas.DataFrame
        One row per arm, place and quantile: `arm`, `at`, `q` (of 0.5, 0.95, 0.99), `value`
        (milliseconds), `n`. `at` NaN: the arm does not depend on it; its line is level.
    label : str
        Of the x axes.
    title, note : str
    drawn_from : float, optional
        Places above it have hollow marks: their vectors were drawn and not embedded.
    floors : pandas.DataFrame, optional
        `stage`, `at`, `floor` (milliseconds): the least time, a thin line below the stage's own,
        whose name says how many times the floor it is at its last place.
    beyond : pandas.DataFrame, optional
        `stage`, `at`, `low`, `high`: between what a stage's time would be farther on; its line
        goes on as a wedge with dotted edges.

    Raises
    ------
    RagftError
        No rows, a column is missing, or an unknown arm.
    """
    import matplotlib.pyplot as plt

    require(stages, ["stage", "at", "mean"])
    require(quantiles, ["arm", "at", "q", "value", "n"])
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.7))
    places = np.unique(np.concatenate([stages["at"], quantiles["at"].dropna()]).astype(float))
    known = stages[stages["mean"] > 0]
    names = [
        _stage(left, *(_of(stage, rows) for rows in (known, floors, beyond)), drawn_from)
        for stage in STAGES
        if stage in set(known["stage"])
    ]
    arms = [arm for arm in ARMS if arm in set(quantiles["arm"])]
    for arm in quantiles["arm"]:
        look(arm)
    ends = [_arm(right, quantiles[quantiles["arm"] == arm], places, drawn_from) for arm in arms]
    seen = [known["mean"]]
    seen += [floors["floor"]] if floors is not None else []
    seen += [beyond["low"], beyond["high"]] if beyond is not None else []
    farthest = places.max() if beyond is None else max(places.max(), beyond["at"].max())
    for axes, values, end, text in (
        (left, np.concatenate(seen), farthest, "mean of a stage, ms (log)"),
        (right, quantiles["value"], places.max(), "whole answer, ms (log)"),
    ):
        log_axis(axes, places.min(), end, room=1.1)
        log_axis(axes, values.min(), values.max(), room=1.3, axis="y")
        axes.set(xlabel=f"{label} (log)", ylabel=text)
    left.set_title("RAG, stage by stage")
    right.set_title("Every arm")
    heading(figure, title)
    hollow = "Hollow: vectors drawn around real ones." if drawn_from is not None else ""
    told = [counts(quantiles), TOLD, hollow]
    told += [FLOOR] if floors is not None else []
    told += [BEYOND] if beyond is not None else []
    caption(figure, " ".join(part for part in (*told, note) if part))
    name_ends(figure, [(left, names), (right, ends)])
    return figure


def _of(stage: str, rows: pd.DataFrame | None) -> pd.DataFrame | None:
    """Return the rows of a stage in the order of their places; None where there are none."""
    mine = None if rows is None else rows[rows["stage"] == stage].sort_values("at")
    return None if mine is None or mine.empty else mine


def _stage(
    axes: Axes,
    rows: pd.DataFrame,
    floors: pd.DataFrame | None,
    beyond: pd.DataFrame | None,
    drawn_from: float | None,
) -> Name:
    """Draw a stage, the floor below it and what lies beyond; name it at its end."""
    text, colour, style = STAGES[rows["stage"].iloc[0]]
    axes.plot(rows["at"], rows["mean"], style, color=colour, lw=1.6, clip_on=False)
    _marks(axes, rows["at"], rows["mean"], "o", colour, drawn_from)
    end = rows.iloc[-1]
    if floors is not None:
        axes.plot(floors["at"], floors["floor"], style, color="#999999", lw=0.7, label="_floor")
        text = f"{text}, {_times(end['mean'] / floors['floor'].iloc[-1])}"
    if beyond is not None:
        at = [end["at"], *beyond["at"]]
        edges = [[end["mean"], *beyond[limit]] for limit in ("low", "high")]
        for edge in edges:
            axes.plot(at, edge, ":", color=colour, lw=1.1, clip_on=False, label="_beyond")
        axes.fill_between(at, *edges, color=colour, alpha=0.15, lw=0)
        return Name(0, float(beyond["high"].iloc[-1]), "", text, colour)
    return Name(0, float(end["mean"]), "", text, colour)


def _times(ratio: float) -> str:
    return f"{ratio:.1f}×" if ratio < 10 else f"{ratio:.0f}×"


def _arm(axes: Axes, rows: pd.DataFrame, places: np.ndarray, drawn_from: float | None) -> Name:
    """Draw the quantiles of an arm, shaded between the lowest and the highest; name it at p95."""
    arm, style = rows["arm"].iloc[0], look(rows["arm"].iloc[0])
    level = rows["at"].isna().all()
    lines = {}
    for q, (dash, width) in LINES.items():
        mine = rows[rows["q"] == q].sort_values("at")
        if mine.empty:
            continue
        at = places[[0, -1]] if level else mine["at"].to_numpy(float)
        value = mine["value"].to_numpy(float)
        lines[q] = at, np.repeat(value, 2) if level else value
        axes.plot(*lines[q], dash, color=style.colour, lw=width, clip_on=False)
        if q == min(LINES) and not level:
            _marks(axes, *lines[q], style.marker, style.colour, drawn_from)
    bounds = [lines[q] for q in sorted(lines)]
    if len(bounds) > 1:
        axes.fill_between(
            bounds[0][0], bounds[0][1], bounds[-1][1], color=style.colour, alpha=0.15, lw=0
        )
    named = lines.get(0.95, bounds[-1])
    return arm_name(arm, "", 0, float(named[1][-1]))


def _marks(
    axes: Axes, at: pd.Series, value: pd.Series, marker: str, colour: str, drawn_from: float | None
) -> None:
    at, value = np.asarray(at, float), np.asarray(value, float)
    drawn = at > (np.inf if drawn_from is None else drawn_from)
    for chosen, face in ((~drawn, colour), (drawn, "white")):
        if not chosen.any():
            continue
        axes.plot(
            at[chosen], value[chosen], marker, color=colour, markerfacecolor=face, ms=4,
            clip_on=False, label="_mark",
        )  # fmt: skip
