"""What an error of the course says, in the chosen language.

The code of a lesson raises its errors in plain English, ``raise ValueError(f"mask: row {row} is all padding")``, and
stays as short as that. Where a notebook shows an error, ``said`` finds the statement that raised it, looks up its text,
"mask: row {row} is all padding", in the catalogs, and fills in what the English sentence has in its gaps. A gap may
hold a clause that the statement has chosen, or had a function of its file say: ``clauses_in``.
"""

import ast
import functools
import re
import sys
from pathlib import Path

from common import language

ROOT = Path(__file__).resolve().parents[2]


def said(error):
    """Return what an exception says, in the chosen language; English, where there is no translation."""
    english = error.args[0] if error.args and isinstance(error.args[0], str) else str(error)
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if language.language() == language.ENGLISH or trace is None:
        return english
    path = Path(trace.tb_frame.f_code.co_filename)
    in_course = path.is_relative_to(ROOT) and path.is_file()
    for first, last, text, pattern in raised_in(path) if in_course else ():
        gaps = pattern.fullmatch(english) if first <= trace.tb_lineno <= last else None
        if gaps:
            return _filled(text, gaps, clauses_in(path))
    return language.spoken(language.look_up(english))


def _filled(text, gaps, clauses):
    """Return a text translated, with what is in the gaps of the English one, clauses translated, too.

    Args: gaps, the match of the English text.
    """
    values = {}
    for name, value in zip(names(text), gaps.groups(), strict=True):
        inner = ((clause, pattern.fullmatch(value)) for clause, pattern in clauses)
        clause, found = next((pair for pair in inner if pair[1]), (None, None))
        values[name] = _filled(clause, found, clauses) if found else value
    return language.spoken(re.sub(r"\{([^{}]*)\}", lambda gap: values[gap[1]], language.look_up(text)))


@functools.cache
def raised_in(path):
    """Return what a file raises with a text: tuples (first line, last line, text with names in braces, its pattern)."""
    raising, functions, _ = _parsed(path)
    found = []
    for node in raising:
        made = _returned(functions[_called(node.exc)]) if _called(node.exc) in functions else [node.exc]
        texts = [_text(error.args[0]) for error in made if isinstance(error, ast.Call) and error.args]
        found += [(node.lineno, node.end_lineno, text, _pattern(text)) for text in texts if text]
    return found


@functools.cache
def clauses_in(path):
    """Return the clauses that a file puts into the gaps of what it raises: pairs (text, its pattern).

    These are words of a choice, ``{"answer" if mark else "question"}``, those that a function of the file returns,
    ``{_fault(line)}``, or a constant of it holds, ``{_ADVICE}``, those that a function that makes the error is given,
    ``raise _unknown(text, "no weekday")``, and what the file raises elsewhere: an error may name the one before it.
    """
    raising, functions, constants = _parsed(path)
    texts = [text for *_, text, _ in raised_in(path)]
    for node in (part for statement in raising for part in ast.walk(statement)):
        parts = []
        if isinstance(node, ast.IfExp):
            parts = [node.body, node.orelse]
        elif isinstance(node, ast.Name) and node.id in constants:
            parts = [constants[node.id]]
        elif isinstance(node, ast.Call) and _called(node) in functions:
            made = any(node is statement.exc for statement in raising)
            parts = node.args if made else _returned(functions[_called(node)])
        texts += filter(None, map(_text, parts))
    texts = [text for text in dict.fromkeys(texts) if re.search("[A-Za-z]{2}", re.sub(r"\{[^{}]*\}", "", text))]
    return [(text, _pattern(text)) for text in texts]


@functools.cache
def _parsed(path):
    """Return (the statements of a file that raise what they make, its functions by name, its constant
    sentences by name)."""
    module = ast.parse(Path(path).read_text(encoding="utf-8"))
    nodes = list(ast.walk(module))
    raising = [node for node in nodes if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)]
    assigned = [node for node in module.body if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)]
    functions = {node.name: node for node in nodes if isinstance(node, ast.FunctionDef)}
    constants = {node.targets[0].id: node.value for node in assigned if " " in (_text(node.value) or "")}
    return raising, functions, constants


def _called(call):
    """Return the name of the function or method that is called, None for anything else."""
    return getattr(call.func, "id", getattr(call.func, "attr", None))


def _returned(function):
    return [node.value for node in ast.walk(function) if isinstance(node, ast.Return)]


def _pattern(text):
    pieces = re.split(r"\{[^{}]*\}", text)
    return re.compile("(.*?)".join(map(re.escape, pieces)), re.DOTALL)


def names(text):
    """Return the names in the braces of a text, in order."""
    return re.findall(r"\{([^{}]*)\}", text)


def _text(node):
    """Return the text of a string or an f-string, with a name in braces for each value; None for anything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value if not set("{}") & set(node.value) else None
    if not isinstance(node, ast.JoinedStr):
        return None
    text, taken = "", []
    for part in node.values:
        if isinstance(part, ast.Constant):
            text += part.value
            continue
        source = ast.unparse(part.value)
        words = re.findall(r"\b[A-Za-z]\w*", source)  # without __name__
        name = source if re.fullmatch(r"[A-Za-z][\w.]*", source) else words[-1] if words else "value"
        while name in taken:
            name += "_"
        taken.append(name)
        text += f"{{{name}}}"
    return text if text.count("{") == len(taken) else None


def listen(on):
    """Have the notebook that runs here say errors in the chosen language, too, or no longer. Elsewhere do nothing."""
    if "IPython" not in sys.modules:
        return
    from IPython import get_ipython

    shell = get_ipython()
    if shell is not None:
        shell.set_custom_exc((Exception,) if on else (), _show if on else None)


def _show(shell, kind, error, trace, tb_offset=None):
    """Show an error as IPython does, and below it what it says in the chosen language."""
    shell.showtraceback((kind, error, trace), tb_offset=tb_offset)
    text = said(error)
    if text not in str(error):
        print(f"{kind.__name__}: {text}", file=sys.stderr)
