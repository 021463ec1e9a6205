(* The bound of ExecutionErrors.v in integers: numbers z stand for z 2^-256, and each operation rounds up. *)
From Coq Require Import Reals Lra Lia ZArith List Arith Bool.
From CompactProofs Require Import Semantics Exponential Executions ExpressionErrors SoftmaxErrors ExecutionErrors.
Import ListNotations.
Open Scope Z_scope.

Definition unity : Z := 2 ^ 256.
Definition mul (a b : Z) : Z := cshr (a * b) 256.
Fixpoint power (n : nat) (a : Z) : Z := match n with O => unity | S k => mul a (power k a) end.
Definition manifold (n : nat) (a : Z) : Z := Z.of_nat n * a.
(* x 2^-k, for k >= 0. *)
Definition up (k x : Z) : Z := cdiv (x * unity) (2 ^ k).

Section Format.
Variable F : format.
Definition usual : bool := (4 <=? significand F) && (1 <=? largest_exponent F) && match operand_significand F with Some n => 0
  <=? n | None => true end.
Definition z_roundoff : Z := up (significand F) 1.
Definition z_operand_roundoff : Z := match operand_significand F with Some n => up n 1 | None => 0 end.
Definition z_underflow : Z := up (largest_exponent F - 1) 1.
Definition z_limit : Z := 2 ^ largest_exponent F * unity.
Definition z_growth (n m : nat) : Z :=
  mul (power n (unity + z_roundoff + z_underflow)) (power m (unity + z_operand_roundoff + z_underflow)).
(* What is off by roundings of a number of this size, and by underflow. *)
Definition z_off (n m : nat) (size top : Z) : Z :=
  let g := z_growth n m in mul (g - unity) size + manifold (n + m) (mul (mul z_underflow g) top).
Definition z_exponent_error (r : Z) : Z := let g := z_growth 4 0 in mul (g - unity) r + 8 * mul (mul z_underflow g) (2 * unity
  + r).
Definition z_last_places : Z := cdiv (8 * unity) (2 ^ significand F - 8).
Definition z_sum_error (K : nat) : Z :=
  let g := z_growth K 0 in g - unity + mul (manifold K (mul z_underflow g)) (unity + 2 ^ 42 * manifold K unity).

Record sizes := Sizes { sR : Z; sQ : Z; sBq : Z; sK : Z; sBk : Z; sV : Z; sBv : Z; sO : Z; sBo : Z; sU : Z; sBu : Z; sScore : Z;
  sSize : nat -> Z; sRange : nat -> Z }.
Variables (K d dh : nat) (s : sizes).
Notation score_roundings := (2 * d + dh + 12)%nat.
Notation logit_roundings := (2 * d + dh + 2 * K + 12)%nat.
Definition z_score_top : Z := manifold dh (mul (manifold d (mul (sR s) (sQ s)) + sBq s) (manifold d (mul (sR s) (sK s)) + sBk
  s)).
Definition z_logit_top : Z :=
  manifold d (mul (sR s + manifold dh (mul (manifold K (2 ^ 42 * (manifold d (mul (sR s) (sV s)) + sBv s))) (sO s)) + sBo s)
    (sU s)) + sBu s.
Definition z_score_error : Z := z_off score_roundings 24 (sScore s) z_score_top.
Definition z_tilted_by : Z := z_score_error + z_exponent_error (2 * (sScore s + z_score_error)) + z_last_places.
(* Of every logit; what no output depends on is computed once. *)
Definition z_logit_error : nat -> Z :=
  let g := z_growth logit_roundings 24 in
  let tilted := z_tilted_by in
  let rounded := mul g (cdiv (unity * unity) (unity - z_sum_error K)) - unity in
  let lost := manifold (logit_roundings + 24) (mul (mul z_underflow g) z_logit_top) in
  fun o => mul tilted (sRange s o) / 2 + 1 + mul rounded (sSize s o) + lost.
