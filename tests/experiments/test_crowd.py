"""A crowd is large, near the real vectors, and never in the way of the real texts."""

import numpy as np
import pytest

from ragft.experiments.crowd import (
    CrowdEmbedder,
    crowd,
    drawn_around,
    local_dimension,
    nearest_likeness,
    nearest_others,
)
from ragft.experiments.tasks import world_task
from ragft.profiles import profile
from ragft.types import RagftError


def unit(count, dimension=24, seed=0):
    made = np.random.default_rng(seed).normal(size=(count, dimension)).astype(np.float32)
    return made / np.linalg.norm(made, axis=1, keepdims=True)


class Embeds:
    embedded = 0

    def embed(self, texts, cached=True):
        self.embedded += len(texts)
        return np.stack([unit(1, seed=len(t))[0] for t in texts])


def test_crowds_have_their_size_and_one_is_the_beginning_of_the_larger():
    small, large = crowd(30), crowd(100)
    assert len(large) == 100 and small == large[:30] and crowd(0) == []
    assert len({d.id for d in large}) == 100 and all(d.text for d in large)
    asked = {q.subject for q in world_task(profile("smoke"), 12).asked}
    assert not any(subject in d.text for d in large for subject in asked)
    with pytest.raises(RagftError, match="crowd: -1 documents"):
        crowd(-1)


@pytest.mark.parametrize("likeness", [0.5, 0.9])
def test_drawn_vectors_are_as_near_as_asked(likeness):
    real = unit(5)
    made = drawn_around(real, 70_000, likeness)
    assert made.shape == (70_000, 24) and made.dtype == np.float32
    assert np.linalg.norm(made, axis=1) == pytest.approx(1, abs=1e-3)
    nearest = (made[:2000] @ real.T).max(axis=1)
    assert nearest.min() == pytest.approx(likeness, abs=1e-3)
    assert (drawn_around(real, 10, likeness) == drawn_around(real, 10, likeness)).all()
    assert (drawn_around(real, 10, likeness, seed=1) != drawn_around(real, 10, likeness)).any()


def test_without_a_likeness_they_are_as_near_as_real_ones_are_to_each_other():
    real = unit(50)
    cosines = real @ real.T - 2 * np.eye(50)
    assert nearest_likeness(real) == pytest.approx(cosines.max(axis=1).mean(), abs=1e-5)
    made = drawn_around(real, 500)
    near = np.sort(made @ real.T, axis=1)[:, -1]
    assert (near >= nearest_likeness(real) - 1e-3).all()


def flat(count, within, dimension=24, seed=0):
    """Unit vectors of a subspace."""
    made = np.zeros((count, dimension), np.float32)
    made[:, :within] = unit(count, within, seed)
    return made


def test_drawn_vectors_spread_on_the_sides_where_others_lie():
    real = flat(300, within=6)
    made = drawn_around(real, 2000)
    assert abs(made[:, 6:]).max() < 1e-6 and (np.ptp(made[:, :6], axis=0) > 1).all()
    # One that lies between two on a line spreads along that line alone.
    line = np.array([[1, 0, 0], [0.8, 0.6, 0], [0.8, -0.6, 0]], np.float32)
    assert abs(drawn_around(line, 50)[:, 2]).max() < 1e-6


def test_drawn_vectors_are_as_hard_to_search_as_real_ones():
    real = unit(4000, 12)
    made = local_dimension(drawn_around(real[:1000], 4000))
    assert made == pytest.approx(local_dimension(real), rel=0.25)


def test_there_is_nothing_to_draw_and_nothing_to_spread_along():
    assert drawn_around(unit(5), 0).shape == (0, 24)
    same = np.repeat(unit(1), 4, axis=0)
    assert np.allclose(drawn_around(same, 6), same[0], atol=1e-6)


@pytest.mark.parametrize("within", [3, 6, 10])
def test_the_local_dimension_is_that_of_the_subspace_less_the_length(within):
    # On a sphere of d dimensions there are d - 1 to move along; the estimate is a little low.
    found = local_dimension(flat(20_000, within, seed=1), most=500)
    assert found == pytest.approx(within - 1, rel=0.15)
    assert np.isnan(local_dimension(np.repeat(unit(1), 9, axis=0)))


def test_the_nearest_others_are_those_that_sorting_finds(monkeypatch):
    real = unit(50)
    cosines = real @ real.T - 5 * np.eye(50, dtype=np.float32)
    order = np.argsort(-cosines, axis=1)[:, :7]
    for room in (1, 120, 10**6):
        monkeypatch.setattr("ragft.experiments.crowd._ROOM", room)
        rows, near = nearest_others(real, 7)
        assert (rows == order).all()
        assert near == pytest.approx(np.take_along_axis(cosines, order, axis=1), abs=1e-6)
    assert (nearest_others(real, 7, np.array([9, 2]))[0] == order[[9, 2]]).all()
    assert nearest_others(real, 99)[0].shape == (50, 49)


def test_only_real_texts_and_questions_are_embedded():
    embeds = Embeds()
    both = CrowdEmbedder(embeds, ["a", "bb", "ccc"], ["x", "y", "a", "x"])
    assert embeds.embedded == both.embedded == 3
    found = both.embed(["x", "a", "y", "what?", "bb"])
    assert embeds.embedded == 6  # a, the question, bb
    assert (found[1] == Embeds().embed(["a"])[0]).all()
    assert (found[3] == Embeds().embed(["what?"])[0]).all()
    assert (found[0] != found[2]).any() and (both.embed(["x"])[0] == found[0]).all()
    assert np.linalg.norm(found, axis=1) == pytest.approx(1, abs=1e-3)
    assert both.embed([]).shape == (0, 24)
