"""Tasks on sequences as the search sees them: which number is the true output (as in checker/attention/order_statistic)."""

from dataclasses import dataclass

from certificates import FormatError, ModelConfig
from certificates.canonical_json import Json, dumps
from prover.problem import Task


@dataclass(frozen=True)
class OrderStatistic(Task):
    """The true output is the `rank`-th largest number; token t has number V-1-t if `reverse`, else t."""

    rank: int
    reverse: bool


def order_statistic(n: int, n_ctx: int) -> Json:
    """The task of finding the n-th largest of n_ctx tokens."""
    if n == 1:
        return {"name": "max-of-k"}
    return {"name": "min-of-k"} if n == n_ctx else {"name": "nth-max-of-k", "n": n}


def parse_task(json: Json, config: ModelConfig) -> OrderStatistic:
    """From the JSON of a model file or a --task option. Raises FormatError if it is unknown, or the model is unfit for it."""
    n_ctx = config.n_ctx
    if isinstance(json, dict) and "automaton" in json:
        raise FormatError("the model's task is an automaton: give its file with --task FILE.json")
    if config.d_vocab_out < config.d_vocab:
        raise FormatError(f"the task needs an output for every token: d_vocab_out {config.d_vocab_out} < {config.d_vocab}")
    rank = json.get("n") if isinstance(json, dict) else None
    if json == {"name": "max-of-k"}:
        return OrderStatistic(json, 1, False)
    if json == {"name": "min-of-k"}:
        return OrderStatistic(json, 1, n_ctx > 1)
    if type(rank) is int and json == {"name": "nth-max-of-k", "n": rank} and 1 <= rank <= n_ctx:
        return OrderStatistic(json, 1 if rank == n_ctx else rank, rank == n_ctx > 1)
    raise FormatError(
        f"task {dumps(json)} is unknown; give one with --task: max-of-k, min-of-k, "
        f'or \'{{"name": "nth-max-of-k", "n": 2}}\' with 1 <= n <= {n_ctx}'
    )
