"""The data pillar: pin the content of files, find what changed."""
