(* What follows the attention of a layer of a transformer, over boxes: the residual stream, and, of the last layer, by how much an
   output leads, for all that the heads may read in a box (FORMAT.md 5.17). Where there are norms, that lead times the last norm's
   root is bounded: it is a sum of products and of the root, times biases. *)
From Coq Require Import Reals Lra Lia ZArith List Arith Bool.
From CompactProofs Require Import Semantics Counting PrefixChains Exponential MatrixProduct Vectors Attention Transformers
  HeadVectors Forward EveryInput Boxes OneLayer.
Import ListNotations.
Open Scope R_scope.

Section AfterAttention.
Variable A : architecture.
Variables e p mn md : Z.
Variable T : transformer Z.
Variable expo : Z -> Z * Z.
Variable layer : nat.
Notation P := (IZR (2 ^ p)).
Notation d := (d_model A). Notation dh := (d_head A). Notation H := (n_heads A). Notation m := (d_mlp A).
Notation outs := (d_vocab_out A). Notation width := (H * dh)%nat.
Notation B := (blocks T layer).
Notation inside := (inside p).
Notation O_flat := (W_O_flat A T layer).

(* Norms: what they have; weights and biases go into the matrix that reads what is normed, and means out of those that write. *)
Definition has_norm : bool := match normalization_type A with No_norm => false | _ => true end.
Definition has_weight : bool := match normalization_type A with LN | RMS => true | _ => false end.
Definition has_bias : bool := match normalization_type A with LN => true | _ => false end.
Definition subtracts : bool := match normalization_type A with LN | LNPre => true | _ => false end.
Definition f : Z := if has_weight then (2 * e)%Z else e.
Definition factor : Z := if subtracts then Z.of_nat d else 1%Z.
Definition weighed (W : norm_weights Z) (M : nat -> nat -> Z) : nat -> nat -> Z :=
  if has_weight then fun i n => (w_norm W i * M i n)%Z else M.
Definition bias_through (W : norm_weights Z) (M : nat -> nat -> Z) (n : nat) : Z :=
  if has_bias then zsum d (fun i => b_norm W i * M i n)%Z else 0%Z.
Definition less_mean (v : vector) : vector := if subtracts then centred_of d v else v.
Definition rows_less_mean (rows : nat) (M : nat -> nat -> Z) : nat -> nat -> Z :=
  if subtracts then let sums := memo1 rows (fun k => zsum d (M k)) in fun k i => (Z.of_nat d * M k i - sums k)%Z else M.

(* What is known of a query, if all heads read the centre: what units read, the residual stream less its mean, before the MLP
   and with its biases at the end, and the latter times the unembedding. *)
Record known := Known { in_base : box; gate_base : box; before_mlp : box; at_end : box; as_logits : box }.
Definition in_bias (n : nat) : Z := if gated_mlp A then 0%Z else b_in B n.
Definition end_bias (i : nat) : Z := if attn_only A then 0%Z else b_out B i.
Definition reading_base (W : nat -> nat -> Z) (bias : nat -> Z) : vector -> box :=
  if has_norm then
    let same := box_of m (constant (2 * e) p m (fun n => bias_through (ln2 B) W n + Z.shiftl (bias n) e)%Z) in fun _ => same
  else let to := linear p e d m W bias in fun v => box_of m (to v).
Definition known_by : vector -> known :=
  let to_in := reading_base (W_in B) in_bias in
  let to_gate := if gated_mlp A then reading_base (W_gate B) no_bias else fun _ => zero_box in
  let out := constant e p d end_bias in
  let to_logits := linear p f d outs (weighed (ln_final T) (W_U T)) no_bias in
  fun v =>
    let last := less_mean (plus d v out) in
    Known (to_in v) (to_gate v) (box_of d (less_mean v)) (box_of d last) (box_of outs (to_logits last)).

(* Products of matrices after attention, and what is computed with them. *)
Record functions := Functions { input_box : box -> box -> box; in_box : box -> box -> box; gate_box : box -> box -> box;
  active : Z * Z -> Z * Z; added : box; end_units : box -> box -> box; lead_read : nat -> box -> nat -> Z;
  lead_units : nat -> box -> nat -> Z; biases : nat -> Z }.
Definition difference (M : nat -> nat -> Z) (best : nat) : nat -> nat -> Z := fun k o => (M k best - M k o)%Z.
Definition unit_of_lead : Z := (factor * 2 ^ (e + f))%Z.
Definition functions_of : functions :=
  let writes := rows_less_mean width O_flat in
  let adds := rows_less_mean m (W_out B) in
  let U := weighed (ln_final T) (W_U T) in
  let reads W := if has_norm then affine p (2 ^ f) d m (weighed (ln2 B) W)
    else affine p (2 ^ (2 * e)) width m (matrix_product width d m O_flat W) in
  let through_u := matrix_product width d outs writes U in
  let out_u := matrix_product m d outs adds U in
  Functions (affine p (factor * 2 ^ e) width d writes) (reads (W_in B))
    (if gated_mlp A then reads (W_gate B) else fun _ b => b) (act_box p expo (act_fn A)) (box_of m (constant e p m (b_in B)))
    (affine p (factor * 2 ^ e) m d adds)
    (memo1 outs (fun best => sums_of p width outs (difference through_u best)))
    (memo1 outs (fun best => sums_of p m outs (difference out_u best)))
    (memo1 outs (fun o => bias_through (ln_final T) (W_U T) o + Z.shiftl (b_U T o) e)%Z).
