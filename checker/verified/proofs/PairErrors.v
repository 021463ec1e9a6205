(* How far the logits of executions of networks with one hidden layer (PairExecutions.v) are from the real ones: what a
   neuron reads is off by what rounding makes of its size, so its activation is, too, as ReLU is 1-Lipschitz; logits, by
   what these errors write, and by what rounding makes of their own sizes. Numbers z stand for z 2^-256, as in
   UpperBounds.v. *)
From Coq Require Import Reals Lra Lia ZArith List Arith Bool.
From CompactProofs Require Import Semantics Counting Exponential PrefixChains Projected TwoInputs Executions ExpressionErrors
  SoftmaxErrors
  ExecutionErrors UpperBounds PairExecutions.
Import ListNotations.
Open Scope Z_scope.

Definition dot_up (n : nat) (a b : nat -> Z) : Z := cshr (dot n a b) 256.
Definition in_limit (F : format) (n m : nat) (t : Z) : bool := mul (z_growth F n m) t <=? z_limit F.

Open Scope R_scope.
Lemma upper_dot n A B a b : (forall i, (i < n)%nat -> 0 <= A i <= real (a i)) -> (forall i, (i < n)%nat -> 0 <= B i <= real (b
  i)) ->
  rsum n (fun i => A i * B i) <= real (dot_up n a b).
Proof.
  intros HA HB. assert (P := one_pos). unfold dot_up. assert (C := cshr_ge (dot n a b) 256 ltac:(lia)).
  change (IZR (2 ^ 256)) with (IZR unity) in C. apply Rle_trans with (rsum n (fun i => real (a i) * real (b i))).
  { apply rsum_le; intros i Hi. destruct (HA i Hi), (HB i Hi). now apply Rmult_le_compat. }
  unfold real. rewrite (rsum_ext n _ (fun i => IZR (a i * b i) * (/ IZR unity * / IZR unity))) by (intros; rewrite mult_IZR;
    field; lra).
  rewrite rsum_scal_r, rsum_IZR. fold (dot n a b). apply Rmult_le_reg_r with (IZR unity * IZR unity);
    [now apply Rmult_lt_0_compat|].
  replace (IZR (dot n a b) * (/ IZR unity * / IZR unity) * (IZR unity * IZR unity)) with (IZR (dot n a b)) by (field; lra).
  replace (IZR (cshr (dot n a b) 256) / IZR unity * (IZR unity * IZR unity)) with (IZR (cshr (dot n a b) 256) * IZR unity) by
    (field; lra).
  exact C.
Qed.
Lemma upper_abs_dot n A B a b : (forall i, (i < n)%nat -> Rabs (A i) <= real (a i)) -> (forall i, (i < n)%nat -> Rabs (B i) <=
  real (b i)) ->
  rsum n (fun i => Rabs (A i) * Rabs (B i)) <= real (dot_up n a b).
Proof. intros HA HB. apply upper_dot; intros; split; auto using Rabs_pos. Qed.
Lemma real_plus a b : real (a + b) = real a + real b.
Proof. unfold real. rewrite plus_IZR. field. assert (P := one_pos). lra. Qed.

Section Errors.
Variable F : format.
Hypothesis HF : usual F = true.
Lemma computes_upper Q own (given : Q -> R -> Prop) of most n m formula y zs zt : (forall q : Q, 1 <= most q /\ Rabs (of q) <=
  most q) ->
  (forall q y, given q y -> growth F (own q) 0 * most q <= limit F ->
     near (relative F (own q) 0) (growth F (own q) 0) (of q) y (Rabs (of q)) (most q)) ->
  computes F own given n m formula y -> formula (fun q => Rabs (of q)) <= real zs -> formula most <= real zt -> in_limit F n m
    zt = true ->
  Rabs (y - formula of) <= real (z_off F n m zs zt).
