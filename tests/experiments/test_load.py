"""Arrivals that wait for nobody, on a clock that the tests turn."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragft.experiments.load import (
    SimulatedClock,
    WallClock,
    answering,
    highest_load,
    offer,
    poisson_arrivals,
)
from ragft.types import RagftError


def served(arrivals, service, seconds=None, **options):
    """Offer a load to a server that takes `service` seconds, or `service(numbers)`."""
    clock = SimulatedClock()
    take = service if callable(service) else lambda numbers: service
    return offer(
        lambda numbers: clock.advance(take(numbers)),
        np.asarray(arrivals, float),
        seconds if seconds is not None else float(max(arrivals, default=1.0)),
        clock=clock,
        **options,
    )


def test_by_hand():
    load = served([0.0, 1.0, 1.5, 9.0], 2.0, seconds=10.0)
    assert load.started.tolist() == [0, 2, 4, 9]
    assert load.finished.tolist() == [2, 4, 6, 11]
    assert load.latency.tolist() == [2, 3, 4.5, 2]
    assert load.service.tolist() == [2, 2, 2, 2]
    assert load.dispatch.tolist() == [0, 0, 0, 0]
    assert load.cycles.tolist() == [0, 0, 0, 1]
    assert load.offered == 0.4 and load.backlog == 1 and not load.grew
    assert load.goodput(2.0) == 0.2 and load.goodput(4.5) == 0.4
    assert load.quantile(0.5).value == 2 and load.quantile(0.75).value == 3
    assert load.quantile(1.0).value == 4.5 and load.quantile(0.5).clusters == 2
    assert math.isnan(load.quantile(0.5).low)  # two busy periods are no sample


def test_a_batch_takes_what_waits_and_never_waits_for_more():
    load = served([0.0, 0.5, 0.6, 0.7, 5.0], 1.0, batch=2, seconds=6.0)
    assert load.started.tolist() == [0, 1, 1, 2, 5]
    assert load.finished.tolist() == [1, 2, 2, 3, 6]
    assert load.cycles.tolist() == [0, 0, 0, 0, 1]


@pytest.mark.parametrize("share", [0.3, 0.5])
def test_waiting_agrees_with_the_formula_of_pollaczek_and_khinchine(share):
    """M/D/1: the mean wait is share × service / (2 (1 − share))."""
    service = 0.1
    load = served(poisson_arrivals(share / service, 60_000 * service / share, 1), service, 1.0)
    assert len(load.intended) > 30_000
    wait = (load.latency - load.service).mean()
    assert wait == pytest.approx(share * service / (2 * (1 - share)), rel=0.05)


def test_a_server_that_stalls_once_shows_in_the_tail():
    """One request takes 10 s; a closed loop would show one slow request in a thousand."""
    load = served(np.arange(1000) / 10, lambda numbers: 10.0 if 500 in numbers else 0.01)
    slow = load.latency > 1
    assert slow.sum() > 80 and load.quantile(0.99).value > 8
    assert load.quantile(0.5).value == pytest.approx(0.01)


def test_the_interval_covers_the_quantile_as_often_as_it_says():
    truth = served(poisson_arrivals(5, 40_000, 99), 0.1).quantile(0.95).value
    hits = 0
    for seed in range(100):
        found = served(poisson_arrivals(5, 200, seed), 0.1).quantile(0.95, n_boot=300)
        hits += found.low <= truth <= found.high
    assert 85 <= hits <= 100


def test_overload_is_seen_and_ends_at_its_time_limit():
    calm = served(poisson_arrivals(8, 200, 3), 0.1, 200.0)
    over = served(poisson_arrivals(13, 200, 3), 0.1, 200.0)
    assert not calm.grew and over.grew and over.backlog > 400
    cut = served(poisson_arrivals(13, 200, 3), 0.1, 200.0, time_limit=20.0)
    assert cut.grew and np.isinf(cut.latency).sum() > 2000
    assert cut.quantile(0.95).value == math.inf
    assert np.nanmax(cut.started) < 20 and cut.goodput(1e9) == pytest.approx(1.0, rel=0.05)


def test_nothing_that_arrives_is_nothing_measured():
    load = served([], 1.0, seconds=2.0)
    assert load.offered == 0 and not load.grew and load.goodput(1) == 0
    assert math.isnan(load.quantile(0.5).value) and load.quantile(0.5).n == 0


def test_arrivals_are_those_of_a_poisson_process():
    times = poisson_arrivals(50, 400, 5)
    gaps = np.diff(times)
    assert (gaps >= 0).all() and times.max() < 400
    assert len(times) == pytest.approx(20_000, rel=0.03)
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.05)
    assert (poisson_arrivals(50, 400, 5) == times).all()
    assert len(poisson_arrivals(50, 400, 6)) != len(times)


@given(
    st.lists(st.floats(0, 100), max_size=40).map(sorted),
    st.lists(st.floats(0, 5), min_size=40, max_size=40),
    st.integers(1, 5),
)
def test_whatever_comes_time_is_accounted_for(arrivals, services, batch):
    load = served(arrivals, lambda numbers: services[numbers[0]], 100.0, batch=batch)
    queued = np.maximum(load.free - load.intended, 0)
    assert np.allclose(load.latency, queued + load.dispatch + load.service)
    assert (load.dispatch >= -1e-9).all() and np.allclose(load.dispatch, 0)
    assert (np.diff(load.started) >= 0).all() and (load.started >= load.intended - 1e-9).all()
    assert (np.diff(load.cycles) >= 0).all()


def measured(rate):
    return served(poisson_arrivals(rate, 2000, 7), 0.1, 2000.0)


def test_the_highest_load_is_found_with_what_lies_surely_on_either_side():
    found = highest_load(measured, 0.5, 1.0, 20.0)
    # The tail of the wait in M/D/1 falls as exp(-x t / 0.1) with exp(x) - 1 = 10 x / rate, so
    # that about 5 % wait longer than 0.4 s at 6.9 a second; the server could answer 10.
    assert found.rate == pytest.approx(6.9, rel=0.05)
    assert 0 < found.low <= found.rate < found.high < 8
    assert len(found.tried) == 9
    assert measured(found.rate).quantile(0.95).value <= 0.5


def test_a_limit_that_no_load_meets_and_one_that_all_meet():
    none = highest_load(measured, 0.05, 1.0, 20.0)
    assert math.isnan(none.rate) and none.low == 0 and none.high == 1.0 and len(none.tried) == 1
    every = highest_load(measured, 5.0, 1.0, 2.0)
    assert every.rate == every.low == 2.0 and every.high == math.inf


@pytest.mark.parametrize("rate, seconds", [(0, 1), (-1, 1), (1, 0), (math.inf, 1), (math.nan, 1)])
def test_impossible_loads_are_refused(rate, seconds):
    with pytest.raises(RagftError, match="both must be above 0"):
        poisson_arrivals(rate, seconds)


def test_what_a_user_can_get_wrong():
    with pytest.raises(RagftError, match="arrivals must be sorted"):
        served([2.0, 1.0], 1.0)
    with pytest.raises(RagftError, match="batch=0 must be 1 or more"):
        served([1.0], 1.0, batch=0)
    with pytest.raises(RagftError, match="give 0 < lowest < highest"):
        highest_load(measured, 1.0, 2.0, 2.0)
    with pytest.raises(RagftError, match="nothing to ask"):
        answering(None, [])
    with pytest.raises(RagftError, match="the clock ran backwards"):
        served([0.0, 1.0], -0.5)


def test_an_arm_is_asked_its_questions_over_and_over():
    asked = []

    class Arm:
        def answer(self, questions):
            asked.append(questions)

    serve = answering(Arm(), ["a", "b", "c"])
    serve(range(2, 5))
    assert asked == [["c", "a", "b"]]


def test_the_real_clock_goes_on_and_waits():
    clock = WallClock()
    before = clock.now()
    clock.wait_until(before + 0.01)
    assert clock.now() >= before + 0.01
    clock.wait_until(before)  # has passed
    load = offer(lambda numbers: None, np.array([0.0, 0.002, 0.004]), 0.005)
    assert (load.latency >= 0).all() and (load.dispatch >= 0).all()
