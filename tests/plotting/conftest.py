"""Made-up frames of the shape that the freshness experiment records."""

from __future__ import annotations

from types import SimpleNamespace

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

mpl.use("Agg")

EVENTS = ["2024-01-31", "2024-03-01"]
"""Days 30 and 60."""
DAYS = [0, 7, 14, 21, 29, 30, 31, 37, 44, 51, 59, 60, 61, 67, 74, 81, 90]
LINES = {
    "prompt": [""],
    "rag": ["never", "weekly", "nightly", "at once"],
    "finetuned": ["never", "monthly", "continued", "rehearsed"],
    "finetuned_rag": ["never", "nightly", "monthly"],
    "oracle": [""],
}
LAG = {"at once": 0, "nightly": 1, "weekly": 7, "continued": 3, "rehearsed": 3, "monthly": 29}
BEST = {"prompt": 0.02, "rag": 0.82, "finetuned": 0.76, "finetuned_rag": 0.9, "oracle": 0.95,
        "raft": 0.78}  # fmt: skip


def moved_by(day):
    """Share of questions whose answer has changed: slow drift, and two refreshes."""
    return 0.001 * day + 0.18 * (day >= 30) + 0.08 * (day >= 60)


def _behind(arm, policy, day):
    """Share of questions whose present answer the arm has not been given."""
    if policy in ("", "at once"):
        return 0.0
    if policy == "never":
        return moved_by(day)
    lag = 1 if (arm, policy) == ("finetuned_rag", "nightly") else LAG[policy]
    return moved_by(day) - moved_by(max(0, day - lag))


def _row(group, arm, policy, day, measure, mean):
    half = 1.96 * np.sqrt(max(mean * (1 - mean), 0.002) / 400)
    return {
        "group": group, "arm": arm, "policy": policy, "measure": measure,
        "day": str((pd.Timestamp("2024-01-01") + pd.Timedelta(days=day)).date()),
        "mean": mean, "low": max(0.0, mean - half), "high": min(1.0, mean + half),
        "n": 400, "seeds": 3, "se_seed": None, "method": "bootstrap", "missing": 0,
        "clusters": 200,
    }  # fmt: skip


def make_summary(lines=None, days=DAYS):
    rows = []
    for arm, policies in (lines or LINES).items():
        for policy in policies:
            loss = {"continued": 0.12, "rehearsed": 0.05}.get(policy, 0.0)
            for day in days:
                best = BEST[arm] - (loss if day >= 30 else 0)
                behind = _behind(arm, policy, day)
                changing = best * (1 - min(1.0, 2.6 * behind))
                values = {
                    ("all", "accuracy"): best * (1 - behind),
                    ("changing", "accuracy"): changing,
                    ("unchanging", "accuracy"): best,
                    ("all", "stale"): 0.8 * behind if arm not in ("prompt", "oracle") else 0.0,
                }
                rows += [_row(g, arm, policy, day, m, v) for (g, m), v in values.items()]
    return pd.DataFrame(rows)


def make_moved(days=DAYS):
    start = pd.Timestamp("2024-01-01")
    return pd.DataFrame(
        [{"day": str((start + pd.Timedelta(days=d)).date()), "share": moved_by(d)} for d in days]
    )


def make_comparison():
    rows = {
        "prompt": ("", 0.88, 0.009, 0.05),
        "rag": ("nightly", 0.11, 0.116, 0.31),
        "finetuned": ("monthly", 0.33, 0.018, 0.52),
        "finetuned_rag": ("monthly", 0.07, 0.12, 0.78),
    }
    found = []
    for arm, (policy, wrong, seconds, dollars) in rows.items():
        row = {"arm": arm, "policy": policy}
        for name, value in (("wrong", wrong), ("p95_s", seconds), ("dollars", dollars)):
            row |= {name: value, f"{name}_low": 0.9 * value, f"{name}_high": 1.1 * value}
        found.append(row)
    return pd.DataFrame(found)


SECONDS = {
    "rag": (4, 30, 90, 110),
    "finetuned": (60, 240, 400, 520),
    "finetuned_rag": (64, 150, 330),
}


def make_costs():
    rows = []
    for arm, policies in LINES.items():
        seconds = SECONDS.get(arm, (0,) * len(policies))
        for policy, spent in zip(policies, seconds, strict=True):
            late = {"never": 0.3, "monthly": 0.12, "weekly": 0.05}.get(policy, 0.02)
            mean = BEST[arm] * (1 - (late if policy else 0))
            rows.append({"arm": arm, "policy": policy, "seconds": float(spent), "mean": mean,
                         "low": mean - 0.03, "high": mean + 0.03})  # fmt: skip
    return pd.DataFrame(rows)


def claim(name, text, measured, low, high, claimed, effect, unit, verdict, n=400,
          figure="far too many words for the room", direction=1):  # fmt: skip
    return {
        "id": name, "claim": text, "figure": figure, "measured": measured, "low": low,
        "high": high, "claimed": claimed, "effect": effect, "unit": unit, "verdict": verdict,
        "n": n, "direction": direction,
    }  # fmt: skip


