"""What a model knew before: how facts are sorted, the effects by hand, and one small run."""

import math
from collections import Counter
from dataclasses import replace

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragft.corpora.world import STRATA
from ragft.experiments import known_cells, known_data
from ragft.experiments.known import FULL, REDUCED, known
from ragft.experiments.known_cells import (
    BEFORE,
    CONTROL,
    EARLY,
    KNOWN,
    LATE,
    NEW,
    PASSES,
    POPULARITY,
    PROBE,
    UNKNOWN,
    WHOLE,
    Plan,
    Work,
)
from ragft.experiments.known_data import (
    Split,
    all_facts,
    drawn_facts,
    popularity_task,
    resident_world,
    split_facts,
)
from ragft.experiments.known_effects import Known, doses, quantities, rate, summaries
from ragft.plotting import dose_response
from ragft.profiles import profile
from ragft.records import Records
from ragft.training.leakage import leakage
from ragft.types import Example, Question, RagftError

SIZES = profile("smoke", epochs=1, wordings=2, batch_size=64, n_boot=100)
WORLD = replace(resident_world(), subjects=40)
"""The most popular subjects of the resident world, most of whom the checkpoint knows."""


# How facts are sorted


def facts(known=6, unknown=20):
    """Return facts of two relations, two a subject, and in how many wordings each is right."""
    asked = [
        Question(f"q{i}", f"q{i}?", subject=f"s{i // 2}", relation="ab"[i % 2])
        for i in range(known + unknown)
    ]
    return asked, {q.id: 2 * (i < known) for i, q in enumerate(asked)}


def test_control_facts_are_known_and_nothing_is_trained_about_their_subjects():
    asked, right = facts(known=16)
    right["q15"] = 1  # right in one wording of two: neither known nor unknown
    split = split_facts(asked, right, 5, 6)
    about = {q.id: q.subject for q in asked}
    assert len(split.control) == 5 and len(split.pairs) == 6
    assert all(right[i] == 2 for i in (*split.control, *split.known))
    assert all(right[i] == 0 for i in split.unknown)
    trained = {about[i] for pair in split.pairs for i in pair}
    assert trained.isdisjoint(about[i] for i in split.control)
    assert len({*split.control, *split.known, *split.unknown}) == 5 + 2 * 6
    assert split == split_facts(asked, right, 5, 6)  # the same draw every time


def test_a_fact_is_replaced_by_one_of_the_same_relation():
    asked, right = facts(known=16)
    relation = {q.id: q.relation for q in asked}
    split = split_facts(asked, right, 4, 6)
    assert all(relation[a] == relation[b] for a, b in split.pairs)


@given(st.integers(1, 30), st.lists(st.floats(0, 1), min_size=2, max_size=2))
def test_as_many_facts_are_taught_whatever_the_share(size, shares):
    split = Split((), tuple((f"k{i}", f"u{i}") for i in range(size)))
    (few_known, few), (_, many) = (split.taught(share) for share in sorted(shares))
    assert len(few_known) + len(few) == size and set(few) <= set(many)
    assert abs(len(few) - min(shares) * size) <= 0.5
    assert not {i[1:] for i in few_known} & {i[1:] for i in few}
    assert split.taught(0.0) == (split.known, ()) and split.taught(1.0) == ((), split.unknown)


def test_a_model_that_knows_too_little_is_an_error():
    asked, right = facts(known=6)
    with pytest.raises(RagftError, match=r"the model knows 6 of 26 facts, .* 4 control facts"):
        split_facts(asked, right, 4, 6)
    with pytest.raises(RagftError, match="ask for fewer, or start from model='resident'"):
        split_facts(asked, dict.fromkeys(right, 0), 2, 2)
    with pytest.raises(RagftError, match="and 0 for training that have"):  # nothing is unknown
        split_facts(asked, dict.fromkeys(right, 2), 2, 2)