Definition no_overflow : bool :=
  (mul (z_growth score_roundings 24) z_score_top <=? z_limit)
  && (mul (z_growth 4 0) (2 * (2 * unity + 2 * (sScore s + z_score_error))) <=? z_limit)
  && (mul (z_growth K 0) (manifold K (2 ^ 42 * unity)) <=? z_limit)
  && (mul (z_growth logit_roundings 24) z_logit_top <=? z_limit)
  && (2 * z_sum_error K <=? unity).

Local Open Scope R_scope.
Definition real (z : Z) : R := IZR z / IZR unity.
Definition upper (z : Z) (r : R) : Prop := r <= real z.

Lemma one_pos : 0 < IZR unity.
Proof. apply IZR_lt. reflexivity. Qed.
Lemma upper_real z : upper z (real z).
Proof. apply Rle_refl. Qed.
Lemma real_le a b : (a <= b)%Z -> real a <= real b.
Proof. intros H. apply IZR_le in H. assert (P := one_pos). unfold real, Rdiv. apply Rmult_le_compat_r; auto. left.
now apply Rinv_0_lt_compat. Qed.
Lemma upper_one : upper unity 1.
Proof. assert (P := one_pos). unfold upper, real. right. field. lra. Qed.
Lemma real_scaled k : real (k * unity) = IZR k.
Proof. assert (P := one_pos). unfold real. rewrite mult_IZR. field. lra. Qed.
Lemma upper_plus a b r t : upper a r -> upper b t -> upper (a + b) (r + t).
Proof. unfold upper, real. intros. rewrite plus_IZR. unfold Rdiv in *. lra. Qed.
Lemma upper_minus_one a r : upper a r -> upper (a - unity) (r - 1).
Proof. unfold upper, real. intros. assert (P := one_pos). rewrite minus_IZR.
replace ((IZR a - IZR unity) / IZR unity) with (IZR a / IZR unity - 1) by (field; lra). lra. Qed.
Lemma upper_scaled k a r : (0 <= k)%Z -> upper a r -> upper (k * a) (IZR k * r).
Proof. unfold upper, real. intros H U. apply IZR_le in H. rewrite mult_IZR. unfold Rdiv in *. rewrite Rmult_assoc.
now apply Rmult_le_compat_l. Qed.
Lemma upper_times n a r : upper a r -> upper (manifold n a) (INR n * r).
Proof. intros. unfold manifold. rewrite INR_IZR_INZ. apply upper_scaled; auto. lia. Qed.
Lemma upper_mul a b r t : 0 <= r -> 0 <= t -> upper a r -> upper b t -> upper (mul a b) (r * t).
Proof.
  unfold upper, mul. intros Hr Hs A B. assert (P := one_pos). eapply Rle_trans; [apply Rmult_le_compat; eauto|]. unfold real.
  assert (C := cshr_ge (a * b) 256 ltac:(lia)). rewrite mult_IZR in C. change (IZR (2 ^ 256)) with (IZR unity) in C.
  apply Rmult_le_reg_r with (IZR unity * IZR unity); [now apply Rmult_lt_0_compat|].
  replace (IZR a / IZR unity * (IZR b / IZR unity) * (IZR unity * IZR unity)) with (IZR a * IZR b) by (field; lra).
  replace (IZR (cshr (a * b) 256) / IZR unity * (IZR unity * IZR unity)) with (IZR (cshr (a * b) 256) * IZR unity * 1 * 1) by
    (field; lra). lra.
Qed.
Lemma upper_power n a r : 0 <= r -> upper a r -> upper (power n a) (r ^ n).
Proof. intros H A. induction n; simpl; [apply upper_one|]. apply upper_mul; auto. now apply pow_le. Qed.
Lemma upper_up k x : (0 <= k)%Z -> upper (up k x) (IZR x / IZR (2 ^ k)).
Proof.
  intros Hk. unfold upper, up, real. assert (P := one_pos). assert (E := pw_pos k Hk).
  assert (K2 : (0 < 2 ^ k)%Z) by now apply Z.pow_pos_nonneg.
  assert (C := cdiv_ge (x * unity) (2 ^ k) K2). rewrite mult_IZR in C. apply Rmult_le_reg_r with (IZR (2 ^ k) * IZR unity);
    [now apply Rmult_lt_0_compat|].
  replace (IZR x / IZR (2 ^ k) * (IZR (2 ^ k) * IZR unity)) with (IZR x * IZR unity) by (field; lra).
  replace (IZR (cdiv (x * unity) (2 ^ k)) / IZR unity * (IZR (2 ^ k) * IZR unity)) with (IZR (cdiv (x * unity) (2 ^ k)) * IZR
    (2 ^ k)) by (field; lra). exact C.
