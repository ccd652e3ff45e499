"""Releases become a corpus whose facts begin and end on the days of the releases."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragft.corpora.packages import (
    fewer_releases,
    history_of,
    package_history,
    parse_package_spec,
)
from ragft.corpora.releases import Release
from ragft.corpora.signatures import Entry
from ragft.types import RagftError

ONE, TWO, THREE = date(2020, 1, 1), date(2021, 1, 1), date(2022, 1, 1)


def release(version, day, **entries):
    api = {
        path.replace("__", "."): Entry(
            f"{path.rpartition('__')[2]}({', '.join(f'{k}={v}' for k, v in defaults.items())})",
            "Doc.",
            defaults,
        )
        for path, defaults in entries.items()
    }
    return Release("pkg", version, day, api)


def spans(facts):
    return {(f.subject, f.relation, f.value): (f.valid_from, f.valid_to) for f in facts}


def test_a_document_is_a_run_of_equal_releases_and_a_fact_a_run_of_equal_values():
    corpus = history_of(
        [
            release("1.0", ONE, pkg__f={"a": "1", "b": "2"}, pkg__gone={"c": "3"}),
            release("2.0", TWO, pkg__f={"a": "1", "b": "5"}),
            release("3.0", THREE, pkg__f={"a": "1", "b": "5"}, pkg__new={}),
        ]
    )
    assert corpus.name == "pkg"
    assert {d.id: (d.valid_from, d.valid_to) for d in corpus.documents} == {
        "pkg.f@1.0": (ONE, TWO),
        "pkg.f@2.0": (TWO, None),
        "pkg.gone@1.0": (ONE, TWO),
        "pkg.new@3.0": (THREE, None),
    }
    assert spans(corpus.facts) == {
        ("pkg.f", "a", "1"): (ONE, None),
        ("pkg.f", "b", "2"): (ONE, TWO),
        ("pkg.f", "b", "5"): (TWO, None),
        ("pkg.gone", "c", "3"): (ONE, TWO),
    }
    stated = {(f.relation, f.value): f.documents for f in corpus.facts}
    assert stated["a", "1"] == ("pkg.f@1.0", "pkg.f@2.0")
    assert stated["b", "5"] == ("pkg.f@2.0",)
    first = corpus.by_id["pkg.f@1.0"]
    assert first.text == "pkg.f\nf(a=1, b=2)\nDoc."
    assert (first.title, first.source, first.collection) == ("pkg.f (pkg 1.0)", "pkg.f", "pkg")
    assert {f.kind for f in corpus.facts} == {"default"}
    assert [d.id for d in corpus.changes(ONE, TWO).changed] == ["pkg.f@2.0"]


def test_a_name_that_comes_back_with_the_same_text_has_two_versions():
    corpus = history_of(
        [
            release("1", ONE, pkg__f={"a": "1"}, pkg__g={}),
            release("2", TWO, pkg__g={}),
            release("3", THREE, pkg__f={"a": "1"}, pkg__g={}),
        ]
    )
    dates = [(f.valid_from, f.valid_to, f.documents) for f in corpus.facts]
    assert dates == [(ONE, TWO, ("pkg.f@1",)), (THREE, None, ("pkg.f@3",))]


def test_nothing_public_is_an_error():
    with pytest.raises(RagftError, match="pkg: no public function or class"):
        history_of([release("1", ONE)])


defaults = st.dictionaries(st.sampled_from("abc"), st.sampled_from("123"), max_size=3)
entries = st.dictionaries(st.sampled_from(["pkg__f", "pkg__g"]), defaults, max_size=2)


@given(st.lists(entries, min_size=1, max_size=5).filter(any))
@settings(deadline=None)
def test_on_the_day_of_a_release_the_corpus_holds_what_the_release_says(made):
    releases = [release(str(n), date(2020 + n, 1, 1), **e) for n, e in enumerate(made)]
    corpus = history_of(releases)
    for one in releases:
        now = corpus.as_of(one.day)
        said = {(p, k, v) for p, e in one.api.items() for k, v in e.defaults.items()}
        assert {(f.subject, f.relation, f.value) for f in now.facts} == said
        assert len(now.facts) == len(said)
        assert {d.source for d in now.documents} == set(one.api)
        for fact in now.facts:
            (stating,) = (d for d in now.documents if d.id in fact.documents)
            assert f"{fact.relation}={fact.value}" in stating.text


def test_wheels_become_a_history(wheelhouse, make_wheel):
    make_wheel(wheelhouse, "toy", "1.0", {"toy/__init__.py": "def f(cv='warn'): pass"})
    later = (2021, 6, 5, 4, 3, 2)
    make_wheel(wheelhouse, "toy", "1.1", {"toy/__init__.py": "def f(cv=5): pass"}, later)
    corpus = package_history("toy")
    assert spans(corpus.facts) == {
        ("toy.f", "cv", "'warn'"): (ONE, date(2021, 6, 5)),
        ("toy.f", "cv", "5"): (date(2021, 6, 5), None),
    }
    assert package_history("toy", ["1.1"]).documents[0].id == "toy.f@1.1"


@pytest.mark.parametrize("spec", ["", "--index-url=x", "a b", "x==", "x==1,,2", "x==new", "../x"])
def test_a_spec_that_is_none_is_refused(spec):
    with pytest.raises(RagftError, match="is not (the name of a package|a version)"):
        parse_package_spec(spec)


def test_specs_are_normalised():
    assert parse_package_spec("Scikit_Learn==1.0, 1.4.1-1") == (
        "scikit-learn",
        ["1.0", "1.4.1.post1"],
    )


@pytest.mark.parametrize(
    ("spec", "count", "kept"),
    [
        ("a==1,2,3,4,5", 3, "a==1,3,5"),
        ("a==1,2,3,4,5", 2, "a==1,5"),
        ("a==1,2,3,4", 3, "a==1,3,4"),
        ("a==1,2,3", 3, "a==1,2,3"),
        ("a==1", 3, "a==1"),
        ("a", 3, "a"),
    ],
)
def test_fewer_releases_are_spread_evenly_and_keep_both_ends(spec, count, kept):
    assert fewer_releases(spec, count) == kept


def test_one_release_is_no_history():
    with pytest.raises(RagftError, match="count=1: a history needs 2 releases or more"):
        fewer_releases("a==1,2,3", 1)


def test_a_real_package_from_the_index(tmp_path):
    try:
        corpus = package_history("networkx", ["3.3", "3.4.2"], cache=tmp_path)
    except RagftError as error:
        if "reached no package index" in str(error):
            pytest.skip(f"no package index: {error}")
        raise
    assert corpus.days == (date(2024, 4, 6), date(2024, 10, 21))
    text = corpus.as_of(date(2024, 5, 1)).by_id["networkx.spring_layout@3.3"].text
    assert "iterations=50" in text
    values = {f.value for f in corpus.facts if f.subject == "networkx.spring_layout"}
    assert {"50", "'weight'"} <= values
