"""Networks on two inputs as FORMAT.md defines them, in fractions: what they really do, and what the rules about them need.

Nothing here is shared with the checker. Where a rule takes a length, it is a float: such numbers serve to find the place where
a rule stops proving something, never to decide what is true.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from certificates import RawTensor

ATTENTION, MLP = "blocks.0.attn.", "blocks.0.mlp."
_CODES = {"F16": "<f2", "F32": "<f4", "F64": "<f8"}
_EXACT = np.frompyfunc(Fraction, 1, 1)
Array = Any
"""A numpy array of fractions."""


def fractions(numbers: Any) -> Array:
    """Numbers that floats or integers hold, exactly."""
    return np.asarray(_EXACT(np.asarray(numbers)), object)


def decoded(tensor: Any) -> Array:
    """The elements of a weight tensor."""
    if tensor.dtype == "BF16":
        return fractions(
            (np.frombuffer(tensor.data, "<u2").astype("<u4") << 16).view("<f4").astype(float).reshape(tensor.shape)
        )
    return fractions(np.frombuffer(tensor.data, _CODES[tensor.dtype]).astype(np.float64).reshape(tensor.shape))


def relu(numbers: Array) -> Array:
    """Elementwise."""
    return np.maximum(numbers, Fraction(0))


# --- tasks -----------------------------------------------------------------------------------------------------------


def named_group(name: str) -> list[list[int]]:
    """The multiplication table of a named group, element by element."""
    if name.startswith("product("):
        inner = name[len("product(") : -1]
        commas = [i for i, letter in enumerate(inner) if letter == "," and inner[:i].count("(") == inner[:i].count(")")]
        left, right = named_group(inner[: commas[0]]), named_group(inner[commas[0] + 1 :])
        pairs = [(g, h) for g in range(len(left)) for h in range(len(right))]
        return [[left[g][k] * len(right) + right[h][m] for k, m in pairs] for g, h in pairs]
    family, size = name.partition(":")[0], int(name.partition(":")[2])
    if family == "cyclic":
        return [[(a + b) % size for b in range(size)] for a in range(size)]
    if family == "dihedral":  # rho^r sigma^s rho^q sigma^t = rho^(r + q or r - q) sigma^(s + t)
        pairs = [(r, s) for s in (0, 1) for r in range(size)]
        return [[(r + (-q if s else q)) % size + size * ((s + t) % 2) for q, t in pairs] for r, s in pairs]
    every = list(itertools.permutations(range(size)))
    if family == "alternating":
        every = [p for p in every if sum(p[i] > p[j] for i in range(size) for j in range(i + 1, size)) % 2 == 0]
    return [[every.index(tuple(p[q[i]] for i in range(size))) for q in every] for p in every]


def table_of(task: Mapping[str, Any], given: RawTensor | None = None) -> np.ndarray:
    """The multiplication table of a task."""
    if "table" in task:
        if given is None:
            raise ValueError("a table is missing")
        return given.integers()
    return np.array(named_group(task.get("group") or f"cyclic:{task['modulus']}"))


# --- what a network does ---------------------------------------------------------------------------------------------


def logits(tensors: Mapping[str, Any]) -> Array:
    """The outputs "a b z" for all pairs of elements."""
    w = {name: decoded(tensor) for name, tensor in tensors.items()}
    if "embed_left.W_E" in w:
        hidden = relu(w["embed_left.W_E"][:, None] + w["embed_right.W_E"][None] + w.get("mlp.b_in", 0))
        return hidden @ w["unembed.W_U"] + w.get("unembed.b_U", 0)
    embed, positions = w["embed.W_E"], w["pos_embed.W_pos"]
    size = len(embed) - 1
    out = np.empty((size, size, w["unembed.W_U"].shape[1]), object)
    for a, b in np.ndindex(size, size):
        seen = [embed[token] + positions[j] for j, token in enumerate((a, b, size))]
        residual = seen[2] + w.get(ATTENTION + "b_O", 0)
        for head, (value, output) in enumerate(zip(w[ATTENTION + "W_V"], w[ATTENTION + "W_O"], strict=True)):
            bias = w[ATTENTION + "b_V"][head] if ATTENTION + "b_V" in w else 0
            residual = residual + (sum(row @ value for row in seen) / Fraction(3) + bias) @ output
        hidden = relu(residual @ w[MLP + "W_in"] + w.get(MLP + "b_in", 0))
        last = residual + hidden @ w[MLP + "W_out"] + w.get(MLP + "b_out", 0)
        out[a, b] = last @ w["unembed.W_U"] + w.get("unembed.b_U", 0)
    return out


def right(tensors: Mapping[str, Any], table: np.ndarray, margin: Fraction = Fraction(0)) -> np.ndarray:
    """For which pairs "a b" the true output's logit exceeds every other by more than a margin."""
    values = logits(tensors)
    answer = np.zeros(table.shape, np.bool_)
    for a, b in np.ndindex(*table.shape):
        others = np.delete(values[a, b], table[a, b])
        answer[a, b] = values[a, b, table[a, b]] - others.max() > margin
    return answer


