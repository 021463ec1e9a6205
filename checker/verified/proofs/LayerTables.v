(* Rule hidden-tables for both architectures: tables of integers from integer weights, and that they are a multiple of the
   logits. *)
From Coq Require Import Reals Lra Lia ZArith List Arith Bool.
From CompactProofs Require Import Semantics Counting Exponential PrefixChains Tables TwoInputs ListSums MatrixProduct HiddenLayer.
Import ListNotations.
Open Scope R_scope.

Lemma up_dot n (a b : nat -> Z) A B x y : (forall i, (i < n)%nat -> IZR (a i) = x * A i) -> (forall i,
  (i < n)%nat -> IZR (b i) = y * B i) ->
  IZR (zsum n (fun i => (a i * b i)%Z)) = x * y * rsum n (fun i => A i * B i).
Proof.
  intros HA HB. rewrite <- rsum_IZR, <- rsum_scal. apply rsum_ext; intros i Hi. rewrite mult_IZR, HA, HB by auto. ring.
Qed.
Lemma up_sum n (f : nat -> Z) F x : (forall i, (i < n)%nat -> IZR (f i) = x * F i) -> IZR (zsum n f) = x * rsum n F.
Proof. intros A. rewrite <- rsum_IZR, <- rsum_scal. apply rsum_ext; auto. Qed.
Lemma up_relu z x c : 0 <= c -> IZR z = c * x -> IZR (Z.max 0 z) = c * relu x.
Proof.
  intros C E. unfold relu. destruct (Z.max_spec 0 z) as [[L ->]|[L ->]].
  - apply IZR_lt in L. rewrite E in *. rewrite Rmax_right; [reflexivity|]. destruct (Rle_dec 0 x); auto. nra.
  - apply IZR_le in L. rewrite E in L. destruct (Rle_dec x 0).
    + rewrite Rmax_left by auto. lra.
    + assert (c = 0) by nra. subst. lra.
Qed.
Lemma relu_scal c x : 0 <= c -> relu (c * x) = c * relu x.
Proof.
  intros C. unfold relu. destruct (Rle_dec 0 x).
  - rewrite !Rmax_right; nra.
  - rewrite !Rmax_left; nra.
Qed.

(* A difference above a rounded margin is above the margin. *)
Lemma need_ok (mn md s x : Z) : (0 < md)%Z -> (mn * s / md < x)%Z -> IZR mn / IZR md * IZR s < IZR x.
Proof.
  intros D L. assert (U := Z.mul_succ_div_gt (mn * s) md D). apply IZR_lt in U. rewrite !mult_IZR, succ_IZR in U.
  assert (P := IZR_lt _ _ D). assert (X : IZR (mn * s / md) + 1 <= IZR x) by (rewrite <- plus_IZR; apply IZR_le; lia).
  apply Rmult_lt_reg_l with (IZR md); auto. replace (IZR md * (IZR mn / IZR md * IZR s)) with (IZR mn * IZR s) by (field; lra).
  nra.
Qed.

(* Weights are z 2^-e; each matrix has an e of its own, the less digits there are the faster. *)
Section Mlp.
Variables (m : nat) (e u mn md : Z).
Variables zL zR : nat -> nat -> Z.
Variable zbin : nat -> Z.
Variable zWU : nat -> nat -> Z.
Variable zbU : nat -> Z.
Definition mlp_tables : hidden := Hidden zL zR zbin zWU None zbU (mn * 2 ^ (e + u) / md)%Z.

