"""A crowd is large, near the real vectors, and never in the way of the real texts."""

import numpy as np
import pytest

from ragft.experiments.crowd import CrowdEmbedder, crowd, drawn_around, nearest_likeness
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
