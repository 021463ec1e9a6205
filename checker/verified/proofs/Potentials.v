(* Rule potentials (FORMAT.md 5.18), of one layer without norms: an output's lead over another one, times the sum of the first
   head's weights, is at least a linear function of the residual stream after attention, in which slopes stand for relu, less
   what the slopes may be off; and that is bounded by sums over positions (ResidualSums.v). *)
From Coq Require Import Reals Lra Lia ZArith List Arith Bool.
From CompactProofs Require Import Semantics Counting PrefixChains Exponential MatrixProduct Vectors Attention Transformers
  HeadVectors Forward EveryInput Boxes OneLayer TokenSums RatioBoxes ResidualSums.
Import ListNotations.
Open Scope R_scope.

Lemma norm_none A Wn v i : normalization_type A = No_norm -> norm A Wn v i = v i.
Proof. intros N. unfold norm. now rewrite N. Qed.

(* relu t - s t is at most the greater one of its values at the ends of an interval; here times 256, as s is an integer. *)
Definition off_by (s low high : Z) : Z := Z.max (256 * Z.max 0 high - s * high) (256 * Z.max 0 low - s * low).
Lemma off_by_ge s low high t : IZR low <= t <= IZR high -> 256 * Rmax 0 t - IZR s * t <= IZR (off_by s low high).
Proof.
  intros B. unfold off_by.
  set (u := (256 * Z.max 0 high - s * high)%Z). set (v := (256 * Z.max 0 low - s * low)%Z).
  assert (Mu : IZR u <= IZR (Z.max u v)) by (apply IZR_le; lia). assert (Mv : IZR v <= IZR (Z.max u v)) by (apply IZR_le; lia).
  assert (Mx : forall w, IZR (Z.max 0 w) = Rmax 0 (IZR w)).
  { intros w. unfold Rmax. destruct (Rle_dec 0 (IZR w)) as [Q|Q].
    - apply le_IZR in Q. now rewrite Z.max_r.
    - rewrite Z.max_l; auto. apply Z.lt_le_incl. apply lt_IZR. lra. }
  assert (Eu : IZR u = 256 * Rmax 0 (IZR high) - IZR s * IZR high) by (unfold u; now rewrite minus_IZR, !mult_IZR, Mx).
  assert (Ev : IZR v = 256 * Rmax 0 (IZR low) - IZR s * IZR low) by (unfold v; now rewrite minus_IZR, !mult_IZR, Mx).
  assert (H0 := Rmax_l 0 (IZR high)). assert (H1 := Rmax_r 0 (IZR high)).
  assert (H2 := Rmax_l 0 (IZR low)). assert (H3 := Rmax_r 0 (IZR low)).
  set (a := Rmax 0 (IZR high)) in *. set (b := Rmax 0 (IZR low)) in *.
  unfold Rmax. destruct (Rle_dec 0 t) as [Q|Q]; destruct (Rle_dec (IZR s) 256) as [S|S], (Rle_dec 0 (IZR s)) as [S'|S']; nra.
Qed.

(* What is claimed: outputs and slopes (in units of 2^-8) of patterns; gaps between edges of ratios, and what enforces them, as
   in ResidualSums.v; of a region the pattern in each box, if there is one, and which gaps the ratios are in, from one to before
   another. *)
Record potentials_claim := Claim_potentials { patterns : nat; output_of : nat -> nat; slope_of : nat -> nat -> Z; gaps_of : nat;
  edge_of : nat -> nat -> nat -> Z; enforced_of : nat -> nat -> nat -> nat -> Z; pattern_in : nat -> nat -> option nat;
  first_gap : nat -> nat -> nat; last_gap : nat -> nat -> nat }.

Section Potentials.
Variable A : architecture.
Variables e p mn md : Z.
Variable T : transformer Z.
Variable at_position : nat.
Variable reference : nat -> nat -> Z.
Variable centre : nat -> Z.
Variable claim : potentials_claim.
Notation P := (IZR (2 ^ p)).
Notation E2 := (IZR (2 ^ e)).
Notation d := (d_model A). Notation dh := (d_head A). Notation H := (n_heads A). Notation K := (n_ctx A).
Notation m := (d_mlp A). Notation outs := (d_vocab_out A). Notation B := (blocks T O). Notation W := (S dh).
Notation gaps := (gaps_of claim).

