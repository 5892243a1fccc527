"""Submissions that want points for nothing, or to do harm, or are just broken; each with the rows that it deserves.

An adversary hands in a small assignment: Exercise 8.2.2 (a function on arrays, no loops, 2 points), 8.2.7 (a bug hunt,
2 points) and 8.5.1 (two numbers, 1 point), in this order in one notebook. Most of them spoil the answer to 8.2.2, and
the two others are right: they must neither be lost nor, where they are spoiled as well, be won.

``ADVERSARIES`` is the list. ``answer`` and ``@hands_in`` add to it. ``VALUES`` holds harmless code with odd values.
Code that must not run outside of a sandbox is marked ``isolated=True``. Who looks for something that should be out of
reach answers right, and raises an error that says what was reached: such an adversary has to pass.
"""

import copy
import json
import os
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nbformat

from common.grading import cells
from common.grading.exercise import find
from common.grading.observe import observe

NAME = "ch08_02_weight_sum"
SUM, BUG, WIDTH = NUMBERS = ("8.2.2", "8.2.7", "8.5.1")
POINTS = {SUM: 2, BUG: 2, WIDTH: 1}
MARK = f"grading-adversary-{os.getpid()}"  # in the command line of every process that wants to stay
SECRET = "GRADING_TEST_SECRET"  # an environment variable of the grader's
RIGHT = 'np.einsum("nt,nth->nh", a, hs)'
WRONG = "hs.mean(axis=1)"


@dataclass(frozen=True)
class Adversary:
    """student: the name that the report shows. rows: number -> (status, points, part of the message)."""

    student: str
    build: Callable
    rows: dict
    isolated: bool = False


ADVERSARIES = []
VALUES = []
SLOW = ("partial", 1, "it handles them one by one")
PASSES = {number: ("pass", points, "") for number, points in POINTS.items()}


def lost(status, part, points=0):
    """What a row is to say: its status, points, a part of its message. Tuples hold what is as good."""
    return status, points, part


def fails(part):
    """A wrong answer."""
    return lost("fail", part)


def function(inside=f"return {RIGHT}", before="", after=""):
    """The source of an answer to 8.2.2: the function's body, and what stands before and after the function."""
    inside = textwrap.indent(textwrap.dedent(inside).strip("\n"), "    ")
    parts = [textwrap.dedent(before).strip("\n"), f"def weighted_sum(hs, a):\n{inside}", textwrap.dedent(after)]
    return "\n\n\n".join(part.strip("\n") for part in parts if part.strip())


def answer(student, source, row=PASSES[SUM], *, others=None, bug=None, width=None, isolated=False):
    """Add a student whose answer to 8.2.2 is ``source``, and the row it deserves.

    Args: others, rows of the other exercises where they differ from a pass; bug, width: the answers to those.
    """
    given = {SUM: source, BUG: bug, WIDTH: width}
    given = {number: text for number, text in given.items() if text is not None}
    rows = {**PASSES, SUM: row, **(others or {})}
    ADVERSARIES.append(
        Adversary(student, lambda school: school.hand_in(student, school.notebook(given)), rows, isolated)
    )


def value(student, source, row=PASSES[SUM]):
    """Add a student whose answer to 8.2.2 is odd in nothing but its value. Judged without a kernel, in no time."""
    VALUES.append((student, SUM, source, row))


def hands_in(student, row=PASSES[SUM], others=None, every=None, isolated=False):
    """Add a student whose hand-in a function builds: it gets the School and the student's name.

    Args: every, one row for all three exercises.
    """

    def add(build):
        rows = dict.fromkeys(NUMBERS, every) if every else {**PASSES, SUM: row, **(others or {})}
        ADVERSARIES.append(Adversary(student, lambda school: build(school, student), rows, isolated))
        return build

    return add


def assignment(*solutions):
    """Return a small solution notebook: setup, imports, and the answers and checks of NUMBERS."""
    kept = {"setup", "imports"} | {cells.cell_id(role, n) for n in NUMBERS for role in ("answer", "check")}
    small = copy.deepcopy(solutions[0])
    small.cells = [copy.deepcopy(cell) for notebook in solutions for cell in notebook.cells if cell.id in kept]
    seen = set()
    small.cells = [cell for cell in small.cells if not (cell.id in seen or seen.add(cell.id))]
    next(cell for cell in small.cells if cell.id == "imports").source = "import numpy as np"  # matplotlib takes time
    return small


class School:
    """A folder of submissions to the small assignment."""

    def __init__(self, folder, solution):
        self.folder = Path(folder)
        self.released = cells.release(solution)
        self.right = {cells.number_of(cell): cell.source for cell in solution.cells if cells.number_of(cell)}

    def notebook(self, answers=None):
        """The released notebook with right answers, but for ``answers``; {number: None} leaves one as released."""
        notebook = copy.deepcopy(self.released)
        for cell in notebook.cells:
            number = cells.number_of(cell)
            source = {**self.right, **(answers or {})}.get(number)
            if source is not None:
                plain = source.startswith(("%", cells.headline(number)))
                cell.source = source if plain else f"{cells.headline(number)}\n{source}"
        return notebook

    def hand_in(self, student, content, file=None):
        """Write a NotebookNode, a dict, a text or bytes; return the path (by default STUDENT/NAME.ipynb)."""
        path = self.folder / (file or f"{student}/{NAME}.ipynb")
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, dict):
            content = json.dumps(content)
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
        return path


def cell_of(notebook, role, number=SUM):
    """The answer or check cell of an exercise."""
    return next(cell for cell in notebook.cells if cell.get("id") == cells.cell_id(role, number))


# --- values ------------------------------------------------------------------------------------------------------

answer("wrong", function(f"return {WRONG}"), fails("plain mean"))


@hands_in("release-unchanged", others={})
def _(school, student):
    school.hand_in(student, school.released)


ADVERSARIES[-1].rows.update({n: fails("Not solved yet") for n in NUMBERS} | {BUG: fails("with the bug still in it")})


def visible():
    """An answer that is right on the inputs of ``check`` and nowhere else."""
    exercise, known = find(SUM), []
    for case in exercise.cases:
        inputs = exercise.inputs(case, 0)
        outcome = observe(*exercise.call_of(case), exercise.reference, inputs)
        known.append((inputs["a"].tolist(), outcome.values["c"].tolist()))
    return function(
        """
        for seen, c in KNOWN:
            if np.array_equal(a, seen):
                return np.array(c)
        return np.zeros((hs.shape[0], hs.shape[2]))
        """,
        before=f"KNOWN = {known!r}",
    )


