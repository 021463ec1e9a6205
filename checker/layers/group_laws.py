"""Groups and their actions, as integer tables that are checked to be such.

*Lemma.* (1) A multiplication table is that of a group if (x s) y = x (s y) for all x, y and all s in a set from which all
elements arise as products, some e has xe = x for all x, and for every x some y has xy = e. (2) Maps pi_g of a set to
itself, one for each element of a group, are an action (by permutations) if pi_e is the identity and pi_{sg} = pi_s pi_g for all
g and all s in such a set.

*Proof.* (1) The elements m with (x m) y = x (m y) for all x, y are closed under products: (x (mn)) y = ((xm) n) y = (xm)(ny) =
x (m (ny)) = x ((mn) y). So the table is associative (Light's test). With xy = e and yz = e, yx = yxe = yxyz = yez = yz = e, so
y is an inverse from the left, too; and ex = xyx = xe = x. (2) Write g as a product s_1 .. s_k; by induction pi_{gh} = pi_{s_1}
.. pi_{s_k} pi_h for all h. With h = e, pi_g = pi_{s_1} .. pi_{s_k}, so pi_{gh} = pi_g pi_h; and pi_g has the inverse pi_{g^-1}.

A set that generates a group of n elements need not have more than log2 n of them: each one that those before it do not generate
at least doubles the subgroup. Larger sets are refused, for each generator costs a look at all products.
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
        task = composition(setting)
        table, each = task.table, np.arange(task.d_vocab)
        if len(generators) >= len(each).bit_length() or np.any((generators < 0) | (generators >= len(each))):
            raise Refused("generators are elements of the group, at most log2 of how many there are")
        setting.meter.charge(len(each) * len(generators))
        setting.meter.scripting(25 * len(each))  # products, perhaps by one element at a time
        setting.meter.gathering(table.size)
        unit = int(np.argmax(table[each, each] == each))  # only the unit of a group is its own square
        inverse = np.argmax(table == unit, axis=1)
        if not task.group:
            setting.meter.charge((1 + len(generators)) * table.size)
            setting.meter.gathering(2 * len(generators) * table.size)
            if not all(np.array_equal(table[table[:, s]], np.take(table, table[s], axis=1)) for s in generators):
                raise Refused("the multiplication table is not a group's: it is not associative")
            if np.any(table[:, unit] != each) or np.any(table[each, inverse] != unit):
                raise Refused("the multiplication table is not a group's: it has no unit, or an element no inverse")
        reached, newest = np.zeros(len(each), np.bool_), generators
        while len(newest):
            reached[newest] = True
            products = np.unique(table[np.ix_(newest, generators)])
            newest = products[~reached[products]]
        if not reached.all():
            raise Refused("the elements given do not generate the group")
        return Group(table, inverse, unit, generators)

    def require_action(self, setting: Setting, action: IntArray) -> None:
        """Refuse unless "g x" is an action on the numbers 0 .. x-1."""
        setting.meter.charge((1 + len(self.generators)) * action.size)
        setting.meter.gathering(2 * len(self.generators) * action.size)
        if np.any((action < 0) | (action >= action.shape[1])) or np.any(action[self.unit] != np.arange(action.shape[1])):
            raise Refused("an action maps points to points, and the unit each to itself")
        for s in self.generators:
            if not np.array_equal(action[self.table[s]], action[s][action]):
                raise Refused("the permutations given are not an action of the group")

    def require_invariant(self, setting: Setting, action: IntArray, kernel: IntArray) -> None:
        """Refuse unless K(gx, gy) = K(x, y) for all g and all points x, y of an action "g x"."""
        setting.meter.charge(len(self.generators) * kernel.size)
        setting.meter.gathering(len(self.generators) * kernel.size)
        if not all(np.array_equal(kernel[np.ix_(action[s], action[s])], kernel) for s in self.generators):
            raise Refused("the kernel is not invariant under the group")
