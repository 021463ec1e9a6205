(* What an execution in floating point of an attention-only transformer is (rule float-execution). Definitions only: they are
   to be read to believe the theorems of Deployed.v.

   Each operation gives exact (1 + e) + f, with |e| at most the unit roundoff and |f| at most the smallest normal number
   (underflow, gradual or to zero), unless the exact result exceeds the largest power of two: then anything. An execution
   evaluates some expression in sums and products, of residuals and weights, that equals the model's formula whatever the
   weights are: so in any order of summation and any association of matrix products, with fused multiplications (e = f = 0)
   or without. No monomial may pass through more roundings than are stated. *)
From Coq Require Import Reals ZArith List Arith.
From CompactProofs Require Import Semantics.
Open Scope R_scope.

(* Bits of a number's mantissa and of an operand's of matrix products, if these are rounded further; and the exponent of the
   largest power of two. *)
Record format := Format { significand : Z; operand_significand : option Z; largest_exponent : Z }.
Definition float32 := Format 24 None 127.
Definition float64 := Format 53 None 1023.
Definition tf32 := Format 24 (Some 10%Z) 127.
Definition bfloat16 := Format 24 (Some 7%Z) 127.

Section Format.
Variable F : format.
Definition roundoff : R := / IZR (2 ^ significand F).
Definition operand_roundoff : R := match operand_significand F with Some n => / IZR (2 ^ n) | None => 0 end.
Definition underflow : R := / IZR (2 ^ (largest_exponent F - 1)).
Definition limit : R := IZR (2 ^ largest_exponent F).

(* y is x but for a relative error r, and underflow. *)
Definition off (r x y : R) : Prop := exists e f, Rabs e <= r /\ Rabs f <= underflow /\ y = x * (1 + e) + f.
(* What may come out where x is the exact result; and of an operand or result of a matrix product. *)
Definition rounded (x y : R) : Prop := Rabs x <= limit -> off roundoff x y.
Definition cast (x y : R) : Prop := Rabs x <= limit -> off operand_roundoff x y.

Section Expressions.
Variable quantity : Type.
Inductive expression :=
  | Given (q : quantity)
  | Sum (a b : expression)
  | Product (a b : expression)
  | Cast (a : expression).

Fixpoint exact_value (of : quantity -> R) (e : expression) : R :=
  match e with
  | Given q => of q
  | Sum a b => exact_value of a + exact_value of b
  | Product a b => exact_value of a * exact_value of b
  | Cast a => exact_value of a
  end.

(* How many roundings a monomial passes through at most: those of the quantities in it, one for each sum and each product. *)
Fixpoint roundings (own : quantity -> nat) (e : expression) : nat :=
  match e with
  | Given q => own q
  | Sum a b => S (Nat.max (roundings own a) (roundings own b))
  | Product a b => S (roundings own a + roundings own b)
  | Cast a => roundings own a
  end.
Fixpoint casts (e : expression) : nat :=
  match e with
  | Given _ => 0
  | Sum a b => Nat.max (casts a) (casts b)
  | Product a b => casts a + casts b
  | Cast a => S (casts a)
  end.

(* A number that may be computed by an expression, where a quantity may be given by some numbers. *)
Inductive run (given : quantity -> R -> Prop) : expression -> R -> Prop :=
  | run_given q y : given q y -> run given (Given q) y
  | run_sum a b x y z : run given a x -> run given b y -> rounded (x + y) z -> run given (Sum a b) z
  | run_product a b x y z : run given a x -> run given b y -> rounded (x * y) z -> run given (Product a b) z
  | run_cast a x y : run given a x -> cast x y -> run given (Cast a) y.

(* y may be computed for a formula: by an expression that equals it whatever the quantities are. *)
Definition computes own given (n m : nat) (formula : (quantity -> R) -> R) (y : R) : Prop :=
  exists e, (forall of, exact_value of e = formula of) /\ (roundings own e <= n)%nat /\ (casts e <= m)%nat /\ run given e y.
End Expressions.
Arguments computes {quantity}.

(* Exponentials: a number is subtracted, the difference multiplied by log2 e or not, and exp or exp2 is right within 4 units
   in the last place. These operations are four roundings at most. *)
Inductive part := Score | Shift | Log2e.
Definition exponent_formula (binary : bool) (of : part -> R) : R :=
  if binary then of Log2e * (of Score + of Shift) else of Score + of Shift.
Definition given_part (score shift : R) (q : part) (y : R) : Prop :=
  match q with Score => y = score | Shift => y = - shift | Log2e => exists e, Rabs e <= roundoff /\ y = / ln 2 * (1 + e) end.
