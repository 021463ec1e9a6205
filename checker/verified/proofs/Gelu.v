(* gelu in the form with tanh (gelu_new), in fixed point: z / (1 + exp (- 2 u)), u being sqrt (2 / pi) (z + 0.044715 z^3).
   Nothing is believed of pi: of a number that comes near it the sine is still positive, and of the next one it is negative. *)
From Coq Require Import Reals Lra Lia ZArith Arith Bool.
From CompactProofs Require Import Semantics PrefixChains Exponential Vectors Attention Transformers Turns.
Open Scope R_scope.

(* Digits of pi, in units of 2^-700. *)
Definition digits_of_pi : Z :=
  ((16525204305188294122575967610974 * 10 ^ 90 +
  940178026148430521517253674428844222689879174614411560235390899801560652737794125520858649) * 10 ^ 90 +
  187813498260676587492720299944119139547246105762461028318293173887444219654040121887534587).
Definition digits : Z := 700.

Lemma tanh_logistic u : (1 + tanh u) / 2 = logistic (2 * u).
Proof.
  unfold tanh, sinh, cosh, logistic. assert (X := exp_pos u). assert (Y := exp_pos (- u)).
  assert (M : exp u * exp (- u) = 1) by (rewrite <- exp_plus, Rplus_opp_r; apply exp_0).
  replace (exp (- (2 * u))) with (exp (- u) * exp (- u)) by (rewrite <- exp_plus; f_equal; ring).
  replace 1 with (exp u * exp (- u)) at 2 by exact M.
  assert (exp u * exp (- u) + exp (- u) * exp (- u) = exp (- u) * (exp u + exp (- u))) as -> by ring.
  rewrite Rinv_mult. apply Rmult_eq_reg_r with (exp (- u)); [|lra].
  replace (/ exp (- u) * / (exp u + exp (- u)) * exp (- u)) with (/ (exp u + exp (- u))) by (field; lra).
  apply Rmult_eq_reg_r with (exp u + exp (- u)); [|lra]. rewrite Rinv_l by lra.
  replace ((1 + (exp u - exp (- u)) / 2 / ((exp u + exp (- u)) / 2)) / 2 * exp (- u) * (exp u + exp (- u))) with (exp u * exp
    (- u))
    by (field; lra). exact M.
Qed.
Lemma gelu_new_form x : act Gelu_new x = x * logistic (2 * sqrt (2 / PI) * (x * (1 + 44715 / 10 ^ 6 * (x * x)))).
Proof.
  cbn [act].
  replace (2 * sqrt (2 / PI) * (x * (1 + 44715 / 10 ^ 6 * (x * x)))) with (2 * (sqrt (2 / PI) * (x + 44715 / 10 ^ 6 * x ^ 3)))
    by field.
  rewrite <- tanh_logistic. field.
Qed.

Section Gelu.
Variable p : Z.
Hypothesis Hp : (0 <= p)%Z.
Notation P := (IZR (2 ^ p)).
(* The sine of y / 2^g, and how far it may be off, in units of 2^-(g + k). *)
Definition sine_of (g : Z) (k : nat) (y : Z) : Z * Z :=
  let q := (g + Z.of_nat k)%Z in
  if (0 <=? y)%Z && (y <=? Z.shiftl 1 q)%Z then
    let '(Turn c s r) := often_doubled q k (small q y) in (s, r)
  else (0%Z, Z.shiftl 1 q).
Lemma sine_of_ok g k y : (0 <= g)%Z -> let '(s, r) := sine_of g k y in
  (IZR s - IZR r <= sin (IZR y / IZR (2 ^ g)) * IZR (2 ^ (g + Z.of_nat k)) <= IZR s + IZR r).
