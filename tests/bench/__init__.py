"""The benchmark suite: ``python -m tests.bench --help`` says what it measures and how."""
