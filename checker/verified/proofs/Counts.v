(* What the extracted checker calls: a function for each rule, for the n-th largest or the smallest token (FORMAT.md 3.1). *)
From Coq Require Import Reals Lia ZArith List Arith Bool FunctionalExtensionality.
From CompactProofs Require Import Semantics Counting Labels PrefixChains GroupChains Tables Tasks Floats.
Import ListNotations.

(* Biases have one row. *)
Record weights := Weights { tWE : tensor; tWP : tensor; tWQ : tensor; tbQ : tensor; tWK : tensor; tbK : tensor; tWV : tensor; tbV : tensor;
  tWO : tensor; tbO : tensor; tWU : tensor; tbU : tensor }.

Section Counts.
Variable smallest : bool.
Variable passed : nat.   (* unless it is the smallest: token number passed + 1 in descending order *)
Variables (V O K d dh : nat) (e p rp mn md : Z) (g terms : nat).
Variable W : weights.
(* The model, its weights being what IEEE 754 says of their bits. *)
Definition float_model : model :=
  Model V O K d dh (float (tWE W)) (float (tWP W)) (float (tWQ W)) (float (tbQ W) 0) (float (tWK W)) (float (tbK W) 0)
    (float (tWV W)) (float (tbV W) 0) (float (tWO W)) (float (tbO W) 0) (float (tWU W)) (float (tbU W) 0) (IZR mn / IZR md)%R.

(* The statement: how many inputs are right about their smallest, or their n-th largest, token. *)
Definition n_right (N : model) : Z := if smallest then n_correct_min N else n_correct_nth passed N.

Definition number (t : nat) : nat := if smallest then flip V t else t.
(* There is a position, every token is an output, there is one way only to name the smallest token, tensors have their shapes (biases may
   be absent), and all weights are z 2^-e. *)
Definition bias (n : nat) (t : tensor) : bool := shaped 0 0 t || shaped 1 n t.
Definition shapes : bool :=
  shaped V d (tWE W) && shaped K d (tWP W) && forallb (shaped d dh) [tWQ W; tWK W; tWV W] && shaped dh d (tWO W) && shaped d O (tWU W)
  && forallb (bias dh) [tbQ W; tbK W; tbV W] && bias d (tbO W) && bias O (tbU W).
Definition fit : bool :=
  (0 <? K)%nat && (V <=? O)%nat && (passed <? K)%nat && (negb smallest || (passed =? 0)%nat) && shapes && (0 <=? e)%Z
  && forallb (exact e) [tWE W; tWP W; tWQ W; tbQ W; tWK W; tbK W; tWV W; tbV W; tWO W; tbO W; tWU W; tbU W].
(* Rules that know of no tokens above the label. *)
Definition about_the_largest : bool := (passed =? 0)%nat && fit.