answer("visible-inputs", visible(), fails("all zeros"))
answer(
    "call-counter",
    function(
        f"""
        calls.append(1)
        return {RIGHT} if len(calls) == 1 else {WRONG}
        """,
        before="calls = []",
    ),
    fails("plain mean"),
)
answer(
    "remembers-inputs",
    function(
        """
        kept.append(np.einsum("nt,nth->nh", a, hs))
        return kept[-2] if len(kept) > 1 else kept[-1] * 2
        """,
        before="kept = []",
    ),
    fails("2 times"),
)
answer("nan", function("return np.full((hs.shape[0], hs.shape[2]), np.nan)"), fails("contains nan"))
value("inf", function(f"return {RIGHT} * np.inf"), fails("contains inf"))
value("huge-numbers", function(f"return {RIGHT} * 1e308"), fails("c "))
value("tiny-numbers", function(f"return {RIGHT} * 5e-324"), fails("c "))
value("empty-array", function("return np.zeros((0, 7))"), fails("shape (0, 7)"))
value("many-axes", function(f"return ({RIGHT})[(None,) * 30]"), fails(""))
value("none", function("pass"), fails("c is None"))
value("list-in-place-of-an-array", function(f"return ({RIGHT}).tolist()"), fails("a list or tuple"))
value("generator", function(f"yield from {RIGHT}"), fails("an object of type generator"))
answer("coroutine", "async " + function(), fails("an object of type coroutine"))
answer(
    "object-array",
    function(
        """
        c = np.empty(1, dtype=object)
        c[0] = Evil()
        return c
        """,
        before=f"""
        class Evil:
            def __reduce__(self):
                return __import__("os").system, ("echo > /tmp/{MARK}",)
        """,
    ),
    fails("dtype object"),
)
value("structured-array", function('return np.zeros(3, dtype=[("x", float), ("y", "O")])'), fails("dtype"))
value("complex", function(f"return ({RIGHT}).astype(complex)"), fails("dtype complex128"))
value("long-double", function(f"return np.array({RIGHT}, dtype='O')"), fails("dtype object"))
value("strings", function(f"return ({RIGHT}).astype('U30')"), fails("dtype"))
value("times", function("return np.zeros((1, 3), dtype='M8[s]')"), fails("dtype datetime64[s]"))
value("single-precision", function(f"return ({RIGHT}).astype(np.float32)"))
value("fortran-order", function(f"return np.asfortranarray({RIGHT})[::-1][::-1]"))
value("broadcast-view", function(f"return np.broadcast_to({RIGHT}, (1, 1, hs.shape[0], hs.shape[2]))[0, 0]"))
value("masked-array", function(f"return np.ma.masked_less({RIGHT}, 0)"))
answer(
    "memory-map",
    function(
        f"""
        import tempfile
        right = {RIGHT}
        c = np.memmap(tempfile.TemporaryFile(), dtype=float, mode="w+", shape=right.shape)
        c[:] = right
        return c
        """
    ),
)
answer(
    "view-of-an-input",
    function(
        f"""
        hs[:, 0] = {RIGHT}
        return hs[:, 0]
        """
    ),
    fails("changes its input hs"),
)
answer(
    "subclass-always-equal",
    function(
        f"return ({WRONG}).view(Equal)",
        before="""
        class Equal(np.ndarray):
            def __eq__(self, other):
                return True

            def __array_ufunc__(self, *arguments, **named):
                return np.True_

            def __array_function__(self, *arguments, **named):
                return True

            def tobytes(self, order="C"):
                return b""
        """,
    ),
    lost("fail", ""),
)
value("subclass-right", function(f"return ({RIGHT}).view(Mine)", before="class Mine(np.ndarray):\n    pass"))
answer(
    "looks-like-an-array",
    function(
        "return Odd()",
        before="""
        class Odd:
            __class__ = property(lambda self: np.ndarray)
            shape, dtype, ndim = (1, 3), np.dtype(float), 2

            def __array__(self, *arguments, **named):
                raise SystemExit("no array")
        """,
    ),
    fails("an object that cannot be read"),
)
value(
    "array-protocol",
    function(
        "return Odd()",
        before="""
        class Odd:
            def __array__(self, *arguments, **named):
                return np.zeros(3)
        """,
    ),
    fails("an object of type Odd"),
)
value("list-in-itself", function("c = []\nc.append(c)\nreturn c"), fails("nested too deep"))
answer(
    "endless-list",
    function(
        "return Endless()",
        before="""
        class Endless(list):
            def __iter__(self):
                while True:
                    yield 1.0
        """,
    ),
    fails("c is a list or tuple"),
)
value("lambda", f"weighted_sum = lambda hs, a: {RIGHT}")
value("partial", f"import functools\n\nweighted_sum = functools.partial(lambda x, hs, a: {RIGHT}, 0)")
value(
    "callable-object", f"class Sum:\n    def __call__(self, hs, a):\n        return {RIGHT}\n\n\nweighted_sum = Sum()"
)
answer("no-function", "weighted_sum = 3", fails("'int' object is not callable"))
answer("other-name", function().replace("weighted_sum", "weightedsum"), lost("error", "does not define weighted_sum"))
answer("syntax-error", "def weighted_sum(hs, a)\n    return hs", lost("error", "SyntaxError"))
LOOP = "np.array([(x * b[:, None]).sum(axis=0) for x, b in zip(hs, a)])"
LOOPING = function(f"return {LOOP}").replace("weighted_sum", "rows")
answer("loop", function(f"return {LOOP}"), SLOW)
answer("loop-in-if", f"if True:\n{textwrap.indent(LOOPING, '    ')}\nweighted_sum = rows", SLOW)
answer(
    "loop-over-time",
    function("c = 0\nfor t in range(a.shape[1]):\n    c = c + hs[:, t] * a[:, t, None]\nreturn c"),
    SLOW,
)
answer(
    "loop-in-a-method",
    f"class Rows:\n    @staticmethod\n{textwrap.indent(LOOPING, '    ')}\n\n\nweighted_sum = getattr(Rows, 'rows')",
    SLOW,
)
answer("loop-in-exec", f"exec({function(f'return {LOOP}')!r})", SLOW)
answer("loop-in-starmap", function("import itertools\nreturn np.array([*itertools.starmap(np.dot, zip(a, hs))])"), SLOW)
answer(
    "loop-by-halves",
    function(
        "if len(hs) < 2:\n    return (hs * a[:, :, None]).sum(axis=1)\nk = len(hs) // 2\n"
        "return np.concatenate((weighted_sum(hs[:k], a[:k]), weighted_sum(hs[k:], a[k:])))"
    ),
    SLOW,
)
answer(
    "loop-in-a-thread",
    function(
        f"""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: {LOOP}).result()
    """
    ),
    SLOW,
)
answer(
    "loop-in-a-child-that-stays",
    function(
        f"""
        if hs.size < 10_000:
            return {LOOP}
        reading, writing = os.pipe()
        if os.fork() == 0:
            with open(writing, "wb") as file:
                file.write({LOOP}.tobytes())
            time.sleep(600)
        os.close(writing)
        with open(reading, "rb") as file:
            return np.frombuffer(file.read()).reshape(len(hs), -1)
        """,
        before="import os\nimport time",
    ),
    SLOW,
    isolated=True,
)
answer("loop-off-the-clock", function(f"return {LOOP}", before="import time\n\ntime.thread_time = lambda: 0.0"), SLOW)
answer(
    "loop-refused-for-many",
    function(f"if hs.size > 10_000:\n    raise ValueError('too many')\nreturn {LOOP}"),
    lost("partial", "For 500,000 sequences, weighted_sum raised ValueError: too many", 1),
)
answer(
    "wrong-for-many",
    function(f"if hs.size > 10_000:\n    return hs[:, 0]\nreturn {RIGHT}"),
    lost("partial", "For 500,000 sequences, the values are wrong", 1),
)
answer("variable-named-map", function("map = hs * a[:, :, None]\nreturn map.sum(axis=1)"))
answer("loop-over-few-axes", function("c = hs * a[:, :, None]\nfor axis in (1,):\n    c = c.sum(axis=axis)\nreturn c"))
answer("big-endian", function(f"return ({RIGHT}).astype('>f8')"))
answer("long-double", function(f"return ({RIGHT}).astype(np.longdouble)"))
answer("single-precision", function("return (hs.astype(np.float32) * a[:, :, None].astype(np.float32)).sum(axis=1)"))
value("text-subclass", function("return Mine()", before="class Mine(str):\n    __len__ = None"), fails("c is a string"))
answer(
    "hides-what-it-changes",
    function(
        f"c = {RIGHT}\nhs *= 2\nreturn c",
        before="np.array_equal = np.allclose = lambda *things, **named: True",
    ),
    fails("weighted_sum changes its input hs"),
)


def width(student, source, row):
    """The same for 8.5.1."""
    VALUES.append((student, WIDTH, source, row))


width("number-of-4000-digits", "def affine_shape(V, D, H):\n    return 10**4000, V", fails("of about 4,001 digits"))
width("number-of-5000-digits", "def affine_shape(V, D, H):\n    return 10**5000, V", fails(""))
width("number-is-nan", "def affine_shape(V, D, H):\n    return float('nan'), V", fails("rows is nan"))
width("number-is-true", "def affine_shape(V, D, H):\n    return True, V", fails("rows is True or False"))
width("number-is-text", "def affine_shape(V, D, H):\n    return str(2 * H), V", fails("rows is a string"))
width("number-is-an-array", "def affine_shape(V, D, H):\n    return np.array(2 * H), np.array([V])[0]", PASSES[WIDTH])
width(
    "number-always-equal",
    """
class Equal(int):
    def __eq__(self, other):
        return True

    __ge__ = __le__ = __ne__ = __sub__ = __rsub__ = lambda self, other: 0

    def __hash__(self):
        return 0

    def __int__(self):
        return 0


def affine_shape(V, D, H):
    return Equal(1), Equal(1)
""",
    fails("rows is "),
)
width(
    "text-always-equal",
    """
class Equal(str):
    def __eq__(self, other):
        return True

    def __hash__(self):
        return 0


def affine_shape(V, D, H):
    return Equal("8"), Equal("5")
""",
    fails("rows is a string"),
)

