"""What the last layer of a transformer works on, in float64: tokens, or classes of prefixes (checker/transformer/reads)."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from certificates import RawTensor, Step
from certificates.automaton import Automaton
from certificates.tensor_file import IntArray
from prover.strategy import DoesNotFit
from prover.transformer.forward import attended, embedded, normalised, of_block, residual_stream
from prover.transformer.problem import TransformerProblem

RECENT = "several layers: prefixes are told apart by so many of their last tokens"
COUNTED = "several layers: 1 if prefixes are told apart by how often they have each token"
_MOST = 4000
"""Classes after a step."""


@dataclass(frozen=True)
class LastLayer:
    """For symbols at every position the residual stream "v k d", queries (divided by the scale), keys and values "v head k e".

    automaton: of the inputs; by_state: its states are the symbols, in place of tokens. step: which says so, if there is one.
    """

    automaton: Automaton
    by_state: bool
    stream: Tensor
    query: Tensor
    key: Tensor
    value: Tensor
    step: Step | None = None

    def queries(self, read: int) -> list[int]:
        """The symbols that inputs have at the position of a read, by its number."""
        every = np.arange(len(self.stream))
        first = self.automaton.followers(int(self.automaton.reads[read, 0]), every, self.by_state)[0][: len(every)]
        found: list[int] = np.flatnonzero(np.any(first >= 0, axis=1)).tolist()
        return found

    @staticmethod
    def of_tokens(problem: TransformerProblem) -> "LastLayer":
        """The first layer, of a model with one."""
        config, device = problem.model.config, problem.device
        tokens = torch.arange(config.d_vocab, device=device)[:, None].expand(-1, config.n_ctx)
        return LastLayer(problem.required_automaton, False, embedded(config, problem.weights, tokens), *problem.heads)


@dataclass(frozen=True)
class PrefixClasses:
    """Prefixes of inputs are alike that lead the task's automaton to one state, end alike, and have as many of each token.

    recent: so many tokens at the end are told apart. counted: whether those that came before are counted.
    """

    problem: TransformerProblem
    recent: int
    counted: bool

    @cached_property
    def _found(self) -> tuple[list[IntArray], list[IntArray], list[IntArray]]:
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
        tables, states, _ = self._found
        every, most = self.problem.required_automaton, max(map(len, states))
        transitions = np.full((len(tables), most, self.problem.shape[1]), -1, np.int64)
        outputs = np.full((len(every.reads), most), -1, np.int64)
        for step, table in enumerate(tables):
            transitions[step, : len(table)] = table
        for read, steps in enumerate(every.reads[:, 1].tolist()):
            outputs[read, : len(states[steps - 1])] = every.outputs[read, states[steps - 1]]
        return Automaton(every.order, transitions, outputs, every.reads)

    @property
    def layer(self) -> LastLayer:
        """What it works on: of one prefix of each class."""
        config, weights, (tables, states, prefixes) = self.problem.model.config, self.problem.weights, self._found
        own, most, every = of_block(weights, config.n_layers - 1), max(map(len, states)), list[tuple[Tensor, ...]]()
        for prefix in prefixes:
            tokens = torch.as_tensor(prefix, device=self.problem.device)
            stream = residual_stream(config, weights, tokens, config.n_layers - 1)
            heads = attended(config, own, normalised(config, own, "ln1", stream))
            parts = (stream[:, -1], *(part[:, :, -1] for part in heads))
            every.append(tuple(torch.cat([part, part[:1].expand(most - len(part), *part.shape[1:])]) for part in parts))
        stream, query, key, value = (torch.stack(parts, -2) for parts in zip(*every, strict=True))
        hints = {"sizes": np.array([len(own) for own in states]), "classes": np.concatenate(tables)}
        step = Step("prefix-classes", (0,), {}, {name: RawTensor.of_integers(hint) for name, hint in hints.items()})
        return LastLayer(self.automaton, True, stream, query.cpu(), key.cpu(), value.cpu(), step)


def last_layer(problem: TransformerProblem, recent: int, counted: int) -> LastLayer:
    """Of tokens, if there is one layer; else of classes of prefixes. Raises DoesNotFit if that is out of reach."""
    config = problem.model.config
    if config.n_layers == 1:
        return LastLayer.of_tokens(problem)
    if config.attention_dir != "causal" or config.pad_token >= 0 or np.any(np.diff(problem.required_automaton.order) < 0):
        raise DoesNotFit(
            "with several layers, this is for causal models without padding, and for tasks that read the positions in their "
            "order; try --strategy enumerate"
        )
    if recent < 1:
        raise DoesNotFit("recent is 1 or more: the last token is always told apart")
    return PrefixClasses(problem, recent, bool(counted)).layer


def one_layer(problem: TransformerProblem, name: str) -> TransformerProblem:
    """The problem, if it is about one layer. Raises DoesNotFit if not."""
    if problem.model.config.n_layers > 1:
        raise DoesNotFit(f"fine-tuning with {name} is for one layer; with two, there is pair-tables")
    return problem
