(* From the weights of an attention-only transformer to a bound on how far executions in floating point are off.

   Sizes are what formulas give with absolute values of weights, and of the sums of a token and its position, the largest
   for any tokens. *)
From Coq Require Import Reals Lra Lia ZArith List Arith Bool FunctionalExtensionality.
From CompactProofs Require Import Semantics Counting Exponential PrefixChains Projected Tables Executions ExpressionErrors
  SoftmaxErrors ExecutionErrors UpperBounds.
Import ListNotations.
Open Scope Z_scope.

Definition memo3 (n k l : nat) (f : nat -> nat -> nat -> Z) : nat -> nat -> nat -> Z := memo1 n (fun i => memo2 k l (f i)).
Lemma memo3_id n k l f : memo3 n k l f = f.
Proof. unfold memo3. rewrite memo1_id. apply functional_extensionality; intros. apply memo2_id. Qed.

Section Weights.
Variable F : format.
Variables (V O K d dh : nat) (e mn md : Z).
Variables zWE zWP zWQ zWK zWV zWO zWU : nat -> nat -> Z.
Variables zbQ zbK zbV zbO zbU : nat -> Z.
Notation M := (real_model V O K d dh e mn md zWE zWP zWQ zWK zWV zWO zWU zbQ zbK zbV zbO zbU).

Definition spread (n : nat) (f : nat -> Z) : Z := let f := memo1 n f in zmax n f - zmin n f.
Definition top (n k : nat) (t : nat -> nat -> Z) : Z := Z.max unity (up e (zmax n (fun i => zmax k (t i)))).
(* In units of 2^-e, 2^-2e, 2^-3e or 2^-4e, for as many factors. *)
Definition sizes_of : sizes :=
  let residual := memo3 K V d (fun j t i => Z.abs (zWE t i + zWP j i)) in
  let last := residual (K - 1)%nat in
  let wq := memo2 dh d (fun h i => Z.abs (zWQ i h)) in
  let wk := memo2 dh d (fun h i => Z.abs (zWK i h)) in
  let wv := memo2 dh d (fun h i => Z.abs (zWV i h)) in
  let wo := memo2 d dh (fun i h => Z.abs (zWO h i)) in
  let wu := memo2 O d (fun o i => Z.abs (zWU i o)) in
  let read w b h := zmax K (fun j => zmax V (fun t => dot d (residual j t) (w h))) + Z.abs (b h) * 2 ^ e in
  let key := memo1 dh (read wk zbK) in
  let value := memo1 dh (read wv zbV) in
  let query q h := dot d (last q) (wq h) + Z.abs (zbQ h) * 2 ^ e in
  let attended := memo1 d (fun i => dot dh value (wo i) + Z.abs (zbO i) * 2 ^ (2 * e)) in
  let size o := zmax V (fun q => dot d (last q) (wu o)) * 2 ^ (2 * e) + dot d attended (wu o) + Z.abs (zbU o) * 2 ^ (3 * e) in
  let wou := memo2 O dh (fun o h => dot d (zWO h) (fun i => zWU i o)) in
  let valE := memo2 V dh (fun t h => dot d (zWE t) (fun i => zWV i h)) in
  let valP := memo2 K dh (fun j h => dot d (zWP j) (fun i => zWV i h)) in
  let range o := spread V (fun t => dot dh (valE t) (wou o)) + spread K (fun j => dot dh (valP j) (wou o)) in
  let absolute b := fun _ => fun h => Z.abs (b h) in
  Sizes (Z.max unity (up e (zmax K (fun j => zmax V (fun t => zmax d (residual j t)))))) (top dh d wq) (top 1 dh (absolute zbQ))
    (top dh d wk) (top 1 dh (absolute zbK)) (top dh d wv) (top 1 dh (absolute zbV)) (top d dh wo) (top 1 d (absolute zbO))
    (top O d wu) (top 1 O (absolute zbU))
    (mul (up (4 * e) (zmax V (fun q => dot dh (query q) key))) (root dh 256 + 1))
    (fun o => up (4 * e) (size o)) (fun o => up (4 * e) (range o)).
