"""Models: base networks with their weights, the class-aware head, and the zoo that names them."""
