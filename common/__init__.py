"""What every chapter shares: array backend, layers, optimizers, training, plots, widgets and grading."""
