"""Which networks have a meaning here: their configuration keys, sizes and weights. FORMAT.md says what they compute.

Each architecture is a class of its own in a file of its family; this is the one place that knows all of them.
"""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, TypeAlias

from certificates.attention_only import AttentionOnly
from certificates.configuration import size
from certificates.errors import FormatError
from certificates.transformer import Transformer, parse_transformer
from certificates.two_inputs import GroupMLP, UniformAttention

ModelConfig: TypeAlias = AttentionOnly | UniformAttention | GroupMLP | Transformer
_ARCHITECTURES: tuple[type[ModelConfig], ...] = (AttentionOnly, UniformAttention, GroupMLP, Transformer)


def _architecture(config: Mapping[str, Any]) -> type[ModelConfig]:
    name = config.get("architecture", "uniform-attention" if "attention_pattern" in config else "attention-only")
    for architecture in _ARCHITECTURES:
        if name == architecture.architecture:
            return architecture
    known = ", ".join(architecture.architecture for architecture in _ARCHITECTURES)
    raise FormatError(f"config architecture={name!r} is not supported: there are {known}")


def parse_config(config: dict[str, Any]) -> ModelConfig:
    """Check a configuration with TransformerLens' keys (decimals as Fractions) and keep its sizes.

    Raises FormatError naming the key when the configuration is one whose meaning is not implemented.
    """
    architecture = _architecture(config)
    options = architecture.options if issubclass(architecture, Transformer) else frozenset[str]()
    free = {"architecture", "attn_scale", *architecture.ranges, *architecture.ignored, *options}
    for key, value in config.items():
        if key in architecture.required:
            wanted = architecture.required[key][0]
            if value != wanted or isinstance(value, bool) != isinstance(wanted, bool):
                raise FormatError(f"config {key}={value!r} is not supported: only {wanted!r} is")
    unknown = [key for key in config if key not in architecture.required and key not in free]
    if unknown:
        raise FormatError(f"config keys unknown: {', '.join(map(repr, unknown))}; remove those without influence on the model")
    for key, (wanted, default) in architecture.required.items():
        if key not in config and default != wanted:
            raise FormatError(f"config key {key!r} is missing and must be {wanted!r}")
    if issubclass(architecture, Transformer):
        return parse_transformer(config)
    if config.get("d_vocab_out", -1) == -1:
        config = {**config, "d_vocab_out": config.get("d_vocab")}
    sizes = architecture(**{key: size(config, key, *limits) for key, limits in architecture.ranges.items()})
    given = config.get("attn_scale", -1)
    if isinstance(given, bool) or not isinstance(given, int | Fraction):
        raise FormatError(f"config attn_scale={given!r} is not a number")
    scale = Fraction(given)
    if not isinstance(sizes, AttentionOnly) or scale == -1:
        return sizes
    if scale <= 0 or abs(scale * scale / sizes.d_head - 1) > Fraction(1, 10**6):
        raise FormatError("config attn_scale must be sqrt(d_head); it is recomputed exactly")
    return sizes
