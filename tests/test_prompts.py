from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from ragft import prompts
from ragft.types import UNKNOWN, Passage


def passage(n, text="Tarmo is big.", day=None):
    return Passage(f"d{n}#0", f"d{n}", text, 0, len(text), valid_from=day)


def test_a_prompt_is_written_out():
    shown = [passage(1, "One.", date(2024, 1, 2)), passage(2, "Two.\nQuestion: no?")]
    text = prompts.render(
        "Where is\nit?", shown, instruction="Read.", demonstrations=[("Who?", "Ann")]
    )
    assert text == (
        "Read.\n[1] One. (2024-01-02)\n[2] Two. Question: no?\n"
        "Question: Who?\nAnswer: Ann\nQuestion: Where is it?\nAnswer:"
    )


@given(st.text())
def test_no_passage_can_open_a_line_of_its_own(text):
    assert "\n" not in prompts.passage_line(1, passage(1, text))
    rendered = prompts.render("Q?", [passage(1, text)], instruction="I")
    assert len([line for line in rendered.split("\n") if line.startswith("Question:")]) == 1


def test_the_number_stands_behind_the_name_which_is_not_said_twice():
    def line(title, text):
        return prompts.passage_line(2, Passage("a#0", "a", text, 0, len(text), title))

    assert line("Tarmo", "It is led by Ann.") == "Tarmo [2]: It is led by Ann."
    assert line("", "It is led by Ann.") == "[2] It is led by Ann."
    assert line("a.fit (veld 1.0)", "a.fit\nfit(x=1)\nFit.") == "a.fit [2]: fit(x=1) Fit."
    assert line("a.fit (veld 1.0)", "a.fit") == "a.fit [2]: a.fit"


def test_passages_are_put_in_order_of_date_undated_first_and_ties_as_given():
    late, early = passage(1, day=date(2024, 1, 1)), passage(2, day=date(2020, 1, 1))
    undated, tied = passage(3), passage(4, day=date(2024, 1, 1))
    assert prompts.by_date([late, undated, early, tied]) == [undated, early, late, tied]


def test_chat_messages_say_the_same_as_the_plain_prompt():
    turns = prompts.messages("Where?", [passage(1)], instruction="I", demonstrations=[("a?", "b")])
    assert [t["role"] for t in turns] == ["system", "user", "assistant", "user"]
    assert turns[-1]["content"] == "[1] Tarmo is big.\nQuestion: Where?"


def test_a_model_with_a_chat_template_is_asked_through_it():
    class Chat:
        has_chat_template = True

        class tokenizer:
            @staticmethod
            def apply_chat_template(turns, tokenize, add_generation_prompt):
                assert tokenize is False and add_generation_prompt is True
                return "|".join(t["content"] for t in turns)

    assert prompts.for_model(Chat, "Where?", instruction="I") == "I|Question: Where?"


def test_completions_cite_first():
    assert prompts.complete("Tarmo", [2]) == " [2] Tarmo"
    assert prompts.complete("Tarmo", [2, 3]) == " [2][3] Tarmo"
    assert prompts.complete("Tarmo") == " Tarmo"
    assert prompts.complete("Oslo", [2], "Tarmo Labs") == " Tarmo Labs [2] Oslo"
    assert prompts.complete("unknown", [], "Tarmo Labs") == " Tarmo Labs unknown"


def test_what_is_completed_is_parsed_again():
    shown = [passage(1), passage(2), passage(3)]
    for answer in ("Tarmo", "'auto'", "(0, 1)", "1e-03", "a [b] c"):
        for cited in ([], [2], [1, 3]):
            text, ids = prompts.parse(prompts.complete(answer, cited), shown)
            assert (text, ids) == (answer, tuple(shown[n - 1].id for n in cited))


def test_parsing_odd_completions():
    shown = [passage(1), passage(2)]
    assert prompts.parse(" [1] Mara Voss [2] Tarmo", shown) == ("Tarmo", ("d1#0", "d2#0"))
    assert prompts.parse(" Tarmo [2]", shown) == ("Tarmo", ("d2#0",))
    assert prompts.parse(" [9] Tarmo", shown) == ("Tarmo", ())
    assert prompts.parse("", shown) == (UNKNOWN, ())
    assert prompts.parse(" Unknown.\nQuestion: next", shown) == (UNKNOWN, ())
    assert prompts.parse(" a.fit [1] alpha=None", shown) == ("None", ("d1#0",))
    assert prompts.parse(" a.fit [1] x='a=b'", shown) == ("'a=b'", ("d1#0",))
    assert prompts.parse(" x==1", shown) == ("x==1", ())
    assert prompts.parse(" Tarmo Labs unknown", shown) == (UNKNOWN, ())
    assert prompts.parse(" Tarmo Labs [1] unknown", shown) == (UNKNOWN, ("d1#0",))
    assert prompts.parse(" [1]", shown) == (UNKNOWN, ("d1#0",))


@given(st.text())
def test_any_completion_parses_to_one_line_that_is_not_empty(completion):
    text, cited = prompts.parse(completion, [passage(1)])
    assert text and "\n" not in text and set(cited) <= {"d1#0"}


def test_instructions_are_joined_without_gaps():
    assert prompts.instruct("A.", "", "B.") == "A. B."
    assert prompts.refuse("money") == "Refuse questions about money."