(* Nothing overflows, and the margin is at least twice the error of every logit. *)
Definition enough : bool :=
  usual F && (0 <? K)%nat && (0 <? dh)%nat && (0 <=? e) && (0 <? md) &&
  let s := sizes_of in
  no_overflow F K d dh s && let error := z_logit_error F K d dh s in forallb (fun o => 2 * error o * md <=? mn * unity) (seq 0
    O).

Notation E := (IZR (2 ^ e)).
Open Scope R_scope.
Hypothesis He : (0 <= e)%Z.
Hypothesis HK : (0 < K)%nat.
Hypothesis Hdh : (0 < dh)%nat.
Notation residual := (fun j t i => Z.abs (zWE t i + zWP j i)).
Notation zread w b h := (zmax K (fun j => zmax V (fun t => dot d (residual j t) (fun i => Z.abs (w i h)))) + Z.abs (b h) * 2 ^
  e)%Z.
Notation zkey := (fun h => zread zWK zbK h).
Notation zvalue := (fun h => zread zWV zbV h).
Notation zquery q := (fun h => dot d (residual (K - 1)%nat q) (fun i => Z.abs (zWQ i h)) + Z.abs (zbQ h) * 2 ^ e)%Z.
Notation zattended := (fun i => dot dh zvalue (fun h => Z.abs (zWO h i)) + Z.abs (zbO i) * 2 ^ (2 * e))%Z.
Notation zsize o := (zmax V (fun q => dot d (residual (K - 1)%nat q) (fun i => Z.abs (zWU i o))) * 2 ^ (2 * e)
  + dot d zattended (fun i => Z.abs (zWU i o)) + Z.abs (zbU o) * 2 ^ (3 * e))%Z.
Notation ztoken t o := (dot dh (fun h => dot d (zWE t) (fun i => zWV i h)) (fun h => dot d (zWO h) (fun i => zWU i o))).
Notation zposition j o := (dot dh (fun h => dot d (zWP j) (fun i => zWV i h)) (fun h => dot d (zWO h) (fun i => zWU i o))).
Notation zrange o := (spread V (fun t => ztoken t o) + spread K (fun j => zposition j o))%Z.

Lemma dot_abs n f g : (0 <= dot n (fun i => Z.abs (f i)) (fun i => Z.abs (g i)))%Z.
Proof. apply zsum_nonneg; intros. apply Z.mul_nonneg_nonneg; apply Z.abs_nonneg. Qed.
Lemma abs_rw z : Rabs (rw e z) = IZR (Z.abs z) * / E.
Proof.
  assert (EE := pw_pos e He). unfold rw, Rdiv. rewrite Rabs_mult, <- abs_IZR. f_equal. apply Rabs_pos_eq. left.
  now apply Rinv_0_lt_compat.
Qed.
Lemma abs_sum a b : Rabs (rw e a + rw e b) = IZR (Z.abs (a + b)) * / E.
Proof. rewrite <- abs_rw. f_equal. unfold rw. rewrite plus_IZR. field. assert (EE := pw_pos e He). lra. Qed.
Lemma E2 z : IZR z * / E = IZR (z * 2 ^ e) * (/ E * / E).
Proof. assert (EE := pw_pos e He). rewrite mult_IZR. field. lra. Qed.
Lemma read_le (w : nat -> nat -> Z) (b : nat -> Z) t j h : (t < V)%nat -> (j < K)%nat ->
  rsum d (fun i => Rabs (rw e (zWE t i) + rw e (zWP j i)) * Rabs (rw e (w i h))) + Rabs (rw e (b h)) <= IZR (zread w b h) * (/
    E * / E).
Proof.
  intros Ht Hj. assert (EE := pw_pos e He). rewrite (dot_real d _ _ (residual j t) (fun i => Z.abs (w i h)) (/ E) (/ E)) by
    (intros; auto using abs_rw, abs_sum).
  rewrite abs_rw, E2, <- Rmult_plus_distr_r, <- plus_IZR. apply Rmult_le_compat_r.
  - left. apply Rmult_lt_0_compat; now apply Rinv_0_lt_compat.
  - apply IZR_le. apply Z.add_le_mono_r. eapply Z.le_trans; [|exact (zmax_ge K (fun j => zmax V (fun t => dot d (residual j t)
    (fun i => Z.abs (w i h)))) j Hj)].
    exact (zmax_ge V (fun t => dot d (residual j t) (fun i => Z.abs (w i h))) t Ht).
