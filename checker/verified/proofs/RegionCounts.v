(* What the extracted checker calls about regions of inputs of a transformer of one layer: rules regions and all-reads. *)
From Coq Require Import Reals Lra Lia ZArith List Arith Bool.
From CompactProofs Require Import Semantics Counting PrefixChains QuickExponential Vectors Attention Transformers Automata
  Forward EveryInput Floats
  TransformerCounts ReadingOrder Boxes OneLayer AfterAttention Regions AllReads.
Import ListNotations.
Open Scope Z_scope.

(* What is claimed of a finer automaton (Regions.v), once terms are known. *)
Record finer_automaton := Finer { leads_to : nat -> nat -> nat -> option nat; stands_for : nat -> nat -> nat;
  of_query : nat -> nat -> nat;
  sum_bounds : nat -> nat -> box; state_sizes : nat -> nat }.
(* And of a read: where queries start, which tokens inputs have at positions (a hint on rounding), how often boxes are cut, and
  where. *)
Record read_claim := Claim_read { query_starts : nat -> option nat; present : nat -> nat -> bool; most_cuts : nat;
  cut_at : box -> nat;
  finer_of : (nat -> nat -> nat -> option box) -> finer_automaton }.

Section Counts.
Variable M : automaton.
Variable states : nat.
Variable back : nat -> nat.   (* the step in which a position is read *)
Variable claims : nat -> read_claim.   (* of each read *)
Variable A : architecture.
Variable tied : bool.
Variable W : tensors.
Variables (e p mn md : Z) (g terms : nat).
Notation V := (d_vocab A). Notation K := (n_ctx A).

Section Read.
Variable T : transformer Z.
Variable expo : Z -> Z * Z.
Variable first : nat -> nat -> option spot.
Variable after : functions.
Variable r : nat.
Notation dh := (d_head A).
Definition over_present (least : bool) (f : nat -> nat -> option Z) : Z :=
  let found := flat_map (fun j => flat_map (fun t => if present (claims r) j t then match f j t with Some z => [z] | None => []
    end else []) (seq 0 V)) (seq 0 K) in
  match found with [] => 0 | z :: rest => fold_left (if least then Z.min else Z.max) rest z end.
Definition reference_of (at_position q h : nat) : Z :=
  match query_starts (claims r) q, first at_position q with
  | Some _, Some sq =>
    let size := zsum dh (fun c => Z.abs (mid (asks sq) (h * dh + c)%nat)) in
    over_present false (fun j t => if looks_at A at_position j t then
      match first j t with
      | Some st => let '(s, e') := score_of p dh (h * dh) (group_of A h) e (slopes (blocks T O) h) at_position (asks sq) size
        (own st) in Some (s + e')
      | None => None
      end else None)
  | _, _ => 0
  end.
Definition centre_of (at_position k : nat) : Z :=
  let value j t := if looks_at A at_position j t then
    match first j t with Some st => Some (mid (values (own st)) (group_of A (k / dh) * dh + k mod dh)%nat) | None => None end
      else None in
  (over_present true value + over_present false value) / 2.
Definition range_of (at_position : nat) (centre : nat -> Z) (k : nat) : Z * Z :=
  let ends least j t := if looks_at A at_position j t then
    match first j t with
    | Some st => let v := values (own st) in let m0 := (mid v (group_of A (k / dh) * dh + k mod dh)%nat - centre k) in
      Some (if (least : bool) then m0 - err v else m0 + err v)
    | None => None
    end else None in
  (over_present true (ends true), over_present false (ends false)).
