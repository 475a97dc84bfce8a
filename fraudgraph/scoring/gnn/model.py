"""The network's one definition. The PyG module and the incremental engine both follow it.

A relation-wise weighted-mean GraphSAGE (Hamilton et al. 2017; relation-wise as R-GCN, Schlichtkrull et al. 2018) on a
typed graph. A *family* of links joins nodes of a kind `a` (side 0) with nodes of a kind `b` (side 1); messages go both
ways, each way with a matrix of its own. So a *side* is a relation's source: side `s` sends over relation `s` to the
opposite side. A *symmetric* family (same kind at both ends) has one side, one matrix, and is its own opposite.

For node v of kind κ(v), layers l = 1 … L, width d:

    h⁰(v)   = Σ_f E_{κ(v),f}[band_f(v)]                                                 [d]
    w(u, v) = 2^((t_uv − t₀) / half-life), the link's last use t_uv; 1 without half-life scalar
    a^l_s(v) = Σ_{u ∈ N_s(v)} w(u,v) W^l_s h^{l−1}(u) / Σ_{u ∈ N_s(v)} w(u,v)           [d], 0 where N_s(v) is empty
    h^l(v)  = relu(U^l_{κ(v)} h^{l−1}(v) + b^l_{κ(v)} + Σ_s a^l_s(v))                   [d]
    logit(v, as_of) = p · h^L(v) + q · x(v, as_of) + c                                  scalar
    probability = 1 / (1 + exp(−logit))

with N_s(v) the nodes at side `s` of v's links. E: `[rows, d]`, W and U: `[d, d]`, b and p: `[d]`, q: `[x]`.

- Bands are static or log2-banded counts, small integers, so h⁰ moves seldom. Degree, velocity and recency move with
  every link: they are x, enter only here, and are computed when a score is read.
- Weights are a forward decay (Cormode et al., ICDE 2009) and enter as a *mean*: as time passes, all weights of a
  neighbourhood shrink by the same factor, which cancels. t₀ is arbitrary, so no update is due when only time passes.
  Links more than a hundred half-lives older than the newest of the graph weigh alike.
- An identifier that does not link (a hub by the link policy) is in no N_s(v), and its own N_s is empty: it neither
  sends nor receives.
- The last layer is defined for the kinds in `outputs`; an earlier one only for kinds that can reach them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from fraudgraph.errors import ConfigurationError
from fraudgraph.events.kinds import IDENTIFIER_KINDS

F32: TypeAlias = npt.NDArray[np.float32]

MAX_WIDTH = 64
MAX_LAYERS = 3


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of node.

    Attributes:
        bands: how many values each of its features takes.
    """

    name: str
    bands: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Family:
    """Links between a kind at side 0 and a kind at side 1, by name; `symmetric`: one side, ends of the same kind."""

    name: str
    a: str
    b: str
    symmetric: bool = False


@dataclass(frozen=True, slots=True)
class Side:
    """One end of a family.

    Attributes:
        family: its index.
        kind: index of the kind of node that stands there.
        opposite: index of the side at the other end.
    """

    name: str
    family: int
    kind: int
    opposite: int


@dataclass(frozen=True, slots=True)
class NetworkSchema:
    """What a network is made of, apart from its numbers.

    Attributes:
        outputs: kinds whose last embedding is read.
        half_life_ms: age at which a link weighs half as much as a fresh one; None: all weigh the same.
        head_features: names of x.
    """

    kinds: tuple[Kind, ...]
    families: tuple[Family, ...]
    outputs: tuple[str, ...]
    layers: int = 2
    width: int = 64
    half_life_ms: int | None = None
    head_features: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.layers <= MAX_LAYERS or not 1 <= self.width <= MAX_WIDTH:
            raise ConfigurationError(
                f"the network has {self.layers} layers of width {self.width}",
                do=f"Use 1 to {MAX_LAYERS} layers and a width of 1 to {MAX_WIDTH}.",
            )
        names = {kind.name for kind in self.kinds}
        named = {*self.outputs, *(f.a for f in self.families), *(f.b for f in self.families)}
        if not named <= names:
            raise ConfigurationError(
                f"the network names the kinds {sorted(named - names)}, which it does not have",
                do=f"Name only {sorted(names)}.",
            )
        for family in self.families:
            if family.symmetric and family.a != family.b:
                raise ConfigurationError(
                    f"the symmetric family {family.name!r} joins {family.a!r} with {family.b!r}",
                    do="Give it two ends of one kind, or make it not symmetric.",
                )
        if not self.outputs:
            raise ConfigurationError("the network has no outputs", do="Name the kinds whose embeddings are read.")

    def kind(self, name: str) -> int:
        """Returns a kind's index."""
        return [kind.name for kind in self.kinds].index(name)

    def family(self, name: str) -> int:
        """Returns a family's index."""
        return [family.name for family in self.families].index(name)

    @property
    def sides(self) -> tuple[Side, ...]:
        """All sides, family by family."""
        out: list[Side] = []
        for index, family in enumerate(self.families):
            at = len(out)
            if family.symmetric:
                out.append(Side(family.name, index, self.kind(family.a), at))
            else:
                out.append(Side(f"{family.name}:{family.a}", index, self.kind(family.a), at + 1))
                out.append(Side(f"{family.name}:{family.b}:back", index, self.kind(family.b), at))
        return tuple(out)

    @property
    def rows(self) -> int:
        """How many rows the encoder has: a row per kind, feature and band."""
        return sum(sum(kind.bands) for kind in self.kinds)

    def row_offsets(self, kind: int) -> tuple[int, ...]:
        """Returns the encoder row of band 0 of each feature of a kind."""
        at, out = sum(sum(before.bands) for before in self.kinds[:kind]), []
        for bands in self.kinds[kind].bands:
            out.append(at)
            at += bands
        return tuple(out)

    def needed(self, layer: int) -> frozenset[int]:
        """Returns the kinds (indices) whose h at `layer` the outputs depend on."""
        need = {self.kind(name) for name in self.outputs}
        for _ in range(self.layers - layer):
            need |= {side.kind for side in self.sides if self.sides[side.opposite].kind in need}
        return frozenset(need)


