(* What the extracted checker calls: a function for each rule, for the largest or the smallest token (FORMAT.md 3.1). *)
From Coq Require Import Reals Lia ZArith List Arith Bool.
From CompactProofs Require Import Semantics Counting PrefixChains GroupChains Tables Tasks.

Section Counts.
Variable smallest : bool.
Variables (V O K d dh : nat) (e p rp mn md : Z) (g terms : nat).
Variables zWE zWP zWQ zWK zWV zWO zWU : nat -> nat -> Z.
Variables zbQ zbK zbV zbO zbU : nat -> Z.
Notation M := (real_model V O K d dh e mn md zWE zWP zWQ zWK zWV zWO zWU zbQ zbK zbV zbO zbU).

(* The statement: how many inputs are right about their largest, or smallest, token. *)
Definition n_right (N : model) : Z := if smallest then n_correct_min N else n_correct N.

Definition number (t : nat) : nat := if smallest then flip V t else t.
(* There is a position, and every token is an output. *)
Definition sizes_fit : bool := (0 <? K)%nat && (V <=? O)%nat.

Definition count_prefix_chains (blocks : nat -> list (list nat)) (claim : nat -> nat -> nat -> option levels) : Z :=
  if sizes_fit then
    certified V O K d dh e p rp mn md g terms (fun t => zWE (number t)) zWP zWQ zWK zWV zWO
      (fun i o => zWU i (number o)) zbQ zbV zbO (fun o => zbU (number o)) blocks claim
  else 0%Z.
Definition count_group_chains (steps : nat) (blocks : nat -> nat -> list (list nat)) (claim : nat -> nat -> nat -> option grouped)
  (rows : list (list nat)) : Z :=
  if sizes_fit then
    certified_groups_listed V O K d dh e p rp mn md g terms (fun t => zWE (number t)) zWP zWQ zWK zWV zWO
      (fun i o => zWU i (number o)) zbQ zbV zbO (fun o => zbU (number o)) steps blocks claim rows
  else 0%Z.
Definition count_enumeration : Z :=
  if sizes_fit then
    certified_brute V O K d dh e p rp mn md g terms (fun t => zWE (number t)) zWP zWQ zWK zWV zWO
      (fun i o => zWU i (number o)) zbQ zbV zbO (fun o => zbU (number o))
  else 0%Z.

Lemma fits : sizes_fit = true -> (0 < K)%nat /\ (V <= O)%nat.
Proof. intros H. apply andb_prop in H as [A B]. apply Nat.ltb_lt in A. apply Nat.leb_le in B. auto. Qed.
Lemma nothing : (0 <= n_right M)%Z.
Proof. unfold n_right, n_correct, n_correct_min. destruct smallest; lia. Qed.

Theorem count_prefix_chains_sound blocks claim : (count_prefix_chains blocks claim <= n_right M)%Z.
Proof.
  unfold count_prefix_chains. destruct sizes_fit eqn:F; [|apply nothing]. apply fits in F as [HK HO]. unfold n_right, number.
  destruct smallest; [now apply certified_min_sound|]. exact (certified_sound _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ zbK _ _ _ _ _).
Qed.
Theorem count_group_chains_sound steps blocks claim rows : (count_group_chains steps blocks claim rows <= n_right M)%Z.
Proof.
  unfold count_group_chains. destruct sizes_fit eqn:F; [|apply nothing]. apply fits in F as [HK HO]. unfold n_right, number.
  destruct smallest; [now apply certified_groups_listed_min_sound|]. exact (certified_groups_listed_sound _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ zbK _ _ _ _ _ _ _).
Qed.
Theorem count_enumeration_sound : (count_enumeration <= n_right M)%Z.
Proof.
  unfold count_enumeration. destruct sizes_fit eqn:F; [|apply nothing]. apply fits in F as [HK HO]. unfold n_right, number.
  destruct smallest; [now apply certified_brute_min_sound|]. exact (certified_brute_sound _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ zbK _ _ _).
Qed.
End Counts.
