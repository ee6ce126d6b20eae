"""The student view: a copy of `minigrad` without what an assignment asks for.

A function that is graded in the assignment or later becomes a stub, and what served only such functions goes
too: private helpers, constants, imports. What stays is copied as text and reads as it does in the library.
Everything that a library module says about the maths of its functions beyond the first paragraph (its own
docstring, their notes and examples, comments) goes where a function of it goes.
"""

import ast
import importlib.util
import io
import re
import tokenize
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest
from pathlib import Path

import minigrad

from .exercises import GRADED_IN, SECOND_IMPLEMENTATIONS

PACKAGE = "minigrad"
# What a view copies. Not all files: an editor's backup would hold the answers.
SUFFIXES = (".py", ".typed", ".csv", ".json", ".npy", ".npz", ".txt")
SECTIONS = ("Parameters", "Returns")  # what a stub's docstring keeps beside its summary

Function = ast.FunctionDef | ast.AsyncFunctionDef


def build_view(assignment: str, destination: Path) -> Path:
    """Write the student view of an assignment.

    Parameters
    ----------
    assignment : str
        ``"01_gradient_checking"``. Functions graded in it or later become stubs, earlier ones work.
    destination : Path
        Where the package goes, as ``destination/minigrad``.

    Returns
    -------
    destination : Path
        What to put on the path of whoever imports the view.

    Raises
    ------
    FileExistsError
        If there is a ``minigrad`` already: a file left from another view might hold answers.
    ValueError
        If the name of the assignment does not start with its number, or the table of graded functions names
        one that the library does not have.
    """
    target = destination / PACKAGE
    if target.exists():
        raise FileExistsError(f"{target} exists already; a view is written to a place of its own")
    for name, content in view_files(assignment).items():
        path = destination / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return destination


def view_files(assignment: str) -> dict[str, bytes]:
    """The files of the view, by path: ``"minigrad/layers/affine.py"``."""
    number = assignment_number(assignment)
    stubs = {name for name, graded in GRADED_IN.items() if assignment_number(graded) >= number}
    root = Path(minigrad.__file__).parent
    paths = {path.relative_to(root.parent).as_posix(): path for path in root.rglob("*") if path.is_file()}
    paths = {file: path for file, path in sorted(paths.items()) if path.suffix in SUFFIXES}
    modules = {
        m.name: m for m in (_Module(file, path) for file, path in paths.items() if path.suffix == ".py")
    }
    missing = [name for name in GRADED_IN if not _is_function(modules, name)]
    if missing:
        raise ValueError(f"GRADED_IN names what is not a function of the library: {', '.join(missing)}")
    kept = _kept(modules, stubs)
    texts = {module.file: _edited(module, stubs, kept).encode() for module in modules.values()}
    return {file: texts[file] if file in texts else path.read_bytes() for file, path in paths.items()}


def assignment_number(assignment: str) -> int:
    """The number that an assignment's name starts with. ValueError where there is none."""
    match = re.fullmatch(r"(\d\d)_\w+", assignment)
    if not match:
        raise ValueError(f"{assignment!r} is not the name of an assignment, such as '01_gradient_checking'")
    return int(match[1])


# -- what is defined where, and what uses what


@dataclass(frozen=True, eq=False)
class _Item:
    """Something at the top level of a module: a statement, or one name of an import."""

    module: "_Module"
    names: tuple[str, ...]  # that it binds
    statement: ast.stmt
    target: str = ""  # of an import, in full

    @property
    def private(self) -> bool:
        """Whether nobody outside the package is meant to use it."""
        names = [*self.names, *self.module.name.split(".")]
        return any(name.startswith("_") and not name.startswith("__") for name in names)

    @property
    def offered(self) -> bool:
        """Whether it stays even if nothing in the package uses it."""
        if any(name.startswith("__") for name in self.names) or not self.names:
            return True
        return isinstance(self.statement, Function | ast.ClassDef) and not self.private

    def is_stub(self, stubs: Iterable[str]) -> bool:
        """Whether it is one of these functions."""
        return isinstance(self.statement, Function) and f"{self.module.name}.{self.names[0]}" in stubs