def make_claims():
    d, r, s = "difference", "ratio", "level"
    return [
        claim("F1", "an index left unattended loses retrieval precision after a catalogue "
              "refresh", -0.171, -0.2, -0.14, -0.19, d, "points", "supported", direction=-1),
        claim("F10", "where the domain stands still, tuning beats RAG", -0.06, -0.1, -0.02,
              0.042, d, "points", "contradicted", figure="+4.2 points"),
        claim("P1", "for new facts RAG beats fine-tuning", 0.18, 0.13, 0.23, 0.38, d, "points",
              "direction only"),
        claim("H2", "fine-tuning on curated dialogues cuts hallucination", -0.21, -0.44, 0.03,
              -0.27, d, "share", "undecided", direction=-1),
        claim("L1", "RAG is slower than a tuned model, end to end", 3.0, 2.8, 3.3, 5.4, r,
              "ratio", "direction only"),
        claim("L6", "RAG reads more prompt tokens a question", 9.8, 9.6, 10.1, 5.3, r, "ratio",
              "direction only", 12_000),
        claim("L5", "RAG needs more memory", 60, 50, 72, 3.2, r, "ratio", "direction only"),
        claim("H11", "real data scores below the benchmark", 0.12, 0.09, 0.15, [0.1, 0.15], d,
              "points", "supported", figure=""),
        claim("F3", "a RAG answer follows an edited document at the next query or the next "
              "nightly index, whatever happens to the rest of the collection in the meantime",
              1.0, 0.9, 1.1, 1, s, "days", "by construction", figure="same day"),
        claim("B1", "exact structured output", 0.997, 0.99, 1.0, 0.997, s, "share", "supported"),
        claim("C1", "fine-tuning pays for itself", 200, 150, 260, 11, s, "weeks", "contradicted"),
        claim("C2", "small tuned models win above a volume", 123_456, 98_765, 150_000, 100_000,
              s, "calls a day", "undecided"),
        claim("L2", "what retrieval adds", 0.02, 0.01, 0.03, [0.05, 0.8], s, "seconds",
              "direction not seen here", figure=""),
        claim("F7", "streaming LoRA updates take in new data without forgetting", -0.12, -0.15,
              -0.09, 0, s, "points", "direction not seen here", figure=""),
        claim("F8", "fine-tune the stable core, retrieve the volatile fringe", 0.063, 0.03, 0.1,
              None, d, "share", "supported", figure=""),
        claim("H3", "fabricated answers become rarer", -0.14, -0.16, -0.12, None, d, "share",
              "supported", figure="", direction=-1),
        claim("L9", "a 6 B model with FAISS answers in under a second on one CPU core", None,
              None, None, 1, s, "seconds", "not measured yet", None),
        claim("N1", "business outcomes", None, None, None, None, "none", "",
              "not testable here", None, direction=0),
        claim("L8", "caching takes the retrieval cost away", 40.0, 30, 50, None, r, "ratio",
              "supported"),
    ]  # fmt: skip


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="session")
def frames():
    """Factories of made-up frames; each call gives a new one."""
    return SimpleNamespace(
        summary=make_summary, moved=make_moved, comparison=make_comparison, costs=make_costs,
        claims=make_claims, claim=claim, events=EVENTS, days=DAYS, lines=LINES,
    )  # fmt: skip


def _beyond(axis):
    """Labels of ticks outside the limits, which are not drawn."""
    low, high = sorted(axis.get_view_interval())
    ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
    return {t.label1 for t in ticks if not low <= t.get_loc() <= high}


def _texts(figure):
    figure.draw_without_rendering()
    hidden = {t for axes in figure.axes for x in (axes.xaxis, axes.yaxis) for t in _beyond(x)}
    found = figure.findobj(mpl.text.Text)
    return [t for t in found if t.get_text().strip() and t.get_visible() and t not in hidden]


@pytest.fixture(scope="session")
def texts():
    """What is written on a figure."""
    return lambda figure: [t.get_text() for t in _texts(figure)]


@pytest.fixture(scope="session")
def faults():
    """Pairs of texts that lie on each other, texts that leave the canvas or are too small."""

    def find(figure):
        written = _texts(figure)
        boxes = [(t.get_text(), t.get_window_extent()) for t in written]
        width, height = figure.canvas.get_width_height()
        found = [
            (a, b)
            for i, (a, one) in enumerate(boxes)
            for b, two in boxes[i + 1 :]
            if one.x0 < two.x1 - 1
            and two.x0 < one.x1 - 1
            and one.y0 < two.y1 - 1
            and two.y0 < one.y1 - 1
        ]
        found += [
            (text, "outside")
            for text, box in boxes
            if box.x0 < 0 or box.y0 < 0 or box.x1 > width or box.y1 > height
        ]
        return found + [(t.get_text(), "small") for t in written if t.get_fontsize() < 7.5]

    return find


@pytest.fixture(scope="session")
def data():
    """Points of the lines of an axes that carry data, by (line style, width), NaN left out."""

    def read(axes, colour):
        return [
            (line.get_linestyle(), line.get_linewidth(), line.get_xydata())
            for line in axes.get_lines()
            if line.get_color() == colour and line.get_label() != "_lead"
        ]

    return read
