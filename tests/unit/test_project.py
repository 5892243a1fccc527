"""The rules for the repository as a whole: dependencies, imports between the rooms, names, docstrings.

Each rule is a function that takes a source text and returns what is wrong with it. One test applies it to the
repository, another shows that it finds a planted mistake.
"""

import ast
import os
import re
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = {  # room: the other rooms it may import (the table of the house)
    "common": set(),
    "dataset": set(),
    "ch07": {"common", "dataset"},
    "ch08": {"ch07", "common", "dataset"},
}
OURS = {*ROOMS, "notebooks", "tests"}
ARRAY_LIBRARIES = {"numpy", "cupy"}
# The declared package that brings a module of another name.
PROVIDED_BY = {"IPython": "ipywidgets", "PIL": "matplotlib"}

PUBLIC_NAMES = {
    "common.config": "GPU",
    "common.np": "np GPU",
    "common.functions": "sigmoid relu softmax cross_entropy_error",
    "common.layers": "MatMul Affine Softmax SoftmaxWithLoss Sigmoid SigmoidWithLoss Dropout Embedding "
    "LayerNorm Residual Relu Tanh",
    "common.time_layers": "RNN TimeRNN LSTM TimeLSTM GRU TimeGRU "
    "TimeEmbedding TimeAffine TimeSoftmaxWithLoss TimeDropout TimeBiLSTM",
    "common.steps": "RNN LSTM GRU",
    "common.recurrent": "TimeRNN TimeLSTM TimeGRU Bidirectional TimeBiLSTM state_of",
    "common.unroll": "Unroll",
    "common.init": "init_embedding init_lstm init_affine",
    "common.base_model": "BaseModel Composite",
    "common.decoding": "greedy beam forced_log_probs",
    "common.metrics": "exact_match perplexity bleu",
    "common.training.batch": "Batch",
    "common.training.task": "Pairs Task",
    "common.training.recipe": "Recipe System",
    "common.training.run": "train",
    "common.ranks": "Alone Ranks RankParallel connected",
    "common.scaling": "Network Work ring_time simulate_ring wavefront",
    "common.optimizer": "SGD Momentum Nesterov AdaGrad RMSprop Adam",
    "common.trainer": "Trainer RnnlmTrainer",
    "common.util": "clip_grads eval_seq2seq eval_perplexity",
    "dataset.sequence": "load_data get_vocab",
    "dataset.words": "tokenize detokenize WordVocab read_lines read_pairs length_batches",
    "dataset.multi30k": "load fetch",
    "dataset": "sequence",
    "ch07.seq2seq": "Encoder Decoder Seq2seq",
    "ch07.peeky_seq2seq": "PeekyDecoder PeekySeq2seq",
    "ch08.score_layers": "DotScore GeneralScore AdditiveScore",
    "ch08.recipes.dates": "SYSTEMS Dates",
    "ch08.attention_layer": "WeightSum AttentionWeight Attention TimeAttention",
    "ch08.attention_seq2seq": "AttentionEncoder AttentionDecoder AttentionSeq2seq",
    "ch08.bidirectional_seq2seq": "BiAttentionEncoder BiAttentionDecoder BiAttentionSeq2seq",
    "ch08.input_feeding_seq2seq": "InputFeedingSeq2seq",
    "ch08.same_step_seq2seq": "SameStepSeq2seq",
    "ch08.deep_seq2seq": "DeepAttentionSeq2seq",
    "ch08.bahdanau_seq2seq": "BahdanauSeq2seq",
    "ch08.luong_seq2seq": "LuongSeq2seq",
    "ch08.ntm_layers": "CosineSimilarity ContentAddressing Interpolation CircularShift Sharpening Addressing "
    "Read Erase Add",
    "ch08.ntm": "NTM PlainLSTM",
    "ch08.gnmt": "GNMT",
    "ch08.multi_head_attention": "MultiHeadAttention",
    "ch08.transformer": "Transformer",
}
# In common, the modules of layers from the ground up: each may import the ones before it.
ORDER = ["functions", "base_model", "layers", "steps", "recurrent", "time_layers", "init", "unroll"]
STAR_IMPORTS = ["common.np", "common.time_layers"]  # the scripts of the book's readers get np from these

