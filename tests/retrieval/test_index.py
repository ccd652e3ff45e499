"""The index finds, filters before it ranks, and takes in changes without embedding twice."""

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragft.retrieval import searching
from ragft.retrieval.bm25 import BM25, tokenize
from ragft.retrieval.counting import numbered
from ragft.retrieval.fusion import METHODS, Fusion
from ragft.retrieval.index import RETRIEVERS, HybridIndex, searched_text
from ragft.types import Passage, RagftError
from tests.retrieval.conftest import WordEmbedder


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


@pytest.mark.parametrize("together", [1, 3, 4, 64])
def test_a_list_of_queries_equals_one_by_one(index, together, monkeypatch):
    monkeypatch.setattr(searching, "_TOGETHER", together)
    queries = ["red apples", "blue sky", "yellow", "nothing known here"]
    found = index.search(queries, top_k=3)
    assert [ids(h) for h in found] == [ids(index.search(q, top_k=3)) for q in queries]
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


def named(candidates):
    return [c.passage.doc_id for c in candidates]


def test_candidates_show_rank_and_score_at_every_stage_by_hand(word_embedder):
    index = HybridIndex(FRUIT[1:], embedder=word_embedder)
    first, second, third = index.explain("bananas")
    assert (first.passage, first.ranks) == (FRUIT[1], {"bm25": 1, "dense": 1, "hybrid": 1})
    assert second.ranks == {"dense": 2, "hybrid": 2} and third.ranks == {"dense": 3, "hybrid": 3}
    fused = [c.scores["hybrid"] for c in (first, second, third)]
    assert fused == pytest.approx([2 / 11, 1 / 12, 1 / 13])
    assert first.scores["bm25"] == index._bm25.scores(["bananas"])[0] > 0
    vectors = word_embedder.embed(["bananas", FRUIT[1].text])
    assert first.scores["dense"] == pytest.approx(float(vectors[0] @ vectors[1]))


@pytest.mark.parametrize("retriever", ["bm25", "dense"])
def test_a_retriever_has_its_own_stage_alone(retriever, word_embedder):
    index = HybridIndex(FRUIT, retriever=retriever, embedder=word_embedder)
    hits = index.search("red cherries and apples", top_k=2)
    found = index.explain("red cherries and apples")[:2]
    assert [(c.passage, c.ranks, c.scores) for c in found] == [
        (h.passage, {retriever: h.rank}, {retriever: h.score}) for h in hits
    ]


WORDS = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=4).map(" ".join)


@settings(deadline=None, max_examples=50)
@given(st.lists(WORDS, min_size=1, max_size=12), WORDS, st.integers(1, 14), st.integers(1, 5))
def test_the_candidates_are_what_the_search_returns(texts, query, k, depth):
    passages = [passage(i, text) for i, text in enumerate(texts)]
    for retriever in RETRIEVERS:
        index = HybridIndex(passages, retriever=retriever, embedder=WordEmbedder(), depth=depth)
        hits = index.search(query, top_k=k)
        found = index.explain(query, depth=max(k, depth))
        # By BM25 alone, passages that share no telling word are listed too.
        told = [(h.passage, h.rank, h.score) for h in hits if retriever != "bm25" or h.score != 0]
        stood = [(c.passage, c.ranks[retriever], c.scores[retriever]) for c in found]
        assert stood[: len(told)] == told
        assert [rank for _, rank, _ in stood] == sorted({rank for _, rank, _ in stood})


def test_candidates_go_as_deep_as_each_ranking_does(word_embedder):
    passages = [passage(i, "red " * (9 - i)) for i in range(9)]
    index = HybridIndex(passages, embedder=word_embedder, depth=3)
    assert all(max(c.ranks[s] for s in ("bm25", "dense") if s in c.ranks) <= 3
               for c in index.explain("red"))  # fmt: skip
    assert len(index.explain("red")) < 9 == len(index.explain("red", depth=9))


def test_candidates_are_filtered_and_come_one_list_a_query(word_embedder):
    for retriever in RETRIEVERS:
        index = HybridIndex(DATED, retriever=retriever, embedder=word_embedder)
        assert set(named(index.explain("price", as_of="2020-12-31"))) == {"d1", "d3"}
        assert named(index.explain("price", collection="blog")) == ["d3"]
        assert index.explain("price", collection="none such") == []
        both = index.explain(["price 3", "unknown"])
        assert [named(found)[0] for found in both] == ["d2", "d3"]
        assert all(set(named(found)) <= {"d0", "d1", "d2", "d3"} for found in both)
        assert index.explain([]) == []
        empty = HybridIndex(retriever=retriever, embedder=word_embedder)
        assert empty.explain("a") == [] and empty.explain(["a", "b"]) == [[], []]


