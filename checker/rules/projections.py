"""Inner products by few coordinates, what these leave out being bounded by lengths.

*Lemma.* Let G be a matrix "d r", r >= 1, with |G^T G - I| <= eps <= 1/4 (Frobenius norm). For vectors v and u, let
s, t >= 0 with s^2 >= |v|^2 - (1 - 3 eps) |G^T v|^2, and t^2 likewise for u. Then |v . u - (G^T v) . (G^T u)| <= s t.

*Proof.* The difference is v . N u with N = I - G G^T, symmetric, with eigenvalues n_i. In a basis of eigenvectors,
|v . N u| <= sum_i |n_i| |v_i| |u_i|, so by Cauchy and Schwarz it is enough that sum_i |n_i| v_i^2 <= s^2, and the same for u.
G^T G has eigenvalues within eps of 1, hence so has G G^T on the range R of G, and 0 on the complement. So n_i = 1 on the
complement of R, and |n_i| <= eps on R. Let v' be the part of v in R. There |n_i| <= n_i + 2 eps, so sum_i |n_i| v_i^2 <=
v . N v + 2 eps |v'|^2, where v . N v = |v|^2 - |G^T v|^2, and |G^T v|^2 = v' . G G^T v' >= (1 - eps) |v'|^2. As
2 eps / (1 - eps) <= 3 eps, the sum is at most |v|^2 - |G^T v|^2 + 3 eps |G^T v|^2 <= s^2.

*Hints* are integers, in units of a power of two. Coordinates are G^T v; the *rest* of a vector is its s.
"""

from dataclasses import dataclass

import numpy as np

from certificates.tensor_file import IntArray
from checker.core.enclosed_weights import ones
from checker.core.enclosures import BoolArray, Enclosure
from checker.core.errors import Refused
from checker.core.facts import Setting

UNIT_BITS = 30
"""Logarithms and the entries of bases are in units of 2**-30."""
_LARGEST_SCALE = 1100
_BYTES_OF_INTEGER = 64
_SLOWNESS = 50
"""An operation on Python's integers, in operations on arrays of machine integers."""


def hinted(setting: Setting, numbers: IntArray, bits: int) -> Enclosure:
    """The numbers that hints stand for: integers in units of 2**-bits."""
    if np.any(numbers >= 1 << 53) or np.any(numbers <= -(1 << 53)):
        raise Refused("a hint in fixed point is beyond 53 bits")
    if not -_LARGEST_SCALE <= bits <= _LARGEST_SCALE:
        raise Refused(f"a scale must lie between -{_LARGEST_SCALE} and {_LARGEST_SCALE}")
    setting.meter.allocate(numbers.size * setting.arithmetic.element_bytes)
    return setting.arithmetic.exact(numbers, np.full(numbers.shape, -bits, np.int64))


def require(proved: BoolArray, what: str) -> None:
    """Refuse unless all is proved."""
    if not proved.all():
        raise Refused(f"{what} is not proved (first failure: number {int(np.argmin(proved.reshape(-1)))})")


def inner(setting: Setting, left: Enclosure, right: Enclosure) -> Enclosure:
    """Inner products of the rows of two matrices "n d", "n 1"."""
    return (left * right) @ ones(setting, left.shape[1], 1)


def require_lengths(setting: Setting, vectors: Enclosure, lengths: IntArray, scale: int, what: str) -> None:
    """Check that vectors "n d" are shorter than the hints `lengths` "n"."""
    bound = hinted(setting, lengths.reshape(-1, 1), scale)
    require((bound * bound - inner(setting, vectors, vectors)).positive() & (lengths >= 0).reshape(-1, 1), what)


@dataclass(frozen=True)
class Basis:
    """G "d r", checked, and 1 - 3 eps "1 1"."""

    matrix: Enclosure
    share: Enclosure

    @staticmethod
    def of(setting: Setting, hint: IntArray, tilt: int) -> "Basis":
        """From a hint "d r", with eps = 2**-tilt."""
        rank = hint.shape[1]
        if not 2 <= tilt <= UNIT_BITS or not 1 <= rank <= hint.shape[0]:
            raise Refused(f"a basis has at least one column, no more columns than rows, and a tilt from 2 to {UNIT_BITS}")
        matrix = hinted(setting, hint, UNIT_BITS)
        # Exactly, in Python's integers: rests are small differences of squares, and much is lost with a large eps.
        setting.meter.charge(2 * hint.size * rank + 4 * rank**2 + 2, _SLOWNESS)
        setting.meter.allocate(_BYTES_OF_INTEGER * (hint.size + 3 * rank**2))
        columns, one = hint.astype(object), 1 << (2 * UNIT_BITS)
        excess = columns.T @ columns - np.where(np.arange(rank)[:, None] == np.arange(rank), one, 0)
        if int((excess**2).sum()) << (2 * tilt) > one**2:
            raise Refused("that a basis is nearly orthonormal is not proved: its tilt is too large")
        return Basis(matrix, hinted(setting, np.full((1, 1), (1 << tilt) - 3, np.int64), tilt))

    def parts(self, vectors: Enclosure) -> tuple[Enclosure, Enclosure]:
        """Coordinates "n r" of vectors "n d", and the squares "n" of their rests."""
        inside = vectors @ self.matrix
        of_coordinates = inside.T.square().sum(0) * self.share.reshape(1)
        return inside, vectors.T.square().sum(0) - of_coordinates

    def coordinates(self, setting: Setting, vectors: Enclosure, rest: IntArray, scale: int, what: str) -> Enclosure:
        """Coordinates "n r" of vectors "n d", whose rest is at most the hint `rest` "n": checked."""
        inside = vectors @ self.matrix
        bound = hinted(setting, rest.reshape(-1, 1), scale)
        outside = inner(setting, vectors, vectors) - inner(setting, inside, inside) * self.share
        require((bound * bound - outside).positive() & (rest >= 0).reshape(-1, 1), f"the rest of {what}")
        return inside
