"""Signatures out of source text: what is public, under which name, with which defaults."""

from __future__ import annotations

import textwrap

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragft.corpora.signatures import DOC_CHARACTERS, Entry, public_api


def api(**modules):
    """`pkg__base` is pkg/base.py; `pkg` and `pkg__sub__init` are packages' __init__.py."""
    sources = {}
    for name, text in modules.items():
        path = name.replace("__", "/") + ("" if "__" in name else "/init")
        path = path.removesuffix("init") + "__init__" if path.endswith("/init") else path
        sources[f"{path}.py"] = textwrap.dedent(text).encode()
    found, skipped = public_api(sources)
    assert skipped == 0
    return found


def test_a_function_has_name_signature_summary_and_literal_defaults():
    found = api(
        pkg__calc='''
        import numpy as np
        @deprecate(since="1.0")
        def fit(X, y: list = None, *args, tol: float=1e-3, cv = 'warn', eps=np.finfo(1).eps,
                kind=np.float64, n=-1, pair=(1, 2), _hidden=3, step=2 * 5, **kw) -> int:
            """Fit it
            well.

            More prose.

            Parameters
            ----------
            tol : float, default=99
            """
        '''
    )
    assert found == {
        "pkg.calc.fit": Entry(
            "fit(X, y=None, *args, tol=0.001, cv='warn', eps=np.finfo(1).eps, kind=np.float64, "
            "n=-1, pair=(1, 2), _hidden=3, step=2 * 5, **kw)",
            "Fit it well. More prose.",
            {
                "y": "None",
                "tol": "0.001",
                "cv": "'warn'",
                "kind": "np.float64",
                "n": "-1",
                "pair": "(1, 2)",
                "step": "2 * 5",
            },
        )
    }


def test_positional_only_parameters_keep_their_defaults():
    (entry,) = api(pkg__a="def f(a, b=1, /, c=2, *, d, e=3): pass").values()
    assert entry.signature == "f(a, b=1, /, c=2, *, d, e=3)"
    assert entry.defaults == {"b": "1", "c": "2", "e": "3"}


def test_values_longer_than_forty_characters_are_no_facts():
    (entry,) = api(pkg__a=f"def f(a='{'x' * 38}', b='{'x' * 39}'): pass").values()
    assert list(entry.defaults) == ["a"]


def test_reexports_give_the_shortest_public_path_once():
    found = api(
        pkg="from .sub import *",
        pkg__sub__init="from ._impl import Tree as Plant, helper\nfrom .open import grow\n",
        pkg__sub___impl="class Tree:\n  def __init__(self, n=1): pass\n"
        "def helper(): pass\ndef left(): pass",
        pkg__sub__open="__all__ = ['grow']\ndef grow(a=1): pass\ndef unlisted(): pass",
    )
    assert list(found) == ["pkg.Plant", "pkg.grow", "pkg.helper"]
    assert found["pkg.Plant"].signature == "Plant(n=1)"


def test_what_a_plain_module_imports_for_itself_is_not_public_there():
    found = api(pkg__a="from .b import f", pkg__b="def f(): pass")
    assert list(found) == ["pkg.b.f"]


def test_private_names_and_private_modules_are_left_out():
    assert api(pkg___a="def f(): pass", pkg__b="def _g(): pass\nclass _C: pass") == {}


def test_definitions_inside_if_and_try_count_and_overloads_do_not():
    found = api(
        pkg__a="""
        if X:
            def f(a=1): pass
        try:
            def g(a=2): pass
        except ImportError:
            pass
        @overload
        def h(a: int = ...): ...
        @typing.overload
        def h(a: str = ...): ...
        def h(a=3): pass
        """
    )
    assert [e.defaults["a"] for e in found.values()] == ["1", "2", "3"]


def test_all_may_grow_and_a_computed_one_is_as_good_as_absent():
    source = "def f(): pass\ndef g(): pass\n"
    assert list(api(pkg=source + "__all__ = ['f']")) == ["pkg.f"]
    assert list(api(pkg=source + "__all__ = ['f']\n__all__ += ['g']")) == ["pkg.f", "pkg.g"]
    assert list(api(pkg=source + "__all__ = [n for n in dir()]")) == ["pkg.f", "pkg.g"]


