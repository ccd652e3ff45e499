"""Where vectors lie; what a search among them finds is asked of the index."""

import numpy as np
import pytest

from ragft.retrieval.vectors import Vectors
from ragft.types import RagftError

TEXTS = [f"text {n}" for n in range(9)]
DRAWN = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)


def nearest(vectors, query):
    ((places, _),) = vectors.search(query[None], 3, None)
    return places.tolist()


@pytest.fixture
def held():
    vectors = Vectors()
    vectors.add(TEXTS, DRAWN)
    return vectors


def test_one_array_in_the_order_of_the_passages_is_not_copied(held):
    held.arrange(TEXTS)
    assert held.blocks[0] is DRAWN
    held.arrange(TEXTS)
    assert held.blocks[0] is DRAWN


@pytest.mark.parametrize("places", [[3, 1, 7, 2, 0, 8], [0, 1, 2, 3, 4, 5, 6, 7, 8, 8], [8]])
def test_another_order_is_copied_and_what_is_gone_is_freed(held, places):
    texts = [TEXTS[place] for place in places]
    held.arrange(texts)
    np.testing.assert_array_equal(held.blocks[0], DRAWN[places])
    assert held.blocks[0] is not DRAWN and len(held.blocks) == 1


def test_numbers_that_a_dtype_cannot_hold_are_refused(held):
    assert held.kept(DRAWN) is DRAWN
    half = Vectors(dtype="float16")
    np.testing.assert_array_equal(half.kept(DRAWN), DRAWN.astype(np.float16))
    with pytest.raises(RagftError, match=r"float16 cannot hold .* the largest is 7e\+04; let it"):
        half.kept(DRAWN[:1] * 0 - 70_000)
    with pytest.raises(RagftError, match="unknown dtype 'int8'; choose one of"):
        Vectors(dtype="int8")


def test_what_comes_later_is_put_beside_the_rest(held):
    held.arrange(TEXTS)
    more = -DRAWN[:2]
    held.add(["a", "b"], more)
    held.arrange([*TEXTS, "a", "b"])
    whole = np.concatenate([DRAWN, more])
    np.testing.assert_array_equal(np.concatenate(held.blocks), whole)
    for query in DRAWN:
        assert nearest(held, query) == np.argsort(-(whole @ query), kind="stable")[:3].tolist()
