"""Everything that ragft writes and reads again, as operations that can be broken off and repeated.

An operation works in a folder, finds what it left there before, does what is missing, and returns
what is then known, without what a clock decides. It tells when it computes a unit and when that
unit is finished, so that a test can count what was lost and what was done twice.
"""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

from ragft import files, models
from ragft.batch import batches, grids, run_grid
from ragft.batch import runs as notebook_runs
from ragft.corpora import releases, wheels
from ragft.corpora.corpus import Corpus, read_questions, write_questions
from ragft.records import Records, content_key
from ragft.report.grid_page import PageWriter
from ragft.report.publish import keep
from ragft.retrieval import fitting, saved, slabs
from ragft.retrieval.index import HybridIndex
from ragft.retrieval.pairs import Pair
from ragft.retrieval.shards import ShardedIndex, write_shards
from ragft.retrieval.vector_cache import VectorCache
from ragft.types import DatedAnswer, Document, Example, Passage, Question
from tests.batch.conftest import InProcess
from tests.conftest import save_tiny_model
from tests.retrieval.conftest import WordEmbedder

Tell = Callable[[str, str], None]
"""Is told 'computing' or 'finished', and the name of the unit."""
TEXTS = ["red apples", "yellow bananas", "red cherries", "the blue sky", "a green tree", "..."]
UNITS = range(5)
"""Of each operation; a test may put in fewer."""


@dataclass(frozen=True)
class Operation:
    """What is done in a folder."""

    run: Callable[[Path, Tell], Any]
    interrupted: Callable[[Path], None] | None = None
    """Leaves the folder as one that was broken off half-way does; None: it is run to its end."""
    slow: bool = False
    """Whether it takes more than a moment."""
    anew: bool = False
    """Whether it writes anew at every call, for other programs; then nothing is done twice."""


def nobody(event: str, unit: str) -> None:
    """Hear and forget."""