(* A rule's function, about tokens and outputs in the order of their numbers. *)
Definition numbered (F : (nat -> nat -> Z) -> (nat -> nat -> Z) -> (nat -> nat -> Z) -> (nat -> nat -> Z) -> (nat -> nat -> Z)
    -> (nat -> nat -> Z) -> (nat -> nat -> Z) -> (nat -> Z) -> (nat -> Z) -> (nat -> Z) -> (nat -> Z) -> Z) : Z :=
  let wE := integers e (tWE W) in let wU := integers e (tWU W) in let bU := integers e (tbU W) 0 in
  F (fun t => wE (number t)) (integers e (tWP W)) (integers e (tWQ W)) (integers e (tWK W)) (integers e (tWV W)) (integers e (tWO W))
    (fun i o => wU i (number o)) (integers e (tbQ W) 0) (integers e (tbV W) 0) (integers e (tbO W) 0) (fun o => bU (number o)).
(* Tables come from additive-tables (None) or projected-tables. *)
Variable source : option projections.
Definition count_prefix_chains (blocks : nat -> list (list nat)) (claim : nat -> nat -> nat -> option levels) (rows : list (list nat)) : Z :=
  if about_the_largest then numbered (fun zWE zWP zWQ zWK zWV zWO zWU zbQ zbV zbO zbU =>
    certified V O K d dh e p rp mn md g terms zWE zWP zWQ zWK zWV zWO zWU zbQ zbV zbO zbU blocks claim source rows)
  else 0%Z.
Definition count_group_chains (steps : nat) (blocks : nat -> nat -> list (list nat))
  (claim : nat -> nat -> nat -> nat -> option grouped) (rows : list (list nat)) : Z :=
  if fit then numbered (fun zWE zWP zWQ zWK zWV zWO zWU zbQ zbV zbO zbU =>
    certified_groups V O K d dh e p rp mn md g terms zWE zWP zWQ zWK zWV zWO zWU zbQ zbV zbO zbU source rows passed steps blocks claim)
  else 0%Z.
Definition count_enumeration : Z :=
  if about_the_largest then numbered (fun zWE zWP zWQ zWK zWV zWO zWU zbQ zbV zbO zbU =>
    certified_brute V O K d dh e p rp mn md g terms zWE zWP zWQ zWK zWV zWO zWU zbQ zbV zbO zbU source)
  else 0%Z.

Notation real := (real_model V O K d dh e mn md (integers e (tWE W)) (integers e (tWP W)) (integers e (tWQ W)) (integers e (tWK W))
  (integers e (tWV W)) (integers e (tWO W)) (integers e (tWU W)) (integers e (tbQ W) 0) (integers e (tbK W) 0) (integers e (tbV W) 0)
  (integers e (tbO W) 0) (integers e (tbU W) 0)).
Lemma fits : fit = true -> (0 < K)%nat /\ (V <= O)%nat /\ (smallest = true -> passed = 0%nat) /\ float_model = real.
Proof.
  intros H. apply andb_prop in H as [H X]. apply andb_prop in H as [H He]. apply andb_prop in H as [H _]. apply andb_prop in H as [H D]. apply andb_prop in H as [H _].
  apply andb_prop in H as [A B]. apply Nat.ltb_lt in A. apply Nat.leb_le in B. apply Z.leb_le in He. repeat split; auto.
  { intros ->. now apply Nat.eqb_eq. }
  rewrite forallb_forall in X.
  assert (Same : forall t, In t [tWE W; tWP W; tWQ W; tbQ W; tWK W; tbK W; tWV W; tbV W; tWO W; tbO W; tWU W; tbU W] ->
                 float t = fun i j => rw e (integers e t i j)).
  { intros t I. apply functional_extensionality; intros i. apply functional_extensionality; intros j. symmetry.
    apply integers_value; auto. }
  unfold float_model, real_model. rewrite !Same by (cbn; tauto). reflexivity.
Qed.
Lemma nothing : (0 <= n_right float_model)%Z.
Proof. unfold n_right, n_correct_nth, n_correct_min. destruct smallest; lia. Qed.

Theorem count_prefix_chains_sound blocks claim rows : (count_prefix_chains blocks claim rows <= n_right float_model)%Z.
Proof.
  unfold count_prefix_chains. destruct about_the_largest eqn:F; [|apply nothing]. apply andb_prop in F as [E F].
  apply fits in F as (HK & HO & _ & ->). apply Nat.eqb_eq in E. unfold n_right, numbered, number. rewrite E.
  destruct smallest; [now apply certified_min_sound|]. exact (certified_sound _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _).
Qed.
Theorem count_group_chains_sound steps blocks claim rows : (count_group_chains steps blocks claim rows <= n_right float_model)%Z.
Proof.
  unfold count_group_chains. destruct fit eqn:F; [|apply nothing]. apply fits in F as (HK & HO & S & ->). unfold n_right, numbered, number.
  destruct smallest; [rewrite (S eq_refl); now apply certified_groups_min_sound|].
  exact (certified_groups_sound _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _).
Qed.
Theorem count_enumeration_sound : (count_enumeration <= n_right float_model)%Z.
Proof.
  unfold count_enumeration. destruct about_the_largest eqn:F; [|apply nothing]. apply andb_prop in F as [E F].
  apply fits in F as (HK & HO & _ & ->). apply Nat.eqb_eq in E. unfold n_right, numbered, number. rewrite E.
  destruct smallest; [now apply certified_brute_min_sound|]. exact (certified_brute_sound _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _).
Qed.
End Counts.
