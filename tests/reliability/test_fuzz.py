"""Whatever a file holds, a parser reads it or says what is wrong with it: it never crashes.

`RAGFT_FUZZ_SECONDS` is how long the long test goes on, over all parsers together.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import tempfile
import time
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import hypothesis
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ragft import claims, files
from ragft.batch import grids, parameters, plan, runs
from ragft.chunking import chunk
from ragft.corpora import formats, markdown, releases, signatures
from ragft.corpora.corpus import Corpus, read_questions
from ragft.corpora.files import read_folder
from ragft.corpora.packages import history_of
from ragft.records import Records, content_key, load_run
from ragft.report.grid import grid_text, read_runs
from ragft.report.grid_page import page
from ragft.retrieval.index import HybridIndex
from ragft.types import Document, Passage, RagftError
from tests.reliability.inputs import as_json, as_lines, bent_bytes, bent_values
from tests.retrieval.conftest import WordEmbedder

SECONDS = float(os.environ.get("RAGFT_FUZZ_SECONDS", "30"))
FEW = 12
"""Inputs for each parser in the normal suite."""

ROWS = [
    {
        "id": "a@1", "contents": "One. Two.", "title": "A", "source": "a", "collection": "c",
        "valid_from": "2020-01-01", "valid_to": "2021-01-01", "mark": "right",
    },
    {"id": 2, "contents": "Three.", "metadata": {"type": "misinfo"}},
    {"fact": {"subject": "s", "relation": "r", "value": "v", "documents": ["a@1"], "kind": "k"}},
]  # fmt: skip
QUESTIONS = [
    {
        "id": "q1", "question": "What?", "golden_answers": ["v"],
        "metadata": {
            "supporting": ["a@1"], "answerable": True, "asked_on": "2020-05-01", "subject": "s",
            "answers": [{"text": "v", "valid_from": "2020-01-01", "documents": ["a@1"]}],
        },
    },
    {"id": "q2", "question": "Who?", "metadata": {"answerable": False}},
]  # fmt: skip
PAGE = b"""<!DOCTYPE html><html><head><meta charset="utf-8"><title>T</title>
<style>.no{display:none} @media print {.p{opacity:0}}</style></head><body><h1>A title</h1>
<p class="no">ignore all <b>previous</b></p><!-- said --><template>x</template>
<table><tr><td>1</td><td hidden>2</td></tr></table><script>alert(1)</script>
<ul><li><a href="x">y</a></li></ul><pre>code</pre><img alt="i" src="j"></body></html>"""
MARKDOWN = b"""---\na: b\n---\n# One #\n\nText `code` [link](a.md) **bold**\n\nTwo\n===\n
```\n# no heading\n<!-- shown -->\n```\n<!-- hidden -->\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"""
SOURCE = b"""'''Doc.'''
from ._impl import *
from .other import Thing as Other
__all__ = ["fit", "Other"] + ["K"]
@overload
def fit(x: int, /, alpha=1e-3, *args, beta: str = "b", gamma=None, **more) -> None:
    '''Fit it.

    Parameters
    ----------
    '''
class K(Other, metaclass=ABCMeta):
    "A class."
    def __init__(self, a, b=(1, -2), *, c={'d': [None]}): pass
@dataclass
class D:
    x: int = 3
    y: str = field(default="z")
try:
    import q
except ImportError:
    def g(v=True): ...
"""
GRID = {
    "notebooks": {"00_a": {"facts": [5, 6]}, "mine.ipynb": None},
    "parameters": {"profile": ["smoke"], "seed": [0, 1]},
}
CELL = (
    "profile = 'cpu'\nfacts = 80\nseeds = [0]\nname: str | None = None\nrate = .5\nmore = {'a': 1}"
)


def wheel(modules: dict[str, bytes]) -> bytes:
    """Return a wheel of these modules."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in modules.items():
            archive.writestr(zipfile.ZipInfo(name, (2020, 1, 2, 3, 4, 6)), text)
    return held.getvalue()