Qed.
Lemma query_is q h : rsum d (fun i => Rabs (rw e (zWE q i) + rw e (zWP (K - 1)%nat i)) * Rabs (rw e (zWQ i h))) + Rabs (rw e
  (zbQ h)) = IZR (zquery q h) * (/ E * / E).
Proof.
  rewrite (dot_real d _ _ (residual (K - 1)%nat q) (fun i => Z.abs (zWQ i h)) (/ E) (/ E)) by (intros;
    auto using abs_rw, abs_sum).
  now rewrite abs_rw, E2, <- Rmult_plus_distr_r, <- plus_IZR.
Qed.
Lemma pw_4 : pw (4 * e) = E * E * E * E.
Proof. replace (4 * e)%Z with (e + e + e + e)%Z by lia. rewrite !pw_add by lia. ring. Qed.
Lemma pw_2 : pw (2 * e) = E * E.
Proof. replace (2 * e)%Z with (e + e)%Z by lia. now rewrite pw_add. Qed.
Lemma pw_3 : pw (3 * e) = E * E * E.
Proof. replace (3 * e)%Z with (e + e + e)%Z by lia. rewrite !pw_add by lia. ring. Qed.
Lemma score_le q : (q < V)%nat ->
  rsum dh (fun h => (rsum d (fun i => Rabs (rw e (zWE q i) + rw e (zWP (K - 1)%nat i)) * Rabs (rw e (zWQ i h))) + Rabs (rw e
    (zbQ h))) * (IZR (zkey h) * (/ E * / E))) / sqrt (INR dh)
  <= real (mul (up (4 * e) (zmax V (fun q => dot dh (zquery q) zkey))) (root dh 256 + 1)).
Proof.
  intros Hq. assert (EE := pw_pos e He). assert (R : 1 <= sqrt (INR dh)) by exact (root_dh M HK Hdh).
  rewrite (dot_real dh _ _ (zquery q) zkey (/ E * / E) (/ E * / E)) by (intros; auto using query_is).
  apply Rle_trans with (IZR (zmax V (fun q => dot dh (zquery q) zkey)) / pw (4 * e) * (1 / sqrt (INR dh))).
  - rewrite pw_4. unfold Rdiv. rewrite Rmult_1_l. apply Rmult_le_compat_r; [left; apply Rinv_0_lt_compat; simpl in R; lra|].
    replace (/ E * / E * (/ E * / E)) with (/ (E * E * E * E)) by (field; lra).
    apply Rmult_le_compat_r; [left; apply Rinv_0_lt_compat; repeat apply Rmult_lt_0_compat; auto|].
    apply IZR_le. exact (zmax_ge V (fun q => dot dh (zquery q) zkey) q Hq).
  - apply upper_mul.
    + apply Rmult_le_pos; [|left; apply Rinv_0_lt_compat, pw_pos; lia]. apply IZR_le.
      eapply Z.le_trans; [|exact (zmax_ge V (fun q => dot dh (zquery q) zkey) q Hq)]. apply zsum_nonneg; intros h Hh.
      apply Z.mul_nonneg_nonneg.
      * apply Z.add_nonneg_nonneg; [apply dot_abs|]. apply Z.mul_nonneg_nonneg; [lia|apply Z.pow_nonneg; lia].
      * apply Z.add_nonneg_nonneg; [|apply Z.mul_nonneg_nonneg; [lia|apply Z.pow_nonneg; lia]].
        eapply Z.le_trans; [|exact (zmax_ge K (fun j => zmax V (fun t => dot d (residual j t) (fun i => Z.abs (zWK i h)))) (K -
          1)%nat ltac:(lia))].
        eapply Z.le_trans; [|exact (zmax_ge V (fun t => dot d (residual (K - 1)%nat t) (fun i => Z.abs (zWK i h))) q Hq)].
        apply dot_abs.
    + apply Rmult_le_pos; [lra|]. left. apply Rinv_0_lt_compat. lra.
    + apply upper_up. lia.
    + destruct (root_ok dh 256 ltac:(lia) Hdh) as [_ U]. unfold upper, real. change (2 ^ 256)%Z with unity in U.
      assert (P := one_pos).
      apply Rmult_le_reg_r with (IZR unity); auto. replace (IZR (root dh 256 + 1) / IZR unity * IZR unity) with (IZR (root dh
        256 + 1)) by (field; lra).
      replace (1 / sqrt (INR dh) * IZR unity) with (IZR unity / sqrt (INR dh)) by (field; lra). exact U.