Definition own_part (q : part) : nat := match q with Log2e => 1%nat | _ => 0%nat end.
Definition exponential (score shift w : R) : Prop :=
  exists (binary : bool) z, computes own_part (given_part score shift) 4 0 (exponent_formula binary) z /\
    off (8 * roundoff) (exp (if binary then z * ln 2 else z)) w.

(* What the formulas of scores and logits are made of: sums of a token and its position, weights, the root of 1 / sqrt
   (d_head), with which scores are scaled twice (the product is within 6 units roundoff of 1 / sqrt (d_head), if it is used
   at once), exponentials, and the reciprocal of their sum. *)
Inductive quantity :=
  | Residual (j i : nat) | Wq (i h : nat) | Bq (h : nat) | Wk (i h : nat) | Bk (h : nat) | Root
  | Wv (i h : nat) | Bv (h : nat) | Wo (h i : nat) | Bo (i : nat) | Wu (i o : nat) | Bu (o : nat)
  | Exponential (j : nat) | Reciprocal.
Definition own (q : quantity) : nat :=
  match q with Residual _ _ => 1 | Root => 3 | Exponential _ => 1 | Reciprocal => 1 | _ => 0 end.

Section Execution.
Variable M : model.
Variable x : list nat.
Notation K := (nK M). Notation d := (nd M). Notation dh := (nh M).

Definition score_formula (j : nat) (of : quantity -> R) : R :=
  of Root * of Root *
  rsum dh (fun h => (rsum d (fun i => of (Residual (K - 1) i) * of (Wq i h)) + of (Bq h)) *
                    (rsum d (fun i => of (Residual j i) * of (Wk i h)) + of (Bk h))).
Definition logit_formula (o : nat) (of : quantity -> R) : R :=
  rsum d (fun i =>
    (of (Residual (K - 1) i)
     + rsum dh (fun h => rsum K (fun j => of (Exponential j) * of Reciprocal *
                                          (rsum d (fun k => of (Residual j k) * of (Wv k h)) + of (Bv h))) * of (Wo h i))
     + of (Bo i)) * of (Wu i o)) + of (Bu o).

Definition stored (q : quantity) (y : R) : Prop :=
  match q with
  | Residual j i => rounded (WE M (nth j x 0%nat) i + WP M j i) y
  | Wq i h => y = WQ M i h | Bq h => y = bQ M h | Wk i h => y = WK M i h | Bk h => y = bK M h
  | Wv i h => y = WV M i h | Bv h => y = bV M h | Wo h i => y = WO M h i | Bo i => y = bO M i
  | Wu i o => y = WU M i o | Bu o => y = bU M o
  | Root => exists e, Rabs e <= 3 * roundoff /\ y = sqrt (/ sqrt (INR dh)) * (1 + e)
  | Exponential _ | Reciprocal => False
  end.
(* Dividing by the sum of the exponentials is multiplying by its exact reciprocal. *)
Definition attended (w : nat -> R) (sum : R) (q : quantity) (y : R) : Prop :=
  match q with
  | Exponential j => y = w j
  | Reciprocal => y = / sum \/ rounded (/ sum) y
  | _ => stored q y
  end.

(* The logits y may be computed for the input x. The sum of the exponentials is between 2^-40 and 2^40, as it is if the largest
   score is subtracted; so none of them overflows, nor is larger than 2^41. *)
Definition execution (y : nat -> R) : Prop :=
  exists (s w : nat -> R) (shift sum : R),
    (forall j, (j < K)%nat -> computes own stored (2 * d + dh + 12) 24 (score_formula j) (s j)) /\
    (shift = 0 \/ exists j, (j < K)%nat /\ Rabs shift <= Rabs (s j)) /\
    (forall j, (j < K)%nat -> exponential (s j) shift (w j) /\ Rabs (w j) <= 2 ^ 41) /\
    computes (fun _ => 1%nat) (fun j y => y = w j) K 0 (rsum K) sum /\
    / 2 ^ 40 <= sum <= 2 ^ 40 /\
    (forall o, (o < nO M)%nat -> computes own (attended w sum) (2 * d + dh + 2 * K + 12) 24 (logit_formula o) (y o)).

(* Output m has the strictly largest logit, whatever the execution. *)
Definition right_in_every_execution (m : nat) : Prop :=
  forall y, execution y -> forall o, (o < nO M)%nat -> o <> m -> y o < y m.
End Execution.
End Format.
Arguments Given {quantity}. Arguments Sum {quantity}. Arguments Product {quantity}. Arguments Cast {quantity}.
Arguments exact_value {quantity}. Arguments roundings {quantity}. Arguments casts {quantity}.
Arguments run F {quantity}. Arguments computes F {quantity}.
