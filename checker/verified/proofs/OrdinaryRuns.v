(* Whether the definition of executions (Executions.v) is about what computers do. Flocq's rounding to nearest, with gradual
   underflow or with results flushed to zero, gives what an operation may give; rounding of any kind, so also cutting off,
   what a cast may. And the ordinary way to run a transformer, each dot product from its first term to its last, is an
   execution; so is real arithmetic. *)
From Coq Require Import Reals Lra Lia ZArith List Arith.
From Flocq Require Import Core Relative.
From CompactProofs Require Import Semantics Executions SoftmaxErrors.
Open Scope R_scope.

Section Rounding.
Variable F : format.
Notation least := (2 - largest_exponent F - significand F)%Z.
Lemma bpow_underflow : (1 <= largest_exponent F)%Z -> underflow F = bpow radix2 (1 - largest_exponent F).
Proof.
  intros H. unfold underflow. replace (1 - largest_exponent F)%Z with (- (largest_exponent F - 1))%Z by lia. rewrite bpow_opp.
  f_equal.
  apply (IZR_Zpower radix2). lia.
Qed.
Lemma underflow_pos : (1 <= largest_exponent F)%Z -> 0 < underflow F.
Proof. intros H. rewrite bpow_underflow by auto. apply bpow_gt_0. Qed.
Lemma small_off p r rnd (V : Valid_rnd rnd) x : (1 <= p)%Z -> (1 <= largest_exponent F)%Z -> 0 <= r -> Rabs x < bpow radix2 (1
  - largest_exponent F) ->
  off F r x (round radix2 (FLT_exp (2 - largest_exponent F - p) p) rnd x).
Proof.
  intros Hp HL Hr L. assert (P : Prec_gt_0 p) by (unfold Prec_gt_0; lia). set (y := round _ _ _ _).
  exists 0, (y - x). rewrite Rabs_R0. repeat split; [exact Hr| |ring].
  rewrite bpow_underflow by auto. eapply Rle_trans; [apply error_le_ulp; auto with typeclass_instances|].
  rewrite ulp_FLT_small; auto.
  - apply bpow_le. lia.
  - replace (2 - largest_exponent F - p + p)%Z with (2 - largest_exponent F)%Z by lia. eapply Rlt_le_trans; [exact L|].
    apply bpow_le. lia.
Qed.

Theorem to_nearest choice x : (1 <= significand F)%Z -> (1 <= largest_exponent F)%Z ->
  rounded F x (round radix2 (FLT_exp least (significand F)) (Znearest choice) x).
Proof.
  intros Hp HL _. assert (P : Prec_gt_0 (significand F)) by (unfold Prec_gt_0; lia).
  assert (E : roundoff F = / 2 * bpow radix2 (- significand F + 1)).
  { unfold roundoff. rewrite bpow_plus, (bpow_opp radix2 (significand F)). change (bpow radix2 1) with 2.
    rewrite (IZR_Zpower radix2) by lia. field.
    assert (B := bpow_gt_0 radix2 (significand F)). lra. }
  assert (U : 0 <= roundoff F) by (rewrite E; assert (B := bpow_gt_0 radix2 (- significand F + 1)); lra).
  destruct (Rlt_or_le (Rabs x) (bpow radix2 (1 - largest_exponent F))) as [L|L].
  - apply small_off; auto with typeclass_instances.
  - destruct (relative_error_N_FLT_ex radix2 least (significand F) P choice x) as (e & He & ->).
    { replace (least + significand F - 1)%Z with (1 - largest_exponent F)%Z by lia. exact L. }
    exists e, 0. rewrite E, Rabs_R0. repeat split; auto; [|ring]. left. now apply underflow_pos.
Qed.

(* Results smaller than all normal numbers flushed to zero. *)
Theorem to_nearest_flushed choice x : (1 <= significand F)%Z -> (1 <= largest_exponent F)%Z ->
  let y := round radix2 (FLT_exp least (significand F)) (Znearest choice) x in rounded F x (if Rlt_dec (Rabs y) (underflow F)
    then 0 else y).
