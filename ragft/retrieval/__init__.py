"""Finding passages: BM25, dense vectors, their fusion, and one index over all of it."""
