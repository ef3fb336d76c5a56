"""Data: cases, label spaces, folder layouts, file formats, checks, the slice cache and the phantom."""