@cache
def inputs() -> Path:
    """Return a folder of what operations begin with; it goes with the process."""
    folder = Path(tempfile.mkdtemp(prefix="inputs"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


# Records


def cells(folder: Path, tell: Tell) -> Any:
    import pandas as pd

    found = []
    for unit in map(str, UNITS):

        def compute(unit: str = unit) -> tuple[pd.DataFrame, dict[str, Any]]:
            tell("computing", unit)
            return pd.DataFrame({"n": [int(unit), 2], "text": ["é", None]}), {"unit": unit}

        frame, meta = Records(folder).cached(content_key({"cell": unit}), compute)
        tell("finished", unit)
        found.append((frame.to_json(), meta))
    return found


def built(folder: Path, tell: Tell) -> Any:
    found = []
    for unit in map(str, UNITS):

        def build(out: Path, unit: str = unit) -> None:
            tell("computing", unit)
            (out / "sub").mkdir()
            files.write_through(out / "sub" / "weights.bin", bytes(range(200)) + unit.encode())

        made = Records(folder).built(content_key({"built": unit}), build)
        tell("finished", unit)
        found.append((made / "sub" / "weights.bin").read_bytes())
    return found


def run(folder: Path, tell: Tell) -> Any:
    import pandas as pd

    found = []
    for unit in map(str, UNITS):
        one = Records(folder).open("compare", content_key({"run": unit}), parameters={"n": unit})
        if not one.finished:
            tell("computing", unit)
            one.finish(pd.DataFrame({"arm": ["rag", unit], "right": [True, False]}), {"unit": unit})
        record, answers = one.load()
        tell("finished", unit)
        found.append((record["results"], record["parameters"], answers.to_json()))
    return found


# Indexes


def passages(texts: list[str]) -> list[Passage]:
    return [Passage(f"d{n}#0", f"d{n}", text, 0, len(text)) for n, text in enumerate(texts)]


def found_by(index: Any) -> Any:
    queries = ("red apples", "sky", "again")
    hits = [[(h.passage.id, round(h.score, 6)) for h in index.search(q, 5)] for q in queries]
    return [p.id for p in index.passages], hits


def index(folder: Path, tell: Tell) -> Any:
    """An index that changes are written into one by one."""
    opened = HybridIndex.open(folder / "index", embedder=WordEmbedder(16), kind="ivf")
    for passage in passages(TEXTS[: len(UNITS) + 1]):
        if passage.id not in {there.id for there in opened.passages}:
            tell("computing", passage.id)
            opened.upsert([passage])
        tell("finished", passage.id)
    opened.build()
    return found_by(opened)


def saved_index(folder: Path, tell: Tell) -> Any:
    """An index that is written whole."""
    if not (folder / "index" / "index.json").exists():
        tell("computing", "whole")
        HybridIndex(passages(TEXTS), embedder=WordEmbedder(16), kind="ivf").save(folder / "index")
    tell("finished", "whole")
    return found_by(HybridIndex.load(folder / "index", embedder=WordEmbedder(16)))


def shards(folder: Path, tell: Tell) -> Any:
    if not (folder / "shards").exists():
        tell("computing", "whole")
        write_shards(HybridIndex(passages(TEXTS), embedder=WordEmbedder(16)), folder / "shards", 2)
    tell("finished", "whole")
    return found_by(ShardedIndex(folder / "shards", embedder=WordEmbedder(16)))


class Stopped(Exception):
    """Stands for whatever breaks an operation off."""


def large_change(folder: Path, tell: Tell, stop: bool = False) -> Any:
    """A change of many texts, whose finished vectors are kept while it goes."""

    class Embedder(WordEmbedder):
        def embed(self, texts: Any, cached: bool = True) -> Any:
            if stop and self.embedded >= 16:
                raise Stopped
            return super().embed(texts, cached)

    Embedder.__qualname__ = "WordEmbedder"
    texts = [f"text number {n}" for n in range(30)]
    with mock.patch.object(saved, "SLAB", 8), mock.patch.object(slabs, "SLAB", 8):
        opened = HybridIndex.open(folder / "index", embedder=Embedder(16))
        if not opened.passages:
            tell("computing", "whole")
            opened.upsert(passages(texts))
        tell("finished", "whole")
        return found_by(opened)


def begun_change(folder: Path) -> None:
    try:
        large_change(folder, nobody, stop=True)
    except Stopped:
        return
    raise AssertionError("it was to stop half-way")


def vectors(folder: Path, tell: Tell) -> Any:
    held, embedder, found = VectorCache(folder / "vectors", "ab" * 32), WordEmbedder(16), []
    for unit in map(str, UNITS):
        texts = [f"{text} {unit}" for text in TEXTS]
        there = held.get(texts)
        missing = [text for text in texts if text not in there]
        if missing:
            tell("computing", unit)
            held.put(dict(zip(missing, embedder.embed(missing), strict=True)))
        tell("finished", unit)
        there = held.get(texts)
        found += [there[text].tolist() for text in texts]
    return found


def tuned_retriever(folder: Path, tell: Tell) -> Any:
    """What `tune` keeps, its training left out."""

    def train(out: Path) -> None:
        tell("computing", "whole")
        files.write_through(out / "model.safetensors", bytes(range(256)))
        fitting.note(out, {"seed": 0}, {"loss": 0.5})

    pairs = [Pair("red?", "red apples"), Pair("sky?", "the blue sky")]
    out = fitting.keep(folder / "tuned", pairs, {"seed": 0}, train)
    tell("finished", "whole")
    return (out / "model.safetensors").read_bytes(), (out / fitting.SETTINGS).read_text()


# Training

EXAMPLES = [Example(f"Q: {k}?\nA:", f" {v}", k) for k, v in {"Tarmo": "1", "Velka": "2"}.items()]
TRAINING = {
    "rank": 4, "epochs": 4, "learning_rate": 2e-2, "batch_tokens": 16, "checkpoint_every": 2,
    "progress": False, "dropout": 0.2,
}  # fmt: skip


@cache
def tiny_model() -> Path:
    return save_tiny_model(inputs() / "tiny")


def tuned(folder: Path, tell: Tell) -> Any:
    from ragft.training.finetune import finetune

    if not (folder / "adapter").exists():
        tell("computing", "whole")
    result = finetune(tiny_model(), EXAMPLES, out=folder / "adapter", **TRAINING)
    tell("finished", "whole")
    return result.adapter_hash, result.losses, result.curve, result.steps


def begun_training(folder: Path) -> None:
    from ragft.training import trainer

    taken = trainer.Tuner.training_step

    def step(self: Any, *arguments: Any) -> Any:
        if self.state.global_step == 5:
            raise Stopped
        return taken(self, *arguments)

    with mock.patch.object(trainer.Tuner, "training_step", step):
        try:
            tuned(folder, nobody)
        except Stopped:
            return
    raise AssertionError("it was to stop half-way")


def pretrained(folder: Path, tell: Tell, seconds: float | None = None) -> Any:
    from ragft.generation.embedded import lessons, pretrain

    recipe = pretrain.Recipe(
        tokens=1_000, width=64, layers=1, inner=64, phases=((0.5, 160, 2), (1.0, 240, 2))
    )
    short = tuple((m, 1.0, 1.0) for m, _, _ in lessons.MIX if m.__name__ in ("closed", "plain"))
    with mock.patch.object(lessons, "MIX", short):
        made = pretrain.pretrain(
            folder, recipe, checkpoint_every=1, device="cpu", stop_after=seconds, compiled=False
        )
    if seconds is not None:
        return None
    return models.weights_hash(made), (made / "tokenizer.json").read_text(encoding="utf-8")


def begun_pretraining(folder: Path) -> None:
    pretrained(folder, nobody, seconds=0.0)


def weights_hash(folder: Path, tell: Tell) -> Any:
    with (
        mock.patch.object(models, "_HASH_CACHE_FROM", 1),
        mock.patch.object(models.runtime, "cache_dir", lambda: folder),
    ):
        return models.weights_hash(tiny_model())


# Replies of a server


def replies(folder: Path, tell: Tell) -> Any:
    """A call that breaks off after every reply and is made again; replies are bought once."""
    from ragft.generation.replies import Reply
    from ragft.generation.unfinished import Unfinished

    with mock.patch("ragft.runtime.cache_dir", lambda: folder):
        call = Unfinished({"identity": "a server", "bodies": list(map(str, UNITS))})
        known, seconds = call.read()
        for unit in UNITS:
            if unit not in known:
                tell("computing", str(unit))
                known[unit] = Reply(f"reply {unit}", finish="stop")
                call.keep(known, seconds)
                tell("finished", str(unit))
        return {number: known[number].text for number in sorted(known)}


# Releases of packages


def package(folder: Path, tell: Tell) -> Any:
    """Releases out of wheels made here; one of them has no wheel."""

    def fetch(name: str, version: str, out: Path, first: str = "") -> tuple[Path, str]:
        import zipfile

        if version == "1.2":
            raise wheels.NoWheelError(f"{name} {version} has no wheel that can be read")
        tell("computing", version)
        path = out / f"toy-{version}-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as archive:
            stamp = (2020, int(version[-1]) + 1, 2, 3, 4, 6)
            archive.writestr(zipfile.ZipInfo("toy/__init__.py", stamp), f"def f(a={version}): 0")
        return path, "3.8"

    with (
        mock.patch.object(wheels, "available_versions", lambda name: ["1.0", "1.1", "1.2", "1.3"]),
        mock.patch.object(wheels, "download_wheel", fetch),
        mock.patch("warnings.warn"),
    ):
        found = releases.package_releases("toy", cache=folder / "packages")
    for release in found:
        tell("finished", release.version)
    return [(r.version, str(r.day), json.dumps(files.plain(r.api))) for r in found]


# Notebooks and what they leave


def full_grids(folder: Path, tell: Tell) -> Any:
    for unit in map(str, UNITS):
        tell("computing" if unit not in grids.full_grids(folder) else "known", unit)
        grids.mark_full(folder, unit)
        tell("finished", unit)
    return list(grids.full_grids(folder))


CELL = "way = 'x'\nresults = ''\nfigures = ''"


def grid_file() -> Path:
    """Return a grid of a run for each unit, with its notebook beside it."""
    import nbformat

    cell = nbformat.v4.new_code_cell(CELL, id="0", metadata={"tags": ["parameters"]})
    folder = inputs() / f"grid of {len(UNITS)}"
    if (folder / "grid.yaml").exists():
        return folder / "grid.yaml"
    folder.mkdir()
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), folder / "00_a.ipynb")
    ways = ", ".join("x" * (n + 1) for n in UNITS)
    path = folder / "grid.yaml"
    path.write_text(f"notebooks: 00_a\nparameters: {{way: [{ways}]}}")
    return path