# Every notebook and test imports layers and models: they must not wait for pictures and progress bars.
QUICK_TO_IMPORT = [name for name in PUBLIC_NAMES if name not in ("common.trainer", "common.util")]
SLOW_PACKAGES = {"matplotlib", "tqdm", "IPython", "ipywidgets"}


def sources():
    """Path, relative to the root, and text of every Python file of the four rooms."""
    paths = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
    return [(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")) for path in paths]


def modules():
    """The dotted names of all modules of the four rooms, except programs called __main__."""
    names = [path.removesuffix(".py").replace("/", ".").removesuffix(".__init__") for path, _ in sources()]
    return [name for name in names if not name.endswith("__main__")]


def repository_files():
    """All files that belong to the repository: those git knows, and new ones it does not ignore."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout
        paths = {ROOT / name for name in listed.split("\0") if name}
    except (OSError, subprocess.CalledProcessError):  # no git, or an unpacked archive
        folders = [*OURS, ".ci", ".github"]
        paths = {path for folder in folders for path in (ROOT / folder).rglob("*")} | set(ROOT.glob("*"))
    environments = [path.parent for path in paths if path.name == "pyvenv.cfg"]  # of any name: make VENV=...
    return sorted(
        path
        for path in paths
        if path.is_file()
        and "__pycache__" not in path.parts
        and not any(path.is_relative_to(environment) for environment in environments)
    )


def project():
    """The parsed pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def package_name(requirement):
    """'numpy' of 'numpy>=2.0'."""
    return re.match(r"[\w.-]+", requirement)[0]


# --- dependencies ---------------------------------------------------------------------------------


def conda_dependencies(text):
    """The entries under `dependencies:` of an environment.yml, which must be a plain list of strings."""
    lines = [line.split(" #")[0].rstrip() for line in text.splitlines()]
    start = lines.index("dependencies:") + 1
    entries = []
    for line in lines[start:]:
        if line and not line.startswith(" "):
            break
        if line.strip():
            entry = re.fullmatch(r"  - ([\w.-]+[<>=!\d.,]*)", line)
            assert entry, f"environment.yml: not a plain entry of the list: {line!r}"
            entries.append(entry[1])
    return entries


def test_environment_yml_lists_what_pyproject_lists():
    declared = project()["project"]
    extras = declared["optional-dependencies"]
    expected = {f"python{declared['requires-python']}"}
    expected.update(declared["dependencies"], extras["lab"], extras["test"])
    listed = conda_dependencies((ROOT / "environment.yml").read_text(encoding="utf-8"))
    assert sorted(listed) == sorted(expected)


def test_environment_yml_is_read_correctly():
    text = "name: x\ndependencies:\n  - python>=3.11\n  # why\n  - a-b>=1,<2  # two\n\nother:\n  - c\n"
    assert conda_dependencies(text) == ["python>=3.11", "a-b>=1,<2"]
    with pytest.raises(AssertionError, match="not a plain entry"):
        conda_dependencies("dependencies:\n  - pip:\n    - numpy\n")


def test_the_extra_test_runs_notebooks_as_lab_does():
    extras = project()["project"]["optional-dependencies"]
    assert set(extras["lab"]) <= set(extras["test"])


def test_one_version_of_ruff():
    (ruff,) = (r for r in project()["project"]["optional-dependencies"]["test"] if package_name(r) == "ruff")
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    assert set(re.findall(r'"(ruff[^"]*)"', hooks)) == {ruff}


def test_nothing_is_installed_under_a_name_as_general_as_common():
    assert project()["tool"]["setuptools"]["packages"] == []


# --- the commands ---------------------------------------------------------------------------------


def test_every_command_of_the_makefile_is_listed_and_leads_somewhere():
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    (phony,) = re.findall(r"^\.PHONY: (.*)$", text, re.M)
    described = re.findall(r"^([a-z-]+):[^#\n]*## \S", text, re.M)
    assert sorted(phony.split()) == sorted(described)
    for module in re.findall(r"\$\(PY\) -m (\S+)", text):
        if module.split(".")[0] in OURS:
            path = ROOT / module.replace(".", "/")
            there = path.with_suffix(".py").is_file() or (path / "__main__.py").is_file()
            assert there, f"make runs {module}"


def test_pages_open_jupyterlab_where_make_lab_opens_it():
    """In the first notebook, with the root of the course as the server's root, so that links to ../ch08/ open."""
    (options,) = re.findall(r"-m jupyter lab (.*) \$\(ARGS\)", (ROOT / "Makefile").read_text(encoding="utf-8"))
    assert options.split()[0] == "--ServerApp.root_dir=."  # without it, the folder the command is run in
    for page in ("README.md", "CONTRIBUTING.md"):
        shown = re.findall(r"python -m jupyter lab *([^`\n]*)", (ROOT / page).read_text(encoding="utf-8"))
        assert shown == [options.split(" ", 1)[1]], page
    assert (ROOT / options.split("lab/tree/")[1]).is_file()


def test_ci_tests_the_lowest_numpy_that_is_allowed():
    assert "numpy>=2.0" in project()["project"]["dependencies"]
    assert "numpy==2.0.*" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_ci_runs_one_script_everywhere():
    script = ROOT / ".ci" / "run"
    assert script.read_text(encoding="utf-8").startswith("#!/usr/bin/env bash\n")
    assert os.access(script, os.X_OK)
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    assert re.findall(r"run: (.*)", workflow) == ["bash .ci/run"]
    assert re.findall(r"python: \[(.*)\]", workflow) == ['"3.11", "3.12", "3.13"']
    used = {action.split("@")[0] for action in re.findall(r"uses: (\S+)", workflow)}
    assert used <= {"actions/checkout", "actions/setup-python", "actions/upload-artifact"}


def test_the_web_edition_is_built_and_published_with_one_command():
    """Pages has the rights that publishing needs and no others, builds what `make site` builds, and only on main."""
    workflow = (ROOT / ".github" / "workflows" / "pages.yml").read_text(encoding="utf-8")
    assert re.findall(r"run: (.*)", workflow) == ["make site"]
    assert re.findall(r"branches: (.*)", workflow) == ["[main]"]
    rights = re.findall(r"^  ([a-z-]+: (?:read|write))$", workflow, re.M)
    assert rights == ["contents: read", "pages: write", "id-token: write"]
    assert "pull_request" not in workflow
    used = [action.split("@")[0] for action in re.findall(r"uses: (\S+)", workflow)]
    assert used == [
        "actions/checkout",
        "actions/setup-python",
        "actions/configure-pages",
        "actions/upload-pages-artifact",
        "actions/deploy-pages",
    ]
    (out,) = re.findall(r"^ +path: (.*)$", workflow, re.M)
    module = (ROOT / "notebooks" / "web" / "__main__.py").read_text(encoding="utf-8")
    assert "OUT = stage.ROOT / " + " / ".join(f'"{part}"' for part in out.split("/")) in module


def test_there_are_no_workflows_but_these():
    assert sorted(path.name for path in (ROOT / ".github" / "workflows").iterdir()) == ["ci.yml", "pages.yml"]


def test_the_address_of_the_web_edition_follows_from_that_of_the_repository():
    urls = project()["project"]["urls"]
    owner, name = urls["Repository"].removeprefix("https://github.com/").split("/")
    assert urls["Documentation"] == f"https://{owner}.github.io/{name}/"
    first_screen = "\n".join((ROOT / "README.md").read_text(encoding="utf-8").splitlines()[:20])
    assert f"]({urls['Documentation']})" in first_screen


# --- imports --------------------------------------------------------------------------------------


def imports(text, path):
    """Dotted name and line of everything that a source text imports, anywhere in it."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = path.split("/")[: -node.level] if node.level else []
            base = [*base, *([node.module] if node.module else [])]
            names = [alias.name for alias in node.names] if node.module is None and node.level else [""]
            found += [(".".join([*base, name]).rstrip("."), node.lineno) for name in names]
    return found


def wrong_imports(path, text):
    """What `path` may not import: another room than the table allows, NumPy by name, undeclared packages."""
    room = path.split("/")[0]
    declared = project()["project"]
    lists = [declared["dependencies"], *declared["optional-dependencies"].values()]
    packages = {package_name(requirement).lower() for requirements in lists for requirement in requirements}
    wrong = []
    for name, line in imports(text, path):
        top = name.split(".")[0]
        if top in OURS:
            if top != room and top not in ROOMS[room]:
                wrong.append(f"{path}:{line}: {room} may not import {name}")
        elif room == "dataset":
            if top not in sys.stdlib_module_names | {"numpy"}:
                wrong.append(f"{path}:{line}: dataset may import NumPy only, not {name}")
        elif top in ARRAY_LIBRARIES:
            if path != "common/np.py":
                wrong.append(f"{path}:{line}: write `from common.np import np` in place of importing {name}")
        elif top not in sys.stdlib_module_names and PROVIDED_BY.get(top, top).lower() not in packages:
            wrong.append(f"{path}:{line}: {name} comes from no package that pyproject.toml declares")
    return wrong


def wrong_order(path, text):
    """Imports of a module of layers that is above `path` in ORDER."""
    names = [f"common.{name}" for name in ORDER]
    own = path.removesuffix(".py").replace("/", ".")
    if own not in names:
        return []
    above = set(names[names.index(own) :])
    imported = imports(text, path)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.module == "common":
            imported += [(f"common.{alias.name}", node.lineno) for alias in node.names]
    return [f"{path}:{line}: {own} may not import {name}" for name, line in imported if name in above]


def path_tricks(path, text):
    """Star imports and changes to sys.path."""
    wrong = []
    for node in ast.walk(ast.parse(text)):
        names = [alias.name for alias in node.names] if isinstance(node, ast.ImportFrom) else []
        targets = []
        if isinstance(node, ast.Assign | ast.Delete):
            targets = [ast.unparse(target) for target in node.targets]
        elif isinstance(node, ast.AugAssign | ast.AnnAssign):
            targets = [ast.unparse(node.target)]
        call = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
        if (
            "*" in names
            or ("path" in names and node.module == "sys")
            or any(target == "sys.path" or target.startswith("sys.path[") for target in targets)
            or call.startswith("sys.path.")
            or call == "site.addsitedir"
        ):
            wrong.append(f"{path}:{node.lineno}: {ast.unparse(node)}")
    return wrong


def test_rooms_import_only_what_the_house_allows():
    assert [wrong for source in sources() for wrong in wrong_imports(*source)] == []


def test_layers_import_only_what_is_below_them():
    texts = dict(sources())
    assert {f"common/{name}.py" for name in ORDER} <= texts.keys()
    assert [wrong for source in texts.items() for wrong in wrong_order(*source)] == []


@pytest.mark.parametrize(
    ("path", "text", "wrong"),
    [
        ("common/layers.py", "from common.functions import relu", 0),
        ("common/layers.py", "def f():\n    from common.time_layers import TimeLSTM", 1),
        ("common/steps.py", "from common import recurrent, layers", 1),
        ("common/functions.py", "import common.layers", 1),
        ("common/plots.py", "from common.time_layers import TimeLSTM", 0),
    ],
)
def test_an_import_from_above_is_found(path, text, wrong):
    assert len(wrong_order(path, text)) == wrong


def test_no_star_imports_and_no_changes_to_sys_path_in_the_library():
    assert [wrong for source in sources() for wrong in path_tricks(*source)] == []


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("common/util.py", "from ch08.train import main"),
        ("common/util.py", "def f():\n    import dataset.sequence"),
        ("ch07/train.py", "from ch08 import attention_layer"),
        ("ch08/train.py", "import tests.conftest"),
        ("ch08/train.py", "import numpy as np"),
        ("ch08/train.py", "from numpy.random import default_rng"),
        ("common/layers.py", "import cupy"),
        ("common/plots.py", "import pandas"),
        ("common/widgets/x.py", "from .. import pandas\nfrom ...ch08 import train"),
        ("dataset/sequence.py", "from common.np import np"),
        ("dataset/sequence.py", "import matplotlib"),
    ],
)
def test_a_wrong_import_is_found(path, text):
    assert len(wrong_imports(path, text)) == 1


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("common/util.py", "import sys, matplotlib.pyplot\nfrom common.np import np\nfrom . import layers"),
        ("common/np.py", "import numpy, cupy"),
        (
            "ch08/train.py",
            "from ch07 import seq2seq\nimport dataset.sequence\nfrom .attention_layer import x",
        ),
        ("dataset/sequence.py", "import numpy as np\nfrom .dates import x\nimport datetime"),
        ("common/widgets/x.py", "from ..plots import y\nimport ipywidgets\nimport IPython.display"),
    ],
)
def test_a_right_import_is_left_alone(path, text):
    assert wrong_imports(path, text) == []


@pytest.mark.parametrize(
    "text",
    [
        "from common.np import *",
        "import sys\nsys.path.append('..')",
        "import sys\nsys.path.insert(0, '.')",
        "import sys\nsys.path = ['.']",
        "import sys\nsys.path += ['.']",
        "import sys\nsys.path[0] = '.'",
        "import sys\ndel sys.path[0]",
        "from sys import path",
        "import site\nsite.addsitedir('.')",
    ],
)
def test_a_star_import_or_a_change_to_sys_path_is_found(text):
    assert len(path_tricks("common/x.py", text)) == 1


def test_reading_sys_path_is_not_a_change_to_it():
    text = "import sys\nprint(sys.path)\nsys.path_hooks = []\nx = sys.path[0]"
    assert path_tricks("common/x.py", text) == []


# --- within common: what grading may import -------------------------------------------------------


def wrong_grading_imports(path, text):
    """Imports of `grading.teacher` by anything but `grading/__main__.py` and itself, and of widgets by grading."""
    wrong = []
    for name, line in imported_modules(text, path):
        inside = path.startswith("common/grading/")
        may_teach = path.startswith("common/grading/teacher/") or path == "common/grading/__main__.py"
        if f"{name}.".startswith("common.grading.teacher.") and not may_teach:
            wrong.append(f"{path}:{line}: only common/grading/__main__.py may import {name}")
        if f"{name}.".startswith("common.widgets.") and inside:
            wrong.append(f"{path}:{line}: grading draws with common.svg and may not import {name}")
    return wrong


def imported_modules(text, path):
    """Dotted name and line of all imports; of `from package import name` also `package.name`, as it may be a module."""
    found = list(imports(text, path))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.module:
            base = [*path.split("/")[: -node.level], node.module] if node.level else [node.module]
            found += [(".".join([*base, alias.name]), node.lineno) for alias in node.names]
    return found


def test_only_the_command_line_imports_what_a_teacher_needs_and_grading_imports_no_widget():
    assert [wrong for source in sources() for wrong in wrong_grading_imports(*source)] == []


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("common/grading/check.py", "import common.grading.teacher.rows"),
        ("common/grading/check.py", "def f():\n    from common.grading import teacher"),
        ("common/grading/check.py", "from .teacher import rows"),
        ("ch08/exercises/attention.py", "from common.grading.teacher import rows"),
        ("common/grading/picture.py", "from common import widgets"),
        ("common/grading/teacher/report.py", "import common.widgets.base"),
        ("common/grading/teacher/report.py", "from ...widgets import Picture"),
    ],
)
def test_a_wrong_import_in_grading_is_found(path, text):
    assert wrong_grading_imports(path, text) != []


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("common/grading/__main__.py", "from common.grading.teacher import report"),
        ("common/grading/teacher/report.py", "from common.grading.teacher.rows import Row\nfrom common.svg import INK"),
        ("common/widgets/base.py", "from common import svg"),
    ],
)
def test_a_right_import_in_grading_is_left_alone(path, text):
    assert wrong_grading_imports(path, text) == []


# --- what may import what, further rules of the house ----------------------------------------------

# (who, what it may not import): prefixes of paths, prefixes of module names.
FORBIDDEN = [
    (("common/training/",), ("common.widgets.", "common.grading.")),
    (("common/decoding.py",), ("common.training.", "common.trainer.")),
    (("ch07/exercises/", "ch08/exercises/"), ("ch07.train.", "ch08.train.", "ch08.compare.", "ch08.recipes.")),
    (("ch08/attention_layer.py", "ch08/score_layers.py", "ch08/alignment.py"), ("ch07.", "ch08.attention_seq2seq.")),
    (
        ("ch07/seq2seq.py", "ch07/peeky_seq2seq.py", "ch08/attention_seq2seq.py"),
        ("common.training.", "common.widgets.", "ch07.train.", "ch08.recipes.", "ch08.train."),
    ),
    (("ch08/recipes/",), ("ch08.train.", "ch08.compare.", "ch08.explorer.", "common.widgets.", "common.grading.")),
]


def forbidden_imports(path, text):
    """Imports that FORBIDDEN names."""
    return [
        f"{path}:{line}: may not import {name}"
        for who, what in FORBIDDEN
        if path.startswith(who)
        for name, line in imported_modules(text, path)
        if f"{name}.".startswith(what)
    ]


def test_layers_models_recipes_and_programs_stand_in_this_order():
    assert [wrong for source in sources() for wrong in forbidden_imports(*source)] == []


@pytest.mark.parametrize(
    ("path", "text", "wrong"),
    [
        ("common/training/run.py", "from common import widgets", 1),
        ("common/training/run.py", "from common.trainer import Trainer", 0),
        ("ch08/exercises/attention.py", "from ch08.recipes.dates import Dates", 2),
        ("ch08/exercises/attention.py", "from ch08.attention_layer import Attention", 0),
        ("ch08/recipes/dates.py", "import ch08.explorer", 1),
        ("ch08/score_layers.py", "from ch07.seq2seq import Encoder", 2),
        ("ch08/attention_seq2seq.py", "from ch08.attention_layer import TimeAttention", 0),
    ],
)
def test_a_forbidden_import_is_found(path, text, wrong):
    assert len(forbidden_imports(path, text)) == wrong


# --- names ----------------------------------------------------------------------------------------


def python(code, *, cwd=ROOT, scratch):
    """Run `code` in its own Python process, with the root on the path and the caches in `scratch`."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ATTENTION_")}
    environment |= {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", "MPLCONFIGDIR": str(scratch)}
    command = [sys.executable, "-c", textwrap.dedent(code)]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=600)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    """One folder for matplotlib's font list, which takes seconds to make."""
    return tmp_path_factory.mktemp("scratch")


