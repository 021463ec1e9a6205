"""Mutants of margins, automata, enumeration for any task, executions (see mutants): file, what, by what, tests."""

GOLDEN = "tests/core/test_golden.py::test_the_checker_gives_the_recorded_verdict"
GREEDY = "tests/attention/test_theorems.py::test_prefix_chains_enlarged_greedily_are_true"
LISTED = "tests/attention/test_theorems.py::test_further_inputs_listed_greedily_are_true"
LOW_RANK = "tests/attention/test_low_rank_chains.py"
PAIRS = "tests/layers/test_hidden_rules.py"
AUTOMATA = (GOLDEN, "tests/core/test_automata.py")
EXECUTIONS = (GOLDEN, "tests/core/test_float_execution.py")
ANNOUNCED = "tests/core/test_announced_work.py"
COMMANDS = ("tests/commands/test_commands.py",)

_MARGINS = (
    ("checker/attention/label_terms.py", "gaps.label), -1)", "gaps.label), 0)"),
    ("checker/attention/label_terms.py", "gaps.label), -1)", "gaps.label), 1)"),
    ("checker/attention/tables.py", "length, 1), -1)", "length, 1), 0)"),
    ("checker/attention/enumeration.py", "gap(tables.direct[at]), -1)", "gap(tables.direct[at]), 0)"),
    ("checker/attention/low_rank_chains.py", "log_loss.exp() - loss, -1)", "log_loss.exp() - loss, 0)"),
    ("checker/attention/low_rank_chains.py", "largest - log_gain.exp(), -1)", "largest - log_gain.exp(), 0)"),
    ("checker/core/enclosed_weights.py", "if not setting.margin:", "if True:"),
    (
        "checker/core/enclosed_weights.py",
        "setting.margin, up=True)",
        "setting.margin, up=True).times(np.zeros((1, 1), np.int64))",
    ),
)
_DECIDING = (
    ("checker/decide.py", "statement.margin if isinstance(statement, Statement) else Fraction(0)", "Fraction(0)"),
    ("checker/decide.py", "if result.deployed != statement.deployed", "if False"),
    ("checker/decide.py", "if result.deployed != statement.deployed", "if result.deployed is None and statement.deployed"),
    ("certificates/certificate.py", '{"margin", "deployed"} & set(given)', '{"margin", "deployed", "note"} & set(given)'),
    ("certificates/certificate.py", 'or fields.get("margin") == "0"', ""),
    ("certificates/certificate.py", "not _MARGIN.fullmatch(margin)", "not _MARGIN.match(margin)"),
    ("certificates/certificate.py", 'bool(_FORMAT.fullmatch(deployed)) != ("deployed" in fields)', "False"),
)
_PINS = (
    ("checker/decide.py", "statement.margin < pins.margin_at_least", "False"),
    ("checker/decide.py", "statement.margin < pins.margin_at_least", "statement.margin <= pins.margin_at_least"),
    ("checker/decide.py", "if pins.deployed not in (None, statement.deployed)", "if False"),
)
_AUTOMATA = (
    ("certificates/automaton.py", "or not np.array_equal(np.sort(order), np.arange(len(order)))", ""),
    ("certificates/automaton.py", "np.any(transitions < -1) or", ""),
    ("certificates/automaton.py", "or np.any(transitions >= states)", ""),
    ("certificates/automaton.py", "if np.any(outputs < -1)", "if False"),
    ("certificates/automaton.py", "steps not in (1, len(order)) or", ""),
    ("certificates/automaton.py", "or outputs.shape != (len(reads), states)", ""),
    ("certificates/automaton.py", "np.where(state < 0, -1, self.at", "np.where(state < -1, -1, self.at"),
    ("certificates/automaton.py", "inputs[:, position]", "inputs[:, step]"),
    ("certificates/automaton.py", "[(table >= 0) & due[table]]", "[due[table]]"),
    ("certificates/automaton.py", "number * ways[before]", "ways[before]"),
    ("certificates/automaton.py", "longer.get(after, 0) +", ""),
    ("certificates/automaton.py", "self.reads[:, 1] == step] >= 0", "self.reads[:, 1] == step] > 0"),
    ("certificates/automaton.py", "step if len(self.transitions) > 1 else 0", "0"),
    ("certificates/automaton.py", "set(tables) not in (TABLES, WITH_READS)", "not set(tables) >= TABLES"),
    ("certificates/automaton.py", "(state < 0) | np.any(found < 0, axis=1)", "state < 0"),
    ("certificates/automaton.py", "(state < 0) | np.any(found < 0, axis=1)", "np.any(found < 0, axis=1)"),
    ("certificates/automaton.py", "self.reads[:, 1] == step + 1", "self.reads[:, 1] == step"),
    ("certificates/automaton.py", "[(table >= 0) & due[table]]", "[table >= 0]"),
    ("certificates/automaton.py", "np.any(reads < (0, 1)) or", ""),
    ("certificates/automaton.py", "or np.any(reads > (len(order) - 1, len(order)))", ""),
    ("certificates/automaton.py", "np.any(np.diff(reads[:, 0]) <= 0)", "np.any(np.diff(reads[:, 0]) < 0)"),
    ("certificates/automaton.py", "elif np.array_equal(reads, _usual(len(order))):", "elif False:"),
    ("certificates/automaton.py", "type(x) is int and", ""),
    ("checker/core/automata.py", "if entries > _MOST_ENTRIES", "if False"),
    ("checker/core/automata.py", "meter.hold(_BYTES_PER_ENTRY * entries)", "pass"),
    ("checker/core/automata.py", 'if task != {"automaton": automaton.digest}', "if False"),
    ("checker/core/automata.py", 'if task != {"automaton": automaton.digest}', 'if task["automaton"] != automaton.digest'),
    ("checker/core/automata.py", "if automaton.outputs.max() >= config.d_vocab_out", "if False"),
    ("checker/core/automata.py", "if total == 0", "if False"),
    ("checker/core/automata.py", 'if "reads" in given and config.architecture != "transformer"', "if False"),
    ("checker/core/automata.py", "slice(first[-1], end[-1])", "slice(first[0], end[0])"),
    ("checker/attention/order_statistic.py", "    if given:\n", "    if False:\n"),
)
_ALL_INPUTS = (
    ("checker/rules/all_inputs.py", "if np.any(first < 0) or", "if"),
    ("checker/rules/all_inputs.py", "or np.any(first >= end)", ""),
    ("checker/rules/all_inputs.py", "or np.any(end > task.d_vocab)", ""),
    ("checker/rules/all_inputs.py", "or np.any(edges > within)", ""),
    ("checker/rules/all_inputs.py", "or np.any(edges[1:] <= edges[:-1])", ""),
    ("checker/rules/all_inputs.py", "& (task.outputs_of(inputs)[:, 0] >= 0)", ""),
    ("checker/rules/all_inputs.py", "% 2 == 0), np.bool_)", "% 2 >= 0), np.bool_)"),
    ("checker/rules/all_inputs.py", "np.all((first <= inputs) & (inputs < end), axis=1)", "np.ones(len(inputs), np.bool_)"),
    ("checker/rules/all_inputs.py", "min(start + _BLOCK, within)", "start + _BLOCK"),
    ("checker/rules/all_inputs.py", "cells[task.cells_within(first, end)] = True", "pass"),
    ("checker/rules/all_inputs.py", "cells, covers, held,", "cells, covers, covers,"),
    ("checker/rules/all_inputs.py", "len(premises) != 1 or", ""),
    ("checker/rules/all_inputs.py", "or not isinstance(premises[0], Classifier)", ""),
    ("checker/layers/facts.py", "- self.slack - values", "- values"),
    ("checker/layers/facts.py", "shifted = self.left + self.bias", "shifted = self.left"),
    ("checker/layers/facts.py", "self.right[right]).relu()", "self.right[left]).relu()"),
    ("checker/layers/facts.py", ".relu() @", "@"),
    ("checker/layers/facts.py", "@ self.unembed + self.constant", "@ self.unembed"),
    ("checker/layers/facts.py", "if self.direct is None else", "if True else"),
    ("checker/layers/facts.py", "self.direct[left] + self.direct[right]", "self.direct[left]"),
    ("checker/layers/facts.py", "leads.all(axis=1)", "leads.any(axis=1)"),
)  # fmt: skip
_ANNOUNCED = (
    ("checker/rules/all_inputs.py", "- task.d_vocab**task.n_ctx + task.total", ""),
    ("checker/rules/all_inputs.py", "within - int((edges[1::2] - edges[::2]).sum())", "within"),
    ("checker/rules/all_inputs.py", "within * task.n_ctx + max(0, inputs) * effort", "within * task.n_ctx"),
    ("checker/attention/tables.py", "operations = 4 *", "operations = 8 *"),
    ("checker/layers/facts.py", "products = 2 *", "products = 4 *"),
    ("checker/transformer/transformer_forward.py", "// shared, places * effort // shared", ", places * effort"),
    ("checker/transformer/transformer_forward.py", "slow = 6 *", "slow = 60 *"),
)  # fmt: skip
_EXECUTIONS = (
    ("checker/rules/float_formats.py", "len(premises) != 1 or not", "not"),
    ("checker/rules/float_formats.py", "if not 0 <= number <", "if not number <"),
    ("checker/rules/float_formats.py", "if any(_BITS_STORED[tensor.dtype] > form.bits", "if any(False"),
    ("checker/rules/float_formats.py", "if not (dyadic(setting, Fraction(2)", "if False and (dyadic(setting, Fraction(2)"),
    ("checker/rules/float_formats.py", "if not (dyadic(setting, setting.margin)", "if not (dyadic(setting, Fraction(2))"),
    ("checker/rules/float_formats.py", "- (error + error)).positive().all()", "- error).positive().all()"),
    ("checker/rules/float_formats.py", "- (error + error)).positive().all()", "- (error + error)).positive().any()"),
    ("checker/rules/float_formats.py", "unexplained_dimension=0", "unexplained_dimension=1"),
    ("checker/rules/float_formats.py", "Fraction(roundings, 2**self.bits)", "Fraction(1, 2**self.bits)"),
    ("checker/rules/float_formats.py", "Fraction(operands, 2**self.operand_bits)", "Fraction(0)"),
    ("checker/rules/float_formats.py", "x.denominator - x.numerator)", "8 * x.denominator)"),
    ("checker/rules/float_execution.py", "tilt * half * spread.reshape(1, -1) +", "spread.reshape(1, -1).times(0 * two) +"),
    ("checker/rules/float_execution.py", "+ sizes.gamma(count) * size + lost", "+ lost"),
    ("checker/rules/float_execution.py", "off = sizes.gamma(2 * d + h + 12) * score", "off = sizes.gamma(0) * score"),
    ("checker/rules/float_execution.py", "query = last @", "query = (last - last) @"),
    ("checker/rules/float_execution.py", "for position in range(1, k):", "for position in range(1, 1):"),
    ("checker/rules/float_execution.py", "rows = abs(embed + place[position", "rows = abs(embed - embed + place[position"),
    ("checker/rules/float_execution.py", "+ last @ values\n", "\n"),
    ("checker/rules/float_execution.py", "off @ written + sizes.gamma(count) * size", "sizes.gamma(count) * size"),
    ("checker/rules/float_execution.py", "off @ written + sizes.gamma(count) * size", "off @ written"),
    ("checker/rules/float_execution.py", "+ _total(final),\n        _total(attended),", "+ _total(final),"),
    ("checker/rules/float_execution.py", "sizes.upper(Fraction(2**40))", "sizes.upper(Fraction(config.d_head))"),
    ("checker/core/enclosed_weights.py", "ceiling if up else floor", "floor"),
)  # fmt: skip
ALL = (
    *((*mutant, (GOLDEN, GREEDY, LISTED, PAIRS, LOW_RANK)) for mutant in _MARGINS),
    *((*mutant, (GOLDEN,)) for mutant in _DECIDING),
    *((*mutant, COMMANDS) for mutant in _PINS),
    *((*mutant, AUTOMATA) for mutant in _AUTOMATA),
    *((*mutant, (*AUTOMATA, PAIRS)) for mutant in _ALL_INPUTS),
    *((*mutant, EXECUTIONS) for mutant in _EXECUTIONS),
    *((*mutant, (ANNOUNCED,)) for mutant in _ANNOUNCED),
)