def test_as_many_rare_facts_are_asked_as_popular_ones_in_words_that_are_not_taught():
    world = resident_world()
    task = popularity_task(world, 70, wordings=2)
    strata = Counter(q.metadata["stratum"] for q in task.asked)
    assert strata == {name: 70 for _, name in STRATA} and task.counts["per_stratum"] == 70
    subjects = {name: Counter() for _, name in STRATA}
    for question in task.asked:
        subjects[question.metadata["stratum"]][question.subject] += 1
    # 60 popular subjects: ten are asked about twice. There are more than 70 of the others.
    assert sorted(subjects["head"].values()) == [1] * 50 + [2] * 10
    assert set(subjects["tail"].values()) == {1}
    assert Counter(q.id for q in task.taught) == {q.id: 2 for q in task.asked}
    assert not {q.text for q in task.taught} & {q.text for q in task.asked}
    assert not {q.subject for q in task.others} & {q.subject for q in task.asked}
    fewest = popularity_task(replace(world, subjects=20), 70, wordings=1)
    assert fewest.counts == {"facts": 18, "per_stratum": 6}  # two popular subjects of three facts


def test_facts_are_drawn_by_subject_and_alike_every_time():
    facts = all_facts(replace(WORLD, subjects=20), 0)
    few = drawn_facts(facts, 30)
    assert len(set(few)) == 30 and few == drawn_facts(facts, 40)[:30]
    subject = {q.id: q.subject for q in facts}
    assert [subject[name] for name in few] == [subject[n] for n in few[::3] for _ in range(3)]
    assert drawn_facts(facts, None) == drawn_facts(facts, 60) == tuple(q.id for q in facts)


# What is computed


def test_what_does_not_train_runs_once():
    cells = Plan((0.0, 1.0), 4, 4, 2).cells((5, 6))
    assert cells[0] == (PROBE, "prompt", BEFORE, 0.0, 5)
    mixed = [c[2:] for c in cells if c[0] == UNKNOWN]
    assert mixed == [
        (BEFORE, 0.0, 5),
        *((length, u, s) for length in (EARLY, LATE) for u in (0.0, 1.0) for s in (5, 6)),
    ]
    popular = Counter(c[1:3] for c in cells if c[0] == POPULARITY)
    assert popular == {
        ("prompt", BEFORE): 1, ("rag", BEFORE): 1, ("finetuned", WHOLE): 2,
        ("finetuned", EARLY): 2, ("finetuned_rag", WHOLE): 2,
    }  # fmt: skip


def work(folder, plan=None, **sizes):
    plan = plan or Plan((0.0, 1.0), 4, 4, 2)
    one = Work(plan, replace(SIZES, **{"model": "resident", **sizes}), Records(folder, smoke=True))
    one.world = replace(WORLD, subjects=20)
    return one


def test_a_key_holds_what_the_answers_depend_on_and_nothing_else(tmp_path):
    cells = Plan((0.0, 1.0), 4, 4, 2).cells((0,))
    keys = {cell: work(tmp_path).key(*cell) for cell in cells}
    assert len(set(keys.values())) == len(cells)

    def changed(**sizes):
        plan = sizes.pop("plan", None)
        other = work(tmp_path, plan, **sizes)
        return {cell for cell in cells if other.key(*cell) != keys[cell]}

    every = set(cells)
    mixed = {c for c in cells if c[0] == UNKNOWN}
    popular = {c for c in cells if c[0] == POPULARITY}
    trained = {c for c in mixed if c[2] in PASSES}
    assert changed() == set()
    assert changed(max_new_tokens=7) == every and changed(model="embedded") == every
    assert changed(learning_rate=1e-3) - popular == trained
    assert changed(n_boot=7) <= popular and changed(top_k=2) == popular
    assert changed(plan=Plan((0.0, 0.5, 1.0), 4, 4, 2)) == set()
    assert changed(plan=Plan((0.0, 1.0), 4, 5, 2)) == mixed
    assert changed(plan=Plan((0.0, 1.0), 4, 4, 1)) == popular
    assert changed(plan=Plan((0.0, 1.0), 4, 4, 2, 30)) == every - popular
    assert changed(plan=Plan((0.0, 1.0), 4, 4, 2, 60)) == set()  # as many as there are