def off_quadrature(tensors: Mapping[str, Any], frequency: int, amplitude: Fraction) -> float:
    """How far what the neurons of a transformer add is from a quadrature, at one frequency, over all pairs."""
    silent = RawTensor("F64", tensors[MLP + "W_out"].shape, bytes(8 * math.prod(tensors[MLP + "W_out"].shape)))
    added = (logits(tensors) - logits({**tensors, MLP + "W_out": silent})).astype(np.float64)
    p = len(added)
    a, b = np.ogrid[:p, :p]
    waves = np.exp(2j * np.pi * frequency * np.arange(p) / p)
    quadrature = float(amplitude) * abs(np.cos(np.pi * frequency * (a - b) / p)) * waves[(a + b) % p]
    return float(abs(added @ waves * 2 / p - quadrature).max())


# --- what the rules need ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tables:
    """FORMAT.md, 5.8."""

    left: Array
    right: Array
    bias: Array
    unembed: Array
    direct: Array
    constant: Array
    slack: Fraction

    @staticmethod
    def of(tensors: Mapping[str, Any], neurons: Sequence[int]) -> "Tables":
        """The tables with these neurons."""
        w = {name: decoded(tensor) for name, tensor in tensors.items()}
        if "embed_left.W_E" in w:
            left, right, unembed = w["embed_left.W_E"], w["embed_right.W_E"], w["unembed.W_U"]
            bias = w.get("mlp.b_in", fractions(np.zeros(left.shape[1])))
            constant = w.get("unembed.b_U", fractions(np.zeros(unembed.shape[1])))
            direct = fractions(np.zeros((len(left), unembed.shape[1])))
            everything = Tables(left, right, bias, unembed, direct, constant, Fraction(0))
            others = [i for i in range(len(bias)) if i not in neurons]
            return everything.chosen(neurons, sum((everything.reach(i) for i in others), Fraction(0)))
        embed, positions, read, write = (w[n] for n in ("embed.W_E", "pos_embed.W_pos", MLP + "W_in", MLP + "W_out"))
        copied = sum(v @ o for v, o in zip(w[ATTENTION + "W_V"], w[ATTENTION + "W_O"], strict=True))
        biases = zip(w.get(ATTENTION + "b_V", ()), w[ATTENTION + "W_O"], strict=False)
        here = embed[-1] + positions[2] + w.get(ATTENTION + "b_O", 0) + sum(b @ o for b, o in biases)
        c = 3 * here + (positions.sum(0) + embed[-1]) @ copied
        e = embed[:-1] @ copied
        unembed = write @ w["unembed.W_U"]
        bias = c @ read + 3 * w.get(MLP + "b_in", 0)
        constant = (c + 3 * w.get(MLP + "b_out", 0)) @ w["unembed.W_U"] + 3 * w.get("unembed.b_U", 0)
        everything = Tables(e @ read, e @ read, bias, unembed, e @ w["unembed.W_U"], constant, Fraction(0))
        longest = max(map(length, e))
        farthest = max(map(length, w["unembed.W_U"].T))
        slack = sum(
            (2 * longest * length(read[:, i]) + abs(float(bias[i]))) * length(write[i]) * 2 * farthest
            for i in range(len(bias))
            if i not in neurons
        )
        return everything.chosen(neurons, Fraction(slack))

    @staticmethod
    def projected(tensors: Mapping[str, Any], neurons: Sequence[int], reading: Any, writing: Any, tilt: int) -> "Tables":
        """Rule hidden-tables with bases: with these neurons, by two bases in units of 2**-30."""
        folded, w = Tables.of(tensors, neurons), {name: decoded(tensor) for name, tensor in tensors.items()}
        bases = [fractions(np.asarray(basis)) / 2**30 for basis in (reading, writing)]
        share = 1 - Fraction(3, 2**tilt)
        embed, unembed, chosen = w["embed.W_E"][:-1], w["unembed.W_U"].T, list(neurons)
        values = np.concatenate(list(w[ATTENTION + "W_V"]), axis=1)
        output = np.concatenate(list(w[ATTENTION + "W_O"]), axis=0)
        read, write = w[MLP + "W_in"].T[chosen], w[MLP + "W_out"][chosen]

        def rests(rows: Array, basis: Array) -> list[float]:
            return [math.sqrt(row @ row - share * sum(x * x for x in row @ basis)) for row in rows]

        inside = embed @ values @ output @ bases[0]
        sigma = math.hypot(*rests(output, bases[0]))
        off = max(map(length, embed)) * length(values.reshape(-1)) * sigma
        t, g, p, q = (
            rests(*both) for both in zip((read, unembed, write, unembed), (bases[0], bases[0], bases[1], bases[1]), strict=True)
        )
        left, written = inside @ (read @ bases[0]).T, write @ bases[1] @ (unembed @ bases[1]).T
        slack = 4 * off * max(g)
        for i in range(len(chosen)):
            most = max(2 * float(left[:, i].max()) + float(folded.bias[i]), 0.0)
            slack += 2 * off * t[i] * float(written[i].max() - written[i].min())
            slack += (4 * off * t[i] + 2 * most) * p[i] * max(q)
        farthest = math.hypot(max(map(length, inside)), off)
        for i in set(range(w[MLP + "W_in"].shape[1])) - set(chosen):
            bias = abs(float(Tables.of(tensors, [i]).bias[0]))
            active = 2 * farthest * length(w[MLP + "W_in"][:, i]) + bias
            slack += active * 2 * length(w[MLP + "W_out"][i]) * max(map(length, unembed))
        direct = inside @ (unembed @ bases[0]).T
        return Tables(left, left, folded.bias, written, direct, folded.constant, Fraction(slack))

    def chosen(self, neurons: Sequence[int], slack: Fraction) -> "Tables":
        """Some of the neurons only."""
        n = list(neurons)
        return Tables(self.left[:, n], self.right[:, n], self.bias[n], self.unembed[n], self.direct, self.constant, slack)

    def reach(self, i: int) -> Fraction:
        """The most that a neuron can add to a difference."""
        active = max(self.left[:, i].max() + self.right[:, i].max() + self.bias[i], Fraction(0))
        return Fraction(active * (self.unembed[i].max() - self.unembed[i].min()))

    def before(self, a: int, b: int) -> Array:
        """The neurons before ReLU."""
        return self.left[a] + self.right[b] + self.bias

    def outputs(self, a: int, b: int) -> Array:
        """T(a, b)."""
        return relu(self.before(a, b)) @ self.unembed + self.direct[a] + self.direct[b] + self.constant

    @property
    def spread(self) -> Fraction:
        """The range of the constant."""
        return Fraction(self.constant.max() - self.constant.min())


