"""Words counted all at once give the numbers of bm25s, to the last bit."""

import bm25s
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragft.retrieval.counting import counted

WORDS = st.sampled_from(["the", "of", "a", "b", "c", "dé", "", "x.y", "1"])


@settings(deadline=None)
@given(
    st.lists(st.lists(WORDS, max_size=12), min_size=1, max_size=12).filter(any),
    st.floats(0.01, 3),
    st.floats(0, 1),
)
def test_equals_bm25s_to_the_last_bit(documents, k1, b):
    count, words, scores = counted(documents, k1, b)
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
    count, words, scores = counted(iter([["a", "b", "a"], [], ["b"]]), 1.5, 0.75)
    assert (count, words) == (3, {"a": 0, "b": 1})
    assert scores["indptr"].tolist() == [0, 1, 3] and scores["indices"].tolist() == [0, 0, 2]
    norm = {0: 1.5 * (0.25 + 0.75 * 3 / (4 / 3)), 2: 1.5 * (0.25 + 0.75 * 1 / (4 / 3))}
    by_hand = [2 * 2.5 / (2 + norm[0]), 2.5 / (1 + norm[0]), 2.5 / (1 + norm[2])]
    np.testing.assert_allclose(scores["data"], by_hand, rtol=1e-15)


@pytest.mark.parametrize("documents", [[], [[]], [[], []]])
def test_nothing_to_count(documents):
    count, words, scores = counted(documents, 1.5, 0.75)
    assert (count, words) == (len(documents), {})
    assert scores["indptr"].tolist() == [0] and not len(scores["data"])
