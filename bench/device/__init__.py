"""A complete 64-bit ARM computer in an emulator: its build, its start and its tests.

A development tool; the guard never imports it. `machines.py` says what can be emulated.
"""
