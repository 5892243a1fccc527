"""Optimizers: ``update(params, grads)`` moves every parameter in place.

State (momentum, running means) is made at the first update and belongs to the list of parameters seen then.
``state_dict`` and ``load_state_dict`` carry it through a file, so that training can go on exactly.
"""

from common.np import np, to_cpu


class _Optimizer:
    """What the optimizers share: learning rate, state arrays, the check that the parameters stay the same."""

    slots = ()  # names of the state arrays, one per parameter each

    def __init__(self, lr):
        self.lr = lr
        self.iter = 0
        self._state = {}

    def update(self, params, grads):
        """Move every parameter in place by one step against its gradient.

        Raises: ValueError if the lists differ in length or in shapes, from each other or from the update before.
        """
        if len(params) != len(grads):
            raise ValueError(f"{type(self).__name__}: {len(params)} params but {len(grads)} grads")
        for slot in self.slots:
            state = self._state.setdefault(slot, [np.zeros_like(p) for p in params])
            if [s.shape for s in state] != [p.shape for p in params]:
                raise ValueError(
                    f"{type(self).__name__}: the params are not those of the update before; make a new one"
                )
        self.iter += 1
        self._prepare()
        for k, (p, g) in enumerate(zip(params, grads, strict=True)):
            if p.shape != g.shape:
                raise ValueError(f"{type(self).__name__}: params[{k}] is {p.shape} but grads[{k}] is {g.shape}")
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
                f"this is no state of {type(self).__name__}: {wrong[0] if wrong else 'lr or iter is missing'}"
            )
        count = len(names) // max(len(self.slots), 1)
        self._state = {s: [np.asarray(state[f"{s}.{k}"]).copy() for k in range(count)] for s in self.slots if count}
        self.lr, self.iter = float(state["lr"]), int(state["iter"])


def merge_tied(params, grads):
    """Return (params, grads) with every array once; the gradients of one that is listed several times are added up."""
    merged = {}
    for p, g in zip(params, grads, strict=True):
        known = merged.get(id(p))
        merged[id(p)] = (p, g) if known is None or known[1] is g else (p, known[1] + g)
    return [p for p, _ in merged.values()], [g for _, g in merged.values()]


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
