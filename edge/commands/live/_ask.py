"""Answers that only a person has: options, or questions in a terminal; never a guess."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from edge.errors import UsageError, meaning

YES_NO = ("yes", "no")


class Asker:
    """Takes options, asks for those that are missing, or names them all at once."""

    def __init__(self, args: argparse.Namespace, terminal: bool) -> None:
        self._args = args
        self._terminal = terminal
        self._missing: list[str] = []

    def text(self, name: str, question: str) -> str:
        return self._get(name, question, "", lambda answer: bool(answer))

    def word(self, name: str, allowed: tuple[str, ...], question: str) -> str:
        return self._get(name, question, ", ".join(allowed), lambda answer: answer in allowed)

    def known_place(self, name: str, question: str) -> str:
        from edge.policy.shipped import known_place

        found = self._get(name, question, "", known_place)
        if found and not known_place(found):
            raise UsageError(
                f"--{name}: expected a place that the policy knows, got {found!r}; "
                "`framegate policy show strict --out DIR` writes them, in places.json"
            )
        return found

    def agreed(self, question: str) -> bool:
        """Whether a person in the terminal says yes; without one nobody does."""
        return self._terminal and self._answered(question, YES_NO) == "yes"

    def finish(self) -> None:
        if self._missing:
            raise UsageError(f"expected {', '.join(self._missing)}: facts are not guessed")

    def _get(self, name: str, question: str, allowed: str, good: Callable[[str], bool]) -> str:
        given: str | None = getattr(self._args, name)
        if given is not None:
            return given
        if not self._terminal:
            option = f"--{name.replace('_', '-')}"
            self._missing.append(f"{option} ({allowed})" if 0 < len(allowed) < 80 else option)
            return ""
        return self._until(question, allowed, good)

    def _answered(self, question: str, allowed: tuple[str, ...]) -> str:
        return self._until(question, ", ".join(allowed), lambda answer: answer in allowed)

    def _until(self, question: str, allowed: str, good: Callable[[str], bool]) -> str:
        """The first good answer in the terminal."""
        while True:
            with meaning(f"expected an answer: {question}", EOFError):
                answer = input(f"{question}{f' [{allowed}]' if allowed else ''}? ").strip()
            if good(answer):
                return answer
            print(f"expected one of {allowed}" if allowed else "expected an answer")
