(* What the extracted checker calls about sums over positions of a transformer of one layer: rules potentials and all-reads, of
   which some reads may be proved by rule regions. *)
From Coq Require Import Reals Lra Lia ZArith List Arith Bool.
From CompactProofs Require Import Semantics Counting PrefixChains QuickExponential Vectors Attention Transformers Automata
  HeadVectors Forward EveryInput Floats
  TransformerCounts ReadingOrder Boxes OneLayer AfterAttention Regions OneRead AllReads RegionCounts TokenSums RatioBoxes
  ResidualSums Potentials PrefixClasses.
Import ListNotations.
Open Scope Z_scope.

(* One read. *)
Section OneRead.
Variable A : architecture.
Variables e p mn md : Z.
Variable T : transformer Z.
Variable expo : Z -> Z * Z.
Variable M : automaton.
Variables number states : nat.
Variable first : nat -> nat -> option spot.
Variable reference : nat -> nat -> Z.
Variable centre : nat -> Z.
Variable range : box.
Variable claim : potentials_claim.
Variables columns : nat -> nat -> Z.
Variable constants : nat -> Z.
Variable through : nat -> nat -> Z.
Variable term : nat -> nat -> nat -> option box.
Variable endings : nat -> nat -> Z * box.
Notation V := (d_vocab A). Notation K := (n_ctx A).
Notation at_position := (position M number).
Notation size := (n_heads A * S (d_head A))%nat.
Notation f := (unit_of_functions e).
Notation gaps := (gaps_of claim).
Definition n_sums : nat := how_many A (functions A claim) gaps.
Definition coefficients : nat -> nat -> nat -> Z :=
  coefficient A e p T at_position centre f (functions A claim) columns constants gaps (edge_of claim) (enforced_of claim).
(* Queries whose norms are not defined lead nowhere. *)
Definition leads_potential (q u best : nat) (sums : box) : bool :=
  match first at_position q with Some _ => leads_by_potentials A e claim through u best sums | None => false end.
(* What a token at a position adds to all sums. *)
Definition added (q : nat) : nat -> nat -> option box :=
  let of_query := image p size n_sums (unit_of_sums e p f) coefficients q in
  fun t j =>
    if looks_at A at_position j t then option_map of_query (term_of A e p T expo O at_position first reference centre range q t j)
    else Some zero_box.

Hypothesis Hp : 0 <= p.
Hypothesis He : 0 <= e.
Hypothesis Hmd : 0 < md.
Hypothesis expo_ok : forall y, (0 <= y)%Z -> (IZR (fst (expo y)) <= IZR (2 ^ p) * exp (- (IZR y / IZR (2 ^ p))) <= IZR (snd
  (expo y)))%R.
Hypothesis Hd : (0 < d_model A)%nat.
Hypothesis Hdh : (0 < d_head A)%nat.
Hypothesis HG : (0 < n_key_value_heads A <= n_heads A)%nat.
Hypothesis Heps : 0 <= fst (eps A) /\ 0 < snd (eps A).
Hypothesis Hscale : match attn_scale A with None => True | Some (a, b) => 0 < b end.
Hypothesis Hnorm : normalization_type A = No_norm.
Hypothesis Hlayers : n_layers A = 1%nat.
Hypothesis Hmlp : attn_only A = true \/ gated_mlp A = false /\ act_fn A = Relu.
Hypothesis Hfirst : forall j t, first j t = prepare_by A e p (blocks T O) j (embedded A e p T j t).
Hypothesis Hthrough : through = unit_to_logits A T.
Hypothesis Hcolumns : columns = columns_by A e T claim through.
Hypothesis Hconstants : constants = constants_by A e mn md T claim through.
Hypothesis Hterm : forall q t j, term q t j = added q t j.
Hypothesis Hendings : forall q s, endings q s = going_on A M number states n_sums false term q (K - steps M number) (steps M number)
  s.
Notation RT := (map_transformer (real e) T).
Notation margin := (IZR mn / IZR md)%R.

