import math

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from ragft import plotting
from ragft.types import RagftError

KINDS = ["correct", "abstained", "stale", "confused", "fabricated"]
ENDS = ["correct_low", "correct_high", "wrong_low", "wrong_high"]


def shares():
    row = {"correct": 0.5, "abstained": 0.1, "stale": 0.2, "confused": 0.15, "fabricated": 0.05}
    ends = {"correct_low": 0.4, "correct_high": 0.6, "wrong_low": 0.3, "wrong_high": 0.5}
    return pd.DataFrame([{"arm": arm, **row, **ends} for arm in ("rag", "prompt")])


def conditions(blocks=2, arms=("raft", "rag", "prompt")):
    """Every arm in every condition; the prompt needs no passage, so that it has none."""
    rows = []
    for block in range(blocks):
        for place, arm in enumerate(arms):
            correct = 0.9 - 0.08 * block - 0.04 * place
            rest = np.array([0.3, 0.4, 0.2, 0.1]) * (1 - correct)
            wrong = rest[1:].sum()
            rows.append(
                {"condition": f"with {block} old versions", "arm": arm, "correct": correct}
                | dict(zip(KINDS[1:], rest, strict=True))
                | {"correct_low": correct - 0.04, "correct_high": correct + 0.03}
                | {"wrong_low": wrong - 0.02, "wrong_high": wrong + 0.03}
                | {"n": 400, "applicable": arm != "prompt"}
            )
    frame = pd.DataFrame(rows)
    frame.loc[~frame["applicable"], [*KINDS, *ENDS, "n"]] = math.nan
    return frame


def bars(figure):
    """Left end, width and colour of the parts of each row, from the top."""
    rows = {}
    for part in figure.axes[0].patches:
        middle = round(part.get_y() + part.get_height() / 2, 6)
        rows.setdefault(middle, []).append(
            (part.get_x(), part.get_width(), to_hex(part.get_facecolor()).upper())
        )
    return [rows[y] for y in sorted(rows)]


def test_outcome_bars_show_the_shares_in_the_order_of_arms(texts, faults):
    figure = plotting.outcomes(shares(), "Outcomes", "n = 20")
    axes = figure.axes[0]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["Prompt only", "RAG"]
    widths = [round(p.get_width(), 6) for p in axes.patches][:5]
    assert widths == [50, 10, 20, 15, 5]
    assert "wrong 40 % [30, 50]" in texts(figure)
    assert faults(figure) == []


def test_undefined_shares_are_left_out_and_not_zero():
    frame = shares().assign(confused=float("nan"))
    figure = plotting.outcomes(frame)
    assert len([p for p in figure.axes[0].patches if p.get_width() > 0]) == 8


def test_a_saved_figure_is_the_same_twice_and_1600_pixels_wide(tmp_path):
    one = plotting.save(plotting.outcomes(shares()), tmp_path / "a.png").read_bytes()
    two = plotting.save(plotting.outcomes(shares()), tmp_path / "b.png").read_bytes()
    assert one == two and int.from_bytes(one[16:20], "big") == 1600
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "b.png"]


def test_no_data_and_missing_columns_are_errors():
    with pytest.raises(RagftError, match="no data to draw"):
        plotting.outcomes(pd.DataFrame())
    with pytest.raises(RagftError, match="no column 'correct'"):
        plotting.outcomes(pd.DataFrame({"arm": ["rag"]}))


def test_wrong_answers_of_no_known_kind_are_hatched_up_to_the_known_kinds(texts, faults):
    frame = shares().assign(confused=math.nan)
    figure = plotting.outcomes(frame, "Outcomes")
    # Stale 20 and fabricated 5 end at 100; of 40 wrong, 15 are of no known kind.
    assert [round(left) for left, _, _ in bars(figure)[0]] == [0, 50, 75, 95]
    hatched = [c for c in figure.axes[0].collections if c.get_hatch()]
    spans = [c.get_paths()[0].get_extents() for c in hatched]
    assert [(round(s.x0), round(s.x1)) for s in spans] == [(60, 75)] * 2
    shown = texts(figure)
    assert {"wrong, kind not known", "15", "wrong 40 % [30, 50]"} <= set(shown)
    assert faults(figure) == []
    assert "wrong, kind not known" not in texts(plotting.outcomes(shares()))


def test_each_condition_is_a_block_of_arms_whose_wrong_answers_end_at_100():
    frame = conditions()
    figure = plotting.outcomes_by_condition(frame, "Outcomes", "World.")
    rows = bars(figure)
    drawn = frame[frame["applicable"]].iloc[[1, 0, 3, 2]]
    assert len(rows) == len(drawn) == 4
    for parts, (_, row) in zip(rows, drawn.iterrows(), strict=True):
        want = 100 * row[KINDS].to_numpy(float)
        left, widths, colours = zip(*parts, strict=True)
        np.testing.assert_allclose(widths, want)
        assert list(colours) == [plotting.OUTCOMES[kind] for kind in KINDS]
        np.testing.assert_allclose(left[:3], [0, want[0], 100 - want[2:].sum()])
        assert left[-1] + widths[-1] == pytest.approx(100)
    names = [t.get_text() for t in figure.axes[0].get_yticklabels()]
    assert names == ["Prompt only", "RAG", "Tuned to read + RAG"] * 2


