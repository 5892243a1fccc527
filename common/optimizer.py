"""Optimizers: ``update(params, grads)`` moves every parameter in place.

State (momentum, running means) is made at the first update and belongs to the list of parameters seen then.
``state_dict`` and ``load_state_dict`` carry it through a file, so that training can go on exactly.

Tied weights, one array that several layers use, are one parameter: see ``merge_tied``.
"""

from common.np import host, np, to_cpu


def merge_tied(params, grads):
    """Return (params, grads) in which every parameter stands once, with the sum of all its gradients.

    Layers that share a weight have gradients of their own, but the weight must take one step along their sum. Two
    parameters are the same if they are the same memory: one array, an equal view of it, or its transpose, as in
    ``TimeEmbedding(W)`` and ``TimeAffine(W.T, b)``. Values are not compared. The first of them is kept and gives its
    place, shape and layout; its gradient is a new array, so the layers' own stay as they are, and merging again
    changes nothing. A gradient array that is listed several times counts once. Where nothing is tied, the arrays
    returned are those passed in.

    Clip after merging: the norm of a sum is not that of its parts.

    Raises: ValueError if the lists differ in length, or if two parameters share memory in any other way: an update
    would move what they share twice.
    """
    if len(params) != len(grads):
        raise ValueError(f"merge_tied: {len(params)} params but {len(grads)} grads")
    groups = same_memory(params)
    if len(groups) == len(params):
        return list(params), list(grads)
    return [params[group[0]] for group in groups], [_summed(params, grads, group) for group in groups]


def _summed(params, grads, group):
    """Return the sum of the gradients of parameters that are the same memory, in the layout of the first."""
    first, *others = (group[members[0]] for members in same_memory([grads[k] for k in group], check=False))
    if not others:
        return grads[first]
    total = grads[first].copy()
    for k in others:
        total += _in_layout_of(params[first], params[k], grads[k])
    return total


def _in_layout_of(first, other, grad):
    """Return ``grad``, which is laid out as ``other``, in the layout of ``first``, the same memory."""
    axes = {other.strides[k]: k for k in range(other.ndim) if other.shape[k] > 1}
    order = [axes[stride] for n, stride in zip(first.shape, first.strides, strict=True) if n > 1]
    ones = [k for k in range(other.ndim) if other.shape[k] == 1]
    return grad.transpose(order + ones).reshape(first.shape)


def same_memory(arrays, check=True):
    """Return the indices of the arrays in groups; those in a group are the same elements in the same memory.

    Compared are addresses, dtypes and strides, never values, so this is cheap. Axes may stand in another order, and
    axes of length 1 do not matter. Raises: ValueError, with ``check``, if arrays of two groups overlap.
    """
    if len({id(a) for a in arrays}) == len(arrays) and all(a.base is None for a in arrays):
        return [[k] for k in range(len(arrays))]  # no array is a view, so each has memory of its own
    groups = {}
    for k, array in enumerate(arrays):
        axes = sorted((stride, n) for n, stride in zip(array.shape, array.strides, strict=True) if n > 1)
        key = (_address(array), array.dtype, *axes) if array.size else id(array)
        groups.setdefault(key, []).append(k)
    groups = list(groups.values())
    if check:
        _check_overlaps(arrays, [group[0] for group in groups])
    return groups


def _address(array):
    """Return where the first element of an array lies, on the CPU or on the GPU."""
    return array.__array_interface__["data"][0] if isinstance(array, host.ndarray) else array.data.ptr


def _check_overlaps(arrays, indices):
    """Raise a ValueError if two of these arrays share an element."""
    extents = []
    for k in indices:
        array = arrays[k]
        if array.size:
            reach = [stride * (n - 1) for n, stride in zip(array.shape, array.strides, strict=True)]
            low = _address(array) + sum(r for r in reach if r < 0)
            extents.append((low, low + sum(abs(r) for r in reach) + array.dtype.itemsize, k))
    extents.sort()
    open_extents = []  # those that reach beyond the start of the next
    for low, high, k in extents:
        open_extents = [(end, other) for end, other in open_extents if end > low]
        for _, other in open_extents:
            if np.shares_memory(arrays[other], arrays[k]):  # columns of one array may interleave without sharing
                a, b = sorted((other, k))
                raise ValueError(
                    f"params[{a}] {arrays[a].shape} and params[{b}] {arrays[b].shape} share memory, but neither is the "
                    "other or its transpose, so an update would move the shared part twice; give both layers the whole "
                    "array (or its transpose), or one of them a copy"
                )
        open_extents.append((high, k))


