(* Rule float-execution for networks on two inputs, as in Deployed.v: if the margin is at least twice what executions may be
   off, all of them are right about every pair that is right by more than the margin in real arithmetic. *)
From Coq Require Import Reals Lra Lia ZArith List Arith Bool.
From CompactProofs Require Import Semantics Counting Exponential PrefixChains Projected Floats TwoInputs ListSums SetOutput
  PairCounts Executions
  UpperBounds FloatSizes Deployed PairExecutions PairErrors UniformErrors.
Import ListNotations.

Lemma right_pairs_listed n O margin table logit : n_right_pairs n O margin table logit =
  Z.of_nat (length (filter (fun p => right_pair O margin table logit (fst p) (snd p)) (list_prod (seq 0 n) (seq 0 n)))).
Proof.
  set (f := right_pair O margin table logit). unfold n_right_pairs, count_pairs. fold f.
  assert (G : forall l k, lsum l (fun a => lsum k (fun b => b2z (f a b))) = Z.of_nat (length (filter (fun p => f (fst p) (snd
    p)) (list_prod l k)))).
  { intros l k. induction l as [|a l IH]; cbn [lsum list_prod]; [reflexivity|].
    rewrite filter_app, app_length, Nat2Z.inj_add, <- IH. f_equal.
    clear. induction k as [|b k IH]; [reflexivity|]. cbn [lsum map filter fst snd]. rewrite IH.
    destruct (f a b); cbn [length b2z]; lia. }
  rewrite <- G, lsum_seq. apply zsum_ext; intros. symmetry. apply lsum_seq.
Qed.

Section Pairs.
Variables (n O : nat) (mn md : Z) (table : nat -> nat -> nat).
Variable execution : nat -> nat -> (nat -> R) -> Prop.
(* A pair about which every execution is right. *)
Definition deployed_pair (p : nat * nat) : Prop :=
  (fst p < n)%nat /\ (snd p < n)%nat /\ always_leads O (execution (fst p) (snd p)) (table (fst p) (snd p)).

Lemma pairs_kept (holds : bool) logit counted : (holds = true -> forall a b y z, (a < n)%nat -> (b < n)%nat -> (z < O)%nat ->
  execution a b y ->
    (2 * Rabs (y z - logit a b z) <= IZR mn / IZR md)%R) ->
  (counted <= n_right_pairs n O (IZR mn / IZR md) table logit)%Z -> at_least (if holds then counted else 0%Z) deployed_pair.
Proof.
  intros B H. destruct holds; [specialize (B eq_refl)|exists []; split; [constructor|split; [intros x []|cbn; lia]]].
  rewrite right_pairs_listed in H. eexists. split; [|split; [|exact H]].
  - apply NoDup_filter, NoDup_product; apply seq_NoDup.
  - intros [a b] I. apply filter_In in I as [I Rt]. apply in_prod_iff in I as [Ia Ib]. apply in_seq in Ia, Ib.
    cbn [fst snd] in *.
    apply right_pair_iff in Rt as [Ht L]. repeat split; try (cbn; lia); auto. intros y Run z Hz N. cbn [fst snd] in *.
    assert (B1 := B a b y z ltac:(lia) ltac:(lia) Hz Run). assert (B2 := B a b y (table a b) ltac:(lia) ltac:(lia) Ht Run).
    specialize (L z Hz N).
    assert (A1 := Rle_abs (y z - logit a b z)). assert (A2 := Rle_abs (- (y (table a b) - logit a b (table a b)))).
    rewrite Rabs_Ropp in A2. lra.
Qed.
End Pairs.

