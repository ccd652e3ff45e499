"""A first look at codes loses nothing: what it leaves holds what exact search finds."""

from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ragft import runtime
from ragft.retrieval import dense, first_look
from ragft.retrieval.dense import inner_product_search
from ragft.retrieval.first_look import Codes


def _drawn(seed, count, dimension, near):
    """Vectors of which many lie near each other, so that codes cannot tell them apart."""
    rng = np.random.default_rng(seed)
    centre = rng.standard_normal(dimension)
    made = centre + near * rng.standard_normal((count, dimension))
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def always(monkeypatch):
    """A first look at everything, on any processor."""
    monkeypatch.setattr(first_look, "pays", lambda *_: True)


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 2**32 - 1), st.integers(1, 30), st.sampled_from([1.0, 0.1, 0.003]),
    st.sampled_from([1e-42, 0.01, 1.0, 300.0]), st.integers(1, 5),
)  # fmt: skip
def test_no_product_is_farther_off_than_told_and_the_best_are_found(seed, k, near, length, count):
    vectors = length * _drawn(seed, 700, 24, near)
    vectors[[3, 8]] = 0
    vectors[5] *= 40  # one long vector among many, and numbers of unlike sizes in one
    vectors[:, 7] *= 9
    queries = _drawn(seed + 1, count, 24, near)
    queries[0, 1] = 0.5
    truth = queries.astype(np.float64) @ vectors.T.astype(np.float64)
    parts = [first_look.coded(torch.from_numpy(part)) for part in np.split(vectors, [300])]
    looks = first_look.looks(torch.from_numpy(queries), parts)
    for (seen, off), exact in zip(looks, truth, strict=True):
        assert (np.abs(seen - exact) <= off).all()
    with mock.patch.object(first_look, "pays", return_value=True):
        found = list(inner_product_search(queries, vectors, k, codes=Codes()))
    plain = inner_product_search(queries, vectors, k)
    for (_, scores), (_, expected) in zip(found, plain, strict=True):
        np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-6 * length)


def test_codes_are_whole_steps_of_each_vector():
    made = first_look.coded(torch.tensor([[1.27, -0.5, 0.004], [0.0, 0.0, 0.0]]))
    assert made.codes.tolist() == [[127, -50, 0], [0, 0, 0]]
    assert made.steps.tolist() == pytest.approx([0.01, 1.0])
    assert made.off == pytest.approx(0.004, rel=1e-3)
    assert made.longest == pytest.approx(np.sqrt(1.27**2 + 0.5**2 + 0.004**2))
    assert made.bytes == first_look.code_bytes(2, 3) == 14


def test_a_look_is_off_by_little_and_leaves_few(always, monkeypatch):
    vectors, queries = _drawn(0, 20_000, 384, 1.0), _drawn(1, 3, 384, 1.0)
    codes = first_look.coded(torch.from_numpy(vectors))
    assert all(off < 0.025 for _, off in first_look.looks(torch.from_numpy(queries), [codes]))
    monkeypatch.setattr(dense, "_compared", None)  # not all of them are compared after all
    found = list(inner_product_search(queries, vectors, 10, codes=Codes()))
    exact = np.argsort(-(queries.astype(np.float64) @ vectors.T.astype(np.float64)), axis=1)
    assert np.array_equal([rows for rows, _ in found], exact[:, :10])


@pytest.mark.parametrize("count", [1, 13])
@pytest.mark.parametrize("near", [1.0, 0.01])
def test_a_search_finds_the_same_with_a_first_look_and_without(near, count, always):
    vectors, queries = _drawn(0, 6000, 32, near), _drawn(1, count, 32, near)
    vectors[[5, 900, 4400]] = vectors[17]  # equal scores stay in the order of the rows
    rows, at = np.arange(3, 6000, 2), np.random.default_rng(2).integers(0, 6000, 6500)
    blocks, codes = np.split(vectors, [1000, 5000]), Codes()
    for asked in ((vectors, 7), (blocks, 7), (vectors, 7, rows), (blocks, 7, rows, at),
                  (vectors, 7, rows[:4]), (vectors, 7, rows[:0])):  # fmt: skip
        plain = list(inner_product_search(queries, *asked))
        looked = list(inner_product_search(queries, *asked, codes=codes))
        assert len(plain) == len(looked) == count
        for (one, scores), (other, again) in zip(plain, looked, strict=True):
            np.testing.assert_allclose(scores, again, rtol=0, atol=2e-6)
            assert scores.dtype == again.dtype and one.dtype == other.dtype
            if near == 1:  # else the order of the last bits decides
                assert one.tolist() == other.tolist()


