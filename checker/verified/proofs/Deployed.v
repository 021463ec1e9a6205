(* Rule float-execution for attention-only transformers: if the margin is at least twice what executions may be off, all of
   them are right about every input that is right by more than the margin in real arithmetic; so about as many as are
   counted. *)
From Coq Require Import Reals Lra Lia ZArith List Arith Bool.
From Flocq Require Import Core.
From CompactProofs Require Import Semantics Counting Labels PrefixChains GroupChains FurtherInputs Tables Tasks Floats Counts
  Executions FloatSizes.
Import ListNotations.

(* At least n different inputs are such that P. *)
Definition at_least {A} (n : Z) (P : A -> Prop) : Prop := exists l, NoDup l /\ (forall x, In x l -> P x) /\ (n <= Z.of_nat
  (length l))%Z.

(* Finite numbers of the tensor's format are numbers of the format of executions. *)
Definition representable (F : format) (t : tensor) : bool :=
  ((fraction_bits t <? significand F) && (2 ^ (exponent_bits t - 1) - 1 <=? largest_exponent F))%Z.

Section Deployed.
Variable F : format.
Variable smallest : bool.
Variable passed : nat.   (* unless it is the smallest: token number passed + 1 in descending order *)
Variables (V O K d dh : nat) (e mn md : Z).
Variable W : weights.
Notation M := (float_model V O K d dh mn md W).
Notation all_tensors := [tWE W; tWP W; tWQ W; tbQ W; tWK W; tbK W; tWV W; tbV W; tWO W; tbO W; tWU W; tbU W].
Definition label (x : list nat) : nat := if smallest then min_label x else nth_label passed x.
(* An input of the task about which every execution is right. *)
Definition deployed_right (x : list nat) : Prop :=
  length x = K /\ Forall (fun t => (t < V)%nat) x /\ right_in_every_execution F M x (label x).

(* A number of inputs that are right by more than the margin; 0 unless the margin is enough. *)
Definition in_format (counted : Z) : Z :=
  if fit smallest passed V O K d dh e W && forallb (representable F) all_tensors && (0 <? dh)%nat
     && enough F V O K d dh e mn md (integers e (tWE W)) (integers e (tWP W)) (integers e (tWQ W)) (integers e (tWK W))
       (integers e (tWV W))
          (integers e (tWO W)) (integers e (tWU W)) (integers e (tbQ W) 0) (integers e (tbK W) 0) (integers e (tbV W) 0)
          (integers e (tbO W) 0) (integers e (tbU W) 0)
  then counted else 0%Z.

Lemma remove_one_le t m : forall x, (forall a, In a x -> (a <= m)%nat) -> forall a, In a (remove_one t x) -> (a <= m)%nat.
Proof.
  induction x as [|b x IH]; intros H a I; [destruct I|]. cbn [remove_one] in I. destruct (b =? t)%nat; [apply H; now right|].
  destruct I as [->|I]; [apply H; now left|]. apply IH; auto. intros; apply H; now right.
Qed.
Lemma nth_label_le m : forall p x, (forall a, In a x -> (a <= m)%nat) -> (nth_label p x <= m)%nat.
Proof.
  induction p; intros x H; cbn [nth_label]; [now apply max_label_le|]. apply IHp. now apply remove_one_le.
Qed.
Lemma label_lt x : (0 < K)%nat -> length x = K -> Forall (fun t => (t < V)%nat) x -> (label x < V)%nat.
Proof.
  intros HK Hl H. rewrite Forall_forall in H. assert (N : x <> []) by (intros ->; cbn in Hl; lia). unfold label.
  destruct smallest.
  - apply H, min_label_in, N.
  - assert (V0 : (0 < V)%nat) by (destruct x as [|a x]; [easy|]; specialize (H a (or_introl eq_refl)); lia).
    enough (L : (nth_label passed x <= V - 1)%nat) by lia. apply nth_label_le. intros a I. specialize (H a I). lia.
Qed.

Theorem right_when_deployed counted x : (0 < in_format counted)%Z -> length x = K -> Forall (fun t => (t < V)%nat) x ->
  predicts M x (label x) -> right_in_every_execution F M x (label x).
Proof.
  unfold in_format. destruct (_ && _)%bool eqn:C; [|lia]. intros _ Hl HV P y Run o Ho N. apply andb_prop in C as [C En].
  apply andb_prop in C as [C Hdh].
  apply andb_prop in C as [C _]. assert (He := C). unfold fit in He. apply andb_prop in He as [He _].
  apply andb_prop in He as [_ He].
  apply Z.leb_le in He. apply Nat.ltb_lt in Hdh. destruct (fits smallest passed V O K d dh e mn md W C) as (HK & HO & _ & Same).
  rewrite Same in P, Run. cbn [nO float_model] in Ho. assert (L := label_lt x HK Hl HV).
  exact (lead_kept F V O K d dh e mn md _ _ _ _ _ _ _ _ _ _ _ _ He HK Hdh x y (label x) En Hl HV ltac:(lia) P Run o Ho N).
Qed.

Theorem in_format_sound counted : (counted <= n_right smallest passed M)%Z -> at_least (in_format counted) deployed_right.
Proof.
  intros H. destruct (Z_lt_dec 0 (in_format counted)) as [Pos|Neg].
  - exists (filter (if smallest then correct_min M else correct_nth passed M) (all_lists V K)). split; [|split].
    + apply NoDup_filter, all_lists_nodup.
    + intros x I. apply filter_In in I as [I R]. apply all_lists_spec in I as [Hl HV]. repeat split; auto.
      apply (right_when_deployed counted); auto. unfold label. destruct smallest; now apply right_iff.
    + assert (Eq : in_format counted = counted) by (unfold in_format in *; destruct (_ && _)%bool; lia). rewrite Eq.
      unfold n_right, n_correct_min, n_correct_nth in H. destruct smallest; exact H.
  - exists []. split; [constructor|split; [intros x []|cbn; lia]].
Qed.

(* Of what the rules count; p, rp, g and terms, and the weights' e there, only say how exactly to compute. *)
Variables (e' p rp : Z) (g terms : nat) (source : option projections).
Theorem deployed_prefix_chains_sound blocks claim rows :
  at_least (in_format (count_prefix_chains smallest passed V O K d dh e' p rp mn md g terms W source blocks claim rows))
    deployed_right.
Proof. apply in_format_sound, count_prefix_chains_sound. Qed.
Theorem deployed_group_chains_sound steps blocks claim rows :
  at_least (in_format (count_group_chains smallest passed V O K d dh e' p rp mn md g terms W source steps blocks claim rows))
    deployed_right.
Proof. apply in_format_sound, count_group_chains_sound. Qed.
Theorem deployed_enumeration_sound :
  at_least (in_format (count_enumeration smallest passed V O K d dh e' p rp mn md g terms W source)) deployed_right.
Proof. apply in_format_sound, count_enumeration_sound. Qed.
End Deployed.

(* What representable says: finite weights are numbers of the format. *)
Theorem representable_value F e t i j : representable F t = true -> exact e t = true -> (i < rows t)%nat -> (j < columns t)%nat
  ->
  generic_format radix2 (FLT_exp (2 - largest_exponent F - significand F) (significand F)) (float t i j).
Proof.
  intros R X Hi Hj. apply andb_prop in R as [R1 R2]. apply Z.ltb_lt in R1. apply Z.leb_le in R2.
  unfold exact in X. apply andb_prop in X as [X All]. apply andb_prop in X as [Hm Hx]. apply Z.ltb_lt in Hm, Hx.
  rewrite forallb_forall in All. specialize (All i ltac:(apply in_seq; lia)). rewrite forallb_forall in All.
  specialize (All j ltac:(apply in_seq; lia)).
  unfold integer in All. destruct (decoded (fraction_bits t) (exponent_bits t) (bits_at t i j)) as [[m x]|] eqn:D;
    [|discriminate].
  unfold float. rewrite (decoded_value _ _ _ _ _ Hm Hx D). apply generic_format_FLT.
  exists (Float radix2 m x); [reflexivity| |]; cbn [Fnum Fexp].
  - apply Z.lt_le_trans with (2 ^ (fraction_bits t + 1))%Z; [|change (Zpower radix2 (significand F)) with (2 ^ significand
    F)%Z; apply Z.pow_le_mono_r; lia].
    unfold decoded in D. destruct (_ =? _)%Z; [discriminate|]. injection D as <- _. rewrite Z.pow_add_r by lia.
    assert (B := Z.mod_pos_bound (bits_at t i j) (2 ^ fraction_bits t) ltac:(apply Z.pow_pos_nonneg; lia)).
    destruct (_ <=? _)%Z, (_ =? 0)%Z; cbn [Z.abs]; rewrite ?Z.abs_opp, Z.abs_eq; lia.
  - unfold decoded in D. destruct (_ =? _)%Z; [discriminate|]. injection D as _ <-. lia.
Qed.
