"""Tables, figures and pages, drawn from plain values."""