@pytest.mark.parametrize("folder", [".", "ch07", "ch08"])
def test_public_names_can_be_imported_from_the_root_and_from_the_chapters(folder, scratch):
    lines = [f"from {module} import {name}" for module, names in PUBLIC_NAMES.items() for name in names.split()]
    done = python("\n".join(lines), cwd=ROOT / folder, scratch=scratch)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("module", STAR_IMPORTS)
def test_star_import_brings_np(module, scratch):
    done = python(f"from {module} import *; print(np.zeros(2).shape)", scratch=scratch)
    assert done.stdout == "(2,)\n", done.stderr


def files(*folders):
    """Every file under these folders, without Python's caches."""
    found = {path for folder in folders for path in (ROOT / folder).rglob("*")}
    return {path for path in found if "__pycache__" not in path.parts}


@pytest.mark.parametrize("module", modules())
def test_importing_does_nothing_but_import(module, tmp_path, scratch):
    """No line printed, no warning, no seed set, no file written, no thread left."""
    code = f"""
        import numpy, threading
        before = repr(numpy.random.get_state()), threading.active_count()
        import {module}
        assert (repr(numpy.random.get_state()), threading.active_count()) == before, "random state or threads"
    """
    before = files(tmp_path, *ROOMS)
    done = python(code, cwd=tmp_path, scratch=scratch)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert files(tmp_path, *ROOMS) == before


