"""Real H.264 and H.265 in containers: signed, damaged, and in an archive."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest

from edge import cli
from edge.archive.manifest import Recording
from edge.archive.signed.kept import found_in
from edge.archive.signed.nal import Codec, Kind, kind_of, units
from edge.archive.signed.verdict import Signed, Trust, Verdict
from tests.archive.signer import OTHER, ROOT, Signer, pem, signed, stream
from tests.support.guards import DEVICE, SESSION

pytestmark = pytest.mark.slow

_ENCODERS = {
    Codec.H264: ("h264", "libx264", "-preset", "ultrafast", "-bf", "0"),
    Codec.H265: (
        "hevc",
        "libx265",
        "-preset",
        "ultrafast",
        "-x265-params",
        "bframes=0:log-level=error",
    ),
}


def _ffmpeg(*words: object) -> None:
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        pytest.skip("no ffmpeg on this machine: the input cannot be made")
    subprocess.run([ffmpeg, "-v", "error", "-y", *map(str, words)], check=True)


@dataclass(frozen=True)
class Made:
    """A signed stream: 12 pictures in 3 groups, and files of it."""

    folder: Path
    codec: Codec
    units: list[bytes]

    def file(self, container: str, units: list[bytes] | None = None) -> Path:
        """The stream in a container, or other units in its place."""
        kind = _ENCODERS[self.codec][0]
        raw = self.folder / f"raw.{kind}"
        raw.write_bytes(stream(self.units if units is None else units))
        out = self.folder / f"{'signed' if units is None else 'other'}.{container}"
        if units is None and out.exists():
            return out
        _ffmpeg("-r", 10, "-f", kind, "-i", raw, "-c", "copy", out)
        return out


@pytest.fixture(scope="module", params=Codec)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    codec: Codec = request.param
    folder = tmp_path_factory.mktemp("signed")
    kind, encoder, *options = _ENCODERS[codec]
    raw = folder / f"plain.{kind}"
    source = ("-f", "lavfi", "-i", "testsrc2=s=160x120:r=10", "-frames:v", 12, "-g", 4)
    _ffmpeg(*source, "-pix_fmt", "yuv420p", "-c:v", encoder, *options, "-f", kind, raw)
    return Made(folder, codec, signed(units(raw.read_bytes()), Signer(codec), codec))


def verdict(clip: Path, trust: Trust) -> Verdict:
    digest = sha256(clip.read_bytes()).hexdigest()
    return trust.judge(found_in(Recording(clip, digest, clip, clip)))


@pytest.mark.parametrize("container", ["mp4", "mkv", pytest.param("ts", marks=pytest.mark.long)])
def test_a_container_changes_nothing(made: Made, container: str) -> None:
    clip = made.file(container)
    found = verdict(clip, Trust(pem(ROOT)))
    if made.codec is Codec.H264:
        assert found == Verdict(Signed.PARTLY, "", 12, 8)
    else:
        assert found == Verdict(Signed.VALID, "", 12, 12)
    assert verdict(clip, Trust(pem(OTHER))).signed is Signed.UNTRUSTED


@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_one_bit_of_one_slice_is_named(made: Made, container: str) -> None:
    good = made.file(container)
    slices = [u for u in made.units if kind_of(u, made.codec) in (Kind.OPENS, Kind.SLICE)]
    data = bytearray(good.read_bytes())
    unit = slices[-6]  # in the second group
    assert data.count(unit) == 1
    data[data.index(unit) + len(unit) // 2] ^= 1
    bad = good.with_stem("bad")
    bad.write_bytes(data)

    found = verdict(bad, Trust(pem(ROOT)))
    assert found.signed is Signed.INVALID
    assert found.why.startswith("group 2 ")
    assert verdict(good, Trust(pem(ROOT))).signed is not Signed.INVALID


def test_other_video_is_said_to_be_unchecked(tmp_path: Path) -> None:
    other = tmp_path / "other.avi"
    _ffmpeg("-f", "lavfi", "-i", "testsrc2=s=160x120:r=10", "-frames:v", 2, "-c:v", "mjpeg", other)
    assert "mjpg video, not H.264 or H.265" in verdict(other, Trust()).why
    text = tmp_path / "text.mp4"
    text.write_text("no video")
    assert verdict(text, Trust()).signed is Signed.UNKNOWN


def test_an_archive_keeps_the_verdict_and_says_it_without_the_video(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Extract, judge and diff say it; what a user refuses gets no tape and no decisions."""
    if made.codec is Codec.H265:
        pytest.skip("the same way for both codecs: see the tests above")
    clips = tmp_path / "clips"
    clips.mkdir()
    shutil.copy(made.file("mp4"), clips / "good.mp4")
    plain = [u for u in made.units if kind_of(u, made.codec) is not Kind.SEI]
    shutil.copy(made.file("mp4", plain), clips / "plain.mp4")
    (tmp_path / "D.toml").write_text(DEVICE)
    (tmp_path / "S.toml").write_text(SESSION)
    (tmp_path / "signers.pem").write_bytes(pem(ROOT))
    manifest, store = tmp_path / "a.jsonl", tmp_path / "store"
    capsys.readouterr()
    records = ["--device", str(tmp_path / "D.toml"), "--session", str(tmp_path / "S.toml")]
    assert cli.main(["archive", "list", str(clips), *records]) == 0
    manifest.write_text(capsys.readouterr().out)
    where = [str(manifest), "--store", str(store), "--workers", "1"]
    where += ["--signers", str(tmp_path / "signers.pem")]

    assert cli.main(["archive", "extract", *where, "--refuse", "unsigned"]) == 1
    out, err = capsys.readouterr()
    assert "plain.mp4: refused by --refuse unsigned: not signed" in err
    assert "good.mp4: 12 frames" in err
    assert "signed and valid in part: 8 of 12 pictures are covered" in err
    assert "1 of 2 recordings have a tape" in out
    assert "signatures: 1 signed and valid in part" in out
    assert len(list((store / "tapes").rglob("*.tape"))) == 1
    assert cli.main(["archive", "extract", *where]) == 0
    assert "signatures: 1 signed and valid in part; 1 not signed" in capsys.readouterr().out

    shutil.rmtree(clips)
    assert cli.main(["archive", "judge", *where, "--json"]) == 0
    good, other = (json.loads(line)["signature"] for line in capsys.readouterr().out.splitlines())
    assert good == {"signed": "partly", "why": "", "pictures": 12, "covered": 8}
    assert (other["signed"], other["covered"]) == ("none", 0)
    assert cli.main(["archive", "judge", *where, "--refuse", "unsigned"]) == 1
    assert "plain.mp4: refused by --refuse unsigned: not signed" in capsys.readouterr().err
    page = tmp_path / "diff.html"
    assert cli.main(["archive", "diff", "strict", "police", *where, "--page", str(page)]) == 0
    assert "; signed and valid in part: 8 of 12 pictures" in capsys.readouterr().out
    assert page.read_text().count("<div>not signed</div>") == 1


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("--signers {0}/nothing.pem", "expected certificates in PEM"),
        ("--signers {0}/gone.pem", "cannot read"),
        ("--refuse unsigned", "whose signatures count is --signers FILE"),
    ],
)
def test_signers_that_are_none_are_one_line(
    words: str, why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "nothing.pem").write_text("nothing")
    (tmp_path / "a.jsonl").write_text(
        '{"clip": "a", "sha256": "' + "0" * 64 + '", "device": "D", "session": "S"}\n'
    )
    command = ["archive", "extract", str(tmp_path / "a.jsonl"), "--store", str(tmp_path / "store")]
    assert cli.main([*command, *words.format(tmp_path).split()]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert why in line
    assert not (tmp_path / "store").exists()
