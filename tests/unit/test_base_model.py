"""Parameters, gradients and their names, found by a walk over the attributes."""

import copy
import pickle

import numpy as np
import pytest

from ch07.seq2seq import Seq2seq
from common.base_model import BaseModel, Composite, is_layer, named_params, sublayers, walk
from common.layers import Affine, Dropout, Embedding, Sigmoid
from common.npz import load_arrays
from common.optimizer import SGD
from common.time_layers import TimeAffine, TimeEmbedding, TimeGRU, TimeLSTM, TimeSoftmaxWithLoss
from common.trainer import Trainer

V, D, H = 7, 3, 4


def embed(seed=0):
    return TimeEmbedding(np.random.default_rng(seed).standard_normal((V, D)))


def lstm(seed=0, size=D):
    rng = np.random.default_rng(seed)
    return TimeLSTM(rng.standard_normal((size, 4 * H)), rng.standard_normal((H, 4 * H)), np.zeros(4 * H))


def affine(seed=0, size=H):
    return TimeAffine(np.random.default_rng(seed).standard_normal((size, V)), np.zeros(V))


class Part(Composite):
    def __init__(self, seed=0, with_affine=True):
        self.embed = embed(seed)
        self.lstm = lstm(seed)
        if with_affine:
            self.affine = affine(seed)
        self.cache = None

    def forward(self, xs):
        hs = self.lstm.forward(self.embed.forward(xs))
        return self.affine.forward(hs)

    def backward(self, dscore):
        self.embed.backward(self.lstm.backward(self.affine.backward(dscore)))


class Model(BaseModel):
    def __init__(self, seed=0):
        self.decoder = Part(seed)
        self.loss = TimeSoftmaxWithLoss()

    def forward(self, xs, ts):
        return self.loss.forward(self.decoder.forward(xs), ts)

    def backward(self, dout=1):
        self.decoder.backward(self.loss.backward(dout))


def assert_parallel(layer, arrays):
    """The layer's params and grads must be these arrays and their gradients, in this order."""
    assert [id(p) for p in layer.params] == [id(p) for p, _ in arrays]
    assert [id(g) for g in layer.grads] == [id(g) for _, g in arrays]
    assert len(layer.param_names) == len(arrays)


def pairs(*layers):
    return [pair for layer in layers for pair in zip(layer.params, layer.grads, strict=True)]


# --- order and names -------------------------------------------------------------------------------------------


def test_names_and_order_are_those_of_the_files_that_are_shipped(root):
    class Encoder(Part):
        def __init__(self):
            super().__init__(with_affine=False)

    class Whole(BaseModel):
        def __init__(self):
            self.encoder, self.decoder, self.softmax = Encoder(), Part(), TimeSoftmaxWithLoss()

    names = Whole().param_names
    for name in ("seq2seq", "peeky", "attention"):
        assert list(load_arrays(root / f"ch08/pretrained/{name}/weights.npz"))[:10] == names
    assert names[:4] == ["encoder.embed.W", "encoder.lstm.Wx", "encoder.lstm.Wh", "encoder.lstm.b"]
    assert names == Seq2seq(V, D, H).param_names


def test_params_and_grads_are_the_layers_own_arrays():
    model = Model()
    part = model.decoder
    assert_parallel(model, pairs(part.embed, part.lstm, part.affine))
    assert [(n, p.shape) for n, p in named_params(model).items()] == [
        (f"decoder.{n}", p.shape) for n, p in named_params(part).items()
    ]


def test_a_layer_that_replaces_another_is_trained_saved_and_named(tmp_path):
    model = Model()
    rng = np.random.default_rng(3)
    old = model.decoder.lstm
    model.decoder.lstm = TimeGRU(rng.standard_normal((D, 3 * H)), rng.standard_normal((H, 3 * H)), np.zeros(3 * H))
    assert_parallel(model, pairs(model.decoder.embed, model.decoder.lstm, model.decoder.affine))
    assert model.param_names[1:4] == ["decoder.lstm.Wx", "decoder.lstm.Wh", "decoder.lstm.b"]
    before, of_old = [p.copy() for p in model.params], [p.copy() for p in old.params]
    xs = rng.integers(0, V, (5, 6))
    Trainer(model, SGD(0.1)).fit(xs, xs, max_epoch=1, batch_size=5, verbose=False)
    assert all((p != b).any() for p, b in zip(model.params, before, strict=True))
    assert all((p == b).all() for p, b in zip(old.params, of_old, strict=True))
    saved = load_arrays(model.save_params(tmp_path / "w.npz"))
    np.testing.assert_array_equal(saved["decoder.lstm.Wh"], model.decoder.lstm.params[1])


