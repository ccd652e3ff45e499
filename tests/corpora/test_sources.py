"""What a name on the command line stands for."""

import pytest

from ragft.corpora.sources import open_corpus
from ragft.types import RagftError
from tests.git_repository import Repository


@pytest.fixture
def repository(tmp_path):
    made = Repository(tmp_path / "repo")
    made.commit("2024-01-01", {"a.md": "Old."})
    made.commit("2024-01-02", {"a.md": "New."})
    (made.path / "b.md").write_text("Not committed.")
    return made


def texts(source, **options):
    return [d.text for d in open_corpus(source, **options).documents]


def test_a_file_a_folder_a_repository_its_history_and_a_branch(tmp_path, repository):
    (tmp_path / "c.jsonl").write_text('{"id": "c", "contents": "Row."}\n')
    assert texts(tmp_path / "c.jsonl") == ["Row."]
    assert texts(repository.path) == ["Not committed."]
    assert texts(f"git:{repository.path}") == ["New."]
    assert texts(repository.path, history=True) == ["Old.", "New."]
    assert texts(f"git:{repository.path}", history=True) == ["Old.", "New."]
    repository.commit("2024-01-03", {"a.md": "Side."}, branch="side")
    assert texts(f"git:{repository.path}@side") == ["Side."]
    assert texts(f"git:{repository.path}@main") == ["New."]


def test_a_bare_repository_needs_no_prefix_and_a_name_may_hold_an_at(tmp_path):
    repository = Repository(tmp_path / "a@b.git", bare=True)
    repository.commit("2024-01-01", {"a.md": "Bare."})
    assert texts(repository.path) == ["Bare."]
    assert texts(f"git:{repository.path}") == ["Bare."]


def test_patterns_reach_the_reader(tmp_path, repository):
    repository.commit("2024-01-04", {"docs/x.md": "X."})
    assert texts(f"git:{repository.path}", include="docs/*") == ["X."]


def test_what_is_nothing_is_told(tmp_path):
    (tmp_path / "one.md").write_text("One.")
    for source, message in [
        (tmp_path / "one.md", "one document is no collection; give the folder"),
        (tmp_path / "none", "no such file or folder; a dataset on the hub is 'dataset:"),
        (tmp_path / "none.jsonl", "no such file"),
        ("dataset:a@b@c", "write it as dataset:ID"),
    ]:
        with pytest.raises(RagftError, match=message):
            open_corpus(source)
