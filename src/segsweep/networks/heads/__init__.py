"""Heads: feature maps → logits. One file each; a new one is a Python file and a YAML in conf/head."""
