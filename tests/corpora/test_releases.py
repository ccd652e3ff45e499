"""Releases: which are taken, when they came out, and how they are kept."""

from __future__ import annotations

import json
from datetime import date

import pytest

from ragft.corpora.releases import choose_versions, package_releases, read_dates
from ragft.types import RagftError

MODULE = {"toy/__init__.py": "def f(a=1): pass"}
NOON = (2020, 1, 1, 12, 0, 0)


@pytest.fixture
def toy(wheelhouse, make_wheel):
    """Make releases of `toy` with the given time stamps."""

    def make(**stamps):
        for version, stamp in stamps.items():
            make_wheel(wheelhouse, "toy", version[1:].replace("_", "."), MODULE, stamp)

    return make


def test_about_eight_last_patches_are_chosen_from_old_to_new():
    available = [
        f"{major}.{minor}.{patch}" for major in (0, 1) for minor in range(9) for patch in "03"
    ]
    chosen = choose_versions(available)
    # 18 minor releases, the newest 15 are 0.3 to 1.8; steps of 2 over 14 gaps.
    assert chosen == ["0.3.3", "0.5.3", "0.7.3", "1.0.3", "1.2.3", "1.4.3", "1.6.3", "1.8.3"]
    assert choose_versions(["2.0", "1.0"]) == ["1.0", "2.0"]
    assert choose_versions([]) == []


def test_the_day_is_that_of_the_newest_stamp(toy):
    toy(v1_0=(2019, 12, 31, 23, 59, 58), v1_1=NOON)
    releases = package_releases("toy")
    assert [(r.version, r.day) for r in releases] == [
        ("1.0", date(2019, 12, 31)),
        ("1.1", date(2020, 1, 1)),
    ]
    assert releases[0].wheel == "toy-1.0-py3-none-any.whl"


def test_kept_releases_need_neither_pip_nor_wheel(toy, wheelhouse, tmp_path, monkeypatch):
    toy(v1_0=NOON)
    fetched = package_releases("toy")
    (wheelhouse / "toy-1.0-py3-none-any.whl").unlink()
    monkeypatch.setattr("ragft.corpora.wheels._pip", None)
    assert package_releases("toy") == fetched
    kept = sorted(p.name for p in (tmp_path / "cache" / "packages" / "toy").iterdir())
    assert kept == ["1.0.v1.json", "versions.json"]


@pytest.mark.parametrize(
    "stamp", [(1980, 1, 1, 0, 0, 0), (2020, 2, 2, 0, 0, 0), (1985, 10, 26, 8, 15, 0)]
)
def test_constant_stamps_leave_the_day_unknown_until_it_is_given(toy, stamp, tmp_path):
    toy(v1_0=stamp, v1_1=(2021, 5, 4, 3, 2, 0))
    with pytest.raises(RagftError, match=r"toy: the release day of 1\.0 is unknown.*--dates FILE"):
        package_releases("toy")
    given = package_releases("toy", dates={"1.0": "2020-03-04"})
    assert [r.day for r in given] == [date(2020, 3, 4), date(2021, 5, 4)]
    file = tmp_path / "days.csv"
    file.write_text("version,date\n1.0,2020-03-04\n")
    assert package_releases("toy", dates=file) == given


def test_one_stamp_in_two_releases_is_a_constant_too(toy):
    toy(v1_0=NOON, v1_1=NOON)
    with pytest.raises(RagftError, match=r"the release day of 1\.0, 1\.1 is unknown"):
        package_releases("toy")


def test_given_days_win_over_stamps(toy):
    toy(v1_0=NOON)
    assert package_releases("toy", dates={"1.0.0": date(2020, 1, 3)})[0].day == date(2020, 1, 3)


def test_a_release_that_never_was_the_newest_is_refused_when_named_else_left_out(toy):
    toy(v1_0=(2022, 1, 1, 1, 0, 0), v2_0=(2021, 1, 1, 1, 0, 0))
    with pytest.raises(RagftError, match=r"toy 1\.0 \(2022-01-01\) came no earlier than 2\.0"):
        package_releases("toy", ["1.0", "2.0"])
    with pytest.warns(RuntimeWarning, match=r"toy 1\.0 .*It is left out"):
        assert [r.version for r in package_releases("toy")] == ["2.0"]


