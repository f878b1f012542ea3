"""A whole 64-bit ARM computer, emulated: how it is built, started and put through a suite.

A development tool; the guard never imports it. `machines.py` says what can be emulated.
"""