Variable F : functions.
Definition units_in (k : known) (b : box) : option box :=
  if attn_only A then Some zero_box
  else
    match (if has_norm then normalised p d (fst (eps A)) (snd (eps A)) (input_box F (before_mlp k) b) else Some b) with
    | None => None
    | Some y =>
      let inner := in_box F (in_base k) y in
      Some (if gated_mlp A then
          let gate := gate_box F (gate_base k) y in
          memo1 m (fun n => raised (product_of p (active F (gate n)) (inner n)) (added F n))
        else memo1 m (fun n => active F (inner n)))
    end.
(* Whether output best leads all others, for all that heads may read in a box. *)
Definition leads_in (k : known) (best : nat) (b : box) : bool :=
  match units_in k b with
  | None => false
  | Some h =>
    let beta := memo1 outs (fun o => md * (biases F best - biases F o) - Z.shiftl mn (2 * e))%Z in
    let one := Z.shiftl 1 p in
    let '(low, high) :=
      if has_norm then
        if existsb (fun o => negb (o =? best)%nat && negb (beta o =? 0)%Z) (seq 0 outs) then
          root_box p d (fst (eps A)) (snd (eps A)) (end_units F (input_box F (at_end k) b) h)
        else (0%Z, 0%Z)
      else (one, one) in
    let from_read := lead_read F best b in
    let from_units := lead_units F best h in
    let unit := (2 * unit_of_lead)%Z in
    forallb (fun o => (o =? best)%nat ||
      let lead := (fst (as_logits k best) - snd (as_logits k o) + (from_read o + from_units o) / unit)%Z in
      let own := beta o in
      (0 <? Z.shiftl (md * lead) (2 * e) + own * (if (0 <=? own)%Z then low else high))%Z) (seq 0 outs)
  end.
(* Boxes in which it does not are cut in halves, some times. *)
Variable where_to_cut : box -> nat.
Fixpoint leads_cut (cuts : nat) (k : known) (best : nat) (b : box) : bool :=
  leads_in k best b ||
  match cuts with
  | O => false
  | S fewer =>
    let c := where_to_cut b in
    let '(lo, hi) := b c in
    let middle := ((lo + hi) / 2)%Z in
    leads_cut fewer k best (memo1 width (fun i => if (i =? c)%nat then (lo, middle) else b i)) &&
    leads_cut fewer k best (memo1 width (fun i => if (i =? c)%nat then (middle, hi) else b i))
  end.

(* In real numbers. *)
Hypothesis Hp : (0 <= p)%Z.
Hypothesis He : (0 <= e)%Z.
Hypothesis Hmd : (0 < md)%Z.
Hypothesis expo_ok : forall y, (0 <= y)%Z -> IZR (fst (expo y)) <= P * exp (- (IZR y / P)) <= IZR (snd (expo y)).
Hypothesis Hd : (0 < d)%nat.
Hypothesis Heps : (0 <= fst (eps A))%Z /\ (0 < snd (eps A))%Z.
Definition positive : Prop := has_norm = true -> (0 < fst (eps A))%Z.
Hypothesis Hpositive : positive.
Hypothesis Hfunctions : F = functions_of.
Notation real := (real e).
Notation RT := (map_transformer real T).
Notation RB := (map_block real B).
Notation E2 := (IZR (2 ^ e)).
Variable x : list nat.
Variable at_position : nat.
Notation r0 := (stream A RT x layer).
Variable base_value : nat -> R.
Variable read : nat -> R.
Notation after := (after_attention A x RB r0 at_position).
Hypothesis Attention : forall i, after i = base_value i + rsum width (fun k => read k * real (O_flat k i)).

Definition cen (v : nat -> R) : nat -> R := if subtracts then centred A v else v.
Definition sigma (v : nat -> R) : R := if has_norm then root A d (cen v) else 1.
Definition weight_of_norm (W : norm_weights Z) (i : nat) : R := if has_weight then real (w_norm W i) else 1.
Definition bias_of_norm (W : norm_weights Z) (i : nat) : R := if has_bias then real (b_norm W i) else 0.
Lemma E2_pos : 0 < E2.
Proof. now apply pw_pos. Qed.
Lemma norm_form W v i : norm A (map_norm real W) v i = cen v i / sigma v * weight_of_norm W i + bias_of_norm W i.
Proof.
  unfold norm, sigma, cen, weight_of_norm, bias_of_norm, has_norm, has_weight, has_bias, subtracts.
  destruct (normalization_type A); cbn [w_norm b_norm map_norm]; unfold Rdiv; rewrite ?Rinv_1; ring.
Qed.
Lemma root_pos v : has_norm = true -> 0 < root A d v.
Proof. intros N. apply (root_at_pos d _ _ Hd (conj (Hpositive N) (proj2 Heps))), squares_nonneg. Qed.
Lemma sigma_pos v : 0 < sigma v.
Proof. assert (X := root_pos (cen v)). unfold sigma. destruct has_norm; [now apply X|lra]. Qed.
Lemma norms_defined v : norm_defined A v = true.
Proof.
  assert (N : forall v, has_norm = true -> nonzero (root A d v) = true).
  { intros u Hu. assert (X := root_pos u Hu). unfold nonzero. destruct (Req_EM_T _ 0); [lra|auto]. }
  revert N. unfold norm_defined, has_norm. destruct (normalization_type A); auto.