# --- errors and their texts --------------------------------------------------------------------------------------

answer(
    "error-script",
    function("raise ValueError('<script>alert(1)</script><img src=x onerror=alert(1)>')"),
    fails("<script>"),
)
answer("error-end-of-cdata", function("raise ValueError(']]>]]&gt;&<!--<![CDATA[ \"quoted\" \\'')"), fails("]]>"))
answer(
    "error-control-codes",
    function(r"raise ValueError('a\0b\x08\x1b[2J\x1b]0;title\x07\x7f\x9b31m\u202egnp.exe\u2066\ufeff\uffff end')"),
    fails("end"),
)
answer("error-half-a-letter", function(r"raise ValueError('\ud800')"), fails("surrogates not allowed"))
answer("error-formula", function("raise type('=1+1', (Exception,), {})('\"=HYPERLINK(0)')"), fails("=1+1"))
answer("error-markdown", function("raise ValueError('`a` ``` <b>b</b> ` [c](javascript:0)')"), fails("javascript:0"))
answer("error-lines", function("raise ValueError('one\\n\\r\\n\\u2028two\\x85three\\tfour')"), fails("four"))
answer(
    "error-long", function("raise ValueError('(' * 5_000_000 + 'ipykernel_' + '/a' * 5_000_000)"), fails("ValueError")
)
answer("error-of-many-paths", function("raise ValueError('ipykernel_1/' * 500)"), fails("ValueError: ipykernel_1/"))
value("error-long-name", function("raise type('E' * 1_000_000, (Exception,), {})('x')"), fails("EEEE"))
value(
    "error-without-text",
    function("raise Silent", before="class Silent(Exception):\n    def __str__(self):\n        raise self"),
    fails("cannot be read"),
)
value("error-like-a-stub", function("raise NotImplementedError('Exercise 8.2.2')"), fails("Not solved yet"))
answer("error-base", function("raise BaseException('base')"), fails("base"))
answer("error-interrupt", function("raise KeyboardInterrupt"), fails("KeyboardInterrupt"))
value(
    "error-group",
    function("raise ExceptionGroup('many', [ValueError('one'), ExceptionGroup('more', [TypeError('two')])])"),
    fails("ExceptionGroup"),
)
answer(
    "error-in-the-cell",
    function(before="raise ValueError('<script>\\0]]>')"),
    lost("error", "<script>"),
)

# --- a kernel turned inside out ----------------------------------------------------------------------------------

answer(
    "patched-asserts",
    function(
        f"return {WRONG}",
        before="""
        import unittest

        def yes(*arguments, **named):
            return True

        for name in dir(np.testing):
            if name.startswith("assert"):
                setattr(np.testing, name, yes)
        for name in "allclose array_equal isclose array_equiv isfinite".split():
            setattr(np, name, yes)
        unittest.TestCase.assertEqual = yes
        """,
    ),
    fails("plain mean"),
)
answer(
    "patched-observe",
    function(
        f"return {WRONG}",
        before="""
        import common.grading.observe as observe
        import common.grading.teacher.probe as probe

        def zeros(outcome):
            return observe.Outcome({name: np.zeros_like(value) for name, value in outcome.values.items()})

        probe.pack = lambda outcome, pack=probe.pack: pack(zeros(outcome))
        observe.unpack_inputs = probe.unpack_inputs = dict
        """,
    ),
    fails("does not give c"),
    others={BUG: fails("does not give c"), WIDTH: fails("rows is 0")},
)
answer(
    "patched-check",
    function(
        f"return {WRONG}",
        before="""
        import common.grading

        check = common.grading.check = lambda number, answer: print(f"Exercise {number} ok")
        """,
    ),
    fails("plain mean"),
)
answer(
    "patched-builtins",
    function(
        f"return {WRONG}",
        before="""
        import builtins

        builtins.isinstance = lambda thing, kind: True
        builtins.type = lambda thing, *more: float
        builtins.len = lambda thing: 1
        builtins.all = builtins.any = lambda things: True
        builtins.print = lambda *things, **named: None
        """,
    ),
    lost("timeout", ""),
    isolated=True,
)
answer(
    "patched-exec",
    function(
        before="""
        import builtins

        true = exec

        def forged(code, names, *more):
            if getattr(code, "co_filename", "") != "<check>":
                return true(code, names, *more)
            names.update(c=np.zeros((1, 3)), dhs=np.zeros((1, 3, 3)), da=np.zeros((1, 3)), rows=1, columns=1)

        builtins.exec = forged
        """,
    ),
    fails("c "),
    others={BUG: fails("c "), WIDTH: fails("rows is 1")},
)
answer(
    "patched-json",
    function(
        f"return {WRONG}",
        before="""
        import base64
        import json

        json.dumps = lambda *things, **named: "{}"
        base64.b64encode = lambda raw: b"AAAAAAAA" * (len(raw) // 6)
        """,
    ),
    lost("timeout", ""),
    isolated=True,
)
answer(
    "patched-display",
    function(
        f"return {WRONG}",
        before="""
        import IPython.core.display_functions
        import IPython.display

        def forged(*things, **named):
            print("right", things)

        display = IPython.display.display = IPython.display.publish_display_data = forged
        IPython.core.display_functions.publish_display_data = forged
        """,
    ),
    fails("no values came back"),
    others={BUG: fails("no values came back"), WIDTH: fails("no values came back")},
)
answer(
    "patched-numpy-hides-a-bug",  # what is wrong with the next exercise's class is not seen with zeros
    function(
        before="""
        true, make = np.frombuffer, np.zeros
        np.frombuffer = lambda raw, dtype=float: make(len(raw) // 8) if dtype == "float64" else true(raw, dtype=dtype)
        """,
    ),
    fails("c is all zeros"),
    bug=find(BUG).bug.source,
    others={BUG: fails("with the bug still in it")},
)
answer(
    "patched-copies",
    function(
        f"return {WRONG}",
        before="""
        np.array = np.asarray = np.zeros_like
        np.array_equal = lambda *things, **named: True
        """,
    ),
    fails("c is all zeros"),
    others={BUG: fails("c is all zeros")},
)
answer(
    "silent-errors",
    function(
        "raise ValueError('no traceback')",
        before="""
        ip = get_ipython()
        ip.showtraceback = ip.showsyntaxerror = ip._showtraceback = lambda *things, **named: None
        ip.set_custom_exc((BaseException,), lambda *things, **named: [])
        ip.run_cell_async = ip.run_cell_async
        """,
    ),
    fails("no traceback"),
)
answer(
    "silent-errors-in-the-cell",
    """
import functools

ip = get_ipython()
ip.set_custom_exc((BaseException,), lambda *things, **named: [])
ip.showtraceback = ip._showtraceback = lambda *things, **named: None
raise ValueError("silent")
""",
    lost("error", ""),
)
answer(
    "input-transformers",
    function(
        f"return {WRONG}",
        before="""
        def ok(lines):
            return ["print('Exercise 8.2.2 ok')\\n"]

        get_ipython().input_transformers_cleanup.append(ok)
        get_ipython().input_transformers_post.append(ok)
        """,
    ),
    fails("no values came back"),
    others={BUG: fails("no values came back"), WIDTH: fails("no values came back")},
)


def hidden(student, text):
    """Add a student whose answer to 8.2.7 is a text that no program reads quickly, and which the kernel never sees."""

    @hands_in(student)
    def _(school, student):
        hide = f"""
        def hide(lines):
            return RIGHT.splitlines(keepends=True) if lines[0].startswith("# Exercise {BUG}") else lines

        RIGHT = {school.right[BUG]!r}
        get_ipython().input_transformers_cleanup.insert(0, hide)
        """
        school.hand_in(student, school.notebook({SUM: function(before=hide), BUG: text}))


