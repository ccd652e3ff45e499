import random
import re
from pathlib import Path

import numpy as np
import pytest

from ragft.corpora import lexicon, relations
from ragft.corpora.lexicon import words
from ragft.corpora.packages import HELD_OUT_WORDINGS, WORDINGS
from ragft.corpora.relations import RELATIONS, UNSEEN
from ragft.generation.embedded import lessons, signatures, tokens

FULL = lessons.level(1.0)


@pytest.fixture(scope="module")
def tokenizer():
    rng = random.Random(0)
    drawn = ("".join(t for t, _ in lessons.lesson(rng, 1.0)) for _ in range(400))
    return tokens.train_tokenizer(drawn)


def texts(make, count=30):
    rng = random.Random(1)
    return [make(rng, FULL) for _ in range(count)]


def whole(lesson):
    return "".join(text for text, _ in lesson)


@pytest.mark.parametrize("make", [make for make, _, _ in lessons.MIX], ids=lambda m: m.__name__)
def test_every_lesson_begins_ends_and_teaches(make):
    for lesson in texts(make, 15):
        text = whole(lesson)
        assert text.startswith(lessons.BOS) and text.endswith(lessons.EOS)
        assert text.count(lessons.BOS) == 1
        assert any(taught for _, taught in lesson)
        assert all(piece for piece, _ in lesson)


def test_a_lesson_is_a_pure_function_of_its_generator():
    one = [lessons.lesson(random.Random(n), 0.7) for n in range(20)]
    assert one == [lessons.lesson(random.Random(n), 0.7) for n in range(20)]


@pytest.mark.parametrize(
    "make",
    [
        lessons.read,
        lessons.coined_relations,
        lessons.match,
        lessons.newest,
        lessons.read_signatures,
    ],
)
def test_cited_passages_say_the_value(make):
    cited = 0
    for lesson in texts(make, 40):
        shown = dict(re.findall(r"^.* \[(\d+)\]: (.*)$", whole(lesson), flags=re.M))
        for text, taught in lesson:
            if taught and (found := re.fullmatch(r" .* \[(\d+)\] (.*)<\|end\|>", text)):
                cited += 1
                assert found.group(2) == "unknown" or (found.group(2) in shown[found.group(1)])
    assert cited > 50


def test_the_newest_passage_that_says_it_wins():
    several = 0
    for lesson in texts(lessons.newest, 60):
        text = whole(lesson)
        dates = dict(re.findall(r"^.* \[(\d+)\]: .*\((\d{4}-\d\d-\d\d)\)$", text, flags=re.M))
        lines = dict(re.findall(r"^.* \[(\d+)\]: (.*)\. \(.*\)$", text, flags=re.M))
        pieces = "".join(t for t, _ in lesson).split("Question: ")[1:]
        for piece in pieces:
            if not (found := re.search(r"Answer: .* \[(\d+)\] (.*)<", piece)) or not dates:
                continue
            number, value = found.groups()
            subject = re.search(r"[A-Z][a-z]+(?: [A-Z0-9]\w*)*", piece[1:].split("?")[0]).group()
            about = {n: x for n, x in lines.items() if all(subject in s for s in x.split(". "))}
            same = [n for n, x in about.items() if re.search(rf"\b{re.escape(value)}\b", x)]
            several += len(same) > 1
            assert not same or dates[number] == max(dates[n] for n in same)
    assert several > 10


def test_absent_values_are_unknown_and_not_too_rare():
    taught = [t for lesson in texts(lessons.read, 100) for t, mine in lesson if mine]
    unknown = sum(t.endswith(" unknown" + lessons.EOS) for t in taught)
    assert 0.15 < unknown / len(taught) < 0.45


def test_no_lesson_uses_a_held_out_word_wording_or_relation():
    held_out = set(words("evaluation"))
    rng = random.Random(5)
    text = "\n".join(whole(lessons.lesson(rng, 1.0)) for _ in range(300))
    seen = {w.lower() for w in re.findall(r"[A-Za-z]{5,}", text)}
    # Some made-up words happen to be English; where English stands they are no names.
    sources = [
        Path(module.__file__).read_text() for module in (relations, lexicon, signatures, lessons)
    ]
    common = {w.lower() for source in sources for w in re.findall(r"[A-Za-z]+", source)}
    assert not (seen & held_out) - common
    for relation in RELATIONS:
        for wording in relation.wordings("questions", "held_out"):
            pattern = re.escape(wording).replace(r"\{s\}", ".+")
            assert not re.search(f"^Question: {pattern}$", text, flags=re.M)
    for relation in UNSEEN:
        stems = [
            max(re.split(r"\{s\}|\{v\}", s), key=len).strip(" .?") for s in relation.statements
        ]
        assert not [s for s in stems if len(s) > 12 and s in text]


