"""Made-up function signatures, as long and as varied as real ones, and questions about them.

No real package is read here: module and function names are put together from made-up
and common words. Real package history lives in `corpora.packages`.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache

from ragft.corpora.lexicon import words

QUESTIONS = (
    "What is the default of `{p}` in `{f}`?",
    "Which default does `{p}` have in `{f}`?",
    "In `{f}`, what is `{p}` by default?",
    "What value does `{f}` use for `{p}` if none is given?",
    "What is the default value of the parameter `{p}` of `{f}`?",
    "`{f}`: default of `{p}`?",
)

_PARTS = (
    "add alpha angle array axis backend band base batch bin block bound box buffer bundle cache "
    "cell center chain channel check class client cluster code color column config context copy "
    "core corner count cross curve cycle data date deep degree delta depth dict digit dim "
    "direction domain drop edge eigen encode engine entry epoch error event extra factor fast "
    "feature field figure file fill filter final fit flag float flow fold font format frame "
    "freq func fuse gamma gap gate gauss grad graph grid group hash head height hidden hist "
    "hole hook host image import index info init inner input inter item iter job join kernel "
    "key kind label lag lane lasso layer leaf learn left legend length level limit line linear "
    "link list load local log loop loss low map margin mark mask match max mean memory merge "
    "metric min mode model mult name nan neighbor net node noise norm null num object offset "
    "order outer output pad page pair panel param parse part path patch penalty perm pixel plot "
    "point pool pos power pre prefix prior prob proj pull push quant query queue radius random "
    "range rank rate ratio read rect reg remove repeat return ridge right robust root rotate "
    "round row rule sample scale score search seed select self series set shape share shift "
    "show shuffle sigma sign size skip slice smooth solver sort source space sparse split "
    "spread square stack start stat state step stop store strategy stream strict string style "
    "sub sum support table target task temp tensor term test text threshold tick time title tol "
    "token top total train transform tree trim tune tuple type unit update use user valid value "
    "var vector verbose version view volume warm weight width window word work write x y z zero "
    "zone"
).split()
_ENDINGS = [
    "Classifier",
    "Regressor",
    "Error",
    "Base",
    "Mixin",
    "CV",
    "Model",
    "Set",
    "Map",
    "",
    "",
]
_STRINGS = (
    "auto mean linear l1 l2 full raise warn ignore uniform best sqrt log constant euclidean "
    "outer inner left right index columns first last both none default lbfgs sag same reflect "
    "ascii utf-8 C F equal"
).split()
# Pieces of English, put together at random: real names are cut into tokens that made-up
# words of consonant and vowel never show, and a model copies only tokens it has met.
_PREFIXES = (
    "a ab ac ad af al an ap ar as be bi co com con cor de dis e ef em en ex for hy im in inter "
    "intro ir ma met micro mini mis mono multi non ob out over per poly pre pro re retro semi "
    "sub suc sup sur syn tele trans tri un under uni up"
).split()
_ROOTS = (
    "band bar ber bin cal cap cast cess chron cid claim clus cord cre crip cur dat den dict dim "
    "duc ect ent equ est fact fec fer fid fin flec flu form frac fus gen ger graph gress gul hab "
    "jec ject jun lab lec leg lig lin loc log lum man mat mens ment mer min mir mis mod mon mov "
    "mut nam nec neig nom norm not nul num oper opt ord orth pact par pat pel pend phon pli plor "
    "pon port pos prim prob puls quer quir ran rect reg rel rot rupt scrip sect sem sen sequ ser "
    "sig sim sis sol son spec sper spher stan stim stit string struc sum sup tac tain tech tem "
    "ten tern tex thes thet tim tion tol tor trac tri tru turb typ val var vec ven ver vert vid "
    "vis voc vol volv vor weigh width wis xim zer"
).split()
_SUFFIXES = (
    "able age al ance and ant ar ary ate ated ation ator ed ence ent er ers es est ette ex ian "
    "ibility ible ic ical ics ies ify ile ine ing ings ion ional ions ious is ish ism ist ity "
    "ive ivity ization ize ized izer le less ling ly ment ments ness nomial o oid on ons or ors "
    "ory ous ox s se sion sis ss t th tic tive ts ty ular ule um ure us x y"
).split()
_DOC = (
    "the a of for with to and in on from by each given all new data values input output model "
    "array compute return fit estimate apply build create draw plot convert select count sample "
    "using based along over matrix function object parameters distance linear random samples "
    "features points"
).split()


@dataclass(frozen=True, slots=True)
class Signature:
    """One made-up function or class; `defaults` maps parameters to defaults as written."""

    name: str
    required: tuple[str, ...]
    defaults: dict[str, str]
    summary: str
    star: int = -1
    """Position among the parameters before which a bare '*' stands; -1 = none."""

    def text(self) -> str:
        """Return the document: qualified name, signature, summary."""
        shown = [*self.required, *(f"{p}={d}" for p, d in self.defaults.items())]
        if 0 <= self.star < len(shown):
            shown.insert(self.star, "*")
        short = self.name.rsplit(".", 1)[1]
        return f"{self.name}\n{short}({', '.join(shown)})\n\n{self.summary}"


@cache
def _never() -> frozenset[str]:
    return frozenset(words("evaluation"))


def coined(rng: random.Random) -> str:
    """Put together a word that looks English, so that any cut into tokens turns up.

    Never a name of the worlds that are measured on.
    """
    while True:
        if rng.random() < 0.15:
            word = "".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randrange(2, 7)))
        else:
            roots = "".join(rng.choices(_ROOTS, k=rng.choice([1, 1, 1, 2])))
            before = rng.choice(_PREFIXES) if rng.random() < 0.55 else ""
            word = before + roots + (rng.choice(_SUFFIXES) if rng.random() < 0.8 else "")
        if word not in _never():
            return word


def _part(rng: random.Random) -> str:
    # Mostly what a reader has never seen: it must learn to copy, not to remember.
    draw = rng.random()
    if draw < 0.15:
        vocabulary = words("pretraining")
        return vocabulary[rng.randrange(len(vocabulary))]
    if draw < 0.4:
        return coined(rng)
    part = rng.choice(_PARTS)
    longer = part + rng.choice(_SUFFIXES)
    return longer if rng.random() < 0.25 and longer not in _never() else part


def _parameter(rng: random.Random) -> str:
    if rng.random() < 0.08:
        return rng.choice("abcdefghijklmnopqrstuvwxyzXY") + rng.choice(["", "", "", "0", "1", "2"])
    if rng.random() < 0.04:
        return f"{rng.choice('abclknpqx')}{rng.choice(['', '1', '2'])}_{_part(rng)}"
    prefix = rng.choice(["", "", "", "n_", "max_", "min_", "is_", "use_", "return_"])
    return prefix + "_".join(_part(rng) for _ in range(rng.choice([1, 1, 1, 2, 2, 3])))


def _number(rng: random.Random) -> str:
    match rng.randrange(8):
        case 0 | 1:
            return str(rng.randrange(11))
        case 2:
            return str(rng.choice([10, 20, 30, 50, 64, 100, 128, 200, 256, 500, 1000, 10000]))
        case 3:
            return str(rng.randrange(3000))
        case 4:
            usual = ["1", "5", "01", "001", "05", "9", "95", "25", str(rng.randrange(1000))]
            return f"0.{rng.choice(usual)}"
        case 5:
            return f"{rng.randrange(1, 10)}e-{rng.randrange(1, 13):02d}"
        case 6:
            return f"{rng.randrange(20)}.{rng.choice([0, 0, 5, rng.randrange(100)])}"
    return f"-{rng.randrange(1, 10)}"


def _default(rng: random.Random) -> str:
    draw = rng.random()
    if draw < 0.27:
        return "None"
    if draw < 0.43:
        return rng.choice(["True", "False"])
    if draw < 0.66:
        return _number(rng)
    if draw < 0.88:
        inner = (
            rng.choice(_STRINGS)
            if rng.random() < 0.5
            else "_".join(_part(rng) for _ in range(rng.choice([1, 1, 2, 3])))
        )
        return f"'{inner.capitalize() if rng.random() < 0.2 else inner}'"
    match rng.randrange(6):
        case 0:
            return f"({_number(rng)}, {_number(rng)})"
        case 1:
            return f"({_number(rng)},)" if rng.random() < 0.5 else "()"
        case 2:
            return rng.choice(["''", "[]", "{}", "' '", "','", "'%s'", "'.'"])
        case 3:
            return f"{_part(rng)[:3]}.{_part(rng)}{rng.choice(['', '64', '32', '()'])}"
        case 4:
            return f"['{_part(rng)}', '{_part(rng)}']"
    return f"<{_part(rng)}>" if rng.random() < 0.2 else _part(rng).upper()


def modules(rng: random.Random) -> list[str]:
    """Return a few dotted modules of one made-up package, private ones among them."""
    vocabulary = words("pretraining")
    package = rng.choice(["", "", "py", "sk"]) + vocabulary[rng.randrange(len(vocabulary))]

    def one() -> str:
        inner = [
            rng.choice(["", "", "", "_"]) + _part(rng)
            for _ in range(rng.choice([0, 0, 1, 1, 1, 2]))
        ]
        return ".".join([package, *inner])

    return [one() for _ in range(rng.choice([1, 2, 3]))]


def signature(rng: random.Random, module: str, pool: list[str], longest: int) -> Signature:
    """Draw one signature in a module; parameters come mostly from a pool shared in a package.

    Sharing the pool makes the functions beside the right one carry the same parameter
    with other defaults, which is what real packages do.
    """
    pieces = [_part(rng) for _ in range(rng.choice([1, 2, 2, 3]))]
    if rng.random() < 0.5:
        short = "".join(p.capitalize() for p in pieces) + rng.choice(_ENDINGS)
    else:
        short = "_".join(pieces)
    size = min(longest, 1 + int(rng.expovariate(1 / 7)))
    drawn = [rng.choice(pool) if rng.random() < 0.6 else _parameter(rng) for _ in range(size)]
    for place in range(1, size):  # `max_iter` beside `inner_max_iter`: look at the whole name
        if rng.random() < 0.06:
            other = rng.choice(drawn[:place])
            drawn[place] = rng.choice([f"{_part(rng)}_{other}", f"{other}_{_part(rng)}"])
    names = list(dict.fromkeys(drawn))
    required = names[: rng.choice([0, 0, 1, 1, 2])]
    defaults = {p: _default(rng) for p in names[len(required) :]}
    star = rng.randrange(len(names) + 1) if rng.random() < 0.5 else -1
    summary = _summary(rng, short, names)
    return Signature(f"{module}.{short}", tuple(required), defaults, summary, star)


def _summary(rng: random.Random, short: str, names: list[str]) -> str:
    """Write something like the first lines of a docstring, names and marks among the words."""
    sentences = []
    for _ in range(rng.choice([1, 1, 1, 2])):
        said = []
        for _ in range(rng.randrange(4, 12)):
            draw = rng.random()
            word = rng.choice(_DOC) if draw < 0.6 else coined(rng) if draw < 0.9 else _part(rng)
            draw = rng.random()
            if draw < 0.06:
                word = rng.choice(["{}, {}", "({}, {})", "{}-{}", "`{}_{}`", "{} :{}:"]).format(
                    word, coined(rng)
                )
            elif draw < 0.1:
                word = rng.choice([short, *names])
            said.append(word)
        sentences.append(" ".join(said).capitalize() + ".")
    if rng.random() < 0.3:
        sentences.append(
            rng.choice(
                [
                    "Read more in the :ref:`{0} {0} <{1}>`.",
                    ".. versionadded:: 0.{2}",
                    "See also :class:`{0}`.",
                    "For {1}, see `{0}`, e.g. {1} ({2}).",
                ]
            ).format(coined(rng).capitalize(), coined(rng), rng.randrange(40))
        )
    return " ".join(sentences) + (" …" if rng.random() < 0.4 else "")


def sibling(rng: random.Random, of: Signature) -> Signature:
    """Return a function named almost like another, with almost the same parameters.

    Real packages are full of them, and a reader that looks at the name's beginning alone
    answers from the wrong one.
    """
    module, short = of.name.rsplit(".", 1)
    extra = rng.choice([e for e in _ENDINGS if e] if short[:1].isupper() else ["_" + _part(rng)])
    other = short + extra if rng.random() < 0.6 else coined(rng).capitalize() + short
    if short[:1].islower() and not other.islower():
        other = f"{coined(rng)}_{short}"
    kept = [p for p in of.defaults if rng.random() < 0.8]
    defaults = {p: of.defaults[p] if rng.random() < 0.4 else _default(rng) for p in kept}
    defaults |= {p: _default(rng) for p in (_parameter(rng) for _ in range(rng.randrange(3)))}
    items = list(defaults.items())
    if rng.random() < 0.5:
        rng.shuffle(items)
    summary = _summary(rng, other, list(defaults) or [other])
    return Signature(f"{module}.{other}", of.required, dict(items), summary, of.star)


def changed(rng: random.Random, old: Signature) -> tuple[Signature, str]:
    """Return a later version of a signature and the parameter whose default changed."""
    parameter = rng.choice(list(old.defaults))
    new = _default(rng)
    while new == old.defaults[parameter]:
        new = _default(rng)
    defaults = {**old.defaults, parameter: new}
    return Signature(old.name, old.required, defaults, old.summary, old.star), parameter


def pool(rng: random.Random) -> list[str]:
    """Return the parameter names that a made-up package uses again and again."""
    return [_parameter(rng) for _ in range(rng.randrange(6, 25))]
