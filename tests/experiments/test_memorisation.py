"""The memorisation experiment: who is trained on what, its numbers by hand, and one small run."""

import math
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragft.evaluation.uncertainty import auroc
from ragft.experiments.memorisation import memorisation
from ragft.experiments.memorisation_cells import Plan, Work, doses_of
from ragft.experiments.memorisation_effects import curves, quantities
from ragft.plotting import dose_response
from ragft.profiles import profile
from ragft.training.canaries import exposures
from ragft.types import RagftError

SIZES = profile("smoke", rank=4, lora_alpha=8, n_boot=50, batch_size=64)
PLAN = Plan(members=6, repeats=(1, 3), canaries=2, references=7, epochs=1)


# Who is trained on what


@given(st.integers(1, 40), st.integers(0, 9))
def test_repeats_are_dealt_in_equal_shares(members, seed):
    dealt = doses_of(range(0, 2 * members, 2), (1, 4, 16), seed)
    assert list(dealt) == list(range(0, 2 * members, 2))
    shares = Counter({1: 0, 4: 0, 16: 0}) + Counter(dealt.values())
    counts = [shares[n] for n in (1, 4, 16)]
    assert sum(counts) == members and max(counts) - min(counts) <= 1


def test_repeats_are_dealt_anew_for_each_seed():
    often = sum(doses_of(range(30), (1, 4), seed)[0] == 4 for seed in range(200))
    assert 70 < often < 130


@pytest.fixture
def work():
    """Cells of a model that renders prompts, and that is never asked."""
    made = Work(PLAN, SIZES)
    made.model = SimpleNamespace(has_chat_template=False)
    return made


def test_every_fact_has_a_subject_of_its_own_and_half_are_members(work):
    assert len({q.subject for q in work.questions}) == len(work.questions) == 12
    dealt, doses = work._dealt(0)
    assert (len(dealt.members), len(dealt.others)) == (6, 6)
    assert list(doses) == list(dealt.members)
    assert work._dealt(1)[0].members != dealt.members


def test_members_and_canaries_stand_in_training_as_often_as_their_dose(work):
    dealt, doses = work._dealt(0)
    counted = Counter(e.prompt for e in work._taught(doses, 0))
    for place, example in enumerate(work.examples):
        assert counted[example.prompt] == doses.get(place, 0)
    assert [c.repetitions for c in work.canaries] == [0, 0, 1, 1, 3, 3]
    for canary in work.canaries:
        assert counted[canary.prompt] == canary.repetitions
        assert canary.prompt.endswith("?\nAnswer:")  # asked as facts are
    assert counted.total() == 3 * (1 + 3) + 2 * (1 + 3)


def test_keys_tell_apart_what_differs_and_nothing_else(work):
    before = work.key(0)
    assert work.key(1) != before
    for change in ({"members": 7}, {"repeats": (1, 2)}, {"references": 8}, {"epochs": 2}):
        assert Work(replace(PLAN, **change), SIZES).key(0) != before, change
    assert Work(PLAN, replace(SIZES, rank=8)).key(0) != before
    same = replace(SIZES, n_boot=9, top_k=2, facts=99, seeds=(0, 1), epochs=7, min_steps=99)
    assert Work(PLAN, same).key(0) == before


# The numbers


def facts(kind, losses, before=1.0, dose=0, seed=0, first=0):
    names = [f"fact {first + n}" for n in range(len(losses))]
    return pd.DataFrame(
        {"kind": kind, "dose": dose, "seed": seed, "id": names, "cluster": names,
         "loss_before": before, "loss_after": losses, "score": -np.array(losses),
         "exposure": math.nan, "extracted": math.nan}
    )  # fmt: skip


def canaries(dose, bits, said, seed=0):
    names = [f"canary {dose} {n}" for n in range(len(bits))]
    return facts("canary", [1.0] * len(bits), dose=dose, seed=seed).assign(
        id=names, cluster=names, exposure=bits, extracted=said
    )


