(* As in Example.v: networks for addition modulo 2, on which the functions find what there is. *)
From Coq Require Import ZArith List Bool Arith.
From CompactProofs Require Import Counting TwoInputs HiddenLayer CodedOutput SetOutput PairCounts.
Import ListNotations.
Open Scope Z_scope.

Definition sum (a b : nat) : nat := ((a + b) mod 2)%nat.
Definition everywhere (_ _ : nat) : bool := true.
Definition found_by (tables : hidden) (m : nat) (c : claim) : Z := count_pairs 2 (found 2 m 2 tables sum [c]).

(* Output 0 is 1; output 1 is 2 relu (a + b) - 4 relu (a + b - 1), which is 0 or 2: every pair is right by 1. *)
Definition two_neurons (need : Z) : hidden :=
  Hidden (fun a _ => Z.of_nat a) (fun b _ => Z.of_nat b) (fun i => - Z.of_nat i)
    (fun i z => if (z =? 1)%nat then if (i =? 0)%nat then 2 else -4 else 0) None (fun z => if (z =? 0)%nat then 1 else 0) need.
Definition one_by_one (some : nat -> bool) : claim := Claim some everywhere false (Evaluated (-1) (-1)).
Example all_pairs : found_by (two_neurons 0) 2 (one_by_one (fun _ => true)) = 4. Proof. vm_compute. reflexivity. Qed.
Example a_margin_met_exactly : found_by (two_neurons 1) 2 (one_by_one (fun _ => true)) = 0. Proof. vm_compute. reflexivity. Qed.
Example a_neuron_left_out : found_by (two_neurons 0) 2 (one_by_one (Nat.eqb 0)) = 0. Proof. vm_compute. reflexivity. Qed.
Example mirror_images : found_by (two_neurons 0) 2 (Claim (fun _ => true) Nat.leb true (Evaluated (-1) (-1))) = 4.
Proof. vm_compute. reflexivity. Qed.

(* A code of one atom for both neurons, which leaves nothing out. *)
Definition one_atom : code :=
  Code 1 1 (fun i => [(0%nat, if (i =? 0)%nat then 1 else -2)]) (fun _ z => if (z =? 1)%nat then 2 else 0) (fun _ => 0)
    (fun _ _ => 0) (fun _ _ => 0) 9.
Example by_a_code : found_by (two_neurons 0) 2 (Claim (fun _ => true) everywhere false (By_code (-1)
  (-1) one_atom one_atom)) = 4.
Proof. vm_compute. reflexivity. Qed.

(* Four neurons (x, y), which read 1 or -1 and write 1 on the output x - y: every pair is right by 2, as its neuron of the
   place (1, 1) is. *)
Definition sign (t : nat) : Z := 2 * Z.of_nat (t mod 2)%nat - 1.
Definition first (i : nat) : nat := (i / 2)%nat.
Definition second (i : nat) : nat := (i mod 2)%nat.
Definition four_neurons (need : Z) : hidden :=
  Hidden (fun a i => sign (a + first i)) (fun b i => sign (b + second i)) (fun _ => 0)
    (fun i z => if (first i =? sum z (second i))%nat then 1 else 0) None (fun _ => 0) need.
Definition swaps : sets :=
  Sets 2 sum (fun a => a) 0 (fun x y => if (x =? y)%nat then 1
    else 0) first second (fun _ => 1) (fun _ => 0%nat) 1 (fun _ => [0; 1]%nat)
    (fun _ => [0; 1]%nat).
Definition at_once (s : sets) : claim := Claim (fun _ => true) everywhere false (By_sets s).
Example by_sets : found_by (four_neurons 1) 4 (at_once swaps) = 4. Proof. vm_compute. reflexivity. Qed.
Example by_sets_a_margin_met_exactly : found_by (four_neurons 2) 4 (at_once swaps) = 0. Proof. vm_compute. reflexivity. Qed.
Example no_action : found_by (four_neurons 1) 4 (at_once (Sets 2 (fun _ x => x) (fun a => a) 0 (kernel swaps) first second
  (fun _ => 1)
  (fun _ => 0%nat) 1 (firsts swaps) (seconds swaps))) = 0. Proof. vm_compute. reflexivity. Qed.
