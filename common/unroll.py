"""A layer for one step of a sequence becomes a layer for all steps.

Where a step waits for what the step before put out (a context that is fed back, a memory that is written and read), all
steps cannot be fused as in ``common.recurrent``. Write the one step as a layer, forward and backward, and unroll it.
"""

from itertools import chain

from common.base_model import Composite, is_layer, sublayers
from common.layers import cached, check_dout, write_grads
from common.np import np
from common.workspace import Workspace

_ARRAYS_IN = frozenset(("params", "grads", "_params", "_grads"))  # attributes: lists of arrays, which copies share
_NO_LAYERS = frozenset((np.ndarray, int, float, bool, str, type(None)))  # what attributes mostly are: found quickly


class Unroll(Composite):
    """Run a step layer over T steps: each step gets the state that the one before returned.

    Args: step, a layer that keeps the rules of ``common.layers``; states, how many arrays its state has:

        step.forward(x, *state, *shared) -> (*outs, *state)        x (N, ...), every state (N, ...), every out (N, ...)
        step.backward(*douts, *dstate) -> (dx, *dstate, *dshared)

    Unroll has the same arguments and results, with xs and outs (N, T, ...): ``state`` is the one before the first step
    going in and the one after the last coming out. ``shared`` is what all steps read, such as hs_enc and a mask; as in
    every layer, only what is floating has a gradient. The gradients of the parameters and of ``shared`` are summed
    over the steps.

    The gradients that layers within the step hand to ``write_grads`` wait until all steps are done, and are one product
    over the rows of all of them; those of other layers are added up step by step.

    Every step works with a copy of the step layer, which shares the parameters and gradients and has everything else
    for itself: caches, also those of layers within layers, and the buffers of a ``Workspace``. So ``step`` itself can
    be called at any time, to decode for example, and backward still goes through what forward kept. A step layer must
    not write into arrays of its own again that stand in no Workspace, because the copies share those, nor into a
    gradient that it has handed to a layer within.
    """

    def __init__(self, step, states=1):
        self.step = step
        self.states = states
        self.cache = None

    def forward(self, xs, *inputs, feed=None):
        """Return (*outs, *state), outs (N, T, ...).

        Args: xs (N, T, ...), then the arrays of the first state, then what all steps read. feed: a function that
        decides what step t + 1 reads when step t is done: feed(t, *outs of this step) returns an array that takes the
        place of xs[:, t + 1], or None. xs itself is not changed; what backward returns for it belongs to what was read.
        Raises: ValueError for an empty sequence, a state that is missing, or a step that returns too little.
        """
        if xs.ndim < 2 or 0 in xs.shape[:2]:
            raise ValueError(f"{self._name}: xs is {xs.shape}, but it must be (N, T, ...) with N and T at least 1")
        state, shared = inputs[: self.states], inputs[self.states :]
        if len(state) < self.states or not all(_is_floating(s) for s in state):
            raise ValueError(f"{self._name}: the first state must be {self.states} floating arrays")
        N, T = xs.shape[:2]
        steps, outs = [], None
        x = xs[:, 0]
        for t in range(T):
            copies = {}
            step = _copy(self.step, copies)
            results = _tuple(step.forward(x, *state, *shared))
            count = len(results) - self.states
            if count < 0:
                raise ValueError(f"{self._name}: forward returned {len(results)} arrays, fewer than the state has")
            if outs is None:
                outs = [np.empty((N, T, *out.shape[1:]), out.dtype) for out in results[:count]]
            for out, now in zip(outs, results, strict=False):
                out[:, t] = now
            state = results[count:]
            steps.append((step, list(copies.values())))
            if t + 1 < T:
                fed = None if feed is None else feed(t, *results[:count])
                x = xs[:, t + 1] if fed is None else fed
        self.cache = (steps, (xs, *inputs), [out.shape for out in outs], [(s.shape, s.dtype) for s in state])
        return _untuple((*outs, *state))

    def backward(self, *dout):
        """Go back through the steps: what a step returns for its state comes in from above in the step before.

        Args: the gradients of outs, one each; None for an out that nobody reads, and the step gets None. Then those of
        the last state, None meaning 0; all of these may be left out.
        Returns: (dxs, *dstate, *dshared), for the inputs that are floating.
        """
        steps, inputs, outs, states = cached(self)
        if len(dout) == len(outs):
            dout += (None,) * len(states)
        if len(dout) != len(outs) + len(states):
            raise ValueError(
                f"{self._name}: backward takes gradients of {len(outs)} outputs and {len(states)} states, the latter "
                f"if there are any, got {len(dout)}"
            )
        for d, shape in zip(dout, outs + [shape for shape, _ in states], strict=True):
            if d is not None:
                check_dout(self, d, shape)
        douts, dlast = dout[: len(outs)], dout[len(outs) :]
        dstate = [np.zeros(*state) if d is None else d for d, state in zip(dlast, states, strict=True)]
        floating = [k for k, x in enumerate(inputs) if _is_floating(x)]
        dinputs = {}  # by the place among forward's arguments
        layers = [copies for _, copies in steps]
        for layer in chain(*layers):
            layer.waiting = []
        totals = None
        for t in reversed(range(len(steps))):
            results = _tuple(steps[t][0].backward(*(d if d is None else d[:, t] for d in douts), *dstate))
            if len(results) != len(floating):
                raise ValueError(f"{self._name}: backward returned {len(results)} gradients, expected {len(floating)}")
            for k, d in zip(floating, results, strict=True):
                whole = inputs[k].shape
                if d.shape != (whole if k else (whole[0], *whole[2:])):
                    raise ValueError(f"{self._name}: backward returned a gradient {d.shape} for argument {k}, {whole}")
                if k not in dinputs:
                    dinputs[k] = np.zeros(whole, d.dtype)
                if k == 0:
                    dinputs[k][:, t] = d
                elif k <= len(states):
                    dstate[k - 1] = dinputs[k] = d
                else:
                    dinputs[k] += d
            if totals is None:
                totals = [(g, np.zeros_like(g)) for g in _written_grads(layers[t])]
            for grad, total in totals:
                total += grad
        for grad, total in totals:
            grad[...] = total
        for layer, *copies in zip(_all_layers(self.step), *layers, strict=True):
            write_grads(layer, *_joined([other.waiting for other in copies if other.waiting]))
            for other in copies:
                other.waiting = []
        return _untuple(tuple(dinputs[k] for k in floating))

    @property
    def _name(self):
        return f"Unroll of {type(self.step).__name__}"


