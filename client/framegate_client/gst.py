"""Released frames into a GStreamer pipeline, run by the real `gst-launch-1.0`.

    python -m framegate_client.gst "framegatesrc ! videoconvert ! autovideosink"

`framegatesrc` is the source of the released raw video; the word may be left out. The
pipeline ends with the stream, and waits while no frame is released. The exit code is
the pipeline's.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence

from framegate_client.connection import Connection, connect
from framegate_client.errors import GuardError, UsageError

LAUNCH = "gst-launch-1.0"
SOURCE = "framegatesrc"
_USUAL_HZ = 30.0  # if the camera gives no rate


def source(connection: Connection) -> str:
    """The elements that read frames of this connection from standard input."""
    layout = "bgr" if connection.channels == 3 else "gray8"
    rate = f"{round((connection.rate_hz or _USUAL_HZ) * 1000)}/1000"
    size = connection.height * connection.width * connection.channels
    return (
        f"fdsrc fd=0 blocksize={size} ! rawvideoparse use-sink-caps=false format={layout} "
        f"width={connection.width} height={connection.height} framerate={rate}"
    )


def command(connection: Connection, pipeline: str) -> list[str]:
    """The command line for `pipeline`.

    Raises:
        UsageError: nothing follows the source.
    """
    words = pipeline.split()
    if words[:1] == [SOURCE]:
        words = words[1:]
    if words[:1] == ["!"]:
        words = words[1:]
    if not words:
        raise UsageError(f"expected a pipeline such as '{SOURCE} ! videoconvert ! autovideosink'")
    return [LAUNCH, "-q", *source(connection).split(), "!", *words]


def environment(names: Mapping[str, str]) -> dict[str, str]:
    """Environment of the pipeline: its list of plug-ins is stored where this process may write."""
    registry = os.path.join(tempfile.gettempdir(), "framegate-gst-registry.bin")
    return {"GST_REGISTRY": registry, "GST_REGISTRY_FORK": "no", **names}


def main(arguments: Sequence[str]) -> int:
    """Run the pipeline until the stream or the pipeline is over."""
    try:
        connection = connect()
        launched = command(connection, " ".join(arguments))
    except GuardError as err:
        print(f"framegate: {err}", file=sys.stderr)
        return 2
    try:
        process = subprocess.Popen(
            launched, stdin=subprocess.PIPE, env=environment(os.environ), close_fds=True
        )
    except OSError as err:
        print(f"framegate: {LAUNCH} cannot be started: {err.strerror}", file=sys.stderr)
        return 2
    assert process.stdin is not None
    try:
        for frame in connection:
            process.stdin.write(frame.tobytes())
        process.stdin.close()
    except BrokenPipeError:
        code = process.wait()
        print(f"framegate: the pipeline ended before the stream, with code {code}", file=sys.stderr)
        return code or 1
    return process.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
