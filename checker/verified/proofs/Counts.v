(* What the extracted checker calls: a function for each rule, for the n-th largest or the smallest token (FORMAT.md 3.1). *)
From Coq Require Import Reals Lia ZArith List Arith Bool.
From CompactProofs Require Import Semantics Counting Labels PrefixChains GroupChains Tables Tasks.

Section Counts.
Variable smallest : bool.
Variable passed : nat.   (* unless it is the smallest: token number passed + 1 in descending order *)
Variables (V O K d dh : nat) (e p rp mn md : Z) (g terms : nat).
Variables zWE zWP zWQ zWK zWV zWO zWU : nat -> nat -> Z.
Variables zbQ zbK zbV zbO zbU : nat -> Z.
Notation M := (real_model V O K d dh e mn md zWE zWP zWQ zWK zWV zWO zWU zbQ zbK zbV zbO zbU).

(* The statement: how many inputs are right about their smallest, or their n-th largest, token. *)
Definition n_right (N : model) : Z := if smallest then n_correct_min N else n_correct_nth passed N.

Definition number (t : nat) : nat := if smallest then flip V t else t.
(* There is a position, every token is an output, and there is one way only to name the smallest token. *)
Definition sizes_fit : bool := (0 <? K)%nat && (V <=? O)%nat && (passed <? K)%nat && (negb smallest || (passed =? 0)%nat).
(* Rules that know of no tokens above the label. *)
Definition about_the_largest : bool := sizes_fit && (passed =? 0)%nat.

Definition count_prefix_chains (blocks : nat -> list (list nat)) (claim : nat -> nat -> nat -> option levels) (rows : list (list nat)) : Z :=
  if about_the_largest then
    certified V O K d dh e p rp mn md g terms (fun t => zWE (number t)) zWP zWQ zWK zWV zWO
      (fun i o => zWU i (number o)) zbQ zbV zbO (fun o => zbU (number o)) blocks claim rows
  else 0%Z.
Definition count_group_chains (steps : nat) (blocks : nat -> nat -> list (list nat))
  (claim : nat -> nat -> nat -> nat -> option grouped) (rows : list (list nat)) : Z :=
  if sizes_fit then
    certified_groups V O K d dh e p rp mn md g terms (fun t => zWE (number t)) zWP zWQ zWK zWV zWO
      (fun i o => zWU i (number o)) zbQ zbV zbO (fun o => zbU (number o)) rows passed steps blocks claim
  else 0%Z.
Definition count_enumeration : Z :=
  if about_the_largest then
    certified_brute V O K d dh e p rp mn md g terms (fun t => zWE (number t)) zWP zWQ zWK zWV zWO
      (fun i o => zWU i (number o)) zbQ zbV zbO (fun o => zbU (number o))
  else 0%Z.

Lemma fits : sizes_fit = true -> (0 < K)%nat /\ (V <= O)%nat /\ (smallest = true -> passed = 0%nat).
Proof.
  intros H. apply andb_prop in H as [H D]. apply andb_prop in H as [H _]. apply andb_prop in H as [A B].
  apply Nat.ltb_lt in A. apply Nat.leb_le in B. repeat split; auto. intros ->. now apply Nat.eqb_eq.
Qed.
Lemma nothing : (0 <= n_right M)%Z.
Proof. unfold n_right, n_correct_nth, n_correct_min. destruct smallest; lia. Qed.

Theorem count_prefix_chains_sound blocks claim rows : (count_prefix_chains blocks claim rows <= n_right M)%Z.
Proof.
  unfold count_prefix_chains. destruct about_the_largest eqn:F; [|apply nothing]. apply andb_prop in F as [F E].
  apply fits in F as (HK & HO & _). apply Nat.eqb_eq in E. unfold n_right, number. rewrite E.
  destruct smallest; [now apply certified_min_sound|]. exact (certified_sound _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ zbK _ _ _ _ _ _).
Qed.
Theorem count_group_chains_sound steps blocks claim rows : (count_group_chains steps blocks claim rows <= n_right M)%Z.
Proof.
  unfold count_group_chains. destruct sizes_fit eqn:F; [|apply nothing]. apply fits in F as (HK & HO & S). unfold n_right, number.
  destruct smallest; [rewrite (S eq_refl); now apply certified_groups_min_sound|].
  exact (certified_groups_sound _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ zbK _ _ _ _ _ _ _ _).
Qed.
Theorem count_enumeration_sound : (count_enumeration <= n_right M)%Z.
Proof.
  unfold count_enumeration. destruct about_the_largest eqn:F; [|apply nothing]. apply andb_prop in F as [F E].
  apply fits in F as (HK & HO & _). apply Nat.eqb_eq in E. unfold n_right, number. rewrite E.
  destruct smallest; [now apply certified_brute_min_sound|]. exact (certified_brute_sound _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ zbK _ _ _).
Qed.
End Counts.
