"""A router sends a query to the nearest collection, or to all where that is not clear."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragft.retrieval.index import HybridIndex
from ragft.retrieval.router import CentroidRouter, RoutedIndex, fit_router
from ragft.types import Passage, RagftError

# Two collections along the axes of a plane, one half-way between them.
AXES = np.array([[1, 0], [1, 0], [0, 1]], dtype=np.float32)
NAMES = ["fruit", "fruit", "sky"]


def unit(degrees):
    angle = np.radians(degrees)
    return np.stack([np.cos(angle), np.sin(angle)], axis=-1).astype(np.float32)


def test_the_margin_decides_by_hand():
    router = CentroidRouter(margin=0.3).fit(AXES, NAMES)
    # Leads of cos − sin: 1, 0.366, 0 and −1.
    assert router.route(unit([0, 30, 45, 90])) == ["fruit", "fruit", None, "sky"]
    assert CentroidRouter(margin=0.4).fit(AXES, NAMES).route(unit([30])) == [None]
    assert CentroidRouter(margin=2).fit(AXES, NAMES).route(unit([0, 90])) == [None, None]
    assert CentroidRouter(margin=0).fit(AXES, NAMES).route(unit([44, 46])) == ["fruit", "sky"]


def test_a_centroid_is_the_mean_direction_however_many_passages_there_are():
    many = CentroidRouter(0.01).fit(unit([0, 10, 350, 90]), ["a", "a", "a", "b"])
    one = CentroidRouter(0.01).fit(unit([0, 90]), ["a", "b"])
    angles = unit(np.arange(0, 90, 7))
    assert many.route(angles) == one.route(angles)


def test_it_chooses_among_those_allowed_alone():
    router = CentroidRouter(margin=0.3).fit(AXES, NAMES)
    assert router.route(unit([0, 45]), among="sky") == ["sky", "sky"]
    assert router.route(unit([0]), among=["none such"]) == [None]
    assert router.route(unit([0]), among=[]) == [None]
    assert router.route(np.empty((0, 2))) == []


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 90), st.booleans()), min_size=1, max_size=20),
    st.floats(0.1, 1),
)
def test_the_calibrated_margin_is_the_least_that_is_right_often_enough(asked, precision):
    vectors = unit([angle for angle, _ in asked])
    names = np.array(["fruit" if fruit else "sky" for _, fruit in asked])
    router = CentroidRouter().fit(AXES, NAMES).calibrate(vectors, names.tolist(), precision)

    def share(margin):
        found = np.array(CentroidRouter(margin).fit(AXES, NAMES).route(vectors), dtype=object)
        routed = found != None  # noqa: E711
        return (found == names)[routed].mean() if routed.any() else np.nan

    assert router.margin == 2 or share(router.margin) >= precision
    leads = np.abs(vectors[:, 0] - vectors[:, 1])
    smaller = [lead for lead in leads if lead < router.margin]
    assert all(share(min(lead, 2)) < precision for lead in smaller)


FRUIT = ["red apples", "yellow bananas", "red cherries and apples"]
SKY = ["blue sky", "grey clouds in the sky", "the red evening sky"]


@pytest.fixture
def index(word_embedder):
    rows = [(text, "fruit") for text in FRUIT] + [(text, "sky") for text in SKY]
    return HybridIndex(
        [Passage(f"d{i}#0", f"d{i}", t, 0, len(t), "", "", c) for i, (t, c) in enumerate(rows)],
        embedder=word_embedder,
    )


def test_a_routed_search_equals_one_with_that_filter(index):
    routed = RoutedIndex(index, fit_router(index, 0.2))
    queries = ["apples and bananas", "clouds in the sky", "red evening apples"]
    chosen = routed.routes(queries)
    assert chosen == ["fruit", "sky", None]
    expected = [
        index.search("apples and bananas", 9, collection="fruit"),
        index.search("clouds in the sky", 9, collection="sky"),
        index.search("red evening apples", 9),
    ]
    assert routed.search(queries, 9) == expected
    assert routed.search("clouds in the sky", 9) == expected[1]
    assert routed.search([], 9) == []


def test_always_abstaining_changes_nothing(index):
    routed = RoutedIndex(index, fit_router(index, 2))
    queries = ["red apples", "blue sky"]
    assert routed.search(queries) == index.search(queries)


def test_a_filter_limits_what_can_be_chosen(index):
    routed = RoutedIndex(index, fit_router(index, 0.2))
    assert routed.routes(["apples and bananas"], collection="sky") == ["sky"]
    hits = routed.search("apples and bananas", collection="sky")
    assert {h.passage.collection for h in hits} == {"sky"}


def test_its_time_is_a_stage(index):
    timings = {}
    RoutedIndex(index, fit_router(index)).search("red", timings=timings)
    assert {"route", "embed", "search"} <= timings.keys()


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda: CentroidRouter(-0.1), "margin must lie between 0 and 2, not -0.1"),
        (lambda: CentroidRouter().route(AXES), "it knows no collection yet"),
        (lambda: CentroidRouter().fit(AXES, ["a"]), r"shape \(3, 2\) for 1 collections"),
        (lambda: CentroidRouter().fit(np.empty((0, 2)), []), "at least one"),
        (
            lambda: CentroidRouter().fit(np.array([[1.0, 0], [-1, 0]]), ["a", "a"]),
            "vectors of collection 'a' have no direction",
        ),
        (
            lambda: CentroidRouter().fit(AXES, NAMES).calibrate(AXES, NAMES, 0),
            "precision must lie between 0 and 1, not 0",
        ),
    ],
)
def test_misuse_is_named(action, message):
    with pytest.raises(RagftError, match=message):
        action()