def length(vector: Array) -> float:
    """Euclidean."""
    return math.sqrt(sum(float(x) ** 2 for x in vector))


def evaluated(tables: Tables, table: np.ndarray, pairs: np.ndarray) -> Fraction:
    """By how much rule coded-output without a code has more than it needs, at the worst pair."""
    worst = []
    for a, b in np.argwhere(pairs).tolist():
        values, true = tables.outputs(a, b), table[a, b]
        worst.append(values[true] - np.delete(values, true).max() - tables.slack)
    return Fraction(min(worst))


def low_rank(
    tables: Tables,
    table: np.ndarray,
    pairs: np.ndarray,
    starts: Sequence[int],
    factors: tuple[Array, Array, Array],
    pairwise: int,
) -> float:
    """By how much rule coded-output by blocks has more than it needs. factors: P "i r", Q "B r z", mu "i"."""
    p, q, mu = factors
    stops = [*starts[1:], len(p)]
    block = [next(k for k, stop in enumerate(stops) if i < stop) for i in range(len(p))]
    e = np.array([tables.unembed[i] - p[i] @ q[block[i]] for i in range(len(p))])
    worst = []
    for a, b in np.argwhere(pairs).tolist():
        x = tables.before(a, b)
        v = x @ tables.unembed + mu @ e + 2 * (tables.direct[a] + tables.direct[b] + tables.constant)
        v = v + sum(abs(x[i]) * (p[i] @ q[block[i]]) for i in range(len(p)))
        off, true = length(abs(x) - mu), table[a, b]
        for z in set(range(len(v))) - {true}:
            d = length(e[:, true] - e[:, z]) if pairwise else length(e[:, true]) + length(e[:, z])
            worst.append(float(v[true] - v[z] - 2 * tables.slack) - off * d)
    return min(worst)