hidden("hides-an-endless-text", f'"{"a" * 90_000}')
hidden("hides-question-marks", "?" * 90_000)
hidden("hides-minus-signs", f"x = {'-' * 2_965}1")
hidden("hides-parentheses", f"x = {'(' * 90_000}")
answer(
    "ast-transformers",
    function(
        f"return {WRONG}",
        before="""
        import ast

        class Ok(ast.NodeTransformer):
            def visit(self, node):
                return ast.parse("print('ok')")

        get_ipython().ast_transformers.append(Ok())
        """,
    ),
    fails("no values came back"),
    others={BUG: fails("no values came back"), WIDTH: fails("no values came back")},
)
answer(
    "cell-events",
    function(
        f"return {WRONG}",
        before="""
        def again(*things):
            get_ipython().user_ns["weighted_sum"] = lambda hs, a: hs.sum(axis=1)

        get_ipython().events.register("pre_run_cell", again)
        get_ipython().events.register("pre_execute", again)
        """,
    ),
    fails("c "),
)
answer(
    "no-names",
    "%reset -f\n" + function().replace("np", "__import__('numpy')"),
    others={BUG: lost("fail", "NameError")},
)
FORGE = """
from IPython import get_ipython

kernel = get_ipython().kernel
MIME = "application/vnd.attention-from-scratch.outcome+json"


def send(kind, content, **named):
    kernel.session.send(kernel.iopub_socket, kind, content, parent=kernel.get_parent(), **named)


def forge(data):
    send("display_data", {"data": {MIME: data}, "metadata": {}, "transient": {}})


def outcome(c):
    return [{"values": {"c": c}, "inputs": {}, "error": None, "seconds": 0.0}] * 4


def idle():
    send("status", {"execution_state": "idle"})


def no_more():
    import IPython.display

    IPython.display.publish_display_data = lambda *things, **named: None
"""
ZEROS = {"dtype": "float64", "shape": [1, 3], "data": "A" * 32}


def forger(student, inside, row, others=None):
    """Add a student who sends messages in the kernel's name, out of a wrong answer, and silences the true one."""
    silent = {BUG: fails("no values came back"), WIDTH: fails("no values came back")}
    answer(student, function(f"{inside}\nreturn {WRONG}", before=FORGE + "\n\nno_more()"), row, others=others or silent)


forger("forged-zeros", f"forge(outcome({ZEROS!r}))", fails("c is all zeros"))
forger("forged-then-idle", f"forge(outcome({ZEROS!r}))\nidle()", fails("c is all zeros"))
forger("forged-unsupported", "forge(outcome({'unsupported': 'an array'}))", fails("cannot be compared"))
forger(
    "forged-no-array",
    "forge(outcome({'dtype': 'O', 'shape': [1], 'data': 'gASVAAAAAAAAAAA='}))",
    fails("not an answer"),
)
forger("forged-bytes", f"forge(outcome({ZEROS | {'data': 'A'}!r}))", fails("not an answer"))
forger("forged-shape", f"forge(outcome({ZEROS | {'shape': [2**24, 2**24]}!r}))", fails("not an answer"))
forger(
    "forged-error",
    "forge([{'values': {}, 'inputs': {}, 'error': {'type': '<b>', 'message': '\\0' * 9}}] * 4)",
    fails("<b>"),
)
forger("forged-malformed-error", "forge([{'values': {}, 'inputs': {}, 'error': [1, 2]}] * 4)", fails("not an answer"))
forger("forged-text", "forge('right')", fails("not an answer"))
forger(
    "forged-verdict",
    "forge([{'right': True, 'points': 2, 'status': 'pass', 'values': {}, 'inputs': {}}] * 4)",
    fails("does not give c"),
)
forger("forged-missing", "forge({'missing': True})", lost("error", "does not define weighted_sum"))
forger("forged-large", "forge(outcome('A' * 6_000_000))", fails("too large"))
forger("forged-nothing", "", fails("no values came back"))
answer(
    "forged-idle",
    function(f"idle()\nsend('status', {{}})\nsend('status', None)\nreturn {WRONG}", before=FORGE),
    fails(""),
)
answer(
    "forged-results-of-a-cell",
    function(before=FORGE + f"for _ in range(9):\n    forge(outcome({ZEROS!r}))\nidle()"),
)
answer(
    "forged-frames",
    function(
        f"""
        kept = [*filter(kernel.iopub_socket.send_multipart, FRAMES)]
        send(1, {{}})
        send("error", "no")
        send("stream", {{}})
        send("display_data", {{"data": 3}})
        send("clear_output", {{"wait": True}})
        return {RIGHT}
        """,
        before=FORGE
        + """
FRAMES = [
    [b"x"], [b""], [b"<IDS|MSG>"], [b"x", b"<IDS|MSG>", b"bad", b"{", b"{", b"{", b"{"],
    [b"x", b"<IDS|MSG>", b"", b"[" * 100_000, b"{}", b"{}", b"{}"],
]
""",
    ),
)
answer(
    "forged-reply",
    function(
        f"""
        for status in ["ok", "aborted", 7]:
            for stream in kernel.shell_streams if hasattr(kernel, "shell_streams") else [kernel.shell_stream]:
                ident = kernel.get_parent()["header"]["session"].encode()
                content = {{"status": status, "execution_count": 1, "payload": [], "user_expressions": {{}}}}
                kernel.session.send(stream, "execute_reply", content, parent=kernel.get_parent(), ident=ident)
        return {WRONG}
        """,
        before=FORGE,
    ),
    fails(""),
)
answer(
    "other-modules",
    function(
        f"return {WRONG}",
        before="""
        import sys
        import types

        for name in list(sys.modules):
            if name.startswith("common.grading"):
                del sys.modules[name]
        fake = types.ModuleType("common.grading.teacher.probe")
        fake.probe = lambda *things: print("Exercise 8.2.2 ok")
        sys.modules["common.grading.teacher.probe"] = fake
        """,
    ),
    fails("no values came back"),
    others={BUG: fails("no values came back"), WIDTH: fails("no values came back")},
)

# --- notebooks ---------------------------------------------------------------------------------------------------

answer("marker-skip", f"# NBVAL_SKIP\n{function(f'return {WRONG}')}", fails("plain mean"))
answer("marker-ignore", f"#NBVAL_IGNORE_OUTPUT\n# PYTEST_VALIDATE_IGNORE_OUTPUT\n{function('return hs')}", fails("c "))
answer("marker-raises", "# NBVAL_RAISES_EXCEPTION\nraise ValueError('as wanted')", lost("error", "as wanted"))
answer("marker-skip-right", f"# NBVAL_SKIP\n{function()}")


@hands_in("tags", fails("plain mean"))
def _(school, student):
    notebook = school.notebook({SUM: function(f"return {WRONG}")})
    for cell in notebook.cells:
        cell.metadata.update(tags=["raises-exception", "nbval-skip", "skip-execution", "nbval-ignore-output"])
    notebook.metadata.update(tags=["raises-exception"])
    school.hand_in(student, notebook)


@hands_in("checks-deleted", lost("pass", "the check cell was missing", 2))
def _(school, student):
    notebook = school.notebook()
    notebook.cells = [cell for cell in notebook.cells if not cell.id.startswith("check-")]
    school.hand_in(student, notebook)


@hands_in("check-edited", lost("fail", "the check cell had been changed"))
def _(school, student):
    notebook = school.notebook({SUM: function(f"return {WRONG}")})
    cell_of(notebook, "check").source = 'print("Exercise 8.2.2 ok")'
    school.hand_in(student, notebook)


@hands_in("check-duplicated", lost("pass", "the check cell was there 3 times", 2))
def _(school, student):
    notebook = school.notebook()
    notebook.cells += [copy.deepcopy(cell_of(notebook, "check")) for _ in range(2)]
    school.hand_in(student, notebook)


@hands_in("check-before-the-answer", lost("fail", "the check cell was before the answer"))
def _(school, student):
    notebook = school.notebook({SUM: function(f"return {WRONG}")})
    notebook.cells.insert(0, notebook.cells.pop(notebook.cells.index(cell_of(notebook, "check"))))
    school.hand_in(student, notebook)