def test_whiskers_are_correct_above_and_all_wrong_below():
    frame = conditions(1)
    axes = plotting.outcomes_by_condition(frame).axes[0]
    places = dict(zip([t.get_text() for t in axes.get_yticklabels()], axes.get_yticks(),
                      strict=True))  # fmt: skip
    for arm, name in (("rag", "RAG"), ("raft", "Tuned to read + RAG")):
        row = frame[frame["arm"] == arm].iloc[0]
        near = [x for x in axes.get_lines() if abs(x.get_ydata()[0] - places[name]) < 0.5]
        upper, lower = sorted(near, key=lambda line: line.get_ydata()[0])
        np.testing.assert_allclose(upper.get_xdata(), 100 * row[ENDS[:2]].to_numpy(float))
        wrong = 100 * (1 - row[["wrong_high", "wrong_low"]].to_numpy(float))
        np.testing.assert_allclose(lower.get_xdata(), wrong)
    assert len(axes.get_lines()) == 4


def test_words_and_numbers_of_the_blocks(texts, faults):
    frame = conditions()
    figure = plotting.outcomes_by_condition(frame, "What became", "World.")
    shown = texts(figure)
    # RAG with 0 old versions: 86 correct; of 14 not, 3 in 10 abstained, so that 9.8 are wrong.
    assert {"with 0 old versions", "86", "wrong 10 % [8, 13]", "What became", *KINDS} <= set(shown)
    assert shown.count("not applicable") == 2 and shown.count("RAG") == 2
    told = " ".join(" ".join(shown).split())
    assert "n = 400 questions a bar. Whiskers: 95 %, upper for correct, lower for all" in told
    assert "abstaining is not wrong. World." in told
    # Shares below 8 % are not written: of stale ones there is one, 8.8.
    ticks = ["0", "20", "40", "60", "80", "100"]
    numbers = [text for text in shown if text.isdigit()]
    assert sorted(numbers) == sorted([*ticks, "86", "90", "78", "82", "9"])
    assert faults(figure) == []


def test_eight_conditions_of_six_arms_stay_apart_and_the_figure_grows_by_its_rows(faults):
    arms = ("prompt", "fewshot", "rag", "finetuned", "finetuned_rag", "raft")
    tall = plotting.outcomes_by_condition(conditions(8, arms), "Outcomes", "World.")
    small = plotting.outcomes_by_condition(conditions(7, arms), "Outcomes", "World.")
    assert faults(tall) == []
    assert tall.get_figwidth() == 8
    assert tall.get_figheight() - small.get_figheight() == pytest.approx(0.2 * 7.35)


def test_a_row_without_values_is_blank_and_one_without_interval_has_no_whisker(texts):
    frame = conditions(1)
    frame.loc[frame["arm"] == "rag", [*KINDS, *ENDS]] = math.nan
    frame.loc[frame["arm"] == "raft", ENDS] = math.nan
    figure = plotting.outcomes_by_condition(frame.assign(applicable=None))
    assert len(bars(figure)) == 1 and len(figure.axes[0].get_lines()) == 0
    shown = texts(figure)
    assert "RAG" in shown and "not applicable" not in shown and "wrong 7 %" in shown


def test_the_same_blocks_give_the_same_bytes(tmp_path):
    one, two = (
        plotting.save(plotting.outcomes_by_condition(conditions()), tmp_path / name).read_bytes()
        for name in ("a.png", "b.png")
    )
    assert one == two and int.from_bytes(one[16:20], "big") == 1600


def test_blocks_that_cannot_be_drawn_are_errors():
    frame = conditions()
    with pytest.raises(RagftError, match="no data to draw"):
        plotting.outcomes_by_condition(frame[:0])
    with pytest.raises(RagftError, match="no column 'wrong_low'"):
        plotting.outcomes_by_condition(frame.drop(columns="wrong_low"))
    with pytest.raises(RagftError, match="a row has no condition"):
        plotting.outcomes_by_condition(frame.assign(condition=None))
    with pytest.raises(RagftError, match="has 'raft' twice in 'with 0 old versions'"):
        plotting.outcomes_by_condition(pd.concat([frame, frame[:1]]))
    with pytest.raises(RagftError, match="no arm 'x'"):
        plotting.outcomes_by_condition(frame.assign(arm="x")[:1])
    with pytest.raises(RagftError, match="shares of 'rag' add up to 110 %"):
        plotting.outcomes_by_condition(frame.assign(correct=frame["correct"] + 0.1))
    with pytest.raises(RagftError, match="shares of 'rag' add up to 10000 %"):
        plotting.outcomes_by_condition(frame.assign(**{kind: 100 * frame[kind] for kind in KINDS}))
