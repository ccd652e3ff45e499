"""A first look at codes loses nothing: what it leaves holds what exact search finds."""

from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ragft import runtime
from ragft.retrieval import exact_search, first_look
from ragft.retrieval.exact_search import inner_product_search
from ragft.retrieval.first_look import Codes, Looks


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
    (looks,) = first_look.looks(torch.from_numpy(queries), parts)
    told = looks.levels * looks.steps[:, None].astype(np.float64)
    assert (np.abs(np.maximum(truth, 0) - told) <= looks.offs[:, None]).all()
    with mock.patch.object(first_look, "pays", return_value=True):
        found = list(inner_product_search(queries, vectors, k, codes=Codes()))
    plain = inner_product_search(queries, vectors, k)
    for (_, scores), (_, expected) in zip(found, plain, strict=True):
        np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-6 * length)


def test_codes_are_whole_steps_of_each_vector():
    vectors = torch.tensor([[1.27, -0.5, 0.004], [0.0, 0.0, 0.0]])
    codes, steps, _ = first_look._rounded(vectors)
    assert codes.tolist() == [[127, -50, 0], [0, 0, 0]]
    made = first_look.coded(vectors)
    assert steps.tolist() == made.steps.tolist() == pytest.approx([0.01, 1.0])
    assert made.off == pytest.approx(0.004, rel=1e-3)
    assert made.longest == pytest.approx(np.sqrt(1.27**2 + 0.5**2 + 0.004**2))
    assert made.bytes == first_look.code_bytes(2, 3) == 22


def test_a_look_is_off_by_little_and_leaves_few(always, monkeypatch):
    vectors, queries = _drawn(0, 20_000, 384, 1.0), _drawn(1, 3, 384, 1.0)
    codes = first_look.coded(torch.from_numpy(vectors))
    (looks,) = first_look.looks(torch.from_numpy(queries), [codes])
    assert looks.offs.max() < 0.027 and looks.steps.max() < 1 / 150
    monkeypatch.setattr(exact_search, "_compared", None)  # not all of them are compared after all
    found = list(inner_product_search(queries, vectors, 10, codes=Codes()))
    exact = np.argsort(-(queries.astype(np.float64) @ vectors.T.astype(np.float64)), axis=1)
    assert np.array_equal([rows for rows, _ in found], exact[:, :10])


def _looks(levels, steps, offs):
    return Looks(np.array(levels, np.uint8), np.array(steps), np.array(offs))


def test_few_are_those_within_twice_what_a_level_can_be_off():
    looks = _looks([[9, 7, 4, 3, *[0] * 8], [0, 5, 5, 1, *[0] * 8]], [0.5, 2.0], [1.3, 0.9])
    owners, items = looks.few(1)  # 2 * 1.3 / 0.5 = 5.2 levels below 9, none below 5
    assert list(zip(owners.tolist(), items.tolist(), strict=True)) == [
        (0, 0), (0, 1), (0, 2), (1, 1), (1, 2),
    ]  # fmt: skip
    assert [part.tolist() for part in looks.few(1, np.array([3, 1, 0]))] == [[0, 0, 1], [1, 2, 1]]
    # Of the second query, level 0 is within what the highest can be off: too many for a look.
    wide = _looks(looks.levels, looks.steps, [1.3, 5.0])
    assert [part.tolist() for part in wide.few(1)] == [[0, 0, 0], [0, 1, 2]]
    for none in (looks.few(0), looks.few(3, np.arange(0))):
        assert [part.tolist() for part in none] == [[], []]


def test_products_that_no_level_allows_are_told_by_query():
    looks = _looks([[9, 0], [4, 1], [7, 7]], [0.5, 1.0, 1.0], [0.3, 0.1, 0.1])
    owners, rows = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    # A level of 0 is told of anything below.
    assert looks.allow(owners, rows, np.array([4.7, -3, 4.0, 1.0])).tolist() == [True, True, False]
    assert looks.allow(owners, rows, np.array([4.9, 0, 4.0, 1.0])).tolist() == [False, True, False]
    assert looks.allow(owners, rows, np.array([4.5, 0.4, 4, 1])).tolist() == [False, True, False]
    lost = np.array([4.5, 0, np.nan, 1])
    assert looks.allow(owners, rows, lost).tolist() == [True, False, False]


def test_a_look_that_torch_has_no_kernel_for_is_none(monkeypatch):
    monkeypatch.setattr(first_look, "multiplies_int8", lambda: True)
    monkeypatch.setattr(first_look, "_can_look", first_look._can_look.__wrapped__)
    assert first_look.pays(32, 100_000, 10) == torch.backends.mkl.is_available()
    for wrong in (lambda *_: torch.zeros(64, 64, dtype=torch.uint8), lambda: None):
        with monkeypatch.context() as patch:
            patch.setattr(first_look, "_levels", wrong)
            assert not first_look.pays(32, 100_000, 10)


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
    assert made == [600, 300] and codes.bytes == 900 * 24
    blocks[1:] = [_drawn(2, 50, 16, 1.0)]  # only what is new is made
    list(inner_product_search(query[None], blocks, 3, codes=codes))
    assert made == [600, 300, 50] and codes.bytes == 650 * 24


