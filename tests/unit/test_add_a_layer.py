"""CONTRIBUTING's "Add a layer", followed from the first step to the last with an example: the highway layer.

Every step of the page has a check here, and the first test holds the two lists together. Begin a layer of your own with
a copy of ``Highway``.
"""

import ast
import inspect
import re
import textwrap

import numpy as np
import pytest

from common.functions import sigmoid
from common.gradient_check import gradient_check
from common.layers import cached, cast, check_dout
from tests import mutators
from tests.unit import test_contract as contract
from tests.unit.test_project import without_docstring


class Highway:
    """y = g * tanh(x W) + (1 - g) * x: a gate g = sigmoid(x Wg + b) chooses between a transformed x and x itself.

    Shapes: x and y (..., D), W and Wg (D, D), b (D,). Raises: ValueError if x has not D columns.
    Source: Srivastava et al. 2015, equation 3.
    """

    param_names = ("W", "Wg", "b")

    def __init__(self, W, Wg, b):
        self.params = [W, Wg, b]
        self.grads = [np.zeros_like(p) for p in self.params]
        self.cache = None

    def forward(self, x):
        """Return y (..., D)."""
        W, Wg, b = self.params
        if x.shape[-1:] != b.shape:
            raise ValueError(f"Highway: x {x.shape} does not fit W {W.shape}")
        (x,) = cast(W.dtype, x)
        g, h = sigmoid(x @ Wg + b), np.tanh(x @ W)
        self.cache = (x, g, h)
        return g * h + (1 - g) * x

    def backward(self, dout):
        """dh = dout g, dg = dout (h - x); tanh' = 1 - h^2, sigmoid' = g (1 - g). x reached y along three ways."""
        W, Wg, _ = self.params
        dW, dWg, db = self.grads
        x, g, h = cached(self)
        check_dout(self, dout, x.shape)
        (dout,) = cast(W.dtype, dout)
        dh = dout * g * (1 - h * h)  # before tanh
        dg = dout * (h - x) * g * (1 - g)  # before the sigmoid
        rows, dh_rows, dg_rows = (a.reshape(-1, len(W)) for a in (x, dh, dg))
        dW[...] = rows.T @ dh_rows
        dWg[...] = rows.T @ dg_rows
        db[...] = dg_rows.sum(axis=0)
        return dout * (1 - g) + dh @ W.T + dg @ Wg.T


SHAPES = [(3, 4), (1, 3), (3, 1), (2, 3, 2), (1, 1, 1), (4,)]


def make(D, layer_class=Highway, seed=0):
    rng = np.random.default_rng(seed)
    return layer_class(rng.standard_normal((D, D)), rng.standard_normal((D, D)), rng.standard_normal(D))


def check_forward():
    layer = make(1)
    layer.params[0][...], layer.params[1][...], layer.params[2][...] = 1, 0, np.log(3)
    expected = 0.75 * np.tanh(2) + 0.25 * 2
    np.testing.assert_allclose(layer.forward(np.array([[2.0]])), [[expected]])
    with pytest.raises(ValueError, match=r"x \(2, 3\) does not fit W \(4, 4\)"):
        make(4).forward(np.ones((2, 3)))


def check_gradients(layer_class=Highway):
    for shape in SHAPES:
        x = np.random.default_rng(1).standard_normal(shape)
        gradient_check(make(shape[-1], layer_class), x)


def check_backward():
    check_gradients()
    layer = make(3)
    dout = layer.forward(np.ones((2, 3)))
    first = layer.backward(dout), *(g.copy() for g in layer.grads)
    for got, expected in zip((layer.backward(dout), *layer.grads), first, strict=True):
        np.testing.assert_array_equal(got, expected)


def check_docstring():
    source = '"""A module."""\n' + textwrap.dedent(inspect.getsource(Highway))
    assert without_docstring("common/highway.py", source) == []
    assert all(word in Highway.__doc__ for word in ("Shapes:", "Raises:", "Source:"))


