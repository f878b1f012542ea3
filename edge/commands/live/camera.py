"""`framegate camera`: sign the view that a fixed camera sees every day; draw what no lane shows."""

from __future__ import annotations

import argparse

from edge.commands._options import Actions
from edge.commands.live import _mask

EXAMPLES = """\
examples:
  framegate camera enroll --source 0 --out till-2.view
  framegate camera enroll --source day.mp4 --source evening.mp4 --out till-2.view
  framegate camera enroll --source kiosk.mp4 --mask-people --unenforced --out trial.view
  framegate camera enroll --source 0 --renew till-2.view --out till-2.view
  framegate camera enroll --source 0 --out till-2.view --coverage till-2.png

Point the camera at the empty place, wait for the light to settle, and let nothing
move. To enrol under several lights, name several sources, or one source several
times: the view keeps what holds under all of them. A second take also adds blocks
that somebody hid in the first. The command draws which blocks were enrolled, also
when it refuses the view. --renew follows a view that changes slowly: a day after
the last renewal at the earliest, with the same camera, and never further from the
first enrolment than one renewal may go. It keeps the old view as NAME.before; an
enrolment that takes the name of another view keeps that one as NAME.before-TIME.
"""


def register(commands: Actions) -> None:
    actions = commands.add_group("camera", "enrol the view of a fixed camera; draw masks")
    enroll = actions.add(
        "enroll",
        "record the empty view and sign its fingerprint",
        run_enroll,
        description="Record the empty view that a fixed camera sees every day, and sign it.",
        epilog=EXAMPLES,
        pictures=True,
    )
    enroll.text(
        "--source SRC",
        "camera index, device, stream or file; repeat for several lights",
        action="append",
        required=True,
    )
    enroll.path("--out FILE", "the fingerprint", required=True)
    enroll.number("--seconds SECONDS", "seconds to record of each source (default 8)", 8.0)
    enroll.flag("--mask-people", "leave people out instead of refusing the view")
    enroll.flag("--unenforced", "for a trial: apply the lower limits; the fingerprint says so")
    enroll.path(
        "--override DIR",
        "key store of a second holder: sign although the view looks public; the log says so",
    )
    enroll.path("--renew VIEW", "the signed view that this one replaces; another place is refused")
    enroll.path(
        "--coverage PNG",
        "draw which blocks were enrolled and why others were not; shows no picture",
    )
    enroll.path("--keys DIR", "key store of the signer")
    _mask.register(actions)


def run_enroll(args: argparse.Namespace) -> int:
    """Enrol, write and sign."""
    from edge.commissioning.enrol_view import Request, enroll
    from edge.commissioning.keys import KeyStore
    from edge.errors import EnrolmentError
    from edge.view.enrolment.coverage import draw

    keys = KeyStore.open(args.keys)
    request = Request(
        sources=tuple(args.source),
        out=args.out,
        seconds=args.seconds,
        mask_people=args.mask_people,
        enforce=not args.unenforced,
        override=KeyStore.open(args.override) if args.override is not None else None,
        renew=args.renew,
        coverage=args.coverage,
    )
    try:
        result = enroll(request, keys)
    except EnrolmentError as err:
        if err.drawn:
            print("\n".join(("what became of each block:", *err.drawn)), flush=True)
        raise
    fingerprint = result.fingerprint
    blocks = int((fingerprint.counts > 0).sum())
    print(f"{args.out}: {fingerprint.pairs} lasting contrasts in {blocks} of 48 blocks")
    print("\n".join(draw(result.coverage)))
    file = fingerprint.file
    print(f"enrolment {file.enrolment.value}, scene {file.scene.value}")
    if file.first is not None:
        print(f"renewal {file.renewals} of the view {file.first.digest.hex()}")
    if result.kept is not None:
        print(f"the view that was in {args.out} is kept as {result.kept}")
    print(f"signed in {result.signature.name}; name it in the device record:")
    print(f'[view]\nfingerprint = "{args.out.name}"')
    return 0
