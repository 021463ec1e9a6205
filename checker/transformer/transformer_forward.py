"""Rule `transformer-forward`: a transformer of any depth classifies single inputs.

*Model.* A `transformer` (FORMAT.md, 2.6), read where the task says.

*Theorem.* Let L(x) be the logits of an input x at a position, as real numbers, m an output, and delta >= 0 the statement's
margin. If the enclosure of L(x)_m - delta - L(x)_o is positive for every output o other than m, then x is classified as m
there: its logit exceeds every other by more than delta.

*Proof.* `Forward` evaluates the definition, in enclosures; the number enclosed is positive.

*Checked:* nothing beyond the model file's shapes. Where a norm's mean square (plus eps) is not proved to be positive, the
function may be undefined: that is a refusal.
"""

from dataclasses import dataclass

import numpy as np

from certificates.certificate import Step
from certificates.tensor_file import IntArray
from certificates.transformer import Transformer
from checker.core.enclosed_weights import plus_margin
from checker.core.enclosures import BoolArray
from checker.core.errors import Refused
from checker.core.facts import Classifier, Fact, Setting, take_hints, take_parameters
from checker.transformer.forward import Forward, Layers

_BLOCK = 2**18
"""Elements in the largest array of one block of inputs, most places being shared."""


@dataclass(frozen=True)
class EvaluatedTransformer(Classifier):
    """A transformer whose logits can be enclosed, some inputs at a time."""

    forward: Forward
    per_block: int
    deployed: str | None = None
    unexplained_dimension: int = 0

    @property
    def least_work(self) -> tuple[int, int]:
        """That of the last position read, in every layer. Inputs that are alike up to there share it, if causal."""
        config, setting, causal = self.forward.config, self.forward.setting, self.forward.config.attention_dir == "causal"
        seen, arithmetic = max(setting.task.reads) + 1 if causal else config.n_ctx, setting.arithmetic
        heads, width, units = config.n_heads * config.d_head, config.d_model, config.d_mlp
        maps = [(heads, width)] + ([] if config.attn_only else [(width, units)] * (1 + config.gated_mlp) + [(units, width)])
        attention = seen * (4 * heads + config.n_heads)  # scores, exponentials, sums of values: of numbers that are looked up
        products, numbers = sum(2 * a * b for a, b in maps), sum(b for _, b in maps)  # results, of six operations each at least
        exponentials = seen * config.n_heads + (0 if config.act_fn in (None, "relu") else units)
        slow = 6 * (attention + numbers) + 3 * arithmetic.exp_terms * exponentials
        effort = arithmetic.slowness * slow + arithmetic.product_slowness * products
        places, shared = (1 if causal else config.n_ctx) * (config.n_layers - 1) + 1, config.d_vocab ** (config.n_ctx - seen)
        return places * (attention + products) // shared, places * effort // shared

    def classifies(self, setting: Setting, inputs: IntArray, outputs: IntArray) -> BoolArray:
        """See the theorem."""
        proved = np.zeros(len(inputs), np.bool_)
        tokens, true = setting.task.numbered(inputs), setting.task.numbered(outputs)  # what numbers are numbers of
        for start in range(0, len(inputs), self.per_block):
            here = slice(start, start + self.per_block)
            logits = self.forward.logits(tokens[here], setting.task.reads)
            inputs_here, reads = true[here].shape
            asked = (np.arange(inputs_here)[:, None], np.arange(reads), true[here])
            leads = (plus_margin(setting, logits[asked], -1).reshape(*logits.shape[:2], 1) - logits).positive()
            leads[asked] = True
            proved[here] = leads.all(axis=(1, 2))
        return proved


def take_forward(step: Step, premises: tuple[Fact, ...]) -> Forward:
    """The forward pass that is a step's only premise."""
    (evaluated,) = premises if len(premises) == 1 else (None,)
    if not isinstance(evaluated, EvaluatedTransformer):
        raise Refused(f"{step.rule} takes one premise: a transformer's forward pass")
    return evaluated.forward


def transformer_forward(setting: Setting, step: Step, premises: tuple[Fact, ...]) -> EvaluatedTransformer:
    """Apply the rule. Takes no premises, parameters or hints."""
    take_parameters(step)
    take_hints(setting, step)
    if premises or not isinstance(setting.model.config, Transformer):
        raise Refused(f"{step.rule} takes no premises, and is about the architecture `transformer` only")
    return evaluated(Layers(setting, setting.model.config))


def evaluated(layers: Layers) -> EvaluatedTransformer:
    """The forward pass that consists of these layers."""
    config = layers.config
    alone = 1 if config.attention_dir == "causal" else config.n_ctx  # places of an input that it shares with none before it
    widest = max(config.n_ctx * config.n_heads * config.d_head, alone * max(config.d_model, config.d_mlp), config.d_vocab_out)
    return EvaluatedTransformer(Forward(layers), max(1, _BLOCK // widest), layers.deployed)
