"""A saved index is the old one or the new one, whatever happens, and finds what one in memory does.

Kills are made by the audit hook of Python itself: before the n-th thing that a process does to the
folder, for every n that there is.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragft.retrieval import listing, neighbours, saved, slabs, vectors
from ragft.retrieval.index import RETRIEVERS, HybridIndex
from ragft.retrieval.parts import searched_text
from ragft.types import Passage, RagftError
from tests.retrieval.conftest import WordEmbedder

TEXTS = ["red apples", "yellow bananas", "red cherries", "the blue sky", "a green tree", "..."]


def passage(number, text, part=0, **options):
    return Passage(f"d{number}#{part}", f"d{number}", text, 0, len(text), **options)


def passages(texts=TEXTS):
    return [
        passage(i, text, title="A title" if i % 2 else "", collection="ab"[i % 2])
        for i, text in enumerate(texts)
    ]


def alike(one, two):
    """Check that two indexes hold the same and find the same, but for rounding."""
    assert one.passages == two.passages and len(one) == len(two)
    for how in ({}, {"collection": "a"}):
        for query in ("red apples", "sky", "again"):
            found, other = (index.search(query, 50, **how) for index in (one, two))
            assert len(found) == len(other)
            scores = {h.passage.id: h.score for h in other}
            for hit in found:
                assert scores[hit.passage.id] == pytest.approx(hit.score, abs=1e-6)
    same(one, two)


def same(one, two):
    """Check, more quickly, that two indexes hold the same passages, words and vectors."""
    assert one.passages == two.passages
    for index in (one, two):
        index.build()
    if one.retriever != "dense":
        assert one._bm25.scores(list("abc")).tolist() == two._bm25.scores(list("abc")).tolist()
    if one.retriever != "bm25" and len(one):
        places = np.arange(len(one))
        np.testing.assert_array_equal(one.vectors.of(places), two.vectors.of(places))


def names(folder):
    return sorted(p.name for p in folder.iterdir() if p.name != ".lock")


@pytest.fixture(params=RETRIEVERS)
def retriever(request):
    return request.param


# Saving and loading


def test_what_is_saved_is_what_is_loaded(retriever, tmp_path):
    index = HybridIndex(passages(), retriever=retriever, embedder=WordEmbedder())
    folder = index.save(tmp_path / "x", about={"strategy": "whole", "size": 128})
    embedder = WordEmbedder()
    for loaded in (HybridIndex.load(folder, embedder=embedder),
                   HybridIndex.open(folder, embedder=embedder)):  # fmt: skip
        assert loaded.retriever == retriever and embedder.embedded == 0
        assert loaded.about == {"strategy": "whole", "size": 128}
        alike(loaded, index)
        assert loaded.explain("red apples")[0].ranks == index.explain("red apples")[0].ranks
        embedder.embedded = 0


def test_odd_passages_come_back(tmp_path):
    odd = [
        Passage("a\u2028#0", "a\u2028", "one\u2028two\x85three\n\rfour\x0b", 0, 9),
        Passage("b#0", "b", "half a \ud800 letter", 3, 8, "T\u2029", "s", "c", date(2020, 1, 1)),
        Passage("c#0", "c", "", 0, 0, valid_from=date(2020, 1, 1), valid_to=date(2021, 2, 3)),
    ]
    index = HybridIndex(odd, retriever="bm25")
    assert HybridIndex.load(index.save(tmp_path / "x")).passages == tuple(odd)


def test_ten_lines_from_a_notebook(tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "fruit.md").write_text("# Fruit\n\nApples are red. Bananas are yellow.")
    (tmp_path / "notes" / "sky.txt").write_text("The sky is blue.")

    from ragft import Corpus, HybridIndex, chunk

    corpus = Corpus.from_folder(tmp_path / "notes")
    cut = {"strategy": "sentences", "size": 8}
    index = HybridIndex(chunk(corpus.documents, **cut), retriever="bm25")
    hit = index.search("which fruit is yellow")[0]
    index.save(tmp_path / "index", about=cut)
    again = HybridIndex.load(tmp_path / "index")

    assert "Bananas are yellow." in hit.passage.text and again.about == cut
    assert again.search("which fruit is yellow")[0] == hit


def test_an_empty_index_can_be_saved_and_filled(retriever, tmp_path):
    folder = HybridIndex(retriever=retriever, embedder=WordEmbedder()).save(tmp_path / "x")
    assert HybridIndex.load(folder).search("red") == []
    index = HybridIndex.open(folder, embedder=WordEmbedder())
    index.upsert(passages())
    alike(HybridIndex.load(folder, embedder=WordEmbedder()), index)


def test_vectors_are_mapped_and_not_read(tmp_path):
    index = HybridIndex(passages(), retriever="dense", embedder=WordEmbedder())
    loaded = HybridIndex.load(index.save(tmp_path / "x"), embedder=WordEmbedder())
    loaded.search("red")
    loaded.upsert([passage(9, "more red")])
    loaded.search("red")
    assert [type(block).__name__ for block in loaded.vectors.blocks] == ["memmap", "ndarray"]


def test_a_loaded_index_changes_in_memory_alone(tmp_path):
    folder = HybridIndex(passages(), embedder=WordEmbedder()).save(tmp_path / "x")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    loaded = HybridIndex.load(folder, embedder=WordEmbedder())
    loaded.delete(["d0", "d1", "d2", "d3"])
    loaded.upsert([passage(9, "more red")])
    assert loaded.search("red")[0].passage.doc_id == "d9" and len(loaded) == 3
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    loaded.save(folder)  # over the very files that its vectors are mapped from
    alike(HybridIndex.load(folder, embedder=WordEmbedder()), loaded)


def test_saving_again_replaces_the_whole(tmp_path):
    first = HybridIndex(passages(), embedder=WordEmbedder())
    first.save(tmp_path / "x")
    second = HybridIndex(passages(["one thing only"]), retriever="bm25")
    second.save(tmp_path / "x")
    alike(HybridIndex.load(tmp_path / "x"), second)
    assert len(names(tmp_path / "x")) == 3  # list, part, words


def test_saving_an_open_index_elsewhere_copies_it(tmp_path):
    index = HybridIndex.open(tmp_path / "x", retriever="bm25", about={"size": 3})
    index.upsert(passages())
    assert index.save(tmp_path / "x") == tmp_path / "x"
    copy = HybridIndex.load(index.save(tmp_path / "y"))
    alike(copy, index)
    assert copy.about == {"size": 3}
    with pytest.raises(RagftError, match=r"was begun with about=\{'size': 3\}"):
        index.save(tmp_path / "x", about={"size": 4})


# Changes


WORDS = st.lists(st.sampled_from("abcd"), min_size=1, max_size=3).map(" ".join)
CHANGES = st.lists(
    st.one_of(
        st.tuples(
            st.just("upsert"), st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1), WORDS))
        ),
        st.tuples(st.just("delete"), st.lists(st.integers(0, 3))),
        st.tuples(st.just("replace"), st.tuples(st.integers(0, 2), WORDS)),
        st.tuples(st.sampled_from(["search", "search", "reopen", "save"]), st.none()),
    ),
    max_size=16,
)


def apply(index, what, how, step):
    if what == "upsert":
        made = {f"d{n}#{part}": passage(n, text, part) for n, part, text in how}
        index.upsert(made.values())
    elif what == "delete":
        index.delete(f"d{n}" for n in how)
    elif what == "replace":
        index.replace(f"d{how[0]}", [passage(how[0], f"{how[1]} {step}")])  # never seen before
    elif what == "search":
        index.search("a b")


@settings(deadline=None, max_examples=40)
@given(
    CHANGES, st.sampled_from(RETRIEVERS), st.sampled_from(vectors.DTYPES), st.integers(1, 4),
    st.sampled_from([0, 2048]),
)  # fmt: skip
def test_any_changes_leave_what_they_leave_in_memory(changes, retriever, dtype, most, few):
    with tempfile.TemporaryDirectory() as root, pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        patch.setattr(saved, "MOST_PARTS", most)  # both kinds of tidying up, again and again
        patch.setattr(saved, "SLAB", few)
        patch.setattr(vectors, "MOST_BLOCKS", most)
        folder, embedder = Path(root) / "x", WordEmbedder()
        options = {"retriever": retriever, "dtype": dtype}
        memory = HybridIndex(embedder=WordEmbedder(), **options)
        index = HybridIndex.open(folder, embedder=embedder, **options)
        for step, (what, how) in enumerate(changes):
            for one in (memory, index):
                apply(one, what, how, step)
            if listing.is_there(folder):
                same(HybridIndex.load(folder, embedder=embedder), memory)
            if what == "reopen":
                index = HybridIndex.open(folder, embedder=embedder, **options)
            if what == "save":
                index.save(folder.with_name("y"))
                alike(HybridIndex.load(folder.with_name("y"), embedder=embedder), memory)
        alike(index, memory)
        if listing.is_there(folder):
            held = listing.read_list(folder)
            assert set(names(folder)) == held.folders | {listing.LIST}
            assert len(held.parts) <= most + 1 and held.passages == len(memory)
            alike(HybridIndex.open(folder, embedder=WordEmbedder()), memory)


def test_only_new_texts_are_embedded_and_only_new_vectors_written(tmp_path):
    embedder = WordEmbedder()
    index = HybridIndex.open(tmp_path, embedder=embedder)
    texts = [f"text number {n}" for n in range(200)]
    assert index.upsert(passages(texts)).passages_embedded == 200
    index.build()
    size = sum(p.stat().st_size for p in tmp_path.glob("part-*/vectors.npy"))
    changed = [passage(n, f"changed {n}") for n in range(2)]
    cost = HybridIndex.open(tmp_path, embedder=embedder).upsert([*changed, *passages(texts)[2:]])
    assert (cost.passages_embedded, embedder.embedded) == (2, 202)
    grown = sum(p.stat().st_size for p in tmp_path.glob("part-*/vectors.npy")) - size
    assert grown == 128 + 2 * 64 * 4  # a header and two vectors
    # What was deleted and comes again, in the same process, is not embedded again either.
    index = HybridIndex.open(tmp_path, embedder=embedder)
    index.delete("d5")
    assert index.upsert([passages(texts)[5]]).passages_embedded == 0


def test_nothing_to_change_writes_nothing(tmp_path):
    index = HybridIndex.open(tmp_path / "x", retriever="bm25")
    index.upsert([])
    index.delete("never there")
    assert index.search("red") == [] and (not index.folder.exists() or names(index.folder) == [])
    index.upsert(passages())
    before = names(index.folder)
    index.upsert(passages())
    index.delete(["never there"])
    assert names(index.folder) == before


def test_postings_are_kept_when_they_are_made(tmp_path, monkeypatch):
    index = HybridIndex.open(tmp_path, retriever="bm25")
    index.upsert(passages())
    index.search("red")
    found = index.search("red")
    monkeypatch.setattr("ragft.retrieval.index.tokenize", lambda text: text.split())
    monkeypatch.setattr("ragft.retrieval.bm25.BM25.fit", lambda *_: pytest.fail("counted again"))
    assert HybridIndex.open(tmp_path).search("red") == found
    assert HybridIndex.load(tmp_path).search("red") == found


def test_a_failed_change_changes_nothing(tmp_path, monkeypatch):
    index = HybridIndex.open(tmp_path, embedder=WordEmbedder())
    index.upsert(passages())
    before, hits = index.passages, index.search("red")

    def full(*_):
        raise OSError(28, "No space left on device")

    for place in ("write_through", "os.replace", "os.rename"):
        with monkeypatch.context() as patch:
            patch.setattr(f"ragft.files.{place}", full)
            with pytest.raises(RagftError, match="No space left"):
                index.upsert([passage(7, "new")])
        assert index.passages == before and index.search("red") == hits
        assert HybridIndex.load(tmp_path, embedder=WordEmbedder()).passages == before
    with pytest.raises(RagftError, match="two passages with one id"):
        index.replace("d0", [passage(7, "new"), passage(7, "newer")])
    assert index.passages == before
    index.upsert([passage(7, "new")])
    alike(HybridIndex.load(tmp_path, embedder=WordEmbedder()), index)


# Kills


KILLED = '''
import json, os, shutil, signal, sys
from pathlib import Path
import numpy as np
from ragft.retrieval import listing, saved
from ragft.retrieval.index import HybridIndex
from tests.retrieval.conftest import WordEmbedder
from tests.retrieval.test_saved import change, passage, passages

base, work, what = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
saved.MOST_PARTS = 1 if what == "tidy" else 64
os.fsync = lambda _: None  # what was written outlives its process anyway

def kill_at(n):
    left = n

    def hook(event, arguments):
        nonlocal left
        touches = event in ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "shutil.rmtree")
        writes = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if (touches or writes) and str(work) in str(arguments[0]):
            left -= 1
            if left == -1:
                if writes:  # the file is opened, which empties it, and nothing is written
                    os.open(*arguments[::2])
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)

def attempt(n):
    """Copy the index and change the copy in a child that is killed at its n-th step."""
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(base, work)
    child = os.fork()
    if not child:
        kill_at(n)
        change(work, what)
        os._exit(0)
    return os.waitpid(child, 0)[1]

def state(folder):
    index = HybridIndex.load(folder, embedder=WordEmbedder())
    index.build()
    words = index._bm25.scores(["new", "text", "red"])
    vectors = [row.tobytes() for row in index.vectors.of(np.arange(len(index)))]
    return {p.id: (p.text, words[i], vectors[i]) for i, p in enumerate(index.passages)}

old = state(base)
shutil.copytree(base, work)
change(work, what)
new = state(work)
assert new != old and len(new) == (1 if what == "save" else 7), new
seen, n = [], 0
while attempt(n):
    found = state(work)  # opened after the kill
    assert found in (old, new), (n, found)
    seen.append(found == new)
    index = HybridIndex.open(work, embedder=WordEmbedder())
    index.upsert([passage(20, "after the kill")])
    again = state(work)
    assert again.pop("d20#0") and again.keys() == found.keys()
    assert all(again[i][::2] == found[i][::2] for i in found)  # words weigh by all passages
    names = {p.name for p in work.iterdir()} - {".lock", "index.json"}
    assert names == listing.read_list(work).folders, names
    n += 1
assert state(work) == new
print(json.dumps(seen))
'''


def change(folder, what):
    if what == "save":
        HybridIndex([passage(3, "one of another index")], embedder=WordEmbedder()).save(folder)
        return
    index = HybridIndex.open(folder, embedder=WordEmbedder())
    index.replace("d1", [passage(1, "new text"), passage(1, "and more", 1), passage(9, "other")])
    if what == "build":
        index.build()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.parametrize("what", ["change", "tidy", "build", "save"])
def test_killed_at_any_step_it_is_the_old_index_or_the_new(tmp_path, what):
    base = tmp_path / "base"
    index = HybridIndex.open(base, embedder=WordEmbedder())
    index.upsert(passages())
    index.delete("d4")
    index.build()
    result = subprocess.run(
        [sys.executable, "-c", KILLED, base, tmp_path / "work", what],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    seen = json.loads(result.stdout)
    # Old up to some step and new from there on; and there were steps before and after it.
    assert len(seen) > 8 and seen == sorted(seen) and not seen[0] and seen[-1]


BUILD = """
import os, signal, sys
from ragft.retrieval import saved, slabs
from ragft.retrieval.index import HybridIndex
from tests.retrieval.conftest import WordEmbedder
from tests.retrieval.test_saved import passages

