(* Tasks for sequences (FORMAT.md 3.1 and 3.3): their inputs, and the true output at every position that is read; and the
   statement about a transformer, how many inputs it is right about. *)
From Coq Require Import Reals Lia ZArith List Arith Bool.
From CompactProofs Require Import Semantics Counting Labels Tasks Transformers.
Import ListNotations.

(* In step i, token t leads from state s to `transition i s t`, if there is one. A read is a position and a number of steps; in
   a state after these steps, the true output there is `output r s` for read number r, if there is one. *)
Record automaton := Automaton {
  order : nat -> nat; transition : nat -> nat -> nat -> option nat; output : nat -> nat -> option nat;
    reads : list (nat * nat) }.

Section Run.
Variable M : automaton.
Variable x : list nat.
Fixpoint state_after (steps : nat) : option nat :=
  match steps with
  | O => Some O
  | S i => match state_after i with None => None | Some s => transition M i s (nth (order M i) x O) end
  end.
Fixpoint outputs_from (number : nat) (l : list (nat * nat)) : option (list (nat * nat)) :=
  match l with
  | [] => Some []
  | (position, steps) :: rest =>
    match state_after steps with
    | None => None
    | Some s =>
      match output M number s, outputs_from (S number) rest with
      | Some o, Some others => Some ((position, o) :: others)
      | _, _ => None
      end
    end
  end.
(* Positions with their true outputs, if it is an input. *)
Definition run (length : nat) : option (list (nat * nat)) :=
  match state_after length with None => None | Some _ => outputs_from O (reads M) end.
End Run.

Inductive task := Nth_largest (passed : nat) | Smallest | By_automaton (M : automaton).
Definition truth (the : task) (length : nat) (x : list nat) : option (list (nat * nat)) :=
  match the with
  | Nth_largest passed => Some [((length - 1)%nat, nth_label passed x)]
  | Smallest => Some [((length - 1)%nat, min_label x)]
  | By_automaton M => run M x length
  end.

(* How many inputs there are, and about how many of them a transformer is right at all positions that are read. *)
Definition right_input (the : task) (A : architecture) (T : transformer R) (margin : R) (x : list nat) : bool :=
  match truth the (n_ctx A) x with
  | None => false
  | Some reads => forallb (fun read => right_at A T x margin (fst read) (snd read)) reads
  end.
Definition inputs (the : task) (V K : nat) : list (list nat) :=
  filter (fun x => match truth the K x with None => false | Some _ => true end) (all_lists V K).
Definition n_right_inputs (the : task) (A : architecture) (T : transformer R) (margin : R) : Z :=
  Z.of_nat (length (filter (right_input the A T margin) (all_lists (d_vocab A) (n_ctx A)))).