def test_layers_and_models_start_without_pictures_and_progress_bars(scratch):
    code = f"""
        import importlib, sys
        for name in {QUICK_TO_IMPORT}:
            importlib.import_module(name)
        print(sorted({SLOW_PACKAGES} & set(sys.modules)))
    """
    done = python(code, scratch=scratch)
    assert done.stdout == "[]\n", done.stderr


# --- docstrings -----------------------------------------------------------------------------------


def without_docstring(path, text):
    """Public modules, classes and functions, and the public methods of public classes, that say nothing."""
    tree = ast.parse(text)
    missing = [] if ast.get_docstring(tree) else [f"{path}:1: module"]
    definitions = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in tree.body:
        if not isinstance(node, definitions) or node.name.startswith("_"):
            continue
        members = node.body if isinstance(node, ast.ClassDef) else []
        public = [m for m in members if isinstance(m, definitions) and not m.name.startswith("_")]
        for item in [node, *public]:
            if not ast.get_docstring(item) and not is_setter(item):
                missing.append(f"{path}:{item.lineno}: {item.name}")
    return missing


def is_setter(node):
    """A property's setter: the property has the text."""
    return any(isinstance(d, ast.Attribute) and d.attr == "setter" for d in node.decorator_list)


def test_public_things_have_docstrings():
    assert [missing for source in sources() for missing in without_docstring(*source)] == []


