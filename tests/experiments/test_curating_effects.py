"""The numbers of a curating experiment, each worked out by hand on a few questions."""

import pandas as pd
import pytest

from ragft.experiments.curating_effects import curves, quantities
from ragft.profiles import profile

SIZES = profile("smoke", n_boot=50)


def rows(size, noise, treatment, passed, seed=0):
    names = [f"q{i}" for i in range(len(passed))]
    return pd.DataFrame(
        {"size": size, "noise": noise, "treatment": treatment, "seed": seed, "question_id": names,
         "cluster": names, "passed": passed}
    )  # fmt: skip


def dropped(size, treatment, seed, counts):
    place = {"size": size, "noise": 0.3, "treatment": treatment, "seed": seed}
    return place | dict(zip(("dropped", "spoilt", "both"), counts, strict=True))


GRID = pd.concat(
    [
        rows(30, 0.0, "as given", [1, 1, 1, 0]),
        rows(150, 0.3, "as given", [1, 0, 0, 0]),
        rows(150, 0.3, "filtered", [1, 1, 1, 1]),
        rows(150, 0.3, "random", [0, 0, 0, 0]),
        rows(300, 0.3, "as given", [1, 1, 0, 0]),
        rows(300, 0.3, "filtered", [0, 0, 0, 0]),  # no double of it: not compared
    ],
    ignore_index=True,
)
FILTERS = [dropped(150, "filtered", 0, (30, 45, 27)), dropped(150, "random", 0, (30, 45, 9)),
           dropped(300, "filtered", 0, (60, 90, 0))]  # fmt: skip


def test_effects_are_differences_over_the_same_questions():
    found = quantities(GRID, FILTERS, SIZES)
    mean = {name: one["mean"] for name, one in found.items()}
    assert mean == pytest.approx(
        {
            "curated_minus_noisy": 0.75 - 0.5,
            "filtered_minus_doubled": 1 - 0.5,
            "filtered_minus_as_given": 1 - 0.25,
            "filtered_minus_random": 1.0,
            "filter_precision": 27 / 30,
            "filter_recall": 27 / 45,
        }
    )
    assert (
        "30 clean examples against 300 of which 30% are wrong"
        in (found["curated_minus_noisy"]["note"])
    )
    assert (
        "150 examples less the 20% with the highest loss against 300 as given"
        in (found["filtered_minus_doubled"]["note"])
    )
    assert "recall 20%, which is 67% at most" in found["filter_recall"]["note"]
    assert {one["unit"] for one in found.values()} == {"share"}


def test_a_filter_of_one_seed_has_wilsons_interval_and_several_are_clusters():
    one = quantities(GRID, FILTERS, SIZES)["filter_precision"]
    assert (one["method"], one["n"], one["seeds"]) == ("wilson", 30, 1)
    assert "over the examples of one filter" in one["note"]
    again = [dropped(150, "filtered", 1, (30, 45, 15))]
    two = quantities(GRID, FILTERS + again, SIZES)["filter_precision"]
    assert two["mean"] == pytest.approx((27 + 15) / 60)
    assert (two["n"], two["clusters"], two["seeds"]) == (60, 2, 2)
    assert two["low"] < one["low"] and "over filters, a seed each" in two["note"]


def test_what_was_not_measured_is_left_out():
    clean = GRID[GRID["noise"] == 0]
    assert quantities(clean, [], SIZES) == {}
    alone = quantities(GRID[GRID["size"] == 150], FILTERS, SIZES)
    assert set(alone) == {
        "filtered_minus_as_given", "filtered_minus_random", "filter_precision", "filter_recall",
    }  # fmt: skip
    spotless = [dropped(150, "filtered", 0, (30, 0, 0))]
    assert "filter_recall" not in quantities(GRID, spotless, SIZES)


def test_the_largest_size_with_ten_times_as_many_is_compared():
    more = pd.concat(
        [GRID, rows(100, 0.0, "as given", [0] * 4), rows(1000, 0.3, "as given", [1, 0, 0, 0])]
    )
    found = quantities(more, FILTERS, SIZES)["curated_minus_noisy"]
    assert found["mean"] == -0.25 and found["note"].startswith("100 clean examples against 1000")


def test_a_curve_has_a_point_for_every_share_of_wrong_examples():
    points = {(p["size"], p["series"], p["x"]): p["mean"] for p in curves(GRID, SIZES)}
    assert points == {
        (30, "as given", 0.0): 0.75, (150, "as given", 0.3): 0.25,
        (150, "worst fifth dropped", 0.3): 1.0, (150, "random fifth dropped", 0.3): 0.0,
        (300, "as given", 0.3): 0.5, (300, "worst fifth dropped", 0.3): 0.0,
    }  # fmt: skip
