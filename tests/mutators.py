"""Mutants: source code with one operator, constant, slice, argument or statement changed.

``tests/mutation.py`` breaks the library with them, ``tests/exercise_mutation.py`` the answers to the exercises.
"""

import ast
import functools
import re

OPERATORS = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.And: ast.Or,
    ast.Or: ast.And,
}
COMPARISONS = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
FUNCTIONS = {  # called by the name on the left, call the one on the right instead
    "add": "subtract",
    "subtract": "add",
    "multiply": "divide",
    "divide": "multiply",
    "maximum": "minimum",
    "max": "min",
    "min": "max",
    "argmax": "argmin",
    "sum": "mean",
    "mean": "sum",
    "zeros": "ones",
    "zeros_like": "ones_like",
    "ones": "zeros",
    "tanh": "sin",
    "exp": "expm1",
    "log": "log1p",
    "any": "all",
    "all": "any",
}
# Calls that may be replaced by their first argument, or by the array whose method they are.
DROPPABLE = {"copy", "abs", "reversed", "list", "transpose", "swapaxes", "cast", "softmax", "sigmoid", "negative"}


class Mutant:
    """One change: its file, place (a function or class) and line, what it turns into what, how to make and undo it.

    reason: why the mutant is known to change nothing, or None.
    """

    def __init__(self, file, place, line, change, make, undo):
        self.file, self.place, self.line, self.change = file, place, line, change
        self.make, self.undo = make, undo
        self.reason = None

    def __str__(self):
        return f"{self.file}:{self.line} {self.place}: {self.change}"

    def source(self):
        """Return the changed source."""
        source = ast.unparse(self.make())
        self.undo()
        return source


# --- making mutants ----------------------------------------------------------------------------------------


def changed_expressions(node):
    """Yield everything that the expression ``node`` may be replaced by."""
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
        yield ast.BinOp(node.left, OPERATORS[type(node.op)](), node.right)
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult):
        yield ast.BinOp(node.right, node.op, node.left)
    elif isinstance(node, ast.BoolOp):
        yield ast.BoolOp(OPERATORS[type(node.op)](), node.values)
    elif isinstance(node, ast.UnaryOp):
        yield node.operand
    elif isinstance(node, ast.Compare):
        for k, op in enumerate(node.ops):
            for other in COMPARISONS[type(op)]:
                yield ast.Compare(node.left, [*node.ops[:k], other(), *node.ops[k + 1 :]], node.comparators)
    elif isinstance(node, ast.IfExp):
        yield ast.IfExp(ast.UnaryOp(ast.Not(), node.test), node.body, node.orelse)
    elif isinstance(node, ast.Constant):
        if isinstance(node.value, bool):
            yield ast.Constant(not node.value)
        elif isinstance(node.value, int | float):
            yield ast.Constant(node.value + 1)
            if node.value:
                yield ast.Constant(node.value - 1)
    elif isinstance(node, ast.Slice):
        for bound in ("lower", "upper", "step"):
            if getattr(node, bound) is not None:
                yield ast.Slice(**{b: None if b == bound else getattr(node, b) for b in ("lower", "upper", "step")})
    elif isinstance(node, ast.Tuple) and len(node.elts) > 1 and one_line(node.elts[0]) != one_line(node.elts[1]):
        yield ast.Tuple([node.elts[1], node.elts[0], *node.elts[2:]], node.ctx)
    elif isinstance(node, ast.Attribute) and node.attr == "T":
        yield node.value
    elif isinstance(node, ast.Call):
        yield from changed_calls(node)


def changed_calls(node):
    """Yield the changes of a call: another function, an argument less, two exchanged, or no call at all."""
    function, args, keywords = node.func, node.args, node.keywords
    is_attribute = isinstance(function, ast.Attribute)
    name = function.attr if is_attribute else getattr(function, "id", "")
    if is_attribute and name in FUNCTIONS:
        yield ast.Call(ast.Attribute(function.value, FUNCTIONS[name], ast.Load()), args, keywords)
    if name in DROPPABLE:
        is_method = is_attribute and getattr(function.value, "id", "") != "np"
        yield function.value if is_method else args[-1] if name == "cast" and len(args) == 1 else args[0]
    for k in range(len(keywords)):
        if keywords[k].arg == "strict":
            continue  # of zip: the lists are parallel by contract
        yield ast.Call(function, args, keywords[:k] + keywords[k + 1 :])
    if len(args) > 1 and name not in ("zip", "maximum", "minimum", "getattr", "multiply"):
        yield ast.Call(function, [args[1], args[0], *args[2:]], keywords)