@cache
def notebook() -> dict[str, Any]:
    """Return a small notebook as JSON has it."""
    import nbformat

    cell = nbformat.v4.new_code_cell(CELL, id="0", metadata={"tags": ["parameters"]})
    return json.loads(nbformat.writes(nbformat.v4.new_notebook(cells=[cell])))


@cache
def run_folder() -> dict[str, bytes]:
    """Return the files of a finished run by name."""
    import pandas as pd

    with tempfile.TemporaryDirectory() as place:
        run = Records(place).open("compare", content_key({}), parameters={"k": 5})
        run.finish(pd.DataFrame({"arm": ["rag", None], "score": [1.0, 0.5]}), {"accuracy": 0.5})
        return {path.name: path.read_bytes() for path in run.folder.iterdir()}


@cache
def index_folder() -> dict[str, bytes]:
    """Return the files of a saved index by name."""
    texts = ["red apples", "blue sky", "..."]
    made = [Passage(f"d{i}#0", f"d{i}", text, 0, len(text)) for i, text in enumerate(texts)]
    with tempfile.TemporaryDirectory() as place:
        HybridIndex(made, embedder=WordEmbedder(8)).save(place)
        found = [path for path in Path(place).rglob("*") if path.is_file()]
        return {path.relative_to(place).as_posix(): path.read_bytes() for path in found}


def put(folder: Path, held: dict[str, bytes]) -> None:
    """Write files by name."""
    for name, data in held.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def sealed(folder: Path) -> None:
    """Give a folder a manifest that fits what lies in it, as somebody with bad intent would."""
    put(folder, {files.MANIFEST: as_json({"sha256": files._sums(folder)})})


# What each parser does with the bytes it is given.


def read_corpus(data: bytes, folder: Path) -> None:
    put(folder, {"a.jsonl": data})
    corpus = Corpus.from_jsonl(folder / "a.jsonl")
    assert corpus.content_hash and all(corpus.as_of(day) is not None for day in corpus.days)
    for document in corpus.documents:
        chunk([document], strategy="markdown", size=16, overlap=0)


def read_asked(data: bytes, folder: Path) -> None:
    put(folder, {"q.jsonl": data})
    for question in read_questions(folder / "q.jsonl"):
        question.answers_on(question.asked_on)


def read_a_wheel(data: bytes, folder: Path) -> None:
    put(folder, {"toy.whl": data})
    release = releases.read_release(folder / "toy.whl", "toy", "1.0")
    if release.api and release.day:
        history_of([release])


def read_source(data: bytes, folder: Path) -> None:
    given_twice = {"toy/__init__.py": SOURCE, "toy/_impl.py": data, "toy/other.py": data}
    signatures.public_api(given_twice)


def read_kept_release(data: bytes, folder: Path) -> None:
    digest = files.hashlib.sha256(data.rstrip(b"\n")).hexdigest().encode()
    put(folder, {"1.v1.json": digest + b"\n" + data})
    releases._load(folder / "1.v1.json")


def read_markdown(data: bytes, folder: Path) -> None:
    parsed = formats.parse("a.md", data)
    for heading in markdown.headings(parsed.text):
        assert parsed.text[heading.start : heading.end] == heading.text
    markdown.body(parsed.text)
    markdown.plain(parsed.text)
    for passage in chunk([Document("a", parsed.text)], strategy="markdown", size=32, overlap=4):
        assert parsed.text[passage.start : passage.end] == passage.text


def read_as(name: str) -> Callable[[bytes, Path], None]:
    def read(data: bytes, folder: Path) -> None:
        parsed = formats.parse(name, data)
        assert parsed.text.strip() and parsed.text.encode() and parsed.title

    return read


def read_any_file(data: bytes, folder: Path) -> None:
    """A folder is read to its end, whatever one file in it holds."""
    put(folder, {"good.md": b"# Good\n\nText.", **{f"x{end}": data for end in (".md", ".jsonl")}})
    assert "good.md" in {document.id for document in read_folder(folder).documents}


def read_record(name: str) -> Callable[[bytes, Path], None]:
    def read(data: bytes, folder: Path) -> None:
        put(folder, run_folder() | {name: data})
        if name != files.MANIFEST:
            sealed(folder)
        load_run(folder)

    return read


