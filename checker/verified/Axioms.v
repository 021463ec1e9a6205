(* What the theorems are, and what they rest on: printed by `make verified`, compared by tests/verified. *)
From Coq Require Import String Reals ZArith.
From CompactProofs Require Import Bytes Utf8 Sha256 Json JsonGrammar Container Semantics PrefixChains Projections Projected Tables Tasks Floats Counts Executions ExecutionErrors Deployed OrdinaryRuns CodedOutput SetOutput CellOutput PairCounts PairErrors
  UniformErrors PairDeployed TransformerCounts RegionCounts PotentialCounts JointCounts PrefixClasses PrefixClassCounts.

Check @root_spec.
Check @word_below.
Check @sha256_of_nothing.
Check @sha256_of_abc.
Check @sha256_of_two_blocks.
Check @code_point_complete.
Check @code_point_sound.
Check @read_utf8_sound.
Check @parse_write.
Check @write_injective.
Check @spelled_write.
Check @read_canonical_spec.
Check @distinct_sound.
Check @parse_sound.
Check @read_container_sound.
Check @weight_bits.
Check @clear_denominator.
Check @left_out_bound.
Check @table_bounds_ok.
Check @certified_sound.
Check @certified_groups_sound.
Check @certified_brute_sound.
Check @min_is_max.
Check @certified_min_sound.
Check @certified_groups_min_sound.
Check @certified_brute_min_sound.
Check @float32_value.
Check @float64_value.
Check @float16_value.
Check @bfloat16_value.
Check @integers_value.
Check @count_prefix_chains_sound.
Check @count_group_chains_sound.
Check @count_enumeration_sound.
Check @execution_near.
Check @representable_value.
Check @deployed_prefix_chains_sound.
Check @deployed_group_chains_sound.
Check @deployed_enumeration_sound.
Check @to_nearest.
Check @to_nearest_flushed.
Check @to_operand.
Check @ordinary_float32_execution.
Check @real_execution.
Check @coded_sound.
Check @all_lead_sound.
Check @by_cells_sound.
Check @count_mlp_pairs_sound.
Check @count_uniform_pairs_sound.
Check @mlp_near.
Check @uniform_near.
Check @deployed_mlp_pairs_sound.
Check @deployed_uniform_pairs_sound.
Check @count_transformer_sound.
Check @count_regions_sound.
Check @count_potentials_sound.
Check @count_joint_reads_sound.
Check @class_boxes_sound.
Check @count_class_regions_sound.
Check @count_class_joint_reads_sound.
Print Assumptions root_spec.
Print Assumptions word_below.
Print Assumptions sha256_of_nothing.
Print Assumptions sha256_of_abc.
Print Assumptions sha256_of_two_blocks.
Print Assumptions code_point_complete.
Print Assumptions code_point_sound.
Print Assumptions read_utf8_sound.
Print Assumptions parse_write.
Print Assumptions write_injective.
Print Assumptions spelled_write.
Print Assumptions read_canonical_spec.
Print Assumptions distinct_sound.
Print Assumptions parse_sound.
Print Assumptions read_container_sound.
Print Assumptions weight_bits.
Print Assumptions clear_denominator.
Print Assumptions left_out_bound.
Print Assumptions table_bounds_ok.
Print Assumptions certified_sound.
Print Assumptions certified_groups_sound.
Print Assumptions certified_brute_sound.
Print Assumptions min_is_max.
Print Assumptions certified_min_sound.
Print Assumptions certified_groups_min_sound.
Print Assumptions certified_brute_min_sound.
Print Assumptions integers_value.
Print Assumptions count_prefix_chains_sound.
Print Assumptions count_group_chains_sound.
Print Assumptions count_enumeration_sound.
Print Assumptions execution_near.
Print Assumptions representable_value.
Print Assumptions deployed_prefix_chains_sound.
Print Assumptions deployed_group_chains_sound.
Print Assumptions deployed_enumeration_sound.
Print Assumptions to_nearest.
Print Assumptions to_nearest_flushed.
Print Assumptions to_operand.
Print Assumptions ordinary_float32_execution.
Print Assumptions real_execution.
Print Assumptions coded_sound.
Print Assumptions all_lead_sound.
Print Assumptions by_cells_sound.
Print Assumptions count_mlp_pairs_sound.
Print Assumptions count_uniform_pairs_sound.
Print Assumptions mlp_near.
Print Assumptions uniform_near.
Print Assumptions deployed_mlp_pairs_sound.
Print Assumptions deployed_uniform_pairs_sound.
Print Assumptions count_transformer_sound.
Print Assumptions count_regions_sound.
Print Assumptions count_potentials_sound.
Print Assumptions count_joint_reads_sound.
Print Assumptions class_boxes_sound.
Print Assumptions count_class_regions_sound.
Print Assumptions count_class_joint_reads_sound.