def changed_statements(node):
    """Yield everything that the statement ``node`` may be replaced by."""
    if isinstance(node, ast.Assign | ast.AugAssign | ast.Expr | ast.Raise):
        yield ast.Pass()
    if isinstance(node, ast.AugAssign):
        yield ast.Assign([node.target], node.value)
        if type(node.op) in OPERATORS:
            yield ast.AugAssign(node.target, OPERATORS[type(node.op)](), node.value)
    if isinstance(node, ast.Return) and node.value is not None and ast.unparse(node.value) != "None":
        yield ast.Return(ast.Constant(None))
    if isinstance(node, ast.If):
        yield ast.If(ast.UnaryOp(ast.Not(), node.test), node.body, node.orelse)


def is_docstring(node):
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def children(node):
    """Yield (field, index or None, child) for all AST nodes right below ``node``."""
    for field, value in ast.iter_fields(node):
        if isinstance(value, ast.AST):
            yield field, None, value
        elif isinstance(value, list):
            yield from ((field, k, v) for k, v in enumerate(value) if isinstance(v, ast.AST))


def spots(node, place="module", statement=None):
    """Yield (parent, field, index, node, place, statement) for everything in the module that may be changed."""
    for field, k, child in children(node):
        if is_docstring(child) or isinstance(child, ast.Import | ast.ImportFrom | ast.JoinedStr):
            continue
        if field in ("decorator_list", "bases", "returns", "annotation"):
            continue
        if isinstance(node, ast.Raise):
            continue  # the tests compare messages; here only the whole statement is taken away
        if isinstance(child, ast.Assign) and ast.unparse(child.targets[0]) == "__all__":
            continue
        if isinstance(node, ast.keyword) and node.arg == "strict":
            continue
        inner = place
        if isinstance(child, ast.ClassDef | ast.FunctionDef):
            inner = child.name if place == "module" else f"{place}.{child.name}"
        current = child if isinstance(child, ast.stmt) else statement
        yield node, field, k, child, inner, current
        is_size = isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "reshape"
        if not (is_size and isinstance(child, ast.UnaryOp)):  # reshape reads -2 as it reads -1
            yield from spots(child, inner, current)


def one_line(node):
    """The source of a statement, only its first line where it has a body."""
    return ast.unparse(node).splitlines()[0]


def put(parent, field, k, node):
    """Put ``node`` into the place of a tree that ``children`` describes."""
    if k is None:
        setattr(parent, field, node)
    else:
        getattr(parent, field)[k] = node


def mutants(source, file="", more=None):
    """Return all mutants of a source. They share one tree, so only one of them can be made at a time.

    Args: file, that the mutants say they are in; more, given the tree, returns a function that yields what else an
    expression may be replaced by.
    """
    tree = ast.parse(source)
    changes = [changed_statements, changed_expressions, *([more(tree)] if more else [])]
    found = {}
    for parent, field, k, node, place, statement in spots(tree):
        before = one_line(statement)
        value = getattr(statement, "value", None)
        if isinstance(node, ast.Tuple) and isinstance(value, ast.Tuple) and len({one_line(e) for e in value.elts}) == 1:
            continue  # a, b = None, None
        for new in (new for change in changes for new in change(node)):
            ast.copy_location(new, node)
            put(parent, field, k, new)
            after = "(deleted)" if isinstance(new, ast.Pass) else one_line(new if node is statement else statement)
            put(parent, field, k, node)
            if after != before:
                make = functools.partial(make_mutant, tree, parent, field, k, new)
                undo = functools.partial(put, parent, field, k, node)
                mutant = Mutant(file, place, statement.lineno, f"{before}  ->  {after}", make, undo)
                found.setdefault(str(mutant), mutant)
    return list(found.values())


def make_mutant(tree, parent, field, k, new):
    """Change the tree and return it."""
    put(parent, field, k, new)
    return ast.fix_missing_locations(tree)