def test_a_missing_docstring_is_found():
    text = "class A:\n    def forward(self): pass\n    def _x(self): pass\ndef f(): pass\ndef _g(): pass\n"
    found = without_docstring("common/x.py", text)
    assert [line.split(": ")[1] for line in found] == ["module", "A", "forward", "f"]
    text = '"""m"""\nclass A:\n    """a"""\n    @property\n    def p(self):\n        """p"""\n'
    assert without_docstring("common/x.py", text + "    @p.setter\n    def p(self, x): pass\n") == []


# --- pages ----------------------------------------------------------------------------------------


def pages():
    """Path, relative to the root, and text of every Markdown page."""
    paths = [path for path in repository_files() if path.suffix == ".md"]
    return [(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")) for path in paths]


def test_a_number_and_its_percent_sign_stay_on_one_line():
    """A no-break space stands between them: "100 %" must not end a line after the number."""
    assert len(pages()) > 5
    assert [(path, found) for path, text in pages() for found in re.findall(r"\d[ \n]%", text)] == []


def test_pictures_on_pages_are_there_and_have_alternative_text():
    for path, text in pages():
        shown = re.findall(r"!\[([^\]]*)\]\(([^)\s]+)\)", text)
        tags = re.findall(r"<img [^>]*>", text)
        shown += [(re.search(r'alt="([^"]*)"', tag)[1], re.search(r'src="([^"]*)"', tag)[1]) for tag in tags]
        for alternative, target in shown:
            assert alternative.strip(), f"{path}: {target}"
            assert target.startswith("https://") or ((ROOT / path).parent / target).is_file(), f"{path}: {target}"


def test_every_figure_that_the_readme_reports_stands_on_the_page_with_the_details():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text[text.index("## What is measured") : text.index("## The house")]
    linked = [target.split("#")[0] for target in re.findall(r"\]\(([^)]+)\)", section)]
    assert len(linked) == 2
    number = r"(?<![\w.])\d+(?:\.\d+)?(?![\w.]*\d)"
    details = set(re.findall(number, "".join((ROOT / target).read_text(encoding="utf-8") for target in linked)))
    results = [line.split("|")[2] for line in section.splitlines() if line.startswith("| ")][1:]
    figures = {figure for result in results for figure in re.findall(number, result)}
    assert len(figures) > 15
    assert sorted(figures - details) == []


# --- nothing of one machine -----------------------------------------------------------------------

MACHINE_PATH = re.compile(
    r"(?<![\w.~$}/-])/(?:work|root|home|Users|opt)/\w"  # an absolute path of someone's machine
    r"|/tmp/(?:ipykernel_|\w/)"  # a kernel's temporary file, as warnings in stored outputs show it
    r"|\b[A-Z]:\\+Users\\"
)
REGISTRIES = ("pypi", "pythonhosted", "anaconda", "npmjs", "download.pytorch")
HOSTS = [f"{name}.org" for name in REGISTRIES]
BINARY = {".mo", ".npz", ".png"}


def traces(name, text):
    """Lines that name a path of one machine, or the host of a package registry."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if MACHINE_PATH.search(line) or any(host in line for host in HOSTS):
            found.append(f"{name}:{number}: {line.strip()[:80]}")
    return found


def test_no_machine_paths_and_no_registry_hosts():
    files = [path for path in repository_files() if path.suffix not in BINARY]
    assert len(files) > 20
    texts = [(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")) for path in files]
    assert [trace for text in texts for trace in traces(*text)] == []


@pytest.mark.parametrize("folder", ["home", "Users", "root", "opt"])
def test_a_machine_path_is_found(folder):
    assert traces("x", f"at {Path('/') / folder / 'ada' / 'x.py'}") != []
    assert traces("x", f"https://example.com/{folder}/ada and ~/{folder}/x and data/{folder}/x") == []


def test_a_registry_host_is_found():
    assert [traces("x", f"see https://{host}/simple") for host in HOSTS if not traces("x", host)] == []
