"""The feature extractor of both models: a classifier of the same digits, as an ONNX file.

Scores by its features compare days of these two models with each other. They are not
comparable with any published FID, which is by the features of an Inception network.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from examples.digits.data import SIDE, Digits

if TYPE_CHECKING:
    from examples.digits.networks import Classifier

Progress = Callable[[str], None]

EPOCHS, BATCH = 25, 64
LEARNING_RATE = 3e-3  # the peak of one cycle
CONFIG = {
    "description": (
        "a classifier of the same digits: good for comparing days of these two models, "
        "not comparable with published FID"
    ),
    "input": "image",
    "size": [SIDE, SIDE],
    "channels": 1,
    "scale": "0..1",
    "features": "features",
    "logits": "logits",
}
"""What ``quality.features`` reads of the folder: names of the graph and what it expects."""


def fit(digits: Digits, seed: int, progress: Progress) -> Classifier:
    """A trained classifier; the same digits, seed and machine give the same weights."""
    import torch
    from torch.nn.functional import cross_entropy

    from examples.digits.networks import Classifier

    torch.manual_seed(seed)
    network = Classifier()
    images, labels = torch.from_numpy(digits.images)[:, None], torch.from_numpy(digits.labels)
    steps = EPOCHS * (len(images) // BATCH)
    optimizer = torch.optim.AdamW(network.parameters(), LEARNING_RATE)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps)
    for _ in range(EPOCHS):
        for drawn in torch.randperm(len(images)).split(BATCH)[: len(images) // BATCH]:
            loss = cross_entropy(network(images[drawn])[1], labels[drawn])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            cycle.step()
    progress(f"classifier: loss {loss.item():.3f} after {EPOCHS} epochs")
    network.eval()
    return network


def accuracy(network: Classifier, digits: Digits) -> float:
    """The share of digits that it names right."""
    import torch

    with torch.no_grad():
        _, logits = network(torch.from_numpy(digits.images)[:, None])
    right = logits.argmax(dim=1) == torch.from_numpy(digits.labels)
    return float(right.double().mean())


def export(network: Classifier, folder: Path) -> None:
    """Write ``model.onnx`` (image [N, 1, 8, 8] -> features [N, 32], logits [N, 10]) and config.

    The exporter notes where each line of code stood on this machine. That is taken out, so that
    equal networks have equal hashes, and scores by them may be compared.
    """
    import onnx
    import torch

    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it misses torchvision's operators
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of PyTorch about PyTorch
        made = torch.onnx.export(
            network,
            (torch.zeros(2, 1, SIDE, SIDE),),
            input_names=["image"],
            output_names=["features", "logits"],
            dynamic_shapes=({0: torch.export.Dim("images")},),
            dynamo=True,
            verbose=False,
        )
    graph = made.model_proto
    _forget_the_machine(graph)
    onnx.checker.check_model(graph)
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(graph.SerializeToString(deterministic=True))
    (folder / "config.json").write_text(json.dumps(CONFIG, indent=1) + "\n", encoding="utf-8")


def _forget_the_machine(model: Any) -> None:
    for part in (model, model.graph, *model.graph.node, *model.graph.value_info):
        del part.metadata_props[:]
        part.doc_string = ""
