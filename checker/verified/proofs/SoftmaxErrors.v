(* How far softmax is off (Executions.v): its exponentials are, up to a factor that all have in common, off by factors from exp
   (-t) to exp t; and weights a_j that sum to one, tilted by such factors, change an average by at most t / 2 of the range of
   what is averaged.

   Proof. Let 0 <= x_j <= r, X its average, N and D the sums of a_j w_j x_j and of a_j w_j (r - x_j), s = exp t. N <= s X, D
   >= (r - X) / s, and N + D is r times the sum of a_j w_j; so N is at most that sum times X + r (s - 1) / (s + 1), as (s -
   1) (r - (s + 1) X)^2 >= 0; and (s - 1) / (s + 1) <= t / 2. *)
From Coq Require Import Reals Lra Lia ZArith List Arith.
From Coquelicot Require Import Coquelicot.
From CompactProofs Require Import Semantics Executions ExpressionErrors.
Open Scope R_scope.

Lemma exp_half t : 0 <= t -> exp t * (1 - t / 2) <= 1 + t / 2.
Proof.
  intros Ht. set (f := fun t => 1 + t / 2 - exp t * (1 - t / 2)).
  assert (D : forall y, is_derive f y ((1 - exp y * (1 - y)) / 2)).
  { intros y. unfold f. auto_derive; auto. field. }
  destruct (MVT_gen f 0 t (fun y => (1 - exp y * (1 - y)) / 2)) as (c & Hc & E).
  - intros; apply D.
  - intros y _. apply continuity_pt_filterlim. apply (ex_derive_continuous f y). eexists; apply D.
  - rewrite Rmin_left, Rmax_right in Hc by lra.
    assert (Z : f 0 = 0) by (unfold f; rewrite exp_0; field).
    assert (P := exp_pos c). assert (I := exp_ineq1_le (- c)). assert (Inv : exp c * exp (- c) = 1) by (rewrite <- exp_plus,
      Rplus_opp_r; apply exp_0).
    assert (exp c * (1 - c) <= 1) by (rewrite <- Inv; apply Rmult_le_compat_l; lra).
    assert (0 <= f t) by nra. unfold f in H0. lra.
Qed.
Lemma exp_ge_1 t : 0 <= t -> 1 <= exp t.
Proof. intros. assert (I := exp_ineq1_le t). lra. Qed.
Lemma exp_inv t : exp t * exp (- t) = 1.
Proof. rewrite <- exp_plus, Rplus_opp_r. apply exp_0. Qed.
Lemma exp_between_mono a b : a <= b -> exp a <= exp b.
Proof. intros [H| ->]; [left; now apply exp_increasing|lra]. Qed.

Lemma rsum_nonneg n f : (forall i, (i < n)%nat -> 0 <= f i) -> 0 <= rsum n f.
Proof. intros H. rewrite <- (rsum_0 n). now apply rsum_le. Qed.
Lemma rsum_abs n f : Rabs (rsum n f) <= rsum n (fun i => Rabs (f i)).
Proof. induction n; simpl; [rewrite Rabs_R0; lra|]. eapply Rle_trans; [apply Rabs_triang|]. lra. Qed.
Lemma rsum_const n c : rsum n (fun _ => c) = INR n * c.
Proof. induction n; [simpl; ring|]. cbn [rsum]. rewrite IHn, S_INR. ring. Qed.
(* An average is within what is averaged. *)
Lemma average_ge n a v lo : (forall j, (j < n)%nat -> 0 <= a j /\ lo <= v j) -> rsum n a = 1 -> lo <= rsum n (fun j => a j * v
  j).
Proof.
  intros H S. rewrite <- (Rmult_1_l lo), <- S, <- rsum_scal_r. apply rsum_le. intros j Hj. destruct (H j Hj).
  now apply Rmult_le_compat_l.
Qed.
Lemma average_le n a v hi : (forall j, (j < n)%nat -> 0 <= a j /\ v j <= hi) -> rsum n a = 1 -> rsum n (fun j => a j * v j) <=
  hi.
Proof.
  intros H S. rewrite <- (Rmult_1_l hi), <- S, <- rsum_scal_r. apply rsum_le. intros j Hj. destruct (H j Hj).
  now apply Rmult_le_compat_l.
Qed.

