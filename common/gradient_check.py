"""Compare backward with numerical gradients: every element of every parameter and of every input.

A gradient says how the output moves when a number is moved a little. So move the number a little and look:
``numerical_gradient`` needs only the forward pass, is slow, and is right. ``gradient_check`` holds it beside what
backward says, and where they differ, says which element of which argument is wrong, what it is and what it should be.
"""

import inspect

from common.np import default_rng, host, np
from common.optimizer import merge_tied, same_memory

STEP = 1e-3  # with the formula below the error is of the order STEP^4 in theory and 1e-16 / STEP in rounding
# Two gradients closer than MAX_ERROR * FLOOR are called equal. Below that, rounding speaks, not the formula.
FLOOR = 1e-5


def numerical_gradient(f, x, dout=1.0, step=STEP):
    """Return the gradient of sum(f() * dout) with respect to x, from four values of f for every element.

    df/dx = (8 (f(x + s) - f(x - s)) - (f(x + 2s) - f(x - 2s))) / (12 s): the central difference with its first error
    term taken away. The differences are taken before the sum, so that outputs that do not move add no rounding.

    Args: f, called without arguments, reads x and returns a number, an array or a tuple of arrays; x, a float64 array,
    changed for the calls and then as it was; dout, a number, or arrays of the shapes that f returns.
    Returns: an array of the shape of x. Raises: TypeError if x is not float64.
    """
    if getattr(x, "dtype", None) != np.float64:
        raise TypeError(f"numerical gradients need float64, got {getattr(x, 'dtype', type(x).__name__)}")
    grad = np.zeros(x.shape)
    for index in host.ndindex(*x.shape):
        kept = x[index].copy()
        values = []
        for k in (1, -1, 2, -2):
            x[index] = kept + k * step
            values.append([np.array(v) for v in _tuple(f())])  # copies, whatever f does with its arrays
        x[index] = kept
        slopes = ((8 * (a - b) - (c - d)) / (12 * step) for a, b, c, d in zip(*values, strict=True))
        douts = dout if isinstance(dout, tuple) else (dout,) * len(values[0])
        grad[index] = sum((slope * d).sum() for slope, d in zip(slopes, douts, strict=True))
    return grad


def gradient_check(layer, *inputs, states=None, before=None, dout=None, max_error=1e-6, rng=0):
    """Check every gradient that layer.backward computes against numerical ones; return the largest relative error.

    The relative error is |got - expected| / max(|got|, |expected|, 1e-5). Checked are all elements of all ``params``
    (of tied ones the sum of their gradients), of all float inputs (ids, targets and masks have no gradient) and, with
    ``states``, of the first state.

    Args:
        layer: a layer or a model with float64 parameters; ``forward`` may return an array, a tuple or a loss.
        inputs: the arguments of forward. Float arrays must be float64.
        states: for a stateful layer the arrays to start from, given to ``set_state`` before every forward call; their
            gradients are ``layer.dh`` and, for a second state, ``layer.dc``.
        before: called before every forward call, for example to set a random generator back.
        dout: the gradient that comes in from above, an array, a tuple or a number; by default random.
        rng: a seed or a Generator for that random gradient.

    Raises: AssertionError with a line for every wrong gradient, which names the function, the argument, the index, the
    gradient got and the one expected;
    TypeError if a number that needs a gradient is not float64.
    """
    name = type(layer).__name__

    def forward():
        if states is not None:
            layer.set_state(*states)
        if before is not None:
            before()
        return layer.forward(*inputs)

    if len(layer.params) != len(layer.grads):
        raise AssertionError(f"{name} has {len(layer.params)} params, but {len(layer.grads)} grads")
    arguments = _argument_names(layer, len(inputs))
    kept = [np.array(x) for x in inputs]
    outs = tuple(np.array(out) for out in _tuple(forward()))
    dout = _random_like(outs, rng) if dout is None else _tuple(dout)
    kept += [np.array(d) for d in dout]
    returned = layer.backward(*dout)
    for what, x, old in zip(arguments + ["dout"] * len(dout), inputs + dout, kept, strict=True):
        if not np.array_equal(np.asarray(x), old):
            raise AssertionError(f"{name} changes its argument {what}; a layer must leave what it is given alone")

    pairs = _inputs_with_gradients(name, arguments, inputs, returned)
    names, groups = _param_names(layer), same_memory(layer.params)
    pairs += list(zip([names[group[0]] for group in groups], *merge_tied(layer.params, layer.grads), strict=True))
    for what, state in zip(("h", "c"), states or ()):
        pairs.append((f"the first state {what}", state, getattr(layer, f"d{what}")))

    pairs = [(what, x, np.array(got)) for what, x, got in pairs]  # copies: the layer may write into its own
    worst, wrong = 0.0, []
    for what, x, got in pairs:
        if got.shape != x.shape:
            raise AssertionError(f"{name}.backward: the gradient of {what} is {got.shape}, but {what} is {x.shape}")
        expected = numerical_gradient(forward, x, dout)
        error, sentence = _compare(f"{name}.backward", what, got, expected, max_error)
        worst = max(worst, error)
        wrong += [sentence] if sentence else []
    if wrong:
        raise AssertionError("\n".join(wrong))
    return worst


