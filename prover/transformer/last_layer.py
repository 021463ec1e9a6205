"""What the last layer of a transformer works on, in float64: tokens, or classes of prefixes (checker/transformer/reads)."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from certificates import Step, Transformer, integer_tensor
from certificates.automaton import Automaton
from certificates.tensor_file import IntArray
from prover.strategy import DoesNotFit
from prover.transformer.forward import attended, embedded, normalised, of_block, residual_stream
from prover.transformer.problem import TransformerProblem
from prover.weights import Weights

RECENT = "several layers: prefixes are told apart by so many of their last tokens"
COUNTED = "several layers: 1 if prefixes are told apart by how often they have each token"
_MOST = 4000
"""Classes after a step."""


@dataclass(frozen=True)
class LastLayer:
    """For symbols at every position the residual stream "v k d", queries (divided by the scale), keys and values "v head k e".

    Symbols are tokens, or states of an automaton of the inputs: then prefixes are one that leads to each state after each step,
    "s i". step: which says so.
    """

    config: Transformer
    automaton: Automaton
    prefixes: Sequence[IntArray] | None
    stream: Tensor
    query: Tensor
    key: Tensor
    value: Tensor
    step: Step | None = None

    @property
    def by_state(self) -> bool:
        """Whether symbols are states."""
        return self.prefixes is not None

    @staticmethod
    def of_tokens(problem: TransformerProblem) -> "LastLayer":
        """The first layer, of a model with one."""
        config, automaton = problem.model.config, problem.required_automaton
        return LastLayer(config, automaton, None, *_activations(config, problem.weights, None))

    def at(self, weights: Weights) -> "LastLayer":
        """For other weights of the model, differentiable in them."""
        return LastLayer(
            self.config, self.automaton, self.prefixes, *_activations(self.config, weights, self.prefixes), self.step
        )

    def queries(self, read: int) -> list[int]:
        """The symbols that inputs have at the position of a read, by its number."""
        every = np.arange(len(self.stream))
        first = self.automaton.followers(int(self.automaton.reads[read, 0]), every, self.by_state)[0][: len(every)]
        found: list[int] = np.flatnonzero(np.any(first >= 0, axis=1)).tolist()
        return found


def _activations(config: Transformer, weights: Weights, prefixes: Sequence[IntArray] | None) -> tuple[Tensor, ...]:
    """What a last layer works on: the residual stream, queries, keys and values."""
    own, device = of_block(weights, config.n_layers - 1), weights["embed.W_E"].device
    if prefixes is None:
        tokens = torch.arange(config.d_vocab, device=device)[:, None].expand(-1, config.n_ctx)
        stream = embedded(config, weights, tokens)
        return stream, *attended(config, own, normalised(config, own, "ln1", stream))
    every, most = list[tuple[Tensor, ...]](), max(map(len, prefixes))
    for prefix in prefixes:
        stream = residual_stream(config, weights, torch.as_tensor(prefix, device=device), config.n_layers - 1)
        heads = attended(config, own, normalised(config, own, "ln1", stream))
        parts = (stream[:, -1], *(part[:, :, -1] for part in heads))
        every.append(tuple(torch.cat([part, part[:1].expand(most - len(part), *part.shape[1:])]) for part in parts))
    return tuple(torch.stack(parts, -2) for parts in zip(*every, strict=True))


@dataclass(frozen=True)
class PrefixClasses:
    """Prefixes of inputs are alike that lead the task's automaton to one state, end alike, and have as many of each token.

    recent: so many tokens at the end are told apart. counted: whether those that came before are counted.
    """

    problem: TransformerProblem
    recent: int
    counted: bool

    @cached_property
    def found(self) -> tuple[list[IntArray], list[IntArray], list[IntArray]]:
        """For each step a table "s v"; what classes stand for after each step; and a prefix of each "s i".

        Raises DoesNotFit if there are too many.
        """
        automaton = self.problem.required_automaton
        vocab = self.problem.shape[1]
        state, prefix, counts = np.zeros(1, np.int64), np.zeros((1, 0), np.int64), np.zeros((1, vocab), np.int64)
        tables, states, prefixes = list[IntArray](), list[IntArray](), list[IntArray]()
        for after in automaton.followers(-1, np.zeros(1, np.int64)):
            source, token = np.nonzero(after[state] >= 0)
            led, longer = after[state[source], token], np.column_stack([prefix[source], token])
            more = counts[source] + (token[:, None] == np.arange(vocab))
            kinds = np.column_stack([led, longer[:, max(0, longer.shape[1] - self.recent) :], more * self.counted])
            _, first, target = np.unique(kinds, axis=0, return_index=True, return_inverse=True)
            if len(first) > _MOST:
                raise DoesNotFit(
                    f"more than {_MOST} classes of prefixes after {len(tables) + 1} tokens: tell fewer apart, with "
                    "--set counted=0 or a smaller --set recent"
                )
            table = np.full((len(state), vocab), -1, np.int64)
            table[source, token] = target.reshape(-1)
            state, prefix, counts = led[first], longer[first], more[first]
            tables.append(table)
            states.append(state)
            prefixes.append(prefix)
        return tables, states, prefixes

    @cached_property
    def automaton(self) -> Automaton:
        """Whose states they are."""
        tables, states, _ = self.found
        return self.problem.required_automaton.refined(tables, [np.zeros(1, np.int64), *states])

    @property
    def layer(self) -> LastLayer:
        """What it works on: of one prefix of each class."""
        config, (tables, states, prefixes) = self.problem.model.config, self.found
        hints = {"sizes": np.array([len(own) for own in states]), "classes": np.concatenate(tables)}
        step = Step("prefix-classes", (0,), {}, {name: integer_tensor(hint) for name, hint in hints.items()})
        return LastLayer(config, self.automaton, prefixes, *_activations(config, self.problem.weights, prefixes), step)


def last_layer(problem: TransformerProblem, recent: int, counted: int) -> LastLayer:
    """Of tokens, if there is one layer; else of classes of prefixes. Raises DoesNotFit if that is out of reach."""
    classes = classes_that_fit(problem, recent, counted)
    return LastLayer.of_tokens(problem) if classes is None else classes.layer


def classes_that_fit(problem: TransformerProblem, recent: int, counted: int) -> PrefixClasses | None:
    """Of a model with several layers; of others there are none. Raises DoesNotFit as `last_layer`."""
    config = problem.model.config
    if config.n_layers == 1:
        return None
    if config.attention_dir != "causal" or config.pad_token >= 0 or np.any(np.diff(problem.required_automaton.order) < 0):
        raise DoesNotFit(
            "with several layers, this is for causal models without padding, and for tasks that read the positions in their "
            "order; try --strategy enumerate"
        )
    if recent < 1:
        raise DoesNotFit("recent is 1 or more: the last token is always told apart")
    classes = PrefixClasses(problem, recent, bool(counted))
    classes.found  # noqa: B018 - which raises if there are too many
    return classes
