"""Rule `projected-tables`: the tables of additive-tables by few coordinates each, the rest bounded instead of computed.

Notation of rules/factored_logits. Let e be any vector "d" and u* any vector like the u_o. The tables

    token_score[q, t] = k_q . (E[t] - e)    position_score[q, j] = k_q . P[j]
    direct[q, o] = f_q . (u_o - u*)         token_value[t, o] = y_t . (u_o - u*)    position_value[j, o] = z_j . (u_o - u*)

serve in the theorem of additive-tables as well as its own: they differ from those by numbers that depend on q or on the row
only, and cancel there. Three of them are products of vectors v_i and w_o; each can be taken as it is, or *projected*: for any
vector c and a basis G with r columns (rules/projections; r = 0: no coordinates),

    v_i . w_o  differs from  c . w_o + (G^T (v_i - c)) . (G^T w_o)  by at most s_i t_o,

where s_i and t_o are the rests of v_i - c and w_o (for r = 0: their lengths). *Proof.* v_i = c + (v_i - c), and the lemma of
rules/projections for v_i - c and w_o (for r = 0 the inequality of Cauchy and Schwarz).

So a claim such as "attention is one direction, the size of a token" (r = 1 for scores), or "the direct path is the same for all
queries" (r = 0 there), becomes a step of a proof, and its price is the width of the table.

*Parameters:* `scale`, and `score`, `direct`, `value`: -1 for a table as it is, 0 for r = 0, else the tilt of its basis.
*Hints*, in units of 2**-scale (bases: 2**-30): `token_centre` "d" (e), `unembed_centre` "e" (u*); and for every projected
table X the `X_centre` "d" (c), `X_left` "i" and `X_right` "o" (rests), and, where it has coordinates, `X_basis` "d r".
*Checked:* that the bases are nearly orthonormal, and the rests.
"""

import numpy as np

from certificates.certificate import Step
from certificates.tensor_file import IntArray
from checker.enclosures import Enclosure
from checker.errors import Refused
from checker.facts import AdditiveTables, Fact, Setting, take_hints, take_parameters
from checker.rules.factored_logits import FactoredLogits
from checker.rules.projections import Basis, hinted, require_lengths

_PROJECTED = ("score", "direct", "value")


def projected_tables(setting: Setting, step: Step, premises: tuple[Fact, ...]) -> AdditiveTables:
    """Apply the rule. Takes no premises."""
    scale, *tilts = take_parameters(step, "scale", *_PROJECTED)
    if premises:
        raise Refused("projected-tables takes no premises")
    if min(tilts) < -1:
        raise Refused("score, direct and value are -1, 0 or the tilt of a basis")
    config = setting.attention_only
    factors = FactoredLogits.of(setting)
    (_, d_model), (outputs, width) = factors.token.shape, factors.unembed.shape
    sizes = {"score": (d_model, config.d_vocab), "direct": (width, outputs), "value": (width, outputs)}
    shapes: dict[str, tuple[int | None, ...]] = {"token_centre": (d_model,), "unembed_centre": (width,)}
    for name, tilt in zip(_PROJECTED, tilts, strict=True):
        dimensions, columns = sizes[name]
        if tilt >= 0:
            shapes |= {f"{name}_centre": (dimensions,), f"{name}_left": (config.d_vocab,), f"{name}_right": (columns,)}
        if tilt > 0:
            shapes[f"{name}_basis"] = (dimensions, None)
    hints = take_hints(setting, step, **shapes)
    token = factors.token - hinted(setting, hints["token_centre"].reshape(1, -1), scale)
    unembed = factors.unembed - hinted(setting, hints["unembed_centre"].reshape(1, -1), scale)
    positions = _extended(setting, factors.position_value, width, 0) @ unembed.T
    products = {
        "score": (factors.query, token),
        "direct": (_extended(setting, factors.direct, width, 1), unembed),
        "value": (_extended(setting, factors.value, width, 0), unembed),
    }
    setting.meter.hold(config.d_vocab * (config.d_vocab + 2 * outputs) * positions.element_bytes // 4)
    tables, dimension = {}, config.n_ctx * (config.d_vocab + outputs)
    for (name, (left, right)), tilt in zip(products.items(), tilts, strict=True):
        rows, columns = left.shape[0], right.shape[0]
        if tilt == -1:
            tables[name] = left @ right.T
            dimension += rows * columns
            continue
        basis = Basis.of(setting, hints[f"{name}_basis"], tilt) if tilt > 0 else None
        of_table = tuple(hints[f"{name}_{hint}"] for hint in ("centre", "left", "right"))
        tables[name] = _projected(setting, left, right, basis, of_table, scale)
        rank = basis.matrix.shape[1] if basis else 0
        dimension += rank * (rows + columns) + rows + 2 * columns  # coordinates, rests, and the products with the centre
    return AdditiveTables(
        token_score=tables["score"],
        position_score=factors.query @ factors.position.T,
        direct=tables["direct"],
        token_value=tables["value"],
        position_value=positions,
        unexplained_dimension=dimension,
    )


def _extended(setting: Setting, vectors: Enclosure, width: int, last: int) -> Enclosure:
    """Vectors "n d", with `last` behind them if there is a bias of the unembedding to go with it."""
    rows = vectors.shape[0]
    if vectors.shape[1] == width:
        return vectors
    return vectors.concatenate([hinted(setting, np.full((rows, 1), last, np.int64), 0)], axis=1)


def _projected(
    setting: Setting,
    left: Enclosure,
    right: Enclosure,
    basis: Basis | None,
    hints: tuple[IntArray, ...],
    scale: int,
) -> Enclosure:
    """The products of vectors "i d" and "o d", by coordinates and rests, "i o". hints: centre, rests left and right."""
    centre, left_rest, right_rest = hints
    middle = hinted(setting, centre.reshape(1, -1), scale)
    difference, main = left - middle, middle @ right.T
    if basis is None:
        require_lengths(setting, difference, left_rest, scale, "the length of a vector on the left")
        require_lengths(setting, right, right_rest, scale, "the length of a vector on the right")
    else:
        of_left = basis.coordinates(setting, difference, left_rest, scale, "a vector on the left")
        main = of_left @ basis.coordinates(setting, right, right_rest, scale, "a vector on the right").T + main
    width = hinted(setting, left_rest.reshape(-1, 1), scale) @ hinted(setting, right_rest.reshape(1, -1), scale)
    return (main - width).up_to(main + width)
