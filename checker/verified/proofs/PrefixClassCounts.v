(* What the extracted checker calls about a task and classes of prefixes: rules prefix-classes, regions, all-reads and joint-reads.
   Regions are those of the automaton of classes, which accepts some inputs of the task. *)
From Coq Require Import Reals Lia ZArith List Arith Bool.
From CompactProofs Require Import Transformers Automata TransformerCounts Regions PrefixClasses RegionCounts JointReads JointCounts.
Open Scope Z_scope.

Section Counts.
Variable M : automaton.
Variable leads_to : nat -> nat -> nat -> option nat.   (* of a step, a class and a token: the class after it *)
Variable stands_for : nat -> nat -> nat.   (* of a class after so many steps: a state *)
Variable states : nat.   (* classes are below *)
Variable back : nat -> nat.
Variable claims : nat -> read_claim.
Variable classes : class_claims.
Variable watches : nat -> (nat -> bool) -> watch.
Variable joint : (nat -> watch) -> joint_states.
Variable A : architecture.
Variable tied : bool.
Variable W : tensors.
Variables (e p mn md : Z) (g terms : nat).
Definition of_classes (count : automaton -> Z) : Z :=
  if (stands_for O O =? O)%nat then count (refined M leads_to stands_for) else 0.
Definition count_class_regions : Z :=
  of_classes (fun C => count_regions_at_reads C states back claims classes A tied W e p mn md g terms).
Definition count_class_joint_reads : Z :=
  of_classes (fun C => count_joint_reads C states back claims classes (fun _ => None) watches joint A tied W e p mn md g terms).

Notation right C := (n_right_inputs (By_automaton C) A (float_transformer A tied W) (IZR mn / IZR md)).
Lemma of_classes_le count : (forall C, count C <= right C) -> of_classes count <= right M.
Proof.
  intros H. unfold of_classes. destruct (Nat.eqb_spec (stands_for O O) O) as [E|]; [|unfold n_right_inputs; lia].
  eapply Z.le_trans; [apply H|]. now apply refined_le.
Qed.
Theorem count_class_regions_sound : count_class_regions <= right M.
Proof. apply of_classes_le. intros C. apply count_regions_sound. Qed.
Theorem count_class_joint_reads_sound : count_class_joint_reads <= right M.
Proof. apply of_classes_le. intros C. apply count_joint_reads_sound. Qed.
End Counts.