def test_layers_in_lists_tuples_and_dicts():
    class Deep(BaseModel):
        def __init__(self):
            self.embed = embed()
            self.blocks = [[lstm(1), affine(2)], (lstm(3, size=V),)]
            self.heads = {"left": affine(4), "right": affine(5), "size": 3}
            self.sizes = (1, 2, "x", None)

    model = Deep()
    (first, second), (third,) = model.blocks
    assert_parallel(model, pairs(model.embed, first, second, third, model.heads["left"], model.heads["right"]))
    assert [n for n in model.param_names if n.endswith("b")] == [
        "blocks.0.0.b",
        "blocks.0.1.b",
        "blocks.1.0.b",
        "heads.left.b",
        "heads.right.b",
    ]
    model.blocks.append([affine(6)])
    assert_parallel(
        model, pairs(model.embed, first, second, third, model.blocks[2][0], model.heads["left"], model.heads["right"])
    )


def test_a_shared_layer_counts_once():
    class Twice(BaseModel):
        def __init__(self):
            self.first = affine()
            self.again = self.first
            self.both = [self.first, Part()]

    model = Twice()
    assert_parallel(model, pairs(model.first, *model.both[1:]))
    assert model.param_names[:3] == ["first.W", "first.b", "both.1.embed.W"]


def test_an_array_that_two_layers_share_keeps_both_gradients():
    class Tied(BaseModel):
        def __init__(self):
            W = np.random.default_rng(0).standard_normal((V, V))
            self.one, self.two = Embedding(W), Affine(W, np.zeros(V))

    model = Tied()
    assert_parallel(model, pairs(model.one, model.two))
    assert model.params[0] is model.params[1]
    assert model.grads[0] is not model.grads[1]
    assert model.param_names == ["one.W", "two.W", "two.b"]


def test_cycles_end():
    class Child(Composite):
        def __init__(self, parent):
            self.parent = parent
            self.affine = affine()

    class Parent(BaseModel):
        def __init__(self):
            self.me = self
            self.children = [Child(self), Child(self)]

    model = Parent()
    assert_parallel(model, pairs(*(child.affine for child in model.children)))
    assert model.children[0].param_names == [
        "parent.children.1.affine.W",
        "parent.children.1.affine.b",
        *"affine.W affine.b".split(),
    ]
    assert model.eval() is model
    assert len(copy.deepcopy(model).params) == 4


def test_what_looks_like_a_layer_but_is_not_one():
    class Odd(BaseModel):
        def __init__(self):
            self.kind, self.part_kind = TimeLSTM, Part
            self.function = np.tanh
            self.affine = affine()

    assert Odd().param_names == ["affine.W", "affine.b"]
    assert not is_layer(Part)
    assert is_layer(Part())
    assert is_layer(Sigmoid())
    assert [n for n, _ in sublayers(Odd())] == ["affine"]

    class Slots:
        __slots__ = ("grads", "params")

        def __init__(self):
            self.params, self.grads = [], []

        def forward(self):
            return None

    assert walk(Slots()) == []


# --- lists of one's own, as in the book ------------------------------------------------------------------------


