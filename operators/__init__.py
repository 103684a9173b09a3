"""The five stages of SarcoMAP. Each consists of plain functions on arrays and a thin MONAI Deploy operator."""
