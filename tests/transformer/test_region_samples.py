"""Random inputs of regions, and what is found where a proof fails."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from test_region_margins import drawn
from test_regions import every_input, true_leads

from certificates import write_model
from checker.reporting.cli import cli as checker
from prover.attack import failing_regions
from prover.commands import cli
from prover.proving import prove
from prover.strategies.regions import Regions
from prover.tasks import write_automaton
from prover.transformer.finer_automaton import FinerAutomaton, ReadSums
from prover.transformer.last_layer import LastLayer
from prover.transformer.region_paths import RegionPaths
from prover.transformer.region_samples import RegionInputs


def region_of(finer: FinerAutomaton, order: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    """Where inputs "n k" are led."""
    state = np.zeros(len(inputs), np.int64)
    for table, position in zip(finer.tables, order, strict=False):
        state = np.where(state < 0, -1, table[state, inputs[:, position]])
    return state


@pytest.mark.parametrize("seed", range(12))
def test_inputs_of_a_region_are_drawn_alike(seed: int) -> None:
    problem, rng = drawn(seed), np.random.default_rng(seed)
    automaton = problem.required_automaton
    every = every_input(automaton)
    for read in range(len(problem.reads)):
        layer = LastLayer.of_tokens(problem)
        sums = ReadSums(problem, layer, read, layer.queries(read)[-1])
        finer = sums.refined(None, [], 0.5)
        own = every[every[:, sums.position] == sums.query]
        where = region_of(finer, automaton.order, own)
        chosen = rng.integers(0, finer.sizes[-1], 4)
        inputs = RegionInputs(RegionPaths.of(sums, finer)).drawn(np.repeat(chosen, 500), rng).reshape(4, 500, -1)
        for region, sample in zip(chosen, inputs, strict=True):
            members = Counter(map(tuple, own[where == region].tolist()))
            counts = Counter(map(tuple, sample.tolist()))
            assert set(counts) <= set(members), "only inputs of the region"
            if len(members) < 40:
                assert len(counts) == len(members) and max(counts.values()) < 6 * 500 / len(members) + 20


@pytest.mark.parametrize("seed", range(12))
def test_failing_regions_are_what_is_not_proved(seed: int) -> None:
    problem = drawn(seed)
    strategy = Regions(fine=6, cuts=1)
    found = failing_regions(problem, strategy, 20)
    reads = range(len(problem.reads))
    lost = [round(problem.total * sum(region.share for region in found if region.read == read)) for read in reads]
    _, evidence = prove(problem, strategy)
    assert problem.total - sum(lost) <= evidence.correct <= problem.total - max(lost)  # several reads may leave the same
    for region in found:
        if len(region.wrong):
            true = problem.outputs_of(region.wrong[None])[0]
            assert region.wrong[problem.reads[region.read]] == region.query and true[region.read] == region.output
            answers = region.answers[region.read] if len(problem.reads) > 1 else region.answers[0]
            lead = true_leads(problem.model, problem.required_automaton, region.wrong[None])[0, region.read]
            assert (answers != region.output) or abs(lead) < 1e-9
            assert lead <= 1e-9


def test_the_command_says_how_to_prove_what_it_finds(tmp_path: Path) -> None:
    shown = 0
    for seed in range(6):
        problem = drawn(seed)
        write_model(tmp_path / "model", problem.model)
        write_automaton(tmp_path / "task.json", problem.required_automaton)
        command = ["attack", str(tmp_path / "model"), "--task", str(tmp_path / "task.json"), "--regions", "--set", "fine=4"]
        done = CliRunner().invoke(cli, command)
        said = [line.split()[4:] for line in done.output.splitlines() if line.startswith("  proved wrong: checker refute")]
        assert done.exit_code == (1 if said else 0), done.output
        for arguments in said:
            refuted = CliRunner().invoke(checker, ["refute", *arguments])
            assert refuted.exit_code == 0 or "not proved" in refuted.output, refuted.output
            shown += refuted.exit_code == 0
    assert shown > 3
