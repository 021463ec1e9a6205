(* The rearrangement inequality: products of two lists of numbers add up to most if both are in the same order. *)
From Coq Require Import ZArith Lia List Permutation Sorting.Sorted Mergesort Orders Bool.
From CompactProofs Require Import ListSums.
Import ListNotations.
Open Scope Z_scope.

Module ByLeb <: TotalLeBool.
  Definition t := Z.
  Definition leb := Z.leb.
  Lemma leb_total x y : leb x y = true \/ leb y x = true.
  Proof. unfold leb. rewrite !Z.leb_le. lia. Qed.
End ByLeb.
Module Ascending := Sort ByLeb.

Definition ascending (l : list Z) : list Z := Ascending.sort l.
Fixpoint products (l k : list Z) : Z := match l, k with x :: l, y :: k => x * y + products l k | _, _ => 0 end.

Lemma ascending_sorted l : StronglySorted Z.le (ascending l).
Proof.
  assert (S : StronglySorted (fun x y => is_true (ByLeb.leb x y)) (ascending l)).
  { apply Ascending.StronglySorted_sort. unfold Relations_1.Transitive, is_true, ByLeb.leb. intros x y z. rewrite !Z.leb_le.
    lia. }
  induction S as [|x r _ IH F]; constructor; auto. eapply Forall_impl; [|exact F]. intros y. apply Z.leb_le.
Qed.
Lemma ascending_permutation l : Permutation l (ascending l).
Proof. apply Ascending.Permuted_sort. Qed.

Lemma sorted_unique l : StronglySorted Z.le l -> forall k, StronglySorted Z.le k -> Permutation l k -> l = k.
Proof.
  induction 1 as [|x l _ IH F]; intros k S P; [now apply Permutation_nil in P|].
  destruct k as [|y k]; [symmetry in P; now apply Permutation_nil in P|]. inversion S as [|? ? Sk G]; subst.
  rewrite Forall_forall in F, G.
  assert (E : x = y).
  { assert (I : In x (y :: k)) by (apply (Permutation_in _ P); cbn; auto).
    assert (J : In y (x :: l)) by (apply (Permutation_in _ (Permutation_sym P)); cbn; auto).
    destruct I as [I|I], J as [J|J]; auto. specialize (F y J). specialize (G x I). lia. }
  subst. f_equal. apply IH; auto. now apply Permutation_cons_inv in P.
Qed.
Lemma ascending_unique l k : Permutation l k -> ascending l = ascending k.
Proof.
  intros P. apply sorted_unique; try apply ascending_sorted.
  now rewrite <- (ascending_permutation l), <- (ascending_permutation k).
Qed.

(* A number of a list made larger, where the other list has numbers from a on. *)
Lemma made_larger a b c : b <= c -> forall r u s, Forall (Z.le a) u -> length u = length (r ++ b :: s) ->
  a * (c - b) + products u (r ++ b :: s) <= products u (r ++ c :: s).
Proof.
  intros L. induction r as [|d r IH]; intros u s F E; destruct u as [|x u]; cbn in E; try lia;
    apply Forall_cons_iff in F as [X F]; cbn.
  - assert (0 <= (x - a) * (c - b)) by (apply Z.mul_nonneg_nonneg; lia). lia.
  - specialize (IH u s ltac:(auto) ltac:(lia)). lia.
Qed.
Lemma sorted_is_most u : StronglySorted Z.le u -> forall v w, StronglySorted Z.le v -> Permutation w v -> length u = length v ->
  products u w <= products u v.
Proof.
  induction 1 as [|a u _ IH Fa]; intros v w S P E; [cbn; lia|]. destruct v as [|b v]; [discriminate|].
  inversion S as [|? ? Sv Fb]; subst.
  destruct w as [|c w]; [apply Permutation_nil in P; discriminate|]. cbn in E |- *.
  assert (I : In b (c :: w)) by (apply (Permutation_in _ (Permutation_sym P)); cbn; auto).
  assert (Lc : b <= c).
  { assert (J : In c (b :: v)) by (apply (Permutation_in _ P); cbn; auto). destruct J as [->|J]; [lia|].
    rewrite Forall_forall in Fb. auto. }
  destruct (Z.eq_dec b c) as [->|N].
  - apply Permutation_cons_inv in P. specialize (IH v w Sv P ltac:(lia)). lia.
  - destruct I as [->|I]; [lia|]. apply in_split in I as (r & s & ->).
    assert (P' : Permutation (r ++ c :: s) v).
    { apply Permutation_cons_inv with b. rewrite <- P. rewrite <- (Permutation_middle r s c), <- (Permutation_middle r s b).
      apply perm_swap. }
    assert (len := Permutation_length P'). assert (X := IH v (r ++ c :: s) Sv P' ltac:(lia)).
    assert (Y := made_larger a b c Lc r u s Fa ltac:(rewrite app_length in *; cbn in *; lia)). lia.
Qed.

Theorem rearrangement {A} (l : list A) (f g : A -> Z) :
  lsum l (fun x => f x * g x) <= products (ascending (map f l)) (ascending (map g l)).
Proof.
  destruct (Permutation_map_inv f l (Permutation_sym (ascending_permutation (map f l)))) as (k & E & P).
  rewrite (lsum_permutation l k) by auto. rewrite E.
  assert (Q : lsum k (fun x => f x * g x) = products (map f k) (map g k)) by (clear; induction k; cbn; lia). rewrite Q.
  apply sorted_is_most.
  - rewrite <- E. apply ascending_sorted.
  - apply ascending_sorted.
  - rewrite <- ascending_permutation. apply Permutation_map. now symmetry.
  - rewrite <- (Permutation_length (ascending_permutation (map g l))), !map_length. symmetry. now apply Permutation_length.
Qed.
