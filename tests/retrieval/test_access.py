"""What a caller may not see never comes out, whatever is asked and however it is ranked."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragft.retrieval.fusion import METHODS, Fusion
from ragft.retrieval.index import RETRIEVERS, HybridIndex
from ragft.retrieval.router import CentroidRouter, RoutedIndex, fit_router
from ragft.types import Passage, RagftError
from tests.retrieval.conftest import WordEmbedder

COLLECTIONS = ["open", "staff", "secret", ""]
SOME = st.lists(st.sampled_from([*COLLECTIONS, "none such"]), max_size=3)
FILTER = st.none() | st.sampled_from([*COLLECTIONS, "none such"]) | SOME
WORDS = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=4).map(" ".join)
HELD = st.lists(st.tuples(WORDS, st.sampled_from(COLLECTIONS)), min_size=1, max_size=12)


class LikesSecrets:
    """Notes all that it is shown."""

    def __init__(self):
        self.seen = set()

    def scores(self, pairs):
        self.seen |= {text for _, text in pairs}
        return np.arange(len(pairs), dtype=float)


def passages(held):
    # The number makes every text its own, so that what leaks can be told.
    return [
        Passage(f"d{i}#0", f"d{i}", f"{text} n{i}", 0, 1, source=f"s{i % 2}", collection=collection)
        for i, (text, collection) in enumerate(held)
    ]


def index_of(held, retriever="hybrid", **options):
    return HybridIndex(passages(held), retriever=retriever, embedder=WordEmbedder(), **options)


def as_set(wanted):
    return (
        set(COLLECTIONS) if wanted is None else {wanted} if isinstance(wanted, str) else {*wanted}
    )


@settings(deadline=None, max_examples=60)
@given(HELD, WORDS, SOME, FILTER, st.sampled_from(RETRIEVERS), st.sampled_from(METHODS))
def test_nothing_outside_ever_comes_out(held, query, allowed, asked, retriever, method):
    reranker = LikesSecrets()
    fusion = Fusion(method, priority={"secret": 1000.0, "open": 0.0})
    index = index_of(held, retriever, fusion=fusion, reranker=reranker, depth=3)
    view = index.for_caller(allowed)
    may = {p.id for p in index.passages if p.collection in {*allowed} & as_set(asked)}
    hits = view.search(query, top_k=20, collection=asked)
    assert {h.passage.id for h in hits} <= may
    if retriever != "hybrid":  # the hybrid one looks no deeper than its depth
        assert {h.passage.id for h in hits} == may
    found = view.explain(query, collection=asked, depth=20)
    assert {c.passage.id for c in found} <= may
    assert reranker.seen <= {p.text for p in index.passages if p.id in may}
    assert {p.collection for p in view.passages} <= {*allowed} and len(view) == len(view.passages)


@settings(deadline=None, max_examples=40)
@given(HELD, st.lists(WORDS, min_size=1, max_size=3), SOME, FILTER, st.sampled_from([0, 0.1, 2]))
def test_no_router_widens_what_a_caller_may_see(held, queries, allowed, asked, margin):
    index = index_of(held)
    routed = RoutedIndex(index.for_caller(allowed), fit_router(index, margin))
    for hits in routed.search(queries, top_k=20, collection=asked):
        assert {h.passage.collection for h in hits} <= {*allowed} & as_set(asked)


def test_a_router_that_lies_finds_nothing_more():
    class Liar(CentroidRouter):
        def route(self, vectors, among=None):
            return ["secret"] * len(vectors)

    index = index_of([("a", "open"), ("a", "secret")])
    assert RoutedIndex(index.for_caller("open"), Liar()).search("a") == []


def test_a_view_of_a_view_is_narrower_and_never_wider():
    index = index_of([("a", name) for name in COLLECTIONS])
    view = index.for_caller(["open", "staff"])
    assert view.for_caller(["staff", "secret"]).allowed == {"staff"}
    assert {h.passage.collection for h in view.search("a", 9)} == {"open", "staff"}
    wider = view.for_caller(COLLECTIONS).search("a", 9)
    assert {h.passage.collection for h in wider} == {"open", "staff"}


def test_forbidden_and_absent_look_alike():
    view = index_of([("a", "open"), ("b", "secret")]).for_caller("open")
    for query in ("b", ["b", "a"]):
        forbidden = view.search(query, collection="secret")
        assert forbidden == view.search(query, collection="none such")
        assert view.explain(query, collection="secret") == view.explain(query, collection="none")


def test_nothing_allowed_is_nothing_and_a_string_is_one_name():
    index = index_of([("a", "open"), ("b", "o")])
    assert index.for_caller([]).search("a") == [] == index.for_caller([]).explain("a")
    assert index.for_caller("open").allowed == {"open"}
    assert [h.passage.collection for h in index.for_caller("o").search("a b", 9)] == ["o"]
    with pytest.raises(RagftError, match="None is not the name of a collection"):
        index.for_caller([None])


def test_a_view_follows_its_index_through_changes():
    index = index_of([("a", "open")])
    view = index.for_caller(["open"])
    index.upsert([Passage("x#0", "x", "a a", 0, 3, collection="secret")])
    index.upsert([Passage("y#0", "y", "a b", 0, 3, collection="open")])
    assert {h.passage.id for h in view.search("a", 9)} == {"d0#0", "y#0"} and len(view) == 2


def test_the_words_of_a_passage_of_ones_own_are_found_as_without_a_limit():
    held = [("red apples", "open"), ("blue sky", "open")]
    whole, view = index_of(held), index_of(held).for_caller(["open"])
    assert view.search("red sky", 5) == whole.search("red sky", 5)
    timings = {}
    view.search("red", timings=timings)
    assert {"embed", "search"} <= timings.keys() and view.retriever == "hybrid"
