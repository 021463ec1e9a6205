"""The second checker: a program extracted from functions that are proved correct in Coq (checker/verified)."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from certificates.canonical_json import Json, loads
from certificates.errors import FormatError
from checker.core.errors import CheckError, InvalidInput, Refused

PROGRAM = "compact-proofs-verified"
_BUILT = Path(__file__).resolve().parents[1].joinpath("verified", "build", PROGRAM)
_MALFORMED, _UNSUPPORTED = 2, 3


@dataclass(frozen=True)
class SecondVerdict:
    """theorem: the name of the one in Coq that the count rests on. axioms: SHA-256 of what Coq prints about its axioms."""

    theorem: str
    axioms: str


def second_program() -> Path:
    """Where the program is: beside the package, as `make verified` builds it, or in PATH. Raises InvalidInput if nowhere."""
    found = str(_BUILT) if _BUILT.exists() else shutil.which(PROGRAM)
    if found is None:
        raise InvalidInput(f"{PROGRAM} is not there: `make verified` builds it (with Coq and OCaml), or put it into PATH")
    return Path(found)


def second_answer(certificate: Path, model: Path) -> dict[str, Json]:
    """What the program says of the files, which it reads itself, if it accepts; of its answer, these fields are always there:

    `statement` (the certificate's), `theorem`, `axioms`, and `certificate`: the SHA-256 of what it read.
    Raises CheckError with the program's reason if it does not accept.
    """
    command = [str(second_program()), str(model), str(certificate)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        answer = loads(done.stdout.removesuffix("\n"))
    except FormatError as error:
        raise CheckError(f"{PROGRAM} ended with status {done.returncode}: {done.stderr.strip() or 'no answer'}") from error
    if not isinstance(answer, dict):
        raise CheckError(f"{PROGRAM} answers {done.stdout!r}")
    if done.returncode == 0 and answer["accepted"] is True:
        return answer
    if done.returncode == _UNSUPPORTED:
        raise Refused(f"--verified: there is no theorem in Coq about this: {answer['unsupported']}")
    if done.returncode == _MALFORMED:
        raise InvalidInput(f"--verified: {answer['malformed']}")
    raise Refused(f"--verified: {answer.get('refused', 'no reason given')}")


def second_verdict(certificate: Path, model: Path, sha256: str) -> SecondVerdict:
    """What the program says of files of which the certificate must have this digest, and so names one model.

    Raises CheckError with the reason if it does not accept.
    """
    answer = second_answer(certificate, model)
    if answer.get("certificate") != sha256:
        raise InvalidInput(f"--verified: {certificate} has changed while it was checked")
    return SecondVerdict(str(answer["theorem"]), str(answer["axioms"]))
