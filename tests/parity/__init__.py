"""The same numbers as PyTorch autograd: forward, backward, optimizers, training."""
