"""The history of a repository's documents, against repositories made commit by commit."""

from __future__ import annotations

import shutil
import sys
from datetime import date, timedelta

import pytest
from dulwich import porcelain
from hypothesis import given
from hypothesis import strategies as st

from ragft.corpora.corpus import Corpus
from ragft.corpora.git import git_history, git_snapshot, in_order
from ragft.types import RagftError
from tests.git_repository import Repository

LINES = "".join(f"Line {n} of the guide.\n" for n in range(10))


def day(text):
    return date.fromisoformat(f"2024-{text}")


def rows(corpus):
    """Return path, source and days of every version."""
    return [
        (d.id.rpartition("@")[0], d.source, str(d.valid_from)[5:], str(d.valid_to)[5:])
        for d in corpus.documents
    ]


@pytest.fixture
def made(tmp_path):
    """A file that changes, is renamed with a change and removed, and one that stays."""
    repository = Repository(tmp_path / "repo")
    repository.commit("2024-01-01", {"guide.md": LINES, "src/code.py": "x", "stays.txt": "Same."})
    repository.commit("2024-01-05", {"guide.md": LINES + "More.\n"})
    repository.commit("2024-02-01", {"guide.md": None, "docs/start.md": LINES + "Moved.\n"})
    repository.last = repository.commit("2024-03-01", {"docs/start.md": None, "new.md": "# New\n"})
    return repository


def test_versions_have_the_days_of_their_commits_and_one_source(made):
    corpus = git_history(made.path)
    assert rows(corpus) == [
        ("guide.md", "docs/start.md", "01-01", "01-05"),
        ("guide.md", "docs/start.md", "01-05", "02-01"),
        ("docs/start.md", "docs/start.md", "02-01", "03-01"),
        ("new.md", "new.md", "03-01", ""),
        ("stays.txt", "stays.txt", "01-01", ""),
    ]
    assert corpus.documents[1].text == LINES + "More.\n"
    assert corpus.documents[2].collection == "docs" and corpus.documents[3].title == "New"
    assert corpus.documents[3].id == f"new.md@{made.last[:12]}"
    changes = corpus.changes(day("01-02"), day("02-02"))
    assert [d.text for d in changes.changed] == [LINES + "Moved.\n"] and not changes.added
    assert {d.title for d in corpus.as_of(day("03-01")).documents} == {"New", "stays.txt"}


def test_the_origin_pins_the_commit_and_counts(made):
    corpus = git_history(made.path)
    assert corpus.origin.revision == made.last
    assert corpus.name == f"repo@{made.last[:12]}"
    assert corpus.origin.details == {
        "branch": "HEAD",
        "commits": 4,
        "first_day": "2024-01-01",
        "last_day": "2024-03-01",
        "files": 3,
        "renames_followed": 1,
        "dates_moved": 0,
    }


def test_a_snapshot_is_the_last_commit_with_paths_as_ids(made):
    (made.path / "not_committed.md").write_text("# No")
    corpus = git_snapshot(made.path)
    assert [(d.id, d.source, d.valid_from) for d in corpus.documents] == [
        ("new.md", "new.md", None),
        ("stays.txt", "stays.txt", None),
    ]
    assert corpus.origin.revision == made.last
    older = Corpus.from_git(
        made.path, history=False, branch=made.repo[made.last.encode()].parents[0].decode()
    )
    assert [d.id for d in older.documents] == ["docs/start.md", "stays.txt"]


def test_a_bare_repository_and_another_branch(tmp_path):
    repository = Repository(tmp_path / "b.git", bare=True)
    repository.commit("2024-01-01", {"a.md": "One."})
    repository.commit("2024-01-02", {"a.md": "Other."}, branch="side")
    assert [d.text for d in git_history(repository.path).documents] == ["One."]
    side = git_history(repository.path, branch="side")
    assert [d.text for d in side.documents] == ["Other."] and side.name.startswith("b@")


def test_of_several_commits_on_a_day_the_last_one_counts(tmp_path):
    repository = Repository(tmp_path)
    repository.commit("2024-01-01T01:00", {"a.md": "First."})
    repository.commit("2024-01-01T23:59", {"a.md": "Last.", "brief.md": "There for hours."})
    repository.commit("2024-01-02T00:00", {"brief.md": "Next day."})
    repository.commit("2024-01-02T00:01", {"brief.md": None})
    repository.commit("2024-01-03", {"hours.md": "Came."})
    repository.commit("2024-01-03T13:00", {"hours.md": None})
    corpus = git_history(tmp_path)
    assert [(d.text, str(d.valid_from)[5:], str(d.valid_to)[5:]) for d in corpus.documents] == [
        ("Last.", "01-01", ""),
        ("There for hours.", "01-01", "01-02"),
    ]