Proof.
  intros Hp HL y. destruct (Rlt_dec (Rabs y) (underflow F)) as [L|L]; [|now apply to_nearest]. intros _.
  assert (P : Prec_gt_0 (significand F)) by (unfold Prec_gt_0; lia). exists 0, (- x). rewrite Rabs_R0, Rabs_Ropp. repeat split.
  - unfold roundoff. left. apply Rinv_0_lt_compat. apply IZR_lt. apply Z.pow_pos_nonneg; lia.
  - destruct (Rle_or_lt (Rabs x) (underflow F)) as [|G]; auto. exfalso. revert L. apply Rle_not_lt. unfold y.
    rewrite bpow_underflow in G |- * by auto.
    apply abs_round_ge_generic; auto with typeclass_instances; [|lra]. apply generic_format_bpow. unfold FLT_exp. lia.
  - ring.
Qed.

(* To n bits after the leading one, in any direction. *)
Theorem to_operand n rnd (V : Valid_rnd rnd) x : operand_significand F = Some n -> (0 <= n)%Z -> (1 <= largest_exponent F)%Z ->
  cast F x (round radix2 (FLT_exp (2 - largest_exponent F - (n + 1)) (n + 1)) rnd x).
Proof.
  intros Hn H0 HL _. assert (P : Prec_gt_0 (n + 1)) by (unfold Prec_gt_0; lia). unfold operand_roundoff. rewrite Hn.
  assert (E : / IZR (2 ^ n) = bpow radix2 (- (n + 1) + 1)).
  { replace (- (n + 1) + 1)%Z with (- n)%Z by lia. rewrite bpow_opp. f_equal. now apply (IZR_Zpower radix2). }
  rewrite E. assert (B := bpow_gt_0 radix2 (- (n + 1) + 1)). destruct (Rlt_or_le (Rabs x) (bpow radix2 (1 - largest_exponent
    F))) as [L|L].
  - apply small_off; auto; [lia|lra].
  - destruct (relative_error_FLT_ex radix2 (2 - largest_exponent F - (n + 1)) (n + 1) P rnd x) as (e & He & ->).
    { replace (2 - largest_exponent F - (n + 1) + (n + 1) - 1)%Z with (1 - largest_exponent F)%Z by lia. exact L. }
    exists e, 0. rewrite Rabs_R0. repeat split; [lra| |ring]. left. now apply underflow_pos.
Qed.
End Rounding.

(* The ordinary way. *)
Section Ordinary.
Variable F : format.
Variable M : model.
Variable x : list nat.
Notation K := (nK M). Notation d := (nd M). Notation dh := (nh M).
Hypothesis HK : (0 < K)%nat.
Hypothesis Hd : (0 < d)%nat.
Hypothesis Hdh : (0 < dh)%nat.
Hypothesis Hu : 0 <= roundoff F.
Hypothesis Hunderflow : 0 <= underflow F.
Variable rnd : R -> R.   (* what operations give *)
Hypothesis Hrnd : forall r, rounded F r (rnd r).
Variable fexp : R -> R.   (* exponentials *)
Hypothesis Hexp : forall z, off F (8 * roundoff F) (exp z) (fexp z).
Variable scale : R.
Hypothesis Hscale : exists e, Rabs e <= 3 * roundoff F /\ scale = / sqrt (INR dh) * (1 + e).
Variable shift : R.

