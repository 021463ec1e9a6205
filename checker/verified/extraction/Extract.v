(* OCaml code for the functions of Counts.v, Deployed.v, PairCounts.v, PairDeployed.v, TransformerCounts.v, RegionCounts.v, PotentialCounts.v,
   JointCounts.v, PrefixClassCounts.v, Sha256.v, Json.v and Container.v. Natural numbers become machine integers (they are sizes, tokens and
   positions), Z becomes Zarith's integers by shim/integers.ml, bytes become characters, words of 32 bits machine integers by shim/words.ml,
   and memo1, proved to be the identity, an array. *)
From Coq Require Import ZArith Arith List Extraction ExtrOcamlBasic ExtrOcamlNatInt ExtrOcamlChar.
From CompactProofs Require Import Bytes Utf8 Sha256 Json Container PrefixChains GroupChains Counts Executions Deployed PairCounts PairDeployed
  Automata TransformerCounts RegionCounts PotentialCounts JointCounts PrefixClasses PrefixClassCounts.
Extract Inductive positive => "Integers.t" [ "Integers.twice_and_one" "Integers.twice" "Integers.one" ] "Integers.positive".
Extract Inductive Z => "Integers.t" [ "Integers.zero" "" "Integers.neg" ] "Integers.sign".
Extract Inlined Constant Z.add => "Integers.add".
Extract Inlined Constant Z.sub => "Integers.sub".
Extract Inlined Constant Z.mul => "Integers.mul".
Extract Inlined Constant Z.opp => "Integers.neg".
Extract Inlined Constant Z.abs => "Integers.abs".
Extract Inlined Constant Z.min => "Integers.min".
Extract Inlined Constant Z.max => "Integers.max".
Extract Inlined Constant Z.leb => "Integers.leq".
Extract Inlined Constant Z.ltb => "Integers.lt".
Extract Inlined Constant Z.eqb => "Integers.equal".
Extract Inlined Constant Z.div => "Integers.floor_div".
Extract Inlined Constant Z.modulo => "Integers.floor_mod".
Extract Inlined Constant Z.pow => "Integers.power".
Extract Inlined Constant Z.sqrt => "Integers.square_root".
Extract Inlined Constant Z.shiftl => "Integers.left".
Extract Inlined Constant Z.shiftr => "Integers.right".
Extract Inlined Constant Z.log2 => "Integers.log2".
Extract Inlined Constant Z.land => "Integers.logand".
Extract Inlined Constant Z.abs => "Integers.abs".
Extract Inlined Constant Z.of_nat => "Integers.of_int".
Extract Inlined Constant Nat.div => "Integers.quotient".
Extract Inlined Constant Nat.modulo => "Integers.rest".
Extract Inlined Constant Datatypes.length => "Stdlib.List.length".
Extract Inlined Constant Bytes.number => "Integers.of_byte".
Extract Inlined Constant Bytes.byte_of => "Integers.to_byte".
Extract Inductive Sha256.word => "int" [ "Words.of_integer" ] "Words.integer".
Extract Inlined Constant Sha256.word_of => "Words.of_integer".
Extract Inlined Constant Sha256.plus => "Words.plus".
Extract Inlined Constant Sha256.both => "Words.both".
Extract Inlined Constant Sha256.xor => "Words.xor".
Extract Inlined Constant Sha256.inverse => "Words.inverse".
Extract Inlined Constant Sha256.shift => "Words.shift".
Extract Inlined Constant Sha256.turn => "Words.turn".
Extract Inlined Constant Sha256.word_of_bytes => "Words.of_bytes".
Extract Inlined Constant Sha256.byte_of_word => "Words.byte".
Extract Constant memo1 => "Integers.memo".
Extraction "counts.ml" count_prefix_chains count_group_chains count_enumeration in_format float32 float64 tf32 bfloat16
  count_mlp_pairs count_uniform_pairs in_format_mlp in_format_uniform
  count_transformer count_regions_at_reads count_potentials count_joint_reads refined count_class_regions count_class_joint_reads
  Sha256.sha256 Sha256.in_hex Utf8.read_utf8 Json.parse Json.read_canonical Json.spelled Container.read_container Container.weight.
