(* exp on fixed-point numbers, by argument halving and the alternating Taylor series, with directed rounding. *)
From Coq Require Import Reals Lra Lia ZArith Arith.
From Coquelicot Require Import Coquelicot.
From CompactProofs Require Import Semantics.
Open Scope R_scope.

(* The first n terms of the series of exp (-y). *)
Definition tay (n : nat) (y : R) : R := rsum n (fun i => (- y) ^ i / INR (fact i)).

Lemma tay_derive n y : is_derive (tay (S n)) y (- tay n y).
Proof.
  induction n.
  - apply (is_derive_ext (fun _ => 1)).
    + intros t. unfold tay; simpl. field.
    + unfold tay; simpl. replace (-0) with 0 by ring. apply @is_derive_const.
  - apply (is_derive_ext (fun y => tay (S n) y + (- y) ^ S n / INR (fact (S n)))); [reflexivity|].
    replace (- tay (S n) y) with (- tay n y + - ((- y) ^ n / INR (fact n))) by (unfold tay; simpl; ring).
    apply @is_derive_plus; [exact IHn|].
    assert (F := INR_fact_neq_0 n).
    assert (G : INR (S n) <> 0) by (apply not_0_INR; lia).
    apply (is_derive_ext (fun y => / INR (fact (S n)) * (- y) ^ S n)); [intros t; apply Rmult_comm|].
    evar_last.
    + apply is_derive_scal, is_derive_pow. apply @is_derive_opp. apply @is_derive_id.
    + change (Nat.pred (S n)) with n. rewrite fact_simpl, mult_INR. 
      set (F' := INR (fact n)) in *. set (k := INR (S n)) in *. set (z := (- y) ^ n). unfold opp, one; simpl.
      match goal with |- @eq _ ?a ?b => change (@eq R a b) end. field. auto.
Qed.

Lemma tay_sign n y : 0 <= y -> 0 <= (-1) ^ n * (exp (- y) - tay n y).
Proof.
  revert y; induction n; intros y Hy.
  - unfold tay; simpl. assert (E := exp_pos (- y)). lra.
  - set (f := fun y => (-1) ^ S n * (exp (- y) - tay (S n) y)).
    assert (D : forall t, is_derive f t ((-1) ^ n * (exp (- t) - tay n t))).
    { intros t. unfold f. evar_last.
      - apply @is_derive_scal. apply @is_derive_minus; [|apply tay_derive].
        instantiate (1 := - exp (- t)). auto_derive; auto. ring.
      - unfold minus, plus, opp, scal, mult; simpl. unfold mult; simpl. ring. }
    destruct (MVT_gen f 0 y (fun t => (-1) ^ n * (exp (- t) - tay n t))) as (c & Hc & E).
    + intros; apply D.
    + intros t _. apply continuity_pt_filterlim. apply (ex_derive_continuous f t). eexists; apply D.
    + rewrite Rmin_left, Rmax_right in Hc by lra.
      assert (f 0 = 0).
      { unfold f. replace (-0) with 0 by ring. rewrite exp_0.
        replace (tay (S n) 0) with 1; [ring|]. clear. induction n.
        - unfold tay; simpl. field.
        - unfold tay in *. cbn [rsum] in *. rewrite <- IHn at 1. replace (-0) with 0 by ring.
          rewrite (pow_i (S n)) by lia. field. apply INR_fact_neq_0. }
      assert (0 <= (-1) ^ n * (exp (- c) - tay n c)) by (apply IHn; lra).
      fold (f y). nra.
Qed.

(* Horner's scheme, from the inside: hor n h = tay n y + (-y)^n / n! * h. *)
Fixpoint hor (y : R) (n : nat) (h : R) : R :=
  match n with O => h | S m => hor y m (1 - y * h / INR (S m)) end.

Lemma hor_tay y n h : hor y n h = tay n y + (- y) ^ n / INR (fact n) * h.
Proof.
  revert h; induction n; intros h; [unfold tay; simpl; field|].
  cbn [hor]. rewrite IHn. unfold tay; cbn [rsum]. rewrite fact_simpl, mult_INR.
  assert (F := INR_fact_neq_0 n). assert (INR (S n) <> 0) by (apply not_0_INR; lia).
  rewrite <- tech_pow_Rmult. field. auto.
Qed.

Lemma exp_between y n : 0 <= y ->
  (hor y n 0 <= exp (- y) <= hor y n 1) \/ (hor y n 1 <= exp (- y) <= hor y n 0).
Proof.
  intros Hy. assert (A := tay_sign n y Hy). assert (B := tay_sign (S n) y Hy).
  rewrite !hor_tay. unfold tay in *; cbn [rsum pow] in *.
  set (T := rsum n _) in *. set (t := (-y) ^ n / _) in *.
  destruct (Rle_dec 0 ((-1) ^ n)) as [S|S].
  - left. assert ((-1) ^ n <> 0) by (apply pow_nonzero; lra). split; nra.
  - right. split; nra.
Qed.

(* Rounding. *)
Open Scope Z_scope.
Definition fshr (a n : Z) : Z := Z.shiftr a n.
Definition cshr (a n : Z) : Z := - Z.shiftr (- a) n.
Definition cdiv (a b : Z) : Z := - ((- a) / b).
Close Scope Z_scope.

Notation pw n := (IZR (2 ^ n)).
Lemma pw_pos n : (0 <= n)%Z -> 0 < pw n.
Proof. intros H. apply IZR_lt. now apply Z.pow_pos_nonneg. Qed.
Lemma pw_add a b : (0 <= a)%Z -> (0 <= b)%Z -> pw (a + b) = pw a * pw b.
Proof. intros. now rewrite Z.pow_add_r, mult_IZR by lia. Qed.

Lemma div_le a b : (0 < b)%Z -> IZR (a / b) * IZR b <= IZR a.
Proof. intros. rewrite <- mult_IZR. apply IZR_le. rewrite Z.mul_comm. now apply Z.mul_div_le. Qed.
Lemma cdiv_ge a b : (0 < b)%Z -> IZR a <= IZR (cdiv a b) * IZR b.
Proof. intros H. unfold cdiv. rewrite opp_IZR. assert (D := div_le (- a) b H). rewrite opp_IZR in D. lra. Qed.
Lemma fshr_le a n : (0 <= n)%Z -> IZR (fshr a n) * pw n <= IZR a.
Proof. intros. unfold fshr. rewrite Z.shiftr_div_pow2 by lia. apply div_le. now apply Z.pow_pos_nonneg. Qed.
Lemma cshr_ge a n : (0 <= n)%Z -> IZR a <= IZR (cshr a n) * pw n.
Proof. intros H. unfold cshr. rewrite opp_IZR. assert (D := fshr_le (- a) n H). unfold fshr in D. rewrite opp_IZR in D. lra. Qed.
Lemma fshr_lt a n : (0 <= n)%Z -> IZR a < (IZR (fshr a n) + 1) * pw n.
Proof.
  intros. unfold fshr. rewrite Z.shiftr_div_pow2 by lia. rewrite <- plus_IZR, <- mult_IZR. apply IZR_lt.
  rewrite Z.mul_comm. apply Z.mul_succ_div_gt. now apply Z.pow_pos_nonneg.
Qed.

Section Fixed.
Variable wd : Z.   (* working precision *)
Hypothesis Hwd : (0 <= wd)%Z.

Fixpoint zhor (z : Z) (n : nat) (lo hi : Z) : Z * Z :=
  match n with
  | O => (lo, hi)
  | S m => let one := Z.shiftl 1 wd in let k := Z.of_nat n in
           zhor z m (one - cdiv (cshr (z * hi) wd) k)%Z (one - fshr (z * lo) wd / k)%Z
  end.

Lemma zhor_ok z n : (0 <= z)%Z -> forall lo hi h, IZR lo <= pw wd * h <= IZR hi ->
  IZR (fst (zhor z n lo hi)) <= pw wd * hor (IZR z / pw wd) n h <= IZR (snd (zhor z n lo hi)).
Proof.
  intros Hz. assert (W := pw_pos wd Hwd). assert (Z0 : 0 <= IZR z) by (apply (IZR_le 0); auto).
  induction n; intros lo hi h H; [exact H|].
  cbn [zhor hor]. apply IHn. rewrite !minus_IZR. rewrite Z.shiftl_1_l.
  assert (Hk : (0 < Z.of_nat (S n))%Z) by lia.
  assert (KR : 0 < INR (S n)) by (apply lt_0_INR; lia).
  replace (INR (S n)) with (IZR (Z.of_nat (S n))) in * by (symmetry; apply INR_IZR_INZ).
  set (k := Z.of_nat (S n)) in *.
  assert (A1 := cshr_ge (z * hi) wd Hwd). assert (A2 := cdiv_ge (cshr (z * hi) wd) k Hk).
  assert (B1 := fshr_le (z * lo) wd Hwd). assert (B2 := div_le (fshr (z * lo) wd) k Hk).
  rewrite mult_IZR in A1, B1.
  replace (pw wd * (1 - IZR z / pw wd * h / IZR k)) with (pw wd - IZR z * h / IZR k) by (field; lra).
  assert (Q : IZR (fshr (z * lo) wd / k) <= IZR z * h / IZR k <= IZR (cdiv (cshr (z * hi) wd) k)).
  { split.
    - apply Rmult_le_reg_r with (IZR k); [lra|]. replace (IZR z * h / IZR k * IZR k) with (IZR z * h) by (field; lra).
      apply Rle_trans with (IZR (fshr (z * lo) wd)); [lra|].
      apply Rmult_le_reg_r with (pw wd); [lra|]. nra.
    - apply Rmult_le_reg_r with (IZR k); [lra|]. replace (IZR z * h / IZR k * IZR k) with (IZR z * h) by (field; lra).
      apply Rle_trans with (IZR (cshr (z * hi) wd)); [|lra].
      apply Rmult_le_reg_r with (pw wd); [lra|]. nra. }
  lra.
Qed.

Fixpoint zsquares (n : nat) (lo hi : Z) : Z * Z :=
  match n with
  | O => (lo, hi)
  | S m => let l := Z.max lo 0 in zsquares m (fshr (l * l) wd) (cshr (hi * hi) wd)
  end.

Lemma zsquares_ok n : forall lo hi a, 0 <= a -> IZR lo <= pw wd * a <= IZR hi ->
  IZR (fst (zsquares n lo hi)) <= pw wd * a ^ (2 ^ n) <= IZR (snd (zsquares n lo hi)).
Proof.
  assert (W := pw_pos wd Hwd).
  induction n; intros lo hi a Ha H; [simpl; lra|].
  cbn [zsquares]. replace (a ^ (2 ^ S n)) with ((a * a) ^ (2 ^ n)).
  2:{ rewrite Nat.pow_succ_r', pow_mult. f_equal. ring. }
  apply IHn; [nra|].
  assert (L : 0 <= IZR (Z.max lo 0) <= pw wd * a).
  { destruct (Z.max_spec lo 0) as [[? ->]|[? ->]]; [split; [lra|nra]|]. split; [apply (IZR_le 0); lia|lra]. }
  assert (A := fshr_le (Z.max lo 0 * Z.max lo 0) wd Hwd). assert (B := cshr_ge (hi * hi) wd Hwd).
  rewrite mult_IZR in A, B. set (l := IZR (Z.max lo 0)) in *.
  split; apply Rmult_le_reg_r with (pw wd); try lra; nra.
Qed.
End Fixed.

Section Exp.
Variables (p : Z) (g terms : nat).   (* precision, halvings, terms *)
Hypothesis Hp : (0 <= p)%Z.

(* Bounds of exp (- y), in units of 2^-p, for y >= 0 in the same units. *)
Definition exp_neg (y : Z) : Z * Z :=
  let wd := (p + Z.of_nat g)%Z in
  let top := Z.shiftl 1 wd in
  let '(lo, hi) := zhor wd (Z.min y top) terms 0 top in
  let '(lo, hi) := zsquares wd g lo hi in
  (if (y <=? top)%Z then fshr lo (Z.of_nat g) else 0%Z, cshr hi (Z.of_nat g)).

Lemma exp_neg_ok y : (0 <= y)%Z ->
  IZR (fst (exp_neg y)) <= pw p * exp (- (IZR y / pw p)) <= IZR (snd (exp_neg y)).
Proof.
  intros Hy. unfold exp_neg. set (wd := (p + Z.of_nat g)%Z). assert (Hwd : (0 <= wd)%Z) by lia.
  rewrite Z.shiftl_1_l. set (z := Z.min y (2 ^ wd)).
  assert (W := pw_pos wd Hwd). assert (PP := pw_pos p Hp). assert (GP := pw_pos (Z.of_nat g) ltac:(lia)).
  assert (T : (0 < 2 ^ wd)%Z) by (apply Z.pow_pos_nonneg; lia).
  assert (Hz : (0 <= z)%Z) by lia.
  set (yr := IZR z / pw wd). assert (Hyr : 0 <= yr).
  { apply Rmult_le_pos; [apply (IZR_le 0); auto|]. left; now apply Rinv_0_lt_compat. }
  assert (H0 := zhor_ok wd Hwd z terms Hz 0 (2 ^ wd) 0 ltac:(lra)).
  assert (H1 := zhor_ok wd Hwd z terms Hz 0 (2 ^ wd) 1 ltac:(lra)).
  fold yr in H0, H1. destruct (zhor wd z terms 0 (2 ^ wd)) as [lo hi]. cbn [fst snd] in *.
  assert (H2 : IZR lo <= pw wd * exp (- yr) <= IZR hi).
  { destruct (exp_between yr terms Hyr) as [B|B]; nra. }
  assert (H3 := zsquares_ok wd Hwd g lo hi (exp (- yr)) (Rlt_le _ _ (exp_pos _)) H2).
  destruct (zsquares wd g lo hi) as [l h]. cbn [fst snd] in *.
  assert (E : exp (- yr) ^ (2 ^ g) = exp (- (IZR z / pw p))).
  { assert (G : forall n x, exp x ^ n = exp (INR n * x)).
    { induction n; intros x; [simpl; now rewrite Rmult_0_l, exp_0|].
      rewrite S_INR. cbn [pow]. rewrite IHn, <- exp_plus. f_equal. ring. }
    rewrite G. f_equal. unfold yr, wd. rewrite pw_add by lia.
    replace (INR (2 ^ g)) with (pw (Z.of_nat g)); [field; lra|].
    rewrite INR_IZR_INZ, Nat2Z.inj_pow. reflexivity. }
  rewrite E in H3. unfold wd in H3. rewrite pw_add in H3 by lia.
  assert (M : exp (- (IZR y / pw p)) <= exp (- (IZR z / pw p))).
  { assert (IZR z <= IZR y) by (apply IZR_le; lia).
    assert (IZR z / pw p <= IZR y / pw p) by (apply Rmult_le_compat_r; auto; left; now apply Rinv_0_lt_compat).
    destruct (Rle_lt_or_eq_dec _ _ H4) as [X|E4]; [left; apply exp_increasing; lra|rewrite E4; lra]. }
  split.
  - destruct (y <=? 2 ^ wd)%Z eqn:Ey.
    + apply Z.leb_le in Ey. replace z with y in H3 by lia.
      assert (A := fshr_le l (Z.of_nat g) ltac:(lia)). apply Rmult_le_reg_r with (pw (Z.of_nat g)); [lra|].
      nra.
    + apply Rmult_le_pos; [lra|left; apply exp_pos].
  - assert (A := cshr_ge h (Z.of_nat g) ltac:(lia)). apply Rmult_le_reg_r with (pw (Z.of_nat g)); [lra|].
    apply Rle_trans with (pw p * pw (Z.of_nat g) * exp (- (IZR z / pw p))); [|lra].
    replace (pw p * exp (- (IZR y / pw p)) * pw (Z.of_nat g)) with (pw p * pw (Z.of_nat g) * exp (- (IZR y / pw p))) by ring.
    apply Rmult_le_compat_l; auto. apply Rmult_le_pos; lra.
Qed.
End Exp.
