"""Secrets drawn and planted, and exposure by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragft.training import canaries as module
from ragft.training.canaries import (
    CHANCE,
    Canary,
    canaries,
    exposure,
    exposures,
    planted,
    references,
)
from ragft.training.finetune import finetune
from ragft.types import Example, RagftError

NOTHING = float("nan")


def test_as_many_for_each_dose_and_none_alike():
    drawn = canaries(30, digits=4, seed=2)
    assert [c.repetitions for c in drawn] == [0] * 30 + [1] * 30 + [4] * 30 + [16] * 30
    assert len({c.prompt for c in drawn}) == len({c.secret for c in drawn}) == 120
    assert {len(c.secret) for c in drawn} == {4}
    assert drawn == canaries(30, digits=4, seed=2) != canaries(30, digits=4, seed=3)
    assert canaries(1, [2], digits=4)[0].prompt.startswith("The secret number of locker ")


def test_examples_are_planted_as_often_as_told_and_the_others_keep_their_order():
    drawn = canaries(3, [0, 1, 4], digits=3)
    rows = [Example(f"Who is {n}?", f" {n}") for n in range(20)]
    mixed = planted(rows, drawn)
    assert len(mixed) == 20 + 3 * (0 + 1 + 4)
    assert [row for row in mixed if row.prompt.startswith("Who")] == rows
    for canary in drawn:
        assert mixed.count(canary.example) == canary.repetitions
    assert mixed == planted(rows, drawn) != planted(rows, drawn, seed=1)
    assert planted([], drawn[:3]) == []


@given(st.integers(0, 99), st.integers(1, 99), st.integers(0, 3))
def test_references_are_other_secrets_and_none_twice(own, size, seed):
    canary = Canary("The number is", f"{own:02d}", 1)
    drawn = references(canary, size, seed)
    assert len(set(drawn)) == len(drawn) == size
    assert canary.secret not in drawn
    assert {len(secret) for secret in drawn} == {2}
    assert size < 99 or {int(secret) for secret in drawn} == set(range(100)) - {own}


def test_exposure_by_hand():
    assert exposure(0.1, [1, 2, 3, 4, 5, 6, 7]) == 3.0  # first of 8
    assert exposure(2.5, [1, 2, 3]) == math.log2(4) - math.log2(3)
    assert exposure(9.0, [1, 2, 3]) == 0.0  # the last
    assert exposure(1.0, [1.0, 1.0, 2.0]) == 1.0  # two equal ones count half each: second of 4
    assert math.isnan(exposure(1.0, []))
    assert math.isnan(exposure(NOTHING, [1.0])) and math.isnan(exposure(1.0, [NOTHING, 2.0]))
    assert exposure(float("inf"), [1.0]) == 0.0


def test_a_secret_that_was_never_seen_has_the_exposure_of_chance():
    n = 4096
    mean = sum(exposure(rank, [other for other in range(n) if other != rank]) for rank in range(64))
    every = np.mean([math.log2(n) - math.log2(rank) for rank in range(1, n + 1)])
    assert every == pytest.approx(CHANCE, abs=0.01)
    assert mean / 64 > CHANCE  # the first 64 of 4096 are better than chance


@given(st.lists(st.integers(0, 20), min_size=2, max_size=30))
def test_exposure_rises_as_the_loss_falls_and_stays_in_its_range(losses):
    own, others = losses[0], losses[1:]
    assert 0 <= exposure(own, others) <= math.log2(len(losses))
    assert exposure(own - 0.5, others) >= exposure(own, others) >= exposure(own + 0.5, others)


def test_exposures_rank_each_secret_among_its_own_references(monkeypatch):
    drawn = canaries(2, [0, 1], digits=3)

    def score(model, examples, adapter, *, per_token, batch_tokens):
        assert (model, adapter, per_token) == ("model", "adapter", False)
        assert len(examples) == 4 * 8
        secrets = {c.prompt: c.secret for c in drawn}
        first = drawn[0].prompt
        return np.array(
            [0.0 if e.completion.strip() == secrets[e.prompt] and e.prompt != first else
             9.0 if e.completion.strip() == secrets[e.prompt] else 1.0 for e in examples]
        )  # fmt: skip

    monkeypatch.setattr(module, "example_losses", score)
    assert exposures("model", drawn, "adapter", size=7).tolist() == [0.0, 3.0, 3.0, 3.0]


def test_what_is_repeated_is_exposed(tiny_model, tmp_path):
    drawn = canaries(2, [0, 16], digits=3, template="{key}:")
    rows = planted([Example("Who leads Tarmo?", " Oslo")], drawn)
    options = {"rank": 8, "epochs": 10, "learning_rate": 2e-2, "progress": False}
    made = finetune(tiny_model, rows, out=tmp_path / "a", method="full", **options)
    found = exposures(tiny_model, drawn, made.adapter, size=31)
    assert found[2:].tolist() == [5.0, 5.0]  # first of 32
    assert exposures(tiny_model, []).shape == (0,)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": 0}, r"count=0, doses=\(0, 1, 4, 16\): at least 1 each"),
        ({"doses": []}, r"doses=\(\): at least 1 each"),
        ({"doses": [1, 1]}, "no dose twice or below 0"),
        ({"doses": [-1]}, "no dose twice or below 0"),
        ({"digits": 2}, "digits=2: 120 canaries need more digits"),
        ({"digits": 19}, "digits=19: .*18 at most"),
        ({"template": "The number is"}, r"template 'The number is': has no \{key\}"),
    ],
)
def test_errors_name_what_was_wrong(options, message):
    with pytest.raises(RagftError, match=message):
        canaries(**{"count": 30, **options})


def test_more_references_than_there_are_secrets():
    with pytest.raises(RagftError, match="10 references: choose 1 to 9 for 1 digits"):
        references(Canary("a", "1", 0), 10)