Fixpoint added (n : nat) (f : nat -> R) : R := match n with O => f O | S k => rnd (added k f + f (S k)) end.
Definition dotted (n : nat) (a b : nat -> R) : R := added (n - 1) (fun i => rnd (a i * b i)).
Definition o_residual (j i : nat) : R := rnd (WE M (nth j x 0%nat) i + WP M j i).
Definition o_read (w : nat -> nat -> R) (b : nat -> R) (j h : nat) : R := rnd (dotted d (o_residual j) (fun i => w i h) + b h).
Definition o_score (j : nat) : R := rnd (dotted dh (o_read (WQ M) (bQ M) (K - 1)) (o_read (WK M) (bK M) j) * scale).
Definition o_exp (j : nat) : R := fexp (rnd (o_score j - shift)).
Definition o_sum : R := added (K - 1) o_exp.
Definition o_mixed (h : nat) : R := dotted K (fun j => rnd (o_exp j / o_sum)) (fun j => o_read (WV M) (bV M) j h).
Definition o_final (i : nat) : R := rnd (rnd (o_residual (K - 1) i + dotted dh o_mixed (fun h => WO M h i)) + bO M i).
Definition o_logit (o : nat) : R := rnd (dotted d o_final (fun i => WU M i o) + bU M o).

Section Expressions.
Variable Q : Type.
Variable own : Q -> nat.
Variable given : Q -> R -> Prop.
Fixpoint sum_e (n : nat) (f : nat -> expression Q) : expression Q := match n with O => f O | S k => Sum (sum_e k f) (f (S k))
  end.
Definition dot_e (n : nat) (a b : nat -> expression Q) : expression Q := sum_e (n - 1) (fun i => Product (a i) (b i)).
Lemma sum_value of n f : exact_value of (sum_e n f) = rsum (S n) (fun i => exact_value of (f i)).
Proof. induction n; cbn [sum_e exact_value rsum]; [ring|]. rewrite IHn. reflexivity. Qed.
Lemma dot_value of n a b : (0 < n)%nat -> exact_value of (dot_e n a b) = rsum n (fun i => exact_value of (a i) * exact_value of
  (b i)).
Proof. intros. unfold dot_e. rewrite sum_value. replace (S (n - 1)) with n by lia. reflexivity. Qed.
Lemma sum_roundings n f c : (forall i, (roundings own (f i) <= c)%nat) -> (roundings own (sum_e n f) <= c + n)%nat.
Proof. intros H. induction n; cbn [sum_e roundings]; [rewrite Nat.add_0_r; apply H|]. specialize (H (S n)). lia. Qed.
Lemma dot_roundings n a b p q : (0 < n)%nat -> (forall i, (roundings own (a i) <= p)%nat) -> (forall i, (roundings own (b i) <=
  q)%nat) ->
  (roundings own (dot_e n a b) <= p + q + n)%nat.
Proof.
  intros Hn A B. unfold dot_e. eapply Nat.le_trans; [apply (sum_roundings _ _ (S (p + q)))|lia]. intros i. cbn [roundings].
  specialize (A i). specialize (B i). lia.
Qed.
Lemma sum_casts n f : (forall i, casts (f i) = 0%nat) -> casts (sum_e n f) = 0%nat.
Proof. intros H. induction n; cbn [sum_e casts]; [apply H|]. now rewrite IHn, H. Qed.
Lemma dot_casts n a b : (forall i, casts (a i) = 0%nat) -> (forall i, casts (b i) = 0%nat) -> casts (dot_e n a b) = 0%nat.
Proof. intros A B. apply sum_casts. intros i. cbn [casts]. now rewrite A, B. Qed.
Lemma sum_run n f g : (forall i, (i <= n)%nat -> run F given (f i) (g i)) -> run F given (sum_e n f) (added n g).
Proof. induction n; intros H; cbn [sum_e added]; [apply H; lia|]. econstructor; [apply IHn; intros; apply H; lia|apply H;
  lia|apply Hrnd]. Qed.
Lemma dot_run n a b f g : (0 < n)%nat -> (forall i, (i < n)%nat -> run F given (a i) (f i)) -> (forall i, (i < n)%nat -> run F
  given (b i) (g i)) ->
  run F given (dot_e n a b) (dotted n f g).
Proof. intros Hn A B. apply sum_run. intros i Hi. econstructor; [apply A; lia|apply B; lia|apply Hrnd]. Qed.
End Expressions.
Arguments sum_e {Q}. Arguments dot_e {Q}.