Qed.
Lemma cen_ext u v i : (forall i, u i = v i) -> cen u i = cen v i.
Proof. intros E. unfold cen. destruct subtracts; auto. unfold centred. rewrite E, (rsum_ext d u v); auto. Qed.
Lemma less_mean_holds v u : holds p d v u -> holds p d (less_mean v) (cen u).
Proof.
  intros V. unfold less_mean. destruct subtracts eqn:S.
  - eapply holds_ext; [|exact (centred_holds p Hp d v u V)]. intros i _. unfold cen. now rewrite S.
  - eapply holds_ext; [|exact V]. intros i _. unfold cen. now rewrite S.
Qed.
Lemma factor_pos : (0 < factor)%Z.
Proof. unfold factor. destruct subtracts; lia. Qed.
Lemma cen_affine n (M : nat -> nat -> Z) (u z : nat -> R) i :
  cen (fun i => u i + rsum n (fun k => z k * real (M k i))) i =
  cen u i + rsum n (fun k => z k * IZR (rows_less_mean n M k i)) / IZR (factor * 2 ^ e).
Proof.
  assert (X := E2_pos). assert (Nr : 0 < INR d) by now apply lt_0_INR. unfold cen, rows_less_mean, factor. destruct subtracts.
  - unfold centred. rewrite rsum_plus, rsum_swap. cbv zeta.
    rewrite (rsum_ext n (fun k => z k * IZR (Z.of_nat d * M k i - memo1 n (fun k => zsum d (M k)) k))
      (fun k => (z k * real (M k i) - rsum d (fun i => z k * real (M k i)) / INR d) * (INR d * E2))).
    + rewrite rsum_scal_r, rsum_minus, mult_IZR, <- INR_IZR_INZ.
      rewrite (rsum_ext n (fun k => rsum d (fun i => z k * real (M k i)) / INR d)
        (fun k => rsum d (fun i => z k * real (M k i)) * / INR d)) by reflexivity.
      rewrite rsum_scal_r. field. lra.
    + intros k _. rewrite memo1_eq, minus_IZR, mult_IZR, <- INR_IZR_INZ, <- rsum_IZR, rsum_scal.
      unfold HeadVectors.real. rewrite (rsum_ext d (fun i => IZR (M k i) / E2) (fun i => IZR (M k i) * / E2)) by reflexivity.
      rewrite rsum_scal_r. field. lra.
  - rewrite Z.mul_1_l. f_equal. unfold Rdiv. rewrite <- rsum_scal_r. apply rsum_ext. intros k _. unfold HeadVectors.real, Rdiv.
      ring.
Qed.
Lemma compose n k (z : nat -> R) (M : nat -> nat -> Z) (N : nat -> Z) :
  rsum n (fun i => rsum k (fun l => z l * IZR (M l i)) * IZR (N i)) = rsum k (fun l => z l * IZR (zsum n (fun i => M l i * N
    i)%Z)).
Proof.
  rewrite (rsum_ext n _ (fun i => rsum k (fun l => z l * IZR (M l i * N i)))).
  - rewrite rsum_swap. apply rsum_ext; intros l _. rewrite rsum_scal. now rewrite rsum_IZR.
  - intros i _. rewrite <- rsum_scal_r. apply rsum_ext; intros l _. rewrite mult_IZR. ring.
Qed.

(* A matrix that reads what is normed. *)
Lemma f_pos : (0 <= f)%Z.
Proof. unfold f. destruct has_weight; lia. Qed.
Lemma weighed_real W M i n : IZR (weighed W M i n) / IZR (2 ^ f) = weight_of_norm W i * real (M i n).
Proof.
  assert (X := E2_pos). unfold weighed, weight_of_norm, f, HeadVectors.real. destruct has_weight; [|field; lra].
  replace (2 * e)%Z with (e + e)%Z by lia. rewrite pw_add, mult_IZR by lia. field. lra.
Qed.
Lemma bias_real W M n b : HeadVectors.real (2 * e) (bias_through W M n + Z.shiftl b e) =
  rsum d (fun i => bias_of_norm W i * real (M i n)) + real b.
Proof.
  assert (X := E2_pos). unfold HeadVectors.real. rewrite plus_IZR, Z.shiftl_mul_pow2, mult_IZR by lia.
  replace (2 * e)%Z with (e + e)%Z by lia. rewrite pw_add by lia. unfold bias_through, bias_of_norm. destruct has_bias.
  - rewrite <- rsum_IZR. rewrite (rsum_ext d (fun i => IZR (b_norm W i * M i n))
      (fun i => HeadVectors.real e (b_norm W i) * (IZR (M i n) / E2) * (E2 * E2))).
    + rewrite rsum_scal_r. field. lra.
    + intros i _. unfold HeadVectors.real. rewrite mult_IZR. field. lra.
  - rewrite (rsum_ext d _ (fun _ => 0)), rsum_0 by (intros; ring). field. lra.
Qed.
Lemma through_norm W M b v n :
  rsum d (fun i => norm A (map_norm real W) v i * real (M i n)) + real b =
  rsum d (fun i => cen v i / sigma v * IZR (weighed W M i n)) / IZR (2 ^ f) +
  HeadVectors.real (2 * e) (bias_through W M n + Z.shiftl b e).
