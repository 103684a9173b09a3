"""Schemes: which labels of other segmentation tools correspond to which structures of the label table."""

from operators.core.label_schemes.scheme import LabelSource, Scheme, load_scheme, scheme_names

__all__ = ["LabelSource", "Scheme", "load_scheme", "scheme_names"]