Section Tilt.
Variables (n : nat) (a w : nat -> R) (t : R).
Hypothesis Ha : forall j, (j < n)%nat -> 0 <= a j.
Hypothesis Hsum : rsum n a = 1.
Hypothesis Ht : 0 <= t.
Hypothesis Hw : forall j, (j < n)%nat -> exp (- t) <= w j <= exp t.
Notation total := (rsum n (fun j => a j * w j)).

Lemma tilt_total : 0 < total.
Proof.
  assert (P := exp_pos (- t)). apply Rlt_le_trans with (exp (- t)); auto. apply (average_ge n a w); auto.
  intros j Hj. split; [auto|apply Hw; auto].
Qed.

Lemma tilt_up v lo r : (forall j, (j < n)%nat -> lo <= v j <= lo + r) ->
  rsum n (fun j => a j * w j * v j) / total - rsum n (fun j => a j * v j) <= t / 2 * r.
Proof.
  intros Hv. assert (T := tilt_total). set (s := exp t). assert (S1 : 1 <= s) by now apply exp_ge_1.
  set (X := rsum n (fun j => a j * (v j - lo))). set (N := rsum n (fun j => a j * w j * (v j - lo))).
  set (D := rsum n (fun j => a j * w j * (lo + r - v j))).
  assert (EX : rsum n (fun j => a j * v j) = X + lo).
  { transitivity (X + rsum n (fun j => lo * a j)); [|rewrite rsum_scal, Hsum; ring]. unfold X. rewrite <- rsum_plus.
    apply rsum_ext; intros; ring. }
  assert (EN : rsum n (fun j => a j * w j * v j) = N + lo * total).
  { unfold N. rewrite <- rsum_scal, <- rsum_plus. apply rsum_ext; intros; ring. }
  assert (ED : N + D = r * total).
  { unfold N, D. rewrite <- rsum_plus, <- rsum_scal. apply rsum_ext; intros; ring. }
  assert (X0 : 0 <= X <= r).
  { unfold X. split; [apply average_ge|apply average_le]; auto; intros j Hj; assert (A := Ha j Hj); assert (B := Hv j Hj);
    split; lra. }
  assert (N1 : 0 <= N <= s * X).
  { unfold N, X. rewrite <- rsum_scal. split; [apply rsum_nonneg|apply rsum_le]; intros j Hj; assert (A := Ha j Hj);
    assert (B := Hv j Hj);
    assert (W := Hw j Hj); fold s in W; assert (P := exp_pos (- t)).
    - apply Rmult_le_pos; [apply Rmult_le_pos|]; lra.
    - replace (s * (a j * (v j - lo))) with (s * a j * (v j - lo)) by ring. apply Rmult_le_compat_r; [lra|].
      rewrite Rmult_comm. apply Rmult_le_compat_r; lra. }
  assert (D1 : exp (- t) * (r - X) <= D).
  { assert (RX : r - X = rsum n (fun j => a j * (lo + r - v j))).
    { transitivity (rsum n (fun j => r * a j) - X); [rewrite rsum_scal, Hsum; ring|]. unfold X. rewrite <- rsum_minus.
      apply rsum_ext; intros; ring. }
    rewrite RX. unfold D. rewrite <- rsum_scal. apply rsum_le. intros j Hj. assert (A := Ha j Hj). assert (B := Hv j Hj).
    assert (W := Hw j Hj).
    replace (exp (- t) * (a j * (lo + r - v j))) with (exp (- t) * a j * (lo + r - v j)) by ring.
    apply Rmult_le_compat_r; [lra|]. rewrite Rmult_comm. apply Rmult_le_compat_l; lra. }
  assert (I := exp_inv t). fold s in I. set (i := exp (- t)) in *. assert (i0 : 0 < i) by apply exp_pos.
  (* N <= total (X + r tau) *)
  set (tau := (s - 1) / (s + 1)). assert (tau0 : 0 <= tau) by (apply Rmult_le_pos; [lra|left; apply Rinv_0_lt_compat; lra]).
  assert (Etau : tau * (s + 1) = s - 1) by (unfold tau; field; lra).
  assert (Main : N * (r - X - tau * r) <= D * (X + tau * r)).
  { destruct (Rle_dec (r - X - tau * r) 0) as [L|L].
    - apply Rle_trans with 0; [nra|]. apply Rmult_le_pos; [|nra]. apply Rle_trans with (i * (r - X)); [|exact D1].
      apply Rmult_le_pos; lra.
    - apply Rle_trans with (s * X * (r - X - tau * r)); [apply Rmult_le_compat_r; lra|].
      apply Rle_trans with (i * (r - X) * (X + tau * r)); [|apply Rmult_le_compat_r; [nra|exact D1]].
      apply Rmult_le_reg_l with (s * (s + 1)); [nra|].
      replace (s * (s + 1) * (i * (r - X) * (X + tau * r))) with ((s * i) * (r - X) * ((s + 1) * X + (tau * (s + 1)) * r)) by
        ring.
      replace (s * (s + 1) * (s * X * (r - X - tau * r))) with (s * s * X * ((s + 1) * (r - X) - (tau * (s + 1)) * r)) by ring.
      rewrite I, Etau. assert (Sq := Rle_0_sqr (r - (s + 1) * X)). unfold Rsqr in Sq.
      assert (0 <= (s - 1) * ((r - (s + 1) * X) * (r - (s + 1) * X))) by (apply Rmult_le_pos; lra). nra. }
  assert (Half : tau <= t / 2).
  { apply Rmult_le_reg_r with (s + 1); [lra|]. rewrite Etau. assert (E := exp_half t Ht). fold s in E. nra. }
  rewrite EX, EN. replace ((N + lo * total) / total) with (N / total + lo) by (field; lra).
  assert (Goal : N / total <= X + tau * r).
  { destruct (Req_dec r 0) as [R0|R0].
    - assert (N = 0) by nra. rewrite H. unfold Rdiv. rewrite Rmult_0_l. nra.
    - apply Rmult_le_reg_r with total; auto. replace (N / total * total) with N by (field; lra).
      apply Rmult_le_reg_l with r; [lra|]. replace (r * ((X + tau * r) * total)) with ((X + tau * r) * (r * total)) by ring.
      rewrite <- ED. nra. }
  assert (tau * r <= t / 2 * r) by (apply Rmult_le_compat_r; lra). lra.
