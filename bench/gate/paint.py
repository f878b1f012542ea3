"""The status page in a browser: time to first paint, size, and screenshots.

    python -m bench.gate.paint http://127.0.0.1:8321/
    python -m bench.gate.paint http://127.0.0.1:8321/ --shots out/page

Asks a running daemon's page with a headless Chromium and reads the browser's
own performance entries. Times run from the start of the navigation.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from bench.environment import environment
from bench.figures import number
from bench.web.browser import Browser

_PAINTS = """
(() => {
  const of = name => performance.getEntriesByName(name)[0]?.startTime ?? 0;
  const way = performance.getEntriesByType("navigation")[0];
  return [of("first-paint"), of("first-contentful-paint"), way.responseEnd,
          way.transferSize / 1024, performance.getEntriesByType("resource").length];
})()
"""


def measure(browser: Browser, url: str) -> list[float]:
    """First paint, first contentful paint and end of the answer (ms), KiB, further requests."""
    browser.go(url)
    while not (found := browser.value(_PAINTS))[1]:
        pass
    return [float(value) for value in found]


def shots(browser: Browser, url: str, folder: Path) -> None:
    """Screenshots in desktop and phone size, light and dark."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, width in (("desk", 1280), ("phone", 390)):
        for dark in (False, True):
            browser.look(width=width, dark=dark)
            browser.go(url)
            browser.shoot(folder / f"{name}-{'dark' if dark else 'light'}.png")
    browser.look(width=1280, scripts=False)
    browser.go(url)
    browser.shoot(folder / "no-script.png")


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.gate.paint",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("url")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--shots", type=Path, metavar="DIR", help="also keep pictures here")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with Browser() as browser:
        browser.look(width=1280)
        browser.go(args.url)  # the browser has already painted a page
        found = [measure(browser, args.url) for _ in range(args.rounds)]
        if args.shots is not None:
            shots(browser, args.url, args.shots)
    paint, content, answer, weight, more = zip(*found, strict=True)
    rows = [
        number("time to first paint", paint, "ms"),
        number("time to first contentful paint", content, "ms"),
        number("page served by", answer, "ms"),
        number("page weight", weight, "KiB"),
        number("further requests", more, ""),
    ]
    if args.json:
        print(json.dumps({"figures": [r.as_json() for r in rows], "environment": environment()}))
        return 0
    for row in rows:
        print(f"{row.name:<32}{row.value:>9.3g} {row.unit:<5}{row.least:.3g} to {row.most:.3g}")
    for name, value in environment().items():
        print(f"  {name}: {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
