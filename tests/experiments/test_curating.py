"""The curating experiment: what is spoilt and dropped, and one small run."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragft.corpora.behaviours import behaviour_task
from ragft.experiments import curating_cells
from ragft.experiments.behaviour_prompts import shown
from ragft.experiments.curating import (
    FULL,
    NOISE,
    REDUCED,
    REDUCED_NOISE,
    REDUCED_SIZE,
    SHOWN,
    curating,
)
from ragft.experiments.curating_cells import FILTERED, NAME, RANDOM, Plan, Work, passes, spoilt
from ragft.plotting import dose_response
from ragft.profiles import profile
from ragft.types import RagftError

SIZES = profile("smoke", max_new_tokens=4, rank=4, lora_alpha=8, n_boot=50, batch_size=64)
PLAN = Plan((5, 10), (0.0, 0.3), asked=4, shown=10)
PAIRS = behaviour_task(NAME, pairs=60, asked=2).pairs


# What is taught


@given(st.sampled_from([0.0, 0.1, 0.3, 0.5]), st.integers(0, 5))
def test_the_share_spoilt_is_exact_and_only_values_are_wrong(rate, seed):
    taught, noise = spoilt(PAIRS, rate, seed)
    assert len(noise.positions) == round(rate * 60)
    for place, (pair, told) in enumerate(zip(PAIRS, taught, strict=True)):
        right = shown(NAME, pair)
        assert (told.question, told.passages) == (right.question, right.passages)
        said = told.completion.removeprefix(f" {pair.question.subject} [1] ")
        assert said != told.completion  # the name and the citation stay right
        assert (said != pair.knows["value"]) is (place in noise.positions)


def test_a_wrong_value_is_another_subjects_of_the_same_relation():
    taught, noise = spoilt(PAIRS, 0.5, 1)
    for place in noise.positions:
        relation, said = PAIRS[place].question.relation, taught[place].expects["value"]
        assert said in {p.knows["value"] for p in PAIRS if p.question.relation == relation}


def test_few_examples_pass_more_often():
    assert [passes(1200, n) for n in (24, 30, 120, 150, 240, 300, 600, 1000)] == [
        50, 40, 10, 8, 5, 4, 2, 1,
    ]  # fmt: skip
    assert passes(10, 100) == 1
    for size in (*FULL, *(round(0.8 * n) for n in FULL)):  # no cell is ahead by a fifth
        assert passes(SHOWN, size) * size == pytest.approx(SHOWN, rel=0.2)


def test_a_filter_has_a_control_wherever_there_is_noise():
    cells = replace(PLAN, sizes=(5,)).cells((3, 4))
    assert cells == [
        (5, rate, treatment, seed)
        for rate, treatments in (
            (0.0, ("as given", "filtered")), (0.3, ("as given", "filtered", "random")),
        )
        for treatment in treatments
        for seed in (3, 4)
    ]  # fmt: skip


@pytest.fixture
def work():
    """Cells of a model that renders prompts, and that is never asked."""
    made = Work(PLAN, SIZES)
    made.model = SimpleNamespace(has_chat_template=False)
    return made


def test_the_worst_fifth_by_loss_is_dropped(work, monkeypatch):
    asked = []

    def train(model, examples, settings):
        asked.append((len(examples), settings.epochs))
        return SimpleNamespace(adapter="first")

    losses = [0.1, 5.0, 0.2, 0.3, 0.1, 0.1, 0.2, 4.0, 0.3, 0.2]
    monkeypatch.setattr("ragft.arms.finetuned.train", train)
    monkeypatch.setattr(
        "ragft.training.losses.example_losses", lambda *of: np.array(losses[: len(of[1])])
    )
    every, nothing = work._left(10, 0.3, "as given", 0)
    left, dropped = work._left(10, 0.3, FILTERED, 0)
    assert (len(every), nothing, dropped) == (10, (), (1, 7))
    assert left == [e for i, e in enumerate(every) if i not in (1, 7)]
    assert asked == [(10, 1)]  # a quarter of 10 shown: a single pass at the least
    quality = work._quality(10, 0.3, 0, dropped)
    wrong = set(work._noisy(10, 0.3, 0)[1].positions)
    assert quality == {"dropped": 2, "spoilt": 3, "both": len(wrong & {1, 7})}
    assert work._quality(10, 0.3, 0, ()) is None


def test_as_many_are_dropped_at_random_by_another_draw_for_each_seed(work):
    drawn = [work._left(10, 0.3, RANDOM, seed)[1] for seed in range(8)]
    assert {len(dropped) for dropped in drawn} == {2}
    assert len(set(drawn)) > 3


def test_keys_tell_apart_what_differs_and_nothing_else(work, monkeypatch):
    cells = PLAN.cells((0, 1))
    before = {cell: work.key(*cell) for cell in cells}
    assert len(set(before.values())) == len(cells)
    other = Work(replace(PLAN, sizes=(5, 10, 20), rates=(0.0, 0.1, 0.3)), replace(SIZES, n_boot=9))
    assert {cell: other.key(*cell) for cell in cells} == before
    longer = Work(replace(PLAN, shown=40), SIZES)
    assert all(longer.key(*cell) != before[cell] for cell in cells)
    before = {cell: longer.key(*cell) for cell in cells}
    monkeypatch.setattr(curating_cells, "FIRST", 2)
    changed = {cell for cell in cells if longer.key(*cell) != before[cell]}
    assert changed == {cell for cell in cells if cell[2] == FILTERED}


def test_both_grids_have_a_number_and_ten_times_as_many():
    assert all(any(10 * n in sizes for n in sizes) for sizes in (REDUCED, FULL))
    assert FULL[-1] <= SHOWN and REDUCED[-1] <= REDUCED_SIZE["shown"]
    assert any(2 * n in FULL for n in FULL) and set(REDUCED_NOISE) < set(NOISE)


# What is refused


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sizes": ()}, r"sizes=\[\]: give numbers that rise from 5 or more"),
        ({"sizes": (4, 10)}, r"sizes=\[4, 10\]: give numbers that rise from 5"),
        ({"sizes": (10, 10)}, "give numbers that rise"),
        ({"noise": ()}, r"noise=\[\]: give shares that rise within \[0, 1\)"),
        ({"noise": (0, 1)}, r"noise=\[0.0, 1.0\]: give shares"),
        ({"noise": (0.3, 0)}, "give shares that rise"),
        ({"asked": 1}, "asked=1: must be 2 or more"),
        ({"shown": 9}, "shown=9: give at least 10, so that the largest training sees"),
        ({"seeds": ()}, "give at least one, and none twice"),
    ],
)
def test_what_cannot_be_measured_is_said_before_anything_is_computed(changes, message, tmp_path):
    given_ = {"sizes": (5, 10), "noise": (0.0, 0.3), "base": SIZES, "out": tmp_path}
    with pytest.raises(RagftError, match=message):
        curating(**given_ | {"shown": 10} | changes)


# A whole run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("curating")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAGFT_CACHE", str(folder / "cache"))
        options = {
            "sizes": (5, 10), "noise": (0.3,), "asked": 4, "shown": 10, "seeds": (0,),
            "base": SIZES, "out": folder / "out", "progress": False,
        }  # fmt: skip
        yield curating(**options), options


def test_every_cell_is_asked_everything_and_nothing_leaks(run):
    found = run[0]
    asked = found.answers.groupby(["size", "noise", "treatment"]).size()
    assert len(asked) == 2 * 3 and set(asked) == {4}
    assert found.answers["passed"].isin([0.0, 1.0]).all()
    cells = found.record["results"]["cells"]
    assert all(cell["leakage"] == {"questions": 0, "subjects": 0} for cell in cells)
    counts = {(c["size"], c["treatment"]): c["examples"] for c in cells}
    assert counts == {
        (5, "as given"): 5, (5, "filtered"): 4, (5, "random"): 4,
        (10, "as given"): 10, (10, "filtered"): 8, (10, "random"): 8,
    }  # fmt: skip


def test_the_record_holds_quantities_filters_and_figures(run):
    found = run[0]
    assert set(found.quantities) == {
        "filtered_minus_doubled", "filtered_minus_as_given", "filtered_minus_random",
        "filter_precision", "filter_recall",
    }  # fmt: skip
    filters = found.filters.set_index(["size", "treatment"])
    assert filters["dropped"].groupby("size").unique().map(list).to_dict() == {5: [1], 10: [2]}
    named = found.quantities["filter_precision"]
    assert named["mean"] == filters.loc[(5, FILTERED), "precision"] and named["n"] == 1
    assert found.heat[["size", "noise"]].to_numpy().tolist() == [[5, 0.3], [10, 0.3]]
    curve = found.noise_curve()
    assert curve[["series", "x"]].to_numpy().tolist() == [
        ["as given", 0.3], ["worst fifth dropped", 0.3],
    ]  # fmt: skip
    assert curve["mean"].tolist() == found.noise_curve(5)["mean"].tolist()  # 10 is its double
    assert dose_response(curve, "T", "note", "Wrong examples", "Passed (%)").axes
    with pytest.raises(RagftError, match="size=7 was not taught; choose of 5, 10"):
        found.noise_curve(7)


def test_where_nothing_was_wrong_recall_is_undefined(run):
    place = {"size": 150, "noise": 0.3, "treatment": FILTERED, "seed": 0, "dropped": 30}
    filters = [place | {"spoilt": 0, "both": 0}, place | {"spoilt": 45, "both": 27}]
    found = replace(run[0], record={"results": {"filters": filters}}).filters
    assert found["precision"].tolist() == [0.0, 0.9]
    assert math.isnan(found["recall"][0]) and found["recall"][1] == 0.6


def test_a_finished_run_is_read_and_loads_nothing(run, monkeypatch):
    found, options = run
    monkeypatch.setattr(Work, "compute", lambda *_: pytest.fail("computed again"))
    monkeypatch.setattr(Work, "model", property(lambda _: pytest.fail("loaded")))
    again = curating(**options)
    assert again.folder == found.folder
    pd.testing.assert_frame_equal(again.answers, found.answers)
    fewer = curating(**options | {"sizes": (10,)})  # its cells are there already
    pd.testing.assert_frame_equal(
        fewer.heat, found.heat[found.heat["size"] == 10].reset_index(drop=True)
    )