def test_the_day_is_the_committers_and_in_utc(tmp_path):
    repository = Repository(tmp_path)
    repository.commit("2024-01-01T23:59:59", {"a.md": "A."}, author=0)
    repository.commit("2024-01-02T00:00:00", {"b.md": "B."}, author=0)
    assert [str(d.valid_from) for d in git_history(tmp_path).documents] == [
        "2024-01-01",
        "2024-01-02",
    ]


def test_a_merge_counts_on_its_own_day(tmp_path):
    repository = Repository(tmp_path)
    repository.commit("2024-01-01", {"a.md": "A."})
    files = dict(repository.files)
    side = repository.commit("2024-01-02", {"side.md": "S."}, branch="side")
    repository.files = files
    repository.commit("2024-01-05", {"side.md": "S."}, extra_parents=[side])
    assert [(d.source, str(d.valid_from)[8:]) for d in git_history(tmp_path).documents] == [
        ("a.md", "01"),
        ("side.md", "05"),
    ]


def test_a_file_that_comes_back_goes_on(tmp_path):
    repository = Repository(tmp_path)
    repository.commit("2024-01-01", {"a.md": "One.", "b.md": "B."})
    repository.commit("2024-01-02", {"a.md": None})
    repository.commit("2024-01-04", {"a.md": "Two."})
    assert rows(git_history(tmp_path)) == [
        ("a.md", "a.md", "01-01", "01-02"),
        ("a.md", "a.md", "01-04", ""),
        ("b.md", "b.md", "01-01", ""),
    ]


def test_two_files_that_ended_on_one_path_are_two_sources(tmp_path):
    repository = Repository(tmp_path)
    repository.commit("2024-01-01", {"p.md": "Quite different words.\n", "a.md": LINES})
    repository.commit("2024-01-02", {"p.md": None})
    repository.commit("2024-01-03", {"a.md": None, "p.md": LINES})
    assert rows(git_history(tmp_path)) == [
        ("a.md", "p.md", "01-01", "01-03"),
        ("p.md", "p.md", "01-03", ""),
        ("p.md", "p.md~2", "01-01", "01-02"),
    ]


def test_a_change_that_shows_nowhere_is_no_version(tmp_path):
    repository = Repository(tmp_path)
    repository.commit("2024-01-01", {"a.md": "Text."})
    repository.commit("2024-01-02", {"a.md": "Text.<!-- note to editors -->"})
    corpus = git_history(tmp_path)
    assert rows(corpus) == [("a.md", "a.md", "01-01", "")]
    assert [tuple(h) for h in corpus.origin.hidden] == [("a.md", "comment", "note to editors")]


def test_versions_that_cannot_be_read_are_gaps_with_a_name(tmp_path):
    repository = Repository(tmp_path)
    repository.links = {"link.md"}
    first = repository.commit("2024-01-01", {"a.md": "Good.", "link.md": "/etc/passwd"})
    bad = repository.commit("2024-01-02", {"a.md": b"caf\xe9 of 1998", "b.md": b"a\0b"})
    repository.commit("2024-01-03", {"a.md": "Good again.", "c.pdf": "version https://git-lfs.x"})
    corpus = git_history(tmp_path)
    assert rows(corpus) == [
        ("a.md", "a.md", "01-01", "01-02"),
        ("a.md", "a.md", "01-03", ""),
    ]
    skipped = {(s.name.partition("@")[0], s.reason) for s in corpus.origin.skipped}
    assert skipped == {
        ("a.md", "wrongly encoded"),
        ("b.md", "binary"),
        ("c.pdf", "kept in Git LFS, not in the repository"),
        ("link.md", "link"),
    }
    assert f"a.md@{bad[:12]}" in {s.name for s in corpus.origin.skipped}
    assert git_snapshot(tmp_path, branch=first).origin.skipped == (("link.md", "link", ""),)


def test_filters_hidden_files_and_odd_names(tmp_path):
    repository = Repository(tmp_path)
    names = [
        "docs/a b.md",
        "docs/sub/ü\n.md",
        "docs/\udcff.md",
        ".github/x.md",
        "docs/.x.md",
        "o.md",
    ]
    repository.commit("2024-01-01", {name: f"Text of {n}." for n, name in enumerate(names)})
    corpus = git_history(tmp_path, include=["docs/*"])
    assert [d.source for d in corpus.documents] == [
        "docs/\\xff.md",
        "docs/a b.md",
        "docs/sub/ü\n.md",
    ]
    assert [d.source for d in git_history(tmp_path, include="*/a*").documents] == ["docs/a b.md"]


