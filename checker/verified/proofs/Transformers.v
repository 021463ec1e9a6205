(* Transformers of any depth over the reals (FORMAT.md 2.6), read at stated positions. The activation gelu is not here. *)
From Coq Require Import Reals Lra Lia ZArith List Arith Bool.
From CompactProofs Require Import Semantics.
Import ListNotations.
Open Scope R_scope.

Inductive normalization := No_norm | LN | LNPre | RMS | RMSPre.
Inductive activation := Relu | Silu | Gelu_new.
(* A configuration, by FORMAT.md's keys. Numbers are numerators with denominators; without a scale it is sqrt(d_head); without
   rotary positions rotary_dim is 0. *)
Record architecture := Architecture {
  d_vocab : nat; d_vocab_out : nat; n_ctx : nat; n_layers : nat; n_heads : nat; n_key_value_heads : nat;
  d_model : nat; d_head : nat; attn_only : bool; d_mlp : nat; gated_mlp : bool; act_fn : activation;
  normalization_type : normalization; eps : Z * Z; bidirectional : bool; pad_token : option nat; attn_scale : option (Z * Z);
  use_qk_norm : bool; rotary_dim : nat; rotary_base : Z * Z; rotary_adjacent_pairs : bool }.

(* Weights by their names: of type A, which is R here. What is absent is zero: biases, W_pos without standard positions, and
   slopes where positions are not "alibi". Of a head: W_Q h i c. *)
Section Records.
Set Implicit Arguments.
Record norm_weights (A : Type) := Norm { w_norm : nat -> A; b_norm : nat -> A }.
Record block (A : Type) := Block {
  ln1 : norm_weights A; W_Q : nat -> nat -> nat -> A; b_Q : nat -> nat -> A; W_K : nat -> nat -> nat -> A;
    b_K : nat -> nat -> A;
  W_V : nat -> nat -> nat -> A; b_V : nat -> nat -> A; W_O : nat -> nat -> nat -> A; b_O : nat -> A; slopes : nat -> A;
  q_norm : nat -> A; k_norm : nat -> A;
  ln2 : norm_weights A; W_in : nat -> nat -> A; W_gate : nat -> nat -> A; b_in : nat -> A; W_out : nat -> nat -> A;
    b_out : nat -> A }.
Record transformer (A : Type) := Transformer {
  W_E : nat -> nat -> A; W_pos : nat -> nat -> A; blocks : nat -> block A; ln_final : norm_weights A;
  W_U : nat -> nat -> A; b_U : nat -> A }.
End Records.

Definition ratio (number : Z * Z) : R := IZR (fst number) / IZR (snd number).
Definition act (f : activation) (z : R) : R :=
  match f with
  | Relu => Rmax 0 z
  | Silu => z / (1 + exp (- z))
  | Gelu_new => z * (1 + tanh (sqrt (2 / PI) * (z + 44715 / 10 ^ 6 * z ^ 3))) / 2
  end.

Section Transformers.
Variable A : architecture.
Variable T : transformer R.
Variable x : list nat.
Notation d := (d_model A). Notation e := (d_head A). Notation H := (n_heads A). Notation K := (n_ctx A).

Definition token (j : nat) : nat := nth j x 0%nat.
Definition scale : R := match attn_scale A with None => sqrt (INR e) | Some number => ratio number end.

(* Norms. One is defined where its root is not zero. *)
Definition root (n : nat) (v : nat -> R) : R := sqrt (rsum n (fun i => v i ^ 2) / INR n + ratio (eps A)).
Definition nonzero (z : R) : bool := if Req_EM_T z 0 then false else true.
Definition centred (v : nat -> R) (i : nat) : R := v i - rsum d v / INR d.
Definition norm (W : norm_weights R) (v : nat -> R) (i : nat) : R :=
  match normalization_type A with
  | No_norm => v i
  | RMSPre => v i / root d v
  | RMS => v i / root d v * w_norm W i
  | LNPre => centred v i / root d (centred v)
  | LN => centred v i / root d (centred v) * w_norm W i + b_norm W i
  end.
Definition norm_defined (v : nat -> R) : bool :=
  match normalization_type A with
  | No_norm => true
  | RMSPre | RMS => nonzero (root d v)
  | LNPre | LN => nonzero (root d (centred v))
  end.

(* Of a head's query or key: the norm, and the turn at position j (rotary positions). A pair's coordinates are adjacent, or half
   of rotary_dim apart; those from rotary_dim on stay. *)
Definition qk_normed (w v : nat -> R) (c : nat) : R := if use_qk_norm A then v c / root e v * w c else v c.
Definition stride : nat := if rotary_adjacent_pairs A then 1%nat else (rotary_dim A / 2)%nat.
Definition pair_of (c : nat) : nat := if rotary_adjacent_pairs A then (c / 2)%nat else (c mod stride)%nat.
Definition is_first (c : nat) : bool := if rotary_adjacent_pairs A then Nat.even c else (c <? stride)%nat.
Definition angle (j s : nat) : R := INR j * Rpower (ratio (rotary_base A)) (- (2 * INR s / INR (rotary_dim A))).
Definition turned (j : nat) (v : nat -> R) (c : nat) : R :=
  if (c <? rotary_dim A)%nat then
    let t := angle j (pair_of c) in
    if is_first c then v c * cos t - v (c + stride)%nat * sin t else v c * cos t + v (c - stride)%nat * sin t
  else v c.

