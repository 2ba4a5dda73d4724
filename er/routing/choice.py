"""Which of several scores is highest, by how much, and which comes next."""

NO_MARGIN = float("inf")

# Cluster, margin over the second best, second best (itself where there is no other).
Choice = tuple[int, float, int]


def best_two(scores: list[float]) -> Choice:
    """The place of the highest score, the first of equals; its margin; the second's place."""
    highest = max(scores)
    chosen = scores.index(highest)
    others = [*scores[:chosen], float("-inf"), *scores[chosen + 1 :]]
    second = max(others)
    if second == float("-inf"):
        return chosen, NO_MARGIN, chosen
    return chosen, highest - second, others.index(second)