def test_dates_out_of_order_move_as_few_commits_as_possible(tmp_path):
    repository = Repository(tmp_path)
    for stamp, text in [("2024-01-01", "1"), ("2038-01-01", "2"), ("2024-01-03", "3"),
                        ("1970-01-01", "4"), ("2024-01-06", "5")]:  # fmt: skip
        repository.commit(stamp, {"a.md": text, f"f{text}.md": text})
    corpus = git_history(tmp_path)
    first = {d.source: str(d.valid_from) for d in corpus.documents if d.source != "a.md"}
    assert first == {
        "f1.md": "2024-01-01",
        "f2.md": "2024-01-01",
        "f3.md": "2024-01-03",
        "f4.md": "2024-01-03",
        "f5.md": "2024-01-06",
    }
    assert [d.text for d in corpus.documents if d.source == "a.md"] == ["2", "4", "5"]
    assert corpus.origin.details["dates_moved"] == 2


def longest(days):
    """Return the length of the longest series in order, tried in the plain way."""
    best = []
    for n, current in enumerate(days):
        best.append(1 + max((best[m] for m in range(n) if days[m] <= current), default=0))
    return max(best, default=0)


@given(st.lists(st.integers(0, 30), max_size=15))
def test_days_never_go_back_and_the_fewest_are_moved(numbers):
    days = [date(2024, 1, 1) + timedelta(n) for n in numbers]
    found, moved = in_order(days)
    assert found == sorted(found) and set(found) <= set(days) and len(found) == len(days)
    # Some that are out of the series happen to share a day with the commit before them.
    assert moved <= len(days) - longest(days)
    assert sum(a != b for a, b in zip(found, days, strict=True)) == moved


def test_a_shallow_clone_says_how_to_get_the_rest(made, tmp_path):
    clone = tmp_path / "clone"
    porcelain.clone(str(made.path), str(clone), depth=2, checkout=False).close()
    with pytest.raises(RagftError, match=r"shallow, only the last 2 .*: git fetch --unshallow"):
        git_history(clone)
    assert [d.id for d in git_snapshot(clone).documents] == ["new.md", "stays.txt"]


def test_an_object_that_is_missing_is_told(made):
    blob = made.repo[made.repo[made.last.encode()].tree][b"new.md"][1].decode()
    (made.path / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(RagftError, match=r"missing from the repository .*git fetch --refetch"):
        git_history(made.path)


def test_a_damaged_object_is_told(made):
    blob = made.repo[made.repo[made.last.encode()].tree][b"new.md"][1].decode()
    path = made.path / ".git" / "objects" / blob[:2] / blob[2:]
    path.chmod(0o644)
    path.write_bytes(b"garbage")
    with pytest.raises(RagftError, match=r"damaged .*git fsck"):
        git_history(made.path)


def test_what_is_no_repository_is_told(made, tmp_path):
    (tmp_path / "plain").mkdir()
    (made.path / "docs").mkdir()
    empty = Repository(tmp_path / "empty").path
    for place, message in [
        (tmp_path / "none", "none: no such folder"),
        (tmp_path / "plain", "plain: no git repository; give its top folder"),
        (
            made.path / "docs",
            r"docs: lies inside a git repository; .*repo, and the filter 'docs/\*'",
        ),
        (empty, "empty: the repository has no commits"),
    ]:
        with pytest.raises(RagftError, match=message):
            git_history(place)


def test_no_branch_and_no_matching_document_are_told(made):
    with pytest.raises(RagftError, match="no branch, tag or commit 'nope'; there are main"):
        git_history(made.path, branch="nope")
    with pytest.raises(
        RagftError, match=r"no readable document \(of .md, .*\) matches \*.rst or x"
    ):
        git_history(made.path, include=["*.rst", "x"])


def test_without_the_extra_the_message_names_it(made, monkeypatch):
    monkeypatch.setitem(sys.modules, "dulwich.repo", None)
    with pytest.raises(RagftError, match=r"extra 'documents' .*pip install 'ragft\[documents\]'"):
        git_history(made.path)


def test_the_same_history_is_the_same_corpus_wherever_it_lies(made, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(made.path, copy)
    assert git_history(copy).content_hash == git_history(made.path).content_hash
