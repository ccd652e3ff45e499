"""The machine and the process, as far as they can be known in a test."""

from __future__ import annotations

import math
import random
import subprocess
import sys

import numpy as np
import pytest

from ragft import runtime
from ragft.types import RagftError


def test_stopwatch_is_set_when_the_block_ends():
    with runtime.stopwatch() as watch:
        assert math.isnan(watch.seconds)
    assert watch.seconds >= 0
    assert watch.ms == watch.seconds * 1000


def test_stopwatch_is_set_when_the_block_raises():
    with pytest.raises(ValueError, match="x"), runtime.stopwatch() as watch:
        raise ValueError("x")
    assert watch.seconds >= 0


def test_stopwatch_waits_for_a_gpu_in_use(monkeypatch):
    calls = []

    class Cuda:
        is_available = staticmethod(lambda: True)
        is_initialized = staticmethod(lambda: True)
        synchronize = staticmethod(lambda: calls.append("waited"))

    monkeypatch.setitem(sys.modules, "torch", type("Torch", (), {"cuda": Cuda}))
    with runtime.stopwatch():
        assert calls == ["waited"]
    assert calls == ["waited", "waited"]
    with runtime.stopwatch(synchronise=False):
        pass
    assert len(calls) == 2


def test_set_seed_repeats_draws():
    draws = []
    for _ in range(2):
        runtime.set_seed(7)
        # numpy's global state is what third-party code draws from, so it must be seeded too.
        draws.append((random.random(), np.random.get_state()[1].tolist()))  # noqa: NPY002
    assert draws[0] == draws[1]


@pytest.mark.parametrize("seed", [-1, 2**32, 1.0, True])
def test_set_seed_refuses(seed):
    with pytest.raises(RagftError, match="seed: must be a whole number"):
        runtime.set_seed(seed)


def test_runtime_does_not_load_torch():
    code = (
        "import sys, ragft.runtime as r; r.set_seed(1); r.hardware(); r.package_versions()\n"
        "with r.threads(1), r.stopwatch(): pass\n"
        "assert 'torch' not in sys.modules and r.hardware()['gpus'] is None"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("name", "gpu", "device"),
    [
        ("auto", True, "cuda"),
        ("auto", False, "cpu"),
        ("cpu", True, "cpu"),
        ("cuda:1", False, "cuda:1"),
    ],
)
def test_device_of(monkeypatch, name, gpu, device):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    assert runtime.device_of(name) == device


def test_threads_are_put_back():
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    with runtime.threads(1) as count:
        assert (count, torch.get_num_threads()) == (1, 1)
    assert torch.get_num_threads() == before
    with pytest.raises(RagftError, match="count must be at least 1, not 0"), runtime.threads(0):
        pass


def test_cache_dir(tmp_path, monkeypatch):
    monkeypatch.setenv("RAGFT_CACHE", str(tmp_path / "a" / "b"))
    assert runtime.cache_dir() == tmp_path / "a" / "b"
    assert runtime.cache_dir().is_dir()
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RAGFT_CACHE", str(tmp_path / "file" / "x"))
    with pytest.raises(RagftError, match="set RAGFT_CACHE to a folder"):
        runtime.cache_dir()


@pytest.mark.parametrize(
    ("told", "name"),
    [
        (
            "model name : Some CPU 7302 @ 3 GHz\nmodel : 49\ncpu family : 23",
            "Some CPU 7302 @ 3 GHz",
        ),
        ("cpu family : 25\nmodel : 17\nmodel name : AMD EPYC", "AMD EPYC (family 25, model 17)"),
        ("model name : AMD EPYC", "AMD EPYC"),
        ("Hardware : board", None),
    ],
)
def test_processors_of_one_name_are_told_apart_by_family_and_model(told, name, monkeypatch):
    monkeypatch.setattr(runtime.Path, "read_text", lambda *_, **__: told.replace(" : ", "\t: "))
    monkeypatch.setattr(runtime.platform, "processor", lambda: "")
    monkeypatch.setattr(runtime.platform, "machine", lambda: "x86_64")
    assert runtime._cpu_name.__wrapped__() == (name or "x86_64")


def test_hardware_and_memory_are_plausible():
    found = runtime.hardware()
    assert found["cores"] >= 1
    assert found["cpu"]
    assert runtime.peak_memory_mb() > 5


def test_package_versions_name_what_is_missing():
    found = runtime.package_versions(["numpy", "no-such-package"])
    assert found == {"numpy": np.__version__, "no-such-package": None}


def test_git_commit_tells_changes(tmp_path):
    def git(*arguments):
        name = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run(["git", "-C", tmp_path, *name, *arguments], check=True, capture_output=True)

    assert runtime.git_commit(tmp_path) is None
    git("init")
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("commit", "-m", "one")
    runtime.git_commit.cache_clear()
    commit = runtime.git_commit(tmp_path)
    assert len(commit) == 40
    (tmp_path / "a").write_text("2")
    runtime.git_commit.cache_clear()
    assert runtime.git_commit(tmp_path) == commit + "+changes"
