(* How far the logits of every execution (Executions.v) of an attention-only transformer are from its real ones.

   Scores are off by E; exponentials, up to a common factor, by factors from exp (-t) to exp t; so logits by t / 2 of the
   range of the values that can be attended to, and by what rounding makes of a logit's size, which is what its formula
   gives with absolute values of all weights and residuals. *)
From Coq Require Import Reals Lra Lia ZArith List Arith.
From Coquelicot Require Import Rcomplements.
From CompactProofs Require Import Semantics Executions ExpressionErrors SoftmaxErrors.
Open Scope R_scope.

(* A logit is affine in what is attended to. *)
Lemma logit_formula_affine M o of : logit_formula M o of =
  rsum (nd M) (fun i => (of (Residual (nK M - 1) i) + of (Bo i)) * of (Wu i o)) + of (Bu o)
  + rsum (nK M) (fun j => of (Exponential j) * of Reciprocal *
      rsum (nh M) (fun h => (rsum (nd M) (fun k => of (Residual j k) * of (Wv k h)) + of (Bv h)) * rsum (nd M) (fun i => of (Wo
        h i) * of (Wu i o)))).
Proof.
  unfold logit_formula. set (v := fun j h => rsum (nd M) (fun k => of (Residual j k) * of (Wv k h)) + of (Bv h)). fold v.
  assert (A : rsum (nd M) (fun i => rsum (nh M) (fun h => rsum (nK M) (fun j => of (Exponential j) * of Reciprocal * v j h) *
    of (Wo h i)) * of (Wu i o))
    = rsum (nK M) (fun j => of (Exponential j) * of Reciprocal * rsum (nh M) (fun h => v j h * rsum (nd M) (fun i => of (Wo h
      i) * of (Wu i o))))).
  { transitivity (rsum (nh M) (fun h => rsum (nK M) (fun j => of (Exponential j) * of Reciprocal * v j h) * rsum (nd M) (fun i
    => of (Wo h i) * of (Wu i o)))).
    - erewrite rsum_ext by (intros; symmetry; apply rsum_scal_r). rewrite rsum_swap.
      apply rsum_ext; intros h _. rewrite <- rsum_scal. apply rsum_ext; intros; ring.
    - erewrite rsum_ext by (intros; symmetry; apply rsum_scal_r). rewrite rsum_swap.
      apply rsum_ext; intros j _. rewrite <- rsum_scal. apply rsum_ext; intros; ring. }
  match goal with |- _ = _ + ?z => replace z with (rsum (nd M) (fun i => rsum (nh M) (fun h => rsum (nK M) (fun j => of
    (Exponential j) * of Reciprocal * v j h) * of (Wo h i)) * of (Wu i o))) by exact A end.
  rewrite (Rplus_comm _ (of (Bu o))), (Rplus_comm _ (of (Bu o))), Rplus_assoc. f_equal. rewrite <- rsum_plus.
  apply rsum_ext; intros; unfold v; ring.
Qed.

Lemma rsum_abs_le n f g : (forall i, (i < n)%nat -> Rabs (f i) <= g i) -> Rabs (rsum n f) <= rsum n g.
Proof. intros H. eapply Rle_trans; [apply rsum_abs|]. now apply rsum_le. Qed.
Lemma product_le a b c d : 0 <= a -> a <= c -> 0 <= b -> b <= d -> a * b <= c * d.
Proof. intros. now apply Rmult_le_compat. Qed.