Proof.
  rewrite bias_real, <- Rplus_assoc. f_equal. unfold Rdiv. rewrite <- rsum_scal_r, <- rsum_plus. apply rsum_ext. intros i _.
  rewrite norm_form. assert (E := weighed_real W M i n). unfold Rdiv in E. rewrite (Rmult_assoc (cen v i * / sigma v)), E.
    unfold Rdiv. ring.
Qed.

(* What is known of a query. *)
Variable v0 : vector.
Hypothesis Base : holds p d v0 base_value.
Notation k0 := (known_by v0).
Lemma constant_box n b : inside n (box_of n (constant e p n b)) (fun i => real (b i)).
Proof. apply box_of_ok; auto. now apply constant_holds. Qed.
Lemma input_ok b : inside width b read -> inside d (input_box F (before_mlp k0) b) (cen after).
Proof.
  intros I. rewrite Hfunctions. cbn [functions_of input_box known_by before_mlp].
  assert (U : (0 < factor * 2 ^ e)%Z) by (apply Z.mul_pos_pos; [apply factor_pos|now apply Z.pow_pos_nonneg]).
  intros i Hi. rewrite (cen_ext after _ i Attention), cen_affine.
  exact (affine_ok p Hp _ _ _ (rows_less_mean width O_flat) _ b (cen base_value) read U (box_of_ok p _ _ _ (less_mean_holds _ _
    Base)) I
    i Hi).
Qed.
Definition normed_input (b : box) : option box :=
  if has_norm then normalised p d (fst (eps A)) (snd (eps A)) (input_box F (before_mlp k0) b) else Some b.
Definition reads_by (W : nat -> nat -> Z) : box -> box -> box :=
  if has_norm then affine p (2 ^ f) d m (weighed (ln2 B) W)
  else affine p (2 ^ (2 * e)) width m (matrix_product width d m O_flat W).
Lemma reading_ok W bias b y : inside width b read -> normed_input b = Some y ->
  inside m (reads_by W (reading_base W bias v0) y)
    (fun n => reading A x RB r0 (fun i n => real (W i n)) at_position n + real (bias n)).
Proof.
  intros I. unfold normed_input, reads_by, reading_base, reading. assert (Fp := f_pos). assert (X := E2_pos).
  cbn [ln2 map_block]. destruct has_norm eqn:N.
  - intros Y. assert (Yo := normalised_ok p Hp d _ _ Hd (conj (Hpositive N) (proj2 Heps)) _ _ _ (input_ok b I) Y). cbv zeta.
    intros n Hn. rewrite through_norm.
    assert (Af := affine_ok p Hp (2 ^ f) d m (weighed (ln2 B) W) _ y _ _ (Z.pow_pos_nonneg 2 f ltac:(lia) Fp)
      (box_of_ok p m _ _ (constant_holds (2 * e) p m (fun n => bias_through (ln2 B) W n + Z.shiftl (bias n) e)%Z Hp ltac:(lia)))
      Yo n Hn). cbn beta in Af. unfold sigma. rewrite N. rewrite Rplus_comm. exact Af.
  - intros Y. injection Y as <-. cbv zeta. intros n Hn.
    assert (Af := affine_ok p Hp (2 ^ (2 * e)) width m (matrix_product width d m O_flat W) _ b _ read
      (Z.pow_pos_nonneg 2 (2 * e) ltac:(lia) ltac:(lia)) (box_of_ok p m _ _ (linear_holds p Hp e d m W bias v0 base_value He
        Base)) I n
      Hn). cbn beta in Af.
    match type of Af with _ <= ?t * _ <= _ => replace (rsum d (fun i => norm A (map_norm real (ln2 B)) after i * real (W i n))
      + real
      (bias n)) with t; [exact Af|] end.
    rewrite (rsum_ext width (fun k => read k * IZR (matrix_product width d m O_flat W k n))
      (fun k => read k * IZR (zsum d (fun i => O_flat k i * W i n)%Z))) by (intros; now rewrite matrix_product_eq).
    rewrite <- compose. replace (2 * e)%Z with (e + e)%Z by lia. rewrite pw_add by lia.
    rewrite (rsum_ext d (fun i => norm A (map_norm real (ln2 B)) after i * real (W i n))
      (fun i => base_value i * (IZR (W i n) / E2) + rsum width (fun k => read k * IZR (O_flat k i)) * IZR (W i n) * / (E2 *
        E2))).
    + rewrite rsum_plus, rsum_scal_r. unfold HeadVectors.real, Rdiv. ring.
    + intros i _. unfold norm. unfold has_norm in N. destruct (normalization_type A); try discriminate. rewrite Attention.
      rewrite (rsum_ext width (fun k => read k * real (O_flat k i)) (fun k => read k * IZR (O_flat k i) * / E2)) by (intros;
        unfold
        HeadVectors.real; field; lra).
      rewrite rsum_scal_r. unfold HeadVectors.real. field. lra.
Qed.

