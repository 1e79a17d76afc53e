"""Builds the project's container images without a container tool: see docs/how-to/images.md."""
