"""Students' own page: what their disk was like, and how they get a file of it back."""
