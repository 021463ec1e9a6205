"""Attacks on the checker: whatever is done to an accepted certificate and its model, it answers, in time, and never wrongly.

`python tests/test_attacks.py` prints how far the mutants of each family get.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import make_golden
import mutate
import numpy as np
import oracle
import pytest
from mutate import Document, Mutant

from certificates import Certificate, Model, ModelConfig, RawTensor, Statement, Step, write_certificate, write_model
from certificates.certificate import MAX_STEPS
from certificates.tensor_file import parse_tensor_file
from checker import Verdict, covers, verify

SECONDS = 5.0
"""No mutant of these sizes takes anywhere near this long, on a machine that does other things as well."""
_SHOWS = re.compile(r"the statement claims [0-9]+ correct inputs, but its proof shows ([0-9]+)")
_AT_STEP = re.compile(r"step [0-9]+ \([a-z-]+\): ")


@contextmanager
def time_limit(seconds: float, what: str) -> Iterator[None]:
    """Raise TimeoutError inside the block once it has taken this long."""

    def ring(signum: int, frame: object) -> None:
        raise TimeoutError(f"{what}: still running after {seconds} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@dataclass
class Referee:
    """Checks mutants and judges the verdicts. `outcomes` counts (family, how far it got)."""

    folder: Path
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    truths: dict[bytes, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    slowest: tuple[float, str] = (0.0, "")

    def attack(self, mutant: Mutant) -> Verdict:
        """One mutant: the verdict is well-formed, comes in time, and is no acceptance of anything false."""
        verdict = self.check(mutant)
        shown = _SHOWS.fullmatch(verdict.reason)
        if shown is not None:  # put the count right, so that nothing but the mutation itself can be refused
            document = Document.of(mutant.certificate).claiming(int(shown[1]))
            corrected = replace(mutant, what=f"{mutant.what}, corrected", certificate=document.content())
            assert self.check(corrected).accepted, mutant.what
        return verdict

    def check(self, mutant: Mutant) -> Verdict:
        """The checker's verdict on these files."""
        certificate, model = self.folder / "certificate", self.folder / "model"
        mutate.put(certificate, mutant.certificate)
        mutate.put(model, mutant.model)
        started = time.monotonic()
        with time_limit(SECONDS, mutant.what):
            verdict = verify(certificate, model)
        self.slowest = max(self.slowest, (time.monotonic() - started, mutant.what))
        family = mutant.what.partition(":")[0]
        self.outcomes[family, self.stage(verdict)] += 1
        assert isinstance(verdict, Verdict), mutant.what
        assert verdict.reason and verdict.reason.isprintable(), mutant.what
        assert len(verdict.reason) < 3000, (mutant.what, verdict.reason)
        if verdict.accepted:
            assert verdict.exit_code == 0, mutant.what
            self.confirm(mutant, verdict)
        else:
            assert verdict.exit_code in (1, 2), mutant.what
            assert verdict.theorem is verdict.correct is verdict.operations is verdict.accuracy_floor is None, mutant.what
        return verdict

    @staticmethod
    def stage(verdict: Verdict) -> str:
        """How far the files got."""
        if verdict.accepted:
            return "accepted"
        if verdict.exit_code == 1 or _AT_STEP.match(verdict.reason):
            return "refused by the rules"
        return "wrong digest" if "digest" in verdict.reason else "not read"

    def confirm(self, mutant: Mutant, verdict: Verdict) -> None:
        """What was accepted is true: by exhaustion, and input by input for those that it says it covers."""
        inputs, right = self.truth(mutant.model)
        assert verdict.correct is not None and verdict.correct <= int(right.sum()), (mutant.what, verdict.theorem)
        assert verdict.total == len(inputs), mutant.what
        assert verdict.correct == int(Document.of(mutant.certificate).statement["correct"]), mutant.what
        covered = covers(self.folder / "certificate", self.folder / "model", inputs) >= 0
        assert int(covered.sum()) == verdict.correct, mutant.what
        assert np.all(right[covered]), mutant.what

    def truth(self, model: bytes) -> tuple[np.ndarray, np.ndarray]:
        """All inputs, and on which the model is right: in float64, or exactly where that is not clear."""
        if model not in self.truths:
            tensors = parse_tensor_file(model).tensors
            tensors = {name: t for name, t in tensors.items() if not name.endswith((".mask", ".IGNORE"))}
            weights = {name: mutate.decoded(tensor) for name, tensor in tensors.items()}
            vocab, n_ctx = len(weights["embed.W_E"]), len(weights["pos_embed.W_pos"])
            inputs = make_golden.all_inputs(vocab, n_ctx)
            with np.errstate(all="ignore"):
                logits = make_golden.forward(weights, inputs)
                leads = make_golden.leads(weights, inputs)
            right = leads > 0
            # The logits' parts may be larger than the logits, but not in models that are not wild: those have huge parts.
            wild = max(float(np.abs(w).max()) for w in weights.values()) > 1e3
            if wild or not np.all(np.abs(leads) > 1e-9 * np.maximum(1, np.abs(logits).max())):
                (_, d_model), outputs = weights["embed.W_E"].shape, weights["unembed.W_U"].shape[1]
                d_head = weights[make_golden.ATTENTION + "W_Q"].shape[2]
                stored = {name: (t.dtype, t.shape, t.data) for name, t in tensors.items()}
                right = oracle.truth(oracle.TinyModel(vocab, n_ctx, d_model, d_head, outputs, stored)).correct
            self.truths[model] = inputs, right
        return self.truths[model]

    def share(self, *families: str) -> float:
        """The share of these families' mutants on which the rules had the say."""
        counts = Counter[str]()
        for (family, stage), number in self.outcomes.items():
            if not families or family in families:
                counts[stage] += number
        return (counts["accepted"] + counts["refused by the rules"]) / max(counts.total(), 1)

    def table(self) -> str:
        """How many mutants of each family got how far."""
        stages = ("not read", "wrong digest", "refused by the rules", "accepted")
        lines = [f"{'family':12}" + "".join(f"{stage:>22}" for stage in stages) + f"{'rules had the say':>20}"]
        for family in sorted({family for family, _ in self.outcomes}):
            counts = [self.outcomes[family, stage] for stage in stages]
            lines.append(f"{family:12}" + "".join(f"{count:22}" for count in counts) + f"{self.share(family):20.0%}")
        counts = [sum(n for (_, s), n in self.outcomes.items() if s == stage) for stage in stages]
        lines.append(f"{'all':12}" + "".join(f"{count:22}" for count in counts) + f"{self.share():20.0%}")
        return "\n".join([*lines, f"slowest: {self.slowest[0]:.2f} s, {self.slowest[1]}"])