def test_equal_vectors_have_equal_scores_in_the_order_of_the_rows(always):
    vectors = np.tile(_drawn(0, 1, 384, 1.0), (5000, 1))
    for items, scores in inner_product_search(_drawn(1, 2, 384, 1.0), vectors, 20, codes=Codes()):
        assert items.tolist() == list(range(20)) and len(set(scores.tolist())) == 1


def test_codes_are_made_once_for_an_array_and_forgotten_with_it(always, monkeypatch):
    made, coded = [], first_look.coded
    monkeypatch.setattr(first_look, "coded", lambda part: made.append(len(part)) or coded(part))
    blocks, codes, (query,) = np.split(_drawn(0, 900, 16, 1.0), [600]), Codes(), _drawn(1, 1, 16, 1)
    assert codes.bytes == 0
    for _ in range(2):
        list(inner_product_search(query[None], blocks, 3, codes=codes))
    assert made == [600, 300] and codes.bytes == 900 * 20
    blocks[1:] = [_drawn(2, 50, 16, 1.0)]  # only what is new is made
    list(inner_product_search(query[None], blocks, 3, codes=codes))
    assert made == [600, 300, 50] and codes.bytes == 650 * 20


@pytest.mark.parametrize("rows", [1, 2, 3, 17, 4097])
@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_products_of_codes_of_any_shape(count, rows):
    drawn = torch.Generator().manual_seed(0)
    for dimension in (2, 7, 32, 384):
        asked, codes = (
            torch.randint(-127, 128, (n, dimension), generator=drawn, dtype=torch.int8)
            for n in (count, rows)
        )
        expected = asked.double() @ codes.double().T
        assert torch.equal(first_look._products(asked, codes).double(), expected)


def test_arrays_without_a_row_and_with_one_are_searched_too(always, monkeypatch):
    vectors, queries = _drawn(0, 4500, 32, 1.0), _drawn(1, 3, 32, 1.0)
    blocks = np.split(vectors, [0, 1, 4097, 4097])  # none, one, a slab, none, the rest
    expected = [rows.tolist() for rows, _ in inner_product_search(queries, vectors, 4)]
    monkeypatch.setattr(dense, "_compared", None)
    for asked in (queries, queries[:1]):
        found = inner_product_search(asked, blocks, 4, codes=Codes())
        assert [rows.tolist() for rows, _ in found] == expected[: len(asked)]


@pytest.mark.parametrize("count", [1, 4])
def test_a_kernel_that_is_wrong_is_noticed(count, always, monkeypatch):
    """As that of torch 2.13 is for one query, the other way round."""
    vectors, queries = _drawn(0, 5000, 32, 1.0), _drawn(1, count, 32, 1.0)
    expected = [rows.tolist() for rows, _ in inner_product_search(queries, vectors, 9)]
    noise = np.random.default_rng(0)

    def wrong(one, other):
        shape = (len(one), other.shape[1])
        return torch.from_numpy(noise.integers(-90_000, 90_000, shape, dtype=np.int32))

    monkeypatch.setattr(torch, "_int_mm", wrong)
    found = inner_product_search(queries, vectors, 9, codes=Codes())
    assert [rows.tolist() for rows, _ in found] == expected


def test_it_pays_for_many_products_on_some_processors(monkeypatch):
    monkeypatch.setattr(first_look, "multiplies_int8", lambda: True)
    assert first_look.pays(1, 100_000, 10) and first_look.pays(8, 4096, 10)
    assert not first_look.pays(1, 20_000, 10) and not first_look.pays(32, 1000, 1)
    assert not first_look.pays(32, 10_000, 100)  # too many would be left over
    monkeypatch.setattr(first_look, "multiplies_int8", lambda: False)
    assert not first_look.pays(32, 100_000, 10)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_single_query_scores_alike_on_one_core_and_on_two(threads):
    vectors, (query,) = _drawn(0, 3000, 48, 1.0), _drawn(1, 1, 48, 1.0)
    with runtime.threads(threads):
        scores = dense._products(torch.from_numpy(query[None]), torch.from_numpy(vectors))
    assert scores.shape == (1, 3000) and scores.dtype == np.float32
    np.testing.assert_allclose(scores[0], vectors @ query, rtol=0, atol=1e-6)
