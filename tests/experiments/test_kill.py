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


def command(model, out):
    return [
        sys.executable,
        "-m",
        "ragft",
        "compare",
        *ARGUMENTS,
        "--model",
        model,
        "--out",
        str(out),
    ]


def table(text):
    """The table without what a clock decides."""
    result = json.loads(text)
    timed = ("latency_ms", "training_seconds")
    return [{k: v for k, v in row.items() if k not in timed} for row in result["arms"]]


def killed(model, out, env, after):
    process = subprocess.Popen(
        command(model, out), env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    time.sleep(after)
    ended = process.poll()
    if ended is None:
        os.kill(process.pid, signal.SIGKILL)
    process.wait()
    return ended is None


def compare_with_kills(tmp_path, kills, first, last):
    from tests.conftest import save_tiny_model

    model = str(save_tiny_model(tmp_path / "model", max_position_embeddings=4096))
    whole, broken = ({**os.environ, "RAGFT_CACHE": str(tmp_path / n)} for n in ("one", "two"))
    run = subprocess.run(
        command(model, tmp_path / "whole"), env=whole, capture_output=True, text=True, check=True
    )
    moments = random.Random(kills)
    hit = sum(
        killed(model, tmp_path / "broken", broken, moments.uniform(first, last))
        for _ in range(kills)
    )
    again = subprocess.run(
        command(model, tmp_path / "broken"), env=broken, capture_output=True, text=True, check=True
    )
    assert table(again.stdout) == table(run.stdout)
    return hit


def test_one_kill(tmp_path):
    assert compare_with_kills(tmp_path, 1, 9.0, 10.0) <= 1


@pytest.mark.long
def test_many_kills_at_random_moments(tmp_path):
    assert compare_with_kills(tmp_path, 12, 3.0, 25.0) >= 6
