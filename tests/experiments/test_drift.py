from datetime import date

import pytest

from ragft.corpora import packages
from ragft.corpora.releases import Release
from ragft.corpora.signatures import Entry
from ragft.experiments import drift as module
from ragft.experiments.drift import asked_on, drift, followed, known_on
from ragft.profiles import profile
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


def test_an_index_made_on_a_day_does_not_know_the_future(history):
    known = known_on(history, DAYS[0])
    assert [d.valid_to for d in known.documents] == [None]
    assert "a=1" in known.documents[0].text
    assert {f.value for f in known.facts} == {"1", "None", "'x'"}
    assert known.as_of(DAYS[2]).documents == known.documents, "stale, and still shown"


def test_facts_that_change_are_followed_first(history):
    assert followed(history, DAYS, 1) == {"veld.fit:a": True}
    assert sorted(followed(history, DAYS, 9)) == ["veld.fit:a", "veld.fit:b", "veld.fit:c"]


def test_the_same_facts_are_asked_on_every_day_while_they_exist(history):
    facts = followed(history, DAYS, 9)
    asked = {day: asked_on(history, facts, day, 1) for day in DAYS}
    assert [len(asked[day]) for day in DAYS] == [3, 3, 2]
    (a,) = (q for q in asked[DAYS[2]] if q.relation == "a")
    assert a.answers_on(DAYS[2]) == ("2",) and a.former_answers(DAYS[2]) == ("1",)
    assert a.metadata["changed"] and not asked[DAYS[0]][-1].metadata["changed"]


@pytest.fixture
def small(tmp_path, monkeypatch, history):
    from tests.conftest import save_tiny_model

    monkeypatch.setenv("RAGFT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(module.packages, "package_history", lambda *a, **k: history)
    model = str(save_tiny_model(tmp_path / "roomy", max_position_embeddings=2048))
    return profile("smoke", model=model, max_new_tokens=4, n_boot=100, rank=4)


def test_every_line_has_every_day_and_shares_that_sum_to_one(small, tmp_path):
    found = drift("veld", model=small.model, facts=3, base=small, out=tmp_path, progress=False)
    shares = found.summary[(found.summary["group"] == "all")]
    lines = shares.groupby(["arm", "policy"])["day"].nunique()
    assert (lines == 3).all() and len(lines) == len(module.LINES)
    total = shares.groupby(["arm", "policy", "day"])["mean"].sum()
    assert total.round(9).eq(1).all()
    never = found.answers.query("arm == 'rag' and condition == 'never'")
    fresh = found.answers.query("arm == 'rag' and condition == 'refreshed'")
    said = [part[part["day"] == str(DAYS[0])]["text"].tolist() for part in (never, fresh)]
    assert said[0] == said[1], "on the first day nothing is out of date"


def test_a_finished_drift_is_read_from_its_record(small, tmp_path, monkeypatch):
    options = {"model": small.model, "facts": 2, "base": small, "out": tmp_path, "progress": False}
    lines = (("prompt", ""), ("prior", ""))
    first = drift("veld", lines=lines, **options)
    monkeypatch.setattr("ragft.experiments.grid.Grid.compute", None)
    again = drift("veld", lines=lines, **options)
    assert again.summary.equals(first.summary)


def test_one_release_is_not_enough(small, tmp_path, monkeypatch):
    one = packages.history_of([release("1", DAYS[0], a="1")])
    monkeypatch.setattr(module.packages, "package_history", lambda *a, **k: one)
    with pytest.raises(RagftError, match="one release only"):
        drift("veld", model=small.model, base=small, out=tmp_path)