def test_gentle_training_is_told_by_the_profile(tmp_path):
    one = work(tmp_path, epochs=8)
    whole = one.grid.training(3)
    early, late = (one.training(length, 3) for length in (EARLY, LATE))
    assert (early.epochs, late.epochs, early.min_steps, late.min_steps) == (4, 20, 1, 1)
    assert late == replace(whole.continued(), seed=3)  # of eight passes
    assert early.learning_rate == late.learning_rate == whole.learning_rate / 8
    assert work(tmp_path, epochs=1).training(EARLY, 0).epochs == 1


# The effects by hand


def rows(part, length, values, *, share=math.nan, condition=CONTROL, arm="finetuned", seed=0):
    """Return a row a fact: whether it was right."""
    names = [f"{condition}{i}" for i in range(len(values))]
    frame = pd.DataFrame({"question_id": names, "cluster": names, "accuracy": values})
    frame = frame.assign(hallucination=1 - frame["accuracy"], abstained=0.0)
    place = {"part": part, "length": length, "share": share, "condition": condition}
    return frame.assign(**place, arm=arm, seed=seed)


def told(*frames):
    return quantities(pd.concat(frames, ignore_index=True), SIZES)


MIXED = (
    rows(UNKNOWN, BEFORE, [1, 1, 1, 1], arm="prompt"),
    rows(UNKNOWN, EARLY, [1, 1, 1, 0], share=0.0),
    rows(UNKNOWN, EARLY, [1, 1, 0, 0], share=1.0),
    rows(UNKNOWN, LATE, [1, 1, 1, 0], share=0.0),
    rows(UNKNOWN, LATE, [1, 0.5, 0, 0], share=0.5),
    rows(UNKNOWN, LATE, [0, 0, 0, 0], share=1.0),
    rows(UNKNOWN, LATE, [1, 1, 0, 1], share=1.0, condition=NEW),
)


def test_training_on_unknown_facts_is_set_against_as_many_known_ones():
    found = {name: one["mean"] for name, one in told(*MIXED).items()}
    assert found == pytest.approx(
        {
            "known_facts_before": 1,
            "known_facts_late_0": 0.75,
            "known_facts_late_50": 0.375,
            "known_facts_late_100": 0,
            "known_facts_early_0": 0.75,
            "known_facts_early_100": 0.5,
            "known_facts_unknown_minus_known_training": -0.75,
            "known_facts_unknown_minus_known_training_early": -0.25,
            "hallucination_unknown_minus_known_training": 0.75,
            "hallucination_unknown_minus_known_training_early": 0.25,
            "known_facts_known_training_minus_before": -0.25,
            "known_facts_known_training_minus_before_early": -0.25,
            "unknown_facts_learnt": 0.75,
        }
    )


def test_seeds_stand_against_the_one_run_before():
    seeds = [rows(UNKNOWN, LATE, [1, 1, s, 0], share=0.0, seed=s) for s in (0, 1)]
    found = told(MIXED[0], *seeds)["known_facts_known_training_minus_before"]
    assert (found["mean"], found["n"], found["seeds"]) == (pytest.approx(-0.375), 4, 2)


def test_without_both_ends_of_the_shares_there_is_no_effect():
    found = told(*MIXED[:5])
    assert "known_facts_late_50" in found
    assert "known_facts_unknown_minus_known_training" not in found
    assert not any("rag_lead" in name for name in found)


def popular(arm, length, head, tail, seed=0):
    return [
        rows(POPULARITY, length, values, condition=name, arm=arm, seed=seed)
        for name, values in (("head", head), ("tail", tail))
    ]