Qed.

Theorem tilt v lo r : (forall j, (j < n)%nat -> lo <= v j <= lo + r) ->
  Rabs (rsum n (fun j => a j * w j * v j) / total - rsum n (fun j => a j * v j)) <= t / 2 * r.
Proof.
  intros Hv. apply Rabs_le. split; [|now apply (tilt_up v lo r)].
  assert (U := tilt_up (fun j => - v j) (- (lo + r)) r). assert (T := tilt_total).
  assert (N1 : rsum n (fun j => a j * w j * - v j) = - rsum n (fun j => a j * w j * v j)).
  { replace (- rsum n (fun j => a j * w j * v j)) with (-1 * rsum n (fun j => a j * w j * v j)) by ring. rewrite <- rsum_scal.
    apply rsum_ext; intros; ring. }
  assert (N2 : rsum n (fun j => a j * - v j) = - rsum n (fun j => a j * v j)).
  { replace (- rsum n (fun j => a j * v j)) with (-1 * rsum n (fun j => a j * v j)) by ring. rewrite <- rsum_scal.
    apply rsum_ext; intros; ring. }
  cbv beta in U. rewrite N1, N2 in U. specialize (U ltac:(intros j Hj; specialize (Hv j Hj); lra)).
  replace (- rsum n (fun j => a j * w j * v j) / total) with (- (rsum n (fun j => a j * w j * v j) / total)) in U by (field;
    lra). lra.
Qed.
End Tilt.

(* As many numbers as there are statements that one exists. *)
Lemma chosen (P : nat -> R -> Prop) n : (forall j, (j < n)%nat -> exists r, P j r) -> exists f, forall j, (j < n)%nat -> P j (f
  j).
Proof.
  induction n; intros H; [exists (fun _ => 0); intros; lia|].
  destruct IHn as (f & Hf); [intros; apply H; lia|]. destruct (H n ltac:(lia)) as (r & Hr).
  exists (fun j => if (j =? n)%nat then r else f j). intros j Hj. destruct (Nat.eqb_spec j n) as [->|N]; auto. apply Hf. lia.
Qed.

Lemma ln_2_between : / 2 < ln 2 < 1.
Proof.
  split; [apply ln_lt_2|]. rewrite <- (ln_exp 1). apply ln_increasing; [lra|]. assert (I := exp_ineq1 1 ltac:(lra)). lra.
