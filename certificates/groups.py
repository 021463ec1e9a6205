"""Finite groups by name: how their elements are numbered, and their multiplication tables (FORMAT.md).

cyclic:N           N elements, by addition
dihedral:N         2N elements; number r + N s is rho^r sigma^s, with sigma rho = rho^-1 sigma
symmetric:N        the permutations of 0 .. N-1 in lexicographic order of (p(0), .., p(N-1)); (p q)(i) = p(q(i))
alternating:N      the even ones among them, in the same order
product(G,H)       the pairs; (g, h) has the number g |H| + h
"""

import hashlib
import itertools
import math
import re

import numpy as np

from certificates.canonical_json import dumps
from certificates.errors import FormatError
from certificates.tensor_file import IntArray

LARGEST_ORDER = 2048
_LONGEST_NAME = 200
_NAMED = re.compile(r"(cyclic|dihedral|symmetric|alternating):([1-9][0-9]{0,3})")


def group_table(name: str, largest: int = LARGEST_ORDER) -> IntArray:
    """Multiplication table "a b" of a named group of 2 to `largest` elements: the number of the product ab.

    Raises FormatError if the name is unknown or the group too large, before any table larger than that is made.
    """
    table = _table(name, largest) if len(name) <= _LONGEST_NAME else None
    if table is None or len(table) < 2:
        raise FormatError(
            f"{name[:_LONGEST_NAME]!r} is not the name of a group: there are cyclic:N, dihedral:N, symmetric:N, alternating:N "
            f"and product(G,H), with 2 to {largest} elements here"
        )
    return table


def _table(name: str, largest: int) -> IntArray | None:
    if name.startswith("product(") and name.endswith(")"):
        for comma in (match.start() for match in re.finditer(",", name)):
            parts = name[len("product(") : comma], name[comma + 1 : -1]
            if all(part.count("(") == part.count(")") for part in parts):
                left = _table(parts[0], largest)
                right = None if left is None else _table(parts[1], largest // len(left))
                if left is None or right is None:
                    return None
                pairs = np.arange(len(left) * len(right))
                first, second = pairs // len(right), pairs % len(right)
                table: IntArray = left[np.ix_(first, first)] * len(right) + right[np.ix_(second, second)]
                return table
        return None
    match = _NAMED.fullmatch(name)
    if match is None:
        return None
    family, size = match[1], int(match[2])
    if family in ("cyclic", "dihedral"):
        signs = 1 if family == "cyclic" else 2
        if size * signs > largest:
            return None
        power, sign = np.arange(size * signs) % size, np.arange(size * signs) // size
        turned: IntArray = (power[:, None] + (1 - 2 * sign[:, None]) * power) % size
        turned += size * (sign[:, None] ^ sign)
        return turned
    return _permutations_table(size, largest, even_only=family == "alternating")


def _permutations_table(size: int, largest: int, even_only: bool) -> IntArray | None:
    if size > 8 or math.factorial(size) > largest * (1 + even_only):
        return None
    every = np.array(list(itertools.permutations(range(size))), np.int64)
    if even_only:
        inversions = sum((every[:, i] > every[:, j]).astype(np.int64) for i, j in itertools.combinations(range(size), 2))
        every = every[inversions % 2 == 0] if size > 1 else every
    weights = size ** np.arange(size - 1, -1, -1)  # so that codes grow with the order
    rows = [np.searchsorted(every @ weights, permutation[every] @ weights) for permutation in every]
    return np.array(rows, np.int64)


def table_digest(table: IntArray) -> str:
    """SHA-256 (hex) of a table "a b", written as canonical JSON: a list of rows (here one at a time, to save memory)."""
    sha = hashlib.sha256(b"[")
    for a, row in enumerate(table):
        sha.update((("," if a else "") + dumps(row.tolist())).encode())
    sha.update(b"]")
    return sha.hexdigest()