Qed.
Lemma size_le q o : (q < V)%nat ->
  rsum d (fun i => (Rabs (rw e (zWE q i) + rw e (zWP (K - 1)%nat i)) + rsum dh (fun h => IZR (zvalue h) * (/ E * / E) * Rabs
    (rw e (zWO h i))) + Rabs (rw e (zbO i)))
                   * Rabs (rw e (zWU i o))) + Rabs (rw e (zbU o)) <= real (up (4 * e) (zsize o)).
Proof.
  intros Hq. assert (EE := pw_pos e He). eapply Rle_trans; [|apply upper_up; lia].
  rewrite (rsum_ext d _ (fun i => Rabs (rw e (zWE q i) + rw e (zWP (K - 1)%nat i)) * Rabs (rw e (zWU i o)) + IZR (zattended i)
    * (/ E * / E * / E) * Rabs (rw e (zWU i o)))).
  - rewrite rsum_plus. rewrite (dot_real d _ _ (residual (K - 1)%nat q) (fun i => Z.abs (zWU i o)) (/ E) (/ E)) by (intros;
    auto using abs_rw, abs_sum).
    rewrite (dot_real d (fun i => IZR (zattended i) * (/ E * / E * / E)) _ zattended (fun i => Z.abs (zWU i o)) (/ E * / E * /
      E) (/ E)) by (intros; auto using abs_rw).
    rewrite abs_rw. rewrite pw_4, !plus_IZR, (mult_IZR (zmax V (fun q => dot d (residual (K - 1)%nat q) (fun i => Z.abs (zWU i
      o))))), (mult_IZR (Z.abs (zbU o))).
    assert (L := IZR_le _ _ (zmax_ge V (fun q => dot d (residual (K - 1)%nat q) (fun i => Z.abs (zWU i o))) q Hq)).
    cbv beta in L.
    set (a := IZR (dot d (residual (K - 1)%nat q) (fun i => Z.abs (zWU i o)))) in *.
    set (a' := IZR (zmax V (fun q => dot d (residual (K - 1)%nat q) (fun i => Z.abs (zWU i o))))) in *.
    set (b := IZR (dot d zattended (fun i => Z.abs (zWU i o)))). set (c := IZR (Z.abs (zbU o))). rewrite pw_2, pw_3.
    replace ((a' * (E * E) + b + c * (E * E * E)) / (E * E * E * E)) with (a' * (/ E * / E) + b * (/ E * / E * / E * / E) + c *
      / E) by (field; lra).
    assert (a * (/ E * / E) <= a' * (/ E * / E)).
    { apply Rmult_le_compat_r; auto. left. apply Rmult_lt_0_compat; now apply Rinv_0_lt_compat. }
    lra.
  - intros i Hi. rewrite <- Rmult_plus_distr_r. f_equal. rewrite Rplus_assoc. f_equal.
    rewrite (dot_real dh _ _ zvalue (fun h => Z.abs (zWO h i)) (/ E * / E) (/ E)) by (intros; auto using abs_rw).
    rewrite abs_rw, plus_IZR, (mult_IZR (Z.abs (zbO i))), pw_2. field. lra.
Qed.
Lemma spread_ok n f i : (i < n)%nat -> (zmin n f <= f i <= zmin n f + spread n f)%Z.
Proof. intros H. unfold spread. rewrite memo1_id. cbv zeta. assert (A := zmin_le n f i H). assert (B := zmax_ge n f i H). lia.
Qed.
Lemma spread_nonneg n f : (0 <= spread n f)%Z.
Proof.
  destruct n; [unfold spread; rewrite memo1_id; cbn; lia|]. assert (H := spread_ok (S n) f 0 ltac:(lia)). lia.
Qed.
Lemma range_le t j o : (t < V)%nat -> (j < K)%nat ->
  IZR (zmin V (fun t => ztoken t o) + zmin K (fun j => zposition j o)) / pw (4 * e) <= token_value M t o + position_value M j o
  <= IZR (zmin V (fun t => ztoken t o) + zmin K (fun j => zposition j o)) / pw (4 * e) + real (up (4 * e) (zrange o)).
Proof.
  intros Ht Hj. assert (EE := pw_pos e He). rewrite token_value_real, position_value_real by auto. rewrite pw_4.
  assert (A := spread_ok V (fun t => ztoken t o) t Ht). assert (B := spread_ok K (fun j => zposition j o) j Hj).
  cbv beta in A, B.
  assert (U := upper_up (4 * e) (zrange o) ltac:(lia)). unfold upper in U. rewrite pw_4 in U. set (D := E * E * E * E) in *.
  assert (D0 : 0 < / D) by (apply Rinv_0_lt_compat; unfold D; repeat apply Rmult_lt_0_compat; auto).
  set (x := ztoken t o) in *. set (y := zposition j o) in *. set (a := zmin V _) in *. set (b := zmin K _) in *.
  set (r := zrange o) in *.
  assert (L1 : (a + b <= x + y)%Z) by lia. assert (L2 : (x + y <= a + b + r)%Z) by (unfold r; lia). apply IZR_le in L1, L2.
  rewrite !plus_IZR in *.
  unfold Rdiv in *. split; [nra|]. apply Rle_trans with ((IZR a + IZR b) * / D + IZR r * / D); [nra|lra].
Qed.
Lemma top_ok n k t i j : (i < n)%nat -> (j < k)%nat -> IZR (t i j) * / E <= real (top n k t).
Proof.
  intros Hi Hj. assert (EE := pw_pos e He). assert (A := zmax_ge n (fun i => zmax k (t i)) i Hi).
  assert (B := zmax_ge k (t i) j Hj). cbv beta in A.
  eapply Rle_trans; [|apply real_le, Z.le_max_r]. eapply Rle_trans; [|apply upper_up; auto].
  apply Rmult_le_compat_r; [left; now apply Rinv_0_lt_compat|]. apply IZR_le. lia.
Qed.
Lemma top_residual t j i : (t < V)%nat -> (j < K)%nat -> (i < d)%nat ->
  IZR (residual j t i) * / E <= real (Z.max unity (up e (zmax K (fun j => zmax V (fun t => zmax d (residual j t)))))).
Proof.
  intros Ht Hj Hi. assert (EE := pw_pos e He). assert (A := zmax_ge K (fun j => zmax V (fun t => zmax d (residual j t))) j Hj).
  assert (B := zmax_ge V (fun t => zmax d (residual j t)) t Ht). assert (C := zmax_ge d (residual j t) i Hi).
  cbv beta in A, B, C.
  eapply Rle_trans; [|apply real_le, Z.le_max_r]. eapply Rle_trans; [|apply upper_up; auto].
  apply Rmult_le_compat_r; [left; now apply Rinv_0_lt_compat|]. apply IZR_le. lia.
Qed.

(* The bound, for the sizes of these weights. *)
Lemma error_ok x y o : usual F = true -> no_overflow F K d dh sizes_of = true -> length x = K -> Forall (fun t => (t < V)%nat)
  x -> (o < O)%nat ->
  execution F M x y -> Rabs (y o - logit M x o) <= real (z_logit_error F K d dh sizes_of o).
Proof.
  intros HF Hover Hl HV Ho Run. assert (EE := pw_pos e He). destruct (roundoff_ok F HF) as [[U1 U2] _], (operand_ok F HF) as
    [U3 _], (underflow_ok F HF) as [U4 _].
  assert (Hx : forall j, (j < K)%nat -> (nth j x 0 < V)%nat).
  { intros j Hj. rewrite Forall_forall in HV. apply HV, nth_In. lia. }
  unfold sizes_of in *. cbv zeta in *. rewrite ?memo1_id, ?memo2_id, ?memo3_id in *.
  match goal with |- _ <= real (z_logit_error F K d dh ?s o) => set (s0 := s) in * end.
  assert (One : Forall (fun z => (unity <= z)%Z) [sR s0; sQ s0; sBq s0; sK s0; sBk s0; sV s0; sBv s0; sO s0; sBo s0; sU s0;
    sBu s0]).
  { unfold s0. cbn [sR sQ sBq sK sBk sV sBv sO sBo sU sBu]. repeat constructor; apply Z.le_max_l. }
  assert (Score0 : 0 <= real (sScore s0)).
  { assert (L := Hx 0%nat HK). eapply Rle_trans; [|exact (score_le (nth 0 x 0%nat) L)].
    apply Rmult_le_pos; [|left; apply Rinv_0_lt_compat; assert (R := root_dh M HK Hdh); cbn [nh real_model] in R; lra].
    apply rsum_nonneg; intros h Hh. apply Rmult_le_pos.
    - apply Rplus_le_le_0_compat; [|apply Rabs_pos]. apply rsum_nonneg; intros. apply Rmult_le_pos; apply Rabs_pos.
    - eapply Rle_trans; [|exact (read_le zWK zbK (nth 0 x 0%nat) 0 h L HK)].
      apply Rplus_le_le_0_compat; [|apply Rabs_pos]. apply rsum_nonneg; intros. apply Rmult_le_pos; apply Rabs_pos. }
  assert (Size0 : 0 <= real (sSize s0 o)).
  { assert (L := Hx 0%nat HK). eapply Rle_trans; [|exact (size_le (nth 0 x 0%nat) o L)].
    apply Rplus_le_le_0_compat; [|apply Rabs_pos]. apply rsum_nonneg; intros i Hi. apply Rmult_le_pos; [|apply Rabs_pos].
    apply Rplus_le_le_0_compat; [|apply Rabs_pos]. apply Rplus_le_le_0_compat; [apply Rabs_pos|].
    apply rsum_nonneg; intros h Hh. apply Rmult_le_pos; [|apply Rabs_pos].
    eapply Rle_trans; [|exact (read_le zWV zbV (nth 0 x 0%nat) 0 h L HK)].
    apply Rplus_le_le_0_compat; [|apply Rabs_pos]. apply rsum_nonneg; intros. apply Rmult_le_pos; apply Rabs_pos. }
  assert (Range0 : 0 <= real (sRange s0 o)).
  { eapply Rle_trans; [|apply upper_up; lia]. apply Rmult_le_pos; [|left; apply Rinv_0_lt_compat, pw_pos; lia].
    apply IZR_le, Z.add_nonneg_nonneg; apply spread_nonneg. }
  destruct (in_range F K d dh s0 HF One M eq_refl eq_refl eq_refl Score0 Hover) as (L1 & L2 & L3 & L4 & L5).
  assert (Up := logit_error_upper F K d dh s0 HF One M eq_refl eq_refl eq_refl Score0 Hover o Size0 Range0).
  eapply Rle_trans; [|exact Up].
  apply (execution_near F M ltac:(lra) ltac:(lra) U3 U4 HK Hdh (tops_of s0) (tops_ge_1 s0 One)) with (key_size := fun h => IZR
    (zkey h) * (/ E * / E))
    (value_size := fun h => IZR (zvalue h) * (/ E * / E)) (low := fun o => IZR (zmin V (fun t => ztoken t o) + zmin K (fun j =>
      zposition j o)) / pw (4 * e)) (x := x); auto.
  - intros t j i Ht Hj Hi. cbn [WE WP real_model]. rewrite abs_sum. exact (top_residual t j i Ht Hj Hi).
  - intros i h Hi Hh. cbn [WQ WK WV WO real_model]. rewrite !abs_rw. repeat split;
    [exact (top_ok dh d (fun h i => Z.abs (zWQ i h)) h i Hh Hi)|exact (top_ok dh d (fun h i => Z.abs (zWK i h)) h i Hh Hi)
    |exact (top_ok dh d (fun h i => Z.abs (zWV i h)) h i Hh Hi)|exact (top_ok d dh (fun i h => Z.abs (zWO h i)) i h Hi Hh)].
  - intros h Hh. cbn [bQ bK bV real_model]. rewrite !abs_rw. assert (Z1 : (0 < 1)%nat) by lia. repeat split;
    [exact (top_ok 1 dh (fun _ h => Z.abs (zbQ h)) 0 h Z1 Hh)|exact (top_ok 1 dh (fun _ h => Z.abs (zbK h)) 0 h Z1 Hh)|exact
      (top_ok 1 dh (fun _ h => Z.abs (zbV h)) 0 h Z1 Hh)].
  - intros i Hi. cbn [bO real_model]. rewrite abs_rw. assert (Z1 : (0 < 1)%nat) by lia.
    exact (top_ok 1 d (fun _ i => Z.abs (zbO i)) 0 i Z1 Hi).
  - intros i o' Hi Ho'. cbn [WU real_model]. rewrite abs_rw. exact (top_ok O d (fun o i => Z.abs (zWU i o)) o' i Ho' Hi).
  - intros o' Ho'. cbn [bU real_model]. rewrite abs_rw. assert (Z1 : (0 < 1)%nat) by lia.
    exact (top_ok 1 O (fun _ o => Z.abs (zbU o)) 0 o' Z1 Ho').
  - intros t j h Ht Hj Hh. exact (read_le zWK zbK t j h Ht Hj).
  - intros t j h Ht Hj Hh. exact (read_le zWV zbV t j h Ht Hj).
  - intros q Hq. exact (score_le q Hq).
  - intros q o' Hq Ho'. exact (size_le q o' Hq).
  - intros t j o' Ht Hj Ho'. exact (range_le t j o' Ht Hj).
Qed.
Theorem lead_kept x y m : enough = true -> length x = K -> Forall (fun t => (t < V)%nat) x -> (m < O)%nat -> predicts M x m ->
  execution F M x y ->
  forall o, (o < O)%nat -> o <> m -> y o < y m.
Proof.
  intros En Hl HV Hm P Run o Ho N. unfold enough in En. cbv zeta in En. do 5 (apply andb_prop in En as [En ?]).
  match goal with H : (_ && _)%bool = true |- _ => apply andb_prop in H as [Over All] end.
  match goal with H : (0 <? md)%Z = true |- _ => apply Z.ltb_lt in H; rename H into Md end.
  assert (B : forall o, (o < O)%nat -> 2 * Rabs (y o - logit M x o) <= IZR mn / IZR md).
  { intros o' Ho'. assert (L : Rabs (y o' - logit M x o') <= real (z_logit_error F K d dh sizes_of o')) by (apply error_ok;
    auto).
    rewrite forallb_forall in All. specialize (All o' ltac:(apply in_seq; lia)). apply Z.leb_le, IZR_le in All.
    rewrite !mult_IZR in All.
    assert (D := IZR_lt _ _ Md). assert (P1 := one_pos). unfold real in L.
    apply Rle_trans with (2 * (IZR (z_logit_error F K d dh sizes_of o') / IZR unity)); [lra|].
    apply Rmult_le_reg_r with (IZR md * IZR unity); [now apply Rmult_lt_0_compat|].
    replace (2 * (IZR (z_logit_error F K d dh sizes_of o') / IZR unity) * (IZR md * IZR unity)) with (2 * IZR (z_logit_error F
      K d dh sizes_of o') * IZR md) by (field; lra).
    replace (IZR mn / IZR md * (IZR md * IZR unity)) with (IZR mn * IZR unity) by (field; lra). exact All. }
  assert (B1 := B o Ho). assert (B2 := B m Hm). specialize (P o Ho N). cbn [margin real_model] in P.
  assert (A1 := Rle_abs (y o - logit M x o)). assert (A2 := Rle_abs (- (y m - logit M x m))). rewrite Rabs_Ropp in A2. lra.
Qed.
End Weights.
