"""What is learnt and forgotten: the effects by hand, and one small run."""

import math

import pandas as pd
import pytest

from ragft.experiments import forgetting_cells
from ragft.experiments.forgetting import forgetting
from ragft.experiments.forgetting_cells import CONTROL, METHODS, NEW, READING, Plan, Work
from ragft.experiments.forgetting_effects import paths, quantities
from ragft.profiles import profile
from ragft.records import Records
from ragft.types import RagftError

SIZES = profile("smoke", n_boot=100)


# The effects


def rows(tuning, condition, right, *, passes=0, rehearsal=False, seed=0):
    """Return a row a question: whether its answer was right."""
    names = [f"{condition}{i}" for i in range(len(right))]
    frame = pd.DataFrame({"question_id": names, "cluster": names, "accuracy": map(float, right)})
    place = {"tuning": tuning, "condition": condition, "passes": passes}
    return frame.assign(**place, rehearsal=rehearsal, seed=seed)


def told(*frames, notes=()):
    return quantities(pd.concat(frames, ignore_index=True), notes, SIZES)


def test_the_better_of_prefix_and_prompt_stands_against_lora_after_the_most_passes():
    found = told(
        rows("lora", NEW, [1, 1, 1, 1], passes=4),
        rows("lora", NEW, [0, 0, 0, 0], passes=2),
        rows("prefix", NEW, [1, 0, 0, 0], passes=4),
        rows("prompt", NEW, [1, 1, 0, 0], passes=4),
        rows("prompt", NEW, [1, 1, 1, 1], passes=2),
    )
    assert found["lora_minus_prefix"]["mean"] == pytest.approx(0.5)
    assert found["lora_minus_prefix"]["unit"] == "points"


def test_at_equal_time_a_slower_method_has_fewer_passes():
    times = {("lora", 4): 10.0, ("lora", 2): 5.0, ("prefix", 4): 12.0, ("prefix", 2): 6.0}
    notes = [
        {"tuning": m, "passes": n, "rehearsal": False, "training_seconds": s}
        for (m, n), s in times.items()
    ]
    notes.append({"tuning": "lora", "passes": 4, "rehearsal": True, "training_seconds": 99.0})
    notes.append({"tuning": "base", "passes": 0, "rehearsal": False})
    found = told(
        rows("lora", NEW, [1, 1, 1, 0], passes=4),
        rows("prefix", NEW, [1, 1, 1, 1], passes=4),
        rows("prefix", NEW, [1, 0, 0, 0], passes=2),
        notes=notes,
    )
    one = found["lora_minus_prefix_at_equal_time"]
    assert one["mean"] == pytest.approx(0.5)
    assert one["note"] == "prefix 2 passes in 6 s; LoRA 10 s"
    assert found["lora_minus_prefix"]["mean"] == pytest.approx(-0.25)


def test_forgetting_is_what_lora_keeps_and_all_weights_do_not():
    found = told(
        rows("base", CONTROL, [1, 1, 1, 1]),
        rows("lora", CONTROL, [1, 1, 1, 0], passes=4),
        rows("lora", CONTROL, [1, 1, 1, 1], passes=2),
        rows("full", CONTROL, [1, 0, 0, 0], passes=4),
        rows("full", CONTROL, [1, 1, 0, 0], passes=2),
        rows("lora", NEW, [1, 1, 1, 1, 1], passes=4),
        rows("lora", NEW, [1, 1, 1, 1, 0], passes=2),
        rows("full", NEW, [1, 1, 1, 1, 1], passes=4),
        rows("full", NEW, [1, 1, 1, 0, 0], passes=2),
        rows("full", CONTROL, [1, 1, 1, 1], passes=4, rehearsal=True),
        rows("rag", CONTROL, [0, 0, 0, 1]),
    )
    assert found["forgetting_full_minus_lora"]["mean"] == pytest.approx(0.5)
    # LoRA has learnt 80 % after 2 passes, all weights after 4 only
    assert found["forgetting_full_minus_lora_once_learnt"]["mean"] == pytest.approx(0.75)
    assert found["forgetting_full_minus_lora_once_learnt"]["note"] == (
        "full after 4 passes, lora after 2 passes"
    )
    assert found["learning_full_minus_lora"]["mean"] == pytest.approx(-0.2)
    smaller = found["smaller_gap_full_minus_lora"]
    gaps = [found["learning_full_minus_lora"], found["forgetting_full_minus_lora"]]
    assert smaller["mean"] == pytest.approx(-0.2)
    assert smaller["low"] == min(gap["low"] for gap in gaps)
    assert smaller["high"] == min(gap["high"] for gap in gaps)
    assert found["rehearsal_full"]["mean"] == pytest.approx(0.75)
    assert found["lost_by_rag"]["mean"] == pytest.approx(0.75)
    assert found["known_before"] | {"mean": 1.0, "unit": "share"} == found["known_before"]
    assert "rehearsal_lora" not in found and "qlora_minus_lora" not in found


def test_reading_is_lost_by_those_who_read_before():
    found = told(
        rows("base", READING, [1, 1, 1, 0]),
        rows("lora", READING, [1, 1, 0, 0], passes=2),
        rows("lora", READING, [1, 1, 0, 0], passes=2, rehearsal=True),
    )
    assert found["reading_lost_by_lora"]["mean"] == pytest.approx(0.25)
    assert "reading_lost_by_full" not in found


