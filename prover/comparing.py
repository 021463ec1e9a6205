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
_OF_SPREAD, _OF_SIZE = 5e-5, 4e-7
"""What float32 may differ by: of how much logits typically vary from input to input, and of how large an output's are."""


def function_named(name: str) -> Callable[[Tensor], Tensor]:
    """The function "module:function"; modules of the working directory, too. Raises FormatError if there is none."""
    module, _, attribute = name.partition(":")
    sys.path.insert(0, str(Path.cwd()))
    try:
        found = getattr(importlib.import_module(module), attribute)
    except Exception as error:  # whatever that code does
        raise FormatError(f"--against takes MODULE:FUNCTION, and {name} is none: {error}") from error
    finally:
        sys.path.pop(0)
    if not callable(found):
        raise FormatError(f"{name} is no function of tokens")
    return found  # type: ignore[no-any-return]


@torch.no_grad()
def greatest_difference(model: Model, source: Callable[[Tensor], Tensor], seed: int = 0) -> float:
    """Of logits on random inputs, relative to how much they typically vary: the median of the outputs' greatest differences.
    source: of tokens "n k", the logits "n k out", or "n out" at the last position. Raises FormatError if some logit differs by
    more than float32 does, or they are of another shape.
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
    ours, theirs = (logits_.reshape(-1, logits_.shape[-1]) for logits_ in (ours, theirs))
    spread = float(ours.std(0).median().clamp(min=1e-30))
    allowed = _OF_SPREAD * spread + _OF_SIZE * ours.abs().amax(0)
    apart = (ours - theirs).abs()
    if not bool((apart <= allowed).all()):
        row = int((apart / allowed).nan_to_num(torch.inf).amax(1).argmax())
        tokens_ = tokens[row * len(tokens) // len(apart)].tolist()
        raise FormatError(
            f"the model file does something else than its source: logits differ by up to {float(apart.max()):.2g}, where they "
            f"typically vary by {spread:.2g}, most on input {','.join(map(str, tokens_))}"
        )
    return float(apart.amax(0).median() / spread)
