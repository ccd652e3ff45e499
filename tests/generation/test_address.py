"""How a model on a server is named, and that no credentials are."""

from __future__ import annotations

import pytest

from ragft.generation.address import Address, parse_address
from ragft.profiles import profile
from ragft.types import RagftError


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("http://host:8000/v1", Address("http://host:8000/v1", "", {})),
        ("http://host:8000", Address("http://host:8000/v1", "", {})),
        ("https://host/api/v1/#org/m", Address("https://host/api/v1", "org/m", {})),
        ("http://[::1]:8000/v1#a%26b", Address("http://[::1]:8000/v1", "a&b", {})),
        (
            "http://h/v1#m&facts=x/y&reading=z&timeout=2.5&tries=3&api=chat",
            Address("http://h/v1", "m", {"facts": "x/y", "reading": "z"}, "chat", 2.5, 3),
        ),
        ("http://h/v1#&tries=1", Address("http://h/v1", "", {}, tries=1)),
    ],
)
def test_an_address_is_read(text, address):
    assert parse_address(text) == address


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("http://", "no address of a server; the form is http://host:8000/v1#model-id"),
        ("http://host:none/v1", "no address of a server"),
        ("http://h/v1#m&facts", "'facts' lacks a value"),
        ("http://h/v1#m&facts=a&facts=b", "stands there twice"),
        ("http://h/v1#m&color=red", "'color' is no setting; there are api, timeout, tries"),
        ("http://h/v1#m&api=grpc", "api=grpc: choose of auto, chat, completions"),
        ("http://h/v1#m&tries=0", "tries=0 must be a whole number"),
        ("http://h/v1#m&tries=1.5", "tries=1.5 must be a whole number"),
        ("http://h/v1#m&timeout=nan", "timeout=nan must be a number"),
    ],
)
def test_what_is_no_address_is_told(text, said):
    with pytest.raises(RagftError, match=said.replace("(", r"\(")):
        parse_address(text)


@pytest.mark.parametrize(
    "text", ["http://me:secret@h/v1", "https://secret@h", "HTTP://h/v1?key=secret#m"]
)
def test_credentials_are_refused_and_not_repeated(text):
    for take in (parse_address, lambda model: profile("smoke", model=model)):
        with pytest.raises(RagftError, match="RAGFT_API_KEY") as caught:
            take(text)
        assert "secret" not in str(caught.value)


def test_a_model_that_is_no_url_may_have_any_name():
    assert profile("smoke", model="folder@2?").model == "folder@2?"
    assert profile("smoke", model="http://h/v1#org/m@main?x").model == "http://h/v1#org/m@main?x"


def test_tokens_are_counted_beside_the_api():
    assert parse_address("http://h:1/v1").tokenize == "http://h:1/tokenize"
