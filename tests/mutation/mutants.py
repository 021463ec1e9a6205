"""Weaken the checker in one place at a time and see that a test fails: `make mutants` (interrupted, it goes on).

Each mutant replaces one piece of text in one file of a copy of the project, turns a comparison or a rounding around, drops
a check, or miscounts. The tests named with it run against the copy; a mutant that no test notices is reported, and the
exit status is 1. With an argument: only mutants of files whose name contains it.
"""

import sys

import pair_mutants
import statement_mutants
from runner import Mutant, main
from transformer_mutants import transformer_mutants

ENCLOSURES = ("tests/core/test_enclosures.py",)
RULES = ("tests/core/test_golden.py", "tests/attention/test_theorems.py", "tests/core/test_attacks.py")
GREEDY = ("group_chains_enlarged", "prefix_chains_enlarged", "further_inputs_listed")
THEOREMS = (
    "tests/core/test_golden.py",
    *(
        f"tests/attention/test_theorems.py::test_{name}_greedily_are_true" for name in GREEDY
    ),  # the quickest to notice something
    "tests/attention/test_theorems.py",
)
LABEL_TERMS = ("tests/attention/test_label_terms.py", *THEOREMS)
CLASSES = (
    "tests/core/test_golden.py::test_the_checker_gives_the_recorded_verdict",
    "tests/attention/test_classes.py",
    *THEOREMS,
)
PROJECTED = ("tests/core/test_golden.py", "tests/attention/test_projected_tables.py")
LOW_RANK = ("tests/core/test_golden.py", "tests/attention/test_low_rank_chains.py")
HIDDEN = ("tests/layers/test_hidden_rules.py",)
GROUPS = ("tests/core/test_groups.py",)
SHARDS = ("tests/core/test_shards.py",)
SETS = ("tests/layers/test_group_sets.py",)
QUICK = ("tests/core/test_golden.py::test_the_checker_gives_the_recorded_verdict",)
CODES = (
    *QUICK,
    "tests/layers/test_dictionaries.py::test_codes_take_memory",
    "tests/layers/test_dictionaries.py::test_codes_take_time",
    "tests/layers/test_dictionaries.py::test_what_codes_take_is_announced_and_held",
    "tests/layers/test_dictionaries.py::test_columns_that_are_taken_together_come_back_in_their_places",
    "tests/layers/test_dictionaries.py::test_there_are_few_pairs_at_a_time_where_there_are_many_atoms",
)
COMMANDS = ("tests/commands/test_commands.py",)
PINS = (
    "tests/layers/test_mlp_quadrature.py::test_pins",
    "tests/commands/test_commands.py::test_margins_and_executions_are_proved_and_pinned",
)
HOGS = ("tests/core/test_attacks.py",)
AGREEING = ("tests/attention/test_models_that_always_agree.py",)
PACE = ("tests/core/test_pace.py",)
DOUBLE = ("tests/core/test_golden.py::test_the_checker_gives_the_recorded_verdict", "tests/attention/test_double_counting.py")


