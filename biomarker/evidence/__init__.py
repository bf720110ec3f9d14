"""What the data can carry: sample size, and what choosing a cut-point costs."""
