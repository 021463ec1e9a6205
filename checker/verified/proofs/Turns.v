(* Cosines and sines of the angles of rotary positions, in fixed point: of a small angle by its first terms, doubled often. *)
From Coq Require Import Reals Lra Lia ZArith Arith Bool.
From CompactProofs Require Import Semantics PrefixChains Exponential Vectors.
Open Scope R_scope.

(* Cosine, sine, and how far both may be off. *)
Record turn := Turn { cosine : Z; sine : Z; off : Z }.
Definition turn_ok (p : Z) (a : R) (t : turn) : Prop := within p (cos a) (cosine t) (off t) /\ within p (sin a) (sine t) (off
  t).

Section Doubling.
Variable q : Z.
Hypothesis Hq : (0 <= q)%Z.
Notation Q := (IZR (2 ^ q)).
Definition doubled (t : turn) : turn :=
  let '(Turn c s r) := t in
  Turn (fshr (2 * (c * c)) q - Z.shiftl 1 q) (fshr (2 * (c * s)) q) (cshr (Z.shiftl (4 * r) q + 2 * (r * r)) q + 1).
Lemma doubled_ok a t : turn_ok q a t -> turn_ok q (2 * a) (doubled t).
Proof.
  destruct t as [c s r]. unfold turn_ok. cbn [cosine sine off doubled]. intros [C S]. unfold within in C, S.
  assert (W := pw_pos q Hq). assert (Bc := COS_bound a). assert (Bs := SIN_bound a). assert (R0 := Rabs_pos (cos a * Q - IZR
    c)).
  set (X := cos a * Q) in *. set (Y := sin a * Q) in *. set (rho := IZR r) in *.
  assert (Xb : Rabs X <= Q) by (unfold X; apply Rabs_le; split; nra).
  assert (Yb : Rabs Y <= Q) by (unfold Y; apply Rabs_le; split; nra).
  assert (Sb : Rabs (IZR s) <= Q + rho).
  { replace (IZR s) with (Y - (Y - IZR s)) by ring. eapply Rle_trans; [apply Rabs_triang|]. rewrite Rabs_Ropp. lra. }
  assert (Cb : Rabs (IZR c) <= Q + rho).
  { replace (IZR c) with (X - (X - IZR c)) by ring. eapply Rle_trans; [apply Rabs_triang|]. rewrite Rabs_Ropp. lra. }
  assert (E : IZR (Z.shiftl (4 * r) q + 2 * (r * r)) = 4 * rho * Q + 2 * (rho * rho)).
  { rewrite Z.shiftl_mul_pow2, plus_IZR, !mult_IZR by lia. reflexivity. }
  assert (P1 : Rabs (X * X - IZR c * IZR c) <= rho * (2 * Q + rho)).
  { replace (X * X - IZR c * IZR c) with ((X - IZR c) * (X + IZR c)) by ring. rewrite Rabs_mult.
    apply Rmult_le_compat; auto; try apply Rabs_pos. eapply Rle_trans; [apply Rabs_triang|]. lra. }
  assert (P2 : Rabs (X * Y - IZR c * IZR s) <= rho * (2 * Q + rho)).
  { replace (X * Y - IZR c * IZR s) with ((Y - IZR s) * X + (X - IZR c) * IZR s) by ring.
    eapply Rle_trans; [apply Rabs_triang|]. rewrite !Rabs_mult.
    assert (Rabs (Y - IZR s) * Rabs X <= rho * Q) by (apply Rmult_le_compat; auto; apply Rabs_pos).
    assert (Rabs (X - IZR c) * Rabs (IZR s) <= rho * (Q + rho)) by (apply Rmult_le_compat; auto; apply Rabs_pos). lra. }
  split.
  - assert (G := rounded q q (cos (2 * a) + 1) (2 * (c * c)) (Z.shiftl (4 * r) q + 2 * (r * r)) Hq).
    assert (H : within q (cos (2 * a) + 1) (fshr (2 * (c * c)) q) (cshr (Z.shiftl (4 * r) q + 2 * (r * r)) q + 1)).
    { apply G. rewrite E, !mult_IZR, cos_2a_cos.
      replace ((2 * cos a * cos a - 1 + 1) * Q * Q - 2 * (IZR c * IZR c)) with (2 * (X * X - IZR c * IZR c)) by (unfold X;
        ring).
      rewrite Rabs_mult, (Rabs_pos_eq 2) by lra. lra. }
    apply within_iff in H. apply within_iff. rewrite minus_IZR, Z.shiftl_1_l. lra.
  - apply rounded; auto. rewrite E, !mult_IZR, sin_2a.
    replace (2 * sin a * cos a * Q * Q - 2 * (IZR c * IZR s)) with (2 * (X * Y - IZR c * IZR s)) by (unfold X, Y; ring).
    rewrite Rabs_mult, (Rabs_pos_eq 2) by lra. lra.
