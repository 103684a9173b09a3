"""The ground floor: what every stage shares. It imports nothing of ours."""
