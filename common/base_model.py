"""What every model has: parameters and gradients with names, and saving and loading them without pickle."""

from pathlib import Path

from common.np import np, to_cpu
from common.npz import load_arrays, narrow, save_arrays


def is_layer(value):
    """Whether a value is a layer or a model: it has ``forward``, ``params`` and ``grads``."""
    return all(hasattr(value, name) for name in ("forward", "params", "grads"))


def sublayers(layer):
    """Yield (name, layer) for the layers among the attributes of ``layer``, in the order in which they were set.

    The layers of a list or tuple are called name.0, name.1 and so on.
    """
    for name, value in vars(layer).items():
        if isinstance(value, list | tuple):
            yield from ((f"{name}.{k}", v) for k, v in enumerate(value) if is_layer(v))
        elif is_layer(value):
            yield name, value


def walk(layer, prefix=""):
    """Return [(name, param, grad)] of a layer and all layers in it: every array once, where it is met first."""
    found, seen = [], set()

    def visit(layer, prefix):
        if id(layer) in seen:  # a layer that stands in two places is one layer
            return
        seen.add(id(layer))
        params, grads = (layer._params, layer._grads) if isinstance(layer, Composite) else (layer.params, layer.grads)
        if params is None:
            for name, sub in sublayers(layer):
                visit(sub, f"{prefix}{name}.")
            return
        if len(params) != len(grads):
            raise ValueError(f"{type(layer).__name__} has {len(params)} params, but {len(grads)} grads")
        names = _array_names(layer, params)
        for name, param, grad in zip(names, params, grads, strict=True):
            if id(param) not in seen:
                seen.add(id(param))
                found.append((prefix + name, param, grad))

    visit(layer, prefix)
    return found


def _array_names(layer, params):
    """Return a name for every array of a layer that keeps its own list: its own, those of its parts, or 0, 1..."""
    own = getattr(type(layer), "param_names", ())
    if isinstance(own, tuple) and len(own) >= len(params):
        return own[: len(params)]
    inner = {id(p): name for part, sub in sublayers(layer) for name, p, _ in walk(sub, f"{part}.")}
    return [inner.get(id(p), str(k)) for k, p in enumerate(params)]


def _once(arrays):
    """Return a list without the arrays that are already in it; None stays None."""
    return None if arrays is None else list({id(a): a for a in arrays}.values())


class Composite:
    """A layer made of layers.

    ``params``, ``grads`` and ``param_names`` are read off the layers among the attributes whenever they are asked for
    (``walk``): a layer that is put in another's place is trained, saved and named at once. A subclass that sets
    ``params`` and ``grads`` itself, as in the book, keeps its own lists.
    """

    _params = _grads = None  # the lists that somebody set

    @property
    def params(self):
        """The parameters, a list of arrays, each once."""
        return [p for _, p, _ in walk(self)] if self._params is None else self._params

    @params.setter
    def params(self, arrays):
        self._params = _once(arrays)

    @property
    def grads(self):
        """The gradients, parallel to ``params``."""
        return [g for _, _, g in walk(self)] if self._grads is None else self._grads

    @grads.setter
    def grads(self, arrays):
        self._grads = _once(arrays)

    @property
    def param_names(self):
        """One name for every array in ``params``, such as ``encoder.lstm.Wx``."""
        return [name for name, _, _ in walk(self)]

    def train(self, training=True):
        """Switch all layers that behave differently in training, such as Dropout, to training mode; return self."""
        seen = set()

        def visit(layer):
            if id(layer) in seen:
                return
            seen.add(id(layer))
            if hasattr(layer, "train_flg"):
                layer.train_flg = training
            for _, sub in sublayers(layer):
                visit(sub)

        visit(self)
        return self

    def eval(self):
        """Switch all layers to the mode for using the model; return self."""
        return self.train(False)


class BaseModel(Composite):
    """A model: a Composite with a loss. It has forward, backward, generate, and can be saved and loaded."""

    def forward(self, *args):
        """Return the loss."""
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def backward(self, *args):
        """Write the gradients into ``grads``."""
        raise NotImplementedError(f"{type(self).__name__} has no backward")

    def generate(self, xs, start_id, sample_size):
        """Return the list of ids that the model writes for one sample."""
        raise NotImplementedError(f"{type(self).__name__} has no generate")

    def save_params(self, file_name=None, dtype=None):
        """Write the parameters to an .npz file and return its path.

        Args: file_name, by default the class name + ``.npz`` in the current folder; dtype, "float16" for a small
        file, "float32", or None for the dtype they have. The file appears only when it is whole, so an interrupted
        save leaves an older file as it was.
        """
        path = Path(file_name or f"{type(self).__name__}.npz")
        names = self.param_names
        if len(set(names)) != len(self.params) or len(names) != len(self.params):
            raise ValueError(f"{type(self).__name__}: {len(self.params)} params need as many different names: {names}")
        arrays = {n: to_cpu(p) for n, p in zip(names, self.params, strict=True)}
        if dtype is not None:
            arrays = {n: narrow(n, a, dtype) for n, a in arrays.items()}
        save_arrays(path, arrays)
        return path

    def load_params(self, file_name=None):
        """Read the parameters from an .npz file that ``save_params`` wrote, into the arrays that are there.

        Raises: FileNotFoundError with the path; ValueError that names the file and the array if a name or a shape does
        not fit, in which case no parameter has changed.
        """
        path = Path(file_name or f"{type(self).__name__}.npz")
        arrays = load_arrays(path)
        names = self.param_names
        where = f"{path} does not fit this {type(self).__name__}"
        for what, wrong in (
            ("has no array", [n for n in names if n not in arrays]),
            ("has an array that the model has not:", [n for n in arrays if n not in names]),
        ):
            if wrong:
                raise ValueError(f"{where}: it {what} {wrong[0]!r}")
        for n, p in zip(names, self.params, strict=True):
            if arrays[n].shape != p.shape:
                raise ValueError(f"{where}: {n!r} is {arrays[n].shape} in the file and {p.shape} in the model")
        for n, p in zip(names, self.params, strict=True):
            p[...] = np.asarray(arrays[n].astype(p.dtype))
