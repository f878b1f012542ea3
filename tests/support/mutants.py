"""Mutants of the firmware: every operator changed, every statement left out, one at a time.

    python -m tests.support.mutants              print the survivors; 1 if one is not listed

All mutants are compiled into one library and switched by number, so a thousand of them
cost one build. A mutant is killed if its board's packets or state differ from those of
its Python twin, or if it crashes or hangs. `mutants.json` lists the survivors that a
host or the line can never notice, with the reason.
"""

from __future__ import annotations

import argparse
import copy
import faulthandler
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pycparser import c_ast, c_generator, c_parser

from firmware_bridge.images.build import RULE
from firmware_bridge.virtual.board import VirtualBoard
from tests.firmware_bridge import test_floors
from tests.support import mutant_traces
from tests.support.c_board import CBoard, load

LISTED = Path(__file__).parent / "mutants.json"
TIMEOUT_S = 20
_TYPES = """
typedef unsigned char uint8_t; typedef unsigned short uint16_t; typedef unsigned int uint32_t;
typedef unsigned long uint64_t; typedef short int16_t; typedef int int32_t;
typedef unsigned long size_t; typedef unsigned char bool;
"""
_MACROS = ("-Dtrue=1", "-Dfalse=0", "-DUINT32_MAX=4294967295U")
_OTHER = {
    "<": ("<=", ">="),
    "<=": ("<", ">"),
    ">": (">=", "<="),
    ">=": (">", "<"),
    "==": ("!=",),
    "!=": ("==",),
    "&&": ("||",),
    "||": ("&&",),
    "+": ("-",),
    "-": ("+",),
    "&": ("|",),
    "|": ("&",),
    "^": ("|",),
    "<<": (">>",),
    ">>": ("<<",),
    "*": ("+",),
    "/": ("*",),
    "%": ("*",),
}


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change: its place, the original text and the new text."""

    number: int
    where: str  # function
    change: str

    @property
    def name(self) -> str:
        return f"{self.where}: {self.change}"


class Mutator(c_ast.NodeVisitor):
    """Adds every change next to its original, behind `fg_mutant == number`."""

    def __init__(self) -> None:
        self.mutants: list[Mutant] = []
        self._function = ""
        self._text = c_generator.CGenerator()

    def visit_FuncDef(self, node: c_ast.FuncDef) -> None:
        self._function = node.decl.name
        node.body = self._statement(node.body)

    def _new(self, change: str) -> c_ast.Node:
        number = len(self.mutants) + 1
        same = sum(m.where == self._function and m.change.startswith(change) for m in self.mutants)
        label = change if not same else f"{change} ({same + 1})"
        self.mutants.append(Mutant(number, self._function, label))
        return c_ast.BinaryOp("==", c_ast.ID("fg_mutant"), c_ast.Constant("int", str(number)))

    def _statement(self, node: Any) -> Any:
        if node is None:
            return None
        if isinstance(node, c_ast.Compound):
            node.block_items = [self._statement(item) for item in node.block_items or []]
            return node
        if isinstance(node, c_ast.Assignment | c_ast.FuncCall) or (
            isinstance(node, c_ast.UnaryOp) and node.op in ("p++", "p--")
        ):
            original = self._text.visit(node)
            inside = self._parts(node)
            if isinstance(node, c_ast.FuncCall) and node.name.name.startswith("fg_sha256"):
                return inside
            skip = self._new(f"leave out `{original}`")
            return c_ast.If(c_ast.UnaryOp("!", skip), c_ast.Compound([inside]), None)
        if isinstance(node, c_ast.If):
            node.cond = self._expression(node.cond)
            node.iftrue = self._statement(node.iftrue)
            node.iffalse = self._statement(node.iffalse)
            return node
        if isinstance(node, c_ast.For | c_ast.While):
            node.cond = self._expression(node.cond)
            node.stmt = self._statement(node.stmt)
            return node
        if isinstance(node, c_ast.Return) and node.expr is not None:
            node.expr = self._expression(node.expr)
            return node
        if isinstance(node, c_ast.Switch | c_ast.Case | c_ast.Default):
            if isinstance(node, c_ast.Switch):
                node.stmt = self._statement(node.stmt)
            else:
                node.stmts = [self._statement(item) for item in node.stmts]
            return node
        if isinstance(node, c_ast.Decl) and isinstance(node.init, c_ast.BinaryOp | c_ast.TernaryOp):
            if "static" not in node.storage:
                node.init = self._expression(node.init)
            return node
        return node

    def _parts(self, node: Any) -> Any:
        if isinstance(node, c_ast.Assignment):
            node.rvalue = self._expression(node.rvalue)
        if isinstance(node, c_ast.FuncCall) and node.args:
            node.args.exprs = [self._expression(arg) for arg in node.args.exprs]
        return node

    def _expression(self, node: Any) -> Any:
        if isinstance(node, c_ast.BinaryOp):
            text = self._text.visit(node)
            if text == "at - payload":  # a difference of pointers has no matching sum
                return node
            node.left = self._expression(node.left)
            node.right = self._expression(node.right)
            made: Any = node
            for other in _OTHER.get(node.op, ()):
                changed = c_ast.BinaryOp(other, copy.copy(node.left), copy.copy(node.right))
                made = c_ast.TernaryOp(self._new(f"`{text}` with {other}"), changed, made)
            return made
        if isinstance(node, c_ast.UnaryOp) and node.op == "!":
            text = self._text.visit(node)
            node.expr = self._expression(node.expr)
            return c_ast.TernaryOp(self._new(f"`{text}` without !"), copy.copy(node.expr), node)
        if isinstance(node, c_ast.TernaryOp):
            node.cond = self._expression(node.cond)
            return node
        if isinstance(node, c_ast.Cast):
            node.expr = self._expression(node.expr)
            return node
        if isinstance(node, c_ast.FuncCall):
            return self._parts(node)
        return node


def generate(folder: Path) -> tuple[Path, list[Mutant]]:
    """Build the library that holds every mutant."""
    fake = folder / "fake"
    fake.mkdir()
    for name in ("stdbool.h", "stddef.h", "stdint.h"):
        (fake / name).write_text("")
    mutator, sources = Mutator(), []
    for path in RULE:
        command = [sys.executable, "-m", "ziglang", "cc", "-E", "-P", "-nostdinc", f"-I{fake}"]
        done = subprocess.run(
            [*command, *_MACROS, str(path)], capture_output=True, text=True, check=True
        )
        tree = c_parser.CParser().parse(_TYPES + done.stdout)
        mutator.visit(tree)
        source = folder / path.name
        source.write_text("extern int fg_mutant;\n" + c_generator.CGenerator().visit(tree))
        sources.append(str(source))
    switch = folder / "switch.c"
    switch.write_text("int fg_mutant;\nvoid fg_switch(int to) { fg_mutant = to; }\n")
    library = folder / "mutants.so"
    command = [sys.executable, "-m", "ziglang", "cc", "-w", "-O1", "-shared", "-fPIC"]
    command += [
        "-fsanitize=undefined",
        "-fsanitize-trap=all",
        "-fno-sanitize=function",
        *sources,
        str(switch),
        "-o",
        str(library),
    ]
    subprocess.run(command, check=True)
    return library, mutator.mutants


def survivors(library: Path, mutants: list[Mutant]) -> Iterator[Mutant]:
    """Run every mutant against the recorded traces, each in a process of its own."""
    ffi, lib = load(library)
    ffi.cdef("void fg_switch(int);")
    traces = mutant_traces.record(lambda root, boot, now: VirtualBoard(root, boot, now))

    def differs(number: int) -> bool:
        lib.fg_switch(number)
        return (
            mutant_traces.differs(
                traces, lambda root, boot, now: CBoard((ffi, lib), root, boot, now)
            )
            or mutant_traces.vectors_differ(ffi, lib)
            or test_floors.differs(ffi, lib)
        )

    assert not _killed(0, differs), "the unchanged rule differs from its twin"
    for mutant in mutants:
        if not _killed(mutant.number, differs):
            yield mutant


def _killed(number: int, differs: Any) -> bool:
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)  # a test runner's own waits for Python
        faulthandler.disable()
        signal.alarm(TIMEOUT_S)
        code = 3
        try:
            code = 1 if differs(number) else 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return status != 0  # a crash or a hang is a difference too


def listed() -> dict[str, str]:
    """Survivors that are known, each with the reason why it changes nothing."""
    found: dict[str, str] = json.loads(LISTED.read_text()) if LISTED.exists() else {}
    return found


def main() -> int:
    """Print counts and survivors; 1 if a survivor is not listed."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.mutants")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="framegate-mutants-") as name:
        library, mutants = generate(Path(name))
        alive = [mutant.name for mutant in survivors(library, mutants)]
    known = listed()
    unlisted = [name for name in alive if name not in known]
    killed_but_listed = [name for name in known if name not in alive]
    if args.json:
        rows = {"mutants": len(mutants), "survivors": alive, "unlisted": unlisted}
        print(json.dumps(rows, indent=1))
    else:
        for name in unlisted:
            print(f"survives: {name}")
        for name in killed_but_listed:
            print(f"listed, but killed: {name}")
        print(f"{len(mutants)} mutants, {len(alive)} survive, {len(unlisted)} of them not listed")
    return 1 if unlisted or killed_but_listed else 0


if __name__ == "__main__":
    sys.exit(main())