Proof.
  intros Hg. unfold sine_of. cbv zeta. set (q := (g + Z.of_nat k)%Z). assert (Hq : (0 <= q)%Z) by (unfold q; lia).
  assert (W := pw_pos q Hq). assert (Wg := pw_pos g Hg). assert (Wk := pw_pos (Z.of_nat k) ltac:(lia)).
  destruct ((0 <=? y)%Z && (y <=? Z.shiftl 1 q)%Z) eqn:E.
  - apply andb_prop in E as [E1 E2]. apply Z.leb_le in E1, E2. rewrite Z.shiftl_1_l in E2.
    assert (T := often_doubled_ok q Hq k _ _ (small_ok q Hq y ltac:(lia))).
    destruct (often_doubled q k (small q y)) as [c s r]. destruct T as [_ T]. cbn [sine off] in T.
    replace (IZR (2 ^ Z.of_nat k) * (IZR y / IZR (2 ^ q))) with (IZR y / IZR (2 ^ g)) in T by (unfold q; rewrite pw_add by lia;
      field; lra).
    apply within_iff in T. exact T.
  - rewrite Z.shiftl_1_l. assert (B := SIN_bound (IZR y / IZR (2 ^ g))). nra.
Qed.
(* Bounds of pi, in units of 2^-h. *)
Definition pi_bounds : Z * Z :=
  let h := Z.min digits (p + 32) in
  let c := Z.shiftr digits_of_pi (digits - h) in
  let k := Z.to_nat (h + 16) in
  let g := (2 * h + 40)%Z in
  let '(s, r) := sine_of g k (Z.shiftl (c - 1) (g - h)) in
  let '(s', r') := sine_of g k (Z.shiftl (c + 2) (g - h)) in
  (if (0 <? s - r)%Z && (Z.shiftl 3 h <=? c - 1)%Z && (c - 1 <=? Z.shiftl 4 h)%Z then (c - 1)%Z else Z.shiftl 3 h,
   if (s' + r' <? 0)%Z && (0 <=? c + 2)%Z then (c + 2)%Z else Z.shiftl 4 h).
Definition pi_bits : Z := Z.min digits (p + 32).
Lemma pi_bits_pos : (0 <= pi_bits)%Z.
Proof. unfold pi_bits, digits. lia. Qed.
Lemma three_pi : 3 <= PI.
Proof. assert (X := PI2_3_2). lra. Qed.
Lemma pi_bounds_ok : IZR (fst pi_bounds) <= PI * IZR (2 ^ pi_bits) <= IZR (snd pi_bounds).
Proof.
  assert (Hh := pi_bits_pos). unfold pi_bounds. cbv zeta. fold pi_bits. set (h := pi_bits) in *.
  set (c := Z.shiftr digits_of_pi (digits - h)). set (k := Z.to_nat (h + 16)). set (g := (2 * h + 40)%Z).
  assert (Gp : (0 <= g)%Z) by (unfold g; lia). assert (S1 := sine_of_ok g k (Z.shiftl (c - 1) (g - h)) Gp).
  assert (S2 := sine_of_ok g k (Z.shiftl (c + 2) (g - h)) Gp).
  destruct (sine_of g k (Z.shiftl (c - 1) (g - h))) as [s r]. destruct (sine_of g k (Z.shiftl (c + 2) (g - h))) as [s' r'].
  assert (Wh := pw_pos h Hh). assert (Wg := pw_pos g Gp). assert (Wgh := pw_pos (g - h) ltac:(unfold g; lia)).
  assert (Wq := pw_pos (g + Z.of_nat k) ltac:(lia)). assert (P3 := three_pi). assert (P4 := PI_4).
  assert (Same : forall z, IZR (Z.shiftl z (g - h)) / IZR (2 ^ g) = IZR z / IZR (2 ^ h)).
  { intros z. rewrite Z.shiftl_mul_pow2, mult_IZR by (unfold g; lia). replace (2 ^ g)%Z with (2 ^ (h + (g - h)))%Z by (f_equal;
      lia).
    rewrite pw_add by (try lia; unfold g; lia). field. lra. }
  rewrite Same in S1, S2. cbn [fst snd]. split.
  - destruct ((0 <? s - r)%Z && (Z.shiftl 3 h <=? c - 1)%Z && (c - 1 <=? Z.shiftl 4 h)%Z) eqn:E.
    + rewrite !andb_true_iff in E. destruct E as [[E1 E2] E3]. apply Z.ltb_lt, IZR_lt in E1. apply Z.leb_le, IZR_le in E2, E3.
      rewrite Z.shiftl_mul_pow2, mult_IZR in E2, E3 by lia. rewrite minus_IZR in E1.
      set (a := IZR (c - 1) / IZR (2 ^ h)) in *. assert (A : IZR (c - 1) = a * IZR (2 ^ h)) by (unfold a; field; lra).
      rewrite A in *. apply Rmult_le_compat_r; [lra|]. apply Rnot_lt_le. intros N.
      assert (a <= 4) by (apply Rmult_le_reg_r with (IZR (2 ^ h)); lra).
      assert (Sn := sin_le_0 a ltac:(lra) ltac:(lra)). assert (sin a * IZR (2 ^ (g + Z.of_nat k)) <= 0) by nra. lra.
    + rewrite Z.shiftl_mul_pow2, mult_IZR by lia. nra.
  - destruct ((s' + r' <? 0)%Z && (0 <=? c + 2)%Z) eqn:E.
    + apply andb_prop in E as [E1 E2]. apply Z.ltb_lt, IZR_lt in E1. apply Z.leb_le, IZR_le in E2. rewrite plus_IZR in E1.
      set (a := IZR (c + 2) / IZR (2 ^ h)) in *. assert (A : IZR (c + 2) = a * IZR (2 ^ h)) by (unfold a; field; lra).
      rewrite A in *. apply Rmult_le_compat_r; [lra|]. apply Rnot_lt_le. intros N.
      assert (0 <= a) by (apply Rmult_le_reg_r with (IZR (2 ^ h)); lra).
      assert (Sn := sin_ge_0 a ltac:(lra) ltac:(lra)). assert (0 <= sin a * IZR (2 ^ (g + Z.of_nat k))) by nra. lra.
    + rewrite Z.shiftl_mul_pow2, mult_IZR by lia. nra.
