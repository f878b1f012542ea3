"""A second reading of the rules, in plain Python, to compare the engine with.

Shares no code with `edge.decision`: neither the vocabulary nor the tree of
places nor the reading of unknown values. Knows today's rules only.
"""

from __future__ import annotations

from collections.abc import Mapping

VALUES: dict[str, tuple[object, ...]] = {
    "user": [
        "individual",
        "non_us_police",
        "private_business",
        "us_federal_law_enforcement",
        "us_federal_non_police",
        "us_state_local_police",
    ],
    "by_or_for": ("by", "for", "neither"),
    "camera": [
        "body_worn",
        "dash_mounted",
        "drone",
        "file",
        "fixed",
        "handheld",
        "van_mast",
        "wearable",
    ],
    "mount": [
        "airborne",
        "docked",
        "docked_attested",
        "docked_claimed",
        "fixed_surveyed",
        "hand_held",
        "unknown",
        "vehicle_moving",
        "vehicle_parked",
        "worn_moving",
    ],
    "setting": ("controlled", "uncontrolled", "unknown"),
    "publicly_accessible": (True, False),
    "operation": [
        "detect",
        "detect_drowsiness",
        "detect_event",
        "identify_1_n",
        "infer_attribute",
        "infer_emotion",
        "read_plate",
        "redact",
        "redact_selective",
        "reidentify",
        "social_score",
        "transcribe_audio",
        "verify_1_1",
        "view_masked",
    ],
    "gallery": [
        "consented_staff",
        "government_id_images",
        "licence_photos",
        "missing_persons",
        "none",
        "one_named_person",
        "one_named_suspect",
        "plate_hot_list",
        "police_supplied_list",
        "private_block_list",
        "scraped_web",
        "self_only",
        "session_templates",
        "suspects_or_inmates",
    ],
    "source": [
        "live",
        "live_delayed",
        "replay_into_live",
        "ring_buffer",
        "sealed_recording",
        "still",
    ],
    "session_open": (True, False),
    "active_involvement": (True, False),
    "consent": [
        "forced",
        "na",
        "none",
        "notice",
        "notice_with_opt_out",
        "opted_out",
        "valid",
        "withdrawn",
    ],
    "authorisation": [
        "court_order",
        "decree",
        "none",
        "post_rbi_valid",
        "rt_rbi_expired",
        "rt_rbi_valid",
        "urgent_pending",
        "warrant",
    ],
    "inference_backend": ("azure_openai", "on_device"),
    "result_sink": ("azure_openai", "local"),
    "injected_fault": [
        "clock_rollback",
        "consent_withdrawn",
        "dock_spoof",
        "heartbeat_lost",
        "imu_timeout",
        "none",
        "opt_out",
        "policy_expired",
        "policy_rollback",
        "split_search",
        "token_expired",
    ],
}
# places a rule names, and some it does not
EU = ("EU", "FR", "DE", "IE", "AT-9", "DE-BY")
US = [
    "US",
    "US-TX",
    "US-CA",
    "US-VT",
    "US-OR",
    "US-OR-Portland",
    "US-NH",
    "US-WA",
    "US-IL",
    "US-DC",
    "PR",
    "US-TX-Austin",
    "US-NY",
    "US-MD",
    "US-ME",
    "US-CO",
]
ELSEWHERE = ("NZ", "AU-NSW", "CA", "CA-AB", "CA-QC", "GB", "UK", "BR", "IN-MH")
NOWHERE = ("", "XX", "us", "US-ZZ", "US-OR-Salem", "CA-ZZ", "EU-", "-", "unknown", "world", 7, None)
PLACES: tuple[object, ...] = (*EU, *US, *ELSEWHERE)

RECOGNITION = {"identify_1_n", "verify_1_1", "reidentify", "redact_selective"}
POLICE = {"us_state_local_police", "us_federal_law_enforcement", "non_us_police"}
MOBILE = {"body_worn", "dash_mounted", "handheld", "wearable", "drone", "van_mast"}
IN_POLICE_PACK = {"MS-01", "MS-02"}