Definition read_e (w : nat -> nat -> quantity) (b : nat -> quantity) (j h : nat) : expression quantity :=
  Sum (dot_e d (fun i => Given (Residual j i)) (fun i => Given (w i h))) (Given (b h)).
Lemma read_value of w b j h : exact_value of (read_e w b j h) = rsum d (fun i => of (Residual j i) * of (w i h)) + of (b h).
Proof. unfold read_e. cbn [exact_value]. now rewrite dot_value. Qed.
Lemma read_roundings w b j h : (forall i h, own (w i h) = 0%nat) -> (forall h, own (b h) = 0%nat) -> (roundings own (read_e w b
  j h) <= d + 2)%nat.
Proof.
  intros W B. unfold read_e. cbn [roundings]. rewrite B.
  assert (D := dot_roundings quantity own d (fun i => Given (Residual j i)) (fun i => Given (w i h)) 1 0 Hd ltac:(intros; cbn;
    lia) ltac:(intros; cbn; rewrite W; lia)). lia.
Qed.
Lemma read_casts w b j h : casts (read_e w b j h) = 0%nat.
Proof. unfold read_e. cbn [casts]. now rewrite dot_casts. Qed.
Lemma read_run (given : quantity -> R -> Prop) w b zw zb j h : (forall j i, given (Residual j i) (o_residual j i)) ->
  (forall i h, given (w i h) (zw i h)) -> (forall h, given (b h) (zb h)) -> run F given (read_e w b j h) (o_read zw zb j h).
Proof.
  intros G W B. eapply run_sum; [| |apply Hrnd].
  - apply dot_run; auto; intros; constructor; [apply G|apply W].
  - constructor. apply B.
Qed.

Lemma itself r : rounded F r r.
Proof. intros _. exists 0, 0. rewrite !Rabs_R0. repeat split; auto. ring. Qed.
Lemma residual_given w sum j i : attended F M x w sum (Residual j i) (o_residual j i).
Proof. apply Hrnd. Qed.

Definition score_e (j : nat) : expression quantity :=
  Product (dot_e dh (read_e Wq Bq (K - 1)) (read_e Wk Bk j)) (Product (Given Root) (Given Root)).
Lemma score_computed j : computes F own (stored F M x) (2 * d + dh + 12) 24 (score_formula M j) (o_score j).
Proof.
  exists (score_e j). split; [|split; [|split]].
  - intros of. unfold score_e, score_formula. cbn [exact_value]. rewrite dot_value by auto.
    rewrite (rsum_ext dh _ (fun h => (rsum d (fun i => of (Residual (K - 1) i) * of (Wq i h)) + of (Bq h)) * (rsum d (fun i =>
      of (Residual j i) * of (Wk i h)) + of (Bk h))))
      by (intros; now rewrite !read_value). ring.
  - unfold score_e. cbn [roundings own].
    assert (D := dot_roundings quantity own dh (read_e Wq Bq (K - 1)) (read_e Wk Bk j) (d + 2) (d + 2) Hdh ltac:(intros;
      now apply read_roundings) ltac:(intros; now apply read_roundings)). lia.
  - unfold score_e. cbn [casts]. rewrite dot_casts by (intros; apply read_casts). lia.
  - assert (S0 : 0 <= / sqrt (INR dh)) by (left; apply Rinv_0_lt_compat, sqrt_lt_R0, lt_0_INR; lia).
    destruct Hscale as (e & He & Es). eapply run_product; [| |apply Hrnd].
    { apply dot_run; auto; intros; apply read_run; intros; cbn [stored]; auto; apply Hrnd. }
    rewrite Es. eapply run_product with (x := sqrt (/ sqrt (INR dh)) * (1 + e)) (y := sqrt (/ sqrt (INR dh))).
    + constructor. exists e. auto.
    + constructor. exists 0. rewrite Rabs_R0. split; [lra|ring].
    + replace (sqrt (/ sqrt (INR dh)) * (1 + e) * sqrt (/ sqrt (INR dh))) with (sqrt (/ sqrt (INR dh)) * sqrt (/ sqrt (INR dh))
      * (1 + e)) by ring.
      rewrite sqrt_sqrt by auto. apply itself.