Definition summand (x : list nat) (k j : nat) : R :=
  function size (unit_of_sums e p f) coefficients (nth at_position x O) (fun i => real_term A e p T O at_position reference centre
    x (token x) i j) k.
Lemma summand_ok x j b : (at_position < K)%nat -> (j < K)%nat -> term (nth at_position x O) (nth j x O) j = Some b ->
  inside p n_sums b (fun k => summand x k j).
Proof.
  intros At J. rewrite Hterm. unfold added. cbv zeta.
  assert (HF : 0 <= unit_of_sums e p f) by (unfold unit_of_sums, unit_of_functions; lia).
  destruct (looks_at A at_position j (nth j x O)) eqn:L.
  - destruct (term_of A e p T expo O at_position first reference centre range (nth at_position x O) (nth j x O) j) as [c|] eqn:Tm;
      [|discriminate].
    intros E. injection E as <-. unfold summand.
    apply (image_ok p size n_sums (unit_of_sums e p f) coefficients HF _ c (fun i => real_term A e p T O at_position reference
      centre x (token x) i j)).
    apply (term_ok A e p T expo O at_position first reference centre range Hp He expo_ok Hd Hdh HG x At (token x) (fun _ =>
      eq_refl)); auto.
    intros i s [Li _] F. exact (token_spot A e p T first x i s Hp He Hd Hdh HG Heps Hscale Hfirst Li F).
  - intros E. injection E as <-. intros k _. unfold summand, function. cbn [zero_box fst snd].
    assert (See : sees A x at_position j = false) by (rewrite <- L; unfold looks_at, sees, is_pad, token; now destruct
      (pad_token
      A)).
    rewrite (rsum_ext size _ (fun _ => 0%R)); [rewrite rsum_0; lra|]. intros i _. unfold real_term. rewrite See. ring.
Qed.
Theorem potentials_faithful :
  faithful A p M number states RT margin n_sums false term leads_potential endings.