(* A number that is at least r's absolute value, and 1: b, unless it is too small. *)
Definition capped (b r : R) : R := if Rle_dec (Rabs r) b then b else 1 + Rabs r.
Lemma capped_ok b r : 1 <= b -> 1 <= capped b r /\ Rabs r <= capped b r.
Proof. intros. unfold capped. assert (A := Rabs_pos r). destruct (Rle_dec _ _); lra. Qed.
Lemma capped_within b r : Rabs r <= b -> capped b r = b.
Proof. intros. unfold capped. destruct (Rle_dec _ _); lra. Qed.

Section Bound.
Variable F : format.
Variable M : model.
Notation K := (nK M). Notation d := (nd M). Notation dh := (nh M).
Notation u := (roundoff F). Notation eta := (underflow F). Notation growth := (growth F).
Hypothesis Hu : 0 <= u.
Hypothesis Hu8 : 8 * u < 1.
Hypothesis Hu' : 0 <= operand_roundoff F.
Hypothesis Heta : 0 < eta <= 1.
Hypothesis HK : (0 < K)%nat.
Hypothesis Hdh : (0 < dh)%nat.
Notation e t j i := (WE M t i + WP M j i).

(* Numbers that no entry exceeds. *)
Record tops := Tops { tR : R; tQ : R; tBq : R; tK : R; tBk : R; tV : R; tBv : R; tO : R; tBo : R; tU : R; tBu : R }.
Variable T : tops.
Hypothesis Hone : 1 <= tR T /\ 1 <= tQ T /\ 1 <= tBq T /\ 1 <= tK T /\ 1 <= tBk T /\ 1 <= tV T /\ 1 <= tBv T /\ 1 <= tO T /\ 1
  <= tBo T /\ 1 <= tU T /\ 1 <= tBu T.
Hypothesis HR : forall t j i, (t < nV M)%nat -> (j < K)%nat -> (i < d)%nat -> Rabs (e t j i) <= tR T.
Hypothesis HQ : forall i h, (i < d)%nat -> (h < dh)%nat -> Rabs (WQ M i h) <= tQ T /\ Rabs (WK M i h) <= tK T /\ Rabs (WV M i
  h) <= tV T /\ Rabs (WO M h i) <= tO T.
Hypothesis HB : forall h, (h < dh)%nat -> Rabs (bQ M h) <= tBq T /\ Rabs (bK M h) <= tBk T /\ Rabs (bV M h) <= tBv T.
Hypothesis HO : forall i, (i < d)%nat -> Rabs (bO M i) <= tBo T.
Hypothesis HU : forall i o, (i < d)%nat -> (o < nO M)%nat -> Rabs (WU M i o) <= tU T.
Hypothesis HBu : forall o, (o < nO M)%nat -> Rabs (bU M o) <= tBu T.

(* Sizes: of keys and values, of scores and logits; and the range of the values that can be attended to. *)
Variables (key_size value_size : nat -> R) (S : R) (size low range : nat -> R).
Hypothesis Hkey : forall t j h, (t < nV M)%nat -> (j < K)%nat -> (h < dh)%nat -> rsum d (fun i => Rabs (e t j i) * Rabs (WK M i
  h)) + Rabs (bK M h) <= key_size h.
Hypothesis Hvalue : forall t j h, (t < nV M)%nat -> (j < K)%nat -> (h < dh)%nat -> rsum d (fun i => Rabs (e t j i) * Rabs (WV M
  i h)) + Rabs (bV M h) <= value_size h.
Hypothesis Hscore : forall q, (q < nV M)%nat ->
  rsum dh (fun h => (rsum d (fun i => Rabs (e q (K - 1) i) * Rabs (WQ M i h)) + Rabs (bQ M h)) * key_size h) / sqrt (INR dh) <=
    S.
Hypothesis Hsize : forall q o, (q < nV M)%nat -> (o < nO M)%nat ->
  rsum d (fun i => (Rabs (e q (K - 1) i) + rsum dh (fun h => value_size h * Rabs (WO M h i)) + Rabs (bO M i)) * Rabs (WU M i
    o)) + Rabs (bU M o) <= size o.
Hypothesis Hrange : forall t j o, (t < nV M)%nat -> (j < K)%nat -> (o < nO M)%nat ->
  low o <= token_value M t o + position_value M j o <= low o + range o.

Definition score_roundings : nat := 2 * d + dh + 12.
Definition logit_roundings : nat := 2 * d + dh + 2 * K + 12.
Definition score_top : R := INR dh * ((INR d * (tR T * tQ T) + tBq T) * (INR d * (tR T * tK T) + tBk T)).
Definition logit_top : R :=
  INR d * ((tR T + INR dh * (INR K * (2 ^ 42 * (INR d * (tR T * tV T) + tBv T)) * tO T) + tBo T) * tU T) + tBu T.
Definition score_error : R := (growth score_roundings 24 - 1) * S + INR (score_roundings + 24) * eta * growth score_roundings
  24 * score_top.
Definition tilted_by : R := score_error + exponent_error F (2 * (S + score_error)) + last_places F.
Definition logit_error (o : nat) : R :=
  tilted_by / 2 * range o + (growth logit_roundings 24 * / (1 - sum_error F K) - 1) * size o
  + INR (logit_roundings + 24) * eta * growth logit_roundings 24 * logit_top.

Hypothesis Lscore : growth score_roundings 24 * score_top <= limit F.
Hypothesis Lexponent : growth 4 0 * (2 * (2 + 2 * (S + score_error))) <= limit F.
Hypothesis Lsum : growth K 0 * (INR K * 2 ^ 42) <= limit F.
Hypothesis Llogit : growth logit_roundings 24 * logit_top <= limit F.
Hypothesis Hsmall : sum_error F K <= / 2.

Variable x : list nat.
Hypothesis Hx : forall j, (j < K)%nat -> (nth j x 0 < nV M)%nat.
Notation tok j := (nth j x 0%nat).

(* Exact values of what formulas are made of: p and r stand for exponentials and the reciprocal of their sum. *)
Definition exact_of (p : nat -> R) (r : R) (q : quantity) : R :=
  match q with
  | Residual j i => e (tok j) j i
  | Wq i h => WQ M i h | Bq h => bQ M h | Wk i h => WK M i h | Bk h => bK M h
  | Wv i h => WV M i h | Bv h => bV M h | Wo h i => WO M h i | Bo i => bO M i
  | Wu i o => WU M i o | Bu o => bU M o
  | Root => sqrt (/ sqrt (INR dh))
  | Exponential j => p j
  | Reciprocal => r
  end.
Definition most_of (p : nat -> R) (r tp tr : R) (q : quantity) : R :=
  capped match q with
  | Residual _ _ => tR T
  | Wq _ _ => tQ T | Bq _ => tBq T | Wk _ _ => tK T | Bk _ => tBk T | Wv _ _ => tV T | Bv _ => tBv T | Wo _ _ => tO T
  | Bo _ => tBo T | Wu _ _ => tU T | Bu _ => tBu T | Root => 1 | Exponential _ => tp | Reciprocal => tr
  end (exact_of p r q).

Lemma root_dh : 1 <= sqrt (INR dh).
Proof. rewrite <- sqrt_1. apply sqrt_le_1_alt. apply (le_INR 1). lia. Qed.
Lemma root_between : 0 < sqrt (/ sqrt (INR dh)) <= 1.
Proof.
  assert (R := root_dh). assert (I : 0 < / sqrt (INR dh)) by (apply Rinv_0_lt_compat; lra). split; [now apply sqrt_lt_R0|].
  rewrite <- sqrt_1. apply sqrt_le_1_alt. rewrite <- Rinv_1. apply Rinv_le_contravar; lra.
Qed.
Lemma root_twice : sqrt (/ sqrt (INR dh)) * sqrt (/ sqrt (INR dh)) = / sqrt (INR dh).
Proof. assert (R := root_dh). apply sqrt_sqrt. left. apply Rinv_0_lt_compat. lra. Qed.

Lemma most_ok p r tp tr q : 1 <= tp -> 1 <= tr -> 1 <= most_of p r tp tr q /\ Rabs (exact_of p r q) <= most_of p r tp tr q.
Proof. intros. apply capped_ok. destruct q; lra. Qed.

Lemma near_unrounded x0 y V n : y = x0 -> Rabs x0 <= V -> near (relative F n 0) (growth n 0) x0 y (Rabs x0) V.
Proof. destruct Heta. now apply given_near. Qed.
Lemma near_rounded x0 y V : rounded F x0 y -> Rabs x0 <= V -> 1 <= V -> growth 1 0 * V <= limit F -> near (1 + u) (1 + u + eta)
  x0 y (Rabs x0) V.
Proof.
  intros R A V1 L. destruct Heta as [Heta0 _]. rewrite growth_1 in L. assert (off F u x0 y) by (apply R; nra).
  replace (1 + u) with (1 * (1 + u)) by ring. replace (1 * (1 + u) + eta) with (1 * (1 + u + eta)) by ring.
  eapply near_off; eauto; try lra. unfold near. rewrite Rminus_diag_eq, Rabs_R0 by reflexivity. lra.
Qed.

Lemma stored_near p r tp tr q y : 1 <= tp -> 1 <= tr -> stored F M x q y -> growth (own q) 0 * most_of p r tp tr q <= limit F ->
  near (relative F (own q) 0) (growth (own q) 0) (exact_of p r q) y (Rabs (exact_of p r q)) (most_of p r tp tr q).
Proof.
  intros Hp Hr G L. destruct (most_ok p r tp tr q Hp Hr) as [M1 M2]. destruct Heta as [Heta0 _].
  destruct q; cbn [stored own] in *; try contradiction; try (now apply near_unrounded).
  - rewrite relative_1, growth_1. apply near_rounded; auto.
  - destruct G as (e0 & He & ->). set (c := sqrt (/ sqrt (INR dh))) in *. assert (R := root_between). fold c in R.
    cbn [exact_of] in *. fold c in M2 |- *. unfold near. replace (c * (1 + e0) - c) with (c * e0) by ring.
    rewrite Rabs_mult. assert (A : Rabs c * Rabs e0 <= Rabs c * (3 * u)) by (apply Rmult_le_compat_l; auto; apply Rabs_pos).
    assert (B : 3 * u <= relative F 3 0 - 1) by (unfold relative; simpl; nra).
    assert (C := relative_between F Hu Hu' Heta0 3 0). assert (D := Rabs_pos c).
    assert (0 <= (growth 3 0 - relative F 3 0) * most_of p r tp tr Root) by (apply Rmult_le_pos; lra).
    assert (Rabs c * (3 * u) <= (relative F 3 0 - 1) * Rabs c) by (rewrite Rmult_comm; apply Rmult_le_compat_r; lra). lra.
Qed.

(* Scores. *)
Lemma score_exact p r j : score_formula M j (exact_of p r) = score M x j.
Proof.
  unfold score_formula, score, query, key, emb. cbn [exact_of]. rewrite root_twice. unfold Rdiv. rewrite Rmult_comm.
  reflexivity.
Qed.
Lemma score_size p r j : (j < K)%nat -> score_formula M j (fun q => Rabs (exact_of p r q)) <= S.
Proof.
  intros Hj. unfold score_formula. cbn [exact_of]. assert (R := root_between). rewrite (Rabs_pos_eq (sqrt _)) by lra.
  rewrite root_twice.
  rewrite Rmult_comm. eapply Rle_trans; [|apply (Hscore (tok (K - 1)) ltac:(apply Hx; lia))].
  apply Rmult_le_compat_r; [left; apply Rinv_0_lt_compat; assert (A := root_dh); lra|].
  apply rsum_le; intros h Hh. apply Rmult_le_compat_l; [|apply Hkey; auto].
  apply Rplus_le_le_0_compat; [|apply Rabs_pos]. apply rsum_nonneg; intros. apply Rmult_le_pos; apply Rabs_pos.
Qed.
Lemma score_most p r tp tr j : (j < K)%nat -> score_formula M j (most_of p r tp tr) = score_top.
Proof.
  intros Hj. unfold score_formula, most_of. cbn [exact_of]. assert (R := root_between).
  rewrite (capped_within 1) by (rewrite Rabs_pos_eq; lra). rewrite !Rmult_1_l. unfold score_top. rewrite <- rsum_const.
  apply rsum_ext; intros h Hh. destruct (HB h Hh) as (B1 & B2 & B3). rewrite !capped_within by auto.
  do 2 f_equal; rewrite <- rsum_const; apply rsum_ext; intros i Hi; destruct (HQ i h Hi Hh) as (Q1 & Q2 & _);
    rewrite !capped_within; auto; apply HR; auto; try lia; apply Hx; lia.
Qed.
Lemma score_near j s : (j < K)%nat -> computes F own (stored F M x) score_roundings 24 (score_formula M j) s -> Rabs (s - score
  M x j) <= score_error.
Proof.
  intros Hj C. destruct Heta as [Heta0 _]. assert (G := growth_ge_1 F Hu Hu' Heta0 score_roundings 24).
  assert (N : Rabs (s - score_formula M j (exact_of (fun _ => 0) 0)) <=
    (growth score_roundings 24 - 1) * score_formula M j (fun q => Rabs (exact_of (fun _ => 0) 0 q)) +
    INR (score_roundings + 24) * eta * growth score_roundings 24 * score_formula M j (most_of (fun _ => 0) 0 1 1)).
  { apply (computes_near F Hu Hu' Heta0 quantity own (stored F M x)); auto.
    - intros q. apply most_ok; lra.
    - intros q y Gq L. apply stored_near; auto; lra.
    - now rewrite score_most. }
  rewrite score_exact, score_most in N by auto. unfold score_error.
  assert (L := Rmult_le_compat_l (growth score_roundings 24 - 1) _ _ ltac:(lra) (score_size (fun _ => 0) 0 j Hj)). lra.
Qed.
Lemma real_score j : (j < K)%nat -> Rabs (score M x j) <= S.
Proof.
  intros Hj. eapply Rle_trans; [|apply (score_size (fun _ => 0) 0 j Hj)]. rewrite <- (score_exact (fun _ => 0) 0 j).
  unfold score_formula.
  rewrite !Rabs_mult. apply Rmult_le_compat_l; [apply Rmult_le_pos; apply Rabs_pos|]. apply rsum_abs_le; intros h Hh.
  rewrite Rabs_mult.
  apply Rmult_le_compat; try apply Rabs_pos; (eapply Rle_trans; [apply Rabs_triang|apply Rplus_le_compat_r, rsum_abs_le;
    intros; rewrite Rabs_mult; lra]).
Qed.

(* Values: what is attended to, in a logit. *)
Notation v o j := (rsum dh (fun h => value M x j h * WOU M h o)).
Lemma v_split o j : v o j = token_value M (tok j) o + position_value M j o + rsum dh (fun h => bV M h * WOU M h o).
Proof.
  unfold token_value, position_value. rewrite <- !rsum_plus. apply rsum_ext; intros h _.
  unfold value, valE, valP, emb. rewrite <- !Rmult_plus_distr_r. f_equal. f_equal. rewrite <- rsum_plus.
  apply rsum_ext; intros; ring.
Qed.
Notation size_of o := (rsum d (fun i => (Rabs (e (tok (K - 1)) (K - 1) i) + rsum dh (fun h => value_size h * Rabs (WO M h i)) +
  Rabs (bO M i)) * Rabs (WU M i o)) + Rabs (bU M o)).
Lemma value_within j h : (j < K)%nat -> (h < dh)%nat -> Rabs (value M x j h) <= value_size h.
Proof.
  intros Hj Hh. eapply Rle_trans; [|apply (Hvalue (tok j) j h); auto]. unfold value, emb.
  eapply Rle_trans; [apply Rabs_triang|].
  apply Rplus_le_compat_r, rsum_abs_le. intros; rewrite Rabs_mult; lra.
Qed.
Lemma value_size_pos h : (h < dh)%nat -> 0 <= value_size h.
Proof. intros Hh. eapply Rle_trans; [apply Rabs_pos|]. apply (value_within 0 h); auto. Qed.
Lemma v_within o j : (o < nO M)%nat -> (j < K)%nat -> Rabs (v o j) <= size o.
Proof.
  intros Ho Hj. eapply Rle_trans; [|apply (Hsize (tok (K - 1)) o); auto; apply Hx; lia].
  apply Rle_trans with (rsum d (fun i => rsum dh (fun h => value_size h * Rabs (WO M h i)) * Rabs (WU M i o))).
  - eapply Rle_trans; [apply rsum_abs_le; intros h Hh; rewrite Rabs_mult; apply Rmult_le_compat; try apply Rabs_pos|].
    + now apply value_within.
    + unfold WOU. apply rsum_abs_le; intros i Hi. rewrite Rabs_mult. apply Rle_refl.
    + right. erewrite rsum_ext by (intros; symmetry; apply rsum_scal). rewrite rsum_swap.
      apply rsum_ext; intros i Hi. rewrite <- rsum_scal_r. apply rsum_ext; intros; ring.
  - apply Rle_trans with (rsum d (fun i => rsum dh (fun h => value_size h * Rabs (WO M h i)) * Rabs (WU M i o)) + 0); [lra|].
    apply Rplus_le_compat; [|apply Rabs_pos]. apply rsum_le; intros i Hi. apply Rmult_le_compat_r; [apply Rabs_pos|].
    assert (A := Rabs_pos (e (tok (K - 1)) (K - 1) i)). assert (B := Rabs_pos (bO M i)). lra.
Qed.

(* Logits, of numbers p r instead of attention weights. *)
Lemma logit_exact o : logit M x o = logit_formula M o (exact_of (attention M x) 1).
Proof.
  unfold logit, residual, logit_formula, emb, value. cbn [exact_of]. f_equal. apply rsum_ext; intros i _. do 3 f_equal.
  apply rsum_ext; intros h _. f_equal. apply rsum_ext; intros j _. unfold emb. ring.
Qed.
Lemma logit_of p r o : logit_formula M o (exact_of p r) =
  rsum d (fun i => (e (tok (K - 1)) (K - 1) i + bO M i) * WU M i o) + bU M o + rsum K (fun j => p j * r * v o j).
Proof. rewrite logit_formula_affine. reflexivity. Qed.
Lemma logit_size p r k o : (o < nO M)%nat -> (forall j, (j < K)%nat -> 0 <= p j) -> 0 <= r -> rsum K p * r <= k -> 1 <= k ->
  logit_formula M o (fun q => Rabs (exact_of p r q)) <= k * size o.
Proof.
  intros Ho Hp Hr Hpr Hk. eapply Rle_trans; [|apply Rmult_le_compat_l; [lra|apply (Hsize (tok (K - 1)) o); auto; apply Hx;
    lia]].
  unfold logit_formula. cbn [exact_of]. rewrite Rmult_plus_distr_l, <- rsum_scal. apply Rplus_le_compat.
  - apply rsum_le; intros i Hi. rewrite <- Rmult_assoc. apply Rmult_le_compat_r; [apply Rabs_pos|]. rewrite !Rmult_plus_distr_l.
    assert (A := Rabs_pos (e (tok (K - 1)) (K - 1) i)). assert (B := Rabs_pos (bO M i)).
    apply Rplus_le_compat; [apply Rplus_le_compat|]; [nra| |nra]. rewrite <- rsum_scal. apply rsum_le; intros h Hh.
    rewrite <- Rmult_assoc. apply Rmult_le_compat_r; [apply Rabs_pos|].
    apply Rle_trans with (rsum K p * r * value_size h); [|apply Rmult_le_compat_r; auto; now apply value_size_pos].
    rewrite <- !rsum_scal_r. apply rsum_le; intros j Hj. rewrite (Rabs_pos_eq (p j)), (Rabs_pos_eq r) by auto.
    apply Rmult_le_compat_l; [now apply Rmult_le_pos; auto|]. now apply Hvalue; auto.
  - assert (A := Rabs_pos (bU M o)). nra.
Qed.
Lemma logit_most p r tp tr o : (o < nO M)%nat -> (forall j, (j < K)%nat -> Rabs (p j) <= tp) -> Rabs r <= tr ->
  logit_formula M o (most_of p r tp tr) = INR d * ((tR T + INR dh * (INR K * (tp * tr * (INR d * (tR T * tV T) + tBv T)) * tO
    T) + tBo T) * tU T) + tBu T.
Proof.
  intros Ho Hp Hr. unfold logit_formula, most_of. cbn [exact_of]. rewrite <- rsum_const. f_equal.
  - apply rsum_ext; intros i Hi. assert (U1 := HU i o Hi Ho).
    rewrite (capped_within (tU T)), (capped_within (tBo T)), (capped_within (tR T)) by (auto; apply HR; auto; try lia;
      apply Hx; lia). do 3 f_equal.
    rewrite <- rsum_const. apply rsum_ext; intros h Hh. destruct (HB h Hh) as (_ & _ & B3).
    destruct (HQ i h Hi Hh) as (_ & _ & _ & Q4).
    rewrite (capped_within (tO T)) by auto. f_equal. rewrite <- rsum_const. apply rsum_ext; intros j Hj.
    rewrite (capped_within tp), (capped_within tr), (capped_within (tBv T)) by auto. do 2 f_equal. rewrite <- rsum_const.
    apply rsum_ext; intros k Hk'. destruct (HQ k h Hk' Hh) as (_ & _ & Q3 & _). rewrite !capped_within; auto.
  - now apply capped_within, HBu.
Qed.

Theorem execution_near y o : execution F M x y -> (o < nO M)%nat -> Rabs (y o - logit M x o) <= logit_error o.
Proof.
  intros (s & w & m & sum & Cs & Hm & Cw & Csum & [Bsum1 Bsum2] & Cy) Ho. destruct Heta as [Heta0 Heta1].
  assert (Ns : forall j, (j < K)%nat -> Rabs (s j - score M x j) <= score_error) by (intros; apply score_near; auto).
  assert (S0 : 0 <= S) by (eapply Rle_trans; [apply Rabs_pos|apply (real_score 0 HK)]).
  assert (E0 : 0 <= score_error) by (eapply Rle_trans; [apply Rabs_pos|apply (Ns 0%nat HK)]).
  assert (Hm' : Rabs m <= S + score_error).
  { destruct Hm as [->|(j & Hj & L)]; [rewrite Rabs_R0; lra|]. eapply Rle_trans; [exact L|].
    replace (s j) with (score M x j + (s j - score M x j)) by ring. eapply Rle_trans; [apply Rabs_triang|].
    specialize (Ns j Hj). assert (A := real_score j Hj). lra. }
  assert (Ex : forall j, (j < K)%nat -> exists tau, exp (- tilted_by) <= tau <= exp tilted_by /\ Rabs (w j - exp (score M x j -
    m) * tau) <= eta).
  { intros j Hj. destruct (Cw j Hj) as [C _].
    exact (exponential_tilted F Hu Hu8 Hu' Heta0 (s j) m (w j) (score M x j) score_error S C (Ns j Hj) (real_score j Hj) Hm'
      Lexponent). }
  apply chosen in Ex as (tau & Ex). set (p := fun j => exp (score M x j - m) * tau j).
  assert (P0 : forall j, (j < K)%nat -> 0 < p j).
  { intros j Hj. destruct (Ex j Hj) as [[A _] _]. assert (B := exp_pos (- tilted_by)).
    apply Rmult_lt_0_compat; [apply exp_pos|lra]. }
  assert (Pw : forall j, (j < K)%nat -> Rabs (w j - p j) <= eta) by (intros j Hj; apply Ex; auto).
  assert (P42 : forall j, (j < K)%nat -> p j <= 2 ^ 42 - 1).
  { intros j Hj. destruct (Cw j Hj) as [_ B]. specialize (Pw j Hj). apply Rabs_le_between in B, Pw. simpl in B |- *. lra. }
  destruct (share_near F Hu Hu8 Hu' Heta0 K w p sum (fun j (Hj : (j < K)%nat) => conj (P0 j Hj) (P42 j Hj)) Pw Lsum Hsmall Csum
    Bsum1) as (W0 & Sum0 & Share & Share1).
  set (W := rsum K p) in *. set (k := / (1 - sum_error F K)) in *.
  assert (K1 : 1 <= k) by (assert (A := Rabs_pos (W / sum - 1)); lra).
  assert (K2 : k <= 2).
  { unfold k. rewrite <- (Rinv_inv 2). apply Rinv_le_contravar; lra. }
  (* Weights and their sum are not both far from one. *)
  assert (Tops : exists tp tr, 1 <= tp /\ 1 <= tr /\ tp * tr <= 2 ^ 42 /\ (forall j, (j < K)%nat -> p j <= tp) /\ / sum <= tr).
  { destruct (Rle_dec 1 sum) as [B|B].
    - exists (2 ^ 42), 1. repeat split; try (simpl; lra).
      + intros j Hj. specialize (P42 j Hj). lra.
      + rewrite <- Rinv_1. apply Rinv_le_contravar; lra.
    - exists 2, (2 ^ 40). repeat split; try (simpl; lra).
      + intros j Hj. apply Rle_trans with W.
        * unfold W. rewrite <- (Rmult_1_r (p j)). clear - Hj P0. revert Hj P0. generalize K.
          induction n; intros Hj P0; [lia|]. cbn [rsum].
          assert (Q : 0 <= rsum n p) by (apply rsum_nonneg; intros; left; apply P0; lia). assert (Q' := P0 n ltac:(lia)).
          destruct (Nat.eq_dec j n) as [->|N]; [lra|]. assert (H := IHn ltac:(lia) ltac:(intros; apply P0; lia)). lra.
        * assert (W = W / sum * sum) by (field; lra). rewrite H. nra.
      + rewrite <- (Rinv_inv (2 ^ 40)). apply Rinv_le_contravar; auto. apply Rinv_0_lt_compat. simpl; lra. }
  destruct Tops as (tp & tr & Tp & Tr & Tpr & Pt & Rt).
  set (pw := fun j => if (j <? K)%nat then p j else w j).
  assert (In : forall j, (j < K)%nat -> pw j = p j) by (intros j Hj; unfold pw; now rewrite (proj2 (Nat.ltb_lt j K) Hj)).
  assert (EW : rsum K pw = W) by (apply rsum_ext; auto).
  assert (R0 : 0 < / sum) by now apply Rinv_0_lt_compat.
  assert (G := growth_ge_1 F Hu Hu' Heta0 logit_roundings 24).
  assert (Top : logit_formula M o (most_of pw (/ sum) tp tr) <= logit_top).
  { rewrite logit_most; auto.
    - unfold logit_top. destruct Hone as (O1 & O2 & O3 & O4 & O5 & O6 & O7 & O8 & O9 & O10 & O11).
      assert (D := pos_INR d). assert (D' := pos_INR dh). assert (D'' := pos_INR K).
      apply Rplus_le_compat_r, Rmult_le_compat_l; auto. apply Rmult_le_compat_r; [lra|].
      apply Rplus_le_compat_r, Rplus_le_compat_l, Rmult_le_compat_l; auto.
      apply Rmult_le_compat_r; [lra|]. apply Rmult_le_compat_l; auto. apply Rmult_le_compat_r; [|exact Tpr].
      assert (0 <= tR T * tV T) by (apply Rmult_le_pos; lra). assert (0 <= INR d * (tR T * tV T)) by (apply Rmult_le_pos;
        lra). lra.
    - intros j Hj. rewrite In, Rabs_pos_eq by auto using Rlt_le. auto.
    - rewrite Rabs_pos_eq by lra. exact Rt. }
  assert (Size : logit_formula M o (fun q => Rabs (exact_of pw (/ sum) q)) <= k * size o).
  { apply logit_size; auto; try lra. intros j Hj. rewrite In by auto. now left; apply P0. rewrite EW. exact Share. }
  assert (N : Rabs (y o - logit_formula M o (exact_of pw (/ sum))) <=
    (growth logit_roundings 24 - 1) * logit_formula M o (fun q => Rabs (exact_of pw (/ sum) q)) +
    INR (logit_roundings + 24) * eta * growth logit_roundings 24 * logit_formula M o (most_of pw (/ sum) tp tr)).
  { apply (computes_near F Hu Hu' Heta0 quantity own (attended F M x w sum)); auto.
    - intros q. now apply most_ok.
    - intros q y0 Gq L. destruct (most_ok pw (/ sum) tp tr q Tp Tr) as [M1 M2].
      destruct q; try (apply stored_near; auto; fail); cbn [attended own exact_of] in *.
      + rewrite relative_1, growth_1. subst y0. unfold near, pw. destruct (Nat.ltb_spec j K) as [Lt|Ge].
        * specialize (Pw j Lt). set (V := most_of _ _ _ _ _) in *. assert (A := Rabs_pos (p j)).
          assert (0 <= u * Rabs (p j)) by (apply Rmult_le_pos; lra). assert (eta * 1 <= eta * V) by (apply Rmult_le_compat_l;
            lra). lra.
        * rewrite Rminus_diag_eq, Rabs_R0 by reflexivity. assert (A := Rabs_pos (w j)). set (V := most_of _ _ _ _ _) in *.
          assert (0 <= u * Rabs (w j)) by (apply Rmult_le_pos; lra). assert (0 <= eta * V) by (apply Rmult_le_pos; lra). lra.
      + rewrite relative_1, growth_1. rewrite growth_1 in L. destruct Gq as [->|Rd].
        * unfold near. rewrite Rminus_diag_eq, Rabs_R0 by reflexivity. set (V := most_of _ _ _ _ _) in *.
          assert (A := Rabs_pos (/ sum)).
          assert (0 <= u * Rabs (/ sum)) by (apply Rmult_le_pos; lra). assert (0 <= eta * V) by (apply Rmult_le_pos; lra). lra.
        * apply near_rounded; auto. now rewrite growth_1.
    - eapply Rle_trans; [|exact Llogit]. apply Rmult_le_compat_l; [lra|exact Top]. }
  (* The formula with computed exponentials, and the real logit. *)
  set (avg := rsum K (fun j => p j * v o j) / W).
  set (c := rsum dh (fun h => bV M h * WOU M h o)).
  assert (HV : forall j, (j < K)%nat -> low o + c <= v o j <= low o + c + range o).
  { intros j Hj. rewrite v_split. fold c. assert (H := Hrange (tok j) j o (Hx j Hj) Hj Ho). lra. }
  assert (T0 : 0 <= tilted_by).
  { unfold tilted_by. assert (G4 := growth_ge_1 F Hu Hu' Heta0 4 0). assert (0 <= exponent_error F (2 * (S + score_error))).
    { unfold exponent_error. apply Rplus_le_le_0_compat; apply Rmult_le_pos; try lra. apply Rmult_le_pos; lra. }
    assert (0 <= last_places F) by (unfold last_places; apply Rmult_le_pos; [lra|left; apply Rinv_0_lt_compat; lra]). lra. }
  set (Z := rsum K (fun i => exp (score M x i))).
  assert (Z0 : 0 < Z) by (apply rsum_pos; auto; intros; apply exp_pos).
  assert (Att : forall j, attention M x j * tau j = exp m / Z * p j).
  { intros j. unfold attention, p. fold Z. replace (exp (score M x j)) with (exp m * exp (score M x j - m)) by (rewrite <-
    exp_plus; f_equal; ring). field. lra. }
  assert (Tilt : Rabs (avg - rsum K (fun j => attention M x j * v o j)) <= tilted_by / 2 * range o).
  { assert (TT := tilt K (attention M x) tau tilted_by).
    assert (A0 : forall j, (j < K)%nat -> 0 <= attention M x j).
    { intros j Hj. unfold attention. apply Rmult_le_pos; [left; apply exp_pos|left; now apply Rinv_0_lt_compat]. }
    specialize (TT A0 (attention_sum M x HK) T0 ltac:(intros j Hj; apply Ex; auto) (fun j => v o j) (low o + c) (range o) HV).
    cbv beta in TT. rewrite (rsum_ext K (fun j => attention M x j * tau j * v o j) (fun j => exp m / Z * (p j * v o j))) in TT
      by (intros; rewrite Att; ring).
    rewrite (rsum_ext K (fun j => attention M x j * tau j) (fun j => exp m / Z * p j)) in TT by (intros; apply Att).
    rewrite !rsum_scal in TT. fold W in TT. assert (Em := exp_pos m).
    replace (exp m / Z * rsum K (fun j => p j * v o j) / (exp m / Z * W)) with avg in TT by (unfold avg; field; lra).
    exact TT. }
  assert (Avg : Rabs avg <= size o).
  { unfold avg, Rdiv. rewrite Rabs_mult, (Rabs_pos_eq (/ W)) by (left; now apply Rinv_0_lt_compat).
    apply Rmult_le_reg_r with W; auto. rewrite Rmult_assoc, Rinv_l, Rmult_1_r by lra. rewrite Rmult_comm. unfold W.
    rewrite <- rsum_scal_r.
    apply rsum_abs_le. intros j Hj. rewrite Rabs_mult, (Rabs_pos_eq (p j)) by auto using Rlt_le.
    apply Rmult_le_compat_l; [auto using Rlt_le|]. now apply v_within. }
  assert (Diff : Rabs (logit_formula M o (exact_of pw (/ sum)) - logit M x o) <= (k - 1) * size o + tilted_by / 2 * range o).
  { rewrite logit_exact, !logit_of.
    rewrite (rsum_ext K (fun j => pw j * / sum * v o j) (fun j => / sum * (p j * v o j))) by (intros j Hj; rewrite In by auto;
      ring).
    rewrite rsum_scal. rewrite (rsum_ext K (fun j => attention M x j * 1 * v o j) (fun j => attention M x j * v o j)) by
      (intros; ring).
    replace (/ sum * rsum K (fun j => p j * v o j)) with (W / sum * avg) by (unfold avg; field; lra).
    set (b := rsum d _ + bU M o). set (r := rsum K (fun j => attention M x j * v o j)) in *.
    replace (b + W / sum * avg - (b + r)) with ((W / sum - 1) * avg + (avg - r)) by ring.
    eapply Rle_trans; [apply Rabs_triang|]. rewrite Rabs_mult. apply Rplus_le_compat; [|exact Tilt].
    apply Rmult_le_compat; auto using Rabs_pos. }
  unfold logit_error. fold k. replace (y o - logit M x o) with ((y o - logit_formula M o (exact_of pw (/ sum))) +
    (logit_formula M o (exact_of pw (/ sum)) - logit M x o)) by ring.
  eapply Rle_trans; [apply Rabs_triang|]. assert (Q1 := Rmult_le_compat_l (growth logit_roundings 24 - 1) _ _ ltac:(lra) Size).
  assert (Q0 : 0 <= INR (logit_roundings + 24) * eta * growth logit_roundings 24).
  { apply Rmult_le_pos; [apply Rmult_le_pos; [apply pos_INR|lra]|lra]. }
  assert (Q2 := Rmult_le_compat_l _ _ _ Q0 Top). lra.
Qed.
End Bound.
