(* What the extracted checker calls about regions of inputs of a transformer of one layer: rules regions and all-reads. *)
From Coq Require Import Reals Lra Lia ZArith List Arith Bool.
From CompactProofs Require Import Semantics Counting PrefixChains QuickExponential Vectors Attention Transformers Automata
  Forward EveryInput Floats
  TransformerCounts ReadingOrder Boxes OneLayer AfterAttention Regions OneRead AllReads.
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
    over_present false (fun j t => if looks_at A at_position j t && (negb (j =? at_position)%nat || (t =? q)%nat) then
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
Definition read_by_regions {X} (use : nat -> (nat -> nat -> nat -> option box) -> (nat -> nat -> nat -> box -> bool) ->
  finer_automaton -> (nat -> nat -> Z * box) -> X) : X :=
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
    let ending q := going_on A M r states (n_heads A * S dh) term q (K - steps M r) (steps M r) in
    let endings := memo1 V (fun q => if asked q then ending q else fun s => ending q s) in
    use (n_heads A * S dh)%nat term (leads_region A e p mn md range after (most_cuts claim) (cut_at claim) ready) F endings.
Definition count_by (W : nat) (term : nat -> nat -> nat -> option box) (leads : nat -> nat -> nat -> box -> bool)
  (F : finer_automaton) (endings : nat -> nat -> Z * box) : Z :=
  count_read A M r W term leads (query_starts (claims r)) (leads_to F) (stands_for F) (of_query F) (sum_bounds F) (state_sizes
    F)
    endings.
Definition count_one_read : Z := if readable A M r back then read_by_regions count_by else 0.
End Read.

Definition simple : bool :=
  (n_layers A =? 1)%nat && (negb (has_norm A) || (0 <? fst (eps A))) && (0 <? length (reads M))%nat && inverse K back (order M).
Definition weights_as_integers : transformer Z := weights_of (integers e) A tied W.
Definition first_layer (T : transformer Z) : nat -> nat -> option spot :=
  let prepare := prepare_by A e p (blocks T O) in memo2 K V (fun j t => prepare j (embedded A e p T j t)).
Definition count_regions_at_reads : Z :=
  if fits A W e p md && simple then
    let T := weights_as_integers in
    let expo := quick_exp p g terms in
    let first := first_layer T in
    let after := functions_of A e p T expo in
    let total := ways A M states K O O in
    total - zsum (length (reads M)) (fun r => total - count_one_read T expo first after r)
  else 0.

Notation margin := (IZR mn / IZR md)%R.
Lemma fitting : fits A W e p md && simple = true ->
  ((0 <= e) /\ (8 <= p) /\ (0 < md)) /\ ((0 < d_model A) /\ (0 < d_head A) /\ (0 < n_key_value_heads A <= n_heads A))%nat /\
  (0 <= fst (eps A) /\ 0 < snd (eps A)) /\ match attn_scale A with None => True | Some (a, b) => 0 < b end /\
  (forall t, In t (all_tensors W) -> exact e t = true) /\ n_layers A = 1%nat /\ positive A /\ (0 < length (reads M))%nat /\
  inverse K back (order M) = true.
Proof.
  intros F. apply andb_prop in F as [F Sm].
  unfold fits in F. rewrite !andb_true_iff in F. destruct F as [[[[[[[[[[F1 F2] F3] F4] F5] F6] F7] F8] F9] F10] F11].
  apply Z.leb_le in F1, F2, F8. apply Z.ltb_lt in F3, F9. apply Nat.ltb_lt in F4, F5, F6. apply Nat.leb_le in F7.
  rewrite forallb_forall in F11.
  unfold simple in Sm. rewrite !andb_true_iff in Sm. destruct Sm as [[[S1 S2] S4] S5]. apply Nat.eqb_eq in S1.
  apply Nat.ltb_lt in S4. repeat split; auto.
  - destruct (attn_scale A) as [[a b]|]; auto. now apply Z.ltb_lt.
  - intros N. rewrite N in S2. now apply Z.ltb_lt.
Qed.
(* What is used of a read is faithful. *)
Notation RT := (float_transformer A tied W).
Theorem read_by_regions_ok {X} (Q : X -> Prop) r use : fits A W e p md && simple = true ->
  (forall n term leads F endings, faithful A p M r states RT margin n term leads endings -> Q (use n term leads F endings)) ->
  let T := weights_as_integers in let expo := quick_exp p g terms in
  Q (read_by_regions T expo (first_layer T) (functions_of A e p T expo) r use).
Proof.
  intros F U. cbv zeta. destruct (fitting F) as ((F1 & F2 & F3) & (F4 & F5 & F6) & F8 & F9 & F10 & S1 & S2 & S4 & S5).
  unfold read_by_regions. cbv zeta. apply U.
  rewrite <- (transformer_same A tied W e F1 F10). fold weights_as_integers. set (T := weights_as_integers).
  eapply (regions_faithful A e p mn md T) with (first := first_layer T)
    (reference := memo2 V (n_heads A) (reference_of T (first_layer T) r (position M r)))
    (centre := memo1 (n_heads A * d_head A) (centre_of (first_layer T) r (position M r)))
    (expo := quick_exp p g terms); auto; try lia.
  - intros y Hy. now apply quick_exp_ok.
  - intros j t. unfold first_layer. now rewrite memo2_eq.
  - intros q t j. rewrite memo1_eq. destruct (query_starts (claims r) q); [now rewrite memo2_eq|reflexivity].
  - intros q. rewrite memo1_eq. now destruct (query_starts (claims r) q).
  - intros q s. rewrite memo1_eq. now destruct (query_starts (claims r) q).
Qed.
Lemma count_by_le r n term leads F endings : readable A M r back = true ->
  faithful A p M r states RT margin n term leads endings ->
  count_by r n term leads F endings <= Z.of_nat (length (filter (right_read M A RT margin r) (all_lists V K))).
Proof. intros Rd (total & F1 & F2 & F3 & F4). now apply count_read_le with (p := p) (states := states) (back := back) (total :=
  total). Qed.
Theorem count_one_read_le r : fits A W e p md && simple = true ->
  let T := weights_as_integers in let expo := quick_exp p g terms in
  count_one_read T expo (first_layer T) (functions_of A e p T expo) r <=
  Z.of_nat (length (filter (right_read M A RT margin r) (all_lists V K))).
Proof.
  intros F. cbv zeta. unfold count_one_read. destruct (readable A M r back) eqn:Rd; [|lia].
  apply (read_by_regions_ok (fun z => z <= _) r _ F). intros n term leads G endings Fa. now apply count_by_le.
Qed.

Theorem count_regions_sound :
  count_regions_at_reads <= n_right_inputs (By_automaton M) A (float_transformer A tied W) margin.
Proof.
  unfold count_regions_at_reads. destruct (fits A W e p md && simple) eqn:F; [|unfold n_right_inputs; lia].
  destruct (fitting F) as (_ & _ & _ & _ & _ & _ & _ & S4 & S5). cbv zeta. apply all_reads_le; auto.
  - apply (inputs_le A M states back S5).
  - intros r Hr. now apply count_one_read_le.
Qed.
End Counts.