def _copy(layer, made):
    """Return a copy of a layer that shares its arrays, but has caches, buffers and layers of its own.

    made: the copies that there are, by id; a layer that stands in two places is one layer in the copy, too.
    """
    if id(layer) not in made:
        made[id(layer)] = other = object.__new__(type(layer))
        mine = vars(other)
        for name, value in vars(layer).items():
            mine[name] = value if name in _ARRAYS_IN else _own(value, made)
    return made[id(layer)]


def _own(value, made):
    """Return what takes the place of an attribute in the copy of a layer."""
    if type(value) in _NO_LAYERS:
        return value
    if is_layer(value):
        return _copy(value, made)
    if isinstance(value, Workspace):
        return Workspace()
    if isinstance(value, list):
        return [_own(v, made) for v in value]
    if isinstance(value, tuple):
        return tuple(_own(v, made) for v in value)
    if isinstance(value, dict):
        return {key: _own(v, made) for key, v in value.items()}
    return value


def _all_layers(layer):
    """Return a layer and all layers in it, each once, in the order in which ``_copy`` makes their copies."""
    found = {}

    def visit(layer):
        if id(layer) not in found:
            found[id(layer)] = layer
            for _, sub in sublayers(layer):
                visit(sub)

    visit(layer)
    return list(found.values())


def _written_grads(layers):
    """Return the gradient arrays, each once, that the layers of a step have written, rather than let them wait."""
    waiting = {id(g) for layer in layers if layer.waiting for g in layer.grads}
    return list({id(g): g for layer in layers for g in layer.grads if id(g) not in waiting}.values())


def _joined(steps):
    """Return the products that wait in the copies of a layer (see ``write_grads``), each over the rows of all steps.

    Args: steps, for each step the list of its products.
    """
    made = {}

    def rows(arrays):
        key = tuple(map(id, arrays))  # the gradient of an affine map, for one, stands in two products
        if key not in made:
            made[key] = None if arrays[0] is None else np.concatenate([x.reshape(-1, x.shape[-1]) for x in arrays])
        return made[key]

    by_product = (zip(*products, strict=True) for products in zip(*steps, strict=True))
    return [(grads[0], rows(xs), rows(ds)) for grads, xs, ds in by_product]


def _is_floating(x):
    return getattr(x, "dtype", None) is not None and x.dtype.kind == "f"


def _tuple(x):
    """Return what forward or backward returned as a tuple."""
    return x if isinstance(x, tuple) else () if x is None else (x,)


def _untuple(results):
    """Return several results as a tuple, a single one by itself, none as None: as layers do."""
    return results if len(results) > 1 else results[0] if results else None