slabs.SLAB = saved.SLAB = 10

class Killed(WordEmbedder):
    def embed(self, texts, cached=True):
        if self.embedded == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().embed(texts, cached)

Killed.__qualname__ = "WordEmbedder"
embedder = Killed()
index = HybridIndex.open(sys.argv[1], embedder=embedder)
index.upsert(passages([f"text number {n}" for n in range(95)]))
print(embedder.embedded)
"""


def test_a_killed_build_goes_on_where_it_was(tmp_path):
    def build(kill):
        return subprocess.run(
            [sys.executable, "-c", BUILD, tmp_path / "x", str(kill)],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
        )

    assert build(40).returncode == -signal.SIGKILL
    assert build(30).returncode == -signal.SIGKILL  # 40 are known, 30 more were made
    assert not listing.is_there(tmp_path / "x")
    last = build(-1)
    assert last.returncode == 0, last.stderr
    assert last.stdout.split() == ["25"]
    assert names(tmp_path / "x") == ["index.json", "part-000001"]
    whole = HybridIndex(passages([f"text number {n}" for n in range(95)]), embedder=WordEmbedder())
    alike(HybridIndex.load(tmp_path / "x", embedder=WordEmbedder()), whole)


def test_an_embedder_with_a_cache_keeps_unfinished_work_itself(tmp_path, monkeypatch):
    monkeypatch.setattr(saved, "SLAB", 1)
    index = HybridIndex.open(tmp_path, embedder=WordEmbedder())
    assert index._unfinished(2).folder == tmp_path / ".unfinished" and index._unfinished(1) is None
    index.embedder.remembers = True
    assert index._unfinished(2) is None


# Two writers


def test_the_second_writer_is_told(tmp_path):
    one = HybridIndex.open(tmp_path, retriever="bm25")
    one.upsert(passages())
    two = HybridIndex.open(tmp_path)
    one.upsert([passage(8, "by one")])
    with pytest.raises(RagftError, match=f"{re.escape(str(tmp_path))}: another process has chang"):
        two.upsert([passage(9, "by two")])
    assert len(two) == len(TEXTS)
    again = HybridIndex.open(tmp_path)
    again.upsert([passage(9, "by two")])
    assert len(HybridIndex.load(tmp_path)) == len(TEXTS) + 2


def test_two_that_begin_the_same_index(tmp_path):
    one, two = (HybridIndex.open(tmp_path / "x", retriever="bm25") for _ in range(2))
    one.upsert(passages())
    with pytest.raises(RagftError, match="another process has changed"):
        two.upsert(passages())


WRITER = """
import sys
from ragft.retrieval.index import HybridIndex
from tests.retrieval.conftest import WordEmbedder
from tests.retrieval.test_saved import passage

