import numpy as np
import pandas as pd
import pytest

from ragft import plotting
from ragft.plotting.style import look
from ragft.types import RagftError

SERVICE = {"prompt": 0.03, "rag": 0.12, "finetuned": 0.04}


def make_curves():
    rows = []
    for arm, service in SERVICE.items():
        for share in (0.2, 0.4, 0.6, 0.8, 0.95, 1.2):
            p50 = service * (1 + 0.5 * share / max(1 - share, 0.05))
            over = share > 1
            rows.append({
                "arm": arm, "rate": share / service, "n": 400, "grew": over,
                "p50_value": np.nan if over else p50, "p95_value": np.nan if over else 3 * p50,
                "p95_low": np.nan if over else 2.7 * p50, "p95_high": np.nan if over else 3.4 * p50,
                "goodput": (0.2 if over else share) / service,
            })  # fmt: skip
    return pd.DataFrame(rows)


def make_capacities():
    return pd.DataFrame(
        [{"arm": a, "rate": 0.8 / s, "low": 0.75 / s, "high": 0.9 / s} for a, s in SERVICE.items()]
    )


@pytest.fixture(scope="module")
def figure():
    return plotting.load_curves(make_curves(), make_capacities(), 1.0, "Load", "World.")


def lines(axes, arm, label=None):
    found = [x for x in axes.get_lines() if x.get_color() == look(arm).colour]
    if label:
        return [x for x in found if x.get_label() == label]
    return [x for x in found if x.get_label().startswith("_child")]


def test_latencies_are_drawn_where_the_queue_is_steady_and_no_further(figure):
    top = figure.axes[0]
    assert top.get_yscale() == "log"
    for arm in SERVICE:
        rows = make_curves().query("arm == @arm and not grew")
        p95, p50 = lines(top, arm)
        np.testing.assert_allclose(p95.get_xydata(), rows[["rate", "p95_value"]])
        np.testing.assert_allclose(p50.get_ydata(), rows["p50_value"])
        (grown,) = lines(top, arm, "_grew")
        np.testing.assert_allclose(grown.get_xdata(), [1.2 / SERVICE[arm]])
        assert grown.get_markerfacecolor() == "white"


def test_the_floor_of_an_answer_is_drawn_and_named(texts, faults):
    floors = pd.DataFrame({"arm": ["rag", "prompt", "raft"], "floor": [0.03, np.nan, 0.01]})
    figure = plotting.load_curves(make_curves(), make_capacities(), 1.0, "Load", "", floors)
    (line,) = lines(figure.axes[0], "rag", "_floor")
    assert set(line.get_ydata()) == {0.03} and not lines(figure.axes[0], "prompt", "_floor")
    # p50 at a fifth of the load: .12 · (1 + .5 · .2 / .8) = .135, 4.5 times the floor
    written = " ".join(" ".join(texts(figure)).split())
    assert "p50 at the lightest load over it: RAG 4.5×." in written  # the prompt's is not defined
    assert not faults(figure)


def test_goodput_is_drawn_at_every_load_beside_all_in_time(figure):
    bottom = figure.axes[1]
    for arm in SERVICE:
        (line,) = lines(bottom, arm)
        rows = make_curves().query("arm == @arm")
        np.testing.assert_allclose(line.get_xydata(), rows[["rate", "goodput"]])
    assert any(list(x.get_xdata()) == list(x.get_ydata()) for x in bottom.get_lines())


def test_what_an_arm_holds_drops_from_the_limit(figure, texts):
    for arm, service in SERVICE.items():
        (line,) = lines(figure.axes[0], arm, "_holds")
        assert list(line.get_xdata()) == [0.8 / service] * 2 and line.get_ydata()[1] == 1.0
    written = " ".join(texts(figure))
    assert "RAG holds 6.67 a second [6.25, 7.5]" in written and "limit 1 s" in written


def test_what_is_written_lies_on_nothing(figure, texts, faults):
    assert not faults(figure)
    assert any(text.startswith("400 arrivals a point.") for text in texts(figure))


def test_an_arm_that_holds_no_load_is_said(texts):
    capacities = make_capacities()
    capacities.loc[capacities["arm"] == "rag", ["rate", "low"]] = np.nan
    figure = plotting.load_curves(make_curves(), capacities, 1.0)
    assert not lines(figure.axes[0], "rag", "_holds")
    assert "No load met the limit: RAG." in " ".join(texts(figure)).replace("\n", " ")


@pytest.mark.parametrize(
    ("curves", "message"),
    [
        (make_curves().iloc[:0], "there is no data"),
        (make_curves().drop(columns="grew"), "no column 'grew'"),
        (make_curves().replace("rag", "ragg"), "no arm 'ragg'"),
    ],
)
def test_what_cannot_be_drawn_is_said(curves, message):
    with pytest.raises(RagftError, match=message):
        plotting.load_curves(curves, make_capacities(), 1.0)
