"""The index finds, filters before it ranks, and takes in changes without embedding twice."""

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragft.retrieval.bm25 import BM25, tokenize
from ragft.retrieval.index import RETRIEVERS, HybridIndex, searched_text
from ragft.types import Passage, RagftError


def passage(number, text, title="", collection="", start=None, end=None, doc=None):
    doc = doc or f"d{number}"
    return Passage(f"{doc}#{number}", doc, text, 0, len(text), title, "", collection, start, end)


FRUIT = [
    passage(0, "apples are red"),
    passage(1, "bananas are yellow"),
    passage(2, "cherries are red and small"),
    passage(3, "the sky is blue"),
]


def ids(hits):
    return [h.passage.doc_id for h in hits]


@pytest.fixture(params=RETRIEVERS)
def index(request, word_embedder):
    return HybridIndex(FRUIT, retriever=request.param, embedder=word_embedder)


def test_finds_what_shares_words(index):
    hits = index.search("yellow bananas", top_k=2)
    assert hits[0].passage == FRUIT[1] and len(hits) == 2
    assert [h.rank for h in hits] == [1, 2] and hits[0].score >= hits[1].score
    assert {h.stage for h in hits} == {index.retriever}


def test_a_list_of_queries_equals_one_by_one(index):
    queries = ["red apples", "blue sky", "yellow", "nothing known here"]
    together = index.search(queries, top_k=3)
    assert [ids(h) for h in together] == [ids(index.search(q, top_k=3)) for q in queries]
    assert index.search([]) == []


def test_more_than_there_are_gives_all(index):
    assert sorted(ids(index.search("red", top_k=99))) == ["d0", "d1", "d2", "d3"]
    assert len(index) == 4 and index.passages == tuple(FRUIT)


def test_empty_index_finds_nothing(word_embedder):
    for retriever in RETRIEVERS:
        empty = HybridIndex(retriever=retriever, embedder=word_embedder)
        assert empty.search("anything") == [] and empty.search(["a", "b"]) == [[], []]
        assert len(empty) == 0 and word_embedder.calls == []


def test_an_emptied_index_can_be_filled_again(index):
    index.search("red")
    index.delete(["d0", "d1", "d2", "d3"])
    assert index.search("red") == [] and len(index) == 0
    index.upsert(FRUIT[:1])
    assert ids(index.search("red")) == ["d0"]


def test_titles_are_searched(word_embedder):
    titled = [passage(0, "it rains", title="Weather"), passage(1, "it shines")]
    for retriever in RETRIEVERS:
        index = HybridIndex(titled, retriever=retriever, embedder=word_embedder)
        assert ids(index.search("weather", top_k=1)) == ["d0"]
    assert (
        searched_text(titled[0]) == "Weather\nit rains" and searched_text(titled[1]) == "it shines"
    )


DATED = [
    passage(0, "the price is 1", "a", "shop", None, date(2020, 1, 1)),
    passage(1, "the price is 2", "a", "shop", date(2020, 1, 1), date(2021, 1, 1)),
    passage(2, "the price is 3", "a", "shop", date(2021, 1, 1)),
    passage(3, "the price is unknown", "b", "blog"),
]


@pytest.mark.parametrize("retriever", RETRIEVERS)
@pytest.mark.parametrize(
    ("day", "found"),
    [
        ("2019-12-31", {"d0", "d3"}),
        (date(2020, 1, 1), {"d1", "d3"}),
        ("2020-12-31", {"d1", "d3"}),
        (date(2030, 1, 1), {"d2", "d3"}),
        (None, {"d0", "d1", "d2", "d3"}),
    ],
)
def test_only_what_was_in_force_is_found(retriever, day, found, word_embedder):
    index = HybridIndex(DATED, retriever=retriever, embedder=word_embedder)
    assert set(ids(index.search("price", as_of=day))) == found


@pytest.mark.parametrize("retriever", RETRIEVERS)
def test_filters_apply_before_ranking(retriever, word_embedder):
    better = [passage(i, "price price price", collection="shop") for i in range(200)]
    rest = [passage(200 + i, f"word{i}", collection="blog") for i in range(3)]
    index = HybridIndex(better + rest, retriever=retriever, embedder=word_embedder, depth=5)
    assert set(ids(index.search("price", top_k=3, collection="blog"))) == {"d200", "d201", "d202"}
    assert index.search("price", collection="none such") == []
    assert len(index.search("price", top_k=150)) == 150


def test_same_id_replaces(index):
    index.upsert([passage(1, "plums are purple")])
    assert len(index) == 4
    assert index.search("purple plums", top_k=1)[0].passage.text == "plums are purple"
    assert all(h.passage.text != "bananas are yellow" for h in index.search("yellow", top_k=9))


def test_deleted_documents_are_not_found(index):
    index.search("red")
    index.delete("d0")
    index.delete(["d2", "never there"])
    assert ids(index.search("red", top_k=9)) in (["d1", "d3"], ["d3", "d1"])