class Slow(WordEmbedder):
    def embed(self, texts, cached=True):
        print("embedding", flush=True)
        sys.stdin.readline()
        return super().embed(texts, cached)

Slow.__qualname__ = "WordEmbedder"
HybridIndex.open(sys.argv[1], embedder=Slow()).upsert([passage(9, "by the first")])
"""


def test_a_writer_beside_another_is_told_and_readers_are_not_held_up(tmp_path):
    pytest.importorskip("fcntl")
    index = HybridIndex.open(tmp_path, embedder=WordEmbedder())
    index.upsert(passages())
    first = subprocess.Popen(
        [sys.executable, "-c", WRITER, tmp_path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    with first:
        assert first.stdout.readline() == "embedding\n"
        embedded = index.embedder.embedded
        with pytest.raises(RagftError, match=f"{re.escape(str(tmp_path))}: another process is wri"):
            index.upsert([passage(8, "by the second")])
        assert index.embedder.embedded == embedded, "told before anything is embedded"
        with pytest.raises(RagftError, match="another process is writing"):
            HybridIndex(passages(), retriever="bm25").save(tmp_path)
        assert len(HybridIndex.open(tmp_path, embedder=WordEmbedder()).search("red", 9)) == 6
        first.communicate("\n")
    assert first.returncode == 0
    found = HybridIndex.load(tmp_path, embedder=WordEmbedder())
    assert [p.text for p in found.passages] == [*TEXTS, "by the first"]


def test_what_a_reader_builds_does_not_stop_a_writer(tmp_path):
    index = HybridIndex.open(tmp_path, retriever="bm25")
    index.upsert(passages())
    HybridIndex.open(tmp_path).search("red")  # writes the postings down
    assert listing.read_list(tmp_path).words
    index.upsert([passage(9, "more")])
    assert len(HybridIndex.load(tmp_path)) == 7


def test_a_reader_reads_again_what_was_replaced_meanwhile(tmp_path, monkeypatch):
    index = HybridIndex.open(tmp_path, retriever="bm25")
    index.upsert(passages())
    read, seen = saved._read_listed, []

    def late(folder, held):
        seen.append(held)
        if len(seen) == 1:
            HybridIndex(passages(["new"]), retriever="bm25").save(folder)
        return read(folder, held)

    monkeypatch.setattr(saved, "_read_listed", late)
    assert [p.text for p in HybridIndex.load(tmp_path).passages] == ["new"] and len(seen) == 2


# Damage, other models, other versions


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """An index with a file of every kind."""
    folder = tmp_path_factory.mktemp("kept") / "x"
    return HybridIndex(passages(), embedder=WordEmbedder(), kind="ivf").save(folder)


KINDS_OF_FILE = {
    "part-000001": ["gone.json", "passages.jsonl", "rows.npy", "vectors.npy", "manifest.json"],
    "words-000002": ["words.json", "postings.npz", "manifest.json"],
    "neighbours-000003": ["index.faiss", "manifest.json"],
    ".": ["index.json"],
}
FILES = [f"{place}/{name}" for place, names in KINDS_OF_FILE.items() for name in names]


def test_no_kind_of_file_is_forgotten_here(kept):
    found = {str(p.relative_to(kept)) for p in kept.rglob("*") if p.is_file()} - {".lock"}
    assert found == {str(Path(name)) for name in FILES}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("how", ["first", "middle", "last", "short", "empty", "gone"])
def test_a_damaged_file_is_refused_by_its_name(kept, tmp_path, name, how):
    folder = tmp_path / "x"
    shutil.copytree(kept, folder)
    path = folder / name
    data = bytearray(path.read_bytes())
    if how == "gone":
        path.unlink()
    elif how in ("short", "empty"):
        path.write_bytes(data[: len(data) // 2 if how == "short" else 0])
    else:
        data[{"first": 0, "middle": len(data) // 2, "last": -1}[how]] ^= 1
        path.write_bytes(data)
    told = f"{path.parent.name}/{path.name}" if path.parent != folder else path.name
    if how == "gone" and name.endswith("index.json"):
        told = "index.json is missing"
    for opened in (HybridIndex.load, HybridIndex.open):
        if how == "gone" and name.endswith("index.json") and opened == HybridIndex.open:
            continue  # an index may be begun there
        with pytest.raises(RagftError, match=re.escape(told)) as error:
            opened(folder, embedder=WordEmbedder())
        assert "save" in str(error.value)


def test_an_index_of_another_model_is_refused(retriever, tmp_path):
    one, other = WordEmbedder(), WordEmbedder()
    one.model_hash, other.model_hash = "1" * 64, "2" * 64
    folder = HybridIndex(passages(), retriever=retriever, embedder=one).save(tmp_path / "x")
    for opened in (HybridIndex.load, HybridIndex.open):
        if retriever == "bm25":
            assert opened(folder, embedder=other).search("red")
            continue
        with pytest.raises(RagftError, match="made by the model '1{16}'.*build it again"):
            opened(folder, embedder=other)
        assert opened(folder, embedder=one).search("red")


def test_the_embedder_made_when_first_needed_is_checked_too(tmp_path, monkeypatch):
    one, other = WordEmbedder(), WordEmbedder()
    one.model_hash, other.model_hash = "1" * 64, "2" * 64
    folder = HybridIndex(passages(), embedder=one).save(tmp_path / "x")
    monkeypatch.setattr("ragft.retrieval.index.Embedder", lambda **_: other)
    for opened in (HybridIndex.load, HybridIndex.open):
        index = opened(folder)
        for _ in range(2):
            with pytest.raises(RagftError, match="made by the model '1{16}'"):
                index.search("red")
        assert index.save(tmp_path / "copy"), "no embedder is needed for that"


def test_embedders_without_a_hash_are_told_apart_by_their_class(tmp_path):
    class Another(WordEmbedder):
        pass

    folder = HybridIndex(passages(), embedder=WordEmbedder()).save(tmp_path / "x")
    with pytest.raises(RagftError, match="made by the model 'WordEmbedder'"):
        HybridIndex.load(folder, embedder=Another())
    with pytest.raises(RagftError, match="have 64 numbers and the embedder gave 32"):
        HybridIndex.load(folder, embedder=WordEmbedder(32)).search("red")
    with pytest.raises(RagftError, match="have 64 numbers and the embedder gave 32"):
        HybridIndex.open(folder, embedder=WordEmbedder(32)).upsert([passage(9, "new")])
    assert len(HybridIndex.load(folder, embedder=WordEmbedder())) == len(TEXTS)


def test_another_version_is_refused(tmp_path, monkeypatch):
    index = HybridIndex(passages(), retriever="bm25")
    held = listing.Listing("bm25", format=listing.FORMAT + 1)
    index.save(tmp_path)
    listing.write_list(tmp_path, held)
    for opened in (HybridIndex.load, HybridIndex.open):
        with pytest.raises(RagftError, match=r"has format 2, .* reads 1; delete .* build .* again"):
            opened(tmp_path)
    index.save(tmp_path)  # building it again is all it takes
    assert len(HybridIndex.load(tmp_path)) == len(TEXTS)


def test_another_retriever_or_other_chunking_is_refused(tmp_path):
    index = HybridIndex.open(tmp_path, retriever="bm25", about={"size": 128})
    index.upsert(passages())
    assert HybridIndex.open(tmp_path, retriever="bm25", about={"size": 128}).about == {"size": 128}
    with pytest.raises(RagftError, match="begun with retriever='bm25', not 'dense'"):
        HybridIndex.open(tmp_path, retriever="dense")
    with pytest.raises(RagftError, match=r"begun with about=\{'size': 128\}, not \{'size': 64\}"):
        HybridIndex.open(tmp_path, about={"size": 64})


def test_vectors_of_half_the_size_stay_so(tmp_path):
    folder, embedder = tmp_path / "x", WordEmbedder()
    half = HybridIndex(passages(), retriever="dense", embedder=embedder, dtype="float16")
    whole = HybridIndex(passages(), retriever="dense", embedder=WordEmbedder())
    alike(HybridIndex.load(half.save(folder), embedder=embedder), half)
    for index in (half, HybridIndex.open(folder, embedder=embedder, kind="exact")):
        index.upsert([passage(9, "a purple plum")])
        index.build()
        assert {block.dtype for block in index.vectors.blocks} == {np.dtype("float16")}
    whole.upsert([passage(9, "a purple plum")])
    whole.build()
    assert 2 * index.vectors.bytes == whole.vectors.bytes
    scores = [{h.passage.id: h.score for h in i.search("purple sky", 9)} for i in (index, whole)]
    assert scores[0] == pytest.approx(scores[1], abs=1e-3) and len(scores[0]) == len(TEXTS) + 1
    written = [np.load(path).dtype for path in sorted(folder.glob("part-*/vectors.npy"))]
    assert written == [np.dtype("<f2")] * 2
    with pytest.raises(RagftError, match="begun with dtype='float16', not 'float32'"):
        HybridIndex.open(folder, embedder=embedder, dtype="float32")


def test_a_list_that_says_another_dtype_than_its_files_have_is_refused(tmp_path):
    HybridIndex(passages(), embedder=WordEmbedder()).save(tmp_path)
    held = listing.read_list(tmp_path)
    listing.write_list(tmp_path, replace(held, dtype="float16"))
    with pytest.raises(RagftError, match="part-000001: its files do not go together; delete"):
        HybridIndex.load(tmp_path)
    listing.write_list(tmp_path, replace(held, dtype="int8"))
    with pytest.raises(RagftError, match=r"index\.json: is no list of an index; delete"):
        HybridIndex.load(tmp_path)


def test_options_of_a_search_may_differ(tmp_path):
    folder = HybridIndex(passages(), embedder=WordEmbedder()).save(tmp_path / "x")
    for opened in (HybridIndex.load, HybridIndex.open):
        assert opened(folder, embedder=WordEmbedder(), depth=1, rerank_depth=3).depth == 1
    with pytest.raises(RagftError, match="depth must be at least 1"):
        HybridIndex.open(folder, depth=0)


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    (tmp_path / "part-000001").mkdir()
    index = HybridIndex(passages(), retriever="bm25")
    for action in (index.save, HybridIndex.open):
        with pytest.raises(RagftError, match="holds 'thesis.txt' and no index"):
            action(tmp_path)
        with pytest.raises(RagftError, match="is a file"):
            action(tmp_path / "thesis.txt")
    with pytest.raises(RagftError, match="no index lies here"):
        HybridIndex.load(tmp_path)
    assert names(tmp_path) == ["part-000001", "thesis.txt"]


def test_opening_what_is_not_there_makes_nothing(tmp_path):
    HybridIndex.open(tmp_path / "typo", retriever="bm25").search("red")
    assert not (tmp_path / "typo").exists()


def test_an_index_that_cannot_be_written_can_be_read(tmp_path, monkeypatch):
    HybridIndex.open(tmp_path, retriever="bm25").upsert(passages())

    def refused(*_, **__):
        raise RagftError("read-only")

    monkeypatch.setattr("ragft.files.locked", refused)
    index = HybridIndex.open(tmp_path)
    assert len(index.search("red", 9)) == 6
    with pytest.raises(RagftError, match="read-only"):
        index.upsert([passage(9, "new")])
    assert len(index) == 6


# Approximate search


def test_an_approximate_index_is_saved_and_extended(tmp_path, monkeypatch):
    monkeypatch.setattr(neighbours, "EXACT_UP_TO", 100)
    texts = [f"word{n} and word{n % 7} too" for n in range(150)]
    index = HybridIndex(passages(texts), retriever="dense", embedder=WordEmbedder())
    folder = index.save(tmp_path / "x")
    about = json.loads((folder / "index.json").read_text())["index"]["approximate"]
    assert index.vectors.searched == about["kind"] == "ivf" and about["rows"] == 150
    assert about["recall"] == index.recall > 0.9
    with monkeypatch.context() as patch:
        patch.setattr(neighbours.Neighbours, "of", lambda *_: pytest.fail("built again"))
        again = HybridIndex.open(folder, embedder=WordEmbedder())
        again.upsert([passage(n, f"fresh{n}") for n in range(5)])
        for n in range(5):
            hit = again.search(f"fresh{n}", 1)[0]
            assert hit.passage.text == f"fresh{n}" and hit.score == pytest.approx(1, abs=1e-5)
        assert again.vectors.searched == "ivf" and again.recall == about["recall"]
        assert len(again.search("word3", 150)) == 150
        assert {h.passage.collection for h in again.search("word3", 9, collection="b")} == {"b"}
    exact = HybridIndex.load(folder, embedder=WordEmbedder(), kind="exact")
    assert exact.vectors.searched == "exact" and exact.recall == 1.0
    assert exact.passages == again.passages


def test_worn_vectors_are_built_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(saved, "SLAB", 10)
    embedder = WordEmbedder()
    index = HybridIndex.open(tmp_path, retriever="dense", embedder=embedder, kind="ivf")
    held = []
    for round_ in range(4):
        index.upsert([passage(n, f"text {n} of round {round_}") for n in range(12)])
        held.append(len(index.vectors))
        alike(
            HybridIndex.load(tmp_path, embedder=embedder, kind="exact"),
            HybridIndex(index.passages, retriever="dense", embedder=WordEmbedder()),
        )
        assert len(index.search("text 3", 12)) == 12
        assert listing.read_list(tmp_path).approximate["rows"] == len(index.vectors)
    # The third time, 24 of 36 vectors are of texts that are gone: more than half.
    assert held == [12, 24, 12, 24]


def test_texts_stand_for_their_vectors(tmp_path):
    index = HybridIndex.open(tmp_path, retriever="dense", embedder=WordEmbedder())
    index.upsert([passage(0, "same"), passage(1, "same"), passage(2, "other")])
    assert len(index.vectors) == 2
    index = HybridIndex.open(tmp_path, embedder=WordEmbedder())
    index.build()
    expected = WordEmbedder().embed([searched_text(p) for p in index.passages])
    np.testing.assert_array_equal(index.vectors.of(np.arange(3)), expected)


def test_slabs_have_one_size():
    assert slabs.SLAB == saved.SLAB