@contextmanager
def notebooks_told(tell: Tell) -> Iterator[None]:
    """Run notebooks in this process, without a kernel: a picture and its record are all they do."""

    def execute(path: Path, parameters: dict[str, Any], progress: Any = False) -> str:
        tell("computing", parameters["way"])
        figures = Path(parameters["figures"])
        keep({"results": {"quantities": {}}, "way": parameters["way"]}, figures, "00_a")
        files.atomic_write(figures / "00_a.png", parameters["way"].encode())
        return json.dumps({"way": parameters["way"]})

    with ExitStack() as patches:
        for target, name, value in (
            (notebook_runs, "execute", execute),
            (notebook_runs, "library_hash", lambda: "a library"),
            (batches, "LocalWorkers", InProcess),
        ):
            patches.enter_context(mock.patch.object(target, name, value))
        yield


def batch(folder: Path, tell: Tell) -> Any:
    """A grid of runs, its records, its pictures, and the page over it."""
    page = PageWriter(folder / "out")

    def after() -> None:
        page.changed()
        for path in (folder / "out").glob("*/record.json"):
            record = json.loads(path.read_text())
            if record["status"] == "finished":
                tell("finished", record["parameters"]["way"])

    with notebooks_told(tell):
        records = run_grid(
            grid_file(),
            folder / "out",
            notebooks=grid_file().parent,
            jobs=1,
            progress=False,
            retries=0,
            after=after,
        )
    shown = page.write().read_text()
    left = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted((folder / "out").rglob("*"))
        if path.suffix in (".ipynb", ".png") or path.parent.name == "data"
    }
    told = [(r["name"], r["parameters"], r["status"], r["error"]) for r in records]
    return told, left, shown.count("finished") >= len(records)


