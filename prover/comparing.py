"""A model file beside the PyTorch code that it came from: both run on random inputs, and have to agree."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from certificates import AttentionOnly, FormatError, Model, Transformer
from prover.transformer.forward import transformer_logits
from prover.weights import load_weights, logits

_INPUTS = 256
_TOLERANCE = 1e-3
"""Relative to the greatest logit: float32 is a hundred times better, another function a hundred times worse."""


def function_named(name: str) -> Callable[[Tensor], Tensor]:
    """The function "module:function"; modules of the working directory, too. Raises FormatError if there is none."""
    module, _, attribute = name.partition(":")
    sys.path.insert(0, str(Path.cwd()))
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise FormatError(f"--against takes MODULE:FUNCTION, and {name} is none: {error}") from error
    finally:
        sys.path.pop(0)
    if not callable(found):
        raise FormatError(f"{name} is no function of tokens")
    return found  # type: ignore[no-any-return]


@torch.no_grad()
def greatest_difference(model: Model, source: Callable[[Tensor], Tensor], seed: int = 0) -> float:
    """Of logits, relative to the greatest one, on random inputs. source: of tokens "n k", the logits "n k out", or "n out" at
    the last position. Raises FormatError if they differ by more than float32 does, or are of another shape.
    """
    config = model.config
    if not isinstance(config, AttentionOnly | Transformer):
        raise FormatError("--against is for transformers that read sequences of tokens")
    tokens = torch.randint(config.d_vocab, (_INPUTS, config.n_ctx), generator=torch.Generator().manual_seed(seed))
    weights = load_weights(model, torch.device("cpu"))
    ours = logits(weights, tokens) if isinstance(config, AttentionOnly) else transformer_logits(config, weights, tokens)
    theirs = torch.as_tensor(source(tokens)).detach().cpu().double()
    if theirs.ndim > ours.ndim:
        theirs = theirs[:, -1]
    elif ours.ndim > theirs.ndim:
        ours = ours[:, -1]
    if ours.shape != theirs.shape:
        raise FormatError(f"the source gives logits of shape {list(theirs.shape)}, the model file {list(ours.shape)}")
    difference = float((ours - theirs).abs().max() / ours.abs().max().clamp(min=1e-30))
    if not difference <= _TOLERANCE:
        input_, *_ = (ours - theirs).abs().flatten(1).max(1).values.argsort(descending=True).tolist()
        raise FormatError(
            f"the model file does something else than its source: logits differ by {difference:.2g} of the greatest one, "
            f"most on input {','.join(map(str, tokens[input_].tolist()))}"
        )
    return difference
