"""A comparison killed with -9 and repeated gives the table of one never interrupted."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

ARGUMENTS = ["--profile", "smoke", "--seeds", "0", "1", "--facts", "4", "--json"]


FEWER = ("--arms", "prompt", "rag", "finetuned")


def command(model, out, options):
    told = [*ARGUMENTS, *options, "--model", model, "--out", str(out)]
    return [sys.executable, "-m", "ragft", "compare", *told]


def table(text):
    """The table without what a clock decides."""
    result = json.loads(text)
    timed = ("latency_ms", "training_seconds")
    return [{k: v for k, v in row.items() if k not in timed} for row in result["arms"]]


def killed(line, env, after):
    """Run a comparison, kill it after some seconds; False where it had ended by then."""
    with subprocess.Popen(
        line, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            assert process.wait(after) == 0
            return False
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            return True


def compare_with_kills(tmp_path, kills, options=()):
    """Kill comparisons at random moments of the time one takes; each must end as if it never was.

    One that ends is held against the whole one, and the next begins from nothing.
    """
    from tests.conftest import save_tiny_model

    model = str(save_tiny_model(tmp_path / "model", max_position_embeddings=4096))

    def work(name):
        env = {**os.environ, "RAGFT_CACHE": str(tmp_path / name / "cache")}
        return command(model, tmp_path / name / "out", options), env

    def finished(name):
        line, env = work(name)
        return subprocess.run(line, env=env, capture_output=True, text=True, check=True).stdout

    start = time.monotonic()
    whole = table(finished("whole"))
    takes = time.monotonic() - start
    moments, name, hit = random.Random(kills), "first", 0
    while hit < kills:
        if killed(*work(name), moments.uniform(0.2, 0.8) * takes):
            hit += 1
        else:
            assert table(finished(name)) == whole
            name = f"after {hit} kills"
    assert table(finished(name)) == whole


def test_one_kill(tmp_path):
    compare_with_kills(tmp_path, 1, FEWER)


@pytest.mark.long
def test_many_kills_at_random_moments(tmp_path):
    compare_with_kills(tmp_path, 12)
