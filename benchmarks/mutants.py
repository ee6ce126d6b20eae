"""Small changes to the source of a function, each of which a student might have made: one change, one mutant.

Operators, comparisons, constants, axes, dropped terms and swapped arguments. What only refuses bad input is left
alone (an `if` that raises, the text of an error), because no check asks for it.
"""

from __future__ import annotations

import ast
import copy
import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

SWAPPED = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.And: ast.Or,
    ast.Or: ast.And,
}
TURNED = {ast.Lt: ast.Gt, ast.Gt: ast.Lt, ast.LtE: ast.GtE, ast.GtE: ast.LtE}
CALLS = {
    "sum": "mean",
    "mean": "sum",
    "max": "min",
    "min": "max",
    "maximum": "minimum",
    "sqrt": "abs",
    "exp": "expm1",
}


@dataclass(frozen=True)
class Mutant:
    """A function with one change, and what it was."""

    function: str
    line: str
    change: str
    build: Callable[[], Any]


def mutants(source: str, name: str, namespace: dict[str, Any]) -> Iterator[Mutant]:
    """All mutants of a function, and of the private functions beside it that it calls.

    Parameters
    ----------
    source : str
        Of a notebook cell or a module that defines it.
    name : str
        Of the function.
    namespace : dict
        What the source needs.

    Yields
    ------
    Mutant
        Its `build` gives the names that the changed source defines.
    """
    tree = ast.parse(source)
    bodies = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    for each in _called(name, bodies):
        for at in range(len(list(_places(bodies[each])))):
            changed = copy.deepcopy(tree)
            body = next(n for n in changed.body if isinstance(n, ast.FunctionDef) and n.name == each)
            node, apply, what = list(_places(body))[at]
            line = ast.unparse(_statement(body, node)).splitlines()[0]
            apply()
            ast.fix_missing_locations(changed)
            yield Mutant(each, line, what, functools.partial(_built, changed, namespace))


def _built(tree: ast.Module, namespace: dict[str, Any]) -> dict[str, Any]:
    changed = dict(namespace)
    exec(compile(tree, "<mutant>", "exec"), changed)
    return changed


def _called(name: str, bodies: dict[str, ast.FunctionDef]) -> list[str]:
    """The function and the private ones below it, each once."""
    found, waiting = [], [name]
    while waiting:
        this = waiting.pop(0)
        if this in found or this not in bodies:
            continue
        found.append(this)
        names = {n.id for n in ast.walk(bodies[this]) if isinstance(n, ast.Name)}
        waiting += [each for each in bodies if each in names and each.startswith("_")]
    return found


def _statement(body: ast.FunctionDef, node: ast.AST) -> ast.AST:
    """The innermost statement that holds a node."""
    holding = [s for s in ast.walk(body) if isinstance(s, ast.stmt) and any(n is node for n in ast.walk(s))]
    return holding[-1] if holding else node


def _places(body: ast.FunctionDef) -> Iterator[tuple[ast.AST, Callable[[], None], str]]:
    """Where a change can be made: the node, what makes it, and what it is called."""
    for node, parent, field, at in _nodes(body):

        def put(new: ast.AST, parent: ast.AST = parent, field: str = field, at: int | None = at) -> None:
            if at is None:
                setattr(parent, field, new)
            else:
                getattr(parent, field)[at] = new

        match node:
            case ast.BinOp(left=left, op=op, right=right):
                if type(op) in SWAPPED:
                    other = SWAPPED[type(op)]()
                    yield node, lambda n=node, o=other: setattr(n, "op", o), f"{_sign(op)} to {_sign(other)}"
                yield node, lambda n=left, put=put: put(n), f"only {ast.unparse(left)}"
                yield node, lambda n=right, put=put: put(n), f"only {ast.unparse(right)}"
                if isinstance(op, ast.Sub | ast.Div | ast.MatMult):
                    turned = ast.BinOp(right, op, left)
                    yield node, lambda n=turned, put=put: put(n), f"{ast.unparse(turned)}"
            case ast.UnaryOp(op=ast.USub() | ast.Not() | ast.Invert(), operand=operand):
                yield node, lambda n=operand, put=put: put(n), f"{ast.unparse(operand)}"
            case ast.Compare(ops=[op]):
                for table in (SWAPPED, TURNED):
                    if type(op) in table:
                        other = table[type(op)]()
                        yield (
                            node,
                            lambda n=node, o=other: setattr(n, "ops", [o]),
                            f"{_sign(op)} to {_sign(other)}",
                        )
            case ast.BoolOp(op=op):
                other = SWAPPED[type(op)]()
                yield node, lambda n=node, o=other: setattr(n, "op", o), f"{_sign(op)} to {_sign(other)}"
            case ast.Constant(value=bool() as value):
                yield node, lambda n=node, v=value: setattr(n, "value", not v), f"{value} to {not value}"
            case ast.Constant(value=int() | float() as value):
                for new in _numbers(value):
                    yield node, lambda n=node, v=new: setattr(n, "value", v), f"{value} to {new}"
            case ast.AugAssign(target=target, op=op, value=value):
                stored = ast.Assign([target], value)
                yield node, lambda n=stored, put=put: put(n), f"{_sign(op)}= to ="
            case ast.Call(func=ast.Attribute(attr=attr) as called) if attr in CALLS:
                new = CALLS[attr]
                yield node, lambda n=called, v=new: setattr(n, "attr", v), f"{attr} to {new}"
            case ast.Attribute(value=value, attr="T"):
                yield node, lambda n=value, put=put: put(n), f"{ast.unparse(value)} without .T"
            case ast.IfExp(test=_, body=one, orelse=other):
                yield node, lambda n=one, put=put: put(n), f"always {ast.unparse(one)}"
                yield node, lambda n=other, put=put: put(n), f"always {ast.unparse(other)}"


def _numbers(value: float) -> list[float]:
    found = {0: [1], 1: [0, 2], 2: [1, 3]}.get(value, [value + 1 if isinstance(value, int) else value * 2])
    return found if value else [1]


def _sign(op: ast.AST) -> str:
    name = type(op).__name__
    signs = {"Add": "+", "Sub": "-", "Mult": "*", "Div": "/", "MatMult": "@", "Lt": "<", "LtE": "<="}
    return {**signs, "Gt": ">", "GtE": ">=", "Eq": "==", "NotEq": "!="}.get(name, name.lower())


def _nodes(body: ast.FunctionDef) -> Iterator[tuple[ast.AST, ast.AST, str, int | None]]:
    """Nodes that compute something, each with where it hangs."""
    waiting: list[tuple[ast.AST, ast.AST, str, int | None]] = [
        (s, body, "body", k) for k, s in enumerate(body.body) if not _is_text(s)
    ]
    waiting += [(d, body.args, "defaults", k) for k, d in enumerate(body.args.defaults)]
    while waiting:
        here = waiting.pop(0)
        node = here[0]
        if isinstance(node, ast.Raise | ast.Assert) or (
            isinstance(node, ast.If) and all(isinstance(s, ast.Raise) for s in node.body)
        ):
            continue
        yield here
        for field, value in ast.iter_fields(node):
            if field in ("annotation", "returns", "ctx", "op", "ops"):
                continue
            if isinstance(value, ast.AST):
                waiting.append((value, node, field, None))
            elif isinstance(value, list):
                waiting += [
                    (each, node, field, k) for k, each in enumerate(value) if isinstance(each, ast.AST)
                ]


def _is_text(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
