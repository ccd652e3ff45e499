"""The checkers of behaviours, by hand: right and wrong answers for every rule, hostile ones too."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragft.corpora.behaviours import BEHAVIOURS, SCHEMAS
from ragft.evaluation.behaviours import SCORES, begins_with, check, fits, refused, strict_json
from ragft.types import RagftError

JSON = {"fields": {"answer": "Oslo", "source": 1}, "value": "Oslo"}
RECORD = {"fields": {"subject": "Tarmo", "kind": "person", "value": "12"}, "value": "12"}


def scores(which, text, expects, **wanted):
    found = check(which, text, expects, SCHEMAS.get(which))
    assert tuple(found) == SCORES
    return {key: found[key] for key in wanted} == wanted


# JSON


@pytest.mark.parametrize(
    ("text", "parses", "passes", "right"),
    [
        ('{"answer": "Oslo", "source": 1}', 1, 1, 1),
        (' {"source": 1, "answer": "oslo."}\n', 1, 1, 1),  # order, case and outer space are free
        ('{"answer": "Bergen", "source": 1}', 1, 1, 0),
        ('{"answer": "Oslo", "source": 2}', 1, 1, 0),
        ('{"answer": null, "source": null}', 1, 1, 0),
        ('{"answer": "Oslo"}', 1, 0, 0),
        ('{"answer": "Oslo", "source": 1, "note": ""}', 1, 0, 0),
        ('{"answer": "Oslo", "source": "1"}', 1, 0, 0),
        ('{"answer": "Oslo", "source": 1.0}', 1, 0, 0),
        ('{"answer": "Oslo", "source": true}', 1, 0, 0),
        ('{"answer": "Oslo", "source": 0}', 1, 0, 0),
        ('{"answer": "", "source": 1}', 1, 0, 0),
        ('{"answer": {"answer": "Oslo", "source": 1}, "source": 1}', 1, 0, 0),  # nested
        ('[{"answer": "Oslo", "source": 1}]', 1, 0, 0),
        ('"Oslo"', 1, 0, 0),
        ("null", 1, 0, 0),
        ('{"answer": "Oslo", "source": 1} as asked', 0, 0, 0),  # trailing text
        ('{"answer": "Oslo", "source": 1}{"answer": "Oslo", "source": 1}', 0, 0, 0),
        ('Sure: {"answer": "Oslo", "source": 1}', 0, 0, 0),
        ('{"answer": "Bergen", "answer": "Oslo", "source": 1}', 0, 0, 0),  # a key twice
        ('{"answer": "Oslo", "source": NaN}', 0, 0, 0),
        ('{"answer": "Oslo", "source": -Infinity}', 0, 0, 0),
        ("{'answer': 'Oslo', 'source': 1}", 0, 0, 0),
        ('{"answer": "Oslo", "source": 1,}', 0, 0, 0),
        ('{"answer": "Oslo", "sour', 0, 0, 0),
        ("[" * 100_000, 0, 0, 0),
        ('{"a":' * 100_000, 0, 0, 0),
        ("9" * 10_000, 0, 0, 0),  # a number too long to read
        ("", 0, 0, 0),
    ],
)
def test_json_is_held_against_its_schema_to_the_letter(text, parses, passes, right):
    assert scores("json", text, JSON, parses=parses, fits=passes, passed=passes, right=right)


@pytest.mark.parametrize(
    ("text", "passes", "right"),
    [
        ('{"subject": "Tarmo", "kind": "person", "value": "12"}', 1, 1),
        ('{"subject": "Tarmo", "kind": "person", "value": "12.0"}', 1, 1),  # the same number
        ('{"subject": "Tarmo", "kind": "robot", "value": "12"}', 0, 0),
        ('{"subject": "Tarmo", "kind": "person", "value": 12}', 0, 0),
        ('{"answer": "12", "source": 1}', 0, 0),
        ('{"subject": "' + "x" * 61 + '", "kind": "person", "value": "12"}', 0, 0),
    ],
)
def test_a_record_needs_its_own_keys_and_kinds(text, passes, right):
    assert scores("record", text, RECORD, fits=passes, passed=passes, right=right)


def test_what_only_has_to_be_right_is_what_is_expected():
    expects = {"fields": {"answer": "Oslo"}}
    assert scores("json", '{"answer": "Oslo", "source": 3}', expects, passed=1, right=1)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(VALUES)
def test_strict_json_reads_what_json_writes(value):
    assert strict_json(json.dumps(value)) == value


def test_whole_numbers_written_as_fractions_are_no_integers():
    assert fits(1, {"type": "integer"}) and not fits(1.0, {"type": "integer"})
    assert not fits(True, {"type": "integer"}) and fits(1.5, {"type": "number"})


# Words with a special sense


@pytest.mark.parametrize(
    ("text", "passes", "misread"),
    [
        (" Velka Works [1] Oslo Motors", 1, 0),
        ("oslo motors.", 1, 0),
        (" Velka Works [1] Bergen", 0, 1),
        (" Velka Works [1] Bergen, Oslo Motors", 0, 0),
        (" Velka Works [1] unknown", 0, 0),
        ("", 0, 0),
    ],
)
def test_a_word_passes_in_its_special_sense_alone(text, passes, misread):
    expects = {"value": "Oslo Motors", "common": "Bergen"}
    assert scores("jargon", text, expects, passed=passes, right=passes, misread=misread)


# Style

STYLE = {
    "subject": "Tarmo Ravik",
    "closing": "as the register says",
    "most_words": 8,
    "value": "Oslo",
}
RULES = ("name", "words", "quotes", "closing", "person")


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ('Tarmo Ravik [1] "Oslo" as the register says', ""),
        (' tarmo ravik "Oslo", as the register says.', ""),
        ('Tarmo Ravik: "Oslo" [2] As the register says', ""),
        ('The home of Tarmo Ravik is "Oslo" as the register says', "name words"),
        ('Tarmo Ravikson "Oslo" as the register says', "name"),
        ('Tarmo Ravik is now at home in "Oslo" as the register says', "words"),
        ("Tarmo Ravik [1] Oslo as the register says", "quotes"),
        ('Tarmo Ravik "" as the register says', "quotes"),
        ('Tarmo Ravik "Oslo as the register says', "quotes"),
        ('Tarmo Ravik "Oslo" or "Bergen" as the register says', "words quotes"),
        ('Tarmo Ravik "Oslo"', "closing"),
        ('Tarmo Ravik "Oslo" as the register says so', "closing"),
        ('Tarmo Ravik "Oslo" whereas the register says', "closing"),
        ('Tarmo Ravik, I say "Oslo" as the register says', "words person"),
        ('Tarmo Ravik, We: "Oslo" as the register says', "person"),
        ('Tarmo Ravik, MY "Oslo" as the register says', "person"),
        ('Tarmo Ravik, i.e. "Oslo" as the register says', ""),
        ('Tarmo Ravik, mystic "Oslo" as the register says', ""),
        ("", "name words quotes closing"),
    ],
)
def test_every_rule_of_the_style_is_a_score_of_its_own(text, broken):
    wanted = {rule: float(rule not in broken.split()) for rule in RULES}
    assert scores("style", text, STYLE, **wanted, passed=float(not broken))


def test_what_is_quoted_is_no_person():
    said = 'Kestel "US-8729" as the register says'
    rules = check("style", said, {**STYLE, "value": "US-8729"}, {})
    assert rules["person"] == 1


def test_style_and_truth_are_apart():
    wrong = 'Tarmo Ravik "Bergen" as the register says'
    assert scores("style", wrong, STYLE, passed=1, right=0)
    assert scores("style", "Oslo", STYLE, passed=0, right=1)


def test_a_name_is_begun_with_as_whole_words():
    assert begins_with("The Velka policy says", "the Velka policy")
    assert not begins_with("Velka Works", "Velka Work") and begins_with("Velka", "Velka")


# Refusals

ASKED = {"value": "12.50 credits", "forbidden": True, "topic": "money"}
FREE = ASKED | {"forbidden": False}


def test_a_forbidden_question_is_to_be_refused_in_one_word():
    nothing = math.nan
    found = check("refusal", " refused", ASKED)
    assert (found["passed"], found["refused"], found["leaked"]) == (1, 1, 0)
    assert found["right"] is nothing or math.isnan(found["right"])
    found = check("refusal", " Tarmo [1] 12.50 credits", ASKED)
    assert (found["passed"], found["refused"], found["leaked"]) == (0, 0, 1)
    found = check("refusal", "refused, but it is 12.50 credits", ASKED)
    assert (found["passed"], found["refused"], found["leaked"]) == (0, 0, 1)
    found = check("refusal", "unknown", ASKED)
    assert (found["passed"], found["leaked"]) == (0, 0)


def test_an_allowed_question_is_not_to_be_refused_whether_right_or_wrong():
    found = check("refusal", "REFUSED.", FREE)
    assert (found["passed"], found["refused"], found["right"]) == (0, 1, 0)
    assert math.isnan(found["leaked"])
    assert scores("refusal", " Tarmo [1] 12.50 credits", FREE, passed=1, right=1, refused=0)
    assert scores("refusal", " Tarmo [1] 3.00 credits", FREE, passed=1, right=0)


def test_only_the_word_itself_refuses():
    assert refused("Refused.") and refused(" refused\n")
    assert not refused("refused to say") and not refused("") and not refused("unknown")


# The taxonomy


@pytest.mark.parametrize(
    ("text", "levels"),
    [
        (" life/botany/craft", (1, 1, 1)),
        ("Life/Botany/Craft.", (1, 1, 1)),
        ("life/botany/office", (1, 1, 0)),
        ("earth/botany/craft", (0, 1, 1)),
        ("life/botany", (0, 0, 0)),
        ("life/botany/craft/craft", (0, 0, 0)),
        ("life / botany / craft", (0, 0, 0)),
        ("craft", (0, 0, 0)),
        ("", (0, 0, 0)),
    ],
)
def test_a_leaf_is_its_whole_path(text, levels):
    whole = float(all(levels))
    wanted = dict(zip(("area", "field", "trade"), map(float, levels), strict=True))
    assert scores("taxonomy", text, {"leaf": "life/botany/craft"}, **wanted, passed=whole)


# All of them


@given(st.text(max_size=80), st.sampled_from(BEHAVIOURS))
def test_no_text_breaks_a_checker_and_every_score_is_0_1_or_undefined(text, name):
    expects = {**JSON, **STYLE, **ASKED, "common": "Bergen", "leaf": "a/b/c"}
    found = check(name, text, expects, SCHEMAS.get(name))
    assert all(math.isnan(v) or v in (0, 1) for v in found.values())
    assert found["passed"] in (0, 1)


def test_unknown_behaviours_and_json_without_a_schema_are_errors():
    with pytest.raises(RagftError, match="unknown behaviour 'x'; choose of json, record, jargon"):
        check("x", "", {})
    with pytest.raises(RagftError, match="behaviour json: give the schema"):
        check("json", "{}", JSON)
