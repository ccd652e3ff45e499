"""`transformers serve` as a real server: the embedded model answers there as it does here.

It computes in float32, so that the same weights give the same greedy answers; in the precision of
the weights, its default, near ties go either way.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest
from transformers.utils.import_utils import is_serve_available

from ragft import models
from ragft.arms.base import Decoding
from ragft.arms.fewshot import Fewshot
from ragft.arms.finetuned import FineTuned
from ragft.arms.finetuned_rag import FineTunedRAG
from ragft.arms.library import Library
from ragft.arms.oracle import Oracle
from ragft.arms.placebo import Placebo
from ragft.arms.prompt import Prompt
from ragft.arms.raft import Raft
from ragft.arms.rag import RAG
from ragft.experiments.tasks import world_task
from ragft.generation.local import LocalModel
from ragft.generation.server import ServerModel
from ragft.profiles import profile
from ragft.types import RagftError

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        not is_serve_available(), reason="needs the extra: pip install ragft[server]"
    ),
]
BASE, TUNED = "ragft/embedded", "ragft/resident"
"""As the server calls them; the resident model stands for an adapter: other weights by name."""


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    """Serve the two embedded models from a hub cache that holds nothing else."""
    cache = tmp_path_factory.mktemp("hub")
    for name in (BASE, TUNED):
        folder = cache / f"models--{name.replace('/', '--')}"
        (folder / "refs").mkdir(parents=True)
        (folder / "refs" / "main").write_text("0" * 40)
        (folder / "snapshots").mkdir()
        (folder / "snapshots" / ("0" * 40)).symlink_to(models.locate(name.split("/")[1]))
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    command = [Path(sys.executable).with_name("transformers"), "serve", "--port", str(port)]
    command += ["--host", "127.0.0.1", "--device", "cpu", "--dtype", "float32"]
    told = {**os.environ, "HF_HUB_CACHE": str(cache), "HF_HUB_OFFLINE": "1"}
    log = (cache / "log").open("w")
    with subprocess.Popen(list(map(str, command)), env=told, stdout=log, stderr=log) as process:
        try:
            _wait(f"http://127.0.0.1:{port}/health", process, cache / "log")
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.kill()
            log.close()


def _wait(health: str, process: subprocess.Popen, log: Path) -> None:
    for _ in range(600):
        if process.poll() is not None:
            pytest.fail(f"the server ended: {log.read_text()[-2000:]}")
        try:
            if httpx2.get(health).status_code == 200:
                return
        except httpx2.TransportError:
            time.sleep(1)
    pytest.fail("the server did not start")


@pytest.fixture(scope="module")
def task():
    return world_task(profile("smoke"), 8)


@pytest.fixture(scope="module")
def here():
    return {name: LocalModel.load(name, device="cpu") for name in ("embedded", "resident")}


@pytest.mark.parametrize(
    ("kind", "weights"),
    [(Prompt, "embedded"), (Fewshot, "embedded"), (RAG, "embedded"), (Oracle, "embedded"),
     (FineTuned, "resident"), (FineTunedRAG, "resident"), (Raft, "resident"),
     (Placebo, "resident")],
)  # fmt: skip
def test_every_arm_answers_as_with_the_same_weights_here(url, task, here, kind, weights):
    taught = "&".join(f"{name}={TUNED}" for name in ("facts", "other_facts", "reading"))
    options = {"decoding": Decoding(max_new_tokens=24, batch_size=4)}
    if kind is Fewshot:
        options["shots"] = [("Who leads Ravik Works?", "Una Orlo")]
    if issubclass(kind, RAG):
        options["library"] = Library(retriever="bm25")
    served = kind(ServerModel.open(f"{url}#{BASE}&{taught}"), **options)
    served.prepare(task.corpus)
    arm = {FineTuned: Prompt, FineTunedRAG: RAG, Raft: RAG, Placebo: Prompt}.get(kind, kind)
    local = arm(here[weights], **options)
    local.prepare(task.corpus)
    told, known = served.answer(task.asked), local.answer(task.asked)
    assert [one.raw for one in told] == [one.raw for one in known]
    assert [one.citations for one in told] == [one.citations for one in known]
    assert [one.prompt_tokens for one in told] == [one.prompt_tokens for one in known]
    assert [one.completion_tokens for one in told] == [one.completion_tokens for one in known]


def test_a_stream_has_its_first_token_before_its_last(url, task):
    model = ServerModel.open(f"{url}#{BASE}")
    pieces = model.stream("Answer the question.\nQuestion: Who leads Tarmo?\nAnswer:")
    heard = []
    with pytest.raises(StopIteration) as end:
        while True:
            heard.append(next(pieces))
    said = end.value.value
    assert "".join(heard) == said.text and len(heard) > 1
    assert 0 < said.ttft_ms < said.served_ms
    assert said.prompt_tokens > 5 and said.completion_tokens > 1


def test_two_are_listed_so_one_must_be_named_and_none_other_is_there(url):
    with pytest.raises(RagftError, match=f"it lists {BASE}, {TUNED}"):
        ServerModel.open(url)
    with pytest.raises(RagftError, match=f"it lists {BASE}, {TUNED}"):
        ServerModel.open(f"{url}#ragft/none&tries=1")