@pytest.mark.parametrize("rows", [1, 2, 3, 17, 4097])
@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_levels_of_any_shape(count, rows):
    drawn = np.random.default_rng(0)
    for dimension in (1, 2, 7, 32, 384):
        asked, vectors = (
            drawn.integers(-127, 128, (n, dimension)).astype(np.float32) for n in (count, rows)
        )
        asked[:, 0] = vectors[:, 0] = 127  # steps of 1
        part = first_look.coded(torch.from_numpy(vectors))
        worth = 127.0 * dimension / 2  # so that the highest are cut off
        raised = torch.from_numpy(asked + 128).to(torch.uint8)
        found = first_look._levels(raised, part, worth).numpy()
        exact = np.clip(asked.astype(np.float64) @ vectors.T.astype(np.float64) / worth, 0, 255)
        assert found.dtype == np.uint8 and np.abs(found - exact).max() <= 0.5001


@settings(deadline=None, max_examples=40)
@given(
    st.integers(0, 2**32 - 1), st.lists(st.integers(0, 9), min_size=1, max_size=4),
    st.integers(1, 4), st.floats(0, 1), st.sampled_from([np.float32, np.float16]),
)  # fmt: skip
def test_products_of_pairs_are_those_of_all(seed, sizes, count, share, dtype):
    drawn = np.random.default_rng(seed)
    held = [torch.from_numpy(drawn.integers(-3, 4, (n, 5)).astype(dtype)) for n in sizes]
    asked = torch.from_numpy(drawn.integers(-3, 4, (count, 5)).astype(np.float32))
    owners, rows = np.nonzero(drawn.random((count, sum(sizes))) < share)
    exact = asked @ torch.cat(held).float().T
    with mock.patch.object(exact_search, "_CONVERTED", 4):
        found = exact_search._pair_products(asked, owners, rows, held)
    assert found.dtype == np.float32 and np.array_equal(found, exact.numpy()[owners, rows])


def test_arrays_without_a_row_and_with_one_are_searched_too(always, monkeypatch):
    vectors, queries = _drawn(0, 4500, 32, 1.0), _drawn(1, 3, 32, 1.0)
    blocks = np.split(vectors, [0, 1, 4097, 4097])  # none, one, a slab, none, the rest
    expected = [rows.tolist() for rows, _ in inner_product_search(queries, vectors, 4)]
    monkeypatch.setattr(exact_search, "_compared", None)
    for asked in (queries, queries[:1]):
        found = inner_product_search(asked, blocks, 4, codes=Codes())
        assert [rows.tolist() for rows, _ in found] == expected[: len(asked)]


@pytest.mark.parametrize("count", [1, 4])
def test_a_kernel_that_is_wrong_is_noticed(count, always, monkeypatch):
    vectors, queries = _drawn(0, 5000, 32, 1.0), _drawn(1, count, 32, 1.0)
    expected = [rows.tolist() for rows, _ in inner_product_search(queries, vectors, 9)]
    noise = np.random.default_rng(0)

    def wrong(asked, part, worth):
        shape = (len(asked), len(part))
        return torch.from_numpy(noise.integers(0, 256, shape, dtype=np.uint8))

    monkeypatch.setattr(first_look, "_levels", wrong)
    found = inner_product_search(queries, vectors, 9, codes=Codes())
    assert [rows.tolist() for rows, _ in found] == expected


def test_nothing_is_said_of_kernels_that_are_new(always, recwarn):
    exact_search._hush.cache_clear()
    vectors = _drawn(0, 5000, 32, 1.0)
    list(inner_product_search(vectors[:3], vectors, 9, codes=Codes()))
    assert not recwarn.list


def test_it_pays_for_many_products_on_some_processors(monkeypatch):
    monkeypatch.setattr(first_look, "multiplies_int8", lambda: True)
    monkeypatch.setattr(first_look, "_can_look", lambda: True)
    assert first_look.pays(1, 100_000, 10) and first_look.pays(8, 4096, 10)
    assert not first_look.pays(1, 20_000, 10) and not first_look.pays(32, 1000, 1)
    assert not first_look.pays(32, 10_000, 100)  # too many would be left over
    monkeypatch.setattr(first_look, "multiplies_int8", lambda: False)
    assert not first_look.pays(32, 100_000, 10)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_single_query_scores_alike_on_one_core_and_on_two(threads):
    vectors, (query,) = _drawn(0, 3000, 48, 1.0), _drawn(1, 1, 48, 1.0)
    with runtime.threads(threads):
        scores = exact_search._products(torch.from_numpy(query[None]), torch.from_numpy(vectors))
    assert scores.shape == (1, 3000) and scores.dtype == np.float32
    np.testing.assert_allclose(scores[0], vectors @ query, rtol=0, atol=1e-6)