Qed.
(* 2 sqrt (2 / pi) is the root of 8 / pi. *)
Definition gelu_factor : Z * Z :=
  let '(l, h) := pi_bounds in
  if (0 <? l)%Z then
    let low := Z.sqrt (Z.shiftl 8 (pi_bits + 2 * p) / h) in
    let high := (Z.sqrt (cdiv (Z.shiftl 8 (pi_bits + 2 * p)) l) + 1)%Z in (low, high - low)%Z
  else (0%Z, Z.shiftl 2 p).
Lemma gelu_factor_ok : within p (2 * sqrt (2 / PI)) (fst gelu_factor) (snd gelu_factor).
Proof.
  assert (W := pw_pos p Hp). assert (P3 := three_pi). assert (Wh := pw_pos pi_bits pi_bits_pos). assert (B := pi_bounds_ok).
  assert (R8 : 2 * sqrt (2 / PI) = sqrt (8 / PI)).
  { assert (Q : 0 <= 2 / PI) by (apply Rmult_le_pos; [lra|left; apply Rinv_0_lt_compat; lra]).
    replace (8 / PI) with (2 * 2 * (2 / PI)) by (field; lra). rewrite sqrt_mult, sqrt_square by lra. reflexivity. }
  rewrite R8. unfold gelu_factor. destruct pi_bounds as [l h]. cbn [fst snd] in B. apply within_iff.
  destruct (Z.ltb_spec 0 l) as [L|L]; cbn [fst snd].
  - set (t := Z.shiftl 8 (pi_bits + 2 * p)). assert (T : IZR t = 8 * IZR (2 ^ pi_bits) * (P * P)).
    { unfold t. assert (X := pi_bits_pos). rewrite Z.shiftl_mul_pow2, mult_IZR, pw_add by lia.
      replace (2 * p)%Z with (p + p)%Z by lia. rewrite pw_add by lia. ring. }
    apply IZR_lt in L. assert (Hz : (0 < h)%Z) by (apply lt_IZR; lra). assert (Hr : 0 < IZR h) by now apply IZR_lt.
    assert (E8 : sqrt (8 / PI) * P = sqrt (8 / PI * (P * P))).
    { rewrite sqrt_mult, sqrt_square; try nra. apply Rmult_le_pos; [lra|left; apply Rinv_0_lt_compat; lra]. }
    assert (Y : 8 / PI * (P * P) = IZR t / (PI * IZR (2 ^ pi_bits))) by (rewrite T; field; lra).
    assert (Tp : 0 < IZR t) by (rewrite T; apply Rmult_lt_0_compat; nra).
    rewrite E8, Y. set (y := IZR t / (PI * IZR (2 ^ pi_bits))). assert (Pp : 0 < PI * IZR (2 ^ pi_bits)) by nra.
    assert (Yp : 0 <= y) by (unfold y; apply Rmult_le_pos; [lra|left; now apply Rinv_0_lt_compat]).
    assert (Lo : IZR (Z.sqrt (t / h)) <= sqrt y).
    { apply sqrt_low; auto. eapply Rle_trans; [now apply Z_div_le|]. unfold y, Rdiv. apply Rmult_le_compat_l; [lra|].
      apply Rinv_le_contravar; lra. }
    assert (Hi : sqrt y <= IZR (Z.sqrt (cdiv t l) + 1)).
    { apply sqrt_high. eapply Rle_trans; [|apply Z_cdiv_ge, lt_IZR; lra]. unfold y, Rdiv. apply Rmult_le_compat_l; [lra|].
      apply Rinv_le_contravar; lra. }
    rewrite minus_IZR. lra.
  - rewrite Z.shiftl_mul_pow2, mult_IZR by lia. assert (S0 : 0 <= sqrt (8 / PI)) by apply sqrt_pos.
    assert (S1 : sqrt (8 / PI) <= 2).
    { rewrite <- (sqrt_square 2) by lra. apply sqrt_le_1_alt. apply Rmult_le_reg_r with PI; [lra|].
      unfold Rdiv. rewrite Rmult_assoc, Rinv_l by lra. lra. }
    nra.
