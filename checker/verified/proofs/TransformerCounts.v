(* What the extracted checker calls about transformers of any depth: from the bits of the weights to the number of inputs. *)
From Coq Require Import Reals Lra Lia ZArith List Arith Bool FunctionalExtensionality.
From CompactProofs Require Import Semantics Counting PrefixChains QuickExponential Vectors Attention Transformers Automata
  HeadVectors Forward EveryInput Floats.
Import ListNotations.

(* Tensors, by their names in the file; of those with three dimensions, the rows of one head follow those of the one before. One
   that is absent has no rows, so that all its entries are 0. *)
Record block_tensors := BlockTensors {
  ln1_w : tensor; ln1_b : tensor; attn_W_Q : tensor; attn_b_Q : tensor; attn_W_K : tensor; attn_b_K : tensor; attn_W_V : tensor;
  attn_b_V : tensor; attn_W_O : tensor; attn_b_O : tensor; attn_slopes : tensor;
  attn_q_norm : tensor; attn_k_norm : tensor; ln2_w : tensor; ln2_b : tensor;
    mlp_W_in : tensor;
  mlp_W_gate : tensor; mlp_b_in : tensor; mlp_W_out : tensor; mlp_b_out : tensor }.
Record tensors := Tensors {
  embed_W_E : tensor; pos_embed_W_pos : tensor; all_blocks : list block_tensors; ln_final_w : tensor; ln_final_b : tensor;
  unembed_W_U : tensor; unembed_b_U : tensor }.
Definition absent : tensor := Tensor 23 8 0 0 (fun _ _ => 0%Z).
Definition no_block : block_tensors :=
  BlockTensors absent absent absent absent absent absent absent absent absent absent absent absent absent absent absent absent
    absent absent absent absent.

(* The weights, if entry (i, j) of a tensor has some value. *)
Section Weights.
Context {N : Type}.
Variable value : tensor -> nat -> nat -> N.
Variable A : architecture.
Variable tied : bool.   (* tie_word_embeddings *)
Variable W : tensors.
Definition by_head (rows_of_one : nat) (t : tensor) : nat -> nat -> nat -> N := let v := value t in fun h i c => v (h *
  rows_of_one + i)%nat c.
Definition block_of (B : block_tensors) : block N :=
  let d := d_model A in
  Block (Norm (value (ln1_w B) O) (value (ln1_b B) O)) (by_head d (attn_W_Q B)) (value (attn_b_Q B)) (by_head d (attn_W_K B))
    (value (attn_b_K B)) (by_head d (attn_W_V B)) (value (attn_b_V B)) (by_head (d_head A) (attn_W_O B)) (value (attn_b_O B) O)
    (value (attn_slopes B) O) (value (attn_q_norm B) O) (value (attn_k_norm B) O) (Norm (value (ln2_w B) O) (value (ln2_b B) O)) (value (mlp_W_in B)) (value (mlp_W_gate B))
    (value (mlp_b_in B) O) (value (mlp_W_out B)) (value (mlp_b_out B) O).
Definition weights_of : transformer N :=
  let embed := value (embed_W_E W) in
  let unembed := value (unembed_W_U W) in
  let found := map block_of (all_blocks W) in
  let none := block_of no_block in
  Transformer embed (value (pos_embed_W_pos W)) (fun l => nth l found none) (Norm (value (ln_final_w W) O) (value (ln_final_b
    W) O))
    (if tied then fun i o => embed o i else unembed) (value (unembed_b_U W) O).
End Weights.

(* The transformer, its weights being what IEEE 754 says of their bits. *)
Definition float_transformer (A : architecture) (tied : bool) (W : tensors) : transformer R := weights_of float A tied W.

Definition tensors_of (B : block_tensors) : list tensor :=
  [ln1_w B; ln1_b B; attn_W_Q B; attn_b_Q B; attn_W_K B; attn_b_K B; attn_W_V B; attn_b_V B; attn_W_O B; attn_b_O B;
    attn_slopes B;
   attn_q_norm B; attn_k_norm B; ln2_w B; ln2_b B; mlp_W_in B; mlp_W_gate B; mlp_b_in B; mlp_W_out B; mlp_b_out B].
Definition all_tensors (W : tensors) : list tensor :=
  embed_W_E W :: pos_embed_W_pos W :: ln_final_w W :: ln_final_b W :: unembed_W_U W :: unembed_b_U W :: flat_map tensors_of
    (all_blocks W).

Section Counts.
Variable the : task.
Variable A : architecture.
Variable tied : bool.
Variable W : tensors.
Variables (e p mn md : Z) (g terms : nat).   (* units of weights and of numbers; the margin mn / md; how exp is computed *)
Variables shared_positions shared_tokens : nat.   (* what a first layer makes of tokens at positions below these is computed
  once *)
