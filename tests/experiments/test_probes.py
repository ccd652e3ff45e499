"""What is asked of whom in the probes, and the ledger's effects by hand."""

import math

import pandas as pd
import pytest

from ragft.experiments import probes as module
from ragft.experiments.probe_effects import EFFECTS, UNCERTAINTIES, doubts, quantities
from ragft.experiments.probes import NEIGHBOURS, PROBES, REDUCED, Questions, probes
from ragft.profiles import profile
from ragft.types import RagftError

SIZES = profile("smoke", facts=4, world_subjects=16, n_boot=50, max_new_tokens=12)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Probes of the arms that do not train; the answers of the others are made up below."""
    folder = tmp_path_factory.mktemp("probes")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAGFT_CACHE", str(folder / "cache"))
        options = {"arms": ("prompt", "rag"), "sets": ("trained", "asked", "neighbours", "two_hop"),
                   "repeats": 2, "samples": 3, "base": SIZES, "out": folder,
                   "progress": False}  # fmt: skip
        yield probes(**options), options


# Questions


def test_every_probe_asks_about_the_same_facts_but_two():
    work = module._Work(SIZES, 0, None)
    asked = work.questions
    facts = [q.id for q in asked.of("asked")]
    assert len(facts) == 4
    for probe in PROBES:
        found = asked.of(probe)
        if probe == "neighbours":
            assert not {q.id for q in found} & set(facts)
            assert {q.subject for q in found} <= {q.subject for q in asked.facts}
            assert len(found) <= NEIGHBOURS * len(facts)
        elif probe == "two_hop":
            assert len(found) == 4 and all(len(q.supporting) == 2 for q in found)
        else:
            assert [q.id for q in found] == facts
    texts = {probe: [q.text for q in asked.of(probe)] for probe in PROBES if probe != "two_hop"}
    assert len({tuple(t) for t in texts.values()}) == len(texts)  # each in words of its own
    reworded = {tuple(q.text for q in asked.worded(n)) for n in module.REWORDINGS}
    assert len(reworded) == len(module.REWORDINGS)


def test_who_is_asked_again_and_who_is_sampled():
    work = module._Work(SIZES, 0, None)
    cells = work.cells(("prompt", "rag", "finetuned"), ("asked",), 2, 3)
    kinds = {(arm, probe) for arm, probe, *_ in cells}
    assert {p for a, p in kinds if a == "prompt"} == {"asked"}
    assert {p for a, p in kinds if a == "rag"} == {
        "asked", "reworded", "repeated", "reworded_old", "repeated_old",
    }  # fmt: skip
    assert {p for a, p in kinds if a == "finetuned"} == {
        "asked", "reworded", "repeated", "sampled",
    }  # fmt: skip
    assert sum(probe == "sampled" for _, probe, *_ in cells) == 3
    assert {p for _, p, *_ in work.cells(("rag",), ("two_hop",), 0, 3)} == {
        "two_hop", "two_hop_both", "two_hop_first", "two_hop_second",
    }  # fmt: skip
    assert len({work.key(*cell) for cell in cells}) == len(cells)


# One run


def test_the_record_holds_what_was_asked_and_what_follows(run):
    found, options = run
    asked = set(found.summary["condition"])
    assert set(options["sets"]) < asked and {"agreement", "agreement_old"} < asked
    assert not {name for name in asked if name.startswith(("reworded", "repeated", "sampled"))}
    agreed = found.summary[found.summary["measure"] == "agreement"]
    assert agreed["mean"].between(0, 1).all() and set(agreed["arm"]) == {"rag"}
    assert {"two_hop_both_minus_one", "agreement_rag_old_minus_current"} < set(found.quantities)
    assert "agreement_finetuned_minus_rag" not in found.quantities
    wrong = found.answers[found.answers["condition"].isin(PROBES)]
    wrong = wrong[wrong["outcome"].isin(("stale", "confused", "fabricated"))]
    assert len(wrong) and wrong["cause"].notna().all()


def test_a_finished_run_is_read(run, monkeypatch):
    found, options = run
    monkeypatch.setattr(module._Work, "compute", lambda *_: pytest.fail("computed again"))
    again = probes(**options)
    assert again.folder == found.folder and again.quantities == found.quantities


def test_arms_that_nobody_asks_again_have_no_agreement(run):
    found = probes(**run[1] | {"arms": ("prompt",), "sets": ("asked",)})
    assert set(found.summary["condition"]) == {"asked"}
    assert "agreement" not in set(found.summary["measure"])
    assert set(found.quantities) <= {"failures_traced_rag"}


def test_what_cannot_be_asked_is_an_error(tmp_path):
    for name, given in (("arms", ("prior",)), ("arms", ()), ("sets", ("asked", "asked"))):
        with pytest.raises(RagftError, match=f"{name}=.*choose of"):
            probes(2, **{name: given}, out=tmp_path)
    for name in ("repeats", "samples"):
        with pytest.raises(RagftError, match=f"{name}=-1"):
            probes(2, **{name: -1}, out=tmp_path)
    assert set(REDUCED["arms"]) < set(module.ARMS)
    assert isinstance(module._Work(SIZES, 0, None).questions, Questions)


# Effects by hand


def rows(arm, probe, right, **more):
    """Answers to q0, q1, ...: 1 right, 0 wrong."""
    return pd.DataFrame(
        [
            {
                "arm": arm, "condition": probe, "number": 0, "seed": 0, "question_id": f"q{n}",
                "cluster": f"s{n}", "text": f"a{n}", "accuracy": float(one),
                "hallucination": 1.0 - one, "abstained": 0.0, "cause": None,
                "entropy": 0.5 - one / 4, "logprob": math.log(0.25 + one / 2),
                "completion_tokens": 2, "agreement": math.nan,
            }
            | {name: value[n] for name, value in more.items()}
            for n, one in enumerate(right)
        ]
    )  # fmt: skip


def told(*parts):
    return quantities(pd.concat(parts, ignore_index=True), SIZES)


def test_nothing_is_told_of_what_was_not_asked():
    assert set(told(rows("prompt", "asked", [0, 0, 1]))) == set()
    assert len(EFFECTS) == 7


def test_wrong_on_neighbours_is_set_against_the_base():
    found = told(
        rows("finetuned", "neighbours", [0, 0, 0, 1]), rows("prompt", "neighbours", [0, 1, 1, 1])
    )
    assert found["wrong_on_neighbours_finetuned_minus_base"]["mean"] == pytest.approx(0.5)


def test_the_own_set_is_set_against_the_mean_of_the_shifted_ones():
    found = told(
        rows("finetuned", "trained", [1, 1, 1, 0]),
        rows("finetuned", "asked", [1, 1, 0, 0]),
        rows("finetuned", "casual", [1, 0, 0, 0]),
        rows("finetuned", "format", [0, 0, 0, 0]),
    )
    gap = found["own_set_minus_shifted"]
    assert gap["mean"] == pytest.approx(3 / 4 - (2 / 4 + 1 / 4 + 0) / 3) and gap["n"] == 4


def test_two_documents_are_set_against_the_mean_of_either():
    found = told(
        rows("rag", "two_hop_both", [1, 1, 0]),
        rows("rag", "two_hop_first", [1, 0, 0]),
        rows("rag", "two_hop_second", [0, 0, 0]),
    )
    assert found["two_hop_both_minus_one"]["mean"] == pytest.approx(2 / 3 - (1 / 3 + 0) / 2)


def test_agreement_of_the_weights_is_set_against_an_index_of_old_versions():
    found = told(
        rows("finetuned", "agreement", [1, 1, 1], agreement=[1.0, 1.0, 0.5]),
        rows("rag", "agreement_old", [1, 1, 1], agreement=[0.5, 0.5, 0.5]),
        rows("rag", "agreement", [1, 1, 1], agreement=[1.0, 0.5, 0.5]),
    )
    assert found["agreement_finetuned_minus_rag"]["mean"] == pytest.approx(1 / 3)
    assert found["agreement_rag_old_minus_current"]["mean"] == pytest.approx(-1 / 6)


def test_failures_traced_are_shares_of_the_wrong_answers_of_rag():
    causes = ["not retrieved", "read wrongly", "untraceable", None]
    found = told(rows("rag", "asked", [0, 0, 0, 1], cause=causes))
    traced = found["failures_traced_rag"]
    assert traced["mean"] == pytest.approx(2 / 3) and traced["n"] == 3


def test_doubt_of_an_arm_that_wavers_where_it_is_wrong_tells_right_from_wrong():
    right = [1, 1, 1, 0, 0, 0]
    steady = [f"a{n}" for n in range(6)]
    drawn = [
        rows("finetuned", "sampled", right, text=[t if r else f"{t} {n}" for t, r in
             zip(steady, right, strict=True)])
        for n in range(4)
    ]  # fmt: skip
    parts = [rows("finetuned", "asked", right), *drawn]
    frame = doubts(pd.concat(parts, ignore_index=True))
    assert frame["semantic"].tolist() == pytest.approx([0, 0, 0] + [math.log(4)] * 3)
    assert frame["length"].tolist() == [2.0] * 6
    found = told(*parts)
    assert {f"auroc_{name}" for name in UNCERTAINTIES} < set(found)
    assert found["auroc_semantic"]["mean"] == 1 and found["auroc_length"]["mean"] == 0.5
    assert doubts(rows("finetuned", "asked", right)) is None