@dataclass(frozen=True, slots=True)
class NetworkWeights:
    """A network's numbers, float32.

    Attributes:
        encoder: `[rows, d]` E.
        relation: `[L, sides, d, d]` W, by layer and the side that sends; `W[l, s] @ h`.
        own: `[L, kinds, d, d]` U.
        bias: `[L, kinds, d]` b.
        head: `[d]` p.
        head_x: `[x]` q.
        head_bias: c.
    """

    schema: NetworkSchema
    encoder: F32
    relation: F32
    own: F32
    bias: F32
    head: F32
    head_x: F32
    head_bias: float

    def __post_init__(self) -> None:
        schema = self.schema
        layers, d, sides, kinds = schema.layers, schema.width, len(schema.sides), len(schema.kinds)
        shapes = {
            "encoder": (schema.rows, d),
            "relation": (layers, sides, d, d),
            "own": (layers, kinds, d, d),
            "bias": (layers, kinds, d),
            "head": (d,),
            "head_x": (len(schema.head_features),),
        }
        for name, shape in shapes.items():
            array = getattr(self, name)
            if array.shape != shape or array.dtype != np.float32:
                raise ConfigurationError(
                    f"the network's {name} is {array.dtype} of shape {array.shape}, expected float32 {shape}",
                    do="Export the weights again from the module that was trained with this schema.",
                )

    @staticmethod
    def random(schema: NetworkSchema, seed: int) -> NetworkWeights:
        """Returns weights with which activations keep their size through the layers (He et al. 2015), for tests."""
        random = np.random.default_rng(seed)
        layers, d, sides, kinds = schema.layers, schema.width, len(schema.sides), len(schema.kinds)

        def normal(*shape: int, scale: float) -> F32:
            return (random.standard_normal(shape) * scale).astype(np.float32)

        into = max(1, max(sum(s.kind == k for s in schema.sides) for k in range(kinds)))
        return NetworkWeights(
            schema,
            encoder=normal(schema.rows, d, scale=1.0),
            relation=normal(layers, sides, d, d, scale=float((1 / (d * into)) ** 0.5)),
            own=normal(layers, kinds, d, d, scale=float((1 / d) ** 0.5)),
            bias=normal(layers, kinds, d, scale=0.1),
            head=normal(d, scale=float(d**-0.5)),
            head_x=normal(len(schema.head_features), scale=0.3),
            head_bias=float(random.standard_normal() * 0.1),
        )


def shop_schema(
    bands: dict[str, tuple[int, ...]],
    *,
    head_features: tuple[str, ...] = ("degree", "velocity", "recency"),
    layers: int = 2,
    width: int = 64,
    half_life_ms: int | None,
) -> NetworkSchema:
    """Returns the schema of a shop's graph: users, the six kinds of identifier, transfers and referrals.

    The index of a kind of node is its number in `events.kinds.EntityKind`.

    Args:
        bands: by kind of node, how many values each of its features takes.
    """
    identifiers = tuple(kind.label for kind in IDENTIFIER_KINDS)
    return NetworkSchema(
        kinds=tuple(Kind(name, bands[name]) for name in ("user", *identifiers)),
        families=(
            *(Family(name, "user", name) for name in identifiers),
            Family("transfer", "user", "user"),
            Family("referral", "user", "user"),
        ),
        outputs=("user",),
        layers=layers,
        width=width,
        half_life_ms=half_life_ms,
        head_features=head_features,
    )


def plain_schema(bands: tuple[int, ...], *, layers: int = 2, width: int = 64) -> NetworkSchema:
    """Returns the schema of a graph with one kind of node and one kind of link, all of one weight."""
    return NetworkSchema(
        (Kind("node", bands),), (Family("link", "node", "node", symmetric=True),), ("node",), layers, width
    )
