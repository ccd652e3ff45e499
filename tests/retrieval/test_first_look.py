"""A first look in bfloat16 loses nothing: what it leaves holds what exact search finds."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ragft import runtime
from ragft.retrieval import dense, first_look
from ragft.retrieval.dense import inner_product_search


def _drawn(seed, count, dimension, near):
    """Vectors of which many lie near each other, so that bfloat16 cannot tell them apart."""
    rng = np.random.default_rng(seed)
    centre = rng.standard_normal(dimension)
    made = centre + near * rng.standard_normal((count, dimension))
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def always(monkeypatch):
    """A first look at everything, on any processor."""
    monkeypatch.setattr(first_look, "pays", lambda *_: True)


@settings(deadline=None, max_examples=40)
@given(
    st.integers(0, 2**32 - 1), st.integers(1, 30), st.sampled_from([1.0, 0.1, 0.003]),
    st.sampled_from([0.01, 1.0, 300.0]),
)  # fmt: skip
def test_what_is_left_holds_the_best(seed, k, near, length):
    vectors = length * _drawn(seed, 700, 24, near)
    queries = _drawn(seed + 1, 5, 24, near)
    best = np.argsort(-(queries.astype(np.float64) @ vectors.T.astype(np.float64)), axis=1)[:, :k]
    parts = [torch.from_numpy(part) for part in np.split(vectors, [300])]
    for items, truth in zip(
        first_look.candidates(torch.from_numpy(queries), parts, k), best, strict=True
    ):
        assert (np.diff(items) > 0).all() and np.isin(truth, items).all()


@settings(deadline=None, max_examples=200)
@given(st.integers(0, 2**32 - 1), st.integers(1, 500))
def test_no_product_is_farther_off_than_told(seed, dimension):
    rng = np.random.default_rng(seed)
    # numbers just above a power of two are rounded the most
    one, two = (1.0039 * 2.0 ** rng.integers(-3, 3, (2, dimension))).astype(np.float32)
    exact = float(one.astype(np.float64) @ two.astype(np.float64))
    halves = (torch.from_numpy(part).bfloat16() for part in (one, two))
    found = float(torch.dot(*(half.float() for half in halves)).bfloat16())
    far = first_look.error(dimension) * np.linalg.norm(one) * np.linalg.norm(two)
    assert abs(found - exact) <= far
    assert far < 0.013 * np.linalg.norm(one) * np.linalg.norm(two)


@pytest.mark.parametrize("near", [1.0, 0.01])
def test_a_search_finds_the_same_with_a_first_look_and_without(near, monkeypatch):
    vectors, queries = _drawn(0, 6000, 32, near), _drawn(1, 13, 32, near)
    vectors[[5, 900, 4400]] = vectors[17]  # equal scores stay in the order of the rows
    rows, at = np.arange(3, 6000, 2), np.random.default_rng(2).integers(0, 6000, 6500)
    blocks = np.split(vectors, [1000, 5000])
    for asked in ((vectors, 7), (blocks, 7), (vectors, 7, rows), (blocks, 7, rows, at),
                  (vectors, 7, rows[:4]), (vectors, 7, rows[:0])):  # fmt: skip
        monkeypatch.setattr(first_look, "pays", lambda *_: False)
        plain = list(inner_product_search(queries, *asked))
        monkeypatch.setattr(first_look, "pays", lambda *_: True)
        looked = list(inner_product_search(queries, *asked))
        assert len(plain) == len(looked) == 13
        for (one, scores), (other, again) in zip(plain, looked, strict=True):
            np.testing.assert_allclose(scores, again, rtol=0, atol=2e-6)
            assert scores.dtype == again.dtype and one.dtype == other.dtype
            if near == 1:  # else the order of the last bits decides
                assert one.tolist() == other.tolist()


def test_equal_vectors_have_equal_scores_in_the_order_of_the_rows(always):
    vectors = np.tile(_drawn(0, 1, 384, 1.0), (5000, 1))
    for items, scores in inner_product_search(_drawn(1, 2, 384, 1.0), vectors, 20):
        assert items.tolist() == list(range(20)) and len(set(scores.tolist())) == 1


def test_it_pays_for_many_queries_and_vectors_on_some_processors(monkeypatch):
    monkeypatch.setattr(first_look, "multiplies_bf16", lambda _: True)
    assert first_look.pays(32, 100_000, 10)
    assert not first_look.pays(1, 100_000, 10) and not first_look.pays(32, 1000, 1)
    assert not first_look.pays(32, 10_000, 100)  # too many would be left over
    monkeypatch.setattr(first_look, "multiplies_bf16", lambda _: False)
    assert not first_look.pays(32, 100_000, 10)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_single_query_scores_alike_on_one_core_and_on_two(threads):
    vectors, (query,) = _drawn(0, 3000, 48, 1.0), _drawn(1, 1, 48, 1.0)
    with runtime.threads(threads):
        scores = dense._products(torch.from_numpy(query[None]), torch.from_numpy(vectors))
    assert scores.shape == (1, 3000) and scores.dtype == np.float32
    np.testing.assert_allclose(scores[0], vectors @ query, rtol=0, atol=1e-6)