Definition units : nat := if attn_only A then O else m.
Definition unit_of_functions : Z := (3 * e + 8)%Z.
Notation f := unit_of_functions.
Definition functions : nat := (units + patterns claim * outs)%nat.
Definition lead_number (pattern rival : nat) : nat := (units + (pattern * outs + rival))%nat.
Definition slope (pattern n : nat) : Z := Z.max 0 (Z.min 256 (slope_of claim pattern n)).
(* What units write, as logits, in units of 2^-2e. *)
Definition unit_to_logits : nat -> nat -> Z := matrix_product units d outs (W_out B) (W_U T).
Definition influence (through : nat -> nat -> Z) (o r n : nat) : Z := (through n o - through n r)%Z.
Definition by_slopes (through : nat -> nat -> Z) (pattern r : nat) (w : nat -> Z) : Z :=
  zsum units (fun n => slope pattern n * influence through (output_of claim pattern) r n * w n)%Z.
Definition columns_by (through : nat -> nat -> Z) (i y : nat) : Z :=
  if (y <? units)%nat then Z.shiftl (W_in B i y) (2 * e + 8)
  else
    let pattern := ((y - units) / outs)%nat in let r := ((y - units) mod outs)%nat in let o := output_of claim pattern in
    (Z.shiftl (W_U T i o - W_U T i r) (2 * e + 8) + by_slopes through pattern r (W_in B i))%Z.
Definition biases_written (o r : nat) : Z := zsum d (fun i => b_out B i * (W_U T i o - W_U T i r))%Z.
Definition margin_up : Z := cdiv (Z.shiftl mn f) md.
Definition constants_by (through : nat -> nat -> Z) (y : nat) : Z :=
  if (y <? units)%nat then Z.shiftl (b_in B y) (2 * e + 8)
  else
    let pattern := ((y - units) / outs)%nat in let r := ((y - units) mod outs)%nat in let o := output_of claim pattern in
    (Z.shiftl (b_U T o - b_U T r) (2 * e + 8)
     + (if attn_only A then 0 else Z.shiftl (biases_written o r) (e + 8))
     + by_slopes through pattern r (b_in B) - margin_up)%Z.

Notation n_boxes := (boxes A gaps).
Notation n_corners := (corners A).
Notation sum_number := (sum_number A functions).
Notation edge_number := (edge_number A functions gaps).
Definition least_sum (sums : box) (b y : nat) : Z := zmin n_corners (fun c => fst (sums (sum_number b y c))).
Definition greatest_sum (sums : box) (b y : nat) : Z := zmax n_corners (fun c => snd (sums (sum_number b y c))).
Variable through : nat -> nat -> Z.
Definition box_leads (b pattern best : nat) (sums : box) : bool :=
  let bent := memo1 units (fun n => off_by (slope pattern n) (least_sum sums b n) (greatest_sum sums b n)) in
  (pattern <? patterns claim)%nat && (output_of claim pattern =? best)%nat &&
  forallb (fun r => (r =? best)%nat ||
    (0 <? Z.shiftl (least_sum sums b (lead_number pattern r)) (2 * e + 8)
      + zsum units (fun n => Z.min 0 (influence through best r n) * bent n))%Z) (seq 0 outs).
Definition within_gaps (u b : nat) : bool :=
  forallb (fun o => let i := digit gaps b o in (first_gap claim u o <=? i)%nat && (i <? last_gap claim u o)%nat) (seq 0 (others
    A)).
Definition leads_by_potentials (u best : nat) (sums : box) : bool :=
  forallb (fun o => let a := first_gap claim u o in let z := last_gap claim u o in
    (a <? z)%nat && (z <=? gaps)%nat && (0 <? fst (sums (edge_number o a)))%Z && (snd (sums (edge_number o z)) <? 0)%Z)
    (seq 0 (others A)) &&
  forallb (fun b => negb (within_gaps u b) ||
    match pattern_in claim b u with Some pattern => box_leads b pattern best sums | None => false end) (seq 0 n_boxes).

(* In real numbers, on an input x. *)
Hypothesis Hp : (0 <= p)%Z.
Hypothesis He : (0 <= e)%Z.
Hypothesis Hmd : (0 < md)%Z.
Hypothesis Hd : (0 < d)%nat.
Hypothesis Hdh : (0 < dh)%nat.
Hypothesis HG : (0 < n_key_value_heads A <= H)%nat.
Hypothesis Hnorm : normalization_type A = No_norm.
Hypothesis Hlayers : n_layers A = 1%nat.
Hypothesis Hmlp : attn_only A = true \/ gated_mlp A = false /\ act_fn A = Relu.
Hypothesis Hthrough : through = unit_to_logits.
Notation columns := (columns_by through).
Notation constants := (constants_by through).
Notation RT := (map_transformer (real e) T).
Notation RB := (map_block (real e) B).
Variable x : list nat.
Hypothesis Hat : (at_position < K)%nat.
Notation r0 := (stream A RT x 0).
Notation q0 := (nth at_position x O).
Notation sum := (real_sum A e p T O at_position reference centre x (token x)).
Notation coefficient := (coefficient A e p T at_position centre f functions columns constants gaps (edge_of claim) (enforced_of
  claim)).