def decide(facts: Mapping[str, object], pack: str) -> tuple[str, str, list[str]]:
    """Verdict, outcome and rules, as `framegate explain --json` prints them."""
    blocks = sorted(
        rule
        for rule in _blocking(facts)
        if pack == "strict" or rule in IN_POLICE_PACK or rule.startswith("GD-")
    )
    if blocks:
        return "BLOCK", "forbidden", blocks
    permits = sorted(_permitting(facts))
    if permits:
        return "ALLOW", "permitted", permits
    unknown = facts["setting"] == "unknown" or facts["mount"] == "unknown"
    if unknown or facts["injected_fault"] == "clock_rollback":
        return "BLOCK", "forbidden", ["GD-02"]
    return "ALLOW", "not_covered", ["GD-06"]


def _strictest(facts: Mapping[str, object]) -> tuple[dict[str, object], bool]:
    """Facts with unreadable values left out, and whether any was."""
    kept = {
        key: facts[key]
        for key, known in VALUES.items()
        if key in facts and any(type(v) is type(facts[key]) and v == facts[key] for v in known)
    }
    whole = len(kept) == len(VALUES) and facts.get("jurisdiction") in PLACES
    return kept, not whole


def _blocking(facts: Mapping[str, object]) -> set[str]:
    f, odd = _strictest(facts)
    place = facts.get("jurisdiction")
    nowhere = place not in PLACES

    def within(name: str) -> bool:
        if name == "EU":
            return nowhere or place in EU
        if name == "US":
            return nowhere or place in US
        return nowhere or place == name or str(place).startswith(f"{name}-")

    user, lane = f.get("user"), f.get("operation", "identify_1_n")
    police = user in POLICE or user is None
    acts_for = f.get("by_or_for", "for") == "for"
    mobile = f.get("camera") in MOBILE or "camera" not in f
    footage = f.get("camera", "file") in ("body_worn", "file")
    wild = f.get("setting") != "controlled"
    session = f.get("session_open", True)
    source = f.get("source", "live")
    live = session or source != "sealed_recording"
    consent = f.get("consent", "none")
    fault = f.get("injected_fault", "none")
    lapsed = fault == "token_expired"
    token = f.get("authorisation", "none")
    recognises = lane in RECOGNITION
    search = lane == "identify_1_n"
    us_police = user in ("us_state_local_police", None) or (acts_for and within("US"))
    in_the_wild = (
        (police or acts_for) and mobile and wild and live and lane in ("identify_1_n", "verify_1_1")
    )
    remote = (
        within("EU")
        and (police or acts_for)
        and search
        and live
        and f.get("publicly_accessible", True)
        and not f.get("active_involvement", False)
    )
    crowd = (
        search
        and live
        and wild
        and consent not in ("valid", "notice_with_opt_out")
        and (lapsed or token in ("none", "rt_rbi_expired"))
        and f.get("gallery") not in ("one_named_person", "missing_persons")
        and not us_police
        and not in_the_wild
    )
    held = {
        "MS-01": recognises and us_police,
        "FA-01": recognises and us_police,
        "MS-02": in_the_wild,
        "FA-02": in_the_wild,
        "MS-04": lane == "infer_emotion",
        "MS-05": lane == "infer_attribute",
        "FA-05": lane in ("infer_emotion", "infer_attribute"),
        "MS-06": lane == "social_score",
        "MS-07": recognises and f.get("inference_backend") != "on_device",
        "MS-08": live
        and (
            (lane in ("identify_1_n", "reidentify") and consent != "valid")
            or (
                lane in ("verify_1_1", "social_score")
                and consent not in ("valid", "notice", "notice_with_opt_out")
            )
        ),
        "MS-09": f.get("result_sink") != "local",
        "FA-06": lane in ("reidentify", "social_score") or crowd,
        "FA-08": lane == "verify_1_1" and consent in ("none", "withdrawn", "opted_out", "forced"),
        "EU-01": remote and token not in ("rt_rbi_valid", "urgent_pending", "rt_rbi_expired"),
        "EU-02": remote
        and (token == "rt_rbi_expired" or (lapsed and token in ("rt_rbi_valid", "urgent_pending"))),
        "EU-05": within("EU")
        and (police or acts_for)
        and search
        and not live
        and (lapsed or token != "post_rbi_valid"),
        "EU-07": within("EU") and lane == "infer_attribute",
        "EU-08": within("EU") and f.get("gallery", "scraped_web") == "scraped_web",
        "EU-11": within("EU") and lane == "social_score",
        "US-02": user in ("us_federal_law_enforcement", "us_federal_non_police", None)
        and recognises
        and consent in ("none", "forced"),
        "AB-01": within("CA-AB") and police and recognises,
        "ST-VT": within("US-VT") and police and recognises,
        "ST-OR": within("US-OR") and police and recognises and footage,
        "ST-NH": within("US-NH") and police and footage and lane != "transcribe_audio",
        "ST-WA": within("US-WA")
        and police
        and search
        and live
        and (lapsed or token not in ("warrant", "court_order")),
        "ST-MD": within("US-MD")
        and (police or acts_for)
        and lane in ("identify_1_n", "verify_1_1", "reidentify")
        and f.get("gallery", "scraped_web") != "missing_persons"
        and not (
            f.get("gallery") in ("self_only", "consented_staff")
            and consent == "valid"
            and f.get("active_involvement", False)
        )
        and not (not live and not lapsed and token in ("warrant", "court_order")),
        "ST-ME": within("US-ME") and (police or acts_for) and recognises,
        "ST-CO": within("US-CO")
        and police
        and lane in ("identify_1_n", "reidentify")
        and live
        and (lapsed or token not in ("warrant", "court_order")),
        "ST-PDX": within("US-OR-Portland") and user in ("private_business", None) and search,
        "ST-IL": within("US-IL")
        and user in ("private_business", None)
        and recognises
        and consent != "valid",
        "GD-01": mobile and live and search,
        "GD-02": odd or fault in ("imu_timeout", "heartbeat_lost", "dock_spoof"),
        "GD-03": fault in ("policy_expired", "policy_rollback"),
        "GD-04": live
        and recognises
        and (source in ("live_delayed", "ring_buffer") or fault == "clock_rollback"),
        "GD-05": source == "replay_into_live"
        or (session and (source == "sealed_recording" or f.get("camera") == "file")),
        "GD-08": consent in ("opted_out", "withdrawn", "forced")
        or fault in ("opt_out", "consent_withdrawn"),
        "GD-09": fault == "split_search",
    }
    return {rule for rule, holds in held.items() if holds}


def _permitting(facts: Mapping[str, object]) -> set[str]:
    lane = facts["operation"]
    if lane in ("detect", "redact", "detect_event"):
        return {"FA-09"}
    if lane in ("transcribe_audio", "read_plate", "detect_drowsiness"):
        return {"GD-07"}
    if lane == "view_masked":
        return {"GD-11"}
    found: set[str] = set()
    if facts["setting"] == "unknown" or facts["mount"] == "unknown":
        return found
    agreed = facts["consent"] == "valid" and facts["active_involvement"]
    own = facts["gallery"] == "self_only" and lane == "verify_1_1"
    staff = facts["gallery"] == "consented_staff" and lane in ("verify_1_1", "identify_1_n")
    if agreed and (own or staff):
        found.add("FA-03")
    live = facts["session_open"] or facts["source"] != "sealed_recording"
    named = (
        facts["authorisation"] == "post_rbi_valid" and facts["injected_fault"] != "token_expired"
    )
    if lane in RECOGNITION and not live and named:
        found |= {"EU-05", "GD-05"}
    return found