(* Absolute values of a tensor's entries. *)
Definition sizes (e : Z) (t : tensor) : nat -> nat -> Z :=
  let z := integers e t in fun i j => up e (Z.abs (z i j)).
Lemma sizes_ok e t i j : (0 <= e)%Z -> exact e t = true -> (Rabs (float t i j) <= real (sizes e t i j))%R.
Proof.
  intros He X. rewrite <- (integers_value e t i j He X). unfold sizes. cbv zeta. eapply Rle_trans; [|apply upper_up; auto].
  assert (P := pw_pos e He). unfold Rdiv. rewrite Rabs_mult, <- abs_IZR. apply Req_le. f_equal. apply Rabs_pos_eq. left.
  now apply Rinv_0_lt_compat.
Qed.
(* The margin is at least twice these errors. *)
Definition covers (mn md : Z) (O : nat) (error : nat -> Z) : bool :=
  ((0 <? md) && forallb (fun z => 2 * error z * md <=? mn * unity) (seq 0 O))%Z.
Lemma covers_ok mn md O error z : covers mn md O error = true -> (z < O)%nat -> (2 * real (error z) <= IZR mn / IZR md)%R.
Proof.
  intros H Hz. apply andb_prop in H as [D H]. apply Z.ltb_lt in D. rewrite forallb_forall in H.
  specialize (H z ltac:(apply in_seq; lia)).
  apply Z.leb_le, IZR_le in H. rewrite !mult_IZR in H. apply IZR_lt in D. assert (P := one_pos). unfold real.
  apply Rmult_le_reg_r with (IZR md * IZR unity)%R; [now apply Rmult_lt_0_compat|].
  replace (2 * (IZR (error z) / IZR unity) * (IZR md * IZR unity))%R with (2 * IZR (error z) * IZR md)%R by (field; lra).
  replace (IZR mn / IZR md * (IZR md * IZR unity))%R with (IZR mn * IZR unity)%R by (field; lra). exact H.
Qed.

Section Mlp.
Variable F : format.
Variables (n m O : nat) (e mn md : Z) (W : mlp_weights) (table : nat -> nat -> nat).
Definition mlp_enough : bool :=
  let tensors := [mLeft W; mRight W; mBin W; mWU W; mBU W] in
  usual F && (0 <=? e)%Z && forallb (exact e) tensors && forallb (representable F) tensors &&
  let left := sizes e (mLeft W) in let right := sizes e (mRight W) in let bin := sizes e (mBin W) 0 in
  let zL := memo1 m (fun i => zmax n (fun a => left a i)) in
  let zR := memo1 m (fun i => zmax n (fun b => right b i)) in
  let unembed := sizes e (mWU W) in let zU := memo2 O m (fun z i => unembed i z) in
  let zbU := memo1 O (sizes e (mBU W) 0) in
  let off := memo1 m (z_mlp_off F zL zR bin) in
  let act := memo1 m (fun i => z_mlp_read zL zR bin i + off i)%Z in
  let top := z_mlp_top m O zU zbU act in
  mlp_in_limit F m zL zR bin top && covers mn md O (z_mlp_error F m zU zbU off act top).
Definition in_format_mlp (counted : Z) : Z := if mlp_enough then counted else 0%Z.
Definition float_mlp_execution (a b : nat) : (nat -> R) -> Prop :=
  mlp_execution F m O (float (mLeft W)) (float (mRight W)) (float (mBin W) 0) (float (mWU W)) (float (mBU W) 0) a b.

Lemma in_format_mlp_sound counted : (counted <= n_right_pairs n O (IZR mn / IZR md) table (float_mlp m W))%Z ->
  at_least (in_format_mlp counted) (deployed_pair n O table float_mlp_execution).
Proof.
  intros H. unfold in_format_mlp. apply (pairs_kept n O mn md table float_mlp_execution mlp_enough (float_mlp m W)); auto.
  intros En a b y z Ha Hb Hz Run. unfold mlp_enough in En. cbv zeta in En. rewrite ?memo1_id, ?memo2_id in En.
  apply andb_prop in En as [En Rest].
  do 3 (apply andb_prop in En as [En ?]). apply andb_prop in Rest as [Lim Cov].
  match goal with H : (0 <=? e)%Z = true |- _ => apply Z.leb_le in H; rename H into He end.
  match goal with H : forallb (exact e) _ = true |- _ => rewrite forallb_forall in H; rename H into X end.
  eapply Rle_trans; [|exact (covers_ok _ _ _ _ z Cov Hz)]. apply Rmult_le_compat_l; [lra|].
  apply (mlp_near F En m O _ _ _ _ _ (float (mLeft W)) (float (mRight W)) (float (mBin W) 0) (float (mWU W)) (float (mBU W) 0)
    a b) with (y := y); auto.
  - intros i Hi. eapply Rle_trans; [apply (sizes_ok e); auto; apply X; cbn; auto|]. apply real_le.
    exact (zmax_ge n (fun a => sizes e (mLeft W) a i) a Ha).
  - intros i Hi. eapply Rle_trans; [apply (sizes_ok e); auto; apply X; cbn; auto|]. apply real_le.
    exact (zmax_ge n (fun b => sizes e (mRight W) b i) b Hb).
  - intros i Hi. apply sizes_ok; auto. apply X; cbn; auto.
  - intros z' i Hz' Hi. apply sizes_ok; auto. apply X; cbn; auto.
  - intros z' Hz'. apply sizes_ok; auto. apply X; cbn; auto 6.
Qed.
Theorem deployed_mlp_pairs_sound e' u claims :
  at_least (in_format_mlp (count_mlp_pairs n m O e' u mn md W table claims)) (deployed_pair n O table float_mlp_execution).
Proof. apply in_format_mlp_sound, count_mlp_pairs_sound. Qed.
End Mlp.

Section Uniform.
Variable F : format.
Variables (n d dh H m O : nat) (e mn md : Z) (W : uniform_weights) (table : nat -> nat -> nat).
Definition uniform_enough : bool :=
  let tensors := [uWE W; uWP W; uWV W; uBV W; uWO W; uBO W; uWin W; uBin W; uWout W; uBout W; uWU W; uBU W] in
  usual F && (0 <=? e)%Z && forallb (exact e) tensors && forallb (representable F) tensors &&
  let tokens := integers e (uWE W) in let places := integers e (uWP W) in
  let zres := memo3 3 (S n) d (fun j t i => up e (Z.abs (tokens t i + places j i))) in
  let wv := sizes e (uWV W) in let zWV := memo3 H dh d (fun h k i => wv (h * d + i)%nat k) in
  let zbV := memo2 H dh (sizes e (uBV W)) in
  let wo := sizes e (uWO W) in let zWO := memo3 H d dh (fun h i k => wo (h * dh + k)%nat i) in
  let zbO := memo1 d (sizes e (uBO W) 0) in
  let win := sizes e (uWin W) in let zWin := memo2 m d (fun j i => win i j) in
  let zbin := memo1 m (sizes e (uBin W) 0) in
  let wout := sizes e (uWout W) in let zWout := memo2 d m (fun i j => wout j i) in
  let zbout := memo1 d (sizes e (uBout W) 0) in
  let wu := sizes e (uWU W) in let zWU := memo2 O d (fun z i => wu i z) in
  let zbU := memo1 O (sizes e (uBU W) 0) in
  let mean := memo2 H dh (size_mean n d zres zWV zbV) in
  let stream := memo1 d (size_stream n dh H zres zbO zWO mean) in
  let larger := memo1 d (top_stream n d dh H zres zWV zbV zbO zWO) in
  let top := top_read d m zWin zbin larger in
  let off := memo1 m (uniform_off d dh H F zWin zbin stream top) in
  let act := memo1 m (fun j => size_read d zWin zbin stream j + off j)%Z in
  let lost := memo1 d (fun i => dot_up m off (zWout i)) in
  let final := memo1 d (z_final m act zWout zbout stream) in
  let last := top_logit d m O zWout zbout zWU zbU larger act in
  in_limit F (2 * d + H * dh + 12) 24 top && in_limit F (m + 3 * d + H * dh + 30) 24 last
  && covers mn md O (uniform_error d dh H m F zWU zbU lost final last).
Definition in_format_uniform (counted : Z) : Z := if uniform_enough then counted else 0%Z.
Definition float_uniform_execution (a b : nat) : (nat -> R) -> Prop :=
  uniform_execution F n d dh H m O (float (uWE W)) (float (uWP W)) (fun h i k => float (uWV W) (h * d + i) k) (float (uBV W))
    (fun h k i => float (uWO W) (h * dh + k) i) (float (uBO W) 0) (float (uWin W)) (float (uBin W) 0) (float (uWout W))
    (float (uBout W) 0) (float (uWU W)) (float (uBU W) 0) a b.

Lemma in_format_uniform_sound counted : (counted <= n_right_pairs n O (IZR mn / IZR md) table (float_uniform n d dh H m W))%Z ->
  at_least (in_format_uniform counted) (deployed_pair n O table float_uniform_execution).
Proof.
  intros C. unfold in_format_uniform. apply (pairs_kept n O mn md table float_uniform_execution uniform_enough (float_uniform n
    d dh H m W)); auto.
  intros En a b y z Ha Hb Hz Run. unfold uniform_enough in En. cbv zeta in En. rewrite ?memo1_id, ?memo2_id, ?memo3_id in En.
  apply andb_prop in En as [En Rest]. do 3 (apply andb_prop in En as [En ?]). apply andb_prop in Rest as [Lim Cov].
  apply andb_prop in Lim as [Lim1 Lim2].
  match goal with H : (0 <=? e)%Z = true |- _ => apply Z.leb_le in H; rename H into He end.
  match goal with H : forallb (exact e) _ = true |- _ => rewrite forallb_forall in H; rename H into X end.
  eapply Rle_trans; [|exact (covers_ok _ _ _ _ z Cov Hz)]. apply Rmult_le_compat_l; [lra|].
  assert (Up : forall t i j, In t [uWE W; uWP W; uWV W; uBV W; uWO W; uBO W; uWin W; uBin W; uWout W; uBout W; uWU W; uBU W] ->
    (Rabs (float t i j) <= real (sizes e t i j))%R) by (intros; apply sizes_ok; auto).
  apply (uniform_near n d dh H m O F En) with (a := a) (b := b) (y := y) (z := z) (WE := float (uWE W)) (WP := float (uWP W))
    (WV := fun h i k => float (uWV W) (h * d + i) k) (bV := float (uBV W)) (WO := fun h k i => float (uWO W) (h * dh + k) i)
    (bO := float (uBO W) 0) (Win := float (uWin W)) (bin := float (uBin W) 0) (Wout := float (uWout W)) (bout := float (uBout
      W) 0)
    (WU := float (uWU W)) (bU := float (uBU W) 0); try (intros; apply Up; cbn; tauto); try assumption.
  intros j t i Hj Ht Hi. rewrite <- (integers_value e (uWE W)), <- (integers_value e (uWP W)) by (auto; apply X; cbn; tauto).
  eapply Rle_trans; [|apply upper_up; auto]. assert (P := pw_pos e He). unfold Rdiv.
  rewrite <- Rmult_plus_distr_r, <- plus_IZR, Rabs_mult, <- abs_IZR.
  apply Req_le. f_equal. apply Rabs_pos_eq. left. now apply Rinv_0_lt_compat.
Qed.
Theorem deployed_uniform_pairs_sound e' v o r w u claims :
  at_least (in_format_uniform (count_uniform_pairs n d dh H m O e' v o r w u mn md W table claims))
    (deployed_pair n O table float_uniform_execution).
Proof. apply in_format_uniform_sound, count_uniform_pairs_sound. Qed.
End Uniform.
