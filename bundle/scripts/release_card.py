"""The human-readable model card of a released bundle: `docs/README.md` and `docs/data_license.txt`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bundle.scripts.release_figures import Figures
from operators.core import anatomy

__all__ = ["data_license", "model_card"]

_SYNTHETIC = (
    "**These weights were trained on synthetic images, and nobody has validated them on people.** Training data says "
    "what anatomy the images show. Do not trust their results on an image of a person. Every output made with them "
    "says that they were trained on synthetic anatomy. They are not for clinical use."
)
_REAL = (
    "These weights were trained on images of people, as stated under Training data. The bundle is not a medical "
    "device. Check it on images of your own scanner and participants before you use its numbers."
)
_NO_FIGURES = (
    "**No figures were given when this bundle was released.** The accuracy of these weights is unknown. Evaluate "
    "them on annotated participants that they were not trained on, and release them again with `--metrics`."
)


def model_card(
    card: Mapping[str, Any],
    *,
    settings: Mapping[str, Any],
    config_names: Sequence[str],
    overrides: Sequence[str],
    parameters: int,
    figures: Figures | None,
    folder: str,
) -> str:
    """Text of ``docs/README.md``.

    Parameters
    ----------
    card : mapping
        ``models/shipped.json``.
    settings : mapping
        From `inference_settings`.
    config_names : sequence of str
        Config files of the training, in order.
    overrides : sequence of str
        Keys set on the training's command line.
    parameters : int
        Number of the network's parameters.
    figures : Figures or None
    folder : str
        Name of the bundle's folder, used in the commands.
    """
    network = settings["network_def"]
    facts = {
        "task": f"volumetric segmentation, {len(anatomy.STRUCTURES)} structures; left and right share a class",
        "input": f"fused Dixon images on any grid: {', '.join(settings['images'])}",
        "output": f"{anatomy.CHANNEL_COUNT} channels: background, the structures of the label table, adipose tissue",
        "network": f"{str(network['_target_']).rpartition('.')[2]}, {parameters / 1e6:.1f} million parameters",
        "window": f"{_by(settings['roi'])} voxels" if "roi" in settings else "see configs/trained.yaml",
        "voxels": f"{_by(settings['spacing_mm'])} mm" if "spacing_mm" in settings else "see configs/trained.yaml",
        "weights": f"`{card['weights']}`, SHA-256 `{card['sha256']}`",
        "trained with": ", ".join(f"`{name}`" for name in config_names)
        + (f", and {', '.join(f'`{key}`' for key in overrides)} set on the command line" if overrides else ""),
    }
    sections = [
        f"# {card['name']} {card['version']}",
        _SYNTHETIC if card["synthetic_training"] else _REAL,
        _table(("", ""), facts.items()),
        f"## Intended use\n\n{card['intended_use']}",
        f"## Training data\n\n{card['training_data']}",
        "The whole training config is `configs/train.yaml`. `configs/trained.yaml` is the part of it that the network "
        "needs at inference. It overrides `configs/inference.yaml`.",
        f"## Evaluation\n\n{_evaluation(figures, card['synthetic_training'])}",
        f"## Use\n\n```bash\nsarcomap run STUDY -m {folder} -o OUT\nsarcomap bundle check {folder}\n```",
        "## Licence\n\nThe configs are part of SarcoMAP: Apache-2.0, text in `LICENSE`. What may be done with the "
        "weights depends on the data that they were trained on: `docs/data_license.txt`.",
    ]
    return "\n\n".join(sections) + "\n"


def data_license(card: Mapping[str, Any]) -> str:
    """Text of ``docs/data_license.txt`` if the releaser of the bundle gives none."""
    return (
        f"Training data of {card['name']} {card['version']} ({card['weights']})\n\n"
        f"Source   {card['training_data']}\n"
        "Licence  Not stated when this bundle was released.\n\n"
        "Weights are derived from the data that they were trained on: what may be done\n"
        "with them is what the terms of the data allow. Read these terms before you pass\n"
        "the weights on. UK Biobank, for one, has terms on models trained on its data.\n\n"
        "configs/meta_schema_20240725.json is the MONAI Consortium's metadata schema,\n"
        "unchanged (Apache-2.0).\n"
    )


def _evaluation(figures: Figures | None, synthetic: bool) -> str:
    if figures is None:
        return _NO_FIGURES
    parts = []
    for labels, about in (
        ("annotated", "Comparison with annotated participants."),
        ("weak", "Comparison with another program's labels: it shows how well that program is imitated, not accuracy."),
    ):
        mean = figures.mean(labels)
        if mean is None:
            continue
        rows = [*figures.structures(labels), mean]
        table = _table(
            ("structure", "participants", "missed", "Dice (95% interval)", "HD95, mm"),
            [
                (
                    row["structure"].replace("_", " "),
                    row["participants"],
                    row["missed"],
                    f"{_fixed(row['dice'], 3)} ({_fixed(row['dice_low'], 3)} to {_fixed(row['dice_high'], 3)})",
                    _fixed(row["hd95_mm"], 1),
                )
                for row in rows
            ],
        )
        parts.append(f"{about} Mean Dice over structures: **{_fixed(mean['dice'], 3)}**.\n\n{table}")
    if synthetic:
        parts.append("Figures on synthetic images say nothing about images of people.")
    parts.append("All metrics are in `docs/evaluation/`. Structures without a row were annotated in no participant.")
    return "\n\n".join(parts)


def _table(head: Sequence[str], rows: Any) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def _fixed(text: str, decimals: int) -> str:
    return f"{float(text):.{decimals}f}" if text else "none"


def _by(numbers: Sequence[float]) -> str:
    return " x ".join(f"{number:g}" for number in numbers)
