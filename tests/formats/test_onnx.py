"""ONNX files: no data outside the folder, no operators that need a library, no NaN."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from upkeep.errors import ArtifactError
from upkeep.formats import onnx as check_onnx

ONES = np.ones(4, np.float32)


def model(
    weight: TensorProto | None = None, *, opset: int = 20, domain: str = "", **attributes: Any
) -> onnx.ModelProto:
    """A model that adds one weight to its input."""
    weight = weight or numpy_helper.from_array(ONES, "w")
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"], domain=domain, **attributes)],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])],
        initializer=[weight],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid(domain, opset)])


def external(location: str, **entries: str) -> TensorProto:
    """A weight whose bytes lie in another file."""
    weight = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4])
    weight.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **entries}.items():
        weight.external_data.add(key=key, value=value)
    return weight


def of_type(data_type: int, data: bytes) -> TensorProto:
    """A weight of any element type, from raw bytes."""
    return TensorProto(name="w", data_type=data_type, dims=[2], raw_data=data)


def within(*tensors: TensorProto) -> onnx.ModelProto:
    """A model whose weights lie in a branch of a node, not in its main graph."""
    branch = helper.make_graph([], "branch", [], [], initializer=list(tensors))
    return model(body=branch)


def in_function(tensor: TensorProto) -> onnx.ModelProto:
    """A model with a function that holds a constant."""
    made = model()
    node = helper.make_node("Constant", [], ["c"], value=tensor)
    opset = [helper.make_opsetid("", 20)]
    made.functions.append(helper.make_function("ai.onnx.ml", "f", [], ["c"], [node], opset))
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a data file of sixteen good bytes."""
    (tmp_path / "w.data").write_bytes(ONES.tobytes())
    return tmp_path


NAN = np.array([1, np.nan, 1, 1], np.float32)

REFUSED: dict[str, tuple[Callable[[], onnx.ModelProto], str]] = {
    "E7-nan": (lambda: model(numpy_helper.from_array(NAN, "w")), "NaN"),
    "E7-infinity": (lambda: model(numpy_helper.from_array(NAN * np.inf, "w")), "infinity"),
    "E7-nan-bfloat16": (lambda: model(of_type(TensorProto.BFLOAT16, b"\0\0\xc0\x7f")), "NaN"),
    "E7-nan-float8": (lambda: model(of_type(TensorProto.FLOAT8E4M3FN, b"\0\x7f")), "NaN"),
    "E7-nan-in-a-branch": (lambda: within(numpy_helper.from_array(NAN, "w")), "NaN"),
    "E7-nan-in-a-function": (lambda: in_function(numpy_helper.from_array(NAN, "w")), "NaN"),
    "E7-nan-sparse": (
        lambda: model(
            sparse=helper.make_sparse_tensor(
                numpy_helper.from_array(NAN, "s"),
                numpy_helper.from_array(np.arange(4, dtype=np.int64), "i"),
                [8],
            )
        ),
        "NaN",
    ),
    "E7-complex": (
        lambda: model(of_type(TensorProto.COMPLEX64, b"\0" * 16)),
        "is of type COMPLEX64",
    ),
    "E7-undefined": (lambda: model(of_type(0, b"")), "is of type UNDEFINED"),
    "E4-weight-cut-off": (lambda: model(of_type(TensorProto.FLOAT, b"\0" * 7)), "is cut off"),
    "E10-no-data": (lambda: model(external("v.data")), "'v.data': is named here but is not"),
    "E12-parent": (lambda: model(external("../w.data")), "'../w.data': leads out"),
    "E12-absolute": (lambda: model(external("/etc/passwd")), "leads out"),
    "E12-windows": (lambda: model(external("..\\w.data")), "leads out"),
    "E12-no-place": (lambda: model(external("")), "leads out"),
    "E12-folder": (lambda: model(external(".")), "leads out"),
    "E12-in-a-branch": (lambda: within(external("/etc/passwd")), "leads out"),
    "E12-in-a-function": (lambda: in_function(external("../../x")), "leads out"),
    "E12-beyond-the-end": (lambda: model(external("w.data", offset="8", length="16")), "cut off"),
    "E12-negative": (lambda: model(external("w.data", offset="-4", length="8")), "cut off"),
    "E12-offset-is-text": (lambda: model(external("w.data", offset="x")), "has no place"),
    "E13-opset": (lambda: model(opset=999), "not runnable on target: opset above"),
    "E13-own-operators": (
        lambda: model(domain="com.example"),
        "not runnable on target: its operators need a library",
    ),
    "E10-no-operators": (onnx.ModelProto, "holds no operator"),
}


