"""The tests of the course. See README.md beside this file."""
