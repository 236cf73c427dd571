"""OpenVINO files: the graph and its constants belong together, and the XML cannot do harm."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from upkeep.errors import ArtifactError
from upkeep.formats import openvino

INFINITY, NAN = struct.pack("<f", float("inf")), struct.pack("<f", float("nan"))
WEIGHTS = struct.pack("<4f", 1.0, 2.0, -3.0, 4.0) + bytes(range(8))


def layer(kind: str, offset: object, size: object, layer_type: str = "Const") -> str:
    """One layer of a graph."""
    return (
        f'<layer id="0" name="w" type="{layer_type}" version="opset1">'
        f'<data element_type="{kind}" shape="4" offset="{offset}" size="{size}" /></layer>'
    )


def graph(*layers: str, root: str = "net", before: str = "") -> str:
    """The XML of a graph."""
    inside = "".join(layers) or layer("f32", 0, 16) + layer("u8", 16, 8)
    return f'<?xml version="1.0"?>{before}<{root} name="m"><layers>{inside}</layers></{root}>'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A whole graph with its constants."""
    (tmp_path / "openvino_model.xml").write_text(graph())
    (tmp_path / "openvino_model.bin").write_bytes(WEIGHTS)
    return tmp_path


Change = Callable[[Path], object]


def xml(text: str) -> Change:
    """Write the graph."""
    return lambda folder: (folder / "openvino_model.xml").write_text(text)


def constants(data: bytes) -> Change:
    """Write the constants."""
    return lambda folder: (folder / "openvino_model.bin").write_bytes(data)


def half(folder: Path) -> None:
    """A graph of two 16-bit floats, the second of them NaN."""
    xml(graph(layer("f16", 0, 4)))(folder)
    constants(b"\x00\x3c\x00\x7e")(folder)


BOMB = '<!DOCTYPE net [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>'
OUTSIDE = '<!DOCTYPE net [<!ENTITY a SYSTEM "file:///etc/passwd">]>'

REFUSED: dict[str, tuple[Change, str]] = {
    "E1-bin-without-graph": (
        lambda folder: (folder / "pytorch_model.bin").write_bytes(b"\x80\x04."),
        "belongs to no .xml; it may be a pickle",
    ),
    "E4-constants-cut-off": (constants(WEIGHTS[:-1]), "ends at byte 24 of a file of 23"),
    "E4-constants-empty": (constants(b""), "ends at byte 16 of a file of 0"),
    "E4-graph-cut-off": (xml(graph()[:-3]), "is not a graph"),
    "E4-graph-empty": (xml(""), "is not a graph"),
    "E4-graph-is-other-xml": (xml(graph(root="html")), "its root is not <net>"),
    "E4-graph-is-binary": (xml("PK\3\4"), "is not a graph"),
    "E5-offset-negative": (xml(graph(layer("f32", -4, 16))), "ends at byte 12"),
    "E5-offset-huge": (xml(graph(layer("f32", 2**62, 16))), "is cut off"),
    "E5-size-negative": (xml(graph(layer("f32", 8, -4))), "is cut off"),
    "E5-offset-is-text": (xml(graph(layer("f32", "x", 4))), "is not a graph"),
    "E5-no-offset": (xml(graph(layer("f32", 0, 4).replace("offset", "of"))), "is not a graph"),
    "E7-nan": (constants(NAN + WEIGHTS[4:]), "value 0 is not a number"),
    "E7-infinity": (constants(WEIGHTS[:12] + INFINITY + WEIGHTS[16:]), "value 3 is not a number"),
    "E7-nan-in-half": (half, "value 1 is not a number"),
    "E7-unknown-type": (xml(graph(layer("f99", 0, 16))), "'f99': is not a known element type"),
    "E10-no-graph": (
        lambda folder: (folder / "openvino_model.xml").unlink(),
        "'openvino_model.xml': is missing",
    ),
    "E10-no-constants": (
        lambda folder: (folder / "openvino_model.bin").unlink(),
        "'openvino_model.bin': is missing",
    ),
    "E10-second-graph-without-constants": (
        lambda folder: (folder / "openvino_tokenizer.xml").write_text(graph()),
        "'openvino_tokenizer.bin': is missing",
    ),
    "entity-bomb": (xml(graph(before=BOMB)), "document type can hide entities"),
    "entity-outside": (xml(graph(before=OUTSIDE)), "document type can hide entities"),
}


@pytest.mark.parametrize("case", REFUSED, ids=REFUSED)
def test_refuses_with_the_reason(case: str, folder: Path) -> None:
    """Broken graphs, constants that do not belong to them, and XML with entities."""
    change, words = REFUSED[case]
    change(folder)
    with pytest.raises(ArtifactError) as caught:
        openvino.check(folder)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


ALLOWED: dict[str, Change] = {
    "nothing-changed": lambda _: None,
    "minus-infinity-of-a-mask": constants(struct.pack("<f", float("-inf")) + WEIGHTS[4:]),
    "bytes-after-the-constants": constants(WEIGHTS + b"\0" * 64),
    "offsets-of-other-layers": xml(graph(layer("f32", 900, 16, layer_type="Parameter"))),
    "no-constants": xml(graph(layer("f32", 0, 0))),
    "nan-bits-in-integers": constants(WEIGHTS[:16] + NAN + NAN),
    "four-bits": xml(graph(layer("u4", 0, 16), layer("i4", 0, 16), layer("nf4", 0, 16))),
}


@pytest.mark.parametrize("case", ALLOWED, ids=ALLOWED)
def test_allows_what_is_whole(case: str, folder: Path) -> None:
    """Masks hold minus infinity; quantized weights are any bits."""
    ALLOWED[case](folder)
    openvino.check(folder)


def test_constants_within_bodies_of_loops_are_seen(folder: Path) -> None:
    """A graph within a layer has constants too."""
    body = f"<body><layers>{layer('f32', 4096, 16)}</layers></body>"
    outer = f'<layer id="1" name="loop" type="Loop"><data />{body}</layer>'
    xml(graph(outer))(folder)
    with pytest.raises(ArtifactError, match="ends at byte 4112"):
        openvino.check(folder)
