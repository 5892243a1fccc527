"""Memory that layers keep from call to call."""

from common.np import np


class Workspace:
    """Arrays by name that are kept from call to call, because mapping fresh memory costs as much as filling it.

    An array grows when a larger one is asked for and is handed out as a view when a smaller one is, so batches of
    changing length share one block. The contents are whatever the last call left there.
    """

    def __init__(self):
        self._blocks = {}

    def __reduce__(self):
        """A copy, in memory or in a pickle, begins empty: the contents are worth nothing to it."""
        return type(self), ()

    def array(self, name, shape, dtype):
        """Return an uninitialized array of this shape and dtype; the block behind ``name`` is used again."""
        size = 1
        for n in shape:
            size *= n
        block = self._blocks.get(name)
        if block is None or block.size < size or block.dtype != dtype:
            block = self._blocks[name] = np.empty(size, dtype)
        return block[:size].reshape(shape)