def test_the_lead_of_retrieval_on_rare_facts_minus_that_on_popular_ones():
    found = told(
        *popular("rag", BEFORE, [1, 1, 1, 0], [1, 1, 1, 1]),
        *popular("finetuned", WHOLE, [1, 1, 1, 1], [1, 0, 0, 0], seed=0),
        *popular("finetuned", WHOLE, [1, 1, 1, 1], [1, 1, 0, 0], seed=1),
    )
    rare, head, both = (found[f"rag_lead_{x}"] for x in ("rare", "popular", "rare_minus_popular"))
    assert (rare["mean"], head["mean"]) == (pytest.approx(0.625), pytest.approx(-0.25))
    assert both["mean"] == pytest.approx(0.875)
    assert (both["n"], both["clusters"], both["seeds"], both["unit"]) == (8, 8, 2, "share")
    assert "note" not in both and "rag_lead_rare_minus_popular_early" not in found


def test_where_everything_is_learnt_a_note_says_so():
    right = [1, 1, 1, 1]
    rag = popular("rag", BEFORE, right, [1, 1, 1, 0])
    found = told(
        *rag,
        *popular("finetuned", WHOLE, right, right),
        *popular("finetuned", EARLY, right, [0, 0, 0, 0]),
    )
    note = found["rag_lead_rare_minus_popular"]["note"]
    assert note.startswith("fine-tuned, 100.0 % and 100.0 % of the popular and the rare facts")
    assert found["rag_lead_rare_minus_popular_early"]["mean"] == pytest.approx(0.75)
    assert "note" not in found["rag_lead_rare_minus_popular_early"]


def test_wordings_are_averaged_within_a_fact():
    place = {"part": UNKNOWN, "arm": "prompt", "length": BEFORE, "share": math.nan}
    answers = pd.DataFrame(
        {
            "question_id": ["a", "b", "a", "b"], "cluster": ["s", "s", "s", "s"], "seed": 0,
            "condition": CONTROL, "outcome": ["correct", "stale", "abstained", "fabricated"],
            **place,
        }
    )  # fmt: skip
    found = rate(answers).set_index("question_id")
    assert found["accuracy"].to_dict() == {"a": 0.5, "b": 0}
    assert found["hallucination"].to_dict() == {"a": 0, "b": 1}
    assert found["abstained"].to_dict() == {"a": 0.5, "b": 0}
    assert found["share"].isna().all()


def test_what_is_known_is_right_in_both_wordings():
    probe = [rows(PROBE, BEFORE, [1, 1, 0.5, 0], condition="head", arm="prompt")]
    found = summaries(Known(pd.concat(probe), SIZES))["probe"]
    means = {(row["stratum"], row["measure"]): row["mean"] for row in found}
    assert means == {("head", "known"): 0.5, ("head", "unknown"): 0.25}


def test_doses_are_lines_over_the_share_beside_what_was_before():
    frame = pd.DataFrame(doses(Known(pd.concat(MIXED, ignore_index=True), SIZES)))
    series = {name: part["x"].tolist() for name, part in frame.groupby("series", sort=False)}
    assert series == {"early stop": [0, 100], "late": [0, 50, 100],
                      "before training": [0, 50, 100]}  # fmt: skip
    late = frame[frame["series"] == "late"]
    assert late["mean"].tolist() == [0.75, 0.375, 0] and (frame["n"] == 4).all()
    assert dose_response(frame, "T", "", "unknown, %", "right, %").axes


# One run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("known")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAGFT_CACHE", str(folder / "cache"))
        patch.setattr(known_cells, "resident_world", lambda: WORLD)
        options = {"shares": (0.0, 1.0), "questions": 6, "facts": 4, "per_stratum": 3,
                   "seeds": (0,), "base": SIZES, "out": folder, "progress": False}  # fmt: skip
        yield known(**options), options


def test_the_checkpoint_knows_what_it_is_said_to_know(run):
    found = run[0].probe.set_index(["stratum", "measure"])["mean"]
    assert found["head", "known"] > 0.5  # these are the most popular subjects of 600
    answers = run[0].answers
    assert len(answers[answers["part"] == PROBE]) == 2 * 3 * WORLD.subjects


