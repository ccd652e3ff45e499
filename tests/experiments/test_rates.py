"""Floors by hand from given rates; that measuring gives rates at all."""

from __future__ import annotations

import json

import pytest

from ragft.experiments.rates import CHECK_SIZES, Rates, measure_rates, rates_of
from ragft.profiles import profile
from ragft.types import RagftError

RATES = Rates("cpu", "float32", 100.0, ((10, 50.0), (1000, 20.0), (100_000, 5.0)))


@pytest.mark.parametrize(
    ("size", "rate"), [(1, 50), (10, 50), (999, 50), (1000, 20), (99_999, 20), (10**9, 5)]
)
def test_the_rate_is_that_of_the_largest_measured_buffer_that_is_no_larger(size, rate):
    assert RATES.bandwidth(size) == rate


def test_a_slow_reading_of_a_small_buffer_is_no_limit_for_it():
    noisy = Rates("cpu", "float32", 100.0, ((10, 50.0), (1000, 2.0), (100_000, 5.0)))
    assert noisy.bandwidth(1000) == 5


def test_a_floor_is_the_longer_of_computing_and_reading():
    assert RATES.floor_seconds(operations=200) == 2
    assert RATES.floor_seconds(operations=200, bytes_read=2000) == 100
    assert RATES.floor_seconds(operations=200, bytes_read=2000, working_set=20) == 40
    assert RATES.floor_seconds() == 0


def test_rates_survive_a_record():
    assert Rates.from_dict(json.loads(json.dumps(RATES.to_dict()))) == RATES


def test_what_is_measured_is_positive():
    found = measure_rates(sizes=CHECK_SIZES, side=64, repeats=1)
    assert found.operations > 0
    assert [size for size, _ in found.reads] == list(CHECK_SIZES)
    assert all(rate > 0 for _, rate in found.reads)


@pytest.mark.parametrize("options", [{"sizes": ()}, {"sizes": (10,)}, {"repeats": 0}])
def test_nothing_to_measure_is_refused(options):
    with pytest.raises(RagftError, match="give sizes of 1024 bytes or more and at least 1 repeat"):
        measure_rates(**options)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_rates_of_a_profile_are_those_of_its_precision(dtype):
    found = rates_of(profile("smoke", dtype=dtype))
    assert (found.device, found.dtype) == ("cpu", dtype)
    assert [size for size, _ in found.reads] == list(CHECK_SIZES)
