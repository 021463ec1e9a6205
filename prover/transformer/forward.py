"""The function that a `transformer` file defines (certificates/FORMAT.md, 2.6), evaluated in float64."""

from collections.abc import Callable
from fractions import Fraction

import torch
from torch import Tensor
from torch.nn.functional import embedding, gelu, silu

from certificates.transformer import Transformer
from prover.weights import Weights

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "gelu": gelu,
    "gelu_new": lambda x: gelu(x, approximate="tanh"),
    "silu": silu,
}
"""By their names in configurations."""


def transformer_logits(config: Transformer, weights: Weights, tokens: Tensor) -> Tensor:
    """Logits at every position, "n k out", for inputs "n k" (for causal models, perhaps only their first k tokens)."""
    residual = residual_stream(config, weights, tokens, config.n_layers)
    return normalised(config, weights, "ln_final", residual) @ unembedding(config, weights) + weights["unembed.b_U"]


def residual_stream(config: Transformer, weights: Weights, tokens: Tensor, layers: int) -> Tensor:
    """After so many layers, "n k d"."""
    residual = embedded(config, weights, tokens)
    for layer in range(layers):
        own = of_block(weights, layer)
        residual = residual + _attention(config, own, normalised(config, own, "ln1", residual), tokens == config.pad_token)
        if not config.attn_only:
            residual = residual + _mlp(config, own, normalised(config, own, "ln2", residual))
    return residual


def unembedding(config: Transformer, weights: Weights) -> Tensor:
    """W_U "d out"."""
    return weights["embed.W_E"].T if config.tie_word_embeddings else weights["unembed.W_U"]


def embedded(config: Transformer, weights: Weights, tokens: Tensor) -> Tensor:
    """What the first block reads, "n k d"."""
    found = embedding(tokens, weights["embed.W_E"])
    return found + weights["pos_embed.W_pos"][: tokens.shape[1]] if config.positional_embedding_type == "standard" else found


def of_block(weights: Weights, layer: int) -> Weights:
    """Those of one block, by their names in it."""
    start = f"blocks.{layer}."
    return {name.removeprefix(start): weight for name, weight in weights.items() if name.startswith(start)}


def attended(config: Transformer, own: Weights, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Queries (divided by the scale), keys and values "n head k d_head" for what a layer's attention reads, "n k d"."""

    def heads(name: str) -> Tensor:
        return torch.einsum("nkd,hde->nhke", x, own[f"attn.W_{name}"]) + own[f"attn.b_{name}"][:, None]

    query, key, value = heads("Q"), heads("K"), heads("V")
    if config.use_qk_norm:
        query, key = _rms(config, query) * own["attn.q_norm.w"], _rms(config, key) * own["attn.k_norm.w"]
    if config.rotary_dim:
        query, key = _rotated(config, query), _rotated(config, key)
    shared = config.n_heads // config.n_key_value_heads
    key, value = key.repeat_interleave(shared, 1), value.repeat_interleave(shared, 1)
    scale = config.d_head**0.5 if config.attn_scale == "-1" else float(Fraction(config.attn_scale))
    return query / scale, key, value


def first_heads(config: Transformer, weights: Weights) -> tuple[Tensor, Tensor, Tensor]:
    """Of the first block, as `attended`, "v head k d_head": of token v at position k."""
    own = of_block(weights, 0)
    tokens = torch.arange(config.d_vocab, device=weights["embed.W_E"].device)[:, None].expand(-1, config.n_ctx)
    return attended(config, own, normalised(config, own, "ln1", embedded(config, weights, tokens)))


def attention_pattern(config: Transformer, own: Weights, x: Tensor, padding: Tensor) -> tuple[Tensor, Tensor]:
    """For what a layer's attention reads, "n k d": how much each position attends to which, "n head k k"; and all values.

    padding: what is to be looked at by none, "n k".
    """
    query, key, value = attended(config, own, x)
    scores, length = query @ key.transpose(2, 3) - falls(config, own, x.shape[1]), x.shape[1]
    hidden = padding[:, None, None]
    if config.attention_dir == "causal":
        hidden = hidden | torch.ones(length, length, device=x.device, dtype=torch.bool).triu(1)
    hidden = hidden.expand(len(x), 1, length, length)
    scores = scores.masked_fill(hidden & ~hidden.all(-1, keepdim=True), -torch.inf)  # or gradients are no numbers
    return scores.softmax(-1).masked_fill(hidden, 0.0), value


def falls(config: Transformer, own: Weights, length: int) -> Tensor:
    """What scores lose by distance, "head k k": 0 unless positions are ALiBi's."""
    place = torch.arange(length, device=own["attn.b_O"].device)
    if config.positional_embedding_type != "alibi":
        return own["attn.b_O"].new_zeros(config.n_heads, length, length)
    return own["attn.slopes"][:, None, None] * (place[:, None] - place).abs()


def _attention(config: Transformer, own: Weights, x: Tensor, padding: Tensor) -> Tensor:
    pattern, value = attention_pattern(config, own, x, padding)
    return torch.einsum("nhke,hed->nkd", pattern @ value, own["attn.W_O"]) + own["attn.b_O"]


def _mlp(config: Transformer, own: Weights, x: Tensor) -> Tensor:
    activation, inner = ACTIVATIONS[str(config.act_fn)], x @ own["mlp.W_in"]
    if config.gated_mlp:
        hidden = activation(x @ own["mlp.W_gate"]) * inner + own["mlp.b_in"]
    else:
        hidden = activation(inner + own["mlp.b_in"])
    return hidden @ own["mlp.W_out"] + own["mlp.b_out"]


def _rms(config: Transformer, x: Tensor) -> Tensor:
    return x / (x.square().mean(-1, keepdim=True) + float(Fraction(config.eps))).sqrt()


def normalised(config: Transformer, weights: Weights, name: str, x: Tensor) -> Tensor:
    """A norm by its name: LN, RMS or nothing."""
    kind = config.normalization_type
    if kind is None:
        return x
    x = _rms(config, x - x.mean(-1, keepdim=True) if kind in ("LN", "LNPre") else x)
    if kind in ("LN", "RMS"):
        x = x * weights[f"{name}.w"]
    return x + weights[f"{name}.b"] if kind == "LN" else x


def _rotated(config: Transformer, x: Tensor) -> Tensor:
    """Pairs of the first rotary_dim coordinates of "n head k d_head", turned by position x base^(-2 i / rotary_dim)."""
    pairs = config.rotary_dim // 2
    exponent = torch.arange(pairs, dtype=x.dtype, device=x.device) / pairs
    angle = torch.arange(x.shape[2], dtype=x.dtype, device=x.device)[:, None] / float(Fraction(config.rotary_base)) ** exponent
    first = torch.arange(pairs, device=x.device) * (2 if config.rotary_adjacent_pairs else 1)
    second = first + (1 if config.rotary_adjacent_pairs else pairs)
    turned = x.clone()
    turned[..., first] = x[..., first] * angle.cos() - x[..., second] * angle.sin()
    turned[..., second] = x[..., second] * angle.cos() + x[..., first] * angle.sin()
    return turned
