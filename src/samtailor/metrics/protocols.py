"""Protocols: which scores are computed, and by which rules, by the name of whoever set them.

Numbers of two protocols are not comparable, so every table, file and figure names the one it was made with. Rules of
single classes go by the class's name, never by its place, so that they hold for any data set with that class.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from samtailor.errors import ConfigError, not_one_of
from samtailor.metrics.boundary_iou import BoundaryIoU
from samtailor.metrics.class_metric import ClassMetric
from samtailor.metrics.class_names import key_of
from samtailor.metrics.empty import EMPTY_RULES, EmptyRule
from samtailor.metrics.hd95 import HD95
from samtailor.metrics.nsd import NSD

ProtocolName = Literal["samtailor", "flare22", "nnunet", "monai", "transunet", "irstd", "remote-sensing"]

Metric = str
"""Key of a score of one class in one case: 'dsc' and 'iou' of voxel counts, or that of a `ClassMetric`."""

OverallMetric = Literal[
    "iou", "niou", "pd", "fa", "oa", "miou", "miou_without_background", "mf1", "mf1_without_background", "kappa"
]
"""Scores of all cases together."""

OVERALL_NAMES: dict[OverallMetric, str] = {
    "iou": "IoU of the targets (the 'mIoU' of the field's papers)",
    "niou": "nIoU, mean IoU of the images",
    "pd": "Pd, targets found of all targets",
    "fa": "Fa, false-alarm pixels in a million",
    "oa": "overall accuracy",
    "miou": "mIoU",
    "miou_without_background": "mIoU without background",
    "mf1": "mean F1",
    "mf1_without_background": "mean F1 without background",
    "kappa": "kappa",
}


@dataclass(frozen=True)
class Protocol:
    """Which scores are computed, and how.

    Attributes:
        name: Its name on the command line.
        description: What it is and whose, in one or two sentences.
        empty: What an absent class scores.
        counted: Scores of each class and case that are made of voxel counts, and can be pooled.
        measured: Scores of each class and case that are measured on the masks, each with its rule.
        overall: Scores of all cases together.
        overall_mean: Which mean comes first in the mean over everything: of each class over the cases, or of each
            case over its classes.
        slice_range: Keys of the names of classes that count only between the first and the last slice (of the file's
            last axis) that has them in the truth, the last one left out.
    """

    name: ProtocolName
    description: str
    empty: EmptyRule
    counted: tuple[Literal["dsc", "iou"], ...]
    measured: tuple[ClassMetric, ...] = ()
    overall: tuple[OverallMetric, ...] = ()
    overall_mean: Literal["classes", "cases"] = "classes"
    slice_range: frozenset[str] = frozenset()

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Keys of the scores of each class and case, the main one first."""
        return (*self.counted, *(metric.key for metric in self.measured))

    def has_slice_range(self, name: str) -> bool:
        """Whether a class counts between its first and its last true slice only."""
        return key_of(name) in self.slice_range

    def rules(self, classes: tuple[str, ...]) -> dict[str, Any]:
        """Everything that its numbers depend on, for `metrics.json`.

        Args:
            classes: Class names, the background first.
        """
        rules: dict[str, Any] = {
            "protocol": self.description,
            "empty_rule": self.empty,
            "description": EMPTY_RULES[self.empty].description,
        }
        for metric in self.measured:
            rules |= metric.rules(classes)
        if self.slice_range:
            rules["slice_range"] = [name for name in classes[1:] if self.has_slice_range(name)]
        return rules


_FLARE22_TOLERANCES = {
    "liver": 5.0,
    "right kidney": 3.0,
    "spleen": 3.0,
    "pancreas": 5.0,
    "aorta": 2.0,
    "inferior vena cava": 2.0,
    "right adrenal gland": 2.0,
    "left adrenal gland": 2.0,
    "gallbladder": 2.0,
    "esophagus": 3.0,
    "stomach": 5.0,
    "duodenum": 7.0,
    "left kidney": 3.0,
}

FLARE22_CLASSES = ("background", *_FLARE22_TOLERANCES)
"""Class names of FLARE22, ids 0 to 13."""

