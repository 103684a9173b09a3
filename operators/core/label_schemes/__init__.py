"""What the labels of other segmentation tools mean in the label table."""

from operators.core.label_schemes.scheme import LabelSource, Scheme, load_scheme, scheme_names

__all__ = ["LabelSource", "Scheme", "load_scheme", "scheme_names"]