@pytest.mark.parametrize("case", REFUSED, ids=REFUSED)
def test_refuses_with_the_reason(case: str, folder: Path) -> None:
    """Nothing outside the folder is ever opened, wherever in the model it is named."""
    make, words = REFUSED[case]
    (folder / "model.onnx").write_bytes(make().SerializeToString())
    with pytest.raises(ArtifactError) as caught:
        check_onnx.check(folder)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


ALLOWED: dict[str, Callable[[], onnx.ModelProto]] = {
    "inside": model,
    "beside": lambda: model(external("w.data")),
    "beside-with-place": lambda: model(external("w.data", offset="0", length="16")),
    "minus-infinity-of-a-mask": lambda: model(numpy_helper.from_array(-ONES * np.inf, "w")),
    "integers": lambda: model(numpy_helper.from_array(np.arange(4), "w")),
    "four-bits": lambda: model(of_type(TensorProto.INT4, b"\x12")),
    "texts": lambda: model(helper.make_tensor("w", TensorProto.STRING, [1], [b"a"])),
    "branch": lambda: within(numpy_helper.from_array(ONES, "w")),
    "function": lambda: in_function(numpy_helper.from_array(ONES, "c")),
}


@pytest.mark.parametrize("case", ALLOWED, ids=ALLOWED)
def test_allows_what_is_whole(case: str, folder: Path) -> None:
    """Weights inside and beside the graph are both right."""
    (folder / "model.onnx").write_bytes(ALLOWED[case]().SerializeToString())
    check_onnx.check(folder)


def test_shapes_of_the_weights_are_told(folder: Path) -> None:
    """The tokenizer's check compares embeddings by them."""
    (folder / "model.onnx").write_bytes(model().SerializeToString())
    assert check_onnx.check(folder) == {"w": (4,)}


def test_e7_external_data_is_scanned(folder: Path) -> None:
    """A NaN beside the graph is found as one inside it."""
    (folder / "model.onnx").write_bytes(model(external("w.data")).SerializeToString())
    (folder / "w.data").write_bytes(NAN.tobytes())
    with pytest.raises(ArtifactError, match="value 1 is not a number"):
        check_onnx.check(folder)


def test_e12_data_behind_a_link_is_refused(folder: Path, tmp_path: Path) -> None:
    """A name without a path may still lead outside by a link."""
    (folder / "v.data").symlink_to(tmp_path / "w.data")
    (folder / "model.onnx").write_bytes(model(external("v.data")).SerializeToString())
    with pytest.raises(ArtifactError, match="is not in the folder"):
        check_onnx.check(folder)


@pytest.mark.parametrize("data", [b"", b"PK\3\4" * 9, b"\x80\x04\x95" + b"a" * 20])
def test_e4_what_is_not_onnx_is_refused(folder: Path, data: bytes) -> None:
    """Zip files, pickles and nothing at all."""
    (folder / "model.onnx").write_bytes(data)
    with pytest.raises(ArtifactError, match=r"model\.onnx"):
        check_onnx.check(folder)


def test_e10_no_graph_is_refused(folder: Path) -> None:
    """Data alone is no model."""
    with pytest.raises(ArtifactError, match=r"'model.onnx': is missing"):
        check_onnx.check(folder)


def test_a_graph_beyond_what_protobuf_reads_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its size alone refuses it."""
    monkeypatch.setattr(check_onnx, "MAX_GRAPH_BYTES", 10)
    (folder / "model.onnx").write_bytes(model().SerializeToString())
    with pytest.raises(ArtifactError, match="larger than protobuf reads"):
        check_onnx.check(folder)