Qed.
Fixpoint often_doubled (k : nat) (t : turn) : turn := match k with O => t | S n => often_doubled n (doubled t) end.
Lemma often_doubled_ok k : forall a t, turn_ok q a t -> turn_ok q (IZR (2 ^ Z.of_nat k) * a) (often_doubled k t).
Proof.
  induction k as [|k IH]; intros a t H; [rewrite Rmult_1_l; exact H|]. cbn [often_doubled].
  assert (X := IH (2 * a) (doubled t) (doubled_ok a t H)).
  rewrite Nat2Z.inj_succ, Z.pow_succ_r, mult_IZR by lia. replace (2 * IZR (2 ^ Z.of_nat k) * a) with (IZR (2 ^ Z.of_nat k) * (2
    *
    a)) by ring. exact X.
Qed.

(* Of z / 2^q, at most 1. *)
Definition small (z : Z) : turn := Turn (Z.shiftl 1 q - fshr (z * z) (q + 1)) z (cshr (z * (z * z)) (q + q) + 1).
Lemma small_ok z : (0 <= z <= 2 ^ q)%Z -> turn_ok q (IZR z / Q) (small z).
Proof.
  intros [Z0 Z1]. assert (W := pw_pos q Hq). apply IZR_le in Z0, Z1. set (a := IZR z / Q).
  assert (Ea : IZR z = a * Q) by (unfold a; field; lra).
  assert (A : 0 <= a <= 1) by (split; apply Rmult_le_reg_r with Q; lra).
  assert (O0 := cshr_ge (z * (z * z)) (q + q) ltac:(lia)). rewrite pw_add, !mult_IZR, Ea in O0 by lia.
  set (o := IZR (cshr (z * (z * z)) (q + q))) in *. assert (O1 : a * a * a * Q <= o).
  { apply Rmult_le_reg_r with (Q * Q); nra. }
  assert (A2 : 0 <= a * a <= 1) by nra. assert (A3 : 0 <= a * a * a <= a * a) by nra.
  unfold turn_ok. cbn [small cosine sine off]. split; apply within_iff; rewrite plus_IZR; fold o.
  - assert (C := pre_cos_bound a 0 ltac:(lra) ltac:(lra)). unfold cos_approx, cos_term in C. cbn in C.
    assert (C1 : 1 - a * a / 2 <= cos a <= 1 - a * a / 2 + a * a * a) by (assert (a * a * a * a <= a * a * a) by nra; lra).
    clear C. rewrite minus_IZR, Z.shiftl_1_l. assert (F1 := fshr_le (z * z) (q + 1) ltac:(lia)).
    assert (F2 := fshr_lt (z * z) (q + 1) ltac:(lia)). rewrite pw_add, mult_IZR, Ea in F1, F2 by lia. change (IZR (2 ^ 1)) with
      2 in F1, F2. set (f := IZR (fshr (z * z) (q + 1))) in *.
    assert (G1 : f <= a * a / 2 * Q) by (apply Rmult_le_reg_r with (Q * 2); nra).
    assert (G2 : a * a / 2 * Q < f + 1) by (apply Rmult_lt_reg_r with (Q * 2); nra). nra.
  - assert (S1 : a - a * a * a <= sin a <= a).
    { destruct (Req_dec a 0) as [->|N]; [rewrite sin_0; lra|]. assert (L := sin_lt_x a ltac:(lra)).
      assert (B := pre_sin_bound a 0 ltac:(lra) ltac:(lra)). unfold sin_approx, sin_term in B. cbn in B. lra. }
    rewrite Ea. nra.
Qed.
End Doubling.

(* A power of a power: whether l / 2^g is at most b^(- 2 s / w), b being num / den. *)
Definition at_most (num den g : Z) (w s : nat) (l : Z) : bool :=
  (l ^ Z.of_nat w * num ^ Z.of_nat (2 * s) <=? 2 ^ (g * Z.of_nat w) * den ^ Z.of_nat (2 * s))%Z.