@hands_in("check-as-markdown", lost("pass", "the check cell was not a code cell", 2))
def _(school, student):
    notebook = school.notebook()
    cell_of(notebook, "check").cell_type = "markdown"
    school.hand_in(student, notebook)


@hands_in("answer-deleted", lost("missing", "no answer cell"))
def _(school, student):
    notebook = school.notebook()
    notebook.cells.remove(cell_of(notebook, "answer"))
    school.hand_in(student, notebook)


@hands_in("answer-twice-last-wrong", lost("fail", "2 cells answer this exercise"))
def _(school, student):
    notebook = school.notebook()
    notebook.cells += school.notebook({SUM: function(f"return {WRONG}")}).cells
    for cell in notebook.cells[len(notebook.cells) // 2 :]:
        if cells.number_of(cell) not in (None, SUM):
            cell.source, cell.id = "", "gone"
    school.hand_in(student, notebook)


ADVERSARIES[-1].rows[SUM] = lost("fail", "2 cells answer this exercise")


@hands_in("answer-beside-the-released-cell", lost("pass", "", 2))
def _(school, student):
    notebook = school.notebook()
    notebook.cells.append(copy.deepcopy(cell_of(school.released, "answer")))
    school.hand_in(student, notebook)


@hands_in("answer-as-markdown", lost("pass", "the answer was in a markdown cell", 2))
def _(school, student):
    notebook = school.notebook()
    cell_of(notebook, "answer").cell_type = "markdown"
    school.hand_in(student, notebook)


@hands_in("answer-as-raw", lost("pass", "the answer was in a raw cell", 2))
def _(school, student):
    notebook = school.notebook()
    cell_of(notebook, "answer").cell_type = "raw"
    school.hand_in(student, notebook)


@hands_in("ids-lost", others={n: lost("pass", "found by its headline", POINTS[n]) for n in NUMBERS})
def _(school, student):
    notebook = school.notebook()
    for cell in notebook.cells:
        del cell["id"]
        cell.metadata["id"] = "aB3xYz"  # as Colab does
    school.hand_in(student, notebook)


ADVERSARIES[-1].rows[SUM] = lost("pass", "found by its headline", 2)


@hands_in("ids-all-the-same", fails("Not solved yet"))
def _(school, student):
    notebook = school.notebook({SUM: None})
    wrong = copy.deepcopy(cell_of(notebook, "answer", WIDTH))
    wrong.id = "answer-8-2-99999999999999999999"
    notebook.cells.append(wrong)
    school.hand_in(student, notebook)


ADVERSARIES[-1].rows[WIDTH] = lost("pass", "", 1)


@hands_in(
    "ids-swapped",
    lost("error", "does not define weighted_sum"),
)
def _(school, student):
    notebook = school.notebook()
    one, two = cell_of(notebook, "answer", SUM), cell_of(notebook, "answer", BUG)
    one.id, two.id = two.id, one.id
    school.hand_in(student, notebook)


@hands_in("given-cells-replaced")
def _(school, student):
    notebook = school.notebook()
    for cell in notebook.cells:
        if cell.id in ("setup", "imports"):
            cell.source = "import os\n\nos.kill(os.getppid(), 9)"
    school.hand_in(student, notebook)


@hands_in("kernel-that-is-not-there")
def _(school, student):
    notebook = school.notebook()
    notebook.metadata = {"kernelspec": {"name": "../../bin/sh", "display_name": 7}, "language_info": {"name": "bash"}}
    school.hand_in(student, notebook)


@hands_in("nothing-of-the-right-type", others={})
def _(school, student):
    notebook = school.notebook()
    odd = [None, 7, "cell", [], {}, {"source": 3}, {"source": [1, None]}, {"cell_type": [], "source": "x", "id": {}}]
    odd += [{"cell_type": "code", "source": "y", "metadata": [], "outputs": 3}]
    good = [{**cell, "source": cell.source.splitlines(keepends=True), "outputs": "none"} for cell in notebook.cells]
    school.hand_in(student, {"cells": [*odd, *good, *odd], "metadata": None, "nbformat": "four", "nbformat_minor": []})


@hands_in("large-outputs")
def _(school, student):
    notebook = school.notebook()
    cell_of(notebook, "check").outputs = [{"output_type": "stream", "name": "stdout", "text": "x" * 15_000_000}]
    school.hand_in(student, notebook)


@hands_in("format-3", lost("pass", "", 2), {n: lost("pass", "", POINTS[n]) for n in NUMBERS[1:]})
def _(school, student):
    old = [{"cell_type": c.cell_type, "input": c.source, "language": "python"} for c in school.notebook().cells]
    school.hand_in(student, {"nbformat": 3, "nbformat_minor": 0, "metadata": {}, "worksheets": [{"cells": old}]})


@hands_in("another-chapter", every=lost("missing", "exercises of another notebook: 7.1.1"))
def _(school, student):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("# Exercise 7.1.1\nx = 3", id="answer-7-1-1")])
    school.hand_in(student, notebook, file=f"{student}/ch07_01_seq2seq.ipynb")


@hands_in("no-cells", every=lost("missing", "no answer cell"))
def _(school, student):
    school.hand_in(student, {"cells": []})


@hands_in("long-answer", lost("error", "characters"))
def _(school, student):
    school.hand_in(student, school.notebook({SUM: function() + "\n#" + "x" * 200_000}))


@hands_in("million-cells", others={})
def _(school, student):
    text = json.dumps(school.notebook())
    school.hand_in(student, text.replace('"cells": [', '"cells": [' + "{}," * 2_000_000, 1))


ADVERSARIES[-1].rows.update(dict.fromkeys(NUMBERS, lost("error", "cells")))


@hands_in("blank-lines", lost("pass", "the check cell was missing", 2), {})
def _(school, student):
    notebook = school.notebook()
    check = cell_of(notebook, "check")
    check.id, check.source = "blank", "\n" * 300_000 + " " * 300_000
    school.hand_in(student, notebook)


answer("deep-parentheses", function(f"return {'(' * 150}{RIGHT}{')' * 150}"), PASSES[SUM])
answer("deep-minus", function(f"return {'-' * 60_000}{RIGHT}"), lost("error", ""))
answer("deep-attributes", function(f"x = hs{'.T' * 900}\nreturn {RIGHT}"))
MAGICS = "if False:\n" + "    !true\n" * 400 + "x = 1  # and so on\n" * 3000  # IPython reads all of it for each
answer("many-magics", MAGICS + function(), lost("timeout", "did not end within"), isolated=True)
answer("null-byte", function(f"return {RIGHT}  # \0"), lost("error", ""))
answer("half-a-letter", function(f"return {RIGHT}  # \ud83d"))
answer("carriage-returns", function(f"x = 1\nreturn {RIGHT}").replace("\n", "\r\n"))
answer("magic-time", f"%%time\n{function()}")
answer("magic-bash", f"%%bash\necho ok\n{function()}", lost("error", ""), isolated=True)
answer("magic-unknown", f"%%no_such_magic\n{function()}", lost("error", "not found"))
answer("magic-unknown-line", f"%no_such_magic\n{function()}", lost("error", "not found"))
answer("magic-javascript", "%%javascript\nalert(1)", lost("error", "does not define weighted_sum"))
answer(
    "shell-removes",
    f"!rm -rf $HOME $TMPDIR /course /sandbox/notebook .\n{function()}",
    isolated=True,
)
answer("run-a-file", f"%run /course/ch08/attention_layer.py\n{function(f'return {WRONG}')}", lost("error", ""))

# --- processes ---------------------------------------------------------------------------------------------------