Notation sum_of := (function (H * W) (unit_of_sums e p f) coefficient q0 sum).
Notation weights := (weights A e p T at_position reference centre x).
Notation value := (after_value A e T at_position f columns constants x).
Notation n_sums := (how_many A functions gaps).

Definition influence_value (o r n : nat) : R := IZR (influence through o r n) / (E2 * E2).
(* A check of a box, as it is meant: of numbers V that are between the sums' bounds. *)
Lemma box_leads_ok b pattern best sums r (V : nat -> R) : box_leads b pattern best sums = true -> (r < outs)%nat -> r <> best ->
  (forall y, (y < functions)%nat -> IZR (least_sum sums b y) <= V y * P <= IZR (greatest_sum sums b y)) ->
  0 < V (lead_number pattern r) + rsum units (fun n => influence_value best r n * (Rmax 0 (V n) - IZR (slope pattern n) / 256 *
    V
    n)).
Proof.
  intros L Hr Nr Bd. unfold box_leads in L. cbv zeta in L. apply andb_prop in L as [L F]. apply andb_prop in L as [L1 L2].
  apply Nat.ltb_lt in L1. rewrite forallb_forall in F. specialize (F r ltac:(apply in_seq; lia)).
  rewrite (proj2 (Nat.eqb_neq r best) Nr) in F. cbn [orb] in F. apply Z.ltb_lt, IZR_lt in F.
  assert (Pp := P_pos p Hp). assert (Ep := pw_pos e He).
  rewrite plus_IZR, shiftl_IZR, <- rsum_IZR in F by lia. replace (2 * e + 8)%Z with (e + e + 8)%Z in F by lia.
  rewrite !pw_add in F by lia. change (IZR (2 ^ 8)) with 256 in F.
  assert (Bl := Bd (lead_number pattern r) ltac:(unfold functions, lead_number; nia)).
  set (least := IZR (least_sum sums b (lead_number pattern r))) in *. set (v := V (lead_number pattern r)) in *.
  assert (U : rsum units (fun n => IZR (Z.min 0 (influence through best r n) * memo1 units (fun n => off_by (slope pattern n)
    (least_sum sums b n) (greatest_sum sums b n)) n)) <=
    rsum units (fun n => influence_value best r n * (Rmax 0 (V n) - IZR (slope pattern n) / 256 * V n)) * (P * (E2 * E2 *
      256))).
  { rewrite <- rsum_scal_r. apply rsum_le. intros n Hn. rewrite memo1_eq, mult_IZR.
    assert (O := off_by_ge (slope pattern n) _ _ _ (Bd n ltac:(unfold functions; lia))).
    set (off := IZR (off_by _ _ _)) in *. unfold influence_value. set (a := influence through best r n).
    replace (IZR a / (E2 * E2) * (Rmax 0 (V n) - IZR (slope pattern n) / 256 * V n) * (P * (E2 * E2 * 256))) with
      (IZR a * ((256 * Rmax 0 (V n) - IZR (slope pattern n) * V n) * P)) by (field; lra).
    assert (Rm : Rmax 0 (V n * P) = Rmax 0 (V n) * P).
    { unfold Rmax. destruct (Rle_dec 0 (V n)), (Rle_dec 0 (V n * P)); nra. }
    rewrite Rm in O. set (t := ((256 * Rmax 0 (V n) - IZR (slope pattern n) * V n) * P)).
    assert (T1 : t <= off) by (unfold t; lra).
    assert (T0 : 0 <= t).
    { unfold t. apply Rmult_le_pos; [|lra]. assert (S : (0 <= slope pattern n <= 256)%Z) by (unfold slope; lia).
      destruct S as [S1 S2]. apply IZR_le in S1, S2. unfold Rmax. destruct (Rle_dec 0 (V n)); nra. }
    destruct (Z.min_spec 0 a) as [[Q ->]|[Q ->]].
    - apply IZR_lt in Q. nra.
    - apply IZR_le in Q. nra. }
  set (s := rsum units (fun n => influence_value best r n * _)) in *.
  assert (E3 : 0 < P * (E2 * E2 * 256)) by (apply Rmult_lt_0_compat; nra).
  apply Rmult_lt_reg_r with (P * (E2 * E2 * 256)); auto. rewrite Rmult_0_l, Rmult_plus_distr_r.
  assert (least * (E2 * E2 * 256) <= v * (P * (E2 * E2 * 256))).
  { replace (v * (P * (E2 * E2 * 256))) with (v * P * (E2 * E2 * 256)) by ring. apply Rmult_le_compat_r; nra. }
  lra.
Qed.

(* The functions, and the logits. *)
Definition after (i : nat) : R := after_attention A x RB r0 at_position i.
Definition unit_value (n : nat) : R := rsum d (fun i => after i * real e (W_in B i n)) + real e (b_in B n).
Definition straight (o r : nat) : R :=
  rsum d (fun i => after i * (real e (W_U T i o) - real e (W_U T i r))) + (real e (b_U T o) - real e (b_U T r)) +
  (if attn_only A then 0 else rsum d (fun i => real e (b_out B i) * (real e (W_U T i o) - real e (W_U T i r)))).
Lemma powers : IZR (2 ^ f) = E2 * E2 * E2 * 256 /\ IZR (2 ^ (2 * e + 8)) = E2 * E2 * 256 /\ IZR (2 ^ (e + 8)) = E2 * 256.
Proof.
  unfold unit_of_functions. replace (3 * e + 8)%Z with (e + e + e + 8)%Z by lia.
  replace (2 * e + 8)%Z with (e + e + 8)%Z by lia. rewrite !pw_add by lia. auto.
Qed.
Lemma value_of_unit n : (n < units)%nat -> value n = unit_value n.
Proof.
  intros L. unfold after_value, unit_value, columns_by, constants_by. rewrite (proj2 (Nat.ltb_lt n units) L).
  assert (Ep := pw_pos e He). destruct powers as (P1 & P2 & P3). f_equal.
  - apply rsum_ext; intros i _. rewrite shiftl_IZR, P1, P2 by lia. unfold after, real. field. lra.
  - rewrite shiftl_IZR, P1, P2 by lia. unfold real. field. lra.
Qed.
Lemma value_of_lead pattern r : (r < outs)%nat -> value (lead_number pattern r) = straight (output_of claim pattern) r
  + rsum units (fun n => IZR (slope pattern n) / 256 * influence_value (output_of claim pattern) r n * unit_value n)
  - IZR margin_up / IZR (2 ^ f).
Proof.
  intros Lr. unfold after_value, columns_by, constants_by.
  assert (N : (lead_number pattern r <? units)%nat = false) by (apply Nat.ltb_ge; unfold lead_number; lia). rewrite N. cbv zeta.
  assert (D : (lead_number pattern r - units = pattern * outs + r)%nat) by (unfold lead_number; lia). rewrite D.
  rewrite flat_div, flat_mod by auto. set (o := output_of claim pattern).
  assert (Ep := pw_pos e He). destruct powers as (P1 & P2 & P3).
  set (s n := IZR (slope pattern n) / 256 * influence_value o r n).
  assert (S : forall n w, IZR (slope pattern n * influence through o r n * w) / IZR (2 ^ f) = s n * real e w).
  { intros n w. unfold s, influence_value, real. rewrite !mult_IZR, P1. field. lra. }
  assert (Bs : forall w, IZR (by_slopes through pattern r w) / IZR (2 ^ f) = rsum units (fun k => s k * real e (w k))).
  { intros w. unfold by_slopes. rewrite <- rsum_IZR. unfold Rdiv. rewrite <- rsum_scal_r. apply rsum_ext; intros k _. apply S. }
  rewrite (rsum_ext d _ (fun i => after i * (real e (W_U T i o) - real e (W_U T i r)) +
    rsum units (fun n => s n * (after i * real e (W_in B i n))))).
  2:{ intros i _. fold (after i). rewrite plus_IZR, Rdiv_plus_distr, Bs, Rmult_plus_distr_l. f_equal.
    - rewrite shiftl_IZR, P1, P2, minus_IZR by lia. unfold real. field. lra.
    - rewrite <- rsum_scal. apply rsum_ext; intros n _. ring. }
  rewrite rsum_plus, rsum_swap. rewrite (rsum_ext units _ (fun n => s n * rsum d (fun i => after i * real e (W_in B i n)))) by
    (intros; now rewrite rsum_scal).
  rewrite minus_IZR, !plus_IZR, Rdiv_minus_distr, !Rdiv_plus_distr, Bs.
  assert (U : rsum units (fun n => s n * unit_value n) = rsum units (fun n => s n * rsum d (fun i => after i * real e (W_in B i
    n))) + rsum units (fun n => s n * real e (b_in B n))).
  { rewrite <- rsum_plus. apply rsum_ext; intros n _. unfold unit_value. ring. }
  change (rsum units (fun n => IZR (slope pattern n) / 256 * influence_value o r n * unit_value n)) with
    (rsum units (fun n => s n * unit_value n)).
  rewrite U. unfold straight.
  assert (Bo : IZR (if attn_only A then 0 else Z.shiftl (biases_written o r) (e + 8)) / IZR
    (2 ^ f) = if attn_only A then 0 else rsum d (fun i => real e (b_out B i) * (real e (W_U T i o) - real e (W_U T i r)))).
  { destruct (attn_only A); [unfold Rdiv; ring|]. unfold Rdiv, biases_written. rewrite shiftl_IZR, <- rsum_IZR, <- !rsum_scal_r
    by lia. apply rsum_ext; intros i _.
    rewrite mult_IZR, minus_IZR, P1, P3. unfold real. field. lra. }
  rewrite Bo. assert (Bu : IZR (Z.shiftl (b_U T o - b_U T r) (2 * e + 8)) / IZR (2 ^ f) = real e (b_U T o) - real e (b_U T r)).
  { rewrite shiftl_IZR, P1, P2, minus_IZR by lia. unfold real. field. lra. }
  rewrite Bu. unfold s. ring.
Qed.
Lemma influence_is o r n : (n < units)%nat ->
  influence_value o r n = rsum d (fun i => real e (W_out B n i) * (real e (W_U T i o) - real e (W_U T i r))).
Proof.
  intros _. assert (Ep := pw_pos e He). unfold influence_value, influence. rewrite Hthrough. unfold unit_to_logits.
  rewrite !matrix_product_eq, minus_IZR, <- !rsum_IZR, <- rsum_minus. unfold Rdiv. rewrite <- rsum_scal_r.
  apply rsum_ext; intros i _. unfold real. rewrite !mult_IZR. field. lra.
Qed.
Lemma lead_is o r : logit A RT x at_position o - logit A RT x at_position r =
  straight o r + rsum units (fun n => influence_value o r n * Rmax 0 (unit_value n)).
Proof.
  unfold logit. rewrite Hlayers. change (stream A RT x 1 at_position) with (after_block A x RB r0 at_position).
  set (y := after_block A x RB r0 at_position). cbn [Transformers.W_U Transformers.b_U map_transformer].
  assert (L : rsum d (fun i => norm A (ln_final RT) y i * real e (W_U T i o)) + real e (b_U T o) -
    (rsum d (fun i => norm A (ln_final RT) y i * real e (W_U T i r)) + real e (b_U T r)) =
    rsum d (fun i => y i * (real e (W_U T i o) - real e (W_U T i r))) + (real e (b_U T o) - real e (b_U T r))).
  { rewrite (rsum_ext d (fun i => y i * _) (fun i => norm A (ln_final RT) y i * real e (W_U T i o) - norm A (ln_final RT) y i *
      real e (W_U T i r))).
    - rewrite rsum_minus. ring.
    - intros i _. rewrite norm_none by auto. ring. }
  rewrite L. unfold y, straight, units. clear L y.
  destruct (attn_only A) eqn:Only.
  - cbn [rsum]. rewrite !Rplus_0_r. f_equal. apply rsum_ext; intros i _. unfold after_block. rewrite Only. reflexivity.
  - destruct Hmlp as [C|[Ng Rl]]; [congruence|].
    assert (Un : forall n, Transformers.unit A x RB r0 at_position n = Rmax 0 (unit_value n)).
    { intros n. unfold Transformers.unit. rewrite Ng, Rl. cbn [act]. f_equal. unfold reading, unit_value. f_equal.
      apply rsum_ext; intros i _. rewrite norm_none by auto. reflexivity. }
    rewrite (rsum_ext d _ (fun i => after i * (real e (W_U T i o) - real e (W_U T i r)) +
      (rsum m (fun n => Rmax 0 (unit_value n) * (real e (W_out B n i) * (real e (W_U T i o) - real e (W_U T i r)))) +
       real e (b_out B i) * (real e (W_U T i o) - real e (W_U T i r))))).
    + rewrite !rsum_plus, rsum_swap. rewrite (rsum_ext m (fun n => influence_value o r n * Rmax 0 (unit_value n))
        (fun n => rsum d (fun i => Rmax 0 (unit_value n) * (real e (W_out B n i) * (real e (W_U T i o) - real e (W_U T i
          r)))))).
      * ring.
      * intros n Hn. rewrite influence_is by (unfold units; now rewrite Only). rewrite <- rsum_scal_r. apply rsum_ext; intros i
        _.
        ring.
    + intros i _. unfold after_block. rewrite Only. cbn [Transformers.W_out Transformers.b_out map_block].
      rewrite (rsum_ext m (fun n => Transformers.unit A x RB r0 at_position n * real e (W_out B n i)) (fun n => Rmax 0
        (unit_value
        n) * real e (W_out B n i))) by (intros; now rewrite Un).
      rewrite (rsum_ext m (fun n => Rmax 0 (unit_value n) * (real e (W_out B n i) * _)) (fun n => Rmax 0 (unit_value n) * real e
        (W_out B n i) * (real e (W_U T i o) - real e (W_U T i r)))) by (intros; ring).
      rewrite rsum_scal_r. unfold after. ring.
Qed.
Lemma margin_up_ge : IZR mn / IZR md <= IZR margin_up / IZR (2 ^ f).
Proof.
  assert (F0 : 0 < IZR (2 ^ f)) by (apply pw_pos; unfold unit_of_functions; lia).
  assert (C := cdiv_ge (Z.shiftl mn f) md Hmd). fold margin_up in C. rewrite shiftl_IZR in C by (unfold unit_of_functions; lia).
  assert (Md := IZR_lt _ _ Hmd). apply Rmult_le_reg_r with (IZR md * IZR (2 ^ f)); [now apply Rmult_lt_0_compat|].
  replace (IZR mn / IZR md * (IZR md * IZR (2 ^ f))) with (IZR mn * IZR (2 ^ f)) by (field; lra).
  replace (IZR margin_up / IZR (2 ^ f) * (IZR md * IZR (2 ^ f))) with (IZR margin_up * IZR md) by (field; lra). exact C.
Qed.

(* Where nothing is seen, all sums are 0; elsewhere all weights are positive. *)
Lemma seen_or_not : (forall h, (h < H)%nat -> 0 < weights h) \/ (forall k, sum k = 0).
Proof.
  destruct (existsb (sees A x at_position) (seq 0 K)) eqn:S.
  - left. intros h Hh. apply existsb_exists in S as (l & L & S). apply in_seq in L.
    unfold ResidualSums.weights, real_sum. assert (Z1 : ((h * W) mod W = 0)%nat) by (apply Nat.mod_mul; lia).
    set (u k := if sees A x at_position k then exp (score A RB r0 (h * W / W) at_position k - IZR (reference q0 (h * W / W)%nat)
      /
      P) else 0).
    assert (G : forall k, real_term A e p T O at_position reference centre x (token x) (h * W) k = u k).
    { intros k. unfold real_term, u. cbv zeta. rewrite Z1. destruct (sees A x at_position k); [now rewrite Rmult_1_r|
        reflexivity]. }
    rewrite (rsum_ext K _ u (fun k _ => G k)). assert (U0 : forall k, 0 <= u k).
    { intros k. unfold u. destruct (sees A x at_position k); [left; apply exp_pos|lra]. }
    assert (Ul : 0 < u l) by (unfold u; rewrite S; apply exp_pos).
    apply rsum_pos with l; auto; lia.
  - right. intros k. unfold real_sum. rewrite (rsum_ext K _ (fun _ => 0)); [apply rsum_0|]. intros j J. unfold real_term.
    destruct (sees A x at_position j) eqn:Sj; auto. exfalso.
    assert (N : existsb (sees A x at_position) (seq 0 K) = true); [|congruence].
    apply existsb_exists. exists j. split; auto. apply in_seq. lia.
Qed.

Theorem leads_by_potentials_ok u best sums : inside p n_sums sums sum_of -> (best < outs)%nat ->
  leads_by_potentials u best sums = true ->
  forall r, (r < outs)%nat -> r <> best -> logit A RT x at_position r + IZR mn / IZR md < logit A RT x at_position best.
Proof.
  intros I Lb Ld r Hr Nr. unfold leads_by_potentials in Ld. cbv zeta in Ld. apply andb_prop in Ld as [Le Ld].
  rewrite forallb_forall in Le, Ld. assert (Pp := P_pos p Hp).
  assert (Hf : (0 <= f)%Z) by (unfold unit_of_functions; lia).
  assert (Mp : 0 < IZR (2 ^ 24)) by (apply pw_pos; lia).
  assert (Gap : forall o, (o < others A)%nat -> (first_gap claim u o < last_gap claim u o <= gaps)%nat /\
    (0 < fst (sums (edge_number o (first_gap claim u o))))%Z /\ (snd (sums (edge_number o (last_gap claim u o))) < 0)%Z).
  { intros o Lo. specialize (Le o ltac:(apply in_seq; lia)). rewrite !andb_true_iff in Le. destruct Le as [[[L1 L2] L3] L4].
    apply Nat.ltb_lt in L1. apply Nat.leb_le in L2. apply Z.ltb_lt in L3, L4. auto. }
  assert (Box : forall g, (forall o, (o < others A)%nat -> (first_gap claim u o <= g o < last_gap claim u o)%nat) ->
    exists b pattern, (b < n_boxes)%nat /\ (forall o, (o < others A)%nat -> digit gaps b o = g o) /\
      box_leads b pattern best sums = true).
  { intros g Hg. destruct (digits gaps (others A) g) as (b & Bb & D).
    { intros o Lo. specialize (Hg o Lo). specialize (Gap o Lo). lia. }
    specialize (Ld b ltac:(apply in_seq; unfold boxes in *; lia)).
    assert (Wg : within_gaps u b = true).
    { unfold within_gaps. apply forallb_forall. intros o Io. apply in_seq in Io. rewrite D by lia. specialize (Hg o ltac:(lia)).
      apply andb_true_intro. split; [now apply Nat.leb_le|now apply Nat.ltb_lt]. }
    rewrite Wg in Ld. cbn [negb orb] in Ld. destruct (pattern_in claim b u) as [pattern|]; [|discriminate]. eauto. }
  assert (Out : forall b pattern, box_leads b pattern best sums = true -> output_of claim pattern = best /\ (pattern < patterns
    claim)%nat).
  { intros b pattern L. unfold box_leads in L. cbv zeta in L. apply andb_prop in L as [L _]. apply andb_prop in L as [L1 L2].
    apply Nat.ltb_lt in L1. apply Nat.eqb_eq in L2. auto. }
  assert (Cp : (0 < n_corners)%nat) by (unfold corners; assert (X := Nat.pow_nonzero 2 (others A)); lia).
  assert (Sum : forall b y c, (b < n_boxes)%nat -> (y < functions)%nat -> (c < n_corners)%nat ->
    IZR (fst (sums (sum_number b y c))) <= sum_of (sum_number b y c) * P <= IZR (snd (sums (sum_number b y c)))).
  { intros b y c B1 Y1 C1. apply I. unfold ResidualSums.sum_number, how_many. fold n_corners.
    assert (y * n_corners + c < of_box A functions)%nat by (unfold of_box; nia). nia. }
  assert (Least : forall b y c, (c < n_corners)%nat -> IZR (least_sum sums b y) <= IZR (fst (sums (sum_number b y c)))).
  { intros b y c C1. apply IZR_le. now apply (zmin_le n_corners (fun c => fst (sums (sum_number b y c)))). }
  assert (Most : forall b y c, (c < n_corners)%nat -> IZR (snd (sums (sum_number b y c))) <= IZR (greatest_sum sums b y)).
  { intros b y c C1. apply IZR_le. now apply (zmax_ge n_corners (fun c => snd (sums (sum_number b y c)))). }
  destruct seen_or_not as [Pos|Zero].
  - assert (W0 := Pos O ltac:(lia)).
    assert (Edge : forall o i, (o < others A)%nat -> (i <= gaps)%nat ->
      IZR (fst (sums (edge_number o i))) <= (weights O - IZR (edge_of claim q0 o i) / IZR (2 ^ 24) * weights (S o)) * P <= IZR
        (snd (sums (edge_number o i)))).
    { intros o i Lo Li. assert (X := I (edge_number o i)). rewrite (sum_at_edge A e p T at_position reference centre f functions
        columns constants gaps (edge_of claim) (enforced_of claim)) in X; auto; try lia. apply X.
      unfold ResidualSums.edge_number, how_many. nia. }
    destruct (all_between_edges (fun o i => IZR (edge_of claim q0 o i) / IZR (2 ^ 24)) (fun o => rate A e p T at_position
      reference centre x (S o)) (first_gap claim u) (last_gap claim u) (others A)) as (g & Hg).
    { intros o Lo. destruct (Gap o Lo) as ([G1 G2] & G3 & G4). split; auto. assert (Wo := Pos (S o) ltac:(unfold others in Lo;
        lia)). unfold rate.
      assert (E1 := Edge o (first_gap claim u o) Lo ltac:(lia)). assert (E3 := Edge o (last_gap claim u o) Lo G2).
      apply IZR_lt in G3, G4. set (a := IZR (edge_of claim q0 o (first_gap claim u o)) / IZR (2 ^ 24)) in *.
      set (z := IZR (edge_of claim q0 o (last_gap claim u o)) / IZR (2 ^ 24)) in *.
      assert (D1 : a * weights (S o) < weights O) by nra. assert (D2 : weights O < z * weights (S o)) by nra.
      split; apply Rmult_le_reg_r with (weights (S o)); auto; unfold Rdiv; rewrite Rmult_assoc, Rinv_l by lra; lra. }
    destruct (Box g ltac:(intros o Lo; now apply Hg)) as (b & pattern & Bb & D & L). destruct (Out b pattern L) as [Ob Lp].
    assert (In : in_box A e p T at_position reference centre gaps (edge_of claim) x b).
    { intros o Lo. rewrite D by auto. now apply Hg. }
    assert (Pv := box_leads_ok b pattern best sums r (fun y => weights O * value y) L Hr Nr). cbv beta in Pv.
    assert (Q : 0 < weights O * value (lead_number pattern r) + rsum units (fun n => influence_value best r n * (Rmax 0 (weights
      O * value n) - IZR (slope pattern n) / 256 * (weights O * value n)))).
    { apply Pv. intros y Hy. split.
      - destruct (corner_below A e p T at_position reference centre f functions columns constants gaps (edge_of claim)
          (enforced_of claim) Hp He Hf Hd Hdh HG Hlayers x Hat b y Bb Hy Pos In) as (c & Lc & C).
        eapply Rle_trans; [apply (Least b y c Lc)|]. eapply Rle_trans; [apply (Sum b y c Bb Hy Lc)|].
        apply Rmult_le_compat_r; [lra|exact C].
      - destruct (corner_above A e p T at_position reference centre f functions columns constants gaps (edge_of claim)
          (enforced_of claim) Hp He Hf Hd Hdh HG Hlayers x Hat b y Bb Hy Pos In) as (c & Lc & C).
        eapply Rle_trans; [|apply (Most b y c Lc)]. eapply Rle_trans; [|apply (Sum b y c Bb Hy Lc)].
        apply Rmult_le_compat_r; [lra|exact C]. }
    rewrite (rsum_ext units _ (fun n => weights O * (influence_value best r n * Rmax 0 (unit_value n) - IZR (slope pattern n) /
      256 * influence_value best r n * unit_value n))) in Q.
    2:{ intros n Hn. rewrite value_of_unit by auto. assert (Rm : Rmax 0 (weights O * unit_value n) = weights O * Rmax 0
        (unit_value n)) by (unfold Rmax; destruct (Rle_dec 0 (unit_value n)), (Rle_dec 0 (weights O * unit_value n)); nra).
      rewrite Rm. ring. }
    rewrite rsum_scal, <- Rmult_plus_distr_l, rsum_minus, value_of_lead, Ob in Q by auto.
    assert (Mg := margin_up_ge). assert (Lead := lead_is best r).
    set (t := rsum units (fun n => IZR (slope pattern n) / 256 * influence_value best r n * unit_value n)) in *.
    assert (0 < logit A RT x at_position best - logit A RT x at_position r - IZR margin_up / IZR (2 ^ f)).
    { rewrite Lead. apply Rmult_lt_reg_l with (weights O); auto. rewrite Rmult_0_r. eapply Rlt_le_trans; [exact Q|]. right.
      ring. }
    lra.
  - exfalso. destruct (Box (first_gap claim u)) as (b & pattern & Bb & D & L).
    { intros o Lo. destruct (Gap o Lo) as [G1 _]. lia. }
    assert (F0 : forall k, sum_of k = 0).
    { intros k. unfold function. rewrite (rsum_ext (H * W) _ (fun _ => 0)); [apply rsum_0|]. intros i _. rewrite Zero. ring. }
    assert (Pv := box_leads_ok b pattern best sums r (fun _ => 0) L Hr Nr). cbv beta in Pv.
    rewrite (rsum_ext units _ (fun _ => 0)) in Pv.
    2:{ intros n _. unfold Rmax. destruct (Rle_dec 0 0); ring. }
    rewrite rsum_0 in Pv. enough (0 < 0 + 0) by lra. apply Pv. intros y Hy.
    assert (S0 := Sum b y O Bb Hy Cp). rewrite F0 in S0. assert (L0 := Least b y O Cp). assert (M0 := Most b y O Cp). lra.
Qed.
End Potentials.
