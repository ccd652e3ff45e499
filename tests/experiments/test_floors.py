"""Work counted by hand for a small shape, and what follows from it at given rates."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from ragft.experiments.floors import (
    DOCUMENTS,
    LARGE,
    Point,
    Work,
    exact_search,
    extrapolated,
    floors,
)
from ragft.experiments.rates import Rates
from ragft.generation.shapes import Shape
from ragft.retrieval import first_look

SHAPE = Shape("s", "Llama", 1, 4, 8, 2, 1, 10, True)  # 2·16 + 2·4·2 + 3·4·8 = 144 a layer
POINT = Point(SHAPE, 3.0, 2.0, 1, 4, question_tokens=5.0, encoder_weights=7, vectors=100,
              dimension=6)  # fmt: skip
RATES = Rates("cpu", "float32", 1000.0, ((10, 100.0),))


@pytest.fixture(autouse=True)
def no_codes(monkeypatch):
    """A processor that compares vectors in float32 alone, whichever runs this."""
    monkeypatch.setattr(first_look, "multiplies_int8", lambda: False)


def test_the_work_of_every_stage_by_hand():
    work = POINT.work()
    assert work["embed"] == Work(2 * 7 * 5, 28, 28)
    assert work["search"] == Work(2 * 100 * 6, 2400, 2400)
    assert work["prefill"] == Work(2 * 144 * 3 + 2 * 4 * 9 + 2 * 10 * 4, 576, 576)
    step = (144 + 40) * 4 + 2 * 1 * 1 * 2 * 3.5 * 4  # weights, and keys and values of 3.5 tokens
    assert work["decode"] == Work(2 * (144 + 40) + 4 * 4 * 3.5, step, step)


def test_a_batch_shares_the_reading_and_not_the_computing():
    four = replace(POINT, together=4).work()
    for stage in ("embed", "search", "prefill"):
        one = POINT.work()[stage]
        assert four[stage] == Work(one.operations, one.bytes_read / 4, one.working_set)
    own = 2 * 2 * 3.5 * 4
    assert four["decode"].bytes_read == pytest.approx(184 * 4 / 4 + own)


def test_where_codes_are_looked_at_they_alone_are_read(monkeypatch):
    assert exact_search(50_000, 10) == Work(1_000_000, 2_000_000, 2_000_000)
    monkeypatch.setattr(first_look, "multiplies_int8", lambda: True)
    monkeypatch.setattr(first_look, "_can_look", lambda: True)
    # 10 codes, their sum and a step each
    assert exact_search(50_000, 10) == Work(0, 900_000, 900_000)
    assert exact_search(50_000, 10, 9) == Work(0, 100_000, 900_000)
    assert exact_search(1000, 10) == Work(20_000, 40_000, 40_000)  # too few


def test_a_single_token_takes_no_decoding_and_an_unknown_model_is_not_counted():
    assert replace(POINT, completion_tokens=1.0).work()["decode"].floor_ms(RATES) == 0
    assert set(replace(POINT, shape=None).work()) == {"embed", "search"}
    assert set(replace(POINT, vectors=0).work()) == {"prefill", "decode"}


def test_floors_compare_what_was_measured_with_what_is_least():
    means = {"embed": 700.0, "search": 48_000.0, "prefill": 0.0, "decode": 1.0}
    rows = {row["stage"]: row for row in floors(POINT, RATES, means)}
    assert rows["embed"] == {"stage": "embed", "floor": 280, "mean": 700, "over": 2.5}
    assert rows["search"]["over"] == pytest.approx(2)  # 2400 bytes at 100 a second
    assert "prefill" not in rows  # nothing measured, no ratio


def test_what_lies_beyond_keeps_its_distance_from_the_floor():
    means = dict.fromkeys(("embed", "search", "prefill", "decode"), 10000.0)
    rows = {(r["documents"], r["model"], r["stage"]): r for r in extrapolated(POINT, RATES, means)}
    here = rows[None, None, "search"]
    assert (here["low"], here["high"]) == pytest.approx((10_000, 10_000))
    # 2400 bytes at 100 a second are 24 s: here the measured time is below its floor, so that the
    # reading that keeps the ratio is the lower one.
    far = rows[DOCUMENTS, None, "search"]
    assert far["low"] == pytest.approx(10_000 * DOCUMENTS / 100)
    assert far["high"] == pytest.approx(24_000 * DOCUMENTS / 100 + 10_000 - 24_000)
    assert rows[DOCUMENTS, None, "prefill"]["high"] == pytest.approx(10_000)
    large = rows[None, LARGE.name, "prefill"]
    assert large["floor"] == pytest.approx(1000 * LARGE.layer_weights * 4 / 100)
    closed = extrapolated(replace(POINT, vectors=0), RATES, means)
    assert {row["documents"] for row in closed} == {None}


def test_a_point_survives_a_record():
    for point in (POINT, replace(POINT, shape=None)):
        assert Point.from_dict(json.loads(json.dumps(point.to_dict()))) == point
