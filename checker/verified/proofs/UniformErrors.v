(* How far the logits of executions of networks of architecture uniform-attention (PairExecutions.v) are from the real ones,
   as in PairErrors.v. *)
From Coq Require Import Reals Lra Lia ZArith List Arith Bool.
From CompactProofs Require Import Semantics Counting Exponential PrefixChains Projected TwoInputs Executions ExpressionErrors
  SoftmaxErrors
  ExecutionErrors UpperBounds PairExecutions PairErrors.
Import ListNotations.
Open Scope R_scope.

Section Uniform.
Variables n d dh H m O : nat.
(* The formulas of PairExecutions.v, where zval j h k stands for the value of head h at position j. *)
Section Formulas.
Variable zval : nat -> nat -> nat -> Z.
Variable zthird : Z.
Variable zbV : nat -> nat -> Z.
Variable zlast : nat -> Z.
Variable zbO : nat -> Z.
Variable zWO : nat -> nat -> nat -> Z.   (* head, residual, position in the head *)
Variable zWin : nat -> nat -> Z.         (* neuron, residual *)
Variable zbin : nat -> Z.
Variable act : nat -> Z.
Variable zWout : nat -> nat -> Z.        (* residual, neuron *)
Variable zbout : nat -> Z.
Variable zWU : nat -> nat -> Z.          (* output, residual *)
Variable zbU : nat -> Z.
Definition z_mean (h k : nat) : Z := mul zthird (zval 0%nat h k + zval 1%nat h k + zval 2%nat h k + 3 * zbV h k).
Definition z_stream (mean : nat -> nat -> Z) (i : nat) : Z := zlast i + zbO i + zsum H (fun h => dot_up dh (mean h) (zWO h i)).
Definition z_read (stream : nat -> Z) (j : nat) : Z := dot_up d stream (zWin j) + zbin j.
Definition z_final (stream : nat -> Z) (i : nat) : Z := stream i + dot_up m act (zWout i) + zbout i.
Definition z_logit (final : nat -> Z) (z : nat) : Z := dot_up d final (zWU z) + zbU z.

Variable of : of_uniform -> R.
Hypothesis Pos : forall q, 0 <= of q.
Hypothesis Hval : forall j h k, (j < 3)%nat -> (h < H)%nat -> (k < dh)%nat ->
  rsum d (fun i => of (Residual j i) * of (Wv h i k)) <= real (zval j h k).
