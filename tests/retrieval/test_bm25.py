"""BM25's scores are rank-bm25's, in float64, with all its odd cases."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rank_bm25 import BM25Okapi

from ragft.retrieval.bm25 import BM25, tokenize
from ragft.types import RagftError

WORDS = st.sampled_from(["the", "of", "a", "b", "c", "dé", "", "x.y", "1"])
DOCUMENTS = st.lists(st.lists(WORDS, max_size=12), max_size=12)
QUERIES = st.lists(WORDS | st.just("never"), max_size=8)


@settings(deadline=None)
@given(
    DOCUMENTS.filter(any),
    QUERIES,
    st.floats(0.01, 3),
    st.floats(0, 0.99),
    st.floats(0, 1),
)
def test_scores_equal_rank_bm25(documents, query, k1, b, epsilon):
    expected = BM25Okapi(documents, k1=k1, b=b, epsilon=epsilon).get_scores(query)
    scores = BM25(k1, b, epsilon).fit(documents).scores(query)
    assert scores.dtype == np.float64
    np.testing.assert_allclose(scores, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_scores_and_order_equal_rank_bm25_with_very_common_terms(seed):
    rng = np.random.default_rng(seed)
    weights = 1 / np.arange(1, 501)
    words = np.array([f"w{i}" for i in range(500)])
    draw = lambda n: rng.choice(words, n, p=weights / weights.sum()).tolist()  # noqa: E731
    documents = [["w0", *draw(int(rng.integers(1, 80)))] for _ in range(400)]
    fast, slow = BM25().fit(documents), BM25Okapi(documents)
    for _ in range(30):
        query = ["w0", *draw(6)]
        expected = slow.get_scores(query)
        np.testing.assert_allclose(fast.scores(query), expected, rtol=0, atol=1e-9)
        order, scores = fast.search(query, top_k=400)
        np.testing.assert_allclose(expected[order], np.sort(expected)[::-1], rtol=0, atol=1e-9)
        np.testing.assert_array_equal(scores, fast.scores(query)[order])


def test_scores_by_hand():
    # 'a' is in 1 of 3 documents; |d0| = 2, mean length 5/3.
    scores = BM25().fit([["a", "b"], ["b", "c"], ["d"]]).scores(["a"])
    idf = math.log(2.5) - math.log(1.5)
    norm = 1.5 * (1 - 0.75 + 0.75 * 2 / (5 / 3))
    np.testing.assert_allclose(scores, [idf * 2.5 / (1 + norm), 0, 0], rtol=1e-12)


def test_very_common_term_gets_epsilon_of_the_mean_idf():
    # 'a' is in 3 of 4: raw idf log(1.5) - log(3.5) < 0; 'b' and 'c' in 1 of 4; 'd' in 2 of 4.
    bm25 = BM25(b=0.0).fit([["a", "b"], ["a", "c"], ["a", "d"], ["d"]])
    raw = [math.log(1.5 / 3.5), math.log(3.5 / 1.5), math.log(3.5 / 1.5), 0.0]
    np.testing.assert_allclose(bm25.scores(["a"])[:3], 0.25 * sum(raw) / 4, rtol=1e-12)


def test_a_repeated_query_term_counts_twice_and_an_unknown_one_not_at_all():
    bm25 = BM25().fit([["a", "b"], ["b"], ["c"]])
    np.testing.assert_allclose(bm25.scores(["a", "a", "z"]), 2 * bm25.scores(["a"]), rtol=1e-15)


@pytest.mark.parametrize("backend", ["bm25s", "rank_bm25"])
def test_empty_corpus_and_empty_documents(backend):
    empty = BM25(backend=backend).fit([])
    assert empty.scores(["a"]).shape == (0,) and empty.scores(["a"]).dtype == np.float64
    assert [part.shape for part in empty.search(["a"])] == [(0,), (0,)]
    assert BM25(backend=backend).fit([[], []]).scores(["a"]).tolist() == [0, 0]
    assert BM25(backend=backend).fit([[], ["a"], ["b"], ["c"]]).scores([]).tolist() == [0] * 4


@settings(deadline=None)
@given(DOCUMENTS.filter(any), QUERIES)
def test_both_backends_agree(documents, query):
    fast, slow = (BM25(backend=b).fit(documents).scores(query) for b in ("bm25s", "rank_bm25"))
    np.testing.assert_allclose(fast, slow, rtol=0, atol=1e-9)


def test_search_keeps_scores_of_zero_and_below_and_breaks_ties_by_index():
    # Every word is in most documents, so the mean idf is negative, and so are the scores.
    bm25 = BM25().fit([["a"], ["a"], ["z"], ["a", "z"], ["a", "z"]])
    indices, scores = bm25.search(["a"], top_k=99)
    assert scores[0] == 0 and indices[0] == 2
    assert scores[1:].max() < 0 and sorted(indices.tolist()) == [0, 1, 2, 3, 4]
    assert indices.tolist().index(0) < indices.tolist().index(1)


def test_search_of_several_queries_equals_one_by_one():
    bm25 = BM25().fit([["a", "b"], ["b", "c"], ["c", "d", "d"]])
    indices, scores = bm25.search([["d"], ["a", "c"]], top_k=2)
    for row, query in enumerate([["d"], ["a", "c"]]):
        one = bm25.search(query, top_k=2)
        assert indices[row].tolist() == one[0].tolist() and scores[row].tolist() == one[1].tolist()


@pytest.mark.parametrize("backend", ["bm25s", "rank_bm25"])
@pytest.mark.parametrize(("k1", "b"), [(0.0, 0.75), (1.5, 1.0)])
def test_absent_words_score_0_where_rank_bm25_divides_0_by_0(backend, k1, b):
    scores = BM25(k1, b, backend=backend).fit([["a"], [], ["c"], ["d"]]).scores(["a"])
    assert scores[0] > 0 and scores[1:].tolist() == [0, 0, 0]


def test_documents_may_come_from_a_generator():
    assert len(BM25().fit(text.split() for text in ("a b", "c"))) == 2


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda: BM25(backend="lucene"), "unknown backend 'lucene'"),
        (lambda: BM25().scores(["a"]), "nothing is indexed yet"),
        (lambda: BM25().fit(["not tokenised"]), "document must be a list of tokens"),
        (lambda: BM25().fit([["a"]]).scores("not tokenised"), "query must be a list of tokens"),
        (lambda: BM25().fit([["a"]]).search(["a"], top_k=0), "top_k must be .* not 0"),
    ],
)
def test_misuse_is_named(action, message):
    with pytest.raises(RagftError, match=message):
        action()


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", []),
        ("Hello, World!", ["hello", "world"]),
        ("sklearn.svm.SVC", ["sklearn.svm.svc", "sklearn", "svm", "svc"]),
        ("n_jobs", ["n_jobs", "n", "jobs"]),
        (
            "sklearn.model_selection.KFold",
            [
                "sklearn.model_selection.kfold",
                "sklearn",
                "model_selection",
                "kfold",
                "model",
                "selection",
            ],
        ),
        ("__init__", ["__init__", "init"]),
        ("version 1.5.2.", ["version", "1.5.2"]),
        ("Ärger über C", ["ärger", "über", "c"]),
    ],
)
def test_tokenize_keeps_identifiers_whole_and_in_parts(text, tokens):
    assert tokenize(text) == tokens


def test_the_memory_of_the_postings_grows_with_them():
    assert BM25().bytes == BM25().fit([[]]).bytes == 0
    small, large = (BM25().fit([["a", str(n)] for n in range(count)]).bytes for count in (5, 50))
    assert 5 * 2 * 8 <= small < large
    assert math.isnan(BM25(backend="rank_bm25").fit([["a"]]).bytes)


@pytest.mark.parametrize("most", [0, 2, 64])
def test_common_terms_score_alike_asked_once_or_often(most, monkeypatch):
    monkeypatch.setattr("ragft.retrieval.bm25.MOST_COLUMNS", most)
    rng = np.random.default_rng(most)
    documents = [[f"w{n}" for n in rng.geometric(0.2, 8)] for _ in range(200)]
    ours, reference = BM25().fit(documents), BM25Okapi(documents)
    for _ in range(2):
        for query in (["w1"], ["w1", "w2", "w1"], ["w3", "w12", "w1"], [f"w{n}" for n in range(9)]):
            np.testing.assert_allclose(ours.scores(query), reference.get_scores(query), atol=1e-9)
    assert len(ours._columns) <= most and bool(ours._columns) == bool(most)


@pytest.mark.parametrize("documents", [[["a", "b"], [], ["b", "c", "b"]], [[], []], []])
def test_postings_restore_what_was_fitted(documents):
    fitted = BM25().fit(documents)
    again = BM25().restored(len(documents), fitted.postings())
    assert len(again) == len(fitted) and again.bytes == fitted.bytes
    for query in (["a"], ["b", "b"], ["never"], []):
        np.testing.assert_array_equal(again.scores(query), fitted.scores(query))


def test_only_what_is_fitted_has_postings():
    for bm25 in (BM25(), BM25(backend="rank_bm25").fit([["a"]])):
        with pytest.raises(RagftError, match="only what bm25s has fitted has postings"):
            bm25.postings()
