"""``openvino``: a graph in ``.xml`` and its constants in the ``.bin`` of the same name.

The XML is read as a stream, without document types, so that no entity is ever expanded.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from xml.parsers import expat

from upkeep.formats import refuse
from upkeep.formats.finite import first_non_finite

SUFFIXES = frozenset({".xml", ".bin"})
GRAPH = "openvino_model.xml"

KINDS: Mapping[str, str] = {
    "f64": "F64",
    "f32": "F32",
    "f16": "F16",
    "bf16": "BF16",
    "f8e5m2": "F8_E5M2",
    "f8e4m3": "F8_E4M3",
    "f8e8m0": "F8_E8M0",
}
"""Element types that can be not finite, with their names in ``finite``."""

# Integers, truth values, texts, and the 4-bit float, which has no NaN.
_FINITE = frozenset({"boolean", "string", "f4e2m1", "nf4"}) | {
    f"{sign}{bits}" for sign in "iu" for bits in (1, 2, 3, 4, 6, 8, 16, 32, 64)
}


class Constant(NamedTuple):
    """A constant of the graph: its element type and its bytes [start, end) in the ``.bin``."""

    name: str
    kind: str
    start: int
    end: int


def check(folder: Path) -> dict[str, tuple[int, ...]]:
    """No shapes (a graph's names are its own); every constant lies in its file and is a number.

    Raises:
        ArtifactError: a graph or its constants are missing, broken or not numbers.

    """
    if not (folder / GRAPH).is_file():
        refuse(folder / GRAPH, GRAPH, "is missing", "export the model again")
    graphs = {file.with_suffix("") for file in folder.rglob("*.xml")}
    for file in folder.rglob("*.bin"):
        if file.with_suffix("") not in graphs:
            refuse(file, file.name, "belongs to no .xml; it may be a pickle", "remove it")
    for graph in sorted(graphs):
        _check_graph(graph.with_suffix(".xml"), graph.with_suffix(".bin"))
    return {}


def _check_graph(xml: Path, constants: Path) -> None:
    if not constants.is_file():
        refuse(xml, constants.name, "is missing: the graph has no weights", "export it again")
    size = constants.stat().st_size
    for constant in read_constants(xml):
        if not 0 <= constant.start <= constant.end <= size:
            rule = f"ends at byte {constant.end} of a file of {size}: it is cut off"
            refuse(constants, constant.name, rule, "restore the recorded files")
        if constant.kind in _FINITE:
            continue
        kind = KINDS.get(constant.kind)
        if kind is None:
            refuse(xml, constant.kind, "is not a known element type", "export the model again")
        at = first_non_finite(constants, kind, constant.start, constant.end, masks=True)
        if at is not None:
            refuse(constants, constant.name, f"value {at} is not a number", "export it again")


def read_constants(xml: Path) -> list[Constant]:
    """The constants that a graph refers to.

    Raises:
        ArtifactError: the file is not the XML of a graph, or has a document type.

    """
    found: list[Constant] = []
    roots: list[str] = []
    layer: list[dict[str, str]] = [{}]

    def start(tag: str, attributes: dict[str, str]) -> None:
        if not roots:
            roots.append(tag)
        if tag == "layer":
            layer[0] = attributes
        elif tag == "data" and layer[0].get("type") == "Const":
            first = int(attributes["offset"])
            name, kind = layer[0].get("name", ""), attributes["element_type"]
            found.append(Constant(name, kind, first, first + int(attributes["size"])))

    def refuse_document_type(*_: object) -> None:
        refuse(xml, "<!DOCTYPE", "a document type can hide entities", "export the model again")

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    parser.StartDoctypeDeclHandler = refuse_document_type
    try:
        with xml.open("rb") as stream:
            parser.ParseFile(stream)
    except (expat.ExpatError, KeyError, ValueError) as error:
        refuse(xml, xml.name, f"is not a graph ({error})", "restore the recorded file")
    if roots != ["net"]:
        refuse(xml, roots, "is not a graph: its root is not <net>", "export the model again")
    return found