@pytest.mark.parametrize(
    ("source", "signature"),
    [
        ("class C: pass", "C()"),
        ("class C(object):\n  def __new__(cls, a=1): pass", "C(a=1)"),
        ("class C(Elsewhere): pass", "C(...)"),
        ("class C(Elsewhere):\n  def __init__(self, a=1): pass", "C(a=1)"),
        ("class B:\n  def __init__(self, a=1): pass\nclass C(B): pass", "C(a=1)"),
        # A mixin without a constructor does not end the search.
        ("class M: pass\nclass B:\n  def __init__(self, a=1): pass\nclass C(M, B): pass", "C(a=1)"),
        ("class C(Generic[T]):\n  pass", "C()"),
        (
            "class B:\n  def __init__(self, a=1): pass\nclass C(six.with_metaclass(ABCMeta, B)): 0",
            "C(a=1)",
        ),
        # Python's order: B comes before the Root that it shares with the mixin M.
        (
            "class Root:\n  def __init__(self): pass\nclass M(Root): pass\nclass B(Root):\n"
            "  def __init__(self, a=1): pass\nclass C(M, B): pass",
            "C(a=1)",
        ),
        ("class C(D): pass\nclass D(C): pass", "C(...)"),
        ("def B(): pass\nclass C(B): pass", "C(...)"),
        ("@dataclass\nclass C:\n  a: int\n  b: int = 2\n  K: ClassVar[int] = 1", "C(*, a, b=2)"),
        (
            "@dataclasses.dataclass(frozen=True)\nclass C:\n  a: int = field(default=2)\n"
            "  b: list = field(default_factory=list)",
            "C(*, a=2, b=field(default_factory=list))",
        ),
        ("class C:\n  def __init__(*args, **kw): pass", "C(*args, **kw)"),
    ],
)
def test_a_class_is_represented_by_its_constructor(source, signature):
    assert api(pkg__a=source)["pkg.a.C"].signature == signature


def test_a_module_that_cannot_be_parsed_is_counted_and_the_others_are_read():
    found, skipped = public_api(
        {
            "pkg/old.py": b"print 'two'",
            "pkg/null.py": b"x = 1\0",
            "pkg/deep.py": b"x = " + b"(" * 5000,
            "pkg/good.py": b"def f(a=1): pass",
        }
    )
    assert list(found) == ["pkg.good.f"]
    assert skipped == 3


def test_circular_star_imports_end():
    found = api(pkg="from .a import *", pkg__a__init="from .. import *\ndef f(): pass")
    assert list(found) == ["pkg.f"]


@pytest.mark.parametrize(
    "header",
    ["Parameters\n----------", "Args:", "Returns:", ":param a: one", ">>> f()", "Call signature::"],
)
def test_the_docstring_ends_at_its_first_section(header):
    source = f'def f(a=1):\n  """Prose.\n\nStill prose.\n\n{header}\nx : default=3\n"""'
    assert api(pkg__a=source)["pkg.a.f"].doc == "Prose. Still prose."


def test_a_long_docstring_is_cut_at_a_word():
    doc = api(pkg__a=f'def f():\n  """{"word " * 400}"""')["pkg.a.f"].doc
    assert len(doc) <= DOC_CHARACTERS
    assert set(doc.split()) == {"word", "…"}


names = st.from_regex(r"[a-z]{1,6}", fullmatch=True).filter(
    lambda n: n not in {"as", "if", "in", "is", "or", "and", "def", "del", "for", "not", "try"}
)


@given(
    st.dictionaries(
        st.just("p_").flatmap(lambda p: names.map(p.__add__)),
        st.one_of(
            *(st.none(), st.booleans(), st.integers(-999, 999), st.text("ab'\"\\ü", max_size=6)),
            st.floats(0, 1e9, allow_nan=False),
        ),
        max_size=5,
    ),
    st.booleans(),
)
@settings(deadline=None)
def test_every_default_written_is_read(defaults, keyword_only):
    written = ", ".join(f"{name}={value!r}" for name, value in defaults.items())
    star = "*, " if keyword_only and defaults else ""
    (entry,) = api(pkg__a=f"def f({star}{written}): pass").values()
    assert list(entry.defaults) == list(defaults)
    assert [eval(v, {"__builtins__": {}}) for v in entry.defaults.values()] == [*defaults.values()]
    for name, value in entry.defaults.items():
        assert f"{name}={value}" in entry.signature
