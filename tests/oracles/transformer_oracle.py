"""What a small transformer computes, in two ways that share no code with the project or with each other.

`exact_logits` works on single numbers with mpmath at 50 digits, written out index by index. `torch_logits` is built from
torch.nn.functional and complex numbers, in float64. Both take a configuration as a dictionary with TransformerLens' keys, and
weights by TransformerLens' names as nested lists or arrays; absent biases are zero.
"""

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

Weights = Mapping[str, Any]


def _number(value: Any) -> Any:
    value = Fraction(value)
    return mpmath.mpf(value.numerator) / value.denominator


def exact_logits(config: Mapping[str, Any], weights: Weights, tokens: Sequence[int]) -> list[Any]:
    """Logits at the last position, as mpmath numbers (50 digits)."""
    with mpmath.workdps(50):
        return _Exact(config, weights).logits(list(tokens))


class _Exact:
    def __init__(self, config: Mapping[str, Any], weights: Weights) -> None:
        self.config, self.weights = config, weights
        self.heads = config["n_heads"]
        self.groups = config.get("n_key_value_heads") or self.heads

    def at(self, name: str, *index: int) -> Any:
        if name not in self.weights:
            assert name.rpartition(".")[2].startswith("b")
            return mpmath.mpf(0)
        value = self.weights[name]
        for i in index:
            value = value[i]
        return mpmath.mpf(float(value))

    def logits(self, tokens: list[int]) -> list[Any]:
        config, d = self.config, self.config["d_model"]
        standard = config["positional_embedding_type"] == "standard"
        stream = [
            [self.at("embed.W_E", t, k) + (self.at("pos_embed.W_pos", j, k) if standard else 0) for k in range(d)]
            for j, t in enumerate(tokens)
        ]
        for layer in range(config["n_layers"]):
            own = f"blocks.{layer}."
            seen = [self.norm(own + "ln1", x) for x in stream]
            added = [self.attention(own + "attn.", seen, j, tokens) for j in range(len(tokens))]
            stream = [[a + b for a, b in zip(x, y, strict=True)] for x, y in zip(stream, added, strict=True)]
            if not config["attn_only"]:
                stream = [
                    [a + b for a, b in zip(x, self.mlp(own + "mlp.", self.norm(own + "ln2", x)), strict=True)] for x in stream
                ]
        last = self.norm("ln_final", stream[-1])
        tied = config["tie_word_embeddings"]
        return [
            mpmath.fsum(last[k] * (self.at("embed.W_E", o, k) if tied else self.at("unembed.W_U", k, o)) for k in range(d))
            + self.at("unembed.b_U", o)
            for o in range(config["d_vocab_out"])
        ]

    def rms(self, x: list[Any]) -> list[Any]:
        root = mpmath.sqrt(mpmath.fsum(a * a for a in x) / len(x) + _number(self.config["eps"]))
        return [a / root for a in x]

    def norm(self, name: str, x: list[Any]) -> list[Any]:
        kind = self.config["normalization_type"]
        if kind in ("LN", "LNPre"):
            mean = mpmath.fsum(x) / len(x)
            x = [a - mean for a in x]
        if kind is not None:
            x = self.rms(x)
        if kind in ("LN", "RMS"):
            x = [a * self.at(name + ".w", k) for k, a in enumerate(x)]
        return [a + self.at(name + ".b", k) for k, a in enumerate(x)] if kind == "LN" else x

    def project(self, own: str, letter: str, head: int, x: list[Any], position: int) -> list[Any]:
        y = [
            mpmath.fsum(a * self.at(f"{own}W_{letter}", head, k, e) for k, a in enumerate(x))
            + self.at(f"{own}b_{letter}", head, e)
            for e in range(self.config["d_head"])
        ]
        if letter != "V" and self.config["use_qk_norm"]:
            y = [a * self.at(f"{own}{letter.lower()}_norm.w", e) for e, a in enumerate(self.rms(y))]
        if letter != "V" and self.config["positional_embedding_type"] == "rotary":
            width = self.config["rotary_dim"]
            for i in range(width // 2):
                a, b = (2 * i, 2 * i + 1) if self.config["rotary_adjacent_pairs"] else (i, i + width // 2)
                angle = position * mpmath.power(_number(self.config["rotary_base"]), -mpmath.mpf(2 * i) / width)
                cosine, sine = mpmath.cos(angle), mpmath.sin(angle)
                y[a], y[b] = y[a] * cosine - y[b] * sine, y[a] * sine + y[b] * cosine
        return y

    def attention(self, own: str, seen: list[list[Any]], position: int, tokens: list[int]) -> list[Any]:
        config = self.config
        to = list(range(len(seen)) if config["attention_dir"] == "bidirectional" else range(position + 1))
        to = [j for j in to if tokens[j] != config.get("pad_token", -1)]
        if not to:
            return [self.at(own + "b_O", k) for k in range(config["d_model"])]
        scale = mpmath.sqrt(config["d_head"]) if config["attn_scale"] == "-1" else _number(config["attn_scale"])
        out = [self.at(own + "b_O", k) for k in range(config["d_model"])]
        for head in range(self.heads):
            group = head // (self.heads // self.groups)
            query = self.project(own, "Q", head, seen[position], position)
            keys = [self.project(own, "K", group, seen[j], j) for j in to]
            values = [self.project(own, "V", group, seen[j], j) for j in to]
            score = [mpmath.fsum(a * b for a, b in zip(query, key, strict=True)) / scale for key in keys]
            if config["positional_embedding_type"] == "alibi":
                score = [x - self.at(own + "slopes", head) * abs(position - j) for x, j in zip(score, to, strict=True)]
            weight = [mpmath.exp(x) for x in score]
            total = mpmath.fsum(weight)
            for e in range(config["d_head"]):
                mixed = mpmath.fsum(w * value[e] for w, value in zip(weight, values, strict=True)) / total
                out = [a + mixed * self.at(own + "W_O", head, e, k) for k, a in enumerate(out)]
        return out

    def act(self, x: Any) -> Any:
        match self.config["act_fn"]:
            case "relu":
                return max(x, mpmath.mpf(0))
            case "gelu":
                return x * (1 + mpmath.erf(x / mpmath.sqrt(2))) / 2
            case "gelu_new":
                return x * (1 + mpmath.tanh(mpmath.sqrt(2 / mpmath.pi) * (x + mpmath.mpf("0.044715") * x**3))) / 2
        assert self.config["act_fn"] == "silu"
        return x / (1 + mpmath.exp(-x))

    def mlp(self, own: str, x: list[Any]) -> list[Any]:
        hidden = []
        for i in range(self.config["d_mlp"]):
            inner = mpmath.fsum(a * self.at(own + "W_in", k, i) for k, a in enumerate(x))
            if self.config["gated_mlp"]:
                gate = self.act(mpmath.fsum(a * self.at(own + "W_gate", k, i) for k, a in enumerate(x)))
                hidden.append(gate * inner + self.at(own + "b_in", i))
            else:
                hidden.append(self.act(inner + self.at(own + "b_in", i)))
        return [
            mpmath.fsum(a * self.at(own + "W_out", i, k) for i, a in enumerate(hidden)) + self.at(own + "b_out", k)
            for k in range(self.config["d_model"])
        ]


def torch_logits(
    config: Mapping[str, Any],
    weights: Weights,
    tokens: np.ndarray,
    dtype: torch.dtype = torch.float64,
    attend: Callable[..., torch.Tensor] = F.scaled_dot_product_attention,
) -> torch.Tensor:
    """Logits at every position, "n k out", from torch.nn.functional."""
    w = {name: torch.as_tensor(np.asarray(value, np.float64)).to(dtype) for name, value in weights.items()}
    inputs, k = torch.as_tensor(tokens), tokens.shape[1]
    x = F.embedding(inputs, w["embed.W_E"])
    if "pos_embed.W_pos" in w:
        x = x + w["pos_embed.W_pos"][None]
    eps, kind, d = float(Fraction(config["eps"])), config["normalization_type"], config["d_model"]
    heads, groups = config["n_heads"], config.get("n_key_value_heads") or config["n_heads"]

    def norm(name: str, y: torch.Tensor) -> torch.Tensor:
        if kind in ("LN", "LNPre"):
            return F.layer_norm(y, (d,), w.get(f"{name}.w"), w.get(f"{name}.b"), eps)
        return F.rms_norm(y, (d,), w.get(f"{name}.w"), eps) if kind else y

    def turned(y: torch.Tensor) -> torch.Tensor:
        width = config["rotary_dim"]
        pairs = y[..., :width].unflatten(-1, (-1, 2) if config["rotary_adjacent_pairs"] else (2, -1))
        axis = -1 if config["rotary_adjacent_pairs"] else -2
        planes = torch.complex(pairs.select(axis, 0), pairs.select(axis, 1))
        rate = torch.tensor(
            [float(Fraction(config["rotary_base"])) ** (-2 * i / width) for i in range(width // 2)], dtype=dtype
        )
        planes = planes * torch.polar(torch.ones(k, width // 2, dtype=dtype), torch.arange(k)[:, None] * rate)
        return torch.cat([torch.stack([planes.real, planes.imag], axis).flatten(-2), y[..., width:]], -1)

    acts = {"relu": F.relu, "gelu": F.gelu, "gelu_new": lambda y: F.gelu(y, approximate="tanh"), "silu": F.silu}
    for layer in range(config["n_layers"]):
        own = f"blocks.{layer}."
        y = norm(own + "ln1", x)

        def split(letter: str, count: int, y: torch.Tensor = y, own: str = own) -> torch.Tensor:
            matrix = w[f"{own}attn.W_{letter}"].permute(0, 2, 1).flatten(0, 1)
            bias = w.get(f"{own}attn.b_{letter}")
            parts = F.linear(y, matrix, None if bias is None else bias.flatten()).unflatten(-1, (count, -1)).transpose(1, 2)
            if letter != "V" and config["use_qk_norm"]:
                parts = F.rms_norm(parts, parts.shape[-1:], w[f"{own}attn.{letter.lower()}_norm.w"], eps)
            return turned(parts) if letter != "V" and config["positional_embedding_type"] == "rotary" else parts

        scale = None if config["attn_scale"] == "-1" else float(1 / Fraction(config["attn_scale"]))
        causal, mask = config["attention_dir"] == "causal", None
        if config["positional_embedding_type"] == "alibi":
            far = torch.tensor([[abs(i - j) for j in range(k)] for i in range(k)])
            mask = -torch.einsum("h,ij->hij", w[f"{own}attn.slopes"], far.to(dtype))
            mask, causal = mask.masked_fill(torch.ones(k, k).triu(1).bool() & causal, -torch.inf), False
        if config.get("pad_token", -1) >= 0:
            mask = torch.zeros(k, k, dtype=dtype) if mask is None else mask
            mask = mask.masked_fill(torch.ones(k, k).triu(1).bool() & causal, -torch.inf)
            padding = (inputs == config["pad_token"])[:, None, None]
            mask, causal = torch.where(padding, -torch.inf, mask), False
        mixed = attend(
            split("Q", heads),
            split("K", groups),
            split("V", groups),
            attn_mask=mask,
            is_causal=causal,
            scale=scale,
            enable_gqa=groups != heads,
        )
        out = w[f"{own}attn.W_O"].flatten(0, 1)
        x = x + F.linear(mixed.transpose(1, 2).flatten(2), out.T, w.get(f"{own}attn.b_O"))
        if not config["attn_only"]:
            y, act = norm(own + "ln2", x), acts[config["act_fn"]]
            bias = w.get(f"{own}mlp.b_in", torch.zeros(config["d_mlp"], dtype=dtype))
            inner = y @ w[f"{own}mlp.W_in"]
            hidden = act(y @ w[f"{own}mlp.W_gate"]) * inner + bias if config["gated_mlp"] else act(inner + bias)
            x = x + F.linear(hidden, w[f"{own}mlp.W_out"].T, w.get(f"{own}mlp.b_out"))
    unembed = w["embed.W_E"] if config["tie_word_embeddings"] else w["unembed.W_U"].T
    return F.linear(norm("ln_final", x), unembed, w.get("unembed.b_U"))
