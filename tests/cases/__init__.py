"""Inputs that strangers bring, each with what is right, and a table of what is found.

    python -m tests.cases [FAMILY ...]

A family is a module of this package that holds `CASES`, a sequence of `Case`; a
new file is found by itself. Inputs are made when they are needed, from a rendered
room, so that nothing is downloaded. A program that is missing skips its cases.
"""
