"""The language that prover and checker share: model files, certificates, the order of inputs (see FORMAT.md).

Its names are loaded when one is first asked for: `checker verify --verified-only` does without numpy.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from certificates.public import *

__version__ = "0.2.0"

__all__ = [
    "AttentionOnly",
    "Certificate",
    "FormatError",
    "FrequencyClaim",
    "GroupMLP",
    "MLPStatement",
    "Model",
    "ModelConfig",
    "RawTensor",
    "Statement",
    "Step",
    "Transformer",
    "UniformAttention",
    "integer_tensor",
    "read_certificate",
    "read_model",
    "write_certificate",
    "write_model",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from certificates import public  # noqa: PLC0415 - see above

    return getattr(public, name)
