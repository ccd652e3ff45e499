"""A reranker orders the first candidates anew, and refuses models that cannot rank."""

import json
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragft.retrieval.index import HybridIndex
from ragft.retrieval.rerank import Reranker
from ragft.types import Passage, RagftError
from tests.retrieval.conftest import WordEmbedder
from tests.retrieval.tiny import save_word_tokenizer

FRUIT = ["apples are red", "bananas are yellow and red", "red red red wine", "the sky is blue"]


def passages(texts=FRUIT, titles=()):
    titles = [*titles, *[""] * (len(texts) - len(titles))]
    return [
        Passage(f"d{i}#0", f"d{i}", text, 0, len(text), title)
        for i, (text, title) in enumerate(zip(texts, titles, strict=True))
    ]


class ByLength:
    """The longest text is best."""

    def __init__(self):
        self.asked = []

    def scores(self, pairs):
        self.asked.append(list(pairs))
        return np.array([len(text) for _, text in pairs], dtype=float)


def ids(hits):
    return [h.passage.doc_id for h in hits]


def test_the_reranker_decides_among_the_first_candidates_alone():
    plain = HybridIndex(passages(), retriever="bm25")
    index = HybridIndex(passages(), retriever="bm25", reranker=ByLength(), rerank_depth=2)
    before = plain.search("red", top_k=4)
    hits = index.search("red", top_k=4)
    first = sorted(before[:2], key=lambda h: -len(h.passage.text))
    assert ids(hits) == ids(first) + ids(before[2:])
    assert [h.stage for h in hits] == ["rerank", "rerank", "bm25", "bm25"]
    assert [h.score for h in hits[:2]] == [len(h.passage.text) for h in first]
    assert [h.score for h in hits[2:]] == [h.score for h in before[2:]]
    assert [h.rank for h in hits] == [1, 2, 3, 4]


def test_what_lies_below_top_k_can_come_first(word_embedder):
    index = HybridIndex(passages(), embedder=word_embedder, reranker=ByLength(), rerank_depth=4)
    assert ids(index.search("red wine", top_k=1)) == ["d1"]


def test_it_is_asked_once_for_all_queries_and_reads_titles(word_embedder):
    reranker = ByLength()
    index = HybridIndex(
        passages(titles=["Fruit"]), embedder=word_embedder, reranker=reranker, rerank_depth=4
    )
    together = index.search(["red", "blue sky"], top_k=4)
    assert len(reranker.asked) == 1 and len(reranker.asked[0]) == 8
    assert ("red", "Fruit\napples are red") in reranker.asked[0]
    assert [ids(h) for h in together] == [ids(index.search(q, 4)) for q in ("red", "blue sky")]


def test_equal_scores_keep_the_order_before():
    class Same:
        def scores(self, pairs):
            return np.zeros(len(pairs))

    plain = HybridIndex(passages(), retriever="bm25")
    index = HybridIndex(passages(), retriever="bm25", reranker=Same())
    assert ids(index.search("red wine")) == ids(plain.search("red wine"))


def test_its_time_is_a_stage_of_its_own(word_embedder):
    timings = {}
    index = HybridIndex(passages(), embedder=word_embedder, reranker=ByLength())
    index.search("red", timings=timings)
    assert timings.keys() == {"build", "embed", "search", "rerank"}
    plain = {}
    HybridIndex(passages(), embedder=word_embedder).search("red", timings=plain)
    assert "rerank" not in plain


def test_filters_come_before_it(word_embedder):
    reranker = ByLength()
    held = [*passages(), Passage("x#0", "x", "red secret of great length", 0, 26, collection="x")]
    index = HybridIndex(held, embedder=word_embedder, reranker=reranker)
    assert "x" not in ids(index.search("red secret", collection=""))
    assert not any("secret" in text for _, text in reranker.asked[0])


def test_without_candidates_it_is_not_asked(word_embedder):
    reranker = ByLength()
    index = HybridIndex(passages(), embedder=word_embedder, reranker=reranker)
    assert index.search("red", collection="none such") == []
    assert index.explain("red", collection="none such") == []
    assert HybridIndex(embedder=word_embedder, reranker=reranker).search("red") == []
    assert reranker.asked == []