Variables L R' : nat -> nat -> R.
Variable bin : nat -> R.
Variable WU : nat -> nat -> R.
Variable bU : nat -> R.
Notation E := (IZR (2 ^ e)).
Notation U := (IZR (2 ^ u)).
Hypothesis He : (0 <= e)%Z.
Hypothesis hL : forall i j, IZR (zL i j) = E * L i j.
Hypothesis hR : forall i j, IZR (zR i j) = E * R' i j.
Hypothesis hbin : forall i, IZR (zbin i) = E * bin i.
Hypothesis hWU : forall i j, IZR (zWU i j) = U * WU i j.
Hypothesis hbU : forall i, IZR (zbU i) = E * U * bU i.
Lemma mlp_value a b z : IZR (value m mlp_tables a b z) = E * U * mlp_logit m L R' bin WU bU a b z.
Proof.
  assert (P : 0 < E) by (apply IZR_lt, Z.pow_pos_nonneg; lia).
  unfold value, rest, directly, mlp_logit. cbn [mlp_tables left right shift unembed direct constant].
  rewrite lsum_seq, !plus_IZR, hbU.
  rewrite (up_dot m _ _ (fun i => relu (L a i + R' b i + bin i)) (fun i => WU i z) E U); [ring| |auto].
  intros i _. unfold active. cbn [mlp_tables left right shift]. apply up_relu; [lra|]. rewrite !plus_IZR, hL, hR, hbin. ring.
Qed.
End Mlp.

Section Uniform.
Variables n d dh H m O : nat.
Variables e v o r w u mn md : Z.   (* of embeddings, W_V, W_O, W_in, W_out, W_U *)
Variables zWE zWP : nat -> nat -> Z.
Variable zWV : nat -> nat -> nat -> Z.
Variable zbV : nat -> nat -> Z.
Variable zWO : nat -> nat -> nat -> Z.
Variable zbO : nat -> Z.
Variable zWin : nat -> nat -> Z.
Variable zbin : nat -> Z.
Variable zWout : nat -> nat -> Z.
Variable zbout : nat -> Z.
Variable zWU : nat -> nat -> Z.
Variable zbU : nat -> Z.

Open Scope Z_scope.
(* What the heads make of rows of the residual stream, three times the mean; and of their biases. *)
Definition carried (k : nat) (rows : nat -> nat -> Z) : nat -> nat -> Z :=
  let heads := memo1 H (fun h => matrix_product k dh d (matrix_product k d dh rows (zWV h)) (zWO h)) in
  memo2 k d (fun a i => zsum H (fun h => heads h a i)).
Definition carried_bias (i : nat) : Z := zsum H (fun h => zsum dh (fun k => zbV h k * zWO h k i)).
(* Three times the residual stream is inside a + inside b + always. *)
Definition always : nat -> Z :=
  let fixed := carried 1 (fun _ i => zWP 0%nat i + zWP 1%nat i + zWP 2%nat i + zWE n i) 0%nat in
  memo1 d (fun i => 3 * (zWE n i + zWP 2%nat i) * 2 ^ (v + o) + 3 * zbO i + 3 * carried_bias i + fixed i).
Definition uniform_tables : hidden :=
  let inside := carried n zWE in
  let once := always in
  let left := memo2 n m (matrix_product n d m inside zWin) in
  let known := matrix_product 1 d m (fun _ => once) zWin 0%nat in
  let shift := memo1 m (fun j => known j + 3 * zbin j) in
  let unembed := memo2 m O (matrix_product m d O zWout zWU) in
  let through := matrix_product n d O inside zWU in
  let direct := memo2 n O (fun a z => through a z * 2 ^ (r + w)) in
  let constant := memo1 O (fun z => (zsum d (fun i => (once i + 3 * zbout i) * zWU i z) + 3 * zbU z) * 2 ^ (r + w)) in
  Hidden left left shift unembed (Some direct) constant (mn * (3 * 2 ^ (e + v + o + r + w + u)) / md).
Open Scope R_scope.

Variables WE WP : nat -> nat -> R.
Variable WV : nat -> nat -> nat -> R.
Variable bV : nat -> nat -> R.
Variable WO : nat -> nat -> nat -> R.
Variable bO : nat -> R.
Variable Win : nat -> nat -> R.
Variable bin : nat -> R.
Variable Wout : nat -> nat -> R.
Variable bout : nat -> R.
Variable WU : nat -> nat -> R.
Variable bU : nat -> R.
Notation stream := (stream n d dh H WE WP WV bV WO bO).
Notation uniform_logit := (uniform_logit n d dh H m WE WP WV bV WO bO Win bin Wout bout WU bU).
Notation hidden_unit := (hidden_unit n d dh H WE WP WV bV WO bO Win bin).

Definition carry (row : nat -> R) (i : nat) : R := rsum H (fun h => rsum dh (fun k => rsum d
  (fun i' => row i' * WV h i' k) * WO h k i)).
Definition fixed_part (i : nat) : R :=
  3 * (WE n i + WP 2%nat i + bO i) + 3 * rsum H (fun h => rsum dh (fun k => bV h k * WO h k i))
  + carry (fun i => WP 0%nat i + WP 1%nat i + WP 2%nat i + WE n i) i.
Lemma stream_parts a b i : 3 * stream a b i = carry (WE a) i + carry (WE b) i + fixed_part i.
Proof.
  unfold stream, fixed_part.
  enough (X : 3 * rsum H (fun h => rsum dh (fun k => read n d WE WP WV bV a b h k * WO h k i)) =
    carry (WE a) i + carry (WE b) i + carry (fun i => WP 0%nat i + WP 1%nat i + WP 2%nat i + WE n i) i
    + 3 * rsum H (fun h => rsum dh (fun k => bV h k * WO h k i))) by lra.
  unfold carry. rewrite <- !rsum_scal, <- !rsum_plus. apply rsum_ext; intros h _. rewrite <- !rsum_scal, <- !rsum_plus.
  apply rsum_ext; intros k _.
  assert (X : 3 * (read n d WE WP WV bV a b h k) = rsum d (fun i' => WE a i' * WV h i' k) + rsum d
    (fun i' => WE b i' * WV h i' k)
    + rsum d (fun i' => (WP 0%nat i' + WP 1%nat i' + WP 2%nat i' + WE n i') * WV h i' k) + 3 * bV h k).
  { unfold read. cbn [rsum token nth]. rewrite <- !rsum_plus.
    transitivity (rsum d (fun i => (WE a i + WP 0%nat i) * WV h i k) + rsum d (fun i => (WE b i + WP 1%nat i) * WV h i k)
      + rsum d (fun i => (WE n i + WP 2%nat i) * WV h i k) + 3 * bV h k); [field|]. rewrite <- !rsum_plus. f_equal.
        apply rsum_ext; intros; ring. }
  rewrite <- Rmult_assoc, X. ring.
Qed.
Lemma logit_parts a b z : 3 * uniform_logit a b z =
  rsum m (fun j => relu (rsum d (fun i => 3 * stream a b i * Win i j) + 3 * bin j) * rsum d (fun i => Wout j i * WU i z))
  + rsum d (fun i => (3 * stream a b i + 3 * bout i) * WU i z) + 3 * bU z.
Proof.
  assert (Y : rsum m (fun j => relu (rsum d (fun i => 3 * stream a b i * Win i j) + 3 * bin j) * rsum d
    (fun i => Wout j i * WU i z))
    = 3 * rsum d (fun i => rsum m (fun j => hidden_unit a b j * Wout j i) * WU i z)).
  { rewrite <- (rsum_scal d 3). erewrite (rsum_ext d) by (intros i _; rewrite <- rsum_scal_r, <- rsum_scal; reflexivity).
    rewrite rsum_swap. apply rsum_ext; intros j _. rewrite <- rsum_scal. apply rsum_ext; intros i _. unfold hidden_unit.
    replace (rsum d (fun i0 => 3 * stream a b i0 * Win i0 j) + 3 * bin j) with (3 * (rsum d
      (fun i0 => stream a b i0 * Win i0 j) + bin j)).
    - rewrite relu_scal by lra. ring.
    - rewrite Rmult_plus_distr_l, <- rsum_scal. f_equal. apply rsum_ext; intros; ring. }
  rewrite Y. unfold uniform_logit. rewrite Rmult_plus_distr_l. f_equal. rewrite <- !rsum_scal, <- rsum_plus.
  apply rsum_ext; intros; ring.
Qed.

Notation E := (IZR (2 ^ e)).
Notation V := (IZR (2 ^ v)).
Notation Out := (IZR (2 ^ o)).
Notation In_ := (IZR (2 ^ r)).
Notation W := (IZR (2 ^ w)).
Notation U := (IZR (2 ^ u)).
Hypothesis Hv : (0 <= v)%Z.
Hypothesis Ho : (0 <= o)%Z.
Hypothesis Hr : (0 <= r)%Z.
Hypothesis Hw : (0 <= w)%Z.
Hypothesis He : (0 <= e)%Z.
Hypothesis hWE : forall i j, IZR (zWE i j) = E * WE i j.
Hypothesis hWP : forall i j, IZR (zWP i j) = E * WP i j.
Hypothesis hWV : forall h i j, IZR (zWV h i j) = V * WV h i j.
Hypothesis hbV : forall i j, IZR (zbV i j) = E * V * bV i j.
Hypothesis hWO : forall h i j, IZR (zWO h i j) = Out * WO h i j.
Hypothesis hbO : forall i, IZR (zbO i) = E * V * Out * bO i.
Hypothesis hWin : forall i j, IZR (zWin i j) = In_ * Win i j.
Hypothesis hbin : forall i, IZR (zbin i) = E * V * Out * In_ * bin i.
Hypothesis hWout : forall i j, IZR (zWout i j) = W * Wout i j.
Hypothesis hbout : forall i, IZR (zbout i) = E * V * Out * bout i.
Hypothesis hWU : forall i j, IZR (zWU i j) = U * WU i j.
Hypothesis hbU : forall i, IZR (zbU i) = E * V * Out * U * bU i.

Lemma carried_value k rows Row a i : (forall i, IZR (rows a i) = E * Row i) -> IZR
  (carried k rows a i) = E * V * Out * carry Row i.
Proof.
  intros A. unfold carried, carry. cbv zeta. rewrite memo2_eq. apply up_sum; intros h _. rewrite memo1_eq, matrix_product_eq.
  rewrite (up_dot dh _ _ (fun k => rsum d (fun i' => Row i' * WV h i' k)) (fun k => WO h k i) (E * V) Out); [ring| |auto].
  intros j _. rewrite matrix_product_eq. apply up_dot; auto.
Qed.
Lemma always_value i : IZR (always i) = E * V * Out * fixed_part i.
Proof.
  unfold always, fixed_part. cbv zeta. rewrite memo1_eq, !plus_IZR, !mult_IZR, !plus_IZR, hWE, hWP, hbO.
  rewrite (carried_value _ _ (fun i => WP 0%nat i + WP 1%nat i + WP 2%nat i + WE n i))
    by (intros; rewrite !plus_IZR, !hWP, hWE; ring).
  unfold carried_bias. rewrite (up_sum H _ (fun h => rsum dh (fun k => bV h k * WO h k i)) (E * V * Out)) by (intros;
    now apply up_dot).
  rewrite Z.pow_add_r, mult_IZR by lia. ring.
Qed.
Lemma uniform_value a b z : IZR (value m uniform_tables a b z) = E * V * Out * In_ * W * U * 3 * uniform_logit a b z.
Proof.
  assert (pos := pw_pos).
  assert (RW : IZR (2 ^ (r + w)) = In_ * W) by now rewrite Z.pow_add_r, mult_IZR by lia.
  assert (P4 : 0 <= E * V * Out * In_) by (repeat apply Rmult_le_pos; apply Rlt_le; auto).
  rewrite (Rmult_assoc _ 3), logit_parts. unfold value, rest, directly, uniform_tables.
  cbn [left right shift unembed direct constant]. cbv zeta. rewrite lsum_seq, !plus_IZR.
  rewrite (up_dot m _ _ (fun j => relu (rsum d (fun i => 3 * stream a b i * Win i j) + 3 * bin j))
    (fun j => rsum d (fun i => Wout j i * WU i z)) (E * V * Out * In_) (W * U)).
  - rewrite !memo2_eq, !memo1_eq, !matrix_product_eq, !mult_IZR, !plus_IZR, !mult_IZR, hbU, RW.
    rewrite (up_dot d (carried n zWE a) _ (carry (WE a)) (fun i => WU i z) (E * V * Out) U);
      [|intros; now apply carried_value|auto].
    rewrite (up_dot d (carried n zWE b) _ (carry (WE b)) (fun i => WU i z) (E * V * Out) U);
      [|intros; now apply carried_value|auto].
    rewrite (up_dot d (fun i => always i + 3 * zbout i)%Z _ (fun i => fixed_part i + 3 * bout i) (fun i => WU i z)
      (E * V * Out) U);
      [|intros; rewrite plus_IZR, always_value, !mult_IZR, hbout; ring|auto].
    rewrite (rsum_ext d (fun i => (3 * stream a b i + 3 * bout i) * WU i z)
      (fun i => carry (WE a) i * WU i z + carry (WE b) i * WU i z + (fixed_part i + 3 * bout i) * WU i z))
      by (intros; rewrite stream_parts; ring).
    rewrite !rsum_plus. ring.
  - intros j _. unfold active. cbn [left right shift]. apply up_relu; auto.
    rewrite !memo2_eq, !memo1_eq, !matrix_product_eq, !plus_IZR, !mult_IZR, hbin.
    rewrite (up_dot d (carried n zWE a) _ (carry (WE a)) (fun i => Win i j) (E * V * Out) In_);
      [|intros; now apply carried_value|auto].
    rewrite (up_dot d (carried n zWE b) _ (carry (WE b)) (fun i => Win i j) (E * V * Out) In_);
      [|intros; now apply carried_value|auto].
    rewrite (up_dot d always _ fixed_part (fun i => Win i j) (E * V * Out) In_); [|intros; apply always_value|auto].
    rewrite (rsum_ext d (fun i => 3 * stream a b i * Win i j)
      (fun i => carry (WE a) i * Win i j + carry (WE b) i * Win i j + fixed_part i * Win i j)) by (intros; rewrite stream_parts;
        ring).
    rewrite !rsum_plus. ring.
  - intros j _. rewrite memo2_eq, matrix_product_eq. now apply up_dot.
Qed.
End Uniform.