(* What units give; none, without an MLP. *)
Definition hidden (n : nat) : R := if attn_only A then 0 else Transformers.unit A x RB r0 at_position n.
Lemma units_ok b h : inside width b read -> units_in k0 b = Some h -> inside m h hidden.
Proof.
  intros I. unfold units_in, hidden. destruct (attn_only A) eqn:Only.
  { intros E. apply some_same in E. subst h. intros n _. cbn. lra. }
  change (if has_norm then normalised p d (fst (eps A)) (snd (eps A)) (input_box F (before_mlp k0) b) else Some b) with
    (normed_input
    b). destruct (normed_input b) as [y|] eqn:Y; [|discriminate].
  cbv zeta. intros E. apply some_same in E. subst h.
  assert (In := fun bias => reading_ok (W_in B) bias b y I Y). assert (Gate := reading_ok (W_gate B) no_bias b y I Y).
  assert (Zero : forall n, real (no_bias n) = 0) by (intros; unfold HeadVectors.real, no_bias, Rdiv; ring).
  unfold Transformers.unit. cbn [Transformers.W_in Transformers.W_gate Transformers.b_in map_block].
  rewrite Hfunctions. cbn [functions_of in_box gate_box active added known_by in_base gate_base].
  destruct (gated_mlp A) eqn:G; intros n Hn; rewrite memo1_eq.
  - apply raised_ok; [|exact (constant_box m (b_in B) n Hn)]. apply product_of_ok; auto.
    + apply act_box_ok; auto. specialize (Gate n Hn). cbn beta in Gate. rewrite Zero, Rplus_0_r in Gate. exact Gate.
    + specialize (In in_bias n Hn). cbn beta in In.
      assert (Ib : real (in_bias n) = 0) by (unfold in_bias; rewrite G; exact (Zero n)). rewrite Ib, Rplus_0_r in In. exact In.
  - apply act_box_ok; auto. specialize (In in_bias n Hn). cbn beta in In.
    assert (Ib : in_bias n = b_in B n) by (unfold in_bias; now rewrite G). rewrite Ib in In. exact In.
Qed.

(* The residual stream at the end. *)
Notation final := (after_block A x RB r0 at_position).
Definition start_of_end (i : nat) : R := base_value i + real (end_bias i).
Lemma final_value i : final i = start_of_end i + rsum width (fun k => read k * real (O_flat k i)) +
  rsum m (fun n => hidden n * real (W_out B n i)).
Proof.
  unfold after_block, start_of_end, end_bias, hidden. rewrite Attention. destruct (attn_only A).
  - rewrite (rsum_ext m _ (fun _ => 0)), rsum_0 by (intros; ring). unfold HeadVectors.real, Rdiv. ring.
  - cbn [Transformers.W_out Transformers.b_out map_block]. ring.
Qed.
Lemma cen_final i : cen final i = cen start_of_end i +
  rsum width (fun k => read k * IZR (rows_less_mean width O_flat k i)) / IZR (factor * 2 ^ e) +
  rsum m (fun n => hidden n * IZR (rows_less_mean m (W_out B) n i)) / IZR (factor * 2 ^ e).
Proof. rewrite (cen_ext final _ i final_value), cen_affine. now rewrite cen_affine. Qed.
Lemma start_holds : holds p d (less_mean (plus d v0 (constant e p d end_bias))) (cen start_of_end).
Proof. apply less_mean_holds, plus_holds; auto. now apply constant_holds. Qed.
Lemma unit_pos : (0 < factor * 2 ^ e)%Z.
Proof. apply Z.mul_pos_pos; [apply factor_pos|now apply Z.pow_pos_nonneg]. Qed.
Lemma end_ok b h : inside width b read -> inside m h hidden -> inside d (end_units F (input_box F (at_end k0) b) h) (cen final).
Proof.
  intros I Hh. rewrite Hfunctions. cbn [functions_of input_box end_units known_by at_end]. intros i Hi. rewrite cen_final.
  exact (affine_ok p Hp _ _ _ (rows_less_mean m (W_out B)) _ h _ hidden unit_pos
    (affine_ok p Hp _ _ _ (rows_less_mean width O_flat) _ b _ read unit_pos (box_of_ok p _ _ _ start_holds) I) Hh i Hi).
Qed.
Lemma sigma_ok b h low high : inside width b read -> inside m h hidden -> has_norm = true ->
  root_box p d (fst (eps A)) (snd (eps A)) (end_units F (input_box F (at_end k0) b) h) = (low, high) ->
  IZR low <= sigma final * P <= IZR high.
Proof.
  intros I Hh N E. assert (R := root_box_ok p Hp d _ _ Hd (conj (Hpositive N) (proj2 Heps)) _ _ (end_ok b h I Hh)).
  rewrite E in R. unfold sigma. rewrite N. exact R.
Qed.

(* The same from products of matrices. *)
Definition stream_after : vector -> box -> box -> box :=
  let writes := affine p (2 ^ e) width d O_flat in
  let adds := affine p (2 ^ e) m d (W_out B) in
  let out := constant e p d end_bias in
  fun v read_in units => adds (writes (box_of d (plus d v out)) read_in) units.
Lemma stream_after_ok b h : inside width b read -> inside m h hidden -> inside d (stream_after v0 b h) final.
Proof.
  intros I Hh i Hi. rewrite final_value. assert (E : (0 < 2 ^ e)%Z) by now apply Z.pow_pos_nonneg.
  assert (Start : holds p d (plus d v0 (constant e p d end_bias)) start_of_end) by (apply plus_holds; auto; now apply constant_holds).
  assert (Af := affine_ok p Hp _ _ _ (W_out B) _ h _ hidden E
    (affine_ok p Hp _ _ _ O_flat _ b _ read E (box_of_ok p _ _ _ Start) I) Hh i Hi). cbn beta in Af.
  assert (Same : forall n z (M : nat -> nat -> Z), rsum n (fun k => z k * real (M k i)) = rsum n (fun k => z k * IZR (M k i)) / E2).
  { intros n z M. unfold Rdiv. rewrite <- rsum_scal_r. apply rsum_ext. intros k _. unfold HeadVectors.real, Rdiv. ring. }
  rewrite !Same. exact Af.
