"""Chapter 7: an encoder and a decoder joined by one fixed-length vector."""
