"""Python components that the bundle's configs refer to. Each is imported on first use, for MONAI's import is slow."""

from typing import TYPE_CHECKING

from operators.core.lazy_names import lazy_names

if TYPE_CHECKING:
    from bundle.scripts.annotations import AnnotatedLabels, read_labels
    from bundle.scripts.checkpoints import (
        latest_checkpoint,
        load_checkpoint,
        load_weights,
        read_weights,
        save_weights,
    )
    from bundle.scripts.class_metrics import ClassMetricsCsv
    from bundle.scripts.command_line import refuse_unknown_keys
    from bundle.scripts.cpu_training import quicken_on_cpu
    from bundle.scripts.crops import RandOverhangCropd
    from bundle.scripts.data import (
        check_folds,
        class_targets,
        inverse_sqrt_frequency,
        list_images,
        list_pairs,
        read_datalist,
    )
    from bundle.scripts.deformation import RandCoilBiasd, RandDeformedCropd
    from bundle.scripts.distributed import local_rank, without_logs
    from bundle.scripts.evaluation import EvaluationReport
    from bundle.scripts.inferers import AutocastInferer
    from bundle.scripts.loaders import LoaderAhead
    from bundle.scripts.losses import DiceWeightedCELoss
    from bundle.scripts.optimisers import MuonAdamW
    from bundle.scripts.partial_labels import AnnotatedClasses, PartialLabelLoss
    from bundle.scripts.participants import LoadParticipantd, labels_on_grid
    from bundle.scripts.resumption import (
        EpochSampler,
        ResumableEarlyStop,
        ResumeTraining,
        SeedEachEpoch,
        TrainingProgress,
        WholeFileCheckpointSaver,
    )
    from bundle.scripts.splits import training_pairs, validation_pairs
    from bundle.scripts.subvoxels import SubvoxelLabelsd
    from bundle.scripts.training_settings import record_settings
    from bundle.scripts.weight_transfer import resized, start_from, widened

_HOMES = {
    "bundle.scripts.annotations": ("AnnotatedLabels", "read_labels"),
    "bundle.scripts.checkpoints": (
        "latest_checkpoint",
        "load_checkpoint",
        "load_weights",
        "read_weights",
        "save_weights",
    ),
    "bundle.scripts.class_metrics": ("ClassMetricsCsv",),
    "bundle.scripts.command_line": ("refuse_unknown_keys",),
    "bundle.scripts.crops": ("RandOverhangCropd",),
    "bundle.scripts.data": (
        "check_folds",
        "class_targets",
        "inverse_sqrt_frequency",
        "list_images",
        "list_pairs",
        "read_datalist",
    ),
    "bundle.scripts.deformation": ("RandCoilBiasd", "RandDeformedCropd"),
    "bundle.scripts.distributed": ("local_rank", "without_logs"),
    "bundle.scripts.evaluation": ("EvaluationReport",),
    "bundle.scripts.inferers": ("AutocastInferer",),
    "bundle.scripts.loaders": ("LoaderAhead",),
    "bundle.scripts.losses": ("DiceWeightedCELoss",),
    "bundle.scripts.optimisers": ("MuonAdamW",),
    "bundle.scripts.partial_labels": ("AnnotatedClasses", "PartialLabelLoss"),
    "bundle.scripts.participants": ("LoadParticipantd", "labels_on_grid"),
    "bundle.scripts.cpu_training": ("quicken_on_cpu",),
    "bundle.scripts.resumption": (
        "EpochSampler",
        "ResumableEarlyStop",
        "ResumeTraining",
        "SeedEachEpoch",
        "TrainingProgress",
        "WholeFileCheckpointSaver",
    ),
    "bundle.scripts.splits": ("training_pairs", "validation_pairs"),
    "bundle.scripts.subvoxels": ("SubvoxelLabelsd",),
    "bundle.scripts.training_settings": ("record_settings",),
    "bundle.scripts.weight_transfer": ("resized", "start_from", "widened"),
}
__getattr__, __dir__ = lazy_names(__name__, _HOMES)

__all__ = [
    "AnnotatedClasses",
    "AnnotatedLabels",
    "AutocastInferer",
    "ClassMetricsCsv",
    "DiceWeightedCELoss",
    "EpochSampler",
    "EvaluationReport",
    "LoadParticipantd",
    "LoaderAhead",
    "MuonAdamW",
    "PartialLabelLoss",
    "RandCoilBiasd",
    "RandDeformedCropd",
    "RandOverhangCropd",
    "ResumableEarlyStop",
    "ResumeTraining",
    "SeedEachEpoch",
    "SubvoxelLabelsd",
    "TrainingProgress",
    "WholeFileCheckpointSaver",
    "check_folds",
    "class_targets",
    "inverse_sqrt_frequency",
    "labels_on_grid",
    "latest_checkpoint",
    "list_images",
    "list_pairs",
    "load_checkpoint",
    "load_weights",
    "local_rank",
    "quicken_on_cpu",
    "read_datalist",
    "read_labels",
    "read_weights",
    "record_settings",
    "refuse_unknown_keys",
    "resized",
    "save_weights",
    "start_from",
    "training_pairs",
    "validation_pairs",
    "widened",
    "without_logs",
]
