"""A plugin for pytest: examples that fail are not made smaller, as nobody reads them while mutants are tried."""

from hypothesis import Phase, settings

settings.register_profile("mutants", phases=(Phase.explicit, Phase.generate))
settings.load_profile("mutants")
