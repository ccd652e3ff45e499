from datetime import date, timedelta
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragft.corpora.lexicon import SPLITS, permuted, subject_name, value_of, words
from ragft.corpora.relations import BY_NAME, KINDS, RELATIONS, UNSEEN
from ragft.corpora.world import World
from ragft.types import RagftError


def settings_of_worlds():
    return st.builds(
        World,
        subjects=st.integers(4, 24),
        seed=st.integers(0, 5),
        drift=st.sampled_from([0.0, 0.01]),
        events=st.sampled_from([(), ((60, 0.5),), ((10, 1.0), (20, 0.3))]),
        former=st.integers(0, 2),
        arrivals=st.sampled_from([0.0, 0.5]),
        departures=st.sampled_from([0.0, 0.5]),
        facts_per_subject=st.integers(1, 4),
    )


def test_the_two_vocabularies_share_no_word():
    pretraining, evaluation = (set(words(split)) for split in SPLITS)
    assert evaluation.isdisjoint(pretraining)
    assert len(evaluation) > 50_000 and len(pretraining) > 100_000


@given(st.integers(1, 400), st.integers(0, 50))
def test_permuted_numbers_never_collide(capacity, salt):
    assert len({permuted(i, capacity, salt) for i in range(capacity)}) == capacity


def test_more_subjects_than_names_is_an_error_that_says_how_many_there_are():
    with pytest.raises(RagftError, match="cannot have more than"):
        subject_name("product", 10**9, "evaluation", 0)


@pytest.mark.parametrize("kind", KINDS)
def test_names_of_one_kind_are_all_different(kind):
    names = [subject_name(kind, i, "evaluation", 3) for i in range(5000)]
    assert len(set(names)) == 5000


def test_every_relation_has_wordings_to_train_and_to_hold_out():
    for relation in (*RELATIONS, *UNSEEN):
        for of, least in (("statements", 4), ("questions", 4)):
            training = set(relation.wordings(of, "training"))
            held_out = set(relation.wordings(of, "held_out"))
            assert len(training) >= least and held_out, relation.name
            assert training.isdisjoint(held_out)
        assert all("{s}" in q for q in relation.questions), relation.name
        assert all("{s}" in s and "{v}" in s for s in relation.statements), relation.name


def test_values_are_pure_functions_of_their_key():
    kinds = {relation.value_type for relation in BY_NAME.values()}
    for kind in kinds:
        assert value_of(kind, "evaluation", 1, 2) == value_of(kind, "evaluation", 1, 2)
        assert len({value_of(kind, "evaluation", i) for i in range(200)}) > 5, kind


@settings(max_examples=25, deadline=None)
@given(settings_of_worlds())
def test_on_every_day_a_fact_has_one_value_and_its_documents_state_it(world):
    texts = {d.id: d for d in world.iter_documents()}
    for subject in world:
        for relation in {f.relation for f in subject.facts}:
            versions = [f for f in subject.facts if f.relation == relation]
            for number in (0, 5, 61, world.days):
                held = [f for f in versions if f.holds_on(world.day(number))]
                assert len(held) <= 1
            for before, after in zip(versions, versions[1:], strict=False):
                assert before.valid_to == after.valid_from
                assert before.value != after.value
        for fact in subject.facts:
            assert fact.documents, fact
            for document in (texts[i] for i in fact.documents):
                assert fact.value in document.text
                assert subject.name.lower() in document.text.lower()
                assert document.valid_from >= fact.valid_from


@settings(max_examples=25, deadline=None)
@given(settings_of_worlds())
def test_the_versions_of_a_document_follow_each_other_without_gap(world):
    for subject in world:
        for one, two in zip(subject.documents, subject.documents[1:], strict=False):
            assert one.valid_to == two.valid_from
            assert one.text != two.text
            assert one.source == two.source == subject.source


def test_a_world_where_nothing_changes_has_one_version_of_everything():
    world = World(subjects=40)
    assert all(len(s.documents) == 1 for s in world)
    corpus = world.corpus()
    assert corpus.changes(world.start, world.end).changed == ()


def test_an_event_changes_its_share_of_the_facts_on_its_day():
    world = World(subjects=1000, events=((60, 0.3),))
    facts = list(world.iter_facts())
    changed = [f for f in facts if f.valid_from == world.day(60)]
    current = [f for f in facts if f.holds_on(world.day(60))]
    assert abs(len(changed) / len(current) - 0.3) < 0.03
    assert not [f for f in facts if f.valid_from and world.start < f.valid_from < world.day(60)]