Qed.
Lemma exponential_computed j : exponential F (o_score j) shift (o_exp j).
Proof.
  exists false, (rnd (o_score j - shift)). split; [|apply Hexp]. exists (Sum (Given Score) (Given Shift)).
  repeat split; try (cbn; lia).
  eapply run_sum; [| |apply Hrnd]; constructor; reflexivity.
Qed.
Lemma sum_computed : computes F (fun _ => 1%nat) (fun j y => y = o_exp j) K 0 (rsum K) o_sum.
Proof.
  exists (sum_e (K - 1) Given). split; [|split; [|split]].
  - intros of. rewrite sum_value. replace (S (K - 1)) with K by lia. reflexivity.
  - eapply Nat.le_trans; [apply (sum_roundings _ _ _ _ 1); intros; cbn; lia|lia].
  - rewrite sum_casts; auto.
  - apply sum_run. intros. now constructor.
Qed.
Definition mixed_e (h : nat) : expression quantity := dot_e K (fun j => Product (Given (Exponential j)) (Given Reciprocal))
  (fun j => read_e Wv Bv j h).
Definition final_e (i : nat) : expression quantity :=
  Sum (Sum (Given (Residual (K - 1) i)) (dot_e dh mixed_e (fun h => Given (Wo h i)))) (Given (Bo i)).
Lemma logit_computed o : computes F own (attended F M x o_exp o_sum) (2 * d + dh + 2 * K + 12) 24 (logit_formula M o) (o_logit
  o).
Proof.
  assert (RM : forall h, (roundings own (mixed_e h) <= d + K + 5)%nat).
  { intros h. eapply Nat.le_trans; [apply (dot_roundings _ _ _ _ _ 3 (d + 2)); auto; intros; now apply read_roundings|lia]. }
  assert (RF : forall i, (roundings own (final_e i) <= d + K + dh + 7)%nat).
  { intros i. unfold final_e. cbn [roundings own]. assert (D := dot_roundings quantity own dh mixed_e (fun h => Given (Wo h i))
    _ 0 Hdh RM ltac:(intros; cbn; lia)). lia. }
  assert (CM : forall h, casts (mixed_e h) = 0%nat) by (intros; apply dot_casts; intros; [reflexivity|apply read_casts]).
  assert (CF : forall i, casts (final_e i) = 0%nat) by (intros i; unfold final_e; cbn [casts]; now rewrite dot_casts).
  exists (Sum (dot_e d final_e (fun i => Given (Wu i o))) (Given (Bu o))). split; [|split; [|split]].
  - intros of. unfold logit_formula. cbn [exact_value]. rewrite dot_value by auto. f_equal. apply rsum_ext; intros i _.
    unfold final_e. cbn [exact_value].
    rewrite dot_value by auto. do 3 f_equal. apply rsum_ext; intros h _. unfold mixed_e. rewrite dot_value by auto.
    cbn [exact_value]. f_equal.
    apply rsum_ext; intros j _. now rewrite read_value.
  - cbn [roundings own]. assert (D := dot_roundings quantity own d final_e (fun i => Given (Wu i o)) _ 0 Hd RF ltac:(intros;
    cbn; lia)). lia.
  - cbn [casts]. rewrite dot_casts; auto. lia.
  - eapply run_sum; [| |apply Hrnd]; [|constructor; reflexivity]. apply dot_run; auto; [|intros; constructor; reflexivity].
    intros i Hi.
    eapply run_sum; [| |apply Hrnd]; [|constructor; reflexivity]. eapply run_sum; [| |apply Hrnd]; [constructor;
      apply residual_given|].
    apply dot_run; auto; [|intros; constructor; reflexivity]. intros h Hh. apply dot_run; auto.
    + intros j Hj. eapply run_product; [| |apply Hrnd]; constructor; [reflexivity|left; reflexivity].
    + intros j Hj. apply read_run; try reflexivity. intros; apply residual_given.
