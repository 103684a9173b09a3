"""The five stages of SarcoMAP, each plain functions on arrays with a thin MONAI Deploy operator around them."""
