"""A server of the S3 protocol on this machine (moto, a test-only package), with one bucket."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Bucket:
    """One bucket of a server that runs."""

    name: str
    login: dict[str, str]  # the environment of whoever uses it
    client: Any

    def read(self, place: str) -> bytes:
        """The bytes of an object, by its URL."""
        key = place.partition(f"s3://{self.name}/")[2]
        data: bytes = self.client.get_object(Bucket=self.name, Key=key)["Body"].read()
        return data

    def names(self, prefix: str) -> list[str]:
        """The URLs of all objects below a prefix."""
        found = self.client.list_objects_v2(Bucket=self.name, Prefix=prefix)
        return [f"s3://{self.name}/{one['Key']}" for one in found.get("Contents", [])]

    def buckets(self) -> list[str]:
        """The names of all buckets of the server."""
        return [one["Name"] for one in self.client.list_buckets()["Buckets"]]


@contextmanager
def serving(name: str) -> Iterator[Bucket]:
    """A server with an empty bucket of this name."""
    import boto3  # type: ignore[import-untyped]
    from moto.server import ThreadedMotoServer

    running = ThreadedMotoServer("127.0.0.1", port=0)
    running.start()
    try:
        host, port = running.get_host_and_port()
        url = f"http://{host}:{port}"
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        client = boto3.client("s3", endpoint_url=url, region_name="us-east-1", **keys)
        for old in client.list_buckets()["Buckets"]:  # a server before it in this process
            _emptied(client, old["Name"])
        client.create_bucket(Bucket=name)
        login = {key.upper(): value for key, value in keys.items()}
        yield Bucket(name, {"AWS_ENDPOINT_URL": url, **login}, client)
    finally:
        running.stop()


def _emptied(client: Any, name: str) -> None:
    for one in client.list_objects_v2(Bucket=name).get("Contents", []):
        client.delete_object(Bucket=name, Key=one["Key"])
    client.delete_bucket(Bucket=name)
