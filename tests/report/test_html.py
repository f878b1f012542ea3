"""The pieces of every page: what comes from outside stays text, what is ours stays HTML."""

from __future__ import annotations

import base64
import hashlib
import html

from edge.report.html import CSS, Markup, content_policy, escape, facts, served_page, table


def test_a_cell_is_text_unless_it_is_our_own_html() -> None:
    drawn = table(["<head>"], [["<b>theirs</b>"], [Markup("<b>ours</b>")], [""]], numbers=(0,))

    assert "&lt;b&gt;theirs&lt;/b&gt;" in drawn and "<div><b>ours</b></div>" in drawn
    assert drawn.count('data-head="&lt;head&gt;" class="num"') == 3
    assert '"num"></td>' in drawn  # nothing in it: a phone can hide it
    assert "<dd>&lt;1&gt;</dd>" in facts([("n", "<1>")])


def test_the_policy_names_just_what_the_page_holds() -> None:
    page = served_page("t", "", CSS, "run()")

    for text, tag in ((CSS, "style"), ("run()", "script")):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in content_policy(CSS, "run()")
        assert f"<{tag}>{text}</{tag}>" in page
    assert "sha256" in content_policy("", "") and digest not in content_policy("", "")


def test_every_sign_is_escaped_as_the_standard_library_does() -> None:
    signs = "".join(map(chr, range(0x3000)))

    assert escape(signs) == html.escape(signs) != signs