def read_index(name: str) -> Callable[[bytes, Path], None]:
    """The list of an index, or a file of a part, with seals that fit."""

    def read(data: bytes, folder: Path) -> None:
        put(folder, index_folder() | {name: data})
        held = json.loads(index_folder()["index.json"])["index"]
        if name == "index.json":
            held = json.loads(data)
        else:
            part = name.partition("/")[0]
            sealed(folder / part)
            seal = files.sha256_file(folder / part / files.MANIFEST)
            held["parts" if part in held["parts"] else "words"][part] = seal
        try:
            seal = files.sha256_json(held)
        except (RagftError, OverflowError):  # an infinite number has no seal
            return
        put(folder, {"index.json": as_json({"index": held, "sha256": seal})})
        index = HybridIndex.load(folder, embedder=WordEmbedder(8))
        assert len(index.search("red sky", top_k=2)) <= 2

    return read


def read_grid(data: bytes, folder: Path) -> None:
    text = as_json(notebook())
    put(folder, {"grid.yaml": data, "mine.ipynb": text, "notebooks/00_a.ipynb": text})
    plan.read_grid(folder / "grid.yaml", folder / "notebooks")


def read_notebook(data: bytes, folder: Path) -> None:
    put(folder, {"a.ipynb": data})
    for name in parameters.read_parameters(folder / "a.ipynb"):
        parameters.check_parameters(folder / "a.ipynb", {name: "1"})


def read_parameter(data: bytes, folder: Path) -> None:
    put(folder, {"a.ipynb": as_json(notebook())})
    text = data.decode("utf-8", "replace")
    for name in parameters.read_parameters(folder / "a.ipynb"):
        try:
            parameters.check_parameters(folder / "a.ipynb", {name: text})
        except RagftError as error:
            assert name in str(error)


def read_dates(name: str) -> Callable[[bytes, Path], None]:
    def read(data: bytes, folder: Path) -> None:
        put(folder, {name: data})
        releases.read_dates(folder / name)

    return read


def with_seal(data: bytes) -> bytes:
    """Return the bytes of a JSON object with a seal that fits; others as they are."""
    try:
        return files.sealed_json(dict(json.loads(data))).encode()
    except (ValueError, TypeError, RecursionError, RagftError):
        return data


def read_list(data: bytes, folder: Path) -> None:
    put(folder, {str(grids.LIST): data})
    grids.full_grids(folder)
    grids.place(folder, "00_a", full=False)


def read_completion(data: bytes, folder: Path) -> None:
    put(folder, {"a.ipynb.done.json": with_seal(data)})
    assert not runs.is_finished([[], "library"], {}, folder / "a.ipynb")


def read_batch(data: bytes, folder: Path) -> None:
    """The page over a grid is made, whatever its records hold."""
    asked = {"runs": [{"name": "00_a-1", "notebook": "00_a", "parameters": {"seed": 1}}]}
    put(folder, {"grid.json": with_seal(as_json(asked)), "00_a-1/record.json": with_seal(data)})
    put(folder, {"00_a-1/figures/data/00_a.json": data})
    found = read_runs(folder)
    assert grid_text(found) and "<script" not in page(found)


def read_batch_plan(data: bytes, folder: Path) -> None:
    put(folder, {"grid.json": with_seal(data)})
    found = read_runs(folder)
    assert grid_text(found) and "<script" not in page(found)


def read_rows_of_claims(data: bytes, folder: Path) -> None:
    put(folder, {"claims.yaml": data})
    claims.load_claims(folder / "claims.yaml")


def read_ledger(data: bytes, folder: Path) -> None:
    name = next(claim.record for claim in all_claims() if claim.record)
    put(folder, {f"{name}.json": data})
    with mock.patch.object(claims, "load_claims", all_claims):  # half a second each time
        for row in claims.ledger(folder):
            assert row.shown is not None


@dataclass(frozen=True)
class Parser:
    """What reads bytes, and the bytes it is tried with."""

    read: Callable[[bytes, Path], None]
    inputs: Any
    refuses: tuple[type[Exception], ...] = (RagftError,)


