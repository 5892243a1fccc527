"""What every model has: parameters and gradients with names, and saving and loading them without pickle."""

from pathlib import Path

from common.np import host, np, to_cpu
from common.npz import LIMIT, narrow, open_arrays, save_arrays

VOCAB = "__vocab__"  # the name of the vocabulary's array in a file of parameters


def is_layer(value):
    """Whether a value is a layer or a model: it has ``forward``, ``params`` and ``grads``."""
    if isinstance(value, Composite):  # hasattr(value, "params") would walk it, without end where layers form a cycle
        return True
    parts = hasattr(value, "forward") and hasattr(value, "params") and hasattr(value, "grads")
    return parts and not isinstance(value, type)


def sublayers(layer):
    """Yield (name, layer) for the layers among the attributes of ``layer``, in the order in which they were set.

    The layers of a list, tuple or dict are called name.0, name.1 or name.key and so on, also in lists of lists. What a
    layer keeps in ``cache`` is not part of it; ``common.unroll`` keeps copies of its step there, one for each step.
    """
    return _layers_in({k: v for k, v in getattr(layer, "__dict__", {}).items() if k != "cache"}, "")


def _layers_in(container, prefix):
    items = container.items() if isinstance(container, dict) else enumerate(container)
    for name, value in items:
        if is_layer(value):
            yield f"{prefix}{name}", value
        elif isinstance(value, list | tuple | dict):
            yield from _layers_in(value, f"{prefix}{name}.")


def walk(layer):
    """Return [(name, param, grad)] of a layer and all layers in it: every layer once, where it is met first.

    An array that two layers share, each with a gradient of its own, comes twice: the gradients must be added up.
    Raises: ValueError for a layer that has not as many gradients as parameters.
    """
    return _once(_visit(layer, "", set()))


def _visit(layer, prefix, seen):
    if id(layer) in seen:  # a layer that stands in two places is one layer
        return
    seen.add(id(layer))
    if not _keeps_lists(layer):
        yield from _visit_parts(layer, prefix, seen)
        return
    params, grads = layer.params, layer.grads
    if len(params) != len(grads):
        raise ValueError(f"{type(layer).__name__} has {len(params)} params, but {len(grads)} grads")
    names = list(getattr(layer, "param_names", ()))
    if len(names) < len(params):
        names = _names_in(layer, params)
    for name, param, grad in zip(names, params, grads, strict=False):  # TimeGRU has a name to spare
        yield prefix + name, param, grad


def _visit_parts(layer, prefix, seen):
    for name, sub in sublayers(layer):
        yield from _visit(sub, f"{prefix}{name}.", seen)


def _keeps_lists(layer):
    """Whether ``params`` and ``grads`` are lists that somebody set, rather than found by the walk."""
    if isinstance(layer, Composite):
        return layer._params is not None or layer._grads is not None
    return layer.params is not None


def _once(triples):
    """Return the triples (name, param, grad) as a list, without pairs of arrays that came before."""
    found = {}
    for name, param, grad in triples:
        found.setdefault((id(param), id(grad)), (name, param, grad))
    return list(found.values())


def _names_in(layer, params):
    """Return a name for every array of a list that the layer keeps: as in its parts, or param_0, param_1..."""
    inner = {}
    for name, param, _ in _visit_parts(layer, "", {id(layer)}):
        inner.setdefault(id(param), name)
    return [inner.pop(id(param), f"param_{k}") for k, param in enumerate(params)]


