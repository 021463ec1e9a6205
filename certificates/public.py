"""The public names of `certificates`, which the package itself loads only when one is asked for."""

from certificates.architectures import ModelConfig
from certificates.attention_only import AttentionOnly
from certificates.certificate import (
    Certificate,
    Statement,
    Step,
    read_certificate,
)
from certificates.errors import FormatError
from certificates.mlp_statement import FrequencyClaim, MLPStatement
from certificates.model_file import Model, read_model
from certificates.tensor_file import RawTensor
from certificates.transformer import Transformer
from certificates.two_inputs import GroupMLP, UniformAttention
from certificates.writing import integer_tensor, write_certificate, write_model

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