class _Module:
    """A file of the package: its text, and what it defines."""

    def __init__(self, file: str, path: Path):
        parts = file.removesuffix(".py").split("/")
        self.file = file
        self.name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        self.package = ".".join(parts[:-1])
        self.text = path.read_text(encoding="utf-8")
        self.tree = ast.parse(self.text, file)

    @cached_property
    def items(self) -> list[_Item]:
        """Everything at the top level."""
        return [item for statement in self.tree.body for item in self._items_of(statement)]

    @cached_property
    def by_name(self) -> dict[str, list[_Item]]:
        """What binds each name."""
        found: dict[str, list[_Item]] = {}
        for item in self.items:
            for name in item.names:
                found.setdefault(name, []).append(item)
        return found

    def _items_of(self, statement: ast.stmt) -> Iterator[_Item]:
        match statement:
            case ast.Import():
                for alias in statement.names:
                    top = alias.name.partition(".")[0]
                    yield _Item(self, (alias.asname or top,), statement, alias.name if alias.asname else top)
            case ast.ImportFrom() if statement.module != "__future__":
                source = "." * statement.level + (statement.module or "")
                source = importlib.util.resolve_name(source, self.package)
                for alias in statement.names:
                    yield _Item(self, (alias.asname or alias.name,), statement, f"{source}.{alias.name}")
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield _Item(self, (statement.name,), statement)
            case ast.Assign() | ast.AnnAssign():
                nodes = (node for node in ast.walk(statement) if isinstance(node, ast.Name))
                yield _Item(self, tuple(n.id for n in nodes if isinstance(n.ctx, ast.Store)), statement)
            case _:
                yield _Item(self, (), statement)


def _is_function(modules: Mapping[str, _Module], name: str) -> bool:
    module, _, function = name.rpartition(".")
    found = modules[module].by_name.get(function, []) if module in modules else []
    return len(found) == 1 and isinstance(found[0].statement, Function)


def _kept(modules: Mapping[str, _Module], stubs: set[str]) -> set[_Item]:
    """What the view keeps: what the library offers, and what that leads to once stubs lead nowhere."""
    items = [item for module in modules.values() for item in module.items]
    offered = [item for item in items if item.offered]
    used = _reach(modules, offered, set())
    # A public constant or import that nothing in the library uses is there for somebody outside.
    outside = [item for item in items if item not in used and not item.private]
    return _reach(modules, offered + outside, stubs)


def _reach(modules: Mapping[str, _Module], start: Iterable[_Item], stubs: set[str]) -> set[_Item]:
    """All that these items use, directly or not."""
    found: set[_Item] = set()
    left = list(start)
    while left:
        item = left.pop()
        if item not in found:
            found.add(item)
            left += _uses(modules, item, stubs)
    return found


def _uses(modules: Mapping[str, _Module], item: _Item, stubs: set[str]) -> Iterator[_Item]:
    """The items whose names occur in an item; in a stub, only those in its signature."""
    if item.target:
        yield from _look_up(modules, item.target)
        return
    statement = item.statement
    parts: list[ast.AST] = [statement]
    if isinstance(statement, Function) and item.is_stub(stubs):
        parts = [statement.args, *([statement.returns] if statement.returns else [])]
    by_name = item.module.by_name
    for node in (node for part in parts for node in ast.walk(part)):
        match node:
            case ast.Name(id=name):
                yield from by_name.get(name, ())
            case ast.Constant(value=str() as name):  # in __all__, or an annotation in quotes
                yield from by_name.get(name, ())
            case ast.Attribute():
                base, _, rest = ast.unparse(node).partition(".")
                for imported in by_name.get(base, ()):
                    if imported.target:
                        yield from _look_up(modules, f"{imported.target}.{rest}")


def _look_up(modules: Mapping[str, _Module], name: str) -> list[_Item]:
    """What a full dotted name means, if it is a name of this package."""
    parts = name.split(".")
    for i in range(len(parts) - 1, 0, -1):
        module = modules.get(".".join(parts[:i]))
        if module:
            return module.by_name.get(parts[i], [])
    return []


# -- editing


def _edited(module: _Module, stubs: set[str], kept: set[_Item]) -> str:
    """The text of a module in the view."""
    lines = module.text.split("\n")  # as the parser counts them; splitlines knows more separators
    edits = list(_edits(module, lines, stubs, kept))
    if not edits:
        return module.text
    first = module.tree.body[0]
    docstring = ast.get_docstring(module.tree)
    if docstring:
        edits.insert(0, (first.lineno, first.end_lineno or 0, _quoted(docstring.partition("\n\n")[0])))
    for start, end, new in reversed(edits):
        lines[start - 1 : end] = new
        if not new:  # of the blank lines above and below, leave as many as there were on one side
            above, below = _blank(reversed(lines[: start - 1])), _blank(lines[start - 1 :])
            del lines[start - 1 : start - 1 + min(above, below)]
    text = "\n".join(lines).rstrip() + "\n"
    compile(text, module.file, "exec", dont_inherit=True)
    return text


