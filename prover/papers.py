"""The publications that ideas of strategies come from, by the words with which texts cite them."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Paper:
    """A publication: its title, where it appeared, and its address."""

    title: str
    venue: str
    address: str


PAPERS: Mapping[str, Paper] = {
    "Bricken et al. 2023": Paper(
        "Towards Monosemanticity: Decomposing Language Models With Dictionary Learning",
        "Transformer Circuits Thread",
        "https://transformer-circuits.pub/2023/monosemantic-features",
    ),
    "Chughtai et al. 2023": Paper(
        "A Toy Model of Universality: Reverse Engineering How Networks Learn Group Operations",
        "ICML 2023",
        "https://arxiv.org/abs/2302.03025",
    ),
    "Elhage et al. 2021": Paper(
        "A Mathematical Framework for Transformer Circuits",
        "Transformer Circuits Thread",
        "https://transformer-circuits.pub/2021/framework/index.html",
    ),
    "Gao et al. 2024": Paper("Scaling and evaluating sparse autoencoders", "arXiv", "https://arxiv.org/abs/2406.04093"),
    "Gross et al. 2024": Paper(
        "Compact Proofs of Model Performance via Mechanistic Interpretability",
        "NeurIPS 2024",
        "https://arxiv.org/abs/2406.11779",
    ),
    "Lindsey et al. 2024": Paper(
        "Sparse Crosscoders for Cross-Layer Features and Model Diffing",
        "Transformer Circuits Thread",
        "https://transformer-circuits.pub/2024/crosscoders/index.html",
    ),
    "Nanda et al. 2023": Paper(
        "Progress measures for grokking via mechanistic interpretability", "ICLR 2023", "https://arxiv.org/abs/2301.05217"
    ),
    "Olsson et al. 2022": Paper(
        "In-context Learning and Induction Heads", "Transformer Circuits Thread", "https://arxiv.org/abs/2209.11895"
    ),
    "Shi et al. 2020": Paper("Robustness Verification for Transformers", "ICLR 2020", "https://arxiv.org/abs/2002.06622"),
    "Stander et al. 2024": Paper("Grokking Group Multiplication with Cosets", "ICML 2024", "https://arxiv.org/abs/2312.06581"),
    "Wu et al. 2025": Paper(
        "Towards a unified and verified understanding of group-operation networks",
        "ICLR 2025",
        "https://arxiv.org/abs/2410.07476",
    ),
    "Yip et al. 2024": Paper(
        "Modular addition without black-boxes: Compressing explanations of MLPs that compute numerical integration",
        "arXiv",
        "https://arxiv.org/abs/2412.03773",
    ),
}


def cited(text: str) -> dict[str, Paper]:
    """The papers that a text names, in its order."""
    found = [name for name in PAPERS if name in text]
    return {name: PAPERS[name] for name in sorted(found, key=text.index)}