class BookStyle(BaseModel):
    def __init__(self, how):
        self.embed, self.lstm, self.affine = embed(), lstm(), affine()
        layers = self.embed, self.lstm, self.affine
        if how == "assigned":
            self.params = self.embed.params + self.lstm.params + self.affine.params
            self.grads = self.embed.grads + self.lstm.grads + self.affine.grads
        elif how == "emptied, then added":
            self.params, self.grads = [], []
            for layer in layers:
                self.params += layer.params
                self.grads += layer.grads
        elif how == "added":
            for layer in layers:
                self.params += layer.params
                self.grads += layer.grads
        elif how == "extended":
            self.params, self.grads = [], []
            for layer in layers:
                self.params.extend(layer.params)
                self.grads.extend(layer.grads)
        elif how == "None, as in the book's BaseModel":
            self.params, self.grads = None, None


@pytest.mark.parametrize(
    "how", ["assigned", "emptied, then added", "added", "extended", "None, as in the book's BaseModel"]
)
def test_a_model_that_keeps_lists_as_in_the_book(how):
    model = BookStyle(how)
    assert_parallel(model, pairs(model.embed, model.lstm, model.affine))
    assert model.param_names == ["embed.W", "lstm.Wx", "lstm.Wh", "lstm.b", "affine.W", "affine.b"]
    outer = BaseModel()
    outer.part = BookStyle(how)
    assert_parallel(outer, pairs(outer.part.embed, outer.part.lstm, outer.part.affine))
    assert outer.param_names[:2] == ["part.embed.W", "part.lstm.Wx"]


def test_a_subclass_adds_a_layer_to_the_lists_of_a_walked_model():
    class More(Model):
        def __init__(self, as_attribute):
            super().__init__()
            more = affine(9)
            if as_attribute:
                self.more = more
            self.params += more.params
            self.grads += more.grads
            self.kept = [more.params, more.grads]

    for as_attribute in (True, False):
        model = More(as_attribute)
        part = model.decoder
        more = list(zip(*model.kept, strict=True))
        assert_parallel(model, pairs(part.embed, part.lstm, part.affine) + more)
        assert model.param_names[-2:] == (["more.W", "more.b"] if as_attribute else ["param_6", "param_7"])


def test_lists_of_different_length_are_refused_with_the_name_of_the_layer():
    class Half(BaseModel):
        def __init__(self):
            self.params = [np.zeros(2)]

    outer = BaseModel()
    outer.half = Half()
    with pytest.raises(ValueError, match="Half has 1 params, but 0 grads"):
        _ = outer.params


@pytest.mark.parametrize("how", ["set", "on the class", "a property"])
def test_custom_names(how, tmp_path):
    class Mine(Model):
        def __init__(self):
            super().__init__()
            if how == "set":
                self.param_names = "abcdef"

    if how == "on the class":
        Mine.param_names = tuple("abcdef")
    elif how == "a property":
        Mine.param_names = property(lambda self: [f"{chr(97 + k)}" for k in range(len(self.params))])
    model, other = Mine(), Mine()
    assert list(model.param_names) == list("abcdef")
    path = model.save_params(tmp_path / "w.npz")
    assert list(load_arrays(path)) == list("abcdef")
    other.load_params(path)


# --- mode, copies ----------------------------------------------------------------------------------------------


def test_train_and_eval_reach_every_layer():
    class Noisy(BaseModel):
        def __init__(self):
            self.part, self.drops = Part(), [Dropout(0.5), {"x": Dropout(0.5)}]
            self.part.drop = Dropout(0.5)

    model = Noisy()
    drops = [model.part.drop, model.drops[0], model.drops[1]["x"]]
    assert model.eval() is model
    assert [d.train_flg for d in drops] == [False] * 3
    assert model.train() is model
    assert [d.train_flg for d in drops] == [True] * 3


@pytest.mark.parametrize("make_copy", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
@pytest.mark.parametrize("make", [Model, lambda: BookStyle("assigned")])
def test_copies_have_arrays_of_their_own(make_copy, make):
    model = make()
    model.vocab = list("abcdefg")
    twin = make_copy(model)
    assert twin.param_names == model.param_names
    assert twin.vocab == tuple("abcdefg")
    for p, q in zip(model.params, twin.params, strict=True):
        np.testing.assert_array_equal(p, q)
        assert not np.shares_memory(p, q)
    part = getattr(twin, "decoder", twin)
    assert_parallel(twin, pairs(part.embed, part.lstm, part.affine))
