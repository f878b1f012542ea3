"""What the words mean that reason texts and pages use in a narrow sense.

`docs/glossary.md` has the same paragraphs, and more; a test compares them.
"""

from __future__ import annotations

import re

WORDS = {
    "bracketed release": (
        "The guard releases a frame only when evidence from before it and from after it is good."
    ),
    "bundle": (
        "A signed file with a policy pack, its limits and the digests of models; signed by as "
        "many key holders as its root asks for."
    ),
    "checkpoint": (
        "The signed size and hash of the audit log at one moment; the log can only grow from there."
    ),
    "commissioning record": (
        "The signed device record: camera, mount, site, lanes, dwell and exceptions."
    ),
    "context": (
        "*Controlled* (fixed camera, enrolled place, one person who takes part) or *uncontrolled*."
    ),
    "dock": (
        "The holder of the camera at its site; its contact and its number tell the board where "
        "the camera is."
    ),
    "dwell": (
        "How long everything must hold before a permit begins; 1 to 30 s in the signed record."
    ),
    "enrolled view": (
        "The picture of the empty place, recorded and signed once; each frame is compared with it."
    ),
    "epoch": "The number of a permit. It rises by one each time, so an old lease is recognised.",
    "evidence": (
        "Dated values, each from one source: board, picture, records. Missing, stale or "
        "conflicting evidence means *uncontrolled*."
    ),
    "gate": "The process that looks at every frame and passes or blocks it. It starts blocked.",
    "interlock": (
        "The board's hardware line. It drops by itself when the guard dies, stalls or lies."
    ),
    "lane": (
        "What a matcher does with frames: detect, verify, identify and so on. The record lists "
        "the lanes that a device may use."
    ),
    "lease": (
        "Permission to release frames captured in one interval, for 200 ms. The gate only reads it."
    ),
    "matcher": (
        "The program that gets the released frames and compares faces; it is not part of framegate."
    ),
    "permit": (
        "The time in which frames may be released; policy and evidence begin it, a revocation "
        "ends it at once."
    ),
    "reading": "What one source of evidence says at one moment: good, or the reasons why not.",
    "sandbox": (
        "The layers that keep a matcher from files, network and system calls it was not given."
    ),
    "session claim": "The signed record of what this session is for: operation, gallery, consent.",
    "slow loop": "The part of the guard that reads the evidence and decides, a few times a second.",
}
_FORMS = {word: re.compile(rf"\b{word}(?:s|es)?\b", re.IGNORECASE) for word in WORDS}


def words_in(*texts: str) -> dict[str, str]:
    """The words of the glossary that `texts` use, with their meaning, in alphabetical order."""
    text = " ".join(texts)
    return {word: WORDS[word] for word in WORDS if _FORMS[word].search(text)}
