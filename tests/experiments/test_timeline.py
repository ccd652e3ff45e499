from datetime import date, timedelta

import pytest

from ragft.corpora import packages
from ragft.corpora.releases import Release
from ragft.corpora.signatures import Entry
from ragft.corpora.world import World
from ragft.experiments.timeline import (
    Timeline,
    fact_groups,
    followed_facts,
    known_on,
    release_days,
    world_timeline,
)
from ragft.types import RagftError

DAYS = (date(2020, 1, 1), date(2021, 1, 1), date(2022, 1, 1))


def release(version, day, **defaults):
    shown = ", ".join(f"{k}={v}" for k, v in defaults.items())
    entry = Entry(f"fit({shown})", "Fit it.", dict(defaults))
    return Release("veld", version, day, {"veld.fit": entry})


@pytest.fixture
def history():
    return packages.history_of(
        [
            release("1", DAYS[0], a="1", b="None", c="'x'"),
            release("2", DAYS[1], a="2", b="None", c="'x'"),
            release("3", DAYS[2], a="2", b="None"),
        ]
    )


WORLD = World(
    subjects=80, seed=3, days=90, events=((30, 0.5),), drift=0.002, arrivals=0.15, departures=0.15
)


@pytest.fixture(scope="module")
def timeline():
    return world_timeline(WORLD, [29, 30, 90], 40)


def test_the_same_facts_are_asked_on_every_day(timeline):
    asked = {day: {q.id: q for q in timeline.asked(day)} for day in timeline.days}
    start = set(asked[timeline.start])
    assert len(start) == 40 and len({q.subject for q in asked[timeline.start].values()}) == 40
    for day in timeline.days:
        assert start <= set(asked[day])
        for i, question in asked[day].items():
            assert question.asked_on == day and question.metadata["group"] == timeline.groups[i]
            assert question.text == asked[timeline.days[-1]][i].text, "the same words every day"


def test_groups_are_what_their_names_say(timeline):
    first, last = timeline.start, timeline.days[-1]
    then = {q.id: q for q in timeline.asked(first)}
    now = {q.id: q for q in timeline.asked(last)}
    seen = set()
    for i, group in timeline.groups.items():
        seen.add(group)
        right = now[i].answers_on(last)
        if group == "new":
            assert i not in then and right
        elif group == "withdrawn":
            assert then[i].answers_on(first) and not right
        elif group == "unchanging":
            assert then[i].answers_on(first) == right
            assert i not in timeline.moved(first, last)
        else:
            assert any(a.valid_from and a.valid_from > first for a in now[i].answers)
    assert seen == {"changing", "unchanging", "new", "withdrawn"}


def test_an_event_moves_its_share_on_its_day_and_nothing_moves_where_nothing_changes(timeline):
    event = timeline.events[0]
    held = len(timeline.asked(event))
    assert 0.3 < len(timeline.moved(event - timedelta(days=1), event)) / held < 0.7
    still = world_timeline(World(subjects=30, seed=1, days=60), [30, 60], 20)
    assert not still.moved(still.start, still.days[-1])
    assert set(still.groups.values()) == {"unchanging"}


def test_what_is_taught_holds_on_the_day_and_is_never_worded_as_asked(timeline):
    for day in timeline.days:
        asked = {q.text for q in timeline.asked(day)}
        taught = timeline.taught(day, 4)
        assert taught and not asked & {q.text for q in taught}
        assert all(q.answers_on(day) and q.asked_on == day for q in taught)
    assert len(timeline.taught(timeline.start, 4)) == 4 * len(timeline.taught(timeline.start, 1))


def test_subjects_kept_for_reading_are_never_asked_about(timeline):
    asked = {q.subject for day in timeline.days for q in timeline.asked(day)}
    assert timeline.others and not asked & {q.subject for q in timeline.others}


def test_an_index_knows_what_was_in_force_and_with_old_versions_all_that_was(timeline):
    day = timeline.days[-1]
    fresh, kept = known_on(timeline.corpus, day), known_on(timeline.corpus, day, kept=True)
    assert all(d.valid_to is None for d in (*fresh.documents, *kept.documents))
    assert set(fresh.by_id) < set(kept.by_id)
    assert all(d.valid_from <= day for d in kept.documents)
    in_force = {d.id for d in timeline.corpus.documents if d.holds_on(day)}
    assert set(fresh.by_id) == in_force


@pytest.mark.parametrize(
    ("days", "message"),
    [
        ([], "must lie in 0 to 90, at least one"),
        ([91], "must lie in 0 to 90"),
        ([30, 20], "days must be in order"),
        ([30, 30], "days must be in order"),
    ],
)
def test_days_that_make_no_timeline_are_refused(days, message):
    with pytest.raises(RagftError, match=message):
        world_timeline(WORLD, days, 10)


def test_more_facts_than_subjects_are_refused():
    with pytest.raises(RagftError, match="raise world_subjects or lower facts"):
        world_timeline(WORLD, [30], 200)


def test_a_timeline_without_questions_is_refused(timeline):
    with pytest.raises(RagftError, match="nothing to ask"):
        Timeline("empty", timeline.corpus, timeline.days, {}, timeline.ask, 0, (0,))


def test_facts_of_a_package_are_followed_changes_first(history):
    days = release_days(history)
    assert days == DAYS
    groups = fact_groups(history, days)
    assert followed_facts(groups, 1) == {"veld.fit:a": "changing"}
    every = followed_facts(groups, 9)
    assert every == {
        "veld.fit:a": "changing",
        "veld.fit:b": "unchanging",
        "veld.fit:c": "withdrawn",
    }


def test_a_package_timeline_asks_what_ended_as_well(history, monkeypatch):
    from ragft.experiments import timeline as module

    monkeypatch.setattr(module.packages, "package_history", lambda *a, **k: history)
    line = module.package_timeline("veld", 9)
    assert [len(line.asked(day)) for day in line.days] == [3, 3, 3]
    ended = next(q for q in line.asked(DAYS[2]) if q.id == "veld.fit:c")
    assert not ended.answers_on(DAYS[2]) and ended.former_answers(DAYS[2]) == ("'x'",)
    assert line.moved(DAYS[0], DAYS[2]) == {"veld.fit:a", "veld.fit:c"}
    assert line.retraining == "each release" and line.retraining_days == DAYS[1:]
    every = {"changing": 1, "unchanging": 1, "withdrawn": 1}
    assert line.population == every == module.package_timeline("veld", 1).population
    with pytest.raises(RagftError, match="one release only"):
        module.package_timeline("veld", 9, first=2)
    assert module.package_timeline("veld", 9, first=1).start == date(2021, 1, 1)
