"""Where documents, facts and questions come from: worlds, packages, files."""
