"""Latency and goodput against offered load: how many questions a second an arm holds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ragft.plotting.scales import log_axis
from ragft.plotting.style import (
    ARMS,
    REFERENCE,
    SMALL,
    WIDTH,
    caption,
    darker,
    halo,
    heading,
    look,
    require,
    sentences,
    styled,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CURVES = ("arm", "rate", "p50_value", "p95_value", "p95_low", "p95_high", "goodput", "grew", "n")
"""Columns of the curves of a throughput record."""
TOLD = (
    "Thick p95 with its interval, thin p50, both from the intended arrival. Triangles: queue grows."
)
FLOORS = "Dotted: the floor of one answer, its counted work at the measured rates of the machine."


@styled
def load_curves(
    curves: pd.DataFrame,
    capacities: pd.DataFrame,
    limit: float,
    title: str = "",
    note: str = "",
    floors: pd.DataFrame | None = None,
) -> Figure:
    """Draw latency (log) and goodput against offered load, an arm a colour.

    Parameters
    ----------
    curves : pandas.DataFrame
        One row per arm and offered load: `CURVES`, seconds and questions a second. Loads under
        which the queue `grew` have no steady latency and are marked at the upper edge.
    capacities : pandas.DataFrame
        One row per arm: `arm`, `rate` (NaN: no load met the limit), `low`, `high`.
    limit : float
        Seconds.
    title, note : str
    floors : pandas.DataFrame, optional
        One row per arm: `arm` and `floor`, the least seconds that one answer's work takes, drawn
        dotted.

    Raises
    ------
    RagftError
        No rows, a column is missing, or an unknown arm.
    """
    import matplotlib.pyplot as plt

    require(curves, CURVES)
    require(capacities, ["arm", "rate", "low", "high"])
    figure, (top, bottom) = plt.subplots(
        2, 1, figsize=(WIDTH, 4.8), sharex=True, height_ratios=[2.1, 1]
    )
    grew = curves["grew"].astype(bool)
    steady = curves[~grew]
    for arm in curves["arm"]:
        look(arm)
    arms = [arm for arm in ARMS if arm in set(curves["arm"])]
    below = {} if floors is None else {row["arm"]: row["floor"] for _, row in floors.iterrows()}
    below = {arm: below[arm] for arm in arms if math.isfinite(below.get(arm, math.nan))}
    for arm in arms:
        _arm(top, bottom, curves[curves["arm"] == arm].sort_values("rate"))
    seen = [limit, *steady[["p50_value", "p95_value"]].to_numpy(float).ravel(), *below.values()]
    seen = [value for value in seen if math.isfinite(value)]
    widest = float(curves["rate"].max())
    log_axis(top, min(seen), max(seen), room=2.2, axis="y")
    top.axhline(limit, color="black", lw=1, ls="--")
    top.annotate(
        f"limit {limit:g} s", (0, limit), xytext=(4, 2), textcoords="offset points",
        xycoords=("axes fraction", "data"), fontsize=SMALL, va="bottom", path_effects=halo(),
    )  # fmt: skip
    rows = capacities.set_index("arm")
    held = [arm for arm in arms if arm in rows.index and math.isfinite(rows.loc[arm, "rate"])]
    low, high = top.get_ylim()
    top.set_yticks([tick for tick in top.get_yticks() if low <= tick <= high])
    top.set_ylim(low / 2.2 ** len(held), high)  # room for what each arm holds
    for arm, floor in below.items():
        top.axhline(floor, color=look(arm).colour, lw=0.9, ls=":", label="_floor")
    for place, arm in enumerate(sorted(held, key=lambda arm: rows.loc[arm, "rate"])):
        _capacity(top, arm, rows.loc[arm], limit, place, widest)
    bottom.plot([0, widest], [0, widest], color=REFERENCE, lw=0.8, zorder=1)
    bottom.set(
        xlim=(0, 1.04 * widest), ylim=(0, 1.15 * float(curves["goodput"].max() or 1)),
        xlabel="offered load, questions a second (Poisson arrivals, open loop)",
        ylabel="answered in time,\nquestions a second",
    )  # fmt: skip
    top.set(ylabel="latency, s (log)")
    heading(figure, title)
    fewest, most = int(curves["n"].min()), int(curves["n"].max())
    span = f"{fewest:,}{f' to {most:,}' if most > fewest else ''}"
    said = f"{span} arrivals a point. Grey: all in time."
    nobody = [look(arm).label for arm in arms if arm not in held]
    none = f"No load met the limit: {', '.join(nobody)}." if nobody else ""
    least = f"{FLOORS} {_above(below, steady)}" if below else ""
    caption(figure, sentences(said, TOLD, least, none, note))
    return figure


def _arm(top: Axes, bottom: Axes, rows: pd.DataFrame) -> None:
    """Draw the two lines of an arm where the queue is steady, and marks where it grows."""
    style, grew = look(rows["arm"].iloc[0]), rows["grew"].astype(bool)
    steady = rows[~grew]
    face = "white" if style.hollow else style.colour
    top.plot(
        steady["rate"], steady["p95_value"].astype(float), "-", color=style.colour, lw=2,
        marker=style.marker, ms=4, markerfacecolor=face,
    )  # fmt: skip
    top.plot(steady["rate"], steady["p50_value"].astype(float), "-", color=style.colour, lw=1)
    limits = [steady[name].astype(float) for name in ("p95_low", "p95_high")]
    top.fill_between(steady["rate"], *limits, color=style.colour, alpha=0.15, lw=0)
    over = rows[grew]
    top.plot(
        over["rate"], np.full(len(over), 0.97), "^", color=style.colour, markerfacecolor="white",
        transform=top.get_xaxis_transform(), ms=5, label="_grew",
    )  # fmt: skip
    bottom.plot(
        rows["rate"], rows["goodput"].astype(float), "-", color=style.colour, lw=1.6,
        marker=style.marker, ms=4, markerfacecolor=face,
    )  # fmt: skip


def _above(floors: Mapping[str, float], steady: pd.DataFrame) -> str:
    """Say how far above the least time of an answer each arm is under the lightest load."""
    lightest = steady.sort_values("rate").groupby("arm")["p50_value"].first().astype(float)
    told = [
        f"{look(arm).label} {lightest[arm] / floor:.3g}×"
        for arm, floor in floors.items()
        if arm in lightest
    ]
    return f"p50 at the lightest load over it: {', '.join(told)}." if told else ""


def _capacity(
    axes: Axes, arm: str, row: pd.Series, limit: float, place: int, widest: float
) -> None:
    """Drop a line from the limit at the load that an arm holds, and say it."""
    style, rate = look(arm), float(row["rate"])
    low = axes.get_ylim()[0]
    axes.plot([rate, rate], [low, limit], color=style.colour, lw=1, label="_holds")
    limits = "" if _absent(row) else f" [{row['low']:.3g}, {row['high']:.3g}]"
    right = rate < 0.55 * widest
    axes.annotate(
        f"{style.label} holds {rate:.3g} a second{limits}", (rate, 0),
        xycoords=("data", "axes fraction"), xytext=(4 if right else -4, 4 + 11 * place),
        textcoords="offset points", ha="left" if right else "right", va="bottom", fontsize=8,
        fontweight="bold", color=darker(style.colour), path_effects=halo(),
    )  # fmt: skip


def _absent(row: pd.Series) -> bool:
    return not all(math.isfinite(float(row[name])) for name in ("low", "high"))
