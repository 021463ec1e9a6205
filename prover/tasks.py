"""Tasks as the search sees them: which numbered token is the true output (see checker/tasks for the numbering)."""

from dataclasses import dataclass

from certificates import FormatError
from certificates.canonical_json import Json, dumps


@dataclass(frozen=True)
class Task:
    """The true output is the `rank`-th largest number; token t has number V-1-t if `reverse`, else t."""

    json: Json
    rank: int
    reverse: bool


def parse_task(json: Json, n_ctx: int) -> Task:
    """From the JSON of a model file or a --task option. Raises FormatError if the task is unknown."""
    rank = json.get("n") if isinstance(json, dict) else None
    if json == {"name": "max-of-k"}:
        return Task(json, 1, False)
    if json == {"name": "min-of-k"}:
        return Task(json, 1, n_ctx > 1)
    if type(rank) is int and json == {"name": "nth-max-of-k", "n": rank} and 1 <= rank <= n_ctx:
        return Task(json, 1 if rank == n_ctx else rank, rank == n_ctx > 1)
    raise FormatError(
        f"task {dumps(json)} is unknown; give one with --task: max-of-k, min-of-k, "
        f'or \'{{"name": "nth-max-of-k", "n": 2}}\' with 1 <= n <= {n_ctx}'
    )
