"""Groups and their actions, as integer tables that are checked to be such.

*Lemma.* (1) A multiplication table is that of a group if every row and column holds every element once, and (x s) y = x (s y)
for all x, y and all s in a set from which all elements arise as products. (2) Permutations pi_g of a set X, one for each
element of a group G, are an action if pi_{sg} = pi_s pi_g for all g in G and all s in such a set.

*Proof.* (1) The elements m with (x m) y = x (m y) for all x, y are closed under products: (x (mn)) y = ((xm) n) y = (xm)(ny) =
x (m (ny)) = x ((mn) y). So the table is associative, and an associative table in which ax = b and xa = b can be solved is a
group's (Light's test). (2) Write g as a product s_1 .. s_k; by induction pi_{gh} = pi_{s_1} .. pi_{s_k} pi_h for all h. With
h = 1, pi_s = pi_s pi_1 says that pi_1 is the identity, so pi_g = pi_{s_1} .. pi_{s_k}, and pi_{gh} = pi_g pi_h.
"""

from dataclasses import dataclass

import numpy as np

from certificates.tensor_file import IntArray
from checker.core.errors import Refused
from checker.core.facts import Setting
from checker.layers.composition import composition


@dataclass(frozen=True)
class Group:
    """The group of the task: table "a b", inverse "a", its unit, and elements that generate it ("r")."""

    table: IntArray
    inverse: IntArray
    unit: int
    generators: IntArray

    @staticmethod
    def of(setting: Setting, generators: IntArray) -> "Group":
        """Checks that these elements generate the group, and, where the task only gives a table, that it is one."""
        task, table = composition(setting), composition(setting).table
        in_range = len(generators) > 0 and not np.any((generators < 0) | (generators >= len(table)))
        if not in_range or len(np.unique(generators)) < len(generators):
            raise Refused("generators are different elements of the group, at least one")
        setting.meter.charge(len(table) * len(generators))
        if not task.group:
            _require_group(setting, table, generators)
        reached = np.zeros(len(table), np.bool_)
        newest = generators
        while len(newest):
            reached[newest] = True
            products = np.unique(table[np.ix_(newest, generators)])
            newest = products[~reached[products]]
        if not reached.all():
            raise Refused("the elements given do not generate the group")
        unit = int(np.argmax(table[np.arange(len(table)), np.arange(len(table))] == np.arange(len(table))))
        return Group(table, np.argmax(table == unit, axis=1), unit, generators)

    def require_action(self, setting: Setting, action: IntArray) -> None:
        """Refuse unless "g x" is an action on the numbers 0 .. x-1."""
        points = action.shape[1]
        setting.meter.charge((1 + len(self.generators)) * action.size)
        if not np.array_equal(np.sort(action, axis=1), np.broadcast_to(np.arange(points), action.shape)):
            raise Refused("an action consists of permutations")
        for generator in self.generators:
            if not np.array_equal(action[self.table[generator]], action[generator][action]):
                raise Refused("the permutations given are not an action of the group")


def _require_group(setting: Setting, table: IntArray, generators: IntArray) -> None:
    setting.meter.charge((2 + len(generators)) * table.size)
    every = np.broadcast_to(np.arange(len(table)), table.shape)
    if not (np.array_equal(np.sort(table, axis=1), every) and np.array_equal(np.sort(table.T, axis=1), every)):
        raise Refused("the multiplication table is not a group's: a row or column holds an element twice")
    for generator in generators:
        if not np.array_equal(table[table[:, generator]], table[:, table[generator]]):
            raise Refused("the multiplication table is not a group's: it is not associative")