Qed.

Hypothesis Husual : usual = true.
Lemma usual_ok : (4 <= significand F)%Z /\ (1 <= largest_exponent F)%Z /\ match operand_significand F with Some n => (0 <= n)%Z
  | None => True end.
Proof.
  apply andb_prop in Husual as [H C]. apply andb_prop in H as [A B]. apply Z.leb_le in A, B. repeat split; auto.
  destruct operand_significand; auto. now apply Z.leb_le.
Qed.
Lemma roundoff_ok : 0 <= roundoff F <= / 16 /\ upper z_roundoff (roundoff F).
Proof.
  destruct usual_ok as (A & _ & _). assert (P := pw_pos (significand F) ltac:(lia)). unfold roundoff. repeat split.
  - left. now apply Rinv_0_lt_compat.
  - apply Rinv_le_contravar; [lra|]. change 16 with (IZR (2 ^ 4)). apply IZR_le, Z.pow_le_mono_r; lia.
  - replace (/ IZR (2 ^ significand F)) with (1 / IZR (2 ^ significand F)) by (field; lra). apply upper_up. lia.
Qed.
Lemma operand_ok : 0 <= operand_roundoff F /\ upper z_operand_roundoff (operand_roundoff F).
Proof.
  destruct usual_ok as (_ & _ & C). unfold operand_roundoff, z_operand_roundoff. destruct operand_significand as [n|].
  - assert (P := pw_pos n C). split; [left; now apply Rinv_0_lt_compat|].
    replace (/ IZR (2 ^ n)) with (1 / IZR (2 ^ n)) by (field; lra). now apply upper_up.
  - split; [lra|]. unfold upper, real. unfold Rdiv. rewrite Rmult_0_l. lra.
Qed.
Lemma underflow_ok : 0 < underflow F <= 1 /\ upper z_underflow (underflow F).
Proof.
  destruct usual_ok as (_ & B & _). assert (P := pw_pos (largest_exponent F - 1) ltac:(lia)). unfold underflow. repeat split.
  - now apply Rinv_0_lt_compat.
  - rewrite <- Rinv_1. apply Rinv_le_contravar; [lra|]. apply IZR_le. assert (0 < 2 ^ (largest_exponent F - 1))%Z by (apply
    Z.pow_pos_nonneg; lia). lia.
  - replace (/ IZR (2 ^ (largest_exponent F - 1))) with (1 / IZR (2 ^ (largest_exponent F - 1))) by (field; lra).
    apply upper_up. lia.
Qed.
Lemma limit_ok z r : upper z r -> (z <= z_limit)%Z -> r <= limit F.
Proof. intros U L. apply real_le in L. unfold z_limit in L. rewrite real_scaled in L. unfold upper in U. unfold limit. lra. Qed.

