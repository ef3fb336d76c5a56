"""Several processes that do one job: who they are, what they tell each other, how they are started."""