class Composite:
    """A layer made of layers.

    ``params``, ``grads`` and ``param_names`` are read off the layers among the attributes whenever they are asked for
    (``walk``): a layer that is put in another's place is trained, saved and named at once. A subclass that sets
    ``params`` and ``grads`` itself, as in the book, keeps its own lists; ``param_names`` can be set as well.
    """

    _params = _grads = _param_names = None  # the lists that somebody set

    def _found(self):
        return _once(_visit_parts(self, "", {id(self)}))

    @property
    def params(self):
        """The parameters, a list of arrays."""
        return [p for _, p, _ in self._found()] if self._params is None else self._params

    @params.setter
    def params(self, arrays):
        self._params = arrays
        self._drop_repeated()

    @property
    def grads(self):
        """The gradients, parallel to ``params``."""
        return [g for _, _, g in self._found()] if self._grads is None else self._grads

    @grads.setter
    def grads(self, arrays):
        self._grads = arrays
        self._drop_repeated()

    def _drop_repeated(self):
        """Keep a pair of arrays once that was added to the lists although the walk had found it already."""
        if self._params is None or self._grads is None or len(self._params) != len(self._grads):
            return
        pairs = {(id(p), id(g)): (p, g) for p, g in zip(self._params, self._grads, strict=True)}
        if len(pairs) < len(self._params):
            self._params, self._grads = [p for p, _ in pairs.values()], [g for _, g in pairs.values()]

    @property
    def param_names(self):
        """One name for every array in ``params``, such as ``encoder.lstm.Wx``."""
        if self._param_names is not None:
            return list(self._param_names)
        return [n for n, _, _ in self._found()] if self._params is None else _names_in(self, self._params)

    @param_names.setter
    def param_names(self, names):
        self._param_names = names

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

    _tokens = None

    @property
    def vocab(self):
        """The tokens in the order of their ids, a tuple, or None if they are not known.

        Set it to a list or tuple of strings. It is stored with the parameters, so that weights are never used with
        the ids of another vocabulary.
        """
        return None if self._tokens is None else tuple(self._tokens.tolist())

    @vocab.setter
    def vocab(self, tokens):
        self.set_vocab(tokens)

    def set_vocab(self, tokens):
        """Set ``vocab``; also through a DataParallel, which hands on calls."""
        self._tokens = None if tokens is None else vocab_array(tokens)

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
        """Write the parameters, and the vocabulary if it is set, to an .npz file and return its path.

        Tied weights, one array under several names, are written once, under the first.

        Args: file_name, by default the class name + ``.npz`` in the current folder; dtype, "float16" for a small
        file, "float32", or None for the dtype they have. The file appears only when it is whole, so an interrupted
        save leaves an older file as it was. Raises: ValueError for names that do not fit or numbers too large for
        dtype; OSError with path and reason if the file cannot be written.
        """
        path = Path(file_name or f"{type(self).__name__}.npz")
        arrays = {n: to_cpu(p) for n, p in untied(named_params(self)).items()}
        if dtype is not None:
            arrays = {n: narrow(n, a, dtype, "; save it as float32") for n, a in arrays.items()}
        if self._tokens is not None:
            arrays[VOCAB] = self._tokens
        save_arrays(path, arrays)
        return path

    def load_params(self, file_name=None):
        """Read the parameters from an .npz file that ``save_params`` wrote, into the arrays that are there.

        A vocabulary in the file must be that of the model; a model without one takes it over.

        Raises: FileNotFoundError with the path; ValueError that names the file and what does not fit: a name, a shape,
        a type, a number too large, a token. Then nothing has changed.
        """
        path = Path(file_name or f"{type(self).__name__}.npz")
        where = f"{path} does not fit this {type(self).__name__}"
        params = named_params(self)
        with open_arrays(path, LIMIT + 8 * sum(p.nbytes for p in params.values())) as file:
            headers = {n: h for n, h in file.headers.items() if n != VOCAB}
            numbered = {f"param_{k}": p for k, p in enumerate(params.values())}
            if headers.keys() == numbered.keys():  # saved before the layers of a reader's own model gave the names
                params = numbered
            elif headers.keys() != params.keys():  # not of the time when tied arrays were saved twice
                params = untied(params)
            check_headers(where, headers, params)
            arrays = file.read()
        tokens = match_vocab(where, arrays.pop(VOCAB, None), self.vocab)
        set_arrays(fit_arrays(where, arrays, params), params)
        self.vocab = tokens


def named_params(model):
    """Return the parameters of a model as a dict name -> array. Raises: ValueError if the names do not fit them."""
    names, params = list(model.param_names), model.params
    if len(set(names)) != len(params) or len(names) != len(params) or VOCAB in names:
        raise ValueError(
            f"{type(model).__name__}: {len(params)} params need as many different names (other than {VOCAB!r}): {names}"
        )
    return dict(zip(names, params, strict=True))


def untied(params):
    """Return a dict name -> array without arrays that stand under an earlier name as well, as tied weights do."""
    first = {}
    for name, array in params.items():
        first.setdefault(id(array), (name, array))
    return dict(first.values())


def check_headers(where, headers, wanted):
    """Raise a ValueError unless the arrays of a file have the names and shapes of ``wanted`` and hold floats.

    Args: where, the beginning of the message; headers, a dict of what ``open_arrays`` gives; wanted, a dict of arrays.
    """
    missing, unknown = [n for n in wanted if n not in headers], [n for n in headers if n not in wanted]
    if missing:
        raise ValueError(f"{where}: it has no array {missing[0]!r}")
    if unknown:
        raise ValueError(f"{where}: it has an array that the model has not: {unknown[0]!r}")
    for name, array in wanted.items():
        if headers[name].shape != array.shape:
            raise ValueError(f"{where}: {name!r} is {headers[name].shape} in the file and {array.shape} in the model")
        if headers[name].dtype.kind != "f":
            raise ValueError(f"{where}: {name!r} holds {headers[name].dtype} in the file, and must hold floats")


def fit_arrays(where, arrays, wanted):
    """Return a dict of the arrays in the types of ``wanted`` and where those lie; refuse numbers too large for them."""
    try:
        return {n: np.asarray(narrow(n, arrays[n], p.dtype)) for n, p in wanted.items()}
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def set_arrays(values, arrays):
    """Write a dict of arrays into the arrays of another dict, in place."""
    for name, array in arrays.items():
        array[...] = values[name]


def vocab_array(tokens):
    """Return tokens, a list or tuple of strings in the order of their ids, as one array of text, (V,)."""
    if not isinstance(tokens, list | tuple) or not all(isinstance(token, str) for token in tokens):
        raise TypeError("vocab must be the list of all tokens, as strings, in the order of their ids")
    array = host.array(tokens, dtype=str)
    lost = [token for token, kept in zip(tokens, array.tolist(), strict=True) if token != kept]
    if lost:
        raise ValueError(f"vocab: the token {lost[0]!r} ends with a zero character, which no file of arrays can hold")
    return array


def match_vocab(where, array, tokens):
    """Return the tokens that hold after loading: those of the file (array), of the model (tokens), or None.

    Raises: ValueError if both are known and differ, with the first difference.
    """
    if array is None:
        return tokens
    if array.dtype.kind != "U" or array.ndim != 1:
        raise ValueError(f"{where}: the vocabulary in it is not a list of tokens")
    found = tuple(array.tolist())
    if tokens is None or tokens == found:
        return found
    for k, (theirs, ours) in enumerate(zip(found, tokens, strict=False)):
        if theirs != ours:
            raise ValueError(f"{where}: its vocabulary differs, id {k} is {theirs!r} in the file and {ours!r} here")
    raise ValueError(f"{where}: its vocabulary has {len(found)} tokens and the one here {len(tokens)}")