Lemma growth_upper n m : upper (z_growth n m) (growth F n m) /\ 1 <= growth F n m.
Proof.
  destruct roundoff_ok as [[A _] A'], operand_ok as [B B'], underflow_ok as [[C _] C'].
  split; [|apply growth_ge_1; auto]. unfold z_growth, growth. apply upper_mul; try (apply pow_le; lra); apply upper_power;
    try lra; repeat apply upper_plus; auto using upper_one.
Qed.
Lemma lost_upper n m z r : 0 <= r -> upper z r -> upper (manifold (n + m) (mul (mul z_underflow (z_growth n m)) z)) (INR (n +
  m) * underflow F * growth F n m * r).
Proof.
  intros H U. destruct underflow_ok as [[C _] C'], (growth_upper n m) as [G G1]. rewrite !Rmult_assoc. apply upper_times.
  rewrite <- Rmult_assoc.
  apply upper_mul; auto; [apply Rmult_le_pos; lra|]. apply upper_mul; auto; lra.
Qed.
Lemma exponent_upper z r : 0 <= r -> upper z r -> upper (z_exponent_error z) (exponent_error F r) /\ 0 <= exponent_error F r.
Proof.
  intros H U. destruct underflow_ok as [[C _] C'], (growth_upper 4 0) as [G G1]. unfold z_exponent_error, exponent_error.
  cbv zeta.
  assert (P : 0 <= underflow F * growth F 4 0) by (apply Rmult_le_pos; lra). split.
  - apply upper_plus; [apply upper_mul; auto; [lra|now apply upper_minus_one]|].
    rewrite !Rmult_assoc. apply (upper_scaled 8); [lia|]. rewrite <- Rmult_assoc.
    apply upper_mul; auto; [lra|apply upper_mul; auto; lra|].
    apply upper_plus; auto. replace 2 with (2 * 1) by ring. apply upper_scaled; [lia|apply upper_one].
  - apply Rplus_le_le_0_compat; [apply Rmult_le_pos; lra|]. rewrite !Rmult_assoc. apply Rmult_le_pos; [lra|].
    rewrite <- Rmult_assoc. apply Rmult_le_pos; lra.
Qed.
Lemma last_places_upper : upper z_last_places (last_places F) /\ 0 <= last_places F.
Proof.
  destruct usual_ok as (A & _ & _). assert (P := pw_pos (significand F) ltac:(lia)). assert (O := one_pos).
  assert (Sixteen : (2 ^ 4 <= 2 ^ significand F)%Z) by (apply Z.pow_le_mono_r; lia). change (2 ^ 4)%Z with 16%Z in Sixteen.
  assert (Big := IZR_le _ _ Sixteen). unfold last_places, roundoff. set (p := (2 ^ significand F)%Z) in *.
  assert (E : 8 * / IZR p / (1 - 8 * / IZR p) = 8 / (IZR p - 8)) by (field; lra). rewrite E. split.
  - unfold upper, z_last_places, real. fold p. assert (D := cdiv_ge (8 * unity) (p - 8) ltac:(lia)).
    rewrite mult_IZR, minus_IZR in D.
    apply Rmult_le_reg_r with (IZR unity * (IZR p - 8)); [apply Rmult_lt_0_compat; lra|].
    replace (8 / (IZR p - 8) * (IZR unity * (IZR p - 8))) with (8 * IZR unity) by (field; lra).
    replace (IZR (cdiv (8 * unity) (p - 8)) / IZR unity * (IZR unity * (IZR p - 8))) with (IZR (cdiv (8 * unity) (p - 8)) *
      (IZR p - 8)) by (field; lra). exact D.
  - apply Rmult_le_pos; [lra|left; apply Rinv_0_lt_compat; lra].
Qed.
Lemma sum_error_upper : upper (z_sum_error K) (sum_error F K) /\ 0 <= sum_error F K.
Proof.
  destruct underflow_ok as [[C _] C'], (growth_upper K 0) as [G G1]. unfold z_sum_error, sum_error. cbv zeta.
  assert (N := pos_INR K).
  assert (P : 0 <= INR K * underflow F * growth F K 0) by (apply Rmult_le_pos; [apply Rmult_le_pos|]; lra).
  split; [|apply Rplus_le_le_0_compat; [lra|apply Rmult_le_pos; [exact P|lra]]].
  apply upper_plus; [now apply upper_minus_one|]. apply upper_mul; auto; [lra| |].
  - rewrite Rmult_assoc. apply upper_times, upper_mul; auto; lra.
  - apply upper_plus; [apply upper_one|]. replace (2 ^ 42) with (IZR (2 ^ 42)) by (simpl; lra).
    apply upper_scaled; [now apply Z.pow_nonneg|].
    rewrite <- (Rmult_1_r (INR K)). apply upper_times, upper_one.
Qed.

(* The bound itself. *)
Definition tops_of : tops :=
  Tops (real (sR s)) (real (sQ s)) (real (sBq s)) (real (sK s)) (real (sBk s)) (real (sV s)) (real (sBv s)) (real (sO s)) (real
    (sBo s))
    (real (sU s)) (real (sBu s)).
Hypothesis Hone : Forall (fun z => (unity <= z)%Z) [sR s; sQ s; sBq s; sK s; sBk s; sV s; sBv s; sO s; sBo s; sU s; sBu s].
Lemma real_ge_1 z : (unity <= z)%Z -> 1 <= real z.
Proof. intros H. apply real_le in H. assert (P := one_pos). replace (real unity) with 1 in H by (unfold real; field; lra).
exact H. Qed.
Lemma tops_ge_1 : let T := tops_of in 1 <= tR T /\ 1 <= tQ T /\ 1 <= tBq T /\ 1 <= tK T /\ 1 <= tBk T /\ 1 <= tV T /\ 1 <= tBv
  T /\ 1 <= tO T /\ 1 <= tBo T /\ 1 <= tU T /\ 1 <= tBu T.
Proof. rewrite Forall_forall in Hone. cbn. repeat split; apply real_ge_1, Hone; cbn; tauto. Qed.

Variable M : model.
Hypothesis HMK : nK M = K.
Hypothesis HMd : nd M = d.
Hypothesis HMh : nh M = dh.
Notation S := (real (sScore s)). Notation size := (fun o => real (sSize s o)). Notation range := (fun o => real (sRange s o)).
Hypothesis HS : 0 <= S.
Lemma score_top_upper : upper z_score_top (score_top M tops_of) /\ 0 <= score_top M tops_of.
Proof.
  destruct tops_ge_1 as (T1 & T2 & T3 & T4 & T5 & _). unfold score_top, z_score_top. rewrite HMd, HMh.
  cbn [tR tQ tBq tK tBk tops_of] in *.
  assert (N := pos_INR d). assert (N' := pos_INR dh).
  assert (P : forall a b, 1 <= a -> 1 <= b -> 0 <= INR d * (real (sR s) * a) + b).
  { intros. apply Rplus_le_le_0_compat; [apply Rmult_le_pos; [auto|apply Rmult_le_pos; lra]|lra]. }
  split; [|apply Rmult_le_pos; [auto|apply Rmult_le_pos; auto]].
  apply upper_times, upper_mul; auto; apply upper_plus; auto using upper_real; apply upper_times, upper_mul;
    auto using upper_real; lra.
Qed.
Lemma logit_top_upper : upper z_logit_top (logit_top M tops_of) /\ 0 <= logit_top M tops_of.
Proof.
  destruct tops_ge_1 as (T1 & _ & _ & _ & _ & T6 & T7 & T8 & T9 & T10 & T11). unfold logit_top, z_logit_top.
  rewrite HMd, HMh, HMK.
  cbn [tR tV tBv tO tBo tU tBu tops_of] in *. assert (N := pos_INR d). assert (N' := pos_INR dh). assert (N'' := pos_INR K).
  assert (P : 0 <= INR d * (real (sR s) * real (sV s)) + real (sBv s)).
  { apply Rplus_le_le_0_compat; [apply Rmult_le_pos; [auto|apply Rmult_le_pos; lra]|lra]. }
  assert (P' : 0 <= INR K * (2 ^ 42 * (INR d * (real (sR s) * real (sV s)) + real (sBv s)))) by (apply Rmult_le_pos;
    [auto|apply Rmult_le_pos; [lra|auto]]).
  assert (P'' : 0 <= real (sR s) + INR dh * (INR K * (2 ^ 42 * (INR d * (real (sR s) * real (sV s)) + real (sBv s))) * real (sO
    s)) + real (sBo s)).
  { repeat apply Rplus_le_le_0_compat; try lra. apply Rmult_le_pos; auto. apply Rmult_le_pos; lra. }
  split; [|apply Rplus_le_le_0_compat; [apply Rmult_le_pos; [auto|apply Rmult_le_pos; lra]|lra]].
  apply upper_plus; auto using upper_real. apply upper_times, upper_mul; auto using upper_real; [lra|].
  repeat apply upper_plus; auto using upper_real. apply upper_times, upper_mul; auto using upper_real; [lra|].
  apply upper_times.
  replace (2 ^ 42)%R with (IZR (2 ^ 42)) by (simpl; lra). apply upper_scaled; [now apply Z.pow_nonneg|].
  apply upper_plus; auto using upper_real. apply upper_times, upper_mul; auto using upper_real; lra.
Qed.
Lemma score_error_upper : upper z_score_error (score_error F M tops_of S) /\ 0 <= score_error F M tops_of S.
Proof.
  destruct score_top_upper as [U P], underflow_ok as [[C _] C']. unfold score_error, z_score_error, z_off,
    ExecutionErrors.score_roundings.
  rewrite HMd, HMh. cbv zeta. destruct (growth_upper score_roundings 24) as [G G1]. split.
  - apply upper_plus; [apply upper_mul; auto using upper_minus_one, upper_real; lra|now apply lost_upper].
  - apply Rplus_le_le_0_compat; [apply Rmult_le_pos; lra|]. apply Rmult_le_pos; auto.
    apply Rmult_le_pos; [apply Rmult_le_pos; [apply pos_INR|lra]|lra].
Qed.
Lemma tilted_upper : upper z_tilted_by (tilted_by F M tops_of S) /\ 0 <= tilted_by F M tops_of S.
Proof.
  destruct score_error_upper as [U P], last_places_upper as [L L0]. unfold tilted_by, z_tilted_by.
  destruct (exponent_upper (2 * (sScore s + z_score_error)) (2 * (S + score_error F M tops_of S))) as [X X0]; [lra| |].
  { apply upper_scaled; [lia|]. apply upper_plus; auto using upper_real. }
  split; [apply upper_plus; [apply upper_plus|]; auto|lra].
Qed.
Hypothesis Hover : no_overflow = true.
Lemma in_range : growth F (ExecutionErrors.score_roundings M) 24 * score_top M tops_of <= limit F /\
  growth F 4 0 * (2 * (2 + 2 * (S + score_error F M tops_of S))) <= limit F /\ growth F (nK M) 0 * (INR (nK M) * 2 ^ 42) <=
    limit F /\
  growth F (ExecutionErrors.logit_roundings M) 24 * logit_top M tops_of <= limit F /\ sum_error F (nK M) <= / 2.
Proof.
  unfold no_overflow in Hover. repeat (apply andb_prop in Hover as [Hover ?]).
  repeat match goal with H : (_ <=? _)%Z = true |- _ => apply Z.leb_le in H end.
  destruct score_top_upper as [U1 P1], logit_top_upper as [U2 P2], score_error_upper as [U3 P3], sum_error_upper as [U4 P4].
  unfold ExecutionErrors.score_roundings, ExecutionErrors.logit_roundings. rewrite HMK, HMd, HMh.
  destruct (growth_upper score_roundings 24) as [G1 G1'], (growth_upper logit_roundings 24) as [G2 G2'], (growth_upper 4 0) as
    [G3 G3'], (growth_upper K 0) as [G4 G4'].
  assert (N := pos_INR K). repeat split.
  - apply (limit_ok (mul (z_growth score_roundings 24) z_score_top)%Z); [|assumption]. apply upper_mul; auto; lra.
  - apply (limit_ok (mul (z_growth 4 0) (2 * (2 * unity + 2 * (sScore s + z_score_error))))%Z); [|assumption].
    apply upper_mul; auto; try lra. apply upper_scaled; [lia|]. apply upper_plus.
    + replace 2 with (2 * 1) by ring. apply upper_scaled; [lia|apply upper_one].
    + apply upper_scaled; [lia|]. apply upper_plus; auto using upper_real.
  - apply (limit_ok (mul (z_growth K 0) (manifold K (2 ^ 42 * unity)))%Z); [|assumption]. apply upper_mul; auto; try lra.
    apply upper_times.
    replace (2 ^ 42) with (IZR (2 ^ 42) * 1) by (simpl; lra). apply upper_scaled; [now apply Z.pow_nonneg|apply upper_one].
  - apply (limit_ok (mul (z_growth logit_roundings 24) z_logit_top)%Z); [|assumption]. apply upper_mul; auto; lra.
  - unfold upper in U4. match goal with H : (2 * z_sum_error K <= unity)%Z |- _ => apply real_le in H; rename H into X end.
    replace (real unity) with 1 in X by (assert (O := one_pos); unfold real; field; lra). unfold real in X.
    rewrite mult_IZR in X. unfold real, Rdiv in *. lra.
Qed.
Lemma logit_error_upper o : 0 <= size o -> 0 <= range o -> upper (z_logit_error o) (logit_error F M tops_of S size range o).
Proof.
  intros H0 H1. destruct in_range as (_ & _ & _ & _ & Small). rewrite HMK in Small.
  destruct logit_top_upper as [U2 P2], tilted_upper as [U3 P3], sum_error_upper as [U4 P4].
  unfold logit_error, z_logit_error, ExecutionErrors.logit_roundings. cbv zeta. rewrite HMK, HMd, HMh.
  destruct (growth_upper logit_roundings 24) as [G G']. assert (O := one_pos).
  apply upper_plus; [apply upper_plus|now apply lost_upper].
  - assert (X := upper_mul _ _ _ _ P3 H1 U3 (upper_real (sRange s o))). unfold upper in *.
    set (z := mul z_tilted_by (sRange s o)) in *.
    assert (D := Z.mul_succ_div_gt z 2 ltac:(lia)). assert (D' : (z <= 2 * (z / 2 + 1))%Z) by lia. apply real_le in D'.
    unfold real in D' |- *. rewrite mult_IZR in D'. unfold real, Rdiv in *. lra.
  - assert (P5 : 0 < 1 - sum_error F K) by lra. assert (P6 : 1 <= / (1 - sum_error F K)) by (rewrite <- Rinv_1;
    apply Rinv_le_contravar; lra).
    apply upper_mul; auto using upper_real; [nra|]. apply upper_minus_one, upper_mul; auto; try lra.
    unfold no_overflow in Hover. repeat (apply andb_prop in Hover as [Hover ?]).
    match goal with H : (2 * _ <=? unity)%Z = true |- _ => apply Z.leb_le in H; rename H into X end.
    assert (One : (0 < unity)%Z) by reflexivity. assert (D := cdiv_ge (unity * unity) (unity - z_sum_error K) ltac:(lia)).
    rewrite mult_IZR, minus_IZR in D.
    unfold upper, real in *. set (k := IZR (cdiv _ _)) in *. assert (X' : 2 * IZR (z_sum_error K) <= IZR unity) by (apply
      IZR_le in X; rewrite mult_IZR in X; exact X).
    apply Rle_trans with (IZR unity / (IZR unity - IZR (z_sum_error K))).
    + replace (IZR unity / (IZR unity - IZR (z_sum_error K))) with (/ (1 - IZR (z_sum_error K) / IZR unity)) by (field; lra).
      apply Rinv_le_contravar; [|lra]. apply Rmult_lt_reg_r with (IZR unity); auto.
      replace ((1 - IZR (z_sum_error K) / IZR unity) * IZR unity) with (IZR unity - IZR (z_sum_error K)) by (field; lra). lra.
    + apply Rmult_le_reg_r with ((IZR unity - IZR (z_sum_error K)) * IZR unity); [apply Rmult_lt_0_compat; lra|].
      replace (IZR unity / (IZR unity - IZR (z_sum_error K)) * ((IZR unity - IZR (z_sum_error K)) * IZR unity)) with (IZR unity
        * IZR unity) by (field; lra).
      replace (k / IZR unity * ((IZR unity - IZR (z_sum_error K)) * IZR unity)) with (k * (IZR unity - IZR (z_sum_error K))) by
        (field; lra). exact D.
Qed.
End Format.
