"""The layers that an image generator's config.json may declare, and what flows between them. Pure.

A generator reads latent numbers and a class, and ends in an image of values 0..1::

    {"model_type": "upkeep-image-generator", "name": "digits-gan", "latent": 16,
     "classes": ["a handwritten 0", "a handwritten 1"],
     "layers": [{"linear": {"out": 512, "bias": false}},
                {"unflatten": {"channels": 32, "height": 4, "width": 4}},
                {"batch_norm": {}}, {"relu": {}},
                {"conv_transpose": {"out": 1, "kernel": 4, "stride": 2, "padding": 1}},
                {"sigmoid": {}}]}

A layer says what it gives; what it reads is what the layer before gives, so that the two cannot
disagree. Nothing else is built: no name of a class or of a function stands in the file.
"""

from __future__ import annotations

from math import prod
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

MODEL_TYPE: Final = "upkeep-image-generator"
MAX_WEIGHTS = 2**30
MAX_NUMBERS = 2**26
"""Of one image between two layers: a folder from outside must not take the machine's memory."""

Width = Annotated[int, Field(ge=1, le=2**20)]
Side = Annotated[int, Field(ge=1, le=4096)]
Kernel = Annotated[int, Field(ge=1, le=15)]
Channels = Literal[1, 3]
Shape = tuple[int, ...]


class Declaration(BaseModel):
    """Base of what is declared: frozen, strict types, no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Activation(Declaration):
    """A function of each number alone; nothing to set."""

    def gives(self, reads: Shape) -> Shape:
        """The shape that it was given."""
        return reads

    def weights(self, reads: Shape) -> int:
        """None."""
        del reads
        return 0


class LeakyRelu(Activation):
    """``slope`` where the input is negative."""

    slope: Annotated[float, Field(ge=0.0, le=1.0)] = 0.2


class BatchNorm(Activation):
    """A scale and a shift a channel, by what was seen in training (Ioffe & Szegedy 2015)."""

    def weights(self, reads: Shape) -> int:
        """Scale, shift, mean and variance a channel."""
        return 4 * reads[0]


class Linear(Declaration):
    """A matrix [out, in], and ``out`` shifts with ``bias``."""

    out: Width
    bias: bool = True

    def gives(self, reads: Shape) -> Shape:
        """A vector of ``out`` numbers; ValueError unless it reads a vector."""
        if len(reads) != 1:
            raise ValueError(f"linear reads a vector, and is given {list(reads)}")
        return (self.out,)

    def weights(self, reads: Shape) -> int:
        """Numbers of the matrix and the shifts."""
        return self.out * (reads[0] + self.bias)


class Unflatten(Declaration):
    """A vector as ``channels`` maps of ``height`` x ``width``."""

    channels: Width
    height: Side
    width: Side

    def gives(self, reads: Shape) -> Shape:
        """The maps; ValueError where the vector has another length."""
        made = (self.channels, self.height, self.width)
        if reads != (prod(made),):
            raise ValueError(f"unflatten to {list(made)} is given {list(reads)}")
        return made

    def weights(self, reads: Shape) -> int:
        """None."""
        del reads
        return 0


class Conv(Declaration):
    """``out`` filters of ``kernel`` x ``kernel``."""

    out: Width
    kernel: Kernel
    stride: Annotated[int, Field(ge=1, le=8)] = 1
    padding: Annotated[int, Field(ge=0, le=14)] = 0
    bias: bool = True

    def gives(self, reads: Shape) -> Shape:
        """Maps of the new size; ValueError where nothing is left."""
        return self._maps(reads, [self._side(side) for side in reads[1:]])

    def weights(self, reads: Shape) -> int:
        """Numbers of the filters and the shifts."""
        return self.out * (reads[0] * self.kernel**2 + self.bias)

    def _side(self, side: int) -> int:
        return (side + 2 * self.padding - self.kernel) // self.stride + 1

    def _maps(self, reads: Shape, sides: list[int]) -> Shape:
        if len(reads) != 3 or min(sides) < 1:  # noqa: PLR2004 - channels, height, width
            raise ValueError(f"a convolution is given {list(reads)}, and leaves {sides}")
        return (self.out, *sides)


class ConvTranspose(Conv):
    """The transpose of a convolution: maps grow by ``stride``."""

    def _side(self, side: int) -> int:
        return (side - 1) * self.stride - 2 * self.padding + self.kernel


Part = Activation | LeakyRelu | BatchNorm | Linear | Unflatten | Conv | ConvTranspose


class Layer(Declaration):
    """One layer: exactly one of these keys."""

    linear: Linear | None = None
    unflatten: Unflatten | None = None
    conv: Conv | None = None
    conv_transpose: ConvTranspose | None = None
    batch_norm: BatchNorm | None = None
    relu: Activation | None = None
    leaky_relu: LeakyRelu | None = None
    sigmoid: Activation | None = None
    tanh: Activation | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if len(self.model_fields_set) != 1 or getattr(self, self.kind) is None:
            raise ValueError(f"a layer is one of {sorted(type(self).model_fields)}")
        return self

    @property
    def kind(self) -> str:
        """Its key."""
        return min(self.model_fields_set)

    @property
    def part(self) -> Part:
        """What stands behind its key."""
        found: Part = getattr(self, self.kind)
        return found


Prompt = Annotated[str, StringConstraints(min_length=1, max_length=1000)]


class GeneratorConfig(Declaration):
    """config.json of an image generator.

    ``latent`` numbers of a normal distribution are one handwriting, one face, one scene;
    ``classes`` are the prompts that it was trained for, by class.
    """

    model_type: Literal["upkeep-image-generator"] = MODEL_TYPE
    name: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    latent: Annotated[int, Field(ge=1, le=65_536)]
    classes: Annotated[tuple[Prompt, ...], Field(min_length=1, max_length=10_000)]
    layers: Annotated[tuple[Layer, ...], Field(min_length=2, max_length=256)]

    @model_validator(mode="after")
    def _flows(self) -> Self:
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("a class stands twice")
        if self.layers[-1].kind != "sigmoid":
            raise ValueError("the last layer must be sigmoid: images are values of 0..1")
        weights = 0
        reads: Shape = (self.reads,)
        for layer, gives in zip(self.layers, self.shapes(), strict=True):
            weights += layer.part.weights(reads)
            reads = gives
            if weights > MAX_WEIGHTS or prod(gives) > MAX_NUMBERS:
                raise ValueError(f"{layer.kind} of {list(gives)} is too large to be loaded")
        if len(reads) != 3 or reads[0] not in (1, 3):  # noqa: PLR2004 - channels, height, width
            raise ValueError(f"gives {list(reads)}, and an image is [1 or 3, height, width]")
        return self

    @property
    def reads(self) -> int:
        """Numbers that it reads: the latent ones, then a 1 at the place of the class."""
        return self.latent + len(self.classes)

    def shapes(self) -> tuple[Shape, ...]:
        """What each layer gives for one image.

        Raises:
            ValueError: a layer cannot read what the one before gives.

        """
        found: list[Shape] = []
        reads: Shape = (self.reads,)
        for place, layer in enumerate(self.layers):
            try:
                reads = layer.part.gives(reads)
            except (ValueError, IndexError) as error:
                raise ValueError(f"layer {place}: {error}") from error
            found.append(reads)
        return tuple(found)

    @property
    def image(self) -> Shape:
        """Channels, height and width of an image."""
        return self.shapes()[-1]