Qed.

(* The logits, times the root. *)
Hypothesis Hlayers : n_layers A = S layer.
Notation U := (weighed (ln_final T) (W_U T)).
Definition score_of_output (c : nat) : R := rsum d (fun i => cen final i * IZR (U i c)) / IZR (2 ^ f).
Definition bias_of_output (c : nat) : R := HeadVectors.real (2 * e) (bias_through (ln_final T) (W_U T) c + Z.shiftl (b_U T c)
  e).
Lemma logit_value c : logit A RT x at_position c = score_of_output c / sigma final + bias_of_output c.
Proof.
  unfold logit. rewrite Hlayers. change (stream A RT x (S layer) at_position) with final.
  cbn [Transformers.W_U Transformers.b_U Transformers.ln_final map_transformer].
  rewrite (through_norm (ln_final T) (W_U T) (b_U T c) final c). f_equal. unfold score_of_output.
  assert (S := sigma_pos final). unfold Rdiv. rewrite Rmult_assoc, (Rmult_comm (/ IZR (2 ^ f))), <- Rmult_assoc. f_equal.
  rewrite <- rsum_scal_r. apply rsum_ext. intros i _. ring.
Qed.
Lemma score_value c : (c < outs)%nat -> score_of_output c = rsum d (fun i => cen start_of_end i * (IZR (U i c) / IZR (2 ^ f))) +
  (rsum width (fun k => read k * IZR (matrix_product width d outs (rows_less_mean width O_flat) U k c)) +
   rsum m (fun n => hidden n * IZR (matrix_product m d outs (rows_less_mean m (W_out B)) U n c))) / IZR unit_of_lead.
Proof.
  intros _. assert (X := E2_pos). assert (Fp := pw_pos f f_pos). assert (Fa := factor_pos). apply IZR_lt in Fa.
  rewrite (rsum_ext width (fun k => read k * IZR (matrix_product width d outs (rows_less_mean width O_flat) U k c))
    (fun k => read k * IZR (zsum d (fun i => rows_less_mean width O_flat k i * U i c)%Z))) by (intros; now rewrite
      matrix_product_eq).
  rewrite (rsum_ext m (fun n => hidden n * IZR (matrix_product m d outs (rows_less_mean m (W_out B)) U n c))
    (fun n => hidden n * IZR (zsum d (fun i => rows_less_mean m (W_out B) n i * U i c)%Z))) by (intros; now rewrite
    matrix_product_eq).
  rewrite <- !compose. unfold score_of_output, unit_of_lead. rewrite !mult_IZR, pw_add by (auto; apply f_pos).
  set (fa := IZR factor) in *. set (ff := IZR (2 ^ f)) in *.
  rewrite (rsum_ext d (fun i => cen final i * IZR (U i c)) (fun i => cen start_of_end i * (IZR (U i c) / ff) * ff +
    (rsum width (fun k => read k * IZR (rows_less_mean width O_flat k i)) * IZR (U i c) +
     rsum m (fun n => hidden n * IZR (rows_less_mean m (W_out B) n i)) * IZR (U i c)) * / (fa * E2))).
  - rewrite rsum_plus, !rsum_scal_r, rsum_plus. field. lra.
  - intros i _. rewrite cen_final, mult_IZR. fold fa. field. lra.
Qed.

Theorem leads_in_ok best b : (best < outs)%nat -> inside width b read -> leads_in k0 best b = true ->
  forall o, (o < outs)%nat -> o <> best -> logit A RT x at_position o + IZR mn / IZR md < logit A RT x at_position best.