Fixpoint bisected (good : Z -> bool) (n : nat) (l : Z) : Z :=
  match n with O => l | S k => let l' := (l + Z.shiftl 1 (Z.of_nat k))%Z in bisected good k (if good l' then l' else l) end.

Lemma pow_strict a b n : 0 <= a < b -> (0 < n)%nat -> a ^ n < b ^ n.
Proof.
  intros [A B] L. destruct n as [|n]; [lia|]. clear L. induction n as [|n IH]; [cbn; lra|].
  change (a * a ^ S n < b * b ^ S n). assert (0 <= a ^ S n) by (apply pow_le; lra). nra.
Qed.
Lemma pow_IZR' a n : IZR (a ^ Z.of_nat n) = IZR a ^ n.
Proof. symmetry. apply pow_IZR. Qed.
Section Power.
Variables (num den g : Z) (w s : nat).
Hypothesis Hnum : (0 < num)%Z.
Hypothesis Hden : (0 < den)%Z.
Hypothesis Hg : (0 <= g)%Z.
Hypothesis Hw : (0 < w)%nat.
Notation theta := (Rpower (IZR num / IZR den) (- (2 * INR s / INR w))).
Notation G := (IZR (2 ^ g)).
Lemma theta_pow : theta ^ w * IZR num ^ (2 * s) = IZR den ^ (2 * s).
Proof.
  assert (N : 0 < IZR num) by now apply IZR_lt. assert (D : 0 < IZR den) by now apply IZR_lt.
  assert (B : 0 < IZR num / IZR den) by (apply Rmult_lt_0_compat; [|apply Rinv_0_lt_compat]; auto).
  assert (Wp : 0 < INR w) by now apply lt_0_INR.
  rewrite <- Rpower_pow by apply exp_pos. rewrite Rpower_mult.
  replace (- (2 * INR s / INR w) * INR w) with (- INR (2 * s)) by (rewrite mult_INR; cbn [INR]; field; lra).
  rewrite Rpower_Ropp, Rpower_pow by auto. unfold Rdiv. rewrite Rpow_mult_distr, pow_inv.
  field. split; apply pow_nonzero; lra.
Qed.
Lemma at_most_iff l : (0 <= l)%Z -> (at_most num den g w s l = true -> IZR l <= theta * G) /\ (at_most num den g w s l = false
  ->
  theta * G <= IZR l).
