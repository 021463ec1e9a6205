"""Boxes of ratios between heads (checker/transformer/potentials): regions are proved for all boxes that ratios may be in.

With two heads the interval of ratios is divided evenly on a logarithmic scale; with more there is one box.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from certificates.tensor_file import IntArray
from prover.problem import BoolArray
from prover.transformer.pattern_search import Multipliers, PatternSearch
from prover.transformer.token_sums import DividedInputs, FloatArray
from prover.transformer.token_terms import Summands

BINS = 1, 2, 4
"""How often the interval is divided, at most."""


@dataclass(frozen=True)
class RatioBoxes:
    """A search for each box, about the regions of which some input may have its ratios there."""

    searches: Sequence[PatternSearch]

    @staticmethod
    def of(summands: Summands, divided: Sequence[DividedInputs], bins: int) -> "RatioBoxes":
        """With so many boxes."""
        if bins == 1:
            return RatioBoxes([PatternSearch(summands, divided, [np.ones(len(own.outputs), np.bool_) for own in divided])])
        of_queries = list[list[DividedInputs]]()
        asked = list[BoolArray]()
        for inputs in divided:
            edges = np.geomspace(*inputs.ratios[0], bins + 1)
            of_queries.append([replace(inputs, between=edges[None, i : i + 2]) for i in range(bins)])
            positive = np.stack([_surely_positive(own) for own in of_queries[-1]])
            first, last = (positive[:, :, 0].sum(0) - 1).clip(0), (bins - positive[:, :, 1].sum(0)).clip(max=bins - 1)
            asked.append((first <= np.arange(bins)[:, None]) & (np.arange(bins)[:, None] <= last))
        return RatioBoxes(
            [PatternSearch(summands, [own[i] for own in of_queries], [own[i] for own in asked]) for i in range(bins)]
        )

    @property
    def divided(self) -> Sequence[DividedInputs]:
        """The inputs of each query."""
        return self.searches[0].divided

    @property
    def proved(self) -> list[BoolArray]:
        """For each query the regions that are proved with exact sums."""
        return self.in_all([[own >= 0 for own in search.chosen[2]] for search in self.searches])

    def in_all(self, proved: Sequence[Sequence[BoolArray]]) -> list[BoolArray]:
        """From what is proved in each box, for each query the regions that are in all boxes in which they are asked about."""
        of_boxes = zip(self.searches, proved, strict=True)
        every = [[~asked | sure for asked, sure in zip(search.asked, own, strict=True)] for search, own in of_boxes]
        return [np.all(own, axis=0) for own in zip(*every, strict=True)]

    @property
    def count(self) -> int:
        """How many they are."""
        return sum(int(np.count_nonzero(proved)) for proved in self.proved)

    @property
    def regions(self) -> int:
        """How many there are."""
        return sum(len(own.outputs) for own in self.divided)

    def multipliers(self) -> list[Multipliers] | None:
        """For each box, if all regions are proved with some."""
        found = list[Multipliers]()
        for search in self.searches:
            own = search.multipliers()
            if own.count < search.regions:
                return None
            found.append(own)
        return found

    @cached_property
    def _patterns(self) -> tuple[IntArray, FloatArray, list[IntArray]]:
        """Outputs "k" and slopes "k m" of all boxes, and for each box which of these its own are."""
        rows, places = list[list[float]](), list[IntArray]()
        for search in self.searches:
            outputs, slopes, _ = search.chosen
            free, own = list(range(len(rows))), list[int]()
            for row in np.column_stack([outputs, slopes]).tolist():
                place = next((number for number in free if rows[number] == row), len(rows))
                if place < len(rows):
                    free.remove(place)
                else:
                    rows.append(row)
                own.append(place)
            places.append(np.array(own, np.int64))
        every = np.array(rows, np.float64).reshape(len(rows), 1 + self.searches[0].chosen[1].shape[1])
        return every[:, :1].reshape(-1).astype(np.int64), every[:, 1:], places

    def hints(self, proved: Sequence[BoolArray]) -> dict[str, FloatArray | IntArray]:
        """Ratios, patterns and what enforces ratios, of all boxes; for each query some regions are claimed that are proved."""
        (outputs, slopes, places), width = self._patterns, len(self.searches[0].of_units[0][1])
        rivals = self.searches[0].summands.problem.model.config.d_vocab_out - 1
        patterns, enforced = list[IntArray](), list[FloatArray]()
        for search, place in zip(self.searches, places, strict=True):
            for own, asked, sure in zip(search.chosen[2], search.asked, proved, strict=True):
                patterns.append(np.where(sure & asked, np.append(place, -1)[own], -1))
            columns = np.append(np.arange(width), (width + place[:, None] * rivals + np.arange(rivals)).reshape(-1))
            mu = np.zeros((len(self.divided), width + len(outputs) * rivals, len(self.divided[0].greatest) - 1))
            mu[:, columns] = np.stack([search.enforced(number) for number in range(len(self.divided))])
            enforced.append(mu)
        ends = [np.stack([own.ratios for own in search.divided]) for search in self.searches]
        return {
            "pattern": np.concatenate(patterns),
            "outputs": outputs,
            "slopes": slopes,
            "ratios": np.concatenate([ends[0][..., :1], *(own[..., 1:] for own in ends)], axis=2),
            "enforced": np.concatenate(enforced, axis=1),
        }


def _surely_positive(inputs: DividedInputs) -> BoolArray:
    """For which regions ratios are above the lower end of the box, and below the upper one, "f 2"."""
    terms = inputs.checked
    return np.asarray(inputs.hulls(terms)[0] > inputs.sums.problem.room * np.abs(np.stack(terms)).max(), np.bool_)
