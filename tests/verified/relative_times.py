"""How much longer the extracted checker takes than the one in Python: on the certificates that `make bench` leaves, in one run.

python tests/verified/relative_times.py [FOLDER]
"""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import certificates
from checker import verify
from checker.core.errors import CheckError
from checker.reporting.second_checker import second_program

MODELS = Path(certificates.__file__).parent / "models"


def seconds(work: Callable[[], object]) -> float:
    """The least of two runs."""
    times = []
    for _ in range(2):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)


def main(folder: Path) -> None:
    """Print a line for every certificate that it accepts."""
    try:
        program = second_program()
    except CheckError as error:
        print(f"the extracted checker is left out: {error}")
        return
    print(f"{'certificate':34} {'python s':>9} {'extracted s':>12} {'ratio':>6}")
    for model in sorted(MODELS.glob("*.safetensors"), key=lambda path: -len(path.stem)):
        others = [path.stem for path in MODELS.glob("*.safetensors") if path.stem.startswith(f"{model.stem}-")]
        for certificate in sorted(folder.glob(f"{model.stem}-*.cert")):
            command = [program, model, certificate]
            of_another = any(certificate.stem.startswith(other) for other in others)
            if of_another or subprocess.run(command, capture_output=True, check=False).returncode:
                continue
            own = seconds(lambda: verify(certificate, model))  # noqa: B023
            extracted = seconds(lambda: subprocess.run(command, capture_output=True, check=True))  # noqa: B023
            print(f"{certificate.stem:34} {own:9.2f} {extracted:12.2f} {extracted / own:6.2f}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "bench-out"))
