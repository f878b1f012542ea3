"""The archive's store against an S3 server in this process: written once, by conditional writes."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from edge.archive import remote
from edge.archive.store import Store
from edge.errors import RecordError

pytestmark = pytest.mark.long


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    pytest.importorskip("s3fs", reason="needs s3fs, a client for S3")
    server = pytest.importorskip("moto.server", reason="needs moto, a server for S3")
    import fsspec

    running = server.ThreadedMotoServer("127.0.0.1", port=0)
    running.start()
    try:
        host, port = running.get_host_and_port()
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        fsspec.get_filesystem_class("s3").clear_instance_cache()  # it keeps the address of a server
        fsspec.filesystem("s3").mkdir(f"tapes-{port}")
        yield f"s3://tapes-{port}/archive"
    finally:
        running.stop()


def test_a_file_in_a_bucket_is_written_once(bucket: str) -> None:
    place = f"{bucket}/decisions/one.jsonl"
    assert remote.create(place, b"first")
    assert not remote.create(place, b"second")
    assert remote.read(place) == b"first"


def test_a_store_in_a_bucket_keeps_and_reads_and_refuses_another(bucket: str) -> None:
    store = Store(bucket)
    place = store.tape("ab" * 32)
    assert store.read(place) is None
    store.keep(place, b"tape")
    store.keep(place, b"tape")  # the same again
    assert store.read(place) == b"tape"
    with pytest.raises(RecordError):
        store.keep(place, b"other")
    assert store.read(place) == b"tape"