def check_contract():
    """All tests of test_contract.py that ask for a case and nothing else, and the others with their first numbers."""
    D = contract.D
    case = contract.Case(Highway, [(D, D), (D, D), (D,)], "x")
    case.name = "Highway"
    ran = 0
    for name, test in vars(contract).items():
        if not name.startswith("test_") or "case" not in inspect.signature(test).parameters:
            continue
        arguments = {}
        for mark in getattr(test, "pytestmark", []):
            names, values = mark.args
            one = len(names) == 1 or isinstance(names, str)
            arguments |= {names: values[0]} if one else dict(zip(names, values[0], strict=True))
        test(case, **arguments)
        ran += 1
    assert ran > 15


def check_parity():
    torch = pytest.importorskip("torch")
    from tests.parity.torch_tools import check_layer

    def highway(x, W, Wg, b):
        g = torch.sigmoid(x @ Wg + b)
        return g * torch.tanh(x @ W) + (1 - g) * x

    for shape in SHAPES[:4]:
        check_layer(make(shape[-1]), highway, np.random.default_rng(2).standard_normal(shape))


def check_properties():
    """A gate that is shut lets x through; the result lies between x and tanh(x W)."""
    layer, x = make(3), np.random.default_rng(3).standard_normal((5, 3))
    y, h = layer.forward(x), np.tanh(x @ layer.params[0])
    assert ((y >= np.minimum(x, h)) & (y <= np.maximum(x, h))).all()
    layer.params[2][...] = -1e4
    np.testing.assert_array_equal(layer.forward(x), x)


def check_mutation():
    """Every change that the mutation test would make in backward is noticed by the gradient test."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(Highway)))

    def compiled():
        namespace = dict(globals())
        exec(compile(ast.fix_missing_locations(tree), "highway", "exec"), namespace)
        return namespace["Highway"]

    check_gradients(compiled())  # as it is, the layer passes
    survivors, count = [], 0
    for parent, field, k, node, place, statement in list(mutators.spots(tree)):
        if place != "Highway.backward" or node is tree.body[0].body[-1]:
            continue
        for new in (*mutators.changed_statements(node), *mutators.changed_expressions(node)):
            mutators.put(parent, field, k, ast.copy_location(new, node))
            layer_class = compiled()
            mutators.put(parent, field, k, node)
            count += 1
            try:
                with np.errstate(all="ignore"):
                    check_gradients(layer_class)
            except Exception:
                continue
            survivors.append(f"{ast.unparse(statement)}  ->  {ast.unparse(new)}")
    assert count > 40
    # what concerns errors and dtypes is noticed by the contract
    assert [s for s in survivors if "check_dout" not in s and "cast" not in s] == []


STEPS = {
    "Forward": check_forward,
    "Backward": check_backward,
    "Docstring": check_docstring,
    "Gradient test": check_gradients,
    "Parity test": check_parity,
    "Contract": check_contract,
    "Property tests": check_properties,
    "Mutation": check_mutation,
}
FOR_LAYERS_OF_THE_COURSE = {"Bench"}  # steps that an example cannot take


def recipe(text):
    """The steps of "Add a layer", by what stands in bold at their beginning."""
    section = text.split("\n## Add a layer\n")[1].split("\n## ")[0]
    return re.findall(r"^\d+\. \*\*(.*?)\.?\*\*", section, re.M), len(re.findall(r"^\d+\. ", section, re.M))


def test_the_page_and_the_checks_are_the_same_list(root):
    titles, count = recipe((root / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    assert len(titles) == count
    assert [t for t in titles if t not in FOR_LAYERS_OF_THE_COURSE] == list(STEPS)


@pytest.mark.parametrize("step", [pytest.param(s, marks=pytest.mark.parity if "Parity" in s else ()) for s in STEPS])
def test_step(step):
    STEPS[step]()
