"""The hash tree, against published vectors and an independent implementation."""

import hashlib

import pymerkle
import pytest

from edge.audit.proofs.merkle import EMPTY_ROOT, Frontier, TileBuffer, leaf_hash, tile_path
from tests.support.audit_helpers import reference_root

# Leaves and root of the reference tests of Certificate Transparency (RFC 6962).
CT_LEAVES = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
]
CT_ROOTS = {
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}


def test_roots_are_those_of_the_published_vectors():
    tree = Frontier()
    assert tree.root() == EMPTY_ROOT == hashlib.sha256(b"").digest()

    for size, leaf in enumerate(CT_LEAVES, start=1):
        tree.append(leaf_hash(bytes.fromhex(leaf)))
        if size in CT_ROOTS:
            assert tree.root().hex() == CT_ROOTS[size]


def test_roots_agree_with_an_independent_implementation_at_every_size():
    tree, other = Frontier(), pymerkle.InmemoryTree(algorithm="sha256")

    for size in range(1, 600):
        data = b"entry %d" % size
        tree.append(leaf_hash(data))
        other.append_entry(data)
        assert tree.root() == reference_root(other, size)


def test_a_copy_of_the_edge_grows_on_its_own():
    tree = Frontier()
    tree.append(leaf_hash(b"a"))
    twin = tree.copy()
    twin.append(leaf_hash(b"b"))

    assert (tree.size, twin.size) == (1, 2)
    assert tree.root() == leaf_hash(b"a") != twin.root()


@pytest.mark.parametrize(
    ("level", "number", "width", "path"),
    [
        (0, 0, 256, "tile/0/000"),
        (0, 0, 1, "tile/0/000.p/1"),
        (1, 999, 255, "tile/1/999.p/255"),
        (2, 1000, 256, "tile/2/x001/000"),
        ("entries", 1234067, 7, "tile/entries/x001/x234/067.p/7"),
    ],
)
def test_tiles_lie_where_the_format_says(level, number, width, path):
    assert tile_path(level, number, width) == path


def test_a_tile_is_handed_out_once_when_full_and_feeds_the_level_above():
    tiles, filled = TileBuffer(), []

    for i in range(257):
        filled += tiles.append(leaf_hash(b"%d" % i))

    assert [(level, number, len(data)) for level, number, data in filled] == [(0, 0, 8192)]
    assert [(level, number, len(data)) for level, number, data in tiles.partial()] == [
        (0, 1, 32),
        (1, 0, 32),
    ]
