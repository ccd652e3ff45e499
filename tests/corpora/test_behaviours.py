"""Behaviours as tasks: nothing asked is trained on, and what is taught passes its own checker."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragft.corpora import jargon, taxonomy
from ragft.corpora.behaviours import (
    BEHAVIOURS,
    FORBIDDEN,
    behaviour_task,
    lookalike,
)
from ragft.corpora.lexicon import FIELDS, ROLES
from ragft.corpora.relations import BY_NAME
from ragft.types import UNKNOWN, RagftError

SEEDS = st.integers(0, 10_000)


def subjects(scenarios):
    return {s.question.subject for s in scenarios}


@settings(max_examples=6)
@given(SEEDS, st.sampled_from(BEHAVIOURS), st.integers(1, 30), st.integers(1, 30))
def test_pairs_are_about_subjects_that_are_never_asked_nor_shown(seed, name, pairs, asked):
    task = behaviour_task(name, pairs=pairs, asked=asked, seed=seed)
    assert (len(task.pairs), len(task.asked)) == (pairs, asked)
    trained, wanted = subjects(task.pairs), subjects(task.asked)
    assert len(trained) == pairs and len(wanted) == asked and not trained & wanted
    shown = {p.title for s in task.pairs for p in s.documents}
    assert not shown & wanted


@pytest.mark.parametrize("name", BEHAVIOURS)
def test_pairs_and_questions_differ_in_wording_and_a_seed_is_a_world(name):
    task, same, other = (behaviour_task(name, pairs=12, asked=12, seed=s) for s in (1, 1, 2))
    assert task == same and task.content_hash == same.content_hash != other.content_hash
    assert not subjects(task.asked) == subjects(other.asked)

    def forms(scenarios):
        return {s.question.text.replace(s.question.subject, "X") for s in scenarios}

    if name == "taxonomy":
        starts = [note.split("{")[0] for note in taxonomy.NOTES]
        assert len(set(starts)) > 3
    else:
        assert not forms(task.pairs) & forms(task.asked)


def test_a_larger_task_is_another_one_and_a_wrong_one_an_error():
    with pytest.raises(RagftError, match="unknown behaviour 'manners'; choose of json, record"):
        behaviour_task("manners")
    with pytest.raises(RagftError, match="pairs=0, asked=3 must be 1 or more"):
        behaviour_task("json", pairs=0, asked=3)


# What is shown


@pytest.mark.parametrize("name", ["json", "record", "style"])
def test_a_fact_is_shown_beside_a_stranger_of_its_own_side(name):
    task = behaviour_task(name, pairs=12, asked=12)
    first = Counter()
    for side in (task.pairs, task.asked):
        names = subjects(side)
        for scenario in side:
            titles = [document.title for document in scenario.documents]
            assert scenario.question.subject in titles and set(titles) <= names
            assert len(set(titles)) == 2
            (own,) = [d for d in scenario.documents if d.title == scenario.question.subject]
            assert scenario.knows["value"] in own.text
            assert scenario.knows["kind"] == BY_NAME[scenario.question.relation].kind
            first[titles[0] == scenario.question.subject] += 1
    assert set(first) == {True, False}  # the right document does not always come first


# Jargon


def test_a_word_is_asked_where_both_readings_stand_in_the_passage_and_nothing_defines_it():
    task = behaviour_task("jargon", pairs=32, asked=16)
    for scenario in (*task.pairs, *task.asked):
        (passage,) = scenario.documents
        assert scenario.knows["value"] in passage.text
        assert scenario.knows["common"] in passage.text
        assert scenario.knows["value"] != scenario.knows["common"]
        assert "means" not in passage.text
    asked = Counter(s.question.id.split("/")[1] for s in task.pairs)
    assert set(asked) == {word.word for word in jargon.WORDS} and set(asked.values()) == {4}
    assert all(f"'{w.word}' means {w.meaning}." in jargon.glossary() for w in jargon.WORDS)


def test_both_readings_of_a_word_are_relations_of_its_kind():
    for word in jargon.WORDS:
        assert {BY_NAME[name].kind for name in (word.common, word.special)} == {word.kind}
        types = {BY_NAME[name].value_type for name in (word.common, word.special)}
        assert len(types) == 2, "values of one type could be the same"


# Refusals


def test_forbidden_and_allowed_questions_come_in_turn():
    task = behaviour_task("refusal", pairs=21, asked=20)
    for scenarios in (task.pairs, task.asked):
        flags = [s.knows["forbidden"] for s in scenarios]
        assert flags == [n % 2 == 0 for n in range(len(flags))]
    for scenario in task.asked:
        assert (scenario.knows["topic"] in FORBIDDEN) == scenario.knows["forbidden"]
        assert scenario.knows["value"] not in (UNKNOWN, "")


def test_a_lookalike_names_a_forbidden_topic_and_is_allowed_all_the_same():
    allowed = [s for s in behaviour_task("refusal", pairs=1, asked=20).asked
               if not s.knows["forbidden"]]  # fmt: skip
    for scenario in allowed:
        other = lookalike(scenario)
        assert any(topic in other.question.text for topic in FORBIDDEN)
        assert other.question.text.endswith(scenario.question.text)
        assert (other.knows, other.question.id) == (scenario.knows, scenario.question.id)


# The taxonomy


def test_the_taxonomy_has_every_field_and_role_once_and_240_leaves():
    assert sorted(sum(taxonomy.AREAS.values(), ())) == sorted(FIELDS)
    assert sorted(sum(taxonomy.TRADES.values(), ())) == sorted(ROLES)
    assert len(set(taxonomy.LEAVES)) == len(taxonomy.LEAVES) == 30 * 8
    for name in (*FIELDS, *ROLES):
        assert name in taxonomy.rules()


@given(st.integers(0, 500), SEEDS)
def test_a_note_states_what_its_leaf_follows_from(index, seed):
    note = taxonomy.note(index, seed, "training")
    area, field, trade = note.leaf.split("/")
    assert field in taxonomy.AREAS[area] and field in note.text and note.subject in note.text
    assert any(role in note.text for role in taxonomy.TRADES[trade])
    assert note == taxonomy.note(index, seed, "training")
    other = taxonomy.note(index, seed, "held_out")
    assert other.leaf == note.leaf and other.text != note.text
