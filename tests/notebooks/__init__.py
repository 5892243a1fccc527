"""Tools for notebooks (`python -m tests.notebooks`), the rules they keep, and the tests of both."""