class _Optimizer:
    """What the optimizers share: learning rate, state arrays, the check that the parameters stay the same."""

    slots = ()  # names of the state arrays, one per parameter each

    def __init__(self, lr):
        self.lr = lr
        self.iter = 0
        self._state = {}

    def update(self, params, grads):
        """Move every parameter in place by one step against its gradient; tied ones once (see ``merge_tied``).

        Raises: ValueError if the lists differ in length or in shapes, from each other or from the update before, or if
        parameters overlap.
        """
        if len(params) != len(grads):
            raise ValueError(f"{type(self).__name__}: {len(params)} params but {len(grads)} grads")
        for k, (p, g) in enumerate(zip(params, grads, strict=True)):
            if p.shape != g.shape:
                raise ValueError(f"{type(self).__name__}: params[{k}] is {p.shape} but grads[{k}] is {g.shape}")
        params, grads = merge_tied(params, grads)
        for slot in self.slots:
            state = self._state.setdefault(slot, [np.zeros_like(p) for p in params])
            if [s.shape for s in state] != [p.shape for p in params]:
                raise ValueError(
                    f"{type(self).__name__}: the params are not those of the update before; make a new one"
                )
        self.iter += 1
        self._prepare()
        for k, (p, g) in enumerate(zip(params, grads, strict=True)):
            self._step(p, g, *(self._state[slot][k] for slot in self.slots))

    def _prepare(self):
        """Compute what all parameters share in this update."""

    def _step(self, p, g, *state):
        raise NotImplementedError

    def state_dict(self):
        """Return the state as a flat dict of NumPy arrays (copies)."""
        out = {"lr": np.array(self.lr, dtype=float), "iter": np.array(self.iter)}
        for slot, arrays in self._state.items():
            out.update({f"{slot}.{k}": a.copy() for k, a in enumerate(arrays)})
        return {name: to_cpu(a) for name, a in out.items()}

    def load_state_dict(self, state):
        """Take over a state that ``state_dict`` returned. Raises: ValueError if it is not one of this optimizer's."""
        names = [n for n in state if n not in ("lr", "iter")]
        wrong = [n for n in names if n.rpartition(".")[0] not in self.slots]
        if wrong or "lr" not in state or "iter" not in state:
            raise ValueError(
                f"this is not a state of {type(self).__name__}: {wrong[0] if wrong else 'lr or iter is missing'}"
            )
        count = len(names) // max(len(self.slots), 1)
        self._state = {s: [np.asarray(state[f"{s}.{k}"]).copy() for k in range(count)] for s in self.slots if count}
        self.lr, self.iter = float(state["lr"]), int(state["iter"])


class SGD(_Optimizer):
    """p -= lr * g."""

    def __init__(self, lr=0.01):
        super().__init__(lr)

    def _step(self, p, g):
        p -= self.lr * g


class Momentum(_Optimizer):
    """v = momentum * v - lr * g; p += v. Source: Polyak 1964."""

    slots = ("v",)

    def __init__(self, lr=0.01, momentum=0.9):
        super().__init__(lr)
        self.momentum = momentum

    def _step(self, p, g, v):
        v *= self.momentum
        v -= self.lr * g
        p += v


class Nesterov(_Optimizer):
    """Momentum whose gradient is taken one step ahead. Source: Nesterov 1983, as rewritten by Bengio et al. 2013.

    v = momentum * v - lr * g; p += momentum * v - lr * g.
    """

    slots = ("v",)

    def __init__(self, lr=0.01, momentum=0.9):
        super().__init__(lr)
        self.momentum = momentum

    def _step(self, p, g, v):
        v *= self.momentum
        v -= self.lr * g
        p += self.momentum * v
        p -= self.lr * g


class AdaGrad(_Optimizer):
    """h += g^2; p -= lr * g / sqrt(h). Source: Duchi et al. 2011."""

    slots = ("h",)

    def __init__(self, lr=0.01):
        super().__init__(lr)

    def _step(self, p, g, h):
        h += g * g
        p -= self.lr * g / (np.sqrt(h) + 1e-7)


class RMSprop(_Optimizer):
    """h = decay * h + (1 - decay) * g^2; p -= lr * g / sqrt(h). Source: Tieleman and Hinton 2012, lecture 6.5."""

    slots = ("h",)

    def __init__(self, lr=0.01, decay_rate=0.99):
        super().__init__(lr)
        self.decay_rate = decay_rate

    def _step(self, p, g, h):
        h *= self.decay_rate
        h += (1 - self.decay_rate) * g * g
        p -= self.lr * g / (np.sqrt(h) + 1e-7)


class Adam(_Optimizer):
    """Running means of g and g^2, corrected for their start at 0. Source: Kingma and Ba 2015, end of section 2.

    m += (1 - beta1) * (g - m); v += (1 - beta2) * (g^2 - v); p -= lr_t * m / (sqrt(v) + eps), with
    lr_t = lr * sqrt(1 - beta2^n) / (1 - beta1^n) in update n. With ``weight_decay`` every parameter also shrinks by
    the share lr * weight_decay in each update (Loshchilov and Hutter 2019, algorithm 2).
    """

    slots = ("m", "v")

    def __init__(self, lr=0.001, beta1=0.9, beta2=0.999, weight_decay=0.0):
        super().__init__(lr)
        self.beta1, self.beta2, self.weight_decay = beta1, beta2, weight_decay
        self._tmp = {}

    def _prepare(self):
        self._lr_t = self.lr * (1 - self.beta2**self.iter) ** 0.5 / (1 - self.beta1**self.iter)

    def _step(self, p, g, m, v):
        tmp = self._tmp.get((p.shape, p.dtype))
        if tmp is None:
            tmp = self._tmp[p.shape, p.dtype] = np.empty_like(p)
        np.subtract(g, m, out=tmp)
        tmp *= 1 - self.beta1
        m += tmp
        np.multiply(g, g, out=tmp)
        tmp -= v
        tmp *= 1 - self.beta2
        v += tmp
        np.sqrt(v, out=tmp)
        tmp += 1e-7
        np.divide(m, tmp, out=tmp)
        tmp *= self._lr_t
        if self.weight_decay:
            p *= 1 - self.lr * self.weight_decay
        p -= tmp