# Files for other programs


def corpus_files(folder: Path, tell: Tell) -> Any:
    """Documents and questions as JSON Lines: written anew each time, like whatever is exported."""
    tell("computing", "whole")
    corpus = Corpus([Document("a", "One."), Document("b", "Two.")])
    corpus.to_jsonl(folder / "corpus.jsonl")
    asked = [Question("q", "What?", (DatedAnswer("One", documents=("a",)),))]
    write_questions(folder / "questions.jsonl", asked)
    tell("finished", "whole")
    read = Corpus.from_jsonl(folder / "corpus.jsonl", "x")
    return read.content_hash, read_questions(folder / "questions.jsonl", read)[0].text


def pictures(folder: Path, tell: Tell) -> Any:
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib.figure import Figure

    from ragft.report.publish import publish

    tell("computing", "whole")
    figure = Figure((1, 1))
    figure.subplots().plot([1, 2])
    path = publish(figure, folder, "00_a", {"results": {"n": 1}})
    tell("finished", "whole")
    return path.read_bytes(), (folder / "data" / "00_a.json").read_text()


def halved_embedder(folder: Path, tell: Tell) -> Any:
    from ragft.retrieval import embedding_model
    from tests.retrieval.tiny import save_tiny_embedder

    whole = inputs() / "embedder"
    if not whole.exists():
        save_tiny_embedder(whole)
    with mock.patch.object(embedding_model, "cache_dir", lambda: folder):
        embedding_model.model_hash.cache_clear()
        return embedding_model.model_hash(embedding_model.lower_half(whole / "embedder"))


def comparison(folder: Path, tell: Tell) -> Any:
    """Prompt, retrieval and tuning side by side on a small world, from adapters to the record."""
    from ragft.experiments.compare import compare

    arms = ["prompt", "rag", "finetuned"]
    roomy = inputs() / "roomy"
    if not roomy.exists():
        save_tiny_model(roomy, max_position_embeddings=4096)
    with mock.patch.dict("os.environ", {"RAGFT_CACHE": str(folder / "cache")}):
        found = compare(
            "world", arms=arms, model=str(roomy), seeds=[0], facts=4, base="smoke",
            out=folder / "results", progress=False,
        )  # fmt: skip
    timed = ("latency_ms", "training_seconds")
    rows = [{k: v for k, v in row.items() if k not in timed} for row in found.results["arms"]]
    return json.dumps(files.plain(rows)), found.answers[["arm", "text", "outcome"]].to_json()


OPERATIONS = {
    "cells": Operation(cells),
    "built folders": Operation(built),
    "runs": Operation(run),
    "index": Operation(index),
    "saved index": Operation(saved_index),
    "shards": Operation(shards),
    "large change": Operation(large_change, begun_change),
    "vector cache": Operation(vectors),
    "tuned retriever": Operation(tuned_retriever),
    "adapter": Operation(tuned, slow=True),
    "training": Operation(tuned, begun_training, slow=True),
    "pretraining": Operation(pretrained, begun_pretraining, slow=True),
    "hashes of weights": Operation(weights_hash, slow=True),
    "replies": Operation(replies),
    "releases": Operation(package),
    "full grids": Operation(full_grids),
    "batch": Operation(batch),
    "corpus": Operation(corpus_files, anew=True),
    "pictures": Operation(pictures, anew=True),
    "halved embedder": Operation(halved_embedder, slow=True),
    "comparison": Operation(comparison, slow=True),
}