Proof.
  intros Best I. unfold leads_in. destruct (units_in k0 b) as [h|] eqn:Uh; [|discriminate].
  assert (Hh := units_ok b h I Uh). cbv zeta. set (beta := memo1 outs _).
  assert (Pp := P_pos p Hp). assert (X := E2_pos). assert (M : 0 < IZR md) by now apply IZR_lt.
  destruct (if has_norm then _ else _) as [low high] eqn:Sg. intros Ld o Ho No. rewrite forallb_forall in Ld.
  specialize (Ld o ltac:(apply in_seq; lia)). rewrite (proj2 (Nat.eqb_neq o best) No) in Ld. cbn [orb] in Ld.
  set (own := beta o) in *. assert (Sp := sigma_pos final). set (s := sigma final) in *.
  (* The root times the biases. *)
  assert (Side : IZR (own * (if (0 <=? own)%Z then low else high)) <= IZR own * (s * P)).
  { rewrite mult_IZR. assert (Bounds : own <> 0%Z -> IZR low <= s * P <= IZR high).
    { intros Z. unfold s. destruct has_norm eqn:N.
      - destruct (existsb _ (seq 0 outs)) eqn:Ex.
        + exact (sigma_ok b h low high I Hh N Sg).
        + exfalso. assert (C : existsb (fun o => negb (o =? best)%nat && negb (beta o =? 0)%Z) (seq 0 outs) = true);
            [|congruence].
          apply existsb_exists. exists o. split; [apply in_seq; lia|]. rewrite (proj2 (Nat.eqb_neq o best) No). fold own.
          now rewrite (proj2 (Z.eqb_neq own 0) Z).
      - injection Sg as <- <-. unfold sigma. rewrite N, one_is_P. lra. }
    destruct (Z.eq_dec own 0) as [->|Z]; [lra|]. specialize (Bounds Z). destruct (Z.leb_spec 0 own) as [L|L].
    - apply IZR_le in L. apply Rmult_le_compat_l; lra.
    - apply IZR_lt in L. nra. }
  assert (Own : IZR own = IZR md * (E2 * E2) * (bias_of_output best - bias_of_output o - IZR mn / IZR md)).
  { unfold own, beta, bias_of_output. rewrite memo1_eq, Hfunctions. cbn [functions_of biases]. rewrite !memo1_eq.
    set (u1 := (bias_through _ _ best + _)%Z). set (u2 := (bias_through _ _ o + _)%Z).
    unfold HeadVectors.real. rewrite Z.shiftl_mul_pow2, minus_IZR, !mult_IZR, minus_IZR by lia.
    replace (2 * e)%Z with (e + e)%Z by lia. rewrite pw_add by lia. field. lra. }
  (* The rest. *)
  match type of Ld with (0 <? Z.shiftl (md * ?l) _ + _)%Z = true => set (lead := l) in Ld end.
  assert (Un : (0 < unit_of_lead)%Z).
  { unfold unit_of_lead. assert (Fp := f_pos). apply Z.mul_pos_pos; [apply factor_pos|apply Z.pow_pos_nonneg; lia]. }
  assert (Lead : IZR lead <= (score_of_output best - score_of_output o) * P).
  { rewrite !score_value by auto. unfold lead. rewrite !plus_IZR, minus_IZR.
    assert (Lg := box_of_ok p outs _ _ (linear_holds p Hp f d outs U no_bias _ _ f_pos start_holds)).
    assert (L1 := Lg best Best). assert (L2 := Lg o Ho). cbn beta in L1, L2. unfold Rdiv in L1, L2.
    change (IZR (no_bias best)) with 0 in L1. change (IZR (no_bias o)) with 0 in L2. rewrite Rmult_0_l, Rplus_0_r in L1, L2.
      cbn [known_by as_logits]. unfold Rdiv.
    match type of L1 with IZR (fst ?u) <= ?t * _ <= _ => set (a1 := t) in *; set (b1 := u) in * end.
    match type of L2 with IZR (fst ?u) <= ?t * _ <= _ => set (a2 := t) in *; set (b2 := u) in * end.
    rewrite Hfunctions. cbn [functions_of lead_read lead_units]. rewrite !memo1_eq, !sums_of_eq by auto.
    set (TU := matrix_product width d outs _ _). set (OU := matrix_product m d outs _ _).
    assert (R1 := low_sum_le width b (fun k => difference TU best k o) read P I).
    assert (R2 := low_sum_le m h (fun k => difference OU best k o) hidden P Hh).
    rewrite (rsum_ext width _ (fun k => read k * IZR (TU k best) - read k * IZR (TU k o))), rsum_minus in R1
      by (intros; unfold difference; rewrite minus_IZR; ring).
    rewrite (rsum_ext m _ (fun k => hidden k * IZR (OU k best) - hidden k * IZR (OU k o))), rsum_minus in R2
      by (intros; unfold difference; rewrite minus_IZR; ring).
    set (l1 := low_sum width b _) in *. set (l2 := low_sum m h _) in *.
    assert (D := div_le (l1 + l2) (2 * unit_of_lead) ltac:(lia)). rewrite plus_IZR, mult_IZR in D.
    assert (Ur : 0 < IZR unit_of_lead) by now apply IZR_lt. set (un := IZR unit_of_lead) in *.
    set (s1 := rsum width (fun k => read k * IZR (TU k best))) in *. set (s2 := rsum width (fun k => read k * IZR (TU k o))) in
      *.
    set (s3 := rsum m (fun k => hidden k * IZR (OU k best))) in *. set (s4 := rsum m (fun k => hidden k * IZR (OU k o))) in *.
    assert (Q : IZR ((l1 + l2) / (2 * unit_of_lead)) <= ((s1 + s3) * / un - (s2 + s4) * / un) * P).
    { apply Rmult_le_reg_r with (2 * un); [lra|].
      replace (((s1 + s3) * / un - (s2 + s4) * / un) * P * (2 * un)) with (2 * P * (s1 - s2) + 2 * P * (s3 - s4)) by (field;
        lra).
      lra. }
    lra. }
  apply Z.ltb_lt, IZR_lt in Ld. rewrite plus_IZR, Z.shiftl_mul_pow2, !mult_IZR in Ld by lia.
  replace (2 * e)%Z with (e + e)%Z in Ld by lia. rewrite pw_add in Ld by lia. rewrite mult_IZR in Side. rewrite Own in *.
  assert (EE : 0 < E2 * E2) by nra. set (q := IZR md * (E2 * E2)) in *. assert (Qp : 0 < q) by (unfold q; nra).
  assert (Pos : 0 < q * P * ((score_of_output best - score_of_output o) + s * (bias_of_output best - bias_of_output o - IZR mn
    / IZR
    md))).
  { assert (Sc : q * IZR lead <= q * ((score_of_output best - score_of_output o) * P)) by (apply Rmult_le_compat_l; lra).
    replace (IZR md * IZR lead * (E2 * E2)) with (q * IZR lead) in Ld by (unfold q; ring). lra. }
  assert (Pos' : 0 < (score_of_output best - score_of_output o) + s * (bias_of_output best - bias_of_output o - IZR mn / IZR
    md)).
  { apply Rnot_le_lt. intros C. assert (0 < q * P) by nra. nra. }
  rewrite !logit_value. fold s. apply Rmult_lt_reg_r with s; auto.
  replace ((score_of_output o / s + bias_of_output o + IZR mn / IZR md) * s) with (score_of_output o + s * (bias_of_output o +
    IZR mn
    / IZR md)) by (field; lra).
  replace ((score_of_output best / s + bias_of_output best) * s) with (score_of_output best + s * bias_of_output best) by
    (field;
    lra). lra.
