"""A Coq file that proves one claim inside Coq's kernel: no extraction, no OCaml, no shim.

python tests/verified/make_flagship.py MODEL CERTIFICATE OUTPUT.v

The certificate is one of prefix-chains on max-of-k. The bits of the model's weights and the hints are written into the file;
its theorem is about the transformer with these weights. What is trusted beside Coq and Flocq is that they are the model's.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np

from certificates import read_certificate, read_model
from certificates.certificate import Statement
from certificates.tensor_file import RawTensor
from checker.core.exact_weights import decode

HEAD = "blocks.0.attn."
WEIGHTS = {
    **{
        "WE": "embed.W_E",
        "WP": "pos_embed.W_pos",
        "WQ": f"{HEAD}W_Q",
        "bQ": f"{HEAD}b_Q",
        "WK": f"{HEAD}W_K",
        "bK": f"{HEAD}b_K",
    },
    **{
        "WV": f"{HEAD}W_V",
        "bV": f"{HEAD}b_V",
        "WO": f"{HEAD}W_O",
        "bO": f"{HEAD}b_O",
        "WU": "unembed.W_U",
        "bU": "unembed.b_U",
    },
}
"""In the order of Counts.v, in which biases have one row."""
FIELDS = {"F16": (10, 5, "<u2"), "BF16": (7, 8, "<u2"), "F32": (23, 8, "<u4"), "F64": (52, 11, "<u8")}
"""Bits of the fraction and of the exponent; how to read both, with the sign, as an integer."""
PRECISION, DIGITS, HALVINGS, TERMS = 30, 20, 6, 11


def listed(numbers: Any) -> str:
    """Nested lists of integers in Coq's notation."""
    if isinstance(numbers, list):
        return "[" + "; ".join(map(listed, numbers)) + "]"
    return f"({numbers})" if numbers < 0 else str(numbers)


def main(model_path: Path, certificate_path: Path, output: Path) -> None:
    """Write the file."""
    model, (certificate, _) = read_model(model_path), read_certificate(certificate_path)
    statement, config = certificate.statement, model.config
    rules = [step.rule for step in certificate.steps]
    if (
        not isinstance(statement, Statement)
        or statement.task != {"name": "max-of-k"}
        or rules != ["additive-tables", "prefix-chains"]
    ):
        raise SystemExit("this takes a certificate of prefix-chains on max-of-k, of the strategies thresholds or pessimized")
    if statement.margin or statement.model_digest != model.digest():
        raise SystemExit("the certificate is about another model, or has a margin")
    decoded = {name: decode(name, tensor) for name, tensor in model.tensors.items()}
    needed = [-int((x + trailing(m))[m != 0].min()) for m, x in decoded.values() if m.any()]
    e = max((PRECISION + 3) // 4, *needed)
    hints = {name: tensor.integers() for name, tensor in certificate.steps[1].hints.items()}
    size, numbers, rivals = hints["size"], hints["numbers"], hints["rivals"]
    lines = [
        f"(* Made by make_flagship.py: {statement.correct} of {statement.total} inputs, model {statement.model_digest}. *)",
        "From Coq Require Import ZArith List.",
        "From CompactProofs Require Import PrefixChains Floats Counts.",
        "Import ListNotations.",
        "Open Scope Z_scope.",
        "Definition matrix (l : list (list Z)) : nat -> nat -> Z := fun i j => nth j (nth i l []) 0.",
    ]
    for short, name in WEIGHTS.items():
        raw = model.tensors.get(name, RawTensor("F32", (0, 0), b""))
        fraction, exponent, unsigned = FIELDS[raw.dtype]
        table = np.frombuffer(raw.data, unsigned).reshape(-1, max(raw.shape[-1], 1))
        sizes = f"{fraction} {exponent} {len(table)} {raw.shape[-1]}"
        lines.append(f"Definition {short} := Tensor {sizes} (matrix {listed(table.tolist())}).")
    lines.append(f"Definition transformer_weights := Weights {' '.join(WEIGHTS)}.")
    blocks = [[np.flatnonzero(row == block).tolist() for block in range(row.max() + 1)] for row in rivals]
    lines.append(f"Definition rows : list (list (list nat)) := ({listed(blocks)})%nat.")
    lines.append(f"Definition blocks (m : nat) := nth {'0' if len(rivals) == 1 else 'm'} rows [].")
    tokens = range(config.d_vocab)
    claims = "; ".join("[" + "; ".join(cell(size[q, m], numbers) for m in tokens) + "]" for q in tokens)
    lines.append(f"Definition claims : list (list (list (option levels))) := ([{claims}])%nat.")
    lines.append("Definition claim (q m c : nat) := nth c (nth m (nth q claims []) []) None.")
    sizes = f"{config.d_vocab} {config.d_vocab_out} {config.n_ctx} {config.d_model} {config.d_head}"
    precision = f"{PRECISION} {PRECISION + DIGITS} 0 1 {HALVINGS} {TERMS}"
    lines += [
        f"Definition count := count_prefix_chains false 0 {sizes} {e} {precision} transformer_weights None blocks claim [].",
        f"Definition transformer := float_model {sizes} 0 1 transformer_weights.",
        f"Lemma counted : ({statement.correct} <=? count) = true.",
        "Proof. vm_cast_no_check (eq_refl true). Qed.",
        f"Theorem flagship : {statement.correct} <= n_right false 0 transformer.",
        "Proof. apply Z.le_trans with count; [apply Z.leb_le; exact counted|]. apply count_prefix_chains_sound. Qed.",
        "Check flagship.",
        "Print Assumptions flagship.",
    ]
    output.write_text("\n".join(lines) + "\n")


def cell(sizes: np.ndarray, numbers: np.ndarray) -> str:
    """The claims of a query and a label, for every number of copies."""

    def claimed(c: int) -> str:
        if (sizes[c] == -1).all():
            return "None"
        pairs = "; ".join(f"({s}, {k})" for s, k in zip(sizes[c], numbers[c], strict=True) if k > 0)
        return f"Some [{pairs}]"

    return "[" + "; ".join(claimed(c) for c in range(len(sizes))) + "]"


def trailing(mantissas: np.ndarray) -> np.ndarray:
    """How often 2 divides integers; 0 for 0."""
    lowest = mantissas & -mantissas
    return np.where(mantissas == 0, 0, np.log2(np.maximum(lowest, 1)).astype(np.int64))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