Qed.

Theorem ordinary_execution : shift = 0 \/ (exists j, (j < K)%nat /\ Rabs shift <= Rabs (o_score j)) ->
  (forall j, (j < K)%nat -> Rabs (o_exp j) <= 2 ^ 41) -> / 2 ^ 40 <= o_sum <= 2 ^ 40 -> execution F M x o_logit.
Proof.
  intros Hs He Hsum. exists o_score, o_exp, shift, o_sum.
  repeat split; auto using score_computed, exponential_computed, sum_computed, logit_computed; apply Hsum.
Qed.
End Ordinary.

(* In float32, rounded to the nearest number, ties in any way. *)
Theorem ordinary_float32_execution M x choice fexp scale shift :
  let nearest := round radix2 (FLT_exp (-149) 24) (Znearest choice) in
  (0 < nK M)%nat -> (0 < nd M)%nat -> (0 < nh M)%nat -> (forall z, off float32 (8 * roundoff float32) (exp z) (fexp z)) ->
  (exists e, Rabs e <= 3 * roundoff float32 /\ scale = / sqrt (INR (nh M)) * (1 + e)) ->
  shift = 0 \/ (exists j, (j < nK M)%nat /\ Rabs shift <= Rabs (o_score M x nearest scale j)) ->
  (forall j, (j < nK M)%nat -> Rabs (o_exp M x nearest fexp scale shift j) <= 2 ^ 41) ->
  / 2 ^ 40 <= o_sum M x nearest fexp scale shift <= 2 ^ 40 ->
  execution float32 M x (o_logit M x nearest fexp scale shift).
Proof.
  intros nearest HK Hd Hdh He Hs Hm Hw Hsum. apply ordinary_execution; auto.
  - unfold roundoff. left. apply Rinv_0_lt_compat. apply IZR_lt. reflexivity.
  - left. apply underflow_pos. cbn. lia.
  - intros r. exact (to_nearest float32 choice r ltac:(cbn; lia) ltac:(cbn; lia)).
Qed.

(* Without any rounding. *)
Theorem real_execution F M x : (0 < nK M)%nat -> (0 < nd M)%nat -> (0 < nh M)%nat -> 0 <= roundoff F -> 0 <= underflow F -> INR
  (nK M) <= 2 ^ 40 ->
  execution F M x (logit M x).