def test_one_wording_of_package_questions_is_new_to_the_model():
    trained = {q.replace("{p}", "").replace("{f}", "") for q in signatures.QUESTIONS}
    plain = [w.replace("{parameter}", "").replace("{subject}", "") for w in WORDINGS]
    assert any(plain[n] not in trained for n in HELD_OUT_WORDINGS)


def test_signatures_are_as_varied_as_real_ones():
    rng = random.Random(2)
    made = [
        signatures.signature(rng, module, signatures.pool(rng), 30)
        for _ in range(300)
        for module in signatures.modules(rng)
    ]
    defaults = [d for s in made for d in s.defaults.values()]
    assert max(len(s.defaults) for s in made) >= 20
    for sign in ("None", "True", "False", "'", "(", "e-", ".", "-"):
        assert any(sign in d for d in defaults), sign
    assert any("_" in s.name.split(".")[1] for s in made) or any("._" in s.name for s in made)
    for s in made[:50]:
        assert all(f"{p}={d}" in s.text() for p, d in s.defaults.items())


def test_a_changed_signature_differs_in_one_default():
    rng = random.Random(3)
    old = next(
        s
        for s in (signatures.signature(rng, "a.b", ["x", "yy"], 9) for _ in range(50))
        if s.defaults
    )
    new, parameter = signatures.changed(rng, old)
    assert [p for p in old.defaults if old.defaults[p] != new.defaults[p]] == [parameter]


def test_values_are_cut_the_same_wherever_they_stand(tokenizer):
    def pieces(text):
        return tokenizer.encode(text, add_special_tokens=False).tokens

    for value in ("'auto'", "1e-03", "100", "(0, 1)", "-1"):
        after_sign = pieces(f"x={value},")
        answered = pieces(f" {value}")
        inner = [t.lstrip("Ġ") for t in answered if t != "Ġ"]
        assert "".join(inner) in "".join(t.lstrip("Ġ") for t in after_sign)
    assert pieces(" 2024") == ["Ġ", "2", "0", "2", "4"]


def test_text_survives_the_tokenizer(tokenizer):
    for text in ("Größe é 漢字 \t x", "sklearn.svm.SVC(C=1.0, kernel='rbf')", " [1] Tarmo"):
        assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False).ids) == text


def test_the_start_is_added_and_the_end_is_not(tokenizer):
    ids = tokenizer.encode("Hello").ids
    assert tokenizer.id_to_token(ids[0]) == lessons.BOS
    assert tokenizer.id_to_token(ids[-1]) != lessons.EOS


def test_rows_hold_whole_lessons_and_mark_what_is_taught(tokenizer):
    ids, taught = tokens.batch(tokenizer, lambda rng: lessons.lesson(rng, 0.2), "k", 6, 320)
    again, _ = tokens.batch(tokenizer, lambda rng: lessons.lesson(rng, 0.2), "k", 6, 320)
    assert (ids == again).all() and ids.shape == taught.shape == (6, 320)
    for row, marks in zip(ids, taught, strict=True):
        used = row[marks >= 0]
        text = tokenizer.decode(used.tolist(), skip_special_tokens=False)
        assert text.startswith(lessons.BOS) and text.endswith(lessons.EOS)
        assert (row[marks < 0] == tokenizer.token_to_id(lessons.PAD)).all()
    assert 0 < (taught >= 1).mean() < np.mean(taught >= 0) <= 1
    numbered = {tokenizer.id_to_token(int(i)) for i in ids[taught == 2]}
    assert numbered and numbered <= set("0123456789")


def test_the_resident_world_shows_popular_subjects_more_often():
    rng, at = random.Random(3), lessons.level(1.0)
    told = "".join(whole(lessons.resident(rng, at)) for _ in range(1500))
    seen = [told.count(lessons.RESIDENT.name_of(n)) for n in range(lessons.RESIDENT.subjects)]
    head, middle, tail = sum(seen[:60]) / 60, sum(seen[60:240]) / 180, sum(seen[240:]) / 360
    assert head > 3 * middle > 3 * tail > 0


def test_resident_lessons_state_the_world_and_hold_no_other_day():
    rng, at = random.Random(4), lessons.level(1.0)
    values = {f.value for f in lessons.RESIDENT.iter_facts()}
    for _ in range(200):
        said = next(text for text, taught in lessons.resident(rng, at) if taught)
        said = said.removeprefix(lessons.BOS).removesuffix(lessons.EOS).strip()
        assert said in values or any(value in said for value in values)
    assert all(f.valid_to is None for f in lessons.RESIDENT.iter_facts())
