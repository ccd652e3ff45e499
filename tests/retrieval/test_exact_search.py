"""Exact search finds the best, whatever the vectors are kept in and asked beside."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragft import runtime
from ragft.retrieval import exact_search, first_look
from ragft.retrieval.exact_search import inner_product_search, rows_of
from ragft.retrieval.first_look import Codes


@given(st.integers(0, 30), st.integers(1, 5), st.integers(0, 40), st.integers(0, 2**32 - 1))
def test_search_is_exact(n, q, k, seed):
    rng = np.random.default_rng(seed)
    vectors = rng.integers(-2, 3, (n, 3)).astype(np.float32)  # small integers: many exact ties
    queries = rng.integers(-2, 3, (q, 3)).astype(np.float32)
    rows = np.flatnonzero(rng.random(n) < 0.5)
    for allowed in (None, rows):
        candidates = range(n) if allowed is None else allowed.tolist()
        found = list(inner_product_search(queries, vectors, k, allowed))
        assert len(found) == q
        for query, (indices, scores) in zip(queries, found, strict=True):
            slow = sorted(candidates, key=lambda i: -float(query @ vectors[i]))[:k]
            assert indices.tolist() == slow
            np.testing.assert_array_equal(scores, [query @ vectors[i] for i in slow])


@pytest.mark.parametrize("n", [511, 512, 513, 519, 520, 1003])
def test_search_in_parts_is_exact_and_equal_vectors_score_alike(n):
    rng = np.random.default_rng(n)
    drawn = rng.normal(size=(n // 2, 24)).astype(np.float32)
    vectors = np.concatenate([drawn, rng.permutation(drawn), drawn[: n - 2 * (n // 2)]])
    queries = rng.normal(size=(3, 24)).astype(np.float32)
    exact = queries.astype(float) @ vectors.T.astype(float)
    for (indices, scores), truth in zip(
        inner_product_search(queries, vectors, n), exact, strict=True
    ):
        np.testing.assert_allclose(scores, truth[indices], atol=1e-5)
        assert sorted(indices.tolist()) == list(range(n))
        if n >= 512:
            assert len(set(scores.tolist())) <= n // 2


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dimension", [3, 64, 384])
def test_among_few_vectors_a_query_finds_the_same_whatever_is_asked_beside_it(threads, dimension):
    torch, rng = pytest.importorskip("torch"), np.random.default_rng(0)
    for n in (1, 4, 63, 500):
        held = torch.from_numpy(rng.standard_normal((n, dimension), dtype=np.float32))
        asked = torch.from_numpy(rng.standard_normal((33, dimension), dtype=np.float32))
        with runtime.threads(threads):
            alone = [exact_search._products(asked[i : i + 1], held)[0] for i in range(len(asked))]
            together = exact_search._products(asked, held)
        np.testing.assert_array_equal(together, alone)
        np.testing.assert_allclose(alone, asked @ held.T, rtol=1e-4, atol=1e-4)


def test_search_in_blocks_equals_search_at_once(monkeypatch):
    rng = np.random.default_rng(0)
    vectors, queries = rng.integers(-9, 9, (50, 4)), rng.integers(-9, 9, (7, 4))
    whole = list(inner_product_search(queries, vectors, 5))
    monkeypatch.setattr("ragft.retrieval.exact_search._BLOCK", 100)
    blocks = list(inner_product_search(queries, vectors, 5))
    for one, other in zip(whole, blocks, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("look", [False, True])
def test_float16_is_searched_as_the_float32_that_it_is(count, look, monkeypatch):
    monkeypatch.setattr("ragft.retrieval.exact_search._CONVERTED", 700)
    monkeypatch.setattr(first_look, "pays", lambda *_: look)
    rng = np.random.default_rng(0)
    half = [rng.standard_normal((n, 24)).astype(np.float16) for n in (1800, 0, 5)]
    queries, full = rng.standard_normal((count, 24)).astype(np.float32), np.concatenate(half)
    found = [*inner_product_search(queries, half, 20, codes=Codes())]
    coarse = inner_product_search(queries.astype(np.float16), half, 20)
    assert all(a[0] in b for (a, _), (b, _) in zip(found, coarse, strict=True))
    expected = inner_product_search(queries, full.astype(np.float32), 20)
    for (rows, scores), (truth, exact) in zip(found, expected, strict=True):
        np.testing.assert_array_equal(rows, truth)
        np.testing.assert_allclose(scores, exact, rtol=1e-5)
        assert scores.dtype == np.float32


@given(st.lists(st.integers(0, 9), min_size=1, max_size=4), st.integers(0, 9), st.data())
def test_several_arrays_and_items_with_rows_are_one_array(sizes, k, data):
    rng = np.random.default_rng(sum(sizes))
    blocks = [rng.integers(-2, 3, (size, 3)).astype(np.float32) for size in sizes]
    whole = np.concatenate(blocks)
    queries = rng.integers(-2, 3, (2, 3)).astype(np.float32)
    for one, other in zip(
        inner_product_search(queries, blocks, k),
        inner_product_search(queries, whole, k),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)
    at = np.array(data.draw(st.lists(st.integers(0, max(0, len(whole) - 1)), max_size=12)), int)
    at = at if len(whole) else np.empty(0, int)
    items = np.flatnonzero(rng.random(len(at)) < 0.5)
    np.testing.assert_array_equal(rows_of(blocks, at), whole[at])
    for allowed in (None, items):
        for one, other in zip(
            inner_product_search(queries, blocks, k, allowed, at),
            inner_product_search(queries, whole[at], k, allowed),
            strict=True,
        ):
            np.testing.assert_array_equal(one, other)