def test_a_weight_blends_both_orders_by_hand():
    class Fixed:
        def scores(self, pairs):
            return np.array([0.0, 1.0, 5.0])

    class Vectors:
        embedded = 0

        def embed(self, texts, cached=True):
            if cached:
                return np.array([[3.0], [2], [1]], dtype=np.float32)[: len(texts)]
            return np.ones((len(texts), 1), dtype=np.float32)

    held = [Passage(f"d{i}#0", f"d{i}", f"text {i}", 0, 6) for i in range(3)]
    index = HybridIndex(
        held, retriever="dense", embedder=Vectors(), reranker=Fixed(), rerank_weight=0.25
    )
    # Before 3, 2, 1: deviation sqrt(2/3); after 0, 1, 5: deviation sqrt(14/3).
    one, two = np.sqrt(2 / 3), np.sqrt(14 / 3)
    expected = [0.75 * 2 / one, 0.75 / one + 0.25 / two, 0.25 * 5 / two]
    hits = index.search("x", 3)
    assert ids(hits) == ["d0", "d1", "d2"]
    assert [h.score for h in hits] == pytest.approx(expected)
    index.rerank_weight = 0.9
    assert ids(index.search("x", 3)) == ["d2", "d1", "d0"]
    index.rerank_weight = 0.0
    assert ids(index.search("x", 3)) == ["d0", "d1", "d2"]
    index.rerank_weight = 1.0
    assert [h.score for h in index.search("x", 3)] == [5, 1, 0]


WORDS = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=4).map(" ".join)


@settings(deadline=None, max_examples=30)
@given(st.lists(WORDS, min_size=1, max_size=10), WORDS, st.integers(1, 9), st.integers(1, 9))
def test_the_candidates_are_what_the_search_returns(texts, query, k, depth):
    index = HybridIndex(
        passages(texts),
        embedder=WordEmbedder(),
        reranker=ByLength(),
        rerank_depth=depth,
        depth=20,
    )
    hits, found = index.search(query, top_k=k), index.explain(query)
    stages = ["rerank" if "rerank" in c.ranks else "hybrid" for c in found]
    stood = [(c.passage, c.scores[s], s) for c, s in zip(found, stages, strict=True)]
    assert stood[:k] == [(h.passage, h.score, h.stage) for h in hits]
    assert sum("rerank" in c.ranks for c in found) == min(depth, len(found))
    # The order is that of the texts' lengths, the earlier rank among equals.
    first = found[:depth]
    by_hand = sorted(first, key=lambda c: (-len(c.passage.text), c.ranks["hybrid"]))
    assert [c.passage.id for c in first] == [c.passage.id for c in by_hand]


@pytest.mark.parametrize("answer", [np.array([1.0]), np.full(4, np.nan)])
def test_a_reranker_without_an_answer_for_each_pair_is_an_error(answer):
    class Broken:
        def scores(self, pairs):
            return answer

    index = HybridIndex(passages(), retriever="bm25", reranker=Broken())
    with pytest.raises(RagftError, match="4 pairs need as many scores and none NaN"):
        index.search("red")


@pytest.fixture(scope="module")
def cross_encoder(tmp_path_factory):
    """Folder of a cross-encoder of one layer with random weights."""
    return save_cross_encoder(tmp_path_factory.mktemp("models") / "cross")


def save_cross_encoder(folder, labels=1, **config):
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "red", "apples", "are", "blue", "sky", "the"]
    save_word_tokenizer(folder, words, 16)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        BertForSequenceClassification(
            BertConfig(
                vocab_size=len(words),
                hidden_size=16,
                intermediate_size=32,
                num_hidden_layers=1,
                num_attention_heads=2,
                max_position_embeddings=16,
                num_labels=labels,
                initializer_range=0.5,
            )
        ).save_pretrained(folder)
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | config))
    return folder


PAIRS = [("red apples", "apples are red"), ("red apples", "the sky"), ("sky", "the sky are blue")]


