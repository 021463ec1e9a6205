"""The untrusted side: trains models, searches for proofs with named strategies, writes certificates.

From Python: `from prover import load_model, prove, ..` (prover/python; imported when first used, as it needs PyTorch).
"""

from importlib import import_module
from typing import Any

_NAMES = {
    "Proof": "prover.python",
    "Strategy": "prover.strategy",
    "covers": "checker",
    "finetune": "prover.python",
    "from_transformer_lens": "prover.python",
    "frontier": "prover.python",
    "frontier_figure": "prover.studies.frontier_figures",
    "interpret": "prover.python",
    "load_model": "prover.python",
    "model_from_state": "prover.python",
    "prove": "prover.python",
    "search": "prover.python",
    "save_model": "prover.python",
    "study": "prover.python",
    "verify": "checker",
    "automaton_from": "prover.tasks",
}
__all__ = list(_NAMES)


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(import_module(_NAMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
