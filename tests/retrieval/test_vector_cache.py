"""Cached vectors come back bit by bit or not at all, whatever happens to file or process."""

import os
import signal
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest

from ragft.retrieval.vector_cache import VectorCache
from ragft.types import RagftError

MODEL = "ab" * 32


def vectors(n, seed=0):
    rng = np.random.default_rng(seed)
    return {f"text {i}": rng.standard_normal(8).astype(np.float32) for i in range(n)}


def same(found, expected):
    return all(np.array_equal(found[text], expected[text]) for text in found)


def test_what_was_put_is_got_and_nothing_else(tmp_path):
    made = vectors(700)
    assert VectorCache(tmp_path, MODEL).put(made) == 700 * 8 * 4
    found = VectorCache(tmp_path, MODEL).get([*made, "never"])
    assert found.keys() == made.keys() and same(found, made)
    assert next(iter(found.values())).dtype == np.float32


def test_another_model_sees_nothing(tmp_path):
    made = vectors(1)
    VectorCache(tmp_path, MODEL).put(made)
    assert VectorCache(tmp_path, "cd" * 32).get(list(made)) == {}
    # Same file name, other model: the checksum holds the whole hash.
    with pytest.warns(UserWarning, match="do not match their checksums"):
        assert VectorCache(tmp_path, MODEL[:32] + "0" * 32).get(list(made)) == {}


def test_a_later_vector_replaces_the_earlier(tmp_path):
    cache = VectorCache(tmp_path, MODEL)
    cache.put({"a": np.zeros(3)})
    cache.put({"a": np.ones(3)})
    assert cache.get(["a"])["a"].tolist() == [1, 1, 1]


def test_odd_texts_are_keys_as_well(tmp_path):
    cache = VectorCache(tmp_path, MODEL)
    odd = {"": np.ones(2), "\ud800": np.zeros(2), "a\x00b": np.full(2, 3.0)}
    cache.put(odd)
    assert same(cache.get(list(odd)), odd) and len(cache.get(list(odd))) == 3


def test_a_flipped_byte_is_never_loaded(tmp_path):
    made = vectors(20)
    cache = VectorCache(tmp_path, MODEL)
    cache.put(made)
    whole = cache.path.read_bytes()
    rng = np.random.default_rng(0)
    outcomes = set()
    for position in [*range(0, 128, 8), *rng.integers(0, len(whole), 150).tolist()]:
        damaged = bytearray(whole)
        damaged[position] ^= 0xFF
        cache.path.write_bytes(damaged)
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                found = cache.get(list(made))
        except RagftError as error:
            assert str(cache.path) in str(error) and "delete" in str(error)
            outcomes.add("refused")
            continue
        assert same(found, made)
        outcomes.add("warned" if caught else "missing" if len(found) < 20 else "harmless")
    assert {"refused", "warned"} <= outcomes


def test_a_damaged_vector_is_made_anew(tmp_path):
    made = vectors(3)
    cache = VectorCache(tmp_path, MODEL)
    cache.put(made)
    content = cache.path.read_bytes()
    place = content.index(made["text 1"].tobytes())
    cache.path.write_bytes(content[:place] + b"\x00" + content[place + 1 :])
    with pytest.warns(UserWarning, match="1 cached vectors do not match"):
        assert cache.get(list(made)).keys() == {"text 0", "text 2"}
    cache.put({"text 1": made["text 1"]})
    assert cache.get(list(made)).keys() == made.keys()


def test_a_file_that_is_no_cache_is_named(tmp_path):
    cache = VectorCache(tmp_path, MODEL)
    cache.path.write_text("something else " * 100)
    with pytest.raises(RagftError, match=r"vector cache .*sqlite is damaged .*delete this file"):
        cache.get(["a"])
    assert cache.path.read_text().startswith("something else")


def test_a_folder_that_cannot_be_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RagftError, match="choose another folder"):
        VectorCache(tmp_path / "file" / "cache", MODEL).get(["a"])


WRITER = """
import sys, numpy as np
from ragft.retrieval.vector_cache import VectorCache
cache = VectorCache(sys.argv[1], "ab" * 32)
for round in range(int(sys.argv[3])):
    names = [f"{sys.argv[2]} {round} {i}" for i in range(50)]
    cache.put({n: np.full(8, round, dtype=np.float32) for n in names})
    print(round, flush=True)
"""


def writer(folder, name, rounds):
    command = [sys.executable, "-c", WRITER, str(folder), name, str(rounds)]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )


def test_two_processes_write_at_once(tmp_path):
    both = [writer(tmp_path, name, 8) for name in "ab"]
    assert [p.wait(60) for p in both] == [0, 0]
    names = [f"{n} {r} {i}" for n in "ab" for r in range(8) for i in range(50)]
    found = VectorCache(tmp_path, MODEL).get(names)
    assert len(found) == 800 and all(found[n][0] == int(n.split()[1]) for n in names)
    for p in both:
        p.stdout.close()


@pytest.mark.parametrize("delay", [0.0, 0.003, 0.01])
def test_a_killed_writer_leaves_whole_batches(tmp_path, delay):
    with writer(tmp_path, "a", 10_000) as process:
        process.stdout.readline()
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        said = 1 + len(process.stdout.readlines())
    cache = VectorCache(tmp_path, MODEL)
    for round_ in range(said + 2):
        found = cache.get([f"a {round_} {i}" for i in range(50)])
        # What was reported is there; at most one batch more, and that whole or not at all.
        assert len(found) == 50 if round_ < said else len(found) in (0, 50)
        assert all(v[0] == round_ for v in found.values())
