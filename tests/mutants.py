"""Weaken the checker in one place at a time and see that a test fails: `make mutants` (an hour or so).

Each mutant replaces one piece of text in one file of a copy of the project, turns a comparison or a rounding around, drops
a check, or miscounts. The tests named with it run against the copy; a mutant that no test notices is reported, and the
exit status is 1.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENCLOSURES = ("tests/test_enclosures.py",)
RULES = ("tests/test_golden.py", "tests/test_attacks.py", "tests/test_theorems.py")


@dataclass(frozen=True)
class Mutant:
    """One replacement, and the tests that should notice it."""

    file: str
    old: str
    new: str
    tests: tuple[str, ...]


MUTANTS = [
    # Rounding and overflow.
    Mutant("checker/scaled_integers.py", "return -(-numbers >> bits)", "return numbers >> bits", ENCLOSURES),
    Mutant("checker/scaled_integers.py", "a.lo - b.hi, a.hi - b.lo", "a.lo - b.lo, a.hi - b.hi", ENCLOSURES),
    Mutant("checker/scaled_integers.py", "shift -= max(top + 1 - self.arithmetic.width, 0)", "pass", ENCLOSURES),
    Mutant("checker/scaled_integers.py", "+ radius_a @ np.abs(middle_b)", "", ENCLOSURES),
    Mutant("checker/scaled_integers.py", "middle - radius, middle + radius", "middle, middle", ENCLOSURES),
    Mutant("checker/scaled_integers.py", "np.where(value.lo >= 0, lowest, high.hi)", "lowest", ENCLOSURES),
    Mutant("checker/scaled_integers.py", "(-_ceil_shift(r * total, f)) // k", "(-(r * total >> f)) // k", ENCLOSURES),
    Mutant("checker/scaled_integers.py", "np.where(underflow, 0, total)", "np.where(underflow, total, total)", ENCLOSURES),
    Mutant("checker/scaled_integers.py", "low if exact else low + 1", "low", ENCLOSURES),
    Mutant("checker/scaled_integers.py", "np.asarray(self.lo > 0", "np.asarray(self.hi > 0", ENCLOSURES),
    Mutant("checker/scaled_integers.py", "np.asarray(self.lo > 0", "np.asarray(self.lo >= 0", ENCLOSURES),
    Mutant(
        "checker/scaled_integers.py",
        "return total >> 32, (total + 3 * (k + 1) >> 32) + 1",
        "return total >> 32, total >> 32",
        ENCLOSURES,
    ),
    Mutant("checker/exact_weights.py", "np.maximum(biased, 1)", "biased", ENCLOSURES),
    Mutant("checker/exact_weights.py", "np.where(negative == 1, -magnitude, magnitude)", "magnitude", ENCLOSURES),
    # Theorems.
    Mutant(
        "checker/rules/additive_tables.py",
        'plus_bias(last @ weight("blocks.0.attn.W_Q"), "blocks.0.attn.b_Q")',
        'last @ weight("blocks.0.attn.W_Q")',
        RULES,
    ),
    Mutant("checker/rules/additive_tables.py", "direct = direct + weight", "weight", RULES),
    Mutant("checker/rules/additive_tables.py", "positions[config.n_ctx - 1 :]", "positions[:1]", RULES),
    Mutant(
        "checker/rules/label_terms.py",
        "np.delete(np.arange(outputs), label)",
        "np.delete(np.arange(outputs), label)[:1]",
        RULES,
    ),
    Mutant("checker/rules/label_terms.py", "position[:-1].min(0)", "position[:-1].max(0)", RULES),
    Mutant("checker/rules/label_terms.py", "free_high=free.max(1)", "free_high=free.min(1)", RULES),
    Mutant(
        "checker/rules/label_terms.py", "prefix_high=tables.token_score.running_max(1)", "prefix_high=tables.token_score", RULES
    ),
    Mutant("checker/rules/thresholds.py", "gaps.token.running_min(0)", "gaps.token", RULES),
    Mutant("checker/rules/thresholds.py", "proved.all()", "proved.any()", RULES),
    Mutant("checker/rules/thresholds.py", ".times(setting.task.free - copies)", "", RULES),
    Mutant("checker/rules/pessimized.py", "free_value.running_min(0)", "free_value", RULES),
    Mutant("checker/rules/pessimized.py", "before = table.running_max(1)", "before = table", RULES),
    Mutant("checker/rules/pessimized.py", "if not proved.all()", "if not proved.any()", RULES),
    Mutant("checker/rules/composition_classes.py", ".segment_min(starts)", "[starts]", RULES),
    Mutant("checker/rules/composition_classes.py", ".times(chosen[:, group][:, None])", "", RULES),
    Mutant("checker/rules/composition_classes.py", "if not proved.all()", "if not proved.any()", RULES),
    Mutant("checker/rules/enumeration.py", "margin.min(0).positive()", "margin.max(0).positive()", RULES),
    Mutant("checker/rules/enumeration.py", "if len(skip):\n", "if False:\n", RULES),
    # Counting and disjointness.
    Mutant(
        "checker/rules/composition_classes.py",
        "not _strictly_increasing(cells[:, :3]) or not _strictly_increasing(rows)",
        "False",
        RULES,
    ),
    Mutant("checker/rules/composition_classes.py", "(difference != 0", "(difference >= 0", RULES),
    Mutant(
        "checker/rules/composition_classes.py", "if np.any(chosen.sum(axis=1) + copies[cell] != task.free)", "if False", RULES
    ),
    Mutant(
        "checker/rules/composition_classes.py",
        "if np.any((classes.group_sizes()[classes.cell] == 0) & (classes.chosen > 0))",
        "if False",
        RULES,
    ),
    Mutant("checker/rules/composition_classes.py", " or np.any((copies == 0) & (query < label))", "", RULES),
    Mutant(
        "checker/rules/prefix_classes.py",
        "if np.any(query > label) or np.any((copies == 0) & (query < label))",
        "if False",
        RULES,
    ),
    Mutant("checker/rules/prefix_classes.py", "np.any(chosen < 0) or np.any(chosen > label)", "np.any(chosen < 0)", RULES),
    Mutant("checker/rules/prefix_classes.py", "math.comb(free, int(copies))", "math.comb(free + 1, int(copies))", RULES),
    Mutant("checker/rules/disjoint_sum.py", "if np.any(cells & premise.cells)", "if False", RULES),
    Mutant("checker/rules/enumeration.py", "np.any(edges[1:] < edges[:-1])", "False", RULES),
    Mutant("checker/rules/enumeration.py", "not 0 <= start < stop <= task.total", "False", RULES),
    # The verdict.
    Mutant("checker/verdict.py", "if statement.model_digest != model.digest()", "if False", RULES),
    Mutant("checker/verdict.py", "if statement.total != known_task.total", "if False", RULES),
    Mutant("checker/verdict.py", "if result.correct != statement.correct", "if result.correct > statement.correct", RULES),
    Mutant("checker/verdict.py", "if index not in used", "if False", RULES),
    Mutant("checker/verdict.py", "not 0 <= premise < index for", "not premise < index for", RULES),
    Mutant("checker/verdict.py", "statement.correct < at_least * statement.total", "False", ("tests/test_commands.py",)),
    Mutant("checker/verdict.py", "task is not None and task != statement.task", "False", ("tests/test_commands.py",)),
    Mutant("certificates/model_file.py", "absorb(tensor.data)", "pass", RULES),
    Mutant("certificates/canonical_json.py", "if dumps(value) != text", "if False", RULES),
    Mutant("certificates/tensor_file.py", "if position != len(body)", "if False", ("tests/test_tensor_file.py", *RULES)),
]


def noticed(mutant: Mutant) -> bool:
    """Whether some test fails on a copy of the project with this mutant in it."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in ("certificates", "checker", "prover", "tests"):
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", copy)
        path = copy / mutant.file
        source = path.read_text()
        path.write_text(source.replace(mutant.old, mutant.new))
        environment = {**os.environ, "PYTHONPATH": str(copy)}
        for test in mutant.tests:
            command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", test]
            if subprocess.run(command, cwd=copy, env=environment, capture_output=True, check=False).returncode:
                return True
    return False


def main() -> None:
    """Try all mutants whose file's name contains the argument, if one is given."""
    chosen = [mutant for mutant in MUTANTS if len(sys.argv) < 2 or sys.argv[1] in mutant.file]
    survivors = 0
    for mutant in chosen:
        if mutant.old not in (ROOT / mutant.file).read_text():
            print(f"STALE     {mutant.file}: {mutant.old!r} is not there any more", flush=True)
            survivors += 1
            continue
        caught = noticed(mutant)
        survivors += not caught
        print(f"{'caught   ' if caught else 'SURVIVED '} {mutant.file}: {mutant.old!r} -> {mutant.new!r}", flush=True)
    print(f"{len(chosen) - survivors} of {len(chosen)} mutants caught")
    sys.exit(1 if survivors else 0)


if __name__ == "__main__":
    main()