Proof.
  intros HK Hd Hdh Hu Ht HK40. set (id := fun r : R => r).
  assert (A : forall n f, added id n f = rsum (S n) f) by (induction n; intros f; cbn [added]; unfold id in *; [cbn;
    ring|rewrite IHn; reflexivity]).
  assert (D : forall n a b, (0 < n)%nat -> dotted id n a b = rsum n (fun i => a i * b i)).
  { intros n a b Hn. unfold dotted. rewrite A. replace (S (n - 1)) with n by lia. reflexivity. }
  assert (Read : forall w b j h, o_read M x id w b j h = rsum (nd M) (fun i => emb M x j i * w i h) + b h).
  { intros. unfold o_read. rewrite D by auto. reflexivity. }
  assert (Score : forall j, o_score M x id (/ sqrt (INR (nh M))) j = score M x j).
  { intros j. unfold o_score, score. rewrite D by auto. unfold id at 1, Rdiv. f_equal. apply rsum_ext; intros. rewrite !Read.
    reflexivity. }
  assert (Most : forall n, (0 < n)%nat -> exists k, (k < n)%nat /\ forall j, (j < n)%nat -> score M x j <= score M x k).
  { induction n; intros Hn; [lia|]. destruct (Nat.eq_dec n 0) as [->|N]; [exists 0%nat; split; [lia|intros j Hj;
    replace j with 0%nat by lia; lra]|].
    destruct (IHn ltac:(lia)) as (k & Hk & L). destruct (Rle_dec (score M x n) (score M x k)) as [C|C].
    - exists k. split; [lia|]. intros j Hj. destruct (Nat.eq_dec j n) as [->|]; auto. apply L. lia.
    - exists n. split; [lia|]. intros j Hj. destruct (Nat.eq_dec j n) as [->|]; [lra|]. specialize (L j ltac:(lia)). lra. }
  destruct (Most (nK M) HK) as (k & Hk & Top). set (m := score M x k).
  assert (Exp : forall j, o_exp M x id exp (/ sqrt (INR (nh M))) m j = exp (score M x j - m)) by (intros; unfold o_exp;
    rewrite Score; reflexivity).
  assert (Sum : o_sum M x id exp (/ sqrt (INR (nh M))) m = rsum (nK M) (fun j => exp (score M x j - m))).
  { unfold o_sum. rewrite A. replace (S (nK M - 1)) with (nK M) by lia. apply rsum_ext; intros; apply Exp. }
  assert (E1 : forall j, (j < nK M)%nat -> 0 < exp (score M x j - m) <= 1).
  { intros j Hj. split; [apply exp_pos|]. rewrite <- exp_0. apply exp_between_mono. specialize (Top j Hj). unfold m. lra. }
  replace (logit M x) with (o_logit M x id exp (/ sqrt (INR (nh M))) m).
  - apply ordinary_execution; auto.
    + intros r _. exists 0, 0. rewrite !Rabs_R0. repeat split; auto. unfold id. ring.
    + intros z. exists 0, 0. rewrite !Rabs_R0. repeat split; [lra|auto|ring].
    + exists 0. rewrite Rabs_R0. split; [lra|ring].
    + right. exists k. rewrite Score. split; auto. apply Rle_refl.
    + intros j Hj. rewrite Exp. destruct (E1 j Hj). rewrite Rabs_pos_eq by lra. lra.
    + rewrite Sum. split.
      * apply Rle_trans with (exp (score M x k - m)); [unfold m; rewrite Rminus_diag_eq, exp_0 by reflexivity;
        rewrite <- Rinv_1; apply Rinv_le_contravar; lra|].
        clear - Hk. revert Hk. generalize (nK M). induction n; intros Hk; [lia|]. cbn [rsum].
        assert (P := exp_pos (score M x n - m)).
        assert (Q : 0 <= rsum n (fun j => exp (score M x j - m))) by (apply rsum_nonneg; intros; left; apply exp_pos).
        destruct (Nat.eq_dec k n) as [->|N]; [lra|]. specialize (IHn ltac:(lia)). lra.
      * apply Rle_trans with (INR (nK M) * 1); [|lra]. rewrite <- rsum_const. apply rsum_le. intros j Hj. now apply E1.
  - apply FunctionalExtensionality.functional_extensionality; intros o. unfold o_logit, logit. rewrite D by auto.
    unfold id at 1. f_equal.
    apply rsum_ext; intros i _. f_equal. unfold o_final, residual, o_residual. rewrite D by auto. unfold id at 1 2 3. f_equal.
    f_equal.
    apply rsum_ext; intros h _. f_equal. unfold o_mixed. rewrite D by auto. apply rsum_ext; intros j _. rewrite Read. f_equal.
    unfold id at 1. rewrite Exp, Sum. unfold attention.
    rewrite (rsum_ext (nK M) (fun j => exp (score M x j - m)) (fun j => exp (- m) * exp (score M x j))) by (intros;
      rewrite <- exp_plus; f_equal; ring).
    rewrite rsum_scal. replace (score M x j - m) with (- m + score M x j) by ring. rewrite exp_plus.
    assert (P := exp_pos (- m)). assert (Z : 0 < rsum (nK M) (fun i => exp (score M x i))) by (apply rsum_pos; auto; intros;
      apply exp_pos). field. lra.
Qed.
