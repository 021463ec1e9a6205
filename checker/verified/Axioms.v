(* What the theorems are, and what they rest on: printed by `make verified`, compared by tests/verified. *)
From CompactProofs Require Import Semantics PrefixChains Tables.

Check @clear_denominator.
Check @certified_sound.
Check @certified_groups_sound.
Check @certified_brute_sound.
Print Assumptions clear_denominator.
Print Assumptions certified_sound.
Print Assumptions certified_groups_sound.
Print Assumptions certified_brute_sound.