# --- what people write in answers --------------------------------------------------------------------------

SIZE = re.compile(r"[A-Z](_[a-z]+)?")  # N, T, H, T_dec
REDUCTIONS = {"sum", "mean", "max", "min", "any", "all"}
MORE_COMPARISONS = {ast.Eq: (ast.LtE, ast.GtE), ast.NotEq: (ast.Lt, ast.Gt)}


def slips(tree):
    """Return a function that yields the slips that are typical for an answer, for an expression of the tree.

    An operand, a function or a sum is left out; the mean or the first number stands in for the largest, one size for
    another, a neighbor for the element that is meant; an axis is not added, or too many are removed.
    """
    other_sizes = {}
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        inside = [node for node in ast.walk(function) if isinstance(node, ast.Name)]
        names = {node.id for node in inside} | {arg.arg for arg in function.args.args}
        sizes = sorted(filter(SIZE.fullmatch, names))
        other_sizes |= {id(node): [size for size in sizes if size != node.id] for node in inside if node.id in sizes}

    def changes(node):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub | ast.Mult | ast.Div):
            yield from (node.left, node.right)
        elif isinstance(node, ast.Compare) and len(node.ops) == 1:
            for other in MORE_COMPARISONS.get(type(node.ops[0]), ()):
                yield ast.Compare(node.left, [other()], node.comparators)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield from _other_calls(node, node.func.value, node.func.attr)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            yield from (ast.Name(size, ast.Load()) for size in other_sizes.get(id(node), ()))
        elif isinstance(node, ast.Subscript):
            yield from _neighbors(node)
            yield from _other_axes(node)

    return changes


def _other_calls(node, array, name):
    """Yield what a call of a method of an array, or of a function of NumPy, is mistaken for."""
    is_function = getattr(array, "id", "") == "np"
    if is_function and name == "where" and len(node.args) == 3:
        condition, yes, no = node.args
        yield from (yes, ast.Call(node.func, [condition, no, yes], []))
    elif is_function and len(node.args) == 1 and not node.keywords:
        yield node.args[0]
    elif not is_function and name in REDUCTIONS:
        yield array
    if not is_function and name in ("max", "min"):
        yield ast.Call(ast.Attribute(array, "mean", ast.Load()), node.args, node.keywords)
        keeps = any(keyword.arg == "keepdims" for keyword in node.keywords)
        first = ast.Slice(upper=ast.Constant(1)) if keeps else ast.Constant(0)
        yield ast.Subscript(array, ast.Tuple([ast.Constant(...), first], ast.Load()), ast.Load())


def _indices(node):
    return node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]


def _with_indices(node, indices):
    one = len(indices) == 1
    return ast.Subscript(node.value, indices[0] if one else ast.Tuple(indices, ast.Load()), node.ctx)


def _neighbors(node):
    """Yield a subscript with each index or bound that is a name one lower and one higher."""
    indices = _indices(node)
    for k, index in enumerate(indices):
        for operator in (ast.Sub(), ast.Add()):
            yield from (_with_indices(node, [*indices[:k], new, *indices[k + 1 :]]) for new in _moved(index, operator))


def _moved(index, operator):
    if isinstance(index, ast.Name):
        yield ast.BinOp(index, operator, ast.Constant(1))
    elif isinstance(index, ast.Slice):
        for bound in ("lower", "upper"):
            if isinstance(getattr(index, bound), ast.Name):
                moved = ast.BinOp(getattr(index, bound), operator, ast.Constant(1))
                yield ast.Slice(**{b: moved if b == bound else getattr(index, b) for b in ("lower", "upper", "step")})


def _other_axes(node):
    """Yield a subscript without one of the axes it adds; and squeeze for one that picks element 0 along an axis."""
    indices = _indices(node)
    values = [getattr(index, "value", ...) for index in indices]
    for k, index in enumerate(indices):
        if getattr(index, "attr", "") == "newaxis" or (isinstance(index, ast.Constant) and index.value is None):
            yield _with_indices(node, [*indices[:k], *indices[k + 1 :]]) if len(indices) > 1 else node.value
    if len(indices) > 1 and 0 in values and isinstance(node.ctx, ast.Load):
        yield ast.Call(ast.Attribute(node.value, "squeeze", ast.Load()), [], [])
