(* The theorems say "at most", which 0 would satisfy: a network of one dimension, on which the functions find what there is. *)
From Coq Require Import ZArith List.
From CompactProofs Require Import PrefixChains GroupChains Tables.
Import ListNotations.
Open Scope Z_scope.

(* Two tokens 0 and 1, two positions, no scores: the residual is x_1 + (x_0 + x_1) / 2. Output 0 is 0, output 1 is the residual
   less 1/4, so all inputs are right, two of them by exactly 1/4 (0,0 and 1,0). Numbers are in units of 2^-10. *)
Definition none : nat -> nat -> Z := fun _ _ => 0.
Definition one : nat -> nat -> Z := fun _ _ => 1024.
Definition token : nat -> nat -> Z := fun t _ => 1024 * Z.of_nat t.
Definition output : nat -> nat -> Z := fun _ o => 1024 * Z.of_nat o.
Definition bias : nat -> Z := fun o => - 256 * Z.of_nat o.
Definition enumerated (mn md : Z) : Z :=
  certified_brute 2 2 2 1 1 10 30 50 mn md 6 10 token none none none one one output (fun _ => 0) (fun _ => 0) (fun _ => 0) bias None.

Example all_are_right : enumerated 0 1 = 4. Proof. vm_compute. reflexivity. Qed.
Example a_margin_below : enumerated 1 8 = 4. Proof. vm_compute. reflexivity. Qed.
Example a_margin_met_exactly_is_not_exceeded : enumerated 1 4 = 2. Proof. vm_compute. reflexivity. Qed.

(* prefix-chains: with the query 1 and the label 1, one free token: below 1 (no copy), or 1 itself. With the query 0: 1, or 0 itself. *)
Definition claim (q m c : nat) : option levels :=
  match c, q, m with 0%nat, 1%nat, 1%nat => Some [(1, 1)%nat] | 1%nat, _, _ => Some [] | _, _, _ => None end.
Definition chained (mn md : Z) (blocks : list (list nat)) : Z :=
  certified 2 2 2 1 1 10 30 50 mn md 6 10 token none none none one one output (fun _ => 0) (fun _ => 0) (fun _ => 0) bias
    (fun _ => blocks) claim None [].

Example classes : chained 0 1 [[0; 1]]%nat = 4. Proof. vm_compute. reflexivity. Qed.
Example classes_with_a_margin : chained 1 4 [[0; 1]]%nat = 2. Proof. vm_compute. reflexivity. Qed.
Example a_rival_left_out : chained 0 1 [[0]]%nat = 0. Proof. vm_compute. reflexivity. Qed.

(* The second largest token of two. Output 1 is the residual less 7/4, so that it is chosen for (1, 1) only: all inputs are right,
   by group-chains (one free token: equal to the label, or above it where the query is not), and one by one. *)
Definition grouping (q m c a : nat) : option grouped :=
  match q, m, c, a with
  | 0%nat, 0%nat, 0%nat, 1%nat => Some (Grouped 0 (fun _ => 1%nat) [] [(1, 1)%nat])
  | _, _, 1%nat, 0%nat => Some (Grouped 0 (fun _ => 1%nat) [] [])
  | _, _, _, _ => None
  end.
Definition second (rows : list (list nat)) (claim : nat -> nat -> nat -> nat -> option grouped) : Z :=
  certified_groups 2 2 2 1 1 10 30 50 0 1 6 10 token none none none one one output (fun _ => 0) (fun _ => 0) (fun _ => 0)
    (fun o => - 1792 * Z.of_nat o) None rows 1 1 (fun _ _ => [[0; 1]]%nat) claim.

Example in_groups : second [] grouping = 4. Proof. vm_compute. reflexivity. Qed.
Example no_row_is_counted_twice : second [[0; 0]; [0; 1]; [1; 0]; [1; 1]]%nat grouping = 4. Proof. vm_compute. reflexivity. Qed.
Example one_by_one : second [[0; 0]; [0; 1]; [1; 0]; [1; 1]]%nat (fun _ _ _ _ => None) = 4. Proof. vm_compute. reflexivity. Qed.
