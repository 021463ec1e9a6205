(* exp on fixed-point numbers by tables: exp (-y) is exp (-i) exp (-j / 256) exp (-z), i and j whole, z below 1 / 256. *)
From Coq Require Import Reals Lra Lia ZArith Arith.
From CompactProofs Require Import Semantics PrefixChains Exponential.
Open Scope R_scope.

(* The series ends in a number between 0 and 1. *)
Lemma exp_hor y n : 0 <= y -> exists h, 0 <= h <= 1 /\ exp (- y) = hor y n h.
Proof.
  intros Y. assert (B := exp_between y n Y). assert (L : forall h, hor y n h = hor y n 0 + (hor y n 1 - hor y n 0) * h).
  { intros h. rewrite !hor_tay. ring. }
  destruct (Req_dec (hor y n 1) (hor y n 0)) as [E|N].
  - exists 0. split; [lra|]. destruct B; lra.
  - exists ((exp (- y) - hor y n 0) / (hor y n 1 - hor y n 0)). split.
    + destruct B as [B|B].
      * assert (I : 0 < / (hor y n 1 - hor y n 0)) by (apply Rinv_0_lt_compat; lra). unfold Rdiv.
        split; [apply Rmult_le_pos; lra|].
        apply Rmult_le_reg_r with (hor y n 1 - hor y n 0); [lra|]. rewrite Rmult_assoc, Rinv_l by lra. lra.
      * assert (I : 0 < / (hor y n 0 - hor y n 1)) by (apply Rinv_0_lt_compat; lra).
        replace ((exp (- y) - hor y n 0) / (hor y n 1 - hor y n 0)) with ((hor y n 0 - exp (- y)) * / (hor y n 0 - hor y n 1))
          by (field; lra).
        split; [apply Rmult_le_pos; lra|].
        apply Rmult_le_reg_r with (hor y n 0 - hor y n 1); [lra|]. rewrite Rmult_assoc, Rinv_l by lra. lra.
    + rewrite L. field. lra.
Qed.

Section Quick.
Variables (p : Z) (g terms : nat).
Hypothesis Hp : (8 <= p)%Z.
Notation q := (p + 12)%Z.
Notation Q := (IZR (2 ^ q)).