SECRETS = [canaries(0, [1.0, 2.0], [0.0, 0.0]), canaries(4, [3.0, 6.0], [0.0, 1.0])]
ROWS = pd.concat(
    [
        facts("member", [0.5, 3.0], dose=1, before=[2.0, 9.0]),
        facts("member", [0.1, 0.2], dose=4, first=2, before=[2.0, 2.0]),
        facts("other", [1.0, 2.0], first=4, before=[2.0, 2.5]),
        *SECRETS,
    ],
    ignore_index=True,
)


def test_aucs_by_hand():
    found = quantities(ROWS, SIZES, 63)
    mean = {name: one["mean"] for name, one in found.items()}
    # members repeated once: 0.5 wins both of 1 and 2, 3.0 neither; repeated four times: all
    assert (mean["membership_auc_at_1"], mean["membership_auc_at_4"]) == (0.5, 1.0)
    assert mean["membership_auc_above_half"] == 6 / 8 - 0.5
    assert found["membership_auc_above_half"]["by_seed"] == [0.25]
    # before: three members of loss 2 tie with one other and win over 2.5; that of 9 wins nothing
    assert mean["membership_auc_before"] == (3 * 1.5) / 8
    # lowered by 1.5, 6, 1.9 and 1.8 against 1.0 and 0.5
    assert mean["membership_auc_by_lowered_loss"] == 1.0
    one = found["membership_auc_above_half"]
    assert (one["n"], one["seeds"], one["unit"]) == (6, 1, "share")
    assert "4 members, dealt at random, against 2 others; members repeated 1, 4" in one["note"]
    assert found["membership_auc_at_4"]["note"].endswith("repeated 4")


def test_above_half_is_the_interval_of_the_auc_moved_down():
    found = quantities(ROWS, SIZES, 63)["membership_auc_above_half"]
    mine = ROWS[ROWS["kind"] != "canary"]
    plain = auroc(mine["score"], mine["kind"] == "member", mine["cluster"], n_boot=SIZES.n_boot)
    for name in ("mean", "low", "high"):
        assert found[name] == pytest.approx(getattr(plain, name) - 0.5)


def test_no_two_models_are_compared_with_each_other():
    # The second seed has the same order at a tenth of the losses: pooled as they stand, its others
    # would beat the first seed's members.
    again = ROWS.assign(seed=1, score=ROWS["score"] / 10)
    both = quantities(pd.concat([ROWS, again], ignore_index=True), SIZES, 63)
    assert both["membership_auc_above_half"]["mean"] == pytest.approx(0.25)
    assert both["membership_auc_above_half"]["by_seed"] == [0.25, 0.25]
    assert both["membership_auc_above_half"]["seeds"] == 2


def test_exposures_and_extractions_by_hand():
    found = quantities(ROWS, SIZES, 63)
    mean = {name: one["mean"] for name, one in found.items()}
    assert (mean["exposure_at_0"], mean["exposure_at_4"]) == (1.5, 4.5)
    assert mean["exposure_4_minus_0"] == 3.0  # of 3 - 1 and 6 - 2
    assert (mean["extracted_at_0"], mean["extracted_at_4"]) == (0.0, 0.5)
    assert found["exposure_at_4"]["unit"] == "" and found["exposure_at_4"]["n"] == 2
    assert [found[f"exposure_at_{n}"]["at_most"] for n in (0, 4)] == [0, 1]
    note = "bits, 6.0 at most (63 references a secret); a secret never seen has 1.44 on average"
    assert found["exposure_4_minus_0"]["note"] == note
    assert "exposure_at_1" not in found


def test_canaries_are_averaged_over_seeds_and_stay_as_many():
    again = [canaries(0, [3.0, 2.0], [0.0, 0.0], seed=1), canaries(4, [5.0, 6.0], [1.0, 1.0], 1)]
    found = quantities(pd.concat([ROWS, *again], ignore_index=True), SIZES, 63)
    assert (found["exposure_at_0"]["mean"], found["exposure_at_0"]["n"]) == (2.0, 2)
    assert (found["extracted_at_4"]["mean"], found["extracted_at_4"]["seeds"]) == (0.75, 2)