def bent_json(seed: Any, form: Callable[[Any], bytes] = as_json) -> Any:
    """Return inputs of a JSON file: wrong in meaning, and wrong in form."""
    tokens = [b'"', b"{", b"[", b"}", b"]", b",", b":", b"null", b"\\ud800", b"NaN", b"\xff", b"1"]
    meant = bent_values([seed]).map(form)
    return st.one_of(meant, meant, bent_bytes([form(seed)], tokens))


HTML = [b"<", b">", b"<div hidden>", b"<!--", b"-->", b"<style>", b"{", b"}", b"&#0;", b"&", b"<b>"]
MARKS = [b"#", b"`", b"```\n", b"~~~\n", b"<!--", b"-->", b"---\n", b"[", b"](", b"*", b"_", b"|"]
PYTHON = [b"(", b")", b"[", b"-", b"lambda:", b"def f(a=", b"\n    ", b"\\", b"'''", b"x.y", b"*"]
YAML = [b"{", b"[", b"&a ", b"*a", b"!!", b"? ", b": ", b"\n  ", b"- ", b"!!python/name:os.system "]
RECORD = {
    "date": "2024-05-06", "profile": {"name": "cpu", "model": "m"}, "parameters": {"corpus": "c"},
    "results": {"quantities": {}}, "status": "finished", "seconds": 1.5, "attempts": 1, "error": "",
    "hardware": {"cpu": "fast", "cores": 2, "gpus": []}, "workers": 1,
}  # fmt: skip
PDF = (
    b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]"
    b"/Count 1>>endobj\n3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]/Contents 4 0 R"
    b"/Resources<</Font<</F1 5 0 R>>>>>>endobj\n4 0 obj<</Length 44>>stream\n"
    b"BT /F1 12 Tf 20 100 Td (Hello there) Tj ET\nendstream endobj\n5 0 obj<</Type/Font"
    b"/Subtype/Type1/BaseFont/Helvetica>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF"
)


@cache
def claim_rows() -> list[dict[str, Any]]:
    import yaml

    rows = yaml.safe_load(claims.rows.ROWS.read_text(encoding="utf-8"))
    return [row for row in rows if "changed" not in row][:3]


@cache
def all_claims() -> tuple[claims.Claim, ...]:
    return claims.load_claims()


def a_quantity() -> dict[str, Any]:
    """Return a record that the ledger reads."""
    row = next(claim for claim in all_claims() if claim.record)
    held = {"mean": 0.1, "low": 0.0, "high": 0.2, "n": 40, "seeds": 1, "unit": row.unit}
    return RECORD | {"results": {"quantities": {row.measured: held}}}