MUTANTS = [
    # Rounding and overflow.
    Mutant("checker/core/scaled_integers.py", "return -(-numbers >> bits)", "return numbers >> bits", ENCLOSURES),
    Mutant("checker/core/scaled_integers.py", "a.lo - b.hi, a.hi - b.lo", "a.lo - b.lo, a.hi - b.hi", ENCLOSURES),
    Mutant("checker/core/scaled_integers.py", "shift -= max(top + 1 - self.arithmetic.width, 0)", "pass", ENCLOSURES),
    Mutant("checker/core/scaled_integers.py", "+ _product(radius_a, np.abs(middle_b))", "", ENCLOSURES),
    Mutant("checker/core/scaled_integers.py", "middle - radius, middle + radius", "middle, middle", ENCLOSURES),
    Mutant("checker/core/scaled_integers.py", "max(-int(self.lo.min()), int(self.hi.max()))", "int(self.hi.max())", ENCLOSURES),
    Mutant(
        "checker/core/scaled_integers.py", "max(-int(self.lo.min()), int(self.hi.max()))", "-int(self.lo.min())", ENCLOSURES
    ),
    Mutant("checker/core/scaled_integers.py", "np.where(value.lo >= 0, lowest, high.hi)", "lowest", ENCLOSURES),
    Mutant(
        "checker/core/scaled_integers.py",
        "sign * ((signed_r * total >> f) // k)",
        "(sign * (signed_r * total >> f)) // k",
        ENCLOSURES,
    ),
    Mutant("checker/core/scaled_integers.py", "np.where(underflow, 0, total)", "np.where(underflow, total, total)", ENCLOSURES),
    Mutant("checker/core/scaled_integers.py", "low if exact else low + 1", "low", ENCLOSURES),
    Mutant("checker/core/scaled_integers.py", "np.asarray(self.lo > 0", "np.asarray(self.hi > 0", ENCLOSURES),
    Mutant("checker/core/scaled_integers.py", "np.asarray(self.lo > 0", "np.asarray(self.lo >= 0", ENCLOSURES),
    Mutant(
        "checker/core/scaled_integers.py",
        "return total >> 32, (total + 3 * (k + 1) >> 32) + 1",
        "return total >> 32, total >> 32",
        ENCLOSURES,
    ),
    Mutant("checker/core/exact_weights.py", "np.maximum(biased, 1)", "biased", ENCLOSURES),
    Mutant("checker/core/exact_weights.py", "np.where(negative == 1, -magnitude, magnitude)", "magnitude", ENCLOSURES),
    # Theorems.
    Mutant(
        "checker/attention/additive_tables.py",
        'plus_bias(setting, last @ weight(setting, "blocks.0.attn.W_Q"), "blocks.0.attn.b_Q")',
        'last @ weight(setting, "blocks.0.attn.W_Q")',
        RULES,
    ),
    Mutant("checker/attention/additive_tables.py", "direct = direct + weight", "direct = weight", RULES),
    Mutant("checker/attention/additive_tables.py", "positions[config.n_ctx - 1 :]", "positions[:1]", RULES),
    *(
        Mutant("checker/attention/label_terms.py", old, new, LABEL_TERMS)
        for old, new in (
            ("free_low=free.min(1)", "free_low=free.max(1)"),
            ("free_high=free.max(1)", "free_high=free.min(1)"),
            ("free, queries = tables.position_score[:, :-1]", "free, queries = tables.position_score[:, :1]"),
            ("tables.token_score[queries, queries]", "tables.token_score[queries, 0 * queries]"),
            ("reshape(-1, 1) + tables.position_score[:, -1:]", "reshape(-1, 1) + tables.position_score[:, :1]"),
            ("(scores.own[queries] - reference).exp()", "(reference - scores.own[queries]).exp()"),
            ("(free[queries] - reference for free", "(free[queries[:1]] - reference for free"),
            ("in (scores.free_low, scores.free_high))", "in (scores.free_low, scores.free_low))"),
            ("in (scores.free_low, scores.free_high))", "in (scores.free_high, scores.free_high))"),
            (
                "self.scores.token[self.queries, tokens], self.gaps.free[tokens]",
                "self.scores.token[self.queries, tokens], self.gaps.last[tokens]",
            ),
            ("for free in (self.low, self.high))", "for free in (self.high, self.low))"),
            ("gap.reshape(1, *gap.shape)", "gap[:1].reshape(1, 1, gap.shape[1])"),
            ("value.least_product(low, high)", "value * low"),
            ("prefix_low=tables.token_score.running_min(1)", "prefix_low=tables.token_score"),
            ("prefix_high=tables.token_score.running_max(1)", "prefix_high=tables.token_score"),
            ("tables.direct - common", "tables.direct"),
            ("value[:, -1], value[:, :-1].min(1)", "value[:, -1], value[:, :-1].max(1)"),
            ("value[:, -1], value[:, :-1].min(1)", "value[:, -1], value[:, 0]"),
            ("value[:, -1], value[:, :-1].min(1)", "value[:, 0], value[:, :-1].min(1)"),
            ("token + position[-1:]", "token + position[:1]"),
            ("token + position[:-1].min(0)", "token + position[:-1].max(0)"),
            ("token + position[:-1].min(0)", "token + position[:1].min(0)"),
            ("direct + gaps.last[queries]", "direct + gaps.free[queries]"),
        )
    ),
    *(
        Mutant("checker/attention/rival_blocks.py", old, new, LABEL_TERMS)
        for old, new in (
            ("if len(block) not in (1, labels)", "if False"),
            ("np.any(block < 0) or np.any(block >= block.shape[1])", "np.any(block < 0)"),
            ("np.any(block < 0) or np.any(block >= block.shape[1])", "np.any(block >= block.shape[1])"),
            ("np.any(present[:, 1:] > present[:, :-1])", "False"),
            ("self.block[label % len(self.block)]", "self.block[0]"),
            ("blocks = [members[members != label]", "blocks = [members[members > label]"),
            ("if len(rivals)]", "if len(rivals) > 1]"),
            ("self.table[np.ix_(rows, rivals)].max(1)", "self.table[np.ix_(rows, rivals)].min(1)"),
            ("columns[own] = self.blocks.most + label", "columns[own] = self.blocks.most"),
            ("np.count_nonzero(block == own) > 1", "np.count_nonzero(block == own) > 2"),
            ("else np.delete(columns, own)", "else np.delete(columns, 0)"),
            ("upto = part.running_max(1)", "upto = part.running_min(1)"),
            ("upto[:, : last - 1].maximum(after[:, 2:])", "upto[:, : last - 1].minimum(after[:, 2:])"),
            ("upto[:, : last - 1].maximum(after[:, 2:])", "upto[:, : last - 1]"),
            ("after = part[:, ::-1].running_max(1)[:, ::-1]", "after = part.running_max(1)"),
            ("axis=1)[:, place]]", "axis=1)]"),
        )
    ),
    *(
        Mutant("checker/attention/classes.py", old, new, CLASSES)
        for old, new in (
            ("if sides != min(task.rank, 2) or", "if"),
            ("not 1 <= levels <= _MOST_LEVELS", "not levels <= _MOST_LEVELS"),
            ("not 1 <= levels <= _MOST_LEVELS", "not 1 <= levels"),
            ("np.any(hint < 0) or", ""),
            ("np.any(numbers.copies[row] != copies) or", ""),
            ("numbers.copies[row] != copies", "numbers.copies[row] > copies"),
            ("numbers.copies[row] != copies", "numbers.copies[row] < copies"),
            ("or np.any(numbers.above[row] != above)", ""),
            ("within >= np.cumsum(self.table[row], axis=2)", "within >= self.table[row]"),
            ("within >= np.cumsum(self.table[row], axis=2)", "within > np.cumsum(self.table[row], axis=2)"),
            (").all(axis=(1, 2)), np.bool_)", ").any(axis=(1, 2)), np.bool_)"),
            ("np.any(sizes < 0) or", ""),
            ("or np.any(sizes > tokens[:, :, None])", ""),
            ("sizes > tokens[:, :, None]", "sizes >= tokens[:, :, None]"),
            ("or np.any(sizes[:, :, 1:] < sizes[:, :, :-1])", ""),
            ("sizes[:, :, 1:] < sizes[:, :, :-1]", "sizes[:, :, 1:] <= sizes[:, :, :-1]"),
            ("if np.any((sizes == 0) & (numbers.table[row] > 0))", "if False"),
            ("np.add.reduceat(times[order], starts)", "times[order][starts]"),
            ("arrangements //= math.factorial(sum(numbers))", "pass"),
            ("left -= sum(numbers)", "pass"),
            ("fitting_tuples(meter, kinds[start:stop, 1, side]", "fitting_tuples(meter, kinds[start:stop, 1, 0]"),
            ("ways = ways * fitting_tuples", "ways = fitting_tuples"),
            ("prepend=-1).any(axis=1)", "prepend=-1).all(axis=1)"),
            ("needed += number", "needed = number"),
            ("math.comb(total - before, after - before)", "math.comb(total, after - before)"),
            ("** (after - before)", "** after"),
            ("np.diff(sizes, axis=1, prepend=0).T", "sizes.T"),
            (".T.astype(object)", ".T"),
        )
    ),
    *(
        Mutant("checker/attention/prefixes.py", old, new, CLASSES)
        for old, new in (
            ("np.iinfo(np.int64).max, free)", "0, free)"),
            ("(others < size[:, None])", "(others <= size[:, None])"),
        )
    ),
    Mutant(
        "checker/attention/classes.py", "np.add.reduceat(times[order], starts)", "np.add.reduceat(times, starts)", LOW_RANK[1:]
    ),
    Mutant("checker/attention/classes.py", "meter.toil(_SLOWNESS * steps * (len(sizes) + 16))", "pass", AGREEING),
    *(
        Mutant("checker/attention/classes.py", old, new, ("tests/attention/test_classes.py",))
        for old, new in (
            ("meter.allocate(8 * len(self.row) * (8 * sides * levels + 6))", "pass"),
            ("return 8 * classes * (numbers + 6)", "return 0 * classes * (numbers + 6)"),
        )
    ),
    *(
        Mutant("checker/attention/cell_classes.py", old, new, CLASSES)
        for old, new in (
            ("above + (query > label)", "above"),
            ("above + (query > label)", "above + (query >= label)"),
            ("(larger >= rank) |", ""),
            ("larger >= rank", "larger > rank"),
            ("| (rank > larger + copies + (query == label))", ""),
            ("rank > larger + copies + (query == label)", "rank > larger + copies + 1"),
            ("rank > larger + copies + (query == label)", "rank > larger + copies"),
            ("if joint not in (0, 1)", "if False"),
            ("ValueLeads.of(setting, tables, blocks, joint == 1)", "ValueLeads.of(setting, tables, blocks, True)"),
            ("label + 1 if task.rank == 1 else task.d_vocab", "label + 1"),
            ("copy = terms.worst(slice(label, label + 1))", "copy = terms.worst(slice(0, 1))"),
            ("copy[row].times(cells.copies[which].reshape(-1, 1))", "copy[row]"),
            ("np.flatnonzero(of_level[0])", "np.flatnonzero(of_level[0])[:1]"),
            (".times(of_level[:, column].reshape(-1, 1))", ""),
            ("numbers = classes.numbers.table[classes.row[part]]", "numbers = classes.numbers.table[classes.row[part] * 0]"),
            ("if not proved.all()", "if not proved.any()"),
            (".positive().all(axis=1)", ".positive().any(axis=1)"),
            ("begin = int(part[-1]) + 1", "begin = end"),
        )
    ),
    *(
        Mutant("checker/attention/prefix_chains.py", old, new, CLASSES)
        for old, new in (
            ("if size.shape[3] != levels", "if False"),
            ("claimed = (size != -1).any(axis=3)", "claimed = (size != -1).all(axis=3)"),
            ("prefix_gap = terms.gaps.free.running_min(0)", "prefix_gap = terms.gaps.free"),
            ("sizes[which, side, level] - 1", "np.maximum(sizes[which, side, level] - 2, 0)"),
            ("sizes[which, side, level] - 1", "sizes[which, side, 0] - 1"),
            ("+ terms.low[row]", "+ terms.high[row]"),
            ("+ terms.high[row]", "+ terms.low[row]"),
            ("terms.scores.prefix_low[query, last]", "terms.scores.token[query, last]"),
            ("terms.scores.prefix_high[query, last]", "terms.scores.token[query, last]"),
            ("claimed[query, label, copies] & numbers.fit", "numbers.fit"),
            ("return CertifiedInputs(correct, claimed,", "return CertifiedInputs(correct, claimed & False,"),
        )
    ),
    *(
        Mutant("checker/attention/group_chains.py", old, new, CLASSES)
        for old, new in (
            ("if len(levels) != groupings or", "if"),
            ("np.any(levels < 0) or", ""),
            ("or np.any(levels > depth)", ""),
            ("levels > depth", "levels >= depth"),
            ("if np.any(grouping < -1) or", "if"),
            ("or np.any(grouping >= groupings)", ""),
            ("claimed = grouping != -1", "claimed = grouping > 0"),
            ("* groupings + kind[row[part]]", "* groupings + kind[row[part]] * 0"),
            ("(slice(0, label), slice(label + 1, top))", "(slice(0, label), slice(label, top))"),
            ("(slice(0, label), slice(label + 1, top))", "(slice(0, label), slice(0, label))"),
            ("kinds[group, tokens] - 1", "kinds[group, tokens] - 0"),
            ("kinds[group, tokens] - 1", "-kinds[group, tokens]"),
            ('axis=1, kind="stable")[:, : used[side]]', 'axis=1, kind="stable")[:, ::-1][:, : used[side]]'),
            (".running_min(1)", ""),
            (".running_min(1)", ".running_max(1)"),
            ("pair[which - part[0]]", "pair[which - which[0]]"),
            ("classes.sizes[which, side, level] - 1]", "np.maximum(classes.sizes[which, side, level] - 2, 0)]"),
            ("classes.sizes[which, side, level] - 1]", "classes.sizes[which, side, 0] - 1]"),
            ("members = of_input != -1", "members = of_input >= -1"),
            ("(on_side & (level > 0) &", "(on_side &"),
            ("(level <= upto)).sum(axis=1)", "(level == upto)).sum(axis=1)"),
            ("(free < label, free > label)[:sides]", "(free <= label, free > label)[:sides]"),
            ("claimed.any(axis=3), covers", "claimed.all(axis=3), covers"),
            ("(levels[:, :, None] > 0) &", ""),
            ("(levels[:, :, None] <= np.arange(1, depth + 1))", "(levels[:, :, None] == np.arange(1, depth + 1))"),
            ("upto[grouping, label + 1]]", "upto[grouping, label]]"),
            ("[upto[grouping, label], upto", "[upto[grouping, label + 1], upto"),
        )
    ),
    *(
        Mutant("checker/rules/further_inputs.py", old, new, (*AGREEING, *THEOREMS, *DOUBLE[1:]))
        for old, new in (
            ("np.any(inputs < 0) or", ""),
            ("or np.any(inputs >= task.d_vocab)", ""),
            ("if not strictly_increasing(rows) or any", "if any"),
            ("any(tuple(row) <= before.last for row in rows[:1].tolist())", "False"),
            ("tuple(row) <= before.last", "tuple(row) < before.last"),
            ("if already.any()", "if already.all()"),
            ("already = before.may_count(inputs)", "already = before.covers(inputs)"),
            ("if not proved.all()", "if not proved.any()"),
            ("max([before.last, *map(tuple, rows[-1:].tolist())])", "()"),
            ("max([before.last, *map(tuple, rows[-1:].tolist())])", "max([(), *map(tuple, rows[-1:].tolist())])"),
            ("premises if len(premises) == 2 else (None, None)", "premises[:2]"),
            ("cells[cells_of] = True", "pass"),
            ("if np.any(outputs < 0)", "if False"),
            ("before.correct + len(inputs)", "len(inputs)"),
        )
    ),
    *(
        Mutant("checker/attention/tables.py", old, new, THEOREMS)
        for old, new in (
            ("value[rows, :, labels]", "value[rows, :, query]"),
            ("+ self.position_value", "+ self.position_value[:1]"),
            ("+ self.position_score[query]", "+ self.position_score[query, :1]"),
            (".sum(1).positive()", ".max(1).positive()"),
            ("positive.all(axis=1)", "positive.any(axis=1)"),
        )
    ),
    *(
        Mutant("checker/attention/order_statistic.py", old, new, (*AGREEING, *THEOREMS))
        for old, new in (
            ("self.d_vocab - 1 - tokens if self.reverse else tokens", "tokens"),
            ("places[: task.d_vocab] = task.numbered", "places[:] = task.numbered"),
            ("np.sort(numbers, axis=1)[:, self.n_ctx - self.rank]", "np.sort(numbers, axis=1)[:, -1]"),
            ("(numbers[:, :-1] == true[:, None])", "(numbers == true[:, None])"),
            ("if self.rank != 1:", "if False:"),
            ("type(rank) is int and", ""),
            ('"n": rank} and 1 <= rank <= length', '"n": rank} and rank <= length'),
            ("1 <= rank <= length:", "1 <= rank:"),
            ("if config.d_vocab_out < vocab", "if False"),
            ("1 if smallest else rank", "rank"),
            ("smallest = rank == length and rank > 1", "smallest = rank > 1"),
        )
    ),
    *(
        Mutant("checker/attention/projected_tables.py", old, new, PROJECTED)
        for old, new in (
            ("if min(tilts) < -1", "if False"),
            ("residual not in (_LENGTHS, _DIFFERENCES, _NORMS)", "residual > _NORMS"),
            ("residual not in (_LENGTHS, _DIFFERENCES, _NORMS)", "residual < _LENGTHS"),
            ("or diagonal not in (0, 1)", ""),
            ('"direct": residual % _NORMS', '"direct": residual'),
            ("factors.direct, 1)", "factors.direct, 0)"),
            ("rank * (vocab + columns[name]) + columns[name]", "rank * (vocab + columns[name])"),
            ("columns[name] + 1)[residuals", "columns[name])[residuals"),
            ("            dimension += vocab\n", "            pass\n"),
            ("numbers.maximum(numbers.times(", "numbers.minimum(numbers.times("),
            ("return numbers.maximum(numbers.times(np.full((1, 1), -1, np.int64)))", "return numbers"),
            ("np.where(rows[:, None] == columns", "np.where(rows[:, None] >= columns"),
            ("(main - width).up_to(main + width)", "main.up_to(main + width)"),
            ("(main - width).up_to(main + width)", "(main - width).up_to(main)"),
            ('left - middle, "left")', 'left, "left")'),
            ("main = of_left @ of_right.T + main", "main = of_left @ of_right.T"),
            ("main, of_right = middle @ right.T", "main, of_right = right[:1] @ right.T"),
            ("beyond, main = left - middle, middle @ right.T", "beyond, main = left - middle, right[:1] @ right.T"),
            ("beyond - inside @ matrix.T, inside", "beyond, inside"),
            ("_magnitude(right).max(0)", "_magnitude(right).min(0)"),
            ("_magnitude(right).max(0)", "right.max(0)"),
            ("_magnitude(beyond) @", "beyond @"),
            ("require_lengths(self.setting, rows, self", "require_lengths(self.setting, rows - rows, self"),
            ("gram - (along @ along.T) * self.basis.share", "gram - along @ along.T - gram"),
            ("proved = (square * square - inner", "proved = (square - inner"),
            ('proved & (self.hints["norm"] >= 0)', "proved"),
            ('require(proved & (self.hints["norm"] >= 0), "the norm of a matrix")', "pass"),
            ("Affine(centre, left.matrix, left.shift).vectors", "Affine(centre, left.matrix, None).vectors"),
            ("Affine(centre, left.matrix, left.shift).vectors", "Affine(left.rows[:1], left.matrix, left.shift).vectors"),
            ('self._hint("left", -1, 1) * norm', 'self._hint("left", -1, 1)'),
        )
    ),
    *(
        Mutant("checker/attention/factored_logits.py", old, new, (*PROJECTED, *LOW_RANK[1:]))
        for old, new in (
            ("return product if self.shift is None else product + self.shift", "return product"),
            ("None if self.shift is None else self.shift @ matrix", "None"),
            ("position[config.n_ctx - 1 :]", "position[:1]"),
            ("* setting.arithmetic.reciprocal_sqrt(config.d_head)", ""),
            ("direct = direct + weight", "direct = weight"),
            ('direct = plus_bias(setting, last, _ATTENTION + "b_O")', "direct = last"),
            ("Affine(last, weight", "Affine(token, weight"),
        )
    ),
    *(
        Mutant("checker/rules/projections.py", old, new, (*PROJECTED, *LOW_RANK[1:]))
        for old, new in (
            ("if np.any(numbers >= 1 << 53) or", "if"),
            ("or np.any(numbers <= -(1 << 53))", ""),
            ("if not -_LARGEST_SCALE <= bits", "if not bits"),
            ("<= bits <= _LARGEST_SCALE", "<= bits"),
            ("if not proved.all()", "if not proved.any()"),
            (".positive() & (lengths >= 0).reshape(-1, 1), what", ".positive(), what"),
            ("bound * bound - inner(setting, vectors, vectors)", "bound - inner(setting, vectors, vectors)"),
            ("if not 2 <= tilt", "if not tilt"),
            ("2 <= tilt <= UNIT_BITS", "2 <= tilt"),
            ("1 <= rank <= hint.shape[0]", "rank <= hint.shape[0]"),
            ("<< (2 * tilt) > one**2", "<< tilt > one**2"),
            ("(excess**2).sum()", "(excess**2).min()"),
            ("(np.arange(rank)[:, None] == np.arange(rank), one, 0)", "(np.arange(rank)[:, None] >= 0, one, 0)"),
            ("if int((excess**2).sum())", "if 0 * int((excess**2).sum())"),
            ("(1 << tilt) - 3", "1 << tilt"),
            (
                "inner(setting, vectors, vectors) - inner(setting, inside, inside) * self.share",
                "inner(setting, inside, inside)",
            ),
            ("(bound * bound - outside).positive() & (rest >= 0).reshape(-1, 1)", "(bound * bound - outside).positive()"),
            ("(bound * bound - outside).positive() & (rest >= 0)", "(bound - outside).positive() & (rest >= 0)"),
        )
    ),
    *(
        Mutant("checker/attention/ball_covers.py", old, new, LOW_RANK)
        for old, new in (
            ("if not np.array_equal(order[place], np.arange(outputs))", "if False"),
            ("np.any(begin < 0) or", ""),
            ("np.any(end > outputs) or", ""),
            ("or np.any(begin >= end)", ""),
            ("or len(radius) != len(begin)", ""),
            ("require(inside & (radius >= 0)", "require((inside | True) & (radius >= 0)"),
            ("inside & (radius >= 0)[ball].reshape(-1, 1)", "inside"),
            ("np.maximum.reduceat", "np.minimum.reduceat"),
            ("if np.any(label < 0) or", "if"),
            ("np.any(label >= rows.shape[0]) or", ""),
            ("or np.any(ball >= len(self.begin))", ""),
            ("if np.any(np.diff(label) < 0)", "if False"),
            ("(before + 1 == after) & (before == self.place[m])", "(before + 1 == after)"),
            ("(before == after) | (", "(before >= after) | ("),
            ("(before == after) | (", "(before <= after) | ("),
            ("rows[m : m + 1].T).max(0)", "rows[m : m + 1].T).min(0)"),
        )
    ),
    *(
        Mutant("checker/attention/low_rank_chains.py", old, new, LOW_RANK)
        for old, new in (
            ("or np.any(own > np.arange(vocab).reshape(-1, 1, 1))", ""),
            ("or np.any(np.diff(own, axis=2) < 0)", ""),
            ("(profile < profiles) & (copies == 0)", "(profile > profiles)"),
            ("or np.any((profile == profiles) & (band[label] != of_band))", ""),
            ("count[below] = queries[self.label[below], self.profile[below]]", "count[below] = len(members)"),
            ("return cells[query, label, copies] & self.classes", "return self.classes"),
            ("task.require_largest(step.rule)", "pass"),
            ("if not np.isin(claims.label, labels).all()", "if False"),
            ("or 2 * kappa * mu < nu * nu", ""),
            ("2 * kappa * mu < nu * nu", "4 * kappa * mu < nu * nu"),
            ("loss = length * (number(reach) + number(reach))", "loss = length * number(reach)"),
            ('require(plus_margin(setting, log_loss.exp() - loss, -1).positive(), "log_loss")', "pass"),
            ('require(plus_margin(setting, own[labels] - largest - log_gain.exp(), -1).positive(), "log_gain")', "pass"),
            ("- number(mu) - behind", "- behind"),
            ("- number(mu) - behind", "- number(mu)"),
            ("lead = value - of_tokens * number(kappa)", "lead = value"),
            ("require(left[profiles:].positive()", "require(left[:profiles].positive()"),
            ("(left[:profiles] - own.exp()).positive()", "left[:profiles].positive()"),
            ("ahead=beta.running_max(0) - beta", "ahead=beta - beta"),
            ("spread=position.max(1) - position.min(1)", "spread=position.max(1) - position.max(1)"),
            ("risk = (score + rest + log_loss).running_max(0)", "risk = score + rest + log_loss"),
            ("risk = (score + rest + log_loss)", "risk = (score + log_loss)"),
            ("base = log_gain + score - rest", "base = log_gain + score"),
            ("- self.ahead * width", ""),
            ("shares.levels[share] - risk[sizes[used, level] - 1]", "shares.levels[share] - risk[sizes[used, 0] - 1]"),
            ("used = numbers[:, level] > 0", "used = numbers[:, level] > 1"),
            ("shares.own[pairs[:, 1]] - risk[size - 1]", "shares.own[pairs[:, 1]] - risk[size - 2]"),
            ('require(left.positive(), f"that the queries of band {number} are harmless")', "pass"),
            ('require(left.positive(), f"that a prefix of level {level} in band {number} is harmless")', "pass"),
        )
    ),
    Mutant("checker/core/ordering.py", "before != after", "before <= after", DOUBLE),
    Mutant("checker/core/ordering.py", "before[first] < after[first]", "before[first] <= after[first]", RULES),
    *(
        Mutant("checker/attention/enumeration.py", old, new, (*DOUBLE, *AGREEING, *RULES))
        for old, new in (
            ("margin.min(0).positive()", "margin.max(0).positive()"),
            (" & ~self.skipped(place)", ""),
            ("np.any(first < 0) or ", ""),
            ("np.any(first >= end) or ", ""),
            (" or np.any(end > task.d_vocab)", ""),
            ("np.any(edges < 0) or ", ""),
            ("np.any(edges > within) or ", ""),
            (" or np.any(edges[1:] <= edges[:-1])", ""),
            ("if within >= 2**62", "if False"),
            ("task.require_largest(step.rule)", "pass"),
            ("max(query, first[-1])", "first[-1]"),
            ("task.n_ctx if label == query else task.free", "task.n_ctx"),
            ("label + (free >= copy)", "label + 1"),
            ("np.maximum(label - first[:-2], 0)", "0"),
            ("np.where(here, middle, low), high)", "low, high)"),
            ("setting.meter.toil(_EFFORT_OF_A_PRODUCT)", "pass"),
            ("self.meter.toil(_EFFORT_PER_TOKEN * (inputs.size + 300))", "pass"),
            ("(known < self.end)", "(known <= self.end)"),
            ("held[held] = ~self.skipped", "held[held] &= self.skipped"),
            ("region.holds)", "covers)"),
            ("cells[first[-2] : end[-2], first[-1] : end[-1]] = True", "pass"),
            ("value[at] + position[-1:]", "value[at] + position[:1]"),
            (".maximum(own_score)", ""),
        )
    ),
    # Counting and disjointness.
    # Time that must be announced.
    *(
        Mutant(f"checker/{file}.py", old, new, PACE)
        for file, old, new in (
            ("rules/further_inputs", "setting.meter.toil(_EFFORT_PER_TOKEN * (inputs.size + 1600))", "pass"),
            (
                "attention/group_chains",
                "setting.meter.gathering(_GATHERED_PER_TOKEN * (tokens.size + 1000) * depth * sides)",
                "pass",
            ),
            ("attention/prefix_chains", "setting.meter.gathering(GATHERED_PER_TOKEN * (tokens.size + 1000) * levels)", "pass"),
            ("rules/disjoint_sum", "setting.meter.scripting(_STEPS_OF_A_LOOKUP * len(parts))", "pass"),
            ("core/enclosures", "np.asarray(part, np.int64) if isinstance(part, list) else part", "part"),
            ("core/scaled_integers", "self.meter.gathering(lo.size)", "pass"),
        )
    ),
    Mutant("checker/rules/disjoint_sum.py", "if np.any(cells & premise.cells)", "if False", RULES),
    Mutant("checker/rules/disjoint_sum.py", "max((part.last for part in parts), default=())", "()", DOUBLE),
    Mutant("checker/rules/disjoint_sum.py", "cells |= premise.cells", "pass", RULES),
    # Networks on two inputs.
    *(Mutant(file, old, new, ("tests/core/test_golden.py",)) for file, old, new in pair_mutants.CAUGHT_BY_CASES),
    *(
        Mutant(file, old, new, ("tests/core/test_golden.py", "tests/layers/test_set_output.py"))
        for file, old, new in pair_mutants.OF_SETS
    ),
    *(Mutant(file, old, new, ENCLOSURES) for file, old, new in pair_mutants.OF_ARITHMETIC),
    *(Mutant(file, old, new, CODES) for file, old, new in pair_mutants.OF_CODES),
    *(Mutant(file, old, new, (*QUICK, *GROUPS)) for file, old, new in (*pair_mutants.OF_LAWS, *pair_mutants.OF_TASKS)),
    *(Mutant(file, old, new, ("tests/layers/test_quadrature.py", *QUICK)) for file, old, new in pair_mutants.OF_QUADRATURES),
    *(Mutant(file, old, new, ("tests/layers/test_phase_sums.py",)) for file, old, new in pair_mutants.OF_PHASE_SUMS),
    *(Mutant(file, old, new, ("tests/layers/test_mlp_quadrature.py", *QUICK)) for file, old, new in pair_mutants.OF_MLPS),
    *(Mutant(file, old, new, ("tests/layers/test_wave_output.py", *QUICK)) for file, old, new in pair_mutants.OF_FREQUENCIES),
    *(
        Mutant(file, old, new, ("tests/layers/test_projected_hidden_tables.py", *QUICK))
        for file, old, new in pair_mutants.OF_BASES
    ),
    *(Mutant(file, old, new, tests) for file, old, new, tests in statement_mutants.ALL),
    # The verdict.
    *(
        Mutant("checker/decide.py", old, new, RULES)
        for old, new in (
            ("if statement.model_digest != model.digest()", "if False"),
            ("if isinstance(statement, Statement) and statement.total != task.total", "if False"),
            ("if result.correct != statement.correct", "if result.correct > statement.correct"),
            ("if result.correct != statement.correct", "if result.correct < statement.correct"),
            ("if index not in used", "if False"),
            ("not 0 <= premise < index for", "not premise < index for"),
            ("decode(name, tensor)", "pass"),
        )
    ),
    *(
        Mutant("checker/decide.py", old, new, COMMANDS)
        for old, new in (
            ("statement.correct < pins.at_least * statement.total", "False"),
            ("pins.task is not None and pins.task != statement.task", "False"),
            ("allowed is not None and step.rule not in allowed", "False"),
        )
    ),
    *(
        Mutant(file, old, new, PINS)
        for file, old, new in (
            ("checker/decide.py", "if pins.error_at_most", "if False"),
            ("checker/layers/quadrature_claims.py", "claim.error > most * claim.amplitude", "False"),
            (
                "checker/layers/quadrature_claims.py",
                "claim.error > most * claim.amplitude",
                "claim.error >= most * claim.amplitude",
            ),
            ("checker/layers/quadrature_claims.py", "if claim is None", "if False"),
            (
                "checker/layers/quadrature_claims.py",
                "for frequency, most in pins.error_at_most.items()",
                "for frequency, most in ()",
            ),
        )
    ),
    Mutant("checker/decide.py", "meter.allocate(_BYTES_PER_WEIGHT", "meter.allocate(0", GROUPS),
    Mutant("checker/decide.py", "statement.correct > statement.total", "False", SHARDS),
    *(
        Mutant("checker/reporting/shards.py", old, new, SHARDS)
        for old, new in (
            ("shard.about != first.about", "False"),
            ("(first.certificate_sha256, first.model_digest) != (certificate_sha256, model_digest)", "False"),
            ("(first.version, first.code, first.arithmetic) != (__version__, code_digest(), arithmetic)", "False"),
            ("len(shards) != first.of or ", ""),
            (" or {shard.shard for shard in shards} != set(range(1, len(shards) + 1))", ""),
            ("len(items) != first.parts", "False"),
            ("len(found) != own or ", ""),
            (" or any(number >= parts or number % of != shard - 1 for number in found)", ""),
            ("meter.operations += operations", "pass"),
            ("calls > 1", "False"),
            ("numbers = range(shard - 1, parts, of)", "numbers = range(shard, parts, of)"),
        )
    ),
    Mutant("checker/reporting/verdict.py", "if unknown or isinstance(names, str)", "if False", COMMANDS),
    *(
        Mutant(file, old, new, ("tests/commands/test_verified_only.py",))
        for file, old, new in (
            ("checker/reporting/verified_only.py", "task is not None and task != verdict.task", "False"),
            ("checker/reporting/verified_only.py", "< accuracy * (verdict.total or 0)", "< 0"),
            ("checker/reporting/verified_only.py", '(verdict.margin or "0") < margin', '(verdict.margin or "0") < 0'),
            ("checker/reporting/second_checker.py", 'and answer["accepted"] is True', ""),
            ("checker/reporting/cli.py", "if name not in _WITH_VERIFIED_ONLY and", "if False and"),
        )
    ),
    Mutant(
        "checker/reporting/decimals.py",
        "numerator * 10**digits // denominator, 10",
        "-(-numerator * 10**digits // denominator), 10",
        COMMANDS,
    ),
    Mutant("certificates/certificate.py", "if len(premises) > MAX_STEPS", "if False", ("tests/core/test_tensor_file.py",)),
    Mutant("certificates/model_file.py", "absorb(tensor.data)", "pass", RULES),
    Mutant(
        "certificates/model_file.py",
        "if name == _MASK and positions",
        "if name == _MASK",
        ("tests/core/test_hidden_models.py",),
    ),
    Mutant("certificates/canonical_json.py", "if dumps(value) != text", "if False", RULES),
    # Groups, and networks with one hidden layer.
    *(
        Mutant("checker/core/scaled_integers.py", old, new, ENCLOSURES)
        for old, new in (
            ("up -= (self.shift + up) % 2", "pass"),
            ("up = self.arithmetic.width - self.bound.bit_length()", "up = 63 - self.bound.bit_length()"),
            ("np.where(high * high < np.maximum(a.hi, 0), high + 1, high)", "np.where(high < 0, high + 1, high)"),
            ("math.isqrt(a.bound) + 1", "math.isqrt(a.bound)"),
            ("np.maximum(np.maximum(self.lo, -self.hi), 0)", "np.maximum(self.lo, 0)"),
            ("np.maximum(np.maximum(self.lo, -self.hi), 0)", "np.minimum(np.abs(self.lo), np.abs(self.hi))"),
            ("np.maximum(self.lo, 0), np.maximum(self.hi, 0)", "np.maximum(self.lo, 0), self.hi"),
            ("a = self._rounded(self.arithmetic.width - terms.bit_length())", "a = self"),
            ("a = self._rounded(self.arithmetic.width - self.shape[0].bit_length())", "a = self"),
            ("a.shift, terms * a.bound", "a.shift, a.bound"),
            ("np.sort(self.lo, axis=axis), np.sort(self.hi, axis=axis)", "np.sort(self.lo, axis=axis), self.hi"),
        )
    ),
    Mutant("checker/core/enclosures.py", "self.max(axis) - self.min(axis)", "self.max(axis) - self.max(axis)", HIDDEN),
    *(
        Mutant("checker/layers/hidden_tables.py", old, new, HIDDEN)
        for old, new in (
            ("left[:, some].max(0) + right[:, some].max(0)", "left[:, some].max(0) + right[:, some].min(0)"),
            ("right[:, some].max(0) + bias[0, some]).relu()", "right[:, some].max(0)).relu()"),
            ("right[:, some].max(0) + bias[0, some]).relu()", "right[:, some].max(0) + bias[0, some])"),
            ("unembed[some].range(1)", "unembed[some].max(1)"),
            ("(active * unembed[some].range(1)).reshape(-1, 1).sum(0)", "(active * unembed[some].range(1)).max(0)"),
            ("return here.times(triple)", "return here"),
            ("positions.sum(0).reshape(1, config.d_model) + embed[size:]", "positions.sum(0).reshape(1, config.d_model)"),
            ("positions.sum(0).reshape(1, config.d_model) + embed[size:]", "embed[size:]"),
            ("positions.sum(0).reshape(1, config.d_model)", "positions[2:].times(triple)"),
            ("here = embed[size:] + positions[2:]", "here = embed[size:] + positions[:1]"),
            ("here = embed[size:] + positions[2:]", "here = positions[2:]"),
            ('if _ATTENTION + "b_V" in setting.model.tensors', "if False"),
            ('here = plus_bias(setting, here, _ATTENTION + "b_O")', "pass"),
            ('_bias(setting, _MLP + "b_in", config.d_mlp).times(triple)', '_bias(setting, _MLP + "b_in", config.d_mlp)'),
            ('_bias(setting, _MLP + "b_out", config.d_model).times(triple)', '_bias(setting, _MLP + "b_out", config.d_model)'),
            ('_bias(setting, "unembed.b_U", outputs).times(triple)', '_bias(setting, "unembed.b_U", outputs)'),
            ("or len(chosen) + np.count_nonzero(other) != config.d_mlp", ""),
        )
    ),
    *(
        Mutant("checker/layers/pairs.py", old, new, HIDDEN)
        for old, new in (
            ("np.any((wanted != 0) & (wanted != 1))", "False"),
            ("if mirrored not in (0, 1)", "if False"),
            ("tables.symmetric and task.commutative", "tables.symmetric"),
            ("tables.symmetric and task.commutative", "task.commutative"),
            ("if mirrored and np.any(left > right)", "if False"),
            ("cells | cells.T if self.mirrored else cells", "cells | cells.T"),
            ("cells | cells.T if self.mirrored else cells", "cells"),
            ("proved[np.arange(len(self.label)), self.label] = True", "proved[:, -1] = True"),
            ("int(np.count_nonzero(cells)), cells", "cells.size, cells"),
        )
    ),
    *(
        Mutant("checker/layers/coded_output.py", old, new, HIDDEN)
        for old, new in (
            ("- tables.slack", ""),
            ("if len(premises) != 1", "if False"),
            ("tables.slack.times(two)", "tables.slack"),
            ("- allowed", ""),
            ("tables.constant.times(two)", "tables.constant"),
            ("written + tables.direct.times(two)", "written + tables.direct"),
            ("else linear(tables.left)", "else linear(tables.right)"),
            (
                "length.reshape(outputs, 1) + length.reshape(1, outputs)",
                "length.reshape(outputs, 1) - length.reshape(1, outputs)",
            ),
            ("squares.reshape(1, outputs) - twice", "squares.reshape(1, outputs) - twice - twice"),
            ("if pairwise not in (0, 1) or any", "if any"),
            ("[:, self.places]", ""),
        )
    ),
    *(
        Mutant("checker/layers/set_output.py", old, new, SETS)
        for old, new in (
            ("beside = loose.max(0).sum(0).minimum(loose.max(1).sum(0)).reshape(1, 1) +", "beside ="),
            (" + (e * part.r).sum(0).reshape(1, 1)", ""),
            ("(tables.unembed - ideal)", "(tables.unembed + ideal)"),
            ("(active * part.t, active", "(active * part.r, active"),
            ("main.min(0).concatenate([main.max(0)", "main.max(0).concatenate([main.min(0)"),
            ("beside = loose.max(0).sum(0)", "beside = loose.max(0).max(0)"),
            ("beside = loose.max(0).sum(0)", "beside = loose.min(0).sum(0)"),
            ("minimum(loose.max(1).sum(0))", "minimum(loose.min(1).sum(0))"),
            ("np.sort(np.abs(change), axis=1)", "np.abs(change)"),
            ("np.sort(np.abs(change), axis=1)", "np.sort(np.maximum(change, 0), axis=1)"),
            ("load.sort(0)", "load"),
            ("e * abs(part.t))", "e * part.t)"),
            ("concatenate([zeros(setting, 1, values.shape[1])], axis=0)", "concatenate([values[:1]], axis=0)"),
            ("lam + tables.bias[:, some].T", "lam"),
            ("part.first[group.inverse], part.beta", "part.first, part.beta"),
            ("(e_left + e_right)", "e_left"),
            ("(e_left + e_right)", "e_right"),
            (".range(1).reshape(-1, 1)", ".max(1).reshape(-1, 1)"),
            (".maximum(middle - low).max(1)", ".maximum(middle - low).min(1)"),
            ("    group.require_invariant(setting, action, kernel)\n", ""),
            ("    group.require_action(setting, action)\n", ""),
            ("kernel[:, part.second]", "kernel[:, part.second[group.inverse]]"),
            (").relu().reshape(count, cells)", ").reshape(count, cells)"),
            ("np.diff(rows[:, :2], axis=0", "np.diff(rows[:, :1], axis=0"),
        )
    ),
    *(
        Mutant("checker/layers/group_laws.py", old, new, GROUPS)
        for old, new in (
            (">= len(each).bit_length()", "> len(each)"),
            ("if not task.group:", "if False:"),
            ("if not reached.all()", "if False"),
            ("np.any(table[:, unit] != each) or ", ""),
            ("or np.any(table[each, inverse] != unit)", ""),
            ("np.array_equal(table[table[:, s]], np.take(table, table[s], axis=1))", "True"),
            ("np.any((action < 0) | (action >= action.shape[1])) or", ""),
            ("or np.any(action[self.unit] != np.arange(action.shape[1]))", ""),
            ("np.array_equal(action[self.table[s]], action[s][action])", "True"),
            ("action[s][action]", "action[:, action[s]]"),
            ("np.argmax(table == unit, axis=1)", "np.argmax(table == 0, axis=1)"),
        )
    ),
    *(
        Mutant("checker/layers/composition.py", old, new, (*GROUPS, *HIDDEN))
        for old, new in (
            (
                'task == {"name": "modular-addition", "modulus": modulus} and type(modulus) is int',
                'task == {"name": "modular-addition", "modulus": modulus}',
            ),
            ("if table.min() < 0 or", "if"),
            ("or table.max() >= size", ""),
            ("if given.shape != (size, size)", "if False"),
            ("meter.hold(_BYTES_PER_ENTRY * size**2)", "meter.hold(32 * size**2)"),
            ('group_table(f"cyclic:{modulus}", size)', 'group_table(f"cyclic:{modulus}")'),
            ("group_table(group, size)", "group_table(group)"),
            ("if digest != table_digest(table)", "if False"),
            ("    if given:", "    if False:"),
            ("size = config.input_shape[1]", "size = config.d_vocab"),
            ("or config.d_vocab_out < size", ""),
            ("group=digest is None", "group=True"),
            ("np.array_equal(self.table, self.table.T)", "True"),
        )
    ),
    *(
        Mutant("certificates/groups.py", old, new, GROUPS)
        for old, new in (
            ("_table(parts[1], largest // len(left))", "_table(parts[1], largest)"),
            ("(power[:, None] + (1 - 2 * sign[:, None]) * power)", "(power[:, None] + power)"),
            ("permutation[every] @ weights", "every[:, permutation] @ weights"),
            ("every = every[inversions % 2 == 0]", "every = every[inversions % 2 == 1]"),
            ("size * signs > largest", "size > largest"),
            ("or len(table) < 2", ""),
        )
    ),
    Mutant(
        "checker/core/facts.py",
        "setting.meter.allocate(9 * max(",
        "setting.meter.allocate(0 * max(",
        ("tests/layers/test_mlp_quadrature.py::test_a_long_hint_is_refused_before_it_is_sorted",),
    ),
    Mutant("certificates/tensor_file.py", "if position != len(body)", "if False", ("tests/core/test_tensor_file.py", *RULES)),
    *transformer_mutants(),
]


if __name__ == "__main__":
    sys.exit(main(MUTANTS))