Qed.

Theorem leads_cut_ok best : (best < outs)%nat ->
  forall cuts b, inside width b read -> leads_cut cuts k0 best b = true ->
  forall o, (o < outs)%nat -> o <> best -> logit A RT x at_position o + IZR mn / IZR md < logit A RT x at_position best.
Proof.
  intros Best. induction cuts as [|cuts IH]; intros b I L; cbn [leads_cut] in L; apply orb_prop in L as [L|L];
    try discriminate; try exact (leads_in_ok best b Best I L).
  cbv zeta in L. set (k := where_to_cut b) in *. destruct (b k) as [lo hi] eqn:Bk. apply andb_prop in L as [L1 L2].
  set (middle := ((lo + hi) / 2)%Z) in *.
  destruct (Nat.lt_ge_cases k width) as [Lk|Lk].
  - assert (Ik := I k Lk). rewrite Bk in Ik. cbn [fst snd] in Ik. destruct (Rle_dec (read k * P) (IZR middle)) as [M|M].
    + refine (IH _ _ L1).
      intros i Hi. rewrite memo1_eq. destruct (Nat.eqb_spec i k) as [->|]; [cbn [fst snd]; lra|now apply I].
    + refine (IH _ _ L2).
      intros i Hi. rewrite memo1_eq. destruct (Nat.eqb_spec i k) as [->|]; [cbn [fst snd]; lra|now apply I].
  - refine (IH _ _ L1).
    intros i Hi. rewrite memo1_eq. destruct (Nat.eqb_spec i k) as [->|]; [lia|now apply I].
Qed.
End AfterAttention.

(* What is known of the query at a position, if there is one. *)
Section Query.
Variable A : architecture.
Variables e p : Z.
Variable T : transformer Z.
Variable layer : nat.
Variable at_position : nat.
Variable first : nat -> nat -> option spot.
Variable centre : nat -> Z.
Notation P := (IZR (2 ^ p)).
Notation d := (d_model A). Notation width := (n_heads A * d_head A)%nat.
Definition base_of : nat -> option vector :=
  let to_o := linear p e width d (W_O_flat A T layer) (b_O (blocks T layer)) in
  fun q => match first at_position q with None => None | Some s => Some (plus d (here s) (to_o (Vector centre 0))) end.
Definition known_of : nat -> option known :=
  let base := base_of in
  let known_by := known_by A e p T layer in
  fun q => option_map known_by (base q).

Hypothesis Hp : (0 <= p)%Z.
Hypothesis He : (0 <= e)%Z.
Hypothesis Hd : (0 < d)%nat.
Hypothesis Hdh : (0 < d_head A)%nat.
Hypothesis HG : (0 < n_key_value_heads A <= n_heads A)%nat.
Hypothesis Heps : (0 <= fst (eps A))%Z /\ (0 < snd (eps A))%Z.
Hypothesis Hscale : match attn_scale A with None => True | Some (a, b) => (0 < b)%Z end.
Variable x : list nat.
Variable sym : nat -> nat.
Hypothesis Hat : (at_position < n_ctx A)%nat.
Notation RT := (map_transformer (real e) T).
Notation B := (blocks T layer).
Notation r0 := (stream A RT x layer).
Hypothesis Spot : forall j s, matters A at_position x j -> first j (sym j) = Some s -> spot_ok A e p B r0 j s.
Lemma base_ok v0 : base_of (sym at_position) = Some v0 ->
  heads_defined A (map_block (real e) B) r0 at_position = true /\ holds p d v0 (base_value A e p T layer at_position centre x).
Proof.
  unfold base_of. cbv zeta. destruct (first at_position _) as [s|] eqn:F; [|discriminate]. intros E. apply some_same in E. subst v0.
  destruct (Spot _ s (conj Hat (or_intror eq_refl)) F) as (_ & R0 & _ & _ & D & _). split; auto.
  assert (C : holds p width (Vector centre 0) (centre_value p centre)).
  { intros k' _. cbn [mid err]. unfold within, centre_value. assert (Pp := P_pos p Hp).
    replace (IZR (centre k') / P * P - IZR (centre k')) with 0 by (field; lra). rewrite Rabs_R0. lra. }
  eapply holds_ext; [|apply plus_holds; [exact R0|exact (linear_holds p Hp e width d (W_O_flat A T layer) (b_O B) _ _ He C)]].
  intros i _. cbn beta. unfold base_value, real. ring.
Qed.
Lemma known_ok k : known_of (sym at_position) = Some k ->
  heads_defined A (map_block (real e) B) r0 at_position = true /\
  exists v0, k = known_by A e p T layer v0 /\ holds p d v0 (base_value A e p T layer at_position centre x).
Proof.
  unfold known_of. cbv zeta. destruct (base_of (sym at_position)) as [v0|] eqn:F; [|discriminate]. intros E.
  apply some_same in E. destruct (base_ok v0 F). eauto.
Qed.
End Query.
