"""Rule `projected-tables`: the tables of additive-tables by few coordinates each, the rest bounded instead of computed.

Notation of factored_logits. Let e be any vector "d" and u* any vector like the u_o. The tables

    token_score[q, t] = k_q . (E[t] - e)    position_score[q, j] = k_q . P[j]
    direct[q, o] = f_q . (u_o - u*)         token_value[t, o] = y_t . (u_o - u*)    position_value[j, o] = z_j . (u_o - u*)

serve in the theorem of additive-tables as well as its own: they differ from those by numbers that depend on q or on the row
only, and cancel there. Three of them are products of vectors v_i and w_o; each can be taken as it is, or *projected*: for any
vector c and a basis G with r columns (rules/projections; r = 0: no coordinates),

    v_i . w_o  differs from  c . w_o + (G^T (v_i - c)) . (G^T w_o)  by at most a *residual*,

which may be bounded in three ways.

*By lengths:* s_i t_o, where s_i and t_o are the rests of v_i - c and w_o (for r = 0: their lengths). *Proof.* v_i = c +
(v_i - c), and the lemma of rules/projections for v_i - c and w_o (for r = 0 the inequality of Cauchy and Schwarz).

*By row differences:* sum_k |g_ik| h_k, where g_i = (v_i - c) - G G^T (v_i - c) and h_k is the largest |w_ok| over all o: half
of what entries of row i can differ by. *Proof.* The difference is g_i . w_o, whatever G is.

*By a spectral norm,* of the matrix M of a circuit: let v_i = x_i M + b, as k_q and y_t are, and c = x* M + b for any x*. Let
S = M M^T - (1 - 3 eps) M G (M G)^T (for r = 0: M M^T), sigma^4 >= |S|^2 (Frobenius norm) and n_i >= |x_i - x*|. Then the
residual is at most n_i sigma t_o, with t_o as above. The v_i are never formed. *Proof.* v_i - c = (x_i - x*) M, so
|v_i - c|^2 - (1 - 3 eps) |G^T (v_i - c)|^2 = (x_i - x*) S (x_i - x*)^T, which is at most the largest eigenvalue of S times
n_i^2, hence at most (sigma n_i)^2: sigma n_i is a rest of v_i - c.

*The diagonal.* Entries (t, t) of a projected token_value may be taken as they are: the other V (V - 1) are still projected.

So a claim such as "attention is one direction, the size of a token" (r = 1 for scores), "a token raises its own output, and
the others along few directions" (a diagonal), or "the direct path is the same for all queries" (r = 0 there), becomes a step
of a proof, and its price is the width of the table.

*Parameters:* `scale`; `score`, `direct`, `value`: -1 for a table as it is, 0 for r = 0, else the tilt of its basis;
`residual`: 0 for lengths, 1 for row differences, 2 for spectral norms (of score and value: direct has no matrix, and takes
lengths); `diagonal`: 1 if that of a projected token_value is taken as it is, else 0.
*Hints*, in units of 2**-scale (bases: 2**-30): `token_centre` "d" (e), `unembed_centre` "e" (u*); and for every projected
table X the `X_centre` (c, or x*), where it has coordinates `X_basis` "e r", for lengths and norms `X_left` "i" (s_i, or n_i)
and `X_right` "o" (t_o), and for norms `X_norm` "1" (sigma).
*Checked:* that the bases are nearly orthonormal, the rests and the norms.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from certificates.certificate import Step
from certificates.tensor_file import IntArray
from checker.attention.factored_logits import Affine, FactoredLogits
from checker.attention.order_statistic import attention_only
from checker.attention.tables import AdditiveTables
from checker.core.enclosures import Enclosure
from checker.core.errors import Refused
from checker.core.facts import Fact, Setting, take_hints, take_parameters
from checker.rules.projections import Basis, hinted, inner, require, require_lengths

_PROJECTED = ("score", "direct", "value")
_LENGTHS, _DIFFERENCES, _NORMS = range(3)


def projected_tables(setting: Setting, step: Step, premises: tuple[Fact, ...]) -> AdditiveTables:
    """Apply the rule. Takes no premises."""
    scale, residual, diagonal, *tilts = take_parameters(step, "scale", "residual", "diagonal", *_PROJECTED)
    if premises:
        raise Refused("projected-tables takes no premises")
    if min(tilts) < -1:
        raise Refused("score, direct and value are -1, 0 or the tilt of a basis")
    if residual not in (_LENGTHS, _DIFFERENCES, _NORMS) or diagonal not in (0, 1):
        raise Refused("residual is 0, 1 or 2, and diagonal 0 or 1")
    config = attention_only(setting)
    factors = FactoredLogits.of(setting)
    (vocab, d_model), (outputs, width) = factors.token.shape, factors.unembed.shape
    residuals = {"score": residual, "direct": residual % _NORMS, "value": residual}  # norms: lengths for direct
    columns = {"score": vocab, "direct": outputs, "value": outputs}
    shapes: dict[str, tuple[int | None, ...]] = {"token_centre": (d_model,), "unembed_centre": (width,)}
    for name, tilt in zip(_PROJECTED, tilts, strict=True):
        dimensions = d_model if name == "score" else width
        if tilt >= 0:
            shapes[f"{name}_centre"] = (d_model if residuals[name] == _NORMS else dimensions,)
        if tilt >= 0 and residuals[name] != _DIFFERENCES:
            shapes |= {f"{name}_left": (vocab,), f"{name}_right": (columns[name],)}
        if tilt >= 0 and residuals[name] == _NORMS:
            shapes[f"{name}_norm"] = (1,)
        if tilt > 0:
            shapes[f"{name}_basis"] = (dimensions, None)
    hints = take_hints(setting, step, **shapes)
    token = factors.token - hinted(setting, hints["token_centre"].reshape(1, -1), scale)
    unembed = factors.unembed - hinted(setting, hints["unembed_centre"].reshape(1, -1), scale)
    positions = factors.followed(setting, factors.position_value, 0) @ unembed.T
    values = Affine(factors.values.rows, factors.followed(setting, factors.values.matrix, 0))
    products: dict[str, tuple[Affine | Enclosure, Enclosure]] = {
        "score": (factors.queries, token),
        "direct": (factors.followed(setting, factors.direct, 1), unembed),
        "value": (values, unembed),
    }
    setting.meter.hold(vocab * (vocab + 2 * outputs) * positions.element_bytes // 4)
    tables, dimension = {}, config.n_ctx * (vocab + outputs)
    for (name, (left, right)), tilt in zip(products.items(), tilts, strict=True):
        if tilt == -1:
            tables[name] = _vectors(left) @ right.T
            dimension += vocab * columns[name]
            continue
        basis = Basis.of(setting, hints[f"{name}_basis"], tilt) if tilt > 0 else None
        of_table = {hint.removeprefix(f"{name}_"): numbers for hint, numbers in hints.items() if hint.startswith(f"{name}_")}
        tables[name] = _Projection(setting, scale, basis, of_table).table(left, right, residuals[name])
        rank = basis.matrix.shape[1] if basis else 0
        # Coordinates, products with the centre, and all that bounds the residual.
        dimension += rank * (vocab + columns[name]) + columns[name]
        dimension += (vocab + columns[name], vocab, vocab + columns[name] + 1)[residuals[name]]
        if name == "value" and diagonal:
            tables[name] = _with_diagonal(tables[name], inner(setting, values.vectors, unembed[:vocab]))
            dimension += vocab
    position = factors.position.T
    by_position = factors.queries.then(position).vectors if "score_norm" in hints else factors.queries.vectors @ position
    return AdditiveTables(
        token_score=tables["score"],
        position_score=by_position,
        direct=tables["direct"],
        token_value=tables["value"],
        position_value=positions,
        unexplained_dimension=dimension,
    )


def _vectors(vectors: Affine | Enclosure) -> Enclosure:
    return vectors.vectors if isinstance(vectors, Affine) else vectors


def _magnitude(numbers: Enclosure) -> Enclosure:
    return numbers.maximum(numbers.times(np.full((1, 1), -1, np.int64)))


def _with_diagonal(table: Enclosure, diagonal: Enclosure) -> Enclosure:
    """A table "t o" with other entries (t, t), "t 1"."""
    rows, columns = (np.arange(size) for size in table.shape)
    both = table.concatenate([diagonal], axis=1)
    return both[rows[:, None], np.where(rows[:, None] == columns, len(columns), columns)]


@dataclass(frozen=True)
class _Projection:
    """How a table is projected: its basis, None for r = 0, and its hints, without its name."""

    setting: Setting
    scale: int
    basis: Basis | None
    hints: Mapping[str, IntArray]

    def table(self, left: Affine | Enclosure, right: Enclosure, residual: int) -> Enclosure:
        """The products of vectors "i e" and "o e", up to their residuals, "i o"."""
        if residual == _NORMS and isinstance(left, Affine):
            main, width = self._by_norms(left, right)
        else:
            main, width = (self._by_lengths, self._by_differences)[residual](_vectors(left), right)
        return (main - width).up_to(main + width)

    def _hint(self, name: str, *shape: int) -> Enclosure:
        return hinted(self.setting, self.hints[name].reshape(shape), self.scale)

    def _rests(self, vectors: Enclosure, side: str) -> Enclosure | None:
        """The coordinates of vectors, if there are any, whose rests are checked."""
        if self.basis is None:
            require_lengths(self.setting, vectors, self.hints[side], self.scale, f"the length of a vector on the {side}")
            return None
        return self.basis.coordinates(self.setting, vectors, self.hints[side], self.scale, f"a vector on the {side}")

    def _by_lengths(self, left: Enclosure, right: Enclosure) -> tuple[Enclosure, Enclosure]:
        middle = self._hint("centre", 1, -1)
        return self._by_rests(self._rests(left - middle, "left"), self._hint("left", -1, 1), middle, right)

    def _by_rests(
        self, of_left: Enclosure | None, rests: Enclosure, middle: Enclosure, right: Enclosure
    ) -> tuple[Enclosure, Enclosure]:
        """From coordinates "i r" and rests "i 1" on the left, and c "1 e"."""
        main, of_right = middle @ right.T, self._rests(right, "right")
        if of_left is not None and of_right is not None:
            main = of_left @ of_right.T + main
        return main, rests * self._hint("right", 1, -1)

    def _by_differences(self, left: Enclosure, right: Enclosure) -> tuple[Enclosure, Enclosure]:
        middle = self._hint("centre", 1, -1)
        beyond, main = left - middle, middle @ right.T
        if self.basis is not None:
            matrix = self.basis.matrix
            inside = beyond @ matrix
            beyond, main = beyond - inside @ matrix.T, inside @ (right @ matrix).T + main
        return main, _magnitude(beyond) @ _magnitude(right).max(0).reshape(-1, 1)

    def _by_norms(self, left: Affine, right: Enclosure) -> tuple[Enclosure, Enclosure]:
        centre, norm, of_left = self._hint("centre", 1, -1), self._hint("norm", 1, 1), None
        rows, gram = left.rows - centre, left.matrix @ left.matrix.T
        require_lengths(self.setting, rows, self.hints["left"], self.scale, "the length of a row on the left")
        if self.basis is not None:
            along = left.matrix @ self.basis.matrix
            of_left, gram = rows @ along, gram - (along @ along.T) * self.basis.share
        entries, square = gram.reshape(1, -1), norm * norm
        proved = (square * square - inner(self.setting, entries, entries)).positive()
        require(proved & (self.hints["norm"] >= 0), "the norm of a matrix")
        middle = Affine(centre, left.matrix, left.shift).vectors
        return self._by_rests(of_left, self._hint("left", -1, 1) * norm, middle, right)
