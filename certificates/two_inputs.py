"""The architectures with one hidden layer on two inputs: `uniform-attention` and `group-mlp`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from certificates.configuration import TRANSFORMER, VOCAB, WIDTH, WITHOUT_INFLUENCE, Values


@dataclass(frozen=True)
class UniformAttention:
    """A one-layer transformer with a ReLU MLP, whose last position attends to all n_ctx positions equally ("pizza").

    Inputs are a, b and the token "=", which is the last one. Query and key weights may be in the file: they mean nothing.
    """

    architecture: ClassVar[str] = "uniform-attention"
    described: ClassVar[str] = "one-layer transformer with uniform attention and a ReLU MLP"
    ranges: ClassVar[Mapping[str, tuple[int, int]]] = {
        "d_head": WIDTH,
        "d_mlp": WIDTH,
        "d_model": WIDTH,
        "d_vocab": (3, 2049),
        "d_vocab_out": (2, 2049),
        "n_ctx": (3, 3),
        "n_heads": (1, 1024),
    }
    required: ClassVar[Values] = TRANSFORMER | {
        "act_fn": ("relu", None),
        "attention_pattern": ("uniform", None),
        "attn_only": (False, False),
        "gated_mlp": (False, False),
    }
    ignored: ClassVar[frozenset[str]] = WITHOUT_INFLUENCE
    unused: ClassVar[frozenset[str]] = frozenset({"blocks.0.attn.W_Q", "blocks.0.attn.W_K"})

    d_head: int
    d_mlp: int
    d_model: int
    d_vocab: int
    d_vocab_out: int
    n_ctx: int
    n_heads: int

    @property
    def input_shape(self) -> tuple[int, int]:
        """Two elements; the token "=" is none."""
        return 2, self.d_vocab - 1

    def tensor_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every tensor that carries meaning, or could."""
        d, head, heads = self.d_model, self.d_head, self.n_heads
        inner = {f"blocks.0.attn.W_{name}": (heads, d, head) for name in "QKV"}
        biases = {f"blocks.0.attn.b_{name}": (heads, head) for name in "QKV"}
        return {
            "embed.W_E": (self.d_vocab, d),
            "pos_embed.W_pos": (self.n_ctx, d),
            **inner,
            "blocks.0.attn.W_O": (heads, head, d),
            **biases,
            "blocks.0.attn.b_O": (d,),
            "blocks.0.mlp.W_in": (d, self.d_mlp),
            "blocks.0.mlp.b_in": (self.d_mlp,),
            "blocks.0.mlp.W_out": (self.d_mlp, d),
            "blocks.0.mlp.b_out": (d,),
            "unembed.W_U": (d, self.d_vocab_out),
            "unembed.b_U": (self.d_vocab_out,),
        }


@dataclass(frozen=True)
class GroupMLP:
    """One hidden layer on two inputs: logits(a, b) = relu(W_L[a] + W_R[b] + b_in) W_U + b_U."""

    architecture: ClassVar[str] = "group-mlp"
    described: ClassVar[str] = "network with one hidden layer"
    ranges: ClassVar[Mapping[str, tuple[int, int]]] = {"d_mlp": WIDTH, "d_vocab": VOCAB, "d_vocab_out": VOCAB}
    required: ClassVar[Values] = {"act_fn": ("relu", "relu")}
    ignored: ClassVar[frozenset[str]] = WITHOUT_INFLUENCE
    unused: ClassVar[frozenset[str]] = frozenset()

    d_mlp: int
    d_vocab: int
    d_vocab_out: int

    @property
    def input_shape(self) -> tuple[int, int]:
        """Two elements."""
        return 2, self.d_vocab

    def tensor_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every tensor that carries meaning."""
        return {
            "embed_left.W_E": (self.d_vocab, self.d_mlp),
            "embed_right.W_E": (self.d_vocab, self.d_mlp),
            "mlp.b_in": (self.d_mlp,),
            "unembed.W_U": (self.d_mlp, self.d_vocab_out),
            "unembed.b_U": (self.d_vocab_out,),
        }
