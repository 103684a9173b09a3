"""The MONAI Bundle that segments 27 pelvic-thigh structures."""
