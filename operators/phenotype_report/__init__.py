"""Stage five: phenotypes, and the report in its three forms."""