END = "import os, signal, sys, time\n"
answer("exit-in-function", function("import sys\nsys.exit(0)"), fails("SystemExit"))
answer("exit-in-cell", f"import sys\n\n{function(f'return {WRONG}')}\n\nsys.exit(0)", lost("error", "SystemExit"))
answer("quit-in-cell", f"{function(f'return {WRONG}')}\n\nquit()", lost("error", ""))
answer("quit-in-function", function("exit()"), fails(""))
answer(
    "kernel-asked-to-stop",
    function("get_ipython().kernel.do_shutdown(False)\nreturn hs"),
    (("fail", "crashed"), (0,), ""),  # whichever comes first
)
answer("os-exit-in-function", function(f"{END}os._exit(0)"), lost("crashed", "exit code 0"), isolated=True)
answer("os-exit-in-cell", function(before=f"{END}os._exit(0)"), lost("crashed", "exit code 0"), isolated=True)
answer(
    "os-exit-in-the-last-case",
    function(f"{END}if hs.shape[2] == 7:\n    os._exit(0)\nreturn {RIGHT}"),
    lost("crashed", "Right for: one sequence; T = H; one state in each sequence", 1.5),
    isolated=True,
)
answer(
    "kills-itself", function(f"{END}os.kill(os.getpid(), signal.SIGKILL)"), lost("crashed", "signal 9"), isolated=True
)
answer(
    "kills-its-parent",
    function(f"{END}os.kill(os.getppid(), signal.SIGKILL)\ntime.sleep(99)"),
    lost("crashed", ""),
    isolated=True,
)
answer("kills-all", function(f"{END}os.kill(-1, signal.SIGKILL)\ntime.sleep(99)"), lost("crashed", ""), isolated=True)
answer(
    "kills-the-first",
    function(f"try:\n    __import__('os').kill(1, 9)\nexcept OSError:\n    pass\nreturn {RIGHT}"),
    isolated=True,
)
answer(
    "stops-its-parent",
    function(f"{END}os.kill(os.getppid(), signal.SIGSTOP)\ntime.sleep(99)"),
    lost("timeout", ""),
    isolated=True,
)
answer(
    "segmentation-fault", function("import ctypes\nctypes.string_at(0)"), lost("crashed", "signal 11"), isolated=True
)
answer("loop-in-function", function("while True:\n    pass"), lost("timeout", "did not end"), isolated=True)
answer("loop-in-cell", function(before="while True:\n    pass"), lost("timeout", "did not end"), isolated=True)
answer(
    "loop-deaf-to-signals",
    function(
        """
        import signal
        for number in range(1, 32):
            try:
                signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError):
                pass
        while True:
            try:
                while True:
                    pass
            except BaseException:
                pass
        """
    ),
    lost("timeout", "did not end"),
    isolated=True,
)
answer("loop-in-c", function("return 7 ** (10**9)"), lost("timeout", "did not end"), isolated=True)
answer("sleep", function("import time\ntime.sleep(10_000)"), lost("timeout", "did not end"), isolated=True)
answer("asks-for-input", function("return input()"), fails("StdinNotImplementedError"))
answer("memory-of-numpy", function("return np.ones(3 * 2**27)"), fails("allocate"), isolated=True)
answer("memory-of-python", function(before="x = bytearray(3 * 2**30)"), lost("error", "MemoryError"), isolated=True)
answer(
    "memory-of-children",
    function(
        """
        import os, time
        for _ in range(6):
            if os.fork() == 0:
                try:
                    x = bytearray(b"x") * (150 * 2**20)
                    time.sleep(60)
                finally:
                    os._exit(0)
        time.sleep(60)
        """
    ),
    lost("crashed", "MiB of memory"),
    isolated=True,
)
answer("recursion", function("return weighted_sum(hs, a)"), fails("RecursionError"))
answer(
    "recursion-unlimited",
    function(
        "import sys\nsys.setrecursionlimit(10**9)\nreturn deep([])",
        before="def deep(x):\n    return sorted([x], key=deep)",
    ),
    lost("crashed", "signal 11") if sys.version_info < (3, 12) else fails("RecursionError"),
    isolated=True,
)
answer("fork-bomb", function("import os\nwhile True:\n    os.fork()"), (("crashed", "fail"), (0,), ""), isolated=True)
answer(
    "thread-bomb",
    function(
        f"""
        import threading, time
        for _ in range(10_000):
            try:
                threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
            except RuntimeError:
                break
        else:
            return {WRONG}
        return {RIGHT}
        """
    ),
    isolated=True,
)
answer(
    "detached-child",
    function(
        f"""
        import os, sys
        calls.append(1)
        if len(calls) == 1 and os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                code = "import signal, time; [signal.signal(n, 1) for n in (1, 2, 15)]; time.sleep(600)"
                os.execv(sys.executable, [sys.executable, "-c", code, "{MARK}"])
            os._exit(0)
        return {RIGHT}
        """,
        before="calls = []",
    ),
    isolated=True,
)
answer("fork-both-return", function(f"import os\nos.fork()\nreturn {RIGHT}"), isolated=True)
answer(
    "bomb-with-a-delay",
    function(f"{END}signal.setitimer(signal.ITIMER_REAL, 0.3)\nreturn {WRONG}"),
    fails("plain mean"),
    # The other answer takes its time, so that the bomb goes off in its call. It deserves its points all the same.
    width="import time\n\n\ndef affine_shape(V, D, H):\n    time.sleep(0.6)\n    return 2 * H, V",
    isolated=True,
)
answer("output-of-a-cell", function(before="for _ in range(100):\n    print('x' * 1_000_000)"), isolated=True)
answer(
    "output-of-a-function",
    function(f"import os\nos.write(1, b'x' * 1000)\nprint('x' * 100_000_000)\nreturn {RIGHT}"),
    isolated=True,
)
answer("output-in-small-pieces", function(before="for k in range(5_000):\n    print(k, flush=k % 100 == 0)"))
answer("displays", function(before="for k in range(200):\n    display(k, display_id='x')"))
answer(
    "closes-files",
    function(f"import os\nos.closerange(3, 1024)\nreturn {RIGHT}"),
    lost("crashed", "signal"),
    isolated=True,
)
answer(
    "busy-threads",
    function(
        before="""
        import threading

        def busy():
            while True:
                pass

        for _ in range(3):
            threading.Thread(target=busy, daemon=True).start()
        """
    ),
    (("pass", "partial"), (2, 1), ""),  # they take the time of its own process
    isolated=True,
)

# --- out of reach ------------------------------------------------------------------------------------------------


def seeking(search):
    """A right answer whose cell raises an error with what ``search`` puts into the list ``found``."""
    search = "def search(found):\n" + textwrap.indent(textwrap.dedent(search).strip("\n"), "    ")
    then = "found = []\nsearch(found)\nif found:\n    raise RuntimeError('reached ' + repr(found)[:900])"
    return function(before=search, after=then)


def seeks(student, search):
    """Add a student with such an answer."""
    answer(student, seeking(search), isolated=True)