def test_a_refresh_embeds_only_unseen_text(word_embedder):
    index = HybridIndex(FRUIT, embedder=word_embedder)
    assert word_embedder.embedded == 4
    assert index.upsert(FRUIT).passages_embedded == 0
    moved = [passage(7, FRUIT[0].text), passage(8, "new text"), passage(9, "new text")]
    cost = index.upsert(moved)
    assert cost.passages_embedded == 1
    assert cost.bytes_written == len("apples are red") + 2 * len("new text") + 64 * 4
    dated = passage(8, "new text", start=date(2020, 1, 1))
    assert index.upsert([dated]).passages_embedded == 0
    assert word_embedder.embedded == 5
    index.delete("d3")
    assert index.upsert([FRUIT[3]]).passages_embedded == 0


def test_vectors_follow_their_passages_through_changes(word_embedder):
    index = HybridIndex(FRUIT, retriever="dense", embedder=word_embedder)
    for step in range(6):
        index.delete(f"d{step}")
        index.upsert([passage(4 + step, f"fresh{step} text"), passage(step + 1, f"again{step}")])
        for p in index.passages:
            best = index.search(p.text, top_k=1)[0]
            assert best.passage.text == p.text and best.score == pytest.approx(1, abs=1e-6)


def test_bm25_needs_no_embedder(monkeypatch):
    monkeypatch.setattr("ragft.retrieval.index.Embedder", lambda: pytest.fail("made a model"))
    index = HybridIndex(FRUIT, retriever="bm25")
    assert ids(index.search("sky", top_k=1)) == ["d3"]


def test_bm25_scores_follow_the_whole_corpus_after_changes():
    index = HybridIndex(FRUIT, retriever="bm25")
    index.upsert([passage(5, "red red wine")])
    index.delete("d3")
    kept = [*FRUIT[:3], passage(5, "red red wine")]
    scores = BM25().fit(tokenize(p.text) for p in kept).scores(["red"])
    hits = index.search("red", top_k=4)
    assert {h.passage.doc_id: h.score for h in hits} == pytest.approx(
        {p.doc_id: s for p, s in zip(kept, scores, strict=True)}
    )


def test_hybrid_scores_by_hand(word_embedder):
    index = HybridIndex(FRUIT[1:], embedder=word_embedder)
    hits = index.search("bananas", top_k=3)
    # First in both rankings; the others share no word, so only dense search ranks them.
    assert ids(hits)[0] == "d1"
    assert [h.score for h in hits] == pytest.approx([2 / 11, 1 / 12, 1 / 13])


def test_words_that_nothing_shares_leave_the_order_to_dense_search(word_embedder):
    passages = [*FRUIT, passage(4, "green-ish things")]
    hybrid = HybridIndex(passages, embedder=word_embedder)
    dense = HybridIndex(passages, retriever="dense", embedder=word_embedder)
    assert ids(hybrid.search("qqq zzz")) == ids(dense.search("qqq zzz"))


def test_timings_add_up_by_stage(index):
    timings = {}
    index.search("red", timings=timings)
    expected = {"build", "search"} | ({"embed"} if index.retriever != "bm25" else set())
    assert timings.keys() == expected and all(ms >= 0 for ms in timings.values())
    before = dict(timings)
    index.search(["red", "blue"], timings=timings)
    assert timings["build"] == before["build"] and timings["search"] > before["search"]


def test_built_ahead_the_search_does_not_build(index):
    index.build()
    timings = {}
    index.search("red", timings=timings)
    assert "build" not in timings


def test_queries_are_not_cached(word_embedder):
    HybridIndex(FRUIT, embedder=word_embedder).search("red")
    assert [cached for _, cached in word_embedder.calls] == [True, False]


@settings(deadline=None)
@given(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=20), st.integers(1, 9))
def test_ties_keep_the_order_of_the_passages(letters, k):
    index = HybridIndex([passage(i, c) for i, c in enumerate(letters)], retriever="bm25")
    hits = index.search("a", top_k=k)
    order = [(-h.score, int(h.passage.doc_id[1:])) for h in hits]
    assert order == sorted(order) and len(hits) == min(k, len(letters))


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda i: i.search(" \n"), "query 0 is empty"),
        (lambda i: i.search(["red", ""]), "query 1 is empty"),
        (lambda i: i.search("red", top_k=0), "top_k must be .* not 0"),
        (lambda i: i.search("red", as_of="soon"), "as_of 'soon' is not a day"),
        (lambda i: i.upsert([passage(8, "x"), passage(8, "y")]), "two passages with one id"),
        (lambda i: HybridIndex(retriever="sparse"), "unknown retriever 'sparse'"),
        (lambda i: HybridIndex(depth=0), "depth must be at least 1"),
    ],
)
def test_misuse_is_named_and_changes_nothing(index, action, message):
    before = ids(index.search("red", top_k=9))
    with pytest.raises(RagftError, match=message):
        action(index)
    assert ids(index.search("red", top_k=9)) == before and index.passages == tuple(FRUIT)