Definition count_one_read : Z :=
  if readable A M r back then
    let claim := claims r in
    let at_position := position M r in
    let reference := memo2 V (n_heads A) (reference_of at_position) in
    let centre := memo1 (n_heads A * dh) (centre_of at_position) in
    let range := memo1 (n_heads A * dh) (range_of at_position centre) in
    let terms_of q := term_of A e p T expo at_position first reference centre range q in
    let asked q := match query_starts claim q with Some _ => true | None => false end in
    let term := memo1 V (fun q => if asked q then memo2 V K (terms_of q) else terms_of q) in
    let base := known_of A e p T at_position first centre in
    let ready := memo1 V (fun q => if asked q then base q else base q) in
    let F := finer_of claim term in
    let ending q := going_on A M r states term q (K - steps M r) (steps M r) in
    let endings := memo1 V (fun q => if asked q then ending q else fun s => ending q s) in
    count_read A e p mn md M r range after (most_cuts claim) (cut_at claim) (query_starts claim) (leads_to F) (stands_for F)
      (of_query F) (sum_bounds F)
      (state_sizes F) term ready endings
  else 0.
End Read.

Definition simple : bool :=
  (n_layers A =? 1)%nat && (negb (has_norm A) || (0 <? fst (eps A))) && (0 <? length (reads M))%nat && inverse K back (order M).
Definition count_regions_at_reads : Z :=
  if fits A W e p md && simple then
    let T := weights_of (integers e) A tied W in
    let expo := quick_exp p g terms in
    let prepare := prepare_by A e p (blocks T O) in
    let first := memo2 K V (fun j t => prepare j (embedded A e p T j t)) in
    let after := functions_of A e p T expo in
    let total := ways A M states K O O in
    total - zsum (length (reads M)) (fun r => total - count_one_read T expo first after r)
  else 0.

Theorem count_regions_sound :
  count_regions_at_reads <= n_right_inputs (By_automaton M) A (float_transformer A tied W) (IZR mn / IZR md).
Proof.
  unfold count_regions_at_reads. destruct (fits A W e p md && simple) eqn:F; [|unfold n_right_inputs; lia].
  apply andb_prop in F as [F Sm].
  unfold fits in F. rewrite !andb_true_iff in F. destruct F as [[[[[[[[[[F1 F2] F3] F4] F5] F6] F7] F8] F9] F10] F11].
  apply Z.leb_le in F1, F2, F8. apply Z.ltb_lt in F3, F9. apply Nat.ltb_lt in F4, F5, F6. apply Nat.leb_le in F7.
  rewrite forallb_forall in F11.
  unfold simple in Sm. rewrite !andb_true_iff in Sm. destruct Sm as [[[S1 S2] S4] S5]. apply Nat.eqb_eq in S1.
  apply Nat.ltb_lt in S4.
  rewrite <- (transformer_same A tied W e F1 F11). cbv zeta. set (T := weights_of (integers e) A tied W).
  apply all_reads_le; auto.
  - apply (inputs_le A M states back S5).
  - intros r Hr. unfold count_one_read. destruct (readable A M r back) eqn:Rd; [|lia]. cbv zeta.
    eapply (count_read_le A e p mn md T) with (back := back)
      (first := memo2 K V (fun j t => prepare_by A e p (blocks T O) j (embedded A e p T j t)))
      (reference := memo2 V (n_heads A) (reference_of T (memo2 K V (fun j t => prepare_by A e p (blocks T O) j (embedded A e p
        T j t))) r (position M r)))
      (centre := memo1 (n_heads A * d_head A) (centre_of (memo2 K V (fun j t => prepare_by A e p (blocks T O) j (embedded A e p
        T j t))) r (position M r)))
      (expo := quick_exp p g terms)
      (states := states); auto; try lia.
    + intros y Hy. now apply quick_exp_ok.
    + destruct (attn_scale A) as [[a b]|]; auto. now apply Z.ltb_lt.
    + intros N. rewrite N in S2. now apply Z.ltb_lt.
    + intros j t. now rewrite memo2_eq.
    + intros q t j. rewrite memo1_eq. destruct (query_starts (claims r) q); [now rewrite memo2_eq|reflexivity].
    + intros q. rewrite memo1_eq. now destruct (query_starts (claims r) q).
    + intros q s. rewrite memo1_eq. now destruct (query_starts (claims r) q).
Qed.
End Counts.