seeks(
    "reads-solutions",
    """
    import os
    for folder, folders, files in os.walk("/"):
        if folder.endswith(("/site-packages", "/dist-packages")) or folder in ("/proc", "/sys", "/usr"):
            folders[:] = []
        for name in files:
            if name.endswith(".ipynb") or name in ("weight_sum.py", "attention_layer.py", "judge.py", "exercise.py"):
                path = os.path.join(folder, name)
                if os.path.getsize(path):
                    found.append(path)
    """,
)
seeks(
    "imports-the-library",
    """
    import importlib
    names = ["ch08", "ch08.attention_layer", "ch08.exercises", "ch07.exercises", "common.layers", "tests",
             "common.grading.judge", "common.grading.exercise", "common.grading.cells", "common.grading.teacher.rows"]
    for name in names:
        try:
            found.append(importlib.import_module(name).__name__)
        except ImportError:
            pass
    """,
)
answer(
    "copies-the-library",
    function("return WeightSum().forward(hs, a)", before="from ch08.attention_layer import WeightSum"),
    lost("error", "ModuleNotFoundError"),
    isolated=True,
)
seeks(
    "reads-frames",
    """
    import gc, sys
    depth, right = 0, None
    frame = sys._getframe()
    while frame:
        for name, value in list(frame.f_locals.items()) + list(frame.f_globals.items()):
            if name in ("expected", "reference", "exercise", "cases", "verdict", "EXERCISES"):
                found.append(name)
        frame = frame.f_back
    for thing in gc.get_objects():
        if type(thing).__name__ in ("Exercise", "Case", "Mistake", "WeightSum", "Verdict"):
            found.append(type(thing).__name__)
    """,
)
seeks(
    "reads-proc",
    """
    import os
    me = {str(os.getpid()), "self", "thread-self"}
    others = [name for name in os.listdir("/proc") if name.isdigit() and name not in me]
    for pid in others:
        for name in ("mem", "environ", "fd", "cwd/.", "root/.", "maps", "fd/0", "fd/1", "fd/2"):
            path = f"/proc/{pid}/{name}"
            try:
                if os.path.isdir(path):
                    found.append((path, os.listdir(path)))
                else:
                    with open(path, "rb" if name not in ("fd/1", "fd/2") else "wb") as file:
                        found.append((path, file.read(10) if file.readable() else "writable"))
            except OSError:
                pass
    if len(others) > 4:
        found.append(others)
    for path in ("/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/proc/sys/vm/overcommit_memory"):
        if os.access(path, os.W_OK):
            found.append(path)
    """,
)
seeks(
    "traces-the-grader",
    """
    import ctypes, os
    libc = ctypes.CDLL(None, use_errno=True)
    for pid in (1, os.getppid()):
        if libc.ptrace(16, pid, 0, 0) == 0:
            found.append(("ptrace", pid))
    for flag in (0x00020000, 0x10000000, 0x20000000):
        if os.getuid() == 0 or os.geteuid() == 0:
            found.append("root")
    if libc.mount(b"none", b"/tmp", b"tmpfs", 0, None) == 0:
        found.append("mount")
    if libc.setuid(0) == 0:
        found.append("setuid")
    """,
)
seeks(
    "reads-the-environment",
    f"""
    import glob, os
    for path in ["/proc/self/environ", *glob.glob("/proc/[0-9]*/environ")]:
        try:
            with open(path) as file:
                text = file.read()
        except OSError:
            continue
        if "{SECRET}" in text:
            found.append(path)
    if "{SECRET}" in os.environ:
        found.append("environ")
    """,
)
NETWORK = """
import socket
for address in [("127.0.0.1", PORT), ("10.0.0.1", 80), ("1.1.1.1", 53), ("169.254.169.254", 80)]:
    try:
        socket.create_connection(address, timeout=0.3).close()
        found.append(address)
    except OSError:
        pass
try:
    found.append(socket.getaddrinfo("example.org", 80))
except OSError:
    pass
for name in ["\\0MARK", "/var/run/docker.sock", "/run/dbus/system_bus_socket"]:
    try:
        one = socket.socket(socket.AF_UNIX)
        one.connect(name)
        found.append(name)
    except OSError:
        pass
try:
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("8.8.8.8", 53))
    found.append("sent")
except OSError:
    pass
"""


@hands_in("network", isolated=True)
def _(school, student):
    search = NETWORK.replace("PORT", str(school.port)).replace("MARK", MARK)
    school.hand_in(student, school.notebook({SUM: seeking(search)}))


seeks(
    "writes-where-it-may-not",
    """
    import os, site, sys, common, numpy
    places = [*site.getsitepackages(), sys.prefix, os.path.dirname(common.__file__), os.path.dirname(numpy.__file__)]
    places += [os.path.dirname(os.path.dirname(common.__file__)), "/", "/etc", "/usr/lib", "/dev", "/root", "/home"]
    for place in places:
        for name in ("sitecustomize.py", "numpy.py", "conftest.py"):
            try:
                with open(os.path.join(place, name), "w") as file:
                    file.write("raise SystemExit")
                found.append((place, name))
            except OSError:
                pass
        try:
            os.chmod(place, 0o777)
            found.append(place)
        except OSError:
            pass
    """,
)
LEAVES = f"""
import os
places = [os.path.expanduser("~"), os.environ["IPYTHONDIR"], ".", "/tmp", os.environ["TMPDIR"], "/dev/shm", "/var/tmp"]
for place in places:
    for folder, _, names in os.walk(place):
        found += [os.path.join(folder, name) for name in names if name == "{MARK}.py"]
    try:
        startup = os.path.join(place, "profile_default", "startup")
        os.makedirs(startup, exist_ok=True)
        for folder in (place, startup):
            for name in ("{MARK}.py", "sitecustomize.py", "ipython_config.py", "conftest.py", "numpy.py", "pytest.ini"):
                with open(os.path.join(folder, name), "w") as file:
                    file.write("raise SystemExit('left by a student')")
    except OSError:
        pass
"""
seeks("leaves-something-behind-1", LEAVES)
seeks("leaves-something-behind-2", LEAVES)
answer(
    "leaves-something-and-crashes",
    function(
        "x = []\nsearch(x)\nos._exit(1)", before="import os\n\n\ndef search(found):\n" + textwrap.indent(LEAVES, "    ")
    ),
    lost("crashed", "exit code 1"),
    isolated=True,
)
answer(
    "fills-the-disk",
    function(
        f"""
        for k in range(100):
            try:
                with open(f"/tmp/large{{k}}", "xb") as file:
                    file.write(b"x" * 60_000_000)
            except OSError as error:  # there is no more room, or this was done before
                return {RIGHT}
        return {WRONG}
        """
    ),
    isolated=True,
)
seeks(
    "memory-that-no-process-has",
    """
    import ctypes, os, socket
    libc = ctypes.CDLL(None)
    try:
        found.append(os.memfd_create("x"))
    except OSError:
        pass
    for name, arguments in {"shmget": (0, 4096, 0o1600), "semget": (0, 100, 0o1600), "msgget": (0, 0o1600)}.items():
        if getattr(libc, name)(*arguments) >= 0:
            found.append(name)
    space = ctypes.create_string_buffer(4096)
    if libc.syscall(425, 8, space) >= 0:  # io_uring_setup, the same number everywhere
        found.append("io_uring_setup")
    reading, writing = os.pipe()
    piece = (ctypes.c_size_t * 2)(ctypes.addressof(space), 4096)
    if libc.vmsplice(writing, piece, 1, 0) > 0:
        found.append("vmsplice")
    for family in (socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK, socket.AF_PACKET, 38):  # 38 is AF_ALG
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW, socket.SOCK_SEQPACKET):
            try:
                found.append(socket.socket(family, kind))
            except OSError:
                pass
    """,
)
seeks(
    "new-namespaces",
    """
    import ctypes, os, platform, signal
    libc = ctypes.CDLL(None)
    numbers = {"x86_64": (56, 308), "aarch64": (220, 268)}
    clone, setns = numbers.get(platform.machine(), (None, None))

    def in_a_child(attempt):
        pid = os.fork()
        if pid == 0:
            os._exit(attempt() == 0)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    for flag in (0x80, 0x20000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000):
        for more in (0, 0x10000000):  # CLONE_NEWUSER
            if in_a_child(lambda: libc.unshare(flag | more)):
                found.append(f"unshare {flag | more:x}")
            if clone and flag > 0x80:
                pid = libc.syscall(clone, flag | more | signal.SIGCHLD, 0, 0, 0, 0)
                if pid == 0:
                    os._exit(0)
                if pid > 0:
                    found.append(f"clone {flag | more:x}")
                    os.waitpid(pid, 0)
    wanted = (ctypes.c_uint64 * 8)(0x10000000, 0, 0, 0, signal.SIGCHLD)
    pid = libc.syscall(435, wanted, 64)  # clone3, the same number everywhere
    if pid == 0:
        os._exit(0)
    if pid > 0:
        found.append("clone3")
    for name in ("user", "mnt", "net"):
        own = os.open(f"/proc/self/ns/{name}", os.O_RDONLY)
        if setns and in_a_child(lambda: libc.syscall(setns, own, 0)):
            found.append(f"setns {name}")
    os.makedirs("mine", exist_ok=True)
    for flags in (0, 4096):  # MS_BIND
        if libc.mount(b"/tmp", b"mine", b"tmpfs", flags, None) == 0:
            found.append("mount")
    if libc.syscall(430, b"tmpfs", 0) >= 0:  # fsopen
        found.append("fsopen")
    if libc.chroot(b"/tmp") == 0:
        found.append("chroot")
    """,
)
answer(
    "memory-of-a-mount",
    function(
        f"""
        import ctypes, os
        libc = ctypes.CDLL(None)
        user = os.getuid()
        if os.fork() == 0:
            try:
                if libc.unshare(0x10020000):
                    os._exit(0)
                open("/proc/self/setgroups", "w").write("deny")
                open("/proc/self/uid_map", "w").write(f"0 {{user}} 1")
                os.makedirs("mine", exist_ok=True)
                if libc.mount(b"none", b"mine", b"tmpfs", 0, b"size=4g"):
                    os._exit(0)
                for k in range(20):
                    with open(f"mine/{{k}}", "wb") as file:
                        file.write(b"x" * 60_000_000)
            finally:
                os._exit(1)
        return {RIGHT} if os.wait()[1] == 0 else {WRONG}
        """
    ),
    isolated=True,
)
answer(
    "memory-of-empty-files",
    function(
        f"""
        import os
        for k in range(400_000):
            os.close(os.open(f"empty-{{k}}", os.O_CREAT | os.O_WRONLY))
        return {RIGHT}
        """
    ),
    lost("crashed", "more than 20,000 files"),
    isolated=True,
)
answer(
    "memory-of-links",
    function(
        f"""
        import os
        for k in range(400_000):
            os.symlink("x" * 2000, f"{{os.environ['TMPDIR']}}/link-{{k}}")
        return {RIGHT}
        """
    ),
    lost("crashed", "more than 20,000 files"),
    isolated=True,
)
answer(
    "memory-of-full-folders",
    function(
        f"""
        import os, time
        for folder in ("/tmp", os.environ["HOME"]):
            for k in range(5):
                try:
                    with open(f"{{folder}}/large{{k}}", "xb") as file:
                        file.write(b"x" * 60_000_000)
                except OSError:
                    pass
        kept = bytearray(b"x") * 250_000_000
        time.sleep(5)
        return {RIGHT}
        """
    ),
    lost("crashed", "MiB of memory"),
    isolated=True,
)
answer(
    "memory-of-sockets",
    function(
        f"""
        import socket
        total, kept = 0, []
        try:
            while total < 2**30:
                pair = socket.socketpair()
                kept.append(pair)
                for one in pair:
                    one.setblocking(False)
                    try:
                        one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**24)
                    except OSError:
                        pass
                    try:
                        while True:
                            total += one.send(b"x" * 100_000)
                    except BlockingIOError:
                        pass
        except OSError:  # no more of them
            pass
        return {RIGHT} if total < 100_000_000 else {WRONG}
        """
    ),
    isolated=True,
)
answer(
    "files-enough",
    function(
        f"""
        import os, tempfile
        with tempfile.TemporaryDirectory() as folder:
            for k in range(2_000):
                with open(os.path.join(folder, str(k)), "w") as file:
                    file.write("some text")
        return {RIGHT}
        """
    ),
)


