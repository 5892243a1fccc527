"""A batch: named arrays and the number of targets that the loss averages over."""


class Batch:
    """Arrays of N rows each, by the names that the model's forward gives them, and the number of targets.

    Args: count, the number of targets that the model's loss is a mean over; arrays, None for those that are left out.
    """

    def __init__(self, count, **arrays):
        self.count = int(count)
        self.arrays = {name: array for name, array in arrays.items() if array is not None}
        lengths = {name: len(array) for name, array in self.arrays.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"Batch: the arrays have different numbers of rows: {lengths}")

    def __getitem__(self, name):
        return self.arrays[name]

    def __repr__(self):
        shapes = ", ".join(f"{name} {array.shape}" for name, array in self.arrays.items())
        return f"Batch({self.count} targets: {shapes})"