Qed.

Section Softmax.
Variable F : format.
Notation u := (roundoff F). Notation eta := (underflow F).
Hypothesis Hu : 0 <= u.
Hypothesis Hu8 : 8 * u < 1.
Hypothesis Hu' : 0 <= operand_roundoff F.
Hypothesis Heta : 0 < eta.
Notation growth := (growth F).

Lemma given_off e x y V : Rabs e <= u -> y = x * (1 + e) -> Rabs x <= V -> near (1 + u) (1 + u + eta) x y (Rabs x) V.
Proof.
  intros He -> L. unfold near. replace (x * (1 + e) - x) with (x * e) by ring. rewrite Rabs_mult. assert (A := Rabs_pos x).
  assert (Rabs x * Rabs e <= Rabs x * u) by (apply Rmult_le_compat_l; auto).
  assert (0 <= eta * V) by (apply Rmult_le_pos; lra). lra.
Qed.
Lemma given_near n x y V : y = x -> Rabs x <= V -> near (relative F n 0) (growth n 0) x y (Rabs x) V.
Proof.
  intros -> L. unfold near. rewrite Rminus_diag_eq, Rabs_R0 by reflexivity. assert (R := relative_between F Hu Hu' Heta n 0).
  assert (A := Rabs_pos x).
  assert (0 <= (growth n 0 - relative F n 0) * V) by (apply Rmult_le_pos; lra).
  assert (0 <= (relative F n 0 - 1) * Rabs x) by (apply Rmult_le_pos; lra). lra.
Qed.
Lemma relative_1 : relative F 1 0 = 1 + u.
Proof. unfold relative. simpl. ring. Qed.
Lemma growth_1 : growth 1 0 = 1 + u + eta.
Proof. unfold ExpressionErrors.growth. simpl. ring. Qed.

(* What rounding makes of an exponent. *)
Definition exponent_error (r : R) : R := (growth 4 0 - 1) * r + 8 * eta * growth 4 0 * (2 + r).
Lemma exponent_near binary s m z : computes F own_part (given_part F s m) 4 0 (exponent_formula binary) z ->
  growth 4 0 * (2 * (2 + (Rabs s + Rabs m))) <= limit F ->
  Rabs ((if binary then z * ln 2 else z) - (s - m)) <= exponent_error (Rabs s + Rabs m).
Proof.
  intros C L. destruct ln_2_between as [L1 L2]. set (r := Rabs s + Rabs m) in *. assert (A := Rabs_pos s).
  assert (B := Rabs_pos m).
  set (of := fun q => match q with Score => s | Shift => - m | Log2e => / ln 2 end).
  set (most := fun q => match q with Score => 1 + Rabs s | Shift => 1 + Rabs m | Log2e => 2 end).
  assert (I2 : 0 < / ln 2 < 2).
  { split; [apply Rinv_0_lt_compat; lra|]. apply Rmult_lt_reg_r with (ln 2); [lra|]. rewrite Rinv_l; lra. }
  assert (I : ln 2 * / ln 2 = 1) by (apply Rinv_r; lra). assert (G := growth_ge_1 F Hu Hu' Heta 4 0).
  assert (Near := computes_near F Hu Hu' Heta part own_part (given_part F s m) of most).
  assert (H : Rabs (z - exponent_formula binary of) <=
    (growth 4 0 - 1) * exponent_formula binary (fun q => Rabs (of q)) + INR (4 + 0) * eta * growth 4 0 * exponent_formula
      binary most).
  { apply Near; auto.
    - intros []; simpl; rewrite ?Rabs_Ropp; try lra. rewrite Rabs_pos_eq by lra. lra.
    - intros [] y Y _; cbn [given_part own_part of most] in *.
      + apply given_near; auto. lra.
      + apply given_near; auto. rewrite Rabs_Ropp. lra.
      + destruct Y as (e & He & ->). rewrite relative_1, growth_1. eapply given_off; eauto. rewrite Rabs_pos_eq by lra. lra.
    - eapply Rle_trans; [|exact L]. apply Rmult_le_compat_l; [lra|]. unfold exponent_formula, most, r. destruct binary; lra. }
  replace (INR (4 + 0)) with 4 in H by (simpl; ring). unfold exponent_formula, of, most in H. unfold exponent_error.
  rewrite ?Rabs_Ropp in H. rewrite (Rabs_pos_eq (/ ln 2)) in H by lra. assert (PH : 0 <= eta * growth 4 0) by nra.
  destruct binary.
  - replace (z * ln 2 - (s - m)) with ((z - / ln 2 * (s + - m)) * ln 2) by (field; lra).
    rewrite Rabs_mult, (Rabs_pos_eq (ln 2)) by lra.
    eapply Rle_trans; [apply Rmult_le_compat_r; [lra|exact H]|].
    replace (((growth 4 0 - 1) * (/ ln 2 * (Rabs s + Rabs m)) + 4 * eta * growth 4 0 * (2 * (1 + Rabs s + (1 + Rabs m)))) * ln
      2)
      with ((growth 4 0 - 1) * r * (ln 2 * / ln 2) + 8 * (eta * growth 4 0) * (2 + r) * ln 2) by (unfold r; ring).
    rewrite I. assert (0 <= (eta * growth 4 0) * (2 + r)) by (apply Rmult_le_pos; unfold r; lra). nra.
  - replace (z - (s - m)) with (z - (s + - m)) by ring. eapply Rle_trans; [exact H|]. fold r.
    assert (0 <= (eta * growth 4 0) * (2 + r)) by (apply Rmult_le_pos; unfold r; lra). unfold r in *. nra.
Qed.

(* What 4 units in the last place make of the logarithm of an exponential. *)
Definition last_places : R := 8 * u / (1 - 8 * u).
Lemma places e : Rabs e <= 8 * u -> exp (- last_places) <= 1 + e <= exp last_places.
Proof.
  intros He. apply Rabs_le_between in He. unfold last_places.
  assert (P : 0 <= 8 * u / (1 - 8 * u)) by (apply Rmult_le_pos; [lra|left; apply Rinv_0_lt_compat; lra]).
  assert (Q : 8 * u <= 8 * u / (1 - 8 * u)).
  { apply Rmult_le_reg_r with (1 - 8 * u); [lra|]. replace (8 * u / (1 - 8 * u) * (1 - 8 * u)) with (8 * u) by (field; lra).
    nra. }
  set (g := 8 * u / (1 - 8 * u)) in *. assert (E : (1 - 8 * u) * (1 + g) = 1) by (unfold g; field; lra).
  assert (I := exp_ineq1_le g). split.
  - rewrite exp_Ropp. apply Rle_trans with (1 - 8 * u); [|lra]. rewrite <- (Rinv_inv (1 - 8 * u)). apply Rinv_le_contravar.
    + apply Rinv_0_lt_compat; lra.
    + replace (/ (1 - 8 * u)) with (1 + g); [exact I|]. unfold g. field. lra.
  - lra.
Qed.

(* A computed exponential: exp (score - shift), off by a factor from exp (-t) to exp t, and underflow. *)
Lemma exponential_tilted s m w real off S : exponential F s m w -> Rabs (s - real) <= off -> Rabs real <= S -> Rabs m <= S +
  off ->
  growth 4 0 * (2 * (2 + 2 * (S + off))) <= limit F ->
  exists tau, exp (- (off + exponent_error (2 * (S + off)) + last_places)) <= tau <= exp (off + exponent_error (2 * (S + off))
    + last_places) /\
    Rabs (w - exp (real - m) * tau) <= eta.
Proof.
  intros (binary & z & C & e & f & He & Hf & ->) Hs Hreal Hm L. set (y := if binary then z * ln 2 else z).
  assert (Hs' : Rabs s <= S + off).
  { replace s with (real + (s - real)) by ring. eapply Rle_trans; [apply Rabs_triang|]. lra. }
  assert (G := growth_ge_1 F Hu Hu' Heta 4 0).
  assert (N := exponent_near binary s m z C ltac:(eapply Rle_trans; [|exact L]; apply Rmult_le_compat_l; lra)). fold y in N.
  assert (X : exponent_error (Rabs s + Rabs m) <= exponent_error (2 * (S + off))).
  { unfold exponent_error. assert (0 <= growth 4 0 - 1) by lra. assert (0 <= 8 * eta * growth 4 0) by nra.
    apply Rplus_le_compat; apply Rmult_le_compat_l; lra. }
  set (t := off + exponent_error (2 * (S + off))). exists (exp (y - (real - m)) * (1 + e)).
  assert (Ht : Rabs (y - (real - m)) <= t).
  { replace (y - (real - m)) with ((y - (s - m)) + (s - real)) by ring. eapply Rle_trans; [apply Rabs_triang|]. unfold t. lra. }
  apply Rabs_le_between in Ht. assert (P := places e He). split.
  - replace (- (t + last_places)) with (- t + - last_places) by ring. rewrite !exp_plus.
    assert (E1 := exp_between_mono (- t) (y - (real - m)) ltac:(lra)). assert (E2 := exp_between_mono (y - (real - m)) t
      ltac:(lra)).
    assert (P1 := exp_pos (- t)). assert (P2 := exp_pos (- last_places)). split; apply Rmult_le_compat; lra.
  - rewrite <- Rmult_assoc, <- exp_plus. replace (real - m + (y - (real - m))) with y by ring.
    replace (exp y * (1 + e) + f - exp y * (1 + e)) with f by ring. exact Hf.
Qed.

(* The sum of exponentials w off by underflow from e, and the part that their sum may be off by. *)
Variable K : nat.
Variables (w e : nat -> R) (sum : R).
Definition sum_error : R := growth K 0 - 1 + INR K * eta * growth K 0 * (1 + 2 ^ 42 * INR K).
Hypothesis He : forall j, (j < K)%nat -> 0 < e j <= 2 ^ 42 - 1.
Hypothesis Hw : forall j, (j < K)%nat -> Rabs (w j - e j) <= eta.
Hypothesis HK : growth K 0 * (INR K * 2 ^ 42) <= limit F.
Hypothesis Hsmall : sum_error <= / 2.
Hypothesis Hcomputed : computes F (fun _ => 1%nat) (fun j y => y = w j) K 0 (rsum K) sum.
Hypothesis Hsum : / 2 ^ 40 <= sum.

Lemma sum_near : Rabs (sum - rsum K e) <= sum_error * rsum K e.
Proof.
  set (of := fun j => if (j <? K)%nat then e j else w j). set (most := fun j => 1 + Rabs (of j)).
  assert (G := growth_ge_1 F Hu Hu' Heta K 0). assert (N := pos_INR K).
  assert (In : forall j, (j < K)%nat -> of j = e j) by (intros j Hj; unfold of; now rewrite (proj2 (Nat.ltb_lt j K) Hj)).
  assert (EM : rsum K most = INR K + rsum K e).
  { rewrite (rsum_ext K most (fun j => 1 + e j)).
    - rewrite rsum_plus, rsum_const. ring.
    - intros j Hj. unfold most. rewrite In by auto. rewrite Rabs_pos_eq; auto. left; now apply He. }
  assert (EO : rsum K of = rsum K e) by (apply rsum_ext; auto).
  assert (ES : rsum K (fun j => Rabs (of j)) = rsum K e).
  { apply rsum_ext; intros j Hj. rewrite In by auto. apply Rabs_pos_eq. left; now apply He. }
  assert (W0 : 0 <= rsum K e) by (apply rsum_nonneg; intros; left; now apply He).
  assert (H : Rabs (sum - rsum K of) <= (growth K 0 - 1) * rsum K (fun j => Rabs (of j)) + INR (K + 0) * eta * growth K 0 *
    rsum K most).
  { apply (computes_near F Hu Hu' Heta nat (fun _ => 1%nat) (fun j y => y = w j) of most); auto.
    - intros j. unfold most. assert (A := Rabs_pos (of j)). lra.
    - intros j y -> _. rewrite relative_1, growth_1. unfold near, most, of. destruct (Nat.ltb_spec j K) as [L|L].
      + specialize (Hw j L). assert (A := Rabs_pos (e j)). assert (0 <= u * Rabs (e j)) by (apply Rmult_le_pos; lra).
        assert (0 <= eta * Rabs (e j)) by (apply Rmult_le_pos; lra). lra.
      + rewrite Rminus_diag_eq, Rabs_R0 by reflexivity. assert (A := Rabs_pos (w j)).
        assert (0 <= u * Rabs (w j)) by (apply Rmult_le_pos; lra). assert (0 <= eta * (1 + Rabs (w j))) by (apply Rmult_le_pos;
          lra). lra.
    - eapply Rle_trans; [|exact HK]. apply Rmult_le_compat_l; [lra|]. rewrite EM.
      assert (rsum K e <= INR K * (2 ^ 42 - 1)) by (rewrite <- rsum_const; apply rsum_le; intros; now apply He). lra. }
  rewrite EM, EO, ES, Nat.add_0_r in H. set (W := rsum K e) in *.
  (* What is absolute is relative to the sum, which is not small. *)
  set (a := INR K * eta * growth K 0) in *. assert (a0 : 0 <= a) by (unfold a; apply Rmult_le_pos; [apply Rmult_le_pos;
    lra|lra]).
  unfold sum_error in *. fold a in Hsmall |- *. assert (Big : / 2 ^ 42 <= W).
  { assert (U : sum - W <= (growth K 0 - 1) * W + a * (INR K + W)) by (eapply Rle_trans; [apply Rle_abs|exact H]).
    assert (S1 : growth K 0 - 1 <= / 2) by (assert (0 <= a * (1 + 2 ^ 42 * INR K)) by (apply Rmult_le_pos; lra); lra).
    assert (S2 : a * (1 + 2 ^ 42 * INR K) <= / 2) by lra.
    assert (S3 : a * INR K <= / 2 ^ 43).
    { apply Rmult_le_reg_l with (2 ^ 42); [lra|]. replace (2 ^ 42 * / 2 ^ 43) with (/ 2) by (simpl; field). nra. }
    assert (S4 : (growth K 0 - 1) * W <= / 2 * W) by (apply Rmult_le_compat_r; lra).
    assert (S5 : a * W <= / 2 * W) by (apply Rmult_le_compat_r; [lra|];
      assert (0 <= a * (2 ^ 42 * INR K)) by (apply Rmult_le_pos; lra); lra).
    assert (X40 : / 2 ^ 40 = 4 * / 2 ^ 42) by (simpl; field). assert (X43 : / 2 ^ 43 = / 2 * / 2 ^ 42) by (simpl; field).
    assert (X42 : 0 < / 2 ^ 42) by (apply Rinv_0_lt_compat; lra). set (tiny := / 2 ^ 42) in *. lra. }
  assert (O : 1 <= 2 ^ 42 * W).
  { apply Rmult_le_reg_l with (/ 2 ^ 42); [apply Rinv_0_lt_compat; lra|].
    rewrite <- Rmult_assoc, Rinv_l, Rmult_1_l, Rmult_1_r; [exact Big|lra]. }
  eapply Rle_trans; [exact H|]. assert (a * INR K * 1 <= a * INR K * (2 ^ 42 * W)) by (apply Rmult_le_compat_l;
    [apply Rmult_le_pos; lra|exact O]). nra.
Qed.

(* The exponentials over the computed sum add up to one, but for rounding. *)
Lemma share_near : 0 < rsum K e /\ 0 < sum /\ rsum K e / sum <= / (1 - sum_error) /\ Rabs (rsum K e / sum - 1) <= / (1 -
  sum_error) - 1.
Proof.
  assert (N := sum_near). assert (S : 0 < sum) by (apply Rlt_le_trans with (/ 2 ^ 40); [apply Rinv_0_lt_compat;
    lra|exact Hsum]).
  assert (W0 : 0 <= rsum K e) by (apply rsum_nonneg; intros; left; now apply He).
  apply Rabs_le_between in N. set (W := rsum K e) in *. set (r := sum_error) in *.
  assert (W1 : 0 < W) by (destruct W0 as [|Z]; auto; rewrite <- Z in N; lra).
  assert (r0 : 0 <= r) by (destruct (Rle_dec 0 r); auto; nra).
  assert (Up : W / sum <= / (1 - r)).
  { apply Rmult_le_reg_r with (sum * (1 - r)); [apply Rmult_lt_0_compat; lra|].
    replace (W / sum * (sum * (1 - r))) with (W * (1 - r)) by (field; lra).
    replace (/ (1 - r) * (sum * (1 - r))) with sum by (field; lra). lra. }
  repeat split; auto. assert (Low : 1 - r <= W / sum).
  { apply Rmult_le_reg_r with sum; auto. replace (W / sum * sum) with W by (field; lra). nra. }
  assert (K1 : (1 - r) * / (1 - r) = 1) by (apply Rinv_r; lra). set (k := / (1 - r)) in *.
  assert (r <= k - 1) by nra. apply Rabs_le. lra.
Qed.
End Softmax.