def test_a_folder_of_a_cross_encoder_scores_pairs(cross_encoder):
    reranker = Reranker(cross_encoder, batch_size=2, device="cpu")
    scores = reranker.scores(PAIRS)
    assert scores.shape == (3,) and scores.dtype == np.float64 and len(set(scores)) == 3
    one_by_one = [reranker.scores([pair])[0] for pair in PAIRS]
    assert scores == pytest.approx(one_by_one, abs=1e-5)
    assert reranker.scored == 6 and reranker.scores([]).shape == (0,)
    assert len(reranker.model_hash) == 64


def test_scores_are_logits_as_the_network_gives_them(cross_encoder):
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(cross_encoder)
    network = AutoModelForSequenceClassification.from_pretrained(cross_encoder).eval()
    inputs = tokenizer(*map(list, zip(*PAIRS, strict=True)), padding=True, return_tensors="pt")
    with torch.no_grad():
        logits = network(**inputs).logits[:, 0].tolist()
    assert Reranker(cross_encoder, device="cpu").scores(PAIRS) == pytest.approx(logits, abs=1e-5)


def test_what_is_too_long_is_counted(cross_encoder):
    reranker = Reranker(cross_encoder, device="cpu")
    with pytest.warns(UserWarning, match="1 of 2 pairs are longer than the 16 tokens"):
        reranker.scores([("red", "sky"), ("red", "the sky " * 20)])
    assert reranker.truncated == 1


def test_it_works_behind_an_index(cross_encoder, word_embedder):
    reranker = Reranker(cross_encoder, device="cpu")
    index = HybridIndex(passages(), embedder=word_embedder, reranker=reranker)
    hits = index.search("red apples", top_k=4)
    scores = reranker.scores([("red apples", h.passage.text) for h in hits])
    assert [h.score for h in hits] == pytest.approx(scores.tolist(), abs=1e-5)
    assert [h.score for h in hits] == sorted((h.score for h in hits), reverse=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: (f / "config.json").unlink(), "config.json is missing or broken"),
        (lambda f: (f / "config.json").write_text("[]"), "config.json is missing or broken"),
        (
            lambda f: (f / "model.safetensors").rename(f / "pytorch_model.bin"),
            "no .safetensors file, and pickled weights are never",
        ),
        (
            lambda f: (f / "modules.json").write_text('[{"type": "own.Code"}]'),
            "wants to run code of its own .own.Code.",
        ),
        (lambda f: (f / "modules.json").write_text("{"), "modules.json is broken"),
        (lambda f: (f / "model.safetensors").write_bytes(b"0"), "cannot be loaded"),
    ],
)
def test_other_folders_are_refused(cross_encoder, tmp_path, change, message):
    folder = tmp_path / "copy"
    shutil.copytree(cross_encoder, folder)
    change(folder)
    with pytest.raises(RagftError, match=message):
        Reranker(folder, device="cpu").scores(PAIRS)


@pytest.mark.parametrize(
    ("config", "labels", "message"),
    [
        ({"auto_map": {"AutoModel": "own.Code"}}, 1, "wants to run code of its own .auto_map."),
        ({"architectures": ["BertModel"]}, 1, "names BertModel, which scores no pairs"),
        ({}, 3, "it gives 3 scores a pair, and one is needed"),
    ],
)
def test_models_that_do_not_rank_are_refused(tmp_path, config, labels, message):
    folder = save_cross_encoder(tmp_path / "model", labels, **config)
    with pytest.raises(RagftError, match=message):
        Reranker(folder, device="cpu").scores(PAIRS)


def test_a_model_that_cannot_be_had_is_named(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    def absent(*_, **__):
        raise FileNotFoundError("no such model")

    monkeypatch.setattr("huggingface_hub.snapshot_download", absent)
    with pytest.raises(RagftError, match="reranker 'no/such': neither a folder nor to be had"):
        Reranker("no/such")
    with pytest.raises(RagftError, match="batch_size must be at least 1, not 0"):
        Reranker("no/such", batch_size=0)
