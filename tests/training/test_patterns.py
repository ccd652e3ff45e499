"""What patterns of personal data take, and what they must leave."""

from __future__ import annotations

import importlib.util

import pytest

from ragft.training import patterns
from ragft.training.patterns import KINDS, spans
from ragft.types import RagftError

TAKEN = {
    "EMAIL": ["ann@example.org", "a.b+c@mail.example.co.uk", "ö@exämple.de", "x@a.xn--p1ai"],
    "PHONE": ["+44 20 7946 0958", "(212) 555-0134", "212-456-7890", "020 7946 0958"],
    "IBAN": ["GB82WEST12345698765432", "GB82 WEST 1234 5698 7654 32", "DE89370400440532013000"],
    "CARD": ["4111 1111 1111 1111", "5500-0000-0000-0004", "378282246310005"],
    "IP": ["192.168.0.7", "2001:db8::ff00:42:8329", "fe80:0:0:0:1:2:3:4"],
    "URL": ["https://example.org/x?a=b#c", "www.example.org", "ftp://example.org"],
}
LEFT = {
    "EMAIL": ["ann@example", "@decorator", "a @ b.c", "user at example.org"],
    "PHONE": ["1971-03-04", "3.14159265", "12:30:45", "scikit-learn 1.5.2", "31.245.881"],
    "IBAN": ["GB82WEST12345698765433", "GB82", "XX82WEST12345698765432", "AB1234567890123456"],
    "CARD": ["4111 1111 1111 1112", "1111111111111", "0.4111111111111111", "41111111111111111111"],
    "IP": ["1.2.3", "127.0.0.1", "256.1.1.1", "a[::2]", "x[1::2]", "12:30:45", "1.2.3.4.5"],
    "URL": ["example.org", "module.function", "http", "://"],
}


def found(text: str, *kinds: str) -> list[tuple[str, str]]:
    return [(text[start:end], kind) for start, end, kind in spans(kinds or KINDS)(text)]


@pytest.mark.parametrize(("kind", "value"), [(k, v) for k, values in TAKEN.items() for v in values])
def test_taken_whole_within_a_sentence(kind, value):
    assert found(f"It is {value}, he said.", kind) == [(value, kind)]
    assert found(value, kind) == [(value, kind)]
    assert found(f"({value})", kind) == [(value, kind)]


@pytest.mark.parametrize(("kind", "value"), [(k, v) for k, values in LEFT.items() for v in values])
def test_left(kind, value):
    assert found(f"It is {value}, he said.", kind) == []


def test_words_in_capitals_around_an_account_number_are_left():
    iban = "GB82 WEST 1234 5698 7654 32"
    assert found(f"AB12 {iban} OR CASH", "IBAN") == [(iban, "IBAN")]


def test_national_numbers_are_those_of_the_regions_given():
    text = "030 12345678 or +49 30 12345678"
    assert found(text, "PHONE") == [("+49 30 12345678", "PHONE")]
    german = {text[start:end] for start, end, _ in spans(["PHONE"], ["DE"])(text)}
    assert german == {"030 12345678", "+49 30 12345678"}
    assert {end for _, end, _ in spans(["PHONE"], [])(text)} == {len(text)}


@pytest.mark.parametrize("text", ["", " ", "\n", "a" * 5000 + "@", "1" * 5000, ":" * 5000])
def test_texts_without_anything(text):
    assert found(text) == []


def test_errors_name_what_was_wrong(monkeypatch):
    with pytest.raises(RagftError, match="kinds: NAME, SSN not known; choose of EMAIL, PHONE"):
        spans(["SSN", "EMAIL", "NAME"])
    with pytest.raises(RagftError, match="regions: UK not known; give codes such as 'US', 'GB'"):
        spans(["PHONE"], ["UK"])
    spec = importlib.util.find_spec
    monkeypatch.setattr(patterns, "find_spec", lambda n: None if n == "stdnum" else spec(n))
    with pytest.raises(RagftError, match=r"needs stdnum: pip install 'ragft\[pii\]'"):
        spans(["EMAIL"])
