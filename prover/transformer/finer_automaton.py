"""Finer automata for the rule `regions` (checker/transformer/regions), found by merging sequences whose sums are alike.

Step by step, every state is followed along every token, which adds (w, w (v - c)) to the box of its sums; what arrives in one
state of the task's automaton in the same cell of a grid becomes one state. So tokens that hardly matter, or that come to
the same, are forgotten, and others are remembered, whatever the model does. The finer the grid, the tighter the boxes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from certificates.automaton import Automaton
from certificates.tensor_file import IntArray
from prover.problem import BoolArray
from prover.transformer.box_bounds import Box, BoxBounds
from prover.transformer.forward import falls, of_block
from prover.transformer.last_layer import LastLayer
from prover.transformer.problem import TransformerProblem
from prover.weights import Weights

FloatArray = np.ndarray
Boxes = tuple[FloatArray, FloatArray]
_AT_ONCE = 2**14
"""Boxes whose leads are bounded at once."""
_SEEN = 2.0**-28


@dataclass(frozen=True)
class FinerAutomaton:
    """For one query: for each step a table "s v", and the number of states after it.

    boxes: of what the heads read in each region, "f head x d_head", less a centre; outputs "f". known: those proved before.
    sighted: those in which heads surely read anything: not all is padding.
    """

    tables: Sequence[IntArray]
    sizes: Sequence[int]
    boxes: Boxes
    outputs: IntArray
    known: BoolArray
    sighted: BoolArray

    def settled(self, proved: BoolArray) -> list[BoolArray]:
        """After each step, the states from which every way leads to a proved region."""
        found = [proved]
        for table in reversed(self.tables[1:]):
            found.insert(0, np.all((table < 0) | found[0][table], axis=1))
        return found

    def without(self, regions: BoolArray) -> "FinerAutomaton":
        """Without some of its regions."""
        number, kept = np.where(regions, -1, np.cumsum(~regions) - 1), ~regions
        last = np.where(self.tables[-1] < 0, -1, number[self.tables[-1]])
        boxes = self.boxes[0][kept], self.boxes[1][kept]
        sizes = [*self.sizes[:-1], int(np.count_nonzero(kept))]
        rest = self.outputs[kept], self.known[kept], self.sighted[kept]
        return FinerAutomaton([*self.tables[:-1], last], sizes, boxes, *rest)


@dataclass(frozen=True)
class ReadSums:
    """What the last layer's attention sums up at a read, by its number, on inputs with this query there, a symbol."""

    problem: TransformerProblem
    layer: LastLayer
    read: int
    query: int

    @property
    def automaton(self) -> Automaton:
        """That of the symbols."""
        return self.layer.automaton

    @property
    def position(self) -> int:
        """Of the read."""
        return int(self.problem.required_automaton.reads[self.read, 0])

    @property
    def steps(self) -> int:
        """Before the read."""
        return int(self.problem.required_automaton.reads[self.read, 1])

    @cached_property
    def after(self) -> list[IntArray]:
        """For each step "state v" the next state, or -1."""
        return self.automaton.followers(self.position, np.array([self.query]), self.layer.by_state)

    @cached_property
    def met(self) -> BoolArray:
        """Which symbols, without padding, inputs have at the positions that are seen, "k v"."""
        config, order = self.problem.model.config, self.automaton.order
        seen = np.arange(len(order)) <= self.position if config.attention_dir == "causal" else np.ones(len(order), np.bool_)
        found, reached = np.zeros((len(order), len(self.layer.stream)), np.bool_), np.zeros(1, np.int64)
        for position, after in zip(order.tolist(), self.after, strict=True):
            source, token = np.nonzero(after[reached] >= 0)
            target = after[reached[source], token]
            found[position, self.symbols(target, token)] = True
            reached = np.unique(target)
        return found & seen[:, None] & (np.arange(found.shape[1]) != config.pad_token)

    def symbols(self, node: IntArray, token: IntArray) -> IntArray:
        """What is read in a step, from the token and the state after it."""
        return node if self.layer.by_state else token

    def greatest(self, met: BoolArray) -> FloatArray:
        """The greatest score "h" of tokens "k v"; at the read's position, of the query."""
        own = (np.arange(len(met)) != self.position)[:, None] | (np.arange(met.shape[1]) == self.query)
        found = np.where((met & own)[..., None], self._scores, -np.inf).max((0, 1))
        return np.asarray(np.where(np.isinf(found), 0, found))  # all is padding

    @cached_property
    def _scores(self) -> FloatArray:
        """Of every position and token, "k v h"."""
        (query, key), config = (part.cpu().numpy() for part in (self.layer.query, self.layer.key)), self.problem.model.config
        lost = falls(config, of_block(self.problem.weights, config.n_layers - 1), key.shape[2])[:, self.position]
        scores = np.einsum("he,vhke->kvh", query[self.query, :, self.position], key)
        return np.asarray(scores - lost.cpu().numpy().T[:, None])

    @cached_property
    def visible(self) -> tuple[FloatArray, FloatArray]:
        """Weights "k v h" and values "k v h e". Weights are 0 where no input has the token, or the position is not seen."""
        scores = np.where(self.met[..., None], self._scores, -np.inf)
        return np.exp(scores - self.greatest(self.met)), self.layer.value.cpu().numpy().transpose(2, 0, 1, 3)

    @cached_property
    def range(self) -> tuple[FloatArray, FloatArray]:
        """The least and the greatest value "h e"."""
        weight, value = self.visible
        met = weight > 0
        if not met.any():
            met = ~met
        least, most = (np.where(met[..., None], value, end) for end in (np.inf, -np.inf))
        return least.min((0, 1)), most.max((0, 1))

    @cached_property
    def centre(self) -> FloatArray:
        """The middle of the values."""
        least, most = self.range
        return (least + most) / 2

    @cached_property
    def terms(self) -> FloatArray:
        """For each step "v h 1+e"; 0 where nothing is seen."""
        weight, value = self.visible
        weighted = np.concatenate([weight[..., None], weight[..., None] * (value - self.centre)], axis=3)
        return weighted[self.automaton.order].reshape(*weight.shape[:2], -1)

    @cached_property
    def unit(self) -> FloatArray:
        """How much sums are, roughly, "h 1+e"."""
        (weight, _), (least, most) = self.visible, self.range
        usual = (weight.sum(1) / np.maximum(np.count_nonzero(weight.max(2) > 0, axis=1), 1)[:, None]).sum(0)
        spread = np.concatenate([np.ones((len(usual), 1)), np.maximum((most - least) / 2, 1e-12)], axis=1)
        return np.asarray((np.maximum(usual, 1e-300)[:, None] * spread).reshape(-1))

    @cached_property
    def rest(self) -> Boxes:
        """Of what is read after the read's steps, for each state of the task's automaton."""
        states = self.after[0].shape[0]
        low = high = np.zeros((states, self.terms.shape[2]))
        for step in reversed(range(self.steps, len(self.after))):
            source, token = np.nonzero(self.after[step] >= 0)
            target, starts = self.after[step][source, token], np.flatnonzero(np.diff(source, prepend=-1))
            added = self.terms[step][self.symbols(target, token)]
            below, above = low[target] + added, high[target] + added
            low, high = np.zeros_like(low), np.zeros_like(high)
            low[source[starts]], high[source[starts]] = np.minimum.reduceat(below, starts), np.maximum.reduceat(above, starts)
        return low, high

    def refined(self, coarse: FinerAutomaton | None, settled: Sequence[BoolArray], width: float) -> FinerAutomaton:
        """With a grid so wide, in units, for the steps before the read. States of a coarse one that are settled stay whole."""
        low = high = np.zeros((1, len(self.unit)))
        state, parent = np.zeros(1, np.int64), np.zeros(1, np.int64)
        tables, sizes = list[IntArray](), list[int]()
        for step in range(self.steps):
            after = self.after[step][state] if coarse is None else coarse.tables[step][parent]
            source, token = np.nonzero(after >= 0)
            nodes = self.after[step][state[source], token]
            added = self.terms[step][self.symbols(nodes, token)]
            least, most = low[source] + added, high[source] + added
            cell, into = np.floor((least + most) / (2 * width * self.unit) + 0.5), after[source, token]
            if coarse is not None:
                cell[settled[step][into]] = 0
            _, target = np.unique(np.column_stack([into, cell]), axis=0, return_inverse=True)
            target = target.reshape(-1)
            order = np.argsort(target, kind="stable")
            starts = np.flatnonzero(np.diff(target[order], prepend=-1))
            low, high = np.minimum.reduceat(least[order], starts), np.maximum.reduceat(most[order], starts)
            first = order[starts]
            state, parent = nodes[first], into[first]
            table = np.full(after.shape, -1, np.int64)
            table[source, token] = target
            tables.append(table)
            sizes.append(len(starts))
        known = np.zeros(sizes[-1], np.bool_) if coarse is None else settled[-1][parent]
        outputs = self.automaton.outputs[self.read][state]
        low, high = low + self.rest[0][state], high + self.rest[1][state]
        return FinerAutomaton(tables, sizes, self._read(low, high), outputs, known, self._sighted(low, high))

    def _sighted(self, low: FloatArray, high: FloatArray) -> BoolArray:
        """Where sums of weights are so far from zero that the checker may see it, at 30 bits: without padding, everywhere."""
        least, most = (end.reshape(len(end), self.centre.shape[0], -1)[..., 0] for end in (low, high))
        return np.asarray((self.problem.model.config.pad_token < 0) | (least.min(1) > _SEEN * most.max()), np.bool_)

    def _read(self, low: FloatArray, high: FloatArray) -> Boxes:
        """From boxes of sums to those of quotients."""
        (least, most), heads = self.range, self.centre.shape[0]
        low, high = (end.reshape(len(low), heads, -1) for end in (low, high))
        total = np.maximum(low[..., :1], 1e-300), np.maximum(high[..., :1], 1e-300)
        quotients = np.stack([end[..., 1:] / divisor for end in (low, high) for divisor in total])
        ends = quotients.min(0).clip(least - self.centre), quotients.max(0).clip(max=most - self.centre)
        return ends[0].reshape(len(low), -1), ends[1].reshape(len(low), -1)

    @cached_property
    def bounds(self) -> BoxBounds:
        """What comes after attention."""
        return self.bounds_with(self.problem.weights, self.layer)

    def bounds_with(self, weights: Weights, layer: LastLayer) -> BoxBounds:
        """The same for other weights of the model, and what its last layer then works on."""
        config, device = self.problem.model.config, self.problem.device
        stream = layer.stream[self.query, self.position]
        own, centre = of_block(weights, config.n_layers - 1), torch.as_tensor(self.centre, device=device).flatten()
        base = stream + centre @ own["attn.W_O"].flatten(0, 1) + own["attn.b_O"]
        return BoxBounds(config, weights, base, float(self.problem.margin))

    def proved(self, finer: FinerAutomaton, cuts: int, room: float) -> BoolArray:
        """Which regions are proved, with leads of more than `room`, relative to the greatest; those known are not looked at."""
        found, rows = finer.known.copy(), np.flatnonzero(~finer.known & finer.sighted)
        for some in np.split(rows, range(_AT_ONCE, len(rows), _AT_ONCE)):
            low, high = (torch.as_tensor(end[some], device=self.problem.device) for end in finer.boxes)
            outputs = torch.as_tensor(finer.outputs[some], device=self.problem.device)
            found[some] = self._proved(Box(low, high), outputs, cuts, room).cpu().numpy()
        return found

    def _proved(self, boxes: Box, outputs: torch.Tensor, cuts: int, room: float) -> torch.Tensor:
        """Boxes are cut, and their parts, as long as nothing in the middle of a part stands against it."""
        scale = torch.as_tensor(self.problem.influence, device=boxes.low.device)
        lost, owner = torch.zeros_like(outputs, dtype=torch.bool), torch.arange(len(outputs), device=outputs.device)
        for left in range(cuts, -1, -1):
            failed = self._leads(boxes, outputs[owner]) <= room
            boxes, owner = boxes.at(failed), owner[failed]
            middle = (boxes.low + boxes.high) / 2
            lost[owner if left == 0 else owner[self._leads(Box(middle, middle), outputs[owner]) <= room]] = True
            hopeful = ~lost[owner]
            boxes, owner = boxes.at(hopeful).halves(scale), owner[hopeful].repeat(2)
            if not len(owner):
                break
        return ~lost

    def _leads(self, boxes: Box, outputs: torch.Tensor) -> torch.Tensor:
        some = torch.arange(len(outputs), device=outputs.device).split(_AT_ONCE)
        return (
            torch.cat([self.bounds.leads(boxes.at(rows), outputs[rows]) for rows in some]) if len(outputs) else boxes.low[:, 0]
        )
