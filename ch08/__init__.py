"""Chapter 8: attention, and the models built on it."""
