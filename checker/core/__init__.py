"""The trusted core: exact arithmetic, tasks, facts, and deciding."""