def crosscoder(
    tables: Tables, table: np.ndarray, pairs: np.ndarray, hints: tuple[Array, Array, Array, Array, Array], pairwise: int
) -> float:
    """By how much rule coded-output with features has more than it needs. hints: P "i f", Q "f z", mu "i", l "a f", r "b f".

    What it needs is twice the lead, less what it does not know of it: rho . (E(c) - E(z)), of either sign.
    """
    p, q, mu, reading_left, reading_right = hints
    e, worst = tables.unembed - p @ q, []
    for a, b in np.argwhere(pairs).tolist():
        values, true = tables.outputs(a, b), table[a, b]
        rho = abs(tables.before(a, b)) - p @ abs(reading_left[a] + reading_right[b]) - mu
        for z in set(range(len(values))) - {true}:
            apart = e[:, true] - e[:, z]
            d = length(apart) if pairwise else length(e[:, true]) + length(e[:, z])
            known = 2 * (values[true] - values[z]) - rho @ apart
            worst.append(float(known - 2 * tables.slack) - length(rho) * d)
    return min(worst)


def structured(
    tables: Tables, table: np.ndarray, pairs: np.ndarray, action: np.ndarray, neurons: Sequence[tuple[int, int, Fraction]]
) -> Fraction:
    """By how much rule set-output has more than it needs for each pair. neurons: (beta, gamma, t) of each."""
    n, points = action.shape
    unit = next(g for g in range(n) if all(table[g] == np.arange(n)))
    r = [off.max() - off.min() for off in (tables.unembed[i] - one_hot(action, *at) for i, at in enumerate(neurons))]
    orbits = sorted({tuple(sorted(set(action[:, y].tolist()))) for y in range(points)})
    worst = []
    for a, b in np.argwhere(pairs).tolist():
        c, h = table[a, b], relu(tables.before(a, b))
        v = fractions(np.zeros((points, points)))
        for i, (x, y, t) in enumerate(neurons):
            v[x, y] += t * h[i]
        gaps: dict[tuple[int, ...], list[Fraction]] = {}
        for orbit in orbits:
            own = {y: v[action[c, y], y] for y in orbit}
            along = {y: sum(v[action[c, y], y2] for y2 in orbit) / Fraction(len(orbit)) for y in orbit}
            across = {y: sum(v[x, y] for x in orbit) / Fraction(len(orbit)) for y in orbit}
            p = {action[c, y]: (own[y] + along[y] - across[y]) / 2 for y in orbit}
            gaps[orbit] = sorted(
                own[y] - p[action[c, y]] - max((v[x, y] - p[x] for x in orbit if x != action[c, y]), default=Fraction(0))
                for y in orbit
            )
        needed = sum(h[i] * r[i] for i in range(len(h))) + tables.spread + tables.slack
        for g in set(range(n)) - {unit}:
            moved = {orbit: sum(int(action[g, y] != y) for y in orbit) for orbit in orbits}
            worst.append(sum((sum(gaps[o][: moved[o]]) for o in orbits), Fraction(0)) - needed)
    return Fraction(min(worst))


def one_hot(action: np.ndarray, beta: int, gamma: int, t: Fraction) -> Array:
    """t [z gamma = beta], over z."""
    return fractions(action[:, gamma] == beta) * t


