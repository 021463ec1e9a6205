"""The weights with which training of a transformer begins."""

import torch
from torch import Tensor

from certificates.transformer import Transformer
from prover.transformer.names import alibi_slopes


def random_weights(config: Transformer, generator: torch.Generator) -> dict[str, Tensor]:
    """Random matrices of variance 1 / fan; biases 0, what norms multiply by 1, and ALiBi's slopes as published."""
    weights: dict[str, Tensor] = {}
    for name, shape in config.tensor_shapes().items():
        if ".b_" in name or name.endswith(".b"):
            weights[name] = torch.zeros(shape)
        elif name.endswith(".slopes"):
            weights[name] = alibi_slopes(config.n_heads)
        elif len(shape) == 1:
            weights[name] = torch.ones(shape)
        else:
            fan = config.d_model if name.startswith(("embed", "pos_embed")) else shape[-2]
            weights[name] = torch.randn(shape, generator=generator) * fan**-0.5
    return weights