def test_drift_changes_about_its_share_of_the_facts_a_day():
    world = World(subjects=500, drift=0.002, days=100)
    facts = list(world.iter_facts())
    changes = sum(f.valid_from > world.start for f in facts)
    assert changes / (4 * 500) == pytest.approx(0.2, abs=0.04)


def test_arrivals_and_departures():
    world = World(subjects=400, arrivals=0.25, departures=0.25)
    first = [s.documents[0].valid_from > world.start for s in world]
    last = [s.documents[-1].valid_to is not None for s in world]
    assert sum(first) / 400 == pytest.approx(0.25, abs=0.07)
    assert sum(last) / 400 == pytest.approx(0.25 * 0.75, abs=0.07)
    assert not any(a and b for a, b in zip(first, last, strict=True))


def test_the_same_settings_give_the_same_world_and_another_seed_another():
    assert World(subjects=20).corpus().content_hash == World(subjects=20).corpus().content_hash
    assert (
        World(subjects=20).corpus().content_hash != World(subjects=20, seed=1).corpus().content_hash
    )


def test_a_million_facts_are_generated_lazily():
    world = World(subjects=260_000)
    assert len(list(islice(world.iter_facts(), 1000))) == 1000
    distant = world.subject(259_999)
    assert distant.stratum == "tail" and distant.facts
    assert len(world.questions(world.start, 5, kind="one_hop")) == 5


def test_questions_know_present_and_former_answers_and_who_states_them():
    world = World(subjects=60, former=1, days=0)
    day = world.start
    documents = world.corpus().by_id
    for question in world.questions(day, 50, kind="changed"):
        (now,) = question.answers_on(day)
        assert question.former_answers(day) and now not in question.former_answers(day)
        assert question.supporting
        for i in question.supporting:
            assert documents[i].holds_on(day) and now in documents[i].text


def test_unanswerable_questions_ask_for_what_no_document_states():
    world = World(subjects=60)
    for question in world.questions(world.start, 40, kind="unanswerable"):
        stated = {f.relation for f in world.iter_facts() if f.subject == question.subject}
        assert question.relation not in stated and not question.answerable


def test_two_hop_questions_have_both_documents():
    world = World(subjects=200)
    facts = {(f.subject, f.relation): f.value for f in world.iter_facts()}
    questions = world.questions(world.start, 30, kind="two_hop", wording="all")
    assert len(questions) == 30
    for question in questions:
        bridge = question.metadata["bridge"]
        assert bridge in {v for (s, _), v in facts.items() if s == question.subject}
        assert question.answers_on(world.start)[0] in {
            v for (s, _), v in facts.items() if s == bridge
        }
        assert 1 <= len(question.supporting) <= 2


def test_wordings_ask_for_the_same_facts():
    world = World(subjects=50)
    asked = [[q.id for q in world.questions(world.start, 20, wording=k)] for k in range(4)]
    assert asked[0] == asked[1] == asked[2] == asked[3]
    held_out = {q.text for q in world.questions(world.start, 200, wording="held_out")}
    trained = {q.text for k in range(4) for q in world.questions(world.start, 200, wording=k)}
    assert held_out.isdisjoint(trained)


def test_unseen_relations_are_not_used_unless_named():
    used = {f.relation for f in World(subjects=400).iter_facts()}
    unseen = tuple(r.name for r in UNSEEN)
    assert used.isdisjoint(unseen)
    assert {f.relation for f in World(subjects=40, relations=unseen).iter_facts()} == set(unseen)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"drift": 1.5}, "drift=1.5: a share must lie between 0 and 1"),
        ({"events": ((60, -0.1),)}, "a share must lie between 0 and 1"),
        ({"events": ((200, 0.5),)}, "days must lie in 1 to days=180"),
        ({"subjects": 0}, "subjects"),
        ({"names": "x"}, "names='x'"),
        ({"relations": ("nothing",)}, r"\['nothing'\] not known"),
    ],
)
def test_settings_that_make_no_sense_are_refused(options, message):
    with pytest.raises(RagftError, match=message):
        World(**options)


def test_a_kind_of_question_that_there_is_not():
    with pytest.raises(RagftError, match="choose one of one_hop"):
        World().questions(date(2024, 1, 1), kind="three_hop")


def test_days_are_counted_from_the_start():
    world = World(start=date(2024, 1, 1), days=30)
    assert world.day(30) == world.end == date(2024, 1, 1) + timedelta(days=30)
