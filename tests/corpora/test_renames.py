"""Which removed file went on as which new one."""

from collections import Counter

from ragft.corpora.renames import MOST_PAIRS, likeness, renamed

TEXTS = {
    b"ten": b"".join(b"line %d\n" % n for n in range(10)),
    b"half": b"".join(b"line %d\n" % n for n in range(5)) + b"other\nwords\nthat\nare\nnot it\n",
    b"most": b"".join(b"line %d\n" % n for n in range(9)),
    b"none": b"nothing\nof\nit\n",
    b"empty": b"",
}


def paired(gone, new):
    return renamed(gone, new, TEXTS.__getitem__)


def test_what_stayed_as_it_was_goes_before_what_is_alike():
    assert paired({"a": b"ten"}, {"b": b"most", "c": b"ten"}) == {"a": "c"}
    assert paired({"a": b"ten"}, {"b": b"most", "c": b"none"}) == {"a": "b"}
    assert paired({"a": b"ten", "z": b"most"}, {"b": b"most", "c": b"ten"}) == {"a": "c", "z": "b"}


def test_of_equal_files_the_one_that_kept_its_name_goes_on():
    new = {"a/other.md": b"ten", "b/guide.md": b"ten"}
    assert paired({"guide.md": b"ten"}, new) == {"guide.md": "b/guide.md"}
    assert paired({"x.md": b"ten"}, new) == {"x.md": "a/other.md"}


def test_the_likeliest_pair_wins_and_each_file_goes_on_once():
    assert paired({"a": b"ten"}, {"b": b"half", "c": b"most"}) == {"a": "c"}
    assert paired({"a": b"most", "b": b"half"}, {"c": b"ten"}) == {"a": "c"}


def test_half_of_the_bytes_is_the_least():
    assert likeness(Counter([b"ab"]), Counter([b"ab", b"cd"])) == 0.5
    assert likeness(Counter([b"ab"]), Counter([b"ab", b"cde"])) == 0.4
    assert likeness(Counter(), Counter()) == 0.0
    assert paired({"a": b"ten"}, {"b": b"none"}) == {}
    assert paired({"a": b"ten"}, {}) == {} and paired({}, {"a": b"ten"}) == {}


def test_of_too_many_files_only_unchanged_ones_are_followed():
    read = []
    many = {f"new{n}": b"most%d" % n for n in range(MOST_PAIRS)} | {"same": b"ten"}
    assert renamed({"a": b"half", "b": b"none"} | {"c": b"ten"}, many, read.append) == {"c": "same"}
    assert read == []
