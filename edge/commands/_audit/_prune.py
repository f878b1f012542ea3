"""`framegate audit prune`: the oldest months of a log go, every proof of the rest stays."""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from edge.commands._options import Actions
from edge.commands._output import complain, say
from edge.errors import AuditError, UsageError
from edge.files import MODEL_BYTES, read_named

if TYPE_CHECKING:
    from edge.audit.note import Verifier
    from edge.audit.pruning.prune import Plan
    from edge.daemon.settings import Settings

EXAMPLES = """\
examples:
  framegate audit prune --config guard.toml                    what would go, nothing goes
  framegate audit prune --config guard.toml --archive /mnt/old --apply
  framegate audit prune --config guard.toml --matcher counting     of a matcher in [[also]]
  framegate audit verify audit --key log.pub --archive /mnt/old    with what was moved away

guard.toml says how much stays and who must have seen what goes:
  [log]
  keep_months = 24           whole months besides the one that runs; 0 keeps all
  witnesses = "policy.txt"   nothing goes that this quorum has not cosigned
"""


def register(actions: Actions) -> None:
    parser = actions.add(
        "prune",
        "remove the oldest months and keep every proof of the rest",
        run,
        description="Remove the oldest whole segments of a guard's log. Hashes, certificates and a "
        "signed receipt stay, so that what is left proves what it proved before. Without --apply "
        "nothing is changed. The guard may go on running.",
        epilog=EXAMPLES,
    )
    parser.path("--config FILE", "the guard's guard.toml", required=True)
    parser.path("--archive FOLDER", "copy the files there before they are removed")
    parser.text(
        "--matcher NAME", "the log of this matcher, one of [[also]]; without it the first matcher's"
    )
    parser.flag("--apply", "remove; without it, only list what")
    parser.flag("--json", "print data, not prose")


def run(args: argparse.Namespace) -> int:
    """Plan, say, and with --apply do; 1 if the log does not verify."""
    from edge.audit.pruning.prune import plan_pruning, prune
    from edge.commissioning.keys import KeyStore
    from edge.daemon.settings import load_settings

    settings = _of_matcher(load_settings(args.config), args)
    if not settings.keep_months:
        raise UsageError(
            f"{args.config}: [log] keep_months is 0: everything is kept. Set how many months stay"
        )
    log = settings.plan.audit
    if not (log / "segments").is_dir():
        raise UsageError(f"{log} holds no audit log (expected a directory with segments/)")
    owner = log.stat().st_uid
    if args.apply and owner != os.geteuid():
        raise UsageError(
            f"{log} belongs to user {owner}: run this as that user (sudo -u '#{owner}' framegate "
            "audit prune ...), or the guard could not read what is written"
        )
    device = KeyStore.open(settings.keys).log_key()
    try:
        witnessed = _witnessed(settings, device.verifier)
        say(f"verifying {log}")
        plan = plan_pruning(
            log,
            device.verifier,
            now_ns=time.time_ns(),
            keep_months=settings.keep_months,
            witnessed=witnessed,
        )
        if plan is not None and args.apply:
            prune(log, device, plan, archive=args.archive)
    except AuditError as err:
        return complain(f"nothing was pruned: {err}")
    _say(args, settings, plan)
    return 0


def _of_matcher(settings: Settings, args: argparse.Namespace) -> Settings:
    """The settings, with the log that is meant; witnesses visit the first matcher's alone."""
    if args.matcher is None:
        return settings
    logs = {other.name: other.audit for other in settings.plan.others}
    if args.matcher not in logs:
        known = ", ".join(logs) or "none, for the file has no [[also]]"
        raise UsageError(f"--matcher {args.matcher}: expected one of {args.config}: {known}")
    plan = replace(settings.plan, audit=logs[args.matcher])
    return replace(settings, plan=plan, log_witnesses=None)


def _witnessed(settings: Settings, key: Verifier) -> bytes | None:
    """The checkpoint that enough witnesses cosigned; None if no witnesses are set for the log."""
    from edge.commands._fleet._common import read_policy
    from edge.fleet.courier import COSIGNED, FORKED, quorum

    cosigned, forked = settings.plan.audit / COSIGNED, settings.plan.audit / FORKED
    if forked.exists():
        raise AuditError(f"a witness saw another history of this log, see {forked}")
    if settings.log_witnesses is None:
        if cosigned.exists():
            raise UsageError(
                f"{cosigned} shows that witnesses visit this log: name their policy in guard.toml, "
                "[log] witnesses"
            )
        return None
    if not cosigned.exists():
        raise AuditError(f"there is no {cosigned}: no courier has brought a cosignature back")
    note = read_named(cosigned, MODEL_BYTES)
    quorum(note, read_policy(settings.log_witnesses), key)
    return note


def _say(args: argparse.Namespace, settings: Settings, plan: Plan | None) -> None:
    """What went, or would go."""
    if args.json:
        answer: dict[str, object] = {"pruned": plan is not None and args.apply}
        if plan is not None:
            receipt = plan.receipt
            answer |= {"entries": receipt.entries, "segments": receipt.segments}
            answer |= {"since": receipt.since, "until": receipt.until}
            answer |= {"bytes": plan.bytes, "paths": list(plan.paths)}
        print(json.dumps(answer))
        return
    if plan is None:
        print(
            f"nothing may go: no whole segment is older than {settings.keep_months} months"
            + (", or it was not witnessed yet" if settings.log_witnesses is not None else "")
        )
        return
    receipt = plan.receipt
    print(
        f"{'gone' if args.apply else 'would go'}: entries 0 to {receipt.entries - 1} "
        f"({receipt.since} to {receipt.until}), {receipt.segments} segments; "
        f"{len(plan.paths)} files with {plan.bytes} bytes"
    )
    if not args.apply:
        print("nothing was changed; --apply does it")
    elif args.archive is not None:
        print(f"moved to {args.archive}; audit verify --archive reads it beside the log")