# How many mutants of each family are tried per base.
MOST = {
    "documents": 250,
    "steps": 200,
    "hints": 300,
    "claims": 120,
    "models": 120,
    "metadata": 40,
    "headers": 60,
    "damaged": 120,
}


def attack_base(base: mutate.Base, referee: Referee) -> None:
    """All families of mutants of one base."""
    assert referee.check(Mutant("base:", base.document.content(), base.model)).accepted
    for number, family in enumerate((*mutate.STRUCTURED, *mutate.DAMAGED)):
        for mutant in mutate.sample(family(base), MOST[family.__name__], seed=number):
            referee.attack(mutant)


@pytest.mark.parametrize("name", mutate.BASES)
def test_no_mutant_gets_a_false_claim_accepted(name: str, tmp_path: Path) -> None:
    referee = Referee(tmp_path)
    base = mutate.make_base(name)
    attack_base(base, referee)
    print(f"\n{name}\n{referee.table()}")
    accepted = sum(n for (_, stage), n in referee.outcomes.items() if stage == "accepted")
    assert accepted > 20
    assert referee.share("steps", "hint", "claim") > 0.75
    assert referee.share("model") > 0.4
    assert referee.share() > 0.4


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as scratch:
        everything = Referee(Path(scratch))
        for chosen in sys.argv[1:] or mutate.BASES:
            attack_base(mutate.make_base(chosen), everything)
        print(everything.table())