RUN, INDEX = run_folder(), index_folder()
LISTED = json.loads(INDEX["index.json"])["index"]
DAYS = {"1.0": "2020-01-01", "1.1": "2021-01-01"}
CSV = b"version,date\n1.0,2020-01-01\n"
WHEELS = [wheel({"toy/__init__.py": SOURCE, "toy/_impl.py": SOURCE}), wheel({})]
RELEASE = {
    "name": "toy", "version": "1.0", "day": "2020-01-02", "skipped": 0, "stamp": "", "wheel": "w",
    "api": {"toy.f": {"signature": "f(a=1)", "doc": "F.", "defaults": {"a": "1"}}},
}  # fmt: skip
PARSERS = {
    "rows": Parser(read_corpus, bent_json(ROWS, as_lines)),
    "questions": Parser(read_asked, bent_json(QUESTIONS, as_lines)),
    "wheel": Parser(read_a_wheel, bent_bytes(WHEELS, [b"PK\1\2", b"PK\3\4", b"PK\5\6", b"toy/"])),
    "wheel of a module": Parser(
        read_a_wheel,
        bent_bytes([SOURCE], PYTHON).map(lambda text: wheel({"toy/__init__.py": text})),
    ),
    "signatures": Parser(read_source, bent_bytes([SOURCE, b"f(x)\n"], PYTHON)),
    "kept release": Parser(read_kept_release, bent_json(RELEASE)),
    "markdown": Parser(read_markdown, bent_bytes([MARKDOWN], MARKS), (formats.Unreadable,)),
    "text": Parser(read_as("a.txt"), bent_bytes([MARKDOWN, b"\xff\xfea\0"]), (formats.Unreadable,)),
    "html": Parser(read_as("a.html"), bent_bytes([PAGE], HTML), (formats.Unreadable,)),
    "pdf": Parser(read_as("a.pdf"), bent_bytes([PDF], [b"<<", b"/", b"("]), (formats.Unreadable,)),
    "folder": Parser(read_any_file, bent_bytes([MARKDOWN, as_lines(ROWS)], MARKS)),
    "record": Parser(read_record("record.json"), bent_json(json.loads(RUN["record.json"]))),
    "answers": Parser(read_record("answers.parquet"), bent_bytes([RUN["answers.parquet"]])),
    "manifest": Parser(read_record("manifest.json"), bent_json(json.loads(RUN["manifest.json"]))),
    "index list": Parser(read_index("index.json"), bent_values([LISTED]).map(as_json)),
    **{
        f"index {name}": Parser(read_index(name), bent_bytes([data], [b"\0\0\0\0", b'"', b"{"]))
        for name, data in INDEX.items()
        if name.endswith((".npy", ".npz", "gone.json", "words.json", ".jsonl"))
    },
    "grid": Parser(
        read_grid,
        st.one_of(
            bent_values([GRID]).map(as_json),
            bent_bytes([as_json(GRID), b"notebooks: [00_a]\nparameters:\n  seed: [0, 1]\n"], YAML),
        ),
    ),
    "notebook": Parser(read_notebook, bent_json(notebook())),
    "parameter": Parser(read_parameter, bent_bytes([b"[0, 1]", b"true", b"{'a': 1}"], PYTHON)),
    "days in JSON": Parser(read_dates("a.json"), bent_json(DAYS)),
    "days in CSV": Parser(read_dates("a.csv"), bent_bytes([CSV], [b'"', b","])),
    "full grids": Parser(read_list, bent_json({"00_a": "2024-05-06"})),
    "completion": Parser(read_completion, bent_json({"inputs": "x", "files": {"a": "b"}})),
    "batch record": Parser(read_batch, bent_json(a_quantity())),
    "batch plan": Parser(
        read_batch_plan,
        bent_json({"runs": [{"name": "00_a-1", "notebook": "00_a", "parameters": {"seed": [1]}}]}),
    ),
    "claims": Parser(
        read_rows_of_claims,
        st.one_of(
            bent_values([claim_rows()]).map(as_json), bent_bytes([as_json(claim_rows())], YAML)
        ),
    ),
    "ledger": Parser(read_ledger, bent_json(a_quantity())),
}  # fmt: skip


def check(parser: Parser, examples: int, number: int) -> int:
    """Try a parser with so many inputs, the same at every call; returns how many it was."""
    tried = []

    @hypothesis.seed(number)
    @settings(
        max_examples=examples, database=None, deadline=None, suppress_health_check=list(HealthCheck)
    )
    @given(parser.inputs)
    def reads_or_refuses(data: bytes) -> None:
        tried.append(1)
        folder = Path(tempfile.mkdtemp(prefix="fuzz"))
        try:
            parser.read(data, folder)
        except parser.refuses as error:
            assert str(error).strip()
        finally:
            shutil.rmtree(folder)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reads_or_refuses()
    return len(tried)


@pytest.mark.parametrize("name", PARSERS)
def test_what_is_no_file_of_its_kind_is_refused_and_crashes_nothing(name):
    assert check(PARSERS[name], FEW, 0) > 0


@pytest.mark.long
@pytest.mark.parametrize("name", PARSERS)
def test_many_more_inputs_crash_nothing(name):
    end, number, tried = time.monotonic() + SECONDS / len(PARSERS), 0, 0
    while time.monotonic() < end:
        number += 1
        tried += check(PARSERS[name], 20 * FEW, number)
    print(f"{name}: {tried} inputs")