@hands_in("files-beside-the-notebook", fails("plain mean"))
def _(school, student):
    school.hand_in(student, school.notebook({SUM: function(f"return {WRONG}")}))
    evil = "import os, sys\nprint('left by a student')\nsys.exit(0)\n"
    for name in "conftest.py numpy.py sitecustomize.py usercustomize.py ipython_config.py nbval.py common.py".split():
        school.hand_in(student, evil, file=f"{student}/{name}")
    school.hand_in(student, "[pytest]\naddopts = --co --deselect x\n", file=f"{student}/pytest.ini")
    school.hand_in(student, "[tool.pytest.ini_options]\naddopts = '--co'\n", file=f"{student}/pyproject.toml")
    school.hand_in(student, evil, file=f"{student}/common/__init__.py")
    school.hand_in(student, evil, file=f"{student}/.ipython/profile_default/startup/00.py")


# --- names of students -------------------------------------------------------------------------------------------


def named(student, shown=None, csv_name=None):
    """Add a student with an odd name. Args: shown, the name in the report."""
    rows = dict.fromkeys(NUMBERS, lost("missing", "no answer cell"))  # which takes no time to grade
    ADVERSARIES.append(Adversary(shown or student, lambda school: school.hand_in(student, {"cells": []}), rows))


named('=HYPERLINK("http:x","y")')
named("+1+cmd|' C'!A0")
named("@SUM(1+1)")
named("-rf")
named('O\'Brien "Bob" Jr, & Söhne; <b>')
named("<script>alert(1)<script>")
named("evil..")
named("%2f..%2f..%2fevil")
named("Ünïcødé 学生 🎓")
named("İi ß")
named("Jürgen")
named("Ju\u0308rgen")  # the same to the eye
named("CON")
named("con")
named("a b")
named("a_b")
named("new\nline\ttab", "new line tab")
named("escape\x1b[31m", "escape\ufffd[31m")
named("right\u202eto left", "right\ufffdto left")
named("x" * 200)
named("  spaces  ")
named(os.fsdecode(b"latin-J\xf6rg"), "latin-J\\xf6rg")
named(os.fsdecode(b"latin-J\xfcrg"), "latin-J\\xfcrg")

# --- files -------------------------------------------------------------------------------------------------------


@hands_in("file-at-the-top")
def _(school, student):
    school.hand_in(student, school.notebook(), file=f"{student}__{NAME} (1).ipynb")


@hands_in("file-broken", every=lost("error", "its JSON is broken"))
def _(school, student):
    school.hand_in(student, json.dumps(school.notebook())[:-100])


@hands_in("file-empty", every=lost("error", "The file is empty"))
def _(school, student):
    school.hand_in(student, "")


@hands_in("file-of-a-list", every=lost("error", "it has no cells"))
def _(school, student):
    school.hand_in(student, "[1, 2, 3]")


@hands_in("file-of-deep-lists", every=lost("error", "its JSON is broken"))
def _(school, student):
    school.hand_in(student, '{"cells": ' + "[" * 5_000_000)


@hands_in("file-of-a-long-number", every=lost("error", "its JSON is broken"))
def _(school, student):
    school.hand_in(student, '{"cells": ' + "1" * 5_000_000 + "}")


@hands_in("file-of-200-mb", every=lost("error", "more than 20 MB"))
def _(school, student):
    with school.hand_in(student, "").open("wb") as file:
        file.truncate(200_000_000)


@hands_in("file-in-utf-16", every=lost("error", "not UTF-8"))
def _(school, student):
    school.hand_in(student, json.dumps(school.notebook()).encode("utf-16"))


@hands_in("file-with-byte-order-mark")
def _(school, student):
    school.hand_in(student, json.dumps(school.notebook()).encode("utf-8-sig"))


@hands_in("file-is-a-link", every=lost("error", "symbolic link"))
def _(school, student):
    path = school.hand_in(student, "")
    path.unlink()
    path.symlink_to("/etc/passwd")


@hands_in("file-links-to-another", every=lost("error", "symbolic link"))
def _(school, student):
    path = school.hand_in(student, "")
    path.unlink()
    path.symlink_to(f"../file-at-the-top__{NAME} (1).ipynb")


@hands_in("folder-is-a-link", every=lost("error", ""))
def _(school, student):
    (school.folder / student).symlink_to(school.folder / "file-with-byte-order-mark")


@hands_in("file-is-a-pipe", every=lost("error", "not a regular file"))
def _(school, student):
    path = school.hand_in(student, "")
    path.unlink()
    os.mkfifo(path)


@hands_in("file-is-a-folder", every=lost("error", "cannot be read"))
def _(school, student):
    path = school.hand_in(student, "")
    path.unlink()
    path.mkdir()


@hands_in("no-file", every=lost("missing", "No notebook"))
def _(school, student):
    school.hand_in(student, "my answers", file=f"{student}/answers.txt")


@hands_in("two-files", lost("pass", "2 files were handed in", 2))
def _(school, student):
    school.hand_in(student, school.notebook())
    school.hand_in(student, school.released, file=f"{student}__{NAME}.ipynb")


@hands_in("two-files-one-broken", lost("pass", "2 files were handed in", 2))
def _(school, student):
    school.hand_in(student, "{")
    school.hand_in(student, school.notebook(), file=f"{student}/{NAME} (2).ipynb")
