"""`framegate_client`, found through a folder that holds nothing else.

This folder's parent goes on the import path of every matcher. The client itself
lies beside the guard's packages, where a matcher must not look for anything.
"""

from __future__ import annotations

import os

_HERE = os.path.dirname(os.path.abspath(__file__))
_ROOT = os.path.join(_HERE, *3 * [os.pardir])
_HOME = os.path.realpath(os.path.join(_ROOT, "framegate_client"))
if not os.path.isdir(_HOME):  # a checkout whose link the matcher's own /tmp does not show
    _HOME = os.path.realpath(os.path.join(_ROOT, "client", "framegate_client"))
__path__ = [_HOME]
__file__ = os.path.join(_HOME, "__init__.py")
with open(__file__, encoding="utf-8") as _source:
    exec(compile(_source.read(), __file__, "exec"))