(* Horner's scheme, rounded down; and how far it may be off, for z up to 2^-8. *)
Fixpoint series (z : Z) (n : nat) (a : Z) : Z :=
  match n with O => a | S m => series z m (Z.shiftl 1 q - fshr (z * a) q / Z.of_nat n)%Z end.
Fixpoint series_off (n : nat) (off : Z) : Z := match n with O => off | S m => series_off m (cdiv (cshr off 8) (Z.of_nat n) +
  2)%Z end.
Lemma series_ok z n : (0 <= z)%Z -> IZR z * 256 <= Q -> forall a off h, Rabs (IZR a - Q * h) <= IZR off ->
  Rabs (IZR (series z n a) - Q * hor (IZR z / Q) n h) <= IZR (series_off n off).
Proof.
  intros Z0 Z1. assert (W := pw_pos q ltac:(lia)). assert (Zr : 0 <= IZR z) by now apply (IZR_le 0).
  induction n as [|n IH]; intros a off h A; [exact A|]. cbn [series series_off hor]. apply IH. clear IH.
  assert (Hk : (0 < Z.of_nat (S n))%Z) by lia. assert (KR : 1 <= INR (S n)) by (rewrite S_INR;
    assert (0 <= INR n) by apply pos_INR; lra).
  replace (INR (S n)) with (IZR (Z.of_nat (S n))) in * by (symmetry; apply INR_IZR_INZ). set (k := Z.of_nat (S n)) in *.
  assert (A1 := fshr_le (z * a) q ltac:(lia)). assert (A2 := fshr_lt (z * a) q ltac:(lia)).
  assert (B1 := div_le (fshr (z * a) q) k Hk). assert (B2 : IZR (fshr (z * a) q) < (IZR (fshr (z * a) q / k) + 1) * IZR k).
  { rewrite <- plus_IZR, <- mult_IZR. apply IZR_lt. rewrite (Z.mul_comm (_ + 1)). now apply Z.mul_succ_div_gt. }
  assert (C1 := cshr_ge off 8 ltac:(lia)). assert (C2 := cdiv_ge (cshr off 8) k Hk).
  rewrite mult_IZR in A1, A2. rewrite minus_IZR, plus_IZR, Z.shiftl_1_l. change (IZR (2 ^ 8)) with 256 in C1.
  set (f := IZR (fshr (z * a) q)) in *. set (u := IZR (fshr (z * a) q / k)) in *. set (c := IZR (cdiv (cshr off 8) k)) in *.
  set (c8 := IZR (cshr off 8)) in *.
  assert (Z2 : IZR z / Q * 256 <= 1).
  { apply Rmult_le_reg_r with Q; auto. replace (IZR z / Q * 256 * Q) with (IZR z * 256) by (field; lra). lra. }
  assert (Z3 : 0 <= IZR z / Q) by (apply Rmult_le_pos; [auto|left; now apply Rinv_0_lt_compat]).
  set (y := IZR z / Q) in *. assert (Ey : IZR z = y * Q) by (unfold y; field; lra). rewrite Ey in A1, A2.
  assert (F : y * IZR a - 1 <= f <= y * IZR a).
  { split; apply Rmult_le_reg_r with Q; auto; nra. }
  assert (U : f / IZR k - 1 <= u <= f / IZR k).
  { split; apply Rmult_le_reg_r with (IZR k); try lra; unfold Rdiv; rewrite ?Rmult_minus_distr_r, Rmult_assoc, Rinv_l by lra;
    lra. }
  assert (I : 0 < / IZR k <= 1).
  { split; [apply Rinv_0_lt_compat; lra|]. rewrite <- Rinv_1. apply Rinv_le_contravar; lra. }
  set (i := / IZR k) in *. assert (Ik : i * IZR k = 1) by (unfold i; apply Rinv_l; lra).
  apply Rabs_le. assert (Ab := Rabs_pos (IZR a - Q * h)). assert (A' : - IZR off <= IZR a - Q * h <= IZR off).
  { split; assert (X1 := Rle_abs (IZR a - Q * h)); assert (X2 := Rle_abs (- (IZR a - Q * h))); rewrite Rabs_Ropp in X2; lra. }
  assert (Off : 0 <= IZR off) by lra.
  assert (Yo : y * IZR off <= c8) by nra. assert (Ya : y * (Q * h) - c8 <= y * IZR a <= y * (Q * h) + c8) by nra.
  assert (Ci : c8 * i <= c) by (unfold i; apply Rmult_le_reg_r with (IZR k); [lra|]; rewrite Rmult_assoc, Rinv_l by lra; lra).
  replace (Q - u - Q * (1 - y * h / IZR k)) with (y * (Q * h) * i - u) by (unfold i; field; lra).
  unfold Rdiv in U. fold i in U. nra.
Qed.

Definition whole : nat := 64.
Definition few : nat := Z.to_nat (q / 8). (* terms of the series that are enough here: each is less than 2^-8 of the one before *)
Definition bounds_of (y : Z) : Z * Z := exp_neg q g terms y.
Definition quick_exp : Z -> Z * Z :=
  let wholes := memo1 whole (fun i => bounds_of (Z.shiftl (Z.of_nat i) q)) in
  let parts := memo1 256 (fun j => bounds_of (Z.shiftl (Z.of_nat j) (q - 8))) in
  let off := series_off few (Z.shiftl 1 q) in
  let most := Z.shiftl (Z.of_nat whole) p in
  fun y =>
    if (y <? most)%Z then
      let i := Z.shiftr y p in let f := (y - Z.shiftl i p)%Z in
      let j := Z.shiftr f (p - 8) in let z := Z.shiftl (f - Z.shiftl j (p - 8)) 12 in
      let '(l1, h1) := wholes (Z.to_nat i) in let '(l2, h2) := parts (Z.to_nat j) in
      let a := series z few 0 in
      let l := (Z.max 0 l1 * Z.max 0 l2)%Z in let h := (h1 * h2)%Z in
      (fshr (fshr l q * Z.max 0 (a - off)) (q + 12), cshr (cshr h q * (a + off)) (q + 12))
    else exp_neg p g terms y.

Theorem quick_exp_ok y : (0 <= y)%Z ->
  IZR (fst (quick_exp y)) <= IZR (2 ^ p) * exp (- (IZR y / IZR (2 ^ p))) <= IZR (snd (quick_exp y)).
Proof.
  intros Y. unfold quick_exp. cbv zeta. destruct (Z.ltb_spec y (Z.shiftl (Z.of_nat whole) p)) as [L|_]; [|apply exp_neg_ok;
    lia].
  set (i := Z.shiftr y p). set (f := (y - Z.shiftl i p)%Z). set (j := Z.shiftr f (p - 8)).
  set (z := (f - Z.shiftl j (p - 8))%Z).
  rewrite Z.shiftl_mul_pow2 in L by lia. assert (Pp : (0 < 2 ^ p)%Z) by (apply Z.pow_pos_nonneg; lia).
  assert (P8 : (0 < 2 ^ (p - 8))%Z) by (apply Z.pow_pos_nonneg; lia). assert (P88 : (2 ^ p = 256 * 2 ^ (p - 8))%Z).
  { change 256%Z with (2 ^ 8)%Z. rewrite <- Z.pow_add_r by lia. f_equal. lia. }
  assert (Hi : (0 <= i)%Z) by (unfold i; now apply Z.shiftr_nonneg).
  assert (Fi : (0 <= f < 2 ^ p)%Z).
  { unfold f, i. rewrite Z.shiftl_mul_pow2, Z.shiftr_div_pow2 by lia. assert (X := Z.div_mod y (2 ^ p) ltac:(lia)).
    assert (X2 := Z.mod_pos_bound y (2 ^ p) Pp). lia. }
  assert (Hj : (0 <= j)%Z) by (unfold j; apply Z.shiftr_nonneg; lia).
  assert (Zi : (0 <= z < 2 ^ (p - 8))%Z).
  { unfold z, j. rewrite Z.shiftl_mul_pow2, Z.shiftr_div_pow2 by lia. assert (X := Z.div_mod f (2 ^ (p - 8)) ltac:(lia)).
    assert (X2 := Z.mod_pos_bound f (2 ^ (p - 8)) P8). lia. }
  rewrite !memo1_eq, !Z2Nat.id by auto. unfold bounds_of.
  assert (Ei := exp_neg_ok q g terms ltac:(lia) (Z.shiftl i q) ltac:(now apply Z.shiftl_nonneg)).
  assert (Ej := exp_neg_ok q g terms ltac:(lia) (Z.shiftl j (q - 8)) ltac:(now apply Z.shiftl_nonneg)).
  destruct (exp_neg q g terms (Z.shiftl i q)) as [l1 h1]. destruct (exp_neg q g terms (Z.shiftl j (q - 8))) as [l2 h2].
  cbn [fst snd] in *.
  assert (W := pw_pos q ltac:(lia)). assert (W12 := pw_pos 12 ltac:(lia)). assert (Wp := pw_pos p ltac:(lia)).
  assert (Qp : Q = IZR (2 ^ p) * IZR (2 ^ 12)) by (rewrite <- mult_IZR, <- Z.pow_add_r by lia; reflexivity).
  set (zz := Z.shiftl z 12). assert (Zz : IZR zz = IZR z * IZR (2 ^ 12)) by (unfold zz;
    now rewrite Z.shiftl_mul_pow2, mult_IZR by lia).
  assert (Z1 : IZR zz * 256 <= Q).
  { rewrite Zz, Qp, P88, mult_IZR. assert (IZR z <= IZR (2 ^ (p - 8))) by (apply IZR_le; lia). nra. }
  assert (Z0 : (0 <= zz)%Z) by (unfold zz; apply Z.shiftl_nonneg; lia).
  assert (Y0 : 0 <= IZR zz / Q) by (apply Rmult_le_pos; [now apply (IZR_le 0)|left; now apply Rinv_0_lt_compat]).
  destruct (exp_hor (IZR zz / Q) few Y0) as (h & Hh & Eh).
  assert (Sr := series_ok zz few Z0 Z1 0 (Z.shiftl 1 q) h). rewrite Z.shiftl_1_l in Sr.
  specialize (Sr ltac:(rewrite Rminus_0_l, Rabs_Ropp, Rabs_pos_eq; nra)). rewrite <- Eh in Sr.
  rewrite Z.shiftl_1_l. set (a := series zz few 0) in *. set (off := series_off few (2 ^ q)) in *.
  set (x1 := exp (- (IZR (Z.shiftl i q) / Q))) in *. set (x2 := exp (- (IZR (Z.shiftl j (q - 8)) / Q))) in *.
  set (x3 := exp (- (IZR zz / Q))) in *.
  assert (Prod : exp (- (IZR y / IZR (2 ^ p))) = x1 * x2 * x3).
  { unfold x1, x2, x3. rewrite <- !exp_plus. f_equal. rewrite Zz. rewrite (Z.shiftl_mul_pow2 i), (Z.shiftl_mul_pow2 j),
    !mult_IZR by lia.
    assert (Q8 : Q = 256 * IZR (2 ^ (q - 8))).
    { change 256 with (IZR (2 ^ 8)). rewrite <- mult_IZR, <- Z.pow_add_r by lia. do 2 f_equal. lia. }
    assert (Ydec : IZR y = IZR i * IZR (2 ^ p) + IZR j * IZR (2 ^ (p - 8)) + IZR z).
    { rewrite <- !mult_IZR, <- !plus_IZR. f_equal. unfold z, f. rewrite !Z.shiftl_mul_pow2 by lia. lia. }
    rewrite Ydec, Qp. rewrite Qp in Q8. assert (E8 : IZR (2 ^ p) = 256 * IZR (2 ^ (p - 8))) by (now rewrite P88, mult_IZR at 1).
    assert (E9 : IZR (2 ^ (q - 8)) = IZR (2 ^ (p - 8)) * IZR (2 ^ 12)) by (rewrite <- mult_IZR, <- Z.pow_add_r by lia;
      do 2 f_equal; lia).
    rewrite E9, E8. assert (0 < IZR (2 ^ (p - 8))) by now apply IZR_lt. field. split; lra. }
  rewrite Prod. assert (X1 : 0 < x1) by apply exp_pos. assert (X2 : 0 < x2) by apply exp_pos.
  assert (X3 : 0 < x3) by apply exp_pos.
  assert (S3 : IZR (a - off) <= Q * x3 <= IZR (a + off)).
  { rewrite minus_IZR, plus_IZR. assert (R1 := Rle_abs (IZR a - Q * x3)). assert (R2 := Rle_abs (- (IZR a - Q * x3))).
    rewrite Rabs_Ropp in R2. lra. }
  assert (Max : forall l v, IZR l <= v -> 0 <= v -> 0 <= IZR (Z.max 0 l) <= v).
  { intros l v Lv V0. split; [apply IZR_le; lia|]. destruct (Z.max_spec 0 l) as [[_ ->]|[_ ->]]; auto. }
  assert (M1 := Max l1 (Q * x1) (proj1 Ei) ltac:(nra)). assert (M2 := Max l2 (Q * x2) (proj1 Ej) ltac:(nra)).
  assert (M3 := Max (a - off)%Z (Q * x3) (proj1 S3) ltac:(nra)).
  assert (Low := fshr_le (Z.max 0 l1 * Z.max 0 l2) q ltac:(lia)). assert (High := cshr_ge (h1 * h2) q ltac:(lia)).
  rewrite mult_IZR in Low, High.
  set (l := fshr (Z.max 0 l1 * Z.max 0 l2) q) in *. set (hh := cshr (h1 * h2) q) in *.
  assert (L12 : IZR l <= Q * (x1 * x2)).
  { apply Rmult_le_reg_r with Q; auto. apply Rle_trans with (Q * x1 * (Q * x2)); [|right; ring].
    eapply Rle_trans; [exact Low|]. apply Rmult_le_compat; lra. }
  assert (H12 : Q * (x1 * x2) <= IZR hh).
  { apply Rmult_le_reg_r with Q; auto. apply Rle_trans with (Q * x1 * (Q * x2)); [right; ring|].
    eapply Rle_trans; [|exact High]. apply Rmult_le_compat; try lra; nra. }
  assert (Low3 := fshr_le (l * Z.max 0 (a - off)) (q + 12) ltac:(lia)).
  assert (High3 := cshr_ge (hh * (a + off)) (q + 12) ltac:(lia)).
  rewrite mult_IZR in Low3, High3. rewrite (pw_add q 12) in Low3, High3 by lia. set (X := x1 * x2) in *.
  assert (Xp : 0 < X) by (unfold X; nra).
  assert (T : IZR (2 ^ p) * (X * x3) * (Q * IZR (2 ^ 12)) = Q * X * (Q * x3)) by (rewrite Qp; ring).
  cbn [fst snd]. split.
  - apply Rmult_le_reg_r with (Q * IZR (2 ^ 12)); [nra|]. rewrite T. eapply Rle_trans; [exact Low3|].
    apply Rle_trans with (Q * X * IZR (Z.max 0 (a - off))); [apply Rmult_le_compat_r; lra|]. apply Rmult_le_compat_l; [nra|lra].
  - apply Rmult_le_reg_r with (Q * IZR (2 ^ 12)); [nra|]. rewrite T. eapply Rle_trans; [|exact High3].
    apply Rmult_le_compat; try lra; nra.
Qed.
End Quick.

(* The same for every precision; of few digits, as far as they go. *)
Definition exponential (p : Z) (g terms : nat) : Z -> Z * Z := if (8 <=? p)%Z then quick_exp p g terms else exp_neg p g terms.
Theorem exponential_ok p g terms : (0 <= p)%Z -> forall y, (0 <= y)%Z ->
  IZR (fst (exponential p g terms y)) <= IZR (2 ^ p) * exp (- (IZR y / IZR (2 ^ p))) <= IZR (snd (exponential p g terms y)).
Proof. unfold exponential. intros Hp. destruct (Z.leb_spec 8 p); intros; [now apply quick_exp_ok|now apply exp_neg_ok]. Qed.
