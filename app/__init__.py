"""The MONAI Deploy application: the five operators in a chain, and its command line."""
