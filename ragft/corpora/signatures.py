"""The public functions and classes of a package, read from its source text with `ast`.

Nothing is imported or executed. Where the source comes from lives in `corpora.wheels`; what
becomes of a signature over time lives in `corpora.packages`.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import zip_longest

DOC_CHARACTERS = 600
VALUE_CHARACTERS = 40

_SECTION = re.compile(
    r"(args|arguments|param(eter)?s|returns?|raises|yields|examples?|notes?|attributes"
    r"|call signatures?|keyword arguments)\s*::?\s*$|:(param|type|returns?|rtype|raises)\b|>>>",
    re.IGNORECASE,
)
_NO_CONSTRUCTOR = {"object", "ABC", "Generic", "Protocol"}
_UNDERLINE = re.compile(r"\s*[-=~]{3,}\s*$")


@dataclass(frozen=True, slots=True)
class Entry:
    """One public function or class: signature on one line, start of its docstring, defaults."""

    signature: str
    doc: str = ""
    defaults: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Module:
    name: str
    is_package: bool
    definitions: dict[str, ast.FunctionDef | ast.ClassDef] = field(default_factory=dict)
    imports: dict[str, tuple[str, str]] = field(default_factory=dict)
    stars: list[str] = field(default_factory=list)
    exported: set[str] | None = None


def public_api(sources: Mapping[str, bytes]) -> tuple[dict[str, Entry], int]:
    """Read the public functions and classes out of modules' source text.

    A class is represented by its constructor (its own, or the nearest inherited one within
    the package; a dataclass by its fields); other methods are left out, as are private
    names. Each definition appears once, under its shortest public path: `from .x import Y`
    in an `__init__.py` is followed, so that moves between private modules do not show.

    Parameters
    ----------
    sources : mapping of str to bytes
        Path inside the wheel ('sklearn/base.py') to source text. May be empty.

    Returns
    -------
    api : dict of str to Entry
        By qualified public name, sorted.
    skipped : int
        Modules that this Python cannot parse (syntax of another Python, broken text), and
        definitions nested too deeply to be written down.
    """
    modules, skipped = {}, 0
    for path, source in sources.items():
        tree = _parse(source)
        if tree is None:
            skipped += 1
        else:
            module = _module(path, tree)
            modules[module.name] = module
    package = _Package(modules)
    api = {}
    for path, where in package.public_paths().items():
        try:
            api[path] = package.entry(path, *where)
        except RecursionError:  # a default nested a thousand deep: no value anybody asks for
            skipped += 1
    return dict(sorted(api.items())), skipped


def _parse(source: bytes) -> ast.Module | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes in other people's code
            return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _module(path: str, tree: ast.Module) -> _Module:
    parts = path.removesuffix(".py").split("/")
    is_package = parts[-1] == "__init__"
    module = _Module(".".join(parts[:-1] if is_package else parts), is_package)
    for node in _statements(tree.body):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            if not any(_last_name(d) == "overload" for d in node.decorator_list):
                module.definitions[node.name] = node
        elif isinstance(node, ast.ImportFrom):
            _add_import(module, node)
        elif isinstance(node, ast.Assign | ast.AugAssign):
            _add_exported(module, node)
    return module


def _statements(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield statements at module level, those inside `if` and `try` included."""
    for node in body:
        yield node
        if isinstance(node, ast.If | ast.Try):
            yield from _statements(node.body)
            for handler in getattr(node, "handlers", ()):
                yield from _statements(handler.body)
            yield from _statements(node.orelse)


def _add_import(module: _Module, node: ast.ImportFrom) -> None:
    parts = module.name.split(".") if node.level else []
    up = node.level - module.is_package
    parts = parts[: len(parts) - up] if up > 0 else parts
    target = ".".join([*parts, node.module] if node.module else parts)
    for alias in node.names:
        if alias.name == "*":
            module.stars.append(target)
        else:
            module.imports[alias.asname or alias.name] = (target, alias.name)


def _add_exported(module: _Module, node: ast.Assign | ast.AugAssign) -> None:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    if not any(isinstance(t, ast.Name) and t.id == "__all__" for t in targets):
        return
    try:
        names = {str(name) for name in ast.literal_eval(node.value)}
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return  # computed: as good as absent
    module.exported = names if isinstance(node, ast.Assign) else names | (module.exported or set())