@settings(deadline=None, max_examples=30)
@given(st.lists(WORDS, min_size=1, max_size=12), WORDS, st.sampled_from(METHODS))
def test_all_weight_on_one_retriever_is_that_retriever(texts, query, method):
    passages = [passage(i, text) for i, text in enumerate(texts)]
    for weights, retriever in (((1, 0), "bm25"), ((0, 1), "dense")):
        fused = HybridIndex(passages, embedder=WordEmbedder(), fusion=Fusion(method, weights))
        alone = HybridIndex(passages, retriever=retriever, embedder=WordEmbedder())
        # By BM25 alone, passages that share no telling word are listed too.
        told = [h.passage for h in alone.search(query, 12) if retriever != "bm25" or h.score != 0]
        assert [h.passage for h in fused.search(query, 12)][: len(told)] == told


def test_a_source_of_low_priority_loses_to_one_that_matches_less(word_embedder):
    old = Passage("o#0", "o", "the price is 3 since May", 0, 24, source="archive")
    new = Passage("n#0", "n", "its price changed", 0, 17, source="handbook")
    query = "what is the price"
    plain = HybridIndex([old, new], embedder=word_embedder)
    sorted_ = HybridIndex(
        [old, new], embedder=word_embedder, fusion=Fusion(priority={"archive": 0.2})
    )
    assert ids(plain.search(query)) == ["o", "n"] and ids(sorted_.search(query)) == ["n", "o"]
    assert ids(sorted_.search(query, source="archive")) == ["o"]
    assert ids(sorted_.search(query, source=["archive", "handbook"])) == ["n", "o"]


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda i: i.search(" \n"), "query 0 is empty"),
        (lambda i: i.search(["red", ""]), "query 1 is empty"),
        (lambda i: i.search("red", top_k=0), "top_k must be .* not 0"),
        (lambda i: i.explain(["red", " "]), "query 1 is empty"),
        (lambda i: i.explain("red", depth=0), "depth must be .* not 0"),
        (lambda i: i.search("red", as_of="soon"), "as_of 'soon' is not a day"),
        (lambda i: i.upsert([passage(8, "x"), passage(8, "y")]), "two passages with one id"),
        (lambda i: HybridIndex(retriever="sparse"), "unknown retriever 'sparse'"),
        (lambda i: HybridIndex(depth=0), "depth must be at least 1"),
        (lambda i: HybridIndex(rerank_depth=0), "rerank_depth must be at least 1, not 0"),
        (lambda i: HybridIndex(rerank_weight=1.1), "rerank_weight must be from 0 to 1, not 1.1"),
    ],
)
def test_misuse_is_named_and_changes_nothing(index, action, message):
    before = ids(index.search("red", top_k=9))
    with pytest.raises(RagftError, match=message):
        action(index)
    assert ids(index.search("red", top_k=9)) == before and index.passages == tuple(FRUIT)


@pytest.mark.parametrize("retriever", RETRIEVERS)
def test_the_memory_of_an_index_is_that_of_its_vectors_and_words(retriever, word_embedder):
    index = HybridIndex(retriever=retriever, embedder=word_embedder)
    assert index.bytes == 0
    index.upsert(FRUIT)
    index.build()
    vectors = word_embedder.embed([searched_text(p) for p in FRUIT]).nbytes
    known = numbered([tokenize(searched_text(p)) for p in FRUIT])
    words = BM25().fit_numbered(known).bytes + known.bytes
    held = {"dense": vectors, "bm25": words, "hybrid": vectors + words}
    assert index.bytes == held[retriever]


def test_only_texts_that_are_new_are_split_again(monkeypatch):
    index, split = HybridIndex(FRUIT, retriever="bm25"), []
    index.build()
    monkeypatch.setattr(
        "ragft.retrieval.index.tokenize", lambda text: split.append(text) or tokenize(text)
    )
    plum = passage(9, "plums are red too")
    index.replace("d1", [plum, passage(0, "apples are green"), *FRUIT[2:]])
    index.build()
    assert split == ["apples are green", "plums are red too"]
    afresh = HybridIndex(index.passages, retriever="bm25").postings()
    assert list(index.postings().words.items()) == list(afresh.words.items())
    for name in ("data", "indices", "indptr"):
        assert getattr(index.postings(), name).tolist() == getattr(afresh, name).tolist()


def test_a_build_that_fails_leaves_the_words_of_the_last(monkeypatch):
    def full(*_):
        raise MemoryError

    index = HybridIndex(FRUIT, retriever="bm25")
    index.build()
    index.delete("d0")
    with monkeypatch.context() as patch:
        patch.setattr(BM25, "fit_numbered", full)
        with pytest.raises(MemoryError):
            index.build()
    afresh = HybridIndex(FRUIT[1:], retriever="bm25")
    assert index.postings().words == afresh.postings().words
    assert index.search("red", 3) == afresh.search("red", 3)
