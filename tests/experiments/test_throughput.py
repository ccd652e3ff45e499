"""Highest loads of arms on a clock that stands still but for them."""

import math

import pytest

from ragft.experiments import throughput as module
from ragft.experiments.load import SimulatedClock
from ragft.experiments.tasks import world_task
from ragft.experiments.throughput import throughput
from ragft.profiles import profile
from ragft.types import Answer, RagftError

SIZES = profile("smoke", facts=4, world_subjects=16, n_boot=50)
SERVICE = {"prompt": 0.05, "rag": 0.2, "finetuned": 0.05}


@pytest.fixture(scope="module")
def task():
    return world_task(SIZES, 4)


@pytest.fixture
def ready(monkeypatch, roomy_model):
    """Return options with which arms answer in a known, simulated time."""
    clock = SimulatedClock()

    class Arm:
        def __init__(self, name):
            self.seconds = SERVICE[name]

        def answer(self, questions):
            clock.advance(self.seconds)
            return [Answer("x") for _ in questions]

    monkeypatch.setattr(module.Grid, "prepared", lambda self, arm, seed: Arm(arm))
    return {"base": SIZES, "model": roomy_model, "clock": clock, "progress": False}


def test_the_highest_loads_are_those_of_the_queue(task, ready, tmp_path):
    arms = ["prompt", "rag", "finetuned"]
    found = throughput(task, arms=arms, limit=1.0, seconds=400.0, out=tmp_path, **ready)
    rows = found.capacities.set_index("arm")
    assert rows["service_seconds"].to_dict() == pytest.approx(SERVICE)
    # M/D/1 with 0.2 s of service: 5 % wait longer than 0.8 s at about 3.5 of 5 a second.
    assert rows.loc["rag", "rate"] == pytest.approx(3.45, rel=0.1)
    assert rows.loc["prompt", "rate"] > 15
    assert (rows["low"] <= rows["rate"]).all() and (rows["rate"] < rows["high"]).all()
    told = found.quantities["goodput_finetuned_over_rag"]
    assert told["unit"] == "ratio" and told["low"] < told["mean"] < told["high"]
    assert (told["one"], told["two"]) == (rows.loc["finetuned", "rate"], rows.loc["rag", "rate"])
    assert told["mean"] == pytest.approx(told["one"] / told["two"])
    assert found.quantities["capacity_rag"]["mean"] == rows.loc["rag", "rate"]


def test_curves_rise_and_end_where_the_queue_grows(task, ready, tmp_path):
    found = throughput(task, arms=["rag"], seconds=400.0, out=tmp_path, **ready)
    curve = found.curves.sort_values("rate")
    assert curve["grew"].iloc[-1] and not curve["grew"].iloc[0]
    calm = curve[~curve["grew"].astype(bool)]
    assert (calm["p50_value"] <= calm["p95_value"]).all()
    assert (calm["p95_low"] <= calm["p95_value"]).all()
    assert calm["p50_value"].iloc[0] == pytest.approx(0.2, rel=0.2)
    assert (calm["goodput"] <= calm["rate"] * 1.2).all()
    assert len(found.answers) == curve["n"].sum()


def test_batches_carry_more(task, ready, tmp_path):
    one, four = (
        throughput(task, arms=["rag"], seconds=200.0, batch=n, out=tmp_path, **ready)
        for n in (1, 4)
    )
    assert four.capacities["rate"].iloc[0] > 2 * one.capacities["rate"].iloc[0]


def test_a_limit_that_nothing_meets_is_said_and_not_a_number(task, ready, tmp_path):
    found = throughput(
        task, arms=["rag", "finetuned"], limit=0.1, seconds=100.0, out=tmp_path, **ready
    )
    rows = found.capacities.set_index("arm")
    assert math.isnan(rows.loc["rag", "rate"]) and rows.loc["finetuned", "rate"] > 0
    assert set(found.quantities) == {"capacity_finetuned"}


def test_a_finished_run_is_read(task, ready, tmp_path, monkeypatch):
    options = {"arms": ["rag"], "seconds": 50.0, "out": tmp_path, **ready}
    before = throughput(task, **options)
    monkeypatch.setattr(module._Work, "compute", lambda *_: pytest.fail("measured again"))
    after = throughput(task, **options)
    assert after.quantities == before.quantities and after.curves.equals(before.curves)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"arms": []}, r"arms=\[\]: choose of prompt, rag"),
        ({"arms": ["rag", "rag"]}, "none twice"),
        ({"arms": ["oracle"]}, "choose of prompt"),
        ({"limit": 0.0}, "limit=0.0 and seconds=30.0 must be above 0"),
        ({"seconds": -1.0}, "seconds=-1.0 must be above 0"),
        ({"steps": -1}, "steps=-1 not below"),
    ],
)
def test_what_a_user_can_get_wrong(options, message, task, tmp_path):
    with pytest.raises(RagftError, match=message):
        throughput(task, base=SIZES, out=tmp_path, **options)


def test_a_real_arm_on_the_real_clock(task, tmp_path, roomy_model, monkeypatch):
    monkeypatch.setenv("RAGFT_CACHE", str(tmp_path / "cache"))
    found = throughput(
        task, arms=["prompt"], limit=5.0, seconds=0.3, steps=0, base=SIZES, model=roomy_model,
        out=tmp_path, progress=False,
    )  # fmt: skip
    assert len(found.curves) == 2 and found.capacities["service_seconds"].iloc[0] > 0
    requests = found.answers.dropna()  # the last of a heavy load are never answered
    assert len(requests) and set(found.answers["arm"]) == {"prompt"}
    assert (requests["finished"] > requests["started"]).all()
