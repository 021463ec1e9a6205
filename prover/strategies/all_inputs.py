"""Strategy `brute-force` for transformers of any depth: every input, through the forward pass."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from certificates import Certificate, RawTensor, Step, write_certificate, write_model
from checker import verify
from prover.strategy import DoesNotFit, Evidence, Strategy
from prover.transformer.problem import TransformerProblem

_BLOCK = 2**22
"""Numbers in the largest array of a block of inputs."""
_PROBED = 200
"""So many inputs are shown to the checker to find out how small a margin it can tell from zero."""


@dataclass(frozen=True)
class AllInputs(Strategy):
    """See checker/rules/all_inputs and checker/transformer: every input, but for those too close to a tie."""

    name: ClassVar[str] = "brute-force"
    cost: ClassVar[str] = "V^K (weights + K d_model)"
    summary: ClassVar[str] = "every input, through the whole network: the exact number, but for near-ties"

    billions: int = 18

    def prove(self, problem: TransformerProblem) -> Evidence:
        """Enumerate everything."""
        config, total = problem.model.config, problem.total
        alone = 1.5 if config.attention_dir == "causal" else config.n_ctx  # positions that are not shared with other inputs
        weights = sum(w.numel() for w in problem.weights.values())
        work = 2 * total * alone * (weights + config.n_layers * config.n_ctx * config.n_heads * config.d_head * 2)
        if work > self.billions * 1e9:
            raise DoesNotFit(
                f"enumerating {total:.1e} inputs takes about {work:.1e} operations, more than {self.billions}e9; allow more "
                "with --set billions=N, and to the checker with --max-operations"
            )
        places = torch.arange(total, device=problem.device)
        widest = config.n_ctx * max(config.d_mlp, config.n_heads * max(config.d_head, config.n_ctx), config.d_model)
        blocks = places.split(max(1, _BLOCK // widest))
        inputs = [problem.inputs(block) for block in problem.track(blocks, "enumeration")]
        margins = torch.cat([problem.margins(block) for block in inputs]).cpu().numpy()
        least = _least_margin(problem, margins)
        right = margins >= least
        cells = np.zeros((config.d_vocab, config.d_vocab), object)
        tokens = torch.cat(inputs)
        true = problem.true_outputs(tokens)
        np.add.at(cells, (tokens[:, -1].cpu().numpy()[right], true.cpu().numpy()[right]), 1)
        # What is clearly wrong need not be skipped: the checker finds it wrong.
        return Evidence(_steps((margins < least) & (margins > -least)), int(right.sum()), total, cells)


def _steps(skipped: np.ndarray) -> tuple[Step, ...]:
    edges = np.flatnonzero(np.diff(skipped.astype(np.int8), prepend=0, append=0))
    skip = RawTensor.of_integers(edges.reshape(-1, 2))
    return Step("transformer-forward"), Step("all-inputs", (0,), {}, {"skip": skip})


def _least_margin(problem: TransformerProblem, margins: np.ndarray) -> float:
    """A margin from which on the checker surely proves inputs right, with room: it is asked about those just beyond."""
    order = np.argsort(margins)
    order = order[margins[order] > 0]
    if not len(order):
        return 1.0
    with tempfile.TemporaryDirectory() as folder:
        model, probe = Path(folder) / "model", Path(folder) / "probe"
        write_model(model, problem.model)
        least = float(margins[order[-1]]) * 2.0**-32
        while True:
            asked = order[np.searchsorted(margins[order], least) :][:_PROBED]
            if not len(asked):
                raise DoesNotFit("the checker cannot tell any margin from zero: use a higher --precision")
            skipped = np.ones(len(margins), bool)
            skipped[asked] = False
            evidence = Evidence(_steps(skipped), len(asked), len(asked), np.zeros((0, 0)))
            statement = evidence.statement(problem.model.digest(), problem.task.json, problem.total, problem.margin)
            write_certificate(probe, Certificate(statement, problem.precision, evidence.steps))
            if verify(probe, model).accepted:
                return 4 * least
            least *= 4