_ALL = (
    Protocol(
        "samtailor",
        "SamTailor's own: whole cases on their native grid; DSC, IoU, NSD at 2 mm and HD95 in mm; of pictures boundary "
        "IoU at 3 pixels and HD95 in pixels.",
        "nnunet",
        ("dsc", "iou"),
        (NSD(), BoundaryIoU(), HD95()),
    ),
    Protocol(
        "flare22",
        "The FLARE22 challenge's evaluation (FLARE22_DSC_NSD_Eval.py): DSC and NSD of each organ with its own "
        "tolerance (2 mm for classes that the challenge does not have); aorta, inferior vena cava and esophagus count "
        "between the first and the last slice that the truth labels, the last one left out; NSD is 0 where DSC is "
        "below 0.2.",
        "flare22",
        ("dsc",),
        (NSD({key_of(name): tolerance for name, tolerance in _FLARE22_TOLERANCES.items()}, floor=0.2),),
        slice_range=frozenset(map(key_of, ("aorta", "inferior vena cava", "esophagus"))),
    ),
    Protocol(
        "nnunet",
        "nnU-Net's evaluation: DSC and IoU of whole cases, each class over the cases in which it counts, then over "
        "the classes.",
        "nnunet",
        ("dsc", "iou"),
    ),
    Protocol(
        "monai",
        "MONAI's DiceMetric and MeanIoU with their defaults (ignore_empty, reduction 'mean'): the mean over "
        "everything is of each case over its classes, then over the cases.",
        "monai",
        ("dsc", "iou"),
        overall_mean="cases",
    ),
    Protocol(
        "transunet",
        "The evaluation of TransUNet and SAMed, to compare with their numbers: DSC, and HD95 in voxels (medpy "
        "without spacing), over the volumes, then over the classes.",
        "transunet",
        ("dsc",),
        (HD95("voxels", missing=0.0),),
    ),
    Protocol(
        "irstd",
        "Infrared small targets, as BasicIRSTD and DNANet evaluate: IoU of the targets over the pixels of all images, "
        "nIoU as the mean of the images' IoU (0 for an image without any target, true or predicted), Pd and Fa of "
        "8-connected targets whose centroids are less than 3 pixels apart, each prediction used once; Fa are predicted "
        "pixels outside of matched targets, in a million pixels. Every class but the background is a target. Scored as "
        "saved: a threshold, 0.5 in the papers, was applied before. Papers split SIRST differently: numbers compare "
        "only on the same images.",
        "nnunet",
        ("iou", "dsc"),
        overall=("iou", "niou", "pd", "fa"),
    ),
    Protocol(
        "remote-sensing",
        "Land cover: overall accuracy, mean IoU, mean F1 and Cohen's kappa of the confusion matrix of the pixels of "
        "all images; of each image, boundary IoU at 3 pixels. A class that neither truth nor prediction has is left "
        "out of the means.",
        "nnunet",
        ("iou", "dsc"),
        (BoundaryIoU(),),
        overall=("oa", "miou", "miou_without_background", "mf1", "mf1_without_background", "kappa"),
    ),
)

PROTOCOLS = {protocol.name: protocol for protocol in _ALL}
"""The protocols by name."""

_MEASURED = {metric.key: metric for protocol in _ALL for metric in protocol.measured}

METRIC_NAMES = {"dsc": "DSC", "iou": "IoU"} | {key: metric.title for key, metric in _MEASURED.items()}
"""Titles of the scores of a class in a case."""

LOWER_IS_BETTER = frozenset(key for key, metric in _MEASURED.items() if metric.lower_is_better)
"""Metrics of which less is better; of all others, more."""


def require_protocol(protocol: ProtocolName, ignore_background: bool = False) -> None:
    """Refuse a protocol that is none, and to leave the background out where the protocol counts it.

    Raises:
        ConfigError: If there is no such protocol, or the background is to be ignored by another than remote-sensing.
    """
    if protocol not in PROTOCOLS:
        raise ConfigError(f"protocol: {not_one_of(PROTOCOLS, protocol)}")
    if ignore_background and protocol != "remote-sensing":
        raise ConfigError(
            f"ignore_background: expected with the protocol remote-sensing, found '{protocol}'; leave it out, or give "
            "the data an ignore id"
        )
