"""The report's tables and figures, measured again."""
