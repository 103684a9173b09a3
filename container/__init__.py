"""The container: its manifests and the commands inside it. See docs/container.md."""