Variable looked_at : list nat -> bool.   (* whether to look at inputs that begin like this, the last token first *)

Definition fits : bool :=
  (0 <=? e)%Z && (8 <=? p)%Z && (0 <? md)%Z && (0 <? d_model A)%nat && (0 <? d_head A)%nat && (0 <? n_key_value_heads A)%nat &&
  (n_key_value_heads A <=? n_heads A)%nat && (0 <=? fst (eps A))%Z && (0 <? snd (eps A))%Z &&
  match attn_scale A with None => true | Some (_, b) => (0 <? b)%Z end && forallb (exact e) (all_tensors W).
Definition count_transformer : Z :=
  if fits then
    let T := weights_of (integers e) A tied W in
    let expo := quick_exp p g terms in
    let layers := memo1 (n_layers A) (fun i => layer_of A e p expo (blocks T i)) in
    let first := memo2 shared_positions shared_tokens (fun j t => prepare (layers O) j (embedded A e p T j t)) in
    count_inputs the A p mn md layers first (logits_by A e p T) looked_at
  else 0%Z.

Notation real := (real e).
Lemma table_same t : (0 <= e)%Z -> exact e t = true -> (fun i j => real (integers e t i j)) = float t.
Proof. intros E X. apply functional_extensionality; intros i. apply functional_extensionality; intros j.
now apply integers_value. Qed.
Lemma row_same t : (0 <= e)%Z -> exact e t = true -> (fun j => real (integers e t O j)) = float t O.
Proof. intros E X. apply functional_extensionality; intros j. now apply integers_value. Qed.
Lemma heads_same n t : (0 <= e)%Z -> exact e t = true -> (fun h i c => real (by_head (integers e) n t h i c)) = by_head float n
  t.
Proof.
  intros E X. apply functional_extensionality; intros h. apply functional_extensionality; intros i.
  apply functional_extensionality; intros c.
  unfold by_head. now apply integers_value.
Qed.
Lemma block_same B : (0 <= e)%Z -> (forall t, In t (tensors_of B) -> exact e t = true) ->
  map_block real (block_of (integers e) A B) = block_of float A B.
Proof.
  intros E X. unfold map_block, block_of, map_norm. cbn [w_norm b_norm ln1 ln2 W_Q b_Q W_K b_K W_V b_V W_O b_O slopes q_norm k_norm W_in
    W_gate b_in W_out b_out].
  rewrite !heads_same, !table_same, !row_same by (auto; apply X; cbn; tauto). reflexivity.
Qed.
Lemma transformer_same : (0 <= e)%Z -> (forall t, In t (all_tensors W) -> exact e t = true) ->
  map_transformer real (weights_of (integers e) A tied W) = float_transformer A tied W.
Proof.
  intros E X. unfold float_transformer, map_transformer, weights_of, map_norm. cbv zeta.
  cbn [w_norm b_norm W_E W_pos blocks ln_final W_U b_U].
  rewrite !table_same, !row_same by (auto; apply X; cbn; tauto). f_equal.
  - apply functional_extensionality; intros l. assert (N := block_same no_block E ltac:(intros t I; cbn in I;
    repeat destruct I as [<-|I]; [..|destruct I]; reflexivity)).
    rewrite <- N, <- (map_nth (map_block real)), map_map. f_equal. apply map_ext_in. intros B I. symmetry. symmetry.
    apply block_same; auto.
    intros t It. apply X. unfold all_tensors. do 6 right. apply in_flat_map. eauto.
  - destruct tied; [|now apply table_same; auto; apply X; cbn; tauto]. apply functional_extensionality; intros i.
    apply functional_extensionality; intros o.
    apply integers_value; auto. apply X. cbn. tauto.
Qed.

Theorem count_transformer_sound : (count_transformer <= n_right_inputs the A (float_transformer A tied W) (IZR mn / IZR md))%Z.
Proof.
  unfold count_transformer. destruct fits eqn:F; [|unfold n_right_inputs; lia]. unfold fits in F. rewrite !andb_true_iff in F.
  destruct F as [[[[[[[[[[F1 F2] F3] F4] F5] F6] F7] F8] F9] F10] F11].
  apply Z.leb_le in F1, F2, F8. apply Z.ltb_lt in F3, F9. apply Nat.ltb_lt in F4, F5, F6. apply Nat.leb_le in F7.
  rewrite forallb_forall in F11.
  rewrite <- (transformer_same F1 F11). apply (count_inputs_le the A e p mn md _ (quick_exp p g terms)); auto; try lia.
  - intros y Hy. now apply quick_exp_ok.
  - destruct (attn_scale A) as [[a b]|]; auto. now apply Z.ltb_lt.
  - intros i. now rewrite memo1_eq.
  - intros j t. now rewrite memo2_eq.
Qed.
End Counts.