def test_modules_that_cannot_be_parsed_are_counted_in_a_warning(wheelhouse, make_wheel):
    make_wheel(wheelhouse, "toy", "1.0", {**MODULE, "toy/old.py": "print 'two'"})
    with pytest.warns(RuntimeWarning, match=r"toy 1\.0: 1 module\(s\) cannot be parsed"):
        (release,) = package_releases("toy")
    assert release.skipped == 1
    assert list(release.api) == ["toy.f"]


def test_a_flipped_byte_in_a_kept_release_is_refused(toy, tmp_path):
    toy(v1_0=NOON)
    package_releases("toy")
    kept = tmp_path / "cache" / "packages" / "toy" / "1.0.v1.json"
    whole = kept.read_bytes()
    for place in (3, 70, 200, len(whole) - 5):
        kept.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(RagftError, match=r"1\.0\.v1\.json: the kept release is damaged"):
            package_releases("toy", ["1.0"])
    for rest in (b"", whole[:90]):
        kept.write_bytes(rest)
        with pytest.raises(RagftError, match="delete the file to fetch it again"):
            package_releases("toy", ["1.0"])
    kept.unlink()
    assert package_releases("toy", ["1.0"])[0].day == date(2020, 1, 1)


def test_an_unknown_package_and_an_unknown_release_are_told_apart(toy):
    toy(v1_0=NOON, v1_1=(2021, 1, 1, 1, 0, 0))
    with pytest.raises(RagftError, match="there is no package 'nothing'"):
        package_releases("nothing")
    with pytest.raises(RagftError, match="there is no package 'nothing'"):
        package_releases("nothing", ["1.0"])
    with pytest.raises(
        RagftError, match=r"there is no release 3\.0 of toy; pip knows 1\.0, 1\.1\."
    ):
        package_releases("toy", ["1.0", "3.0"])


def test_a_release_without_a_wheel_is_refused_when_named_else_left_out(
    toy, wheelhouse, monkeypatch
):
    toy(v1_0=NOON)
    (wheelhouse / "toy-2.0.tar.gz").write_bytes(b"never opened")
    with pytest.raises(RagftError, match=r"toy 2\.0 has no wheel that can be read"):
        package_releases("toy", ["2.0"])
    for _ in range(2):
        with pytest.warns(RuntimeWarning, match=r"toy 2\.0 has no wheel.*It is left out"):
            assert [r.version for r in package_releases("toy")] == ["1.0"]
        # The second time neither the release nor its absence needs pip.
        monkeypatch.setattr("ragft.corpora.wheels._pip", None)


def test_without_a_network_the_message_says_so_and_kept_releases_still_work(toy, monkeypatch):
    toy(v1_0=NOON)
    fetched = package_releases("toy", ["1.0"])
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    with pytest.raises(RagftError, match="toy: pip reached no package index. Is there a network"):
        package_releases("toy")
    with pytest.raises(RagftError, match=r"toy 2\.0: pip reached no package index"):
        package_releases("toy", ["2.0"])
    assert package_releases("toy", ["1.0"]) == fetched


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("d.json", '{"1.0": "yesterday"}', "the day of 1.0 must be a date"),
        ("d.json", '{"1.0": 5}', "the day of 1.0 is missing"),
        ("d.json", '["1.0"]', "expected a JSON object or CSV"),
        ("d.json", "{", "expected a JSON object or CSV"),
        ("d.json", '{"new": "2020-01-01"}', "'new' is not a version"),
        ("d.csv", "1.0\n", "expected a JSON object or CSV"),
        ("d.csv", "1.0,\n", "the day of 1.0 is missing"),
    ],
)
def test_faults_in_a_file_of_days_are_named(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(RagftError, match=message):
        read_dates(tmp_path / name)


def test_days_are_read_from_json_and_csv(tmp_path):
    (tmp_path / "d.json").write_text(json.dumps({"1.0.0": "2020-01-02"}))
    (tmp_path / "d.csv").write_text("version,date\n\n1.0.0, 2020-01-02\n")
    assert (
        read_dates(tmp_path / "d.json")
        == read_dates(tmp_path / "d.csv")
        == {"1.0.0": date(2020, 1, 2)}
    )
    with pytest.raises(RagftError, match="no such file"):
        read_dates(tmp_path / "none.json")
