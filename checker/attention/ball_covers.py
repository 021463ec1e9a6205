"""The largest of many linear functions of points, by balls that cover the points.

*Lemma.* Let outputs o have coordinates g_o, a rest t_o >= 0 and a number n_o. Let a ball of centre c and radius R hold the
coordinates of a set B of outputs. For a vector v, numbers l >= |v|, s >= 0, a >= 0, and every o in B

    v . g_o + s t_o + a n_o <= v . c + l R + s max_B t + a max_B n.

*Proof.* v . g_o <= v . c + |v| |g_o - c|; the rest term by term.

So the maximum over all outputs but one, m, is at most the largest such number over balls that cover them. Balls are runs of a
hinted order of the outputs; those that cover all but m for a given m follow each other, leaving out at most m.
"""

from dataclasses import dataclass

import numpy as np

from certificates.tensor_file import IntArray
from checker.core.enclosures import Enclosure
from checker.core.errors import Refused
from checker.core.facts import Setting
from checker.rules.projections import hinted, inner, require

_MEMBER_BYTES = 256
"""Memory per number of a ball's members, as announced before it is used."""


@dataclass(frozen=True)
class Balls:
    """place "o": where each output is in the order. begin, end "b": the balls' runs. numbers "b r+3": c, R, max t, max n."""

    place: IntArray
    begin: IntArray
    end: IntArray
    numbers: Enclosure

    @staticmethod
    def of(
        setting: Setting, points: Enclosure, rest: IntArray, square: IntArray, hints: dict[str, IntArray], scale: int
    ) -> "Balls":
        """Check balls around points "o r"; rest, square "o": t and n.

        Hints: order "o", runs "b 2", centre "b r", radius "b".
        """
        order, radius, (begin, end) = hints["order"], hints["radius"], hints["runs"].T
        outputs, rank = points.shape
        place = np.argsort(order, kind="stable")
        if not np.array_equal(order[place], np.arange(outputs)):
            raise Refused("the order of the outputs must be a permutation")
        if len(begin) == 0 or np.any(begin < 0) or np.any(end > outputs) or np.any(begin >= end):
            raise Refused("the balls must be runs of the order, none of them empty")
        if hints["centre"].shape != (len(begin), rank) or len(radius) != len(begin):
            raise Refused("every ball has one radius, and a centre with as many coordinates as there are")
        size = end - begin
        members = int(size.sum())
        setting.meter.allocate(members * (rank + 2) * _MEMBER_BYTES)
        first = np.cumsum(size) - size
        member = order[np.arange(members) + np.repeat(begin - first, size)]
        centre, bound = hinted(setting, hints["centre"], scale), hinted(setting, radius.reshape(-1, 1), scale)
        ball = np.repeat(np.arange(len(size)), size)
        away = points[member] - centre[ball]
        inside = ((bound * bound)[ball] - inner(setting, away, away)).positive()
        require(inside & (radius >= 0)[ball].reshape(-1, 1), "that a ball holds its members")
        setting.meter.charge(2 * (members - len(size)))
        tops = np.stack([np.maximum.reduceat(numbers[member], first) for numbers in (rest, square)], 1)
        return Balls(place, begin, end, centre.concatenate([bound, hinted(setting, tops, scale)], axis=1))

    def largest(self, setting: Setting, rows: Enclosure, cover: IntArray) -> tuple[IntArray, Enclosure]:
        """The labels m that have a cover, ascending, "x", and for each the largest function of other outputs, "x 1".

        rows "m r+3": v, l, s, a of every label. cover "y 2": label and ball, ordered by label, then by place.
        """
        label, ball = cover.T
        if np.any(label < 0) or np.any(label >= rows.shape[0]) or np.any(ball < 0) or np.any(ball >= len(self.begin)):
            raise Refused("a cover names a label or a ball that does not exist")
        if np.any(np.diff(label) < 0):
            raise Refused("covers must be given in the order of their labels")
        if len(label) == 0:
            return label, rows[:0, :1]
        setting.meter.charge(2 * len(label))
        labels, first = np.unique(label, return_index=True)
        ends, tops = [*first[1:].tolist(), len(ball)], []
        for m, start, end in zip(labels.tolist(), first.tolist(), ends, strict=True):
            part = ball[start:end]
            before = np.concatenate([[0], self.end[part]])
            after = np.concatenate([self.begin[part], [len(self.place)]])
            if not np.all((before == after) | ((before + 1 == after) & (before == self.place[m]))):
                raise Refused(f"the balls for label {m} do not cover all other outputs one after another")
            tops.append((self.numbers[part] @ rows[m : m + 1].T).max(0).reshape(1, 1))
        return labels, tops[0].concatenate(tops[1:], axis=0)
