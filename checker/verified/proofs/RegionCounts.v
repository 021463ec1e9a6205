(* What the extracted checker calls about regions of inputs of a transformer: rules regions and all-reads, and, if it has several
   layers, prefix-classes, whose classes are the states of the automaton. *)
From Coq Require Import Reals Lra Lia ZArith List Arith Bool.
From CompactProofs Require Import Semantics Counting PrefixChains QuickExponential Vectors Attention Transformers Automata
  Forward EveryInput Floats
  TransformerCounts ReadingOrder Boxes OneLayer AfterAttention Regions OneRead AllReads PrefixClasses.
Import ListNotations.
Open Scope Z_scope.

(* What is claimed of a finer automaton (Regions.v), once terms are known. *)
Record finer_automaton := Finer { leads_to : nat -> nat -> nat -> option nat; stands_for : nat -> nat -> nat;
  of_query : nat -> nat -> nat;
  sum_bounds : nat -> nat -> box; state_sizes : nat -> nat }.
(* And of a read: where queries start, which symbols inputs have at positions, all and those with a query (hints on rounding), how
   often boxes are cut, and where. *)
Record read_claim := Claim_read { query_starts : nat -> option nat; present : nat -> nat -> bool;
  with_query : nat -> nat -> nat -> bool; most_cuts : nat; cut_at : box -> nat;
  finer_of : (nat -> nat -> nat -> option box) -> finer_automaton }.

Section Counts.
Variable M : automaton.
Variable states : nat.
Variable back : nat -> nat.   (* the step in which a position is read *)
Variable claims : nat -> read_claim.   (* of each read *)
Variable classes : class_claims.   (* if there are several layers *)
Variable A : architecture.
Variable tied : bool.
Variable W : tensors.
Variables (e p mn md : Z) (g terms : nat).
Notation V := (d_vocab A). Notation K := (n_ctx A).
Definition last_layer : nat := (n_layers A - 1)%nat.
Notation by_state := (later last_layer).
Notation symbols := (symbols_at A states last_layer).

Section Read.
Variable T : transformer Z.
Variable expo : Z -> Z * Z.
Variable first : nat -> nat -> option spot.
Variable after : functions.
Variable r : nat.
Notation dh := (d_head A).
Definition read_by_regions {X} (use : nat -> (nat -> nat -> nat -> option box) -> (nat -> nat -> nat -> box -> bool) ->
  finer_automaton -> (nat -> nat -> Z * box) -> X) : X :=
    let claim := claims r in
    let at_position := position M r in
    let asked q := match query_starts claim q with Some _ => true | None => false end in
    let reference := memo2 symbols (n_heads A) (fun q => if asked q then
      reference_of A e p T last_layer at_position first symbols (with_query claim) q else fun _ => 0) in
    let centre := memo1 (n_heads A * dh) (centre_of A at_position first symbols (present claim)) in
    let range := memo1 (n_heads A * dh) (range_of A at_position first symbols (present claim) centre) in
    let terms_of q := term_of A e p T expo last_layer at_position first reference centre range q in
    let term := memo1 symbols (fun q => if asked q then memo2 symbols K (terms_of q) else terms_of q) in
    let base := known_of A e p T last_layer at_position first centre in
    let ready := memo1 symbols base in
    let F := finer_of claim term in
    let ending q := going_on A M r states (n_heads A * S dh) by_state term q (K - steps M r) (steps M r) in
    let endings := memo1 symbols (fun q => if asked q then ending q else fun s => ending q s) in
    use (n_heads A * S dh)%nat term (leads_region A e p mn md range after (most_cuts claim) (cut_at claim) ready) F endings.
Definition count_by (W : nat) (term : nat -> nat -> nat -> option box) (leads : nat -> nat -> nat -> box -> bool)
  (F : finer_automaton) (endings : nat -> nat -> Z * box) : Z :=
  count_read A M r W by_state symbols term leads (query_starts (claims r)) (leads_to F) (stands_for F) (of_query F) (sum_bounds F) (state_sizes
    F)
    endings.
Definition count_one_read : Z := if readable A M r back then read_by_regions count_by else 0.
End Read.

Definition simple : bool :=
  (1 <=? n_layers A)%nat && (negb by_state || deep A M) && (negb (has_norm A) || (0 <? fst (eps A))) &&
  (0 <? length (reads M))%nat && inverse K back (order M).
Definition weights_as_integers : transformer Z := weights_of (integers e) A tied W.
Definition first_layer (T : transformer Z) : nat -> nat -> option spot :=
  let prepare := prepare_by A e p (blocks T O) in memo2 K V (fun j t => prepare j (embedded A e p T j t)).
Definition last_spots (T : transformer Z) (expo : Z -> Z * Z) : nat -> nat -> option spot :=
  spots_at A e p T expo M states classes (first_layer T) last_layer.
Definition count_regions_at_reads : Z :=
  if fits A W e p md && simple then
    let T := weights_as_integers in
    let expo := quick_exp p g terms in
    let first := last_spots T expo in
    let after := functions_of A e p T expo last_layer in
    let total := ways A M states K O O in
    total - zsum (length (reads M)) (fun r => total - count_one_read T expo first after r)
  else 0.

