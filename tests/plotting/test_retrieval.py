import pandas as pd
import pytest

from ragft import plotting
from ragft.plotting.retrieval import MEASURES, STAGES
from ragft.types import RagftError

SETS = ("xquad", "cranfield", "made-up world")


def make_scores(sets=SETS, stages=STAGES):
    rows = []
    for s, name in enumerate(sets):
        for n, stage in enumerate(stages):
            for part in ("whole", "held out"):
                if part == "whole" and ("tuned" in stage or "reranked" in stage):
                    continue
                for measure in MEASURES:
                    mean = 0.9 - 0.25 * s + 0.02 * n
                    rows.append({"set": name, "part": part, "stage": stage, "measure": measure,
                                 "mean": mean, "low": mean - 0.03, "high": mean + 0.03,
                                 "n": 200 + s})  # fmt: skip
    return pd.DataFrame(rows)


def make_found():
    return pd.DataFrame(
        [
            {"corpus": corpus, "retriever": r, "top_k": k, "n": 80,
             "found": 0.5 + 0.05 * k, "found_low": 0.45 + 0.05 * k, "found_high": 0.55 + 0.05 * k,
             "accuracy": 0.4 + 0.03 * k + 0.02 * n, "accuracy_low": 0.33 + 0.03 * k,
             "accuracy_high": 0.48 + 0.03 * k}
            for corpus in ("made-up world", "networkx")
            for n, r in enumerate(("bm25", "dense", "hybrid"))
            for k in (1, 4, 8)
        ]
    )  # fmt: skip


@pytest.fixture(scope="module")
def scores():
    return plotting.stage_scores(make_scores(), "How well each stage ranks", "Seeds: 1.")


@pytest.fixture(scope="module")
def found():
    return plotting.found_and_right(make_found(), "Right answers", "Model: embedded.")


def marks(axes):
    """Return (x, y, hollow) of every mark that is drawn alone."""
    return [
        (float(x.get_xdata()[0]), float(x.get_ydata()[0]), x.get_markerfacecolor() == "white")
        for x in axes.get_lines()
        if len(x.get_xdata()) == 1
    ]


def test_every_collection_has_its_panel_and_every_stage_its_row(scores):
    assert [axes.get_title(loc="left") for axes in scores.axes] == list(SETS)
    labels = [label.get_text() for label in scores.axes[0].get_yticklabels()]
    assert labels == [style.label for style in STAGES.values()]
    drawn = sorted(marks(scores.axes[1]))
    # Three stages on all documents, all six on the held-out half below their rows.
    assert sum(hollow for *_, hollow in drawn) == len(STAGES)
    assert len(drawn) == len(STAGES) + 3
    assert (pytest.approx(0.65), 0.0, False) in drawn


def test_what_was_found_stands_against_what_was_right(found):
    first = found.axes[0]
    (line,) = [x for x in first.get_lines() if x.get_label() == "BM25"]
    assert list(line.get_xdata()) == pytest.approx([55, 70, 90])
    assert list(line.get_ydata()) == pytest.approx([43, 52, 64])
    (diagonal,) = [x for x in first.get_lines() if x.get_label() == "_diagonal"]
    assert list(diagonal.get_xdata()) == list(diagonal.get_ydata())


def test_every_panel_of_the_scatter_has_a_scale_of_its_own(texts):
    frame = make_found()
    names = [name for name in frame if name.startswith(("found", "accuracy"))]
    worse = frame["corpus"] == frame["corpus"].iloc[0]
    frame.loc[~worse, names] = 0.9 + 0.1 * frame.loc[~worse, names]
    figure = plotting.found_and_right(frame)
    wide, narrow = figure.axes[0].get_xlim(), figure.axes[1].get_xlim()
    assert wide[0] < narrow[0] < 100 * frame.loc[~worse, "accuracy_low"].min()
    assert narrow == figure.axes[1].get_ylim() and 100 < narrow[1] < wide[1]
    assert "Each panel has a scale of its own." in " ".join(texts(figure)).replace("\n", " ")


def test_what_is_written_lies_on_nothing(scores, texts, faults):
    assert not faults(scores)
    written = " ".join(texts(scores))
    for word in ("xquad", "hybrid, reranked", "0.900", "nDCG@10", "n = 200 to 202", "Hollow"):
        assert word in written


def test_the_scatter_says_how_many_passages(found, texts):
    written = texts(found)
    assert written.count("8") == 6
    assert "Numbers: passages shown." in " ".join(written).replace("\n", " ")


def test_without_trained_stages_nothing_is_hollow(texts):
    plain = make_scores(stages=("bm25", "dense"))
    figure = plotting.stage_scores(plain[plain["part"] == "whole"], measure="recall")
    assert "Hollow" not in " ".join(texts(figure))
    assert figure.axes[0].get_xlabel() == "recall@10"


@pytest.mark.parametrize(
    ("draw", "frame", "message"),
    [
        (plotting.stage_scores, make_scores().iloc[:0], "there is no data"),
        (plotting.stage_scores, make_scores().drop(columns="low"), "no column 'low'"),
        (plotting.stage_scores, make_scores().replace("bm25", "grep"), "no stage 'grep'"),
        (plotting.stage_scores, make_scores(tuple("abcde")), "5 collections are too many"),
        (plotting.found_and_right, make_found().replace("bm25", "grep"), "no retriever 'grep'"),
        (plotting.found_and_right, make_found().drop(columns="found"), "no column 'found'"),
    ],
)
def test_what_cannot_be_drawn_is_said(draw, frame, message):
    with pytest.raises(RagftError, match=message):
        draw(frame)