Proof.
  intros Hm Hg C S T L. apply Z.leb_le in L. destruct (roundoff_ok F HF) as [[U1 U2] _], (operand_ok F HF) as [U3 _],
    (underflow_ok F HF) as [[U4 U5] U6].
  destruct (growth_upper F HF n m) as [G G1]. assert (C' := C). destruct C' as (e & E & _).
  destruct (exact_value_sizes Q of most Hm e) as [[V1 V2] V3]. rewrite !E in *. assert (P := Rabs_pos (formula of)).
  assert (Lim : growth F n m * real zt <= limit F).
  { apply (limit_ok F (mul (z_growth F n m) zt)); auto. apply upper_mul; auto using upper_real; lra. }
  assert (N := computes_near F U1 U3 U4 Q own given of most Hm Hg n m formula y C ltac:(eapply Rle_trans; [|exact Lim];
    apply Rmult_le_compat_l; lra)).
  eapply Rle_trans; [exact N|]. unfold z_off. cbv zeta. rewrite real_plus. apply Rplus_le_compat.
  - eapply Rle_trans; [apply Rmult_le_compat_l; [lra|exact S]|]. apply upper_mul; auto using upper_real, upper_minus_one; lra.
  - eapply Rle_trans; [apply Rmult_le_compat_l; [|exact T]|apply lost_upper; auto using upper_real; lra].
    apply Rmult_le_pos; [apply Rmult_le_pos; [apply pos_INR|lra]|lra].
Qed.
Lemma near_given n x y V : y = x -> Rabs x <= V -> near (relative F n 0) (growth F n 0) x y (Rabs x) V.
Proof.
  destruct (roundoff_ok F HF) as [[U1 U2] _], (operand_ok F HF) as [U3 _], (underflow_ok F HF) as [[U4 U5] _].
  now apply given_near.
Qed.

Lemma relu_near x y : Rabs (relu x - relu y) <= Rabs (x - y).
Proof. unfold relu, Rmax. destruct (Rle_dec 0 x), (Rle_dec 0 y); unfold Rabs; repeat destruct (Rcase_abs _); lra. Qed.
Lemma relu_size x : Rabs (relu x) <= Rabs x.
Proof. assert (H := relu_near x 0). unfold relu at 2 in H. rewrite Rmax_left, !Rminus_0_r in H by lra. exact H. Qed.
Lemma active_near r x e s : Rabs (r - x) <= e -> Rabs x <= s -> Rabs (relu r) <= s + e.
Proof.
  intros N S. eapply Rle_trans; [apply relu_size|]. replace r with (x + (r - x)) by ring.
  eapply Rle_trans; [apply Rabs_triang|lra].
Qed.
Lemma abs_3 a b c : Rabs (a + b + c) <= Rabs a + Rabs b + Rabs c.
Proof. eapply Rle_trans; [apply Rabs_triang|]. assert (T := Rabs_triang a b). lra. Qed.

Section Mlp.
Variables m O : nat.
Variables zL zR zB : nat -> Z.
Variable zU : nat -> nat -> Z.   (* output, neuron *)
Variable zbU : nat -> Z.
Definition z_mlp_read (i : nat) : Z := zL i + zR i + zB i.
Definition z_mlp_off (i : nat) : Z := z_off F 2 24 (z_mlp_read i) (z_mlp_read i + 3 * unity).
(* off and act: what these are for all neurons. *)
Definition z_mlp_top (act : nat -> Z) : Z :=
  manifold m (mul (zmax m act + unity) (zmax O (fun z => zmax m (zU z)) + unity)) + (zmax O zbU + unity).
Definition z_mlp_error (off act : nat -> Z) (top : Z) (z : nat) : Z :=
  dot_up m off (zU z) + z_off F (m + 30) 24 (dot_up m act (zU z) + zbU z) top.
Definition mlp_in_limit (top : Z) : bool :=
  forallb (fun i => in_limit F 2 24 (z_mlp_read i + 3 * unity)) (seq 0 m) && in_limit F (m + 30) 24 top.

Variables left right : nat -> nat -> R.
Variable bin : nat -> R.
Variable WU : nat -> nat -> R.
Variable bU : nat -> R.
Variables a b : nat.
Hypothesis HL : forall i, (i < m)%nat -> Rabs (left a i) <= real (zL i).
Hypothesis HR : forall i, (i < m)%nat -> Rabs (right b i) <= real (zR i).
Hypothesis HB : forall i, (i < m)%nat -> Rabs (bin i) <= real (zB i).
Hypothesis HU : forall z i, (z < O)%nat -> (i < m)%nat -> Rabs (WU i z) <= real (zU z i).
Hypothesis HbU : forall z, (z < O)%nat -> Rabs (bU z) <= real (zbU z).
Notation act := (fun i => z_mlp_read i + z_mlp_off i)%Z.
Theorem mlp_near y z : mlp_in_limit (z_mlp_top act) = true -> mlp_execution F m O left right bin WU bU a b y -> (z < O)%nat ->
  Rabs (y z - mlp_logit m left right bin WU bU a b z) <= real (z_mlp_error z_mlp_off act (z_mlp_top act) z).
Proof.
  intros L (r & Cr & Cy) Hz. apply andb_prop in L as [L1 L2]. rewrite forallb_forall in L1. assert (P := one_pos).
  set (x := fun i => left a i + right b i + bin i).
  assert (Three : forall k, real (k + 3 * unity) = real k + 3).
  { intros k. rewrite real_plus. f_equal. unfold real. rewrite mult_IZR. field. lra. }
  assert (One : forall k, real (k + unity) = real k + 1) by (intros k; rewrite real_plus; f_equal; unfold real; field; lra).
  assert (Nr : forall i, (i < m)%nat -> Rabs (r i - x i) <= real (z_mlp_off i) /\ Rabs (x i) <= real (z_mlp_read i)).
  { intros i Hi. set (of := fun q => match q with Left => left a i | Right => right b i | In_bias => bin i end).
    assert (S : mlp_read_formula (fun q => Rabs (of q)) <= real (z_mlp_read i)).
    { unfold mlp_read_formula, of, z_mlp_read. rewrite !real_plus. specialize (HL i Hi). specialize (HR i Hi).
      specialize (HB i Hi). lra. }
    split; [|eapply Rle_trans; [apply abs_3|exact S]].
    unfold z_mlp_off. change (x i) with (mlp_read_formula of).
    apply (computes_upper _ (fun _ => 0%nat) (mlp_reads left right bin a b i) of (fun q => 1 + Rabs (of q))); auto.
    - intros q. assert (A := Rabs_pos (of q)). lra.
    - intros q y0 E _. apply near_given; [exact E|lra].
    - rewrite Three. unfold mlp_read_formula in *. lra.
    - apply L1, in_seq. lia. }
  assert (Act : forall i, (i < m)%nat -> Rabs (relu (r i)) <= real (act i)).
  { intros i Hi. destruct (Nr i Hi) as [N S]. rewrite real_plus. now apply (active_near _ _ _ _ N). }
  set (of := fun q => match q with Active i => relu (r i) | Out i z => WU i z | Out_bias z => bU z end).
  assert (Ny : Rabs (y z - mlp_logit_formula m z of) <= real (z_off F (m + 30) 24 (dot_up m act (zU z) + zbU z) (z_mlp_top
    act))).
  { apply (computes_upper _ (fun _ => 0%nat) (mlp_writes WU bU r) of (fun q => 1 + Rabs (of q))); auto.
    - intros q. assert (A := Rabs_pos (of q)). lra.
    - intros q y0 E _. apply near_given; [exact E|lra].
    - unfold mlp_logit_formula, of. rewrite real_plus. apply Rplus_le_compat; [|now apply HbU]. apply upper_abs_dot; auto.
    - unfold mlp_logit_formula, z_mlp_top, of. rewrite real_plus. apply Rplus_le_compat.
      + assert (A1 : forall i, (i < m)%nat -> 1 + Rabs (relu (r i)) <= real (zmax m act + unity)).
        { intros i Hi. rewrite One. specialize (Act i Hi). assert (M := real_le _ _ (zmax_ge m act i Hi)). cbv beta in M. lra. }
        assert (A2 : forall i, (i < m)%nat -> 1 + Rabs (WU i z) <= real (zmax O (fun z => zmax m (zU z)) + unity)).
        { intros i Hi. rewrite One. specialize (HU z i Hz Hi). assert (M := real_le _ _ (zmax_ge m (zU z) i Hi)).
          assert (M' := real_le _ _ (zmax_ge O (fun z => zmax m (zU z)) z Hz)). cbv beta in M'. lra. }
        destruct (Nat.eq_dec m 0) as [Z0|Z0].
        { rewrite Z0. cbn [rsum]. unfold manifold, real. cbn [Z.of_nat Z.mul]. unfold Rdiv. rewrite Rmult_0_l. lra. }
        assert (B1 := A1 0%nat ltac:(lia)). assert (B2 := A2 0%nat ltac:(lia)).
        assert (B3 := Rabs_pos (relu (r 0%nat))). assert (B4 := Rabs_pos (WU 0%nat z)).
        eapply Rle_trans; [|apply upper_times, upper_mul; [| |apply upper_real|apply upper_real]; lra].
        rewrite <- rsum_const. apply rsum_le; intros i Hi. apply Rmult_le_compat; auto;
          [assert (C := Rabs_pos (relu (r i)))|assert (C := Rabs_pos (WU i z))]; lra.
      + rewrite One. specialize (HbU z Hz). assert (M := real_le _ _ (zmax_ge O zbU z Hz)). lra. }
  unfold z_mlp_error. rewrite real_plus. unfold mlp_logit_formula, of in Ny. unfold mlp_logit.
  set (Y := rsum m (fun i => relu (r i) * WU i z)) in *. set (X := rsum m (fun i => relu (left a i + right b i + bin i) * WU i
    z)).
  replace (y z - (X + bU z)) with ((Y - X) + (y z - (Y + bU z))) by ring. eapply Rle_trans; [apply Rabs_triang|].
  apply Rplus_le_compat; [|exact Ny]. unfold Y, X. rewrite <- rsum_minus.
  eapply Rle_trans; [apply rsum_abs_le with (g := fun i => Rabs (r i - x i) * Rabs (WU i z))|].
  - intros i Hi. rewrite <- Rmult_minus_distr_r, Rabs_mult. apply Rmult_le_compat_r; [apply Rabs_pos|apply relu_near].
  - apply upper_dot; intros i Hi; split; auto using Rabs_pos. now apply Nr.
Qed.
End Mlp.
End Errors.