(* Whether position j looks at position l, both being positions. *)
Definition sees (j l : nat) : bool :=
  (bidirectional A || (l <=? j)%nat) && match pad_token A with None => true | Some t => negb (token l =? t)%nat end.

(* One block, from the residual stream r. *)
Section Block.
Variable B : block R.
Variable r : nat -> nat -> R.
Definition group (h : nat) : nat := (h * n_key_value_heads A / H)%nat.
Definition projected (W : nat -> nat -> nat -> R) (b : nat -> nat -> R) (j h c : nat) : R :=
  rsum d (fun i => norm (ln1 B) (r j) i * W h i c) + b h c.
Definition query (j h : nat) : nat -> R := turned j (qk_normed (q_norm B) (projected (W_Q B) (b_Q B) j h)).
Definition key (j g : nat) : nat -> R := turned j (qk_normed (k_norm B) (projected (W_K B) (b_K B) j g)).
Definition value : nat -> nat -> nat -> R := projected (W_V B) (b_V B).
(* Whether all norms on which these depend are defined. *)
Definition heads_defined (j : nat) : bool :=
  norm_defined (r j) && (negb (use_qk_norm A) ||
    forallb (fun h => nonzero (root e (projected (W_Q B) (b_Q B) j h))) (seq 0 H) &&
    forallb (fun g => nonzero (root e (projected (W_K B) (b_K B) j g))) (seq 0 (n_key_value_heads A))).
Definition score (h j l : nat) : R :=
  rsum e (fun c => query j h c * key l (group h) c) / scale - slopes B h * Rabs (INR j - INR l).
Definition weight (h j l : nat) : R := if sees j l then exp (score h j l) else 0.
Definition mixed (h j c : nat) : R :=
  if existsb (sees j) (seq 0 K) then rsum K (fun l => weight h j l * value l (group h) c) / rsum K (weight h j) else 0.
Definition after_attention (j i : nat) : R :=
  r j i + rsum H (fun h => rsum e (fun c => mixed h j c * W_O B h c i)) + b_O B i.
Definition reading (W : nat -> nat -> R) (j n : nat) : R := rsum d (fun i => norm (ln2 B) (after_attention j) i * W i n).
Definition unit (j n : nat) : R :=
  if gated_mlp A then act (act_fn A) (reading (W_gate B) j n) * reading (W_in B) j n + b_in B n
  else act (act_fn A) (reading (W_in B) j n + b_in B n).
Definition after_block (j i : nat) : R :=
  if attn_only A then after_attention j i
  else after_attention j i + rsum (d_mlp A) (fun n => unit j n * W_out B n i) + b_out B i.
End Block.

(* The residual stream after so many blocks; and whether all norms on which it depends are defined at a position: among them,
   those of queries and keys of all positions that it looks at. *)
Fixpoint stream (layer : nat) : nat -> nat -> R :=
  match layer with
  | O => fun j i => W_E T (token j) i + W_pos T j i
  | S before => after_block (blocks T before) (stream before)
  end.
Fixpoint defined (layer j : nat) : bool :=
  match layer with
  | O => true
  | S before =>
    forallb (fun l => negb (sees j l || (l =? j)%nat) || defined before l && heads_defined (blocks T before) (stream before) l)
      (seq 0 K)
    && (attn_only A || norm_defined (after_attention (blocks T before) (stream before) j))
  end.

(* The logits at position p; whether they are defined, and that of output m exceeds all others by more than a margin. *)
Definition logit (p o : nat) : R := rsum d (fun i => norm (ln_final T) (stream (n_layers A) p) i * W_U T i o) + b_U T o.
Definition right_at (margin : R) (p m : nat) : bool :=
  defined (n_layers A) p && norm_defined (stream (n_layers A) p) && (m <? d_vocab_out A)%nat &&
  forallb (fun o => (o =? m)%nat || if Rlt_dec (logit p o + margin) (logit p m) then true else false) (seq 0 (d_vocab_out A)).
End Transformers.

Lemma right_at_iff A T x margin p m :
  right_at A T x margin p m = true <->
  defined A T x (n_layers A) p = true /\ norm_defined A (stream A T x (n_layers A) p) = true /\ (m < d_vocab_out A)%nat /\
  forall o, (o < d_vocab_out A)%nat -> o <> m -> logit A T x p o + margin < logit A T x p m.
Proof.
  unfold right_at. rewrite !andb_true_iff, Nat.ltb_lt, forallb_forall. split.
  - intros [[[D N] M] F]. repeat split; auto. intros o Ho E. specialize (F o ltac:(apply in_seq; lia)).
    apply orb_prop in F as [F|F]; [now apply Nat.eqb_eq in F|]. now destruct (Rlt_dec _ _).
  - intros (D & N & M & F). repeat split; auto. intros o Ho. apply in_seq in Ho. destruct (Nat.eqb_spec o m); auto.
    cbn [orb]. destruct (Rlt_dec _ _) as [|C]; auto. exfalso. apply C, F; auto; lia.
Qed.
