"""Behaviours in words: what is taught passes its own checker, and short prompts tell no rules."""

import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragft.corpora import jargon
from ragft.corpora.behaviours import BEHAVIOURS, FORBIDDEN, SCHEMAS, behaviour_task
from ragft.evaluation.behaviours import check
from ragft.experiments.behaviour_prompts import RULES, SHORT, shown
from ragft.types import RagftError


@settings(max_examples=8)
@given(st.integers(0, 10_000), st.sampled_from(BEHAVIOURS))
def test_what_is_taught_passes_and_is_right(seed, name):
    task = behaviour_task(name, pairs=20, asked=20, seed=seed)
    for scenario in (*task.pairs, *task.asked):
        one = shown(name, scenario)
        scores = check(name, one.completion, one.expects, task.schema)
        assert scores["passed"] == 1 and scores["right"] != 0, one.completion
        assert one.completion.startswith(" ") and "\n" not in one.completion


def test_json_names_the_passage_it_stands_in_and_says_null_without_one():
    task = behaviour_task("json", pairs=30, asked=5)
    sources = Counter()
    for one in (shown("json", s) for s in task.pairs):
        fields = json.loads(one.completion)
        passage = one.passages[fields["source"] - 1]
        assert fields["answer"] in passage.text and passage.title == one.question.subject
        sources[fields["source"]] += 1
    assert set(sources) == {1, 2}  # the right passage is not always the first
    bare = shown("json", task.asked[0], ())
    assert json.loads(bare.completion) == {"answer": None, "source": None}
    strange = shown("json", task.asked[0], shown("json", task.pairs[0]).passages)
    assert json.loads(strange.completion) == {"answer": None, "source": None}


def test_records_have_the_keys_of_their_schema():
    for scenario in behaviour_task("record", pairs=12, asked=1).pairs:
        fields = json.loads(shown("record", scenario).completion)
        assert list(fields) == SCHEMAS["record"]["required"]
        assert fields["kind"] == scenario.knows["kind"]


def test_what_is_forbidden_is_refused_and_nothing_else():
    for scenario in behaviour_task("refusal", pairs=12, asked=1).pairs:
        refuses = shown("refusal", scenario).completion == " refused"
        assert refuses == scenario.knows["forbidden"]


def test_rules_stand_in_the_long_instruction_and_not_in_the_short_one():
    assert set(RULES) == set(SHORT) == set(BEHAVIOURS)
    assert all(len(SHORT[name]) < len(RULES[name]) for name in BEHAVIOURS)
    assert all(f"Refuse questions about {topic}." in RULES["refusal"] for topic in FORBIDDEN)
    assert all(f"'{w.word}' means {w.meaning}." in RULES["jargon"] for w in jargon.WORDS)
    assert "as the register says" in RULES["style"]
    for name in BEHAVIOURS:
        for hint in ("JSON", "means", "register", "Refuse", "life"):
            assert hint not in SHORT[name]


def test_an_unknown_behaviour_is_an_error():
    scenario = behaviour_task("json", pairs=1, asked=1).asked[0]
    with pytest.raises(RagftError, match="unknown behaviour 'tact'; choose of json, record"):
        shown("tact", scenario)