def _compare(function, what, got, expected, max_error):
    """Return the largest relative error and, if it is too large, a sentence that describes it."""
    if got.size == 0:
        return 0.0, ""
    error = np.abs(got - expected) / np.maximum(np.maximum(np.abs(got), np.abs(expected)), FLOOR)
    error = np.where(np.isfinite(error), error, np.inf)  # a NaN is as wrong as can be
    flat = int(error.argmax())
    index = tuple(int(i) for i in host.unravel_index(flat, error.shape))
    worst = float(error[index])
    if worst <= max_error:
        return worst, ""
    return worst, (
        f"{function}: the gradient of {what} {got.shape} is wrong at index {list(index)}: "
        f"got {float(got[index]):.10g}, expected {float(expected[index]):.10g} (relative error {worst:.1e}, "
        f"at most {max_error:.0e} allowed; {int((error > max_error).sum())} of {error.size} elements are wrong)"
    )


def _inputs_with_gradients(name, arguments, inputs, returned):
    """Return (argument, input, gradient) for every float input, in the order of forward's arguments."""
    pairs = [(what, x) for what, x in zip(arguments, inputs, strict=True) if np.asarray(x).dtype.kind == "f"]
    returned = () if returned is None else _tuple(returned)
    if len(returned) != len(pairs):
        wanted = f"{len(pairs)}: " + ", ".join(what for what, _ in pairs) if pairs else "none"
        raise AssertionError(f"{name}.backward returned {len(returned)} gradients, but must return {wanted}")
    return [(what, x, got) for (what, x), got in zip(pairs, returned, strict=True)]


def _argument_names(layer, count):
    """Return the names of forward's first ``count`` arguments; ``*args`` counts as args[0], args[1] and so on."""
    parameters = inspect.signature(layer.forward).parameters.values()
    names = [p.name for p in parameters if p.kind is not p.VAR_POSITIONAL]
    return (names + [f"args[{k}]" for k in range(count)])[:count]


def _param_names(layer):
    """Return what to call each array of ``params``."""
    names = getattr(layer, "param_names", None)
    return [f"params[{k}]" + (f" {names[k]!r}" if names else "") for k in range(len(layer.params))]


def _random_like(outs, rng):
    """Return random gradients of the shapes of ``outs``; a loss gets a number that is not 1."""
    rng = default_rng(rng)
    return tuple(np.asarray(rng.standard_normal(o.shape)) if o.ndim else float(rng.uniform(0.5, 2)) for o in outs)


def _tuple(x):
    return x if isinstance(x, tuple) else (x,)