Notation margin := (IZR mn / IZR md)%R.
Lemma fitting : fits A W e p md && simple = true ->
  ((0 <= e) /\ (8 <= p) /\ (0 < md)) /\ ((0 < d_model A) /\ (0 < d_head A) /\ (0 < n_key_value_heads A <= n_heads A))%nat /\
  (0 <= fst (eps A) /\ 0 < snd (eps A)) /\ match attn_scale A with None => True | Some (a, b) => 0 < b end /\
  (forall t, In t (all_tensors W) -> exact e t = true) /\ n_layers A = S last_layer /\ positive A /\ (0 < length (reads M))%nat /\
  inverse K back (order M) = true /\ (by_state = false \/ deep A M = true).
Proof.
  intros F. apply andb_prop in F as [F Sm].
  unfold fits in F. rewrite !andb_true_iff in F. destruct F as [[[[[[[[[[F1 F2] F3] F4] F5] F6] F7] F8] F9] F10] F11].
  apply Z.leb_le in F1, F2, F8. apply Z.ltb_lt in F3, F9. apply Nat.ltb_lt in F4, F5, F6. apply Nat.leb_le in F7.
  rewrite forallb_forall in F11.
  unfold simple in Sm. rewrite !andb_true_iff in Sm. destruct Sm as [[[[S1 S3] S2] S4] S5]. apply Nat.leb_le in S1.
  apply Nat.ltb_lt in S4. repeat split; auto.
  - destruct (attn_scale A) as [[a b]|]; auto. now apply Z.ltb_lt.
  - unfold last_layer. lia.
  - intros N. rewrite N in S2. now apply Z.ltb_lt.
  - destruct by_state; auto.
Qed.
(* What is used of a read is faithful. *)
Notation RT := (float_transformer A tied W).
Theorem read_by_regions_ok {X} (Q : X -> Prop) r use : fits A W e p md && simple = true ->
  (forall n term leads F endings, faithful A p M r states RT margin n by_state term leads endings ->
    Q (use n term leads F endings)) ->
  let T := weights_as_integers in let expo := quick_exp p g terms in
  Q (read_by_regions T expo (last_spots T expo) (functions_of A e p T expo last_layer) r use).
Proof.
  intros F U. cbv zeta. destruct (fitting F) as ((F1 & F2 & F3) & (F4 & F5 & F6) & F8 & F9 & F10 & S1 & S2 & S4 & S5 & S6).
  assert (Expo : forall y, 0 <= y -> (IZR (fst (quick_exp p g terms y)) <= IZR (2 ^ p) * exp (- (IZR y / IZR (2 ^ p))) <=
    IZR (snd (quick_exp p g terms y)))%R) by (intros y Hy; apply quick_exp_ok; lia).
  unfold read_by_regions. cbv zeta. apply U.
  rewrite <- (transformer_same A tied W e F1 F10). fold weights_as_integers. set (T := weights_as_integers).
  set (expo := quick_exp p g terms) in *. set (first := last_spots T expo). set (at_position := position M r).
  eapply (regions_faithful A e p mn md T expo last_layer) with (first := first) (sym := symbol_at M last_layer); auto; try lia.
  - intros x i s L St. exact (symbol_at_ok A M last_layer x i s S6 L St).
  - intros x j. exact (pads_at A M last_layer x j S6).
  - intros x j s [Ix Lv] J Fs. apply all_lists_spec in Ix as [Lx Vx]. rewrite Forall_forall in Vx.
    destruct (state_after M x (S j)) as [s0|] eqn:St.
    + eapply (spots_ok A e p T expo M states classes (first_layer T)) with (s := s0); eauto; try lia.
      * intros i t. unfold first_layer. now rewrite memo2_eq.
      * intros i L. apply Vx, nth_In. lia.
    + exfalso. apply (run_alive M x (S j) (K - S j)); auto. now replace (S j + (K - S j))%nat with K by lia.
  - intros q t j. rewrite memo1_eq. destruct (query_starts (claims r) q); [now rewrite memo2_eq|reflexivity].
  - intros q. now rewrite memo1_eq.
  - intros q s. rewrite memo1_eq. now destruct (query_starts (claims r) q).
Qed.
Lemma count_by_le r n term leads F endings : readable A M r back = true ->
  faithful A p M r states RT margin n by_state term leads endings ->
  count_by r n term leads F endings <= Z.of_nat (length (filter (right_read M A RT margin r) (all_lists V K))).
Proof.
  intros Rd (sym & total & F0 & F1 & _ & F2 & F3 & F4). now apply count_read_le with (p := p) (states := states) (back := back)
    (sym := sym) (total := total).
Qed.
Theorem count_one_read_le r : fits A W e p md && simple = true ->
  let T := weights_as_integers in let expo := quick_exp p g terms in
  count_one_read T expo (last_spots T expo) (functions_of A e p T expo last_layer) r <=
  Z.of_nat (length (filter (right_read M A RT margin r) (all_lists V K))).
Proof.
  intros F. cbv zeta. unfold count_one_read. destruct (readable A M r back) eqn:Rd; [|lia].
  apply (read_by_regions_ok (fun z => z <= _) r _ F). intros n term leads G endings Fa. now apply count_by_le.
Qed.

Theorem count_regions_sound :
  count_regions_at_reads <= n_right_inputs (By_automaton M) A (float_transformer A tied W) margin.
Proof.
  unfold count_regions_at_reads. destruct (fits A W e p md && simple) eqn:F; [|unfold n_right_inputs; lia].
  destruct (fitting F) as (_ & _ & _ & _ & _ & _ & _ & S4 & S5 & _). cbv zeta. apply all_reads_le; auto.
  - apply (inputs_le A M states back S5).
  - intros r Hr. now apply count_one_read_le.
Qed.
End Counts.
