import pandas as pd
import pytest

from ragft import plotting
from ragft.plotting.memory import MIB, PARTS
from ragft.types import RagftError

HELD = {"weights": 14, "adapter": 2, "keys and values": 3, "activations": 4, "encoder": 80,
        "index": 0.001, "passages": 1}  # fmt: skip


def make_parts(arms=("rag", "prompt"), sizes=(1, 16)):
    rows = [
        {"arm": arm, "together": n, "part": part,
         "bytes": MIB * held * (n if part in ("activations", "keys and values") else 1)
         * (arm == "rag" or part not in ("adapter", "encoder", "index", "passages"))}
        for arm in arms for n in sizes for part, held in HELD.items()
    ]  # fmt: skip
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def figure():
    return plotting.memory_split(make_parts(), "Memory", "World.")


def test_bars_are_as_long_as_what_is_held(figure):
    one, many = figure.axes
    assert sum(bar.get_width() for bar in one.patches) == pytest.approx(104.001 + 21)
    ends = {round(bar.get_x() + bar.get_width(), 3) for bar in many.patches}
    assert {209.001, 126.0} <= ends
    assert [t.get_text() for t in one.get_yticklabels()] == ["Prompt only", "RAG"]


def test_what_is_written_lies_on_nothing_and_slivers_have_no_key(figure, texts, faults):
    assert not faults(figure)
    written = " ".join(texts(figure))
    for word in (
        "language model",
        "embedding model",
        "209, 1.44×",  # 145.001 without what passes through
        "126, 2.03×",
        "16 questions at once",
        "World.",
    ):
        assert word in written
    keys = [text.get_text() for text in figure.legends[0].get_texts()]
    assert PARTS["index"][0] not in keys and PARTS["passages"][0] in keys


def test_what_cannot_be_told_is_left_out():
    parts = make_parts(sizes=(1,))
    parts.loc[parts["part"] == "activations", "bytes"] = float("nan")
    figure = plotting.memory_split(parts)
    assert sum(bar.get_width() for bar in figure.axes[0].patches) == pytest.approx(125.001 - 8)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (make_parts().iloc[:0], "there is no data"),
        (make_parts().drop(columns="bytes"), "no column 'bytes'"),
        (make_parts().replace("rag", "ragg"), "no arm 'ragg'"),
    ],
)
def test_what_cannot_be_drawn_is_said(parts, message):
    with pytest.raises(RagftError, match=message):
        plotting.memory_split(parts)