Proof.
  intros L. assert (W := pw_pos g Hg). assert (N : 0 < IZR num) by now apply IZR_lt. apply IZR_le in L.
  assert (Tp : 0 < theta) by apply exp_pos. assert (Np : 0 < IZR num ^ (2 * s)) by now apply pow_lt.
  assert (E : IZR (2 ^ (g * Z.of_nat w) * den ^ Z.of_nat (2 * s)) = (theta * G) ^ w * IZR num ^ (2 * s)).
  { rewrite mult_IZR, Z.pow_mul_r, !pow_IZR', <- theta_pow, Rpow_mult_distr by lia. ring. }
  unfold at_most. split; intros H.
  - apply Z.leb_le, IZR_le in H. rewrite E, mult_IZR, !pow_IZR' in H. apply Rmult_le_reg_r in H; auto.
    apply Rnot_lt_le. intros C. assert (X := pow_strict (theta * G) (IZR l) w ltac:(split; nra) Hw). lra.
  - apply Z.leb_gt, IZR_lt in H. rewrite E, mult_IZR, !pow_IZR' in H. apply Rmult_lt_reg_r in H; auto.
    apply Rnot_lt_le. intros C. assert (X := pow_strict (IZR l) (theta * G) w ltac:(split; nra) Hw). lra.
Qed.
End Power.

(* The angle j b^(- 2 s / w), in units of 2^-p. *)
Section Angles.
Variable p : Z.
Hypothesis Hp : (0 <= p)%Z.
Variables num den : Z.
Variable w : nat.
Definition fine : Z := (2 * p + 48)%Z.   (* bits of an angle, and how often it is halved *)
Definition halvings : nat := Z.to_nat (p + 32).
Definition unknown : turn := Turn 0 0 (Z.shiftl 1 p).
Definition root_of_base (s : nat) : option Z :=
  let good := at_most num den fine w s in
  let l := bisected good (S (Z.to_nat fine)) 0 in
  if (0 <? num)%Z && (0 <? den)%Z && (0 <? w)%nat && (0 <=? l)%Z && good l && negb (good (l + 1)%Z) then Some l else None.
Definition turn_of (root : option Z) (j : nat) : turn :=
  match root with
  | None => unknown
  | Some l =>
    let y := (Z.of_nat j * l)%Z in
    let q := (fine + Z.of_nat halvings)%Z in
    if (y <=? Z.shiftl 1 q)%Z then
      let '(Turn c s r) := often_doubled q halvings (small q y) in
      Turn (fshr c (q - p)) (fshr s (q - p)) (cshr r (q - p) + 1 + cshr (Z.of_nat j) (fine - p))
    else unknown
  end.
Lemma unknown_ok a : turn_ok p a unknown.
Proof.
  assert (W := pw_pos p Hp). assert (B := COS_bound a). assert (C := SIN_bound a). unfold turn_ok. cbn [unknown cosine sine
    off].
  rewrite Z.shiftl_1_l. split; apply within_iff; nra.
Qed.
Lemma cos_lipschitz a b : Rabs (cos a - cos b) <= Rabs (a - b) /\ Rabs (sin a - sin b) <= Rabs (a - b).
Proof.
  assert (S : forall x, Rabs (sin x) <= Rabs x).
  { assert (G : forall x, 0 < x -> Rabs (sin x) <= x).
    { intros x X. assert (L := sin_lt_x x X). assert (B := SIN_bound x). apply Rabs_le. split; [|lra].
      destruct (Rle_dec 1 x) as [H|H]; [lra|]. assert (0 < sin x); [|lra]. apply sin_gt_0; auto. assert (P1 := PI2_1). lra. }
    intros x. destruct (Rtotal_order x 0) as [N|[->|N]].
    - rewrite <- Rabs_Ropp, <- sin_neg, <- (Rabs_Ropp x). rewrite (Rabs_pos_eq (- x)) by lra. apply G. lra.
    - rewrite sin_0. lra.
    - rewrite (Rabs_pos_eq x) by lra. now apply G. }
  assert (H := S ((a - b) / 2)). assert (Half : Rabs ((a - b) / 2) * 2 = Rabs (a - b)).
  { rewrite <- (Rabs_pos_eq 2) at 2 by lra. rewrite <- Rabs_mult. f_equal. field. }
  assert (Sb := SIN_bound ((a + b) / 2)). assert (Cb := COS_bound ((a + b) / 2)).
  assert (A1 : Rabs (sin ((a + b) / 2)) <= 1) by (apply Rabs_le; lra). assert (A2 : Rabs (cos ((a + b) / 2)) <= 1) by (apply
    Rabs_le; lra).
  assert (Z0 := Rabs_pos (sin ((a - b) / 2))). split.
  - rewrite form2, !Rabs_mult. replace (Rabs (-2)) with 2 by (rewrite Rabs_left; lra). assert (X := Rabs_pos (sin ((a + b) /
      2))). nra.
  - rewrite form4, !Rabs_mult, (Rabs_pos_eq 2) by lra. assert (X := Rabs_pos (cos ((a + b) / 2))). nra.
Qed.
Theorem turn_of_ok j s : turn_ok p (INR j * Rpower (IZR num / IZR den) (- (2 * INR s / INR w))) (turn_of (root_of_base s) j).
Proof.
  unfold root_of_base. cbv zeta. set (l := bisected _ _ _).
  destruct ((0 <? num)%Z && (0 <? den)%Z && (0 <? w)%nat && (0 <=? l)%Z && at_most num den fine w s l && negb (at_most num den
    fine w s (l + 1))) eqn:E; [|apply unknown_ok]. rewrite !andb_true_iff in E. destruct E as [[[[[E1 E2] E3] E4] E5] E6].
  apply Z.ltb_lt in E1, E2. apply Nat.ltb_lt in E3. apply Z.leb_le in E4. apply negb_true_iff in E6.
  assert (Gp : (0 <= fine)%Z) by (unfold fine; lia). assert (W := pw_pos p Hp). assert (Wg := pw_pos fine Gp).
  assert (Lo := proj1 (at_most_iff num den fine w s E1 E2 Gp E3 l E4) E5).
  assert (Hi := proj2 (at_most_iff num den fine w s E1 E2 Gp E3 (l + 1) ltac:(lia)) E6). rewrite plus_IZR in Hi.
  set (theta := Rpower _ _) in *. cbn [turn_of]. cbv zeta. set (y := (Z.of_nat j * l)%Z). set (q := (fine + Z.of_nat
    halvings)%Z).
  destruct (Z.leb_spec y (Z.shiftl 1 q)) as [Y|]; [|apply unknown_ok]. rewrite Z.shiftl_1_l in Y.
  assert (Hq : (0 <= q)%Z) by (unfold q; lia). assert (Wq := pw_pos q Hq).
  assert (T := often_doubled_ok q Hq halvings _ _ (small_ok q Hq y ltac:(unfold y; nia))).
  assert (Qg : IZR (2 ^ q) = IZR (2 ^ fine) * IZR (2 ^ Z.of_nat halvings)) by (unfold q; now rewrite pw_add by lia).
  assert (Wh := pw_pos (Z.of_nat halvings) ltac:(lia)).
  replace (IZR (2 ^ Z.of_nat halvings) * (IZR y / IZR (2 ^ q))) with (IZR y / IZR (2 ^ fine)) in T by (rewrite Qg; field; lra).
  set (a := IZR y / IZR (2 ^ fine)) in *. destruct (often_doubled q halvings (small q y)) as [c sn r].
  destruct T as [Tc Ts]. cbn [cosine sine off] in *.
  assert (Qp : (q - p >= 0)%Z) by (unfold q, fine; lia).
  assert (Split : IZR (2 ^ q) = IZR (2 ^ p) * IZR (2 ^ (q - p))) by (rewrite <- pw_add by lia; do 2 f_equal; lia).
  assert (Jr : INR j = IZR (Z.of_nat j)) by apply INR_IZR_INZ. assert (J0 : 0 <= INR j) by apply pos_INR.
  assert (D : Rabs (INR j * theta - a) * IZR (2 ^ p) <= IZR (cshr (Z.of_nat j) (fine - p))).
  { assert (C := cshr_ge (Z.of_nat j) (fine - p) ltac:(unfold fine; lia)). rewrite <- Jr in C.
    assert (Sg : IZR (2 ^ fine) = IZR (2 ^ p) * IZR (2 ^ (fine - p))) by (rewrite <- pw_add by (unfold fine; lia); do 2 f_equal;
      lia).
    assert (Wf := pw_pos (fine - p) ltac:(unfold fine; lia)).
    apply Rmult_le_reg_r with (IZR (2 ^ (fine - p))); auto. rewrite Rmult_assoc, <- Sg. eapply Rle_trans; [|exact C].
    rewrite <- (Rabs_pos_eq (IZR (2 ^ fine))) at 1 by lra. rewrite <- Rabs_mult.
    replace ((INR j * theta - a) * IZR (2 ^ fine)) with (INR j * (theta * IZR (2 ^ fine) - IZR l))
      by (unfold a, y; rewrite mult_IZR, <- Jr; field; lra).
    rewrite Rabs_mult, (Rabs_pos_eq (INR j)) by auto. rewrite <- (Rmult_1_r (INR j)) at 2. apply Rmult_le_compat_l; auto.
    apply Rabs_le. lra. }
  assert (Near : forall f m, within q (f a) m r -> Rabs (f (INR j * theta) - f a) <= Rabs (INR j * theta - a) ->
    within p (f (INR j * theta)) (fshr m (q - p)) (cshr r (q - p) + 1 + cshr (Z.of_nat j) (fine - p))).
  { intros f m H L. assert (R0 : within p (f a) (fshr m (q - p)) (cshr r (q - p) + 1)).
    { apply rounded; [lia|]. now rewrite Rmult_assoc, <- Split. }
    unfold within in *. rewrite plus_IZR. replace (f (INR j * theta) * IZR (2 ^ p) - IZR (fshr m (q - p))) with
      ((f a * IZR (2 ^ p) - IZR (fshr m (q - p))) + (f (INR j * theta) - f a) * IZR (2 ^ p)) by ring.
    eapply Rle_trans; [apply Rabs_triang|]. apply Rplus_le_compat; auto. rewrite Rabs_mult, (Rabs_pos_eq (IZR (2 ^ p))) by lra.
    eapply Rle_trans; [|exact D]. apply Rmult_le_compat_r; lra. }
  destruct (cos_lipschitz (INR j * theta) a) as [Lc Ls]. split; cbn [cosine sine off]; [now apply (Near cos)|now apply (Near
    sin)].
Qed.
End Angles.