def _last_name(node: ast.expr) -> str:
    node = node.func if isinstance(node, ast.Call) else node
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


class _Package:
    """Modules that import from each other."""

    def __init__(self, modules: Mapping[str, _Module]) -> None:
        self.modules = modules
        self._names: dict[str, set[str]] = {}

    def names(self, module: str, seen: frozenset[str] = frozenset()) -> set[str]:
        """Public names that a module offers, re-exports included."""
        if module in self._names:
            return self._names[module]
        found = self.modules.get(module)
        if found is None or module in seen:
            return set()
        if found.exported:
            return found.exported
        names = {*found.definitions, *found.imports}
        for star in found.stars:
            names |= self.names(star, seen | {module})
        names = {name for name in names if not name.startswith("_")}
        if not seen:  # inside a circle of stars the answer is partial
            self._names[module] = names
        return names

    def resolve(
        self, module: str, name: str, seen: frozenset[tuple[str, str]] = frozenset()
    ) -> tuple[str, str] | None:
        """Module and name of the definition behind a name; None if it lies elsewhere."""
        found = self.modules.get(module)
        if found is None or (module, name) in seen:
            return None
        if name in found.definitions:
            return module, name
        seen |= {(module, name)}
        if name in found.imports:
            return self.resolve(*found.imports[name], seen)
        hits = (self.resolve(s, name, seen) for s in found.stars if name in self.names(s))
        return next((hit for hit in hits if hit), None)

    def public_paths(self) -> dict[str, tuple[str, str]]:
        """Shortest public path of each definition."""
        best: dict[tuple[str, str], tuple] = {}
        for module in self.modules.values():
            if any(part.startswith("_") for part in module.name.split(".")):
                continue
            # Only an __init__ re-exports: what other modules import is for their own use.
            names = self.names(module.name)
            for name in names if module.is_package else names & module.definitions.keys():
                where = None if name.startswith("_") else self.resolve(module.name, name)
                if where is None or where[1].startswith("_"):
                    continue
                path = f"{module.name}.{name}"
                foreign = not where[0].startswith(module.name)
                rank = (path.count("."), foreign, len(path), path)
                best[where] = min(best.get(where, rank), rank)
        return {rank[-1]: where for where, rank in best.items()}

    def entry(self, path: str, module: str, name: str) -> Entry:
        """Signature, docstring and defaults of a definition."""
        node = self.modules[module].definitions[name]
        short = path.rpartition(".")[2]
        doc = _summary(ast.get_docstring(node) or "")
        arguments: ast.arguments | None
        if isinstance(node, ast.ClassDef):
            arguments = self.constructor(module, name)
        else:
            arguments = _bare(node.args)
        if arguments is None:
            return Entry(f"{short}(...)", doc)
        return Entry(f"{short}({ast.unparse(arguments)})", doc, _defaults(arguments))

    def constructor(self, module: str, name: str) -> ast.arguments | None:
        """Arguments of the constructor; None where it may lie outside the package."""
        for where in self.ancestry(module, name):
            if where is None:
                return None
            node = self.modules[where[0]].definitions[where[1]]
            methods = {n.name: n for n in node.body if isinstance(n, ast.FunctionDef)}
            for method in ("__init__", "__new__"):
                if method in methods:
                    return _bare(methods[method].args, drop_first=True)
            if any(_last_name(d) == "dataclass" for d in node.decorator_list):
                return None if _bases(node) else _fields(node)
        return _bare(ast.parse("lambda: 0", mode="eval").body.args)

    def ancestry(self, module: str, name: str) -> list[tuple[str, str] | None]:
        """A class and its ancestors in order of lookup; None stands for one elsewhere.

        Depth first, each at its last place, which is Python's order wherever a mixin and a
        class share an ancestor.
        """
        found: list[tuple[str, str] | None] = []

        def visit(where: tuple[str, str] | None, above: tuple) -> None:
            found.append(where)
            node = where and self.modules[where[0]].definitions[where[1]]
            if isinstance(node, ast.ClassDef) and where not in above and len(found) < 1000:
                for base in _bases(node):
                    visit(self.resolve(where[0], _last_name(base)), (*above, where))
            elif where is not None:
                found[-1] = None  # a function that returns a class, or a circle

        visit((module, name), ())
        return list(dict.fromkeys(reversed(found)))[::-1]


