(* What an execution in floating point of a network with one hidden layer on two inputs is, as in Executions.v. Definitions
   only: they are to be read to believe the theorems of PairDeployed.v. ReLU is exact. *)
From Coq Require Import Reals ZArith List Arith.
From CompactProofs Require Import Semantics TwoInputs Executions.
Import ListNotations.
Open Scope R_scope.

Section Mlp.
Variable F : format.
Variables m O : nat.
Variables left right : nat -> nat -> R.
Variable bin : nat -> R.
Variable WU : nat -> nat -> R.
Variable bU : nat -> R.
Variables a b : nat.

Inductive read_by_mlp := Left | Right | In_bias.
Inductive of_mlp := Active (i : nat) | Out (i z : nat) | Out_bias (z : nat).
Definition mlp_read_formula (of : read_by_mlp -> R) : R := of Left + of Right + of In_bias.
Definition mlp_logit_formula (z : nat) (of : of_mlp -> R) : R := rsum m (fun i => of (Active i) * of (Out i z)) + of (Out_bias
  z).
Definition mlp_reads (i : nat) (q : read_by_mlp) (y : R) : Prop :=
  y = match q with Left => left a i | Right => right b i | In_bias => bin i end.
Definition mlp_writes (r : nat -> R) (q : of_mlp) (y : R) : Prop :=
  y = match q with Active i => relu (r i) | Out i z => WU i z | Out_bias z => bU z end.

(* r: what neurons read; y: the logits. *)
Definition mlp_execution (y : nat -> R) : Prop :=
  exists r : nat -> R,
    (forall i, (i < m)%nat -> computes F (fun _ => 0%nat) (mlp_reads i) 2 24 mlp_read_formula (r i)) /\
    (forall z, (z < O)%nat -> computes F (fun _ => 0%nat) (mlp_writes r) (m + 30) 24 (mlp_logit_formula z) (y z)).
End Mlp.

Section Uniform.
Variable F : format.
Variables n d dh H m O : nat.
Variables WE WP : nat -> nat -> R.
Variable WV : nat -> nat -> nat -> R.
Variable bV : nat -> nat -> R.
Variable WO : nat -> nat -> nat -> R.
Variable bO : nat -> R.
Variable Win : nat -> nat -> R.
Variable bin : nat -> R.
Variable Wout : nat -> nat -> R.
Variable bout : nat -> R.
Variable WU : nat -> nat -> R.
Variable bU : nat -> R.
Variables a b : nat.

Inductive of_uniform :=
  | Residual (j i : nat) | Third | Wv (h i k : nat) | Bv (h k : nat) | Wo (h k i : nat) | Bo (i : nat)
  | Wi (i j : nat) | Bi (j : nat) | Neuron (j : nat) | Wout' (j i : nat) | Bout (i : nat) | Wu (i z : nat) | Bu (z : nat).
Definition own_of_uniform (q : of_uniform) : nat := match q with Residual _ _ => 1 | Third => 4 | _ => 0 end.

(* Biases of values are added to each value, or to their mean. *)
Definition mean_formula (each : bool) (h k : nat) (of : of_uniform -> R) : R :=
  let value j := rsum d (fun i => of (Residual j i) * of (Wv h i k)) in
  if each then rsum 3 (fun j => of Third * (value j + of (Bv h k))) else rsum 3 (fun j => of Third * value j) + of (Bv h k).
Definition stream_formula (each : bool) (i : nat) (of : of_uniform -> R) : R :=
  of (Residual 2 i) + of (Bo i) + rsum H (fun h => rsum dh (fun k => mean_formula each h k of * of (Wo h k i))).
Definition uniform_read_formula (each : bool) (j : nat) (of : of_uniform -> R) : R :=
  rsum d (fun i => stream_formula each i of * of (Wi i j)) + of (Bi j).
Definition uniform_logit_formula (each : bool) (z : nat) (of : of_uniform -> R) : R :=
  rsum d (fun i => (stream_formula each i of + rsum m (fun j => of (Neuron j) * of (Wout' j i)) + of (Bout i)) * of (Wu i z))
  + of (Bu z).

(* A third is what 1/3 is rounded to, or 1/3 itself where a sum is divided by 3, or what the softmax of equal scores is. *)
Definition uniform_given (r : nat -> R) (q : of_uniform) (y : R) : Prop :=
  match q with
  | Residual j i => rounded F (WE (token n a b j) i + WP j i) y
  | Third => exists e, Rabs e <= 4 * roundoff F /\ y = / 3 * (1 + e)
  | Neuron j => y = relu (r j)
  | Wv h i k => y = WV h i k | Bv h k => y = bV h k | Wo h k i => y = WO h k i | Bo i => y = bO i
  | Wi i j => y = Win i j | Bi j => y = bin j | Wout' j i => y = Wout j i | Bout i => y = bout i
  | Wu i z => y = WU i z | Bu z => y = bU z
  end.

Definition uniform_execution (y : nat -> R) : Prop :=
  exists (each : bool) (r : nat -> R),
    (forall j, (j < m)%nat ->
       computes F own_of_uniform (uniform_given r) (2 * d + H * dh + 12) 24 (uniform_read_formula each j) (r j)) /\
    (forall z, (z < O)%nat ->
       computes F own_of_uniform (uniform_given r) (m + 3 * d + H * dh + 30) 24 (uniform_logit_formula each z) (y z)).
End Uniform.

(* Output c has the strictly largest logit, whatever the execution. *)
Definition always_leads (O : nat) (execution : (nat -> R) -> Prop) (c : nat) : Prop :=
  (c < O)%nat /\ forall y, execution y -> forall z, (z < O)%nat -> z <> c -> y z < y c.
