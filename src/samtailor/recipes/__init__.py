"""Recipes: which parameters of a base model are adapted, and how (LoRA, adapters, head only, all)."""