Hypothesis Hthird : / 3 <= of Third <= real zthird.
Hypothesis HbV : forall h k, (h < H)%nat -> (k < dh)%nat -> of (Bv h k) <= real (zbV h k).
Hypothesis Hlast : forall i, (i < d)%nat -> of (Residual 2 i) <= real (zlast i).
Hypothesis HbO : forall i, (i < d)%nat -> of (Bo i) <= real (zbO i).
Hypothesis HWO : forall h i k, (h < H)%nat -> (i < d)%nat -> (k < dh)%nat -> of (Wo h k i) <= real (zWO h i k).
Hypothesis HWin : forall j i, (j < m)%nat -> (i < d)%nat -> of (Wi i j) <= real (zWin j i).
Hypothesis Hbin : forall j, (j < m)%nat -> of (Bi j) <= real (zbin j).
Hypothesis Hact : forall j, (j < m)%nat -> of (Neuron j) <= real (act j).
Hypothesis HWout : forall i j, (i < d)%nat -> (j < m)%nat -> of (Wout' j i) <= real (zWout i j).
Hypothesis Hbout : forall i, (i < d)%nat -> of (Bout i) <= real (zbout i).
Hypothesis HWU : forall z i, (z < O)%nat -> (i < d)%nat -> of (Wu i z) <= real (zWU z i).
Hypothesis HbU : forall z, (z < O)%nat -> of (Bu z) <= real (zbU z).
Variable each : bool.
Notation mean := (fun h k => mean_formula d each h k of).

Lemma mean_upper h k : (h < H)%nat -> (k < dh)%nat -> 0 <= mean h k <= real (z_mean h k).
Proof.
  intros Hh Hk. unfold mean_formula. set (v := fun j => rsum d (fun i => of (Residual j i) * of (Wv h i k))).
  assert (V0 : forall j, 0 <= v j) by (intros j; apply rsum_nonneg; intros; apply Rmult_le_pos; auto).
  assert (V1 : forall j, (j < 3)%nat -> v j <= real (zval j h k)) by (intros; apply Hval; auto).
  assert (B0 := Pos (Bv h k)). assert (B1 := HbV h k Hh Hk). destruct Hthird as [T0 T1].
  assert (X0 := V0 0%nat). assert (X1 := V0 1%nat). assert (X2 := V0 2%nat).
  assert (Up : of Third * (v 0%nat + v 1%nat + v 2%nat + 3 * of (Bv h k)) <= real (z_mean h k)).
  { apply upper_mul; [lra|lra|exact T1|]. assert (Y0 := V1 0%nat ltac:(lia)). assert (Y1 := V1 1%nat ltac:(lia)).
    assert (Y2 := V1 2%nat ltac:(lia)).
    unfold upper. rewrite !real_plus. assert (S := upper_scaled 3 _ _ ltac:(lia) B1). unfold upper in S. lra. }
  set (t := of Third) in *. set (c := of (Bv h k)) in *. set (top := real (z_mean h k)) in *. destruct each.
  - change (0 <= 0 + t * (v 0%nat + c) + t * (v 1%nat + c) + t * (v 2%nat + c) <= top).
    replace (0 + t * (v 0%nat + c) + t * (v 1%nat + c) + t * (v 2%nat + c)) with (t * (v 0%nat + v 1%nat + v 2%nat + 3 * c)) by
      ring.
    split; auto. apply Rmult_le_pos; lra.
  - change (0 <= 0 + t * v 0%nat + t * v 1%nat + t * v 2%nat + c <= top). assert (c <= t * (3 * c)) by nra.
    assert (0 <= t * (v 0%nat + v 1%nat + v 2%nat)) by (apply Rmult_le_pos; lra). split; lra.
Qed.
Lemma stream_upper i : (i < d)%nat -> 0 <= stream_formula d dh H each i of <= real (z_stream z_mean i).
Proof.
  intros Hi. unfold stream_formula, z_stream. rewrite !real_plus.
  assert (S : forall G, (G <= H)%nat -> 0 <= rsum G (fun h => rsum dh (fun k => mean h k * of (Wo h k i))) <= real (zsum G (fun
    h => dot_up dh (z_mean h) (zWO h i)))).
  { induction G; intros L; cbn [rsum zsum]; [unfold real, Rdiv; rewrite Rmult_0_l; lra|]. rewrite real_plus.
    specialize (IHG ltac:(lia)).
    assert (N : 0 <= rsum dh (fun k => mean G k * of (Wo G k i))).
    { apply rsum_nonneg; intros k Hk. apply Rmult_le_pos; auto. now apply mean_upper. }
    assert (U : rsum dh (fun k => mean G k * of (Wo G k i)) <= real (dot_up dh (z_mean G) (zWO G i))).
    { apply upper_dot; intros k Hk; [now apply mean_upper|split; auto]. }
    lra. }
  specialize (S H ltac:(lia)). assert (A := Pos (Residual 2 i)). assert (B := Pos (Bo i)). specialize (Hlast i Hi).
  specialize (HbO i Hi). lra.
Qed.
Lemma read_upper j : (j < m)%nat -> uniform_read_formula d dh H each j of <= real (z_read (z_stream z_mean) j).
Proof.
  intros Hj. unfold uniform_read_formula, z_read. rewrite real_plus. apply Rplus_le_compat; auto.
  apply upper_dot; intros i Hi; [now apply stream_upper|split; auto].
Qed.
Lemma final_upper i : (i < d)%nat ->
  0 <= stream_formula d dh H each i of + rsum m (fun j => of (Neuron j) * of (Wout' j i)) + of (Bout i) <= real (z_final
    (z_stream z_mean) i).
Proof.
  intros Hi. unfold z_final. rewrite !real_plus. assert (S := stream_upper i Hi). assert (B := Pos (Bout i)).
  specialize (Hbout i Hi).
  assert (N : 0 <= rsum m (fun j => of (Neuron j) * of (Wout' j i))) by (apply rsum_nonneg; intros; apply Rmult_le_pos; auto).
  assert (U : rsum m (fun j => of (Neuron j) * of (Wout' j i)) <= real (dot_up m act (zWout i))) by (apply upper_dot; intros;
    split; auto).
  lra.
Qed.
Lemma logit_upper z : (z < O)%nat -> uniform_logit_formula d dh H m each z of <= real (z_logit (z_final (z_stream z_mean)) z).
Proof.
  intros Hz. unfold uniform_logit_formula, z_logit. rewrite real_plus. apply Rplus_le_compat; auto.
  apply upper_dot; intros i Hi; [now apply final_upper|split; auto].
Qed.
End Formulas.

Section Bound.
Variable F : format.
Hypothesis HF : usual F = true.
(* Absolute values of weights: of residuals by position and token; of W_V by head, position in it and residual. *)
Variable zres : nat -> nat -> nat -> Z.
Variable zWV : nat -> nat -> nat -> Z.
Variable zbV : nat -> nat -> Z.
Variable zbO : nat -> Z.
Variable zWO : nat -> nat -> nat -> Z.
Variable zWin : nat -> nat -> Z.
Variable zbin : nat -> Z.
Variable zWout : nat -> nat -> Z.
Variable zbout : nat -> Z.
Variable zWU : nat -> nat -> Z.
Variable zbU : nat -> Z.
Notation read_roundings := (2 * d + H * dh + 12)%nat.
Notation logit_roundings := (m + 3 * d + H * dh + 30)%nat.
Definition size_value (j h k : nat) : Z :=
  if (j <? 2)%nat then zmax n (fun t => dot_up d (zres j t) (zWV h k)) else dot_up d (zres 2%nat n) (zWV h k).
Definition size_mean : nat -> nat -> Z := z_mean size_value (cdiv unity 3) zbV.
Definition size_stream (mean : nat -> nat -> Z) : nat -> Z := z_stream (zres 2%nat n) zbO zWO mean.
Definition size_read (stream : nat -> Z) (j : nat) : Z := z_read zWin zbin stream j.
(* Numbers larger than all entries of a tensor by one. *)
Definition most1 (k : nat) (f : nat -> Z) : Z := (zmax k f + unity)%Z.
Definition most2 (k l : nat) (f : nat -> nat -> Z) : Z := most1 k (fun i => zmax l (f i)).
Definition most3 (k l p : nat) (f : nat -> nat -> nat -> Z) : Z := most2 k l (fun i j => zmax p (f i j)).
Definition top_stream : nat -> Z :=
  let residual := most3 3 (S n) d zres in
  let value := manifold d (mul residual (most3 H dh d zWV)) in
  let bias := most2 H dh zbV in
  let mean := z_mean (fun _ _ _ => value) (2 * unity) (fun _ _ => bias) in
  let mean := memo2 H dh mean in
  let before := most1 d zbO in
  let writing := most3 H d dh zWO in
  z_stream (fun _ => residual) (fun _ => before) (fun _ _ _ => writing) mean.
Definition top_read (stream : nat -> Z) : Z :=
  let reading := most2 m d zWin in
  let bias := most1 m zbin in
  z_read (fun _ _ => reading) (fun _ => bias) stream 0.
Definition top_logit (stream act : nat -> Z) : Z :=
  let active := most1 m act in
  let writing := most2 d m zWout in
  let after := most1 d zbout in
  let unembed := most2 O d zWU in
  let bias := most1 O zbU in
  z_logit (fun _ _ => unembed) (fun _ => bias) (z_final (fun _ => active) (fun _ _ => writing) (fun _ => after) stream) 0.
Definition uniform_off (stream : nat -> Z) (top : Z) (j : nat) : Z := z_off F read_roundings 24 (size_read stream j) top.
(* lost: what errors of neurons write. *)
Definition uniform_error (lost final : nat -> Z) (top : Z) (z : nat) : Z :=
  (dot_up d lost (zWU z) + z_off F logit_roundings 24 (z_logit zWU zbU final z) top)%Z.

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
Variables a b : nat.
Hypothesis Ha : (a < n)%nat.
Hypothesis Hb : (b < n)%nat.
Hypothesis Hres : forall j t i, (j < 3)%nat -> (t < S n)%nat -> (i < d)%nat -> Rabs (WE t i + WP j i) <= real (zres j t i).
Hypothesis KWV : forall h k i, (h < H)%nat -> (k < dh)%nat -> (i < d)%nat -> Rabs (WV h i k) <= real (zWV h k i).
Hypothesis KbV : forall h k, (h < H)%nat -> (k < dh)%nat -> Rabs (bV h k) <= real (zbV h k).
Hypothesis KbO : forall i, (i < d)%nat -> Rabs (bO i) <= real (zbO i).
Hypothesis KWO : forall h i k, (h < H)%nat -> (i < d)%nat -> (k < dh)%nat -> Rabs (WO h k i) <= real (zWO h i k).
Hypothesis KWin : forall j i, (j < m)%nat -> (i < d)%nat -> Rabs (Win i j) <= real (zWin j i).
Hypothesis Kbin : forall j, (j < m)%nat -> Rabs (bin j) <= real (zbin j).
Hypothesis KWout : forall i j, (i < d)%nat -> (j < m)%nat -> Rabs (Wout j i) <= real (zWout i j).
Hypothesis Kbout : forall i, (i < d)%nat -> Rabs (bout i) <= real (zbout i).
Hypothesis KWU : forall z i, (z < O)%nat -> (i < d)%nat -> Rabs (WU i z) <= real (zWU z i).
Hypothesis KbU : forall z, (z < O)%nat -> Rabs (bU z) <= real (zbU z).

Definition exact_quantity (active : nat -> R) (q : of_uniform) : R :=
  match q with
  | Residual j i => WE (token n a b j) i + WP j i
  | Third => / 3
  | Neuron j => active j
  | Wv h i k => WV h i k | Bv h k => bV h k | Wo h k i => WO h k i | Bo i => bO i
  | Wi i j => Win i j | Bi j => bin j | Wout' j i => Wout j i | Bout i => bout i
  | Wu i z => WU i z | Bu z => bU z
  end.
Notation sizes := (fun active q => Rabs (exact_quantity active q)).
Notation most := (fun active q => 1 + Rabs (exact_quantity active q)).

Lemma token_lt j : (j < 3)%nat -> (token n a b j < S n)%nat.
Proof. intros Hj. unfold token. destruct j as [|[|[|j]]]; cbn; lia. Qed.
Lemma mean_exact active each h k : mean_formula d each h k (exact_quantity active) = read n d WE WP WV bV a b h k.
Proof.
  unfold mean_formula, read. cbn [exact_quantity]. set (v := fun j => rsum d (fun i => (WE (token n a b j) i + WP j i) * WV h i
    k)).
  destruct each.
  - change (0 + / 3 * (v 0%nat + bV h k) + / 3 * (v 1%nat + bV h k) + / 3 * (v 2%nat + bV h k) = (0 + v 0%nat + v 1%nat + v
    2%nat) / 3 + bV h k). field.
  - change (0 + / 3 * v 0%nat + / 3 * v 1%nat + / 3 * v 2%nat + bV h k = (0 + v 0%nat + v 1%nat + v 2%nat) / 3 + bV h k). field.
Qed.
Lemma stream_exact active each i : stream_formula d dh H each i (exact_quantity active) = stream n d dh H WE WP WV bV WO bO a b
  i.
Proof.
  unfold stream_formula, stream. f_equal. apply rsum_ext; intros h _. apply rsum_ext; intros k _. now rewrite mean_exact.
Qed.
Lemma read_exact active each j : uniform_read_formula d dh H each j (exact_quantity active) =
  rsum d (fun i => stream n d dh H WE WP WV bV WO bO a b i * Win i j) + bin j.
Proof. unfold uniform_read_formula. f_equal. apply rsum_ext; intros i _. now rewrite stream_exact. Qed.

Lemma quantity_near r q y : uniform_given F n WE WP WV bV WO bO Win bin Wout bout WU bU a b r q y ->
  growth F (own_of_uniform q) 0 * most (fun j => relu (r j)) q <= limit F ->
  near (relative F (own_of_uniform q) 0) (growth F (own_of_uniform q) 0) (exact_quantity (fun j => relu (r j)) q) y
    (Rabs (exact_quantity (fun j => relu (r j)) q)) (most (fun j => relu (r j)) q).
Proof.
  intros G L. destruct (roundoff_ok F HF) as [[U1 U2] _], (operand_ok F HF) as [U3 _], (underflow_ok F HF) as [[U4 U5] _].
  set (x := exact_quantity (fun j => relu (r j)) q) in *. assert (A := Rabs_pos x).
  destruct q; cbn [uniform_given own_of_uniform] in *; try (apply near_given; [exact HF|exact G|lra]).
  - rewrite growth_1 in L. fold x in L |- *. assert (Off : off F (roundoff F) x y).
    { apply G. change (Rabs x <= limit F). eapply Rle_trans; [|exact L].
      assert (0 <= (roundoff F + underflow F) * (1 + Rabs x)) by (apply Rmult_le_pos; lra). lra. }
    replace (relative F 1 0) with (1 * (1 + roundoff F)) by (unfold relative; simpl; ring).
    replace (growth F 1 0) with (1 * (1 + roundoff F + underflow F)) by (unfold growth; simpl; ring).
    eapply near_off; eauto; try lra. unfold near. rewrite Rminus_diag_eq, Rabs_R0 by reflexivity. lra.
  - destruct G as (e & He & ->). unfold x in *. cbn [exact_quantity] in *. unfold near.
    replace (/ 3 * (1 + e) - / 3) with (/ 3 * e) by field.
    rewrite Rabs_mult. assert (B : 4 * roundoff F <= relative F 4 0 - 1) by (unfold relative; simpl; nra).
    assert (C := relative_between F U1 U3 U4 4 0). assert (P3 : 0 < Rabs (/ 3)) by (rewrite Rabs_pos_eq; lra).
    assert (D : Rabs (/ 3) * Rabs e <= Rabs (/ 3) * (4 * roundoff F)) by (apply Rmult_le_compat_l; lra).
    assert (E : Rabs (/ 3) * (4 * roundoff F) <= (relative F 4 0 - 1) * Rabs (/ 3)) by (rewrite Rmult_comm;
      apply Rmult_le_compat_r; lra).
    assert (0 <= (growth F 4 0 - relative F 4 0) * (1 + Rabs (/ 3))) by (apply Rmult_le_pos; lra). lra.
Qed.

Lemma above1 k f i r : (i < k)%nat -> Rabs r <= real (f i) -> 1 + Rabs r <= real (most1 k f).
Proof.
  intros Hi Hr. unfold most1. rewrite real_plus. assert (M := real_le _ _ (zmax_ge k f i Hi)). assert (P := one_pos).
  replace (real unity) with 1 by (unfold real; field; lra). lra.
Qed.
Lemma above2 k l f i j r : (i < k)%nat -> (j < l)%nat -> Rabs r <= real (f i j) -> 1 + Rabs r <= real (most2 k l f).
Proof.
  intros Hi Hj Hr. apply (above1 k (fun i => zmax l (f i)) i); auto. eapply Rle_trans; [exact Hr|]. apply real_le.
  exact (zmax_ge l (f i) j Hj).
Qed.
Lemma above3 k l p f i j c r : (i < k)%nat -> (j < l)%nat -> (c < p)%nat -> Rabs r <= real (f i j c) -> 1 + Rabs r <= real
  (most3 k l p f).
Proof.
  intros Hi Hj Hc Hr. apply (above2 k l (fun i j => zmax p (f i j)) i j); auto. eapply Rle_trans; [exact Hr|]. apply real_le.
  exact (zmax_ge p (f i j) c Hc).
Qed.

Section Active.
Variable active : nat -> R.
Variable act : nat -> Z.
Hypothesis Kact : forall j, (j < m)%nat -> Rabs (active j) <= real (act j).
Lemma third_size : / 3 <= sizes active Third <= real (cdiv unity 3).
Proof.
  cbn [exact_quantity]. rewrite Rabs_pos_eq by lra. split; [lra|]. assert (C := cdiv_ge unity 3 ltac:(lia)).
  assert (P := one_pos).
  unfold real. apply Rmult_le_reg_r with (IZR unity); auto. replace (IZR (cdiv unity 3) / IZR unity * IZR unity) with (IZR
    (cdiv unity 3)) by (field; lra). lra.
Qed.
Lemma value_sizes j h k : (j < 3)%nat -> (h < H)%nat -> (k < dh)%nat ->
  rsum d (fun i => sizes active (Residual j i) * sizes active (Wv h i k)) <= real (size_value j h k).
Proof.
  intros Hj Hh Hk. cbn [exact_quantity]. apply Rle_trans with (real (dot_up d (zres j (token n a b j)) (zWV h k))).
  - apply upper_abs_dot; intros i Hi; [apply Hres; auto using token_lt|now apply KWV].
  - unfold size_value. destruct (Nat.ltb_spec j 2) as [L|L].
    + apply real_le. apply (zmax_ge n (fun t => dot_up d (zres j t) (zWV h k))). unfold token. destruct j as [|[|j]]; cbn; lia.
    + replace j with 2%nat by lia. apply Rle_refl.
Qed.
Lemma read_sizes each j : (j < m)%nat -> uniform_read_formula d dh H each j (sizes active) <= real (size_read (size_stream
  size_mean) j).
Proof.
  intros Hj. apply read_upper; auto using value_sizes, third_size; try (intros; cbn [exact_quantity]; auto; apply Rabs_pos).
Qed.
Lemma logit_sizes each z : (z < O)%nat ->
  uniform_logit_formula d dh H m each z (sizes active) <= real (z_logit zWU zbU (z_final act zWout zbout (size_stream
    size_mean)) z).
Proof.
  intros Hz. apply logit_upper; auto using value_sizes, third_size; try (intros; cbn [exact_quantity]; auto; apply Rabs_pos).
Qed.
Lemma third_most : / 3 <= most active Third <= real (2 * unity).
Proof. cbn [exact_quantity]. rewrite Rabs_pos_eq by lra. rewrite real_scaled. lra. Qed.
Lemma value_most j h k : (j < 3)%nat -> (h < H)%nat -> (k < dh)%nat ->
  rsum d (fun i => most active (Residual j i) * most active (Wv h i k)) <= real (manifold d (mul (most3 3 (S n) d zres) (most3
    H dh d zWV))).
Proof.
  intros Hj Hh Hk. destruct (Nat.eq_dec d 0) as [Z0|Z0].
  { rewrite Z0. cbn [rsum]. unfold manifold, real. cbn [Z.of_nat Z.mul]. unfold Rdiv. rewrite Rmult_0_l. lra. }
  assert (A1 : forall i, (i < d)%nat -> 1 + Rabs (exact_quantity active (Residual j i)) <= real (most3 3 (S n) d zres)).
  { intros i Hi. apply (above3 3 (S n) d zres j (token n a b j) i); auto using token_lt. apply Hres; auto using token_lt. }
  assert (A2 : forall i, (i < d)%nat -> 1 + Rabs (exact_quantity active (Wv h i k)) <= real (most3 H dh d zWV)).
  { intros i Hi. apply (above3 H dh d zWV h k i); auto. now apply KWV. }
  assert (B1 := A1 0%nat ltac:(lia)). assert (B2 := A2 0%nat ltac:(lia)).
  assert (B3 := Rabs_pos (exact_quantity active (Residual j 0))). assert (B4 := Rabs_pos (exact_quantity active (Wv h 0 k))).
  eapply Rle_trans; [|apply upper_times, upper_mul; [| |apply upper_real|apply upper_real]; lra].
  rewrite <- rsum_const. apply rsum_le; intros i Hi.
  assert (B5 := Rabs_pos (exact_quantity active (Residual j i))). assert (B6 := Rabs_pos (exact_quantity active (Wv h i k))).
  apply Rmult_le_compat; auto; lra.
Qed.
Lemma most_pos q : 0 <= most active q.
Proof. assert (A := Rabs_pos (exact_quantity active q)). lra. Qed.
Lemma read_most each j : (j < m)%nat -> uniform_read_formula d dh H each j (most active) <= real (top_read top_stream).
Proof.
  intros Hj. unfold top_read, top_stream. cbv zeta. rewrite memo2_id.
  apply read_upper with (j := j) (zWin := fun _ _ => most2 m d zWin) (zbin := fun _ => most1 m zbin); cbn [exact_quantity].
  - apply most_pos.
  - exact value_most.
  - exact third_most.
  - intros h k Hh Hk. apply (above2 H dh zbV h k); auto.
  - intros i Hi. apply (above3 3 (S n) d zres 2 n i); try lia. apply Hres; lia.
  - intros i Hi. apply (above1 d zbO i); auto.
  - intros h i k Hh Hi Hk. apply (above3 H d dh zWO h i k); auto.
  - intros j' i Hj' Hi. apply (above2 m d zWin j' i); auto.
  - intros j' Hj'. apply (above1 m zbin j'); auto.
  - exact Hj.
Qed.
Lemma logit_most_upper each z : (z < O)%nat -> uniform_logit_formula d dh H m each z (most active) <= real (top_logit
  top_stream act).
Proof.
  intros Hz. unfold top_logit, top_stream. cbv zeta. rewrite memo2_id.
  apply logit_upper with (z := z) (zWU := fun _ _ => most2 O d zWU) (zbU := fun _ => most1 O zbU); cbn [exact_quantity].
  - apply most_pos.
  - exact value_most.
  - exact third_most.
  - intros h k Hh Hk. apply (above2 H dh zbV h k); auto.
  - intros i Hi. apply (above3 3 (S n) d zres 2 n i); try lia. apply Hres; lia.
  - intros i Hi. apply (above1 d zbO i); auto.
  - intros h i k Hh Hi Hk. apply (above3 H d dh zWO h i k); auto.
  - intros j' Hj'. apply (above1 m act j'); auto.
  - intros i j' Hi Hj'. apply (above2 d m zWout i j'); auto.
  - intros i Hi. apply (above1 d zbout i); auto.
  - intros z' i Hz' Hi. apply (above2 O d zWU z' i); auto.
  - intros z' Hz'. apply (above1 O zbU z'); auto.
  - exact Hz.
Qed.
End Active.

Notation off := (uniform_off (size_stream size_mean) (top_read top_stream)).
Notation act := (fun j => size_read (size_stream size_mean) j + off j)%Z.
Theorem uniform_near y z : in_limit F read_roundings 24 (top_read top_stream) = true -> in_limit F logit_roundings 24
  (top_logit top_stream act) = true ->
  uniform_execution F n d dh H m O WE WP WV bV WO bO Win bin Wout bout WU bU a b y -> (z < O)%nat ->
  Rabs (y z - uniform_logit n d dh H m WE WP WV bV WO bO Win bin Wout bout WU bU a b z)
  <= real (uniform_error (fun i => dot_up m off (zWout i)) (z_final act zWout zbout (size_stream size_mean)) (top_logit
    top_stream act) z).
Proof.
  intros L1 L2 (each & r & Cr & Cy) Hz. set (of := exact_quantity (fun j => relu (r j))).
  assert (Most : forall q, 1 <= 1 + Rabs (of q) /\ Rabs (of q) <= 1 + Rabs (of q)) by (intros q;
    assert (A := Rabs_pos (of q)); lra).
  set (x := fun j => rsum d (fun i => stream n d dh H WE WP WV bV WO bO a b i * Win i j) + bin j).
  assert (Nr : forall j, (j < m)%nat -> Rabs (r j - x j) <= real (off j) /\ Rabs (x j) <= real (size_read (size_stream
    size_mean) j)).
  { intros j Hj. unfold x. rewrite <- (read_exact (fun j => relu (r j)) each j). fold of. split.
    - unfold uniform_off.
      apply (computes_upper F HF _ own_of_uniform (uniform_given F n WE WP WV bV WO bO Win bin Wout bout WU bU a b r) of (fun q
        => 1 + Rabs (of q))).
      + exact Most.
      + intros q y0 G L. exact (quantity_near r q y0 G L).
      + exact (Cr j Hj).
      + exact (read_sizes (fun j => relu (r j)) each j Hj).
      + exact (read_most (fun j => relu (r j)) each j Hj).
      + exact L1.
    - eapply Rle_trans; [|apply (read_sizes (fun j => relu (r j)) each j Hj)]. specialize (Cr j Hj).
      destruct Cr as (e & E & _). rewrite <- !E.
      apply (exact_value_sizes _ of _ Most). }
  assert (Act : forall j, (j < m)%nat -> Rabs (relu (r j)) <= real (act j)).
  { intros j Hj. destruct (Nr j Hj) as [N S]. rewrite real_plus. now apply (active_near _ _ _ _ N). }
  assert (Ny : Rabs (y z - uniform_logit_formula d dh H m each z of) <=
    real (z_off F logit_roundings 24 (z_logit zWU zbU (z_final act zWout zbout (size_stream size_mean)) z) (top_logit
      top_stream act))).
  { apply (computes_upper F HF _ own_of_uniform (uniform_given F n WE WP WV bV WO bO Win bin Wout bout WU bU a b r) of (fun q
    => 1 + Rabs (of q))).
    - exact Most.
    - intros q y0 G L. exact (quantity_near r q y0 G L).
    - exact (Cy z Hz).
    - exact (logit_sizes (fun j => relu (r j)) act Act each z Hz).
    - exact (logit_most_upper (fun j => relu (r j)) act Act each z Hz).
    - exact L2. }
  unfold uniform_error. rewrite real_plus.
  set (Y := uniform_logit_formula d dh H m each z of) in *. set (X := uniform_logit n d dh H m WE WP WV bV WO bO Win bin Wout
    bout WU bU a b z).
  replace (y z - X) with ((Y - X) + (y z - Y)) by ring. eapply Rle_trans; [apply Rabs_triang|].
  apply Rplus_le_compat; [|exact Ny].
  assert (Diff : Y - X = rsum d (fun i => rsum m (fun j => (relu (r j) - relu (x j)) * Wout j i) * WU i z)).
  { unfold Y, X, uniform_logit_formula, uniform_logit, of. cbn [exact_quantity].
    set (P := fun i => rsum m (fun j => relu (r j) * Wout j i)).
    set (Q := fun i => rsum m (fun j => hidden_unit n d dh H WE WP WV bV WO bO Win bin a b j * Wout j i)).
    rewrite (rsum_ext d _ (fun i => (stream n d dh H WE WP WV bV WO bO a b i + P i + bout i) * WU i z)) by (intros;
      now rewrite stream_exact).
    rewrite (rsum_ext d (fun i => rsum m (fun j => (relu (r j) - relu (x j)) * Wout j i) * WU i z) (fun i => (P i - Q i) * WU i
      z)).
    - transitivity (rsum d (fun i => (stream n d dh H WE WP WV bV WO bO a b i + P i + bout i) * WU i z)
        - rsum d (fun i => (stream n d dh H WE WP WV bV WO bO a b i + Q i + bout i) * WU i z)); [unfold Q; ring|].
      rewrite <- rsum_minus. apply rsum_ext; intros; ring.
    - intros i _. f_equal. unfold P, Q. rewrite <- rsum_minus. apply rsum_ext; intros j _. unfold hidden_unit. fold (x j).
      ring. }
  rewrite Diff. eapply Rle_trans; [apply rsum_abs_le with (g := fun i => rsum m (fun j => Rabs (r j - x j) * Rabs (Wout j i)) *
    Rabs (WU i z))|].
  - intros i Hi. rewrite Rabs_mult. apply Rmult_le_compat_r; [apply Rabs_pos|]. apply rsum_abs_le. intros j Hj.
    rewrite Rabs_mult.
    apply Rmult_le_compat_r; [apply Rabs_pos|apply relu_near].
  - apply upper_dot; intros i Hi; split; auto using Rabs_pos.
    + apply rsum_nonneg; intros. apply Rmult_le_pos; apply Rabs_pos.
    + apply upper_dot; intros j Hj; split; auto using Rabs_pos. now apply Nr.
Qed.
End Bound.
End Uniform.
