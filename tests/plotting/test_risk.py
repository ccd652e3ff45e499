import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgba

from ragft import plotting
from ragft.plotting.style import look
from ragft.types import RagftError

OWN = {"prompt": 1.0, "rag": 0.8, "finetuned": 1.0, "finetuned_rag": 0.85, "raft": 0.7}
END = {"prompt": 0.95, "rag": 0.2, "finetuned": 0.45, "finetuned_rag": 0.15, "raft": 0.19}


def make_curves(arms=tuple(OWN), asked=400, points=40):
    rows = []
    for arm in arms:
        for coverage in np.linspace(OWN[arm] / points, OWN[arm], points):
            risk = END[arm] * (coverage / OWN[arm]) ** 0.8
            n = round(coverage * asked)
            half = 2 * np.sqrt(risk * (1 - risk) / n)
            rows.append({"arm": arm, "coverage": coverage, "risk": risk, "n": n,
                         "low": max(0, risk - half), "high": min(1, risk + half),
                         "area": 0.55 * END[arm], "area_low": 0.5 * END[arm],
                         "area_high": 0.6 * END[arm]})  # fmt: skip
    return pd.DataFrame(rows)


def make_marks(arms=tuple(OWN)):
    return pd.DataFrame(
        [{"arm": a, "coverage": OWN[a], "risk": END[a], "low": 0.9 * END[a],
          "high": 1.05 * END[a]} for a in arms]
    )  # fmt: skip


@pytest.fixture(scope="module")
def figure():
    return plotting.risk_coverage(make_curves(), make_marks(), "Risk", "World.")


def lines(figure, arm, label=None):
    """Lines of an arm: its curve, or those that bear a label of their own."""
    found = [x for x in figure.axes[0].get_lines() if x.get_color() == look(arm).colour]
    if label is None:
        return [x for x in found if len(x.get_xdata()) > 2]
    return [x for x in found if x.get_label() == label]


def test_every_arm_is_a_line_from_50_answers_on(figure):
    curves = make_curves()
    for arm in OWN:
        (line,) = lines(figure, arm)
        rows = curves[(curves["arm"] == arm) & (curves["n"] >= 50)]
        np.testing.assert_allclose(line.get_xydata(), 100 * rows[["coverage", "risk"]].to_numpy())
        assert line.get_marker() == look(arm).marker
    assert figure.axes[0].get_ylim()[0] == 0 and figure.axes[0].get_xlim() == (0, 100)


def test_bands_are_the_limits(figure):
    rows = make_curves().query("arm == 'rag' and n >= 50")
    colour = to_rgba(look("rag").colour, 0.15)
    (band,) = [x for x in figure.axes[0].collections if tuple(x.get_facecolor()[0]) == colour]
    corners = {tuple(point) for point in band.get_paths()[0].vertices.round(6)}
    for name in ("low", "high"):
        points = (100 * rows[["coverage", name]]).round(6).itertuples(index=False, name=None)
        assert set(points) <= corners


def test_random_order_has_the_risk_of_the_whole(figure):
    for arm in OWN:
        (line,) = lines(figure, arm, "_random")
        np.testing.assert_allclose(line.get_ydata(), 100 * END[arm])


def test_a_mark_stands_where_the_arm_abstains(figure):
    for arm in OWN:
        (mark,) = lines(figure, arm, "_mark")
        np.testing.assert_allclose(mark.get_xydata(), [[100 * OWN[arm], 100 * END[arm]]])
        (bar,) = lines(figure, arm, "_bar")
        np.testing.assert_allclose(bar.get_ydata(), [90 * END[arm], 105 * END[arm]])


def test_names_areas_and_axes_are_written_and_nothing_lies_on_another(figure, texts, faults):
    shown = texts(figure)
    assert {"RAG", "Fine-tuned + RAG", "Tuned to read + RAG", "Risk"} <= set(shown)
    assert "area 11.0 % [10.0, 12.0]" in shown
    assert {"questions answered, % (surest first)", "wrong among answered, %"} <= set(shown)
    assert any("dotted: the same answers in random order" in text for text in shown)
    assert any("Large mark: where the arm itself stops" in text for text in shown)
    assert faults(figure) == []


def test_names_of_arms_of_one_risk_do_not_meet(faults):
    arms = ["prompt", "fewshot", "rag", "finetuned", "finetuned_rag", "raft", "oracle"]
    one = make_curves(["rag"])
    curves = pd.concat([one.assign(arm=arm) for arm in arms])
    assert faults(plotting.risk_coverage(curves, title="Risk", note="World. " * 40)) == []


def test_without_marks_and_areas_nothing_is_said_of_them(texts):
    bare = make_curves().drop(columns=["area", "area_low", "area_high"])
    figure = plotting.risk_coverage(bare)
    assert not any("area" in text.lower() or "mark" in text for text in texts(figure))
    assert all(lines(figure, arm, "_mark") == [] for arm in OWN)
    none = plotting.risk_coverage(bare, make_marks().iloc[:0])
    assert texts(none) == texts(figure)


def test_what_is_not_known_is_left_blank(texts, faults):
    curves = make_curves()
    curves.loc[curves["arm"] == "rag", ["area", "area_low", "area_high"]] = None
    curves.loc[curves["arm"] == "raft", ["area_low", "area_high"]] = None
    marks = make_marks()
    marks.loc[marks["arm"] == "rag", "risk"] = None
    figure = plotting.risk_coverage(curves, marks)
    areas = [text for text in texts(figure) if text.startswith("area")]
    assert len(areas) == 4 and "area 10.5 %" in areas
    assert lines(figure, "rag", "_mark") == [] and len(lines(figure, "raft", "_mark")) == 1
    assert faults(figure) == []


def test_an_arm_with_few_answers_is_named_as_not_drawn(texts):
    curves = pd.concat([make_curves(["rag"]), make_curves(["raft"], asked=60)])
    figure = plotting.risk_coverage(curves)
    assert lines(figure, "raft") == []
    written = [" ".join(text.split()) for text in texts(figure)]
    assert any("Not drawn, as it answers fewer: Tuned to read" in text for text in written)


def test_the_same_data_gives_the_same_bytes(figure, tmp_path):
    one = plotting.save(figure, tmp_path / "a.png").read_bytes()
    again = plotting.risk_coverage(make_curves(), make_marks(), "Risk", "World.")
    assert one == plotting.save(again, tmp_path / "b.png").read_bytes()
    assert int.from_bytes(one[16:20], "big") == 1600


def test_frames_that_cannot_be_drawn_are_errors():
    with pytest.raises(RagftError, match="no data to draw"):
        plotting.risk_coverage(pd.DataFrame())
    with pytest.raises(RagftError, match="no column 'n'"):
        plotting.risk_coverage(make_curves().drop(columns="n"))
    with pytest.raises(RagftError, match="no arm has 50 answers"):
        plotting.risk_coverage(make_curves(asked=40))
    with pytest.raises(RagftError, match="no column 'coverage'"):
        plotting.risk_coverage(make_curves(), make_marks().drop(columns="coverage"))
    with pytest.raises(RagftError, match="no arm 'hybrid'"):
        plotting.risk_coverage(make_curves().assign(arm="hybrid"))