Proof.
  exists token, summand. refine (conj (fun _ _ _ _ _ => eq_refl) (conj _ (conj _ (conj _ (conj _ Hendings))))).
  - intros x j b _ At J. now apply summand_ok.
  - intros q y j U. rewrite Hterm. unfold added. cbv zeta.
    assert (L : looks_at A at_position j y = false).
    { unfold unseen in U. apply andb_prop in U as [B L]. apply negb_true_iff in B. apply Nat.ltb_lt in L. unfold looks_at.
      now rewrite B, (proj2 (Nat.leb_gt j at_position) L). }
    rewrite L. eauto.
  - intros x j k U. unfold summand, function. rewrite (rsum_ext size _ (fun _ => 0%R)); [apply rsum_0|]. intros i _.
    unfold real_term. rewrite (unseen_sees A M number x j U). ring.
  - intros x u best b _ At Ts Sums Lb Ld. unfold leads_potential in Ld.
    destruct (first at_position (token x at_position)) as [sq|] eqn:Fq; [|discriminate].
    assert (Lead := leads_by_potentials_ok A e p mn md T at_position reference centre claim through Hp He Hmd Hd Hdh HG Hnorm
      Hlayers Hmlp Hthrough x At u best b).
    rewrite <- Hcolumns, <- Hconstants in Lead. fold coefficients n_sums in Lead.
    apply right_at_iff. split.
    { rewrite Hlayers. cbn [Transformers.defined]. assert (N : forall v, norm_defined A v = true) by (intros v; unfold
        norm_defined; now rewrite Hnorm).
      rewrite N, orb_true_r, andb_true_r. apply forallb_forall. intros l Hl. apply in_seq in Hl.
      destruct (sees A x at_position l) eqn:See; cbn [orb negb andb].
      - assert (Ll : (l < K)%nat) by lia. destruct (Ts l Ll) as [c Tc]. rewrite Hterm in Tc. unfold added in Tc. cbv zeta in Tc.
        assert (Lk : looks_at A at_position l (token x l) = true)
          by (rewrite <- See; unfold looks_at, sees, is_pad, token; now destruct (pad_token A)).
        rewrite Lk in Tc. destruct (term_of A e p T expo O at_position first reference centre range _ _ _) as [c'|] eqn:Tm;
          [|discriminate].
        destruct (term_spot A e p T expo O at_position first reference centre range x (token x) (fun _ => eq_refl) l c' Tm See) as
          [s Fs]. now destruct (token_spot A e p T first x l s Hp He Hd Hdh HG Heps Hscale Hfirst Ll Fs) as (_ & _ & _ & _ & D & _).
      - destruct (Nat.eqb_spec l at_position) as [->|]; [|auto].
        now destruct (token_spot A e p T first x _ sq Hp He Hd Hdh HG Heps Hscale Hfirst At Fq) as (_ & _ & _ & _ & D & _). }
    split; [unfold norm_defined; now rewrite Hnorm|]. split; [exact Lb|]. intros o Ho No.
    apply Lead; auto. intros k Hk. specialize (Sums k Hk). cbn beta in Sums. unfold summand in Sums.
    rewrite <- function_sum in Sums. exact Sums.
Qed.
End OneRead.

Section Counts.
Variable M : automaton.
Variable states : nat.
Variable back : nat -> nat.   (* the step in which a position is read *)
Variable claims : nat -> read_claim.   (* of each read *)
Variable classes : class_claims.
Variable potentials : nat -> option potentials_claim.   (* of each read that is not proved by rule regions *)
Variable A : architecture.
Variable tied : bool.
Variable W : tensors.
Variables (e p mn md : Z) (g terms : nat).
Notation V := (d_vocab A). Notation K := (n_ctx A).
Notation size := (n_heads A * d_head A)%nat.

Section Read.
Variable T : transformer Z.
Variable expo : Z -> Z * Z.
Variable first : nat -> nat -> option spot.
Variable through : nat -> nat -> Z.
Variable r : nat.
Definition read_by_potentials {X} (claim : potentials_claim) (use : nat -> (nat -> nat -> nat -> option box) -> (nat -> nat ->
  nat
  -> box -> bool) -> finer_automaton -> (nat -> nat -> Z * box) -> X) : X :=
    let at_position := position M r in
    let asked q := match query_starts (claims r) q with Some _ => true | None => false end in
    let reference := memo2 V (n_heads A) (fun q => if asked q then
      reference_of A e p T O at_position first V (with_query (claims r)) q else fun _ => 0) in
    let centre := memo1 size (centre_of A at_position first V (present (claims r))) in
    let range := memo1 size (range_of A at_position first V (present (claims r)) centre) in
    let columns := memo2 (d_model A) (functions A claim) (columns_by A e T claim through) in
    let constants := memo1 (functions A claim) (constants_by A e mn md T claim through) in
    let added := added A e p T expo M r first reference centre range claim columns constants in
    let term := memo1 V (fun q => if asked q then memo2 V K (added q) else fun t j => added q t j) in
    let F := finer_of (claims r) term in
    let n := n_sums A claim in
    let ending q := going_on A M r states n false term q (K - steps M r) (steps M r) in
    let endings := memo1 V (fun q => if asked q then ending q else fun s => ending q s) in
    use n term (leads_potential A e M r first claim through) F endings.
Definition count_one_by_potentials (claim : potentials_claim) : Z :=
  if readable A M r back then read_by_potentials claim (count_by M states claims A r) else 0.
End Read.

Definition of_potentials : bool :=
  (n_layers A =? 1)%nat && match normalization_type A with No_norm => true | _ => false end &&
  (attn_only A || negb (gated_mlp A) && match act_fn A with Relu => true | _ => false end).
Definition count_potentials : Z :=
  if fits A W e p md && simple M back A then
    let T := weights_as_integers A tied W e in
    let expo := quick_exp p g terms in
    let first := last_spots M states classes A e p T expo in
    let after := functions_of A e p T expo (last_layer A) in
    let through := unit_to_logits A T in
    let total := ways A M states K O O in
    total - zsum (length (reads M)) (fun r => total -
      match potentials r with
      | None => count_one_read M states back claims A e p mn md T expo first after r
      | Some claim => if of_potentials then count_one_by_potentials T expo first through r claim else 0
      end)
  else 0.

Notation margin := (IZR mn / IZR md)%R.
Notation RT := (float_transformer A tied W).
Theorem read_by_potentials_ok {X} (Q : X -> Prop) r claim use : fits A W e p md && simple M back A = true ->
  of_potentials = true ->
  (forall n term leads F endings, faithful A p M r states RT margin n (later (last_layer A)) term leads endings ->
    Q (use n term leads F endings)) ->
  let T := weights_as_integers A tied W e in let expo := quick_exp p g terms in
  Q (read_by_potentials T expo (last_spots M states classes A e p T expo) (unit_to_logits A T) r claim use).
Proof.
  intros F Of U. unfold of_potentials in Of. apply andb_prop in Of as [Of Of2]. apply andb_prop in Of as [Of0 Of1].
  apply Nat.eqb_eq in Of0. cbv zeta. destruct (fitting M back A W e p md F) as ((F1 & F2 & F3) & (F4 & F5 & F6) & F8 & F9 & F10 & _).
  unfold last_spots. assert (Last : last_layer A = O) by (unfold last_layer; lia). rewrite Last in *.
  change (spots_at A e p _ _ M states classes (first_layer A e p (weights_as_integers A tied W e)) O)
    with (first_layer A e p (weights_as_integers A tied W e)).
  unfold read_by_potentials. cbv zeta. apply U.
  rewrite <- (transformer_same A tied W e F1 F10). fold (weights_as_integers A tied W e). set (T := weights_as_integers A tied W
    e).
  eapply (potentials_faithful A e p mn md T) with (first := first_layer A e p T)
    (centre := memo1 size (centre_of A (position M r) (first_layer A e p T) V (present (claims r))))
    (range := memo1 size (range_of A (position M r) (first_layer A e p T) V (present (claims r)) (memo1 size
      (centre_of A (position M r) (first_layer A e p T) V (present (claims r))))))
    (columns := memo2 (d_model A) (functions A claim) (columns_by A e T claim (unit_to_logits A T)))
    (constants := memo1 (functions A claim) (constants_by A e mn md T claim (unit_to_logits A T)))
    (expo := quick_exp p g terms); auto; try lia.
  - intros y Hy. now apply quick_exp_ok.
  - now destruct (normalization_type A).
  - destruct (attn_only A); auto. right. cbn [orb] in Of2. apply andb_prop in Of2 as [O1 O2].
    split; [now destruct (gated_mlp A)|now destruct (act_fn A)].
  - intros j t. unfold first_layer. now rewrite memo2_eq.
  - apply memo2_id.
  - apply memo1_id.
  - intros q t j. rewrite memo1_eq. destruct (query_starts (claims r) q); [now rewrite memo2_eq|reflexivity].
  - intros q s. rewrite memo1_eq. now destruct (query_starts (claims r) q).
Qed.
Theorem count_potentials_sound :
  count_potentials <= n_right_inputs (By_automaton M) A RT margin.
Proof.
  unfold count_potentials. destruct (fits A W e p md && simple M back A) eqn:F; [|unfold n_right_inputs; lia].
  destruct (fitting M back A W e p md F) as (_ & _ & _ & _ & _ & _ & _ & S4 & S5 & _).
  cbv zeta. apply all_reads_le; auto; [apply (inputs_le A M states back S5)|].
  intros r Hr. destruct (potentials r) as [claim|]; [|now apply count_one_read_le].
  destruct of_potentials eqn:Of; [|lia].
  unfold count_one_by_potentials. destruct (readable A M r back) eqn:Rd; [|lia].
  apply (read_by_potentials_ok (fun z => z <= _) r claim _ F Of). intros n term leads G endings Fa.
  now apply count_by_le with (p := p) (states := states) (back := back).
Qed.
End Counts.
