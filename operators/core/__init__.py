"""What all stages share. This package imports none of our other packages."""
