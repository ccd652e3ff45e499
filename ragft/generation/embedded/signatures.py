"""Made-up function signatures, as long and as varied as real ones, and questions about them.

No real package is read here: module and function names are put together from made-up
and common words. Real package history lives in `corpora.packages`.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

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


def _part(rng: random.Random) -> str:
    # A quarter of made-up words: a reader must be able to copy what it has never seen.
    if rng.random() < 0.25:
        vocabulary = words("pretraining")
        return vocabulary[rng.randrange(len(vocabulary))]
    return rng.choice(_PARTS)


def _parameter(rng: random.Random) -> str:
    if rng.random() < 0.08:
        return rng.choice("abcdefghijklmnopqrstuvwxyzXY")
    prefix = rng.choice(["", "", "", "n_", "max_", "min_", "is_", "use_", "return_"])
    return prefix + "_".join(_part(rng) for _ in range(rng.choice([1, 1, 2, 2, 3])))


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
            for _ in range(rng.choice([0, 1, 1, 1, 2, 3]))
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
    drawn = [rng.choice(pool) if rng.random() < 0.7 else _parameter(rng) for _ in range(size)]
    names = list(dict.fromkeys(drawn))
    required = names[: rng.choice([0, 0, 1, 1, 2])]
    defaults = {p: _default(rng) for p in names[len(required) :]}
    words_ = [
        rng.choice(_DOC) if rng.random() < 0.8 else _part(rng) for _ in range(rng.randrange(4, 16))
    ]
    summary = " ".join(words_).capitalize() + "."
    star = rng.randrange(len(names) + 1) if rng.random() < 0.5 else -1
    return Signature(f"{module}.{short}", tuple(required), defaults, summary, star)


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
