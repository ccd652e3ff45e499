"""The libraries that people would call for hybrid search in place of ours, each called as it says.

They live in the benchmark's own environment (`make bench`) and are imported by name: none of them
is a dependency. All get the same texts and vectors and, as far as they let one choose, the same
words.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec

from ragft.bench.sides import DIMENSION, TOP, Known
from ragft.bench.words import bm25s_backend
from ragft.retrieval.bm25 import tokenize
from ragft.retrieval.fusion import reciprocal_rank_fusion
from ragft.retrieval.index import HybridIndex
from ragft.types import Passage

DEPTH = 100
"""Passages of each ranking that enter the fusion."""
RRF_K = 60
"""Of the fusion by ranks, as all peers have it."""
WORDS = r"(?u)\w+(?:\.\w+)*"
"""What is a word, for a peer that takes a pattern and no function; as `bm25.tokenize`."""

Search = Callable[[Sequence[str]], list[list[int]]]
"""Returns for each query the positions of the passages found."""


def _there(name: str) -> bool:
    # A module can only be looked for where the packages that it lies in are there.
    parts = name.split(".")
    return all(find_spec(".".join(parts[: n + 1])) is not None for n in range(len(parts)))


@dataclass(frozen=True)
class Peer:
    """A library that does hybrid search."""

    name: str
    package: str
    """Whose version is told."""
    modules: tuple[str, ...]
    """All that must be there."""
    build: Callable[[Sequence[str], Known], Search]
    """Makes an index of texts; the search of it is what is timed apart."""
    least: float
    """Share of our passages that it must find: it weighs words in another way, or fewer words."""
    queries: int
    """That it answers in one timing."""

    @property
    def installed(self) -> bool:
        """Whether it can be timed here."""
        return all(_there(name) for name in self.modules)

    @property
    def label(self) -> str:
        """Name and version."""
        return f"{self.name} {version(self.package)}" if self.installed else self.name


def ours(texts: Sequence[str], known: Known, dtype: str = "float32") -> Search:
    """Index by ragft, its vectors kept in that dtype."""
    passages = [Passage(f"{n}", f"{n}", text, 0, len(text)) for n, text in enumerate(texts)]
    index = HybridIndex(passages, embedder=known, depth=DEPTH, rrf_k=RRF_K, dtype=dtype)
    index.build()
    return lambda asked: [
        [int(hit.passage.id) for hit in hits] for hits in index.search(asked, TOP)
    ]


def _direct(texts: Sequence[str], known: Known) -> Search:
    """Index by bm25s and faiss, called directly, and fuse by ranks."""
    import bm25s
    import faiss

    sparse = bm25s.BM25(method="robertson", backend=bm25s_backend())
    sparse.index([tokenize(text) for text in texts], show_progress=False)
    flat = faiss.IndexFlatIP(DIMENSION)
    flat.add(known.embed(texts))
    options = {"k": DEPTH, "show_progress": False, "n_threads": 0, "return_as": "documents"}

    def search(asked: Sequence[str]) -> list[list[int]]:
        one = sparse.retrieve([tokenize(query) for query in asked], **options).tolist()
        two = flat.search(known.embed(asked), DEPTH)[1].tolist()
        pairs = zip(one, two, strict=True)
        return [[n for n, _ in reciprocal_rank_fusion(pair, RRF_K)[:TOP]] for pair in pairs]

    return search


def _llama_index(texts: Sequence[str], known: Known) -> Search:
    """Index by LlamaIndex, as its documentation of fusion has it; no language model is asked."""
    import faiss

    core, schema, retrievers, llms, embeddings, words, stores = map(
        importlib.import_module,
        (
            "llama_index.core",
            "llama_index.core.schema",
            "llama_index.core.retrievers",
            "llama_index.core.llms",
            "llama_index.core.embeddings",
            "llama_index.retrievers.bm25",
            "llama_index.vector_stores.faiss",
        ),
    )

    class Looked(embeddings.BaseEmbedding):
        """Knows all vectors beforehand."""

        def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
            return known.embed(texts).tolist()

        def _get_text_embedding(self, text: str) -> list[float]:
            return known.embed([text])[0].tolist()

        def _get_query_embedding(self, query: str) -> list[float]:
            return self._get_text_embedding(query)

        async def _aget_query_embedding(self, query: str) -> list[float]:
            return self._get_text_embedding(query)

    nodes = [schema.TextNode(id_=f"{n}", text=text) for n, text in enumerate(texts)]
    store = stores.FaissVectorStore(faiss_index=faiss.IndexFlatIP(DIMENSION))
    context = core.StorageContext.from_defaults(vector_store=store)
    index = core.VectorStoreIndex(nodes, storage_context=context, embed_model=Looked())
    lexical = words.BM25Retriever.from_defaults(
        nodes=nodes, similarity_top_k=DEPTH, skip_stemming=True, token_pattern=WORDS
    )
    fused = retrievers.QueryFusionRetriever(
        [lexical, index.as_retriever(similarity_top_k=DEPTH)],
        llm=llms.MockLLM(),
        mode="reciprocal_rerank",
        num_queries=1,
        similarity_top_k=TOP,
        use_async=False,
    )
    return lambda asked: [[int(hit.node.node_id) for hit in fused.retrieve(q)] for q in asked]


def _langchain(texts: Sequence[str], known: Known) -> Search:
    """Index by LangChain's ensemble of BM25 and FAISS."""
    stores, lexical, ensemble, core = map(
        importlib.import_module,
        (
            "langchain_community.vectorstores",
            "langchain_community.retrievers",
            "langchain_classic.retrievers",
            "langchain_core.embeddings",
        ),
    )

    class Looked(core.Embeddings):
        """Knows all vectors beforehand."""

        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return known.embed(texts).tolist()

        def embed_query(self, text: str) -> list[float]:
            return known.embed([text])[0].tolist()

    numbered = [{"n": n} for n in range(len(texts))]
    words = lexical.BM25Retriever.from_texts(texts, metadatas=numbered, preprocess_func=tokenize)
    words.k = DEPTH
    near = stores.FAISS.from_texts(list(texts), Looked(), metadatas=numbered)
    both = ensemble.EnsembleRetriever(
        retrievers=[words, near.as_retriever(search_kwargs={"k": DEPTH})],
        weights=[0.5, 0.5],
        c=RRF_K,
    )
    return lambda asked: [[found.metadata["n"] for found in both.invoke(q)][:TOP] for q in asked]


_LLAMA_INDEX = (
    "llama_index.core",
    "llama_index.retrievers.bm25",
    "llama_index.vector_stores.faiss",
)
PEERS = (
    Peer("bm25s + faiss + fusion called directly", "bm25s", ("bm25s", "faiss"), _direct, 0.7, 200),
    Peer("LlamaIndex fusion + FAISS", "llama-index-core", _LLAMA_INDEX, _llama_index, 0.5, 20),
    Peer(
        "LangChain ensemble",
        "langchain-classic",
        ("langchain_community", "langchain_classic", "rank_bm25", "faiss"),
        _langchain,
        0.7,
        10,
    ),
)
