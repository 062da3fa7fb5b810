"""Heads: feature maps → logits. One file each; a new one is a file here (or anywhere) and a YAML in conf/head."""