def test_never_learnt_is_never_compared_once_learnt():
    found = told(
        rows("lora", NEW, [1, 0], passes=2),
        rows("full", NEW, [1, 1], passes=2),
        rows("lora", CONTROL, [1, 0], passes=2),
        rows("full", CONTROL, [1, 0], passes=2),
    )
    assert "forgetting_full_minus_lora_once_learnt" not in found


def test_paths_hold_what_is_learnt_and_what_was_kept_of_the_base():
    every = pd.concat(
        [
            rows("base", NEW, [0, 0]),
            rows("base", CONTROL, [1, 1, 1, 0]),
            rows("lora", NEW, [1, 0], passes=2),
            rows("lora", CONTROL, [1, 0, 0, 0], passes=2),
            rows("lora", NEW, [1, 1], passes=2, rehearsal=True),
            rows("lora", CONTROL, [1, 1, 1, 0], passes=2, rehearsal=True),
        ]
    )
    found = pd.DataFrame(paths(every, SIZES)).set_index(["method", "rehearsal", "steps"])
    assert found["x"].to_dict() == {
        ("base", False, 0): 0.0,
        ("lora", False, 2): 0.5,
        ("lora", True, 2): 1.0,
    }
    assert found["y"].to_dict() == {
        ("base", False, 0): 0.0,
        ("lora", False, 2): -0.5,
        ("lora", True, 2): 0.0,
    }
    assert set(found["n"]) == {2}


# The cells


def test_every_rate_and_pass_is_part_of_the_key(tmp_path):
    plan, sizes = Plan(("lora", "full"), (1, 2), 4, 4), profile("smoke", model="resident")
    work = Work(plan, sizes, Records(tmp_path))
    keys = [work.key(*cell) for cell in plan.cells((0, 1))]
    assert len(keys) == len(set(keys)) == 2 + 2 * 2 * 2 * 2
    lora = work.training("lora", 2, 1)
    assert (lora.method, lora.epochs, lora.min_steps, lora.seed) == ("lora", 2, 1, 1)
    assert lora.learning_rate == pytest.approx(sizes.learning_rate * METHODS["lora"].rate)
    assert work.training("lora_4", 2, 1).rank == 4


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"methods": ()}, "at least one method"),
        ({"methods": ("lora", "lora")}, "none twice"),
        ({"methods": ("lora", "lora_99")}, "unknown method 'lora_99'; choose of full, lora"),
        ({"passes": (2, 2)}, r"passes=\[2, 2\]: give numbers that rise from 1"),
        ({"passes": (0, 2)}, "rise from 1"),
        ({"passes": ()}, "rise from 1"),
        ({"facts": 1}, "facts=1 and control=100 must be 2 or more"),
    ],
)
def test_what_cannot_be_measured_is_refused(options, told, tmp_path):
    with pytest.raises(RagftError, match=told):
        forgetting(**options, base="smoke", out=tmp_path, progress=False)


@pytest.mark.usefixtures("no_bitsandbytes")
def test_all_methods_need_the_extra_from_the_start(tmp_path):
    with pytest.raises(RagftError, match=r"pip install 'ragft\[qlora\]'"):
        forgetting(base="smoke", out=tmp_path, progress=False)
    assert not list(tmp_path.iterdir())


def test_a_model_that_knows_nothing_has_nothing_to_forget(tmp_path, monkeypatch):
    monkeypatch.setattr(forgetting_cells, "POPULAR", 0.01)
    work = Work(Plan(("lora",), (1,), 2, 2), profile("smoke"), Records(tmp_path))
    with pytest.raises(RagftError, match="nothing to forget; start from model='resident'"):
        work.control  # noqa: B018


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    place = tmp_path_factory.mktemp("forgetting")
    options = {"passes": (1, 2), "facts": 4, "control": 4, "seeds": (0,), "base": "smoke"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAGFT_CACHE", str(place / "cache"))
        patch.setattr(forgetting_cells, "BLOCK", 4)
        methods = ("full", "lora", "prefix")
        yield forgetting(methods, **options, out=place / "results", progress=False)


def test_a_run_asks_all_methods_for_the_same(run):
    counts = run.answers.groupby(["tuning", "rehearsal", "passes", "condition"]).size().unstack()
    assert set(counts[NEW]) == {4}
    assert counts.loc["rag"][READING].isna().all()
    assert set(counts[READING].dropna()) == {4}
    assert counts[CONTROL].nunique() == 1
    ids = run.answers.groupby(["tuning", "passes", "condition"])["question_id"].agg(set)
    for _, several in ids.groupby("condition"):
        assert len({frozenset(one) for one in several}) == 1
    assert len(run.trained) == 2 * 5  # full, lora: without and with rehearsal; prefix: without
    shares = run.trained.drop_duplicates("tuning").set_index("tuning")
    assert shares.loc["full", "trainable"] == shares.loc["full", "total"]
    assert shares.loc["prefix", "trainable"] < shares.loc["lora", "trainable"]


def test_nothing_that_is_asked_as_control_was_trained(run):
    leaks = [cell["leakage"] for cell in run.record["results"]["cells"] if cell["passes"]]
    assert {leak["questions"] for leak in leaks} == {0}
    assert {leak["subjects"] for leak in leaks} == {4}  # the new facts' own, in other wordings


def test_the_base_knows_the_control_and_not_the_new(run):
    table = run.summary[run.summary["measure"] == "accuracy"]
    base = table[table["tuning"] == "base"].set_index("condition")["mean"]
    assert base[CONTROL] > 0.5 > base[NEW]
    assert math.isfinite(run.paths["y_low"].min())
    assert run.quantities["known_before"]["mean"] == base[CONTROL]
