"""Removes credentials from the names of cameras: addresses, pipelines, messages that quote them.

One function, used wherever a source is printed, logged, reported or pinned. In
doubt it hides too much; hidden text is shown as `***`.
"""

from __future__ import annotations

import re

HIDDEN = "***"

_WORDS = (
    r"user-?name|user-?id|user-?pw|user|usr|login(?:use|pas)?|account|proxy-?(?:id|pw)|"
    r"pass-?word|pass-?wd|pass-?phrase|pass|pwd|psw|pw|secret|api-?key|access-?key|key|"
    r"(?:access-?|auth-?)?token|sig(?:nature)?|auth(?:orization|basic)?|cookies?|session-?id|"
    r"stream-?id|extra-headers|tls-?(?:key|psk)"
)
_NAMES = _WORDS.replace("-?", "[-_]?")
_QUOTED = r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')"""
_ASSIGNED = (
    # a property of a pipeline's element, or a word of a message: to the next space
    re.compile(rf"(?i)((?:^|\s)(?:{_NAMES})\s*=\s*)(?:{_QUOTED}|[^\s\"]+)"),
    # a query's value may hold a slash
    re.compile(rf"(?i)([?&;](?:{_NAMES})=)[^&;#\s\"]*"),
    # in a path: /user=admin_password=x_channel=1
    re.compile(rf"(?i)(?<=[^A-Za-z0-9])((?:{_NAMES})=)(?:(?!_[A-Za-z]\w*=)[^\s&;/?#\"])*"),
)
_USER_INFO = re.compile(r"//[^/?#\s\"']*@")
# A password with a raw slash, `//user:pa/ss@host`: what stands after the colon is no port.
_SLASHED = re.compile(
    r"//[^/?#\s@\"':\[\]]*:(?!\d{1,5}(?:[/?#\s\"']|$))[^\s\"'@]*@(?:[^/?#\s\"'@]*@)*"
)
_PATH = re.compile(r"(?<=[^/:\s])/[^/:?#\s\"'@=]+:[^/?#\s\"']+(?=[/?#\s\"']|$)")
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://[^\s\"'!]+")


def redacted(text: str) -> str:
    """`text` without users, passwords, tokens and keys; the same for what has none.

    Hidden are the user and password of an address (removed, as they stand
    before its host), a `user:password` part of its path, and the value of any
    `password=`, `user-pw=`, `token=` or the like, quoted or not.
    """
    text = _SLASHED.sub("//", text)
    text = _USER_INFO.sub("//", text)
    for assigned in _ASSIGNED:
        text = assigned.sub(rf"\g<1>{HIDDEN}", text)
    return _ADDRESS.sub(lambda found: _PATH.sub(f"/{HIDDEN}", found[0]), text)