def _bases(node: ast.ClassDef) -> list[ast.expr]:
    """Base classes that could have a constructor."""
    bases: list[ast.expr] = []
    for base in node.bases:
        if isinstance(base, ast.Subscript):  # Generic[T]
            base = base.value
        if _last_name(base) == "with_metaclass" and isinstance(base, ast.Call):
            bases += base.args[1:]
        else:
            bases.append(base)
    return [base for base in bases if _last_name(base) not in _NO_CONSTRUCTOR]


def _bare(arguments: ast.arguments, drop_first: bool = False) -> ast.arguments:
    """Copy without annotations (their changes are no changes of a default) and without self."""
    positional = [ast.arg(a.arg) for a in arguments.posonlyargs]
    plain = [ast.arg(a.arg) for a in arguments.args]
    if drop_first:
        (positional or plain or [None]).pop(0)
    return ast.arguments(
        posonlyargs=positional,
        args=plain,
        vararg=arguments.vararg and ast.arg(arguments.vararg.arg),
        kwonlyargs=[ast.arg(a.arg) for a in arguments.kwonlyargs],
        kw_defaults=arguments.kw_defaults,
        kwarg=arguments.kwarg and ast.arg(arguments.kwarg.arg),
        defaults=arguments.defaults[-(len(positional) + len(plain)) or len(arguments.defaults) :],
    )


def _fields(node: ast.ClassDef) -> ast.arguments:
    """Arguments of the constructor that `@dataclass` makes out of annotated fields."""
    names, defaults = [], []
    for statement in node.body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            if "ClassVar" not in ast.unparse(statement.annotation):
                names.append(ast.arg(statement.target.id))
                defaults.append(_field_default(statement.value))
    # Written as keyword-only, because there a required field may follow one with a default.
    return ast.arguments(
        posonlyargs=[], args=[], kwonlyargs=names, kw_defaults=defaults, defaults=[]
    )


def _field_default(value: ast.expr | None) -> ast.expr | None:
    if isinstance(value, ast.Call) and _last_name(value) == "field":
        given = {k.arg: k.value for k in value.keywords}
        return given.get("default", value if "default_factory" in given else None)
    return value


def _defaults(arguments: ast.arguments) -> dict[str, str]:
    """Parameters whose default is a short literal or a dotted name, as written."""
    positional = arguments.posonlyargs + arguments.args
    with_default = positional[len(positional) - len(arguments.defaults) :]
    pairs = [*zip(with_default, arguments.defaults, strict=True)]
    pairs += [*zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)]
    found = {}
    for argument, default in pairs:
        if default is not None and not argument.arg.startswith("_") and _is_literal(default):
            text = ast.unparse(default)
            if len(text) <= VALUE_CHARACTERS:
                found[argument.arg] = text
    return found


def _is_literal(node: ast.expr) -> bool:
    allowed = (
        *(ast.Constant, ast.Name, ast.Attribute, ast.Tuple, ast.List, ast.Set, ast.Dict),
        *(ast.UnaryOp, ast.BinOp, ast.operator, ast.unaryop, ast.expr_context),
    )
    return all(isinstance(part, allowed) for part in ast.walk(node))


def _summary(doc: str) -> str:
    """Return the docstring before its first section, on one line, cut at a word.

    The sections ('Parameters', ...) repeat defaults and are often out of date; without
    them the signature is the one source of truth.
    """
    lines = doc.splitlines()
    kept = []
    for line, following in zip_longest(lines, lines[1:], fillvalue=""):
        if _SECTION.match(line.strip()) or (line.strip() and _UNDERLINE.match(following)):
            break
        kept.append(line)
    text = " ".join(" ".join(kept).split())
    if len(text) <= DOC_CHARACTERS:
        return text
    return text[: DOC_CHARACTERS - 3].rpartition(" ")[0] + " …"
