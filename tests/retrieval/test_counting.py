"""Words counted all at once give the numbers of bm25s, to the last bit."""

import bm25s
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragft.retrieval.counting import numbered, renumbered, scored

WORDS = st.sampled_from(["the", "of", "a", "b", "c", "dé", "", "x.y", "1"])


@settings(deadline=None)
@given(
    st.lists(st.lists(WORDS, max_size=12), min_size=1, max_size=12).filter(any),
    st.floats(0.01, 3),
    st.floats(0, 1),
)
def test_equals_bm25s_to_the_last_bit(documents, k1, b):
    known = numbered(documents)
    count, words, scores = len(known.lengths), known.words, scored(known, k1, b)
    assert count == len(documents)
    peer = bm25s.BM25(k1=k1, b=b, method="atire", idf_method="lucene", dtype="float64")
    ids = [[words[token] for token in tokens] for tokens in documents]
    peer.index((ids, words), create_empty_token=False, show_progress=False)
    for name in ("indptr", "indices"):
        assert scores[name].tolist() == peer.scores[name].tolist()
    frequency = np.diff(scores["indptr"])
    idf = np.log(1 + (count - frequency + 0.5) / (frequency + 0.5))
    ours = np.repeat(idf, frequency) * scores["data"]
    np.testing.assert_allclose(ours, peer.scores["data"], rtol=5e-16, atol=0)


def test_by_hand():
    # |d0| = 3, |d2| = 1, mean 4/3; 'a' twice in d0
    known = numbered(iter([["a", "b", "a"], [], ["b"]]))
    assert known.words == {"a": 0, "b": 1} and known.bytes == 4 * 4 + 3 * 8
    assert (known.ids.tolist(), known.lengths.tolist()) == ([0, 1, 0, 1], [3, 0, 1])
    scores = scored(known, 1.5, 0.75)
    assert scores["indptr"].tolist() == [0, 1, 3] and scores["indices"].tolist() == [0, 0, 2]
    norm = {0: 1.5 * (0.25 + 0.75 * 3 / (4 / 3)), 2: 1.5 * (0.25 + 0.75 * 1 / (4 / 3))}
    by_hand = [2 * 2.5 / (2 + norm[0]), 2.5 / (1 + norm[0]), 2.5 / (1 + norm[2])]
    np.testing.assert_allclose(scores["data"], by_hand, rtol=1e-15)


DOCUMENTS = st.lists(st.lists(WORDS, max_size=5), max_size=8)


@settings(deadline=None)
@given(DOCUMENTS, DOCUMENTS, st.data())
def test_known_documents_keep_their_numbers(before, new, data):
    rows = st.integers(0, max(0, len(before) - 1))
    kept = data.draw(st.lists(rows, max_size=8)) if before else []
    order = data.draw(st.permutations([*kept, *[-1] * len(new)]))
    found = renumbered(numbered(before), np.array(order, np.int64), iter(new))
    others = iter(new)
    whole = numbered([before[row] if row >= 0 else next(others) for row in order])
    assert list(found.words.items()) == list(whole.words.items())
    for name in ("ids", "lengths"):
        np.testing.assert_array_equal(getattr(found, name), getattr(whole, name))
        assert getattr(found, name).dtype == getattr(whole, name).dtype


@pytest.mark.parametrize("documents", [[], [[]], [[], []]])
def test_nothing_to_count(documents):
    known = numbered(documents)
    assert len(known.lengths) == len(documents) and known.words == {}
    scores = scored(known, 1.5, 0.75)
    assert scores["indptr"].tolist() == [0] and not len(scores["data"])