def _edits(
    module: _Module, lines: list[str], stubs: set[str], kept: set[_Item]
) -> Iterator[tuple[int, int, list[str]]]:
    """Ranges of lines, from the first to the last, and what to write in their place."""
    for statement, following in zip_longest(module.tree.body, module.tree.body[1:]):
        items = [item for item in module.items if item.statement is statement]
        staying = [item for item in items if item in kept]
        start, end = _extent(lines, statement, following)
        if isinstance(statement, Function) and items[0].is_stub(stubs):
            yield start, end, _stub(lines, statement, f"{module.name}.{statement.name}")
        elif not staying:
            yield start, end, []
        elif isinstance(statement, ast.Import | ast.ImportFrom) and len(staying) < len(items):
            aliases = [a for item, a in zip(items, statement.names, strict=True) if item in kept]
            if isinstance(statement, ast.Import):
                reduced: ast.stmt = ast.Import(aliases)
            else:
                reduced = ast.ImportFrom(statement.module, aliases, statement.level)
            yield statement.lineno, end, [ast.unparse(reduced)]


def _extent(lines: list[str], statement: ast.stmt, following: ast.stmt | None) -> tuple[int, int]:
    """First and last line of a statement, with the comments and the string that belong to it."""
    start = min([statement.lineno, *(d.lineno for d in getattr(statement, "decorator_list", ()))])
    while start > 1 and lines[start - 2].startswith("#"):
        start -= 1
    end = statement.end_lineno or statement.lineno
    match statement, following:
        case ((ast.Assign() | ast.AnnAssign()), ast.Expr(value=ast.Constant(value=str()))):
            end = following.end_lineno or end
    # Comments at the end of a body are no part of the syntax tree.
    for i, line in enumerate(lines[end:], end + 1):
        if re.match(r"\s+#", line):
            end = i
        elif line.strip():
            break
    return start, end


def _stub(lines: list[str], function: Function, name: str) -> list[str]:
    first = SECOND_IMPLEMENTATIONS.get(name)
    subject = f"{function.name} would give away {first}, which is" if first else f"{function.name} is"
    message = f"{subject} yours to write, in assignment {GRADED_IN[name]}"
    docstring = ast.get_docstring(function)
    return [
        *_signature(lines[function.lineno - 1 : function.end_lineno]),
        *(_quoted(_shortened(docstring), "    ") if docstring else []),
        f'    raise NotImplementedError("{message}")',
    ]


def _signature(lines: list[str]) -> list[str]:
    """The lines of a function up to its colon, without comments."""
    depth, left = 0, list(lines)
    for token in tokenize.generate_tokens(io.StringIO("\n".join(lines)).readline):
        row, column = token.start
        if token.type == tokenize.COMMENT:
            left[row - 1] = left[row - 1][:column].rstrip()
        elif token.type == tokenize.OP:
            depth += (token.string in "([{") - (token.string in ")]}")
            if token.string == ":" and depth == 0:
                left[row - 1] = left[row - 1][: column + 1]
                return [line for line in left[:row] if line]
    raise ValueError(f"no function begins at {lines[0]!r}")


def _shortened(docstring: str) -> str:
    """What it is, and the sections that say what goes in and out; after a colon may stand how it is done."""
    summary, *rest = re.split(r"\n+(?=\w[\w ]*\n-+\n)", docstring)
    sections = [section.rstrip() for section in rest if section.partition("\n")[0] in SECTIONS]
    what = re.split(r":\s", summary.partition("\n\n")[0])[0].rstrip(".")
    return "\n\n".join([f"{what}.", *sections])


def _quoted(docstring: str, indent: str = "") -> list[str]:
    """A docstring as lines of source."""
    prefix = "r" if "\\" in docstring else ""
    first, *rest = f'{prefix}"""{docstring}'.split("\n")
    if not rest:
        return [f'{indent}{first}"""']
    return [f"{indent}{line}" if line else "" for line in (first, *rest, '"""')]


def _blank(lines: Iterable[str]) -> int:
    """How many blank lines come first."""
    count = 0
    for line in lines:
        if line.strip():
            break
        count += 1
    return count
