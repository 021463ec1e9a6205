"""The trusted core: exact arithmetic, tasks, facts, and what a check may take."""