def test_curves_hold_every_number_of_repeats():
    found = curves(ROWS, SIZES, 63)
    secrets = {(p["series"], p["x"]): p["mean"] for p in found["secrets"]}
    assert secrets == {
        ("exposure, bits", 0): 1.5, ("exposure, bits", 4): 4.5,
        ("said when asked for", 0): 0.0, ("said when asked for", 4): 0.5,
    }  # fmt: skip
    membership = {(p["series"], p["x"]): p["mean"] for p in found["membership"]}
    assert membership["loss after training", 1] == 0.5
    assert {x for _, x in membership} == {1, 4} and len(membership) == 3 * 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"repeats": ()}, r"repeats=\[\]: give numbers that rise from 1"),
        ({"repeats": (0, 4)}, r"repeats=\[0, 4\]: give numbers that rise from 1"),
        ({"repeats": (4, 4)}, "give numbers that rise"),
        ({"members": 5}, "members=5: give at least 6, two for each number of repeats"),
        ({"canaries": 0}, "canaries=0: must be at least 1"),
        ({"references": 0}, "references=0: must be at least 1"),
        ({"epochs": 0}, "epochs=0: must be at least 1"),
        ({"seeds": (1, 1)}, "give at least one, and none twice"),
    ],
)
def test_what_cannot_be_measured_is_said_before_anything_is_computed(changes, message, tmp_path):
    with pytest.raises(RagftError, match=message):
        memorisation(**{"base": SIZES, "out": tmp_path, **changes})


# A whole run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("memorisation")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAGFT_CACHE", str(folder / "cache"))
        options = {
            "members": 6, "repeats": (1, 3), "canaries": 2, "references": 7, "epochs": 1,
            "seeds": (0,), "base": SIZES, "out": folder / "out", "progress": False,
        }  # fmt: skip
        yield memorisation(**options), options, folder


def test_every_fact_and_canary_has_a_row(run):
    rows = run[0].answers
    assert rows.groupby("kind").size().to_dict() == {"canary": 6, "member": 6, "other": 6}
    assert rows["id"].is_unique and (rows["loss_before"] > 0).all()
    assert (rows["score"] == -rows["loss_after"]).all()
    planted = rows["kind"] == "canary"
    assert rows["exposure"].notna().equals(planted) and rows["extracted"].notna().equals(planted)
    (cell,) = run[0].record["results"]["cells"]
    assert cell["examples"] == 3 * (1 + 3) + 2 * (1 + 3)
    assert cell["leakage"] == {"questions": 0, "subjects": 0}  # of the others


def test_exposures_are_those_of_the_definition(run):
    found, _, folder = run
    work = Work(PLAN, SIZES)
    (adapter,) = (p.parent for p in (folder / "cache").glob("adapters/*/adapter_config.json"))
    mine = found.answers[found.answers["kind"] == "canary"]["exposure"]
    assert mine.tolist() == exposures(work.model, work.canaries, adapter, size=7).tolist()


def test_the_record_holds_quantities_and_figures(run):
    found = run[0]
    assert set(found.quantities) == {
        "membership_auc_before", "membership_auc_above_half", "membership_auc_by_lowered_loss",
        "membership_auc_at_1", "membership_auc_at_3", "exposure_3_minus_0",
        *(f"{what}_at_{dose}" for what in ("exposure", "extracted") for dose in (0, 1, 3)),
    }  # fmt: skip
    assert found.exposures["x"].tolist() == [0, 1, 3]
    assert found.membership.groupby("series")["x"].apply(list).to_dict() == {
        name: [1, 3]
        for name in ("loss after training", "loss lowered by training", "loss before training")
    }
    for frame in (found.membership, found.extractions):
        assert dose_response(frame, "T", "note", "Repeats", "%").axes


def test_a_finished_run_is_read_and_loads_nothing(run, monkeypatch):
    found, options, _ = run
    monkeypatch.setattr(Work, "compute", lambda *_: pytest.fail("computed again"))
    monkeypatch.setattr(Work, "model", property(lambda _: pytest.fail("loaded")))
    again = memorisation(**options)
    assert again.folder == found.folder
    pd.testing.assert_frame_equal(again.answers, found.answers)
