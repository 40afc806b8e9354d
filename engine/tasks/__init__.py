"""Ready-made tasks, one file each: generator, positives, hard negatives, answers, published circuit."""