Qed.

Variable expo : Z -> Z * Z.
Hypothesis expo_ok : forall y, (0 <= y)%Z -> IZR (fst (expo y)) <= P * exp (- (IZR y / P)) <= IZR (snd (expo y)).
Definition one_more (a : Z * Z) : Z * Z := (Z.shiftl 1 p + fst a, snd a)%Z.
Definition cubic : Z * Z := (44715 * Z.shiftl 1 p / 10 ^ 6, 1)%Z.
Definition gelu_new_of (factor : Z * Z) (a : Z * Z) : Z * Z :=
  times p a (logistic_of p expo (times p factor (times p a (one_more (times p cubic (times p a a)))))).
Lemma gelu_new_ok x a : within p x (fst a) (snd a) ->
  within p (act Gelu_new x) (fst (gelu_new_of gelu_factor a)) (snd (gelu_new_of gelu_factor a)).
Proof.
  intros H. assert (W := pw_pos p Hp).
  rewrite gelu_new_form. unfold gelu_new_of. apply times_ok; auto. apply logistic_ok; auto. apply times_ok; auto; [apply
    gelu_factor_ok|].
  apply times_ok; auto.
  assert (C : within p (44715 / 10 ^ 6) (fst cubic) (snd cubic)).
  { unfold cubic. cbn [fst snd]. apply within_iff. assert (D1 := div_le (44715 * Z.shiftl 1 p) (10 ^ 6) ltac:(lia)).
    assert (D2 := div_lt (44715 * Z.shiftl 1 p) (10 ^ 6) ltac:(lia)). rewrite mult_IZR, Z.shiftl_1_l in D1, D2.
    change (IZR (10 ^ 6)) with 1000000 in *. replace (10 ^ 6) with 1000000 by ring. rewrite Z.shiftl_1_l.
    set (u := IZR (44715 * 2 ^ p / 10 ^ 6)) in *. lra. }
  assert (T := times_ok p Hp _ _ cubic (times p a a) C (times_ok p Hp _ _ a a H H)).
  apply within_iff in T. apply within_iff. cbn [one_more fst snd]. rewrite plus_IZR, Z.shiftl_1_l. lra.
Qed.
End Gelu.
