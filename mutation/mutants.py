"""One-line mutations of a module: what could be wrong in it, one thing at a time."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

_SWAPPED: dict[type[ast.AST], type[Any]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
# What is told to people, and what only makes sure: no test should hang on it.
_TELLING = frozenset({"report", "tracked", "info", "warning", "debug", "log", "FileError", "ConfigError", "DataError"})
_SAFEGUARDS = frozenset({"encoding", "strict", "newline", "indent", "requires_grad", "desc", "device", "dtype"})


_LEFT_ALONE = (ast.Import, ast.ImportFrom, ast.Raise, ast.Assert, ast.JoinedStr)


@dataclass(frozen=True)
class Mutant:
    """A module with one thing changed.

    Attributes:
        module: File of the module.
        line: Where it is changed.
        statement: Lines of the statement that is changed; of one with a body, those before it.
        change: What is changed into what.
        source: The changed module.
    """

    module: Path
    line: int
    statement: range
    change: str
    source: str


def mutants_of(module: Path) -> Iterator[Mutant]:
    """All mutants of a module, each with one change.

    Operators are swapped, numbers and truth values changed, conditions turned round, keyword arguments left out, and
    statements that only call or add up dropped. Docstrings, annotations, decorators and messages stay as they are.
    """
    source = module.read_text(encoding="utf-8")
    for wanted in count():
        mutator = _Mutator(wanted)
        tree = mutator.visit(ast.parse(source))
        if mutator.made is None:
            return
        line, statement, change = mutator.made
        yield Mutant(module, line, statement, change, ast.unparse(ast.fix_missing_locations(tree)))


class _Mutator(ast.NodeTransformer):
    """Makes one of the possible changes of a module, by its number."""

    def __init__(self, wanted: int) -> None:
        self.wanted = wanted
        self.seen = 0
        self.made: tuple[int, range, str] | None = None
        self.statement = range(0)

    def visit(self, node: ast.AST) -> Any:
        """Visit a node, and note the lines of the statement that it belongs to."""
        if isinstance(node, _LEFT_ALONE):
            return node
        outer = self.statement
        if isinstance(node, ast.stmt):
            body = getattr(node, "body", None)
            self.statement = range(node.lineno, body[0].lineno if body else (node.end_lineno or node.lineno) + 1)
        try:
            return super().visit(node)
        finally:
            self.statement = outer

    def _offer(self, node: Any, changed: Any) -> Any:
        """The changed node if it is this change's turn, else the node."""
        self.seen += 1
        if self.seen - 1 != self.wanted:
            return node
        texts = (" ".join(ast.unparse(one).split())[:100] for one in (node, ast.fix_missing_locations(changed)))
        self.made = node.lineno, self.statement, "  ->  ".join(texts)
        return changed

    def visit_FunctionDef(self, node: ast.FunctionDef) -> Any:
        node.args.defaults = [self.visit(default) for default in node.args.defaults]
        node.body = self._statements(node.body)
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> Any:
        node.body = self._statements(node.body)
        return node

    def _statements(self, body: list[ast.stmt]) -> list[ast.stmt]:
        return [self.visit(statement) for statement in body]

    def visit_AnnAssign(self, node: ast.AnnAssign) -> Any:
        node.value = node.value and self.visit(node.value)
        return node

    def visit_If(self, node: ast.If) -> Any:
        if ast.unparse(node.test) == "TYPE_CHECKING":
            return node
        self.generic_visit(node)
        return self._offer_condition(node)

    def visit_IfExp(self, node: ast.IfExp) -> Any:
        self.generic_visit(node)
        return self._offer_condition(node)

    def _offer_condition(self, node: Any) -> Any:
        """Turns a condition round that is no comparison: those are changed themselves."""
        if not isinstance(node.test, ast.Compare | ast.BoolOp):
            turned = ast.UnaryOp(ast.Not(), node.test)
            node.test = self._offer(node.test, ast.copy_location(turned, node.test))
        return node

    def visit_Compare(self, node: ast.Compare) -> Any:
        self.generic_visit(node)
        swapped = _SWAPPED.get(type(node.ops[0]))
        if not swapped:
            return node
        return self._offer(
            node, ast.copy_location(ast.Compare(node.left, [swapped(), *node.ops[1:]], node.comparators), node)
        )

    def visit_BoolOp(self, node: ast.BoolOp) -> Any:
        self.generic_visit(node)
        return self._offer(node, ast.copy_location(ast.BoolOp(_SWAPPED[type(node.op)](), node.values), node))

    def visit_BinOp(self, node: ast.BinOp) -> Any:
        self.generic_visit(node)
        swapped = _SWAPPED.get(type(node.op))
        if not swapped or (isinstance(node.left, ast.Constant | ast.JoinedStr) and not _is_number(node.left)):
            return node
        return self._offer(node, ast.copy_location(ast.BinOp(node.left, swapped(), node.right), node))

    def visit_UnaryOp(self, node: ast.UnaryOp) -> Any:
        self.generic_visit(node)
        return self._offer(node, node.operand)

    def visit_Constant(self, node: ast.Constant) -> Any:
        if isinstance(node.value, bool):
            return self._offer(node, ast.copy_location(ast.Constant(not node.value), node))
        if _is_number(node):
            changed = node.value + 1 if isinstance(node.value, int) else 2 * node.value or 1.0  # type: ignore[operator]
            return self._offer(node, ast.copy_location(ast.Constant(changed), node))
        return node

    def visit_Call(self, node: ast.Call) -> Any:
        if _name(node.func) in _TELLING:
            return node
        node.func = self.visit(node.func)
        node.args = [self.visit(argument) for argument in node.args]
        for keyword in node.keywords:
            if keyword.arg not in _SAFEGUARDS:
                keyword.value = self.visit(keyword.value)
        for keyword in node.keywords:
            if keyword.arg is not None and keyword.arg not in _SAFEGUARDS:
                others = [other for other in node.keywords if other is not keyword]
                changed = self._offer(node, ast.copy_location(ast.Call(node.func, node.args, others), node))
                if changed is not node:
                    return changed
        return node

    def visit_Expr(self, node: ast.Expr) -> Any:
        if not isinstance(node.value, ast.Call) or _name(node.value.func) in _TELLING:
            return node  # docstrings, yields
        self.generic_visit(node)
        return self._offer(node, ast.copy_location(ast.Pass(), node))

    def visit_AugAssign(self, node: ast.AugAssign) -> Any:
        self.generic_visit(node)
        return self._offer(node, ast.copy_location(ast.Pass(), node))


def _is_number(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool)


def _name(function: ast.expr) -> str:
    """Last part of a function's name."""
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
