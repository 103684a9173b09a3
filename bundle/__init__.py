"""The MONAI Bundle that segments the pelvic and thigh structures of the label table."""
