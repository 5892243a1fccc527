"""What every model has: parameters with names, and saving and loading them without pickle."""

from pathlib import Path

from common.np import np, to_cpu
from common.npz import load_arrays, narrow, save_arrays


class BaseModel:
    """A model: ``params`` and ``grads`` (parallel lists), forward, backward, generate, save and load.

    A subclass sets ``params`` and ``grads``, and may set ``param_names``, by which the arrays stand in the file.
    """

    def __init__(self):
        self.params, self.grads = [], []

    @property
    def param_names(self):
        """One name for every array in ``params``."""
        names = getattr(self, "_param_names", None)
        return list(names) if names else [f"param_{i}" for i in range(len(self.params))]

    @param_names.setter
    def param_names(self, names):
        self._param_names = list(names)

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