@dataclass(frozen=True)
class Sets:
    """Neurons (number, beta, gamma, t) at cells of two orbits, for rule set-output about all pairs."""

    action_x: np.ndarray
    action_y: np.ndarray
    kernel: np.ndarray
    neurons: Sequence[tuple[int, int, int, Fraction]]

    def margin(self, tables: Tables, table: np.ndarray) -> list[Fraction]:
        """M(g), with the middle for lam and mu."""
        n, (xs, ys) = len(table), self.kernel.shape
        unit = next(g for g in range(n) if all(table[g] == np.arange(n)))
        inverse = [next(h for h in range(n) if table[g, h] == unit) for g in range(n)]
        cells = {(x, y): fractions(np.zeros((2, xs, ys))) for x in range(xs) for y in range(ys)}
        k = dict.fromkeys(cells, Fraction(0))
        rest = Fraction(0)
        for i, beta, gamma, t in self.neurons:
            lam, e_lam = self._middles(
                {(a, self.action_x[inverse[a], beta]): tables.left[a, i] + tables.bias[i] for a in range(n)}
            )
            mu, e_mu = self._middles({(b, self.action_y[b, gamma]): tables.right[b, i] for b in range(n)})
            e = e_lam + e_mu
            off = [tables.unembed[i, z] - t * int(self.kernel[beta, self.action_y[z, gamma]]) for z in range(n)]
            r = max(off) - min(off)
            h = np.array([[max(lam[x] + mu[y], Fraction(0)) for y in range(ys)] for x in range(xs)])
            cells[beta, gamma][0] += t * h
            cells[beta, gamma][1] += r * h
            k[beta, gamma] += e * abs(t)
            rest += e * r
        places = list(np.ndindex(xs, ys))
        by_place = sum(max(n_[1][at] for n_ in cells.values()) for at in places)
        rest += min(by_place, sum(n_[1].max() for n_ in cells.values()))
        result = []
        for g in range(n):
            d = {(x, y): int(self.kernel[x, y] - self.kernel[x, self.action_y[g, y]]) for x, y in places}
            least = sum(min(m[0][at] * d[at] for m in cells.values()) for at in places)
            moved = sum(a * b for a, b in zip(sorted(k.values()), sorted(map(abs, d.values())), strict=True))
            result.append(Fraction(least - rest - moved))
        return result

    @staticmethod
    def _middles(values: Mapping[tuple[int, Any], Fraction]) -> tuple[dict[int, Fraction], Fraction]:
        at: dict[int, list[Fraction]] = {}
        for (_, place), value in values.items():
            at.setdefault(int(place), []).append(value)
        middle = {place: (min(v) + max(v)) / 2 for place, v in at.items()}
        return middle, max((max(v) - min(v)) / 2 for v in at.values())


def parts_of(action: np.ndarray, kernel: np.ndarray, neurons: Sequence[tuple[int, int, Fraction]]) -> list[Sets]:
    """Neurons (beta, gamma, t) by the orbits of beta and gamma, whose points are numbered anew."""
    members: dict[tuple[tuple[int, ...], tuple[int, ...]], list[tuple[int, int, int, Fraction]]] = {}
    for i, (beta, gamma, t) in enumerate(neurons):
        xs, ys = (tuple(sorted(set(action[:, point].tolist()))) for point in (beta, gamma))
        members.setdefault((xs, ys), []).append((i, xs.index(beta), ys.index(gamma), t))

    def on(points: tuple[int, ...]) -> np.ndarray:
        return np.array([[points.index(row[x]) for x in points] for row in action.tolist()])

    return [Sets(on(xs), on(ys), kernel[np.ix_(xs, ys)], found) for (xs, ys), found in members.items()]


def uniform(tables: Tables, table: np.ndarray, parts: Sequence[Sets]) -> Fraction:
    """By how much rule set-output has more than it needs for all pairs, at the worst element."""
    margins = [part.margin(tables, table) for part in parts]
    used = {i for part in parts for i, *_ in part.neurons}
    needed = sum((tables.reach(i) for i in range(len(tables.bias)) if i not in used), Fraction(0))
    needed += tables.spread + tables.slack
    unit = next(g for g in range(len(table)) if all(table[g] == np.arange(len(table))))
    return min(sum((m[g] for m in margins), Fraction(0)) - needed for g in range(len(table)) if g != unit)