def test_control_facts_are_never_trained_on_and_no_asked_wording_is(run):
    cells = [c for c in run[0].record["results"]["cells"] if "share" in c]
    assert {(c["length"], c["share"]) for c in cells} == {
        (length, share) for length in PASSES for share in (0.0, 1.0)
    }
    for cell in cells:
        assert cell["leakage"] == {"questions": 0, "subjects": 0}
        assert cell["leakage_of_taught"]["subjects"] > 0  # which are trained on, in other words
        new = round(4 * cell["share"])
        assert cell["facts"] == {CONTROL: 6, KNOWN: 4 - new, NEW: new}
        assert cell["examples"] == 4 * SIZES.wordings and cell["seconds"] > 0


def test_everything_is_asked_in_both_held_out_wordings(run):
    answers = run[0].answers
    mixed = answers[answers["part"] == UNKNOWN]
    asked = mixed.groupby(["condition", "length", "share"], dropna=False).size().to_dict()
    counts = {key[:2]: n for key, n in asked.items()}
    assert counts == {(c, length): 12 if c == CONTROL else 8
                      for c in (CONTROL, KNOWN, NEW) for length in (BEFORE, *PASSES)}  # fmt: skip
    popular = answers[answers["part"] == POPULARITY].groupby(["arm", "length"]).size()
    assert set(popular) == {9} and len(popular) == 5


def test_the_record_holds_what_the_ledger_reads(run):
    found = run[0]
    names = {"known_facts_unknown_minus_known_training", "rag_lead_rare_minus_popular"}
    assert names | {f"{name}_early" for name in names} < set(found.quantities)
    assert found.quantities["rag_lead_rare_minus_popular"]["n"] == 6
    assert set(found.summary["length"]) == {BEFORE, *PASSES}
    assert found.summary.query("length == 'before'")["share"].isna().all()
    assert set(found.strata["stratum"]) == {name for _, name in STRATA}
    control = found.summary.query("condition == 'control' and measure == 'accuracy'")
    assert (control["n"] == 6).all() and len(control) == 5
    assert dose_response(found.curves, "T", "", "unknown, %", "right, %").axes


def test_a_finished_run_is_read_and_cells_are_shared(run, monkeypatch):
    found, options = run
    monkeypatch.setattr(Work, "compute", lambda *_: pytest.fail("computed again"))
    again = known(**options)
    assert again.folder == found.folder
    pd.testing.assert_frame_equal(again.answers, found.answers)
    fewer = known(**options | {"shares": (1.0,)})
    assert set(fewer.quantities) < set(found.quantities)


def test_a_model_of_another_world_is_an_error(run, monkeypatch):
    options = run[1]
    monkeypatch.setattr(
        Work, "_answers", lambda *_: pytest.fail("asked again"), raising=True
    )  # what it knows is kept
    with pytest.raises(RagftError, match="questions=60 and facts=60 were wanted"):
        known(**options | {"questions": 60, "facts": 60})


def test_what_cannot_be_measured_is_an_error(tmp_path):
    for shares in ((), (0.5, 0.5), (0.0, 1.5), (-0.5, 1.0)):
        with pytest.raises(RagftError, match=r"give numbers that rise within \[0, 1\]"):
            known(shares, out=tmp_path)
    for name in ("questions", "facts", "per_stratum", "probed"):
        with pytest.raises(RagftError, match=f"{name}=1 must be 2 or more"):
            known(**{name: 1}, out=tmp_path)
    assert set(REDUCED) < set(FULL)


def test_no_wording_in_which_is_asked_is_one_that_is_taught():
    world = WORLD
    taught = [
        Example(q.text, " x", q.subject, q.id)
        for number in range(4)
        for q in known_data.all_facts(world, number)
    ]
    asked = [q for number in known_data.HELD_OUT for q in known_data.all_facts(world, number)]
    assert not leakage(taught, asked).exact
