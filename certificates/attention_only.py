"""The architecture `attention-only`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from certificates.configuration import TRANSFORMER, VOCAB, WIDTH, WITHOUT_INFLUENCE, Values


@dataclass(frozen=True)
class AttentionOnly:
    """A one-layer, one-head transformer without MLP or normalisation, read at the last of n_ctx positions."""

    architecture: ClassVar[str] = "attention-only"
    described: ClassVar[str] = "attention-only transformer"
    ranges: ClassVar[Mapping[str, tuple[int, int]]] = {
        "d_head": WIDTH,
        "d_model": WIDTH,
        "d_vocab": VOCAB,
        "d_vocab_out": VOCAB,
        "n_ctx": (2, 64),
    }
    required: ClassVar[Values] = TRANSFORMER | {"attn_only": (True, False), "n_heads": (1, None)}
    ignored: ClassVar[frozenset[str]] = WITHOUT_INFLUENCE | {"act_fn", "d_mlp", "gated_mlp"}
    unused: ClassVar[frozenset[str]] = frozenset()

    d_head: int
    d_model: int
    d_vocab: int
    d_vocab_out: int
    n_ctx: int

    @property
    def input_shape(self) -> tuple[int, int]:
        """Number of positions, and of tokens, of an input."""
        return self.n_ctx, self.d_vocab

    def tensor_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every tensor that carries meaning."""
        d, h = self.d_model, self.d_head
        return {
            "embed.W_E": (self.d_vocab, d),
            "pos_embed.W_pos": (self.n_ctx, d),
            "blocks.0.attn.W_Q": (1, d, h),
            "blocks.0.attn.W_K": (1, d, h),
            "blocks.0.attn.W_V": (1, d, h),
            "blocks.0.attn.W_O": (1, h, d),
            "blocks.0.attn.b_Q": (1, h),
            "blocks.0.attn.b_K": (1, h),
            "blocks.0.attn.b_V": (1, h),
            "blocks.0.attn.b_O": (d,),
            "unembed.W_U": (d, self.d_vocab_out),
            "unembed.b_U": (self.d_vocab_out,),
        }