def waves(tables: Tables, said: Mapping[str, Any], scale: int, angles: int = 0) -> dict[int, float]:
    """By how much rule wave-output has more than it needs, at the worst output, for each bucket."""
    p, unit, symmetric = len(tables.left), 2.0**-scale, bool(np.all(tables.left == tables.right))
    left, right, bias = (table.astype(float) for table in (tables.left, tables.right, tables.bias))
    left, right = (left + bias / 2, right + bias / 2) if symmetric else (left + bias, right)
    turn = np.exp(2j * np.pi * np.arange(p) / p)

    def vector(pair: Any) -> complex:
        return complex(pair[0], pair[1]) * unit

    def wave(v: complex, j: int) -> Any:
        return (v.conjugate() * turn[j * np.arange(p) % p]).real

    exact, ideal = (
        [(int(j), int(i), vector(v)) for (j, i), v in zip(said[name], said[f"{name}_vectors"], strict=True)]
        for name in ("exact", "ideal")
    )
    used = sorted({j for j, *_ in (*exact, *ideal)})
    reading = [int(k) for k in said["reading"]]
    read = [vector(v) for v in said["wave"]]
    y = np.array([wave(v, k) for v, k in zip(read, reading, strict=True)]).T
    share = (2**21 // p) / 2**20
    along = {j: turn[j * np.arange(p) % p] for j in used}

    def apart(row: Any) -> tuple[dict[int, complex], float]:
        parts = {j: complex(row @ along[j]) * share for j in used} if not angles else {}
        beside = row - sum(wave(v, j) for j, v in parts.items())
        return parts, float(beside.max() - beside.min())

    paths = [apart((row + tables.constant / 2).astype(float)) for row in tables.direct]

    written = np.zeros((len(reading), p))
    for j, i, v in (*exact, *ideal):
        written[i] += wave(v, j)
    rest = tables.unembed.astype(float) - written - np.array(said["level"], float)[:, None] * unit
    rest = rest * 2.0 ** np.array(said["weight"])[:, None]
    reached = [np.linalg.norm(np.maximum(side, 0) * 2.0 ** -np.array(said["weight"]), axis=1).max() for side in (left, right)]
    always = (
        2 * sum(reached) * np.linalg.norm(rest, axis=0).max() + float(tables.slack) + 2 * max(spread for _, spread in paths)
    )
    moved = {}
    for j in {j for j, *_ in ideal}:
        own = [(i, v, 2.0**g) for (k, i, v), g in zip(ideal, said["entry_weight"], strict=True) if k == j]
        away = [
            max(np.linalg.norm([(side[a, i] - y[a, i]) / g for i, _, g in own]) for a in range(p)) for side in (left, right)
        ]
        first, second, mixed = (
            sum(n)
            for n in zip(*(((g * v.real) ** 2, (g * v.imag) ** 2, g * g * v.real * v.imag) for _, v, g in own), strict=True)
        )
        moved[j] = sum(away) * math.sqrt(max(first, second) + abs(mixed)) * (1 + angles)

    def taken(d: int) -> float:
        return always + sum(abs(math.sin(math.pi * j * d / p)) * size for j, size in moved.items())

    def left_over(j: int, d: int, ahead: float, across: float) -> float:
        return (1 - math.cos(2 * math.pi * j * d / p)) * ahead - abs(math.sin(2 * math.pi * j * d / p)) * across

    if angles:  # one sum over angles c for each frequency j that is written by neurons that read k, and either sign
        extrema = {}
        for j, k in {(j, reading[i]) for j, i, _ in ideal}:
            ahead, across = [], []
            for c in range(p):
                h = [(read[i].conjugate() * np.exp(1j * np.pi * k * c / p)).real for i in range(len(reading))]
                for sign in (1, -1):
                    both = sum((abs(h[i]) + sign * h[i]) * v for m, i, v in ideal if (m, reading[i]) == (j, k))
                    turned = both * along[j][c].conjugate()
                    ahead, across = [*ahead, turned.real], [*across, abs(turned.imag)]
            extrema[j, k] = min(ahead), max(across)
        spare: dict[int, list[float]] = {}
        for (a, b), bucket in np.ndenumerate(said["bucket"]):
            for d in range(1, p):
                lead = sum(abs(math.cos(math.pi * k * (a - b) / p)) * left_over(j, d, *at) for (j, k), at in extrema.items())
                spare.setdefault(int(bucket), []).append(lead - taken(d))
        return {bucket: min(numbers) for bucket, numbers in spare.items() if bucket >= 0}

    least, most = {}, {}
    for (a, b), bucket in np.ndenumerate(said["bucket"]):
        if bucket < 0:
            continue
        x, at = left[a] + right[b], {j: paths[a][0][j] + paths[b][0][j] for j in used}
        for j, i, v in exact:
            at[j] += max(x[i], 0) * v
        for j, i, v in ideal:
            at[j] += (x[i] + abs(y[a, i] + y[b, i])) / 2 * v
        turned = [at[j] * along[j][(a + b) % p].conjugate() for j in used]
        least.setdefault(bucket, []).append([v.real for v in turned])
        most.setdefault(bucket, []).append([abs(v.imag) for v in turned])

    def of_bucket(bucket: int, d: int) -> float:
        both = zip(used, np.min(least[bucket], axis=0), np.max(most[bucket], axis=0), strict=True)
        return sum(left_over(j, d, *at) for j, *at in both) - taken(d)

    return {int(bucket): min(of_bucket(bucket, d) for d in range(1, p)) for bucket in least}
